//! Products of 8-bit integers, and Gemm of integers with factors other than 1.

use std::ops::Range;
use std::sync::Arc;

use diptych_kernels::Isa;
use diptych_kernels::gemm::{MatMut, MatRef};
use diptych_kernels::qgemm::{
    ByteGemm, Bytes, PackedBytes, ZeroPoint, byte_scratch_len, gemm_bytes, pack_bytes, packed_bytes_len,
};

use smallvec::SmallVec;

use super::product::{Product, Tasks, pack_params};
use super::step;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{KernelStep, OutputType, PlanCx};
use crate::ops::elements::{buffer_bytes, elements, elements_mut};
use crate::run::{Disjoint, KernelCx};
use crate::tensor::{AlignedBytes, Shape};
use crate::with_dtype;

/// A product of 8-bit integers: how B is packed, and where the operands are.
pub(super) struct ByteProduct {
    pub product: Product,
    pub tasks: Tasks,
    pub cost: u64,
    /// Bytes of scratch that [`ByteProduct::multiply`] needs, and of the step's workspace.
    pub scratch: usize,
    pub workspace: usize,
    /// The input of B and those of the zero points, of which a matrix has `per_channel`.
    b: usize,
    zeros: [usize; 2],
    per_channel: [usize; 2],
    signed: [bool; 2],
    /// i32s of one packed matrix.
    len: usize,
    /// B, if it is constant.
    constant: Option<Arc<AlignedBytes>>,
}

/// The operands of a running product.
pub(super) struct ByteOperands<'a> {
    a: &'a [u8],
    packed: &'a [i32],
    zeros: [Option<&'a [u8]>; 2],
}

impl ByteProduct {
    /// A is input 0.
    pub fn new(
        product: Product,
        b: usize,
        zeros: [usize; 2],
        per_channel: [usize; 2],
        cx: &PlanCx<'_>,
    ) -> Result<Self> {
        let Product { m, n, k, b_count, .. } = product;
        let signed = [cx.dtype(0)? == DType::I8, cx.dtype(b)? == DType::I8];
        let cost = product.cost(150, 1);
        // Panels of bytes are as wide as those of f32.
        let tasks = product.tasks::<f32>(cx, cost);
        let len =
            packed_bytes_len(cx.isa, k, n).ok_or_else(|| Error::resource_limit("a matrix is too large to pack"))?;
        let bytes = buffer_bytes::<i32>(&[b_count, len])?;
        let constant = match (cx.weight(b), pack_params(cx.isa, k, n)) {
            (Some((id, tensor)), Some(params)) if len > 0 => {
                Some(cx.packed.get_or_pack_bytes((id, "gemm_b_bytes", params), bytes, |packed| {
                    for (matrix, packed) in elements_mut::<i32>(packed).chunks_exact_mut(len).enumerate() {
                        pack_bytes(cx.isa, &stored_b(&product, tensor.bytes(), matrix, signed[1]), packed);
                    }
                    Ok(())
                })?)
            }
            _ => None,
        };
        let scratch = buffer_bytes::<i32>(&[byte_scratch_len(cx.isa, m, k)])?;
        let workspace = if constant.is_some() { 0 } else { bytes };
        Ok(ByteProduct { product, tasks, cost, scratch, workspace, b, zeros, per_channel, signed, len, constant })
    }

    /// Inputs that are not read at run time.
    pub fn packed(&self) -> SmallVec<[usize; 1]> {
        self.constant.iter().map(|_| self.b).collect()
    }

    /// The operands, B packed now if it is not constant.
    pub fn operands<'a>(&'a self, cx: &KernelCx<'a>) -> Result<ByteOperands<'a>> {
        let a_zero = cx.opt_input::<u8>(self.zeros[0]);
        self.operands_of(cx, cx.input_bytes(0), a_zero, cx.workspace())
    }

    /// As [`ByteProduct::operands`], for another A; `workspace` is as long as the product asked for.
    pub fn operands_of<'a>(
        &'a self,
        cx: &KernelCx<'a>,
        a: &'a [u8],
        a_zero: Option<&'a [u8]>,
        workspace: &'a mut [u8],
    ) -> Result<ByteOperands<'a>> {
        let (isa, len) = (cx.isa(), self.len);
        let workspace = elements_mut::<i32>(workspace);
        if self.constant.is_none() && len > 0 {
            let b = cx.input_bytes(self.b);
            let packed = Disjoint::new(&mut *workspace);
            cx.parallel(self.product.b_count, |matrix, _| {
                // SAFETY: every matrix has its own range.
                let packed = unsafe { packed.range(matrix * len..(matrix + 1) * len) };
                pack_bytes(isa, &stored_b(&self.product, b, matrix, self.signed[1]), packed);
            })?;
        }
        let packed = self.constant.as_ref().map_or(&*workspace, |constant| elements(constant.as_slice()));
        Ok(ByteOperands { a, packed, zeros: [a_zero, cx.opt_input::<u8>(self.zeros[1])] })
    }

    /// Rows and columns of one product of the batch, into that block `c` of it.
    pub fn multiply(
        &self,
        isa: Isa,
        operands: &ByteOperands<'_>,
        matrix: usize,
        [rows, cols]: [Range<usize>; 2],
        c: MatMut<'_, i32>,
        scratch: &mut [u8],
    ) {
        let Product { n, k, .. } = self.product;
        let [a_at, b_at, zero_at @ ..] = self.product.offsets(matrix);
        let zero = |i: usize| match operands.zeros[i] {
            None => ZeroPoint::Scalar(0),
            Some(&[zero]) => ZeroPoint::Scalar(zero),
            Some(zeros) if self.per_channel[i] == 1 => ZeroPoint::Scalar(zeros[zero_at[i]]),
            Some(zeros) => ZeroPoint::PerChannel(&zeros[zero_at[i]..][..self.per_channel[i]]),
        };
        let a = Bytes { values: self.product.strided_a(operands.a, a_at), signed: self.signed[0] };
        let packed = &operands.packed[self.product.b_index(b_at) * self.len..];
        let b = PackedBytes::from_packed(isa, packed, k, n, self.signed[1]);
        let g = ByteGemm { a, b, a_zero: zero(0), b_zero: zero(1) };
        gemm_bytes(isa, &g, rows, cols, c, elements_mut(scratch));
    }
}

/// The step of MatMulInteger; zero points have `per_channel` values a matrix.
pub(super) fn bytes_step(
    product: Product,
    shape: Shape,
    per_channel: [usize; 2],
    cx: &PlanCx<'_>,
) -> Result<KernelStep> {
    let bytes = ByteProduct::new(product, 1, [2, 3], per_channel, cx)?;
    let (packed, workspace, scratch, cost) = (bytes.packed(), bytes.workspace, bytes.scratch, bytes.cost);
    let step = KernelStep::new(DType::I32, shape, move |cx| {
        let (isa, operands) = (cx.isa(), bytes.operands(cx)?);
        bytes.tasks.run::<i32>(&bytes.product, cx, |matrix, rows, cols, c, scratch| {
            bytes.multiply(isa, &operands, matrix, [rows, cols], c, scratch);
        })
    });
    Ok(step.packed(&packed).workspace(workspace).scratch(scratch).cost(cost))
}

/// One of B's matrices.
fn stored_b<'a>(product: &Product, b: &'a [u8], matrix: usize, signed: bool) -> Bytes<'a> {
    Bytes { values: product.strided_b(b, matrix * product.k * product.n), signed }
}

/// Integers with a factor: `rn(factor * x)` in binary64, then toward zero; sums wrap.
trait Scaled: Element {
    fn scaled(self, factor: f64) -> Self;
    fn plus(self, other: Self) -> Self;
}

macro_rules! scaled {
    ($($t:ty),*) => {$(
        impl Scaled for $t {
            fn scaled(self, factor: f64) -> $t {
                if factor == 1.0 { self } else { (factor * self as f64) as $t }
            }
            fn plus(self, other: $t) -> $t {
                self.wrapping_add(other)
            }
        }
    )*};
}
scaled!(i32, u32, i64, u64);

/// Gemm of integers with factors other than 1: the plain product, then row by row.
pub(super) fn scaled_step(mut product: Product, shape: Shape, dtype: DType, cx: &PlanCx<'_>) -> Result<KernelStep> {
    let (m, n) = (product.m, product.n);
    let (factors, addend) = ([f64::from(product.alpha), f64::from(product.beta)], product.addend.take());
    let plain = step(product, shape.clone(), dtype, cx)?;
    let KernelStep { run, scratch, packed, cost, workspace, .. } = plain;
    let scale = with_dtype!(dtype, T in [I32, U32, I64, U64] => scale_rows::<T>, else return Err(Error::internal("not integers")));
    let step = KernelStep::with_outputs([OutputType::new(dtype, shape)], move |cx| {
        run(cx)?;
        scale(cx, [m, n], factors, addend)
    });
    Ok(step.packed(&packed).workspace(workspace).scratch(scratch).cost(cost))
}

fn scale_rows<T: Scaled>(
    cx: &KernelCx<'_>,
    [m, n]: [usize; 2],
    [alpha, beta]: [f64; 2],
    addend: Option<[usize; 2]>,
) -> Result<()> {
    let addend = addend.map(|[row, column]| MatRef::new(cx.input::<T>(2), m, n, row, column));
    let rows = if m * n == 0 {
        &mut []
    } else {
        // SAFETY: the product has been written and nobody else holds the output.
        unsafe { std::slice::from_raw_parts_mut(cx.output_ptr::<T>(0), m * n) }
    };
    cx.parallel_rows(rows, n, 20_000 / n.max(1), |first, rows, _| {
        for (i, row) in rows.chunks_exact_mut(n).enumerate() {
            for (j, y) in row.iter_mut().enumerate() {
                let product = y.scaled(alpha);
                *y = addend.map_or(product, |c| product.plus(c.at(first + i, j).scaled(beta)));
            }
        }
    })
}
