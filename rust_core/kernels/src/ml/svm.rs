//! Support vector machines: squared distances to many vectors at once, and weighted sums of kernels.

use crate::functions::{Arithmetic, Float, Real};
use crate::lanes::*;

/// Vectors of a panel of [`pack_vectors`].
pub const PANEL: usize = 16;

/// Elements of `vectors` vectors packed in panels.
pub fn packed_len(vectors: usize, features: usize) -> Option<usize> {
    vectors.checked_next_multiple_of(PANEL)?.checked_mul(features)
}

/// Packs `vectors` [V, F] in panels `[panel][feature][vector of the panel]`, the last one padded with +0.
///
/// # Panics
/// If `dst` is not [`packed_len`] long.
pub fn pack_vectors<T: Float>(vectors: &[T], features: usize, dst: &mut [T]) {
    let count = vectors.len().checked_div(features).unwrap_or(0);
    assert!(packed_len(count, features) == Some(dst.len()));
    dst.fill(T::ZERO);
    for (v, vector) in vectors.chunks_exact(features.max(1)).enumerate() {
        for (f, &x) in vector.iter().enumerate() {
            dst[(v / PANEL * features + f) * PANEL + v % PANEL] = x;
        }
    }
}

/// `out[r * vectors + v]`: the chain of squares of `rn(x - v)` over the features, for rows of `x` [rows, features] and packed vectors.
///
/// # Panics
/// If a slice is not as long as that.
pub fn squared_distances<T: Float>(isa: Isa, x: &[T], features: usize, packed: &[T], vectors: usize, out: &mut [T]) {
    let rows = out.len().checked_div(vectors).unwrap_or(0);
    assert!(rows * vectors == out.len() && x.len() == rows * features);
    assert!(packed_len(vectors, features) == Some(packed.len()));
    dispatch(isa, Distances { x, features, packed, vectors, out, rows });
}

struct Distances<'a, T> {
    x: &'a [T],
    features: usize,
    packed: &'a [T],
    vectors: usize,
    out: &'a mut [T],
    rows: usize,
}

impl<T: Float> Kernel for Distances<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(mut self) {
        let panels = self.vectors.div_ceil(PANEL);
        let mut row = 0;
        while row + 4 <= self.rows {
            (0..panels).for_each(|panel| self.block::<A, 4, 1>(row, panel));
            row += 4;
        }
        for row in row..self.rows {
            let whole = panels / 4 * 4;
            (0..whole).step_by(4).for_each(|panel| self.block::<A, 1, 4>(row, panel));
            (whole..panels).for_each(|panel| self.block::<A, 1, 1>(row, panel));
        }
    }
}

// [panel: ai.onnx.ml.SVMClassifier ai.onnx.ml.SVMRegressor distances]
impl<T: Float> Distances<'_, T> {
    /// `R` rows and `P` panels, from those on.
    #[inline(always)]
    fn block<A: Arch, const R: usize, const P: usize>(&mut self, row: usize, panel: usize) {
        let features = self.features;
        let rows: [&[T]; R] = std::array::from_fn(|r| &self.x[(row + r) * features..][..features]);
        let panels: [&[T]; P] =
            std::array::from_fn(|p| &self.packed[(panel + p) * features * PANEL..][..features * PANEL]);
        let mut q = [[T::Lanes::<PANEL>::from_f32(0.0); P]; R];
        #[allow(clippy::needless_range_loop)] // an index into all rows and panels at once
        for f in 0..features {
            for p in 0..P {
                // SAFETY: the panel has PANEL elements a feature.
                let v = unsafe { T::load::<PANEL>(panels[p].as_ptr().add(f * PANEL)) };
                for r in 0..R {
                    let d = T::Lanes::<PANEL>::splat(rows[r][f].widen()) - v;
                    q[r][p] = Real::multiply_add::<A>(d, d, q[r][p]);
                }
            }
        }
        for (r, q) in q.iter().enumerate() {
            for (p, &q) in q.iter().enumerate() {
                let first = (panel + p) * PANEL;
                let count = PANEL.min(self.vectors - first);
                let to = &mut self.out[(row + r) * self.vectors + first..][..count];
                // SAFETY: `to` has count elements.
                unsafe { T::store_partial(q, to.as_mut_ptr(), count) };
            }
        }
    }
}
// [/panel]

/// Kernels of neighbouring support vectors, from `first` on, with their coefficients.
#[derive(Clone, Copy)]
pub struct Term<'a, T> {
    pub first: usize,
    pub weights: &'a [T],
}

/// `out[r * stride] = rn(chain + rho)`: a chain over the terms in order. `kernels` is [vectors, rows].
///
/// # Panics
/// If a term reaches beyond the kernels, or `out` is too short.
pub fn weighted_sums<T: Float>(
    isa: Isa,
    kernels: &[T],
    rows: usize,
    terms: &[Term<'_, T>],
    rho: T,
    out: &mut [T],
    stride: usize,
) {
    if rows == 0 {
        return;
    }
    assert!(out.len() > (rows - 1) * stride);
    assert!(terms.iter().all(|term| (term.first + term.weights.len()) * rows <= kernels.len()));
    dispatch(isa, Sums { kernels, rows, terms, rho, out, stride });
}

struct Sums<'a, T> {
    kernels: &'a [T],
    rows: usize,
    terms: &'a [Term<'a, T>],
    rho: T,
    out: &'a mut [T],
    stride: usize,
}

impl<T: Float> Kernel for Sums<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(mut self) {
        let mut row = 0;
        while row + 64 <= self.rows {
            self.block::<A, 64>(row);
            row += 64;
        }
        while row + 16 <= self.rows {
            self.block::<A, 16>(row);
            row += 16;
        }
        (row..self.rows).for_each(|row| self.block::<A, 1>(row));
    }
}

// [panel: ai.onnx.ml.SVMClassifier ai.onnx.ml.SVMRegressor]
impl<T: Float> Sums<'_, T> {
    /// `N` rows from `row` on.
    #[inline(always)]
    fn block<A: Arch, const N: usize>(&mut self, row: usize) {
        let mut sum = T::Lanes::<N>::from_f32(0.0);
        for term in self.terms {
            for (v, weight) in term.weights.iter().enumerate() {
                // SAFETY: the vector has a kernel for each row, and row + N <= rows.
                let k = unsafe { T::load::<N>(self.kernels.as_ptr().add((term.first + v) * self.rows + row)) };
                sum = Real::multiply_add::<A>(k, T::Lanes::<N>::splat(weight.widen()), sum);
            }
        }
        let sums = T::to_array(sum + T::Lanes::<N>::splat(self.rho.widen()));
        for (r, &sum) in sums.iter().enumerate() {
            self.out[(row + r) * self.stride] = T::narrow(sum);
        }
    }
}
// [/panel]
