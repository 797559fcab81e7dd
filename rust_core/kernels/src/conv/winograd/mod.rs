//! Convolution of 3x3 kernels by Winograd's F(4x4, 3x3), binary32: a quarter of the multiplications. `math="fast"` alone uses it, as its
//! error is greater: docs/numerics.md, section 5, has its rounding program and bound.
//!
//! An image is cut into blocks of tiles, 4x4 outputs each. A block is convolved in two steps, each of which can be split over threads:
//!
//! 1. [`Winograd::forward`], by blocks of sixteen channels: its input laid out as for the direct convolution, and transformed into 36
//!    matrices of tiles by channels.
//! 2. [`Winograd::multiply`], by blocks of output channels: 36 products with the transformed weights, transformed back.
//!
//! The products are `gemm`'s, one chain over the channels in order, so all instruction sets and splits give the same bits.

#[cfg(test)]
mod tests;
mod tiles;
mod transform;

pub use transform::TILE;

use super::layout::LayOut;
use super::shape::{CHANNEL_BLOCK, ConvShape, InputLayout};
use crate::epilogue::Epilogue;
use crate::gemm::{Gemm, MatMut, MatRef, PackedB, Right, gemm, packed_b_len, packed_place, panel_width, scratch_len};
use crate::lanes::{Isa, dispatch};
use std::ops::Range;
use tiles::{Backward, Forward, Planes};
use transform::{PRODUCTS, REACH, kernel};

/// Elements of a block's matrices, those of its input and of a block of output channels: what a second cache holds beside weights.
const BLOCK: usize = 150 << 10;
/// Tiles of a block, if the image has as many: enough rows for the products, whatever the cache.
const LEAST_TILES: usize = 16;
/// Output channels of a block.
const OUT_CHANNELS: usize = 32;
/// What [`Winograd::pays`] counts in multiplications of vectors, fitted to layers of ResNet-50, open_nsfw and YOLOv8n inside their networks,
/// where weights come from memory: a tile and vector of channels of either transform; a row and vector of a product besides its terms;
/// a vector of weights on its way.
const FORWARD: f64 = 500.0;
const BACKWARD: f64 = 460.0;
const ROW: f64 = 8.0;
const LOAD: f64 = 9.0;
/// Elements between the matrices of a block, so that their rows do not meet in one set of the first cache.
const GAP: usize = 16;

/// The plan of one convolution. Its block sizes are those of one image.
#[derive(Clone, Copy, Debug)]
pub struct Winograd {
    isa: Isa,
    shape: ConvShape,
    /// Rows and columns of tiles of the image, and of a block.
    tiles: [usize; 2],
    block: [usize; 2],
    /// Output channels of a block.
    width: usize,
    packed: usize,
}

/// What [`Winograd::multiply`] reads and writes.
#[derive(Clone, Copy, Debug)]
pub struct Operands<'p, 'a> {
    /// What [`Winograd::forward`] wrote for the block.
    pub planes: &'p [f32],
    /// What [`Winograd::pack`] wrote.
    pub weights: &'p [f32],
    /// One value for each output channel, or empty.
    pub bias: &'p [f32],
    /// What follows the bias.
    pub epilogue: Option<&'a Epilogue>,
    /// The output image, `[channel][height][width]`. Threads write disjoint parts of it.
    pub y: *mut f32,
}

/// Tiles that a block has at most, `width` being its output channels.
fn most_tiles(in_channels: usize, width: usize) -> usize {
    (BLOCK / (PRODUCTS * (in_channels.next_multiple_of(CHANNEL_BLOCK) + width))).max(LEAST_TILES)
}

impl Winograd {
    /// Plans a convolution; `None` unless it is one of 3x3 kernels with strides, dilations and groups of 1 over two axes, and its
    /// extents are not empty and do not overflow.
    pub fn new(isa: Isa, shape: ConvShape) -> Option<Winograd> {
        let plain = shape.kernel == [1, 3, 3] && shape.strides == [1; 3] && shape.dilations == [1; 3];
        let flat = shape.input[0] == 1 && shape.output[0] == 1 && shape.pads_begin[0] == 0 && shape.groups == 1;
        let empty = shape.in_channels == 0 || shape.out_channels == 0 || shape.out_plane() == 0;
        if !plain || !flat || empty || !shape.is_sound() {
            return None;
        }
        let tiles = [shape.output[1].div_ceil(TILE), shape.output[2].div_ceil(TILE)];
        let panel = panel_width::<f32>(isa);
        let width = OUT_CHANNELS.next_multiple_of(panel).min(shape.out_channels.next_multiple_of(CHANNEL_BLOCK));
        let most = most_tiles(shape.in_channels, width);
        // Nearly equal blocks: of whole rows of tiles, or of parts of one.
        let even = |n: usize, most: usize| n.div_ceil(n.div_ceil(most.max(1)));
        let block =
            if tiles[1] <= most { [even(tiles[0], most / tiles[1]), tiles[1]] } else { [1, even(tiles[1], most)] };
        let packed = packed_b_len::<f32>(isa, shape.in_channels, shape.out_channels)?.checked_mul(PRODUCTS)?;
        // A block's matrices, and the input with a whole tile more on every side, can be addressed.
        let factors = [PRODUCTS, block[0], block[1], shape.in_channels + shape.out_channels + 4 * GAP, 8];
        factors.iter().try_fold(1usize, |n, &f| n.checked_mul(f)).filter(|&n| n < isize::MAX as usize)?;
        packed.checked_mul(8).filter(|&n| n < isize::MAX as usize)?;
        Some(Winograd { isa, shape, tiles, block, width, packed })
    }

    /// The geometry it was planned for.
    pub fn shape(&self) -> &ConvShape {
        &self.shape
    }

    /// Whether it should take clearly less time than the direct convolution, for four times the room of its weights: judged by the shape
    /// alone, so that all instruction sets agree, in vectors of eight.
    pub fn pays(&self) -> bool {
        let [channels, out_channels, pixels, tiles] =
            [self.shape.in_channels, self.shape.out_channels, self.shape.out_plane(), self.tiles()].map(|n| n as f64);
        let vectors = |n: f64| (n / 8.0).ceil();
        let blocks = (tiles / most_tiles(self.shape.in_channels, OUT_CHANNELS) as f64).ceil();
        let weights = channels * vectors(out_channels);
        let direct = 9.0 * weights * (pixels + LOAD);
        let products = PRODUCTS as f64 * (weights * (tiles + LOAD * blocks) + tiles * vectors(out_channels) * ROW);
        let transforms = tiles * (FORWARD * vectors(channels) + BACKWARD * vectors(out_channels));
        products + transforms < 0.75 * direct
    }

    /// Elements of the packed weights.
    pub fn packed_len(&self) -> usize {
        self.packed
    }

    /// Tiles of the image.
    pub fn tiles(&self) -> usize {
        self.tiles[0] * self.tiles[1]
    }

    /// Blocks of tiles of the image.
    pub fn blocks(&self) -> usize {
        self.tiles[0].div_ceil(self.block[0]) * self.tiles[1].div_ceil(self.block[1])
    }

    /// Blocks of sixteen input channels.
    pub fn in_blocks(&self) -> usize {
        self.shape.in_channels.div_ceil(CHANNEL_BLOCK)
    }

    /// Blocks of output channels.
    pub fn out_blocks(&self) -> usize {
        self.shape.out_channels.div_ceil(self.width)
    }

    /// Elements of a block's transformed input.
    pub fn planes_len(&self) -> usize {
        PRODUCTS * self.input_planes().plane
    }

    /// Elements of scratch that a thread needs for either step.
    pub fn scratch_len(&self) -> usize {
        let layout = self.layout(0);
        let laid_out = layout.unit() + super::shape::SLACK;
        let tiles = self.block[0] * self.block[1];
        let product = scratch_len::<f32>(self.isa, tiles, self.shape.out_channels, self.shape.in_channels);
        laid_out.max(PRODUCTS * self.output_planes().plane + self.strip_len() + product)
    }

    /// Transforms and packs `weights` (`[out_channels][in_channels][3][3]`).
    ///
    /// # Panics
    /// If a slice is shorter than that or than [`Winograd::packed_len`].
    pub fn pack(&self, weights: &[f32], packed: &mut [f32]) {
        let (k, n) = (self.shape.in_channels, self.shape.out_channels);
        let packed = &mut packed[..self.packed];
        // The lanes above the last channel.
        packed.fill(0.0);
        for (index, g) in weights[..n * k * 9].chunks_exact(9).enumerate() {
            let place = packed_place::<f32>(self.isa, [k, n], [index % k, index / k]);
            for (p, &u) in kernel(g).as_flattened().iter().enumerate() {
                packed[p * (self.packed / PRODUCTS) + place] = u;
            }
        }
    }

    /// Transforms channels `16 * channels.start ..` of a block of the image `x` (`[channel][height][width]`).
    ///
    /// # Safety
    /// `planes` is valid for [`Winograd::planes_len`] elements; no other thread touches these channels of it.
    ///
    /// # Panics
    /// If `x` or `scratch` is too short, or there are no such channels.
    pub unsafe fn forward(
        &self,
        x: &[f32],
        block: usize,
        channels: Range<usize>,
        planes: *mut f32,
        scratch: &mut [f32],
    ) {
        let (layout, [rows, columns]) = (self.layout(block), self.tiles_of(block));
        assert!(x.len() >= self.shape.in_channels * self.shape.in_plane() && channels.end <= self.in_blocks());
        assert!(scratch.len() >= layout.unit() + super::shape::SLACK);
        let lines = layout.extents[1];
        for unit in channels {
            let to = scratch.as_mut_ptr().wrapping_sub(unit * layout.unit());
            let (from, lines) = (x.as_ptr(), unit * lines..(unit + 1) * lines);
            let channels = self.shape.in_channels;
            dispatch(
                self.isa,
                LayOut::<f32> { layout: &layout, channels, input: self.shape.input, zero: (), x: from, to, lines },
            );
            let forward = Forward {
                x: scratch.as_ptr(),
                line: layout.line(),
                tiles: [rows.len(), columns.len()],
                to: planes.wrapping_add(unit * CHANNEL_BLOCK),
                planes: self.input_planes(),
            };
            dispatch(self.isa, forward);
        }
    }

    /// Computes output channels `out_blocks` (of [`Winograd::out_blocks`]) of a block.
    ///
    /// # Safety
    /// `operands.y` is valid for writing the output image; no other thread touches this part of it.
    ///
    /// # Panics
    /// If a slice is too short, or there are no such blocks.
    pub unsafe fn multiply(
        &self,
        operands: &Operands<'_, '_>,
        block: usize,
        out_blocks: Range<usize>,
        scratch: &mut [f32],
    ) {
        assert!(operands.planes.len() >= self.planes_len() && operands.weights.len() >= self.packed);
        assert!(operands.bias.is_empty() || operands.bias.len() >= self.shape.out_channels);
        assert!(out_blocks.end <= self.out_blocks());
        let planes = self.output_planes();
        let (m, rest) = scratch.split_at_mut(PRODUCTS * planes.plane);
        let (strip, room) = rest.split_at_mut(self.strip_len());
        let [rows, columns] = self.tiles_of(block);
        let [height, width] = [self.shape.output[1], self.shape.output[2]];
        for out_block in out_blocks {
            let first = out_block * self.width;
            let channels = first..(first + self.width).min(self.shape.out_channels);
            self.products(operands, rows.len() * columns.len(), channels.clone(), m, room);
            let backward = Backward {
                m: m.as_ptr(),
                planes,
                tiles: [rows.len(), columns.len()],
                pixels: [
                    height.min(rows.end * TILE) - rows.start * TILE,
                    width.min(columns.end * TILE) - columns.start * TILE,
                ],
                strip: strip.as_mut_ptr(),
                y: operands.y.wrapping_add((first * height + rows.start * TILE) * width + columns.start * TILE),
                y_row: width,
                y_plane: height * width,
                channels: channels.len(),
                bias: if operands.bias.is_empty() { &[] } else { &operands.bias[channels] },
                epilogue: operands.epilogue,
                channel: first,
            };
            dispatch(self.isa, backward);
        }
    }

    /// The 36 products of a block's `tiles` and some output channels.
    fn products(
        &self,
        operands: &Operands<'_, '_>,
        tiles: usize,
        channels: Range<usize>,
        m: &mut [f32],
        room: &mut [f32],
    ) {
        let (k, n) = (self.shape.in_channels, self.shape.out_channels);
        let (from, to) = (self.input_planes(), self.output_planes());
        for p in 0..PRODUCTS {
            let a = MatRef::new(&operands.planes[p * from.plane..][..from.plane], tiles, k, from.row, 1);
            let weights = &operands.weights[p * (self.packed / PRODUCTS)..];
            let product = Gemm::new(a, Right::Packed(PackedB::from_packed(self.isa, weights, k, n)));
            let c = MatMut::new(&mut m[p * to.plane..][..to.plane], tiles, channels.len(), to.row);
            gemm(self.isa, &product, 0..tiles, channels.clone(), c, room);
        }
    }

    /// Rows and columns of tiles of a block.
    fn tiles_of(&self, block: usize) -> [Range<usize>; 2] {
        let across = self.tiles[1].div_ceil(self.block[1]);
        let at = [block / across * self.block[0], block % across * self.block[1]];
        std::array::from_fn(|i| at[i]..(at[i] + self.block[i]).min(self.tiles[i]))
    }

    /// How a block's input lies in scratch, one unit of channels at a time.
    fn layout(&self, block: usize) -> InputLayout {
        let [rows, columns] = self.tiles_of(block);
        let start = |tile: usize, axis: usize| (tile * TILE) as isize - self.shape.pads_begin[axis] as isize;
        InputLayout {
            elements: self.shape.in_channels,
            lanes: CHANNEL_BLOCK,
            units: self.in_blocks(),
            extents: [1, rows.len() * TILE + REACH - TILE],
            start: [0, start(rows.start, 1)],
            step: [1, 1],
            phases: 1,
            segment: columns.len() * TILE + REACH - TILE,
            column_start: start(columns.start, 2),
            column_step: 1,
        }
    }

    fn input_planes(&self) -> Planes {
        let row = self.shape.in_channels.next_multiple_of(CHANNEL_BLOCK);
        Planes { row, plane: self.block[0] * self.block[1] * row + GAP }
    }

    fn output_planes(&self) -> Planes {
        Planes { row: self.width, plane: self.block[0] * self.block[1] * self.width + GAP }
    }

    /// Elements of a row of tiles' pixels.
    fn strip_len(&self) -> usize {
        TILE * TILE * self.block[1] * CHANNEL_BLOCK
    }
}
