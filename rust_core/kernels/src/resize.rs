//! Resize, one axis at a time: `docs/numerics.md`, rows Resize. The caller computes the tables of taps.

use crate::lanes::*;
use std::ops::{Add, Mul};

/// A pass along one axis: `[outer][length][inner]` becomes `[outer][resized][inner]`.
#[derive(Clone, Copy, Debug)]
pub struct AxisPass<'a, E> {
    pub length: usize,
    pub inner: usize,
    /// `[taps][resized]`: the input position of each tap of each output, below `length`.
    pub positions: &'a [usize],
    /// `[taps][resized]`.
    pub weights: &'a [E],
    pub taps: usize,
}

impl<E> AxisPass<'_, E> {
    fn resized(&self) -> usize {
        self.positions.len() / self.taps.max(1)
    }
}

/// `acc = rn(w_0 * x_0)`, then `acc = rn(acc + rn(w_k * x_k))`, for every output, f32 or f64. Callers split over `outer`.
///
/// # Panics
/// If the tables have no taps or different lengths, a position is out of range, or the slices are not whole.
pub fn resize_axis<E>(isa: Isa, pass: &AxisPass<'_, E>, x: &[E], y: &mut [E])
where
    E: Copy + Add<Output = E> + Mul<Output = E>,
{
    assert!(pass.taps > 0 && pass.positions.len() == pass.taps * pass.resized());
    assert_eq!(pass.positions.len(), pass.weights.len());
    check(pass.positions, pass.length, pass.inner, pass.resized(), x.len(), y.len());
    dispatch(isa, ResizeAxis { pass, x, y });
}

/// Checks that `x` and `y` are whole and positions in range.
fn check(positions: &[usize], length: usize, inner: usize, resized: usize, x: usize, y: usize) {
    assert!(positions.iter().all(|&p| p < length));
    let outer = y.checked_div(resized * inner).unwrap_or(0);
    assert!(outer * resized * inner == y && (outer == 0 || outer * length * inner == x));
}

struct ResizeAxis<'a, E> {
    pass: &'a AxisPass<'a, E>,
    x: &'a [E],
    y: &'a mut [E],
}

/// Inner values that stay in the first cache over all taps.
const CHUNK: usize = 1024;

// [panel: Resize Upsample]
impl<E: Copy + Add<Output = E> + Mul<Output = E>> Kernel for ResizeAxis<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let ResizeAxis { pass, x, y } = self;
        let (resized, inner, size) = (pass.resized(), pass.inner, pass.length * pass.inner);
        if y.is_empty() {
            return;
        }
        for (y, x) in y.chunks_exact_mut(resized * inner).zip(x.chunks_exact(size)) {
            if inner == 1 {
                columns(pass, resized, x, y);
                continue;
            }
            for (o, y) in y.chunks_exact_mut(inner).enumerate() {
                for (i, y) in y.chunks_mut(CHUNK).enumerate() {
                    let tap = |k: usize| {
                        let at = pass.positions[k * resized + o] * inner + i * CHUNK;
                        (pass.weights[k * resized + o], &x[at..])
                    };
                    let (w, from) = tap(0);
                    y.iter_mut().zip(from).for_each(|(y, &x)| *y = w * x);
                    for (w, from) in (1..pass.taps).map(tap) {
                        y.iter_mut().zip(from).for_each(|(y, &x)| *y = *y + w * x);
                    }
                }
            }
        }
    }
}
// [/panel]

/// One line along its own axis: vectors along the outputs, inputs gathered.
#[inline(always)]
fn columns<E: Copy + Add<Output = E> + Mul<Output = E>>(pass: &AxisPass<'_, E>, resized: usize, x: &[E], y: &mut [E]) {
    for k in 0..pass.taps {
        let positions = &pass.positions[k * resized..][..resized];
        let weights = &pass.weights[k * resized..][..resized];
        for ((y, &p), &w) in y.iter_mut().zip(positions).zip(weights) {
            // SAFETY: `check` saw that every position is below `length`, the length of `x`.
            let x = unsafe { *x.get_unchecked(p) };
            *y = if k == 0 { w * x } else { *y + w * x };
        }
    }
}

/// Nearest: moves the elements at `positions` of the axis, of any type. Callers split over `outer`.
///
/// # Panics
/// If a position is not below `length`, or the slices are not whole.
pub fn gather_axis<T: Copy>(length: usize, inner: usize, positions: &[usize], x: &[T], y: &mut [T]) {
    check(positions, length, inner, positions.len(), x.len(), y.len());
    if y.is_empty() {
        return;
    }
    for (y, x) in y.chunks_exact_mut(positions.len() * inner).zip(x.chunks_exact(length * inner)) {
        if inner == 1 {
            y.iter_mut().zip(positions).for_each(|(y, &p)| *y = x[p]);
        } else {
            y.chunks_exact_mut(inner)
                .zip(positions)
                .for_each(|(y, &p)| y.copy_from_slice(&x[p * inner..(p + 1) * inner]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_output_is_its_taps_in_order() {
        for (outer, length, inner, resized, taps) in [
            (2, 5, 1, 9, 2),
            (3, 4, 7, 33, 4),
            (1, 3, 2050, 5, 2),
            (2, 1, 3, 2, 1),
            (0, 4, 3, 5, 2),
            (2, 3, 4, 0, 2),
            (2, 3, 0, 4, 2),
        ] {
            let value = |i: usize| ((i * 7919 % 1013) as f32 - 500.0) * 1.000_123;
            let x: Vec<f32> = (0..outer * length * inner).map(value).collect();
            let positions: Vec<usize> = (0..taps * resized).map(|i| i * 31 % length).collect();
            let weights: Vec<f32> = (0..taps * resized).map(|i| value(i) * 1e-3).collect();
            let pass = AxisPass { length, inner, positions: &positions, weights: &weights, taps };
            for &isa in Isa::available() {
                let mut y = vec![7f32; outer * resized * inner];
                resize_axis(isa, &pass, &x, &mut y);
                for (i, y) in y.iter().enumerate() {
                    let (outer, o, inner_at) = (i / inner / resized, i / inner % resized, i % inner);
                    let term = |k: usize| {
                        weights[k * resized + o] * x[(outer * length + positions[k * resized + o]) * inner + inner_at]
                    };
                    let want = (1..taps).fold(term(0), |acc, k| acc + term(k));
                    assert_eq!(y.to_bits(), want.to_bits(), "{} {i}", isa.name());
                }
            }
            let mut y = vec![7f32; outer * resized * inner];
            gather_axis(length, inner, &positions[..resized], &x, &mut y);
            for (i, y) in y.iter().enumerate() {
                let at = positions[i / inner % resized];
                assert_eq!(*y, x[(i / inner / resized * length + at) * inner + i % inner]);
            }
        }
    }
}
