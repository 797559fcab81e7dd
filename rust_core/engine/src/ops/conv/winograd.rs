//! Conv of 3x3 kernels by Winograd's algorithm, in fast mode: where its weights are constant and it takes less time.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use diptych_kernels::conv::winograd::{Operands, Winograd};
use diptych_kernels::epilogue::Epilogue;

use super::Geometry;
use crate::dtype::DType;
use crate::error::Result;
use crate::math::Algorithm;
use crate::operator::{KernelStep, PlanCx};
use crate::ops::elements::{buffer_bytes, elements, elements_mut};
use crate::run::{KernelCx, RawSlot};
use crate::tensor::{AlignedBytes, element_count};

/// Work worth a task of its own, in nanoseconds.
const TASK: u64 = 20_000;
/// Multiplications and additions of a core in a nanosecond.
const FLOPS: u64 = 100;
/// Blocks a thread from which on a chunk of them is a task; with fewer, all threads share one after the other.
const BLOCKS: usize = 4;

/// The step, or `None` where the direct convolution is to be taken.
pub(super) fn step(cx: &PlanCx<'_>, geometry: &Geometry) -> Result<Option<KernelStep>> {
    let plan = Winograd::new(cx.isa, geometry.shape).filter(|plan| geometry.batch > 0 && plan.pays());
    let Some(plan) = plan else { return Ok(None) };
    let Some(weights) = packed_weights(cx, &plan)? else { return Ok(None) };
    let output = geometry.output(DType::F32)?;
    let blocks = element_count(&[geometry.batch, plan.blocks()])?;
    let operations = [36, 2, plan.tiles(), plan.shape().in_channels, plan.shape().out_channels];
    let image = operations.iter().fold(1u64, |product, &n| product.saturating_mul(n as u64)) / FLOPS;
    let each = (image / plan.blocks() as u64).max(1);
    let by_block = blocks >= BLOCKS * cx.threads || cx.threads == 1 || plan.out_blocks() < cx.threads;
    let (planes, scratch) = (buffer_bytes::<f32>(&[plan.planes_len()])?, buffer_bytes::<f32>(&[plan.scratch_len()])?);
    let step = KernelStep::with_outputs([output], move |cx| {
        let run = Run {
            plan,
            batch: blocks / plan.blocks(),
            each,
            x: cx.input(0),
            weights: elements(weights.as_slice()),
            bias: cx.opt_input(2).unwrap_or(&[]),
            epilogue: cx.epilogue(),
            y: RawSlot { ptr: cx.output::<f32>(0).as_mut_ptr().cast(), bytes: 0 },
        };
        if by_block { run.by_block(cx) } else { run.together(cx) }
    });
    let step = if by_block { step.scratch(planes + scratch) } else { step.workspace(planes).scratch(scratch) };
    let cost = image.saturating_mul(geometry.batch as u64).saturating_add(200);
    Ok(Some(step.packed(&[1]).takes_epilogue(true).algorithm(Algorithm::Winograd).cost(cost)))
}

/// W transformed and packed, if it is constant.
fn packed_weights(cx: &PlanCx<'_>, plan: &Winograd) -> Result<Option<Arc<AlignedBytes>>> {
    let Some((id, weights)) = cx.weight(1) else { return Ok(None) };
    let mut hasher = DefaultHasher::new();
    (cx.isa, plan.shape().in_channels, plan.shape().out_channels).hash(&mut hasher);
    let bytes = buffer_bytes::<f32>(&[plan.packed_len()])?;
    let packed = cx.packed.get_or_pack_bytes((id, "winograd", hasher.finish()), bytes, |packed| {
        plan.pack(elements(weights.aligned()?.bytes()), elements_mut(packed));
        Ok(())
    })?;
    Ok(Some(packed))
}

/// A convolution under way.
struct Run<'a> {
    plan: Winograd,
    batch: usize,
    /// Nanoseconds of a block.
    each: u64,
    x: &'a [f32],
    weights: &'a [f32],
    bias: &'a [f32],
    epilogue: Option<&'a Epilogue>,
    /// The output; its threads write disjoint parts.
    y: RawSlot,
}

impl Run<'_> {
    /// Image `index` of X.
    fn image(&self, index: usize) -> &[f32] {
        let each = self.x.len() / self.batch;
        &self.x[index * each..][..each]
    }

    /// What the products of image `index` read and write, its transformed input being `planes`.
    fn operands<'p>(&'p self, index: usize, planes: &'p [f32]) -> Operands<'p, 'p> {
        let shape = self.plan.shape();
        let y = self.y.ptr.cast::<f32>().wrapping_add(index * shape.out_channels * shape.out_plane());
        Operands { planes, weights: self.weights, bias: self.bias, epilogue: self.epilogue, y }
    }

    /// Whole blocks, each in its thread's scratch.
    fn by_block(&self, cx: &KernelCx<'_>) -> Result<()> {
        let (plan, blocks) = (&self.plan, self.plan.blocks());
        cx.parallel_ranges(self.batch * blocks, (TASK / self.each) as usize, |range, scratch| {
            let (planes, scratch) = elements_mut::<f32>(scratch).split_at_mut(plan.planes_len());
            for block in range {
                let (image, block) = (block / blocks, block % blocks);
                // SAFETY: the planes are this thread's and as long as the plan asks.
                unsafe { plan.forward(self.image(image), block, 0..plan.in_blocks(), planes.as_mut_ptr(), scratch) };
                let operands = self.operands(image, planes);
                // SAFETY: the block's part of the output is this chunk's.
                unsafe { plan.multiply(&operands, block, 0..plan.out_blocks(), scratch) };
            }
        })
    }

    /// Block by block, all threads at one: first its input, then its products.
    fn together(&self, cx: &KernelCx<'_>) -> Result<()> {
        let (plan, workspace) = (&self.plan, elements_mut::<f32>(cx.workspace()));
        let to = RawSlot { ptr: workspace.as_mut_ptr().cast(), bytes: 0 };
        let grain = |parts: usize| (TASK * parts as u64 / self.each) as usize;
        for (image, block) in (0..self.batch).flat_map(|image| (0..plan.blocks()).map(move |block| (image, block))) {
            cx.parallel_ranges(plan.in_blocks(), 4 * grain(plan.in_blocks()), |channels, scratch| {
                let to = &to;
                // SAFETY: the workspace is as long as the plan asks; chunks have channels of their own.
                unsafe { plan.forward(self.image(image), block, channels, to.ptr.cast(), elements_mut(scratch)) }
            })?;
            // SAFETY: the planes have been written, and are not while the products are made.
            let planes = unsafe { std::slice::from_raw_parts(to.ptr.cast(), plan.planes_len()) };
            cx.parallel_ranges(plan.out_blocks(), grain(plan.out_blocks()), |out_blocks, scratch| {
                let operands = self.operands(image, planes);
                // SAFETY: chunks write output channels of their own.
                unsafe { plan.multiply(&operands, block, out_blocks, elements_mut(scratch)) }
            })?;
        }
        Ok(())
    }
}
