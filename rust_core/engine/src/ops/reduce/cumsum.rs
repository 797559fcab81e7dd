//! CumSum.

use diptych_kernels::elementwise::Number;
use diptych_kernels::reduce::Extent;
use diptych_kernels::scan::{Direction, running_sum};

use super::GRAIN;
use super::extreme::along;
use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::operator::{self, BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step};
use crate::ops::axes::normalize_axis;
use crate::tensor::Shape;
use crate::with_dtype;

struct CumSum(Direction);

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let direction = Direction { reverse: cx.int("reverse", 0)? != 0, exclusive: cx.int("exclusive", 0)? != 0 };
    Ok(Box::new(CumSum(direction)))
}

impl Operator for CumSum {
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
            else Err(Error::unsupported(format!("CumSum of {dtype}")).into())
        )
    }
}

fn kernel<T: Element + Number>(direction: Direction, extent: Extent, shape: Shape) -> KernelStep {
    let row = extent.n * extent.inner;
    let cost = (extent.outer * row) as u64 * 4 + 100;
    KernelStep::new(T::DTYPE, shape, move |cx| {
        let (isa, x) = (cx.isa(), cx.input::<T>(0));
        cx.parallel_rows(cx.output::<T>(0), row, GRAIN / 8 / row.max(1), |first, out, _| {
            for (out, x) in out.chunks_exact_mut(row).zip(x[first * row..].chunks_exact(row)) {
                running_sum(isa, direction, x, out, extent);
            }
        })
    })
    .cost(cost)
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    operator::rows("CumSum", &[11, 14], build)
}
