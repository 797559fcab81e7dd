//! Copying operands into the order in which tiles read them.

use super::tile::{Scalar, load, load_first, store, store_first};
use super::{MatRef, k_block};
use crate::lanes::{Arch, Isa, Kernel, Simd, dispatch};

/// A constant right operand in panels: `[k block][panel][k in block][panel width]`. Panels are [`panel_width`] columns wide, the last
/// one only as many whole vectors as it needs, padded with zeros.
#[derive(Clone, Copy, Debug)]
pub struct PackedB<'a, T> {
    data: &'a [T],
    isa: Isa,
    k: usize,
    n: usize,
}

/// Columns of a full panel of `T` on `isa`: column ranges of a packed product start at its multiples.
pub fn panel_width<T: Scalar>(isa: Isa) -> usize {
    T::tiles(isa).panel()
}

/// Elements that [`pack_b`] writes for a `k` x `n` operand; `None` if that does not fit `usize`.
pub fn packed_b_len<T: Scalar>(isa: Isa, k: usize, n: usize) -> Option<usize> {
    n.checked_next_multiple_of(T::tiles(isa).lanes)?.checked_mul(k)
}

/// Packs `b` ([K, N], any strides) for products on `isa`. `dst` is best aligned to 64 bytes.
///
/// # Panics
/// If `dst` is shorter than [`packed_b_len`].
pub fn pack_b<'a, T: Scalar>(isa: Isa, b: &MatRef<'_, T>, dst: &'a mut [T]) -> PackedB<'a, T> {
    let (k, n) = (b.rows(), b.cols());
    let needed = packed_b_len::<T>(isa, k, n);
    assert!(needed.is_some_and(|len| len <= dst.len()), "packing {k}x{n} needs more than {} elements", dst.len());
    let tiles = T::tiles(isa);
    let mut out = dst.as_mut_ptr();
    let depth = k_block::<T>(k);
    for k0 in (0..k).step_by(depth) {
        let kc = depth.min(k - k0);
        for j in (0..n).step_by(tiles.panel()) {
            let cols = tiles.panel().min(n - j);
            let width = cols.next_multiple_of(tiles.lanes);
            let source = Source { ptr: b.ptr(k0, j), k_stride: b.row_stride(), n_stride: b.col_stride(), k: kc, n: cols };
            // SAFETY: the source block lies in `b`; blocks follow each other and fill `packed_b_len` elements.
            unsafe { pack_panel(isa, source, out, width) };
            out = out.wrapping_add(kc * width);
        }
    }
    PackedB { data: dst, isa, k, n }
}

impl<'a, T: Scalar> PackedB<'a, T> {
    /// Elements that [`pack_b`] wrote earlier on the same `isa` for a `k` x `n` operand.
    ///
    /// # Panics
    /// If `data` is too short.
    pub fn from_packed(isa: Isa, data: &'a [T], k: usize, n: usize) -> Self {
        let needed = packed_b_len::<T>(isa, k, n);
        assert!(needed.is_some_and(|len| len <= data.len()), "packed {k}x{n} has only {} elements", data.len());
        PackedB { data, isa, k, n }
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
        let tiles = T::tiles(self.isa);
        let padded = self.n.next_multiple_of(tiles.lanes);
        debug_assert!(j % tiles.panel() == 0 && j < self.n && k0 + kc <= self.k);
        (self.data.as_ptr().wrapping_add(k0 * padded + j * kc), tiles.panel().min(padded - j))
    }

    /// A single packed column as a [K, 1] matrix: its rows lie one vector apart.
    pub(super) fn single_column(&self) -> MatRef<'a, T> {
        debug_assert!(self.n == 1);
        MatRef::new(self.data, self.k, 1, T::tiles(self.isa).lanes, 1)
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
pub(super) unsafe fn pack_panel<T: Scalar>(isa: Isa, source: Source<T>, dst: *mut T, width: usize) {
    // The vector of `T` has as many bytes as that of f32.
    match T::tiles(isa).lanes {
        16 => dispatch(isa, Pack::<T, 16> { source, dst, width }),
        8 => dispatch(isa, Pack::<T, 8> { source, dst, width }),
        4 => dispatch(isa, Pack::<T, 4> { source, dst, width }),
        _ => dispatch(isa, Pack::<T, 2> { source, dst, width }),
    }
}

struct Pack<T, const W: usize> {
    source: Source<T>,
    dst: *mut T,
    width: usize,
}

impl<T: Scalar, const W: usize> Kernel for Pack<T, W> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        // Vectors of f32 lanes or half as many f64 lanes: other pairs of width and set do not occur.
        if const { W * size_of::<T>() == L * 4 } {
            let Pack { source: s, dst, width } = self;
            // SAFETY: `pack_panel`'s contract.
            unsafe {
                if s.n_stride == 1 {
                    copy_rows::<T, W>(s, dst, width);
                } else if s.k_stride == 1 {
                    transpose_blocks::<T, W>(s, dst, width);
                } else {
                    gather(s, dst, width);
                }
            }
        }
    }
}

/// # Safety
/// As [`pack_panel`], with `n_stride == 1`.
#[inline(always)]
unsafe fn copy_rows<T: Scalar, const W: usize>(s: Source<T>, dst: *mut T, width: usize) {
    for k in 0..s.k {
        let from = s.ptr.wrapping_add(k * s.k_stride);
        let to = dst.wrapping_add(k * width);
        let mut j = 0;
        while j + W <= s.n {
            // SAFETY: columns j .. j + W exist on both sides.
            unsafe { store::<T, W>(to.wrapping_add(j), load(from.wrapping_add(j))) };
            j += W;
        }
        if j < width {
            // SAFETY: `n - j` columns are left to read, `width - j` to write; both are less than a vector or the store is whole.
            unsafe { store_upto(to.wrapping_add(j), load_first::<T, W>(from.wrapping_add(j), s.n - j), width - j) };
        }
    }
}

/// # Safety
/// `min(n, W)` elements at `p` are writable.
#[inline(always)]
unsafe fn store_upto<T: Scalar, const W: usize>(p: *mut T, v: Simd<T, W>, n: usize) {
    // SAFETY: the caller's promise.
    unsafe { if n >= W { store(p, v) } else { store_first(p, v, n) } }
}

/// # Safety
/// As [`pack_panel`], with `k_stride == 1`.
#[inline(always)]
unsafe fn transpose_blocks<T: Scalar, const W: usize>(s: Source<T>, dst: *mut T, width: usize) {
    for j in (0..width).step_by(W) {
        for k in (0..s.k).step_by(W) {
            let depth = W.min(s.k - k);
            let mut block = [Simd::<T, W>::splat(T::default()); W];
            for (i, column) in block.iter_mut().enumerate().take(s.n.saturating_sub(j)) {
                let p = s.ptr.wrapping_add((j + i) * s.n_stride + k);
                // SAFETY: column j + i has `depth` elements from row k.
                *column = unsafe { if depth == W { load(p) } else { load_first(p, depth) } };
            }
            for (i, row) in transpose(block).iter().enumerate().take(depth) {
                // SAFETY: row k + i of the panel has `width - j` elements from column j.
                unsafe { store_upto(dst.wrapping_add((k + i) * width + j), *row, width - j) };
            }
        }
    }
}

/// `log2(W)` rounds of interleaving rows half the block apart: the perfect shuffle of the index bits, once a bit.
#[inline(always)]
pub(crate) fn transpose<T: Scalar, const W: usize>(mut block: [Simd<T, W>; W]) -> [Simd<T, W>; W] {
    let mut round = 1;
    while round < W {
        let mut next = block;
        for i in 0..W / 2 {
            (next[2 * i], next[2 * i + 1]) = block[i].interleave(block[i + W / 2]);
        }
        block = next;
        round *= 2;
    }
    block
}

/// # Safety
/// As [`pack_panel`].
#[inline(always)]
unsafe fn gather<T: Scalar>(s: Source<T>, dst: *mut T, width: usize) {
    for k in 0..s.k {
        for j in 0..width {
            // SAFETY: (k, j) lies in the block where it is read, and in the panel.
            unsafe {
                let x = if j < s.n { *s.ptr.wrapping_add(k * s.k_stride + j * s.n_stride) } else { T::default() };
                *dst.wrapping_add(k * width + j) = x;
            }
        }
    }
}
