//! Reductions over one axis of an array seen as `[outer, n, inner]`: docs/numerics.md, section 2.
//!
//! A reduction folds its terms in sixteen lanes and chunks of 4096, whatever the vector width. With inner == 1 the sixteen
//! lanes are one vector of sixteen numbers (or two, or four); otherwise a vector runs over `inner`, and each of its lanes
//! keeps sixteen accumulators. Both are the same additions in the same order.

use crate::functions::{Arithmetic, Float, Real, Stash};
use crate::lanes::*;
use crate::mutant::{self, Mutant};
use std::ops::Range;

/// Lanes of a lane sum.
pub const LANES: usize = 16;
/// Terms of a chunk.
pub const CHUNK: usize = 4096;
/// Columns reduced side by side: two cache lines of f32, so that rows far apart are not fetched twice.
pub(crate) const COLUMNS: usize = 32;
/// Levels of chunks of chunks: 4096^5 = 2^60 terms are more than memory holds.
const LEVELS: usize = 5;

/// What to reduce to. Of no terms: sums 0, products 1, the mean NaN, the maximum -inf, the minimum +inf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Lane sum of absolute values.
    L1,
    /// Square root of the lane sum of rounded squares.
    L2,
    Max,
    /// Lane sum / n.
    Mean,
    Min,
    /// Lane product.
    Prod,
    /// Lane sum.
    Sum,
    /// Lane sum of rounded squares.
    SumSquare,
}

/// An array `[outer, n, inner]` in row-major order, reduced over `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub outer: usize,
    pub n: usize,
    pub inner: usize,
}

/// Reduces `src` over `n` into `dst` `[outer, inner]`, for the outer and inner positions in `rows` and `columns`, rounded once to T.
///
/// float16 and bfloat16 compute in binary32. Calls with disjoint ranges may run at the same time.
///
/// # Safety
/// `src` is valid for reading `outer * n * inner` elements; `dst` for writing `outer * inner`, of which those in `rows` x `columns` are
/// written. The ranges lie within the extent. `src` and `dst` do not overlap.
pub unsafe fn reduce<T: Float>(
    isa: Isa,
    op: Reduction,
    src: *const T,
    dst: *mut T,
    extent: Extent,
    rows: Range<usize>,
    columns: Range<usize>,
) {
    macro_rules! run {
        ($fold:ty, $term:expr, $finish:expr) => {
            dispatch(
                isa,
                Reduce::<T, $fold, _> {
                    src,
                    dst,
                    extent,
                    rows,
                    columns,
                    term: $term,
                    finish: $finish,
                    fold: PhantomData,
                },
            )
        };
    }
    use std::marker::PhantomData;
    match op {
        Reduction::L1 => run!(Sum, Magnitude, Finish::Value),
        Reduction::L2 => run!(Sum, Square, Finish::SquareRoot),
        Reduction::Max => run!(Maximum, Itself, Finish::Value),
        Reduction::Mean => run!(Sum, Itself, Finish::Mean),
        Reduction::Min => run!(Minimum, Itself, Finish::Value),
        Reduction::Prod => run!(Product, Itself, Finish::Value),
        Reduction::Sum => run!(Sum, Itself, Finish::Value),
        Reduction::SumSquare => run!(Sum, Square, Finish::Value),
    }
}

/// How two partial results become one.
pub(crate) trait Fold: Copy {
    /// The identity: a lane padded with it is a lane that takes no part.
    const IDENTITY: f32;
    /// The result of no terms.
    const EMPTY: f32;
    fn fold<V: Arithmetic>(a: V, b: V) -> V;
}

macro_rules! folds {
    ($($name:ident($identity:expr, $empty:expr): |$a:ident, $b:ident| $body:expr;)*) => {$(
        #[derive(Clone, Copy)]
        pub(crate) struct $name;
        impl Fold for $name {
            const IDENTITY: f32 = $identity;
            const EMPTY: f32 = $empty;
            #[inline(always)]
            fn fold<V: Arithmetic>($a: V, $b: V) -> V {
                $body
            }
        }
    )*};
}
folds! {
    Sum(-0.0, 0.0): |a, b| a + b;
    Product(1.0, 1.0): |a, b| a * b;
    Maximum(f32::NEG_INFINITY, f32::NEG_INFINITY): |a, b| a.maximum(b);
    Minimum(f32::INFINITY, f32::INFINITY): |a, b| a.minimum(b);
}

/// What an element contributes.
pub(crate) trait Term<S>: Copy {
    fn of<A: Arch, V: Real<Scalar = S>>(self, x: V) -> V;
}

#[derive(Clone, Copy)]
pub(crate) struct Itself;
#[derive(Clone, Copy)]
pub(crate) struct Magnitude;
#[derive(Clone, Copy)]
pub(crate) struct Square;
/// `rn((x - mean)^2)`.
#[derive(Clone, Copy)]
pub(crate) struct SquaredDistance<S>(pub S);

impl<S> Term<S> for Itself {
    #[inline(always)]
    fn of<A: Arch, V: Real<Scalar = S>>(self, x: V) -> V {
        x
    }
}
impl<S> Term<S> for Magnitude {
    #[inline(always)]
    fn of<A: Arch, V: Real<Scalar = S>>(self, x: V) -> V {
        x.abs()
    }
}
impl<S> Term<S> for Square {
    #[inline(always)]
    fn of<A: Arch, V: Real<Scalar = S>>(self, x: V) -> V {
        x * x
    }
}
impl<S: Copy> Term<S> for SquaredDistance<S> {
    #[inline(always)]
    fn of<A: Arch, V: Real<Scalar = S>>(self, x: V) -> V {
        let d = x - V::splat(self.0);
        d * d
    }
}

/// Sixteen lanes to one, `l_i + l_{i+8}` first.
#[inline(always)]
pub(crate) fn tree<F: Fold, V: Arithmetic>(mut lanes: [V; LANES]) -> V {
    if mutant::on(Mutant::LaneOrder) {
        return lanes[1..].iter().fold(lanes[0], |sum, &lane| F::fold(sum, lane));
    }
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = F::fold(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// The lane reduction of chunks' results, fed one after the other: chunks of chunks, to any depth.
pub(crate) struct Chunks<V> {
    lanes: [[V; LANES]; LEVELS],
    counts: [usize; LEVELS],
}

impl<V: Arithmetic> Chunks<V> {
    #[inline(always)]
    pub(crate) fn new<F: Fold>() -> Self {
        Chunks { lanes: [[V::from_f32(F::IDENTITY); LANES]; LEVELS], counts: [0; LEVELS] }
    }

    /// The next chunk's result.
    #[inline(always)]
    pub(crate) fn push<F: Fold>(&mut self, mut value: V) {
        for level in 0..LEVELS {
            let lane = self.counts[level] % LANES;
            self.lanes[level][lane] = F::fold(self.lanes[level][lane], value);
            self.counts[level] += 1;
            if self.counts[level] < CHUNK {
                return;
            }
            value = tree::<F, V>(self.lanes[level]);
            self.lanes[level] = [V::from_f32(F::IDENTITY); LANES];
            self.counts[level] = 0;
        }
    }

    /// The result of all chunks. A level with one term hands it on as it is.
    #[inline(always)]
    pub(crate) fn finish<F: Fold>(mut self) -> V {
        let mut value = V::from_f32(F::IDENTITY);
        for level in 0..LEVELS {
            if level > 0 && self.counts[level - 1] > 0 {
                let lane = self.counts[level] % LANES;
                self.lanes[level][lane] = F::fold(self.lanes[level][lane], value);
                self.counts[level] += 1;
            }
            value = tree::<F, V>(self.lanes[level]);
        }
        value
    }
}

/// The reduction of `n` contiguous elements, computed in S.
///
/// # Safety
/// `from` is valid for reading `n` elements.
#[inline(always)]
pub(crate) unsafe fn reduce_row<A: Arch, T: Float, S: Stash, F: Fold, M: Term<S>>(
    from: *const T,
    n: usize,
    term: M,
) -> S {
    if n == 0 {
        return S::from_f32(F::EMPTY);
    }
    if n <= CHUNK {
        // SAFETY: n elements.
        return unsafe { reduce_chunk::<A, T, S, F, M>(from, n, term) };
    }
    let mut chunks = Chunks::<S>::new::<F>();
    for start in (0..n).step_by(CHUNK) {
        // SAFETY: start + the chunk's length <= n.
        chunks.push::<F>(unsafe { reduce_chunk::<A, T, S, F, M>(from.add(start), CHUNK.min(n - start), term) });
    }
    chunks.finish::<F>()
}

/// The reduction of 1 to 4096 contiguous elements.
///
/// # Safety
/// `from` is valid for reading `n` elements.
#[inline(always)]
unsafe fn reduce_chunk<A: Arch, T: Float, S: Stash, F: Fold, M: Term<S>>(from: *const T, n: usize, term: M) -> S {
    let mut lanes = S::Lanes::<LANES>::from_f32(F::IDENTITY);
    let whole = n - n % LANES;
    for i in (0..whole).step_by(LANES) {
        // SAFETY: i + LANES <= n.
        let x = S::lanes_from::<T, LANES>(unsafe { T::load(from.add(i)) });
        lanes = F::fold(lanes, term.of::<A, _>(x));
    }
    let mut lanes = S::to_array(lanes);
    if whole < n {
        // SAFETY: n - whole < LANES elements are left. Lanes beyond them are computed and not used.
        let x = S::lanes_from::<T, LANES>(unsafe { T::load_partial(from.add(whole), n - whole) });
        let last = S::to_array(term.of::<A, _>(x));
        for (lane, &x) in lanes.iter_mut().zip(&last[..n - whole]) {
            *lane = F::fold(*lane, x);
        }
    }
    tree::<F, S>(lanes)
}

/// The reduction of `n` vectors of `count <= N` neighbouring elements, `stride` elements apart: each lane for itself.
///
/// # Safety
/// `from.add(r * stride)` is valid for reading `count` elements for every r < n.
#[inline(always)]
pub(crate) unsafe fn reduce_columns<A: Arch, T: Float, F: Fold, M: Term<T::Wide>, const N: usize>(
    from: *const T,
    n: usize,
    stride: usize,
    count: usize,
    term: M,
) -> T::Lanes<N> {
    if n == 0 {
        return T::Lanes::<N>::from_f32(F::EMPTY);
    }
    let mut chunks = None;
    let mut start = 0;
    loop {
        let terms = CHUNK.min(n - start);
        let mut lanes = [T::Lanes::<N>::from_f32(F::IDENTITY); LANES];
        for r in (0..terms).step_by(LANES) {
            for (lane, total) in lanes.iter_mut().enumerate().take(LANES.min(terms - r)) {
                // SAFETY: start + r + lane < n.
                let x = unsafe { T::load_partial::<N>(from.add((start + r + lane) * stride), count) };
                *total = F::fold(*total, term.of::<A, _>(x));
            }
        }
        let value = tree::<F, _>(lanes);
        start += terms;
        if start == n && chunks.is_none() {
            return value;
        }
        let chunks = chunks.get_or_insert_with(Chunks::new::<F>);
        chunks.push::<F>(value);
        if start == n {
            break;
        }
    }
    chunks.map_or_else(|| T::Lanes::<N>::from_f32(F::EMPTY), Chunks::finish::<F>)
}

/// What becomes of the folded terms.
#[derive(Clone, Copy)]
enum Finish {
    Value,
    Mean,
    SquareRoot,
}

impl Finish {
    #[inline(always)]
    fn of<V: Real>(self, value: V, count: V::Scalar) -> V {
        match self {
            Finish::Value => value,
            Finish::Mean => value / V::splat(count),
            Finish::SquareRoot => Arithmetic::sqrt(value),
        }
    }
}

struct Reduce<T, F, M> {
    src: *const T,
    dst: *mut T,
    extent: Extent,
    rows: Range<usize>,
    columns: Range<usize>,
    term: M,
    finish: Finish,
    fold: std::marker::PhantomData<F>,
}

impl<T: Float, F: Fold, M: Term<T::Wide>> Kernel for Reduce<T, F, M> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let Reduce { src, dst, extent: Extent { n, inner, .. }, rows, columns, term, finish, .. } = self;
        let count = T::Wide::from_count(n);
        for row in rows {
            if inner == 1 && columns.len() == 1 {
                // SAFETY: the caller vouches for the row and its output.
                unsafe {
                    let value = reduce_row::<A, T, T::Wide, F, M>(src.add(row * n), n, term);
                    T::store::<1>(finish.of(T::Lanes::<1>::splat(value), count), dst.add(row));
                }
                continue;
            }
            for column in columns.clone().step_by(COLUMNS) {
                let lanes = COLUMNS.min(columns.end - column);
                // SAFETY: `lanes` columns from `column` on lie in the caller's range.
                unsafe {
                    let from = src.add(row * n * inner + column);
                    let value = reduce_columns::<A, T, F, M, COLUMNS>(from, n, inner, lanes, term);
                    T::store_partial(finish.of(value, count), dst.add(row * inner + column), lanes);
                }
            }
        }
    }
}

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
/// Of no terms: the ends of the type for Max and Min, 0 for the mean.
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
            Reduction::Mean | Reduction::Sum => self.fold(
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
