//! Places of an affine grid: `docs/numerics.md`, row AffineGrid.

use crate::functions::{Float, Real, Stash};
use crate::lanes::*;

/// Rows of a grid: `y[i][k]` is the chain of `theta[k]` over (x[i], the outer coordinates, 1), rounded once.
///
/// # Panics
/// If `theta` is not as many rows as there are coordinates, each with one number more, or `y` is not as long.
pub fn affine_row<T: Float>(isa: Isa, theta: &[T], outer: &[T::Wide], x: &[T::Wide], y: &mut [T]) {
    let rank = outer.len() + 1;
    assert!(theta.len() == rank * (rank + 1) && y.len() == x.len() * rank);
    dispatch(isa, AffineRow { theta, outer, x, y });
}

struct AffineRow<'a, T: Float> {
    theta: &'a [T],
    outer: &'a [T::Wide],
    x: &'a [T::Wide],
    y: &'a mut [T],
}

// [panel: AffineGrid]
impl<T: Float> Kernel for AffineRow<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let AffineRow { theta, outer, x, y } = self;
        let rank = outer.len() + 1;
        for (x, y) in x.chunks(L).zip(y.chunks_mut(L * rank)) {
            // SAFETY: as many elements as the chunk has.
            let place = unsafe { T::Wide::load_partial::<L>(x.as_ptr(), x.len()) };
            for (k, row) in theta.chunks_exact(rank + 1).enumerate() {
                let next = |acc, factor: &T, place| Real::multiply_add::<A>(Real::splat(factor.widen()), place, acc);
                let mut acc = next(<T::Wide as Float>::Lanes::<L>::splat(T::Wide::ZERO), &row[0], place);
                for (factor, &outer) in row[1..].iter().zip(outer) {
                    acc = next(acc, factor, Real::splat(outer));
                }
                acc = next(acc, &row[rank], Real::splat(T::Wide::from_count(1)));
                for (y, &value) in y[k..].iter_mut().step_by(rank).zip(&T::Wide::to_array(acc)[..x.len()]) {
                    *y = T::narrow(value);
                }
            }
        }
    }
}
// [/panel]

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_chains() {
        let theta: Vec<f32> = (0..12).map(|i| i as f32 * 0.37 - 1.1).collect();
        let x: Vec<f32> = (0..37).map(|i| i as f32 * 0.05 - 0.9).collect();
        for &isa in Isa::available() {
            let mut y = vec![7f32; 37 * 3];
            affine_row(isa, &theta, &[0.3, -0.7], &x, &mut y);
            for (i, y) in y.iter().enumerate() {
                let row = &theta[i % 3 * 4..][..4];
                let place = [x[i / 3], 0.3, -0.7, 1.0];
                let want = (0..4).fold(0f32, |acc, j| row[j].mul_add(place[j], acc));
                assert_eq!(y.to_bits(), want.to_bits());
            }
        }
    }
}
