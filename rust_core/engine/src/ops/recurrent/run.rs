//! The step of a recurrent layer: the inputs' products for all steps at once, then step by step for rows of the batch.

use std::ops::Range;

use diptych_kernels::Isa;
use diptych_kernels::gemm::{Gemm, Grain, MatMut, MatRef, gemm, scratch_len};

use super::cell::{Cells, Constants, Rows};
use super::weights::{Computed, Stored, Weights, wide};
use super::{Extents, Recurrent, input};
use crate::error::{Error, Result};
use crate::operator::{KernelStep, OutputType, PlanCx};
use crate::ops::elements::{buffer_bytes, elements_mut, rooms, rooms_bytes};
use crate::run::{Disjoint, KernelCx};
use crate::tensor::element_count;

/// What does not change from run to run.
struct Plan<E> {
    extents: Extents,
    cells: Cells<E>,
    reverse: bool,
    lstm: bool,
    w: Weights,
    grain: Grain,
    /// Rows of the batch that one chunk takes through all steps.
    rows: usize,
}

pub(super) fn step<T: Stored>(layer: &Recurrent, extents: Extents, cx: &PlanCx<'_>) -> Result<KernelStep> {
    let Extents { steps, batch, input, hidden, gates, directions, batch_first } = extents;
    let w = Weights::new::<T>(cx, input::W, &extents, input, 0..gates)?;
    let cells = Cells::new::<T>(layer, &extents, cx)?;
    let mut packed: Vec<usize> = Vec::new();
    packed.extend(w.is_packed().then_some(input::W));
    packed.extend(cells.is_packed().then_some(input::R));
    let tall = element_count(&[steps, batch])?;
    let operations = [tall, gates, input + hidden, directions, 2].iter().fold(1u64, |n, &f| n.saturating_mul(f as u64));
    let cost = (operations / 50).saturating_add((tall * directions * hidden) as u64 * 10).saturating_add(500);
    let copied = T::view(&[]).is_none() || (batch_first && steps > 1 && batch > 1);
    let wide_bytes = |elements: &[usize]| buffer_bytes::<T::Wide>(elements);
    let narrow = usize::from(T::view(&[]).is_none());
    // X in step order, chains, h, what a cell keeps besides, bias, peepholes, W and R widened.
    let sizes = [
        wide_bytes(&[usize::from(copied), tall, input])?,
        wide_bytes(&[directions, tall, gates])?,
        wide_bytes(&[directions, batch, hidden])?,
        wide_bytes(&[usize::from(gates > hidden), directions, batch, hidden])?,
        wide_bytes(&[directions, cells.bias_len()])?,
        wide_bytes(&[narrow * usize::from(layer.kind.is_lstm()), directions, 3 * hidden])?,
        wide_bytes(&[narrow * usize::from(!w.is_packed()), directions, gates, input])?,
        wide_bytes(&[narrow * usize::from(!cells.is_packed()), directions, gates, hidden])?,
    ];
    let scratch = scratch_len::<T::Wide>(cx.isa, tall, gates, input).max(cells.scratch_len(cx.isa, batch));
    let parts = (cost / 40_000).clamp(1, 4 * cx.threads as u64) as usize;
    let plan = Plan {
        extents,
        cells,
        reverse: layer.reverse,
        lstm: layer.kind.is_lstm(),
        w,
        grain: Grain::new::<T::Wide>(cx.isa, tall, gates, parts.div_ceil(directions)),
        rows: batch.div_ceil(cx.threads.div_ceil(directions)).max(1),
    };
    let (y, state) = (extents.y_shape(), extents.state_shape());
    let states = if plan.lstm { 2 } else { 1 };
    let outputs = std::iter::once(y).chain(std::iter::repeat_n(state, states));
    let step = KernelStep::with_outputs(outputs.map(|shape| OutputType::new(T::DTYPE, shape)), move |cx| {
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
    second: Disjoint<'a, T::Wide>,
    y: Option<Disjoint<'a, T>>,
    y_h: Option<Disjoint<'a, T>>,
    y_c: Option<Disjoint<'a, T>>,
}

impl<E: Computed> Plan<E> {
    fn run<T: Stored<Wide = E>>(&self, cx: &KernelCx<'_>, rooms: [&mut [u8]; 8], copied: bool) -> Result<()> {
        let [x, chains, h, second, bias, peephole, w, r] = rooms.map(|room| elements_mut::<E>(room));
        let Extents { steps, directions, .. } = self.extents;
        let lengths = cx.opt_input::<i32>(input::SEQUENCE_LENS);
        if let Some(wrong) = lengths.and_then(|all| all.iter().find(|&&n| n < 0 || n as usize > steps)) {
            return Err(Error::shape(format!("sequence_lens has {wrong}, expected values in 0 .. {steps}")));
        }
        let x: &[E] = if copied { self.in_steps(cx.input::<T>(input::X), x) } else { wide(cx.input::<T>(input::X), x) };
        if let Some(given) = cx.opt_input::<T>(input::B) {
            let each = bias.chunks_exact_mut(self.cells.bias_len()).zip(given.chunks_exact(2 * self.extents.gates));
            each.for_each(|(to, given)| self.cells.bias(given, to));
        }
        let values = |is_packed: bool, input| if is_packed { &[][..] } else { cx.input::<T>(input) };
        let operands = Operands {
            w: wide(values(self.w.is_packed(), input::W), w),
            r: wide(values(self.cells.is_packed(), input::R), r),
            bias: cx.has(input::B).then_some(&*bias),
            peephole: cx.opt_input::<T>(input::P).map(|given| wide(given, peephole)),
            lengths,
        };
        self.initialize(cx.opt_input::<T>(input::INITIAL_H), h);
        if self.lstm {
            self.initialize(cx.opt_input::<T>(input::INITIAL_C), second);
        }
        self.multiply_inputs(cx, x, &operands, chains)?;
        let results = Results::<T> {
            chains: Disjoint::new(chains),
            h: Disjoint::new(h),
            second: Disjoint::new(second),
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

    /// The gates' chains over the inputs, for all steps and rows: `[direction][step][row][G*H]`.
    fn multiply_inputs(&self, cx: &KernelCx<'_>, x: &[E], operands: &Operands<'_, E>, chains: &mut [E]) -> Result<()> {
        let Extents { steps, batch, input, gates, directions, .. } = self.extents;
        let (tall, isa) = (steps * batch, cx.isa());
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
        let constants = Constants {
            direction,
            r: operands.r,
            bias: part_of(operands.bias, direction, self.cells.bias_len()),
            peephole: part_of(operands.peephole, direction, 3 * self.extents.hidden),
        };
        for t in 0..rows.clone().map(length).max().unwrap_or(0) {
            let mut row = rows.start;
            while row < rows.end {
                // Neighbours at one place go together.
                let at = place(row, t);
                let end = (row + 1..rows.end).find(|&next| place(next, t) != at).unwrap_or(rows.end);
                if let Some(at) = at {
                    self.advance(isa, &constants, at, row..end, results, scratch);
                }
                row = end;
            }
        }
        for row in rows {
            self.finish(direction, row, length(row), results);
        }
    }

    /// One step of neighbouring rows.
    fn advance<T: Stored<Wide = E>>(
        &self,
        isa: Isa,
        constants: &Constants<'_, E>,
        place: usize,
        rows: Range<usize>,
        results: &Results<'_, T>,
        scratch: &mut [E],
    ) {
        let Extents { steps, batch, hidden, gates, .. } = self.extents;
        let direction = constants.direction;
        let chain = (direction * steps + place) * batch;
        let state = (direction * batch + rows.start) * hidden..(direction * batch + rows.end) * hidden;
        // SAFETY: rows of the batch belong to one chunk, which runs on one thread.
        let (chains, h, second) = unsafe {
            let chains = results.chains.range((chain + rows.start) * gates..(chain + rows.end) * gates);
            (chains, results.h.range(state.clone()), results.second(state))
        };
        self.cells.step(isa, constants, Rows { chains, h: &mut *h, second }, scratch);
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
        let (h, second) = unsafe { (results.h.range(state.clone()), results.second(state)) };
        let at = self.extents.state(direction, row);
        store(results.y_h.as_ref(), at, h);
        store(results.y_c.as_ref(), at, second);
    }
}

impl<T: Stored> Results<'_, T> {
    /// The range of what a cell keeps besides h, if it does.
    ///
    /// # Safety
    /// As [`Disjoint::range`].
    #[allow(clippy::mut_from_ref)]
    unsafe fn second(&self, range: Range<usize>) -> &mut [T::Wide] {
        let range = if self.second.is_empty() { 0..0 } else { range };
        // SAFETY: the caller's promise.
        unsafe { self.second.range(range) }
    }
}

/// The values of one direction, each of which has `len`.
fn part_of<E>(values: Option<&[E]>, direction: usize, len: usize) -> Option<&[E]> {
    values.map(|values| &values[direction * len..][..len])
}

/// Rounds `values` into an output from element `at` on, if it is wanted. The place is the calling chunk's.
fn store<T: Stored>(to: Option<&Disjoint<'_, T>>, at: usize, values: &[T::Wide]) {
    let Some(to) = to else { return };
    // SAFETY: as in `Plan::advance`.
    let to = unsafe { to.range(at..at + values.len()) };
    to.iter_mut().zip(values).for_each(|(to, &wide)| *to = T::narrow(wide));
}
