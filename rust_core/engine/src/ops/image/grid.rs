//! GridSample: a tensor at the places that a grid names. Here what the places mean, and nearest, which moves elements.

use std::ops::Range;

use half::{bf16, f16};

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::mover::{self, Inputs, Mover, Word};
use crate::tensor::{Shape, element_count};

use super::interpolate;

/// A place whose neighbours all lie outside: for coordinates that are no numbers.
const NOWHERE: f64 = -100.0;
/// Elements that one output reads.
const MOST_TAPS: usize = 1 << 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Nearest,
    Linear,
    Cubic,
}

impl Mode {
    /// Elements along an axis that an output reads.
    pub fn steps(self) -> usize {
        match self {
            Mode::Nearest => 1,
            Mode::Linear => 2,
            Mode::Cubic => 4,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Padding {
    Zeros,
    Border,
    Reflection,
}

struct GridSample {
    mode: Mode,
    padding: Padding,
    align_corners: bool,
    /// Version 16 has two spatial axes.
    planar: bool,
}

/// A spatial axis: its length, where its ends are, and what lies beyond them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub length: usize,
    align_corners: bool,
    padding: Padding,
    cubic: bool,
    low: f64,
    high: f64,
}

impl Axis {
    fn new(length: usize, align_corners: bool, padding: Padding, mode: Mode) -> Axis {
        let n = length as f64;
        let (low, high) = if align_corners { (0.0, n - 1.0) } else { (-0.5, n - 0.5) };
        Axis { length, align_corners, padding, cubic: mode == Mode::Cubic, low, high }
    }

    /// -1 .. 1 as a coordinate of elements.
    pub fn denormalized(&self, place: f64) -> f64 {
        let n = self.length as f64;
        if self.align_corners { (place + 1.0) / 2.0 * (n - 1.0) } else { ((place + 1.0) * n - 1.0) / 2.0 }
    }

    /// `place`, brought inside where it is outside and the padding says how; with border and cubic it may stay.
    pub fn bounded(&self, place: f64) -> f64 {
        let finite = if place.is_finite() { place } else { NOWHERE };
        match self.padding {
            Padding::Zeros => finite,
            Padding::Reflection => self.reflected(finite),
            Padding::Border if place.is_nan() => 0.0,
            Padding::Border if self.cubic && place.is_finite() => place,
            Padding::Border if place < self.low || place > self.high => place.clamp(0.0, self.length as f64 - 1.0),
            Padding::Border => place,
        }
    }

    /// Folded back at the ends until it is inside.
    fn reflected(&self, place: f64) -> f64 {
        let extent = self.high - self.low;
        if place >= self.low && place <= self.high {
            return place;
        }
        if extent == 0.0 {
            return self.low;
        }
        let before = place < self.low;
        let beyond = if before { self.low - place } else { place - self.high };
        let folds = (beyond / extent).trunc();
        let rest = beyond - folds * extent;
        if (folds % 2.0 == 0.0) == before { self.low + rest } else { self.high - rest }
    }

    /// The element at an integral `place`, if there is one.
    pub fn element(&self, place: f64) -> Option<usize> {
        let last = self.length as f64 - 1.0;
        match self.padding {
            Padding::Zeros => (place >= 0.0 && place <= last).then_some(place as usize),
            Padding::Border => Some(place.clamp(0.0, last) as usize),
            Padding::Reflection => Some(self.reflected(place).trunc().clamp(0.0, last) as usize),
        }
    }
}

/// The numbers of a grid.
#[derive(Clone, Copy)]
pub(super) enum Numbers<'a> {
    F16(&'a [u16]),
    BF16(&'a [u16]),
    F32(&'a [u32]),
    F64(&'a [u64]),
}

impl<'a> Numbers<'a> {
    /// Input 1, whose dtype is one of floats.
    pub fn of(inputs: Inputs<'a>, dtype: DType) -> Numbers<'a> {
        match dtype {
            DType::F16 => Numbers::F16(inputs.words(1)),
            DType::BF16 => Numbers::BF16(inputs.words(1)),
            DType::F64 => Numbers::F64(inputs.words(1)),
            _ => Numbers::F32(inputs.words(1)),
        }
    }

    pub fn at(&self, i: usize) -> f64 {
        match self {
            Numbers::F16(all) => f16::from_bits(all[i]).into(),
            Numbers::BF16(all) => bf16::from_bits(all[i]).into(),
            Numbers::F32(all) => f32::from_bits(all[i]).into(),
            Numbers::F64(all) => f64::from_bits(all[i]),
        }
    }
}

/// What a plan knows.
#[derive(Clone)]
pub(super) struct Geometry {
    pub axes: Vec<Axis>,
    pub batch: usize,
    pub channels: usize,
    /// Elements of a plane of X, places of an image.
    pub from: usize,
    pub places: usize,
    pub grid: DType,
    pub output: Shape,
}

impl Operator for GridSample {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (x, grid) = (cx.shape(0)?, cx.shape(1)?);
        let dtype = cx.dtype(0)?;
        if self.planar && x.len() != 4 {
            return Err(Error::shape(format!("X has shape {x:?}, expected rank 4")).into());
        }
        let rank = x.len().saturating_sub(2);
        if rank < 1 || grid.len() != x.len() || grid[0] != x[0] || grid[rank + 1] != rank {
            return Err(Error::shape(format!("X and grid have shapes {x:?} and {grid:?}")).into());
        }
        if self.mode != Mode::Nearest && dtype == DType::String {
            return Err(Error::unsupported("linear and cubic are for numbers, not for strings").into());
        }
        let taps = u32::try_from(rank).ok().and_then(|rank| self.mode.steps().checked_pow(rank));
        if taps.is_none_or(|taps| taps > MOST_TAPS) {
            let message =
                format!("{:?} along {rank} axes reads more than {MOST_TAPS} elements for an output", self.mode);
            return Err(Error::resource_limit(message).into());
        }
        let output: Shape = x[..2].iter().chain(&grid[1..=rank]).copied().collect();
        if element_count(&output)? == 0 {
            // Strings have no dense step.
            return mover::plan(dtype, &[0], vec![(output, Empty)]);
        }
        if self.padding != Padding::Zeros && x.contains(&0) {
            return Err(Error::shape(format!("X of shape {x:?} has no border")).into());
        }
        let geometry = Geometry {
            axes: x[2..].iter().map(|&n| Axis::new(n, self.align_corners, self.padding, self.mode)).collect(),
            batch: x[0],
            channels: x[1],
            from: element_count(&x[2..])?,
            places: element_count(&grid[1..=rank])?,
            grid: cx.dtype(1)?,
            output,
        };
        if self.mode == Mode::Nearest {
            return mover::plan(dtype, &[0], vec![(geometry.output.clone(), Nearest(geometry))]);
        }
        Ok(Step::Kernel(interpolate::step(dtype, self.mode, geometry)?))
    }
}

/// An output without elements.
struct Empty;

impl Mover for Empty {
    fn run<W: Word>(&self, _: Range<usize>, _: Inputs<'_>, _: &mut [W]) {}
}

struct Nearest(Geometry);

impl Mover for Nearest {
    fn run<W: Word>(&self, range: Range<usize>, inputs: Inputs<'_>, out: &mut [W]) {
        let Geometry { axes, channels, from, places, grid, .. } = &self.0;
        let (x, numbers) = (inputs.words::<W>(0), Numbers::of(inputs, *grid));
        let rank = axes.len();
        for (index, y) in range.zip(out) {
            let (plane, place) = (index / places, index % places);
            let first = (plane / channels * places + place) * rank;
            let mut at = Some(0);
            for (a, axis) in axes.iter().enumerate() {
                let place = axis.denormalized(numbers.at(first + rank - 1 - a));
                let element = axis.element(axis.bounded(place.round_ties_even()));
                at = at.zip(element).map(|(at, element)| at * axis.length + element);
            }
            *y = at.map_or(W::default(), |at| x[plane * from + at]);
        }
    }
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let planar = cx.since == 16;
    let names = if planar { ["bilinear", "nearest", "bicubic"] } else { ["linear", "nearest", "cubic"] };
    let modes = [Mode::Linear, Mode::Nearest, Mode::Cubic];
    let given = cx.string("mode")?.unwrap_or(names[0]);
    let Some(mode) = names.iter().position(|name| *name == given).map(|i| modes[i]) else {
        return Err(Error::invalid_model(format!("mode is '{given}', expected one of {}", names.join(", "))));
    };
    let padding = match cx.string("padding_mode")?.unwrap_or("zeros") {
        "zeros" => Padding::Zeros,
        "border" => Padding::Border,
        "reflection" => Padding::Reflection,
        other => {
            let message = format!("padding_mode is '{other}', expected zeros, border or reflection");
            return Err(Error::invalid_model(message));
        }
    };
    Ok(Box::new(GridSample { mode, padding, align_corners: cx.int("align_corners", 0)? != 0, planar }))
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    versions("GridSample", &[16, 20, 22], build)
}
