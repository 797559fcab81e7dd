//! Quantized rows times weights: exact integers in a block, a multiply-add chain over the blocks.

use super::{LARGEST_QUANTIZED_BLOCK, Levels, Panel, Weights, panel_columns, with_bits};
use crate::gemm::{MatMut, load, load_first, store_upto};
use crate::lanes::{Arch, Isa, Kernel, Simd, SimdFloat, SimdInt, dispatch};
use std::ops::Range;

/// Dot products of blocks up to this, and zero points times sums of levels, are integers below 2^24: exact in binary32.
const EXACT_IN_FLOAT: usize = 512;

/// `bias + A W` for rows `rows` and columns `cols` into `c`, which is that block of the product; A's rows are quantized. Zero points
/// must be integers of the weights' bits.
///
/// # Panics
/// If shapes do not agree, weights have groups or blocks too large, are packed for another instruction set, or the columns start inside a
/// panel.
pub fn quantized_rows(
    isa: Isa,
    w: &Weights<'_>,
    a: &Levels<'_>,
    [rows, cols]: [Range<usize>; 2],
    bias: Option<&[f32]>,
    c: MatMut<'_, f32>,
) {
    w.check(isa, &cols);
    let (blocks, block) = (w.extents.blocks(), w.extents.block);
    assert!(w.groups.is_none() && block <= LARGEST_QUANTIZED_BLOCK, "groups, or blocks of {block}");
    assert!(rows.start <= rows.end && rows.end * blocks * block / 4 <= a.groups.len(), "rows {rows:?}");
    assert!(rows.end * blocks <= a.steps.len().min(a.sums.len()), "rows {rows:?} of {} steps", a.steps.len());
    assert!(c.rows() == rows.len() && c.cols() == cols.len(), "C is {}x{}", c.rows(), c.cols());
    assert!(bias.is_none_or(|bias| bias.len() == w.extents.n), "bias");
    with_bits!(w.extents.bits, BITS => dispatch(isa, Rows::<BITS> { w, a: *a, rows, cols, bias, c }));
}

/// Four products of unsigned bytes of `w`, of at most `BITS` bits, and signed bytes of `a`, added to `c`.
#[inline(always)]
pub(super) fn dot<A: Arch, const L: usize, const BITS: usize>(
    w: Simd<i32, L>,
    a: Simd<i32, L>,
    c: Simd<i32, L>,
) -> Simd<i32, L> {
    #[cfg(target_arch = "x86_64")]
    if const { A::ISA as u8 == Isa::Avx512Vnni as u8 && L == 16 } {
        let (w, a, c) = (w.resize::<16>(0), a.resize::<16>(0), c.resize::<16>(0));
        // SAFETY: code for `Avx512Vnni` runs where VNNI is.
        let sum = unsafe { std::arch::x86_64::_mm512_dpbusd_epi32(c.into(), w.into(), a.into()) };
        return Simd::<i32, 16>::from(sum).resize::<L>(0);
    }
    #[cfg(target_arch = "x86_64")]
    if const { A::ISA as u8 == Isa::Avx512 as u8 && L == 16 } {
        return c + dot_avx512::<BITS>(w.resize::<16>(0), a.resize::<16>(0)).resize::<L>(0);
    }
    #[cfg(target_arch = "x86_64")]
    if const { A::ISA as u8 == Isa::Avx2 as u8 && L == 8 } {
        return c + dot_avx2::<BITS>(w.resize::<8>(0), a.resize::<8>(0)).resize::<L>(0);
    }
    #[cfg(target_arch = "x86_64")]
    if const { L == 4 } {
        return c + dot_sse2(w.resize::<4>(0), a.resize::<4>(0)).resize::<L>(0);
    }
    let unsigned = |shift: i32| (w >> Simd::splat(shift)) & Simd::splat(0xff);
    let signed = |shift: i32| (a << Simd::splat(24 - shift)) >> Simd::splat(24);
    [0, 8, 16, 24].iter().fold(c, |c, &shift| c + unsigned(shift) * signed(shift))
}

/// As `dot_avx2`, in twice the width.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn dot_avx512<const BITS: usize>(w: Simd<i32, 16>, a: Simd<i32, 16>) -> Simd<i32, 16> {
    use std::arch::x86_64::{_mm512_madd_epi16, _mm512_maddubs_epi16};
    // SAFETY: code for `Avx512` runs where AVX-512 BW is.
    let fours = |w: Simd<i32, 16>, factor: i16| unsafe {
        let pairs = _mm512_maddubs_epi16(w.into(), a.into());
        Simd::<i32, 16>::from(_mm512_madd_epi16(pairs, Simd::<i16, 32>::splat(factor).into()))
    };
    if BITS <= 4 {
        return fours(w, 1);
    }
    let nibbles = Simd::splat(0x0f0f_0f0f);
    fours(w & nibbles, 1) + fours((w >> Simd::splat(4)) & nibbles, 16)
}

/// Pairs of products fit 16 bits where weights have four: wider ones go by halves.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn dot_avx2<const BITS: usize>(w: Simd<i32, 8>, a: Simd<i32, 8>) -> Simd<i32, 8> {
    use std::arch::x86_64::{_mm256_madd_epi16, _mm256_maddubs_epi16};
    // SAFETY: code for `Avx2` runs where AVX2 is.
    let fours = |w: Simd<i32, 8>, factor: i16| unsafe {
        let pairs = _mm256_maddubs_epi16(w.into(), a.into());
        Simd::<i32, 8>::from(_mm256_madd_epi16(pairs, Simd::<i16, 16>::splat(factor).into()))
    };
    if BITS <= 4 {
        return fours(w, 1);
    }
    let nibbles = Simd::splat(0x0f0f_0f0f);
    fours(w & nibbles, 1) + fours((w >> Simd::splat(4)) & nibbles, 16)
}

/// Even and odd bytes, widened to 16 bits.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn dot_sse2(w: Simd<i32, 4>, a: Simd<i32, 4>) -> Simd<i32, 4> {
    use std::arch::x86_64::{_mm_madd_epi16, _mm_slli_epi16, _mm_srai_epi16};
    let low = Simd::splat(0x00ff_00ff);
    // SAFETY: SSE2 is part of x86-64.
    unsafe {
        let even = _mm_madd_epi16((w & low).into(), _mm_srai_epi16::<8>(_mm_slli_epi16::<8>(a.into())));
        let odd = _mm_madd_epi16(((w >> Simd::splat(8)) & low).into(), _mm_srai_epi16::<8>(a.into()));
        Simd::<i32, 4>::from(even) + Simd::<i32, 4>::from(odd)
    }
}

struct Rows<'a, const BITS: usize> {
    w: &'a Weights<'a>,
    a: Levels<'a>,
    rows: Range<usize>,
    cols: Range<usize>,
    bias: Option<&'a [f32]>,
    c: MatMut<'a, f32>,
}

impl<const BITS: usize> Kernel for Rows<'_, BITS> {
    type Output = ();
    const DOTS: bool = true;
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        for j in self.cols.clone().step_by(panel_columns(A::ISA)) {
            let panel = self.w.panel(j);
            let mut at = 0;
            while at < panel.width {
                let vectors = (panel.width - at) / L;
                at += L * if self.rows.len() == 1 && L == 16 && vectors >= 4 {
                    self.columns::<A, L, 4>(&panel, j, at)
                } else if vectors >= 2 {
                    self.columns::<A, L, 2>(&panel, j, at)
                } else {
                    self.columns::<A, L, 1>(&panel, j, at)
                };
            }
        }
    }
}

impl<const BITS: usize> Rows<'_, BITS> {
    /// All rows times `NV` vectors of columns from `at` of the panel at column `j`; returns NV.
    #[inline(always)]
    fn columns<A: Arch, const L: usize, const NV: usize>(&self, panel: &Panel<'_>, j: usize, at: usize) -> usize {
        let mut row = self.rows.start;
        while row < self.rows.end {
            let left = self.rows.end - row;
            row += if L == 16 && NV < 4 && left >= 4 {
                self.tile::<A, L, 4, NV>(panel, row, j, at)
            } else if NV < 4 && left >= 2 {
                self.tile::<A, L, 2, NV>(panel, row, j, at)
            } else {
                self.tile::<A, L, 1, NV>(panel, row, j, at)
            };
        }
        NV
    }

    /// `MR` rows from `row` times `NV` vectors of columns; returns MR.
    #[inline(always)]
    fn tile<A: Arch, const L: usize, const MR: usize, const NV: usize>(
        &self,
        panel: &Panel<'_>,
        row: usize,
        j: usize,
        at: usize,
    ) -> usize {
        let sums = self.chains::<A, L, MR, NV>(panel, row, at);
        for (i, sums) in sums.iter().enumerate() {
            for (v, &sum) in sums.iter().enumerate() {
                let column = j + at + v * L;
                let left = self.cols.end.saturating_sub(column).min(L);
                if left == 0 {
                    break;
                }
                let y = match self.bias {
                    // SAFETY: `left` elements are readable.
                    Some(bias) => sum + unsafe { load_first::<f32, L>(bias[column..][..left].as_ptr(), left) },
                    None => sum,
                };
                // SAFETY: `left` columns of this row of C are writable.
                unsafe { store_upto(self.c.ptr(row + i - self.rows.start, column - self.cols.start), y, left) };
            }
        }
        MR
    }

    #[inline(always)]
    fn chains<A: Arch, const L: usize, const MR: usize, const NV: usize>(
        &self,
        panel: &Panel<'_>,
        row: usize,
        at: usize,
    ) -> [[Simd<f32, L>; NV]; MR] {
        let Panel { width, codes, scales, zeros } = *panel;
        let (blocks, block, block_words) =
            (self.w.extents.blocks(), self.w.extents.block, self.w.extents.block_words());
        assert!(codes.len() == blocks * block_words * width && scales.len() == blocks * width && at + NV * L <= width);
        let groups = blocks * block / 4;
        let mut a: [*const i32; MR] = std::array::from_fn(|i| self.a.groups[(row + i) * groups..][..groups].as_ptr());
        let mut code = codes.as_ptr().wrapping_add(at);
        let mut acc = [[Simd::<f32, L>::splat(0.0); NV]; MR];
        for b in 0..blocks {
            let by_row: [(f32, i32); MR] = std::array::from_fn(|i| {
                let place = (row + i) * blocks + b;
                (self.a.steps[place], self.a.sums[place])
            });
            let mut dots: [[Simd<i32, L>; NV]; MR] = std::array::from_fn(|i| {
                let start = if zeros.is_some() { 0 } else { -(by_row[i].1 << (BITS - 1)) };
                [Simd::splat(start); NV]
            });
            for _ in 0..block_words {
                // SAFETY: NV whole vectors of this word's row are readable.
                let words: [Simd<i32, L>; NV] = std::array::from_fn(|v| unsafe { load(code.wrapping_add(v * L)) });
                code = code.wrapping_add(width);
                for t in 0..8 / BITS {
                    let fields = words.map(|word| field::<L, BITS>(word, t));
                    for i in 0..MR {
                        // SAFETY: a row has as many groups as the panel's words have fields.
                        let levels = Simd::splat(unsafe { *a[i] });
                        a[i] = a[i].wrapping_add(1);
                        for v in 0..NV {
                            dots[i][v] = dot::<A, L, BITS>(fields[v], levels, dots[i][v]);
                        }
                    }
                }
            }
            for v in 0..NV {
                let place = b * width + at + v * L;
                // SAFETY: whole vectors, by the assertion above; zero points are as many as scales.
                let (scale, zero): (Simd<f32, L>, _) = unsafe {
                    (load(scales.as_ptr().wrapping_add(place)), zeros.map(|zeros| load(zeros[place..][..L].as_ptr())))
                };
                for i in 0..MR {
                    let (step, sum) = by_row[i];
                    let d = difference::<A, L>(dots[i][v], zero, sum, block);
                    acc[i][v] = A::fma(d, Simd::splat(step) * scale, acc[i][v]);
                }
            }
        }
        acc
    }
}

/// Four fields of each word, a byte each.
#[inline(always)]
fn field<const L: usize, const BITS: usize>(word: Simd<i32, L>, t: usize) -> Simd<i32, L> {
    if BITS == 8 {
        return word;
    }
    let mask = i32::from_ne_bytes([(1u8 << BITS.min(7)) - 1; 4]);
    (word >> Simd::splat((BITS * t) as i32)) & Simd::splat(mask)
}

/// `dots - zero * sum`, an integer, rounded to binary32.
#[inline(always)]
fn difference<A: Arch, const L: usize>(
    dots: Simd<i32, L>,
    zero: Option<Simd<f32, L>>,
    sum: i32,
    block: usize,
) -> Simd<f32, L> {
    let Some(zero) = zero else { return dots.cast() };
    if block > EXACT_IN_FLOAT {
        return (dots - zero.cast::<i32>() * Simd::splat(sum)).cast();
    }
    let (dots, sum) = (dots.cast::<f32>(), Simd::splat(sum as f32));
    // Nothing is rounded either way; the baseline has no instruction for the first.
    if const { A::ISA as u8 == Isa::Baseline as u8 } { dots - zero * sum } else { A::fma(-zero, sum, dots) }
}
