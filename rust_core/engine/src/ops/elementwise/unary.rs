//! Functions of one number.

use diptych_kernels::epilogue::Epilogue;
use diptych_kernels::functions::{Float, Unary, unary};
use diptych_kernels::integer::{self, Integer};

use super::Place;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{self, KernelStep, Operator, PlanCx, Planned, Row, Step};
use crate::tensor::Shape;
use crate::with_dtype;

/// Nanoseconds of work worth a thread.
const GRAIN_NS: usize = 20_000;

/// Picoseconds that one binary32 of this function takes: a guess, for splitting work.
fn picoseconds(op: Unary) -> usize {
    match op {
        Unary::Sin | Unary::Cos | Unary::Tan => 2000,
        Unary::Acos | Unary::Asin | Unary::Atan | Unary::Acosh | Unary::Asinh | Unary::Atanh => 1500,
        Unary::Cosh | Unary::Sinh => 1500,
        Unary::Mish => 1000,
        Unary::Log | Unary::Softplus | Unary::Erf | Unary::Tanh | Unary::Sigmoid => 500,
        Unary::Gelu | Unary::GeluTanh | Unary::Swish { .. } | Unary::Celu { .. } => 500,
        Unary::Exp | Unary::Elu { .. } | Unary::Selu { .. } => 300,
        Unary::Sqrt | Unary::Reciprocal | Unary::Softsign => 300,
        _ => 100,
    }
}

/// A function of floats alone.
pub(crate) struct UnaryFloat(Unary);

impl UnaryFloat {
    pub(crate) fn build(op: Unary) -> Result<Box<dyn Operator>> {
        Ok(Box::new(UnaryFloat(op)))
    }
}

impl Operator for UnaryFloat {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        plan_unary(self.0, cx.dtype(0)?, cx.shape(0)?)
    }
}

/// The step `op(x)` of a float input.
pub(crate) fn plan_unary(op: Unary, dtype: DType, shape: &[usize]) -> Planned<Step> {
    with_dtype!(
        dtype, T in [F32, F64, F16, BF16] => kernel::<T>(op, shape.into()).into(),
        else Err(Error::unsupported(format!("{op:?} of {dtype}")).into())
    )
}

fn kernel<T: Element + Float>(op: Unary, shape: Shape) -> KernelStep {
    let len: usize = shape.iter().product();
    let each = picoseconds(op) * if size_of::<T>() == 8 { 3 } else { 1 };
    KernelStep::new(T::DTYPE, shape, move |cx| {
        let (isa, x, y) = (cx.isa(), Place::input(cx.input_ptr::<T>(0)), Place::output(cx.output_ptr::<T>(0)));
        cx.parallel_ranges(len, GRAIN_NS * 1000 / each, |range, _| {
            // SAFETY: the range is inside both; they are the same place or disjoint, and ranges do not overlap.
            unsafe { unary(isa, op, x.at(range.start), y.at(range.start), range.len()) };
        })
    })
    .in_place(&[(0, 0)])
    .epilogue((op == Unary::Relu && T::DTYPE == DType::F32).then(Epilogue::relu))
    .cost((len as u64).saturating_mul(each as u64) / 1000 + 100)
}

fn integer_kernel<T: Element + Integer>(op: integer::Unary, shape: Shape) -> KernelStep {
    let len: usize = shape.iter().product();
    KernelStep::new(T::DTYPE, shape, move |cx| {
        let (isa, x, y) = (cx.isa(), Place::input(cx.input_ptr::<T>(0)), Place::output(cx.output_ptr::<T>(0)));
        cx.parallel_ranges(len, super::GRAIN_BYTES / size_of::<T>(), |range, _| {
            // SAFETY: as in `kernel`.
            unsafe { integer::unary(isa, op, x.at(range.start), y.at(range.start), range.len()) };
        })
    })
    .in_place(&[(0, 0)])
}

/// Abs, Neg, Sign: of floats and integers.
struct UnaryNumber {
    float: Unary,
    integer: integer::Unary,
}

fn build_number(float: Unary, integer: integer::Unary) -> Result<Box<dyn Operator>> {
    Ok(Box::new(UnaryNumber { float, integer }))
}

impl Operator for UnaryNumber {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let shape = cx.shape(0)?;
        with_dtype!(
            dtype, T in [I8, I16, I32, I64, U8, U16, U32, U64] => integer_kernel::<T>(self.integer, shape.into()).into(),
            else plan_unary(self.float, dtype, shape)
        )
    }
}

/// Erf, which version 9 has for integers too: in binary64, then toward zero.
struct Erf;

impl Operator for Erf {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let shape = cx.shape(0)?;
        with_dtype!(
            dtype, T in [I8, I16, I32, I64, U8, U16, U32, U64] => through_f64::<T>(Unary::Erf, shape.into()).into(),
            else plan_unary(Unary::Erf, dtype, shape)
        )
    }
}

/// `op` of integers, in binary64, then toward zero.
fn through_f64<T: Element + Integer>(op: Unary, shape: Shape) -> KernelStep {
    const BLOCK: usize = 256;
    let len: usize = shape.iter().product();
    KernelStep::new(T::DTYPE, shape, move |cx| {
        let (isa, x) = (cx.isa(), cx.input::<T>(0));
        cx.parallel_rows(cx.output::<T>(0), 1, GRAIN_NS, |first, out, _| {
            let mut wide = [0.0f64; BLOCK];
            for (out, x) in out.chunks_mut(BLOCK).zip(x[first..].chunks(BLOCK)) {
                let wide = &mut wide[..out.len()];
                wide.iter_mut().zip(x).for_each(|(wide, x)| *wide = x.to_f64());
                // SAFETY: in place on the whole slice.
                unsafe { unary(isa, op, wide.as_ptr(), wide.as_mut_ptr(), wide.len()) };
                out.iter_mut().zip(wide).for_each(|(out, wide)| *out = T::from_f64(*wide));
            }
        })
    })
    .cost(len as u64 * 2 + 100)
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    const OLD: &[i64] = &[1, 6, 13];
    operator::rows("Abs", OLD, |_| build_number(Unary::Abs, integer::Unary::Abs))
        .chain(operator::rows("Neg", OLD, |_| build_number(Unary::Neg, integer::Unary::Neg)))
        .chain(operator::rows("Sign", &[9, 13], |_| build_number(Unary::Sign, integer::Unary::Sign)))
        .chain(operator::rows("Sqrt", OLD, |_| UnaryFloat::build(Unary::Sqrt)))
        .chain(operator::rows("Reciprocal", OLD, |_| UnaryFloat::build(Unary::Reciprocal)))
        .chain(operator::rows("Exp", OLD, |_| UnaryFloat::build(Unary::Exp)))
        .chain(operator::rows("Log", OLD, |_| UnaryFloat::build(Unary::Log)))
        .chain(operator::rows("Floor", OLD, |_| UnaryFloat::build(Unary::Floor)))
        .chain(operator::rows("Ceil", OLD, |_| UnaryFloat::build(Unary::Ceil)))
        .chain(operator::rows("Round", &[11, 22], |_| UnaryFloat::build(Unary::Round)))
        .chain(operator::rows("Sin", &[7, 22], |_| UnaryFloat::build(Unary::Sin)))
        .chain(operator::rows("Cos", &[7, 22], |_| UnaryFloat::build(Unary::Cos)))
        .chain(operator::rows("Tan", &[7, 22], |_| UnaryFloat::build(Unary::Tan)))
        .chain(operator::rows("Asin", &[7, 22], |_| UnaryFloat::build(Unary::Asin)))
        .chain(operator::rows("Acos", &[7, 22], |_| UnaryFloat::build(Unary::Acos)))
        .chain(operator::rows("Atan", &[7, 22], |_| UnaryFloat::build(Unary::Atan)))
        .chain(operator::rows("Sinh", &[9, 22], |_| UnaryFloat::build(Unary::Sinh)))
        .chain(operator::rows("Cosh", &[9, 22], |_| UnaryFloat::build(Unary::Cosh)))
        .chain(operator::rows("Asinh", &[9, 22], |_| UnaryFloat::build(Unary::Asinh)))
        .chain(operator::rows("Acosh", &[9, 22], |_| UnaryFloat::build(Unary::Acosh)))
        .chain(operator::rows("Atanh", &[9, 22], |_| UnaryFloat::build(Unary::Atanh)))
        .chain(operator::rows("Erf", &[9, 13], |_| Ok(Box::new(Erf))))
}
