//! Pools over planes: `docs/numerics.md`, rows MaxPool and AveragePool.
//!
//! A plane is one channel of one image, `[depth][height][width]`; planes are independent, so callers split work by giving slices of
//! whole planes. Vectors run along the output columns: for each kernel position in row-major order, one pass over the columns whose
//! window has an input there.

use crate::lanes::*;
use crate::mutant::{self, Mutant};
use half::{bf16, f16};
use std::ops::Range;

/// Windows of `kernel` positions, `dilations` apart, that start every `strides` in the padded input. Axes are (depth, height, width);
/// missing ones have extent 1, kernel 1, stride 1, dilation 1, no pads. Strides and dilations are positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolShape {
    pub input: [usize; 3],
    pub kernel: [usize; 3],
    pub strides: [usize; 3],
    pub dilations: [usize; 3],
    pub pads_begin: [usize; 3],
    pub pads_end: [usize; 3],
    pub output: [usize; 3],
}

impl PoolShape {
    /// Positions of one input plane.
    pub fn in_plane(&self) -> usize {
        self.input.iter().product()
    }

    /// Positions of one output plane.
    pub fn out_plane(&self) -> usize {
        self.output.iter().product()
    }

    /// Input position of kernel position `k` of window `o`, which may lie in the padding.
    #[inline(always)]
    fn at(&self, axis: usize, o: usize, k: usize) -> isize {
        (o * self.strides[axis] + k * self.dilations[axis]) as isize - self.pads_begin[axis] as isize
    }

    /// The kernel positions of window `o` that lie in `from .. to` of the axis.
    #[inline(always)]
    fn hits(&self, axis: usize, o: usize, from: isize, to: isize) -> Range<usize> {
        let (start, step) = (self.at(axis, o, 0), self.dilations[axis] as isize);
        let first = |bound: isize| if bound > start { (bound - start - 1) / step + 1 } else { 0 } as usize;
        let end = first(to).min(self.kernel[axis]);
        first(from).min(end)..end
    }

    /// Those in the input.
    #[inline(always)]
    fn inside(&self, axis: usize, o: usize) -> Range<usize> {
        self.hits(axis, o, 0, self.input[axis] as isize)
    }

    /// How many kernel positions window `o` has in the input, or with `include_pad` in the padded input.
    #[inline(always)]
    fn count(&self, axis: usize, o: usize, include_pad: bool) -> usize {
        if include_pad || mutant::on(Mutant::PadCounted) {
            let end = self.input[axis] + self.pads_end[axis];
            self.hits(axis, o, -(self.pads_begin[axis] as isize), end as isize).len()
        } else {
            self.inside(axis, o).len()
        }
    }

    /// Calls `visit(columns, input offset of the first of them, its position)` for every kernel position that some of the windows
    /// `columns` of row (`od`, `oh`) have in the input; neighbouring windows are a stride apart.
    #[inline(always)]
    fn each(
        &self,
        [od, oh]: [usize; 2],
        columns: Range<usize>,
        mut visit: impl FnMut(Range<usize>, usize, [usize; 3]),
    ) {
        let (stride, width) = (self.strides[2], self.input[2]);
        if columns.is_empty() || width == 0 {
            return;
        }
        // From the first position that the last window has inside, to the last that the first window has.
        let (early, late) = (self.inside(2, columns.end - 1), self.inside(2, columns.start));
        for kd in self.inside(0, od) {
            for kh in self.inside(1, oh) {
                let (d, h) = (self.at(0, od, kd) as usize, self.at(1, oh, kh) as usize);
                for kw in early.start..late.end {
                    let origin = self.at(2, 0, kw);
                    let first = |bound: isize| if bound > 0 { (bound as usize).div_ceil(stride) } else { 0 };
                    let from = first(-origin).max(columns.start);
                    let to = first(width as isize - origin).min(columns.end);
                    if from < to {
                        let w = (origin + (from * stride) as isize) as usize;
                        visit(from..to, (d * self.input[1] + h) * width + w, [d, h, w]);
                    }
                }
            }
        }
    }
}

/// A type with a maximum: `Key` orders its values as integers, -0 below +0, all NaN one key above everything.
pub trait MaxElement: Copy + Send + Sync + 'static {
    type Key: Ord + Copy;
    /// The key of -infinity, or of the least integer.
    const LOWEST: Self::Key;
    fn key(self) -> Self::Key;
    fn value(key: Self::Key) -> Self;
}

macro_rules! float_max {
    ($($t:ty, $int:ty, $infinity:expr;)*) => {$(
        impl MaxElement for $t {
            type Key = $int;
            const LOWEST: $int = !$infinity;
            #[inline(always)]
            fn key(self) -> $int {
                let bits = self.to_bits() as $int;
                let key = bits ^ ((bits >> (<$int>::BITS - 1)) & <$int>::MAX);
                if bits & <$int>::MAX > $infinity { <$int>::MAX } else { key }
            }
            #[inline(always)]
            fn value(key: $int) -> $t {
                <$t>::from_bits((key ^ ((key >> (<$int>::BITS - 1)) & <$int>::MAX)) as _)
            }
        }
    )*};
}
float_max! {
    f32, i32, 0x7f80_0000;
    f64, i64, 0x7ff0_0000_0000_0000;
    f16, i16, 0x7c00;
    bf16, i16, 0x7f80;
}

macro_rules! integer_max {
    ($($t:ty),*) => {$(
        impl MaxElement for $t {
            type Key = $t;
            const LOWEST: $t = <$t>::MIN;
            #[inline(always)]
            fn key(self) -> $t {
                self
            }
            #[inline(always)]
            fn value(key: $t) -> $t {
                key
            }
        }
    )*};
}
integer_max!(i8, u8);

/// Where MaxPool's indices go, and how they count.
#[derive(Debug)]
pub struct Indices<'a> {
    /// As long as the output.
    pub to: &'a mut [i64],
    /// Index of the first element of the first plane of `x` in the whole tensor.
    pub first: i64,
    /// `storage_order` 1: the plane is counted with its first axis fastest.
    pub column_major: bool,
}

/// Columns that are worked on together, in buffers on the stack.
const CHUNK: usize = 128;

/// MaxPool of whole planes. A window without any input position gives -infinity (the least integer) and index -1; of equal maxima the
/// first in row-major order has the index.
///
/// # Panics
/// If `x`, `y` or the indices are not whole planes of one number.
pub fn max_pool<T: MaxElement>(isa: Isa, shape: &PoolShape, x: &[T], y: &mut [T], indices: Option<Indices<'_>>) {
    check(shape, x.len(), y.len());
    match indices {
        None => dispatch(isa, MaxPool { shape, x, y }),
        Some(indices) => {
            assert_eq!(indices.to.len(), y.len());
            dispatch(isa, MaxPoolIndices { shape, x, y, indices });
        }
    }
}

fn check(shape: &PoolShape, x: usize, y: usize) {
    let (from, to) = (shape.in_plane(), shape.out_plane());
    assert!(shape.strides.iter().chain(&shape.dilations).all(|&s| s > 0));
    assert!(to == 0 && y == 0 || to > 0 && y.is_multiple_of(to) && (y / to).checked_mul(from) == Some(x));
}

/// Calls `visit(plane, row, columns, output offset)` for every chunk of every row of every plane.
#[inline(always)]
fn chunks(shape: &PoolShape, len: usize, mut visit: impl FnMut(usize, [usize; 2], Range<usize>, usize)) {
    let [_, height, width] = shape.output;
    for row in 0..len.checked_div(width).unwrap_or(0) {
        let (plane, at) = (row / height / shape.output[0], row % (height * shape.output[0]));
        for column in (0..width).step_by(CHUNK) {
            visit(plane, [at / height, at % height], column..(column + CHUNK).min(width), row * width + column);
        }
    }
}

/// `acc[i] = combine(acc[i], x[i * stride])`, with the small strides apart so that they become vectors.
#[inline(always)]
fn fold<T: Copy, U: Copy>(acc: &mut [U], x: &[T], stride: usize, combine: impl Fn(U, T) -> U) {
    match stride {
        1 => acc.iter_mut().zip(x).for_each(|(a, &x)| *a = combine(*a, x)),
        2 => {
            let (pairs, rest) = x.as_chunks::<2>();
            acc.iter_mut().zip(pairs).for_each(|(a, &[x, _])| *a = combine(*a, x));
            if let (Some(a), Some(&x)) = (acc.get_mut(pairs.len()), rest.first()) {
                *a = combine(*a, x);
            }
        }
        _ => acc.iter_mut().zip(x.iter().step_by(stride)).for_each(|(a, &x)| *a = combine(*a, x)),
    }
}

struct MaxPool<'a, T> {
    shape: &'a PoolShape,
    x: &'a [T],
    y: &'a mut [T],
}

// [panel: MaxPool]
impl<T: MaxElement> Kernel for MaxPool<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let MaxPool { shape, x, y } = self;
        let (size, stride) = (shape.in_plane(), shape.strides[2]);
        chunks(shape, y.len(), |plane, row, columns, to| {
            let mut best = [T::LOWEST; CHUNK];
            let x = &x[plane * size..][..size];
            shape.each(row, columns.clone(), |hit, offset, _| {
                let acc = &mut best[hit.start - columns.start..hit.end - columns.start];
                fold(acc, &x[offset..], stride, |a, x| a.max(x.key()));
            });
            for (y, &key) in y[to..to + columns.len()].iter_mut().zip(&best) {
                *y = T::value(key);
            }
        });
    }
}
// [/panel]

struct MaxPoolIndices<'a, T> {
    shape: &'a PoolShape,
    x: &'a [T],
    y: &'a mut [T],
    indices: Indices<'a>,
}

// [panel: MaxPool indices]
impl<T: MaxElement> Kernel for MaxPoolIndices<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let MaxPoolIndices { shape, x, y, indices } = self;
        let [depth, height, width] = shape.input.map(|n| n as i64);
        let (size, stride) = (shape.in_plane(), shape.strides[2]);
        let steps = if indices.column_major { [1, depth, depth * height] } else { [height * width, width, 1] };
        chunks(shape, y.len(), |plane, row, columns, to| {
            let mut best = [(T::LOWEST, -1i64); CHUNK];
            let x = &x[plane * size..][..size];
            let first = indices.first + (plane * size) as i64;
            shape.each(row, columns.clone(), |hit, offset, [d, h, w]| {
                let mut index = first + d as i64 * steps[0] + h as i64 * steps[1] + w as i64 * steps[2];
                let acc = &mut best[hit.start - columns.start..hit.end - columns.start];
                for (a, x) in acc.iter_mut().zip(x[offset..].iter().step_by(stride)) {
                    if x.key() > a.0 || a.1 < 0 {
                        *a = (x.key(), index);
                    }
                    index += steps[2] * stride as i64;
                }
            });
            let (y, index) = (&mut y[to..to + columns.len()], &mut indices.to[to..to + columns.len()]);
            for ((y, index), &(key, at)) in y.iter_mut().zip(index).zip(&best) {
                (*y, *index) = (T::value(key), at);
            }
        });
    }
}
// [/panel]

/// A type with an average: sums and quotients are of type `Sum`, the quotient is rounded once.
pub trait AverageElement: Copy + Send + Sync + 'static {
    type Sum: Copy;
    /// -0, the identity of addition.
    const IDENTITY: Self::Sum;
    fn add(sum: Self::Sum, x: Self) -> Self::Sum;
    /// `sum / count`, or +0 where `empty`.
    fn mean(sum: Self::Sum, count: usize, empty: bool) -> Self;
}

macro_rules! average {
    ($($t:ty, $sum:ty, $widen:expr, $narrow:expr;)*) => {$(
        impl AverageElement for $t {
            type Sum = $sum;
            const IDENTITY: $sum = -0.0;
            #[inline(always)]
            fn add(sum: $sum, x: $t) -> $sum {
                sum + $widen(x)
            }
            #[inline(always)]
            fn mean(sum: $sum, count: usize, empty: bool) -> $t {
                $narrow(if empty { 0.0 } else { sum / count as $sum })
            }
        }
    )*};
}
average! {
    f32, f32, |x| x, |y| y;
    f64, f64, |x| x, |y| y;
    f16, f32, f16::to_f32, f16::from_f32;
    bf16, f32, bf16::to_f32, bf16::from_f32;
}

/// AveragePool of whole planes. With `count_include_pad` padding counts (as +0), what hangs over the padded input never does. A window
/// without any input position gives +0.
///
/// # Panics
/// If `x` and `y` are not whole planes of one number.
pub fn average_pool<T: AverageElement>(isa: Isa, shape: &PoolShape, count_include_pad: bool, x: &[T], y: &mut [T]) {
    check(shape, x.len(), y.len());
    dispatch(isa, AveragePool { shape, count_include_pad, x, y });
}

struct AveragePool<'a, T> {
    shape: &'a PoolShape,
    count_include_pad: bool,
    x: &'a [T],
    y: &'a mut [T],
}

// [panel: AveragePool com.microsoft.QLinearAveragePool]
impl<T: AverageElement> Kernel for AveragePool<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let AveragePool { shape, count_include_pad, x, y } = self;
        let (size, stride) = (shape.in_plane(), shape.strides[2]);
        chunks(shape, y.len(), |plane, row, columns, to| {
            let mut sums = [T::IDENTITY; CHUNK];
            let x = &x[plane * size..][..size];
            shape.each(row, columns.clone(), |hit, offset, _| {
                let acc = &mut sums[hit.start - columns.start..hit.end - columns.start];
                fold(acc, &x[offset..], stride, T::add);
            });
            let lines = |include| shape.count(0, row[0], include) * shape.count(1, row[1], include);
            let (inside, counted) = (lines(false), lines(count_include_pad));
            let y = &mut y[to..to + columns.len()];
            for ((y, &sum), column) in y.iter_mut().zip(&sums).zip(columns) {
                let empty = inside == 0 || shape.count(2, column, false) == 0;
                *y = T::mean(sum, counted * shape.count(2, column, count_include_pad), empty);
            }
        });
    }
}
// [/panel]

/// Sums of the windows of whole planes, of terms that are never -0. A window without any input position gives +0.
///
/// # Panics
/// If `x` and `y` are not whole planes of one number.
pub fn sum_pool<T: AverageElement<Sum = T> + Default>(isa: Isa, shape: &PoolShape, x: &[T], y: &mut [T]) {
    check(shape, x.len(), y.len());
    dispatch(isa, SumPool { shape, x, y });
}

struct SumPool<'a, T> {
    shape: &'a PoolShape,
    x: &'a [T],
    y: &'a mut [T],
}

impl<T: AverageElement<Sum = T> + Default> Kernel for SumPool<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let SumPool { shape, x, y } = self;
        let (size, stride) = (shape.in_plane(), shape.strides[2]);
        chunks(shape, y.len(), |plane, row, columns, to| {
            let mut sums = [T::default(); CHUNK];
            let x = &x[plane * size..][..size];
            shape.each(row, columns.clone(), |hit, offset, _| {
                let acc = &mut sums[hit.start - columns.start..hit.end - columns.start];
                fold(acc, &x[offset..], stride, T::add);
            });
            y[to..to + columns.len()].copy_from_slice(&sums[..columns.len()]);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes() -> Vec<PoolShape> {
        let base = PoolShape {
            input: [1, 9, 11],
            kernel: [1, 3, 3],
            strides: [1, 2, 2],
            dilations: [1; 3],
            pads_begin: [0, 1, 1],
            pads_end: [0, 1, 1],
            output: [1, 5, 6],
        };
        vec![
            base,
            PoolShape { strides: [1; 3], output: [1, 9, 11], ..base },
            PoolShape { input: [1, 3, 300], strides: [1; 3], output: [1, 3, 300], ..base },
            PoolShape { input: [1, 3, 300], strides: [1, 1, 3], dilations: [1, 1, 2], output: [1, 3, 100], ..base },
            // The last windows hang over, or see padding only.
            PoolShape { strides: [1, 2, 3], output: [1, 6, 5], ..base },
            PoolShape { pads_begin: [0, 7, 7], pads_end: [0, 7, 7], output: [1, 11, 12], ..base },
            PoolShape {
                input: [4, 5, 6],
                kernel: [2, 3, 2],
                strides: [2, 1, 1],
                dilations: [1, 2, 3],
                pads_begin: [1, 2, 0],
                pads_end: [0, 1, 3],
                output: [2, 4, 6],
            },
            PoolShape { input: [1, 0, 4], output: [1, 1, 2], ..base },
            PoolShape { output: [1, 0, 3], ..base },
        ]
    }

    /// The window's input positions in row-major order, and how many positions lie in the padded input.
    fn window(s: &PoolShape, o: [usize; 3]) -> (Vec<[usize; 3]>, usize) {
        let (mut seen, mut padded) = (vec![], 0);
        for k in 0..s.kernel.iter().product() {
            let k = [k / (s.kernel[1] * s.kernel[2]), k / s.kernel[2] % s.kernel[1], k % s.kernel[2]];
            let p: [usize; 3] = std::array::from_fn(|i| o[i] * s.strides[i] + k[i] * s.dilations[i]);
            padded += (0..3).all(|i| p[i] < s.pads_begin[i] + s.input[i] + s.pads_end[i]) as usize;
            if (0..3).all(|i| (s.pads_begin[i]..s.pads_begin[i] + s.input[i]).contains(&p[i])) {
                seen.push(std::array::from_fn(|i| p[i] - s.pads_begin[i]));
            }
        }
        (seen, padded)
    }

    fn numbers(n: usize) -> Vec<f32> {
        let special = [f32::NAN, -0.0, 0.0, f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(0xffc0_0001), 1e-40, -3.5];
        let mut state = 42u64;
        let mut next = move || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state >> 33
        };
        (0..n)
            .map(|_| if next() % 5 == 0 { special[next() as usize % 8] } else { next() as f32 * 1e-9 - 1.0 })
            .collect()
    }

    fn above(a: f32, b: f32) -> bool {
        a > b || a.is_nan() && !b.is_nan() || a == 0.0 && b == 0.0 && b.is_sign_negative() && a.is_sign_positive()
    }

    fn outputs(s: &PoolShape) -> impl Iterator<Item = (usize, [usize; 3])> + use<> {
        let [d, h, w] = s.output;
        (0..3 * d * h * w).map(move |i| (i / (d * h * w), [i / (h * w) % d, i / w % h, i % w]))
    }

    #[test]
    fn max_is_the_first_maximum_on_every_isa() {
        for s in shapes() {
            let planes = if s.out_plane() == 0 { 0 } else { 3 };
            let x = numbers(planes * s.in_plane());
            let [depth, height, width] = s.input;
            for &isa in Isa::available() {
                for column_major in [false, true] {
                    let (mut y, mut index) = (vec![7f32; planes * s.out_plane()], vec![7; planes * s.out_plane()]);
                    max_pool(isa, &s, &x, &mut y, None);
                    let plain = y.clone();
                    max_pool(isa, &s, &x, &mut y, Some(Indices { to: &mut index, first: 1000, column_major }));
                    for (i, (plane, o)) in outputs(&s).enumerate() {
                        let (mut best, mut place) = (f32::NEG_INFINITY, -1);
                        for [d, h, w] in window(&s, o).0 {
                            let at = plane * s.in_plane() + (d * height + h) * width + w;
                            if place < 0 || above(x[at], best) {
                                let within =
                                    if column_major { d + depth * (h + height * w) } else { at % s.in_plane() };
                                (best, place) = (x[at], (1000 + plane * s.in_plane() + within) as i64);
                            }
                        }
                        for got in [y[i], plain[i]] {
                            assert!(got.to_bits() == best.to_bits() || got.is_nan() && best.is_nan(), "{s:?} {i}");
                        }
                        assert_eq!(index[i], place, "{s:?} {i}");
                    }
                }
            }
        }
    }

    #[test]
    fn narrow_types_have_the_same_maxima() {
        let s = shapes()[0];
        let x = numbers(3 * s.in_plane());
        let half: Vec<f16> = x.iter().map(|&x| f16::from_f32(x)).collect();
        let brain: Vec<bf16> = x.iter().map(|&x| bf16::from_f32(x)).collect();
        let wide = |v: Vec<f32>| v.into_iter().map(|x| if x.is_nan() { !0 } else { x.to_bits() }).collect::<Vec<u32>>();
        for &isa in Isa::available() {
            let n = 3 * s.out_plane();
            let (mut y, mut h, mut b) = (vec![0f32; n], vec![f16::ZERO; n], vec![bf16::ZERO; n]);
            max_pool(isa, &s, &half, &mut h, None);
            max_pool(isa, &s, &half.iter().map(|x| x.to_f32()).collect::<Vec<f32>>(), &mut y, None);
            assert_eq!(wide(h.iter().map(|x| x.to_f32()).collect()), wide(y.clone()));
            max_pool(isa, &s, &brain, &mut b, None);
            max_pool(isa, &s, &brain.iter().map(|x| x.to_f32()).collect::<Vec<f32>>(), &mut y, None);
            assert_eq!(wide(b.iter().map(|x| x.to_f32()).collect()), wide(y));
            let bytes: Vec<i8> = (0..3 * s.in_plane()).map(|i| (i * 37) as i8).collect();
            let mut y = vec![0i8; n];
            max_pool(isa, &s, &bytes, &mut y, None);
            for (i, (plane, o)) in outputs(&s).enumerate() {
                let seen = window(&s, o).0.into_iter();
                let want = seen.map(|[_, h, w]| bytes[plane * s.in_plane() + h * s.input[2] + w]).max();
                assert_eq!(y[i], want.unwrap_or(i8::MIN));
            }
        }
    }

    #[test]
    fn average_is_the_sequential_sum_over_the_count() {
        for s in shapes() {
            let planes = if s.out_plane() == 0 { 0 } else { 3 };
            let x = numbers(planes * s.in_plane());
            let half: Vec<f16> = x.iter().map(|&x| f16::from_f32(x)).collect();
            for &isa in Isa::available() {
                for include in [false, true] {
                    let n = planes * s.out_plane();
                    let (mut y, mut yh) = (vec![7f32; n], vec![f16::ONE; n]);
                    average_pool(isa, &s, include, &x, &mut y);
                    average_pool(isa, &s, include, &half, &mut yh);
                    for (i, (plane, o)) in outputs(&s).enumerate() {
                        let (seen, padded) = window(&s, o);
                        let at = |&[d, h, w]: &[usize; 3]| plane * s.in_plane() + (d * s.input[1] + h) * s.input[2] + w;
                        let count = if include { padded } else { seen.len() } as f32;
                        let mean = |get: &dyn Fn(usize) -> f32| {
                            let sum = seen.iter().map(|p| get(at(p))).reduce(|a, b| a + b);
                            sum.map_or(0.0, |sum| sum / count)
                        };
                        let (want, narrow) = (mean(&|i| x[i]), f16::from_f32(mean(&|i| half[i].to_f32())));
                        assert!(y[i].to_bits() == want.to_bits() || y[i].is_nan() && want.is_nan(), "{s:?} {i}");
                        assert!(yh[i].to_bits() == narrow.to_bits() || yh[i].is_nan() && narrow.is_nan(), "{s:?} {i}");
                    }
                }
            }
        }
    }
}
