//! A quantized to 8 bits, each block of a row by itself.

use super::Extents;
use crate::lanes::*;

/// Elements at a time: every block has a multiple of it.
const CHUNK: usize = 16;

/// Quantized rows. Four levels are a group, in the order in which a word's fields meet them.
#[derive(Clone, Copy, Debug)]
pub struct Levels<'a> {
    /// `[row][block * blocks / 4]`
    pub groups: &'a [i32],
    /// The distance of neighbouring levels, `[row][blocks]`.
    pub steps: &'a [f32],
    /// The sum of each block's levels, `[row][blocks]`.
    pub sums: &'a [i32],
}

/// As [`Levels`], to write.
#[derive(Debug)]
pub struct LevelsMut<'a> {
    pub groups: &'a mut [i32],
    pub steps: &'a mut [f32],
    pub sums: &'a mut [i32],
}

/// Quantizes the rows of `a`, [M, K].
///
/// # Panics
/// If lengths do not agree.
pub fn quantize_rows(isa: Isa, extents: &Extents, a: &[f32], to: LevelsMut<'_>) {
    let (k, blocks) = (extents.k, extents.blocks());
    let rows = a.len().checked_div(k).unwrap_or(0);
    assert!(a.len() == rows * k && to.groups.len() == rows * blocks * extents.block / 4, "{} groups", to.groups.len());
    assert!(to.steps.len() == rows * blocks && to.sums.len() == rows * blocks, "{} steps", to.steps.len());
    dispatch(isa, Quantize { extents, a, to });
}

struct Quantize<'a> {
    extents: &'a Extents,
    a: &'a [f32],
    to: LevelsMut<'a>,
}

impl Kernel for Quantize<'_> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let Extents { k, block, bits, .. } = *self.extents;
        let blocks = self.a.chunks_exact(k.max(1)).flat_map(|row| row.chunks(block));
        let results = self.to.steps.iter_mut().zip(self.to.sums.iter_mut());
        for ((x, groups), (step, sum)) in blocks.zip(self.to.groups.chunks_exact_mut(block / 4)).zip(results) {
            let greatest = greatest(x);
            *step = greatest / 127.0;
            let inverse = Simd::splat(if greatest == 0.0 { 0.0 } else { 127.0 / greatest });
            *sum = 0;
            for (at, to) in groups.chunks_exact_mut(CHUNK / 4).enumerate() {
                let levels = levels(chunk(x, at * CHUNK) * inverse);
                *sum += levels.cast::<i32>().reduce_sum();
                let ordered = in_order(levels, bits).to_array();
                for (to, bytes) in to.iter_mut().zip(ordered.as_chunks::<4>().0) {
                    *to = i32::from_le_bytes(bytes.map(|level| level as u8));
                }
            }
        }
    }
}

/// The greatest magnitude; NaN if an element is.
#[inline(always)]
fn greatest(x: &[f32]) -> f32 {
    // Patterns of magnitudes are ordered as the numbers are, and those of NaN come last.
    let magnitude = |chunk: Simd<f32, CHUNK>| chunk.to_bits().cast::<i32>() & Simd::splat(i32::MAX);
    let mut most = Simd::<i32, CHUNK>::splat(0);
    for at in (0..x.len()).step_by(CHUNK) {
        let bits = magnitude(chunk(x, at));
        most = most.simd_max(bits);
    }
    f32::from_bits(most.as_array().iter().fold(0, |most, &bits| most.max(bits)) as u32)
}

/// Elements from `at` on, zeros beyond the end.
#[inline(always)]
fn chunk(x: &[f32], at: usize) -> Simd<f32, CHUNK> {
    let rest = x.get(at..).unwrap_or_default();
    match rest.first_chunk::<CHUNK>() {
        Some(whole) => Simd::from_array(*whole),
        None => {
            let mut padded = [0.0; CHUNK];
            padded[..rest.len()].copy_from_slice(rest);
            Simd::from_array(padded)
        }
    }
}

/// `rint(clamp(x, -127, 127))`, 0 for NaN.
#[inline(always)]
fn levels(x: Simd<f32, CHUNK>) -> Simd<i8, CHUNK> {
    let numbers = x.simd_eq(x).select(x, Simd::splat(0.0));
    let least = Simd::splat(-127.0);
    let above = numbers.simd_lt(least).select(least, numbers);
    let greatest = Simd::splat(127.0);
    let inside = above.simd_gt(greatest).select(greatest, above);
    // Adding 1.5 * 2^23 rounds to an integer, which the low bits then hold.
    let magic = Simd::splat(12_582_912.0f32);
    ((inside + magic).to_bits().cast::<i32>() - magic.to_bits().cast::<i32>()).cast()
}

/// Sixteen levels as the fields of words meet them: byte i of group t of a word holds its neighbour i * 8 / bits + t.
#[inline(always)]
fn in_order(levels: Simd<i8, CHUNK>, bits: usize) -> Simd<i8, CHUNK> {
    match bits {
        2 => simd_swizzle!(levels, [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15]),
        4 => simd_swizzle!(levels, [0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15]),
        _ => levels,
    }
}
