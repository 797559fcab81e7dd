//! float16 and bfloat16 in lanes of integers: the same instructions, and bits, on every instruction set.

use crate::lanes::*;
use crate::mutant::{self, Mutant};

/// binary16 bit patterns as binary32. Exact.
#[inline(always)]
pub fn f16_to_f32<const N: usize>(half: Simd<u16, N>) -> Simd<f32, N> {
    let half: Simd<u32, N> = half.cast();
    let sign = (half & Simd::splat(0x8000)) << Simd::splat(16);
    let magnitude = (half & Simd::splat(0x7fff)) << Simd::splat(13);
    // The exponent's bias grows by 112; at infinity and NaN by 224.
    let special = magnitude.simd_ge(Simd::splat(0x7c00 << 13));
    let normal = magnitude + special.select(Simd::splat(224 << 23), Simd::splat(112 << 23));
    // A subnormal becomes the fraction of a number in [2^-14, 2^-13); subtracting 2^-14 is exact.
    let base = Simd::<f32, N>::from_bits(Simd::splat(113 << 23));
    let subnormal = (Simd::<f32, N>::from_bits(magnitude + Simd::splat(113 << 23)) - base).to_bits();
    let is_subnormal = magnitude.simd_lt(Simd::splat(1 << 23));
    Simd::from_bits(is_subnormal.select(subnormal, normal) | sign)
}

/// binary32 rounded to binary16, ties to even; NaN gives the quiet NaN of its sign.
#[inline(always)]
pub fn f32_to_f16<const N: usize>(x: Simd<f32, N>) -> Simd<u16, N> {
    let bits = x.to_bits();
    let sign = (bits >> Simd::splat(16)) & Simd::splat(0x8000);
    let magnitude = bits & Simd::splat(0x7fff_ffff);
    // Normal: drop 13 bits. Adding one less than half of their weight, and the last bit kept, rounds ties to even; a carry
    // out of the fraction is the next exponent, and infinity after the greatest.
    let last = (magnitude >> Simd::splat(13)) & Simd::splat(1);
    let normal = (magnitude + Simd::splat(0xfffu32.wrapping_sub(112 << 23)) + last) >> Simd::splat(13);
    // Below 2^-14 the unit is 2^-24, which is the unit of numbers from 1/2 to 1: the addition rounds.
    let half = Simd::<f32, N>::splat(0.5);
    let subnormal = (Simd::<f32, N>::from_bits(magnitude) + half).to_bits() - half.to_bits();
    let finite = magnitude.simd_lt(Simd::splat(0x3880_0000)).select(subnormal, normal);
    let overflown = magnitude.simd_ge(Simd::splat(0x4780_0000)).select(Simd::splat(0x7c00), finite);
    let result = magnitude.simd_gt(Simd::splat(0x7f80_0000)).select(Simd::splat(0x7e00), overflown);
    (result | sign).cast()
}

/// bfloat16 bit patterns as binary32. Exact.
#[inline(always)]
pub fn bf16_to_f32<const N: usize>(x: Simd<u16, N>) -> Simd<f32, N> {
    Simd::from_bits(x.cast::<u32>() << Simd::splat(16))
}

/// binary32 rounded to bfloat16, ties to even; NaN gives the quiet NaN of its sign.
#[inline(always)]
pub fn f32_to_bf16<const N: usize>(x: Simd<f32, N>) -> Simd<u16, N> {
    let bits = x.to_bits();
    let last = if mutant::on(Mutant::TiesUp) { Simd::splat(1) } else { (bits >> Simd::splat(16)) & Simd::splat(1) };
    let rounded = (bits + Simd::splat(0x7fff) + last) >> Simd::splat(16);
    let nan = ((bits >> Simd::splat(16)) & Simd::splat(0x8000)) | Simd::splat(0x7fc0);
    let is_nan = (bits & Simd::splat(0x7fff_ffff)).simd_gt(Simd::splat(0x7f80_0000));
    is_nan.select(nan, rounded).cast()
}

/// binary64 rounded to odd in binary32: a second rounding, to a type with at least two bits fewer, is then that of the
/// exact value.
#[inline(always)]
pub fn f64_to_f32_odd<const N: usize>(x: Simd<f64, N>) -> Simd<f32, N> {
    let near: Simd<f32, N> = x.cast();
    if mutant::on(Mutant::DoubleRounding) {
        return near;
    }
    let error = x - near.cast::<f64>();
    let bits: Simd<i32, N> = near.to_bits().cast();
    let one = Simd::splat(1i32);
    // Towards the error is away from zero (+1 in the pattern) where the two have one sign.
    let negative_error: Simd<i32, N> =
        error.simd_lt(Simd::splat(0.0)).cast::<i32>().select(Simd::splat(-1), Simd::splat(0));
    let step = (((bits >> Simd::splat(31)) ^ negative_error) << one) + one;
    let inexact = (error.simd_lt(Simd::splat(0.0)) | error.simd_gt(Simd::splat(0.0))).cast::<i32>();
    let finite = (bits & Simd::splat(0x7fff_ffff)).simd_lt(Simd::splat(0x7f80_0000));
    let even = (bits & one).simd_eq(Simd::splat(0));
    Simd::from_bits((inexact & finite & even).select(bits + step, bits).cast())
}
