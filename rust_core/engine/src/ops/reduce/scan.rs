//! CumSum and CumProd.

use diptych_kernels::elementwise::Number;
use diptych_kernels::reduce::Extent;
use diptych_kernels::scan::{Scan, scan};

use super::GRAIN;
use super::extreme::along;
use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::operator::{self, BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step};
use crate::ops::axes::normalize_axis;
use crate::tensor::Shape;
use crate::with_dtype;

struct Running(Scan);

fn build(cx: &BuildCx<'_>, product: bool) -> Result<Box<dyn Operator>> {
    Ok(Box::new(Running(Scan {
        product,
        reverse: cx.int("reverse", 0)? != 0,
        exclusive: cx.int("exclusive", 0)? != 0,
    })))
}

impl Operator for Running {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let shape = cx.shape(0)?;
        let axis = match cx.ints(1)?[..] {
            [axis] => normalize_axis(axis, shape.len())?,
            _ => return Err(Error::shape(format!("axis has shape {:?}, expected a scalar", cx.shape(1)?)).into()),
        };
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16, I32, I64, U32, U64] =>
                kernel::<T>(self.0, along(shape, axis), shape.into()).into(),
            else Err(Error::unsupported(format!("a running sum or product of {dtype}")).into())
        )
    }
}

fn kernel<T: Element + Number>(how: Scan, extent: Extent, shape: Shape) -> KernelStep {
    let row = extent.n * extent.inner;
    let cost = (extent.outer * row) as u64 * 4 + 100;
    KernelStep::new(T::DTYPE, shape, move |cx| {
        let (isa, x) = (cx.isa(), cx.input::<T>(0));
        cx.parallel_rows(cx.output::<T>(0), row, GRAIN / 8 / row.max(1), |first, out, _| {
            for (out, x) in out.chunks_exact_mut(row).zip(x[first * row..].chunks_exact(row)) {
                scan(isa, how, x, out, extent);
            }
        })
    })
    .cost(cost)
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    operator::rows("CumSum", &[11, 14], |cx| build(cx, false))
        .chain(operator::rows("CumProd", &[26], |cx| build(cx, true)))
}
