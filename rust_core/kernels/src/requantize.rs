//! Requantization: sums of products of quantized numbers as quantized numbers (docs/numerics.md, QLinearConv and QLinearMatMul).
//!
//! `q = rn(rn(acc) * m)`, `m = rn(rn(a_scale * b_scale) / y_scale)`; then `clamp(rint(q) + zero_point)`, NaN counting as 0.

use crate::epilogue::{Factors, Follow};
use crate::functions::Real;
use crate::lanes::*;
use crate::small_float::Format;

/// Sums requantized at a time.
const CHUNK: usize = 16;

/// The zero point of an 8-bit type, and its ends.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    zero_point: f32,
    low: f32,
    high: f32,
}

impl Target {
    /// `zero_point` is a byte of that type: `int8`, else `uint8`.
    pub fn new(signed: bool, zero_point: u8) -> Target {
        if signed {
            Target { zero_point: f32::from(zero_point as i8), low: -128.0, high: 127.0 }
        } else {
            Target { zero_point: f32::from(zero_point), low: 0.0, high: 255.0 }
        }
    }

    /// `clamp(rint(q) + zero_point)`, in binary32: where that sum is not exact it is far outside.
    #[inline(always)]
    fn of<const N: usize>(self, q: Simd<f32, N>) -> Simd<i32, N> {
        let step = Real::rint(q);
        let step = step.simd_eq(step).select(step, Simd::splat(0.0));
        let shifted = step + Simd::splat(self.zero_point);
        shifted.simd_max(Simd::splat(self.low)).simd_min(Simd::splat(self.high)).cast()
    }
}

/// `rn(rn(a * b) / y)`: what an accumulator in units of `a * b` is multiplied by.
pub fn multiplier(a_scale: f32, b_scale: f32, y_scale: f32) -> f32 {
    a_scale * b_scale / y_scale
}

/// What follows a convolution of quantized numbers.
#[derive(Clone, Copy, Debug)]
pub struct Requantize<'a> {
    /// One a channel.
    pub multipliers: &'a [f32],
    pub target: Target,
}

impl Follow<i32> for Requantize<'_> {
    #[inline(always)]
    fn of_channel<const N: usize>(&self, channel: usize) -> Factors<N> {
        Factors::scale(Simd::splat(self.multipliers[channel]))
    }

    #[inline(always)]
    fn of_lanes<const N: usize>(&self, channel: usize) -> Factors<N> {
        Factors::scale(Simd::load_or_default(self.multipliers.get(channel..).unwrap_or(&[])))
    }

    #[inline(always)]
    fn apply<A: Arch, const N: usize>(&self, x: Simd<i32, N>, factors: Factors<N>) -> Simd<i32, N> {
        self.target.of(x.cast::<f32>() * factors.s)
    }
}

/// Sums of products.
#[derive(Clone, Copy, Debug)]
pub enum Sums<'a> {
    Integers(&'a [i32]),
    Floats(&'a [f32]),
}

#[derive(Clone, Copy, Debug)]
pub enum Multipliers<'a> {
    One(f32),
    Each(&'a [f32]),
}

/// A row of sums and their multipliers.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    pub sums: Sums<'a>,
    pub multipliers: Multipliers<'a>,
}

// [panel: QLinearMatMul QLinearConv requantize]
impl Row<'_> {
    fn check(&self, len: usize) {
        let sums = match self.sums {
            Sums::Integers(sums) => sums.len(),
            Sums::Floats(sums) => sums.len(),
        };
        assert!(sums == len && !matches!(self.multipliers, Multipliers::Each(all) if all.len() != len));
    }

    /// `rn(rn(acc) * m)` of a chunk from `at` on.
    #[inline(always)]
    fn quotients(&self, at: usize) -> Simd<f32, CHUNK> {
        let sums = match self.sums {
            Sums::Integers(sums) => Simd::<i32, CHUNK>::load_or_default(&sums[at..]).cast(),
            Sums::Floats(sums) => Simd::load_or_default(&sums[at..]),
        };
        let m = match self.multipliers {
            Multipliers::One(m) => Simd::splat(m),
            Multipliers::Each(all) => Simd::load_or_default(&all[at..]),
        };
        sums * m
    }
}
// [/panel]

/// Requantizes a row to bytes of either kind.
///
/// # Panics
/// If the row and `out` differ in length.
pub fn requantize(isa: Isa, row: &Row<'_>, target: Target, out: &mut [u8]) {
    row.check(out.len());
    dispatch(isa, ToBytes { row, target, out });
}

struct ToBytes<'a> {
    row: &'a Row<'a>,
    target: Target,
    out: &'a mut [u8],
}

impl Kernel for ToBytes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        for (i, out) in self.out.chunks_mut(CHUNK).enumerate() {
            let y = self.target.of(self.row.quotients(i * CHUNK)).cast::<u8>();
            out.copy_from_slice(&y.as_array()[..out.len()]);
        }
    }
}

/// Requantizes a row to codes of a small float: `rn(q + zero_point)`, saturating.
///
/// # Panics
/// If the row and `out` differ in length.
pub fn requantize_small(row: &Row<'_>, (format, zero_point): (Format, f32), out: &mut [u8]) {
    row.check(out.len());
    for (i, out) in out.chunks_mut(CHUNK).enumerate() {
        let shifted = row.quotients(i * CHUNK) + Simd::splat(zero_point);
        out.iter_mut().zip(shifted.as_array()).for_each(|(out, &x)| *out = format.encode(x, true));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_its_definition_on_every_isa() {
        let acc: Vec<i32> = (0..37).map(|i| [0, 1, -1, 3, 5, i32::MAX, i32::MIN, 16_777_217, -250][i % 9]).collect();
        let all: Vec<f32> = (0..37).map(|i| [0.5, -0.5, 1.0, f32::NAN, f32::INFINITY, 1e-3, 2.5][i % 7]).collect();
        for (signed, zero) in [(true, 0x80), (true, 3), (false, 0), (false, 255), (false, 7)] {
            let want = |acc: i32, m: f32| {
                let q = acc as f32 * m;
                let step = i64::from(q.round_ties_even() as i32);
                let (shift, low, high) =
                    if signed { (i64::from(zero as i8), -128, 127) } else { (i64::from(zero), 0, 255) };
                (step + shift).clamp(low, high) as u8
            };
            for &isa in Isa::available() {
                for multipliers in [Multipliers::Each(&all), Multipliers::One(0.5)] {
                    let mut out = vec![9; acc.len()];
                    let row = Row { sums: Sums::Integers(&acc), multipliers };
                    requantize(isa, &row, Target::new(signed, zero), &mut out);
                    for (i, &got) in out.iter().enumerate() {
                        let m = if let Multipliers::Each(all) = multipliers { all[i] } else { 0.5 };
                        assert_eq!(got, want(acc[i], m), "{} * {m} on {}", acc[i], isa.name());
                    }
                }
            }
        }
    }
}
