//! Local response normalisation across channels: docs/numerics.md, section 4.

use crate::functions::{Arithmetic, Float, Real, Stash};
use crate::lanes::*;
use std::ops::Range;

/// The operator's factors; `size` channels around each one count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalResponse {
    pub alpha: f32,
    pub beta: f32,
    pub bias: f32,
    pub size: usize,
}

impl LocalResponse {
    /// The channels that count for one of `channels`.
    fn window(&self, channel: usize, channels: usize) -> Range<usize> {
        let before = (self.size - 1) / 2;
        let after = self.size - 1 - before;
        channel.saturating_sub(before)..channel.saturating_add(after).saturating_add(1).min(channels)
    }
}

/// Rows of `inner` elements of `[.., channels, inner]`; a row is a channel of an image.
///
/// # Safety
/// `src` is valid for reading the images that `rows` touch, `dst` for writing the rows in `rows`. They do not overlap.
///
/// # Panics
/// If `size` is 0.
pub unsafe fn lrn<T: Float>(
    isa: Isa,
    what: LocalResponse,
    src: *const T,
    dst: *mut T,
    (channels, inner): (usize, usize),
    rows: Range<usize>,
) {
    assert!(what.size > 0, "a window of no channel");
    dispatch(isa, Lrn { what, src, dst, channels, inner, rows });
}

struct Lrn<T> {
    what: LocalResponse,
    src: *const T,
    dst: *mut T,
    channels: usize,
    inner: usize,
    rows: Range<usize>,
}

// [panel: LRN]
impl<T: Float> Kernel for Lrn<T> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let Lrn { what, src, dst, channels, inner, rows } = self;
        let ratio = T::Lanes::<L>::splat(T::Wide::from_f32(what.alpha) / T::Wide::from_count(what.size));
        let bias = T::Lanes::<L>::from_f32(what.bias);
        let beta = Simd::splat(f64::from(what.beta));
        for row in rows {
            let (image, channel) = (row / channels * channels, row % channels);
            let window = what.window(channel, channels);
            for i in (0..inner).step_by(L) {
                let count = L.min(inner - i);
                // SAFETY: `count` elements of rows of this image.
                let load = |row: usize| unsafe { T::load_partial::<L>(src.add(row * inner + i), count) };
                let first = load(image + window.start);
                let mut total = first * first;
                for other in window.start + 1..window.end {
                    let x = load(image + other);
                    total = total + x * x;
                }
                let y = load(row) / T::power(bias + ratio * total, beta);
                // SAFETY: `count` elements of this row.
                unsafe { T::store_partial(y, dst.add(row * inner + i), count) };
            }
        }
    }
}
// [/panel]
