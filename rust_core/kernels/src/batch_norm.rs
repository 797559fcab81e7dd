//! BatchNormalization: `y = fma(x, s, t)` for each channel, and a batch's statistics.

use crate::functions::{Arithmetic, Float, Real, Stash};
use crate::lanes::*;
use crate::reduce::{Itself, LANES, SquaredDistance, Sum, reduce_row};
use std::ops::Range;

// [panel: BatchNormalization factors]
/// (s, t) of a channel: `scale / sqrt(variance + epsilon)` and `bias - mean * s`, each operation rounded in binary64.
pub fn factors(scale: f64, bias: f64, mean: f64, variance: f64, epsilon: f32) -> (f64, f64) {
    let s = scale / Arithmetic::sqrt(variance + f64::from(epsilon));
    (s, bias - mean * s)
}
// [/panel]

/// `dst = fma(src, s, t)`, rounded once to T, over rows of `inner` elements; row r belongs to channel r modulo `s.len()`. For double:
/// multiplied, then added.
///
/// # Safety
/// `src` is valid for reading and `dst` for writing the rows in `rows`. `dst` may be `src`; otherwise they do not overlap.
///
/// # Panics
/// If `s` and `t` have not one length.
pub unsafe fn scale_and_shift<T: Float>(
    isa: Isa,
    (s, t): (&[T::Wide], &[T::Wide]),
    src: *const T,
    dst: *mut T,
    inner: usize,
    rows: Range<usize>,
) {
    assert_eq!(s.len(), t.len());
    dispatch(isa, ScaleAndShift { s, t, src, dst, inner, rows });
}

struct ScaleAndShift<'a, T: Float> {
    s: &'a [T::Wide],
    t: &'a [T::Wide],
    src: *const T,
    dst: *mut T,
    inner: usize,
    rows: Range<usize>,
}

impl<T: Float> Kernel for ScaleAndShift<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let ScaleAndShift { s, t, src, dst, inner, rows } = self;
        let channels = s.len();
        if inner == 1 {
            let mut row = rows.start;
            while row < rows.end {
                let channel = row % channels;
                let count = L.min(rows.end - row).min(channels - channel);
                // SAFETY: `count` elements, and as many factors, from here on.
                unsafe {
                    let s = T::Wide::load_partial::<L>(s[channel..].as_ptr(), count);
                    let t = T::Wide::load_partial::<L>(t[channel..].as_ptr(), count);
                    step::<A, T, L>(src.add(row), dst.add(row), count, s, t);
                }
                row += count;
            }
            return;
        }
        for row in rows {
            let channel = row % channels;
            let s = <T::Wide as Float>::Lanes::<L>::splat(s[channel]);
            let t = <T::Wide as Float>::Lanes::<L>::splat(t[channel]);
            for i in (0..inner).step_by(L) {
                // SAFETY: the row's elements.
                unsafe { step::<A, T, L>(src.add(row * inner + i), dst.add(row * inner + i), L.min(inner - i), s, t) };
            }
        }
    }
}

// [panel: BatchNormalization]
/// # Safety
/// `src` is valid for reading and `dst` for writing `count` elements.
#[inline(always)]
unsafe fn step<A: Arch, T: Float, const L: usize>(
    src: *const T,
    dst: *mut T,
    count: usize,
    s: <T::Wide as Float>::Lanes<L>,
    t: <T::Wide as Float>::Lanes<L>,
) {
    let of = |x| T::Wide::lanes_into::<T, L>(Real::multiply_add::<A>(T::Wide::lanes_from::<T, L>(x), s, t));
    // SAFETY: by this function's contract.
    unsafe {
        if count == L {
            T::store(of(T::load::<L>(src)), dst);
        } else {
            T::store_partial(of(T::load_partial::<L>(src, count)), dst, count);
        }
    }
}
// [/panel]

/// Mean and population variance, two passes of lane sums in the type that T computes in, then widened. Of nothing: NaN.
pub fn statistics<T: Float>(isa: Isa, x: &[T]) -> (f64, f64) {
    dispatch(isa, Statistics(x))
}

struct Statistics<'a, T>(&'a [T]);

impl<T: Float> Kernel for Statistics<'_, T> {
    type Output = (f64, f64);

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) -> Self::Output {
        let (x, n) = (self.0.as_ptr(), self.0.len());
        let count = T::Wide::from_count(n);
        // SAFETY: the slice's elements.
        let (mean, variance) = unsafe {
            let mean = reduce_row::<A, T, T::Wide, Sum, _>(x, n, Itself) / count;
            (
                mean,
                reduce_row::<A, T, T::Wide, Sum, _>(
                    x,
                    n,
                    SquaredDistance(<T::Wide as Float>::Lanes::<LANES>::splat(mean)),
                ) / count,
            )
        };
        let widened = |x| T::Wide::to_f64(<T::Wide as Float>::Lanes::<1>::splat(x))[0];
        (widened(mean), widened(variance))
    }
}

/// A running statistic moved towards the batch's: `rn(rn(running * momentum) + rn(batch * rn(1 - momentum)))`, rounded to R.
pub fn moved<R: Float>(running: R, batch: f64, momentum: f32) -> R {
    let keep = R::Wide::from_f32(momentum);
    R::narrow(running.widen() * keep + rounded::<R::Wide>(batch) * (R::Wide::from_f32(1.0) - keep))
}

/// A binary64 rounded once to R.
pub fn rounded<R: Float>(x: f64) -> R {
    R::narrow(R::to_array(R::round_f64(Simd::<f64, 1>::splat(x)))[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::f16;

    #[test]
    fn every_row_takes_its_channels_factors_on_every_isa() {
        let (channels, s, t) = (5usize, [1.5f32, -2.0, 0.25, 3.0, 1.0], [0.5f32, 0.0, -1.0, 2.0, 0.125]);
        for &isa in Isa::available() {
            for inner in [1usize, 3, 16, 37] {
                let x: Vec<f16> = (0..3 * channels * inner).map(|i| f16::from_f32(i as f32 * 0.37 - 20.0)).collect();
                let mut y = vec![f16::ZERO; x.len()];
                // SAFETY: both have 3 * channels rows of inner elements.
                unsafe { scale_and_shift(isa, (&s, &t), x.as_ptr(), y.as_mut_ptr(), inner, 0..3 * channels) };
                for (i, (x, y)) in x.iter().zip(&y).enumerate() {
                    let channel = i / inner % channels;
                    assert_eq!(y.to_bits(), f16::from_f32(x.to_f32() * s[channel] + t[channel]).to_bits());
                }
            }
        }
    }

    #[test]
    fn statistics_of_a_batch_move_the_running_ones() {
        let (mean, variance) = statistics(Isa::best(), &[1.0f32, 2.0, 3.0, 6.0]);
        assert_eq!((mean, variance), (3.0, 3.5));
        assert_eq!(moved(10.0f64, mean, 0.75), 8.25);
        assert!(statistics::<f32>(Isa::best(), &[]).0.is_nan());
    }
}
