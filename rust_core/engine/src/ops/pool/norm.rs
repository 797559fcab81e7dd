//! LpPool and GlobalLpPool: the norm of a window, or of all of a channel.

use diptych_kernels::functions::{Float, Stash};
use diptych_kernels::lp::{lp_roots, lp_terms};
use diptych_kernels::pool::{AverageElement, sum_pool};
use diptych_kernels::reduce::{Extent, Reduction, reduce};

use super::{Planes, attributes};
use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::elements::{buffer_bytes, elements_mut, rooms, rooms_bytes};
use crate::ops::windows::WindowAttributes;
use crate::tensor::{Shape, element_count};
use crate::with_dtype;

/// Elements worth a task.
const GRAIN: usize = 8192;

/// The attribute p: a float in version 1, an integer from 2 on.
fn exponent(cx: &BuildCx<'_>) -> Result<f64> {
    let p = if cx.since == 1 { cx.float("p", 2.0)?.into() } else { cx.int("p", 2)? as f64 };
    if p > 0.0 && p.is_finite() {
        Ok(p)
    } else {
        Err(Error::invalid_model(format!("p is {p}, expected a positive number")))
    }
}

struct LpPool {
    attributes: WindowAttributes,
    p: f64,
}

impl Operator for LpPool {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let planes = Planes::new(cx, &self.attributes, dtype)?;
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16] => windows::<T>(planes, self.p)?.into(),
            else Err(Error::unsupported(format!("LpPool of {dtype}")).into())
        )
    }
}

/// The step of an LpPool: each plane's terms, their sums and the roots of those, one plane after the other in a thread.
fn windows<T>(planes: Planes, p: f64) -> Result<KernelStep>
where
    T: Float + Element,
    T::Wide: Stash + Element + AverageElement<Sum = T::Wide> + Default,
{
    let sizes = [buffer_bytes::<T::Wide>(&planes.shape.input)?, buffer_bytes::<T::Wide>(&planes.shape.output)?];
    let scratch = if planes.is_empty() { 0 } else { rooms_bytes(&sizes)? };
    let cost = planes.cost.saturating_mul(2);
    let step = KernelStep::with_outputs([planes.output.clone()], move |cx| {
        if planes.is_empty() {
            return Ok(());
        }
        let (x, isa) = (cx.input::<T>(0), cx.isa());
        let (from, to) = (planes.shape.in_plane(), planes.shape.out_plane());
        cx.parallel_rows(cx.output::<T>(0), to, planes.grain, |first, y, scratch| {
            let [terms, sums] = rooms(scratch, sizes).map(elements_mut::<T::Wide>);
            for (plane, y) in y.chunks_exact_mut(to).enumerate() {
                lp_terms(isa, p, &x[(first + plane) * from..][..from], terms);
                sum_pool(isa, &planes.shape, terms, sums);
                lp_roots(isa, p, sums, y);
            }
        })
    });
    Ok(step.scratch(scratch).cost(cost))
}

struct GlobalLpPool(f64);

impl Operator for GlobalLpPool {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let x = cx.shape(0)?;
        if x.len() < 2 {
            return Err(Error::shape(format!("X has shape {x:?}, expected a rank of at least 2")).into());
        }
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16] => whole::<T>(x, self.0)?.into(),
            else Err(Error::unsupported(format!("GlobalLpPool of {dtype}")).into())
        )
    }
}

/// The step of a GlobalLpPool.
fn whole<T>(x: &[usize], p: f64) -> Result<KernelStep>
where
    T: Float + Element,
    T::Wide: Stash + Element,
{
    let out: Shape = x.iter().enumerate().map(|(axis, &n)| if axis < 2 { n } else { 1 }).collect();
    let n = if element_count(&out)? == 0 { 0 } else { element_count(&x[2..])? };
    let scratch = buffer_bytes::<T::Wide>(&[n])?;
    let cost = (element_count(x)? as u64).saturating_add(100);
    let step = KernelStep::new(T::DTYPE, out, move |cx| {
        let (x, isa) = (cx.input::<T>(0), cx.isa());
        cx.parallel_rows(cx.output::<T>(0), 1, GRAIN / n.max(1), |first, y, scratch| {
            let terms = &mut elements_mut::<T::Wide>(scratch)[..n];
            for (plane, y) in y.iter_mut().enumerate() {
                lp_terms(isa, p, &x[(first + plane) * n..][..n], terms);
                let mut sum = T::Wide::default();
                let extent = Extent { outer: 1, n, inner: 1 };
                // SAFETY: the terms are n numbers, the sum is one.
                unsafe { reduce::<T::Wide>(isa, Reduction::Sum, terms.as_ptr(), &mut sum, extent, 0..1, 0..1) };
                lp_roots(isa, p, &[sum], std::slice::from_mut(y));
            }
        })
    });
    Ok(step.scratch(scratch).cost(cost))
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let attributes = attributes(cx)?;
    if attributes.kernel_shape.is_empty() {
        return Err(Error::invalid_model("attribute 'kernel_shape' is missing"));
    }
    Ok(Box::new(LpPool { attributes, p: exponent(cx)? }))
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    versions("LpPool", &[1, 2, 11, 18, 22], build)
        .chain(versions("GlobalLpPool", &[1, 2, 22], |cx| Ok(Box::new(GlobalLpPool(exponent(cx)?)))))
}
