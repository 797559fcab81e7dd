//! Arithmetic of two operands over rows: docs/numerics.md, sections 1 and 4.
//!
//! A row's operand is a slice or one number for all of it ([`Operand`]); broadcasting is the caller's walk over rows. float16
//! and bfloat16 widen to binary32, compute there and are rounded once. Integers wrap; their division is total.

use crate::functions::convert::{bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16};
use crate::lanes::*;
use crate::mutant::{self, Mutant};
use half::{bf16, f16};

/// Lanes of one step: one 512-bit register of f32, several registers where they are narrower.
const N: usize = 16;

/// An operation on two numbers of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    /// Integers: toward zero, x / 0 = 0, the least number / -1 is itself.
    Div,
    /// -0 below +0; NaN if an operand is NaN.
    Max,
    Min,
    /// `b * a` where `a < 0`, else a: PRelu of a with slope b.
    PRelu,
}

/// What a number computes in.
pub trait Compute: SimdElement + Default + Send + Sync + 'static {
    const ONE: Self;
    fn add(a: Simd<Self, N>, b: Simd<Self, N>) -> Simd<Self, N>;
    fn sub(a: Simd<Self, N>, b: Simd<Self, N>) -> Simd<Self, N>;
    fn mul(a: Simd<Self, N>, b: Simd<Self, N>) -> Simd<Self, N>;
    fn div(a: Simd<Self, N>, b: Simd<Self, N>) -> Simd<Self, N>;
    fn max(a: Simd<Self, N>, b: Simd<Self, N>) -> Simd<Self, N>;
    fn min(a: Simd<Self, N>, b: Simd<Self, N>) -> Simd<Self, N>;
    fn prelu(a: Simd<Self, N>, b: Simd<Self, N>) -> Simd<Self, N>;
}

macro_rules! compute {
    ($type:ty { $($name:ident => |$a:ident, $b:ident| $body:expr;)* }) => {
        impl Compute for $type {
            const ONE: Self = 1 as $type;
            $(#[inline(always)]
            fn $name($a: Simd<Self, N>, $b: Simd<Self, N>) -> Simd<Self, N> { $body })*
        }
    };
}

// [panel: Add Sub Mul Div Max Min Sum Mean PRelu Clip operations]
macro_rules! compute_floats {
    ($($type:ty),*) => {$(compute!($type {
        add => |a, b| a + b;
        sub => |a, b| a - b;
        mul => |a, b| a * b;
        div => |a, b| a / b;
        // Equal operands differ in the sign of a zero at most. A NaN b fails both comparisons and is chosen.
        max => |a, b| {
            let either = Simd::from_bits(a.to_bits() & b.to_bits());
            let chosen = a.simd_eq(b).select(either, a.simd_gt(b).select(a, b));
            if mutant::on(Mutant::LostNan) { chosen } else { a.simd_ne(a).select(a, chosen) }
        };
        min => |a, b| {
            let either = Simd::from_bits(a.to_bits() | b.to_bits());
            let chosen = a.simd_eq(b).select(either, a.simd_lt(b).select(a, b));
            a.simd_ne(a).select(a, chosen)
        };
        prelu => |a, b| a.simd_lt(Simd::splat(0.0)).select(b * a, a);
    });)*};
}
// [/panel]
compute_floats!(f32, f64);

macro_rules! compute_integers {
    ($($type:ty),*) => {$(compute!($type {
        add => |a, b| a + b;
        sub => |a, b| a - b;
        mul => |a, b| a * b;
        div => |a, b| {
            let (mut a, b) = (a.to_array(), b.to_array());
            for (a, b) in a.iter_mut().zip(b) {
                *a = if b == 0 { 0 } else { a.wrapping_div(b) };
            }
            Simd::from_array(a)
        };
        max => |a, b| a.simd_max(b);
        min => |a, b| a.simd_min(b);
        prelu => |a, b| a.simd_lt(Simd::splat(0)).select(b * a, a);
    });)*};
}
compute_integers!(i8, i16, i32, i64, u8, u16, u32, u64);

/// What a number is stored as.
pub trait Number: Copy + Default + Send + Sync + 'static {
    /// Its bits as a lane; as large as the number.
    type Bits: SimdElement;
    type Wide: Compute;
    /// Exact.
    fn widen(x: Simd<Self::Bits, N>) -> Simd<Self::Wide, N>;
    /// Rounds to nearest, ties to even.
    fn narrow(x: Simd<Self::Wide, N>) -> Simd<Self::Bits, N>;
}

macro_rules! numbers {
    ($($type:ty),*) => {$(impl Number for $type {
        type Bits = $type;
        type Wide = $type;
        #[inline(always)]
        fn widen(x: Simd<$type, N>) -> Simd<$type, N> { x }
        #[inline(always)]
        fn narrow(x: Simd<$type, N>) -> Simd<$type, N> { x }
    })*};
}
numbers!(f32, f64, i8, i16, i32, i64, u8, u16, u32, u64);

macro_rules! halves {
    ($($type:ty: $widen:ident, $narrow:ident;)*) => {$(impl Number for $type {
        type Bits = u16;
        type Wide = f32;
        #[inline(always)]
        fn widen(x: Simd<u16, N>) -> Simd<f32, N> { $widen(x) }
        #[inline(always)]
        fn narrow(x: Simd<f32, N>) -> Simd<u16, N> { $narrow(x) }
    })*};
}
halves! { f16: f16_to_f32, f32_to_f16; bf16: bf16_to_f32, f32_to_bf16; }

/// # Safety
/// `x` must be valid for reads of `N` numbers.
#[inline(always)]
unsafe fn load<T: Number>(x: *const T) -> Simd<T::Wide, N> {
    // SAFETY: by this function's contract; bits and number are of one size.
    T::widen(unsafe { x.cast::<Simd<T::Bits, N>>().read_unaligned() })
}

/// # Safety
/// `out` must be valid for writes of `N` numbers.
#[inline(always)]
unsafe fn store<T: Number>(x: Simd<T::Wide, N>, out: *mut T) {
    // SAFETY: by this function's contract; bits and number are of one size.
    unsafe { out.cast::<Simd<T::Bits, N>>().write_unaligned(T::narrow(x)) }
}

/// One operand of a row.
#[derive(Clone, Copy, Debug)]
pub enum Operand<T> {
    Slice(*const T),
    Scalar(T),
}

impl<T: Number> Operand<T> {
    /// The row that starts at `x`: of stride 1 or, one number for all of it, 0.
    ///
    /// # Safety
    /// `x` must be valid for reads as far as the row will be read.
    #[inline]
    pub unsafe fn at(x: *const T, stride: isize) -> Operand<T> {
        // SAFETY: by this function's contract.
        if stride == 0 { Operand::Scalar(unsafe { x.read() }) } else { Operand::Slice(x) }
    }

    /// Numbers `i .. i + N`; the first `count` alone are read, the others are 0.
    ///
    /// # Safety
    /// A slice must be valid for reads of `i + count` numbers.
    #[inline(always)]
    unsafe fn lanes(self, i: usize, count: usize) -> Simd<T::Wide, N> {
        match self {
            Operand::Scalar(x) => {
                let all = [x; N];
                // SAFETY: N numbers.
                unsafe { load(all.as_ptr()) }
            }
            // SAFETY: by this function's contract.
            Operand::Slice(x) if count == N => unsafe { load(x.add(i)) },
            Operand::Slice(x) => {
                let mut part = [T::default(); N];
                // SAFETY: as above, and count < N.
                unsafe { std::ptr::copy_nonoverlapping(x.add(i), part.as_mut_ptr(), count) };
                // SAFETY: N numbers.
                unsafe { load(part.as_ptr()) }
            }
        }
    }
}

/// `out[i] = a[i] op b[i]` for a row of `len`.
///
/// # Safety
/// Slices and `out` must be valid for `len` numbers. `out` may be the same place as a slice, but not overlap it otherwise.
pub unsafe fn binary<T: Number>(isa: Isa, op: Binary, a: Operand<T>, b: Operand<T>, out: *mut T, len: usize) {
    dispatch(isa, BinaryRow { op, a, b, out, len });
}

struct BinaryRow<T> {
    op: Binary,
    a: Operand<T>,
    b: Operand<T>,
    out: *mut T,
    len: usize,
}

impl<T: Number> Kernel for BinaryRow<T> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        match self.op {
            Binary::Add => self.row(T::Wide::add),
            Binary::Sub => self.row(T::Wide::sub),
            Binary::Mul => self.row(T::Wide::mul),
            Binary::Div => self.row(T::Wide::div),
            Binary::Max => self.row(T::Wide::max),
            Binary::Min => self.row(T::Wide::min),
            Binary::PRelu => self.row(T::Wide::prelu),
        }
    }
}

// [panel: Add Sub Mul Div PRelu rows]
impl<T: Number> BinaryRow<T> {
    #[inline(always)]
    fn row(self, f: impl Fn(Simd<T::Wide, N>, Simd<T::Wide, N>) -> Simd<T::Wide, N>) {
        // SAFETY: `binary`'s contract.
        unsafe {
            match (self.a, self.b) {
                (Operand::Slice(a), Operand::Slice(b)) => self.sweep(|i| f(load(a.add(i)), load(b.add(i)))),
                (Operand::Slice(a), scalar) => {
                    let b = scalar.lanes(0, N);
                    self.sweep(|i| f(load(a.add(i)), b));
                }
                (scalar, Operand::Slice(b)) => {
                    let a = scalar.lanes(0, N);
                    self.sweep(|i| f(a, load(b.add(i))));
                }
                (a, b) => {
                    let y = f(a.lanes(0, N), b.lanes(0, N));
                    self.sweep(|_| y);
                }
            }
            let i = self.len / N * N;
            let rest = self.len - i;
            if rest > 0 {
                let mut part = [T::default(); N];
                store(f(self.a.lanes(i, rest), self.b.lanes(i, rest)), part.as_mut_ptr());
                std::ptr::copy_nonoverlapping(part.as_ptr(), self.out.add(i), rest);
            }
        }
    }

    /// Stores `f(i)` at every whole step.
    ///
    /// # Safety
    /// `out` must be valid for writes of `len` numbers.
    #[inline(always)]
    unsafe fn sweep(&self, f: impl Fn(usize) -> Simd<T::Wide, N>) {
        for i in (0..self.len / N * N).step_by(N) {
            // SAFETY: by this function's contract.
            unsafe { store(f(i), self.out.add(i)) };
        }
    }
}
// [/panel]

/// `sums[i] = sums[i] op x[i]`, or with `op` of `None`: `sums[i] = x[i]`. What is in `sums` is not rounded to `T`.
///
/// # Safety
/// A slice must be valid for reads of `sums.len()` numbers.
pub unsafe fn accumulate<T: Number>(isa: Isa, op: Option<Binary>, sums: &mut [T::Wide], x: Operand<T>) {
    dispatch(isa, Accumulate { op, sums, x });
}

struct Accumulate<'a, T: Number> {
    op: Option<Binary>,
    sums: &'a mut [T::Wide],
    x: Operand<T>,
}

impl<T: Number> Kernel for Accumulate<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        match self.op {
            None => self.sweep(|_, x| x),
            Some(Binary::Add) => self.sweep(T::Wide::add),
            Some(Binary::Sub) => self.sweep(T::Wide::sub),
            Some(Binary::Mul) => self.sweep(T::Wide::mul),
            Some(Binary::Div) => self.sweep(T::Wide::div),
            Some(Binary::Max) => self.sweep(T::Wide::max),
            Some(Binary::Min) => self.sweep(T::Wide::min),
            Some(Binary::PRelu) => self.sweep(T::Wide::prelu),
        }
    }
}

// [panel: Sum Max Min Mean]
impl<T: Number> Accumulate<'_, T> {
    #[inline(always)]
    fn sweep(self, f: impl Fn(Simd<T::Wide, N>, Simd<T::Wide, N>) -> Simd<T::Wide, N>) {
        for (step, sums) in self.sums.chunks_mut(N).enumerate() {
            let mut part = [T::Wide::default(); N];
            part[..sums.len()].copy_from_slice(sums);
            // SAFETY: `accumulate`'s contract.
            let x = unsafe { self.x.lanes(step * N, sums.len()) };
            sums.copy_from_slice(&f(Simd::from_array(part), x).to_array()[..sums.len()]);
        }
    }
}
// [/panel]

/// `out[i] = sums[i]`, rounded once to `T`.
pub fn round<T: Number>(isa: Isa, sums: &[T::Wide], out: &mut [T]) {
    debug_assert_eq!(sums.len(), out.len());
    dispatch(isa, Round { sums, out });
}

struct Round<'a, T: Number> {
    sums: &'a [T::Wide],
    out: &'a mut [T],
}

impl<T: Number> Kernel for Round<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        for (out, sums) in self.out.chunks_mut(N).zip(self.sums.chunks(N)) {
            let mut wide = [T::Wide::default(); N];
            wide[..sums.len()].copy_from_slice(sums);
            let mut part = [T::default(); N];
            // SAFETY: N numbers.
            unsafe { store::<T>(Simd::from_array(wide), part.as_mut_ptr()) };
            out.copy_from_slice(&part[..out.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T: Number>(isa: Isa, op: Binary, a: &[T], b: &[T]) -> Vec<T> {
        let mut out = vec![T::default(); a.len().max(b.len())];
        let operand = |x: &[T]| if x.len() == 1 { Operand::Scalar(x[0]) } else { Operand::Slice(x.as_ptr()) };
        // SAFETY: the slices are as long as out.
        unsafe { binary(isa, op, operand(a), operand(b), out.as_mut_ptr(), out.len()) };
        out
    }

    #[test]
    fn integer_division_is_total() {
        for &isa in Isa::available() {
            let a: Vec<i32> = (0..37).map(|i| [i32::MIN, 7, -7, 0, i32::MAX][i % 5]).collect();
            let b: Vec<i32> = (0..37).map(|i| [-1, 0, 2, -3][i % 4]).collect();
            let want: Vec<i32> = a.iter().zip(&b).map(|(&a, &b)| if b == 0 { 0 } else { a.wrapping_div(b) }).collect();
            assert_eq!(run(isa, Binary::Div, &a, &b), want);
            assert_eq!(run(isa, Binary::Div, &[200u8; 21], &[0]), [0u8; 21]);
        }
    }

    #[test]
    fn zeros_are_ordered_and_nans_win() {
        let special = [0.0f32, -0.0, 1.0, -1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        for &isa in Isa::available() {
            for x in special {
                let b: Vec<f32> = special.iter().cycle().take(23).copied().collect();
                for (op, want) in [(Binary::Max, 1.0f32), (Binary::Min, -1.0)] {
                    for (got, &y) in run(isa, op, &[x], &b).into_iter().zip(&b) {
                        if x.is_nan() || y.is_nan() {
                            assert!(got.is_nan());
                            continue;
                        }
                        let first = if x == y {
                            (x.is_sign_negative() && want < 0.0) || (!x.is_sign_negative() && want > 0.0)
                        } else {
                            (x > y) == (want > 0.0)
                        };
                        assert_eq!(got.to_bits(), if first { x } else { y }.to_bits(), "{op:?} {x} {y}");
                    }
                }
            }
        }
    }

    #[test]
    fn halves_round_once_and_every_length_has_a_tail() {
        for &isa in Isa::available() {
            for len in 0..40usize {
                let a: Vec<f16> = (0..len.max(2)).map(|i| f16::from_f32(i as f32 * 0.37 - 3.0)).collect();
                let b: Vec<f16> = a.iter().map(|x| f16::from_f32(x.to_f32() * 1.7 + 0.1)).collect();
                let want: Vec<u16> =
                    a.iter().zip(&b).map(|(a, b)| f16::from_f32(a.to_f32() * b.to_f32()).to_bits()).collect();
                let got: Vec<u16> = run(isa, Binary::Mul, &a, &b).iter().map(|y| y.to_bits()).collect();
                assert_eq!(got, want);
            }
        }
    }
}
