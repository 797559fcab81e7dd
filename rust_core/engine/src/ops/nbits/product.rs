//! MatMulNBits.

use std::ops::Range;

use diptych_kernels::cast::{Source, Target, cast};
use diptych_kernels::gemm::MatMut;
use diptych_kernels::nbits::{
    Extents, LARGEST_QUANTIZED_BLOCK, Levels, LevelsMut, Weights, float_row, float_rows, float_scratch_len,
    panel_columns, quantize_rows, quantized_rows,
};
use half::{bf16, f16};

use super::operands::{Right, input};
use super::{checked_bits, checked_block};
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step, rows_of};
use crate::ops::elements::{buffer_bytes, elements_mut, rooms, rooms_bytes};
use crate::run::{Disjoint, KernelCx};
use crate::tensor::{Shape, element_count};

/// Work worth a task of its own, in nanoseconds.
const TASK: u64 = 20_000;
/// Elements below which converting or quantizing is not worth a thread.
const GRAIN: usize = 1 << 14;
/// The accuracy_level that lets A be quantized.
const INT8: i64 = 4;

struct MatMulNBits {
    extents: Extents,
    accuracy_level: i64,
}

impl MatMulNBits {
    /// Whether B stands for weights of 0: one of its dimensions is; else it has its shape.
    fn is_omitted(&self, b: &[usize]) -> Result<bool> {
        let Extents { n, block, bits, .. } = self.extents;
        let shape = [n, self.extents.blocks(), block.saturating_mul(bits) / 8];
        if b.len() == 3 && b.contains(&0) && b.iter().zip(shape).all(|(&has, wanted)| has == wanted || has == 0) {
            return Ok(true);
        }
        if b != shape {
            let message = format!("B has shape {b:?}, expected {shape:?}, or some of it 0 for no weights");
            return Err(Error::shape(message));
        }
        Ok(false)
    }
}

impl Operator for MatMulNBits {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let Extents { k, n, block, .. } = self.extents;
        let (dtype, a) = (cx.dtype(input::A)?, cx.shape(input::A)?);
        let Some((_, rows)) = a.split_last().filter(|(last, _)| **last == k) else {
            return Err(Error::shape(format!("A has shape {a:?}, expected [.., {k}]")).into());
        };
        if cx.has(input::BIAS) && *cx.shape(input::BIAS)? != [n] {
            return Err(Error::shape(format!("bias has shape {:?}, expected [{n}]", cx.shape(input::BIAS)?)).into());
        }
        let m = element_count(rows)?;
        element_count(&[m, n])?;
        let shape: Shape = rows.iter().copied().chain([n]).collect();
        if self.is_omitted(cx.shape(input::B)?)? {
            return KernelStep::new(dtype, shape, move |cx| fill(cx, dtype, n)).into();
        }
        let right = Right::new(cx, self.extents)?;
        let quantized = self.accuracy_level == INT8 && right.is_plain() && block <= LARGEST_QUANTIZED_BLOCK;
        Plan::new(cx, right, dtype, m, quantized)?.step(shape)
    }
}

/// Without weights: +0, plus the bias.
fn fill(cx: &KernelCx<'_>, dtype: DType, n: usize) -> Result<()> {
    match dtype {
        DType::F16 => fill_rows(cx, n, f16::ZERO, |x| f16::from_f32(0.0 + x.to_f32())),
        DType::BF16 => fill_rows(cx, n, bf16::ZERO, |x| bf16::from_f32(0.0 + x.to_f32())),
        _ => fill_rows(cx, n, 0.0f32, |x| 0.0 + x),
    }
}

fn fill_rows<T: Element>(cx: &KernelCx<'_>, n: usize, zero: T, plus: impl Fn(T) -> T) -> Result<()> {
    let out = cx.output::<T>(0);
    match cx.opt_input::<T>(input::BIAS) {
        None => out.fill(zero),
        Some(bias) => out.chunks_exact_mut(n.max(1)).for_each(|row| {
            row.iter_mut().zip(bias).for_each(|(y, &bias)| *y = plus(bias));
        }),
    }
    Ok(())
}

/// A product with weights.
struct Plan {
    right: Right,
    dtype: DType,
    m: usize,
    quantized: bool,
    /// Rows and columns of a task.
    grain: [usize; 2],
    cost: u64,
    /// Codes, scales and zero points packed now; A, Y and bias in binary32; A's levels, their steps and sums.
    rooms: [usize; 9],
    scratch: usize,
}

impl Plan {
    fn new(cx: &PlanCx<'_>, right: Right, dtype: DType, m: usize, quantized: bool) -> Result<Plan> {
        let extents = right.extents;
        let Extents { k, n, bits, block } = extents;
        let operations = [m, n, k, 2].iter().fold(1u64, |product, &f| product.saturating_mul(f as u64));
        let bytes = (n as u64).saturating_mul(k as u64).saturating_mul(bits as u64) / 8;
        let cost = (operations / if quantized { 150 } else { 50 }).max(bytes / 20).saturating_add(200);
        let wide = |len: &[usize]| if dtype == DType::F32 { Ok(0) } else { buffer_bytes::<f32>(len) };
        let levels = |len: &[usize]| if quantized { buffer_bytes::<i32>(len) } else { Ok(0) };
        let blocks = extents.blocks();
        let [codes, scales, zeros] = right.rooms();
        let has_bias = usize::from(cx.has(input::BIAS));
        let rooms = [
            codes,
            scales,
            zeros,
            wide(&[m, k])?,
            wide(&[m, n])?,
            wide(&[n, has_bias])?,
            levels(&[m, blocks, block / 4])?,
            levels(&[m, blocks])?,
            levels(&[m, blocks])?,
        ];
        let scratch = if quantized { 0 } else { buffer_bytes::<f32>(&[float_scratch_len(cx.isa, &extents)])? };
        let grain = grain(m, n.div_ceil(panel_columns(cx.isa)), (cost / TASK).clamp(1, 4 * cx.threads as u64) as usize);
        let grain = [grain[0], grain[1] * panel_columns(cx.isa)];
        Ok(Plan { right, dtype, m, quantized, grain, cost, rooms, scratch })
    }

    fn step(self, shape: Shape) -> Planned<Step> {
        let (constants, workspace) = (self.right.constant_inputs(), rooms_bytes(&self.rooms)?);
        let (dtype, scratch, cost) = (self.dtype, self.scratch, self.cost);
        KernelStep::new(dtype, shape, move |cx| self.run(cx))
            .packed(&constants)
            .workspace(workspace)
            .scratch(scratch)
            .cost(cost)
            .into()
    }

    fn run(&self, cx: &KernelCx<'_>) -> Result<()> {
        let [codes, scales, zeros, wide_a, wide_y, wide_bias, groups, steps, sums] = rooms(cx.workspace(), self.rooms);
        let w = self.right.weights(cx, [codes, scales, zeros])?;
        let a = self.widened(cx, input::A, elements_mut(wide_a))?;
        let bias =
            if cx.has(input::BIAS) { Some(self.widened(cx, input::BIAS, elements_mut(wide_bias))?) } else { None };
        let levels = LevelsMut { groups: elements_mut(groups), steps: elements_mut(steps), sums: elements_mut(sums) };
        if self.dtype == DType::F32 {
            return self.multiply(cx, &w, a, bias, levels, cx.output::<f32>(0));
        }
        let y = elements_mut::<f32>(wide_y);
        self.multiply(cx, &w, a, bias, levels, y)?;
        match self.dtype {
            DType::F16 => converted(cx, y, cx.output::<f16>(0)),
            _ => converted(cx, y, cx.output::<bf16>(0)),
        }
    }

    /// An input in binary32: itself, or widened into `room`.
    fn widened<'a>(&self, cx: &KernelCx<'a>, which: usize, room: &'a mut [f32]) -> Result<&'a [f32]> {
        match self.dtype {
            DType::F16 => converted(cx, cx.input::<f16>(which), room)?,
            DType::BF16 => converted(cx, cx.input::<bf16>(which), room)?,
            _ => return Ok(cx.input::<f32>(which)),
        }
        Ok(room)
    }

    fn multiply(
        &self,
        cx: &KernelCx<'_>,
        w: &Weights<'_>,
        a: &[f32],
        bias: Option<&[f32]>,
        mut levels: LevelsMut<'_>,
        y: &mut [f32],
    ) -> Result<()> {
        let (m, n) = (self.m, self.right.extents.n);
        if self.quantized {
            self.quantize(cx, a, &mut levels)?;
        }
        let levels = Levels { groups: levels.groups, steps: levels.steps, sums: levels.sums };
        let (isa, [height, width]) = (cx.isa(), self.grain);
        let across = n.div_ceil(width);
        let c = MatMut::new(y, m, n, n);
        cx.parallel(m.div_ceil(height) * across, |task, scratch| {
            let part =
                |index: usize, size: usize, end: usize| -> Range<usize> { index * size..end.min((index + 1) * size) };
            let (rows, cols) = (part(task / across, height, m), part(task % across, width, n));
            // SAFETY: the tasks' blocks do not overlap.
            let mut c = unsafe { c.shared_block(rows.clone(), cols.clone()) };
            if self.quantized {
                quantized_rows(isa, w, &levels, [rows, cols], bias, c);
            } else if m == 1 && !self.right.is_grouped() {
                float_row(isa, w, a, cols, bias, c.row_mut(0));
            } else {
                float_rows(isa, w, a, [rows, cols], bias, c, elements_mut(scratch));
            }
        })
    }

    /// A's rows as levels.
    fn quantize(&self, cx: &KernelCx<'_>, a: &[f32], levels: &mut LevelsMut<'_>) -> Result<()> {
        let (isa, extents) = (cx.isa(), self.right.extents);
        let (blocks, k) = (extents.blocks(), extents.k);
        let groups = Disjoint::new(&mut *levels.groups);
        let (steps, sums) = (Disjoint::new(&mut *levels.steps), Disjoint::new(&mut *levels.sums));
        cx.parallel_ranges(self.m, GRAIN.div_ceil(k), |rows, _| {
            let part = |row: usize| rows.start * row..rows.end * row;
            // SAFETY: every range of rows has its own places.
            let to = unsafe {
                LevelsMut {
                    groups: groups.range(part(blocks * extents.block / 4)),
                    steps: steps.range(part(blocks)),
                    sums: sums.range(part(blocks)),
                }
            };
            quantize_rows(isa, &extents, &a[part(k)], to);
        })
    }
}

/// Converts each element, on all threads.
fn converted<S: Source + Element, D: Target<S::Wide> + Element>(
    cx: &KernelCx<'_>,
    from: &[S],
    to: &mut [D],
) -> Result<()> {
    let isa = cx.isa();
    cx.parallel_rows(to, 1, GRAIN, |first, to, _| cast(isa, &from[first..first + to.len()], to))
}

/// Rows and panels of a task, of about `parts`: whole columns first, since a panel is decoded once a task.
fn grain(m: usize, panels: usize, parts: usize) -> [usize; 2] {
    if panels >= parts || m <= 16 {
        return [m.max(1), panels.div_ceil(parts).max(1)];
    }
    let bands = parts.div_ceil(panels.max(1));
    [m.div_ceil(bands).next_multiple_of(12), 1]
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let extent = |name: &str| {
        let value = cx.required(name, cx.opt_int(name)?)?;
        let wrong = || Error::invalid_model(format!("{name} is {value}, expected 0 or more"));
        usize::try_from(value).map_err(|_| wrong())
    };
    let bits = checked_bits(cx.int("bits", 4)?)?;
    let block = checked_block(cx.required("block_size", cx.opt_int("block_size")?)?)?;
    let extents = Extents { k: extent("K")?, n: extent("N")?, block, bits };
    match cx.int("weight_prepacked", 0)? {
        0 => Ok(Box::new(MatMulNBits { extents, accuracy_level: cx.int("accuracy_level", 0)? })),
        layout => Err(Error::invalid_model(format!(
            "weight_prepacked is {layout}, a layout of GPUs; export with weight_prepacked=0"
        ))),
    }
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    rows_of("com.microsoft", "MatMulNBits", &[1], build)
}
