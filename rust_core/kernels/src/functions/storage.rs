//! What kernels load from memory and store to it: f32, f64, and f16 and bf16, which compute in f32.

use super::Real;
use super::convert::*;
use crate::lanes::*;
use half::{bf16, f16};

/// A floating-point type in memory.
///
/// Pointers are to elements; they need no alignment beyond the element's. `load` and `store` touch exactly `N` elements.
pub trait Float: Copy + Send + Sync + 'static {
    /// The type programs compute in: f32 or f64.
    type Wide: Stash;
    /// `N` numbers of it.
    type Lanes<const N: usize>: Real<Scalar = Self::Wide>;
    /// Whether a stored number has fewer bits than a computed one.
    const NARROW: bool;
    const ZERO: Self;

    /// `N` elements, widened.
    ///
    /// # Safety
    /// `from` is valid for reading `N` elements.
    unsafe fn load<const N: usize>(from: *const Self) -> Self::Lanes<N>;

    /// `N` numbers, each rounded once.
    ///
    /// # Safety
    /// `to` is valid for writing `N` elements.
    unsafe fn store<const N: usize>(lanes: Self::Lanes<N>, to: *mut Self);

    /// Lanes as an array of numbers.
    fn to_array<const N: usize>(lanes: Self::Lanes<N>) -> [Self::Wide; N];
    /// The element as a number.
    fn widen(self) -> Self::Wide;
    /// The number rounded once.
    fn narrow(wide: Self::Wide) -> Self;
    /// Lanes converted to f32 or, exactly, to f64.
    fn to_f32<const N: usize>(lanes: Self::Lanes<N>) -> Simd<f32, N>;
    fn to_f64<const N: usize>(lanes: Self::Lanes<N>) -> Simd<f64, N>;
    /// f32 or f64 lanes rounded to this type, once, and widened again.
    fn round_f32<const N: usize>(lanes: Simd<f32, N>) -> Self::Lanes<N>;
    fn round_f64<const N: usize>(lanes: Simd<f64, N>) -> Self::Lanes<N>;

    /// Lanes rounded to this type, once, in their wide form.
    fn round<const N: usize>(lanes: Self::Lanes<N>) -> Self::Lanes<N>;
    /// x^y: docs/numerics.md, section 3.
    fn power<const N: usize>(x: Self::Lanes<N>, y: Simd<f64, N>) -> Self::Lanes<N>;

    /// The first `count <= N` lanes from memory, +0 in the others.
    ///
    /// # Safety
    /// `from` is valid for reading `count` elements.
    #[inline(always)]
    unsafe fn load_partial<const N: usize>(from: *const Self, count: usize) -> Self::Lanes<N> {
        debug_assert!(count <= N);
        if count == N {
            // SAFETY: the caller vouches for `count` elements.
            return unsafe { Self::load(from) };
        }
        let mut padded = [Self::ZERO; N];
        // SAFETY: the caller vouches for `count` elements; the array has N >= count, and N are read from it.
        unsafe {
            std::ptr::copy_nonoverlapping(from, padded.as_mut_ptr(), count);
            Self::load(padded.as_ptr())
        }
    }

    /// The first `count <= N` lanes into memory.
    ///
    /// # Safety
    /// `to` is valid for writing `count` elements.
    #[inline(always)]
    unsafe fn store_partial<const N: usize>(lanes: Self::Lanes<N>, to: *mut Self, count: usize) {
        debug_assert!(count <= N);
        if count == N {
            // SAFETY: the caller vouches for `count` elements.
            return unsafe { Self::store(lanes, to) };
        }
        let mut padded = [Self::ZERO; N];
        // SAFETY: N elements are written to the array of N, and `count` copied to where the caller vouches for them.
        unsafe {
            Self::store(lanes, padded.as_mut_ptr());
            std::ptr::copy_nonoverlapping(padded.as_ptr(), to, count);
        }
    }
}

/// A type to compute statistics in: f32 or f64.
pub trait Stash: Float<Wide = Self> + super::Arithmetic {
    /// Lanes of another type, rounded to this one.
    fn lanes_from<T: Float, const N: usize>(lanes: T::Lanes<N>) -> Self::Lanes<N>;
    /// Lanes of this type rounded to another one, once, in its wide form.
    fn lanes_into<T: Float, const N: usize>(lanes: Self::Lanes<N>) -> T::Lanes<N>;
    /// The integer, rounded.
    fn from_count(count: usize) -> Self;
    /// The binary64 number, rounded.
    fn from_binary64(x: f64) -> Self;
    /// The number in binary64, exactly.
    fn to_binary64(self) -> f64;
}

impl Stash for f32 {
    #[inline(always)]
    fn lanes_from<T: Float, const N: usize>(lanes: T::Lanes<N>) -> Simd<f32, N> {
        T::to_f32(lanes)
    }
    #[inline(always)]
    fn lanes_into<T: Float, const N: usize>(lanes: Simd<f32, N>) -> T::Lanes<N> {
        T::round_f32(lanes)
    }
    #[inline(always)]
    fn from_count(count: usize) -> f32 {
        count as f32
    }
    #[inline(always)]
    fn from_binary64(x: f64) -> f32 {
        x as f32
    }
    #[inline(always)]
    fn to_binary64(self) -> f64 {
        self.into()
    }
}

impl Stash for f64 {
    #[inline(always)]
    fn lanes_from<T: Float, const N: usize>(lanes: T::Lanes<N>) -> Simd<f64, N> {
        T::to_f64(lanes)
    }
    #[inline(always)]
    fn lanes_into<T: Float, const N: usize>(lanes: Simd<f64, N>) -> T::Lanes<N> {
        T::round_f64(lanes)
    }
    #[inline(always)]
    fn from_count(count: usize) -> f64 {
        count as f64
    }
    #[inline(always)]
    fn from_binary64(x: f64) -> f64 {
        x
    }
    #[inline(always)]
    fn to_binary64(self) -> f64 {
        self
    }
}

macro_rules! float {
    (
        $t:ty, $wide:ty, $narrow:expr, $zero:expr,
        widen($bits:ident) $widen:expr, narrow($lanes:ident) $round:expr,
        from_f32($single:ident) $from_f32:expr, from_f64($double:ident) $from_f64:expr, $round_wide:ident, $power:path
    ) => {
        impl Float for $t {
            type Wide = $wide;
            type Lanes<const N: usize> = Simd<$wide, N>;
            const NARROW: bool = $narrow;
            const ZERO: Self = $zero;

            #[inline(always)]
            unsafe fn load<const N: usize>(from: *const Self) -> Simd<$wide, N> {
                // SAFETY: the caller vouches for N elements; a Simd of their bit patterns may be read unaligned.
                let $bits = unsafe { from.cast::<Simd<_, N>>().read_unaligned() };
                $widen
            }
            #[inline(always)]
            unsafe fn store<const N: usize>($lanes: Simd<$wide, N>, to: *mut Self) {
                // SAFETY: the caller vouches for N elements; every bit pattern is a number.
                unsafe { to.cast::<Simd<_, N>>().write_unaligned($round) }
            }
            #[inline(always)]
            fn to_array<const N: usize>(lanes: Simd<$wide, N>) -> [$wide; N] {
                lanes.to_array()
            }
            #[inline(always)]
            fn widen(self) -> $wide {
                // SAFETY: one element is read from one.
                unsafe { Self::load::<1>(&self)[0] }
            }
            #[inline(always)]
            fn narrow(wide: $wide) -> Self {
                let mut element = Self::ZERO;
                // SAFETY: one element is written to one.
                unsafe { Self::store::<1>(Simd::splat(wide), &mut element) };
                element
            }
            #[inline(always)]
            fn to_f32<const N: usize>(lanes: Simd<$wide, N>) -> Simd<f32, N> {
                lanes.cast()
            }
            #[inline(always)]
            fn to_f64<const N: usize>(lanes: Simd<$wide, N>) -> Simd<f64, N> {
                lanes.cast()
            }
            #[inline(always)]
            fn round_f32<const N: usize>($single: Simd<f32, N>) -> Simd<$wide, N> {
                $from_f32
            }
            #[inline(always)]
            fn round_f64<const N: usize>($double: Simd<f64, N>) -> Simd<$wide, N> {
                $from_f64
            }
            #[inline(always)]
            fn round<const N: usize>(lanes: Simd<$wide, N>) -> Simd<$wide, N> {
                Self::$round_wide(lanes)
            }
            #[inline(always)]
            fn power<const N: usize>(x: Simd<$wide, N>, y: Simd<f64, N>) -> Simd<$wide, N> {
                $power(x, y)
            }
        }
    };
}
float!(f32, f32, false, 0.0, widen(x) x, narrow(x) x, from_f32(x) x, from_f64(x) x.cast(), round_f32, super::f32::power);
float!(f64, f64, false, 0.0, widen(x) x, narrow(x) x, from_f32(x) x.cast(), from_f64(x) x, round_f64, super::f64::power);
float!(
    f16, f32, true, f16::ZERO, widen(x) f16_to_f32(x), narrow(x) f32_to_f16(x),
    from_f32(x) f16_to_f32(f32_to_f16(x)), from_f64(x) f16_to_f32(f32_to_f16(f64_to_f32_odd(x))), round_f32, super::f32::power
);
float!(
    bf16, f32, true, bf16::ZERO, widen(x) bf16_to_f32(x), narrow(x) f32_to_bf16(x),
    from_f32(x) bf16_to_f32(f32_to_bf16(x)), from_f64(x) bf16_to_f32(f32_to_bf16(f64_to_f32_odd(x))), round_f32, super::f32::power
);
