//! How an attention is cut into blocks and tiles, and what memory that takes.

use std::ops::Range;

use diptych_kernels::Isa;
use diptych_kernels::gemm::{packed_b_len, scratch_len};

use super::{Attention, Number};
use crate::error::{Error, Result};
use crate::ops::attention::extents::Extents;
use crate::ops::elements::buffer_bytes;

/// Keys of a tile: whole panels of every instruction set.
pub(super) const TILE: usize = 128;
/// Queries of a block: whole register tiles of the common heights.
pub(super) const BLOCK: usize = 48;
/// Bytes of a block's scores, about half a second-level cache.
const SCORES: usize = 1 << 20;
/// Work worth a task of its own, in nanoseconds.
pub(super) const TASK: u64 = 20_000;

#[derive(Clone, Copy)]
pub(super) struct Cut {
    /// Queries of a block, blocks of a query head (1 if a block has several heads), blocks of a key head.
    pub block: usize,
    pub parts: usize,
    pub pieces: usize,
    pub tiles: usize,
    pub packed: bool,
    /// Elements of a packed tile of keys and of values.
    pub lens: [usize; 2],
    /// Rooms of the workspace: packed keys and values, the converted mask.
    pub workspace: [usize; 3],
    /// Rooms of scratch: queries, scores, results, a tile, a row of Softmax, the products' own.
    pub scratch: [usize; 6],
}

impl<W: Number> Attention<W> {
    pub(super) fn cut(&self, isa: Isa, threads: usize) -> Result<Cut> {
        let Extents { batch, kv_heads, group, rows, keys, size, v_size, .. } = self.extents;
        let (heads, all) = (batch * kv_heads, group * rows);
        // Keys that a block can reach: all, or those of a window.
        let reach = match (self.bounds.left, self.bounds.right, self.stores_scores()) {
            (Some(left), Some(right), false) => {
                let window = left.saturating_add(right).clamp(0, 1 << 48) as usize;
                keys.min(window + BLOCK.min(rows) + 2 * TILE)
            }
            _ => keys,
        };
        let fitting = (SCORES / size_of::<W>() / reach.max(1)).clamp(8, BLOCK);
        let fitting = fitting.min(all.div_ceil(threads.div_ceil(heads.max(1)))).max(1);
        // Equal parts of a head, or as many whole heads as fit.
        let parts = rows.div_ceil(fitting);
        let (block, pieces) = if parts > 1 {
            (rows.div_ceil(parts), group * parts)
        } else {
            let together = (fitting / rows.max(1)).max(1);
            (together * rows, group.div_ceil(together))
        };
        let parts = parts.max(1);
        let tiles = keys.div_ceil(TILE);
        let packed = pieces > 1;
        let tile = [(size, TILE), (TILE, v_size)].map(|(k, n)| packed_b_len::<W>(isa, k, n));
        let [Some(key_len), Some(value_len)] = tile else {
            return Err(Error::resource_limit("keys or values are too large to pack"));
        };
        let room = |len: usize| buffer_bytes::<W>(&[usize::from(packed), heads, tiles, len]);
        let converted = self.mask.and_then(|mask| mask.converted).map_or(0, |(_, _, count)| count);
        let product = scratch_len::<W>(isa, block, TILE, size).max(scratch_len::<W>(isa, block, v_size, TILE));
        Ok(Cut {
            block,
            parts,
            pieces,
            tiles,
            packed,
            lens: [key_len, value_len],
            workspace: [room(key_len)?, room(value_len)?, buffer_bytes::<f64>(&[converted])?],
            scratch: [
                buffer_bytes::<W>(&[block, size])?,
                buffer_bytes::<W>(&[block, reach])?,
                buffer_bytes::<W>(&[block, v_size])?,
                buffer_bytes::<W>(&[TILE, size.max(v_size)])?,
                buffer_bytes::<f64>(&[reach])?,
                buffer_bytes::<W>(&[product])?,
            ],
        })
    }

    /// The keys of a tile.
    pub(super) fn tile(&self, index: usize) -> Range<usize> {
        index * TILE..((index + 1) * TILE).min(self.extents.keys)
    }
}
