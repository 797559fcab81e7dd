//! LayerNormalization over contiguous rows: docs/numerics.md, section 4.
//!
//! In the stash type S: `mean = lanesum(x) / n; var = lanesum(rn((x - mean)^2)) / n; inv = 1 / sqrt(var + epsilon);
//! h = rn((x - mean) * inv)`. `h` is converted to T; then `h * scale`, `+ bias`, each rounded to T.

use crate::functions::{Float, Real, Stash};
use crate::lanes::*;
use crate::mutant::{self, Mutant};
use crate::reduce::{Itself, LANES, SquaredDistance, Sum, reduce_row};
use std::ops::Range;

/// The operands of a LayerNormalization of rows of `n` elements in T, with statistics in S.
pub struct LayerNorm<'a, T, S> {
    pub n: usize,
    /// n factors; none are ones.
    pub scale: Option<&'a [T]>,
    /// n addends.
    pub bias: Option<&'a [T]>,
    pub epsilon: f32,
    /// Where each row's mean goes, one number a row.
    pub mean: Option<*mut S>,
    /// Where each row's inverse standard deviation goes.
    pub inverse: Option<*mut S>,
}

/// Normalises the rows in `rows` of `src` `[.., n]` into `dst`. `dst` may be `src`; otherwise they do not overlap.
///
/// # Safety
/// `src` is valid for reading and `dst` for writing the rows in `rows`; `mean` and `inverse` for writing one number for each of them.
/// Calls at the same time have disjoint rows.
///
/// # Panics
/// If `scale` or `bias` has not n elements.
pub unsafe fn layer_norm<T: Float, S: Stash>(
    isa: Isa,
    operands: &LayerNorm<'_, T, S>,
    src: *const T,
    dst: *mut T,
    rows: Range<usize>,
) {
    assert!(operands.scale.is_none_or(|scale| scale.len() == operands.n), "one factor an element");
    assert!(operands.bias.is_none_or(|bias| bias.len() == operands.n), "one addend an element");
    dispatch(isa, Rows { operands, src, dst, rows });
}

struct Rows<'a, 'b, T, S> {
    operands: &'a LayerNorm<'b, T, S>,
    src: *const T,
    dst: *mut T,
    rows: Range<usize>,
}

impl<T: Float, S: Stash> Kernel for Rows<'_, '_, T, S> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let n = self.operands.n;
        for row in self.rows {
            // SAFETY: the caller vouches for the row's n elements and for one number in each of mean and inverse.
            unsafe {
                let (src, dst) = (self.src.add(row * n), self.dst.add(row * n));
                let (mean, inverse) = statistics::<A, T, S>(src, n, self.operands.epsilon);
                normalize::<A, T, S>(self.operands, src, dst, mean, inverse);
                if let Some(at) = self.operands.mean {
                    at.add(row).write(mean);
                }
                if let Some(at) = self.operands.inverse {
                    at.add(row).write(inverse);
                }
            }
        }
    }
}

/// (mean, 1 / sqrt(var + epsilon)) of a row.
///
/// # Safety
/// `src` is valid for reading `n` elements.
#[inline(always)]
unsafe fn statistics<A: Arch, T: Float, S: Stash>(src: *const T, n: usize, epsilon: f32) -> (S, S) {
    let count = S::from_count(n);
    // SAFETY: n elements.
    unsafe {
        let mean = reduce_row::<A, T, S, Sum, _>(src, n, Itself) / count;
        let variance = reduce_row::<A, T, S, Sum, _>(src, n, SquaredDistance(S::Lanes::<LANES>::splat(mean))) / count;
        (mean, S::from_f32(1.0) / (variance + S::from_f32(epsilon)).sqrt())
    }
}

/// The second pass over a row.
///
/// # Safety
/// `src` is valid for reading and `dst` for writing `n` elements.
#[inline(always)]
unsafe fn normalize<A: Arch, T: Float, S: Stash>(
    operands: &LayerNorm<'_, T, S>,
    src: *const T,
    dst: *mut T,
    mean: S,
    inverse: S,
) {
    let (mean, inverse) = (S::Lanes::<LANES>::splat(mean), S::Lanes::<LANES>::splat(inverse));
    let n = operands.n;
    for i in (0..n).step_by(LANES) {
        let count = LANES.min(n - i);
        // SAFETY: i + count <= n elements in src, dst, scale and bias.
        unsafe {
            let load = |from: *const T| {
                if count == LANES { T::load::<LANES>(from.add(i)) } else { T::load_partial(from.add(i), count) }
            };
            let h = (S::lanes_from::<T, LANES>(load(src)) - mean) * inverse;
            let h = S::lanes_into::<T, LANES>(h);
            let mut y = operands.scale.map_or(h, |scale| h * load(scale.as_ptr()));
            if let Some(bias) = operands.bias {
                y = match operands.scale {
                    Some(scale) if mutant::on(Mutant::ContractedMultiplyAdd) => {
                        Real::multiply_add::<A>(h, load(scale.as_ptr()), load(bias.as_ptr()))
                    }
                    _ => T::round(y) + load(bias.as_ptr()),
                };
            }
            if count == LANES {
                T::store(y, dst.add(i));
            } else {
                T::store_partial(y, dst.add(i), count);
            }
        }
    }
}
