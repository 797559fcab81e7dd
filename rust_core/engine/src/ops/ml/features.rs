//! Preparing features: Scaler, Normalizer, Imputer, Binarizer, FeatureVectorizer, ArrayFeatureExtractor.

use std::ops::Range;

use diptych_kernels::reduce::{Extent, Reduction, reduce};

use super::linear::converted;
use super::model::{Computing, Feature, Written, extents};
use super::versions;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step};
use crate::ops::elements::{buffer_bytes, elements_mut, rooms, rooms_bytes};
use crate::ops::mover::{self, Indices, Inputs, Mover, Word};
use crate::run::Disjoint;
use crate::tensor::{Shape, element_count};
use crate::with_dtype;

/// Elements below which a chunk is not worth a thread.
const GRAIN: usize = 1 << 14;

fn unsupported(dtype: DType) -> Planned<Step> {
    Err(Error::unsupported(format!("features of {dtype}")).into())
}

/// A number a feature from a list of one number or one a feature, the last axis.
fn per_feature<T: Copy>(values: &[T], shape: &[usize], what: &str) -> Result<Vec<T>> {
    let features = shape.last().copied().unwrap_or(1);
    match *values {
        [one] => Ok(vec![one; features]),
        _ if values.len() == features => Ok(values.to_vec()),
        _ => {
            let count = values.len();
            Err(Error::shape(format!("{what} has {count} numbers, expected 1 or {features} for X of shape {shape:?}")))
        }
    }
}

struct Scaler {
    offset: Vec<f32>,
    scale: Vec<f32>,
}

// [panel: ai.onnx.ml.Scaler]
impl Scaler {
    fn step<S: Feature>(&self, shape: &[usize]) -> Planned<Step>
    where
        f32: Written<S::Computed>,
    {
        let list = |values: &[f32], what: &str| match values {
            [] => Ok(Vec::new()),
            values => per_feature(values, shape, what).map(|values| converted::<S::Computed>(&values)),
        };
        let (offset, scale) = (list(&self.offset, "offset")?, list(&self.scale, "scale")?);
        let features = shape.last().copied().unwrap_or(1);
        let block = (GRAIN / features.max(1)).max(1);
        let room = buffer_bytes::<S::Computed>(&[block, features])?;
        let rows = element_count(shape)?.checked_div(features).unwrap_or(0);
        KernelStep::new(DType::F32, shape, move |cx| {
            let (isa, x) = (cx.isa(), cx.input::<S>(0));
            let out = Disjoint::new(cx.output::<f32>(0));
            cx.parallel_ranges(rows.div_ceil(block), 1, |blocks, scratch| {
                let [converted, scaled] = rooms(scratch, [room, room]);
                for each in blocks {
                    let range = each * block * features..((each + 1) * block).min(rows) * features;
                    let x = S::computed(isa, &x[range.clone()], &mut elements_mut(converted)[..range.len()]);
                    let scaled = &mut elements_mut::<S::Computed>(scaled)[..range.len()];
                    scaled.copy_from_slice(x);
                    for row in scaled.chunks_exact_mut(features) {
                        row.iter_mut().zip(&offset).for_each(|(x, &offset)| *x = *x - offset);
                        row.iter_mut().zip(&scale).for_each(|(x, &scale)| *x = *x * scale);
                    }
                    // SAFETY: blocks do not overlap.
                    f32::write(isa, scaled, unsafe { out.range(range) });
                }
            })
        })
        .scratch(rooms_bytes(&[room, room])?)
        .into()
    }
}
// [/panel]

impl Operator for Scaler {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        with_dtype!(dtype, S in [F32, F64, I32, I64] => self.step::<S>(cx.shape(0)?), else unsupported(dtype))
    }
}

fn build_scaler(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let offset = cx.floats("offset")?.unwrap_or_default().to_vec();
    let scale = cx.floats("scale")?.unwrap_or_default().to_vec();
    if !offset.is_empty() && !scale.is_empty() && offset.len() != scale.len() {
        let (offset, scale) = (offset.len(), scale.len());
        return Err(Error::shape(format!("offset has {offset} numbers, scale {scale}: expected as many")));
    }
    Ok(Box::new(Scaler { offset, scale }))
}

struct Normalizer {
    norm: Reduction,
}

// [panel: ai.onnx.ml.Normalizer]
impl Normalizer {
    fn step<S: Feature>(&self, shape: &[usize]) -> Planned<Step>
    where
        f32: Written<S::Computed>,
    {
        let (norm, (rows, features)) = (self.norm, extents(shape)?);
        let block = (GRAIN / features.max(1)).clamp(1, 1024);
        let room = buffer_bytes::<S::Computed>(&[block, features])?;
        let sizes = [room, room, buffer_bytes::<S::Computed>(&[block])?];
        KernelStep::new(DType::F32, shape, move |cx| {
            let (isa, x) = (cx.isa(), cx.input::<S>(0));
            let out = Disjoint::new(cx.output::<f32>(0));
            if out.is_empty() {
                return Ok(());
            }
            cx.parallel_ranges(rows.div_ceil(block), 1, |blocks, scratch| {
                let [converted, divided, divisors] = rooms(scratch, sizes);
                for each in blocks {
                    let count = block.min(rows - each * block);
                    let range = each * block * features..(each * block + count) * features;
                    let x = S::computed(isa, &x[range.clone()], &mut elements_mut(converted)[..range.len()]);
                    let divided = &mut elements_mut::<S::Computed>(divided)[..range.len()];
                    let divisors = &mut elements_mut::<S::Computed>(divisors)[..count];
                    let extent = Extent { outer: count, n: features, inner: 1 };
                    // SAFETY: x has that extent and there is a divisor for each row.
                    unsafe { reduce(isa, norm, x.as_ptr(), divisors.as_mut_ptr(), extent, 0..count, 0..1) };
                    divide(x, divisors, divided, features);
                    // SAFETY: blocks do not overlap.
                    f32::write(isa, divided, unsafe { out.range(range) });
                }
            })
        })
        .scratch(rooms_bytes(&sizes)?)
        .into()
    }
}
// [/panel]

/// Each row by its divisor; a row whose divisor is 0 stays.
fn divide<T: Computing>(x: &[T], divisors: &[T], out: &mut [T], features: usize) {
    let rows = x.chunks_exact(features).zip(out.chunks_exact_mut(features));
    for ((x, out), &d) in rows.zip(divisors) {
        if d == T::of(0.0) {
            out.copy_from_slice(x);
        } else {
            out.iter_mut().zip(x).for_each(|(y, &x)| *y = x / d);
        }
    }
}

impl Operator for Normalizer {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        with_dtype!(dtype, S in [F32, F64, I32, I64] => self.step::<S>(cx.shape(0)?), else unsupported(dtype))
    }
}

fn build_normalizer(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let norm = match cx.string("norm")?.unwrap_or("MAX") {
        "MAX" => Reduction::Max,
        "L1" => Reduction::L1,
        "L2" => Reduction::L2,
        other => return Err(Error::invalid_model(format!("norm is '{other}', expected MAX, L1 or L2"))),
    };
    Ok(Box::new(Normalizer { norm }))
}

/// A step that maps each element, given its feature.
fn mapped<T: Element>(shape: &[usize], map: impl Fn(T, usize) -> T + Send + Sync + 'static) -> Planned<Step> {
    let features = shape.last().copied().unwrap_or(1).max(1);
    let grain = (GRAIN / features).max(1);
    KernelStep::new(T::DTYPE, shape, move |cx| {
        let x = cx.input::<T>(0);
        cx.parallel_rows(cx.output::<T>(0), features, grain, |first, out, _| {
            let x = &x[first * features..];
            for (x, out) in x.chunks_exact(features).zip(out.chunks_exact_mut(features)) {
                out.iter_mut().zip(x).enumerate().for_each(|(feature, (y, &x))| *y = map(x, feature));
            }
        })
    })
    .into()
}

struct Imputer {
    floats: Vec<f32>,
    integers: Vec<i64>,
    replaced_float: f32,
    replaced_integer: i64,
}

// [panel: ai.onnx.ml.Imputer]
impl Imputer {
    fn float_step<T: Computing>(&self, shape: &[usize]) -> Planned<Step> {
        let values = per_feature(&converted::<T>(&self.floats), shape, "imputed values")?;
        let replaced = T::of(self.replaced_float.into());
        if self.replaced_float.is_nan() {
            #[allow(clippy::eq_op)] // NaN alone is not itself
            return mapped::<T>(shape, move |x, feature| if x != x { values[feature] } else { x });
        }
        mapped::<T>(shape, move |x, feature| if x == replaced { values[feature] } else { x })
    }

    fn integer_step<T: Element + TryFrom<i64>>(&self, shape: &[usize]) -> Planned<Step>
    where
        i64: From<T>,
    {
        let fit = |&value: &i64| {
            T::try_from(value).map_err(|_| Error::invalid_model(format!("{value} does not fit {}", T::DTYPE)))
        };
        let values = self.integers.iter().map(fit).collect::<Result<Vec<T>>>()?;
        let (values, replaced) = (per_feature(&values, shape, "imputed values")?, self.replaced_integer);
        mapped::<T>(shape, move |x, feature| if i64::from(x) == replaced { values[feature] } else { x })
    }
}
// [/panel]

impl Operator for Imputer {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (dtype, shape) = (cx.dtype(0)?, cx.shape(0)?);
        if dtype.is_float() == self.floats.is_empty() {
            return Err(Error::invalid_model(format!("imputed values of another kind than X, which is {dtype}")).into());
        }
        match dtype {
            DType::F32 => self.float_step::<f32>(shape),
            DType::F64 => self.float_step::<f64>(shape),
            DType::I32 => self.integer_step::<i32>(shape),
            DType::I64 => self.integer_step::<i64>(shape),
            other => unsupported(other),
        }
    }
}

fn build_imputer(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let floats = cx.floats("imputed_value_floats")?.unwrap_or_default().to_vec();
    let integers = cx.ints("imputed_value_int64s")?.unwrap_or_default().to_vec();
    if floats.is_empty() == integers.is_empty() {
        return Err(Error::invalid_model("one of imputed_value_floats and imputed_value_int64s must be given"));
    }
    let replaced_float = cx.float("replaced_value_float", 0.0)?;
    let replaced_integer = cx.int("replaced_value_int64", 0)?;
    Ok(Box::new(Imputer { floats, integers, replaced_float, replaced_integer }))
}

struct Binarizer {
    threshold: f32,
}

// [panel: ai.onnx.ml.Binarizer]
impl Binarizer {
    /// Integers compare exactly: with the greatest integer that is not above the threshold; `None` if none is greater.
    fn whole(&self) -> Option<i128> {
        (!self.threshold.is_nan()).then(|| f64::from(self.threshold).floor() as i128)
    }
}
// [/panel]

impl Operator for Binarizer {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let shape = cx.shape(0)?;
        let (threshold, whole) = (self.threshold, self.whole());
        let least = whole.is_some_and(|whole| whole < i128::from(i64::MIN));
        // Below every integer all are greater; above, none.
        let bound = whole.map_or(i64::MAX, |whole| i64::try_from(whole).unwrap_or(i64::MAX));
        match cx.dtype(0)? {
            DType::F32 => mapped::<f32>(shape, move |x, _| f32::from(u8::from(x > threshold))),
            DType::F64 => mapped::<f64>(shape, move |x, _| f64::from(u8::from(x > f64::from(threshold)))),
            DType::I32 => mapped::<i32>(shape, move |x, _| i32::from(least || i64::from(x) > bound)),
            DType::I64 => mapped::<i64>(shape, move |x, _| i64::from(least || x > bound)),
            other => unsupported(other),
        }
    }
}

struct FeatureVectorizer {
    /// Columns of each input; as many as it has if empty.
    sizes: Vec<usize>,
}

/// Columns of an input, and of the output that are its.
#[derive(Clone, Copy)]
struct Part {
    columns: usize,
    size: usize,
}

// [panel: ai.onnx.ml.FeatureVectorizer]
impl FeatureVectorizer {
    fn parts(&self, cx: &PlanCx<'_>) -> Result<(usize, Vec<Part>)> {
        let count = cx.inputs.len();
        if !self.sizes.is_empty() && self.sizes.len() != count {
            let message = format!("{} inputdimensions for {count} inputs", self.sizes.len());
            return Err(Error::invalid_model(message));
        }
        let (rows, _) = extents(cx.shape(0)?)?;
        let mut parts = Vec::with_capacity(count);
        for input in 0..count {
            let (own, columns) = extents(cx.shape(input)?)?;
            if own != rows {
                return Err(Error::shape(format!("input {input} has {own} rows, expected {rows}")));
            }
            parts.push(Part { columns, size: self.sizes.get(input).copied().unwrap_or(columns) });
        }
        Ok((rows, parts))
    }

    fn step<S: Feature>(&self, cx: &PlanCx<'_>) -> Planned<Step>
    where
        S::Computed: Narrowed,
    {
        let (rows, parts) = self.parts(cx)?;
        let total = parts.iter().try_fold(0usize, |sum, part| sum.checked_add(part.size));
        let total = total.ok_or_else(|| Error::resource_limit("more columns than can be counted"))?;
        element_count(&[rows, total])?;
        let longest = parts.iter().map(|part| part.columns.min(part.size)).max().unwrap_or(0);
        let grain = (GRAIN / total.max(1)).max(1);
        KernelStep::new(DType::F32, [rows, total].as_slice(), move |cx| {
            let (isa, inputs) = (cx.isa(), Inputs::of(cx));
            cx.parallel_rows(cx.output::<f32>(0), total, grain, |first, out, scratch| {
                out.fill(0.0);
                let buffer = elements_mut::<S::Computed>(scratch);
                let mut at = 0;
                for (input, part) in parts.iter().enumerate() {
                    let (x, kept) = (inputs.elements::<S>(input), part.columns.min(part.size));
                    for (row, out) in out.chunks_exact_mut(total).enumerate() {
                        let x = &x[(first + row) * part.columns..][..kept];
                        let x = S::computed(isa, x, &mut buffer[..kept]);
                        out[at..at + kept].iter_mut().zip(x).for_each(|(y, &x)| *y = x.narrowed());
                    }
                    at += part.size;
                }
            })
        })
        .scratch(buffer_bytes::<S::Computed>(&[longest])?)
        .into()
    }
}
// [/panel]

/// Rounded to binary32.
trait Narrowed {
    fn narrowed(self) -> f32;
}
impl Narrowed for f32 {
    fn narrowed(self) -> f32 {
        self
    }
}
impl Narrowed for f64 {
    fn narrowed(self) -> f32 {
        self as f32
    }
}

impl Operator for FeatureVectorizer {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        with_dtype!(dtype, S in [F32, F64, I32, I64] => self.step::<S>(cx), else unsupported(dtype))
    }
}

fn build_vectorizer(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let sizes = cx.ints("inputdimensions")?.unwrap_or_default();
    let size = |&size: &i64| {
        usize::try_from(size).map_err(|_| Error::invalid_model(format!("inputdimensions has {size}, expected a size")))
    };
    Ok(Box::new(FeatureVectorizer { sizes: sizes.iter().map(size).collect::<Result<_>>()? }))
}

struct ArrayFeatureExtractor;

/// Elements of each row at places that input 1 gives.
struct Extract {
    count: usize,
    columns: usize,
}

// [panel: ai.onnx.ml.ArrayFeatureExtractor]
impl Mover for Extract {
    fn check(&self, inputs: Inputs<'_>) -> Result<()> {
        let places = inputs.indices(1, DType::I64);
        let Indices::I64(all) = places else { return Err(Error::internal("indices of 64 bits were planned")) };
        match all.iter().find(|&&place| usize::try_from(place).map_or(true, |place| place >= self.columns)) {
            None => Ok(()),
            Some(place) => Err(Error::invalid_input(format!("index {place} is outside [0, {})", self.columns))),
        }
    }

    fn run<W: Word>(&self, range: Range<usize>, inputs: Inputs<'_>, out: &mut [W]) {
        let (x, places) = (inputs.words::<W>(0), inputs.indices(1, DType::I64));
        for (index, out) in range.zip(out) {
            let (row, k) = (index / self.count, index % self.count);
            *out = x[row * self.columns + places.at(k, self.columns)];
        }
    }
}
// [/panel]

impl Operator for ArrayFeatureExtractor {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (x, count) = (cx.shape(0)?, element_count(cx.shape(1)?)?);
        let Some((&columns, rows)) = x.split_last() else {
            return Err(Error::shape("X is a scalar, expected at least one axis").into());
        };
        let mut shape = Shape::from_slice(if rows.is_empty() { &[1] } else { rows });
        shape.push(count);
        mover::plan(cx.dtype(0)?, &[0], vec![(shape, Extract { count, columns })])
    }
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("Scaler", &[1], build_scaler)
        .chain(versions("Normalizer", &[1], build_normalizer))
        .chain(versions("Imputer", &[1], build_imputer))
        .chain(versions("Binarizer", &[1], |cx| Ok(Box::new(Binarizer { threshold: cx.float("threshold", 0.0)? }))))
        .chain(versions("FeatureVectorizer", &[1], build_vectorizer))
        .chain(versions("ArrayFeatureExtractor", &[1], |_| Ok(Box::new(ArrayFeatureExtractor))))
}
