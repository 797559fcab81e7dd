//! The numbers that are multiplied and added, and the types they are read from and written to.

use crate::epilogue::{Epilogue, Follow, Never};
use crate::gemm::{load, load_first};
use crate::lanes::*;
use crate::requantize::Requantize;
use half::{bf16, f16};

/// What a convolution computes in: `f32`, `f64`, or `i32` holding *two* 16-bit integers, whose products are added in pairs.
pub trait Element: SimdElement + Default + Send + Sync + 'static {
    /// Channels that one element holds.
    const CHANNELS: usize;
    /// Vectors of output channels in a tile of the channel path.
    const VECTORS: usize;
    /// [`Kernel::DOTS`] of what computes in it.
    const DOTS: bool = false;

    /// The next term of the chain: `fma(x, w, acc)`; f64: `rn(rn(x*w) + acc)`; i32: `x.0*w.0 + x.1*w.1 + acc`, wrapping.
    fn mac<A: Arch, const N: usize>(x: Simd<Self, N>, w: Simd<Self, N>, acc: Simd<Self, N>) -> Simd<Self, N>;

    /// `a + b`.
    fn add<const N: usize>(a: Simd<Self, N>, b: Simd<Self, N>) -> Simd<Self, N>;
}

impl Element for f32 {
    const CHANNELS: usize = 1;
    const VECTORS: usize = 2;

    #[inline(always)]
    fn mac<A: Arch, const N: usize>(x: Simd<f32, N>, w: Simd<f32, N>, acc: Simd<f32, N>) -> Simd<f32, N> {
        A::fma(x, w, acc)
    }

    #[inline(always)]
    fn add<const N: usize>(a: Simd<f32, N>, b: Simd<f32, N>) -> Simd<f32, N> {
        a + b
    }
}

impl Element for f64 {
    const CHANNELS: usize = 1;
    const VECTORS: usize = 1;

    #[inline(always)]
    fn mac<A: Arch, const N: usize>(x: Simd<f64, N>, w: Simd<f64, N>, acc: Simd<f64, N>) -> Simd<f64, N> {
        acc + x * w
    }

    #[inline(always)]
    fn add<const N: usize>(a: Simd<f64, N>, b: Simd<f64, N>) -> Simd<f64, N> {
        a + b
    }
}

impl Element for i32 {
    const CHANNELS: usize = 2;
    const VECTORS: usize = 2;
    const DOTS: bool = true;

    #[inline(always)]
    fn mac<A: Arch, const N: usize>(x: Simd<i32, N>, w: Simd<i32, N>, acc: Simd<i32, N>) -> Simd<i32, N> {
        #[cfg(target_arch = "x86_64")]
        {
            use core::arch::x86_64::*;
            use core::mem::transmute_copy;
            match (A::ISA, N) {
                (Isa::Avx512Vnni, 16) => {
                    // SAFETY: N is 16, so the vectors are 512 bits; code below `dispatch` runs on a CPU with A::ISA's features.
                    let r =
                        unsafe { _mm512_dpwssd_epi32(transmute_copy(&acc), transmute_copy(&x), transmute_copy(&w)) };
                    // SAFETY: as above.
                    return unsafe { transmute_copy(&r) };
                }
                (Isa::Avx512, 16) => {
                    // SAFETY: as above.
                    let r: Simd<i32, N> =
                        unsafe { transmute_copy(&_mm512_madd_epi16(transmute_copy(&x), transmute_copy(&w))) };
                    return acc + r;
                }
                (Isa::Avx2, 8) => {
                    // SAFETY: N is 8, so the vectors are 256 bits; code below `dispatch` runs on a CPU with A::ISA's features.
                    let r: Simd<i32, N> =
                        unsafe { transmute_copy(&_mm256_madd_epi16(transmute_copy(&x), transmute_copy(&w))) };
                    return acc + r;
                }
                (Isa::Baseline, 4) => {
                    // SAFETY: N is 4, so the vectors are 128 bits; SSE2 is part of x86-64.
                    let r: Simd<i32, N> =
                        unsafe { transmute_copy(&_mm_madd_epi16(transmute_copy(&x), transmute_copy(&w))) };
                    return acc + r;
                }
                _ => {}
            }
        }
        let half = Simd::splat(16);
        let low = |v: Simd<i32, N>| (v << half) >> half;
        acc + low(x) * low(w) + (x >> half) * (w >> half)
    }

    #[inline(always)]
    fn add<const N: usize>(a: Simd<i32, N>, b: Simd<i32, N>) -> Simd<i32, N> {
        a + b
    }
}

/// A tensor type that is read as `Element`s: activations and weights.
pub trait Source: Copy + Send + Sync + 'static {
    type Element: Element;
    /// What is subtracted from every value: the zero point of integers, nothing for floating point.
    type Zero: Copy + Send + Sync;
    /// Whether an element is the value itself.
    const PLAIN: bool = false;

    /// One element from the values of its channels. `second` is absent for a last odd channel, and for floating point.
    fn element(first: Self, second: Option<Self>, zero: Self::Zero) -> Self::Element;

    /// Elements from the first `n` (all, if `n >= N`) values at `first` and at `second`; zeros after them.
    ///
    /// # Safety
    /// Both point at `min(n, N)` values.
    #[inline(always)]
    unsafe fn load<const N: usize>(
        first: *const Self,
        second: Option<*const Self>,
        zero: Self::Zero,
        n: usize,
    ) -> Simd<Self::Element, N> {
        let mut elements = [Self::Element::default(); N];
        for (i, element) in elements.iter_mut().enumerate().take(n) {
            // SAFETY: i < min(n, N).
            *element = unsafe { Self::element(*first.add(i), second.map(|s| *s.add(i)), zero) };
        }
        Simd::from_array(elements)
    }
}

macro_rules! plain_source {
    ($($t:ty),*) => {$(
        impl Source for $t {
            type Element = $t;
            type Zero = ();
            const PLAIN: bool = true;
            #[inline(always)]
            fn element(first: $t, _: Option<$t>, _: ()) -> $t {
                first
            }
            #[inline(always)]
            unsafe fn load<const N: usize>(first: *const $t, _: Option<*const $t>, _: (), n: usize) -> Simd<$t, N> {
                // SAFETY: the caller's promise.
                unsafe { if n >= N { load(first) } else { load_first(first, n) } }
            }
        }
    )*};
}
plain_source!(f32, f64);

macro_rules! half_source {
    ($($t:ty => $e:ty, $to:expr;)*) => {$(
        impl Source for $t {
            type Element = $e;
            type Zero = ();
            #[inline(always)]
            fn element(first: $t, _: Option<$t>, _: ()) -> $e {
                $to(first)
            }
        }
    )*};
}
half_source! {
    f16 => f32, f16::to_f32;
    bf16 => f32, bf16::to_f32;
}

macro_rules! integer_source {
    ($($t:ty),*) => {$(
        impl Source for $t {
            type Element = i32;
            type Zero = i16;
            #[inline(always)]
            fn element(first: $t, second: Option<$t>, zero: i16) -> i32 {
                let low = (first as i16 - zero) as u16 as i32;
                let high = second.map_or(0, |x| (x as i16 - zero) as i32);
                high << 16 | low
            }
        }
    )*};
}
integer_source!(u8, i8);

/// A tensor type that accumulators are written to, rounded once.
pub trait Sink: Copy + Send + Sync + 'static {
    type Element: Element;
    /// What may follow the bias, before the accumulators are written.
    type Follow<'a>: Follow<Self::Element> + Send + Sync + std::fmt::Debug;

    /// Writes the first `n` lanes (all, if `n >= N`) to `to`.
    ///
    /// # Safety
    /// `to` must be valid for writing `min(n, N)` values.
    unsafe fn store<const N: usize>(v: Simd<Self::Element, N>, to: *mut Self, n: usize);

    /// One value.
    fn narrow(v: Self::Element) -> Self;
}

macro_rules! plain_sink {
    ($($t:ty, $m:ty, $follow:ty);*) => {$(
        impl Sink for $t {
            type Element = $t;
            type Follow<'a> = $follow;
            #[inline(always)]
            unsafe fn store<const N: usize>(v: Simd<$t, N>, to: *mut $t, n: usize) {
                if n >= N {
                    // SAFETY: the caller gives room for N values.
                    unsafe { to.cast::<Simd<$t, N>>().write_unaligned(v) }
                } else {
                    let lane = Simd::<$m, N>::from_array(std::array::from_fn(|i| i as $m));
                    // SAFETY: lanes at and above n are masked off.
                    unsafe { v.store_select_ptr(to, lane.simd_lt(Simd::splat(n as $m))) }
                }
            }
            #[inline(always)]
            fn narrow(v: $t) -> $t {
                v
            }
        }
    )*};
}
plain_sink!(f32, i32, &'a Epilogue; f64, i64, Never; i32, i32, Never);

macro_rules! narrow_sink {
    ($($t:ty),*) => {$(
        impl Sink for $t {
            type Element = f32;
            type Follow<'a> = &'a Epilogue;
            #[inline(always)]
            unsafe fn store<const N: usize>(v: Simd<f32, N>, to: *mut $t, n: usize) {
                for (i, &x) in v.as_array().iter().enumerate().take(n) {
                    // SAFETY: i < min(n, N).
                    unsafe { to.add(i).write(<$t>::from_f32(x)) }
                }
            }
            #[inline(always)]
            fn narrow(v: f32) -> $t {
                <$t>::from_f32(v)
            }
        }
    )*};
}
narrow_sink!(f16, bf16);

/// Quantized numbers, `uint8` or `int8`: the low bytes of what [`Requantize`] gives.
impl Sink for u8 {
    type Element = i32;
    type Follow<'a> = Requantize<'a>;

    #[inline(always)]
    unsafe fn store<const N: usize>(v: Simd<i32, N>, to: *mut u8, n: usize) {
        let bytes = v.cast::<u8>();
        if n >= N {
            // SAFETY: the caller gives room for N values.
            unsafe { to.cast::<Simd<u8, N>>().write_unaligned(bytes) }
        } else {
            // SAFETY: the caller gives room for n values.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_array().as_ptr(), to, n) }
        }
    }

    #[inline(always)]
    fn narrow(v: i32) -> u8 {
        v as u8
    }
}
