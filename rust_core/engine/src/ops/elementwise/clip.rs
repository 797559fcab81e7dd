//! Clip: `min(max, max(input, min))`.

use diptych_kernels::elementwise::{Binary, Number, Operand, binary};
use diptych_kernels::epilogue::Epilogue;
use diptych_kernels::functions::{Arithmetic, Float};

use super::{GRAIN_BYTES, Place};
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{self, BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step};
use crate::run::KernelCx;
use crate::tensor::{Shape, Value};
use crate::with_dtype;

/// Elements bounded below and then, still in cache, above.
const BLOCK: usize = 2048;

/// Bounds as inputs 1 and 2.
struct Clip;

/// Bounds as attributes.
struct ClipTo {
    bounds: [Option<f32>; 2],
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    if cx.since >= 11 {
        return Ok(Box::new(Clip));
    }
    // Version 6's default bounds are binary32's greatest numbers, whatever the input's type.
    let greatest = (cx.since == 6).then_some(f32::MAX);
    let min = cx.opt_float("min")?.or(greatest.map(|bound| -bound));
    let max = cx.opt_float("max")?.or(greatest);
    Ok(Box::new(ClipTo { bounds: [min, max] }))
}

impl Operator for Clip {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        for (input, name) in [(1, "min"), (2, "max")] {
            if cx.has(input) && cx.shape(input)?.iter().any(|&n| n != 1) {
                return Err(Error::shape(format!("{name} has shape {:?}, expected a scalar", cx.shape(input)?)).into());
            }
        }
        let shape = cx.shape(0)?;
        let epilogue =
            if dtype == DType::F32 { known_bounds(cx)?.and_then(|[min, max]| Epilogue::clamp(min, max)) } else { None };
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64] =>
                kernel::<T>(shape.into(), |cx| [1, 2].map(|input| cx.opt_input::<T>(input).map(|bound| bound[0])))
                    .epilogue(epilogue)
                    .into(),
            else Err(Error::unsupported(format!("Clip of {dtype}")).into())
        )
    }
}

impl Operator for ClipTo {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let shape = cx.shape(0)?;
        let epilogue = if dtype == DType::F32 { Epilogue::clamp(self.bounds[0], self.bounds[1]) } else { None };
        with_dtype!(
            dtype, T in [F32, F64, F16] => {
                let bounds = self.bounds.map(|bound| bound.map(|bound| <T as Float>::narrow(<T as Float>::Wide::from_f32(bound))));
                kernel::<T>(shape.into(), move |_| bounds).epilogue(epilogue).into()
            },
            else Err(Error::unsupported(format!("Clip of {dtype}")).into())
        )
    }
}

/// The bounds of float inputs, if they are known when the step is planned.
fn known_bounds(cx: &PlanCx<'_>) -> Result<Option<[Option<f32>; 2]>> {
    let mut bounds = [None; 2];
    for (input, bound) in (1..).zip(&mut bounds).filter(|&(input, _)| cx.has(input)) {
        let Some(Value::Dense(tensor)) = &cx.info(input)?.value else { return Ok(None) };
        *bound = Some(tensor.aligned()?.as_slice::<f32>()?[0]);
    }
    Ok(Some(bounds))
}

// [panel: Clip]
/// The step, with its bounds (least, greatest) as they are when it runs.
fn kernel<T: Element + Number>(
    shape: Shape,
    bounds: impl Fn(&KernelCx<'_>) -> [Option<T>; 2] + Send + Sync + 'static,
) -> KernelStep {
    let len: usize = shape.iter().product();
    KernelStep::new(T::DTYPE, shape, move |cx| {
        // An absent bound is passed over by taking the input's maximum with itself.
        let [min, max] = bounds(cx);
        let (isa, x, y) = (cx.isa(), Place::input(cx.input_ptr::<T>(0)), Place::output(cx.output_ptr::<T>(0)));
        cx.parallel_ranges(len, GRAIN_BYTES / size_of::<T>() / 2, |range, _| {
            for start in range.clone().step_by(BLOCK) {
                let count = BLOCK.min(range.end - start);
                let operand = |bound: Option<T>, x: *const T| bound.map_or(Operand::Slice(x), Operand::Scalar);
                // SAFETY: the block is inside both; they are the same place or disjoint.
                unsafe {
                    let (x, y) = (x.at(start).cast_const(), y.at(start));
                    binary(isa, Binary::Max, Operand::Slice(x), operand(min, x), y, count);
                    binary(isa, Binary::Min, Operand::Slice(y), operand(max, y), y, count);
                }
            }
        })
    })
    .in_place(&[(0, 0)])
}
// [/panel]

pub(super) fn rows() -> impl Iterator<Item = Row> {
    operator::rows("Clip", &[1, 6, 11, 12, 13], build)
}
