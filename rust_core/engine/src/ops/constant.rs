//! Constant, ConstantOfShape, EyeLike, Range: tensors made from attributes, shapes and bounds.

use std::ops::Range as Span;

use half::{bf16, f16};

use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::graph::Attribute;
use crate::operator::{BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::axes::introduced;
use crate::ops::mover::{self, Inputs, Mover, Word};
use crate::ops::shape::{check_vector, dimensions};
use crate::ops::sub_byte;
use crate::tensor::{Strings, Tensor, Value, element_count};
use crate::with_dtype;

struct Constant(Value);

// [panel: Constant]
impl Operator for Constant {
    fn plan(&self, _: &PlanCx<'_>) -> Planned<Step> {
        let value = self.0.clone();
        Step::values(move |_| Ok(vec![value.clone()]))
    }
}
// [/panel]

/// The value of a Constant node's one attribute.
fn attribute_value(attribute: &Attribute) -> Result<Value> {
    let strings = |shape: &[usize], texts: &[String]| {
        Value::Strings(Strings { shape: shape.into(), data: texts.iter().map(|text| text.as_str().into()).collect() })
    };
    Ok(match attribute {
        Attribute::Tensor(value) => value.clone(),
        Attribute::Int(value) => Tensor::scalar(*value)?.into(),
        Attribute::Float(value) => Tensor::scalar(*value)?.into(),
        Attribute::String(value) => strings(&[], std::slice::from_ref(value)),
        Attribute::Ints(values) => Tensor::from_slice(&[values.len()], values)?.into(),
        Attribute::Floats(values) => Tensor::from_slice(&[values.len()], values)?.into(),
        Attribute::Strings(values) => strings(&[values.len()], values),
        _ => {
            return Err(Error::invalid_model(
                "the attribute of Constant is neither a tensor nor a number nor a string",
            ));
        }
    })
}

fn build_constant(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let mut attributes = cx.node.attributes.values();
    match (attributes.next(), attributes.next()) {
        (Some(attribute), None) => Ok(Box::new(Constant(attribute_value(attribute)?))),
        _ => Err(Error::invalid_model(format!("Constant needs one attribute, got {}", cx.node.attributes.len()))),
    }
}

struct ConstantOfShape {
    dtype: DType,
    bits: u64,
}

/// One element everywhere.
struct Fill(u64);

// [panel: ConstantOfShape]
impl Mover for Fill {
    fn run<W: Word>(&self, _: Span<usize>, _: Inputs<'_>, out: &mut [W]) {
        out.fill(W::from_bits(self.0));
    }
}
// [/panel]

impl Operator for ConstantOfShape {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        check_vector(cx, 0)?;
        let shape = dimensions(&cx.ints(0)?)?;
        mover::plan(self.dtype, &[], vec![(shape, Fill(self.bits))])
    }
}

fn build_constant_of_shape(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let Some(value) = cx.tensor("value")? else {
        return Ok(Box::new(ConstantOfShape { dtype: DType::F32, bits: 0 }));
    };
    let tensor = value.as_dense().filter(|tensor| {
        let dtype = tensor.dtype();
        tensor.element_count() == 1 && introduced(dtype) <= cx.since && !matches!(dtype, DType::C64 | DType::C128)
    });
    let tensor = tensor.ok_or_else(|| {
        Error::invalid_model(format!("value is {}, expected one element of a type of its version", value.describe()))
    })?;
    let dtype = tensor.dtype();
    let mut bytes = [0; 8];
    if dtype.bits() < 8 {
        bytes[0] = sub_byte::unpack(tensor.bytes(), dtype.bits(), 1)[0];
    } else {
        bytes[..tensor.byte_len()].copy_from_slice(tensor.bytes());
    }
    Ok(Box::new(ConstantOfShape { dtype, bits: u64::from_le_bytes(bytes) }))
}

struct EyeLike {
    dtype: Option<DType>,
    k: i64,
}

/// Rows of `columns`: `one` at `(i, i + k)`, else zero.
struct Diagonal {
    one: u64,
    columns: usize,
    k: i64,
}

// [panel: EyeLike]
impl Mover for Diagonal {
    fn run<W: Word>(&self, range: Span<usize>, _: Inputs<'_>, out: &mut [W]) {
        out.fill(W::default());
        for row in range.start / self.columns..range.end.div_ceil(self.columns) {
            let column =
                usize::try_from(self.k.saturating_add(row as i64)).ok().filter(|&column| column < self.columns);
            if let Some(column) = column
                && range.contains(&(row * self.columns + column))
            {
                out[row * self.columns + column - range.start] = W::from_bits(self.one);
            }
        }
    }
}
// [/panel]

impl Operator for EyeLike {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = self.dtype.unwrap_or(cx.dtype(0)?);
        let &[_, columns] = cx.shape(0)? else {
            return Err(Error::shape(format!("shape {:?}, expected two dimensions", cx.shape(0)?)).into());
        };
        let one = one_bits(dtype).ok_or_else(|| Error::invalid_model(format!("there is no matrix of {dtype}")))?;
        let diagonal = Diagonal { one, columns, k: self.k };
        match mover::plan(dtype, &[], vec![(cx.shape(0)?.into(), diagonal)])? {
            Step::Kernel(step) => step.packed(&[0]).into(),
            other => Ok(other),
        }
    }
}

/// The bits of the number 1, of numeric types and bool.
pub fn one_bits(dtype: DType) -> Option<u64> {
    match dtype {
        DType::F32 => Some(1f32.to_bits().into()),
        DType::F64 => Some(1f64.to_bits()),
        DType::F16 => Some(f16::ONE.to_bits().into()),
        DType::BF16 => Some(bf16::ONE.to_bits().into()),
        dtype if dtype.is_integer() || dtype == DType::Bool => Some(1),
        _ => None,
    }
}

fn build_eye(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(EyeLike { dtype: output_type(cx)?, k: cx.int("k", 0)? }))
}

/// The attribute `dtype`, of a type that the version knows.
pub fn output_type(cx: &BuildCx<'_>) -> Result<Option<DType>> {
    let dtype = cx.dtype("dtype")?;
    match dtype.filter(|&dtype| introduced(dtype) > cx.since) {
        None => Ok(dtype),
        Some(dtype) => Err(Error::invalid_model(format!("dtype is {dtype}, which version {} does not have", cx.since))),
    }
}

struct Range;

/// A type that Range counts in: element `i` is `rn(start + rn(i * delta))`.
trait Countable: Element {
    fn element(start: Self, i: usize, delta: Self) -> Self;
    /// How many elements lie before `limit`; an error for a delta of 0 or a length that is not finite.
    fn count(start: Self, limit: Self, delta: Self) -> Result<u128>;
}

macro_rules! countable_integers {
    ($($type:ty),*) => {$(
        impl Countable for $type {
            fn element(start: Self, i: usize, delta: Self) -> Self {
                start.wrapping_add((i as $type).wrapping_mul(delta))
            }
            fn count(start: Self, limit: Self, delta: Self) -> Result<u128> {
                if delta == 0 {
                    return Err(Error::invalid_input("delta of Range is 0"));
                }
                let (distance, delta) = (i128::from(limit) - i128::from(start), i128::from(delta));
                let (distance, step) = if delta < 0 { (-distance, -delta) } else { (distance, delta) };
                Ok(if distance <= 0 { 0 } else { (distance as u128).div_ceil(step as u128) })
            }
        }
    )*};
}
countable_integers!(i16, i32, i64);

macro_rules! countable_floats {
    ($($type:ty, $wide:ty: $narrow:expr;)*) => {$(
        impl Countable for $type {
            fn element(start: Self, i: usize, delta: Self) -> Self {
                $narrow(<$wide>::from(start) + i as $wide * <$wide>::from(delta))
            }
            fn count(start: Self, limit: Self, delta: Self) -> Result<u128> {
                count_floats(f64::from(start), f64::from(limit), f64::from(delta))
            }
        }
    )*};
}
countable_floats! {
    f32, f32: |x| x;
    f64, f64: |x| x;
    f16, f32: f16::from_f32;
    bf16, f32: bf16::from_f32;
}

fn count_floats(start: f64, limit: f64, delta: f64) -> Result<u128> {
    let steps = ((limit - start) / delta).ceil();
    if delta == 0.0 || !steps.is_finite() {
        let message = format!("a range from {start} to {limit} by {delta} has no finite length");
        return Err(Error::invalid_input(message));
    }
    Ok(steps.max(0.0) as u128)
}

// [panel: Range]
fn progression<T: Countable>(cx: &PlanCx<'_>) -> Planned<Step> {
    let (start, limit, delta) = (cx.scalar::<T>(0)?, cx.scalar::<T>(1)?, cx.scalar::<T>(2)?);
    let count = T::count(start, limit, delta)?;
    let count = usize::try_from(count).map_err(|_| Error::resource_limit(format!("Range has {count} elements")))?;
    element_count(&[count])?;
    KernelStep::new(T::DTYPE, [count].as_slice(), move |cx| {
        cx.parallel_rows(cx.output::<T>(0), 1, 1 << 14, |first, out, _| {
            out.iter_mut().enumerate().for_each(|(i, o)| *o = T::element(start, first + i, delta));
        })
    })
    .into()
}
// [/panel]

impl Operator for Range {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        with_dtype!(cx.dtype(0)?, T in [F32, F64, F16, BF16, I16, I32, I64] => progression::<T>(cx),
            else Err(Error::unsupported(format!("Range of {}", cx.dtype(0)?)).into()))
    }
}

fn build_range(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    if cx.int("stash_type", 1)? != 1 {
        return Err(Error::unsupported("stash_type of Range must be 1 (float)"));
    }
    Ok(Box::new(Range))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("Constant", &[1, 9, 11, 12, 13, 19, 21, 23, 24, 25], build_constant)
        .chain(versions("ConstantOfShape", &[9, 20, 21, 23, 24, 25], build_constant_of_shape))
        .chain(versions("EyeLike", &[9, 22], build_eye))
        .chain(versions("Range", &[11, 27], build_range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_count_to_the_limit() {
        assert_eq!(i64::count(5, 1, 1).unwrap(), 0);
        assert_eq!(i32::count(10, 4, -2).unwrap(), 3);
        assert_eq!(i64::count(i64::MIN, i64::MAX, 1).unwrap(), u64::MAX.into());
        assert_eq!(f32::count(1.0, 2.0, 0.3).unwrap(), 4);
        assert!(f64::count(0.0, f64::NAN, 1.0).is_err() && i16::count(0, 1, 0).is_err());
        assert_eq!(i16::element(i16::MAX, 1, 1), i16::MIN);
    }
}
