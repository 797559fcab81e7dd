//! Rests of divisions of floating-point numbers, by integers: exact, as C's `fmod` is.

use half::{bf16, f16};

/// A floating-point number whose divisions leave rests.
pub trait Remainder: Copy + Send + Sync + 'static {
    /// `a - trunc(a / b) * b`, exact, with the sign of `a`. NaN for an infinite `a` and for b = 0.
    fn truncated(a: Self, b: Self) -> Self;
    /// `a - floor(a / b) * b`: the rest above, or where that has not the sign of `b`, `rn(rest + b)`; a zero has b's sign.
    fn floored(a: Self, b: Self) -> Self;
}

/// `x mod y` of two significands, x times 2^shift first. Both are below 2^bits; `y` is not 0.
#[inline]
fn reduced(x: u64, shift: u32, y: u64, bits: u32) -> u64 {
    let (mut rest, mut left) = (x % y, shift);
    while left > 0 && rest > 0 {
        let step = left.min(64 - bits);
        rest = (rest << step) % y;
        left -= step;
    }
    rest
}

macro_rules! remainder {
    ($type:ty, $bits:ty, $mantissa:expr) => {
        impl Remainder for $type {
            #[inline]
            fn truncated(a: $type, b: $type) -> $type {
                const HIDDEN: $bits = 1 << $mantissa;
                const INFINITY: $bits = <$type>::INFINITY.to_bits();
                let (x, y) = (a.abs().to_bits(), b.abs().to_bits());
                if x >= INFINITY || y > INFINITY || y == 0 {
                    return <$type>::NAN;
                }
                if x < y {
                    return a;
                }
                // value = significand * 2^(exponent - 1) least subnormals
                let parts = |x: $bits| {
                    let exponent = x >> $mantissa;
                    if exponent == 0 { (1, x) } else { (exponent, (x & (HIDDEN - 1)) | HIDDEN) }
                };
                let ((x_exponent, x), (exponent, y)) = (parts(x), parts(y));
                // The casts keep the value: significands have at most 53 bits, exponents 11.
                let rest = reduced(x as u64, (x_exponent - exponent) as u32, y as u64, $mantissa + 1) as $bits;
                let lacking = (rest.leading_zeros() - HIDDEN.leading_zeros()).min((exponent - 1) as u32);
                let rest = rest << lacking;
                let normal = if rest >= HIDDEN { exponent - lacking as $bits } else { 0 };
                <$type>::from_bits((rest & (HIDDEN - 1)) | (normal << $mantissa)).copysign(a)
            }

            #[inline]
            fn floored(a: $type, b: $type) -> $type {
                let rest = Self::truncated(a, b);
                if rest == 0.0 {
                    return <$type>::copysign(0.0, b);
                }
                if rest.is_sign_negative() != b.is_sign_negative() { rest + b } else { rest }
            }
        }
    };
}
remainder!(f32, u32, 23);
remainder!(f64, u64, 52);

macro_rules! halves {
    ($($type:ty),*) => {$(impl Remainder for $type {
        #[inline]
        fn truncated(a: $type, b: $type) -> $type {
            <$type>::from_f32(f32::truncated(a.to_f32(), b.to_f32()))
        }
        #[inline]
        fn floored(a: $type, b: $type) -> $type {
            <$type>::from_f32(f32::floored(a.to_f32(), b.to_f32()))
        }
    })*};
}
halves!(f16, bf16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_are_those_of_the_standard_library() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let special = [0.0, -0.0, 1.0, -1.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MAX, 1e-45, -3e-45, 2.5];
        let mut pairs: Vec<(f32, f32)> = special.iter().flat_map(|&a| special.map(|b| (a, b))).collect();
        pairs.extend((0..100_000).map(|_| (f32::from_bits(next() as u32), f32::from_bits(next() as u32))));
        for (a, b) in pairs {
            let (got, want) = (f32::truncated(a, b), a % b);
            assert!(
                got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(),
                "{a:e} % {b:e}: {got:e}, {want:e}"
            );
        }
        for _ in 0..50_000 {
            let (a, b) = (f64::from_bits(next()), f64::from_bits(next()));
            let (got, want) = (f64::truncated(a, b), a % b);
            assert!(
                got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(),
                "{a:e} % {b:e}: {got:e}, {want:e}"
            );
        }
    }

    #[test]
    fn floored_rests_have_the_divisors_sign() {
        let inf = f32::INFINITY;
        let cases = [
            (-7.0, 3.0, 2.0),
            (7.0, -3.0, -2.0),
            (-0.0, 3.0, 0.0),
            (0.0, -3.0, -0.0),
            (5.0, inf, 5.0),
            (-5.0, inf, inf),
            (5.0, -inf, -inf),
            (6.0, -3.0, -0.0),
            (-1e-30, 1.0, 1.0),
        ];
        for (a, b, want) in cases {
            assert_eq!(f32::floored(a, b).to_bits(), f32::to_bits(want), "{a} {b}");
        }
        assert!(
            f32::floored(inf, 2.0).is_nan() && f32::floored(1.0, 0.0).is_nan() && f32::floored(0.0, f32::NAN).is_nan()
        );
    }
}
