//! Products of float16 and bfloat16, computed in binary32. B is packed, ahead of time or at run time.

use diptych_kernels::gemm::half::{Half, HalfGemm, gemm_half, half_scratch_len, pack_b_half};
use diptych_kernels::gemm::{PackedB, packed_b_len};

use super::product::{Product, pack_params};
use crate::error::{Error, Result};
use crate::operator::{KernelStep, OutputType, PlanCx};
use crate::ops::elements::{buffer_bytes, elements, elements_mut};
use crate::run::Disjoint;

pub(super) fn step<H: Half>(product: Product, output: OutputType, cx: &PlanCx<'_>) -> Result<KernelStep> {
    let Product { m, n, k, b_count, .. } = product;
    let cost = product.cost(40, 2);
    let tasks = product.tasks::<f32>(cx, cost);
    let len =
        packed_b_len::<f32>(cx.isa, k, n).ok_or_else(|| Error::resource_limit("a matrix is too large to pack"))?;
    let bytes = buffer_bytes::<f32>(&[b_count, len])?;
    let form = product.b_form(&[
        "gemm_b_half",
        "gemm_b_half_transposed",
        "gemm_b_half_scattered",
        "gemm_b_half_scattered_transposed",
    ]);
    let constant = match (cx.weight(1), pack_params(cx.isa, k, n)) {
        (Some((id, tensor)), Some(params)) if len > 0 => {
            Some(cx.packed.get_or_pack_bytes((id, form, params), bytes, |packed| {
                let tensor = tensor.aligned()?;
                let b = elements::<u16>(tensor.bytes());
                for (matrix, packed) in elements_mut::<f32>(packed).chunks_exact_mut(len).enumerate() {
                    pack_b_half::<H>(cx.isa, &product.strided_b(b, matrix * product.b_step), packed);
                }
                Ok(())
            })?)
        }
        _ => None,
    };
    let (workspace, inputs): (usize, &[usize]) = if constant.is_some() { (0, &[1]) } else { (bytes, &[]) };
    let scratch = buffer_bytes::<f32>(&[half_scratch_len(cx.isa, m, n, k)])?;
    let step = KernelStep::with_outputs([output], move |cx| {
        let isa = cx.isa();
        let workspace = elements_mut::<f32>(cx.workspace());
        if constant.is_none() && len > 0 {
            let b = cx.input::<u16>(1);
            let packed = Disjoint::new(&mut *workspace);
            cx.parallel(b_count, |matrix, _| {
                // SAFETY: every matrix has its own range.
                let packed = unsafe { packed.range(matrix * len..(matrix + 1) * len) };
                pack_b_half::<H>(isa, &product.strided_b(b, matrix * product.b_step), packed);
            })?;
        }
        let packed = constant.as_ref().map_or(&*workspace, |constant| elements(constant.as_slice()));
        let (a, addend) = (cx.input::<u16>(0), product.strided_addend::<u16>(cx));
        tasks.run::<u16>(&product, cx, |matrix, rows, cols, c, scratch| {
            let [a_at, b_at, ..] = product.offsets(matrix);
            let b = PackedB::from_packed(isa, &packed[product.b_index(b_at) * len..], k, n);
            let a = product.strided_a(a, a_at);
            let (alpha, beta, rounded_first) = (product.alpha, product.beta, product.rounded_first);
            let g = HalfGemm { a, b, alpha, beta, addend, rounded_first };
            gemm_half::<H>(isa, &g, rows, cols, c, elements_mut(scratch));
        })
    });
    Ok(step.packed(inputs).workspace(workspace).scratch(scratch).cost(cost))
}
