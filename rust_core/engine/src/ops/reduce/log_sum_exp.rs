//! ReduceLogSumExp of integers: in binary64, and back.

use diptych_kernels::integer::Integer;
use diptych_kernels::reduce::{Reduction, reduce};

use super::{GRAIN, Layout};
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{KernelStep, Planned, Step};
use crate::ops::elements::{buffer_bytes, elements_mut, rooms, rooms_bytes};
use crate::ops::elementwise::Place;
use crate::tensor::{Shape, element_count};
use crate::with_dtype;

pub(super) fn integers(dtype: DType, layout: Layout, out: Shape) -> Planned<Step> {
    with_dtype!(
        dtype, T in [I32, I64, U32, U64] => kernel::<T>(layout, out)?.into(),
        else Err(Error::unsupported(format!("ReduceLogSumExp of {dtype}")).into())
    )
}

fn kernel<T: Element + Integer>(layout: Layout, out: Shape) -> Result<KernelStep> {
    let sizes = [buffer_bytes::<f64>(&[layout.reads()])?, buffer_bytes::<f64>(&[element_count(&out)?])?];
    let (cost, scratch) = (layout.reads() as u64 * 4 + 100, layout.gathered().saturating_mul(size_of::<f64>()));
    let workspace = rooms_bytes(&sizes)?;
    let step = KernelStep::new(T::DTYPE, out, move |cx| {
        let (isa, given) = (cx.isa(), cx.input::<T>(0));
        let [x, y] = rooms(cx.workspace(), sizes).map(elements_mut::<f64>);
        cx.parallel_rows(x, 1, GRAIN, |first, x, _| {
            x.iter_mut().zip(&given[first..]).for_each(|(x, &n)| *x = n.to_f64());
        })?;
        let (src, dst) = (Place::input(x.as_ptr()), Place::output(y.as_mut_ptr()));
        layout.each(cx, GRAIN / 8, src, |row, terms, extent, rows, columns| {
            let dst = dst.at(row * extent.inner);
            // SAFETY: the layout's extents are those of the operands, and its pieces of the output are disjoint.
            unsafe { reduce(isa, Reduction::LogSumExp, terms, dst, extent, rows, columns) }
        })?;
        cx.output::<T>(0).iter_mut().zip(&*y).for_each(|(to, &y)| *to = T::from_f64(y));
        Ok(())
    });
    Ok(step.workspace(workspace).scratch(scratch).cost(cost))
}
