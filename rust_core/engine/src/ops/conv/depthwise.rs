//! Depthwise convolutions of `f32` whose kernels read planes as they lie.

use diptych_kernels::conv::{Depthwise, DepthwiseOperands};

use super::Geometry;
use crate::dtype::DType;
use crate::error::Result;
use crate::operator::{KernelStep, PlanCx};

/// Work worth a task of its own, in nanoseconds.
const TASK: u64 = 20_000;
/// Operations of a core in a nanosecond.
const FLOPS: u64 = 30;

/// The step of a depthwise convolution; `None` for all other convolutions.
pub(super) fn step(cx: &PlanCx<'_>, geometry: &Geometry) -> Result<Option<KernelStep>> {
    let shape = geometry.shape.squeezed();
    let Some(plan) = Depthwise::new(cx.isa, &shape) else {
        return Ok(None);
    };
    let output = geometry.output(DType::F32)?;
    let plane = shape.out_plane();
    let each = (2 * shape.taps() * plane) as u64 / FLOPS + 20;
    let cost = each.saturating_mul((geometry.batch * shape.groups) as u64);
    let grain = (TASK / each).max(1) as usize;
    let step = KernelStep::with_outputs([output], move |cx| {
        let (x, weights) = (cx.input(0), cx.input(1));
        let bias = cx.opt_input(2).unwrap_or(&[]);
        let operands = DepthwiseOperands { x, weights, bias, epilogue: cx.epilogue() };
        cx.parallel_rows(cx.output::<f32>(0), plane, grain, |first, y, _| plan.run(&operands, first, y))
    });
    Ok(Some(step.takes_epilogue(true).cost(cost.saturating_add(200))))
}
