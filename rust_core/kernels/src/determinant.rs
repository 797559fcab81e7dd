//! Determinants by elimination (docs/numerics.md, section 4).

use crate::lanes::*;

/// The determinant of the `size` x `size` matrix `a`, row-major, which is overwritten.
///
/// # Panics
/// If `a` is shorter.
pub fn determinant(isa: Isa, a: &mut [f64], size: usize) -> f64 {
    dispatch(isa, Determinant { a: &mut a[..size * size], size })
}

struct Determinant<'a> {
    a: &'a mut [f64],
    size: usize,
}

// [panel: Det]
impl Kernel for Determinant<'_> {
    type Output = f64;
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) -> f64 {
        let Determinant { a, size } = self;
        let mut result = 1.0;
        for j in 0..size {
            let place = pivot_row(a, size, j);
            if place != j {
                let (upper, lower) = a.split_at_mut(place * size);
                upper[j * size..][..size].swap_with_slice(&mut lower[..size]);
                result = -result;
            }
            let pivot = a[j * size + j];
            result *= pivot;
            if pivot != 0.0 {
                eliminate(a, size, j, pivot);
            }
        }
        result + 0.0
    }
}
// [/panel]

/// The first row from `j` on that is greatest in column `j`; NaN is above all.
#[inline(always)]
fn pivot_row(a: &[f64], size: usize, j: usize) -> usize {
    let mut place = j;
    let mut greatest = a[j * size + j].abs();
    for i in j + 1..size {
        let x = a[i * size + j].abs();
        if x > greatest || (x.is_nan() && !greatest.is_nan()) {
            (place, greatest) = (i, x);
        }
    }
    place
}

// [panel: Det eliminate]
/// Subtracts row `j` from those below it, so that their column `j` would be zero.
#[inline(always)]
fn eliminate(a: &mut [f64], size: usize, j: usize, pivot: f64) {
    let (upper, lower) = a.split_at_mut((j + 1) * size);
    let row = &upper[j * size + j + 1..];
    for below in lower.chunks_exact_mut(size) {
        let factor = below[j] / pivot;
        let below = &mut below[j + 1..];
        for k in 0..row.len().min(below.len()) {
            below[k] -= factor * row[k];
        }
    }
}
// [/panel]

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_determinants() {
        for &isa in Isa::available() {
            assert_eq!(determinant(isa, &mut [], 0), 1.0);
            assert_eq!(determinant(isa, &mut [-3.0], 1), -3.0);
            assert_eq!(determinant(isa, &mut [0.0, 1.0, 2.0, 0.0], 2), -2.0);
            assert_eq!(determinant(isa, &mut [1.0, 2.0, 2.0, 4.0], 2).to_bits(), 0);
            assert_eq!(determinant(isa, &mut [2.0, 0.0, 1.0, 1.0, 3.0, 2.0, 1.0, 1.0, 4.0], 3), 18.0);
            assert!(determinant(isa, &mut [0.0, 1.0, f64::NAN, 2.0], 2).is_nan());
        }
    }
}
