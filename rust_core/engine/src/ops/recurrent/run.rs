//! The step of an LSTM: the inputs' products for all steps at once, then step by step for rows of the batch.

use std::ops::{Add, Range};
use std::sync::Arc;

use diptych_kernels::Isa;
use diptych_kernels::gemm::{
    Gemm, Grain, MatMut, MatRef, PackedB, Right, Scalar, gemm, pack_b, packed_b_len, scratch_len,
};
use diptych_kernels::lstm::{Activation, Cell, CellElement};
use half::{bf16, f16};

use super::{Extents, Lstm, activation, input};
use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::operator::{KernelStep, OutputType, PlanCx};
use crate::ops::elements::{buffer_bytes, elements, elements_mut, rooms, rooms_bytes};
use crate::ops::matmul::pack_params;
use crate::run::{Disjoint, KernelCx};
use crate::tensor::{AlignedBytes, element_count};

/// f32 or f64.
pub(super) trait Computed: CellElement + Scalar + Element + From<f32> + Add<Output = Self> {}
impl Computed for f32 {}
impl Computed for f64 {}

/// A type of the tensors, and the one it computes in.
pub(super) trait Stored: Element {
    type Wide: Computed;
    /// The elements themselves, where the computing type is this one.
    fn view(elements: &[Self]) -> Option<&[Self::Wide]>;
    fn widen(self) -> Self::Wide;
    fn narrow(wide: Self::Wide) -> Self;
}

macro_rules! stored {
    ($($t:ty, $wide:ty, $view:expr, $widen:expr, $narrow:expr;)*) => {$(
        impl Stored for $t {
            type Wide = $wide;
            fn view(elements: &[$t]) -> Option<&[$wide]> {
                $view(elements)
            }
            fn widen(self) -> $wide {
                $widen(self)
            }
            fn narrow(wide: $wide) -> $t {
                $narrow(wide)
            }
        }
    )*};
}
stored! {
    f32, f32, Some, |x| x, |x| x;
    f64, f64, Some, |x| x, |x| x;
    f16, f32, |_| None, f16::to_f32, f16::from_f32;
    bf16, f32, |_| None, bf16::to_f32, bf16::from_f32;
}

/// `given` in the computing type: itself, or widened into `room`.
fn wide<'a, T: Stored>(given: &'a [T], room: &'a mut [T::Wide]) -> &'a [T::Wide] {
    if let Some(view) = T::view(given) {
        return view;
    }
    let room = &mut room[..given.len()];
    room.iter_mut().zip(given).for_each(|(wide, &x)| *wide = x.widen());
    room
}

/// The right operand `[k, 4H]` of each direction, stored transposed.
struct Weights {
    k: usize,
    n: usize,
    /// Packed ahead, if it is constant.
    packed: Option<Arc<AlignedBytes>>,
}

impl Weights {
    fn new<T: Stored>(cx: &PlanCx<'_>, input: usize, extents: &Extents, k: usize) -> Result<Weights> {
        let n = 4 * extents.hidden;
        let unpacked = Weights { k, n, packed: None };
        let (Some((id, tensor)), Some(params), Some(len)) =
            (cx.weight(input), pack_params(cx.isa, k, n), packed_b_len::<T::Wide>(cx.isa, k, n))
        else {
            return Ok(unpacked);
        };
        if len == 0 {
            return Ok(unpacked);
        }
        let bytes = buffer_bytes::<T::Wide>(&[extents.directions, len])?;
        let packed = cx.packed.get_or_pack_bytes((id, "recurrent", params), bytes, |packed| {
            let tensor = tensor.aligned()?;
            let stored = elements::<T>(tensor.bytes());
            let mut room = vec![T::Wide::default(); if T::view(stored).is_some() { 0 } else { stored.len() }];
            let values = wide(stored, &mut room);
            for (values, packed) in values.chunks_exact(k * n).zip(elements_mut(packed).chunks_exact_mut(len)) {
                pack_b(cx.isa, &MatRef::new(values, k, n, 1, k), packed);
            }
            Ok(())
        })?;
        Ok(Weights { packed: Some(packed), ..unpacked })
    }

    /// The operand of one direction; `given` are the values where they are not packed.
    fn right<'a, E: Scalar + Element>(&'a self, isa: Isa, given: &'a [E], direction: usize) -> Right<'a, E> {
        let (k, n) = (self.k, self.n);
        match &self.packed {
            Some(packed) => {
                let len = packed_b_len::<E>(isa, k, n).unwrap_or(0);
                Right::Packed(PackedB::from_packed(isa, &elements(packed.as_slice())[direction * len..], k, n))
            }
            None => Right::Strided(MatRef::new(&given[direction * k * n..], k, n, 1, k)),
        }
    }

    /// Elements of the operand widened at run time.
    fn widened<T: Stored>(&self, directions: usize) -> usize {
        if self.packed.is_some() || T::view(&[]).is_some() { 0 } else { directions * self.k * self.n }
    }
}

/// What does not change from run to run.
struct Plan<E> {
    extents: Extents,
    functions: Vec<[Activation<E>; 3]>,
    clip: Option<E>,
    reverse: bool,
    input_forget: bool,
    w: Weights,
    r: Weights,
    grain: Grain,
    /// Rows of the batch that one chunk takes through all steps.
    rows: usize,
}

pub(super) fn step<T: Stored>(lstm: &Lstm, extents: Extents, cx: &PlanCx<'_>) -> Result<KernelStep> {
    let Extents { steps, batch, input, hidden, directions, batch_first } = extents;
    let gates = 4 * hidden;
    let (w, r) =
        (Weights::new::<T>(cx, input::W, &extents, input)?, Weights::new::<T>(cx, input::R, &extents, hidden)?);
    let mut packed: Vec<usize> = Vec::new();
    packed.extend(w.packed.is_some().then_some(input::W));
    packed.extend(r.packed.is_some().then_some(input::R));
    let tall = element_count(&[steps, batch])?;
    let operations = [tall, gates, input + hidden, directions, 2].iter().fold(1u64, |n, &f| n.saturating_mul(f as u64));
    let cost = (operations / 50).saturating_add((tall * directions * hidden) as u64 * 10).saturating_add(500);
    let copied = T::view(&[]).is_none() || (batch_first && steps > 1 && batch > 1);
    let wide_bytes = |elements: &[usize]| buffer_bytes::<T::Wide>(elements);
    // X in step order, chains, h, c, bias, peepholes, W and R widened.
    let narrow = usize::from(T::view(&[]).is_none());
    let sizes = [
        wide_bytes(&[usize::from(copied), tall, input])?,
        wide_bytes(&[directions, tall, gates])?,
        wide_bytes(&[directions, batch, hidden])?,
        wide_bytes(&[directions, batch, hidden])?,
        wide_bytes(&[directions, gates])?,
        wide_bytes(&[narrow, directions, 3 * hidden])?,
        wide_bytes(&[w.widened::<T>(directions)])?,
        wide_bytes(&[r.widened::<T>(directions)])?,
    ];
    let scratch =
        scratch_len::<T::Wide>(cx.isa, tall, gates, input).max(scratch_len::<T::Wide>(cx.isa, batch, gates, hidden));
    let parts = (cost / 40_000).clamp(1, 4 * cx.threads as u64) as usize;
    let plan = Plan {
        extents,
        functions: lstm.functions.iter().map(|functions| functions.map(activation::typed)).collect(),
        clip: lstm.clip.map(T::Wide::from),
        reverse: lstm.reverse,
        input_forget: lstm.input_forget,
        w,
        r,
        grain: Grain::new::<T::Wide>(cx.isa, tall, gates, parts.div_ceil(directions)),
        rows: batch.div_ceil(cx.threads.div_ceil(directions)).max(1),
    };
    let (y, state) = (extents.y_shape(), extents.state_shape());
    let outputs = [y, state.clone(), state].map(|shape| OutputType::new(T::DTYPE, shape));
    let step = KernelStep::with_outputs(outputs, move |cx| {
        if batch * hidden == 0 {
            return Ok(());
        }
        plan.run::<T>(cx, rooms(cx.workspace(), sizes), copied)
    });
    let scratch = buffer_bytes::<T::Wide>(&[scratch])?;
    Ok(step.packed(&packed).workspace(rooms_bytes(&sizes)?).scratch(scratch).cost(cost))
}

/// Operands of a run in the computing type.
struct Operands<'a, E> {
    w: &'a [E],
    r: &'a [E],
    bias: Option<&'a [E]>,
    peephole: Option<&'a [E]>,
    /// Of each row of the batch, if they differ.
    lengths: Option<&'a [i32]>,
}

/// Outputs and state, in rows that different chunks write.
struct Results<'a, T: Stored> {
    chains: Disjoint<'a, T::Wide>,
    h: Disjoint<'a, T::Wide>,
    c: Disjoint<'a, T::Wide>,
    y: Option<Disjoint<'a, T>>,
    y_h: Option<Disjoint<'a, T>>,
    y_c: Option<Disjoint<'a, T>>,
}

impl<E: Computed> Plan<E> {
    fn run<T: Stored<Wide = E>>(&self, cx: &KernelCx<'_>, rooms: [&mut [u8]; 8], copied: bool) -> Result<()> {
        let [x, chains, h, c, bias, peephole, w, r] = rooms.map(|room| elements_mut::<E>(room));
        let Extents { steps, hidden, directions, .. } = self.extents;
        let lengths = cx.opt_input::<i32>(input::SEQUENCE_LENS);
        if let Some(wrong) = lengths.and_then(|all| all.iter().find(|&&n| n < 0 || n as usize > steps)) {
            return Err(Error::shape(format!("sequence_lens has {wrong}, expected values in 0 .. {steps}")));
        }
        let x: &[E] = if copied { self.in_steps(cx.input::<T>(input::X), x) } else { wide(cx.input::<T>(input::X), x) };
        if let Some(given) = cx.opt_input::<T>(input::B) {
            for (to, of) in bias.chunks_exact_mut(4 * hidden).zip(given.chunks_exact(8 * hidden)) {
                let (w, r) = of.split_at(4 * hidden);
                to.iter_mut().zip(w.iter().zip(r)).for_each(|(to, (w, r))| *to = w.widen() + r.widen());
            }
        }
        let values = |weights: &Weights, input| if weights.packed.is_some() { &[][..] } else { cx.input::<T>(input) };
        let operands = Operands {
            w: wide(values(&self.w, input::W), w),
            r: wide(values(&self.r, input::R), r),
            bias: cx.has(input::B).then_some(&*bias),
            peephole: cx.opt_input::<T>(input::P).map(|given| wide(given, peephole)),
            lengths,
        };
        self.initialize(cx.opt_input::<T>(input::INITIAL_H), h);
        self.initialize(cx.opt_input::<T>(input::INITIAL_C), c);
        self.multiply_inputs(cx, x, &operands, chains)?;
        let results = Results::<T> {
            chains: Disjoint::new(chains),
            h: Disjoint::new(h),
            c: Disjoint::new(c),
            y: cx.opt_output(0).map(Disjoint::new),
            y_h: cx.opt_output(1).map(Disjoint::new),
            y_c: cx.opt_output(2).map(Disjoint::new),
        };
        let (isa, pieces) = (cx.isa(), self.extents.batch.div_ceil(self.rows));
        cx.parallel(directions * pieces, |chunk, scratch| {
            let (direction, first) = (chunk / pieces, chunk % pieces * self.rows);
            let rows = first..(first + self.rows).min(self.extents.batch);
            self.sequence(isa, direction, rows, &operands, &results, elements_mut(scratch));
        })
    }

    /// `x` in the order [step][row of the batch].
    fn in_steps<'a, T: Stored<Wide = E>>(&self, x: &[T], to: &'a mut [E]) -> &'a [E] {
        let Extents { steps, batch, input, batch_first, .. } = self.extents;
        if input > 0 {
            for (place, to) in to.chunks_exact_mut(input).enumerate() {
                let from = if batch_first { place % batch * steps + place / batch } else { place };
                to.iter_mut().zip(&x[from * input..]).for_each(|(to, &x)| *to = x.widen());
            }
        }
        to
    }

    /// The initial state, `[direction][row][hidden]`.
    fn initialize<T: Stored<Wide = E>>(&self, given: Option<&[T]>, to: &mut [E]) {
        let Extents { batch, hidden, .. } = self.extents;
        let Some(given) = given else {
            to.fill(E::default());
            return;
        };
        for (place, to) in to.chunks_exact_mut(hidden).enumerate() {
            let from = self.extents.state(place / batch, place % batch);
            to.iter_mut().zip(&given[from..]).for_each(|(to, &x)| *to = x.widen());
        }
    }

    /// The gates' chains over the inputs, for all steps and rows: `[direction][step][row][4H]`.
    fn multiply_inputs(&self, cx: &KernelCx<'_>, x: &[E], operands: &Operands<'_, E>, chains: &mut [E]) -> Result<()> {
        let Extents { steps, batch, input, hidden, directions, .. } = self.extents;
        let (tall, gates, isa) = (steps * batch, 4 * hidden, cx.isa());
        let each = self.grain.tasks(tall, gates);
        let chains = MatMut::new(chains, directions * tall, gates, gates);
        let x = MatRef::row_major(x, tall, input);
        cx.parallel(directions * each, |task, scratch| {
            let (direction, task) = (task / each, task % each);
            let (rows, cols) = self.grain.task(task, tall, gates);
            let place = direction * tall + rows.start..direction * tall + rows.end;
            // SAFETY: the tasks' blocks do not overlap.
            let block = unsafe { chains.shared_block(place, cols.clone()) };
            let product = Gemm::new(x, self.w.right(isa, operands.w, direction));
            gemm(isa, &product, rows, cols, block, elements_mut(scratch));
        })
    }

    /// Takes rows of the batch through all steps of one direction.
    fn sequence<T: Stored<Wide = E>>(
        &self,
        isa: Isa,
        direction: usize,
        rows: Range<usize>,
        operands: &Operands<'_, E>,
        results: &Results<'_, T>,
        scratch: &mut [E],
    ) {
        let steps = self.extents.steps;
        let length = |row: usize| operands.lengths.map_or(steps, |lengths| lengths[row] as usize);
        // Where a row is at step `t` of its own sequence.
        let place = |row: usize, t: usize| {
            let backwards = self.reverse || direction == 1;
            (t < length(row)).then(|| if backwards { length(row) - 1 - t } else { t })
        };
        for t in 0..rows.clone().map(length).max().unwrap_or(0) {
            let mut row = rows.start;
            while row < rows.end {
                // Neighbours at one place go together.
                let at = place(row, t);
                let end = (row + 1..rows.end).find(|&next| place(next, t) != at).unwrap_or(rows.end);
                if let Some(at) = at {
                    self.advance(isa, direction, at, row..end, operands, results, scratch);
                }
                row = end;
            }
        }
        for row in rows {
            self.finish(direction, row, length(row), results);
        }
    }

    /// One step of neighbouring rows.
    #[allow(clippy::too_many_arguments)]
    fn advance<T: Stored<Wide = E>>(
        &self,
        isa: Isa,
        direction: usize,
        place: usize,
        rows: Range<usize>,
        operands: &Operands<'_, E>,
        results: &Results<'_, T>,
        scratch: &mut [E],
    ) {
        let Extents { steps, batch, hidden, .. } = self.extents;
        let gates = 4 * hidden;
        let chain = (direction * steps + place) * batch;
        let state = (direction * batch + rows.start) * hidden..(direction * batch + rows.end) * hidden;
        // SAFETY: rows of the batch belong to one chunk, which runs on one thread.
        let (chains, h, c) = unsafe {
            let chains = results.chains.range((chain + rows.start) * gates..(chain + rows.end) * gates);
            (chains, results.h.range(state.clone()), results.c.range(state))
        };
        let right = self.r.right(isa, operands.r, direction);
        let product = Gemm { resume: true, ..Gemm::new(MatRef::row_major(h, rows.len(), hidden), right) };
        gemm(isa, &product, 0..rows.len(), 0..gates, MatMut::new(chains, rows.len(), gates, gates), scratch);
        let cell = Cell {
            bias: operands.bias.map(|bias| &bias[direction * gates..][..gates]),
            peephole: operands.peephole.map(|peephole| &peephole[direction * 3 * hidden..][..3 * hidden]),
            functions: self.functions[direction],
            clip: self.clip,
            input_forget: self.input_forget,
            hidden,
        };
        cell.step(isa, chains, c, h);
        for (row, h) in rows.zip(h.chunks_exact(hidden)) {
            store(results.y.as_ref(), self.extents.y(place, direction, row), h);
        }
    }

    /// Zeros beyond a row's length, and its last state.
    fn finish<T: Stored<Wide = E>>(&self, direction: usize, row: usize, length: usize, results: &Results<'_, T>) {
        let Extents { steps, batch, hidden, .. } = self.extents;
        for step in length..steps {
            if let Some(y) = &results.y {
                let at = self.extents.y(step, direction, row);
                // SAFETY: as in `advance`.
                unsafe { y.range(at..at + hidden) }.fill(T::default());
            }
        }
        let state = (direction * batch + row) * hidden..(direction * batch + row + 1) * hidden;
        // SAFETY: as in `advance`.
        let (h, c) = unsafe { (results.h.range(state.clone()), results.c.range(state)) };
        let at = self.extents.state(direction, row);
        store(results.y_h.as_ref(), at, h);
        store(results.y_c.as_ref(), at, c);
    }
}

/// Rounds `values` into an output from element `at` on, if it is wanted. The place is the calling chunk's.
fn store<T: Stored>(to: Option<&Disjoint<'_, T>>, at: usize, values: &[T::Wide]) {
    let Some(to) = to else { return };
    // SAFETY: as in `advance`.
    let to = unsafe { to.range(at..at + values.len()) };
    to.iter_mut().zip(values).for_each(|(to, &wide)| *to = T::narrow(wide));
}
