//! Norms: `docs/numerics.md`, rows LpPool and GlobalLpPool.

use crate::functions::{Arithmetic, Float, Stash};
use crate::lanes::*;

/// `terms[i] = |x[i]|^p` in the computing type: itself for p = 1, a product for p = 2.
///
/// # Panics
/// If the slices have different lengths.
pub fn lp_terms<T: Float>(isa: Isa, p: f64, x: &[T], terms: &mut [T::Wide]) {
    assert_eq!(x.len(), terms.len());
    dispatch(isa, Terms { p, x, terms });
}

/// `y[i] = total[i]^(1/p)`, rounded once: itself for p = 1, the square root for p = 2.
///
/// # Panics
/// If the slices have different lengths.
pub fn lp_roots<T: Float>(isa: Isa, p: f64, total: &[T::Wide], y: &mut [T]) {
    assert_eq!(total.len(), y.len());
    dispatch(isa, Roots { p, total, y });
}

struct Terms<'a, T: Float> {
    p: f64,
    x: &'a [T],
    terms: &'a mut [T::Wide],
}

// [panel: LpPool GlobalLpPool terms]
impl<T: Float> Kernel for Terms<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let exponent = Simd::splat(self.p);
        for (x, terms) in self.x.chunks(L).zip(self.terms.chunks_mut(L)) {
            // SAFETY: as many elements as the chunk has.
            let a = unsafe { T::load_partial::<L>(x.as_ptr(), x.len()) }.abs();
            let term = if self.p == 1.0 {
                a
            } else if self.p == 2.0 {
                a * a
            } else {
                T::power(a, exponent)
            };
            terms.copy_from_slice(&T::to_array(term)[..terms.len()]);
        }
    }
}
// [/panel]

struct Roots<'a, T: Float> {
    p: f64,
    total: &'a [T::Wide],
    y: &'a mut [T],
}

// [panel: LpPool GlobalLpPool]
impl<T: Float> Kernel for Roots<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let exponent = Simd::splat(1.0 / self.p);
        for (total, y) in self.total.chunks(L).zip(self.y.chunks_mut(L)) {
            // SAFETY: as many elements as the chunk has.
            let sum = unsafe { T::Wide::load_partial::<L>(total.as_ptr(), total.len()) };
            let root = if self.p == 1.0 {
                sum
            } else if self.p == 2.0 {
                sum.sqrt()
            } else {
                T::Wide::power(sum, exponent)
            };
            // SAFETY: as many elements as the chunk has.
            unsafe { T::store_partial(T::Wide::lanes_into::<T, L>(root), y.as_mut_ptr(), y.len()) };
        }
    }
}
// [/panel]

#[cfg(test)]
mod tests {
    use super::*;
    use half::f16;

    #[test]
    fn norms_of_one_term_are_its_magnitude() {
        let x: Vec<f32> = (0..37).map(|i| (i as f32 - 18.0) * 0.5).collect();
        let halves: Vec<f16> = x.iter().map(|&x| f16::from_f32(x)).collect();
        for &isa in Isa::available() {
            for p in [1.0, 2.0] {
                let (mut terms, mut y) = (vec![7f32; x.len()], vec![7f32; x.len()]);
                lp_terms(isa, p, &x, &mut terms);
                lp_roots(isa, p, &terms, &mut y);
                assert!(y.iter().zip(&x).all(|(y, x)| *y == x.abs()));
                let mut y = vec![f16::ONE; x.len()];
                lp_terms(isa, p, &halves, &mut terms);
                lp_roots(isa, p, &terms, &mut y);
                assert!(y.iter().zip(&x).all(|(y, x)| y.to_f32() == x.abs()));
            }
            let (mut terms, mut y) = (vec![7f32; x.len()], vec![7f32; x.len()]);
            lp_terms(isa, 3.0, &x, &mut terms);
            lp_roots(isa, 3.0, &terms, &mut y);
            assert!(y.iter().zip(&x).all(|(y, x)| (y - x.abs()).abs() <= 1e-5), "{y:?}");
        }
    }
}
