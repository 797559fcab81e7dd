//! QLinearMatMul: a product of quantized numbers, requantized. Integers are multiplied exactly, others in binary32.

use std::ops::Range;

use diptych_kernels::Isa;
use diptych_kernels::gemm::{Gemm, MatMut, Right, gemm, scratch_len};
use diptych_kernels::requantize::{Multipliers, Row, Sums, Target, multiplier, requantize, requantize_small};
use diptych_kernels::small_float::Format;
use half::{bf16, f16};

use super::channels;
use super::integer::ByteProduct;
use super::product::{Product, ZeroPointShape};
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{self, KernelStep, Operator, PlanCx, Planned, Step};
use crate::ops::cast::small;
use crate::ops::elements::{buffer_bytes, elements_mut, rooms, rooms_bytes};
use crate::run::KernelCx;
use crate::tensor::{Shape, element_count};

/// Inputs by position.
mod input {
    pub const A: usize = 0;
    pub const B: usize = 3;
    /// Of A, B and Y.
    pub const SCALES: [usize; 3] = [1, 4, 6];
    pub const ZERO_POINTS: [usize; 3] = [2, 5, 7];
}

/// Sums that a thread keeps before it requantizes them: they stay in its second cache.
const BLOCK: usize = 1 << 15;

struct QLinearMatMul;

impl Operator for QLinearMatMul {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let operands = [granularity(cx, input::A, 0)?, granularity(cx, input::B, 1)?];
        for input in [input::SCALES[2], input::ZERO_POINTS[2]] {
            if element_count(cx.shape(input)?)? != 1 {
                let message = format!("input {input} of Y has shape {:?}, expected a scalar", cx.shape(input)?);
                return Err(Error::shape(message).into());
            }
        }
        let per_channel = [operands[0].per_channel, operands[1].per_channel];
        let (product, shape) = Product::matmul(cx.shape(input::A)?, cx.shape(input::B)?, operands)?;
        let (scale, y) = (cx.dtype(input::SCALES[0])?, cx.dtype(input::ZERO_POINTS[2])?);
        let output = Output { scale, y, per_channel };
        let dtypes = [cx.dtype(input::A)?, cx.dtype(input::B)?];
        if dtypes.iter().all(|dtype| matches!(dtype, DType::U8 | DType::I8)) {
            return exact_step(product, shape, output, cx)?.into();
        }
        rounded_step(product, shape, output, dtypes, cx)?.into()
    }
}

/// The axes of the scale and zero point of operand `which`, input `matrix`; both have one shape.
fn granularity(cx: &PlanCx<'_>, matrix: usize, which: usize) -> Result<ZeroPointShape> {
    let (scale, zero) = (cx.shape(input::SCALES[which])?, cx.shape(input::ZERO_POINTS[which])?);
    if scale != zero && !(element_count(scale)? == 1 && element_count(zero)? == 1) {
        return Err(Error::shape(format!("scale {scale:?} and zero point {zero:?} differ in shape")));
    }
    channels(cx.shape(matrix)?, scale, which == 0)?;
    channels(cx.shape(matrix)?, zero, which == 0)
}

/// Types of the scales and of Y, and how many scales a matrix of A and of B has.
#[derive(Clone, Copy)]
struct Output {
    scale: DType,
    y: DType,
    per_channel: [usize; 2],
}

#[derive(Clone, Copy)]
enum Scales<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    BF16(&'a [bf16]),
}

impl<'a> Scales<'a> {
    fn new(cx: &KernelCx<'a>, input: usize, dtype: DType) -> Scales<'a> {
        match dtype {
            DType::F16 => Scales::F16(cx.input(input)),
            DType::BF16 => Scales::BF16(cx.input(input)),
            _ => Scales::F32(cx.input(input)),
        }
    }

    fn at(&self, i: usize) -> f32 {
        match self {
            Scales::F32(all) => all[i],
            Scales::F16(all) => all[i].to_f32(),
            Scales::BF16(all) => all[i].to_f32(),
        }
    }
}

#[derive(Clone, Copy)]
enum Codes {
    Integers(Target),
    Floats(Format, f32),
}

/// The requantization of a run.
struct Requantization<'a> {
    scales: [Scales<'a>; 2],
    y_scale: f32,
    per_channel: [usize; 2],
    codes: Codes,
}

/// What products sum in.
trait Sum: Element {
    fn sums(row: &[Self]) -> Sums<'_>;
}

impl Sum for i32 {
    fn sums(row: &[i32]) -> Sums<'_> {
        Sums::Integers(row)
    }
}

impl Sum for f32 {
    fn sums(row: &[f32]) -> Sums<'_> {
        Sums::Floats(row)
    }
}

/// A thread's rooms: what a product needs, sums, multipliers.
fn scratch_sizes<T>(product: &Product, bytes: usize) -> Result<[usize; 3]> {
    let sums = element_count(&[product.m, product.n])?.min(BLOCK.max(product.n));
    Ok([bytes, buffer_bytes::<T>(&[sums])?, buffer_bytes::<f32>(&[product.n])?])
}

impl Output {
    fn requantization<'a>(&self, cx: &KernelCx<'a>) -> Requantization<'a> {
        let [a, b, y] = input::SCALES.map(|input| Scales::new(cx, input, self.scale));
        let zero_point = cx.input_bytes(input::ZERO_POINTS[2])[0];
        let codes = match small::format(self.y) {
            Some(format) => Codes::Floats(format, format.decode(zero_point)),
            None => Codes::Integers(Target::new(self.y == DType::I8, zero_point)),
        };
        Requantization { scales: [a, b], y_scale: y.at(0), per_channel: self.per_channel, codes }
    }
}

impl Requantization<'_> {
    /// Rows and columns of one product, `multiply` giving the sums of some rows; its scales start `at`.
    fn block<T: Sum>(
        &self,
        isa: Isa,
        at: [usize; 2],
        [rows, cols]: [Range<usize>; 2],
        mut c: MatMut<'_, u8>,
        [sums, multipliers]: [&mut [u8]; 2],
        mut multiply: impl FnMut(Range<usize>, MatMut<'_, T>),
    ) {
        let width = cols.len();
        if width == 0 {
            return;
        }
        let (sums, multipliers) = (elements_mut::<T>(sums), &mut elements_mut::<f32>(multipliers)[..width]);
        let band = (BLOCK / width).max(1);
        let scale = |which: usize, i: usize| {
            let own = if self.per_channel[which] == 1 { 0 } else { i };
            self.scales[which].at(at[which] + own)
        };
        for first in rows.clone().step_by(band) {
            let part = first..rows.end.min(first + band);
            let sums = &mut sums[..part.len() * width];
            multiply(part.clone(), MatMut::new(sums, part.len(), width, width));
            for (row, sums) in part.zip(sums.chunks_exact(width)) {
                let a = scale(0, row);
                let multipliers = if self.per_channel[1] == 1 {
                    Multipliers::One(multiplier(a, scale(1, 0), self.y_scale))
                } else {
                    if row == rows.start || self.per_channel[0] != 1 {
                        for (to, col) in multipliers.iter_mut().zip(cols.clone()) {
                            *to = multiplier(a, scale(1, col), self.y_scale);
                        }
                    }
                    Multipliers::Each(multipliers)
                };
                let (sums, out) = (Row { sums: T::sums(sums), multipliers }, c.row_mut(row - rows.start));
                match self.codes {
                    Codes::Integers(target) => requantize(isa, &sums, target, out),
                    Codes::Floats(format, zero_point) => requantize_small(&sums, (format, zero_point), out),
                }
            }
        }
    }
}

/// The step with operands of 8-bit integers.
fn exact_step(product: Product, shape: Shape, output: Output, cx: &PlanCx<'_>) -> Result<KernelStep> {
    let [a_zero, b_zero, _] = input::ZERO_POINTS;
    let bytes = ByteProduct::new(product, input::B, [a_zero, b_zero], output.per_channel, cx)?;
    let sizes = scratch_sizes::<i32>(&bytes.product, bytes.scratch)?;
    let (packed, workspace, scratch, cost) = (bytes.packed(), bytes.workspace, rooms_bytes(&sizes)?, bytes.cost);
    let step = KernelStep::new(output.y, shape, move |cx| {
        let (isa, operands, requantization) = (cx.isa(), bytes.operands(cx)?, output.requantization(cx));
        bytes.tasks.run::<u8>(&bytes.product, cx, |matrix, rows, cols, c, scratch| {
            let [room, sums, multipliers] = rooms(scratch, sizes);
            let [_, _, at @ ..] = bytes.product.offsets(matrix);
            let place = [rows, cols.clone()];
            requantization.block::<i32>(isa, at, place, c, [sums, multipliers], |rows, to| {
                bytes.multiply(isa, &operands, matrix, [rows, cols.clone()], to, room);
            });
        })
    });
    Ok(step.packed(&packed).workspace(workspace).scratch(scratch).cost(cost))
}

/// The numbers that bytes of a type stand for.
fn numbers(dtype: DType) -> [f32; 256] {
    std::array::from_fn(|code| match (small::format(dtype), dtype) {
        (Some(format), _) => format.decode(code as u8),
        (None, DType::I8) => f32::from(code as u8 as i8),
        _ => code as f32,
    })
}

/// The step with a float8 operand: both in binary32, zero points subtracted, then a product of floats.
fn rounded_step(
    product: Product,
    shape: Shape,
    output: Output,
    dtypes: [DType; 2],
    cx: &PlanCx<'_>,
) -> Result<KernelStep> {
    let Product { m, n, k, .. } = product;
    let cost = product.cost(20, 8);
    let tasks = product.tasks::<f32>(cx, cost);
    let rooms_of = [cx.shape(input::A)?, cx.shape(input::B)?];
    let wide = [buffer_bytes::<f32>(rooms_of[0])?, buffer_bytes::<f32>(rooms_of[1])?];
    let sizes = scratch_sizes::<f32>(&product, buffer_bytes::<f32>(&[scratch_len::<f32>(cx.isa, m, n, k)])?)?;
    let (workspace, scratch) = (rooms_bytes(&wide)?, rooms_bytes(&sizes)?);
    let tables = dtypes.map(numbers);
    let step = KernelStep::new(output.y, shape, move |cx| {
        let (isa, requantization) = (cx.isa(), output.requantization(cx));
        let [a, b] = rooms(cx.workspace(), wide).map(elements_mut::<f32>);
        widen(cx, &product, &tables, output.per_channel, [&mut *a, &mut *b]);
        let (a, b) = (&*a, &*b);
        tasks.run::<u8>(&product, cx, |matrix, rows, cols, c, scratch| {
            let [room, sums, multipliers] = rooms(scratch, sizes);
            let [a_at, b_at, at @ ..] = product.offsets(matrix);
            let g = Gemm::new(product.strided_a(a, a_at), Right::Strided(product.strided_b(b, b_at)));
            let place = [rows, cols.clone()];
            requantization.block::<f32>(isa, at, place, c, [sums, multipliers], |rows, to| {
                gemm(isa, &g, rows, cols.clone(), to, elements_mut(room));
            });
        })
    });
    Ok(step.workspace(workspace).scratch(scratch).cost(cost))
}

/// The matrices of A and B in binary32 without their zero points, where they lie.
fn widen(
    cx: &KernelCx<'_>,
    product: &Product,
    tables: &[[f32; 256]; 2],
    per_channel: [usize; 2],
    [a, b]: [&mut [f32]; 2],
) {
    let Product { m, n, k, .. } = *product;
    let given = [input::A, input::B].map(|input| cx.input_bytes(input));
    let zeros = [0, 1].map(|which| cx.input_bytes(input::ZERO_POINTS[which]));
    let number = |which: usize, code: u8| tables[which][usize::from(code)];
    let zero = |which: usize, at: usize, i: usize| {
        number(which, zeros[which][at + if per_channel[which] == 1 { 0 } else { i }])
    };
    for matrix in 0..product.batch.len() {
        let [a_at, b_at, a_zero, b_zero] = product.offsets(matrix);
        for row in 0..m {
            let (at, zero) = (a_at + row * k, zero(0, a_zero, row));
            a[at..at + k].iter_mut().zip(&given[0][at..]).for_each(|(to, &code)| *to = number(0, code) - zero);
        }
        for row in 0..k {
            let at = b_at + row * n;
            for (col, (to, &code)) in b[at..at + n].iter_mut().zip(&given[1][at..]).enumerate() {
                *to = number(1, code) - zero(1, b_zero, col);
            }
        }
    }
}

pub(super) fn rows() -> impl Iterator<Item = operator::Row> {
    operator::rows("QLinearMatMul", &[10, 21], |_| Ok(Box::new(QLinearMatMul)))
}
