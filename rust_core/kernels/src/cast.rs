//! Conversions between numbers (docs/numerics.md, section 1): floats to integers toward zero, saturating, NaN to 0; integers
//! to integers by their low bits; to floats rounded once, ties to even.

use half::{bf16, f16};

use crate::functions::convert::{bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16, f64_to_f32_odd};
use crate::lanes::*;

/// Elements converted at a time.
pub const CHUNK: usize = 16;

/// A type that can be converted from: its elements become, exactly, numbers that Rust's `as` converts.
pub trait Source: Copy + Default {
    type Wide: Odd;

    fn widen(chunk: [Self; CHUNK]) -> [Self::Wide; CHUNK];
}

/// A type that numbers `W` can be converted to.
pub trait Target<W>: Copy + Default {
    fn convert(chunk: [W; CHUNK]) -> [Self; CHUNK];
}

/// A number on its way to a type of at most 22 significant bits: binary32, rounded to odd where 24 bits are too few.
pub trait Odd: Copy + Default + PartialEq {
    fn odd(chunk: [Self; CHUNK]) -> [f32; CHUNK];
}

macro_rules! plain {
    ($($type:ty),*) => {$(
        impl Source for $type {
            type Wide = $type;
            #[inline(always)]
            fn widen(chunk: [Self; CHUNK]) -> [Self; CHUNK] {
                chunk
            }
        }
        targets!($type: i8, i16, i32, i64, u8, u16, u32, u64, f32, f64);
        impl Target<$type> for f16 {
            #[inline(always)]
            fn convert(chunk: [$type; CHUNK]) -> [f16; CHUNK] {
                f32_to_f16(Simd::from_array(Odd::odd(chunk))).to_array().map(f16::from_bits)
            }
        }
        impl Target<$type> for bf16 {
            #[inline(always)]
            fn convert(chunk: [$type; CHUNK]) -> [bf16; CHUNK] {
                f32_to_bf16(Simd::from_array(Odd::odd(chunk))).to_array().map(bf16::from_bits)
            }
        }
    )*};
}
macro_rules! targets {
    ($from:ty: $($to:ty),*) => {$(
        impl Target<$from> for $to {
            #[inline(always)]
            fn convert(chunk: [$from; CHUNK]) -> [$to; CHUNK] {
                chunk.map(|x| x as $to)
            }
        }
    )*};
}
plain!(i8, i16, i32, i64, u8, u16, u32, u64, f32, f64);

impl Source for f16 {
    type Wide = f32;
    #[inline(always)]
    fn widen(chunk: [Self; CHUNK]) -> [f32; CHUNK] {
        f16_to_f32(Simd::from_array(chunk.map(f16::to_bits))).to_array()
    }
}

impl Source for bf16 {
    type Wide = f32;
    #[inline(always)]
    fn widen(chunk: [Self; CHUNK]) -> [f32; CHUNK] {
        bf16_to_f32(Simd::from_array(chunk.map(bf16::to_bits))).to_array()
    }
}

macro_rules! exact_in_f32 {
    ($($type:ty),*) => {$(
        impl Odd for $type {
            #[inline(always)]
            fn odd(chunk: [Self; CHUNK]) -> [f32; CHUNK] {
                chunk.map(f32::from)
            }
        }
    )*};
}
exact_in_f32!(i8, i16, u8, u16, f32);

macro_rules! exact_in_f64 {
    ($($type:ty),*) => {$(
        impl Odd for $type {
            #[inline(always)]
            fn odd(chunk: [Self; CHUNK]) -> [f32; CHUNK] {
                f64_to_f32_odd(Simd::from_array(chunk.map(f64::from))).to_array()
            }
        }
    )*};
}
exact_in_f64!(i32, u32, f64);

macro_rules! wide {
    ($($type:ty),*) => {$(
        impl Odd for $type {
            #[inline(always)]
            fn odd(chunk: [Self; CHUNK]) -> [f32; CHUNK] {
                // Where 53 bits are too few, the last 11 bits count as one sticky bit above them.
                let odd = chunk.map(|x| {
                    let sticky = <$type>::from(x & 0x7ff != 0);
                    let wide = x >> 53 != 0 && x >> 53 != !0;
                    (if wide { ((x >> 11) | sticky) << 11 } else { x }) as f64
                });
                Odd::odd(odd)
            }
        }
    )*};
}
wide!(i64, u64);

struct Cast<'a, S, D>(&'a [S], &'a mut [D]);

// [panel: Cast CastLike]
impl<S: Source, D: Target<S::Wide>> Kernel for Cast<'_, S, D> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let Cast(from, to) = self;
        let (whole_from, rest_from) = from.as_chunks::<CHUNK>();
        let (whole_to, rest_to) = to.as_chunks_mut::<CHUNK>();
        for (to, from) in whole_to.iter_mut().zip(whole_from) {
            *to = D::convert(S::widen(*from));
        }
        let mut padded = [S::default(); CHUNK];
        padded[..rest_from.len()].copy_from_slice(rest_from);
        let converted = D::convert(S::widen(padded));
        rest_to.copy_from_slice(&converted[..rest_to.len()]);
    }
}
// [/panel]

/// Converts each element of `from` into `to`, which is as long.
pub fn cast<S: Source, D: Target<S::Wide>>(isa: Isa, from: &[S], to: &mut [D]) {
    assert_eq!(from.len(), to.len());
    dispatch(isa, Cast(from, to));
}

/// Each element of `from` in binary32, rounded to odd where 24 bits are too few.
pub fn to_odd_f32<S: Source>(from: &[S], to: &mut [f32]) {
    for (to, from) in to.chunks_mut(CHUNK).zip(from.chunks(CHUNK)) {
        let mut padded = [S::default(); CHUNK];
        padded[..from.len()].copy_from_slice(from);
        to.copy_from_slice(&S::Wide::odd(S::widen(padded))[..to.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one<S: Source, D: Target<S::Wide>>(x: S) -> D {
        let mut out = [D::default(); 17];
        for &isa in Isa::available() {
            cast(isa, &[x; 17], &mut out);
        }
        out[16]
    }

    #[test]
    fn floats_saturate_and_integers_keep_low_bits() {
        assert_eq!((one::<f32, i8>(300.0), one::<f32, u8>(-1.0), one::<f32, i32>(f32::NAN)), (127, 0, 0));
        assert_eq!((one::<i32, i8>(200), one::<i64, u8>(-1), one::<u64, i64>(u64::MAX)), (-56, 255, -1));
        assert_eq!(one::<f64, i64>(-1.9), -1);
    }

    #[test]
    fn sixteen_bit_floats_are_rounded_once() {
        // Just above halfway between two float16: binary32 alone would make it a tie.
        assert_eq!(one::<f64, f16>(1.0 + 2f64.powi(-11) + 2f64.powi(-40)), f16::from_bits(0x3c01));
        assert_eq!(one::<i64, bf16>((1 << 62) + (1 << 54) + 1), bf16::from_bits(0x5e81));
        assert_eq!(one::<i64, bf16>(-(1 << 62) - (1 << 54)), bf16::from_bits(0xde80));
        assert_eq!(one::<f64, f16>(65520.0), f16::INFINITY);
        assert_eq!(one::<f16, bf16>(f16::from_f32(1.0 + 1.0 / 256.0)), bf16::ONE);
    }
}
