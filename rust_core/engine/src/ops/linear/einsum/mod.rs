//! Einsum: two operands at a time from the left (docs/numerics.md, section 4).
//!
//! Planning turns an equation into stages: gathering an operand into another order of axes (or into the type that is
//! computed in), sums over axes of one operand, products of two. Operands are views with a stride an axis, so that most
//! products read their inputs as they lie. The order of arithmetic follows from the equation alone; the order of axes in
//! memory is free.

mod equation;
mod plan;
mod run;

use crate::error::{Error, Result};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::matmul;
use crate::with_dtype;
use equation::Equation;
use plan::Plan;

struct Einsum {
    equation: Equation,
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let equation = Equation::parse(cx.required("equation", cx.string("equation")?)?)?;
    Ok(Box::new(Einsum { equation }))
}

impl Operator for Einsum {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let shapes = (0..cx.inputs.len()).map(|input| cx.shape(input)).collect::<Result<Vec<_>>>()?;
        // What is one product of matrices runs as MatMul does, which widens narrow floats while it packs them.
        if dtype.bits() >= 32 || dtype.is_float() {
            let plan = Plan::new(&self.equation, &shapes, dtype, true, cx)?;
            if let Some(product) = plan.lone_product(&shapes) {
                return matmul::step(product, plan.shape, dtype, cx)?.into();
            }
        }
        let plan = Plan::new(&self.equation, &shapes, dtype, dtype.bits() >= 32, cx)?;
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64] => run::step::<T>(plan, cx)?.into(),
            else Err(Error::unsupported(format!("Einsum of {dtype}")).into())
        )
    }
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    versions("Einsum", &[12, 28], build)
}
