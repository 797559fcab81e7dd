//! ReduceLogSumExp: `m + log(lanesum(exp(rn(x - m))))`, so that no exponential overflows.

use super::{COLUMNS, Exponential, Extent, Itself, LANES, Maximum, Sum, reduce_columns, reduce_row};
use crate::functions::{Float, Real};
use crate::lanes::*;
use std::ops::Range;

/// The arguments of [`super::reduce`].
pub(super) struct LogSumExp<T> {
    pub src: *const T,
    pub dst: *mut T,
    pub extent: Extent,
    pub rows: Range<usize>,
    pub columns: Range<usize>,
}

/// What is subtracted from the terms: the maximum, where it is finite. Without it the sum is 0, infinity or NaN, as it should be.
#[inline(always)]
fn shift<V: Real>(maximum: V) -> V {
    V::from_f32(f32::INFINITY).select_greater(maximum.abs(), maximum, V::from_f32(0.0))
}

// [panel: ReduceLogSumExp]
impl<T: Float> Kernel for LogSumExp<T> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let LogSumExp { src, dst, extent: Extent { n, inner, .. }, rows, columns } = self;
        for row in rows {
            if inner == 1 && columns.len() == 1 {
                // SAFETY: `reduce`'s caller vouches for the row and its output.
                unsafe {
                    let from = src.add(row * n);
                    let m = reduce_row::<A, T, T::Wide, Maximum, _>(from, n, Itself);
                    let m = shift(T::Lanes::<1>::splat(m));
                    let term = Exponential(<T::Wide as Float>::Lanes::<LANES>::splat(T::to_array(m)[0]));
                    let sum = reduce_row::<A, T, T::Wide, Sum, _>(from, n, term);
                    T::store::<1>(m + T::Lanes::<1>::splat(sum).log::<A>(), dst.add(row));
                }
                continue;
            }
            for column in columns.clone().step_by(COLUMNS) {
                let lanes = COLUMNS.min(columns.end - column);
                // SAFETY: `lanes` columns from `column` on lie in the caller's range.
                unsafe {
                    let from = src.add(row * n * inner + column);
                    let m = shift(reduce_columns::<A, T, Maximum, _, COLUMNS>(from, n, inner, lanes, Itself));
                    let sum = reduce_columns::<A, T, Sum, _, COLUMNS>(from, n, inner, lanes, Exponential(m));
                    T::store_partial(m + sum.log::<A>(), dst.add(row * inner + column), lanes);
                }
            }
        }
    }
}
// [/panel]
