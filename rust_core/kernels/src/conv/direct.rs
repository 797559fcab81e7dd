//! The channel path: a tile of pixels by output channels, one chain an output, vectors along the output channels.

use super::element::{Element, Sink};
use super::shape::CHANNEL_BLOCK;
use crate::epilogue::{Factors, Follow};
use crate::lanes::*;
use crate::transpose::turned;

/// The kernel positions that one output reads, and where they stand from its first one. Axes are (depth, height, width).
///
/// Position `j` of the width axis stands `(j * advance / phases, j * advance % phases)` (positions, segments) away; the chain walks
/// `counts` in row-major order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taps {
    /// Kernel position (flat) of the first.
    pub first: usize,
    pub counts: [usize; 3],
    /// Flat kernel positions from one to the next.
    pub weight_steps: [usize; 3],
    /// Input elements from one to the next, depth and height.
    pub line_steps: [isize; 2],
    /// Input elements of a step by whole positions, and of going on to the next stride phase's segment.
    pub position: isize,
    pub segment: isize,
    /// A tap goes `whole` positions and `part` segments further; `phases` segments are one position.
    pub whole: isize,
    pub part: usize,
    pub phases: usize,
}

impl Taps {
    /// Calls `visit(input offset, flat kernel position)` for the first position of every row of the kernel, in order.
    #[inline(always)]
    pub(super) fn lines(&self, mut visit: impl FnMut(isize, usize)) {
        for d in 0..self.counts[0] {
            for h in 0..self.counts[1] {
                let offset = d as isize * self.line_steps[0] + h as isize * self.line_steps[1];
                visit(offset, self.first + d * self.weight_steps[0] + h * self.weight_steps[1]);
            }
        }
    }

    /// Calls `visit(input offset, flat kernel position)` for every position, in order.
    #[inline(always)]
    pub(super) fn each(&self, mut visit: impl FnMut(isize, usize)) {
        let [step_d, step_h, step_w] = self.weight_steps;
        for d in 0..self.counts[0] {
            for h in 0..self.counts[1] {
                let mut offset = d as isize * self.line_steps[0] + h as isize * self.line_steps[1];
                let mut tap = self.first + d * step_d + h * step_h;
                let mut phase = 0;
                for _ in 0..self.counts[2] {
                    visit(offset, tap);
                    tap += step_w;
                    offset += self.whole * self.position + self.part as isize * self.segment;
                    phase += self.part;
                    if phase >= self.phases {
                        phase -= self.phases;
                        offset += self.position - self.phases as isize * self.segment;
                    }
                }
            }
        }
    }
}

/// Where outputs go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputLayout {
    /// `[channel][position]`, planes of `plane` values; neighbouring pixels are `step` apart.
    Planes { plane: usize, step: usize },
    /// NCHWc: `[channel / 16][position][channel % 16]`, blocks of `block` values. The lanes above the last channel hold anything.
    Blocks { block: usize },
}

/// A run of neighbouring pixels by one block of output channels. `PIXEL` is the distance of neighbouring input pixels: 1 in planes
/// (channels are `channel` elements apart), 16 in NCHWc (channels are neighbours).
///
/// # Safety
/// `x` points at the first tap of the first pixel, and every tap of every pixel lies in the scratch; `w` at the packed block, which is
/// `Q` vectors wide; `y` at the first pixel of the first channel.
pub(super) struct Run<'r, 'a, O: Sink, const Q: usize, const PIXEL: usize> {
    pub taps: &'r Taps,
    pub kernel_taps: usize,
    /// Elements of the group, and distances of blocks of sixteen and of neighbouring ones.
    pub elements: usize,
    pub block: usize,
    pub channel: usize,
    pub pixels: usize,
    pub x: *const O::Element,
    pub w: *const O::Element,
    /// Of this block's output channels; empty without bias.
    pub bias: &'r [O::Element],
    /// Output channels that exist, at most Q vectors.
    pub channels: usize,
    /// What follows, the block's first channel being channel `first_channel`.
    pub epilogue: Option<O::Follow<'a>>,
    pub first_channel: usize,
    pub y: *mut O,
    pub output: OutputLayout,
}

/// Steps of a chain by which its weights are asked for ahead: they come from the second cache, or from memory.
const AHEAD: usize = 24;

/// Pixels of a full tile: with two vectors of channels each, their accumulators, two weights and an input fill the registers.
const fn tile_pixels(isa: Isa) -> usize {
    match isa {
        Isa::Avx512 | Isa::Avx512Vnni | Isa::Neon => 14,
        Isa::Avx2 => 6,
        Isa::Baseline => 2,
    }
}

// [panel: Conv ConvInteger QLinearConv ConvTranspose]
impl<O: Sink, const Q: usize, const PIXEL: usize> Run<'_, '_, O, Q, PIXEL> {
    /// Nearly equal tiles over the run's pixels.
    ///
    /// # Safety
    /// As the type says.
    #[inline(always)]
    pub(super) unsafe fn run<A: Arch, const L: usize>(&self) {
        let tiles = self.pixels.div_ceil(tile_pixels(A::ISA));
        let mut pixel = 0;
        for tile in 0..tiles {
            let count = (self.pixels - pixel).div_ceil(tiles - tile);
            macro_rules! pick {
                ($($p:literal)*) => {
                    match count {
                        // SAFETY: pixel + count <= self.pixels.
                        $($p if $p <= tile_pixels(A::ISA) => unsafe { self.tile::<A, L, $p>(pixel) },)*
                        _ => unreachable!("a tile has 1 to tile_pixels pixels"),
                    }
                };
            }
            pick!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
            pixel += count;
        }
    }

    /// `P` pixels from `pixel` on.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "register tiles are indexed")]
    unsafe fn tile<A: Arch, const L: usize, const P: usize>(&self, pixel: usize) {
        let zero = O::Element::default();
        let mut acc = [[Simd::<O::Element, L>::splat(zero); Q]; P];
        if let OutputLayout::Planes { plane, step: 1 } = self.output {
            // Outputs are written at the end; their lines come meanwhile.
            for c in 0..self.channels.min(Q * L) {
                prefetch(self.y.wrapping_add(c * plane + pixel));
            }
        }
        let x = self.x.wrapping_add(pixel * PIXEL);
        let channel = if PIXEL == 1 { self.channel } else { 1 };
        let mut x_block = x;
        let mut w_block = self.w;
        // [panel: conv tile]
        let mut left = self.elements;
        while left > 0 {
            let n = left.min(CHANNEL_BLOCK);
            self.taps.each(|offset, tap| {
                let mut x = x_block.wrapping_offset(offset);
                let mut w = w_block.wrapping_add(tap * n * (Q * L));
                for _ in 0..n {
                    // SAFETY: the caller's promise; the packed block holds Q vectors a term.
                    unsafe {
                        let ws: [Simd<O::Element, L>; Q] =
                            std::array::from_fn(|q| w.add(q * L).cast::<Simd<O::Element, L>>().read_unaligned());
                        for q in 0..Q {
                            prefetch(w.wrapping_add(AHEAD * Q * L + q * L));
                        }
                        for p in 0..P {
                            let v = Simd::splat(*x.add(p * PIXEL));
                            for q in 0..Q {
                                acc[p][q] = O::Element::mac::<A, L>(v, ws[q], acc[p][q]);
                            }
                        }
                    }
                    x = x.wrapping_add(channel);
                    w = w.wrapping_add(Q * L);
                }
            });
            x_block = x_block.wrapping_add(self.block);
            w_block = w_block.wrapping_add(self.kernel_taps * n * (Q * L));
            left -= n;
        }
        // [/panel]
        // A copy, so that the accumulators are never addressed and stay in registers.
        let sums: [[Simd<O::Element, L>; Q]; P] = if self.bias.is_empty() {
            std::array::from_fn(|p| std::array::from_fn(|q| acc[p][q]))
        } else {
            let bias: [_; Q] = std::array::from_fn(|q| Simd::load_or_default(self.bias.get(q * L..).unwrap_or(&[])));
            std::array::from_fn(|p| std::array::from_fn(|q| O::Element::add(acc[p][q], bias[q])))
        };
        let Some(epilogue) = self.epilogue else {
            // SAFETY: the caller's promise.
            return unsafe { self.store::<L, P>(pixel, &sums) };
        };
        let factors: [Factors<L>; Q] = std::array::from_fn(|q| epilogue.of_lanes(self.first_channel + q * L));
        let mut followed = sums;
        for p in 0..P {
            for q in 0..Q {
                followed[p][q] = epilogue.apply::<A, L>(sums[p][q], factors[q]);
            }
        }
        // SAFETY: the caller's promise.
        unsafe { self.store::<L, P>(pixel, &followed) }
    }

    #[inline(always)]
    unsafe fn store<const L: usize, const P: usize>(&self, pixel: usize, acc: &[[Simd<O::Element, L>; Q]; P]) {
        for q in 0..Q {
            match self.output {
                OutputLayout::Blocks { block } => {
                    let c = q * L;
                    let to = self.y.wrapping_add(c / CHANNEL_BLOCK * block + c % CHANNEL_BLOCK);
                    for (p, row) in acc.iter().enumerate() {
                        // SAFETY: a block of sixteen lanes exists for every vector of the packed block.
                        unsafe { O::store(row[q], to.wrapping_add((pixel + p) * CHANNEL_BLOCK), L) }
                    }
                }
                OutputLayout::Planes { plane, step } => {
                    let channels = self.channels.saturating_sub(q * L).min(L);
                    for p in (0..P).step_by(L) {
                        let n = L.min(P - p);
                        let zero = Simd::splat(O::Element::default());
                        let rows = std::array::from_fn(|i| if i < n { acc[p + i][q] } else { zero });
                        let columns = turned::<O::Element, L>(rows);
                        let to = self.y.wrapping_add(q * L * plane + (pixel + p) * step);
                        for (c, v) in columns.into_iter().enumerate().take(channels) {
                            let to = to.wrapping_add(c * plane);
                            // SAFETY: n pixels of an existing channel.
                            unsafe {
                                if step == 1 {
                                    O::store(v, to, n);
                                } else {
                                    (0..n).for_each(|i| to.add(i * step).write(O::narrow(v[i])));
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
// [/panel]
