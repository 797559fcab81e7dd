//! Softmax and LogSoftmax: the maximum subtracted first, so nothing overflows. Hardmax: where the maximum is.

use diptych_kernels::functions::{Arithmetic, Float};
use diptych_kernels::order::{Ordered, hardmax};
use diptych_kernels::reduce::Extent;
use diptych_kernels::softmax::softmax;

use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::operator::{self, BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step};
use crate::ops::axes::normalize_axis;
use crate::ops::elementwise::Place;
use crate::ops::reduce::{Layout, along};
use crate::tensor::Shape;
use crate::with_dtype;

/// Elements worth a thread.
const GRAIN: usize = 1 << 14;

#[derive(Clone, Copy, PartialEq)]
enum What {
    Softmax,
    LogSoftmax,
    Hardmax,
}

struct Softmax {
    what: What,
    axis: i64,
    since: i64,
}

fn build(cx: &BuildCx<'_>, what: What) -> Result<Box<dyn Operator>> {
    let axis = cx.int("axis", if cx.since < 13 { 1 } else { -1 })?;
    Ok(Box::new(Softmax { what, axis, since: cx.since }))
}

impl Operator for Softmax {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let shape = cx.shape(0)?;
        let extent = if self.since < 13 {
            coerced(shape, self.axis)?
        } else {
            along(shape, normalize_axis(self.axis, shape.len())?)
        };
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16] => match self.what {
                What::Hardmax => one_hot::<T>(extent, shape.into()).into(),
                what => kernel::<T>(what == What::LogSoftmax, extent, shape.into()).into(),
            },
            else Err(Error::unsupported(format!("Softmax of {dtype}")).into())
        )
    }
}

/// The shape as a matrix, `[axes before axis, the others]`, whose rows are the terms; `axis` may be the rank.
fn coerced(shape: &[usize], axis: i64) -> Result<Extent> {
    let rank = shape.len() as i64;
    if !(-rank..=rank).contains(&axis) {
        return Err(Error::shape(format!("axis {axis} is outside [{}, {rank}]", -rank)));
    }
    let split = if axis < 0 { axis + rank } else { axis } as usize;
    let product = |part: &[usize]| if shape.contains(&0) { 0 } else { part.iter().product() };
    Ok(Extent { outer: product(&shape[..split]), n: product(&shape[split..]), inner: 1 })
}

pub(crate) fn kernel<T: Element + Float>(log: bool, extent: Extent, shape: Shape) -> KernelStep {
    let layout = Layout::middle(extent);
    let cost = layout.reads() as u64 + 100;
    KernelStep::new(T::DTYPE, shape, move |cx| {
        let isa = cx.isa();
        let (src, dst) = (Place::input(cx.input_ptr::<T>(0)), Place::output(cx.output_ptr::<T>(0)));
        layout.each(cx, GRAIN, src, |_, src, extent, rows, columns| {
            // SAFETY: the extent is that of both; they are one place or disjoint; the pieces are disjoint.
            unsafe { softmax(isa, log, src, dst.at(0), extent, rows, columns) };
        })
    })
    .in_place(&[(0, 0)])
    .cost(cost)
}

/// 1 at each first maximum.
fn one_hot<T: Element + Float + Ordered>(extent: Extent, shape: Shape) -> KernelStep {
    let Extent { n, inner, .. } = extent;
    let cost = (extent.outer * n * inner) as u64 + 100;
    KernelStep::new(T::DTYPE, shape, move |cx| {
        let (x, one) = (cx.input::<T>(0), T::narrow(T::Wide::from_f32(1.0)));
        cx.parallel_rows(cx.output::<T>(0), n * inner, GRAIN / (n * inner).max(1), |first, out, _| {
            hardmax(&x[first * n * inner..][..out.len()], out, n, inner, one);
        })
    })
    .cost(cost)
}

pub fn rows() -> impl Iterator<Item = Row> {
    const SINCE: &[i64] = &[1, 11, 13];
    operator::rows("Softmax", SINCE, |cx| build(cx, What::Softmax))
        .chain(operator::rows("LogSoftmax", SINCE, |cx| build(cx, What::LogSoftmax)))
        .chain(operator::rows("Hardmax", SINCE, |cx| build(cx, What::Hardmax)))
}
