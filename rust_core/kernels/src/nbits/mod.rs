//! Products whose right operand has weights of 2, 4 or 8 bits, in blocks along K that share a scale and a zero point
//! (MatMulNBits).
//!
//! Weights stay as they are stored, in words of 32 bits that hold 32 / bits neighbours along K; packing turns them only so
//! that the words of as many columns as a vector has lanes lie side by side: `[panel][word][column]`, panels being those of
//! [`gemm`](crate::gemm) over f32, the last one as many whole vectors as it needs. Scales and zero points are f32,
//! `[panel][block][column]`. One form serves all kernels: a single row times the weights ([`float_row`]), many rows, for
//! which a panel is dequantized a few hundred k at a time ([`float_rows`]), and integers ([`quantized_rows`]).

mod float;
mod levels;
mod pack;
mod quantized;
#[cfg(test)]
mod tests;

pub use float::{float_row, float_rows, float_scratch_len};
pub use levels::{Levels, LevelsMut, quantize_rows};
pub use pack::{pack_by_block, pack_codes};
pub use quantized::quantized_rows;

use crate::gemm::panel_width;
use crate::lanes::Isa;
use std::ops::Range;

/// Blocks up to this have dot products that fit an i32: 255 * 127 * 2^16 < 2^31.
pub const LARGEST_QUANTIZED_BLOCK: usize = 1 << 16;

/// A right operand's extents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extents {
    pub k: usize,
    pub n: usize,
    /// Weights of a block: a power of two, at least 16.
    pub block: usize,
    /// 2, 4 or 8.
    pub bits: usize,
}

impl Extents {
    /// Blocks of a column.
    pub fn blocks(&self) -> usize {
        self.k.div_ceil(self.block)
    }

    /// Words of a block.
    fn block_words(&self) -> usize {
        self.block * self.bits / 32
    }

    /// Words of a column: whole blocks.
    pub fn words(&self) -> usize {
        self.blocks() * self.block_words()
    }

    /// Columns with those that fill the last vector; `None` if that does not fit `usize`.
    fn padded(&self, isa: Isa) -> Option<usize> {
        self.n.checked_next_multiple_of(isa.lanes())
    }

    /// Elements that [`pack_codes`] writes in all; `None` if that does not fit `usize`.
    pub fn packed_codes(&self, isa: Isa) -> Option<usize> {
        self.padded(isa)?.checked_mul(self.words())
    }

    /// Elements that [`pack_by_block`] writes in all; `None` if that does not fit `usize`.
    pub fn packed_by_block(&self, isa: Isa) -> Option<usize> {
        self.padded(isa)?.checked_mul(self.blocks())
    }
}

/// Columns of a full panel on `isa`: column ranges start at its multiples.
pub fn panel_columns(isa: Isa) -> usize {
    panel_width::<f32>(isa)
}

/// A packed right operand.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    isa: Isa,
    extents: Extents,
    codes: &'a [i32],
    scales: &'a [f32],
    zeros: Option<&'a [f32]>,
    groups: Option<&'a [i32]>,
}

impl<'a> Weights<'a> {
    /// What [`pack_codes`] and [`pack_by_block`] wrote on the same `isa`. Without zero points they are `2^(bits - 1)`; `groups` names
    /// each k's block, which is `k / block` without.
    ///
    /// # Panics
    /// If a slice is too short, or a group no block.
    pub fn new(
        isa: Isa,
        extents: Extents,
        codes: &'a [i32],
        scales: &'a [f32],
        zeros: Option<&'a [f32]>,
        groups: Option<&'a [i32]>,
    ) -> Self {
        let Extents { k, block, bits, .. } = extents;
        assert!(matches!(bits, 2 | 4 | 8) && block >= 16 && block.is_power_of_two(), "{extents:?}");
        assert!(
            extents.packed_codes(isa).is_some_and(|len| len <= codes.len()),
            "{} words for {extents:?}",
            codes.len()
        );
        let by_block = extents.packed_by_block(isa).unwrap_or(usize::MAX);
        for values in [Some(scales), zeros].into_iter().flatten() {
            assert!(by_block <= values.len(), "{} scales or zero points for {extents:?}", values.len());
        }
        if let Some(groups) = groups {
            let blocks = extents.blocks();
            assert!(
                groups.len() >= k && groups[..k].iter().all(|&g| g >= 0 && (g as usize) < blocks),
                "groups beyond {blocks}"
            );
        }
        Weights { isa, extents, codes, scales, zeros, groups }
    }

    /// The panel that starts at column `j`.
    fn panel(&self, j: usize) -> Panel<'a> {
        let padded = self.extents.n.next_multiple_of(self.isa.lanes());
        let width = panel_columns(self.isa).min(padded - j);
        let part = |rows: usize| j * rows..(j + width) * rows;
        let blocks = part(self.extents.blocks());
        Panel {
            width,
            codes: &self.codes[part(self.extents.words())],
            scales: &self.scales[blocks.clone()],
            zeros: self.zeros.map(|zeros| &zeros[blocks]),
        }
    }

    /// The zero point where none are given.
    fn default_zero(&self) -> f32 {
        (1 << (self.extents.bits - 1)) as f32
    }

    fn check(&self, isa: Isa, cols: &Range<usize>) {
        assert!(self.isa == isa, "weights are packed for {}, not {}", self.isa.name(), isa.name());
        assert!(cols.start <= cols.end && cols.end <= self.extents.n, "columns {cols:?} of {}", self.extents.n);
        assert!(cols.start.is_multiple_of(panel_columns(isa)), "columns {cols:?} start inside a panel");
    }
}

/// One panel: rows of `width` columns.
#[derive(Clone, Copy)]
struct Panel<'a> {
    width: usize,
    codes: &'a [i32],
    scales: &'a [f32],
    zeros: Option<&'a [f32]>,
}

/// Calls a function with the number of bits as its constant: `with_bits!(bits, BITS => run::<BITS>())`.
macro_rules! with_bits {
    ($bits:expr, $name:ident => $body:expr) => {
        match $bits {
            2 => {
                const $name: usize = 2;
                $body
            }
            4 => {
                const $name: usize = 4;
                $body
            }
            _ => {
                const $name: usize = 8;
                $body
            }
        }
    };
}
use with_bits;
