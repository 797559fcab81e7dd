//! Values between the elements of a tensor: `docs/numerics.md`, rows DeformConv and GridSample. The caller finds the elements around
//! each place and their weights.

use crate::functions::{Float, Stash};
use crate::lanes::*;

/// Offset of an element that is not there: it reads as +0. So does every offset beyond the slice.
pub const OUTSIDE: usize = usize::MAX;

/// Some elements around each of `places` places: element `t` of place `p` is at `t * places + p`.
#[derive(Clone, Copy, Debug)]
pub struct Neighbours<'a, E> {
    pub places: usize,
    pub offsets: &'a [usize],
    pub weights: &'a [E],
}

/// `y = rn(w_0*x_0)`, `y = rn(y + rn(w_t*x_t))` for each place, then `rn(y * mask)`.
///
/// # Panics
/// If the slices' lengths do not fit together, or there are no neighbours.
pub fn weighted_sums<T: Float>(
    isa: Isa,
    neighbours: &Neighbours<'_, T::Wide>,
    x: &[T],
    mask: Option<&[T]>,
    y: &mut [T::Wide],
) {
    let Neighbours { places, offsets, weights } = neighbours;
    assert!(offsets.len() == weights.len() && y.len() == *places && offsets.len() >= *places);
    assert!(*places == 0 || offsets.len().is_multiple_of(*places));
    assert!(mask.is_none_or(|mask| mask.len() == *places));
    dispatch(isa, WeightedSums { neighbours, x, mask, y });
}

struct WeightedSums<'a, T: Float> {
    neighbours: &'a Neighbours<'a, T::Wide>,
    x: &'a [T],
    mask: Option<&'a [T]>,
    y: &'a mut [T::Wide],
}

// [panel: GridSample]
impl<T: Float> Kernel for WeightedSums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let WeightedSums { neighbours: &Neighbours { places, offsets, weights }, x, mask, y } = self;
        for (start, y) in (0..places).step_by(L).zip(y.chunks_mut(L)) {
            let term = |first: usize| {
                let mut found = [T::Wide::ZERO; L];
                for (found, &offset) in found.iter_mut().zip(&offsets[first + start..][..y.len()]) {
                    *found = x.get(offset).map_or(T::Wide::ZERO, |x| x.widen());
                }
                let weights = &weights[first + start..][..y.len()];
                // SAFETY: the array has L elements, the slice as many as are read.
                unsafe {
                    T::Wide::load_partial::<L>(weights.as_ptr(), weights.len()) * T::Wide::load::<L>(found.as_ptr())
                }
            };
            let mut sum = term(0);
            for first in (places..offsets.len()).step_by(places) {
                sum = sum + term(first);
            }
            if let Some(mask) = mask {
                let mut factors = [T::Wide::ZERO; L];
                factors.iter_mut().zip(&mask[start..][..y.len()]).for_each(|(to, &m)| *to = m.widen());
                // SAFETY: the array has L elements.
                sum = sum * unsafe { T::Wide::load::<L>(factors.as_ptr()) };
            }
            // SAFETY: as many elements as the chunk has.
            unsafe { T::Wide::store_partial(sum, y.as_mut_ptr(), y.len()) };
        }
    }
}
// [/panel]

/// Folds `values`, `steps` of them along each axis (innermost last) for each of `places` places, to the first `places` of them: along
/// the innermost axis `acc = rn(w_0*x_0)`, `acc = rn(acc + rn(w_k*x_k))`, then along the next one.
///
/// `weights[(axis * steps + k) * places + p]` belongs to step k of place p; `values[(..(k_0 * steps + k_1)..) * places + p]`.
///
/// # Panics
/// If the slices' lengths do not fit together.
pub fn interpolate<E: Stash>(isa: Isa, steps: usize, places: usize, weights: &[E], values: &mut [E]) {
    assert!(places > 0 && steps > 0 && weights.len().is_multiple_of(steps * places));
    let axes = weights.len() / (steps * places);
    assert_eq!(Some(values.len()), steps.checked_pow(axes as u32).and_then(|n| n.checked_mul(places)));
    dispatch(isa, Interpolate { steps, places, weights, values });
}

struct Interpolate<'a, E> {
    steps: usize,
    places: usize,
    weights: &'a [E],
    values: &'a mut [E],
}

impl<E: Stash> Kernel for Interpolate<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let Interpolate { steps, places, weights, values } = self;
        let mut count = values.len() / places;
        for weights in weights.chunks_exact(steps * places).rev() {
            count /= steps;
            for group in 0..count {
                // The sum goes where an earlier group was, or its own first value is.
                for start in (0..places).step_by(L) {
                    let width = L.min(places - start);
                    let term = |values: &[E], k: usize| {
                        let at = (group * steps + k) * places + start;
                        let (w, x) = (&weights[k * places + start..][..width], &values[at..][..width]);
                        // SAFETY: both slices have `width` elements.
                        unsafe { E::load_partial::<L>(w.as_ptr(), width) * E::load_partial::<L>(x.as_ptr(), width) }
                    };
                    let mut sum = term(values, 0);
                    for k in 1..steps {
                        sum = sum + term(values, k);
                    }
                    let to = &mut values[group * places + start..][..width];
                    // SAFETY: the slice has `width` elements.
                    unsafe { E::store_partial(sum, to.as_mut_ptr(), width) };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(i: usize) -> f32 {
        ((i * 7919 % 1013) as f32 - 500.0) * 1.000_123e-2
    }

    #[test]
    fn sums_are_in_order_and_outside_is_zero() {
        let x: Vec<f32> = (0..50).map(value).collect();
        for (places, taps) in [(1, 4), (16, 2), (37, 8)] {
            let offsets: Vec<usize> =
                (0..places * taps).map(|i| if i % 5 == 3 { OUTSIDE } else { i * 31 % 50 }).collect();
            let weights: Vec<f32> = (0..places * taps).map(|i| value(i + 7)).collect();
            let mask: Vec<f32> = (0..places).map(|i| value(i + 3)).collect();
            let neighbours = Neighbours { places, offsets: &offsets, weights: &weights };
            for &isa in Isa::available() {
                let mut y = vec![7f32; places];
                weighted_sums(isa, &neighbours, &x, Some(&mask), &mut y);
                for (p, y) in y.iter().enumerate() {
                    let term = |t: usize| {
                        weights[t * places + p] * x.get(offsets[t * places + p]).copied().unwrap_or_default()
                    };
                    let want = (1..taps).fold(term(0), |sum, t| sum + term(t)) * mask[p];
                    assert_eq!(y.to_bits(), want.to_bits());
                }
            }
        }
    }

    #[test]
    fn the_innermost_axis_is_first() {
        for (steps, places) in [(2, 1), (4, 37), (2, 16)] {
            let weights: Vec<f64> = (0..2 * steps * places).map(|i| value(i).into()).collect();
            let values: Vec<f64> = (0..steps * steps * places).map(|i| value(i + 11).into()).collect();
            for &isa in Isa::available() {
                let mut found = values.clone();
                interpolate(isa, steps, places, &weights, &mut found);
                for p in 0..places {
                    let inner = |j: usize| {
                        let term = |k: usize| weights[(steps + k) * places + p] * values[(j * steps + k) * places + p];
                        (1..steps).fold(term(0), |sum, k| sum + term(k))
                    };
                    let outer = |j: usize| weights[j * places + p] * inner(j);
                    let want = (1..steps).fold(outer(0), |sum, j| sum + outer(j));
                    assert_eq!(found[p].to_bits(), want.to_bits());
                }
            }
        }
    }
}
