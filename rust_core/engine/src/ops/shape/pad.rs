//! Pad and CenterCropPad.

use std::ops::Range;

use half::f16;

use crate::broadcast::contiguous_strides;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::axes::normalize_axes;
use crate::ops::mover::{self, Inputs, Mover, Word};
use crate::ops::shape::repeat::dimensions;
use crate::ops::shape::view::check_vector;
use crate::tensor::{Shape, element_count};

/// What lies outside the input.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Constant,
    /// There and back again, the edges once.
    Reflect,
    Edge,
    Wrap,
}

struct Pad {
    mode: Mode,
    /// Attributes of versions below 11: pads and value.
    legacy: Option<(Vec<i64>, f32)>,
}

/// One axis: what is kept of it, and how much is put before and after.
#[derive(Clone, Copy)]
struct PaddedAxis {
    /// Elements of the input.
    length: usize,
    /// First element kept and how many: negative pads remove elements.
    first: usize,
    kept: usize,
    before: usize,
    after: usize,
    stride: usize,
}

impl PaddedAxis {
    fn len(&self) -> usize {
        self.before + self.kept + self.after
    }

    /// Where output index `at` comes from (`None`: the constant), and for how many indices from there on that goes on.
    fn run_at(&self, at: usize, mode: Mode) -> (Option<usize>, usize) {
        if (self.before..self.before + self.kept).contains(&at) {
            let inside = at - self.before;
            return (Some(self.first + inside), self.kept - inside);
        }
        if mode == Mode::Constant {
            return (None, if at < self.before { self.before - at } else { self.len() - at });
        }
        let (place, kept) = (at as i64 - self.before as i64, self.kept as i64);
        let (inside, run) = match mode {
            Mode::Wrap => (place.rem_euclid(kept), kept - place.rem_euclid(kept)),
            Mode::Edge => (place.clamp(0, kept - 1), 1),
            _ => (((place + kept - 1).rem_euclid((2 * (kept - 1)).max(1)) - (kept - 1)).abs(), 1),
        };
        (Some(self.first + inside as usize), run as usize)
    }
}

/// Where the constant comes from.
#[derive(Clone, Copy)]
enum Fill {
    Bits(u64),
    Input(usize),
}

/// The padded output, row by row: the row is the last padded axis and all after it.
struct Padded {
    outer: Vec<PaddedAxis>,
    last: PaddedAxis,
    /// Elements after the last padded axis.
    unit: usize,
    mode: Mode,
    fill: Fill,
}

impl Padded {
    fn new(axes: &[PaddedAxis], mode: Mode, fill: Fill) -> Padded {
        let padded = |axis: &PaddedAxis| axis.before + axis.after > 0 || axis.kept < axis.length;
        let last = axes.iter().rposition(padded).unwrap_or(0);
        let whole = PaddedAxis { length: 1, first: 0, kept: 1, before: 0, after: 0, stride: 1 };
        let unit = axes.get(last).map_or(1, |axis| axis.stride);
        Padded {
            outer: axes.get(..last).unwrap_or_default().to_vec(),
            last: axes.get(last).copied().unwrap_or(whole),
            unit,
            mode,
            fill,
        }
    }

    /// Offset of row `row` in the input, or `None` if it is all constant.
    fn row_start(&self, mut row: usize) -> Option<usize> {
        let mut start = 0;
        for axis in self.outer.iter().rev() {
            let (place, _) = axis.run_at(row % axis.len(), self.mode);
            start += place? * axis.stride;
            row /= axis.len();
        }
        Some(start)
    }
}

// [panel: Pad CenterCropPad]
impl Mover for Padded {
    fn run<W: Word>(&self, range: Range<usize>, inputs: Inputs<'_>, out: &mut [W]) {
        let data = inputs.words::<W>(0);
        let fill = match self.fill {
            Fill::Bits(bits) => W::from_bits(bits),
            Fill::Input(input) => inputs.words::<W>(input)[0],
        };
        let row = self.last.len() * self.unit;
        let mut at = range.start;
        while at < range.end {
            let row_end = ((at / row + 1) * row).min(range.end);
            match self.row_start(at / row) {
                None => out[at - range.start..row_end - range.start].fill(fill),
                Some(start) => {
                    while at < row_end {
                        let (index, inside) = (at % row / self.unit, at % self.unit);
                        let (place, run) = self.last.run_at(index, self.mode);
                        let len = (run * self.unit - inside).min(row_end - at);
                        let piece = &mut out[at - range.start..at - range.start + len];
                        match place {
                            None => piece.fill(fill),
                            Some(place) => {
                                let from = start + place * self.unit + inside;
                                piece.copy_from_slice(&data[from..from + len]);
                            }
                        }
                        at += len;
                    }
                }
            }
            at = row_end;
        }
    }
}
// [/panel]

impl Pad {
    fn fill(&self, cx: &PlanCx<'_>, dtype: DType) -> Result<Fill> {
        if let Some((_, value)) = self.legacy {
            return Ok(Fill::Bits(match dtype {
                DType::F16 => f16::from_f32(value).to_bits().into(),
                DType::F64 => f64::from(value).to_bits(),
                _ => value.to_bits().into(),
            }));
        }
        if !cx.has(2) {
            return Ok(Fill::Bits(0));
        }
        if element_count(cx.shape(2)?)? != 1 {
            return Err(Error::shape(format!("constant_value has shape {:?}, expected a scalar", cx.shape(2)?)));
        }
        Ok(Fill::Input(2))
    }

    /// The axes of the input with their pads.
    fn axes(&self, cx: &PlanCx<'_>, from: &[usize]) -> Planned<Vec<PaddedAxis>> {
        let (pads, chosen) = match &self.legacy {
            Some((pads, _)) => (pads.clone(), None),
            None => {
                for input in [1, 3].into_iter().filter(|&input| cx.has(input)) {
                    check_vector(cx, input)?;
                }
                (cx.ints(1)?, cx.opt_ints(3)?)
            }
        };
        let along = match chosen {
            Some(axes) => normalize_axes(&axes, from.len())?.to_vec(),
            None => (0..from.len()).collect(),
        };
        if pads.len() != 2 * along.len() {
            return Err(
                Error::shape(format!("{} pads for {} axes, expected two for each", pads.len(), along.len())).into()
            );
        }
        let strides = contiguous_strides(from);
        let whole = from.iter().zip(&strides).map(|(&kept, &stride)| PaddedAxis {
            length: kept,
            first: 0,
            kept,
            before: 0,
            after: 0,
            stride: stride as usize,
        });
        let mut axes: Vec<PaddedAxis> = whole.collect();
        let (before, after) = pads.split_at(along.len());
        for ((&axis, &before), &after) in along.iter().zip(before).zip(after) {
            axes[axis] = padded_axis(axes[axis], before, after, self.mode)?;
        }
        Ok(axes)
    }
}

/// `axis`, so far whole, with these pads.
fn padded_axis(axis: PaddedAxis, before: i64, after: i64, mode: Mode) -> Result<PaddedAxis> {
    let removed = |pad: i64| if pad < 0 { pad.unsigned_abs() as usize } else { 0 };
    let length = axis.kept;
    let kept =
        length.checked_sub(removed(before)).and_then(|left| left.checked_sub(removed(after))).ok_or_else(|| {
            Error::shape(format!("pads {before}, {after} remove more than the {length} elements of an axis"))
        })?;
    let (before_len, after_len) = (before.max(0) as usize, after.max(0) as usize);
    if kept == 0 && before_len + after_len > 0 && mode != Mode::Constant {
        return Err(Error::shape("only mode constant pads an axis of no elements"));
    }
    // The greatest sum of two i64 and a dimension: checked, so that a hostile pad is an error.
    before_len
        .checked_add(after_len)
        .and_then(|sum| sum.checked_add(kept))
        .filter(|&n| i64::try_from(n).is_ok())
        .ok_or_else(|| Error::resource_limit(format!("pads {before}, {after} are too great")))?;
    Ok(PaddedAxis { first: removed(before), kept, before: before_len, after: after_len, ..axis })
}

impl Operator for Pad {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let fill = self.fill(cx, dtype)?;
        let axes = self.axes(cx, cx.shape(0)?)?;
        let shape: Shape = axes.iter().map(PaddedAxis::len).collect();
        element_count(&shape)?;
        mover::plan(dtype, &[0, 2], vec![(shape, Padded::new(&axes, self.mode, fill))])
    }
}

struct CenterCropPad {
    axes: Option<Vec<i64>>,
}

// [panel: CenterCropPad]
impl Operator for CenterCropPad {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let from = cx.shape(0)?;
        check_vector(cx, 1)?;
        let lengths = dimensions(&cx.ints(1)?)?;
        let along = match &self.axes {
            Some(axes) => normalize_axes(axes, from.len())?.to_vec(),
            None => (0..from.len()).collect(),
        };
        if lengths.len() != along.len() {
            return Err(Error::shape(format!("{} lengths for {} axes", lengths.len(), along.len())).into());
        }
        let mut shape: Shape = from.into();
        along.iter().zip(&lengths).for_each(|(&axis, &length)| shape[axis] = length);
        element_count(&shape)?;
        let strides = contiguous_strides(from);
        // Of what is added or taken away, the smaller half lies before.
        let axes: Vec<PaddedAxis> = (0..from.len())
            .map(|axis| {
                let (length, added, removed) =
                    (from[axis], shape[axis].saturating_sub(from[axis]), from[axis].saturating_sub(shape[axis]));
                PaddedAxis {
                    length,
                    first: removed / 2,
                    kept: length - removed,
                    before: added / 2,
                    after: added - added / 2,
                    stride: strides[axis] as usize,
                }
            })
            .collect();
        mover::plan(dtype, &[0], vec![(shape, Padded::new(&axes, Mode::Constant, Fill::Bits(0)))])
    }
}
// [/panel]

fn build_center(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(CenterCropPad { axes: cx.ints("axes")?.map(<[i64]>::to_vec) }))
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let pads = if cx.since == 1 { "paddings" } else { "pads" };
    let legacy =
        if cx.since < 11 { Some((cx.required(pads, cx.ints(pads)?)?.to_vec(), cx.float("value", 0.0)?)) } else { None };
    let mode = match cx.string("mode")?.unwrap_or("constant") {
        "constant" => Mode::Constant,
        "reflect" => Mode::Reflect,
        "edge" => Mode::Edge,
        "wrap" if cx.since >= 19 => Mode::Wrap,
        other => {
            return Err(Error::invalid_model(format!("mode is '{other}', expected constant, reflect, edge or wrap")));
        }
    };
    Ok(Box::new(Pad { mode, legacy }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("Pad", &[1, 2, 11, 13, 18, 19, 21, 23, 24, 25], build).chain(versions(
        "CenterCropPad",
        &[18],
        build_center,
    ))
}
