//! Copying operands into the order in which tiles read them.

use super::tile::{Scalar, TileSet, load, load_first, store, store_upto};
use super::{MatRef, k_block};
use crate::lanes::{Arch, Isa, Kernel, Simd, dispatch};
use crate::transpose::turned;
use std::marker::PhantomData;
use std::simd::SimdElement;

/// A constant right operand in panels: `[k block][panel][k in block][panel width]`. Panels are [`panel_width`] columns wide, the last
/// one only as many whole vectors as it needs, padded with zeros.
#[derive(Clone, Copy, Debug)]
pub struct PackedB<'a, T> {
    data: &'a [T],
    isa: Isa,
    k: usize,
    n: usize,
    /// Columns of a vector and of a full panel.
    lanes: usize,
    panel: usize,
}

/// Columns of a full panel of `T` on `isa`: column ranges of a packed product start at its multiples.
pub fn panel_width<T: Scalar>(isa: Isa) -> usize {
    T::tiles(isa).panel()
}

/// Elements that [`pack_b`] writes for a `k` x `n` operand; `None` if that does not fit `usize`.
pub fn packed_b_len<T: Scalar>(isa: Isa, k: usize, n: usize) -> Option<usize> {
    n.checked_next_multiple_of(T::tiles(isa).lanes)?.checked_mul(k)
}

/// Where [`pack_b`] writes element `(row, column)` of a `k` x `n` operand.
pub(crate) fn packed_place<T: Scalar>(isa: Isa, [k, n]: [usize; 2], [row, column]: [usize; 2]) -> usize {
    let (tiles, depth) = (T::tiles(isa), k_block::<T>(k));
    let (k0, j) = (row / depth * depth, column / tiles.panel() * tiles.panel());
    let padded = n.next_multiple_of(tiles.lanes);
    let width = tiles.panel().min(padded - j);
    k0 * padded + j * depth.min(k - k0) + (row - k0) * width + column - j
}

/// Packs `b` ([K, N], any strides) for products on `isa`. `dst` is best aligned to 64 bytes.
///
/// # Panics
/// If `dst` is shorter than [`packed_b_len`].
pub fn pack_b<'a, T: Scalar>(isa: Isa, b: &MatRef<'_, T>, dst: &'a mut [T]) -> PackedB<'a, T> {
    pack_b_as::<Same<T>>(isa, b, dst)
}

/// As [`pack_b`], from elements stored as `F`.
pub(super) fn pack_b_as<'a, F: Format>(
    isa: Isa,
    b: &MatRef<'_, F::Stored>,
    dst: &'a mut [F::Value],
) -> PackedB<'a, F::Value> {
    let (k, n) = (b.rows(), b.cols());
    let needed = packed_b_len::<F::Value>(isa, k, n);
    assert!(needed.is_some_and(|len| len <= dst.len()), "packing {k}x{n} needs more than {} elements", dst.len());
    let tiles = F::Value::tiles(isa);
    let mut out = dst.as_mut_ptr();
    let depth = k_block::<F::Value>(k);
    for k0 in (0..k).step_by(depth) {
        let kc = depth.min(k - k0);
        for j in (0..n).step_by(tiles.panel()) {
            let cols = tiles.panel().min(n - j);
            let width = cols.next_multiple_of(tiles.lanes);
            let source =
                Source { ptr: b.ptr(k0, j), k_stride: b.row_stride(), n_stride: b.col_stride(), k: kc, n: cols };
            // SAFETY: the source block lies in `b`; blocks follow each other and fill `packed_b_len` elements.
            unsafe { pack_panel::<F>(isa, source, out, width) };
            out = out.wrapping_add(kc * width);
        }
    }
    PackedB::from_packed(isa, dst, k, n)
}

impl<'a, T: Scalar> PackedB<'a, T> {
    /// Elements that [`pack_b`] wrote earlier on the same `isa` for a `k` x `n` operand.
    ///
    /// # Panics
    /// If `data` is too short.
    pub fn from_packed(isa: Isa, data: &'a [T], k: usize, n: usize) -> Self {
        let needed = packed_b_len::<T>(isa, k, n);
        assert!(needed.is_some_and(|len| len <= data.len()), "packed {k}x{n} has only {} elements", data.len());
        PackedB::of_tiles(isa, T::tiles(isa), data, k, n)
    }

    /// As [`PackedB::from_packed`], for tiles other than the type's own.
    pub(crate) fn of_tiles(isa: Isa, tiles: &TileSet<T>, data: &'a [T], k: usize, n: usize) -> Self {
        PackedB { data, isa, k, n, lanes: tiles.lanes, panel: tiles.panel() }
    }

    pub fn k(&self) -> usize {
        self.k
    }

    pub fn n(&self) -> usize {
        self.n
    }

    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// First row `k0` (the start of a k block of `kc` rows) of the panel that starts at column `j`, and the panel's width.
    pub(super) fn panel(&self, k0: usize, kc: usize, j: usize) -> (*const T, usize) {
        let padded = self.n.next_multiple_of(self.lanes);
        debug_assert!(j.is_multiple_of(self.panel) && j < self.n && k0 + kc <= self.k);
        (self.data.as_ptr().wrapping_add(k0 * padded + j * kc), self.panel.min(padded - j))
    }

    /// A single packed column as a [K, 1] matrix: its rows lie one vector apart.
    pub(super) fn single_column(&self) -> MatRef<'a, T> {
        debug_assert!(self.n == 1);
        MatRef::new(self.data, self.k, 1, self.lanes, 1)
    }
}

/// How elements are stored, and what they are computed in.
pub(crate) trait Format: 'static {
    type Stored: SimdElement + Default;
    type Value: Scalar;
    fn widen<const W: usize>(x: Simd<Self::Stored, W>) -> Simd<Self::Value, W>;
}

/// Stored as they are computed.
pub(super) struct Same<T>(PhantomData<T>);

impl<T: Scalar> Format for Same<T> {
    type Stored = T;
    type Value = T;
    #[inline(always)]
    fn widen<const W: usize>(x: Simd<T, W>) -> Simd<T, W> {
        x
    }
}

/// A block to pack: element `(k, n)` at `ptr + k * k_stride + n * n_stride`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<T> {
    pub ptr: *const T,
    pub k_stride: usize,
    pub n_stride: usize,
    pub k: usize,
    pub n: usize,
}

/// Writes the block as `[k][width]`, zeros from column `n` on.
///
/// # Safety
/// The block is readable, `k * width` elements at `dst` are writable, and `n <= width`.
pub(super) unsafe fn pack_panel<F: Format>(isa: Isa, source: Source<F::Stored>, dst: *mut F::Value, width: usize) {
    match F::Value::tiles(isa).lanes {
        16 => dispatch(isa, Pack::<F, 16> { source, dst, width }),
        8 => dispatch(isa, Pack::<F, 8> { source, dst, width }),
        4 => dispatch(isa, Pack::<F, 4> { source, dst, width }),
        _ => dispatch(isa, Pack::<F, 2> { source, dst, width }),
    }
}

struct Pack<F: Format, const W: usize> {
    source: Source<F::Stored>,
    dst: *mut F::Value,
    width: usize,
}

impl<F: Format, const W: usize> Kernel for Pack<F, W> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        // A vector of any type has as many bytes as that of f32: other pairs of width and set do not occur.
        if const { W * size_of::<F::Value>() == L * 4 } {
            let Pack { source: s, dst, width } = self;
            // SAFETY: `pack_panel`'s contract.
            unsafe {
                if s.n_stride == 1 {
                    copy_rows::<F, W>(s, dst, width);
                } else if s.k_stride == 1 {
                    transpose_blocks::<F, W>(s, dst, width);
                } else {
                    gather::<F>(s, dst, width);
                }
            }
        }
    }
}

/// # Safety
/// As [`pack_panel`], with `n_stride == 1`.
#[inline(always)]
unsafe fn copy_rows<F: Format, const W: usize>(s: Source<F::Stored>, dst: *mut F::Value, width: usize) {
    for k in 0..s.k {
        let from = s.ptr.wrapping_add(k * s.k_stride);
        let to = dst.wrapping_add(k * width);
        let mut j = 0;
        while j + W <= s.n {
            // SAFETY: columns j .. j + W exist on both sides.
            unsafe { store(to.wrapping_add(j), F::widen::<W>(load(from.wrapping_add(j)))) };
            j += W;
        }
        if j < width {
            // SAFETY: `n - j` columns are left to read, `width - j` to write; both are less than a vector or the store is whole.
            unsafe {
                let x = F::widen::<W>(load_first(from.wrapping_add(j), s.n - j));
                store_upto(to.wrapping_add(j), x, width - j);
            }
        }
    }
}

/// # Safety
/// As [`pack_panel`], with `k_stride == 1`.
#[inline(always)]
unsafe fn transpose_blocks<F: Format, const W: usize>(s: Source<F::Stored>, dst: *mut F::Value, width: usize) {
    for j in (0..width).step_by(W) {
        for k in (0..s.k).step_by(W) {
            let depth = W.min(s.k - k);
            let mut block = [Simd::<F::Value, W>::splat(F::Value::default()); W];
            for (i, column) in block.iter_mut().enumerate().take(s.n.saturating_sub(j)) {
                let p = s.ptr.wrapping_add((j + i) * s.n_stride + k);
                // SAFETY: column j + i has `depth` elements from row k.
                *column = F::widen::<W>(unsafe { if depth == W { load(p) } else { load_first(p, depth) } });
            }
            for (i, row) in turned(block).iter().enumerate().take(depth) {
                // SAFETY: row k + i of the panel has `width - j` elements from column j.
                unsafe { store_upto(dst.wrapping_add((k + i) * width + j), *row, width - j) };
            }
        }
    }
}

/// # Safety
/// As [`pack_panel`].
#[inline(always)]
unsafe fn gather<F: Format>(s: Source<F::Stored>, dst: *mut F::Value, width: usize) {
    for k in 0..s.k {
        for j in 0..width {
            // SAFETY: (k, j) lies in the block where it is read, and in the panel.
            unsafe {
                let stored =
                    if j < s.n { *s.ptr.wrapping_add(k * s.k_stride + j * s.n_stride) } else { Default::default() };
                *dst.wrapping_add(k * width + j) = F::widen::<1>(Simd::from_array([stored]))[0];
            }
        }
    }
}
