//! Reductions over one axis of an array seen as `[outer, n, inner]`: docs/numerics.md, section 2.
//!
//! A reduction folds its terms in sixteen lanes and chunks of 4096, whatever the vector width. With inner == 1 the sixteen
//! lanes are one vector of sixteen numbers (or two, or four); otherwise a vector runs over `inner`, and each of its lanes
//! keeps sixteen accumulators. Both are the same additions in the same order.

mod integers;
mod log_sum_exp;

pub use integers::{Integer, reduce_integers};

use crate::functions::{Arithmetic, Float, Real, Stash};
use crate::lanes::*;
use crate::mutant::{self, Mutant};
use log_sum_exp::LogSumExp;
use std::ops::Range;

/// Lanes of a lane sum.
pub const LANES: usize = 16;
/// Terms of a chunk.
pub const CHUNK: usize = 4096;
/// Columns reduced side by side: two cache lines of f32, so that rows far apart are not fetched twice.
pub(crate) const COLUMNS: usize = 32;
/// Levels of chunks of chunks: 4096^5 = 2^60 terms are more than memory holds.
const LEVELS: usize = 5;

/// What to reduce to. Of no terms: sums 0, products 1, the mean NaN, logarithms and the maximum -inf,
/// the minimum +inf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Lane sum of absolute values.
    L1,
    /// Square root of the lane sum of rounded squares.
    L2,
    /// Logarithm of the lane sum.
    LogSum,
    /// `m + log(lanesum(exp(rn(x - m))))`, m being the maximum, or 0 where that is not finite.
    LogSumExp,
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

// [panel: ReduceL1 ReduceL2 ReduceLogSum ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare]
// [panel: GlobalAveragePool GlobalMaxPool]
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
                Reduce::<T, $fold, _, _> {
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
        Reduction::L1 => run!(Sum, Magnitude, Plain),
        Reduction::L2 => run!(Sum, Square, SquareRoot),
        Reduction::LogSum => run!(Sum, Itself, Logarithm),
        Reduction::LogSumExp => dispatch(isa, LogSumExp { src, dst, extent, rows, columns }),
        Reduction::Max => run!(Maximum, Itself, Plain),
        Reduction::Mean => run!(Sum, Itself, Mean),
        Reduction::Min => run!(Minimum, Itself, Plain),
        Reduction::Prod => run!(Product, Itself, Plain),
        Reduction::Sum => run!(Sum, Itself, Plain),
        Reduction::SumSquare => run!(Sum, Square, Plain),
    }
}
// [/panel]
// [/panel]

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

/// What elements contribute, as vectors `V`.
pub(crate) trait Term<V>: Copy {
    fn of<A: Arch>(self, x: V) -> V;
}

#[derive(Clone, Copy)]
pub(crate) struct Itself;
#[derive(Clone, Copy)]
pub(crate) struct Magnitude;
#[derive(Clone, Copy)]
pub(crate) struct Square;
/// `rn((x - mean)^2)`.
#[derive(Clone, Copy)]
pub(crate) struct SquaredDistance<V>(pub V);
/// `exp(rn(x - m))`.
#[derive(Clone, Copy)]
struct Exponential<V>(V);

impl<V> Term<V> for Itself {
    #[inline(always)]
    fn of<A: Arch>(self, x: V) -> V {
        x
    }
}
impl<V: Arithmetic> Term<V> for Magnitude {
    #[inline(always)]
    fn of<A: Arch>(self, x: V) -> V {
        x.abs()
    }
}
impl<V: Arithmetic> Term<V> for Square {
    #[inline(always)]
    fn of<A: Arch>(self, x: V) -> V {
        x * x
    }
}
impl<V: Arithmetic> Term<V> for SquaredDistance<V> {
    #[inline(always)]
    fn of<A: Arch>(self, x: V) -> V {
        let d = x - self.0;
        d * d
    }
}
impl<V: Real> Term<V> for Exponential<V> {
    #[inline(always)]
    fn of<A: Arch>(self, x: V) -> V {
        (x - self.0).exp::<A>()
    }
}

// [panel: ReduceSum ReduceMean tree]
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
// [/panel]

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
pub(crate) unsafe fn reduce_row<A: Arch, T: Float, S: Stash, F: Fold, M: Term<S::Lanes<LANES>>>(
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

// [panel: ReduceL1 ReduceL2 ReduceLogSum ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum chunk]
// [panel: ReduceSumSquare GlobalAveragePool GlobalMaxPool chunk]
/// The reduction of 1 to 4096 contiguous elements.
///
/// # Safety
/// `from` is valid for reading `n` elements.
#[inline(always)]
unsafe fn reduce_chunk<A: Arch, T: Float, S: Stash, F: Fold, M: Term<S::Lanes<LANES>>>(
    from: *const T,
    n: usize,
    term: M,
) -> S {
    // [panel: lane sum]
    let mut lanes = S::Lanes::<LANES>::from_f32(F::IDENTITY);
    let whole = n - n % LANES;
    for i in (0..whole).step_by(LANES) {
        // SAFETY: i + LANES <= n.
        let x = S::lanes_from::<T, LANES>(unsafe { T::load(from.add(i)) });
        lanes = F::fold(lanes, term.of::<A>(x));
    }
    let mut lanes = S::to_array(lanes);
    if whole < n {
        // SAFETY: n - whole < LANES elements are left. Lanes beyond them are computed and not used.
        let x = S::lanes_from::<T, LANES>(unsafe { T::load_partial(from.add(whole), n - whole) });
        let last = S::to_array(term.of::<A>(x));
        for (lane, &x) in lanes.iter_mut().zip(&last[..n - whole]) {
            *lane = F::fold(*lane, x);
        }
    }
    tree::<F, S>(lanes)
    // [/panel]
}
// [/panel]
// [/panel]

/// The reduction of `n` vectors of `count <= N` neighbouring elements, `stride` elements apart: each lane for itself.
///
/// # Safety
/// `from.add(r * stride)` is valid for reading `count` elements for every r < n.
#[inline(always)]
pub(crate) unsafe fn reduce_columns<A: Arch, T: Float, F: Fold, M: Term<T::Lanes<N>>, const N: usize>(
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
                *total = F::fold(*total, term.of::<A>(x));
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

/// What becomes of the folded terms, of which there were `count`.
trait Finish: Copy {
    fn of<A: Arch, V: Real>(self, value: V, count: V::Scalar) -> V;
}

macro_rules! finishes {
    ($($(#[$doc:meta])* $name:ident: |$value:ident, $count:ident| $body:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy)]
        struct $name;
        impl Finish for $name {
            #[inline(always)]
            fn of<A: Arch, V: Real>(self, $value: V, $count: V::Scalar) -> V {
                $body
            }
        }
    )*};
}
finishes! {
    /// The value itself.
    Plain: |value, _count| value;
    Mean: |value, count| value / V::splat(count);
    SquareRoot: |value, _count| Arithmetic::sqrt(value);
    Logarithm: |value, _count| value.log::<A>();
}

struct Reduce<T, F, M, E> {
    src: *const T,
    dst: *mut T,
    extent: Extent,
    rows: Range<usize>,
    columns: Range<usize>,
    term: M,
    finish: E,
    fold: std::marker::PhantomData<F>,
}

impl<T, F, M, E> Kernel for Reduce<T, F, M, E>
where
    T: Float,
    F: Fold,
    M: Term<<T::Wide as Float>::Lanes<LANES>> + Term<T::Lanes<COLUMNS>>,
    E: Finish,
{
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
                    T::store::<1>(finish.of::<A, _>(T::Lanes::<1>::splat(value), count), dst.add(row));
                }
                continue;
            }
            for column in columns.clone().step_by(COLUMNS) {
                let lanes = COLUMNS.min(columns.end - column);
                // SAFETY: `lanes` columns from `column` on lie in the caller's range.
                unsafe {
                    let from = src.add(row * n * inner + column);
                    let value = reduce_columns::<A, T, F, M, COLUMNS>(from, n, inner, lanes, term);
                    T::store_partial(finish.of::<A, _>(value, count), dst.add(row * inner + column), lanes);
                }
            }
        }
    }
}
