//! ConvTranspose in gather order: each stride phase of the output is a small convolution.
//!
//! Output `o` of an axis reads kernel position `k` where `o + pad - k * dilation = i * stride` with `i` inside the input; positions
//! that do not hit take no part. Outputs of one phase (`o mod stride`) that are not near an edge hit the same positions, and
//! neighbours read neighbouring inputs; near the edges the runs are as short as they need to be.

use super::Operands;
use super::direct::{OutputLayout, Run, Taps};
use super::element::{Element, Sink, Source};
use super::layout::LayOut;
use super::shape::{CHANNEL_BLOCK, ConvShape, InputLayout};
use super::weights::{Packing, WeightStrides};
use crate::lanes::*;
use std::marker::PhantomData;
use std::ops::Range;

/// The plan of one transposed convolution that computes in `E`. `ConvShape::input` is the operator's input, `output` its output.
#[derive(Clone, Copy, Debug)]
pub struct ConvTranspose<E> {
    isa: Isa,
    shape: ConvShape,
    input: InputLayout,
    packing: Packing,
    scratch: usize,
    element: PhantomData<E>,
}

/// The kernel positions that an output hits on one axis: `count`, from `kernel` on every `kernel_step`; the first reads input `input`,
/// the next ones `input_step` less each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hits {
    kernel: usize,
    count: usize,
    input: isize,
}

impl<E: Element> ConvTranspose<E> {
    /// Plans a transposed convolution; `None` if extents overflow, or a stride or dilation is zero.
    pub fn new(isa: Isa, shape: ConvShape) -> Option<ConvTranspose<E>> {
        if !shape.is_sound() {
            return None;
        }
        let elements = shape.in_channels.div_ceil(E::CHANNELS);
        let lanes = if elements < CHANNEL_BLOCK { 1 } else { CHANNEL_BLOCK };
        let input = InputLayout::plain(&shape, elements, lanes);
        let scratch = input.checked_len(shape.groups)?;
        let lanes = isa.lanes();
        let packing = Packing {
            block: E::VECTORS * lanes,
            lanes,
            terms: shape.taps() * elements,
            out_channels: shape.out_channels,
        };
        packing.group().checked_mul(shape.groups)?;
        Some(ConvTranspose { isa, shape, input, packing, scratch, element: PhantomData })
    }

    /// Elements of the packed weights.
    pub fn packed_len(&self) -> usize {
        self.packing.group() * self.shape.groups
    }

    /// Elements of the scratch of one image.
    pub fn scratch_len(&self) -> usize {
        self.scratch
    }

    /// Lines that [`ConvTranspose::lay_out`] fills.
    pub fn lines(&self) -> usize {
        self.shape.groups * self.input.units * self.input.extents[0] * self.input.extents[1]
    }

    /// Planes that the lines are counted over.
    pub fn planes(&self) -> usize {
        self.shape.groups * self.input.units
    }

    /// The first lines of each plane that the first `rows` output rows read: all.
    pub fn lines_of_rows(&self, _rows: usize) -> usize {
        self.input.extents[0] * self.input.extents[1]
    }

    /// Blocks of output channels, over all groups.
    pub fn blocks(&self) -> usize {
        self.packing.blocks() * self.shape.groups
    }

    /// Rows of the output image; with `blocks` they make the grid that [`ConvTranspose::run`] may be split over.
    pub fn rows(&self) -> usize {
        self.shape.output[0] * self.shape.output[1]
    }

    /// Packs `weights` (`[groups * in_channels][out_channels][taps]`).
    ///
    /// # Panics
    /// If `weights` is shorter than that or `zeros` is empty.
    pub fn pack<S: Source<Element = E>>(&self, weights: &[S], zeros: &[S::Zero], packed: &mut [E]) {
        self.packing.pack(&self.shape, WeightStrides::transposed(&self.shape), weights, zeros, packed);
    }

    /// Lays lines `lines` (of [`ConvTranspose::lines`]) of the image `x` (`[groups * in_channels][depth][height][width]`) out.
    ///
    /// # Safety
    /// `scratch` is valid for [`ConvTranspose::scratch_len`] elements; no other thread touches these lines of it.
    pub unsafe fn lay_out<S: Source<Element = E>>(&self, x: &[S], zero: S::Zero, scratch: *mut E, lines: Range<usize>) {
        assert!(x.len() >= self.shape.groups * self.shape.in_channels * self.shape.in_plane());
        assert!(lines.end <= self.lines());
        let (layout, channels, input) = (&self.input, self.shape.in_channels, self.shape.input);
        dispatch(self.isa, LayOut::<S> { layout, channels, input, zero, x: x.as_ptr(), to: scratch, lines });
    }

    /// Computes blocks `blocks` by rows `rows` of one image, written as planes (NCHW).
    ///
    /// # Safety
    /// `operands.y` is valid for writing the output image; no other thread touches this part of it.
    pub unsafe fn run<O: Sink<Element = E>>(&self, operands: &Operands<O>, blocks: Range<usize>, rows: Range<usize>) {
        assert!(operands.x.len() >= self.scratch && operands.weights.len() >= self.packed_len());
        assert!(operands.bias.is_empty() || operands.bias.len() >= self.shape.groups * self.shape.out_channels);
        assert!(blocks.end <= self.blocks() && rows.end <= self.rows());
        assert!(matches!(operands.output, OutputLayout::Planes { step: 1, .. }));
        for block in blocks {
            let (group, block) = (block / self.packing.blocks(), block % self.packing.blocks());
            let part = Part { plan: self, operands, group, block, rows: rows.clone() };
            match (self.input.lanes, self.packing.width(block) / self.packing.lanes) {
                (1, 1) => dispatch(self.isa, Gather::<O, 1, 1>(part)),
                (1, _) => dispatch(self.isa, Gather::<O, 2, 1>(part)),
                (_, 1) => dispatch(self.isa, Gather::<O, 1, CHANNEL_BLOCK>(part)),
                _ => dispatch(self.isa, Gather::<O, 2, CHANNEL_BLOCK>(part)),
            }
        }
    }

    /// Kernel positions from one that hits to the next, and how far they step back in the input.
    fn hit_steps(&self, axis: usize) -> (usize, usize) {
        let (mut a, mut b) = (self.shape.strides[axis], self.shape.dilations[axis]);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        (self.shape.strides[axis] / a, self.shape.dilations[axis] / a)
    }

    /// What output `o` of an axis hits.
    fn hits(&self, axis: usize, o: usize) -> Hits {
        let (stride, dilation) = (self.shape.strides[axis], self.shape.dilations[axis]);
        let (kernel_step, input_step) = self.hit_steps(axis);
        let at = o + self.shape.pads_begin[axis];
        let none = Hits { kernel: 0, count: 0, input: 0 };
        // The first kernel position on the stride's grid, if any, whatever input it asks for.
        let Some(first) = (0..kernel_step.min(self.shape.kernel[axis]))
            .find(|k| (at as isize - (k * dilation) as isize).rem_euclid(stride as isize) == 0)
        else {
            return none;
        };
        let input = (at as isize - (first * dilation) as isize) / stride as isize;
        // Inputs fall as positions rise: skip those at and above the end, stop at the last above -1.
        let over = input - (self.shape.input[axis] as isize - 1);
        let skip = if over > 0 { (over as usize).div_ceil(input_step) } else { 0 };
        let (kernel, input) = (first + skip * kernel_step, input - (skip * input_step) as isize);
        if input < 0 || kernel >= self.shape.kernel[axis] {
            return none;
        }
        let count = ((self.shape.kernel[axis] - 1 - kernel) / kernel_step).min(input as usize / input_step) + 1;
        Hits { kernel, count, input }
    }
}

/// Some rows of one block of output channels.
struct Part<'p, 'a, O: Sink> {
    plan: &'p ConvTranspose<O::Element>,
    operands: &'p Operands<'p, 'a, O>,
    group: usize,
    block: usize,
    rows: Range<usize>,
}

struct Gather<'p, 'a, O: Sink, const Q: usize, const PIXEL: usize>(Part<'p, 'a, O>);

// [panel: ConvTranspose]
impl<O: Sink, const Q: usize, const PIXEL: usize> Kernel for Gather<'_, '_, O, Q, PIXEL> {
    type Output = ();
    const DOTS: bool = O::Element::DOTS;

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let part = self.0;
        let plan = part.plan;
        let [_, height, width] = plan.shape.output;
        let stride = plan.shape.strides[2];
        for row in part.rows.clone() {
            let (d, h) = (plan.hits(0, row / height), plan.hits(1, row % height));
            for phase in 0..stride.min(width) {
                let mut column = phase;
                while column < width {
                    let hits = plan.hits(2, column);
                    let same = |next: usize, steps: usize| {
                        let n = plan.hits(2, next);
                        (n.count, n.kernel) == (hits.count, hits.kernel)
                            && (n.count == 0 || n.input == hits.input + steps as isize)
                    };
                    let mut pixels = 1;
                    while column + pixels * stride < width && same(column + pixels * stride, pixels) {
                        pixels += 1;
                    }
                    // SAFETY: the run's taps lie inside the input; `run`'s caller gives room for the output.
                    unsafe { part.run::<A, L, Q, PIXEL>(row, column, pixels, [d, h, hits]) }
                    column += pixels * stride;
                }
            }
        }
    }
}
// [/panel]

impl<O: Sink> Part<'_, '_, O> {
    /// `pixels` outputs of `row`, a stride apart from `column` on, that hit the same kernel positions.
    #[inline(always)]
    unsafe fn run<A: Arch, const L: usize, const Q: usize, const PIXEL: usize>(
        &self,
        row: usize,
        column: usize,
        pixels: usize,
        hits: [Hits; 3],
    ) {
        let plan = self.plan;
        let (shape, input) = (&plan.shape, &plan.input);
        let OutputLayout::Planes { plane, .. } = self.operands.output else { return };
        let [_, kh, kw] = shape.kernel;
        let steps: [(usize, usize); 3] = std::array::from_fn(|axis| plan.hit_steps(axis));
        let line = input.line() as isize;
        let taps = Taps {
            first: (hits[0].kernel * kh + hits[1].kernel) * kw + hits[2].kernel,
            counts: hits.map(|h| h.count),
            weight_steps: [steps[0].0 * kh * kw, steps[1].0 * kw, steps[2].0],
            line_steps: [-(steps[0].1 as isize) * input.extents[1] as isize * line, -(steps[1].1 as isize) * line],
            position: PIXEL as isize,
            segment: 0,
            whole: -(steps[2].1 as isize),
            part: 0,
            phases: 1,
        };
        let start = (hits[0].input * input.extents[1] as isize + hits[1].input) * line + hits[2].input * PIXEL as isize;
        let first = self.block * plan.packing.block;
        let channel = self.group * shape.out_channels + first;
        let channels = (shape.out_channels - first).min(plan.packing.block);
        let run = Run::<O, Q, PIXEL> {
            taps: &taps,
            kernel_taps: shape.taps(),
            elements: input.elements,
            block: if PIXEL == 1 { CHANNEL_BLOCK * input.unit() } else { input.unit() },
            channel: input.unit(),
            pixels,
            x: self.operands.x.as_ptr().wrapping_add(self.group * input.group()).wrapping_offset(start),
            w: self.operands.weights[plan.packing.block_start(self.group, self.block)..].as_ptr(),
            bias: if self.operands.bias.is_empty() { &[] } else { &self.operands.bias[channel..channel + channels] },
            channels,
            epilogue: self.operands.epilogue,
            first_channel: self.operands.channel + channel,
            y: self.operands.y.wrapping_add(channel * plane + row * shape.output[2] + column),
            output: OutputLayout::Planes { plane, step: shape.strides[2] },
        };
        // SAFETY: the caller's promise.
        unsafe { run.run::<A, L>() }
    }
}
