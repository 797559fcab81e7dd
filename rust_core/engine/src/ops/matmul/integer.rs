//! Products of 8-bit integers, and Gemm of integers with factors other than 1.

use diptych_kernels::gemm::MatRef;
use diptych_kernels::qgemm::{
    ByteGemm, Bytes, PackedBytes, ZeroPoint, byte_scratch_len, gemm_bytes, pack_bytes, packed_bytes_len,
};

use super::product::{Product, pack_params};
use super::step;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{KernelStep, OutputType, PlanCx};
use crate::ops::elements::{buffer_bytes, elements, elements_mut};
use crate::run::{Disjoint, KernelCx};
use crate::tensor::Shape;
use crate::with_dtype;

/// The step of MatMulInteger; zero points have `per_channel` values a matrix.
pub(super) fn bytes_step(
    product: Product,
    shape: Shape,
    per_channel: [usize; 2],
    cx: &PlanCx<'_>,
) -> Result<KernelStep> {
    let Product { m, n, k, b_count, .. } = product;
    let signed = [cx.dtype(0)? == DType::I8, cx.dtype(1)? == DType::I8];
    let cost = product.cost(150, 1);
    // Panels of bytes are as wide as those of f32.
    let tasks = product.tasks::<f32>(cx, cost);
    let len = packed_bytes_len(cx.isa, k, n).ok_or_else(|| Error::resource_limit("a matrix is too large to pack"))?;
    let bytes = buffer_bytes::<i32>(&[b_count, len])?;
    let constant = match (cx.weight(1), pack_params(cx.isa, k, n)) {
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
    let (workspace, inputs): (usize, &[usize]) = if constant.is_some() { (0, &[1]) } else { (bytes, &[]) };
    let scratch = buffer_bytes::<i32>(&[byte_scratch_len(cx.isa, m, k)])?;
    let step = KernelStep::new(DType::I32, shape, move |cx| {
        let isa = cx.isa();
        let workspace = elements_mut::<i32>(cx.workspace());
        if constant.is_none() && len > 0 {
            let b = cx.input_bytes(1);
            let packed = Disjoint::new(&mut *workspace);
            cx.parallel(b_count, |matrix, _| {
                // SAFETY: every matrix has its own range.
                let packed = unsafe { packed.range(matrix * len..(matrix + 1) * len) };
                pack_bytes(isa, &stored_b(&product, b, matrix, signed[1]), packed);
            })?;
        }
        let packed = constant.as_ref().map_or(&*workspace, |constant| elements(constant.as_slice()));
        let (a, zeros) = (cx.input_bytes(0), [2, 3].map(|input| cx.opt_input::<u8>(input)));
        tasks.run::<i32>(&product, cx, |matrix, rows, cols, c, scratch| {
            let [a_at, b_at, zero_at @ ..] = product.offsets(matrix);
            let zero = |i: usize| match zeros[i] {
                None => ZeroPoint::Scalar(0),
                Some(zeros) if per_channel[i] == 1 => ZeroPoint::Scalar(zeros[zero_at[i]]),
                Some(zeros) => ZeroPoint::PerChannel(&zeros[zero_at[i]..][..per_channel[i]]),
            };
            let a = Bytes { values: product.strided_a(a, a_at), signed: signed[0] };
            let b = PackedBytes::from_packed(isa, &packed[product.b_index(b_at) * len..], k, n, signed[1]);
            let g = ByteGemm { a, b, a_zero: zero(0), b_zero: zero(1) };
            gemm_bytes(isa, &g, rows, cols, c, elements_mut(scratch));
        })
    });
    Ok(step.packed(inputs).workspace(workspace).scratch(scratch).cost(cost))
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
