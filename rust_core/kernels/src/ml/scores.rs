//! What ai.onnx.ml calls `post_transform`: docs/numerics.md, section 4.

use crate::functions::{Arithmetic, Float, Real, Stash, Unary, unary};
use crate::lanes::*;
use crate::reduce::{Extent, Itself, LANES, Maximum, Sum, reduce_row};
use crate::softmax::softmax;

/// A transform of a row of scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transform {
    None,
    Softmax,
    Logistic,
    SoftmaxZero,
    Probit,
}

/// f32 or f64, with the constants of the programs.
pub trait Score: Stash + PartialOrd {
    /// The constant of Winitzki's formula for the inverse error function.
    const WINITZKI: Self;
    /// `2 / (pi * WINITZKI)`.
    const OFFSET: Self;
}

/// In binary64, rounded where it is used.
const WINITZKI: f64 = 0.147;
const OFFSET: f64 = 2.0 / (std::f64::consts::PI * WINITZKI);

impl Score for f32 {
    const WINITZKI: f32 = WINITZKI as f32;
    const OFFSET: f32 = OFFSET as f32;
}

impl Score for f64 {
    const WINITZKI: f64 = WINITZKI;
    const OFFSET: f64 = OFFSET;
}

/// Transforms the rows of `scores` [rows, columns] in place.
///
/// # Panics
/// If `scores` is not whole rows.
pub fn transform<T: Score>(isa: Isa, transform: Transform, scores: &mut [T], columns: usize) {
    if scores.is_empty() {
        return;
    }
    let (rows, len, ptr) = (scores.len() / columns, scores.len(), scores.as_mut_ptr());
    assert!(rows * columns == len);
    match transform {
        Transform::None => {}
        // SAFETY: in place over the whole slice.
        Transform::Logistic => unsafe { unary(isa, Unary::Sigmoid, ptr, ptr, len) },
        Transform::Softmax => {
            let extent = Extent { outer: rows, n: columns, inner: 1 };
            // SAFETY: in place over the whole slice, which has that extent.
            unsafe { softmax(isa, false, ptr, ptr, extent, 0..rows, 0..1) };
        }
        Transform::SoftmaxZero => dispatch(isa, SoftmaxZero { scores, columns }),
        Transform::Probit => dispatch(isa, Probit { scores }),
    }
}

struct SoftmaxZero<'a, T> {
    scores: &'a mut [T],
    columns: usize,
}

impl<T: Score> Kernel for SoftmaxZero<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        for row in self.scores.chunks_exact_mut(self.columns) {
            // SAFETY: the row has that many elements.
            let m = unsafe { reduce_row::<A, T, T, Maximum, _>(row.as_ptr(), row.len(), Itself) };
            let near = T::to_array((-T::Lanes::<1>::splat(m)).exp::<A>())[0];
            map::<T>(row, |x| {
                let (e, small) = ((x - Real::splat(m)).exp::<A>(), x * Real::splat(near));
                Arithmetic::abs(x).select_greater(Arithmetic::from_f32(1e-7), e, small)
            });
            // SAFETY: as above.
            let s = unsafe { reduce_row::<A, T, T, Sum, _>(row.as_ptr(), row.len(), Itself) };
            if s == T::from_f32(0.0) {
                row.fill(T::from_f32(0.5));
            } else {
                let r = T::from_f32(1.0) / s;
                map::<T>(row, |e| e * Real::splat(r));
            }
        }
    }
}

struct Probit<'a, T> {
    scores: &'a mut [T],
}

impl<T: Score> Kernel for Probit<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        map::<T>(self.scores, probit::<A, T, T::Lanes<LANES>>);
    }
}

// [panel: ai.onnx.ml.LinearClassifier ai.onnx.ml.LinearRegressor probit]
/// Winitzki's formula. The difference `sqrt(v^2 + d) - v` is a quotient where v > 0, so that nothing cancels.
#[inline(always)]
fn probit<A: Arch, T: Score, V: Real<Scalar = T>>(p: V) -> V {
    let one = V::from_f32(1.0);
    let x = V::from_f32(2.0) * p - one;
    let log = ((one - x) * (one + x)).log::<A>();
    let v = V::splat(T::OFFSET) + log / V::from_f32(2.0);
    let d = -log / V::splat(T::WINITZKI);
    let s = Arithmetic::sqrt(v * v + d);
    let square = v.select_greater(V::from_f32(0.0), d / (v + s), s - v);
    let y = Arithmetic::abs(Arithmetic::sqrt(square + square));
    x.select_negative(-y, y)
}
// [/panel]

/// `x = f(x)` for each number.
#[inline(always)]
fn map<T: Float>(numbers: &mut [T], f: impl Fn(T::Lanes<LANES>) -> T::Lanes<LANES>) {
    for part in numbers.chunks_mut(LANES) {
        // SAFETY: the part has that many elements, at most LANES.
        unsafe {
            let x = T::load_partial::<LANES>(part.as_ptr(), part.len());
            T::store_partial(f(x), part.as_mut_ptr(), part.len());
        }
    }
}
