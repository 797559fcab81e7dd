//! Operators on bit patterns: connectives and shifts of integers, and BitCast. Nothing is rounded.

use crate::broadcast::{Walk, binary_rows};
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::tensor::Shape;
use crate::with_dtype;

/// Elements below which a chunk is not worth a thread.
const GRAIN: usize = 1 << 16;

/// The unsigned type of a number's bits: connectives do not ask for more.
fn word(dtype: DType) -> DType {
    match dtype.bits() {
        8 => DType::U8,
        16 => DType::U16,
        32 => DType::U32,
        _ => DType::U64,
    }
}

/// Binds `$T` to the type of words as wide as `$dtype`.
macro_rules! with_word {
    ($dtype:expr, $T:ident => $body:expr) => {
        with_dtype!(word($dtype), $T in [U8, U16, U32, U64] => $body,
            else Err(Error::unsupported(format!("bits of {}", $dtype)).into()))
    };
}

/// The step `out = f(a, b)` of two inputs whose elements are words `T`.
fn binary<T: Element>(cx: &PlanCx<'_>, f: impl Fn(T, T) -> T + Copy + Send + Sync + 'static) -> Planned<Step> {
    let (walk, shape) = Walk::broadcast([cx.shape(0)?, cx.shape(1)?])?;
    step(cx.dtype(0)?, shape, move |at, out: &mut [T], inputs: [&[T]; 2]| {
        binary_rows(&walk, at..at + out.len(), (inputs[0], inputs[1]), out, f);
    })
}

/// A step whose `body(first, out, inputs)` writes a range of the output.
fn step<T: Element, const N: usize>(
    dtype: DType,
    shape: Shape,
    body: impl Fn(usize, &mut [T], [&[T]; N]) + Send + Sync + 'static,
) -> Planned<Step> {
    KernelStep::new(dtype, shape, move |cx| {
        let inputs: [&[T]; N] = std::array::from_fn(|input| cx.input::<T>(input));
        cx.parallel_rows(cx.output::<T>(0), 1, GRAIN, |first, out, _| body(first, out, inputs))
    })
    .into()
}

#[derive(Clone, Copy)]
enum Connective {
    And,
    Or,
    Xor,
}

struct Bitwise(Connective);

// [panel: BitwiseAnd BitwiseOr BitwiseXor]
impl Operator for Bitwise {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        with_word!(dtype, T => match self.0 {
            Connective::And => binary::<T>(cx, |a, b| a & b),
            Connective::Or => binary::<T>(cx, |a, b| a | b),
            Connective::Xor => binary::<T>(cx, |a, b| a ^ b),
        })
    }
}
// [/panel]

struct Not;

// [panel: BitwiseNot]
impl Operator for Not {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (dtype, shape) = (cx.dtype(0)?, cx.shape(0)?);
        with_word!(dtype, T => step(dtype, shape.into(), |first, out: &mut [T], [x]: [&[T]; 1]| {
            out.iter_mut().zip(&x[first..]).for_each(|(y, &x)| *y = !x);
        }))
    }
}
// [/panel]

struct Shift {
    left: bool,
}

fn build_shift(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    match cx.required("direction", cx.string("direction")?)? {
        "LEFT" => Ok(Box::new(Shift { left: true })),
        "RIGHT" => Ok(Box::new(Shift { left: false })),
        other => Err(Error::invalid_model(format!("direction is '{other}', expected LEFT or RIGHT"))),
    }
}

// [panel: BitShift]
impl Operator for Shift {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        if self.left {
            // As an unsigned number a negative count is a great one.
            return with_word!(dtype, T => binary::<T>(cx, |x, count| {
                if count < T::BITS as T { x << count } else { 0 }
            }));
        }
        if !dtype.is_signed() {
            return with_word!(dtype, T => binary::<T>(cx, |x, count| {
                if count < T::BITS as T { x >> count } else { 0 }
            }));
        }
        with_dtype!(dtype, T in [I8, I16, I32, I64] => binary::<T>(cx, |x, count| {
            let last = T::BITS as T - 1;
            x >> if count < 0 { last } else { count.min(last) }
        }), else Err(Error::unsupported(format!("BitShift of {dtype}")).into()))
    }
}
// [/panel]

struct BitCast {
    to: DType,
}

// [panel: BitCast]
impl Operator for BitCast {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (from, to, shape) = (cx.dtype(0)?, self.to, cx.shape(0)?);
        if from.bits() != to.bits() || to == DType::String {
            let message = format!("BitCast from {from} to {to}: the types must have equally many bits");
            return Err(Error::invalid_model(message).into());
        }
        if from == to {
            return Ok(Step::View { input: 0, shape: shape.into() });
        }
        KernelStep::new(to, shape, |cx| {
            let (from, to, bytes) = (cx.input_ptr::<u8>(0), cx.output_ptr::<u8>(0), cx.slots()[0].bytes);
            if bytes > 0 && !std::ptr::eq(from, to) {
                // SAFETY: both have the bytes of one shape in types of one size; two slots are the same bytes or disjoint.
                unsafe { std::ptr::copy_nonoverlapping(from, to, bytes) };
            }
            Ok(())
        })
        .in_place(&[(0, 0)])
        .into()
    }
}
// [/panel]

fn build_cast(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(BitCast { to: cx.required("to", cx.dtype("to")?)? }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("BitwiseAnd", &[18], |_| Ok(Box::new(Bitwise(Connective::And))))
        .chain(versions("BitwiseOr", &[18], |_| Ok(Box::new(Bitwise(Connective::Or)))))
        .chain(versions("BitwiseXor", &[18], |_| Ok(Box::new(Bitwise(Connective::Xor)))))
        .chain(versions("BitwiseNot", &[18], |_| Ok(Box::new(Not))))
        .chain(versions("BitShift", &[11, 28], build_shift))
        .chain(versions("BitCast", &[26], build_cast))
}
