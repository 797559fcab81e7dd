//! Reductions of integers.

use super::{Extent, Reduction};
use crate::functions::f64;
use crate::lanes::*;
use std::ops::Range;

/// An integer that wraps.
pub trait Integer: Copy + Ord + Send + Sync + 'static {
    const ZERO: Self;
    const ONE: Self;
    const LEAST: Self;
    const GREATEST: Self;
    fn sum(self, other: Self) -> Self;
    fn product(self, other: Self) -> Self;
    /// Its absolute value; the least integer is its own.
    fn magnitude(self) -> Self;
    /// `self / n` toward zero; 0 for n = 0.
    fn mean_of(self, n: usize) -> Self;
    /// The square root of the number in binary64, toward zero, saturating; 0 below 0.
    fn square_root(self) -> Self;
    /// The logarithm of the number in binary64, toward zero, saturating: the least number of 0; 0 below 0.
    fn logarithm(self) -> Self;
}

macro_rules! integers {
    ($($t:ty: |$x:ident| $magnitude:expr;)*) => {$(
        impl Integer for $t {
            const ZERO: Self = 0;
            const ONE: Self = 1;
            const LEAST: Self = <$t>::MIN;
            const GREATEST: Self = <$t>::MAX;
            #[inline(always)]
            fn sum(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn product(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }
            #[inline(always)]
            fn magnitude(self) -> Self {
                let $x = self;
                $magnitude
            }
            #[inline(always)]
            fn mean_of(self, n: usize) -> Self {
                // In 128 bits nothing overflows; n may be greater than the type's greatest.
                (self as i128).checked_div(n as i128).unwrap_or(0) as $t
            }
            #[inline(always)]
            fn square_root(self) -> Self {
                StdFloat::sqrt(Simd::<f64, 1>::splat(self as f64))[0] as $t
            }
            #[inline(always)]
            fn logarithm(self) -> Self {
                f64::log(Simd::<_, 1>::splat(self as ::core::primitive::f64))[0] as $t
            }
        }
    )*};
}
integers! {
    i8: |x| x.wrapping_abs();
    i16: |x| x.wrapping_abs();
    i32: |x| x.wrapping_abs();
    i64: |x| x.wrapping_abs();
    u8: |x| x;
    u16: |x| x;
    u32: |x| x;
    u64: |x| x;
}

/// As [`reduce`], for integers: sums and products wrap, so that their order does not matter; the mean divides toward zero.
/// Of no terms: the ends of the type for Max and Min, the least number for LogSum, 0 for the mean.
///
/// # Panics
/// For LogSumExp, which is [`reduce`] of the numbers in binary64.
///
/// # Safety
/// As for [`reduce`].
pub unsafe fn reduce_integers<T: Integer>(
    isa: Isa,
    op: Reduction,
    src: *const T,
    dst: *mut T,
    extent: Extent,
    rows: Range<usize>,
    columns: Range<usize>,
) {
    dispatch(isa, ReduceIntegers { op, src, dst, extent, rows, columns });
}

struct ReduceIntegers<T> {
    op: Reduction,
    src: *const T,
    dst: *mut T,
    extent: Extent,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl<T: Integer> Kernel for ReduceIntegers<T> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        match self.op {
            Reduction::LogSumExp => unreachable!("it computes in binary64"),
            Reduction::L1 => self.fold(
                T::ZERO,
                #[inline(always)]
                |a, x: T| a.sum(x.magnitude()),
            ),
            Reduction::L2 | Reduction::SumSquare => {
                self.fold(
                    T::ZERO,
                    #[inline(always)]
                    |a, x: T| a.sum(x.product(x)),
                );
            }
            Reduction::Max => self.fold(
                T::LEAST,
                #[inline(always)]
                |a: T, x| a.max(x),
            ),
            Reduction::Min => self.fold(
                T::GREATEST,
                #[inline(always)]
                |a: T, x| a.min(x),
            ),
            Reduction::Prod => self.fold(
                T::ONE,
                #[inline(always)]
                |a, x: T| a.product(x),
            ),
            Reduction::LogSum | Reduction::Mean | Reduction::Sum => self.fold(
                T::ZERO,
                #[inline(always)]
                |a, x: T| a.sum(x),
            ),
        }
        match self.op {
            Reduction::Mean => self.finish(
                #[inline(always)]
                |total| total.mean_of(self.extent.n),
            ),
            Reduction::L2 => self.finish(
                #[inline(always)]
                |total| total.square_root(),
            ),
            Reduction::LogSum => self.finish(
                #[inline(always)]
                |total| total.logarithm(),
            ),
            _ => {}
        }
    }
}

impl<T: Integer> ReduceIntegers<T> {
    /// The outputs that `fold` has written, each replaced by a function of it.
    #[inline(always)]
    fn finish(&self, f: impl Fn(T) -> T) {
        for row in self.rows.clone() {
            for column in self.columns.clone() {
                // SAFETY: the caller vouches for the outputs in his ranges.
                unsafe {
                    let at = self.dst.add(row * self.extent.inner + column);
                    at.write(f(at.read()));
                }
            }
        }
    }

    /// Folds into `dst`, with loops that the compiler vectorises: over the terms with inner == 1, else over the columns.
    #[inline(always)]
    fn fold(&self, identity: T, f: impl Fn(T, T) -> T) {
        let Extent { n, inner, .. } = self.extent;
        let (from, count) = (self.columns.start, self.columns.len());
        for row in self.rows.clone() {
            // SAFETY: the caller vouches for the outputs in his ranges, and that no other call touches them.
            let out = unsafe { std::slice::from_raw_parts_mut(self.dst.add(row * inner + from), count) };
            if inner == 1 && count == 1 {
                // SAFETY: the row has n elements.
                let terms = unsafe { std::slice::from_raw_parts(self.src.add(row * n), n) };
                let mut total = identity;
                for &x in terms {
                    total = f(total, x);
                }
                out[0] = total;
                continue;
            }
            out.fill(identity);
            for r in 0..n {
                // SAFETY: `count` columns from `from` on lie in the row's r-th line.
                let line = unsafe { std::slice::from_raw_parts(self.src.add((row * n + r) * inner + from), count) };
                for (total, &x) in out.iter_mut().zip(line) {
                    *total = f(*total, x);
                }
            }
        }
    }
}
