//! Convolution: `docs/numerics.md`, rows Conv, ConvTranspose, ConvInteger and QLinearConv.
//!
//! A [`Conv`] (or [`ConvTranspose`]) is planned once from a [`ConvShape`]. It says how long its packed weights and its scratch are;
//! an image is then convolved in two steps, both of which can be split over threads:
//!
//! 1. [`Conv::lay_out`] copies lines of the input (NCHW) into the scratch: padding as zeros, channels in blocks of sixteen, columns
//!    split by stride phase ([`InputLayout`]). Another kernel may write that layout itself; then this step falls away.
//! 2. [`Conv::run`] computes output blocks by rows, and writes NCHW or NCHWc.
//!
//! All instruction sets walk one order: input channels of the group in blocks of sixteen, kernel positions row-major, channels.
//! Types: f32; f64; f16 and bf16 (computed in f32, rounded once); u8 and i8 (exact i32, zero points subtracted on the way in; written as they are, or requantized to bytes).

mod columns;
mod depthwise;
mod direct;
mod element;
mod layout;
mod shape;
#[cfg(test)]
mod tests;
mod transposed;
mod weights;
pub mod winograd;

pub use depthwise::{Depthwise, DepthwiseOperands};
pub use direct::OutputLayout;
pub use element::{Element, Sink, Source};
pub use shape::{CHANNEL_BLOCK, ConvShape, InputLayout};
pub use transposed::ConvTranspose;

use crate::lanes::*;
use columns::Rectangle;
use direct::{Run, Taps};
use layout::LayOut;
use shape::Path;
use std::marker::PhantomData;
use std::ops::Range;
use weights::{Packing, WeightStrides};

/// The plan of one convolution that computes in `E`.
#[derive(Clone, Copy, Debug)]
pub struct Conv<E> {
    isa: Isa,
    shape: ConvShape,
    input: InputLayout,
    packing: Packing,
    path: Path,
    taps: Taps,
    /// One kernel position: the whole output plane is one line, cut into long rows.
    flat: bool,
    /// Pixels of a row; rows of one output image.
    row: usize,
    rows: usize,
    scratch: usize,
    element: PhantomData<E>,
}

/// What [`Conv::run`] and [`ConvTranspose::run`] read and write.
#[derive(Clone, Copy, Debug)]
pub struct Operands<'p, 'a, O: Sink> {
    /// The image in the plan's [`InputLayout`].
    pub x: &'p [O::Element],
    /// What `pack` wrote.
    pub weights: &'p [O::Element],
    /// One value for each of `groups * out_channels`, or empty.
    pub bias: &'p [O::Element],
    /// What follows the bias; the image's first output channel is channel `channel` of it.
    pub epilogue: Option<O::Follow<'a>>,
    pub channel: usize,
    /// The output image. Threads write disjoint parts of it.
    pub y: *mut O,
    pub output: OutputLayout,
}

/// Rows of the output plane that a flattened (one kernel position) convolution is cut into hold about this many pixels.
const FLAT_ROW: usize = 14 * 16;

impl<E: Element> Conv<E> {
    /// Plans a convolution; `None` if extents overflow, or a stride or dilation is zero.
    pub fn new(isa: Isa, mut shape: ConvShape) -> Option<Conv<E>> {
        // A stride over one output says nothing, and would be laid out in that many phases.
        for (stride, _) in shape.strides.iter_mut().zip(shape.output).filter(|(stride, n)| **stride > 0 && *n == 1) {
            *stride = 1;
        }
        if !shape.is_sound() {
            return None;
        }
        let elements = shape.in_channels.div_ceil(E::CHANNELS);
        let path = Path::choose(isa, &shape);
        let flat = path == Path::Channels && shape.taps() == 1;
        let lanes = if path == Path::Columns || elements < CHANNEL_BLOCK { 1 } else { CHANNEL_BLOCK };
        let input = if flat {
            InputLayout::sampled(&shape, elements, lanes)
        } else {
            InputLayout::padded(&shape, elements, lanes)
        };
        let scratch = input.checked_len(shape.groups)?;
        let (row, rows) = if flat {
            let plane = shape.out_plane();
            let row = plane.div_ceil(plane.div_ceil(FLAT_ROW).max(1)).max(1);
            (row, plane.div_ceil(row))
        } else {
            (shape.output[2], shape.output[0] * shape.output[1])
        };
        let vector = isa.lanes();
        let (block, pack_lanes) = if path == Path::Columns { (1, 1) } else { (E::VECTORS * vector, vector) };
        let packing =
            Packing { block, lanes: pack_lanes, terms: shape.taps() * elements, out_channels: shape.out_channels };
        packing.group().checked_mul(shape.groups)?;
        Some(Conv {
            isa,
            shape,
            input,
            packing,
            path,
            taps: conv_taps(&shape, &input),
            flat,
            row,
            rows,
            scratch,
            element: PhantomData,
        })
    }

    /// The geometry it was planned for, strides over one output being 1.
    pub fn shape(&self) -> &ConvShape {
        &self.shape
    }

    /// How an image is to lie in the scratch.
    pub fn input_layout(&self) -> &InputLayout {
        &self.input
    }

    /// Elements of the packed weights.
    pub fn packed_len(&self) -> usize {
        self.packing.group() * self.shape.groups
    }

    /// Elements of the scratch of one image.
    pub fn scratch_len(&self) -> usize {
        self.scratch
    }

    /// Lines that [`Conv::lay_out`] fills.
    pub fn lines(&self) -> usize {
        self.shape.groups * self.input.units * self.input.extents[0] * self.input.extents[1]
    }

    /// Planes that the lines are counted over.
    pub fn planes(&self) -> usize {
        self.shape.groups * self.input.units
    }

    /// The first lines of each plane that the first `rows` output rows read.
    pub fn lines_of_rows(&self, rows: usize) -> usize {
        let all = self.input.extents[0] * self.input.extents[1];
        if self.flat || self.input.extents[0] > 1 {
            return all;
        }
        let reach = (self.shape.kernel[1].max(1) - 1) * self.shape.dilations[1] + 1;
        rows.checked_sub(1).map_or(0, |last| all.min(last * self.shape.strides[1] + reach))
    }

    /// Blocks of output channels, over all groups.
    pub fn blocks(&self) -> usize {
        self.packing.blocks() * self.shape.groups
    }

    /// Rows of the output image; with `blocks` they make the grid that [`Conv::run`] may be split over.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether NCHWc output is possible: vectors along the channels, groups of whole blocks.
    pub fn writes_blocks(&self) -> bool {
        self.path == Path::Channels && (self.shape.groups == 1 || self.shape.out_channels.is_multiple_of(CHANNEL_BLOCK))
    }

    /// Packs `weights` (`[groups * out_channels][in_channels][taps]`). `zeros`: one zero point, or one an output channel (`&[()]` for
    /// floating point).
    ///
    /// # Panics
    /// If `weights` or `zeros` is shorter than that.
    pub fn pack<S: Source<Element = E>>(&self, weights: &[S], zeros: &[S::Zero], packed: &mut [E]) {
        self.packing.pack(&self.shape, WeightStrides::conv(&self.shape), weights, zeros, packed);
    }

    /// Lays lines `lines` (of [`Conv::lines`]) of the image `x` (`[groups * in_channels][depth][height][width]`) out.
    ///
    /// # Safety
    /// `scratch` is valid for [`Conv::scratch_len`] elements; no other thread touches these lines of it.
    pub unsafe fn lay_out<S: Source<Element = E>>(&self, x: &[S], zero: S::Zero, scratch: *mut E, lines: Range<usize>) {
        assert!(x.len() >= self.shape.groups * self.shape.in_channels * self.shape.in_plane());
        assert!(lines.end <= self.lines());
        let (layout, channels, input) = (&self.input, self.shape.in_channels, self.shape.input);
        dispatch(self.isa, LayOut::<S> { layout, channels, input, zero, x: x.as_ptr(), to: scratch, lines });
    }

    /// Computes blocks `blocks` by rows `rows` of one image.
    ///
    /// # Safety
    /// `operands.y` is valid for writing the output image in its layout; no other thread touches this part of it.
    pub unsafe fn run<O: Sink<Element = E>>(&self, operands: &Operands<O>, blocks: Range<usize>, rows: Range<usize>) {
        assert!(operands.x.len() >= self.scratch && operands.weights.len() >= self.packed_len());
        assert!(operands.bias.is_empty() || operands.bias.len() >= self.shape.groups * self.shape.out_channels);
        assert!(blocks.end <= self.blocks() && rows.end <= self.rows);
        assert!(self.writes_blocks() || matches!(operands.output, OutputLayout::Planes { step: 1, .. }));
        if blocks.is_empty() {
            return;
        }
        let part = |block| Part {
            plan: self,
            operands,
            group: block / self.packing.blocks(),
            block: block % self.packing.blocks(),
            rows: rows.clone(),
        };
        if self.path == Path::Columns {
            return dispatch(self.isa, ByColumns { first: part(blocks.start), blocks: blocks.len() });
        }
        for block in blocks {
            let part = part(block);
            match (self.input.lanes, self.packing.width(part.block) / self.packing.lanes) {
                (1, 1) => dispatch(self.isa, ByChannels::<O, 1, 1>(part)),
                (1, _) => dispatch(self.isa, ByChannels::<O, 2, 1>(part)),
                (_, 1) => dispatch(self.isa, ByChannels::<O, 1, CHANNEL_BLOCK>(part)),
                _ => dispatch(self.isa, ByChannels::<O, 2, CHANNEL_BLOCK>(part)),
            }
        }
    }
}

/// The kernel positions of a convolution over its layout.
fn conv_taps(shape: &ConvShape, input: &InputLayout) -> Taps {
    let [_, kh, kw] = shape.kernel;
    let dilation = shape.dilations[2];
    Taps {
        first: 0,
        counts: shape.kernel,
        weight_steps: [kh * kw, kw, 1],
        line_steps: [
            (shape.dilations[0] * input.extents[1] * input.line()) as isize,
            (shape.dilations[1] * input.line()) as isize,
        ],
        position: input.lanes as isize,
        segment: (input.segment * input.lanes) as isize,
        whole: (dilation / input.phases) as isize,
        part: dilation % input.phases,
        phases: input.phases,
    }
}

/// Some rows of one block of output channels.
struct Part<'p, 'a, O: Sink> {
    plan: &'p Conv<O::Element>,
    operands: &'p Operands<'p, 'a, O>,
    group: usize,
    block: usize,
    rows: Range<usize>,
}

impl<O: Sink> Part<'_, '_, O> {
    /// First output channel of the block, over all groups, and how many channels it has.
    #[inline(always)]
    fn channels(&self) -> (usize, usize) {
        let plan = self.plan;
        let first = self.block * plan.packing.block;
        (self.group * plan.shape.out_channels + first, (plan.shape.out_channels - first).min(plan.packing.block))
    }

    /// Input element of the first tap of the row's first pixel.
    #[inline(always)]
    fn row_start(&self, row: usize) -> usize {
        let plan = self.plan;
        let input = &plan.input;
        let within = if plan.flat {
            row * plan.row * input.lanes
        } else {
            let (d, h) = (row / plan.shape.output[1], row % plan.shape.output[1]);
            (d * plan.shape.strides[0] * input.extents[1] + h * plan.shape.strides[1]) * input.line()
        };
        self.group * input.group() + within
    }
}

/// The channel path with blocks of `Q` vectors, over planes (`PIXEL` = 1) or NCHWc (16).
struct ByChannels<'p, 'a, O: Sink, const Q: usize, const PIXEL: usize>(Part<'p, 'a, O>);

impl<O: Sink, const Q: usize, const PIXEL: usize> Kernel for ByChannels<'_, '_, O, Q, PIXEL> {
    type Output = ();
    const DOTS: bool = O::Element::DOTS;

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let part = self.0;
        let plan = part.plan;
        let (channel, channels) = part.channels();
        let plane = plan.shape.out_plane();
        let bias =
            if part.operands.bias.is_empty() { &[][..] } else { &part.operands.bias[channel..channel + channels] };
        let w = part.operands.weights[plan.packing.block_start(part.group, part.block)..].as_ptr();
        for row in part.rows.clone() {
            let pixel = row * plan.row;
            let at = match part.operands.output {
                OutputLayout::Planes { plane, .. } => channel * plane + pixel,
                OutputLayout::Blocks { block } => {
                    channel / CHANNEL_BLOCK * block + channel % CHANNEL_BLOCK + pixel * CHANNEL_BLOCK
                }
            };
            let run = Run::<O, Q, PIXEL> {
                taps: &plan.taps,
                kernel_taps: plan.shape.taps(),
                elements: plan.input.elements,
                block: if PIXEL == 1 { CHANNEL_BLOCK * plan.input.unit() } else { plan.input.unit() },
                channel: plan.input.unit(),
                pixels: plan.row.min(plane - pixel),
                x: part.operands.x.as_ptr().wrapping_add(part.row_start(row)),
                w,
                bias,
                channels,
                epilogue: part.operands.epilogue,
                first_channel: part.operands.channel + channel,
                y: part.operands.y.wrapping_add(at),
                output: part.operands.output,
            };
            // SAFETY: the layout holds every tap of the row's pixels; `run`'s caller gives room for the output.
            unsafe { run.run::<A, L>() }
        }
    }
}

/// The column path: some output channels one after the other, a block being one of them.
struct ByColumns<'p, 'a, O: Sink> {
    first: Part<'p, 'a, O>,
    blocks: usize,
}

impl<O: Sink> Kernel for ByColumns<'_, '_, O> {
    type Output = ();
    const DOTS: bool = O::Element::DOTS;

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let mut part = self.first;
        for _ in 0..self.blocks {
            part.columns::<A, L>();
            part.block += 1;
            if part.block == part.plan.packing.blocks() {
                (part.group, part.block) = (part.group + 1, 0);
            }
        }
    }
}

impl<O: Sink> Part<'_, '_, O> {
    /// The rows of one output channel.
    #[inline(always)]
    fn columns<A: Arch, const L: usize>(&self) {
        let (part, plan) = (self, self.plan);
        let height = plan.shape.output[1];
        let (channel, _) = part.channels();
        let OutputLayout::Planes { plane, .. } = part.operands.output else { return };
        let mut row = part.rows.start;
        while row < part.rows.end {
            // Rows of one depth are a constant distance apart.
            let rows = (height - row % height).min(part.rows.end - row);
            let rectangle = Rectangle::<O> {
                taps: &plan.taps,
                kernel_taps: plan.shape.taps(),
                elements: plan.input.elements,
                channel: plan.input.unit(),
                rows,
                columns: plan.row,
                x_row: plan.shape.strides[1] * plan.input.line(),
                y_row: plan.row,
                x: part.operands.x.as_ptr().wrapping_add(part.row_start(row)),
                w: part.operands.weights[plan.packing.block_start(part.group, part.block)..].as_ptr(),
                bias: part.operands.bias.get(channel).copied(),
                epilogue: part.operands.epilogue,
                channel_index: part.operands.channel + channel,
                y: part.operands.y.wrapping_add(channel * plane + row * plan.row),
            };
            // SAFETY: the layout holds every tap of these rows and slack; `run`'s caller gives room for the output.
            unsafe { rectangle.run::<A, L>() }
            row += rows;
        }
    }
}
