//! GroupQueryAttention: causal attention with a cache, sequences of different lengths in one batch.

use diptych_kernels::functions::Float;

use super::bias::{attention_bias, checked_scale};
use super::prepare::{Rooms, prepared, room_of};
use super::rotary::{caches, checked, count_from};
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, OutputType, PlanCx, Planned, Row, Step, rows_of};
use crate::ops::attention::core::{Attention, Bounds, Lengths, Operand, Part, Preparation, Present, Sink, Source};
use crate::ops::attention::dot_product::{factor, loader, softmax_row, storer};
use crate::ops::attention::extents::{Extents, Strides};
use crate::ops::attention::rotary::Turn;
use crate::ops::elementwise::Place;
use crate::run::KernelCx;
use crate::tensor::{Shape, element_count};
use crate::with_dtype;

/// Inputs by position.
mod input {
    pub const PAST: [usize; 2] = [3, 4];
    pub const LASTS: usize = 5;
    pub const TOTAL: usize = 6;
    pub const CACHES: [usize; 2] = [7, 8];
    pub const POSITIONS: usize = 9;
    pub const ATTENTION_BIAS: usize = 10;
    pub const SINK: usize = 11;
    /// Those that nobody serves, and why.
    pub const UNSUPPORTED: [(usize, &str); 5] = [
        (12, "k_scale, v_scale (a quantized cache)"),
        (13, "k_scale, v_scale (a quantized cache)"),
        (14, "q_norm_weight, k_norm_weight (use RMSNormalization)"),
        (15, "q_norm_weight, k_norm_weight (use RMSNormalization)"),
        (16, "query_seqlens (pad the prompt alone, on the right)"),
    ];
}
/// Outputs by position.
const PRESENT: [usize; 2] = [1, 2];
const SCORES: usize = 3;

struct GroupQuery {
    heads: usize,
    kv_heads: usize,
    scale: Option<f32>,
    cap: f32,
    causal: bool,
    window: i64,
    /// Whether to turn, and whether pairs are neighbours.
    rotary: bool,
    interleaved: bool,
    smooth: bool,
    /// Which scores are given: those before (1) or after (2) Softmax.
    scores: i64,
}

/// Extents, and where queries, keys and values lie.
struct Geometry {
    extents: Extents,
    sources: [Source; 3],
    /// Keys that the past and the present have room for.
    room: usize,
    capacity: usize,
}

/// What turns before the attention.
struct Turning {
    /// Q and K: how, from where, to where.
    turns: [(Turn, Source, Source); 2],
    dtype: DType,
    batch: usize,
    /// Rows of the caches.
    rows: usize,
    /// Whether positions are given, and whether all sequences begin here.
    given: bool,
    prompt: bool,
}

impl GroupQuery {
    /// Batch, queries and the size of a head, with where Q, K and V lie.
    fn operands(&self, cx: &PlanCx<'_>) -> Result<([usize; 3], [Source; 3])> {
        if cx.has(1) != cx.has(2) {
            return Err(Error::invalid_input("key and value come together"));
        }
        let counts = [self.heads, self.kv_heads, self.kv_heads];
        let all = element_count(&[self.heads + 2 * self.kv_heads])?;
        let (parts, shape) = (if cx.has(1) { self.heads } else { all }, cx.shape(0)?);
        element_count(shape)?;
        let &[batch, rows, hidden] = shape else {
            return Err(Error::shape(format!("query has shape {shape:?}, expected rank 3")));
        };
        if !hidden.is_multiple_of(parts) {
            return Err(Error::shape(format!("query {shape:?}: its last axis is no multiple of {parts} heads")));
        }
        let size = hidden / parts;
        let mut sources = [0, 1, 2].map(|which| Source::input(which, Strides::of_rows(counts[which], rows, size)));
        if !cx.has(1) {
            let strides = Strides::of_rows(all, rows, size);
            let before = [0, self.heads, self.heads + self.kv_heads];
            sources = before.map(|heads| Source { offset: heads * size, ..Source::input(0, strides) });
            return Ok(([batch, rows, size], sources));
        }
        let expected = [batch, rows, element_count(&[self.kv_heads, size])?];
        for (input, name) in [(1, "key"), (2, "value")] {
            if cx.shape(input)? != expected {
                return Err(Error::shape(format!("{name} has shape {:?}, expected {expected:?}", cx.shape(input)?)));
            }
        }
        Ok(([batch, rows, size], sources))
    }

    /// Keys that the past has room for.
    fn room(&self, cx: &PlanCx<'_>, batch: usize, size: usize) -> Result<usize> {
        if cx.has(input::PAST[0]) != cx.has(input::PAST[1]) {
            return Err(Error::invalid_input("past_key and past_value come together"));
        }
        if !cx.has(input::PAST[0]) {
            return Ok(0);
        }
        let [k, v] = [cx.shape(input::PAST[0])?, cx.shape(input::PAST[1])?];
        match *k {
            [b, h, room, d] if [b, h, d] == [batch, self.kv_heads, size] && k == v => Ok(room),
            _ => Err(Error::shape(format!(
                "past_key {k:?} and past_value {v:?}: expected [{batch}, {}, past, {size}]",
                self.kv_heads
            ))),
        }
    }

    fn geometry(&self, cx: &PlanCx<'_>) -> Planned<Geometry> {
        let ([batch, rows, size], sources) = self.operands(cx)?;
        let room = self.room(cx, batch, size)?;
        let [total] = cx.ints(input::TOTAL)?[..] else {
            let shape = cx.shape(input::TOTAL)?;
            return Err(Error::shape(format!("total_sequence_length has shape {shape:?}, expected one number")).into());
        };
        if element_count(cx.shape(input::LASTS)?)? != batch {
            let message = format!("seqlens_k has shape {:?}, expected [{batch}]", cx.shape(input::LASTS)?);
            return Err(Error::shape(message).into());
        }
        let keys = usize::try_from(total).ok().filter(|&keys| keys >= rows && (keys <= room || keys - rows == room));
        let Some(keys) = keys else {
            let message =
                format!("total_sequence_length is {total}: expected {rows} to {room} keys, or {room} and {rows} more");
            return Err(Error::invalid_input(message).into());
        };
        let kv = [batch, self.kv_heads, keys, size];
        let extents = Extents::new([batch, self.heads, rows, size], kv, kv, 0)?;
        let capacity = keys.max(room);
        element_count(&[batch.max(1), self.kv_heads, capacity.max(1), size.max(1)])?;
        Ok(Geometry { extents, sources, room, capacity })
    }

    /// What turns; Q and K then lie in `rooms`.
    fn turning(&self, cx: &PlanCx<'_>, geometry: &mut Geometry, dtype: DType, rooms: &mut Rooms) -> Result<Turning> {
        let Extents { batch, rows: positions, keys, size, .. } = geometry.extents;
        if !cx.has(input::CACHES[0]) || !cx.has(input::CACHES[1]) {
            return Err(Error::invalid_input("do_rotary needs cos_cache and sin_cache"));
        }
        let [rows, pairs] = caches(cx, input::CACHES)?;
        if pairs > size / 2 {
            return Err(Error::shape(format!("the caches have {pairs} pairs, a head of {size} at most {}", size / 2)));
        }
        let given = cx.has(input::POSITIONS);
        if given && cx.shape(input::POSITIONS)? != [batch, positions] {
            let message =
                format!("position_ids has shape {:?}, expected [{batch}, {positions}]", cx.shape(input::POSITIONS)?);
            return Err(Error::shape(message));
        }
        let mut turn = |which: usize, heads: usize| -> Result<(Turn, Source, Source)> {
            let to = prepared(rooms, [batch, heads, positions, size], dtype)?;
            let from = std::mem::replace(&mut geometry.sources[which], to);
            let (turning, interleaved) = (2 * pairs, self.interleaved);
            let turn = Turn { heads, positions, size, turning, from: from.strides, to: to.strides, interleaved };
            Ok((turn, from, to))
        };
        let turns = [turn(0, self.heads)?, turn(1, self.kv_heads)?];
        Ok(Turning { turns, dtype, batch, rows, given, prompt: positions == keys })
    }

    fn sink(&self, cx: &PlanCx<'_>, dtype: DType) -> Result<Option<Sink<f32>>> {
        if !cx.has(input::SINK) {
            return Ok(self.smooth.then_some(Sink::Zero));
        }
        if cx.shape(input::SINK)? != [self.heads] {
            let message = format!("head_sink has shape {:?}, expected [{}]", cx.shape(input::SINK)?, self.heads);
            return Err(Error::shape(message));
        }
        Ok(Some(Sink::Input(input::SINK, loader(dtype)?)))
    }

    fn step(&self, cx: &PlanCx<'_>) -> Planned<KernelStep> {
        if let Some((_, name)) = input::UNSUPPORTED.iter().find(|(input, _)| cx.has(*input)) {
            return Err(Error::unsupported(format!("{name}: not supported")).into());
        }
        let (dtype, mut geometry, mut rooms) = (cx.dtype(0)?, self.geometry(cx)?, Rooms::default());
        let turning = if self.rotary { Some(self.turning(cx, &mut geometry, dtype, &mut rooms)?) } else { None };
        let Geometry { extents, sources, room, capacity } = geometry;
        let Extents { batch, kv_heads, rows, keys, size, .. } = extents;
        let operand = |which: usize, past_input: Option<usize>| -> Result<Operand<f32>> {
            let before = Strides::of_heads(kv_heads, room, size);
            let past = past_input.filter(|_| room > 0).map(|input| Source::input(input, before));
            Ok(Operand { own: sources[which], past, size, dtype, load: loader(dtype)? })
        };
        let store = storer::<f32>(dtype)?;
        let scores = [batch, self.heads, rows, keys];
        let stage = if self.scores == 2 { 3 } else { 2 };
        let attention = Attention {
            extents,
            q: operand(0, None)?,
            k: operand(1, Some(input::PAST[0]))?,
            v: operand(2, Some(input::PAST[1]))?,
            factor: factor(self.scale, size),
            cap: (self.cap > 0.0).then_some(self.cap),
            bounds: Bounds {
                left: (self.window >= 0).then_some(self.window - 1),
                right: self.causal.then_some(0),
                lengths: Lengths::Cache(input::LASTS),
            },
            mask: attention_bias(cx, input::ATTENTION_BIAS, scores, dtype)?,
            padding: None,
            softmax: softmax_row(None)?,
            sink: self.sink(cx, dtype)?,
            part: Part::Whole { results: store, scores: cx.wants(SCORES).then_some((stage, store)) },
            zero_outside: true,
            y: Strides::of_rows(self.heads, rows, size),
            y_bytes: dtype.bits() / 8,
            score_bytes: dtype.bits() / 8,
            scores_output: SCORES,
            present: PRESENT
                .map(|output| cx.wants(output).then_some(Present { output, offset: 0, capacity, like_past: false })),
        };
        let mut outputs = vec![OutputType::new(dtype, Shape::from_slice(&[batch, rows, self.heads * size]))];
        if cx.wanted.len() > 1 {
            let present = OutputType::new(dtype, [batch, kv_heads, capacity, size].as_slice());
            outputs.extend([present.clone(), present]);
        }
        if cx.wanted.len() > SCORES {
            outputs.push(OutputType::new(dtype, scores.as_slice()));
        }
        let preparation = Preparation {
            bytes: rooms.bytes,
            cost: rooms.bytes as u64 / 8,
            run: Box::new(move |cx, room| turning.iter().try_for_each(|turning| turning.run(cx, room))),
            ..Preparation::nothing()
        };
        Ok(attention.step(preparation, outputs, cx.isa, cx.threads)?)
    }
}

// [panel: com.microsoft.GroupQueryAttention rotary]
impl Turning {
    fn run(&self, cx: &KernelCx<'_>, room: &mut [u8]) -> Result<()> {
        with_dtype!(self.dtype, T in [F32, F16, BF16] => self.run_as::<T>(cx, room),
            else Err(Error::unsupported(format!("attention of {}", self.dtype))))
    }

    fn run_as<T: Element + Float>(&self, cx: &KernelCx<'_>, room: &mut [u8]) -> Result<()> {
        let (rows, positions) = (self.rows, self.turns[0].0.positions);
        if self.batch * positions == 0 {
            return Ok(());
        }
        if self.given && !self.prompt {
            let ids = checked(cx.input::<i64>(input::POSITIONS), rows)?;
            return self.turn::<T>(cx, room, |place| ids[place] as usize);
        }
        if self.prompt {
            let first = if self.given { cx.input::<i64>(input::POSITIONS)[0] } else { 0 };
            let first = count_from(first, positions, rows)?;
            return self.turn::<T>(cx, room, |place| first + place % positions);
        }
        let lasts = cx.input::<i32>(input::LASTS);
        let before = |sequence: usize| i64::from(lasts[sequence]) + 1 - positions as i64;
        for sequence in 0..self.batch {
            count_from(before(sequence), positions, rows)?;
        }
        self.turn::<T>(cx, room, |place| before(place / positions) as usize + place % positions)
    }

    fn turn<T: Element + Float>(
        &self,
        cx: &KernelCx<'_>,
        room: &mut [u8],
        angle: impl Fn(usize) -> usize + Sync,
    ) -> Result<()> {
        let caches = input::CACHES.map(|input| Place::input(cx.input_ptr::<T>(input)));
        for (turn, from, to) in &self.turns {
            let x = Place::input(from.locate(cx, &[], self.dtype).at(0).cast::<T>().cast_const());
            turn.run(cx, self.batch, x, caches, room_of::<T>(room, to), &angle)?;
        }
        Ok(())
    }
}
// [/panel]

impl Operator for GroupQuery {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        self.step(cx)?.into()
    }
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    for name in ["k_quant_type", "v_quant_type"] {
        if cx.string(name)?.is_some_and(|kind| kind != "NONE") {
            return Err(Error::unsupported("k_quant_type, v_quant_type (a quantized cache): not supported"));
        }
    }
    if cx.int("sliding_window_cache", 0)? != 0 {
        let message = "sliding_window_cache (use local_window_size and a whole cache): not supported";
        return Err(Error::unsupported(message));
    }
    let count = |name: &str| -> Result<i64> { cx.required(name, cx.opt_int(name)?) };
    let counts = [count("num_heads")?, count("kv_num_heads")?];
    if counts[0] <= 0 || counts[1] <= 0 || counts[0] % counts[1] != 0 {
        let message = format!("num_heads {} is no multiple of kv_num_heads {}", counts[0], counts[1]);
        return Err(Error::invalid_model(message));
    }
    element_count(&counts.map(|count| count as usize))?;
    let (scores, window, causal) =
        (cx.int("qk_output", 0)?, cx.int("local_window_size", -1)?, cx.int("causal", 1)? != 0);
    if !(0..=2).contains(&scores) || window < -1 || (window >= 0 && !causal) {
        return Err(Error::invalid_model(format!(
            "qk_output {scores}, local_window_size {window}, causal {causal}: expected 0, 1 or 2, and -1, or with causal also \
             more"
        )));
    }
    Ok(Box::new(GroupQuery {
        heads: counts[0] as usize,
        kv_heads: counts[1] as usize,
        scale: checked_scale(cx.opt_float("scale")?)?,
        cap: cx.float("softcap", 0.0)?,
        causal,
        window,
        rotary: cx.int("do_rotary", 0)? != 0,
        interleaved: cx.int("rotary_interleaved", 0)? != 0,
        smooth: cx.int("smooth_softmax", -1)? == 1,
        scores,
    }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    rows_of("com.microsoft", "GroupQueryAttention", &[1], build)
}
