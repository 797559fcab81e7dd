//! Softmax and LogSoftmax along one axis of `[outer, n, inner]`: docs/numerics.md, section 4.
//!
//! `m = max x; e = exp(rn(x - m)); s = lanesum(e); y = rn(e * rn(1 / s))`, or `rn(rn(x - m) - log(s))`. float16 and
//! bfloat16 compute in binary32 and round `y` once; they evaluate the exponential twice rather than store it rounded.

use crate::functions::{Arithmetic, Float, Real, Stash};
use crate::lanes::*;
use crate::mutant::{self, Mutant};
use crate::reduce::{CHUNK, COLUMNS, Chunks, Extent, Itself, LANES, Maximum, Sum, reduce_columns, reduce_row, tree};
use std::ops::Range;

/// Softmax (`log` false) or LogSoftmax (`log` true) over `n`, for the outer and inner positions in `rows` and `columns`.
///
/// `dst` may be `src`; otherwise they do not overlap. Calls with disjoint ranges may run at the same time.
///
/// # Safety
/// `src` is valid for reading and `dst` for writing `outer * n * inner` elements, and the ranges lie within the extent.
pub unsafe fn softmax<T: Float>(
    isa: Isa,
    log: bool,
    src: *const T,
    dst: *mut T,
    extent: Extent,
    rows: Range<usize>,
    columns: Range<usize>,
) {
    dispatch(isa, Softmax { log, src, dst, extent, rows, columns });
}

struct Softmax<T> {
    log: bool,
    src: *const T,
    dst: *mut T,
    extent: Extent,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl<T: Float> Kernel for Softmax<T> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let Extent { n, inner, .. } = self.extent;
        if n == 0 {
            return;
        }
        for row in self.rows {
            // SAFETY: the caller vouches for the row.
            let (src, dst) = unsafe { (self.src.add(row * n * inner), self.dst.add(row * n * inner)) };
            if inner == 1 && self.columns.len() == 1 {
                // SAFETY: the row has n contiguous elements.
                unsafe { softmax_row::<A, T>(self.log, src, dst, n) };
                continue;
            }
            for column in self.columns.clone().step_by(COLUMNS) {
                let count = COLUMNS.min(self.columns.end - column);
                // SAFETY: `count` columns from `column` on lie in the caller's range.
                unsafe {
                    softmax_columns::<A, T, COLUMNS>(self.log, src.add(column), dst.add(column), n, inner, count)
                };
            }
        }
    }
}

// [panel: Softmax LogSoftmax com.microsoft.QLinearSoftmax]
/// One contiguous row, n > 0.
///
/// # Safety
/// `src` is valid for reading and `dst` for writing `n` elements.
#[inline(always)]
unsafe fn softmax_row<A: Arch, T: Float>(log: bool, src: *const T, dst: *mut T, n: usize) {
    // [panel: softmax row]
    // The exponentials are kept in dst where it can hold them exactly.
    let keep = !T::NARROW && !log;
    // SAFETY: n elements throughout.
    unsafe {
        let maximum = reduce_row::<A, T, T::Wide, Maximum, _>(src, n, Itself);
        let m = T::Lanes::<LANES>::splat(maximum);
        let sum = sum_of_exponentials::<A, T>(src, keep.then_some(dst), n, m, 0);
        if log {
            let l = T::Lanes::<LANES>::splat(T::to_array(T::Lanes::<1>::splat(sum).log::<A>())[0]);
            map_row::<T>(src, dst, n, |x| (x - m) - l);
            return;
        }
        let r = T::Lanes::<LANES>::splat(T::Wide::from_f32(1.0) / sum);
        if keep {
            let divisor = T::Lanes::<LANES>::splat(sum);
            map_row::<T>(dst, dst, n, |e| if mutant::on(Mutant::SoftmaxDivision) { e / divisor } else { e * r });
        } else {
            map_row::<T>(src, dst, n, |x| (x - m).exp::<A>() * r);
        }
    }
    // [/panel]
}
// [/panel]

// [panel: Softmax LogSoftmax sum]
/// The lane sum of `exp(x - m)`; the terms are also stored where `keep` points. Term `first` of a longer row is the first; those
/// before it are +0. It is a multiple of the lanes.
///
/// # Safety
/// `src` is valid for reading and `keep` for writing `n` elements.
#[inline(always)]
pub(crate) unsafe fn sum_of_exponentials<A: Arch, T: Float>(
    src: *const T,
    keep: Option<*mut T>,
    n: usize,
    m: T::Lanes<LANES>,
    first: usize,
) -> T::Wide {
    debug_assert!(first.is_multiple_of(LANES));
    let mut chunks = Chunks::<T::Wide>::new::<Sum>();
    for _ in 0..first / CHUNK {
        chunks.push::<Sum>(T::Wide::from_f32(0.0));
    }
    let mut next = 0;
    while next < n {
        let start = next;
        let end = n.min(start + CHUNK - (first + start) % CHUNK);
        next = end;
        let whole = end - (end - start) % LANES;
        let mut lanes = T::Lanes::<LANES>::from_f32(-0.0);
        for i in (start..whole).step_by(LANES) {
            // SAFETY: i + LANES <= n.
            unsafe {
                let e = (T::load::<LANES>(src.add(i)) - m).exp::<A>();
                if let Some(keep) = keep {
                    T::store(e, keep.add(i));
                }
                lanes = lanes + e;
            }
        }
        let mut lanes = T::to_array(lanes);
        if whole < end {
            // SAFETY: end - whole < LANES elements are left; lanes beyond them are computed and not used.
            unsafe {
                let e = (T::load_partial::<LANES>(src.add(whole), end - whole) - m).exp::<A>();
                if let Some(keep) = keep {
                    T::store_partial(e, keep.add(whole), end - whole);
                }
                for (lane, &e) in lanes.iter_mut().zip(&T::to_array(e)[..end - whole]) {
                    *lane = *lane + e;
                }
            }
        }
        chunks.push::<Sum>(tree::<Sum, _>(lanes));
    }
    chunks.finish::<Sum>()
}
// [/panel]

/// `dst[i] = f(src[i])`.
///
/// # Safety
/// `src` is valid for reading and `dst` for writing `n` elements.
#[inline(always)]
pub(crate) unsafe fn map_row<T: Float>(
    src: *const T,
    dst: *mut T,
    n: usize,
    f: impl Fn(T::Lanes<LANES>) -> T::Lanes<LANES>,
) {
    let whole = n - n % LANES;
    for i in (0..whole).step_by(LANES) {
        // SAFETY: i + LANES <= n.
        unsafe { T::store(f(T::load(src.add(i))), dst.add(i)) };
    }
    if whole < n {
        // SAFETY: n - whole < LANES elements are left.
        unsafe { T::store_partial(f(T::load_partial(src.add(whole), n - whole)), dst.add(whole), n - whole) };
    }
}

/// `count <= N` neighbouring columns of `n` elements, `stride` apart, each for itself.
///
/// # Safety
/// For every r < n, `src.add(r * stride)` is valid for reading and `dst.add(r * stride)` for writing `count` elements.
#[inline(always)]
unsafe fn softmax_columns<A: Arch, T: Float, const N: usize>(
    log: bool,
    src: *const T,
    dst: *mut T,
    n: usize,
    stride: usize,
    count: usize,
) {
    let keep = !T::NARROW && !log;
    // SAFETY: the caller vouches for `count` elements at every r < n.
    unsafe {
        let m = reduce_columns::<A, T, Maximum, _, N>(src, n, stride, count, Itself);
        let sum = sum_of_columns::<A, T, N>(src, keep.then_some(dst), n, stride, count, m);
        let (l, r) = (sum.log::<A>(), T::Lanes::<N>::from_f32(1.0) / sum);
        for at in (0..n).map(|k| k * stride) {
            let y = if keep {
                T::load_partial::<N>(dst.add(at), count) * r
            } else {
                let d = T::load_partial::<N>(src.add(at), count) - m;
                if log { d - l } else { d.exp::<A>() * r }
            };
            T::store_partial(y, dst.add(at), count);
        }
    }
}

/// The lane sums of `exp(x - m)` of columns, each for itself; the terms are also stored where `keep` points.
///
/// # Safety
/// As for [`softmax_columns`], with `keep` for `dst`.
#[inline(always)]
unsafe fn sum_of_columns<A: Arch, T: Float, const N: usize>(
    src: *const T,
    keep: Option<*mut T>,
    n: usize,
    stride: usize,
    count: usize,
    m: T::Lanes<N>,
) -> T::Lanes<N> {
    let mut chunks = Chunks::<T::Lanes<N>>::new::<Sum>();
    for start in (0..n).step_by(CHUNK) {
        let mut lanes = [T::Lanes::<N>::from_f32(-0.0); LANES];
        for r in start..n.min(start + CHUNK) {
            // SAFETY: the caller vouches for `count` elements at every r < n.
            unsafe {
                let e = (T::load_partial::<N>(src.add(r * stride), count) - m).exp::<A>();
                if let Some(keep) = keep {
                    T::store_partial(e, keep.add(r * stride), count);
                }
                let lane = &mut lanes[(r - start) % LANES];
                *lane = *lane + e;
            }
        }
        chunks.push::<Sum>(tree::<Sum, _>(lanes));
    }
    chunks.finish::<Sum>()
}

/// What LogSoftmax subtracts: `m = max x` and `l = log(lanesum(exp(rn(x - m))))`, one number of each for each outer and inner
/// position in `rows` and `columns`, in the type that T computes in.
///
/// # Safety
/// `src` is valid for reading `outer * n * inner` elements, `m` and `l` for writing `outer * inner` numbers, of which the ranges' are
/// written. The ranges lie within the extent, n is not 0, and calls at the same time have disjoint ranges.
pub unsafe fn log_sums<T: Float>(
    isa: Isa,
    src: *const T,
    (m, l): (*mut T::Wide, *mut T::Wide),
    extent: Extent,
    rows: Range<usize>,
    columns: Range<usize>,
) {
    dispatch(isa, LogSums { src, m, l, extent, rows, columns });
}

struct LogSums<T: Float> {
    src: *const T,
    m: *mut T::Wide,
    l: *mut T::Wide,
    extent: Extent,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl<T: Float> Kernel for LogSums<T> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let LogSums { src, m, l, extent: Extent { n, inner, .. }, rows, columns } = self;
        for row in rows {
            // SAFETY: the caller vouches for the row and its outputs; `count` columns from `column` on lie in his range.
            unsafe {
                let src = src.add(row * n * inner);
                if inner == 1 && columns.len() == 1 {
                    let maximum = reduce_row::<A, T, T::Wide, Maximum, _>(src, n, Itself);
                    let sum = sum_of_exponentials::<A, T>(src, None, n, T::Lanes::<LANES>::splat(maximum), 0);
                    m.add(row).write(maximum);
                    l.add(row).write(T::to_array(T::Lanes::<1>::splat(sum).log::<A>())[0]);
                    continue;
                }
                for column in columns.clone().step_by(COLUMNS) {
                    let (count, at) = (COLUMNS.min(columns.end - column), row * inner + column);
                    let src = src.add(column);
                    let maxima = reduce_columns::<A, T, Maximum, _, COLUMNS>(src, n, inner, count, Itself);
                    let sums = sum_of_columns::<A, T, COLUMNS>(src, None, n, inner, count, maxima).log::<A>();
                    for (to, lanes) in [(m, maxima), (l, sums)] {
                        T::Wide::store_partial(T::Wide::lanes_from::<T, COLUMNS>(lanes), to.add(at), count);
                    }
                }
            }
        }
    }
}
