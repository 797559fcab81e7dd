//! LinearAttention: a state of keys by values in place of a cache, updated step by step.

use diptych_kernels::linear_attention::{Step as StateStep, exponentials, read};
use half::{bf16, f16};

use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, OutputType, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::cast::cast_bytes;
use crate::ops::elements::{buffer_bytes, elements, elements_mut, rooms, rooms_bytes};
use crate::ops::elementwise::Place;
use crate::run::{Disjoint, KernelCx};
use crate::tensor::element_count;
use crate::with_dtype;

/// Inputs by position.
const PAST: usize = 3;
const DECAY: usize = 4;
const BETA: usize = 5;
/// Columns of a state that a task has at least.
const COLUMNS: usize = 16;

struct Linear {
    heads: [i64; 2],
    scale: f32,
    gated: bool,
    delta: bool,
}

#[derive(Clone, Copy)]
struct Extents {
    batch: usize,
    steps: usize,
    kv_heads: usize,
    group: usize,
    size: usize,
    v_size: usize,
    /// Numbers of decay and beta for a head and step; 0 without.
    gate: usize,
    /// Whether beta serves all heads.
    shared_rate: bool,
    scale: f32,
    gated: bool,
    delta: bool,
    /// Columns of a task, tasks of a state.
    columns: usize,
    pieces: usize,
}

impl Linear {
    fn extents(&self, cx: &PlanCx<'_>) -> Result<Extents> {
        for (name, input, needed) in [("decay", DECAY, self.gated), ("beta", BETA, self.delta)] {
            if cx.has(input) != needed {
                let verb = if needed { "needs" } else { "has no" };
                return Err(Error::invalid_input(format!("the update rule {verb} input {name}")));
            }
        }
        let [q_heads, kv_heads] = self.heads.map(|heads| usize::try_from(heads).unwrap_or(0));
        if q_heads == 0 || kv_heads == 0 || q_heads % kv_heads != 0 {
            let message = format!("{} query heads are no multiple of {} key heads", self.heads[0], self.heads[1]);
            return Err(Error::invalid_model(message));
        }
        let packed = |input: usize, heads: usize| match *cx.shape(input)? {
            [batch, steps, hidden] if hidden.is_multiple_of(heads) => Ok([batch, steps, hidden / heads]),
            _ => Err(Error::shape(format!(
                "input {input} has shape {:?}, expected [B, T, {heads} * size]",
                cx.shape(input)?
            ))),
        };
        let (q, k, v) = (packed(0, q_heads)?, packed(1, kv_heads)?, packed(2, kv_heads)?);
        if q != k || v[..2] != k[..2] {
            return Err(Error::shape(format!("query {q:?}, key {k:?} and value {v:?} of a head do not fit together")));
        }
        let [batch, steps, size] = k;
        let state = [batch, kv_heads, size, v[2]];
        if cx.has(PAST) && cx.shape(PAST)? != state {
            return Err(Error::shape(format!("past_state has shape {:?}, expected {state:?}", cx.shape(PAST)?)));
        }
        element_count(&state)?;
        element_count(&[batch.max(1), steps.max(1), q_heads, size.max(v[2]).max(1)])?;
        let last = |input: usize, other: usize, name: &str| -> Result<usize> {
            if !cx.has(input) {
                return Ok(0);
            }
            match *cx.shape(input)? {
                [b, t, n] if [b, t] == [batch, steps] && (n == kv_heads || n == other) => Ok(n),
                _ => {
                    let message = format!(
                        "{name} has shape {:?}, expected [{batch}, {steps}, {kv_heads} or {other}]",
                        cx.shape(input)?
                    );
                    Err(Error::shape(message))
                }
            }
        };
        let gate = last(DECAY, kv_heads * size, "decay")?;
        let rate = last(BETA, 1, "beta")?;
        let (heads, wanted) = (batch * kv_heads, cx.threads);
        let pieces = wanted.div_ceil(heads.max(1)).min(v[2].div_ceil(COLUMNS)).max(1);
        let columns = v[2].div_ceil(pieces).max(1);
        Ok(Extents {
            batch,
            steps,
            kv_heads,
            group: q_heads / kv_heads,
            size,
            v_size: v[2],
            gate: if gate == kv_heads { 1 } else { size },
            shared_rate: rate != kv_heads,
            scale: if self.scale == 0.0 { 1.0 / (size as f32).sqrt() } else { self.scale },
            gated: self.gated,
            delta: self.delta,
            columns,
            pieces: v[2].div_ceil(columns),
        })
    }
}

/// Where inputs lie, in binary32.
struct Operands<'a> {
    query: &'a [f32],
    key: &'a [f32],
    value: &'a [f32],
    past: Option<&'a [f32]>,
    decay: &'a [f32],
    beta: &'a [f32],
}

impl Operator for Linear {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let extents = self.extents(cx)?;
        let Extents { batch, steps, kv_heads, group, size, v_size, columns, .. } = extents;
        let dtype = cx.dtype(0)?;
        let state = if cx.has(PAST) { cx.dtype(PAST)? } else { dtype };
        let types = [0, 1, 2, PAST, DECAY, BETA].map(|input| {
            if cx.has(input) {
                cx.dtype(input).and_then(|dtype| Ok(Some((dtype, element_count(cx.shape(input)?)?))))
            } else {
                Ok(None)
            }
        });
        let mut inputs = [None; 6];
        for (to, of) in inputs.iter_mut().zip(types) {
            *to = of?;
        }
        // Widened inputs; exponentials need a copy of decay.
        let mut sizes = [0; 6];
        for (position, (bytes, input)) in sizes.iter_mut().zip(&inputs).enumerate() {
            if let &Some((dtype, count)) = input
                && (dtype != DType::F32 || position == DECAY)
            {
                *bytes = buffer_bytes::<f32>(&[count])?;
            }
        }
        let scratch = [
            buffer_bytes::<f32>(&[size, columns])?,
            buffer_bytes::<f32>(&[columns])?,
            buffer_bytes::<f32>(&[columns])?,
        ];
        let work = [batch, steps, kv_heads, size, v_size, 2 + group];
        let cost = work.iter().fold(1u64, |all, &n| all.saturating_mul(n as u64)) / 8 + 500;
        let outputs = [
            OutputType::new(dtype, [batch, steps, kv_heads * group * v_size].as_slice()),
            OutputType::new(state, [batch, kv_heads, size, v_size].as_slice()),
        ];
        let stores = [storer(dtype)?, storer(state)?];
        let step = KernelStep::with_outputs(outputs, move |cx| {
            let widened = rooms(cx.workspace(), sizes);
            let operands = widen(cx, &inputs, widened)?;
            run(cx, &extents, &operands, stores, scratch)
        });
        step.workspace(rooms_bytes(&sizes)?).scratch(rooms_bytes(&scratch)?).cost(cost).into()
    }
}

type Widths = [Option<(DType, usize)>; 6];

/// The inputs in binary32, decay as its exponential.
fn widen<'a>(cx: &KernelCx<'a>, inputs: &Widths, widened: [&'a mut [u8]; 6]) -> Result<Operands<'a>> {
    let isa = cx.isa();
    let mut given: [Option<&[f32]>; 6] = [None; 6];
    for (position, (room, input)) in widened.into_iter().zip(inputs).enumerate() {
        let &Some((dtype, count)) = input else { continue };
        if room.is_empty() {
            given[position] = Some(if count == 0 { &[] } else { cx.input::<f32>(position) });
            continue;
        }
        let (from, bytes) = (cx.input_bytes(position), dtype.bits() / 8);
        let room = elements_mut::<f32>(room);
        let pieces = Disjoint::new(&mut *room);
        cx.parallel_ranges(count, 1 << 15, |range, _| {
            // SAFETY: ranges do not overlap.
            let out = unsafe { pieces.range(range.clone()) };
            let from = &from[range.start * bytes..range.end * bytes];
            if dtype == DType::F32 {
                out.copy_from_slice(elements(from));
            } else {
                // SAFETY: the bytes of binary32 numbers.
                let bytes = unsafe { std::slice::from_raw_parts_mut(out.as_mut_ptr().cast::<u8>(), size_of_val(out)) };
                let done = cast_bytes(isa, dtype, from, DType::F32, bytes);
                debug_assert!(done.is_ok(), "floats are plain numbers");
            }
            if position == DECAY {
                exponentials(isa, out);
            }
        })?;
        given[position] = Some(room);
    }
    let [query, key, value, past, decay, beta] = given;
    let some = |values: Option<&'a [f32]>| values.unwrap_or(&[]);
    Ok(Operands { query: some(query), key: some(key), value: some(value), past, decay: some(decay), beta: some(beta) })
}

/// Rounds numbers into an output from an element on.
type Store = fn(&[f32], Place<u8>, usize);

fn storer(dtype: DType) -> Result<Store> {
    fn store<T: Element + Narrow>(values: &[f32], to: Place<u8>, at: usize) {
        let to = to.at(at * size_of::<T>()).cast::<T>();
        for (i, &value) in values.iter().enumerate() {
            // SAFETY: the caller's own elements of the output.
            unsafe { *to.add(i) = T::narrow(value) };
        }
    }
    with_dtype!(dtype, T in [F32, F16, BF16] => Ok(store::<T> as Store),
        else Err(Error::unsupported(format!("LinearAttention of {dtype}"))))
}

/// binary32 rounded to a type.
trait Narrow {
    fn narrow(value: f32) -> Self;
}
impl Narrow for f32 {
    fn narrow(value: f32) -> f32 {
        value
    }
}
impl Narrow for f16 {
    fn narrow(value: f32) -> f16 {
        f16::from_f32(value)
    }
}
impl Narrow for bf16 {
    fn narrow(value: f32) -> bf16 {
        bf16::from_f32(value)
    }
}

fn run(
    cx: &KernelCx<'_>,
    extents: &Extents,
    operands: &Operands<'_>,
    stores: [Store; 2],
    sizes: [usize; 3],
) -> Result<()> {
    let Extents { batch, kv_heads, v_size, columns, pieces, .. } = *extents;
    let (isa, output) = (cx.isa(), Place::output(cx.output_ptr::<u8>(0)));
    let present = cx.has_output(1).then(|| Place::output(cx.output_ptr::<u8>(1)));
    cx.parallel(batch * kv_heads * pieces, |task, scratch| {
        let (head, first) = (task / pieces, task % pieces * columns);
        let part = first..(first + columns).min(v_size);
        let [state, value, out] = rooms(scratch, sizes).map(elements_mut::<f32>);
        let state = &mut state[..extents.size * part.len()];
        let row = |d: usize| (head * extents.size + d) * v_size + part.start;
        for (d, state) in state.chunks_exact_mut(part.len().max(1)).enumerate() {
            match operands.past {
                Some(past) => state.copy_from_slice(&past[row(d)..][..part.len()]),
                None => state.fill(0.0),
            }
        }
        for t in 0..extents.steps {
            let place = head / kv_heads * extents.steps + t;
            let step = HeadStep { extents, operands, place, head: head % kv_heads };
            let value = &mut value[..part.len()];
            step.advance(isa, &part, state, value);
            for query in 0..extents.group {
                let index = place * kv_heads * extents.group + head % kv_heads * extents.group + query;
                let out = &mut out[..part.len()];
                read(isa, &operands.query[index * extents.size..][..extents.size], state, extents.scale, out);
                stores[0](out, output, index * v_size + part.start);
            }
        }
        let Some(present) = present else { return };
        for (d, state) in state.chunks_exact(part.len().max(1)).enumerate() {
            stores[1](state, present, row(d));
        }
    })
}

/// One head at one step.
struct HeadStep<'a> {
    extents: &'a Extents,
    operands: &'a Operands<'a>,
    /// Batch and step, and the key head.
    place: usize,
    head: usize,
}

impl HeadStep<'_> {
    /// Updates some columns of the state.
    fn advance(&self, isa: diptych_kernels::Isa, part: &std::ops::Range<usize>, state: &mut [f32], value: &mut [f32]) {
        let Extents { kv_heads, size, v_size, gate, shared_rate, gated, delta, .. } = *self.extents;
        let index = self.place * kv_heads + self.head;
        value.copy_from_slice(&self.operands.value[index * v_size + part.start..][..part.len()]);
        let step = StateStep {
            state,
            key: &self.operands.key[index * size..][..size],
            gate: if gated { &self.operands.decay[index * gate..][..gate] } else { &[] },
            rate: delta.then(|| self.operands.beta[if shared_rate { self.place } else { index }]),
            value,
        };
        step.run(isa);
    }
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let (gated, delta) = match cx.string("update_rule")?.unwrap_or("gated_delta") {
        "linear" => (false, false),
        "gated" => (true, false),
        "delta" => (false, true),
        "gated_delta" => (true, true),
        other => {
            let message = format!("update_rule is '{other}', expected linear, gated, delta or gated_delta");
            return Err(Error::invalid_model(message));
        }
    };
    let heads = ["q_num_heads", "kv_num_heads"];
    Ok(Box::new(Linear {
        heads: [cx.required(heads[0], cx.opt_int(heads[0])?)?, cx.required(heads[1], cx.opt_int(heads[1])?)?],
        scale: cx.float("scale", 0.0)?,
        gated,
        delta,
    }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("LinearAttention", &[27], build)
}
