//! DequantizeLinear.

use diptych_kernels::Isa;
use diptych_kernels::cast::Target;
use diptych_kernels::quantize::{Dequantization, dequantize};

use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::quantization::spread::Spread;
use crate::ops::quantization::{GRAIN, Operands, Unpacked, check_granularity, is_packed, numbers, quantized};
use crate::tensor::{Shape, Tensor};
use crate::with_dtype;

struct DequantizeLinear {
    since: i64,
    axis: i64,
    block_size: i64,
    output: Option<DType>,
}

/// Types and places of one dequantization.
#[derive(Clone, Copy)]
struct Plan {
    x: DType,
    scale: DType,
    has_zero_point: bool,
    spread: Spread,
}

impl Plan {
    fn operands<'a>(&self, from: &impl Operands<'a>) -> Dequantization<'a> {
        Dequantization {
            x: quantized(from, 0, self.x),
            scale: numbers(from, 1, self.scale),
            zero_point: self.has_zero_point.then(|| quantized(from, 2, self.x)),
        }
    }

    fn run<D: Target<f32>>(&self, isa: Isa, operands: &Dequantization<'_>, first: usize, out: &mut [D]) {
        self.spread.rows(first..first + out.len(), |at, len, place| {
            dequantize(isa, operands, at, place, &mut out[at - first..at - first + len]);
        });
    }

    fn step<D: Element + Target<f32>>(self, shape: Shape) -> Planned<Step> {
        if is_packed(self.x) {
            return Step::values(move |cx| {
                let unpacked = Unpacked::new(cx)?;
                let mut y = Tensor::zeros(D::DTYPE, &shape)?;
                self.run(cx.isa, &self.operands(&&unpacked), 0, y.as_mut_slice::<D>()?);
                Ok(vec![y.into()])
            });
        }
        KernelStep::new(D::DTYPE, shape, move |cx| {
            let (isa, operands) = (cx.isa(), self.operands(cx));
            cx.parallel_rows(cx.output::<D>(0), 1, GRAIN, |first, out, _| self.run(isa, &operands, first, out))
        })
        .into()
    }
}

impl Operator for DequantizeLinear {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (x, scale) = (cx.dtype(0)?, cx.dtype(1)?);
        check_granularity(cx)?;
        let spread = Spread::new(cx, self.axis, self.block_size)?;
        if self.since == 10 && !matches!(spread, Spread::Whole) {
            return Err(Error::shape(format!("x_scale has shape {:?}, expected a scalar", cx.shape(1)?)).into());
        }
        let plan = Plan { x, scale, has_zero_point: cx.has(2), spread };
        let y = self.output.unwrap_or(scale);
        with_dtype!(y, D in [F32, F16, BF16] => plan.step::<D>(cx.shape(0)?.into()),
            else Err(Error::unsupported(format!("DequantizeLinear to {y}; give output_dtype")).into()))
    }
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let output = if cx.int("output_dtype", 0)? == 0 { None } else { cx.dtype("output_dtype")? };
    Ok(Box::new(DequantizeLinear {
        since: cx.since,
        axis: cx.int("axis", 1)?,
        block_size: cx.int("block_size", 0)?,
        output,
    }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("DequantizeLinear", &[10, 13, 19, 21, 23, 24, 25, 28], build)
}
