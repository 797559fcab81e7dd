//! LRN: across channels.

use diptych_kernels::functions::Float;
use diptych_kernels::lrn::{LocalResponse, lrn};

use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::operator::{self, BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step};
use crate::ops::elementwise::Place;
use crate::tensor::Shape;
use crate::with_dtype;

/// Elements worth a thread.
const GRAIN: usize = 4096;

struct Lrn(LocalResponse);

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let size = cx.required("size", cx.opt_int("size")?)?;
    let size = usize::try_from(size).ok().filter(|&size| size > 0).ok_or_else(|| {
        Error::invalid_model(format!("attribute 'size' of LRN is {size}, expected a positive number"))
    })?;
    let (alpha, beta, bias) = (cx.float("alpha", 1e-4)?, cx.float("beta", 0.75)?, cx.float("bias", 1.0)?);
    Ok(Box::new(Lrn(LocalResponse { alpha, beta, bias, size })))
}

impl Operator for Lrn {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let shape = cx.shape(0)?;
        if shape.len() < 2 {
            return Err(Error::shape(format!("X has shape {shape:?}, expected channels on axis 1")).into());
        }
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16] => kernel::<T>(self.0, shape.into()).into(),
            else Err(Error::unsupported(format!("LRN of {dtype}")).into())
        )
    }
}

fn kernel<T: Element + Float>(what: LocalResponse, shape: Shape) -> KernelStep {
    let empty = shape.contains(&0);
    let channels = shape[1];
    let (rows, inner) = if empty { (0, 0) } else { (shape[0] * channels, shape[2..].iter().product()) };
    let cost = (rows * inner) as u64 * 4 + 100;
    KernelStep::new(T::DTYPE, shape, move |cx| {
        let isa = cx.isa();
        let (src, dst) = (Place::input(cx.input_ptr::<T>(0)), Place::output(cx.output_ptr::<T>(0)));
        cx.parallel_ranges(rows, GRAIN / inner.max(1), |rows, _| {
            // SAFETY: rows of the operands' shape, disjoint between threads; input and output are apart.
            unsafe { lrn(isa, what, src.at(0), dst.at(0), (channels, inner), rows) };
        })
    })
    .cost(cost)
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    operator::rows("LRN", &[1, 13], build)
}
