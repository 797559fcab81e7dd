//! Weights dequantized to f32, and one multiply-add chain an output over k in order: the bits of dequantizing first.

use super::{Extents, Panel, Weights, panel_columns, with_bits};
use crate::gemm::{Block, Gemm, MatMut, MatRef, PackedB, Right, load, load_first, store, store_upto};
use crate::lanes::{Arch, Isa, Kernel, Simd, SimdInt, dispatch};
use std::ops::Range;

/// Rows of a panel that are dequantized at a time: they stay in the second cache while all rows of A pass.
const DEPTH: usize = 512;

/// Elements of scratch that [`float_rows`] needs.
pub fn float_scratch_len(isa: Isa, extents: &Extents) -> usize {
    DEPTH.min(extents.k) * panel_columns(isa)
}

/// Field `t` of words as numbers.
#[inline(always)]
fn decode<A: Arch, const L: usize, const BITS: usize>(words: Simd<i32, L>, t: usize) -> Simd<f32, L> {
    let shifted = words >> Simd::splat((BITS * t) as i32);
    #[cfg(target_arch = "x86_64")]
    if const { A::ISA as u8 == Isa::Avx512 as u8 && L == 16 && BITS <= 4 } {
        // A table instead of a mask and a conversion: the instruction looks at the lowest four bits alone.
        let table: [f32; 16] = std::array::from_fn(|i| (i & ((1 << BITS) - 1)) as f32);
        let (index, table) = (shifted.resize::<16>(0), Simd::<f32, 16>::from_array(table));
        // SAFETY: code for `Avx512` runs where AVX-512 F is.
        let found = unsafe { std::arch::x86_64::_mm512_permutexvar_ps(index.into(), table.into()) };
        return Simd::<f32, 16>::from(found).resize::<L>(0.0);
    }
    (shifted & Simd::splat((1 << BITS) - 1)).cast()
}

/// `bias + a W` for columns `cols`, `a` being one row of K elements. Groups must be the blocks themselves.
///
/// # Panics
/// If lengths do not agree, weights have groups or are packed for another instruction set, or the columns start inside a panel.
pub fn float_row(isa: Isa, w: &Weights<'_>, a: &[f32], cols: Range<usize>, bias: Option<&[f32]>, y: &mut [f32]) {
    w.check(isa, &cols);
    assert!(w.groups.is_none(), "a row times weights in groups");
    assert!(a.len() == w.extents.k && y.len() == cols.len(), "{} elements of A, {} of Y", a.len(), y.len());
    assert!(bias.is_none_or(|bias| bias.len() == w.extents.n), "bias");
    with_bits!(w.extents.bits, BITS => dispatch(isa, Row::<BITS> { w, a, cols, bias, y }));
}

struct Row<'a, const BITS: usize> {
    w: &'a Weights<'a>,
    a: &'a [f32],
    cols: Range<usize>,
    bias: Option<&'a [f32]>,
    y: &'a mut [f32],
}

impl<const BITS: usize> Kernel for Row<'_, BITS> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(mut self) {
        for j in self.cols.clone().step_by(panel_columns(A::ISA)) {
            let panel = self.w.panel(j);
            let mut at = 0;
            while at < panel.width {
                let vectors = (panel.width - at) / L;
                at += L * if L == 16 && vectors >= 4 {
                    self.vectors::<A, L, 4>(&panel, j, at)
                } else if L < 16 && vectors >= 2 {
                    self.vectors::<A, L, 2>(&panel, j, at)
                } else {
                    self.vectors::<A, L, 1>(&panel, j, at)
                };
            }
        }
    }
}

// [panel: com.microsoft.MatMulNBits]
impl<const BITS: usize> Row<'_, BITS> {
    /// Computes `NV` vectors of columns from `at` of the panel at column `j`; returns NV.
    #[inline(always)]
    fn vectors<A: Arch, const L: usize, const NV: usize>(&mut self, panel: &Panel<'_>, j: usize, at: usize) -> usize {
        let sums = match panel.zeros {
            Some(_) => self.chains::<A, L, NV, true>(panel, at),
            None => self.chains::<A, L, NV, false>(panel, at),
        };
        for (v, &sum) in sums.iter().enumerate() {
            let column = j + at + v * L;
            let left = self.cols.end.saturating_sub(column).min(L);
            if left == 0 {
                break;
            }
            let to = &mut self.y[column - self.cols.start..][..left];
            let y = match self.bias {
                // SAFETY: `left` elements are readable.
                Some(bias) => sum + unsafe { load_first::<f32, L>(bias[column..][..left].as_ptr(), left) },
                None => sum,
            };
            // SAFETY: `left` elements are writable.
            unsafe { store_upto(to.as_mut_ptr(), y, left) };
        }
        NV
    }

    #[inline(always)]
    fn chains<A: Arch, const L: usize, const NV: usize, const ZEROS: bool>(
        &self,
        panel: &Panel<'_>,
        at: usize,
    ) -> [Simd<f32, L>; NV] {
        let Panel { width, codes, scales, zeros } = *panel;
        let (blocks, block_words, per_word) = (self.w.extents.blocks(), self.w.extents.block_words(), 32 / BITS);
        assert!(codes.len() == blocks * block_words * width && at + NV * L <= width && scales.len() == blocks * width);
        let default = Simd::splat(self.w.default_zero());
        let mut acc = [Simd::<f32, L>::splat(0.0); NV];
        let mut code = codes.as_ptr().wrapping_add(at);
        let mut a = self.a;
        for block in 0..blocks {
            let row = block * width + at;
            // SAFETY: NV whole vectors of the panel's row `block` are readable.
            let scale: [Simd<f32, L>; NV] =
                std::array::from_fn(|v| unsafe { load(scales.as_ptr().wrapping_add(row + v * L)) });
            let zero: [Simd<f32, L>; NV] = std::array::from_fn(|v| match zeros {
                Some(zeros) if ZEROS => {
                    let zeros = &zeros[row + v * L..][..L];
                    // SAFETY: a whole vector.
                    unsafe { load(zeros.as_ptr()) }
                }
                _ => default,
            });
            let mut term = |words: &[Simd<i32, L>; NV], a: f32, t: usize| {
                for v in 0..NV {
                    let weight = (decode::<A, L, BITS>(words[v], t) - zero[v]) * scale[v];
                    acc[v] = A::fma(Simd::splat(a), weight, acc[v]);
                }
            };
            for _ in 0..block_words {
                // SAFETY: NV whole vectors of this word's row are readable.
                let words: [Simd<i32, L>; NV] = std::array::from_fn(|v| unsafe { load(code.wrapping_add(v * L)) });
                code = code.wrapping_add(width);
                if let Some((now, rest)) = a.split_at_checked(per_word) {
                    #[allow(clippy::needless_range_loop)] // a constant number of turns, which unrolls
                    for t in 0..32 / BITS {
                        term(&words, now[t], t);
                    }
                    a = rest;
                } else {
                    for (t, &a) in a.iter().enumerate() {
                        term(&words, a, t);
                    }
                    a = &[];
                }
            }
        }
        acc
    }
}
// [/panel]

/// `bias + A W` for rows `rows` and columns `cols` into `c`, which is that block of the product. `a` is [M, K], row-major.
///
/// # Panics
/// If shapes do not agree, `scratch` is shorter than [`float_scratch_len`], weights are packed for another instruction set, or the columns
/// start inside a panel.
pub fn float_rows(
    isa: Isa,
    w: &Weights<'_>,
    a: &[f32],
    [rows, cols]: [Range<usize>; 2],
    bias: Option<&[f32]>,
    mut c: MatMut<'_, f32>,
    scratch: &mut [f32],
) {
    w.check(isa, &cols);
    let Extents { k, n, .. } = w.extents;
    assert!(rows.start <= rows.end && rows.end * k <= a.len(), "rows {rows:?} of {} elements", a.len());
    assert!(c.rows() == rows.len() && c.cols() == cols.len(), "C is {}x{}", c.rows(), c.cols());
    assert!(bias.is_none_or(|bias| bias.len() == n), "bias");
    assert!(scratch.len() >= float_scratch_len(isa, &w.extents), "{} elements of scratch", scratch.len());
    if rows.is_empty() {
        return;
    }
    for j in cols.clone().step_by(panel_columns(isa)) {
        let panel = w.panel(j);
        let width = panel.width.min(cols.end - j);
        let mut part = c.block(0..rows.len(), j - cols.start..j - cols.start + width);
        for k0 in (0..k).step_by(DEPTH) {
            let ks = k0..k.min(k0 + DEPTH);
            let dense = &mut scratch[..ks.len() * panel.width];
            with_bits!(w.extents.bits, BITS => dispatch(isa, Dequantize::<BITS> { w, panel, ks: ks.clone(), to: dense }));
            let b = Right::Packed(PackedB::from_packed(isa, dense, ks.len(), width));
            let a = MatRef::new(&a[rows.start * k + k0..], rows.len(), ks.len(), k, 1);
            let addend =
                bias.filter(|_| ks.end == k).map(|bias| MatRef::new(&bias[j..j + width], rows.len(), width, 0, 1));
            let g = Gemm { resume: k0 > 0, addend, ..Gemm::new(a, b) };
            let part = part.block(0..rows.len(), 0..width);
            // Dense rows, one packed panel of one k block: no scratch is needed.
            Block::new(isa, &g, 0..rows.len(), 0..width, part).run(&mut []);
        }
    }
}

/// Rows `ks` of a panel in f32, `[k][width]`.
struct Dequantize<'a, const BITS: usize> {
    w: &'a Weights<'a>,
    panel: Panel<'a>,
    ks: Range<usize>,
    to: &'a mut [f32],
}

impl<const BITS: usize> Kernel for Dequantize<'_, BITS> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let Panel { width, codes, scales, zeros } = self.panel;
        let (per_word, block) = (32 / BITS, self.w.extents.block);
        let default = Simd::splat(self.w.default_zero());
        for (k, row) in self.ks.zip(self.to.chunks_exact_mut(width)) {
            let group = self.w.groups.map_or(k / block, |groups| groups[k] as usize);
            let (words, t) = (&codes[k / per_word * width..][..width], k % per_word);
            let by_block = group * width..(group + 1) * width;
            let (scales, zeros) = (&scales[by_block.clone()], zeros.map(|zeros| &zeros[by_block]));
            for at in (0..width).step_by(L) {
                let part = at..at + L;
                // SAFETY: whole vectors, by the ranges.
                unsafe {
                    let zero = zeros.map_or(default, |zeros| load(zeros[part.clone()].as_ptr()));
                    let code = decode::<A, L, BITS>(load(words[part.clone()].as_ptr()), t);
                    let weight = (code - zero) * load(scales[part.clone()].as_ptr());
                    store(row[part].as_mut_ptr(), weight);
                }
            }
        }
    }
}
