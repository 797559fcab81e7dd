//! Tiles into the planes of a product, and back into the output.

use super::transform::{REACH, TILE, input, output};
use crate::conv::CHANNEL_BLOCK;
use crate::epilogue::{Epilogue, Factors, Follow};
use crate::gemm::{load, store, store_upto};
use crate::lanes::*;
use crate::transpose::turned;

/// One of a block's matrices for every product: matrix `p` starts at `p * plane`, a tile's row at `tile * row`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Planes {
    pub plane: usize,
    pub row: usize,
}

/// `B^T d B` of sixteen channels of a block of tiles.
///
/// # Safety
/// `x` holds lines of `line` elements, [`CHANNEL_BLOCK`] a position, for every position that the tiles read; `to`, the first of the
/// channels in `planes`, has room for all tiles.
pub(super) struct Forward {
    pub x: *const f32,
    pub line: usize,
    /// Rows and columns of tiles.
    pub tiles: [usize; 2],
    pub to: *mut f32,
    pub planes: Planes,
}

impl Kernel for Forward {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        for c in (0..CHANNEL_BLOCK).step_by(L) {
            for i in 0..self.tiles[0] {
                for j in 0..self.tiles[1] {
                    let x = self.x.wrapping_add(i * TILE * self.line + j * TILE * CHANNEL_BLOCK + c);
                    let to = self.to.wrapping_add((i * self.tiles[1] + j) * self.planes.row + c);
                    // SAFETY: the type's contract.
                    unsafe { self.tile::<A, L>(x, to) }
                }
            }
        }
    }
}

impl Forward {
    /// # Safety
    /// As the type says, for the tile at `x` and its row at `to`.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "register tiles are indexed")]
    unsafe fn tile<A: Arch, const L: usize>(&self, x: *const f32, to: *mut f32) {
        let mut half = [[Simd::<f32, L>::splat(0.0); REACH]; REACH];
        for j in 0..REACH {
            let at = |i: usize| x.wrapping_add(i * self.line + j * CHANNEL_BLOCK);
            // SAFETY: the caller's promise.
            let column = input::<A, L>(std::array::from_fn(|i| unsafe { load(at(i)) }));
            for i in 0..REACH {
                half[i][j] = column[i];
            }
        }
        for (i, row) in half.into_iter().enumerate() {
            for (j, v) in input::<A, L>(row).into_iter().enumerate() {
                // SAFETY: the caller's promise.
                unsafe { store(to.wrapping_add((i * REACH + j) * self.planes.plane), v) }
            }
        }
    }
}

/// `A^T m A` of a block of tiles, bias, what follows, and the way into the output's planes.
///
/// # Safety
/// `m` holds the products of whole vectors of channels for all tiles; `strip` has room for `4 * 4 * tiles[1]` vectors; `y` points at the
/// block's first pixel in the first channel's plane, which holds `pixels` from there on.
pub(super) struct Backward<'a> {
    pub m: *const f32,
    pub planes: Planes,
    pub tiles: [usize; 2],
    /// Rows and columns of pixels that exist.
    pub pixels: [usize; 2],
    pub strip: *mut f32,
    pub y: *mut f32,
    pub y_row: usize,
    pub y_plane: usize,
    /// Channels that exist.
    pub channels: usize,
    /// Of these channels; empty without bias.
    pub bias: &'a [f32],
    pub epilogue: Option<&'a Epilogue>,
    /// The first channel in what follows.
    pub channel: usize,
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        for c in (0..self.channels).step_by(L) {
            let bias = (!self.bias.is_empty()).then(|| Simd::load_or_default(&self.bias[c..]));
            let follow = self.epilogue.map(|epilogue| (epilogue, epilogue.of_lanes::<L>(self.channel + c)));
            for i in 0..self.tiles[0] {
                for j in 0..self.tiles[1] {
                    let tile = i * self.tiles[1] + j;
                    // SAFETY: the type's contract.
                    unsafe { self.tile::<A, L>(tile, c, self.strip.wrapping_add(j * TILE * L), bias, follow) }
                }
                // SAFETY: as above.
                unsafe { self.write::<L>(i * TILE, c) }
            }
        }
    }
}

impl Backward<'_> {
    /// The sixteen pixels of a tile, into their places of the strip.
    ///
    /// # Safety
    /// As the type says.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "register tiles are indexed")]
    unsafe fn tile<A: Arch, const L: usize>(
        &self,
        tile: usize,
        c: usize,
        strip: *mut f32,
        bias: Option<Simd<f32, L>>,
        follow: Option<(&Epilogue, Factors<L>)>,
    ) {
        let m = self.m.wrapping_add(tile * self.planes.row + c);
        let mut half = [[Simd::<f32, L>::splat(0.0); REACH]; TILE];
        for j in 0..REACH {
            let at = |i: usize| m.wrapping_add((i * REACH + j) * self.planes.plane);
            // SAFETY: the caller's promise.
            let column = output::<A, L>(std::array::from_fn(|i| unsafe { load(at(i)) }));
            for i in 0..TILE {
                half[i][j] = column[i];
            }
        }
        for (i, row) in half.into_iter().enumerate() {
            for (j, mut y) in output::<A, L>(row).into_iter().enumerate() {
                if let Some(bias) = bias {
                    y += bias;
                }
                if let Some((epilogue, factors)) = follow {
                    y = epilogue.apply::<A, L>(y, factors);
                }
                // SAFETY: the caller's promise.
                unsafe { store(strip.wrapping_add((i * self.tiles[1] * TILE + j) * L), y) }
            }
        }
    }

    /// The strip's four rows, pixels from `row` on, into the planes of the channels from `c` on.
    ///
    /// # Safety
    /// As the type says.
    #[inline(always)]
    unsafe fn write<const L: usize>(&self, row: usize, c: usize) {
        for i in 0..TILE.min(self.pixels[0] - row) {
            let y = self.y.wrapping_add(c * self.y_plane + (row + i) * self.y_row);
            for j in (0..self.pixels[1]).step_by(L) {
                let strip = self.strip.wrapping_add((i * self.tiles[1] * TILE + j) * L);
                let n = L.min(self.pixels[1] - j);
                let zero = Simd::<f32, L>::splat(0.0);
                let pixel = |k: usize| {
                    // SAFETY: the strip holds n more pixels.
                    if k < n { unsafe { load(strip.wrapping_add(k * L)) } } else { zero }
                };
                let pixels = std::array::from_fn(pixel);
                for (k, v) in turned::<f32, L>(pixels).into_iter().enumerate().take(self.channels - c) {
                    // SAFETY: n pixels of an existing channel's row.
                    unsafe { store_upto(y.wrapping_add(k * self.y_plane + j), v, n) }
                }
            }
        }
    }
}
