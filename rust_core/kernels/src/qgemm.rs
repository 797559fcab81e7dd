//! Products of 8-bit integers: `C = (A - a_zero) (B - b_zero)`, exact in wrapping 32-bit integers, so that every instruction set and
//! every split gives the same bits (MatMulInteger, QLinearMatMul, ConvInteger).
//!
//! Operands of either sign are brought to A unsigned and B signed by flipping the top bit, which moves their zero points by
//! 128. The product of the stored values runs on the tiles of [`gemm`](crate::gemm) over *groups* of k packed into one i32: four bytes
//! where the CPU has VNNI, else two 16-bit integers, widened so that `pmaddwd` is exact (`pmaddubsw` would saturate). Zero points are
//! subtracted afterwards: `acc - a_zero * colsum(B) - b_zero * rowsum(A) + k * a_zero * b_zero`.

use crate::gemm::tile::{Step, TileSet, tile, tile_set};
use crate::gemm::{Block, Gemm, MatMut, MatRef, PackedB, Right, k_block, load, load_first, store_first};
use crate::lanes::{Arch, Avx2, Avx512, Avx512Vnni, Baseline, Isa, Kernel, Neon, Simd, SimdInt, SimdUint, dispatch};
use std::ops::Range;

/// Rows of A that are rearranged at a time.
const ROWS: usize = 96;

/// An 8-bit operand, as bytes.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a> {
    pub values: MatRef<'a, u8>,
    /// The bytes are `int8`, else `uint8`.
    pub signed: bool,
}

impl Bytes<'_> {
    /// Flips bytes of this operand to `signed`; zero points too.
    fn flip(&self, signed: bool) -> u8 {
        if self.signed == signed { 0 } else { 0x80 }
    }
}

/// Zero points in the type of their operand.
#[derive(Clone, Copy, Debug)]
pub enum ZeroPoint<'a> {
    Scalar(u8),
    /// One a row of A, or one a column of B.
    PerChannel(&'a [u8]),
}

impl ZeroPoint<'_> {
    fn at(&self, channel: usize) -> u8 {
        match self {
            ZeroPoint::Scalar(zero) => *zero,
            ZeroPoint::PerChannel(zeros) => zeros[channel],
        }
    }

    fn check(&self, channels: usize, what: &str) {
        if let ZeroPoint::PerChannel(zeros) = self {
            assert!(zeros.len() == channels, "{} zero points for {channels} {what}", zeros.len());
        }
    }
}

/// A right operand, packed: `[k block][panel][group of k][column]`, then the sum of each column.
#[derive(Clone, Copy, Debug)]
pub struct PackedBytes<'a> {
    groups: PackedB<'a, i32>,
    sums: &'a [i32],
    k: usize,
    /// Bytes were `int8`; unsigned ones have been flipped.
    signed: bool,
}

/// An 8-bit product. A is [M, K], B [K, N].
#[derive(Clone, Copy, Debug)]
pub struct ByteGemm<'a> {
    pub a: Bytes<'a>,
    pub b: PackedBytes<'a>,
    pub a_zero: ZeroPoint<'a>,
    pub b_zero: ZeroPoint<'a>,
}

impl ByteGemm<'_> {
    /// The one zero point of B as flipped to signed.
    fn scalar_b_zero(&self) -> Option<i32> {
        match self.b_zero {
            ZeroPoint::Scalar(zero) => Some(i32::from((zero ^ self.b.flip()) as i8)),
            ZeroPoint::PerChannel(_) => None,
        }
    }
}

/// Four products of an unsigned byte of `a` and a signed byte of `b`.
#[derive(Debug)]
struct Dot4;

/// Two products of 16-bit integers.
#[derive(Debug)]
struct Dot2;

// [panel: MatMulInteger QLinearMatMul com.microsoft.MatMulIntegerToFloat dot]
// [panel: com.microsoft.DynamicQuantizeMatMul dot]
impl Step<i32> for Dot4 {
    #[inline(always)]
    fn step<A: Arch, const W: usize>(a: Simd<i32, W>, b: Simd<i32, W>, c: Simd<i32, W>) -> Simd<i32, W> {
        #[cfg(target_arch = "x86_64")]
        if const { A::ISA as u8 == Isa::Avx512Vnni as u8 && W == 16 } {
            let (a, b, c) = (a.resize::<16>(0), b.resize::<16>(0), c.resize::<16>(0));
            // SAFETY: code for `Avx512Vnni` runs where VNNI is.
            let sum = unsafe { std::arch::x86_64::_mm512_dpbusd_epi32(c.into(), a.into(), b.into()) };
            return Simd::<i32, 16>::from(sum).resize::<W>(0);
        }
        let low_unsigned = |x: Simd<i32, W>, shift: i32| (x >> Simd::splat(shift)) & Simd::splat(0xff);
        let low_signed = |x: Simd<i32, W>, shift: i32| (x << Simd::splat(24 - shift)) >> Simd::splat(24);
        [0, 8, 16, 24].iter().fold(c, |c, &shift| c + low_unsigned(a, shift) * low_signed(b, shift))
    }
}
// [/panel]
// [/panel]

impl Step<i32> for Dot2 {
    #[inline(always)]
    fn step<A: Arch, const W: usize>(a: Simd<i32, W>, b: Simd<i32, W>, c: Simd<i32, W>) -> Simd<i32, W> {
        #[cfg(target_arch = "x86_64")]
        if const { A::ISA as u8 == Isa::Avx512 as u8 && W == 16 } {
            // SAFETY: code for `Avx512` runs where AVX-512 BW is.
            let pairs =
                unsafe { std::arch::x86_64::_mm512_madd_epi16(a.resize::<16>(0).into(), b.resize::<16>(0).into()) };
            return c + Simd::<i32, 16>::from(pairs).resize::<W>(0);
        }
        #[cfg(target_arch = "x86_64")]
        if const { A::ISA as u8 == Isa::Avx2 as u8 && W == 8 } {
            // SAFETY: code for `Avx2` runs where AVX2 is.
            let pairs =
                unsafe { std::arch::x86_64::_mm256_madd_epi16(a.resize::<8>(0).into(), b.resize::<8>(0).into()) };
            return c + Simd::<i32, 8>::from(pairs).resize::<W>(0);
        }
        #[cfg(target_arch = "x86_64")]
        if const { W == 4 } {
            // SAFETY: SSE2 is part of x86-64.
            let pairs = unsafe { std::arch::x86_64::_mm_madd_epi16(a.resize::<4>(0).into(), b.resize::<4>(0).into()) };
            return c + Simd::<i32, 4>::from(pairs).resize::<W>(0);
        }
        let shift = Simd::splat(16);
        let low = |x: Simd<i32, W>| (x << shift) >> shift;
        c + low(a) * low(b) + (a >> shift) * (b >> shift)
    }
}

/// Values of k in a group on `isa`: the layout is little-endian, like every architecture of [`Isa`].
fn group(isa: Isa) -> usize {
    if isa == Isa::Avx512Vnni { 4 } else { 2 }
}

fn tiles(isa: Isa) -> &'static TileSet<i32> {
    match isa {
        Isa::Baseline => tile_set!(i32, Dot2, Baseline, 4; 1: [1 2 3 4]; 2: [1 2 3 4]),
        Isa::Neon => tile_set!(i32, Dot2, Neon, 4; 1: [1 2 3 4]; 2: [1 2 3 4]; 3: [1 2 3 4]; 4: [1 2 3 4]),
        Isa::Avx2 => tile_set!(i32, Dot2, Avx2, 8; 1: [1 2 3 4 5 6]; 2: [1 2 3 4 5]),
        Isa::Avx512 => tile_set!(i32, Dot2, Avx512, 16; 1: [1 2 3 4 5 6 7 8 9 10 11 12];
            2: [1 2 3 4 5 6 7 8 9 10 11 12]; 3: [1 2 3 4 5 6 7 8]; 4: [1 2 3 4 5]),
        Isa::Avx512Vnni => tile_set!(i32, Dot4, Avx512Vnni, 16; 1: [1 2 3 4 5 6 7 8 9 10 11 12];
            2: [1 2 3 4 5 6 7 8 9 10 11 12]; 3: [1 2 3 4 5 6 7 8]; 4: [1 2 3 4 5 6]),
    }
}

/// Columns of a full panel on `isa`: column ranges start at its multiples.
pub fn byte_panel_width(isa: Isa) -> usize {
    tiles(isa).panel()
}

/// Elements that [`pack_bytes`] writes; `None` if that does not fit `usize`.
pub fn packed_bytes_len(isa: Isa, k: usize, n: usize) -> Option<usize> {
    let padded = n.checked_next_multiple_of(tiles(isa).lanes)?;
    padded.checked_mul(k.div_ceil(group(isa)).checked_add(1)?)
}

/// Packs `b` ([K, N], any strides) for products on `isa`. `dst` is best aligned to 64 bytes.
///
/// # Panics
/// If `dst` is shorter than [`packed_bytes_len`].
pub fn pack_bytes<'a>(isa: Isa, b: &Bytes<'_>, dst: &'a mut [i32]) -> PackedBytes<'a> {
    let (k, n) = (b.values.rows(), b.values.cols());
    let len = packed_bytes_len(isa, k, n);
    assert!(len.is_some_and(|len| len <= dst.len()), "packing {k}x{n} needs more than {} elements", dst.len());
    let (tiles, groups) = (tiles(isa), k.div_ceil(group(isa)));
    let padded = n.next_multiple_of(tiles.lanes);
    let (packed, sums) = dst.split_at_mut(groups * padded);
    let depth = k_block::<i32>(groups);
    let mut panels = &mut packed[..];
    for g0 in (0..groups).step_by(depth) {
        let block = g0..groups.min(g0 + depth);
        for j in (0..n).step_by(tiles.panel()) {
            let width = tiles.panel().min(padded - j);
            let (panel, rest) = panels.split_at_mut(block.len() * width);
            dispatch(isa, PackPanel { b: *b, groups: block.clone(), j, width, panel });
            panels = rest;
        }
    }
    dispatch(isa, ColumnSums { b: *b, sums: &mut sums[..padded] });
    PackedBytes::from_packed(isa, dst, k, n, b.signed)
}

impl<'a> PackedBytes<'a> {
    /// Elements that [`pack_bytes`] wrote earlier on the same `isa`, for a `k` x `n` operand of that sign.
    ///
    /// # Panics
    /// If `data` is too short.
    pub fn from_packed(isa: Isa, data: &'a [i32], k: usize, n: usize, signed: bool) -> Self {
        let len = packed_bytes_len(isa, k, n);
        assert!(len.is_some_and(|len| len <= data.len()), "packed {k}x{n} has only {} elements", data.len());
        let tiles = tiles(isa);
        let groups = k.div_ceil(group(isa));
        let padded = n.next_multiple_of(tiles.lanes);
        let (packed, sums) = data.split_at(groups * padded);
        PackedBytes { groups: PackedB::of_tiles(isa, tiles, packed, groups, n), sums: &sums[..padded], k, signed }
    }

    /// As [`Bytes::flip`] to signed.
    fn flip(&self) -> u8 {
        if self.signed { 0 } else { 0x80 }
    }

    pub fn k(&self) -> usize {
        self.k
    }

    pub fn n(&self) -> usize {
        self.groups.n()
    }
}

/// `L` bytes of row `k` of `b` from column `j`, flipped to signed; 0 outside of B.
#[inline(always)]
fn signed_bytes<const L: usize>(b: &Bytes<'_>, k: usize, j: usize) -> Simd<i32, L> {
    let (rows, cols) = (b.values.rows(), b.values.cols());
    if k >= rows || j >= cols {
        return Simd::splat(0);
    }
    let n = L.min(cols - j);
    let flip = b.flip(true);
    let bytes: Simd<u8, L> = if b.values.col_stride() == 1 && n == L {
        // SAFETY: columns j .. j + L of row k lie in B.
        unsafe { load(b.values.ptr(k, j)) }
    } else {
        let mut lanes = [flip; L];
        for (i, lane) in lanes.iter_mut().enumerate().take(n) {
            *lane = b.values.at(k, j + i);
        }
        Simd::from_array(lanes)
    };
    (bytes ^ Simd::splat(flip)).cast::<i8>().cast()
}

/// One panel of one block: `[group][width]`.
struct PackPanel<'a> {
    b: Bytes<'a>,
    groups: Range<usize>,
    j: usize,
    width: usize,
    panel: &'a mut [i32],
}

impl Kernel for PackPanel<'_> {
    type Output = ();
    const DOTS: bool = true;
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let group = group(A::ISA);
        let (bits, mask) = if group == 4 { (8, 0xff) } else { (16, 0xffff) };
        for (g, row) in self.groups.zip(self.panel.chunks_exact_mut(self.width)) {
            for (at, out) in (self.j..).step_by(L).zip(row.chunks_exact_mut(L)) {
                let mut packed = Simd::<i32, L>::splat(0);
                for t in 0..group {
                    let values = signed_bytes::<L>(&self.b, g * group + t, at);
                    packed |= (values & Simd::splat(mask)) << Simd::splat(bits * t as i32);
                }
                out.copy_from_slice(packed.as_array());
            }
        }
    }
}

/// Sums of B's columns, flipped to signed.
struct ColumnSums<'a> {
    b: Bytes<'a>,
    sums: &'a mut [i32],
}

impl Kernel for ColumnSums<'_> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        for (j, out) in (0..).step_by(L).zip(self.sums.chunks_exact_mut(L)) {
            let mut sum = Simd::<i32, L>::splat(0);
            for k in 0..self.b.values.rows() {
                sum += signed_bytes::<L>(&self.b, k, j);
            }
            out.copy_from_slice(sum.as_array());
        }
    }
}

/// Rows of A in groups, flipped to unsigned: `[row][group]`, zeros past K; and the sum of each row, where it is asked for.
struct PackRows<'a> {
    a: Bytes<'a>,
    rows: Range<usize>,
    packed: &'a mut [i32],
    sums: Option<&'a mut [i32]>,
}

impl Kernel for PackRows<'_> {
    type Output = ();
    const DOTS: bool = true;
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let groups = self.a.values.cols().div_ceil(group(A::ISA));
        for (at, i) in self.rows.clone().enumerate() {
            pack_row::<A, L>(&self.a, i, &mut self.packed[at * groups..(at + 1) * groups]);
        }
        let Some(sums) = self.sums else { return };
        for (at, sum) in sums.iter_mut().enumerate() {
            *sum = sum_groups::<A, L>(&self.packed[at * groups..(at + 1) * groups]);
        }
    }
}

#[inline(always)]
fn pack_row<A: Arch, const L: usize>(a: &Bytes<'_>, i: usize, out: &mut [i32]) {
    let (k, group, flip) = (a.values.cols(), group(A::ISA), a.flip(false));
    if a.values.col_stride() != 1 {
        for (g, out) in out.iter_mut().enumerate() {
            let byte = |t| i32::from(a.values.at(i, g * group + t) ^ flip) << (32 / group * t);
            *out = (0..group.min(k - g * group)).map(byte).fold(0, |packed, byte| packed | byte);
        }
        return;
    }
    let groups = out.len();
    for g in (0..groups).step_by(L) {
        // What is left of a row is copied first; bytes past its end become 0.
        let mut rest = [flip; 64];
        let mut from = a.values.ptr(i, g * group);
        let left = k - g * group;
        if left < L * group {
            // SAFETY: `left` bytes of the row remain, fewer than 64.
            unsafe { std::ptr::copy_nonoverlapping(from, rest.as_mut_ptr(), left) };
            from = rest.as_ptr();
        }
        // SAFETY: L * group bytes are readable at `from`, whatever their alignment; groups from g on are left in `out`.
        unsafe {
            let packed = flipped_groups::<A, L>(from, flip);
            store_first(out[g..].as_mut_ptr(), packed, groups - g);
        }
    }
}

/// `L` groups of bytes at `p`, each xor `flip`.
///
/// # Safety
/// `L` groups of bytes are readable.
#[inline(always)]
unsafe fn flipped_groups<A: Arch, const L: usize>(p: *const u8, flip: u8) -> Simd<i32, L> {
    if group(A::ISA) == 4 {
        // SAFETY: the caller's promise; vectors are read unaligned.
        unsafe { load::<i32, L>(p.cast()) ^ Simd::splat(i32::from_ne_bytes([flip; 4])) }
    } else {
        // SAFETY: as above.
        let pairs = unsafe { load::<u16, L>(p.cast()) } ^ Simd::splat(u16::from_ne_bytes([flip; 2]));
        let pairs: Simd<i32, L> = pairs.cast();
        (pairs | (pairs << Simd::splat(8))) & Simd::splat(0x00ff_00ff)
    }
}

/// The sum of all values in unsigned groups.
#[inline(always)]
fn sum_groups<A: Arch, const L: usize>(groups: &[i32]) -> i32 {
    let mut sum = Simd::<i32, L>::splat(0);
    for at in (0..groups.len()).step_by(L) {
        // SAFETY: the mask ends with the slice.
        let x: Simd<i32, L> = unsafe { load_first(groups[at..].as_ptr(), groups.len() - at) };
        sum = if group(A::ISA) == 4 {
            Dot4::step::<A, L>(x, Simd::splat(0x0101_0101), sum)
        } else {
            Dot2::step::<A, L>(x, Simd::splat(0x0001_0001), sum)
        };
    }
    sum.reduce_sum()
}

/// Elements of scratch that [`gemm_bytes`] needs for an `m` x `n` x `k` product or any part of it.
pub fn byte_scratch_len(isa: Isa, m: usize, k: usize) -> usize {
    ROWS.min(m) * (k.div_ceil(group(isa)) + 1)
}

/// Computes rows `rows` and columns `cols` of the product into `c`, which is that block of C.
///
/// # Panics
/// If shapes do not agree, `scratch` is shorter than [`byte_scratch_len`], B is packed for another instruction set, or the columns do not
/// start at a multiple of [`byte_panel_width`].
pub fn gemm_bytes(
    isa: Isa,
    g: &ByteGemm<'_>,
    rows: Range<usize>,
    cols: Range<usize>,
    mut c: MatMut<'_, i32>,
    scratch: &mut [i32],
) {
    check(isa, g, &rows, &cols, &c);
    assert!(scratch.len() >= byte_scratch_len(isa, rows.len(), g.b.k), "{} elements of scratch", scratch.len());
    let groups = g.b.groups.k();
    let b_zero = g.scalar_b_zero();
    let (packed, sums) = scratch.split_at_mut(ROWS.min(rows.len()) * groups);
    for r0 in rows.clone().step_by(ROWS) {
        let band = r0..rows.end.min(r0 + ROWS);
        let (packed, sums) = (&mut packed[..band.len() * groups], &mut sums[..band.len()]);
        let wanted = b_zero.is_none_or(|zero| zero != 0);
        dispatch(isa, PackRows { a: g.a, rows: band.clone(), packed, sums: wanted.then_some(&mut *sums) });
        let product = Gemm::new(MatRef::row_major(packed, band.len(), groups), Right::Packed(g.b.groups));
        let at = band.start - rows.start;
        let mut part = c.block(at..at + band.len(), 0..cols.len());
        if cols.is_empty() {
            continue;
        }
        let whole = part.block(0..band.len(), 0..cols.len());
        // Dense rows, few of them, and packed panels: no scratch is needed.
        Block::with_tiles(isa, tiles(isa), &product, 0..band.len(), cols.clone(), whole).run(&mut []);
        dispatch(isa, Correct { g, rows: band, cols: cols.clone(), row_sums: sums, c: part });
    }
}

fn check(isa: Isa, g: &ByteGemm<'_>, rows: &Range<usize>, cols: &Range<usize>, c: &MatMut<'_, i32>) {
    let (m, k, n) = (g.a.values.rows(), g.b.k, g.b.n());
    assert!(g.a.values.cols() == k, "A is {m}x{}, B {k}x{n}", g.a.values.cols());
    assert!(g.b.groups.isa() == isa, "B is packed for {}, not {}", g.b.groups.isa().name(), isa.name());
    assert!(rows.start <= rows.end && rows.end <= m, "rows {rows:?} of {m}");
    assert!(cols.start <= cols.end && cols.end <= n, "columns {cols:?} of {n}");
    assert!(cols.start.is_multiple_of(byte_panel_width(isa)), "columns {cols:?} start inside a panel");
    assert!(c.rows() == rows.len() && c.cols() == cols.len(), "C is {}x{}", c.rows(), c.cols());
    g.a_zero.check(m, "rows");
    g.b_zero.check(n, "columns");
}

/// Subtracts what the zero points contribute from the products of stored values.
struct Correct<'a> {
    g: &'a ByteGemm<'a>,
    rows: Range<usize>,
    cols: Range<usize>,
    /// Meaningful unless B's zero point is one 0.
    row_sums: &'a [i32],
    c: MatMut<'a, i32>,
}

// [panel: MatMulInteger QLinearMatMul com.microsoft.MatMulIntegerToFloat com.microsoft.DynamicQuantizeMatMul]
impl Kernel for Correct<'_> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let (g, b_zero) = (self.g, self.g.scalar_b_zero());
        for (at, &row_sum) in self.row_sums.iter().enumerate() {
            let a_zero = i32::from(g.a_zero.at(self.rows.start + at) ^ g.a.flip(false));
            // acc - a_zero * colsum - b_zero * (rowsum - k * a_zero)
            let rest = match b_zero {
                Some(0) if a_zero == 0 => continue,
                Some(0) => 0,
                _ => row_sum.wrapping_sub((g.b.k as i32).wrapping_mul(a_zero)),
            };
            for j in (0..self.cols.len()).step_by(L) {
                let n = L.min(self.cols.len() - j);
                let zeros = b_zeros::<L>(g, self.cols.start + j, n);
                let p = self.c.ptr(at, j);
                // SAFETY: `n` columns of this row of C are left; the sums are padded to whole vectors of columns.
                unsafe {
                    let acc: Simd<i32, L> = load_first(p, n);
                    let sums: Simd<i32, L> = load(g.b.sums.as_ptr().wrapping_add(self.cols.start + j));
                    store_first(p, acc - Simd::splat(a_zero) * sums - zeros * Simd::splat(rest), n);
                }
            }
        }
    }
}
// [/panel]

/// B's zero points for `n` columns from `col`, as flipped to signed.
#[inline(always)]
fn b_zeros<const L: usize>(g: &ByteGemm<'_>, col: usize, n: usize) -> Simd<i32, L> {
    let bytes: Simd<u8, L> = match g.b_zero {
        ZeroPoint::Scalar(zero) => Simd::splat(zero),
        // SAFETY: `check` saw one zero point a column.
        ZeroPoint::PerChannel(zeros) => unsafe { load_first(zeros[col..].as_ptr(), n) },
    };
    (bytes ^ Simd::splat(g.b.flip())).cast::<i8>().cast()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::tests::Random;

    struct Case {
        m: usize,
        n: usize,
        k: usize,
        a_signed: bool,
        b_signed: bool,
        /// 0 row-major, 1 transposed, 2 both strides general.
        a_layout: usize,
        b_layout: usize,
        per_channel: [bool; 2],
        extreme: bool,
    }

    fn stored(rows: usize, cols: usize, layout: usize, extreme: bool, random: &mut Random) -> (Vec<u8>, usize, usize) {
        let (row_stride, col_stride) = [(cols, 1), (1, rows), (2 * cols + 1, 2)][layout];
        let len = crate::gemm::extent(rows, cols, row_stride, col_stride).unwrap();
        let byte =
            |random: &mut Random| if extreme { [0, 127, 128, 255][random.below(4)] } else { random.next() as u8 };
        ((0..len).map(|_| byte(random)).collect(), row_stride, col_stride)
    }

    fn value(byte: u8, signed: bool) -> i64 {
        if signed { i64::from(byte as i8) } else { i64::from(byte) }
    }

    fn run_case(case: &Case, random: &mut Random) {
        let &Case { m, n, k, a_signed, b_signed, .. } = case;
        let (a, a_rows, a_cols) = stored(m, k, case.a_layout, case.extreme, random);
        let (b, b_rows, b_cols) = stored(k, n, case.b_layout, case.extreme, random);
        let a = Bytes { values: MatRef::new(&a, m, k, a_rows, a_cols), signed: a_signed };
        let b = Bytes { values: MatRef::new(&b, k, n, b_rows, b_cols), signed: b_signed };
        let zeros: [Vec<u8>; 2] = [m, n].map(|len| (0..len).map(|_| random.next() as u8).collect());
        let scalars = [random.next() as u8, if random.below(2) == 0 { 0 } else { 128 }];
        let zero = |which: usize| match case.per_channel[which] {
            true => ZeroPoint::PerChannel(&zeros[which]),
            false => ZeroPoint::Scalar(scalars[which]),
        };
        let (a_zero, b_zero) = (zero(0), zero(1));
        for &isa in Isa::available() {
            let mut packed = vec![-1; packed_bytes_len(isa, k, n).unwrap()];
            let g = ByteGemm { a, b: pack_bytes(isa, &b, &mut packed), a_zero, b_zero };
            let mut scratch = vec![-1; byte_scratch_len(isa, m, k)];
            let mut data = vec![0x5555; m * (n + 3)];
            let mut c = MatMut::new(&mut data, m, n, n + 3);
            let cut = (n / 2).next_multiple_of(byte_panel_width(isa)).min(n);
            for rows in [0..m / 3, m / 3..m] {
                for cols in [0..cut, cut..n].into_iter().filter(|cols| !cols.is_empty()) {
                    gemm_bytes(isa, &g, rows.clone(), cols.clone(), c.block(rows.clone(), cols), &mut scratch);
                }
            }
            for (at, &got) in data.iter().enumerate() {
                let (i, j) = (at / (n + 3), at % (n + 3));
                let term = |p: usize| {
                    (value(a.values.at(i, p), a_signed) - value(a_zero.at(i), a_signed))
                        * (value(b.values.at(p, j), b_signed) - value(b_zero.at(j), b_signed))
                };
                let want = if j < n { (0..k).map(term).sum::<i64>() as i32 } else { 0x5555 };
                assert_eq!(got, want, "{m}x{n}x{k} {a_signed}/{b_signed} C[{i}, {j}] on {}", isa.name());
            }
        }
    }

    #[test]
    fn edges_signs_and_zero_points() {
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        let ms = [0, 1, 2, 3, 5, 6, 7, 12, 13, 100];
        let ns = [0, 1, 3, 4, 8, 15, 16, 17, 33, 48, 63, 64, 65, 130];
        let ks = [0, 1, 2, 3, 4, 5, 31, 63, 64, 65, 130];
        for case in 0..400 {
            run_case(
                &Case {
                    m: ms[random.below(ms.len())],
                    n: ns[random.below(ns.len())],
                    k: ks[random.below(ks.len())],
                    a_signed: case & 1 != 0,
                    b_signed: case & 2 != 0,
                    a_layout: random.below(3),
                    b_layout: random.below(3),
                    per_channel: [random.below(3) == 0, random.below(3) == 0],
                    extreme: random.below(3) == 0,
                },
                &mut random,
            );
        }
    }

    #[test]
    fn k_blocks() {
        let mut random = Random(11);
        for k in [2047, 2049, 4096, 4100] {
            let per_channel = [true, true];
            run_case(
                &Case {
                    m: 3,
                    n: 70,
                    k,
                    a_signed: true,
                    b_signed: false,
                    a_layout: 0,
                    b_layout: 1,
                    per_channel,
                    extreme: true,
                },
                &mut random,
            );
        }
    }

    #[test]
    fn steps_agree_with_their_portable_form() {
        // W = 1 has no instruction of its own.
        let mut random = Random(12);
        for _ in 0..1000 {
            let (a, b, c) = (random.next() as i32, random.next() as i32, random.next() as i32);
            let one = |x| Simd::<i32, 1>::from_array([x]);
            let two = |x: i32| [i32::from(x as i16), x >> 16];
            let want =
                c.wrapping_add(two(a)[0].wrapping_mul(two(b)[0]).wrapping_add(two(a)[1].wrapping_mul(two(b)[1])));
            assert_eq!(Dot2::step::<Baseline, 1>(one(a), one(b), one(c))[0], want);
            let want = (0..4)
                .fold(c, |c, t| c.wrapping_add(i32::from(a.to_le_bytes()[t]) * i32::from(b.to_le_bytes()[t] as i8)));
            assert_eq!(Dot4::step::<Baseline, 1>(one(a), one(b), one(c))[0], want);
        }
    }
}
