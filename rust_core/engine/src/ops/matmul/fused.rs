//! FusedMatMul of com.microsoft: MatMul of operands that are transposed as they are read, times a factor.

use super::product::Turn;
use super::{Product, step};
use crate::error::{Error, Result};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows_of};

struct FusedMatMul {
    alpha: f32,
    turns: [Turn; 2],
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let turn = |last_two, batch| -> Result<Turn> {
        Ok(Turn { batch: cx.int(batch, 0)? != 0, last_two: cx.int(last_two, 0)? != 0 })
    };
    let turns = [turn("transA", "transBatchA")?, turn("transB", "transBatchB")?];
    Ok(Box::new(FusedMatMul { alpha: cx.float("alpha", 1.0)?, turns }))
}

impl Operator for FusedMatMul {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (dtype, a, b) = (cx.dtype(0)?, cx.shape(0)?, cx.shape(1)?);
        if self.turns.iter().any(|turn| turn.batch) && (a.len() != b.len() || a.len() < 3) {
            return Err(Error::shape(format!(
                "A {a:?} and B {b:?}: transBatchA and transBatchB ask for one rank, 3 at least"
            ))
            .into());
        }
        let (product, shape) = Product::turned(a, b, self.turns, Default::default())?;
        let product = Product { alpha: self.alpha, rounded_first: self.alpha != 1.0, ..product };
        step(product, shape, dtype, cx)?.into()
    }
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    rows_of("com.microsoft", "FusedMatMul", &[1], build)
}
