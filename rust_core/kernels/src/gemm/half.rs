//! Products of `float16` and `bfloat16`: operands widen to binary32, the chain runs there, and each element of C
//! is rounded once at the end, after scaling and addend. Elements are passed as their 16 bits.

use super::pack::{Format, Source, pack_b_as, pack_panel};
use super::{Block, Gemm, MatMut, MatRef, PackedB, Right, load, load_first, panel_width, store, store_first};
use crate::functions::convert;
use crate::lanes::{Arch, Isa, Kernel, Simd, dispatch};
use std::ops::Range;

/// Rows that are widened at a time, and panels of C that are kept in binary32 until they are rounded.
const ROWS: usize = 48;
const PANELS: usize = 8;

/// A 16-bit floating-point type.
pub trait Half: Send + Sync + 'static {
    /// Exact.
    fn widen<const W: usize>(x: Simd<u16, W>) -> Simd<f32, W>;
    /// Rounds to nearest, ties to even. A NaN stays one and becomes quiet.
    fn narrow<const W: usize>(x: Simd<f32, W>) -> Simd<u16, W>;
}

/// IEEE 754 binary16.
#[derive(Clone, Copy, Debug)]
pub struct Float16;

/// The upper half of binary32.
#[derive(Clone, Copy, Debug)]
pub struct BFloat16;

impl Half for Float16 {
    #[inline(always)]
    fn widen<const W: usize>(x: Simd<u16, W>) -> Simd<f32, W> {
        convert::f16_to_f32(x)
    }
    #[inline(always)]
    fn narrow<const W: usize>(x: Simd<f32, W>) -> Simd<u16, W> {
        convert::f32_to_f16(x)
    }
}

impl Half for BFloat16 {
    #[inline(always)]
    fn widen<const W: usize>(x: Simd<u16, W>) -> Simd<f32, W> {
        convert::bf16_to_f32(x)
    }
    #[inline(always)]
    fn narrow<const W: usize>(x: Simd<f32, W>) -> Simd<u16, W> {
        convert::f32_to_bf16(x)
    }
}

/// Stored as `H`, computed in f32.
struct Widened<H>(H);

impl<H: Half> Format for Widened<H> {
    type Stored = u16;
    type Value = f32;
    #[inline(always)]
    fn widen<const W: usize>(x: Simd<u16, W>) -> Simd<f32, W> {
        H::widen(x)
    }
}

/// Packs `b` ([K, N], any strides), widened: `dst` has [`packed_b_len::<f32>`](super::packed_b_len) elements. A right operand known only at
/// run time is packed too.
///
/// # Panics
/// If `dst` is too short.
pub fn pack_b_half<'a, H: Half>(isa: Isa, b: &MatRef<'_, u16>, dst: &'a mut [f32]) -> PackedB<'a, f32> {
    pack_b_as::<Widened<H>>(isa, b, dst)
}

/// `C = alpha * (A B) + beta * addend` in binary32, rounded once to the 16-bit type; without an addend `alpha * (A B)`.
#[derive(Clone, Copy, Debug)]
pub struct HalfGemm<'a> {
    /// [M, K]
    pub a: MatRef<'a, u16>,
    /// [K, N], from [`pack_b_half`].
    pub b: PackedB<'a, f32>,
    pub alpha: f32,
    pub beta: f32,
    /// [M, N]; strides of 0 broadcast.
    pub addend: Option<MatRef<'a, u16>>,
    /// Whether `A B` is rounded to the 16-bit type before it is scaled, too.
    pub rounded_first: bool,
}

/// Elements of scratch that [`gemm_half`] needs for an `m` x `n` x `k` product or any part of it.
pub fn half_scratch_len(isa: Isa, m: usize, n: usize, k: usize) -> usize {
    let rows = ROWS.min(m);
    rows * k + rows * n.min(PANELS * panel_width::<f32>(isa))
}

/// Computes rows `rows` and columns `cols` of the product into `c`, which is that block of C. `H` is the type of A, C and the addend.
///
/// # Panics
/// As [`gemm`](super::gemm()).
pub fn gemm_half<H: Half>(
    isa: Isa,
    g: &HalfGemm<'_>,
    rows: Range<usize>,
    cols: Range<usize>,
    c: MatMut<'_, u16>,
    scratch: &mut [f32],
) {
    let (m, k) = (g.a.rows(), g.a.cols());
    let n = g.b.n();
    assert!(g.b.k() == k && g.b.isa() == isa, "A is {m}x{k}, B {}x{n} for {}", g.b.k(), g.b.isa().name());
    assert!(rows.start <= rows.end && rows.end <= m, "rows {rows:?} of {m}");
    assert!(cols.start <= cols.end && cols.end <= n, "columns {cols:?} of {n}");
    assert!(cols.start.is_multiple_of(panel_width::<f32>(isa)), "columns {cols:?} start inside a panel");
    assert!(c.rows() == rows.len() && c.cols() == cols.len(), "C is {}x{}", c.rows(), c.cols());
    assert!(g.addend.is_none_or(|d| d.rows() == m && d.cols() == n), "the addend is not {m}x{n}");
    assert!(scratch.len() >= half_scratch_len(isa, rows.len(), cols.len(), k), "{} elements of scratch", scratch.len());
    let (wide_a, wide_c) = scratch.split_at_mut(ROWS.min(rows.len()) * k);
    for r0 in rows.clone().step_by(ROWS) {
        let band = r0..rows.end.min(r0 + ROWS);
        let a = widen_rows::<H>(isa, &g.a, &band, wide_a);
        for j in cols.clone().step_by(PANELS * panel_width::<f32>(isa)) {
            let part = j..cols.end.min(j + PANELS * panel_width::<f32>(isa));
            let product = Gemm::new(a, Right::Packed(g.b));
            let wide = MatMut::new(wide_c, band.len(), part.len(), part.len());
            // Dense rows, few of them, and packed panels: no scratch is needed.
            Block::new(isa, &product, 0..band.len(), part.clone(), wide).run(&mut []);
            for i in band.clone() {
                let acc = &wide_c[(i - band.start) * part.len()..][..part.len()];
                let out = c.ptr(i - rows.start, part.start - cols.start);
                let addend = g.addend.as_ref().map(|d| (d.ptr(i, part.start), d.col_stride()));
                let &HalfGemm { alpha, beta, rounded_first, .. } = g;
                let half = std::marker::PhantomData;
                dispatch(isa, Round::<H> { acc, out, alpha, beta, addend, rounded_first, half });
            }
        }
    }
}

/// The rows `band` of `a` in f32, dense.
fn widen_rows<'w, H: Half>(isa: Isa, a: &MatRef<'_, u16>, band: &Range<usize>, wide: &'w mut [f32]) -> MatRef<'w, f32> {
    let k = a.cols();
    let source =
        Source { ptr: a.ptr(band.start, 0), k_stride: a.row_stride(), n_stride: a.col_stride(), k: band.len(), n: k };
    let dst = &mut wide[..band.len() * k];
    // SAFETY: the band lies in A; dst has rows * k elements. "Rows of k" are here rows of A.
    unsafe { pack_panel::<Widened<H>>(isa, source, dst.as_mut_ptr(), k) };
    MatRef::row_major(dst, band.len(), k)
}

/// The end of the program for one row: `acc.len()` elements at `out`; `addend` is its first element and stride.
struct Round<'a, H> {
    acc: &'a [f32],
    out: *mut u16,
    alpha: f32,
    beta: f32,
    addend: Option<(*const u16, usize)>,
    rounded_first: bool,
    half: std::marker::PhantomData<H>,
}

impl<H: Half> Kernel for Round<'_, H> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        for j in (0..self.acc.len()).step_by(L) {
            let n = L.min(self.acc.len() - j);
            // SAFETY: n elements are left in acc, C's row and the addend's.
            unsafe {
                let acc = self.acc.as_ptr().wrapping_add(j);
                let acc: Simd<f32, L> = if n == L { load(acc) } else { load_first(acc, n) };
                let y = H::narrow(self.scaled(acc, j, n));
                let out = self.out.wrapping_add(j);
                if n == L { store(out, y) } else { store_first(out, y, n) }
            }
        }
    }
}

impl<H: Half> Round<'_, H> {
    /// # Safety
    /// The addend has `n` elements from column `j`.
    #[inline(always)]
    unsafe fn scaled<const L: usize>(&self, acc: Simd<f32, L>, j: usize, n: usize) -> Simd<f32, L> {
        let acc = if self.rounded_first { H::widen(H::narrow(acc)) } else { acc };
        let scaled = Simd::splat(self.alpha) * acc;
        let Some((p, stride)) = self.addend else { return scaled };
        let p = p.wrapping_add(j * stride);
        let mut d = [0u16; L];
        for (i, x) in d.iter_mut().enumerate().take(n) {
            // SAFETY: the caller's promise.
            *x = unsafe { *p.wrapping_add(i * stride) };
        }
        scaled + Simd::splat(self.beta) * H::widen(Simd::from_array(d))
    }
}

#[cfg(test)]
mod tests {
    use super::super::packed_b_len;
    use super::super::tests::Random;
    use super::*;
    use ::half::{bf16, f16};

    fn same16(got: u16, want: u16, nan: bool) -> bool {
        got == want || nan
    }

    #[test]
    fn conversions_are_those_of_ieee() {
        for bits in 0..=u16::MAX {
            let (w, want) = (Float16::widen(Simd::from_array([bits]))[0], f16::from_bits(bits).to_f32());
            assert!(w.to_bits() == want.to_bits() || (w.is_nan() && want.is_nan()), "{bits:#x}");
            let (w, want) = (BFloat16::widen(Simd::from_array([bits]))[0], bf16::from_bits(bits).to_f32());
            assert!(w.to_bits() == want.to_bits() || (w.is_nan() && want.is_nan()), "{bits:#x}");
        }
        // Every binary16 and its neighbourhood of ties, and a lattice over all of binary32.
        let near = (0..=u16::MAX).flat_map(|h| {
            let x = f16::from_bits(h).to_f32().to_bits();
            [0xfff, 0x1000, 0x1001, 1, 0, 0x7fff, 0x8000, 0x8001].map(|d| f32::from_bits(x.wrapping_add(d)))
        });
        for x in near.chain((0..1u32 << 20).map(|i| f32::from_bits(i.wrapping_mul(4099)))) {
            let (got, want) = (Float16::narrow(Simd::from_array([x]))[0], f16::from_f32(x));
            assert!(
                same16(got, want.to_bits(), x.is_nan() && f16::from_bits(got).is_nan()),
                "{x:e}: {got:#x} {want:?}"
            );
            let (got, want) = (BFloat16::narrow(Simd::from_array([x]))[0], bf16::from_f32(x));
            assert!(same16(got, want.to_bits(), x.is_nan() && bf16::from_bits(got).is_nan()), "{x:e}: {got:#x}");
        }
    }

    fn products<H: Half>(widen: fn(u16) -> f32, narrow: fn(f32) -> u16, seed: u64) {
        let mut random = Random(seed);
        for case in 0..60 {
            let (m, n, k) = (random.below(60), random.below(140), random.below(50));
            let mut sample = |len: usize| (0..len).map(|_| narrow(random.unit() as f32)).collect::<Vec<u16>>();
            let (a, b, d) = (sample(m * k), sample(k * n), sample(m * n));
            let a = if case % 2 == 0 { MatRef::row_major(&a, m, k) } else { MatRef::new(&a, m, k, 1, m) };
            let right = if case % 3 == 0 { MatRef::new(&b, k, n, 1, k) } else { MatRef::row_major(&b, k, n) };
            let addend = [None, Some(MatRef::row_major(&d, m, n)), Some(MatRef::new(&d, m, n, 0, 1))][case % 3];
            let (alpha, beta) = if case % 4 == 0 { (1.0, 1.0) } else { (0.7, -1.3) };
            let rounded_first = case % 5 == 0;
            for &isa in Isa::available() {
                let mut packed = vec![9.0; packed_b_len::<f32>(isa, k, n).unwrap()];
                let b = pack_b_half::<H>(isa, &right, &mut packed);
                let g = HalfGemm { a, b, alpha, beta, addend, rounded_first };
                let mut scratch = vec![7.0; half_scratch_len(isa, m, n, k)];
                let mut c = vec![1; m * n];
                gemm_half::<H>(isa, &g, 0..m, 0..n, MatMut::new(&mut c, m, n, n), &mut scratch);
                for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                    let acc = (0..k).fold(0.0f32, |acc, p| widen(a.at(i, p)).mul_add(widen(right.at(p, j)), acc));
                    let acc = if rounded_first { widen(narrow(acc)) } else { acc };
                    let want = addend.map_or(alpha * acc, |d| alpha * acc + beta * widen(d.at(i, j)));
                    assert_eq!(c[i * n + j], narrow(want), "{m}x{n}x{k} at {i},{j} on {}", isa.name());
                }
            }
        }
    }

    #[test]
    fn float16_products() {
        products::<Float16>(|x| f16::from_bits(x).to_f32(), |x| f16::from_f32(x).to_bits(), 5);
    }

    #[test]
    fn bfloat16_products() {
        products::<BFloat16>(|x| bf16::from_bits(x).to_f32(), |x| bf16::from_f32(x).to_bits(), 6);
    }
}
