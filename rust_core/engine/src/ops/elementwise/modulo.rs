//! Mod: the rest of a division rounded down (fmod=0) or toward zero (fmod=1).

use diptych_kernels::integer::{Integer, modulo};
use diptych_kernels::remainder::Remainder;

use crate::broadcast::{Walk, binary_rows};
use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::operator::{self, BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step};
use crate::tensor::Shape;
use crate::with_dtype;

/// Elements worth a thread.
const GRAIN: usize = 4096;

struct Mod {
    since: i64,
    truncates: bool,
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let truncates = match cx.int("fmod", 0)? {
        0 => false,
        1 => true,
        other => return Err(Error::invalid_model(format!("fmod is {other}, expected 0 or 1"))),
    };
    Ok(Box::new(Mod { since: cx.since, truncates }))
}

// [panel: Mod]
impl Operator for Mod {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        if dtype.is_float() && !self.truncates && self.since < 28 {
            return Err(Error::invalid_model("Mod of floats before opset 28 needs fmod=1").into());
        }
        let (walk, shape) = Walk::broadcast([cx.shape(0)?, cx.shape(1)?])?;
        let truncates = self.truncates;
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16] => {
                let rest = if truncates { <T as Remainder>::truncated } else { <T as Remainder>::floored };
                kernel::<T>(walk, shape, rest).into()
            },
            else with_dtype!(
                dtype, T in [I8, I16, I32, I64, U8, U16, U32, U64] => {
                    let rest = if truncates { <T as Integer>::remainder } else { modulo::<T> };
                    kernel::<T>(walk, shape, rest).into()
                },
                else Err(Error::unsupported(format!("Mod of {dtype}")).into())
            )
        )
    }
}
// [/panel]

fn kernel<T: Element>(walk: Walk<2>, shape: Shape, rest: fn(T, T) -> T) -> KernelStep {
    let cost = walk.len() as u64 * 5 + 100;
    KernelStep::new(T::DTYPE, shape, move |cx| {
        let operands = (cx.input::<T>(0), cx.input::<T>(1));
        cx.parallel_rows(cx.output::<T>(0), 1, GRAIN, |first, out, _| {
            binary_rows(&walk, first..first + out.len(), operands, out, rest);
        })
    })
    .cost(cost)
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    operator::rows("Mod", &[10, 13, 28], build)
}
