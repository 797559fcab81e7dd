//! Det: elimination in binary64, rounded once.

use diptych_kernels::cast::{Source, Target, cast};
use diptych_kernels::determinant::determinant;

use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::operator::{KernelStep, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::elements::{buffer_bytes, elements_mut};
use crate::tensor::element_count;
use crate::with_dtype;

/// Multiply-subtracts worth a thread.
const GRAIN: usize = 1 << 15;

struct Det;

impl Operator for Det {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (dtype, shape) = (cx.dtype(0)?, cx.shape(0)?);
        let (batch, size) = match *shape {
            [ref batch @ .., rows, columns] if rows == columns => (batch, rows),
            _ => return Err(Error::shape(format!("X has shape {shape:?}, expected square matrices [.., M, M]")).into()),
        };
        with_dtype!(dtype, T in [F32, F64, F16, BF16] => kernel::<T>(batch, size)?.into(),
            else Err(Error::unsupported(format!("Det of {dtype}")).into()))
    }
}

fn kernel<T: Element + Source + Target<f64>>(batch: &[usize], size: usize) -> Result<KernelStep>
where
    f64: Target<T::Wide>,
{
    let bytes = if element_count(batch)? == 0 { 0 } else { buffer_bytes::<f64>(&[size, size])? };
    let len = bytes / size_of::<f64>();
    let work = len.saturating_mul(size).max(1);
    let step = KernelStep::new(T::DTYPE, batch, move |cx| {
        let (isa, x) = (cx.isa(), cx.input::<T>(0));
        cx.parallel_rows(cx.output::<T>(0), 1, GRAIN / work, |first, out, scratch| {
            for (i, y) in out.iter_mut().enumerate() {
                let matrix = &mut elements_mut::<f64>(scratch)[..len];
                cast(isa, &x[(first + i) * len..][..len], matrix);
                cast(isa, &[determinant(isa, matrix, size)], std::slice::from_mut(y));
            }
        })
    });
    Ok(step.scratch(bytes).cost(work as u64 / 3 + 100))
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    versions("Det", &[11, 22], |_| Ok(Box::new(Det)))
}
