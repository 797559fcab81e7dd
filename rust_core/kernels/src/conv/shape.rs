//! Geometry: what is convolved, how its input lies in memory, and which kernel walks it.

use crate::lanes::Isa;

/// Channels of a group that a block of the accumulation order holds (`docs/numerics.md`, Conv), and that an NCHWc block stores.
pub const CHANNEL_BLOCK: usize = 16;

/// One image of a convolution. Spatial axes are (depth, height, width); a 1-D or 2-D operator leaves the first ones at extent 1,
/// kernel 1, stride 1, dilation 1, pad 0. `output` is given by the caller, which knows `auto_pad` and `output_padding`; the pads at
/// the end follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    pub groups: usize,
    /// Input channels of one group.
    pub in_channels: usize,
    /// Output channels of one group.
    pub out_channels: usize,
    pub input: [usize; 3],
    pub kernel: [usize; 3],
    pub strides: [usize; 3],
    pub dilations: [usize; 3],
    pub pads_begin: [usize; 3],
    pub output: [usize; 3],
}

impl ConvShape {
    /// Kernel positions.
    pub fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Positions of one output plane.
    pub fn out_plane(&self) -> usize {
        self.output.iter().product()
    }

    /// Positions of one input plane.
    pub fn in_plane(&self) -> usize {
        self.input.iter().product()
    }

    /// The same convolution with its axes of one position in front of the others, so that rows are as long as they can be: what is
    /// `[h, 1]` becomes `[1, h]`. The order of taps and positions stays.
    pub fn squeezed(mut self) -> ConvShape {
        let trivial = |shape: &ConvShape, axis: usize| {
            let extents = [shape.input[axis], shape.kernel[axis], shape.output[axis]];
            extents == [1; 3] && shape.pads_begin[axis] == 0
        };
        while trivial(&self, 2) && !(trivial(&self, 0) && trivial(&self, 1)) {
            for axes in [
                &mut self.input,
                &mut self.kernel,
                &mut self.strides,
                &mut self.dilations,
                &mut self.pads_begin,
                &mut self.output,
            ] {
                axes.rotate_right(1);
            }
        }
        self
    }

    /// Whether all products of extents that the plans form fit in `isize`, and strides and dilations are positive.
    pub(super) fn is_sound(&self) -> bool {
        let product = |factors: &[usize]| {
            factors
                .iter()
                .try_fold(1usize, |n, &f| n.checked_mul(f.max(1)))
                .is_some_and(|n| n < isize::MAX as usize / 64)
        };
        let [id, ih, iw] = self.input;
        let [od, oh, ow] = self.output;
        let [kd, kh, kw] = self.kernel;
        let (ic, oc, g) = (self.in_channels, self.out_channels, self.groups);
        let reach = (0..3).all(|i| {
            product(&[self.strides[i], self.output[i]])
                && product(&[self.dilations[i], self.kernel[i]])
                && product(&[self.pads_begin[i]])
        });
        self.strides.iter().all(|&s| s > 0)
            && self.dilations.iter().all(|&d| d > 0)
            && reach
            && product(&[g, ic, id, ih, iw])
            && product(&[g, oc, od, oh, ow])
            && product(&[g, ic, oc, kd, kh, kw])
    }
}

/// How one image's input lies in memory while it is convolved.
///
/// Lines (rows of the width axis) are laid out with their padding as zeros, and split by stride phase: column `x` of the padded line
/// stands in segment `x % stride` at position `x / stride`. So neighbouring outputs read neighbouring positions whatever the stride.
/// `[group][unit][depth][height][phase][position][lane]`, where a unit is one channel (`lanes` = 1) or a block of sixteen
/// (`lanes` = 16, NCHWc).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputLayout {
    /// Elements of a group: its channels, or pairs of channels (integers).
    pub elements: usize,
    /// 1 (planes) or [`CHANNEL_BLOCK`].
    pub lanes: usize,
    /// Units of a group: `elements / lanes`, rounded up.
    pub units: usize,
    /// Lines of a unit.
    pub extents: [usize; 2],
    /// Source line of the first line, negative in the padding.
    pub start: [isize; 2],
    /// Source lines from one line to the next.
    pub step: [isize; 2],
    pub phases: usize,
    /// Positions of a phase's segment.
    pub segment: usize,
    /// Source column of position 0 of phase 0; phase `p` starts `p` columns later.
    pub column_start: isize,
    /// Source columns from one position to the next.
    pub column_step: isize,
}

impl InputLayout {
    /// Distance of two lines, in elements.
    pub fn line(&self) -> usize {
        self.phases * self.segment * self.lanes
    }

    /// Distance of two units, in elements.
    pub fn unit(&self) -> usize {
        self.extents[0] * self.extents[1] * self.line()
    }

    /// Distance of two groups, in elements.
    pub fn group(&self) -> usize {
        self.units * self.unit()
    }

    /// The checked number of elements of `groups` groups, and some more so that vectors may read past the last line.
    pub(super) fn checked_len(&self, groups: usize) -> Option<usize> {
        let factors = [groups, self.units, self.extents[0], self.extents[1], self.phases, self.segment, self.lanes];
        let len = factors.iter().try_fold(1usize, |n, &f| n.checked_mul(f))?;
        len.checked_add(SLACK).filter(|&n| n < isize::MAX as usize / 8)
    }

    /// Planes of the padded input that a convolution of `shape` reads, split by stride phase.
    pub(super) fn padded(shape: &ConvShape, elements: usize, lanes: usize) -> InputLayout {
        let reach = |i: usize| {
            shape.output[i].saturating_sub(1) * shape.strides[i] + (shape.kernel[i].max(1) - 1) * shape.dilations[i] + 1
        };
        let phases = shape.strides[2];
        InputLayout {
            elements,
            lanes,
            units: elements.div_ceil(lanes),
            extents: [reach(0), reach(1)],
            start: [-(shape.pads_begin[0] as isize), -(shape.pads_begin[1] as isize)],
            step: [1, 1],
            phases,
            segment: reach(2).div_ceil(phases),
            column_start: -(shape.pads_begin[2] as isize),
            column_step: phases as isize,
        }
    }

    /// The input at the output's resolution: all that a kernel of one position reads.
    pub(super) fn sampled(shape: &ConvShape, elements: usize, lanes: usize) -> InputLayout {
        let start = shape.pads_begin.map(|p| -(p as isize));
        let step = shape.strides.map(|s| s as isize);
        InputLayout {
            elements,
            lanes,
            units: elements.div_ceil(lanes),
            extents: [shape.output[0], shape.output[1]],
            start: [start[0], start[1]],
            step: [step[0], step[1]],
            phases: 1,
            segment: shape.output[2],
            column_start: start[2],
            column_step: step[2],
        }
    }

    /// The input as it is, in blocks of `lanes` channels.
    pub(super) fn plain(shape: &ConvShape, elements: usize, lanes: usize) -> InputLayout {
        InputLayout {
            elements,
            lanes,
            units: elements.div_ceil(lanes),
            extents: [shape.input[0], shape.input[1]],
            start: [0, 0],
            step: [1, 1],
            phases: 1,
            segment: shape.input[2],
            column_start: 0,
            column_step: 1,
        }
    }
}

/// Elements after the last line that a vector load may touch.
pub(super) const SLACK: usize = 64;

// [panel: conv path]
/// Which axis the vectors run along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// Output channels: inputs are broadcast, a tile is pixels by channels.
    Channels,
    /// Output columns: weights are broadcast, a tile is rows by columns. Depthwise and narrow groups.
    Columns,
}

impl Path {
    /// The path that leaves fewer lanes idle.
    pub(super) fn choose(isa: Isa, shape: &ConvShape) -> Path {
        let lanes = isa.lanes();
        let used = |n: usize| n as f64 / n.next_multiple_of(lanes).max(1) as f64;
        if shape.out_channels < lanes && used(shape.output[2]) > used(shape.out_channels) {
            Path::Columns
        } else {
            Path::Channels
        }
    }
}
// [/panel]
