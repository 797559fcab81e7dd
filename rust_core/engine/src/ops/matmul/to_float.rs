//! MatMulIntegerToFloat and DynamicQuantizeMatMul of com.microsoft: sums of products of bytes, scaled to numbers, plus a bias.

use std::ops::Range;

use diptych_kernels::Isa;
use diptych_kernels::cast::{Source, Target, cast};
use diptych_kernels::elementwise::{Binary, Operand, binary};
use diptych_kernels::gemm::MatMut;
use diptych_kernels::quantize::{
    Numbers, Place, Precision, Quantization, Quantized, dynamic_parameters, quantize, range_with_zero,
};
use diptych_kernels::recurrent::scale_products;

use super::channels;
use super::integer::{ByteOperands, ByteProduct};
use super::product::{Product, ZeroPointShape};
use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::operator::{KernelStep, Operator, PlanCx, Planned, Row, Step, rows_of};
use crate::ops::elements::{buffer_bytes, elements_mut, rooms, rooms_bytes};
use crate::run::KernelCx;
use crate::tensor::{Shape, element_count};
use crate::with_dtype;

/// Sums that a thread keeps before it scales them.
const BLOCK: usize = 1 << 14;
/// Elements of A worth a thread.
const GRAIN: usize = 1 << 14;
/// No input has this number.
const ABSENT: usize = usize::MAX;

/// Inputs by their place.
#[derive(Clone, Copy)]
struct Inputs {
    a_scale: usize,
    b_scale: usize,
    a_zero: usize,
    b_zero: usize,
    bias: usize,
}

/// A is bytes, or numbers that are quantized as they come.
struct ToFloat {
    dynamic: bool,
}

impl Operator for ToFloat {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let inputs = match self.dynamic {
            true => Inputs { a_scale: ABSENT, b_scale: 2, a_zero: ABSENT, b_zero: 3, bias: 4 },
            false => Inputs { a_scale: 2, b_scale: 3, a_zero: 4, b_zero: 5, bias: 6 },
        };
        let (a, b) = (cx.shape(0)?, cx.shape(1)?);
        for (input, name) in [(inputs.a_scale, "a_scale"), (inputs.a_zero, "a_zero_point")] {
            if cx.has(input) && !matches!(cx.shape(input)?, [] | [1]) {
                let shape = cx.shape(input)?;
                return Err(Error::shape(format!("{name} has shape {shape:?}, expected one value")).into());
            }
        }
        let zero = match cx.has(inputs.b_zero) {
            true => channels(b, cx.shape(inputs.b_zero)?, false)?,
            false => ZeroPointShape::single(),
        };
        let scale = channels(b, cx.shape(inputs.b_scale)?, false)?;
        let (scales, per_channel) = (scale.per_channel, [1, zero.per_channel]);
        // The zero point of A is one for all: its place in the batch is that of B's scales, if these have one.
        let scale = if scale.batch.is_empty() { ZeroPointShape::single() } else { scale };
        let (product, shape) = Product::matmul(a, b, [scale, zero])?;
        if cx.has(inputs.bias) && cx.shape(inputs.bias)? != [product.n] {
            let shape = cx.shape(inputs.bias)?;
            return Err(Error::shape(format!("bias has shape {shape:?}, expected [{}]", product.n)).into());
        }
        let dtype = cx.dtype(inputs.b_scale)?;
        let bytes = ByteProduct::new(product, 1, [inputs.a_zero, inputs.b_zero], per_channel, cx)?;
        let levels = if self.dynamic { element_count(a)? } else { 0 };
        let all_scales = element_count(cx.shape(inputs.b_scale)?)?;
        let plan = Plan { inputs, bytes, scales, all_scales, levels, dynamic: self.dynamic };
        with_dtype!(
            dtype, T in [F32, F16] => plan.step::<T>(shape),
            else Err(Error::unsupported(format!("a product of integers as {dtype}")).into())
        )
    }
}

struct Plan {
    inputs: Inputs,
    bytes: ByteProduct,
    /// Of one matrix of B, and of all of them.
    scales: usize,
    all_scales: usize,
    /// Elements of A that are quantized.
    levels: usize,
    dynamic: bool,
}

impl Plan {
    fn step<T: Element + Source<Wide = f32> + Target<f32>>(self, shape: Shape) -> Planned<Step> {
        let (m, n) = (self.bytes.product.m, self.bytes.product.n);
        let sums = element_count(&[m, n])?.min(BLOCK.max(n));
        let scratch = [self.bytes.scratch, buffer_bytes::<i32>(&[sums])?, buffer_bytes::<f32>(&[n])?];
        let shared =
            [self.bytes.workspace, self.levels, buffer_bytes::<f32>(&[self.all_scales])?, buffer_bytes::<f32>(&[n])?];
        let (packed, cost) = (self.bytes.packed(), self.bytes.cost);
        let step = KernelStep::new(T::DTYPE, shape, move |cx| {
            let isa = cx.isa();
            let [workspace, levels, scales, bias] = rooms(cx.workspace(), shared);
            let (scales, bias) = (elements_mut::<f32>(scales), elements_mut::<f32>(bias));
            cast::<T, f32>(isa, cx.input::<T>(self.inputs.b_scale), scales);
            let bias = cx.opt_input::<T>(self.inputs.bias).map(|given| {
                cast::<T, f32>(isa, given, bias);
                &*bias
            });
            let (a_scale, a_zero) = match self.dynamic {
                true => self.quantize(cx, levels)?,
                false => {
                    let mut scale = [0.0];
                    cast::<T, f32>(isa, cx.input::<T>(self.inputs.a_scale), &mut scale);
                    (scale[0], cx.opt_input::<u8>(self.inputs.a_zero).map_or(0, |zero| zero[0]))
                }
            };
            let a_zero = [a_zero];
            let a = if self.dynamic { &*levels } else { cx.input_bytes(0) };
            let operands = self.bytes.operands_of(cx, a, Some(&a_zero), workspace)?;
            let scaled = Scaled { isa, bytes: &self.bytes, operands, a_scale, scales, per_matrix: self.scales, bias };
            self.bytes.tasks.run::<T>(&self.bytes.product, cx, |matrix, rows, cols, c, room| {
                scaled.block(matrix, rows, cols, c, rooms(room, scratch));
            })
        });
        step.packed(&packed).workspace(rooms_bytes(&shared)?).scratch(rooms_bytes(&scratch)?).cost(cost).into()
    }

    /// A as uint8; its scale and zero point.
    fn quantize(&self, cx: &KernelCx<'_>, levels: &mut [u8]) -> Result<(f32, u8)> {
        let (isa, a) = (cx.isa(), cx.input::<f32>(0));
        let (scale, zero_point) = dynamic_parameters(range_with_zero(isa, a));
        let (scales, zero_points) = ([scale], [zero_point]);
        let operands = Quantization {
            x: Numbers::F32(a),
            scale: Numbers::F32(&scales),
            zero_point: Some(Quantized::U8(&zero_points)),
            precision: Precision::F32,
        };
        cx.parallel_rows(levels, 1, GRAIN, |first, out, _| {
            quantize(isa, &operands, first, Place { offset: 0, each: false }, (0, 255), out);
        })?;
        Ok((scale, zero_point))
    }
}

/// A running product.
struct Scaled<'a> {
    isa: Isa,
    bytes: &'a ByteProduct,
    operands: ByteOperands<'a>,
    a_scale: f32,
    scales: &'a [f32],
    per_matrix: usize,
    bias: Option<&'a [f32]>,
}

// [panel: com.microsoft.MatMulIntegerToFloat com.microsoft.DynamicQuantizeMatMul]
impl Scaled<'_> {
    /// Rows and columns of one product.
    fn block<T: Target<f32>>(
        &self,
        matrix: usize,
        rows: Range<usize>,
        cols: Range<usize>,
        mut c: MatMut<'_, T>,
        [room, sums, row]: [&mut [u8]; 3],
    ) {
        let width = cols.len();
        if width == 0 {
            return;
        }
        let (sums, row) = (elements_mut::<i32>(sums), &mut elements_mut::<f32>(row)[..width]);
        let [_, _, scale_at, _] = self.bytes.product.offsets(matrix);
        let scales = match self.per_matrix {
            1 => &self.scales[scale_at..scale_at + 1],
            _ => &self.scales[scale_at + cols.start..scale_at + cols.end],
        };
        for first in rows.clone().step_by((BLOCK / width).max(1)) {
            let part = first..rows.end.min(first + (BLOCK / width).max(1));
            let sums = &mut sums[..part.len() * width];
            let to = MatMut::new(sums, part.len(), width, width);
            self.bytes.multiply(self.isa, &self.operands, matrix, [part.clone(), cols.clone()], to, room);
            for (i, sums) in part.zip(sums.chunks_exact(width)) {
                scale_products(self.isa, sums, (self.a_scale, scales), false, row);
                if let Some(bias) = self.bias {
                    let (at, bias) = (row.as_mut_ptr(), bias[cols.clone()].as_ptr());
                    // SAFETY: a row's sums, in place, and as many addends.
                    unsafe {
                        binary(self.isa, Binary::Add, Operand::Slice(at.cast_const()), Operand::Slice(bias), at, width);
                    }
                }
                cast::<f32, T>(self.isa, row, c.row_mut(i - rows.start));
            }
        }
    }
}
// [/panel]

pub(super) fn rows() -> impl Iterator<Item = Row> {
    rows_of("com.microsoft", "MatMulIntegerToFloat", &[1], |_| Ok(Box::new(ToFloat { dynamic: false }))).chain(rows_of(
        "com.microsoft",
        "DynamicQuantizeMatMul",
        &[1],
        |_| Ok(Box::new(ToFloat { dynamic: true })),
    ))
}
