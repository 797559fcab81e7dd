//! Normalisations over contiguous rows: docs/numerics.md, section 4.
//!
//! In the stash type S: `mean = lanesum(x) / n; var = lanesum(rn((x - mean)^2)) / n; inv = 1 / sqrt(var + epsilon);
//! h = rn((x - mean) * inv)`. `h` is converted to T; then `h * scale`, `+ bias`, each rounded to T. RMSNormalization is the
//! same with a mean of 0, which is subtracted exactly.

use crate::functions::{Arithmetic, Float, Real, Stash};
use crate::lanes::*;
use crate::mutant::{self, Mutant};
use crate::reduce::{
    COLUMNS, Extent, Itself, LANES, Magnitude, Square, SquaredDistance, Sum, reduce_columns, reduce_row,
};
use crate::softmax::map_row;
use std::ops::Range;

/// The operands of a LayerNormalization or RMSNormalization of rows of `n` elements in T, with statistics in S.
pub struct LayerNorm<'a, T, S> {
    pub n: usize,
    /// Whether the mean is subtracted; else it is taken to be 0.
    pub centered: bool,
    /// n factors; none are ones.
    pub scale: Option<&'a [T]>,
    /// n addends.
    pub bias: Option<&'a [T]>,
    pub epsilon: f32,
    /// Where each row's mean goes, one number a row.
    pub mean: Option<*mut S>,
    /// Where each row's inverse standard deviation goes.
    pub inverse: Option<*mut S>,
}

/// Normalises the rows in `rows` of `src` `[.., n]` into `dst`. `dst` may be `src`; otherwise they do not overlap.
///
/// # Safety
/// `src` is valid for reading and `dst` for writing the rows in `rows`; `mean` and `inverse` for writing one number for each of them.
/// Calls at the same time have disjoint rows.
///
/// # Panics
/// If `scale` or `bias` has not n elements.
pub unsafe fn layer_norm<T: Float, S: Stash>(
    isa: Isa,
    operands: &LayerNorm<'_, T, S>,
    src: *const T,
    dst: *mut T,
    rows: Range<usize>,
) {
    assert!(operands.scale.is_none_or(|scale| scale.len() == operands.n), "one factor an element");
    assert!(operands.bias.is_none_or(|bias| bias.len() == operands.n), "one addend an element");
    dispatch(isa, Rows { operands, src, dst, rows });
}

struct Rows<'a, 'b, T, S> {
    operands: &'a LayerNorm<'b, T, S>,
    src: *const T,
    dst: *mut T,
    rows: Range<usize>,
}

impl<T: Float, S: Stash> Kernel for Rows<'_, '_, T, S> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let n = self.operands.n;
        for row in self.rows {
            // SAFETY: the caller vouches for the row's n elements and for one number in each of mean and inverse.
            unsafe {
                let (src, dst) = (self.src.add(row * n), self.dst.add(row * n));
                let (mean, inverse) = statistics::<A, T, S>(src, n, self.operands.centered, self.operands.epsilon);
                normalize::<A, T, S>(self.operands, src, dst, mean, inverse);
                if let Some(at) = self.operands.mean {
                    at.add(row).write(mean);
                }
                if let Some(at) = self.operands.inverse {
                    at.add(row).write(inverse);
                }
            }
        }
    }
}

/// (mean, 1 / sqrt(var + epsilon)) of a row.
///
/// # Safety
/// `src` is valid for reading `n` elements.
#[inline(always)]
unsafe fn statistics<A: Arch, T: Float, S: Stash>(src: *const T, n: usize, centered: bool, epsilon: f32) -> (S, S) {
    // SAFETY: n elements.
    let (mean, variance) = unsafe { moments::<A, T, S>(src, n, centered) };
    (mean, S::from_f32(1.0) / (variance + S::from_f32(epsilon)).sqrt())
}

// [panel: LayerNormalization com.microsoft.SkipLayerNormalization moments]
// [panel: com.microsoft.EmbedLayerNormalization moments]
/// (mean, population variance) of a row; not `centered`: (0, mean square).
///
/// # Safety
/// `src` is valid for reading `n` elements.
#[inline(always)]
unsafe fn moments<A: Arch, T: Float, S: Stash>(src: *const T, n: usize, centered: bool) -> (S, S) {
    // [panel: moments]
    let count = S::from_count(n);
    // SAFETY: n elements.
    unsafe {
        let mean = if centered { reduce_row::<A, T, S, Sum, _>(src, n, Itself) / count } else { S::from_f32(0.0) };
        let squared = SquaredDistance(S::Lanes::<LANES>::splat(mean));
        (mean, reduce_row::<A, T, S, Sum, _>(src, n, squared) / count)
    }
    // [/panel]
}
// [/panel]
// [/panel]

// [panel: LayerNormalization RMSNormalization SimplifiedLayerNormalization]
// [panel: com.microsoft.SkipLayerNormalization com.microsoft.SkipSimplifiedLayerNormalization]
// [panel: com.microsoft.EmbedLayerNormalization]
/// The second pass over a row.
///
/// # Safety
/// `src` is valid for reading and `dst` for writing `n` elements.
#[inline(always)]
unsafe fn normalize<A: Arch, T: Float, S: Stash>(
    operands: &LayerNorm<'_, T, S>,
    src: *const T,
    dst: *mut T,
    mean: S,
    inverse: S,
) {
    let (mean, inverse) = (S::Lanes::<LANES>::splat(mean), S::Lanes::<LANES>::splat(inverse));
    let n = operands.n;
    for i in (0..n).step_by(LANES) {
        let count = LANES.min(n - i);
        // SAFETY: i + count <= n elements in src, dst, scale and bias.
        unsafe {
            let load = |from: *const T| {
                if count == LANES { T::load::<LANES>(from.add(i)) } else { T::load_partial(from.add(i), count) }
            };
            let h = (S::lanes_from::<T, LANES>(load(src)) - mean) * inverse;
            let h = S::lanes_into::<T, LANES>(h);
            let mut y = operands.scale.map_or(h, |scale| h * load(scale.as_ptr()));
            if let Some(bias) = operands.bias {
                y = match operands.scale {
                    Some(scale) if mutant::on(Mutant::ContractedMultiplyAdd) => {
                        Real::multiply_add::<A>(h, load(scale.as_ptr()), load(bias.as_ptr()))
                    }
                    _ => T::round(y) + load(bias.as_ptr()),
                };
            }
            if count == LANES {
                T::store(y, dst.add(i));
            } else {
                T::store_partial(y, dst.add(i), count);
            }
        }
    }
}
// [/panel]
// [/panel]
// [/panel]

/// The operands of a GroupNormalization or InstanceNormalization of `[instances, groups, channels, inner]` in T.
pub struct GroupNorm<'a, T> {
    /// Groups of an instance.
    pub groups: usize,
    /// What has a scale and a bias of its own in a group.
    pub channels: usize,
    /// Elements of a channel.
    pub inner: usize,
    /// `groups * channels` factors.
    pub scale: &'a [T],
    /// As many addends.
    pub bias: &'a [T],
    pub epsilon: f32,
    /// Whether `h` and `h * scale` are rounded to T; else the result alone is.
    pub rounded: bool,
}

/// Normalises the groups in `rows`, counted over all instances, of `src` into `dst`, with statistics in S. `dst` may be `src`;
/// otherwise they do not overlap.
///
/// # Safety
/// `src` is valid for reading and `dst` for writing these groups. Calls at the same time have disjoint rows.
///
/// # Panics
/// If scale or bias have another length than groups times channels.
pub unsafe fn group_norm<T: Float, S: Stash>(
    isa: Isa,
    operands: &GroupNorm<'_, T>,
    src: *const T,
    dst: *mut T,
    rows: Range<usize>,
) {
    let parameters = operands.groups * operands.channels;
    assert!(operands.scale.len() == parameters && operands.bias.len() == parameters, "one scale and bias a channel");
    dispatch(isa, Groups::<T, S> { operands, src, dst, rows, stash: std::marker::PhantomData });
}

struct Groups<'a, 'b, T, S> {
    operands: &'a GroupNorm<'b, T>,
    src: *const T,
    dst: *mut T,
    rows: Range<usize>,
    stash: std::marker::PhantomData<S>,
}

impl<T: Float, S: Stash> Kernel for Groups<'_, '_, T, S> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let &GroupNorm { groups, channels, inner, scale, bias, epsilon, rounded } = self.operands;
        let n = channels * inner;
        for row in self.rows {
            // SAFETY: the caller vouches for the row's n elements.
            let (mean, inverse) = unsafe { statistics::<A, T, S>(self.src.add(row * n), n, true, epsilon) };
            let first = row % groups * channels;
            for channel in 0..channels {
                let (scale, bias) = (scale[first + channel].widen(), bias[first + channel].widen());
                let at = row * n + channel * inner;
                // SAFETY: the channel's elements lie in the row.
                unsafe {
                    let (src, dst) = (self.src.add(at), self.dst.add(at));
                    scale_row::<T, S>(src, dst, inner, (mean, inverse), (scale, bias), rounded);
                }
            }
        }
    }
}

// [panel: GroupNormalization InstanceNormalization]
/// `(x - mean) * inverse * scale + bias`, in S and rounded once, or (`rounded`) in T from the normalised number on.
///
/// # Safety
/// `src` is valid for reading and `dst` for writing `n` elements.
#[inline(always)]
unsafe fn scale_row<T: Float, S: Stash>(
    src: *const T,
    dst: *mut T,
    n: usize,
    (mean, inverse): (S, S),
    (scale, bias): (T::Wide, T::Wide),
    rounded: bool,
) {
    let (mean, inverse) = (S::Lanes::<LANES>::splat(mean), S::Lanes::<LANES>::splat(inverse));
    let (scale, bias) = (T::Lanes::<LANES>::splat(scale), T::Lanes::<LANES>::splat(bias));
    for i in (0..n).step_by(LANES) {
        let count = LANES.min(n - i);
        // SAFETY: i + count <= n.
        unsafe {
            let x = if count == LANES { T::load::<LANES>(src.add(i)) } else { T::load_partial(src.add(i), count) };
            let h = (S::lanes_from::<T, LANES>(x) - mean) * inverse;
            let y = if rounded {
                T::round(S::lanes_into::<T, LANES>(h) * scale) + bias
            } else {
                let wide = |x| S::lanes_from::<T, LANES>(x);
                S::lanes_into::<T, LANES>(h * wide(scale) + wide(bias))
            };
            if count == LANES {
                T::store(y, dst.add(i));
            } else {
                T::store_partial(y, dst.add(i), count);
            }
        }
    }
}
// [/panel]

/// (mean, `rn(sqrt(var) + epsilon)`) of some elements, in the type that T computes in.
pub fn mean_and_deviation<T: Float>(isa: Isa, x: &[T], epsilon: f32) -> (T::Wide, T::Wide) {
    dispatch(isa, Deviation { x, epsilon })
}

struct Deviation<'a, T> {
    x: &'a [T],
    epsilon: f32,
}

impl<T: Float> Kernel for Deviation<'_, T> {
    type Output = (T::Wide, T::Wide);
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) -> Self::Output {
        // SAFETY: the slice's elements.
        let (mean, variance) = unsafe { moments::<A, T, T::Wide>(self.x.as_ptr(), self.x.len(), true) };
        (mean, variance.sqrt() + T::Wide::from_f32(self.epsilon))
    }
}

/// What becomes of the distance from the first statistic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It is divided by the second.
    Divide,
    /// The second is subtracted too.
    Subtract,
}

/// Two statistics of elements in a row.
#[derive(Clone, Copy, Debug)]
pub struct Statistics<S> {
    pub first: *const S,
    pub second: *const S,
    /// Whether each element has its own; else the first of them are for all.
    pub each: bool,
}

/// `dst = rn(rn(src - first) / second)` or `rn(rn(src - first) - second)`, in the type that T computes in, rounded once to T.
///
/// # Safety
/// `src` is valid for reading and `dst` for writing `n` elements, `first` and `second` for reading one or (`each`) n numbers. `dst` may
/// be `src`; otherwise nothing overlaps.
pub unsafe fn center<T: Float>(
    isa: Isa,
    then: Then,
    statistics: Statistics<T::Wide>,
    src: *const T,
    dst: *mut T,
    n: usize,
) {
    dispatch(isa, Center { then, statistics, src, dst, n });
}

struct Center<T: Float> {
    then: Then,
    statistics: Statistics<T::Wide>,
    src: *const T,
    dst: *mut T,
    n: usize,
}

// [panel: MeanVarianceNormalization]
impl<T: Float> Kernel for Center<T> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let Center { then, statistics: Statistics { first, second, each }, src, dst, n } = self;
        for i in (0..n).step_by(L) {
            let count = L.min(n - i);
            // SAFETY: i + count <= n; the caller vouches for n elements, and for n statistics or one.
            unsafe {
                let load = |from: *const T::Wide| {
                    if each {
                        T::Wide::load_partial::<L>(from.add(i), count)
                    } else {
                        <T::Wide as Float>::Lanes::<L>::splat(*from)
                    }
                };
                let d = T::Wide::lanes_from::<T, L>(T::load_partial::<L>(src.add(i), count)) - load(first);
                let y = match then {
                    Then::Divide => d / load(second),
                    Then::Subtract => d - load(second),
                };
                T::store_partial(T::Wide::lanes_into::<T, L>(y), dst.add(i), count);
            }
        }
    }
}
// [/panel]

/// LpNormalization along `n`: `rn(x / norm)`, +0 where the norm is 0, for the outer and inner positions in `rows` and `columns`. The
/// norm is `sqrt(lanesum(rn(x*x)))`, or (`absolute`) `lanesum(abs(x))`.
///
/// # Safety
/// `src` is valid for reading and `dst` for writing `outer * n * inner` elements, and the ranges lie within the extent. `dst` may be
/// `src`; otherwise they do not overlap. Calls at the same time have disjoint ranges.
pub unsafe fn lp_norm<T: Float>(
    isa: Isa,
    absolute: bool,
    src: *const T,
    dst: *mut T,
    extent: Extent,
    rows: Range<usize>,
    columns: Range<usize>,
) {
    dispatch(isa, LpNorm { absolute, src, dst, extent, rows, columns });
}

struct LpNorm<T> {
    absolute: bool,
    src: *const T,
    dst: *mut T,
    extent: Extent,
    rows: Range<usize>,
    columns: Range<usize>,
}

// [panel: LpNormalization]
impl<T: Float> Kernel for LpNorm<T> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let LpNorm { absolute, extent: Extent { n, inner, .. }, columns, .. } = self;
        for row in self.rows {
            // SAFETY: the caller vouches for the row, and `count` columns from `column` on lie in his range.
            unsafe {
                let (src, dst) = (self.src.add(row * n * inner), self.dst.add(row * n * inner));
                if inner == 1 && columns.len() == 1 {
                    let norm = if absolute {
                        reduce_row::<A, T, T::Wide, Sum, _>(src, n, Magnitude)
                    } else {
                        reduce_row::<A, T, T::Wide, Sum, _>(src, n, Square).sqrt()
                    };
                    let norm = T::Lanes::<LANES>::splat(norm);
                    map_row::<T>(src, dst, n, |x| quotient(x, norm));
                    continue;
                }
                for column in columns.clone().step_by(COLUMNS) {
                    let count = COLUMNS.min(columns.end - column);
                    let (src, dst) = (src.add(column), dst.add(column));
                    let norm = if absolute {
                        reduce_columns::<A, T, Sum, _, COLUMNS>(src, n, inner, count, Magnitude)
                    } else {
                        reduce_columns::<A, T, Sum, _, COLUMNS>(src, n, inner, count, Square).sqrt()
                    };
                    for at in (0..n).map(|k| k * inner) {
                        let x = T::load_partial::<COLUMNS>(src.add(at), count);
                        T::store_partial(quotient(x, norm), dst.add(at), count);
                    }
                }
            }
        }
    }
}
// [/panel]

/// `x / norm` of a norm, which is +0, positive or NaN: +0 where it is 0.
#[inline(always)]
fn quotient<V: Real>(x: V, norm: V) -> V {
    norm.select_greater(V::from_f32(0.0), x / norm, norm)
}
