//! Places of extremes and the greatest k, along one axis of `[outer, n, inner]`.
//!
//! Numbers are compared by integer keys that have a total order: -0 equals +0, and NaN is above every number. Equal keys are
//! ordered by index, so that every answer is unique and does not depend on how it is searched for.

use crate::mutant::{self, Mutant};
use crate::reduce::Extent;
use half::{bf16, f16};
use std::cmp::Reverse;
use std::ops::Range;

/// A number with an order.
pub trait Ordered: Copy + Send + Sync + 'static {
    type Key: Ord + Copy + Default + Send + Sync + 'static;
    /// The number's place in the order.
    fn key(self) -> Self::Key;
    fn is_nan(self) -> bool;
}

macro_rules! ordered_integers {
    ($($type:ty),*) => {$(impl Ordered for $type {
        type Key = $type;
        #[inline(always)]
        fn key(self) -> $type { self }
        #[inline(always)]
        fn is_nan(self) -> bool { false }
    })*};
}
ordered_integers!(i8, i16, i32, i64, u8, u16, u32, u64);

macro_rules! ordered_floats {
    ($($type:ty: $key:ty),*) => {$(impl Ordered for $type {
        type Key = $key;
        #[inline(always)]
        fn key(self) -> $key {
            let bits = self.to_bits() as $key;
            // Negative patterns descend as numbers do; -0, the least of them, becomes 0.
            let key = if bits < 0 { <$key>::MIN.wrapping_sub(bits) } else { bits };
            if Ordered::is_nan(self) { <$key>::MAX } else { key }
        }
        #[inline(always)]
        fn is_nan(self) -> bool { <$type>::is_nan(self) }
    })*};
}
ordered_floats!(f32: i32, f64: i64, f16: i16, bf16: i16);

/// Which extreme to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extreme {
    pub greatest: bool,
    /// Of equals the last, not the first.
    pub last: bool,
}

/// `out[row, column]`: the index along `n` of the extreme; a NaN wins. `out` holds the rows in `rows`.
///
/// # Panics
/// If `n` is 0, or a slice is shorter than the extent says.
pub fn extreme_index<T: Ordered>(what: Extreme, data: &[T], out: &mut [i64], extent: Extent, rows: Range<usize>) {
    match (what.greatest, what.last) {
        (true, false) if !mutant::on(Mutant::ArgMaxTie) => {
            search(data, out, extent, rows, |x: T, best: T| x.key() > best.key())
        }
        (true, _) => search(data, out, extent, rows, |x: T, best: T| x.key() >= best.key()),
        (false, false) => {
            search(data, out, extent, rows, |x: T, best: T| !best.is_nan() && (x.key() < best.key() || x.is_nan()));
        }
        (false, true) => {
            search(data, out, extent, rows, |x: T, best: T| x.is_nan() || (!best.is_nan() && x.key() <= best.key()));
        }
    }
}

// [panel: ArgMax ArgMin]
#[inline(always)]
fn search<T: Ordered>(
    data: &[T],
    out: &mut [i64],
    Extent { n, inner, .. }: Extent,
    rows: Range<usize>,
    better: impl Fn(T, T) -> bool,
) {
    assert!(n > 0, "an empty axis has no extreme");
    if inner == 0 {
        return;
    }
    for (out, row) in out.chunks_exact_mut(inner).zip(data[rows.start * n * inner..].chunks_exact(n * inner)) {
        if inner == 1 {
            let (mut place, mut best) = (0, row[0]);
            for (index, &x) in row.iter().enumerate() {
                if better(x, best) {
                    (place, best) = (index, x);
                }
            }
            out[0] = place as i64;
            continue;
        }
        out.fill(0);
        for (index, line) in row.chunks_exact(inner).enumerate() {
            for (column, (place, &x)) in out.iter_mut().zip(line).enumerate() {
                if better(x, row[*place as usize * inner + column]) {
                    *place = index as i64;
                }
            }
        }
    }
}
// [/panel]

// [panel: Hardmax]
/// In each `[n, inner]` of `data`, for each column: `one` at the first greatest element, as [`extreme_index`] finds it, else zero.
///
/// # Panics
/// If the slices have not one length.
pub fn hardmax<T: Ordered + Default>(data: &[T], out: &mut [T], n: usize, inner: usize, one: T) {
    /// Columns side by side.
    const COLUMNS: usize = 64;
    assert_eq!(data.len(), out.len());
    if data.is_empty() || n * inner == 0 {
        return;
    }
    out.fill(T::default());
    for (data, out) in data.chunks_exact(n * inner).zip(out.chunks_exact_mut(n * inner)) {
        for from in (0..inner).step_by(COLUMNS) {
            let count = COLUMNS.min(inner - from);
            let (mut places, mut best) = ([0usize; COLUMNS], [data[from].key(); COLUMNS]);
            for index in 0..n {
                let line = &data[index * inner + from..][..count];
                for ((place, best), x) in places.iter_mut().zip(&mut best).zip(line) {
                    if index == 0 || x.key() > *best {
                        (*place, *best) = (index, x.key());
                    }
                }
            }
            for (column, place) in places[..count].iter().enumerate() {
                out[place * inner + from + column] = one;
            }
        }
    }
}
// [/panel]

/// Which elements to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Top {
    pub k: usize,
    pub largest: bool,
}

// [panel: TopK]
/// The places of the `top.k` greatest (or least) of the `n` elements of `column` (`stride` apart), best first: `order[..k]`.
/// `order` is scratch of n entries.
///
/// # Panics
/// If k is greater than n, or a slice is too short.
pub fn top<T: Ordered>(top: Top, column: &[T], stride: usize, order: &mut [(T::Key, usize)]) {
    for (index, entry) in order.iter_mut().enumerate() {
        *entry = (column[index * stride].key(), index);
    }
    if top.largest {
        let place = |index: usize| if mutant::on(Mutant::TopKTie) { !index } else { index };
        select(order, top.k, |&(key, index)| (Reverse(key), place(index)));
    } else {
        select(order, top.k, |&(key, index)| (key, index));
    }
}
// [/panel]

/// Brings the k least by `by` to the front, in order. No two are equal, so that unstable sorts have one answer.
fn select<E, B: Ord>(order: &mut [E], k: usize, by: impl Fn(&E) -> B) {
    if 0 < k && k < order.len() {
        order.select_nth_unstable_by_key(k - 1, &by);
    }
    order[..k].sort_unstable_by_key(&by);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f32 = f32::NAN;

    fn index(greatest: bool, last: bool, data: &[f32]) -> i64 {
        let mut out = [0];
        let extent = Extent { outer: 1, n: data.len(), inner: 1 };
        extreme_index(Extreme { greatest, last }, data, &mut out, extent, 0..1);
        let mut twice = [0; 2];
        let doubled: Vec<f32> = data.iter().flat_map(|&x| [x, x]).collect();
        extreme_index(Extreme { greatest, last }, &doubled, &mut twice, Extent { inner: 2, ..extent }, 0..1);
        assert_eq!(twice, [out[0]; 2]);
        out[0]
    }

    #[test]
    fn extremes_of_equals_and_nans() {
        let data = [1.0, -0.0, 3.0, 0.0, 3.0, -0.0];
        assert_eq!([index(true, false, &data), index(true, true, &data)], [2, 4]);
        assert_eq!([index(false, false, &data), index(false, true, &data)], [1, 5]);
        let data = [1.0, NAN, 3.0, -NAN, f32::INFINITY];
        for greatest in [false, true] {
            assert_eq!([index(greatest, false, &data), index(greatest, true, &data)], [1, 3]);
        }
    }

    #[test]
    fn the_greatest_come_first_and_equals_by_index() {
        let data = [2.0f32, NAN, -1.0, 2.0, f32::NEG_INFINITY, 0.0, -0.0];
        let mut order = [(0, 0); 7];
        let mut places = |k, largest| {
            top(Top { k, largest }, &data, 1, &mut order);
            order[..k].iter().map(|&(_, index)| index).collect::<Vec<_>>()
        };
        assert_eq!(places(7, true), [1, 0, 3, 5, 6, 2, 4]);
        assert_eq!(places(3, true), [1, 0, 3]);
        assert_eq!(places(4, false), [4, 2, 5, 6]);
        assert_eq!(places(0, true), [0; 0]);
    }
}
