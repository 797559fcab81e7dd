//! Resize, and Upsample before it: a tensor sampled at other places along some of its axes.

mod interpolate;
mod sample;

use std::ops::Range;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::axes::normalize_axes;
use crate::ops::mover::{self, Inputs, Mover, Word};
use crate::tensor::{Shape, element_count};
use crate::with_dtype;
use interpolate::Sample;
use sample::{Axis, Coordinates, Mode, Nearest, Settings};

/// `keep_aspect_ratio_policy`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    Stretch,
    NotLarger,
    NotSmaller,
}

/// Where a version has its scales.
#[derive(Clone)]
enum Scales {
    /// Among the inputs of versions from 11 on, or sizes instead.
    Inputs,
    /// Input 1.
    Second,
    /// An attribute.
    Given(Vec<f32>),
}

struct Resize {
    scales: Scales,
    /// Upsample's scales are of this at least.
    least: f64,
    settings: Settings,
    axes: Option<Vec<i64>>,
    policy: Policy,
}

/// A fraction, and the output length it gives.
type Outcome = ((f64, f64), usize);

impl Resize {
    /// The axes to be resized, in increasing order.
    fn axes(&self, cx: &PlanCx<'_>) -> Planned<Vec<Axis>> {
        let x = cx.shape(0)?;
        let along: Vec<usize> = match &self.axes {
            None => (0..x.len()).collect(),
            Some(axes) => normalize_axes(axes, x.len())?.to_vec(),
        };
        let lengths: Vec<usize> = along.iter().map(|&axis| x[axis]).collect();
        let (roi, scales, sizes) = match &self.scales {
            Scales::Inputs => self.inputs(cx)?,
            Scales::Second => (None, Some(1), None),
            Scales::Given(_) => (None, None, None),
        };
        let crop = self.crops(cx, roi, along.len())?;
        let outcomes = match (scales, sizes, &self.scales) {
            (None, None, Scales::Given(scales)) => {
                let scales: Vec<f64> = scales.iter().map(|&scale| scale.into()).collect();
                self.outcomes_of_scales(&lengths, &[scales.len()], &scales, &crop)?
            }
            (Some(scales), None, _) => {
                self.outcomes_of_scales(&lengths, cx.tensor(scales)?.shape(), &floats(cx, scales)?, &crop)?
            }
            (None, Some(sizes), _) => from_sizes(&lengths, &cx.ints(sizes)?, self.policy)?,
            _ => return Err(Error::invalid_input("Resize needs either scales or sizes, not both").into()),
        };
        let axes = along.iter().zip(&lengths).zip(outcomes).zip(crop);
        let mut axes: Vec<Axis> = axes
            .map(|(((&axis, &length), (ratio, resized)), roi)| Axis { axis, length, ratio, resized, roi })
            .filter(Axis::changes)
            .collect();
        axes.sort_by_key(|axis| axis.axis);
        Ok(axes)
    }

    /// Which inputs hold the region of interest, scales and sizes; empty scales beside sizes are none.
    fn inputs(&self, cx: &PlanCx<'_>) -> Result<(Option<usize>, Option<usize>, Option<usize>)> {
        let given = |input: usize| cx.has(input).then_some(input);
        let sizes = given(3);
        let scales = match given(2) {
            Some(scales) if sizes.is_some() && element_count(cx.shape(scales)?)? == 0 => None,
            scales => scales,
        };
        for input in [scales, sizes].into_iter().flatten() {
            if cx.shape(input)?.len() != 1 {
                let message = format!("input {input} has shape {:?}, expected one dimension", cx.shape(input)?);
                return Err(Error::shape(message));
            }
        }
        Ok((given(1), scales, sizes))
    }

    /// Start and end of the region of interest along each axis; only `tf_crop_and_resize` has one.
    fn crops(&self, cx: &PlanCx<'_>, roi: Option<usize>, count: usize) -> Planned<Vec<(f64, f64)>> {
        if self.settings.coordinates != Coordinates::TfCropAndResize {
            return Ok(vec![(0.0, 1.0); count]);
        }
        let shape = roi.map(|roi| cx.shape(roi)).transpose()?;
        let (Some(roi), true) = (roi, shape == Some(&[2 * count])) else {
            return Err(Error::shape(format!("roi has shape {shape:?}, expected [{}]", 2 * count)).into());
        };
        let roi = floats(cx, roi)?;
        if !roi.iter().all(|x| x.is_finite()) {
            return Err(Error::invalid_input(format!("roi is {roi:?}, expected finite numbers")).into());
        }
        Ok((0..count).map(|i| (roi[i], roi[count + i])).collect())
    }

    /// Ratio and output length: `floor(length * (roi_end - roi_start) * scale)` in binary32.
    fn outcomes_of_scales(
        &self,
        lengths: &[usize],
        shape: &[usize],
        scales: &[f64],
        crop: &[(f64, f64)],
    ) -> Result<Vec<Outcome>> {
        if shape != [lengths.len()] {
            return Err(Error::shape(format!("scales have shape {shape:?}, expected [{}]", lengths.len())));
        }
        let each = lengths.iter().zip(scales).zip(crop);
        each.map(|((&length, &scale), &(start, end))| {
            if !(scale > 0.0 && scale.is_finite()) {
                return Err(Error::invalid_input(format!("a scale is {scale}, expected a positive number")));
            }
            if scale < self.least {
                return Err(Error::invalid_input(format!("a scale is {scale}, expected at least {}", self.least)));
            }
            let size = length as f32 * (end - start) as f32 * scale as f32;
            if !(0.0..9_223_372_036_854_775_808.0).contains(&size) {
                return Err(Error::invalid_input(format!(
                    "length {length}, region {start} to {end} and scale {scale} give no output length"
                )));
            }
            Ok(((scale, 1.0), size.floor() as usize))
        })
        .collect()
    }
}

/// Elements of a small input of floats.
fn floats(cx: &PlanCx<'_>, input: usize) -> Planned<Vec<f64>> {
    let tensor = cx.tensor(input)?;
    Ok(match tensor.dtype() {
        DType::F32 => tensor.as_slice::<f32>()?.iter().map(|&x| x.into()).collect(),
        DType::F64 => tensor.as_slice::<f64>()?.to_vec(),
        DType::F16 => tensor.as_slice::<half::f16>()?.iter().map(|&x| x.into()).collect(),
        other => return Err(Error::unsupported(format!("a region or scales of {other}")).into()),
    })
}

/// Ratio and output length. With an aspect ratio to keep, all axes get the least or the greatest ratio.
fn from_sizes(lengths: &[usize], sizes: &[i64], policy: Policy) -> Result<Vec<Outcome>> {
    if sizes.len() != lengths.len() || sizes.iter().any(|&size| size < 0) {
        return Err(Error::shape(format!("sizes are {sizes:?}, expected {} lengths >= 0", lengths.len())));
    }
    if lengths.iter().zip(sizes).any(|(&length, &size)| length == 0 && size > 0) {
        let message = format!("lengths {lengths:?} cannot become {sizes:?}: an empty axis has nothing to sample");
        return Err(Error::shape(message));
    }
    let ratio = |(&length, &size): (&usize, &i64)| if length > 0 { (size as u128, length as u128) } else { (1, 1) };
    let ratios: Vec<(u128, u128)> = lengths.iter().zip(sizes).map(ratio).collect();
    let outcome = |(size, length): (u128, u128), resized: usize| ((size as f64, length as f64), resized);
    if policy == Policy::Stretch {
        return Ok(ratios.iter().zip(sizes).map(|(&ratio, &size)| outcome(ratio, size as usize)).collect());
    }
    // The first of equal ones.
    let better = |a: (u128, u128), b: (u128, u128)| {
        let (a_b, b_a) = (a.0 * b.1, b.0 * a.1);
        if policy == Policy::NotLarger { a_b < b_a } else { a_b > b_a }
    };
    let Some(best) = ratios.iter().copied().reduce(|best, ratio| if better(ratio, best) { ratio } else { best }) else {
        return Ok(Vec::new());
    };
    // Halves go up. All factors are below 2^63.
    let resized = |length: usize| usize::try_from((2 * best.0 * length as u128 + best.1) / (2 * best.1)).ok();
    lengths
        .iter()
        .map(|&length| resized(length).map(|resized| outcome(best, resized)))
        .collect::<Option<_>>()
        .ok_or_else(|| Error::resource_limit("a resized axis is longer than can be addressed"))
}

/// Nearest: for each axis, how far the element of each output lies from the first; [`OUTSIDE`] where there is none.
struct Picked {
    shape: Shape,
    offsets: Vec<Vec<usize>>,
    fill: u64,
}

const OUTSIDE: usize = usize::MAX;

impl Picked {
    fn new(from: &[usize], to: &Shape, axes: &[Axis], settings: &Settings, fill: u64) -> Picked {
        let strides = crate::broadcast::contiguous_strides(from);
        let offsets = (0..from.len()).map(|index| {
            let stride = strides[index] as usize;
            match axes.iter().find(|axis| axis.axis == index) {
                None => (0..to[index]).map(|o| o * stride).collect(),
                Some(axis) => {
                    let place =
                        |o| if axis.is_outside(settings, o) { OUTSIDE } else { axis.nearest(settings, o) * stride };
                    (0..axis.resized).map(place).collect()
                }
            }
        });
        Picked { shape: to.clone(), offsets: offsets.collect(), fill }
    }

    /// Offset of row `row`, if all of its outer indices have an element.
    fn row_start(&self, mut row: usize) -> Option<usize> {
        let mut start = 0;
        for (offsets, &n) in self.offsets.iter().zip(&self.shape).rev().skip(1) {
            let offset = offsets[row % n];
            row /= n;
            start += Some(offset).filter(|&offset| offset != OUTSIDE)?;
        }
        Some(start)
    }
}

impl Mover for Picked {
    fn run<W: Word>(&self, range: Range<usize>, inputs: Inputs<'_>, out: &mut [W]) {
        let (data, fill) = (inputs.words::<W>(0), W::from_bits(self.fill));
        let Some(last) = self.offsets.last() else {
            out.copy_from_slice(data);
            return;
        };
        let (mut at, mut out) = (range.start, out);
        while !out.is_empty() {
            let (row, column) = (at / last.len(), at % last.len());
            let (piece, rest) = out.split_at_mut((last.len() - column).min(out.len()));
            match self.row_start(row) {
                None => piece.fill(fill),
                Some(start) => {
                    let pick = |offset: usize| if offset == OUTSIDE { fill } else { data[start + offset] };
                    piece.iter_mut().zip(&last[column..]).for_each(|(y, &offset)| *y = pick(offset));
                }
            }
            at += piece.len();
            out = rest;
        }
    }
}

/// The bits of the extrapolation value in a type of numbers.
#[allow(clippy::unnecessary_cast)]
fn fill_bits(dtype: DType, value: f32) -> Result<u64> {
    Ok(match dtype {
        DType::F32 => value.to_bits().into(),
        DType::F64 => f64::from(value).to_bits(),
        DType::F16 => half::f16::from_f32(value).to_bits().into(),
        DType::BF16 => half::bf16::from_f32(value).to_bits().into(),
        DType::Bool => (value != 0.0).into(),
        _ => with_dtype!(
            dtype, T in [I8, I16, I32, I64, U8, U16, U32, U64] => <T as Sample>::fill(value) as u64,
            else return Err(Error::unsupported(format!("tf_crop_and_resize fills with a number, the elements are {dtype}")))
        ),
    })
}

impl Operator for Resize {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let general = !dtype.is_float() && !dtype.is_integer();
        let crops = self.settings.coordinates == Coordinates::TfCropAndResize;
        let fill = if crops { fill_bits(dtype, self.settings.extrapolation_value)? } else { 0 };
        let axes = self.axes(cx)?;
        let from = cx.shape(0)?;
        let mut to = Shape::from_slice(from);
        axes.iter().for_each(|axis| to[axis.axis] = axis.resized);
        let empty = element_count(&to)? == 0;
        if self.settings.mode == Mode::Nearest {
            let picked = if empty {
                // Nothing is picked; tables would be as long as an axis asks.
                Picked { shape: to.clone(), offsets: Vec::new(), fill }
            } else {
                Picked::new(from, &to, &axes, &self.settings, fill)
            };
            return mover::plan(dtype, &[0], vec![(to, picked)]);
        }
        if general {
            return Err(Error::unsupported(format!("linear and cubic are for numbers, not for {dtype}")).into());
        }
        if empty {
            return KernelStep::new(dtype, to, |_| Ok(())).into();
        }
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64] =>
                interpolate::step::<T>(from, &to, &axes, &self.settings)?.into(),
            else Err(Error::unsupported(format!("Resize of {dtype}")).into())
        )
    }
}

/// The value that `name` is one of, or the error that lists what it may be.
fn choice<T: Copy>(cx: &BuildCx<'_>, name: &str, default: &str, known: &[(&str, T)]) -> Result<T> {
    let given = cx.string(name)?.unwrap_or(default);
    known.iter().find(|(word, _)| *word == given).map(|&(_, value)| value).ok_or_else(|| {
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        Error::invalid_model(format!("{name} is '{given}', expected one of {}", words.join(", ")))
    })
}

const MODES: [(&str, Mode); 3] = [("nearest", Mode::Nearest), ("linear", Mode::Linear), ("cubic", Mode::Cubic)];

const COORDINATES: [(&str, Coordinates); 7] = [
    ("half_pixel", Coordinates::HalfPixel),
    ("pytorch_half_pixel", Coordinates::PytorchHalfPixel),
    ("align_corners", Coordinates::AlignCorners),
    ("asymmetric", Coordinates::Asymmetric),
    ("tf_crop_and_resize", Coordinates::TfCropAndResize),
    // Versions 11 and 13 have the first of these alone, 18 and 19 the second.
    ("tf_half_pixel_for_nn", Coordinates::TfHalfPixelForNn),
    ("half_pixel_symmetric", Coordinates::HalfPixelSymmetric),
];

const NEAREST: [(&str, Nearest); 4] = [
    ("round_prefer_floor", Nearest::RoundPreferFloor),
    ("round_prefer_ceil", Nearest::RoundPreferCeil),
    ("floor", Nearest::Floor),
    ("ceil", Nearest::Ceil),
];

const POLICIES: [(&str, Policy); 3] =
    [("stretch", Policy::Stretch), ("not_larger", Policy::NotLarger), ("not_smaller", Policy::NotSmaller)];

/// The settings of Resize 10 and of Upsample.
fn settings_10(mode: Mode) -> Settings {
    Settings {
        mode,
        coordinates: Coordinates::Asymmetric,
        nearest: Nearest::Floor,
        cubic_coeff_a: -0.75,
        exclude_outside: false,
        extrapolation_value: 0.0,
        antialias: false,
    }
}

fn plain(mode: Mode, scales: Scales, least: f64) -> Box<dyn Operator> {
    Box::new(Resize { scales, least, settings: settings_10(mode), axes: None, policy: Policy::Stretch })
}

fn build_10(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(plain(choice(cx, "mode", "nearest", &MODES)?, Scales::Second, 0.0))
}

fn build_upsample(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    if cx.since == 1 {
        let mode = choice(cx, "mode", "nearest", &[("nearest", Mode::Nearest), ("bilinear", Mode::Linear)])?;
        let height = cx.required("height_scale", cx.opt_float("height_scale")?)?;
        let width = cx.required("width_scale", cx.opt_float("width_scale")?)?;
        return Ok(plain(mode, Scales::Given(vec![1.0, 1.0, height, width]), 1.0));
    }
    let mode = choice(cx, "mode", "nearest", &MODES[..2])?;
    let scales = match cx.since {
        7 => Scales::Given(cx.required("scales", cx.floats("scales")?)?.to_vec()),
        _ => Scales::Second,
    };
    Ok(plain(mode, scales, 1.0))
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let coordinates =
        if cx.since >= 18 { [&COORDINATES[..5], &COORDINATES[6..]].concat() } else { COORDINATES[..6].to_vec() };
    let settings = Settings {
        mode: choice(cx, "mode", "nearest", &MODES)?,
        coordinates: choice(cx, "coordinate_transformation_mode", "half_pixel", &coordinates)?,
        nearest: choice(cx, "nearest_mode", "round_prefer_floor", &NEAREST)?,
        cubic_coeff_a: cx.float("cubic_coeff_a", -0.75)?.into(),
        exclude_outside: cx.int("exclude_outside", 0)? != 0,
        extrapolation_value: cx.float("extrapolation_value", 0.0)?,
        antialias: cx.int("antialias", 0)? != 0,
    };
    if settings.antialias && settings.mode == Mode::Nearest {
        return Err(Error::invalid_model("antialias is for the modes linear and cubic"));
    }
    let policy = choice(cx, "keep_aspect_ratio_policy", "stretch", &POLICIES)?;
    let axes = cx.ints("axes")?.map(<[i64]>::to_vec);
    Ok(Box::new(Resize { scales: Scales::Inputs, least: 0.0, settings, axes, policy }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("Resize", &[10], build_10).chain(versions("Resize", &[11, 13, 18, 19], build)).chain(versions(
        "Upsample",
        &[1, 7, 9, 10],
        build_upsample,
    ))
}
