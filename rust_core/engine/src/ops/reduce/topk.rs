//! TopK.

use diptych_kernels::order::{Ordered, Top, top};
use diptych_kernels::reduce::Extent;

use super::extreme::along;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{self, BuildCx, KernelStep, Operator, OutputType, PlanCx, Planned, Row, Step};
use crate::ops::axes::normalize_axis;
use crate::ops::elementwise::Place;
use crate::tensor::Shape;
use crate::with_dtype;

/// Elements ordered that are worth a thread.
const GRAIN: usize = 4096;

struct TopK {
    axis: i64,
    largest: bool,
    /// Version 1's attribute; later versions have input 1.
    k: Option<i64>,
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let k = if cx.since == 1 { Some(cx.required("k", cx.opt_int("k")?)?) } else { None };
    // Unsorted results are sorted too.
    Ok(Box::new(TopK { axis: cx.int("axis", -1)?, largest: cx.int("largest", 1)? != 0, k }))
}

impl Operator for TopK {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let shape = cx.shape(0)?;
        let axis = normalize_axis(self.axis, shape.len())?;
        let k = match self.k {
            Some(k) => k,
            None => match cx.ints(1)?[..] {
                [k] => k,
                ref other => {
                    return Err(Error::invalid_input(format!("K has {} elements, expected one", other.len())).into());
                }
            },
        };
        let k = usize::try_from(k)
            .ok()
            .filter(|&k| k <= shape[axis])
            .ok_or_else(|| Error::invalid_input(format!("k = {k}, expected a number in 0 .. {}", shape[axis])))?;
        let mut out = Shape::from(shape);
        out[axis] = k;
        let what = Top { k, largest: self.largest };
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64] =>
                kernel::<T>(what, along(shape, axis), out).into(),
            else Err(Error::unsupported(format!("TopK of {dtype}")).into())
        )
    }
}

fn kernel<T: Element + Ordered>(what: Top, extent: Extent, out: Shape) -> KernelStep {
    let Extent { outer, n, inner } = extent;
    let outputs = [OutputType::new(T::DTYPE, out.clone()), OutputType::new(DType::I64, out)];
    KernelStep::with_outputs(outputs, move |cx| {
        let x = cx.input::<T>(0);
        let values = cx.has_output(0).then(|| Place::output(cx.output_ptr::<T>(0)));
        let indices = cx.has_output(1).then(|| Place::output(cx.output_ptr::<i64>(1)));
        cx.parallel_ranges(outer * inner, GRAIN / n.max(1), |range, scratch| {
            // SAFETY: keys and indices are plain integers, of which any bytes are a value.
            let (_, order, _) = unsafe { scratch.align_to_mut::<(T::Key, usize)>() };
            for column in range {
                let (row, column) = (column / inner, column % inner);
                top(what, &x[row * n * inner + column..], inner, &mut order[..n]);
                for (rank, &(_, place)) in order[..what.k].iter().enumerate() {
                    let at = (row * what.k + rank) * inner + column;
                    // SAFETY: inside the outputs, each place written by one thread.
                    unsafe {
                        if let Some(values) = values {
                            values.at(at).write(x[(row * n + place) * inner + column]);
                        }
                        if let Some(indices) = indices {
                            indices.at(at).write(place as i64);
                        }
                    }
                }
            }
        })
    })
    .scratch((n + 1).saturating_mul(size_of::<(T::Key, usize)>()))
    .cost((outer * n * inner) as u64 * 10 + 100)
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    operator::rows("TopK", &[1, 10, 11, 24], build)
}
