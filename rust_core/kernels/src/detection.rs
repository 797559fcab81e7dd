//! Regions of a feature map and overlapping boxes: `docs/numerics.md`, rows MaxRoiPool, RoiAlign and NonMaxSuppression.

use crate::functions::{Arithmetic, Float, Stash};
use crate::lanes::*;
use crate::pool::MaxElement;
use std::ops::Range;

/// Bins of a region along one axis of `size` elements: `parts` of its `n` elements from `first` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bins {
    pub first: i64,
    pub n: i64,
    pub parts: usize,
    pub size: usize,
}

impl Bins {
    /// Elements of bin `i`. `n` and `parts` are below 2^33 and 2^30.
    #[inline(always)]
    pub fn span(&self, i: usize) -> Range<usize> {
        let (i, parts) = (i as i64, self.parts as i64);
        let start = self.first + i * self.n / parts;
        let end = self.first + ((i + 1) * self.n + parts - 1) / parts;
        let start = start.clamp(0, self.size as i64);
        start as usize..end.clamp(start, self.size as i64) as usize
    }
}

/// Maxima of the bins of a region in each plane of `x`; +0 of bins without elements.
///
/// # Panics
/// If `x` or `y` are not whole planes of one number.
pub fn max_roi_pool<T: MaxElement + Default>(isa: Isa, [rows, columns]: [Bins; 2], x: &[T], y: &mut [T]) {
    let (from, to) = (rows.size * columns.size, rows.parts * columns.parts);
    assert!(to > 0 && y.len().is_multiple_of(to) && x.len() == y.len() / to * from);
    dispatch(isa, MaxRoiPool { rows, columns, x, y });
}

struct MaxRoiPool<'a, T> {
    rows: Bins,
    columns: Bins,
    x: &'a [T],
    y: &'a mut [T],
}

// [panel: MaxRoiPool]
impl<T: MaxElement + Default> Kernel for MaxRoiPool<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let MaxRoiPool { rows, columns, x, y } = self;
        let (size, out) = (rows.size * columns.size, rows.parts * columns.parts);
        for bin in 0..out {
            let (down, across) = (rows.span(bin / columns.parts), columns.span(bin % columns.parts));
            for (plane, y) in y.chunks_exact_mut(out).enumerate() {
                y[bin] = T::default();
                if down.is_empty() || across.is_empty() {
                    continue;
                }
                let x = &x[plane * size..][..size];
                let mut best = T::LOWEST;
                for row in down.clone() {
                    let line = &x[row * columns.size..][across.clone()];
                    best = line.iter().fold(best, |best, x| best.max(x.key()));
                }
                y[bin] = T::value(best);
            }
        }
    }
}
// [/panel]

/// A region to be sampled: along y and x the size of the map, where it starts, the size of a bin, bins, samples of a bin.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    pub size: [usize; 2],
    pub start: [f64; 2],
    pub bin: [f64; 2],
    pub output: [usize; 2],
    pub samples: [usize; 2],
}

/// Planes that are sampled together: places and weights are found once for all.
pub const ROI_PLANES: usize = 16;

/// A place between two elements of an axis.
#[derive(Clone, Copy)]
struct Between {
    inside: bool,
    low: usize,
    high: usize,
    /// Of the low and the high element.
    weights: [f64; 2],
}

impl Region {
    /// Sample `k` of bin `i` along an axis.
    #[inline(always)]
    fn place(&self, axis: usize, i: usize, k: usize) -> Between {
        let (bin, count, size) = (self.bin[axis], self.samples[axis] as f64, self.size[axis]);
        let place = (self.start[axis] + i as f64 * bin) + (k as f64 + 0.5) * bin / count;
        let inside = place >= -1.0 && place <= size as f64 && size > 0;
        let place = if inside && place > 0.0 { place } else { 0.0 };
        let last = size.saturating_sub(1);
        let low = (place as usize).min(last);
        let above = if low < last { place - low as f64 } else { 0.0 };
        Between { inside, low, high: (low + 1).min(last), weights: [1.0 - above, above] }
    }
}

/// Means of the samples of each bin, or with `max` the greatest of their weighted elements, in up to [`ROI_PLANES`] planes of `x`.
///
/// # Panics
/// If `x` and `y` are not as many whole planes, or too many.
pub fn roi_align<T: Float>(isa: Isa, region: &Region, max: bool, x: &[T], y: &mut [T]) {
    let (from, to) = (region.size[0] * region.size[1], region.output[0] * region.output[1]);
    assert!(to > 0 && y.len().is_multiple_of(to) && y.len() / to <= ROI_PLANES && x.len() == y.len() / to * from);
    dispatch(isa, RoiAlign { region, max, x, y });
}

struct RoiAlign<'a, T> {
    region: &'a Region,
    max: bool,
    x: &'a [T],
    y: &'a mut [T],
}

// [panel: RoiAlign]
impl<T: Float> Kernel for RoiAlign<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let RoiAlign { region, max, x, y } = self;
        let [width, out] = [region.size[1], region.output[0] * region.output[1]];
        let (plane, planes) = (region.size[0] * width, y.len() / out);
        let [down, across] = region.samples;
        let zero = T::Wide::ZERO;
        for bin in 0..out {
            let (row, column) = (bin / region.output[1], bin % region.output[1]);
            let mut sums = [zero; ROI_PLANES];
            for sample in 0..down * across {
                let v = region.place(0, row, sample / across);
                let h = region.place(1, column, sample % across);
                let weight = |i: usize, j: usize| T::Wide::from_binary64(v.weights[i] * h.weights[j]);
                let weights = [weight(0, 0), weight(0, 1), weight(1, 0), weight(1, 1)];
                let places = [(v.low, h.low), (v.low, h.high), (v.high, h.low), (v.high, h.high)];
                let inside = v.inside && h.inside;
                for (channel, sum) in sums[..planes].iter_mut().enumerate() {
                    let mut terms = [zero; 4];
                    if inside {
                        let x = &x[channel * plane..][..plane];
                        for ((term, &w), (i, j)) in terms.iter_mut().zip(&weights).zip(places) {
                            *term = w * x[i * width + j].widen();
                        }
                    }
                    let [a, b, c, d] = terms;
                    *sum = if max {
                        let best = a.maximum(b).maximum(c.maximum(d));
                        if sample == 0 { best } else { sum.maximum(best) }
                    } else {
                        *sum + (((a + b) + c) + d)
                    };
                }
            }
            let count = T::Wide::from_count((down * across).max(1));
            for (y, &sum) in y.chunks_exact_mut(out).zip(&sums) {
                y[bin] = T::narrow(if max { sum } else { sum / count });
            }
        }
    }
}
// [/panel]

/// Boxes as (low, low, high, high) and their areas, each number in a list of its own.
#[derive(Clone, Debug, Default)]
pub struct Boxes {
    edges: [Vec<f32>; 4],
    areas: Vec<f32>,
}

impl Boxes {
    /// Puts away all boxes.
    pub fn clear(&mut self) {
        self.edges.iter_mut().for_each(Vec::clear);
        self.areas.clear();
    }

    pub fn push(&mut self, edges: [f32; 4]) {
        self.edges.iter_mut().zip(edges).for_each(|(all, edge)| all.push(edge));
        self.areas.push(area(edges));
    }
}

#[inline(always)]
fn area([low_y, low_x, high_y, high_x]: [f32; 4]) -> f32 {
    (high_y - low_y) * (high_x - low_x)
}

/// The edges of a box given by two opposite corners, or with `center` by its centre and size.
pub fn edges([a, b, c, d]: [f32; 4], center: bool) -> [f32; 4] {
    if center {
        let (h, w) = (c / 2.0, d / 2.0);
        [a - h, b - w, a + h, b + w]
    } else {
        [a.minimum_of(c), b.minimum_of(d), a.maximum_of(c), b.maximum_of(d)]
    }
}

/// The order of section 1, under names that floats do not have themselves.
trait Extremes {
    fn minimum_of(self, other: Self) -> Self;
    fn maximum_of(self, other: Self) -> Self;
}

impl Extremes for f32 {
    fn minimum_of(self, other: f32) -> f32 {
        Arithmetic::minimum(self, other)
    }
    fn maximum_of(self, other: f32) -> f32 {
        Arithmetic::maximum(self, other)
    }
}

/// Whether one of `boxes` has an intersection over union with the box of these edges that is greater than `threshold`.
pub fn overlaps(isa: Isa, boxes: &Boxes, edges: [f32; 4], threshold: f32) -> bool {
    dispatch(isa, Overlaps { boxes, edges, threshold })
}

struct Overlaps<'a> {
    boxes: &'a Boxes,
    edges: [f32; 4],
    threshold: f32,
}

// [panel: NonMaxSuppression]
impl Kernel for Overlaps<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) -> bool {
        let Overlaps { boxes, edges, threshold } = self;
        let own: [Simd<f32, L>; 4] = edges.map(Simd::splat);
        let (own_area, zero) = (Simd::<f32, L>::splat(area(edges)), Simd::splat(0.0));
        let count = boxes.areas.len();
        for i in (0..count).step_by(L) {
            let width = L.min(count - i);
            // SAFETY: `width` elements of lists of `count`. Missing lanes are boxes without area.
            let load = |all: &Vec<f32>| unsafe { f32::load_partial::<L>(all[i..i + width].as_ptr(), width) };
            let [low_y, low_x, high_y, high_x] = boxes.edges.each_ref().map(load);
            let height = own[2].minimum(high_y) - own[0].maximum(low_y);
            let breadth = own[3].minimum(high_x) - own[1].maximum(low_x);
            let (shared, areas) = (height * breadth, load(&boxes.areas));
            let union = (own_area + areas) - shared;
            let proper = height.simd_gt(zero)
                & breadth.simd_gt(zero)
                & shared.simd_gt(zero)
                & own_area.simd_gt(zero)
                & areas.simd_gt(zero)
                & union.simd_gt(zero);
            if (proper & (shared / union).simd_gt(Simd::splat(threshold))).any() {
                return true;
            }
        }
        false
    }
}
// [/panel]

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_cover_the_region() {
        let bins = Bins { first: -2, n: 7, parts: 3, size: 4 };
        assert_eq!([bins.span(0), bins.span(1), bins.span(2)], [0..1, 0..3, 2..4]);
        let small = Bins { first: 1, n: 1, parts: 2, size: 4 };
        assert_eq!([small.span(0), small.span(1)], [1..2, 1..2]);
        assert!(Bins { first: 9, n: 2, parts: 2, size: 4 }.span(1).is_empty());
    }

    #[test]
    fn maxima_of_bins() {
        let x: Vec<f32> = (0..24).map(|i| (i * 7 % 11) as f32 - 20.0).collect();
        let rows = Bins { first: 0, n: 3, parts: 2, size: 3 };
        let columns = Bins { first: 2, n: 9, parts: 2, size: 4 };
        for &isa in Isa::available() {
            let mut y = vec![7f32; 8];
            max_roi_pool(isa, [rows, columns], &x, &mut y);
            let best = |plane: usize, rows: Range<usize>| {
                rows.flat_map(|r| (2..4).map(move |c| (r, c)))
                    .map(|(r, c)| x[plane * 12 + r * 4 + c])
                    .fold(-99.0, f32::max)
            };
            assert_eq!(y, [best(0, 0..2), 0.0, best(0, 1..3), 0.0, best(1, 0..2), 0.0, best(1, 1..3), 0.0]);
        }
    }

    #[test]
    fn boxes_overlap_above_the_threshold_alone() {
        for &isa in Isa::available() {
            let mut boxes = Boxes::default();
            for i in 0..37 {
                boxes.push(edges([i as f32 * 10.0, 0.0, i as f32 * 10.0 + 2.0, 2.0], false));
            }
            // Half of the box: the quotient is 1/3.
            let half = edges([362.0, 3.0, 360.0, 1.0], false);
            assert!(overlaps(isa, &boxes, half, 0.33));
            assert!(!overlaps(isa, &boxes, half, 1.0 / 3.0));
            assert!(!overlaps(isa, &boxes, [f32::NAN; 4], 0.0));
        }
    }
}
