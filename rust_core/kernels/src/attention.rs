//! What attention does between its matrix products (docs/numerics.md, section 4): rows of queries, keys and values come in
//! widened and scaled; rows of scores get their cap, their bias and their Softmax; rows of results go out, rounded once.

use crate::functions::{Arithmetic, Float, Real, Stash};
use crate::gemm::Scalar;
use crate::lanes::*;
use crate::reduce::{Itself, LANES, Maximum, reduce_row};
use crate::softmax::{map_row, sum_of_exponentials};

/// A type that scores are computed in.
pub trait Computed: Scalar + Stash + PartialOrd {}
impl Computed for f32 {}
impl Computed for f64 {}

/// `dst[i][j] = rn(src[i][j] * factor)` in `W`, without a factor `rn(src[i][j])`; rows of `src` lie `stride` apart.
///
/// # Safety
/// `rows` rows of `cols` elements are readable at `src`, a pointer to `T`.
///
/// # Panics
/// If `dst` is shorter than `rows * cols`.
pub unsafe fn load_rows<T: Float, W: Computed>(
    isa: Isa,
    src: *const u8,
    stride: usize,
    [rows, cols]: [usize; 2],
    factor: Option<W>,
    dst: &mut [W],
) {
    assert!(dst.len() >= rows * cols);
    if cols == 0 {
        return;
    }
    for (i, dst) in dst.chunks_exact_mut(cols).enumerate().take(rows) {
        // SAFETY: row i has `cols` elements.
        let src = unsafe { src.cast::<T>().add(i * stride) };
        dispatch(isa, Load { src, factor, dst });
    }
}

struct Load<'a, T, W> {
    src: *const T,
    factor: Option<W>,
    dst: &'a mut [W],
}

impl<T: Float, W: Computed> Kernel for Load<'_, T, W> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let n = self.dst.len();
        for i in (0..n).step_by(LANES) {
            let count = LANES.min(n - i);
            // SAFETY: `count` elements are left on both sides.
            unsafe {
                let x = W::lanes_from::<T, LANES>(T::load_partial::<LANES>(self.src.add(i), count));
                let x = match self.factor {
                    Some(factor) => x * <W::Lanes<LANES> as Real>::splat(factor),
                    None => x,
                };
                W::store_partial::<LANES>(x, self.dst.as_mut_ptr().add(i), count);
            }
        }
    }
}

/// `row[i] = rn(cap * tanh(rn(row[i] / cap)))`.
pub fn softcap<W: Computed>(isa: Isa, cap: W, row: &mut [W]) {
    dispatch(isa, Softcap { cap, row });
}

struct Softcap<'a, W> {
    cap: W,
    row: &'a mut [W],
}

impl<W: Computed> Kernel for Softcap<'_, W> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let cap = <W::Lanes<LANES> as Real>::splat(self.cap);
        let row = self.row.as_mut_ptr();
        // SAFETY: the row is read and written as long as it is.
        unsafe { map_row::<W>(row, row, self.row.len(), |x| cap * (x / cap).tanh::<A>()) };
    }
}

/// Adds a mask of numbers to scores; a key whose mask is -inf gets the score -inf. Returns how many keys are left. The mask's
/// elements lie `stride` (0 or 1) apart; `W` is what `T` computes in.
///
/// # Safety
/// `row.len()` elements (one, with a stride of 0) of type `T` are readable at `mask`.
pub unsafe fn add_mask<T: Float, W: Computed>(isa: Isa, mask: *const u8, stride: usize, row: &mut [W]) -> usize {
    dispatch(isa, AddMask { mask: mask.cast::<T>(), stride, row })
}

struct AddMask<'a, T, W> {
    mask: *const T,
    stride: usize,
    row: &'a mut [W],
}

impl<T: Float, W: Computed> Kernel for AddMask<'_, T, W> {
    type Output = usize;
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) -> usize {
        let none = W::from_f32(f32::NEG_INFINITY);
        let mut left = 0;
        for (i, row) in self.row.chunks_mut(LANES).enumerate() {
            let mut one = [T::ZERO; LANES];
            // SAFETY: the mask has as many elements as the row, or one.
            let bias = unsafe {
                if self.stride == 0 {
                    one.fill(*self.mask);
                    T::load::<LANES>(one.as_ptr())
                } else {
                    T::load_partial::<LANES>(self.mask.add(i * LANES), row.len())
                }
            };
            let bias = W::to_array(W::lanes_from::<T, LANES>(bias));
            for (x, &bias) in row.iter_mut().zip(&bias) {
                let out = bias == none;
                *x = if out { none } else { *x + bias };
                left += usize::from(!out);
            }
        }
        left
    }
}

/// As [`add_mask`], of booleans: false is -inf, true 0.
///
/// # Safety
/// `row.len()` bytes (one, with a stride of 0) are readable at `mask`.
pub unsafe fn apply_mask<W: Computed>(_: Isa, mask: *const u8, stride: usize, row: &mut [W]) -> usize {
    let mut left = 0;
    for (i, x) in row.iter_mut().enumerate() {
        // SAFETY: the mask has as many elements as the row, or one.
        let takes_part = unsafe { *mask.add(i * stride) } != 0;
        // Adding +0 makes -0 of a score +0.
        *x = if takes_part { *x + W::from_f32(0.0) } else { W::from_f32(f32::NEG_INFINITY) };
        left += usize::from(takes_part);
    }
    left
}

/// Softmax of a part of a row: element `first` (a multiple of 16) of the whole and its successors. The others are -inf, and some element of
/// this part is not.
pub fn softmax<W: Computed>(isa: Isa, first: usize, row: &mut [W]) {
    dispatch(isa, Softmax { first, row, sink: None });
}

/// As [`softmax`], with the score of a further key, whose exponential is added to the others' sum.
pub fn softmax_with_sink<W: Computed>(isa: Isa, first: usize, row: &mut [W], sink: W) {
    dispatch(isa, Softmax { first, row, sink: Some(sink) });
}

struct Softmax<'a, W> {
    first: usize,
    row: &'a mut [W],
    sink: Option<W>,
}

// [panel: Attention ai.onnx.preview.FlexAttention com.microsoft.Attention softmax]
// [panel: com.microsoft.MultiHeadAttention com.microsoft.GroupQueryAttention softmax]
impl<W: Computed> Kernel for Softmax<'_, W> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let (n, row) = (self.row.len(), self.row.as_mut_ptr());
        if n == 0 {
            return;
        }
        // SAFETY: the row has n elements.
        unsafe {
            let maximum = reduce_row::<A, W, W, Maximum, _>(row, n, Itself);
            let maximum = self.sink.map_or(maximum, |sink| greater(maximum, sink));
            let m = <W::Lanes<LANES> as Real>::splat(maximum);
            let mut sum = sum_of_exponentials::<A, W>(row, Some(row), n, m, self.first);
            if let Some(sink) = self.sink {
                let e = (<W::Lanes<LANES> as Real>::splat(sink) - m).exp::<A>();
                sum = sum + W::to_array(e)[0];
            }
            let r = <W::Lanes<LANES> as Real>::splat(W::from_f32(1.0) / sum);
            map_row::<W>(row, row, n, |e| e * r);
        }
    }
}
// [/panel]
// [/panel]

/// The greater number, NaN if one is. Which zero it is makes no difference to differences' exponentials.
#[inline(always)]
#[allow(clippy::eq_op)]
fn greater<W: Computed>(a: W, b: W) -> W {
    if a != a || a > b { a } else { b }
}

/// As [`softmax`], with scores and probabilities rounded to `S` and computed in its wide type. `room` is as long as the row.
pub fn softmax_as<S: Float, W: Computed>(isa: Isa, first: usize, row: &mut [W], room: &mut [f64])
where
    S::Wide: Computed,
{
    let bytes = std::ptr::from_mut(&mut room[..row.len()]).cast::<S::Wide>();
    // SAFETY: the room's elements are at least as long and as aligned as those of S::Wide, f32 or f64, of which any bits are one.
    let room = unsafe { std::slice::from_raw_parts_mut(bytes, row.len()) };
    dispatch(isa, Convert::<S, W, true> { row, room, stored: std::marker::PhantomData });
    softmax::<S::Wide>(isa, first, room);
    dispatch(isa, Convert::<S, W, false> { row, room, stored: std::marker::PhantomData });
}

/// From the row to the room (`INTO`) or back, rounded to S on the way.
struct Convert<'a, S: Float, W, const INTO: bool> {
    row: &'a mut [W],
    room: &'a mut [S::Wide],
    stored: std::marker::PhantomData<S>,
}

impl<S: Float, W: Computed, const INTO: bool> Kernel for Convert<'_, S, W, INTO> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        for (row, room) in self.row.chunks_mut(LANES).zip(self.room.chunks_mut(LANES)) {
            let count = row.len();
            // SAFETY: both have `count` elements.
            unsafe {
                if INTO {
                    let x = W::load_partial::<LANES>(row.as_ptr(), count);
                    room.copy_from_slice(&S::to_array(W::lanes_into::<S, LANES>(x))[..count]);
                } else {
                    let x = <S::Wide as Float>::load_partial::<LANES>(room.as_ptr(), count);
                    let x = <S::Wide as Stash>::lanes_into::<S, LANES>(x);
                    W::store_partial::<LANES>(W::lanes_from::<S, LANES>(x), row.as_mut_ptr(), count);
                }
            }
        }
    }
}

/// `dst[i] = rn(row[i] + 0)`, rounded to `T`: a zero becomes +0. Without `positive`, `rn(row[i])`.
///
/// # Safety
/// `row.len()` elements of `T` are writable at `dst`.
pub unsafe fn store_row<T: Float, W: Computed>(isa: Isa, positive: bool, row: &[W], dst: *mut u8) {
    dispatch(isa, Store { positive, row, dst: dst.cast::<T>() });
}

struct Store<'a, T, W> {
    positive: bool,
    row: &'a [W],
    dst: *mut T,
}

impl<T: Float, W: Computed> Kernel for Store<'_, T, W> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        // Adding -0 changes nothing.
        let zero = <W::Lanes<LANES> as Arithmetic>::from_f32(if self.positive { 0.0 } else { -0.0 });
        for (i, row) in self.row.chunks(LANES).enumerate() {
            // SAFETY: the chunk's elements are readable, and writable at its place in `dst`.
            unsafe {
                let x = W::load_partial::<LANES>(row.as_ptr(), row.len()) + zero;
                T::store_partial::<LANES>(W::lanes_into::<T, LANES>(x), self.dst.add(i * LANES), row.len());
            }
        }
    }
}

/// Whether any number is NaN.
#[allow(clippy::eq_op)]
pub fn has_nan<W: Computed>(row: &[W]) -> bool {
    row.iter().fold(false, |found, x| found | (x != x))
}

/// `acc[i] = fma(p, v[i], acc[i])`.
pub fn accumulate<W: Computed>(isa: Isa, p: W, v: &[W], acc: &mut [W]) {
    assert_eq!(v.len(), acc.len());
    dispatch(isa, Accumulate { p, v, acc });
}

struct Accumulate<'a, W> {
    p: W,
    v: &'a [W],
    acc: &'a mut [W],
}

// [panel: Attention ai.onnx.preview.FlexAttention com.microsoft.Attention values]
// [panel: com.microsoft.MultiHeadAttention com.microsoft.GroupQueryAttention values]
impl<W: Computed> Kernel for Accumulate<'_, W> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let p = <W::Lanes<LANES> as Real>::splat(self.p);
        for (v, acc) in self.v.chunks(LANES).zip(self.acc.chunks_mut(LANES)) {
            let count = v.len();
            // SAFETY: both chunks have `count` elements.
            unsafe {
                let sum = <W::Lanes<LANES> as Real>::multiply_add::<A>(
                    p,
                    W::load_partial::<LANES>(v.as_ptr(), count),
                    W::load_partial::<LANES>(acc.as_ptr(), count),
                );
                W::store_partial::<LANES>(sum, acc.as_mut_ptr(), count);
            }
        }
    }
}
// [/panel]
// [/panel]

/// `dst[i] = rn(src[i] + addend[i])`, in what `T` computes in, rounded to it.
///
/// # Safety
/// `n` elements of `T` are readable at `src` and `addend`, and writable at `dst`.
pub unsafe fn add_row<T: Float>(isa: Isa, src: *const T, addend: *const T, dst: *mut T, n: usize) {
    dispatch(isa, AddRow { src, addend, dst, n });
}

struct AddRow<T> {
    src: *const T,
    addend: *const T,
    dst: *mut T,
    n: usize,
}

impl<T: Float> Kernel for AddRow<T> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        for i in (0..self.n).step_by(LANES) {
            let count = LANES.min(self.n - i);
            // SAFETY: `count` elements are left of each.
            unsafe {
                let sum = T::load_partial::<LANES>(self.src.add(i), count)
                    + T::load_partial::<LANES>(self.addend.add(i), count);
                T::store_partial::<LANES>(sum, self.dst.add(i), count);
            }
        }
    }
}
