//! ArgMax and ArgMin.

use diptych_kernels::order::{Extreme, Ordered, extreme_index};
use diptych_kernels::reduce::Extent;

use super::GRAIN;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{self, BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step};
use crate::ops::axes::normalize_axis;
use crate::tensor::Shape;
use crate::with_dtype;

struct ExtremeIndex {
    what: Extreme,
    axis: i64,
    keepdims: bool,
}

fn build(cx: &BuildCx<'_>, greatest: bool) -> Result<Box<dyn Operator>> {
    let what = Extreme { greatest, last: cx.int("select_last_index", 0)? != 0 };
    Ok(Box::new(ExtremeIndex { what, axis: cx.int("axis", 0)?, keepdims: cx.int("keepdims", 1)? != 0 }))
}

impl Operator for ExtremeIndex {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let shape = cx.shape(0)?;
        let axis = normalize_axis(self.axis, shape.len())?;
        if shape[axis] == 0 {
            return Err(Error::shape(format!("axis {axis} of shape {shape:?} is empty, so it has no extreme")).into());
        }
        let (extent, mut out) = (along(shape, axis), Shape::from(shape));
        if self.keepdims {
            out[axis] = 1;
        } else {
            out.remove(axis);
        }
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64] =>
                kernel::<T>(self.what, extent, out).into(),
            else Err(Error::unsupported(format!("ArgMax and ArgMin of {dtype}")).into())
        )
    }
}

/// The shape as `[outer, n, inner]` around one axis.
pub(crate) fn along(shape: &[usize], axis: usize) -> Extent {
    // A product of lengths beside a 0 may not fit a usize, and there is no element.
    let empty = shape.contains(&0);
    let around = |part: &[usize]| if empty { 0 } else { part.iter().product() };
    Extent { outer: around(&shape[..axis]), n: shape[axis], inner: around(&shape[axis + 1..]) }
}

fn kernel<T: Element + Ordered>(what: Extreme, extent: Extent, out: Shape) -> KernelStep {
    let cost = (extent.outer * extent.n * extent.inner) as u64 + 100;
    KernelStep::new(DType::I64, out, move |cx| {
        let data = cx.input::<T>(0);
        cx.parallel_rows(
            cx.output::<i64>(0),
            extent.inner,
            GRAIN / 2 / (extent.n * extent.inner).max(1),
            |first, out, _| {
                let rows = first..first + out.len() / extent.inner;
                extreme_index(what, data, out, extent, rows);
            },
        )
    })
    .cost(cost)
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    const SINCE: &[i64] = &[1, 11, 12, 13];
    operator::rows("ArgMax", SINCE, |cx| build(cx, true)).chain(operator::rows("ArgMin", SINCE, |cx| build(cx, false)))
}
