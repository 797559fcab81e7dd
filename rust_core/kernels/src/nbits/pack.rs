//! Packing weights, scales and zero points, a panel at a time.

use super::{Extents, panel_columns};
use crate::gemm::{load, store};
use crate::lanes::{Arch, Isa, Kernel, Simd, dispatch};
use crate::transpose::turned;

/// Packs the panel of columns from `j` of `codes`, which are `[n][words]` in little-endian words of 4 bytes; columns beyond n are 0.
///
/// # Panics
/// If the panel has not its length, which is that of the panel's columns in whole vectors times the words of a column, or `codes` is short.
pub fn pack_codes(isa: Isa, extents: &Extents, codes: &[u8], j: usize, panel: &mut [i32]) {
    let words = extents.words();
    let cols = panel_columns(isa).min(extents.n - j);
    let width = cols.next_multiple_of(isa.lanes());
    assert!(panel.len() == width * words, "a panel of {} words, not {width}x{words}", panel.len());
    let codes = &codes[4 * j * words..4 * (j + cols) * words];
    dispatch(isa, PackCodes { codes, words, cols, width, panel });
}

struct PackCodes<'a> {
    /// `[cols][words]`
    codes: &'a [u8],
    words: usize,
    cols: usize,
    width: usize,
    panel: &'a mut [i32],
}

impl Kernel for PackCodes<'_> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let PackCodes { codes, words, cols, width, panel } = self;
        let whole = words / L * L;
        for first in (0..width).step_by(L) {
            for word in (0..whole).step_by(L) {
                let mut block = [Simd::<i32, L>::splat(0); L];
                for (i, column) in block.iter_mut().enumerate().take(cols.saturating_sub(first)) {
                    let from = &codes[4 * ((first + i) * words + word)..][..4 * L];
                    // SAFETY: L words are readable, whatever their alignment.
                    *column = unsafe { load(from.as_ptr().cast()) };
                }
                for (i, row) in turned(block).iter().enumerate() {
                    let to = &mut panel[(word + i) * width + first..][..L];
                    // SAFETY: a whole vector is writable.
                    unsafe { store(to.as_mut_ptr(), *row) };
                }
            }
            for (word, column) in (whole..words).flat_map(|word| (0..L).map(move |i| (word, first + i))) {
                let from = codes.get(4 * (column * words + word)..).and_then(|rest| rest.first_chunk::<4>());
                let value = from.filter(|_| column < cols).map_or(0, |bytes| i32::from_le_bytes(*bytes));
                panel[word * width + column] = value;
            }
        }
    }
}

/// Packs the panel of columns from `j` of values that each block has, `at(column, block)`; columns beyond n are 0.
///
/// # Panics
/// If the panel has not its length: that of [`pack_codes`] for the blocks of a column.
pub fn pack_by_block(isa: Isa, extents: &Extents, at: impl Fn(usize, usize) -> f32, j: usize, panel: &mut [f32]) {
    let cols = panel_columns(isa).min(extents.n - j);
    let width = cols.next_multiple_of(isa.lanes());
    assert!(panel.len() == width * extents.blocks(), "a panel of {} values", panel.len());
    for (block, row) in panel.chunks_exact_mut(width).enumerate() {
        for (i, value) in row.iter_mut().enumerate() {
            *value = if i < cols { at(j + i, block) } else { 0.0 };
        }
    }
}
