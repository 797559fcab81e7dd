//! Pow: in the type of the base, with an exponent of any type.

use diptych_kernels::Isa;
use diptych_kernels::functions::{Float, power};
use diptych_kernels::integer::{self, Integer};
use half::{bf16, f16};

use super::binary::{Legacy, plan_square};
use crate::broadcast::{Walk, binary_rows};
use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::operator::{self, BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step};
use crate::tensor::{Shape, Value};
use crate::with_dtype;

/// Elements that are computed at a time in binary64.
const BLOCK: usize = 256;
/// Elements worth a thread.
const GRAIN: usize = 8192;

struct Pow {
    legacy: Option<Legacy>,
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let legacy = if cx.since == 1 { Some(Legacy::build(cx)?) } else { None };
    Ok(Box::new(Pow { legacy }))
}

impl Operator for Pow {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (base, exponent) = (cx.dtype(0)?, cx.dtype(1)?);
        let (a, b) = (cx.shape(0)?, cx.shape(1)?);
        if self.legacy.is_none() && base.is_float() && b.len() <= a.len() && is_two(cx)? {
            return plan_square(base, a);
        }
        let (walk, out) = match self.legacy {
            Some(legacy) => Walk::broadcast([a, &legacy.align(a, b)?])?,
            None => Walk::broadcast([a, b])?,
        };
        let unsupported = || Err(Error::unsupported(format!("Pow of {base} and {exponent}")).into());
        with_dtype!(
            base, T in [F32, F64, F16, BF16] => with_dtype!(
                exponent, E in [F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64] => floats::<T, E>(walk, out).into(),
                else unsupported()
            ),
            else with_dtype!(
                base, T in [I32, I64] => with_dtype!(
                    exponent, E in [I8, I16, I32, I64, U8, U16, U32, U64] => integers::<T, E>(walk, out).into(),
                    else with_dtype!(
                        exponent, E in [F32, F64, F16, BF16] => mixed::<T, E>(walk, out).into(),
                        else unsupported()
                    )
                ),
                else unsupported()
            )
        )
    }
}

/// Whether the exponent is known to be the number 2, of which the power is a product.
fn is_two(cx: &PlanCx<'_>) -> Result<bool> {
    let Some(Value::Dense(tensor)) = &cx.info(1)?.value else { return Ok(false) };
    if tensor.element_count() != 1 {
        return Ok(false);
    }
    let tensor = tensor.aligned()?;
    with_dtype!(
        tensor.dtype(), E in [F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64] =>
            Ok(tensor.as_slice::<E>()?[0].to_binary64() == 2.0),
        else Ok(false)
    )
}

/// A number as an exponent.
trait ToBinary64: Copy {
    fn to_binary64(self) -> f64;
}

macro_rules! to_binary64 {
    ($($type:ty: |$x:ident| $body:expr;)*) => {$(impl ToBinary64 for $type {
        #[inline(always)]
        fn to_binary64(self) -> f64 { let $x = self; $body }
    })*};
}
to_binary64! {
    f32: |x| x.into(); f64: |x| x; f16: |x| x.to_f64(); bf16: |x| x.to_f64();
    i8: |x| x.into(); i16: |x| x.into(); i32: |x| x.into(); i64: |x| x as f64;
    u8: |x| x.into(); u16: |x| x.into(); u32: |x| x.into(); u64: |x| x as f64;
}

/// Fills `out` with the row of `x` that starts at `offset`.
fn gather<S: Copy, D>(x: &[S], offset: usize, stride: isize, out: &mut [D], convert: impl Fn(S) -> D) {
    if stride == 0 {
        out.iter_mut().for_each(|out| *out = convert(x[offset]));
    } else {
        out.iter_mut().zip(&x[offset..]).for_each(|(out, &x)| *out = convert(x));
    }
}

/// `out = base ^ exponent` for both gathered.
fn raise<T: Float>(isa: Isa, base: &[T], exponent: &[f64], out: &mut [T]) {
    debug_assert!(base.len() == out.len() && exponent.len() == out.len());
    // SAFETY: three slices of one length.
    unsafe { power(isa, base.as_ptr(), exponent.as_ptr(), out.as_mut_ptr(), out.len()) };
}

fn floats<T: Element + Float, E: Element + ToBinary64>(walk: Walk<2>, out: Shape) -> KernelStep {
    let cost = walk.len() as u64 * 3 + 100;
    KernelStep::new(T::DTYPE, out, move |cx| {
        let (isa, x, y) = (cx.isa(), cx.input::<T>(0), cx.input::<E>(1));
        let [x_stride, y_stride] = walk.row_strides();
        cx.parallel_rows(cx.output::<T>(0), 1, GRAIN, |first, out, _| {
            let (mut bases, mut exponents) = ([T::default(); BLOCK], [0.0; BLOCK]);
            for (index, out) in out.chunks_mut(BLOCK).enumerate() {
                let start = first + index * BLOCK;
                walk.rows(start..start + out.len(), |at, len, [xo, yo]| {
                    let piece = at - start..at - start + len;
                    gather(x, xo, x_stride, &mut bases[piece.clone()], |x| x);
                    gather(y, yo, y_stride, &mut exponents[piece], E::to_binary64);
                });
                raise(isa, &bases[..out.len()], &exponents[..out.len()], out);
            }
        })
    })
    .cost(cost)
}

/// Integers to floating powers: in binary64, then toward zero.
fn mixed<T: Element + Integer, E: Element + ToBinary64>(walk: Walk<2>, out: Shape) -> KernelStep {
    let cost = walk.len() as u64 * 10 + 100;
    KernelStep::new(T::DTYPE, out, move |cx| {
        let (isa, x, y) = (cx.isa(), cx.input::<T>(0), cx.input::<E>(1));
        let [x_stride, y_stride] = walk.row_strides();
        cx.parallel_rows(cx.output::<T>(0), 1, GRAIN, |first, out, _| {
            let (mut bases, mut exponents, mut powers) = ([0.0f64; BLOCK], [0.0; BLOCK], [0.0; BLOCK]);
            for (index, out) in out.chunks_mut(BLOCK).enumerate() {
                let start = first + index * BLOCK;
                walk.rows(start..start + out.len(), |at, len, [xo, yo]| {
                    let piece = at - start..at - start + len;
                    gather(x, xo, x_stride, &mut bases[piece.clone()], T::to_f64);
                    gather(y, yo, y_stride, &mut exponents[piece], E::to_binary64);
                });
                raise(isa, &bases[..out.len()], &exponents[..out.len()], &mut powers[..out.len()]);
                out.iter_mut().zip(&powers).for_each(|(out, &power)| *out = T::from_f64(power));
            }
        })
    })
    .cost(cost)
}

fn integers<T: Element + Integer, E: Element + Integer>(walk: Walk<2>, out: Shape) -> KernelStep {
    let cost = walk.len() as u64 * 5 + 100;
    KernelStep::new(T::DTYPE, out, move |cx| {
        let (x, y) = (cx.input::<T>(0), cx.input::<E>(1));
        cx.parallel_rows(cx.output::<T>(0), 1, GRAIN, |first, out, _| {
            binary_rows(&walk, first..first + out.len(), (x, y), out, integer::power::<T, E>);
        })
    })
    .cost(cost)
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    operator::rows("Pow", &[1, 7, 12, 13, 15], build)
}
