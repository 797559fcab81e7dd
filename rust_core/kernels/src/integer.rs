//! Integers: functions of one number, powers, and the way through binary64. All wrap; none traps.

use crate::lanes::*;

/// A two's complement or unsigned integer.
pub trait Integer: Copy + Default + PartialOrd + Send + Sync + 'static {
    const ONE: Self;
    fn wrapping_abs(self) -> Self;
    fn wrapping_neg(self) -> Self;
    /// 1, 0 or -1.
    fn signum(self) -> Self;
    fn wrapping_add(self, other: Self) -> Self;
    fn wrapping_mul(self, other: Self) -> Self;
    /// Toward zero; x / 0 = 0, the least number / -1 is itself.
    fn quotient(self, divisor: Self) -> Self;
    /// The rest of that division, with the sign of self; x rem 0 = 0.
    fn remainder(self, divisor: Self) -> Self;
    /// The low bits of a count.
    fn from_count(count: usize) -> Self;
    /// Nearest, ties to even.
    fn to_f64(self) -> f64;
    /// Toward zero, saturating; NaN gives 0.
    fn from_f64(x: f64) -> Self;
    fn is_odd(self) -> bool;
    /// Half of a number that is not negative, rounded down.
    fn halved(self) -> Self;
}

macro_rules! integer {
    ($abs:expr, $signum:expr, [$($type:ty),*]) => {$(impl Integer for $type {
        const ONE: Self = 1;
        #[inline(always)]
        fn wrapping_abs(self) -> Self { let f: fn($type) -> $type = $abs; f(self) }
        #[inline(always)]
        fn wrapping_neg(self) -> Self { <$type>::wrapping_neg(self) }
        #[inline(always)]
        fn signum(self) -> Self { let f: fn($type) -> $type = $signum; f(self) }
        #[inline(always)]
        fn wrapping_add(self, other: Self) -> Self { <$type>::wrapping_add(self, other) }
        #[inline(always)]
        fn wrapping_mul(self, other: Self) -> Self { <$type>::wrapping_mul(self, other) }
        #[inline(always)]
        fn quotient(self, divisor: Self) -> Self { if divisor == 0 { 0 } else { self.wrapping_div(divisor) } }
        #[inline(always)]
        fn remainder(self, divisor: Self) -> Self { if divisor == 0 { 0 } else { self.wrapping_rem(divisor) } }
        #[inline(always)]
        fn from_count(count: usize) -> Self { count as $type }
        #[inline(always)]
        fn to_f64(self) -> f64 { self as f64 }
        #[inline(always)]
        fn from_f64(x: f64) -> Self { x as $type }
        #[inline(always)]
        fn is_odd(self) -> bool { self & 1 == 1 }
        #[inline(always)]
        fn halved(self) -> Self { self >> 1 }
    })*};
}
integer!(|x| x.wrapping_abs(), |x| x.signum(), [i8, i16, i32, i64]);
integer!(|x| x, |x| x.min(1), [u8, u16, u32, u64]);

/// A function of one integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unary {
    Abs,
    Neg,
    Sign,
}

/// `dst[i] = op(src[i])` for i < n. `dst` may be `src`.
///
/// # Safety
/// `src` is valid for reading and `dst` for writing `n` integers.
pub unsafe fn unary<T: Integer>(isa: Isa, op: Unary, src: *const T, dst: *mut T, n: usize) {
    dispatch(isa, Map { op, src, dst, n });
}

struct Map<T> {
    op: Unary,
    src: *const T,
    dst: *mut T,
    n: usize,
}

/// Integers read before any is written, so that `dst` may be `src` and the loop is still one of vectors.
const BLOCK: usize = 64;

impl<T: Integer> Kernel for Map<T> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        match self.op {
            Unary::Abs => self.map(T::wrapping_abs),
            Unary::Neg => self.map(T::wrapping_neg),
            Unary::Sign => self.map(T::signum),
        }
    }
}

impl<T: Integer> Map<T> {
    #[inline(always)]
    fn map(self, f: impl Fn(T) -> T) {
        let mut block = [T::default(); BLOCK];
        for i in (0..self.n).step_by(BLOCK) {
            let count = BLOCK.min(self.n - i);
            // SAFETY: i + count <= n, by `unary`'s contract; the block is apart from both.
            unsafe {
                std::ptr::copy_nonoverlapping(self.src.add(i), block.as_mut_ptr(), count);
                for x in &mut block {
                    *x = f(*x);
                }
                std::ptr::copy_nonoverlapping(block.as_ptr(), self.dst.add(i), count);
            }
        }
    }
}

/// The rest of the division rounded down, with the sign of `b`; a mod 0 = 0.
#[inline]
pub fn modulo<T: Integer>(a: T, b: T) -> T {
    let (zero, rest) = (T::default(), a.remainder(b));
    if rest != zero && (rest < zero) != (b < zero) { rest.wrapping_add(b) } else { rest }
}

/// `x ^ y`, wrapping, by repeated squaring. A negative exponent gives 0, but for the bases 1 and -1.
#[inline]
pub fn power<T: Integer, E: Integer>(x: T, y: E) -> T {
    let zero = E::default();
    if y < zero {
        let minus_one = T::default() > T::ONE.wrapping_neg();
        return match x {
            x if x == T::ONE => x,
            x if minus_one && x == T::ONE.wrapping_neg() => {
                if y.is_odd() {
                    x
                } else {
                    T::ONE
                }
            }
            _ => T::default(),
        };
    }
    let (mut result, mut base, mut left) = (T::ONE, x, y);
    while left > zero {
        if left.is_odd() {
            result = result.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        left = left.halved();
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_wrap_and_negative_exponents_are_total() {
        assert_eq!(power(3i32, 40u8), 3i32.wrapping_pow(40));
        assert_eq!(power(-2i64, 63i32), i64::MIN);
        assert_eq!([power(-1i32, -3i8), power(-1i32, -4i8), power(1i32, i8::MIN), power(2i32, -1i8)], [-1, 1, 1, 0]);
        assert_eq!(power(0i32, 0i64), 1);
        assert_eq!(power(0i32, -1i64), 0);
    }

    #[test]
    fn rests_have_their_signs_and_never_trap() {
        let cases = [(7, 3, 1, 1), (-7, 3, -1, 2), (7, -3, 1, -2), (-7, -3, -1, -1), (6, -3, 0, 0), (5, 0, 0, 0)];
        for (a, b, truncated, floored) in cases {
            assert_eq!((i32::remainder(a, b), modulo(a, b)), (truncated, floored), "{a} {b}");
        }
        assert_eq!((i64::remainder(i64::MIN, -1), modulo(i64::MIN, -1), modulo(i8::MIN, -1)), (0, 0, 0));
        assert_eq!((modulo(250u8, 7), modulo(i8::MIN, i8::MAX)), (5, 126));
    }

    #[test]
    fn functions_wrap_on_every_isa() {
        for &isa in Isa::available() {
            let x: Vec<i8> = (0..131).map(|i| [i8::MIN, 0, 5, -5][i % 4]).collect();
            let mut y = vec![0i8; x.len()];
            // SAFETY: both have 131 integers.
            unsafe { unary(isa, Unary::Abs, x.as_ptr(), y.as_mut_ptr(), x.len()) };
            assert!(x.iter().zip(&y).all(|(x, &y)| y == x.wrapping_abs()));
        }
    }
}
