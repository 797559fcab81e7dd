//! The step of a convolution: weights packed, images laid out and convolved, split over threads.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use diptych_kernels::conv::{
    Conv, ConvShape, ConvTranspose, Element as Computed, Operands, OutputLayout, Sink, Source,
};

use super::operands::{Operand, Output, Places};
use crate::dtype::{DType, Element};
use crate::error::Result;
use crate::operator::{KernelStep, OutputType, PlanCx};
use crate::ops::elements::{buffer_bytes, elements, elements_mut, rooms, rooms_bytes};
use crate::run::{KernelCx, RawSlot};
use crate::tensor::{AlignedBytes, element_count};

/// Work worth a task of its own, in nanoseconds.
const TASK: u64 = 20_000;
/// Bytes of laid-out input that a task sweeps with all its weights, so that they stay in the second cache; or, where the weights are
/// fewer than that, in the first.
const BAND: usize = 256 << 10;
const SMALL_BAND: usize = 24 << 10;

/// What plans of Conv and ConvTranspose have in common; see [`Conv`] for the contracts.
pub(super) trait Convolution<E: Computed>: Copy + Send + Sync + 'static {
    /// Name of the packed weights' form.
    const FORM: &'static str;
    fn packed_len(&self) -> usize;
    fn scratch_len(&self) -> usize;
    fn lines(&self) -> usize;
    fn planes(&self) -> usize;
    fn lines_of_rows(&self, rows: usize) -> usize;
    fn blocks(&self) -> usize;
    fn rows(&self) -> usize;
    fn pack<S: Source<Element = E>>(&self, weights: &[S], zeros: &[S::Zero], packed: &mut [E]);
    /// # Safety
    /// As [`Conv::lay_out`].
    unsafe fn lay_out<S: Source<Element = E>>(&self, x: &[S], zero: S::Zero, scratch: *mut E, lines: Range<usize>);
    /// # Safety
    /// As [`Conv::run`].
    unsafe fn run<O: Sink<Element = E>>(&self, operands: &Operands<O>, blocks: Range<usize>, rows: Range<usize>);
}

macro_rules! convolution {
    ($($plan:ident, $form:literal);*) => {$(
        impl<E: Computed> Convolution<E> for $plan<E> {
            const FORM: &'static str = $form;
            fn packed_len(&self) -> usize {
                $plan::packed_len(self)
            }
            fn scratch_len(&self) -> usize {
                $plan::scratch_len(self)
            }
            fn lines(&self) -> usize {
                $plan::lines(self)
            }
            fn planes(&self) -> usize {
                $plan::planes(self)
            }
            fn lines_of_rows(&self, rows: usize) -> usize {
                $plan::lines_of_rows(self, rows)
            }
            fn blocks(&self) -> usize {
                $plan::blocks(self)
            }
            fn rows(&self) -> usize {
                $plan::rows(self)
            }
            fn pack<S: Source<Element = E>>(&self, weights: &[S], zeros: &[S::Zero], packed: &mut [E]) {
                $plan::pack(self, weights, zeros, packed);
            }
            unsafe fn lay_out<S: Source<Element = E>>(&self, x: &[S], zero: S::Zero, to: *mut E, lines: Range<usize>) {
                // SAFETY: the caller's promise.
                unsafe { $plan::lay_out(self, x, zero, to, lines) }
            }
            unsafe fn run<O: Sink<Element = E>>(&self, operands: &Operands<O>, blocks: Range<usize>, rows: Range<usize>) {
                // SAFETY: the caller's promise.
                unsafe { $plan::run(self, operands, blocks, rows) }
            }
        }
    )*};
}
convolution!(Conv, "conv"; ConvTranspose, "conv_transpose");

/// Images to be convolved. A part of an image is some of its groups, which a plan takes for an image of its own.
#[derive(Clone, Copy)]
pub(super) struct Images {
    pub batch: usize,
    /// Parts of an image.
    pub parts: usize,
    /// Of a part.
    pub shape: ConvShape,
    /// Operations of a core in a nanosecond.
    pub flops: u64,
}

impl Images {
    /// Parts of all images.
    fn count(&self) -> usize {
        self.batch * self.parts
    }

    /// Output channels of a part.
    fn channels(&self) -> usize {
        self.shape.groups * self.shape.out_channels
    }

    /// Elements of one part in X and in Y.
    fn lens(&self) -> Result<(usize, usize)> {
        let ConvShape { groups, in_channels, out_channels, .. } = self.shape;
        let x = element_count(&[groups, in_channels, self.shape.in_plane()])?;
        Ok((x, element_count(&[groups, out_channels, self.shape.out_plane()])?))
    }

    /// Packs the weights of all parts. `zeros`: one for all, or one an output channel.
    fn pack<W, P>(&self, plan: &P, weights: &[W], zeros: &[W::Zero], packed: &mut [W::Element])
    where
        W: Source,
        P: Convolution<W::Element>,
    {
        let each = weights.len() / self.parts.max(1);
        for part in 0..self.parts {
            let own = if zeros.len() > 1 { &zeros[part * self.channels()..] } else { zeros };
            let to = &mut packed[part * plan.packed_len()..][..plan.packed_len()];
            plan.pack::<W>(&weights[part * each..][..each], own, to);
        }
    }

    /// Nanoseconds of one core for one part, whose layout has `bytes`.
    fn cost(&self, bytes: usize) -> u64 {
        let shape = &self.shape;
        let factors = [shape.groups, shape.out_channels, shape.in_channels, shape.taps(), shape.out_plane(), 2];
        let operations = factors.iter().fold(1u64, |product, &n| product.saturating_mul(n as u64));
        (operations / self.flops).saturating_add(bytes as u64 / 4)
    }
}

/// How the images are split over threads.
#[derive(Clone, Copy)]
struct Split {
    /// Whole parts at a time, each laid out in its thread's scratch; else one part by all threads, in the workspace.
    by_part: bool,
    /// Parts, or lines to be laid out, worth a chunk.
    parts: usize,
    lines: usize,
    /// Output rows and blocks of a task of one part.
    rows: usize,
    blocks: usize,
}

impl Split {
    fn new<E: Computed, P: Convolution<E>>(cx: &PlanCx<'_>, plan: &P, images: Images, bytes: usize) -> Split {
        let cost = images.cost(bytes).max(1);
        let parts = (cost / TASK).clamp(1, 2 * cx.threads as u64) as usize;
        let by_part = images.count() >= cx.threads || parts == 1;
        let (rows, blocks) = (plan.rows().max(1), plan.blocks().max(1));
        let row_bytes = (bytes / rows).max(1);
        let most = match plan.packed_len().saturating_mul(size_of::<E>()) {
            // A part of several groups fits the first cache as it is.
            ..=SMALL_BAND if images.shape.groups == 1 => SMALL_BAND,
            _ => BAND,
        };
        let mut band = (most / row_bytes).clamp(4, rows.max(4)).min(rows);
        let mut block = blocks;
        if !by_part {
            // First more blocks, whose weights are then read once, then more rows.
            let more = parts.div_ceil(rows.div_ceil(band));
            block = blocks.div_ceil(more.min(blocks));
            let more = parts.div_ceil(rows.div_ceil(band) * blocks.div_ceil(block));
            band = band.div_ceil(more.min(band));
        }
        let lines = (TASK as usize * 4 / (bytes / plan.lines().max(1)).max(1)).max(1);
        Split { by_part, parts: (TASK / cost).max(1) as usize, lines, rows: band, blocks: block }
    }

    /// Blocks and rows of task `index` of a part; the blocks of a band follow each other.
    fn task(&self, index: usize, blocks: usize, rows: usize) -> (Range<usize>, Range<usize>) {
        let across = blocks.div_ceil(self.blocks);
        let (row, block) = (index / across * self.rows, index % across * self.blocks);
        (block..(block + self.blocks).min(blocks), row..(row + self.rows).min(rows))
    }

    fn tasks(&self, blocks: usize, rows: usize) -> usize {
        blocks.div_ceil(self.blocks) * rows.div_ceil(self.rows)
    }
}

/// W packed for a plan, if it and its zero points are constant.
fn packed_weights<P, W>(
    cx: &PlanCx<'_>,
    plan: &P,
    images: &Images,
    places: Places,
    bytes: usize,
) -> Result<Option<Arc<AlignedBytes>>>
where
    P: Convolution<W::Element>,
    W: Operand,
    W::Element: Element,
{
    let zeros = cx.weight(places.w_zero);
    let Some((id, weights)) =
        cx.weight(places.w).filter(|_| zeros.is_some() || !(W::ZERO > 0 && cx.has(places.w_zero)))
    else {
        return Ok(None);
    };
    // Parts are packed one after the other: how many groups make one, which follows from the image's size, changes nothing.
    let (shape, parts) = (&images.shape, images.parts);
    let mut hasher = DefaultHasher::new();
    (cx.isa, parts * shape.groups, shape.in_channels, shape.out_channels, shape.kernel).hash(&mut hasher);
    (parts * plan.blocks(), parts * plan.packed_len(), zeros.map(|(id, _)| id)).hash(&mut hasher);
    let packed = cx.packed.get_or_pack_bytes((id, P::FORM, hasher.finish()), bytes, |packed| {
        let weights = weights.aligned()?;
        let given = zeros.map(|(_, zeros)| elements::<W>(zeros.bytes()));
        let mut room = AlignedBytes::zeroed(given.map_or(0, <[W]>::len) * W::ZERO)?;
        let zeros = W::zeros(given, room.as_mut_slice());
        images.pack::<W, P>(plan, elements(weights.bytes()), zeros, elements_mut(packed));
        Ok(())
    })?;
    Ok(Some(packed))
}

/// The step of a convolution whose output is not empty: X of type `S`, W of `W`, Y of `O`.
pub(super) fn step<P, S, W, O>(cx: &PlanCx<'_>, plan: P, images: Images, output: OutputType) -> Result<KernelStep>
where
    P: Convolution<S::Element>,
    S: Operand,
    W: Operand + Source<Element = S::Element>,
    O: Output + Sink<Element = S::Element>,
    S::Element: Element,
{
    let image_bytes = buffer_bytes::<S::Element>(&[plan.scratch_len()])?;
    let packed_bytes = buffer_bytes::<S::Element>(&[images.parts, plan.packed_len()])?;
    let lens = images.lens()?;
    let places = O::PLACES;
    let constant = packed_weights::<P, W>(cx, &plan, &images, places, packed_bytes)?;
    let read: &[usize] = match &constant {
        Some(_) if W::ZERO > 0 && cx.has(places.w_zero) => &[places.w, places.w_zero],
        Some(_) => &[places.w],
        None => &[],
    };
    let split = Split::new(cx, &plan, images, image_bytes);
    let channels = element_count(&[images.parts, images.channels()])?;
    // An image's layout, W packed, the bias, W's zero points, what follows.
    let sizes = [
        if split.by_part { 0 } else { image_bytes },
        if constant.is_some() { 0 } else { packed_bytes },
        channels * O::BIAS,
        channels * W::ZERO,
        channels * O::FOLLOW,
    ];
    let workspace = rooms_bytes(&sizes)?;
    let cost = images.cost(image_bytes).saturating_mul(images.count() as u64);
    let y = output.dtype;
    let step = KernelStep::with_outputs([output], move |cx| {
        let [image, packed, bias, zeros, follow] = rooms(cx.workspace(), sizes);
        let weights = match &constant {
            Some(constant) => elements(constant.as_slice()),
            None => {
                let packed = elements_mut(packed);
                images.pack::<W, P>(&plan, cx.input(places.w), W::zeros(cx.opt_input(places.w_zero), zeros), packed);
                &*packed
            }
        };
        let run = Run::<P, S, O> {
            plan,
            images,
            split,
            lens,
            x: cx.input(0),
            zero: if S::ZERO > 0 { S::zero(cx.opt_input(places.x_zero)) } else { S::zero(None) },
            weights,
            bias: O::bias(cx, bias),
            epilogue: O::follow(cx, y, follow),
            y: RawSlot { ptr: cx.output::<O>(0).as_mut_ptr().cast(), bytes: 0 },
        };
        if split.by_part { run.by_part(cx) } else { run.together(cx, image) }
    });
    let scratch = if split.by_part { image_bytes } else { 0 };
    let step = step.takes_epilogue(O::DTYPE == DType::F32);
    Ok(step.packed(read).workspace(workspace).scratch(scratch).cost(cost.saturating_add(200)))
}

/// A convolution under way.
struct Run<'a, P, S: Source, O: Sink<Element = S::Element>> {
    plan: P,
    images: Images,
    split: Split,
    /// Elements of a part in X and in Y.
    lens: (usize, usize),
    x: &'a [S],
    zero: S::Zero,
    weights: &'a [S::Element],
    bias: &'a [O::Element],
    epilogue: Option<O::Follow<'a>>,
    /// The output; its threads write disjoint parts.
    y: RawSlot,
}

impl<P, S, O> Run<'_, P, S, O>
where
    P: Convolution<S::Element>,
    S: Operand,
    O: Output + Sink<Element = S::Element>,
    S::Element: Element,
{
    /// Part `index` of X, counted over all images.
    fn part(&self, index: usize) -> &[S] {
        &self.x[index * self.lens.0..][..self.lens.0]
    }

    /// Computes tasks `tasks` of part `index`, laid out in `laid_out`.
    ///
    /// # Safety
    /// No other thread computes these tasks of the part.
    unsafe fn convolve(&self, index: usize, laid_out: &[S::Element], tasks: Range<usize>) {
        let part = index % self.images.parts;
        let operands = Operands {
            x: laid_out,
            weights: &self.weights[part * self.plan.packed_len()..],
            bias: self.bias.get(part * self.images.channels()..).unwrap_or(&[]),
            epilogue: self.epilogue,
            channel: part * self.images.channels(),
            y: self.y.ptr.cast::<O>().wrapping_add(index * self.lens.1),
            output: OutputLayout::Planes { plane: self.images.shape.out_plane(), step: 1 },
        };
        for task in tasks {
            let (blocks, rows) = self.split.task(task, self.plan.blocks(), self.plan.rows());
            // SAFETY: the output has room for all images; tasks are disjoint blocks by rows.
            unsafe { self.plan.run(&operands, blocks, rows) }
        }
    }

    fn by_part(&self, cx: &KernelCx<'_>) -> Result<()> {
        cx.parallel_ranges(self.images.count(), self.split.parts, |range, scratch| {
            let laid_out = &mut elements_mut::<S::Element>(scratch)[..self.plan.scratch_len()];
            for part in range {
                // SAFETY: the part is this chunk's.
                unsafe { self.by_band(part, laid_out) }
            }
        })
    }

    /// Computes part `index` band by band of its rows, each soon after what it reads has been laid out.
    ///
    /// # Safety
    /// No other thread computes the part.
    unsafe fn by_band(&self, index: usize, laid_out: &mut [S::Element]) {
        let (plan, rows) = (&self.plan, self.plan.rows());
        let (planes, across) = (plan.planes(), plan.blocks().div_ceil(self.split.blocks));
        let lines = plan.lines() / planes.max(1);
        let mut done = 0;
        for (band, first) in (0..rows).step_by(self.split.rows).enumerate() {
            let needed = plan.lines_of_rows((first + self.split.rows).min(rows)).max(done);
            // All planes at once where they are laid out whole.
            let (pieces, length) = if needed - done == lines { (1, planes * lines) } else { (planes, needed - done) };
            let missing = (0..pieces).map(|plane| plane * lines + done).map(|first| first..first + length);
            for lines in missing.filter(|lines| !lines.is_empty()) {
                // SAFETY: the scratch is the thread's own and as long as the plan asks.
                unsafe { plan.lay_out(self.part(index), self.zero, laid_out.as_mut_ptr(), lines) };
            }
            done = needed;
            // SAFETY: the part is the caller's.
            unsafe { self.convolve(index, laid_out, band * across..(band + 1) * across) };
        }
    }

    fn together(&self, cx: &KernelCx<'_>, room: &mut [u8]) -> Result<()> {
        let laid_out = elements_mut::<S::Element>(room);
        let to = RawSlot { ptr: laid_out.as_mut_ptr().cast(), bytes: 0 };
        let tasks = self.split.tasks(self.plan.blocks(), self.plan.rows());
        for part in 0..self.images.count() {
            cx.parallel_ranges(self.plan.lines(), self.split.lines, |lines, _| {
                let to = &to;
                // SAFETY: the workspace is as long as the plan asks; chunks have lines of their own.
                unsafe { self.plan.lay_out(self.part(part), self.zero, to.ptr.cast(), lines) }
            })?;
            // SAFETY: the lines have been written, and are not while the tasks run.
            let laid_out = unsafe { std::slice::from_raw_parts(to.ptr.cast(), self.plan.scratch_len()) };
            cx.parallel(tasks, |task, _| {
                // SAFETY: every task is run by one thread.
                unsafe { self.convolve(part, laid_out, task..task + 1) }
            })?;
        }
        Ok(())
    }
}
