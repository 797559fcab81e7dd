//! One function over a slice.

use super::{Arithmetic, Float, Real};
use crate::lanes::*;

/// A function of one number. Factors are binary32, as ONNX's FLOAT attributes are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unary {
    Abs,
    Acos,
    Acosh,
    Asin,
    Asinh,
    Atan,
    Atanh,
    Ceil,
    Cos,
    Cosh,
    /// `rn(alpha * rn(exp(x) - 1))` below 0, else x.
    Elu {
        alpha: f32,
    },
    Erf,
    Exp,
    Floor,
    /// `max(0, min(1, rn(rn(alpha * x) + beta)))`.
    HardSigmoid {
        alpha: f32,
        beta: f32,
    },
    /// `rn(x * HardSigmoid(x))` with alpha = rn(1/6), beta = 1/2.
    HardSwish,
    /// `rn(alpha * x)` below 0, else x.
    LeakyRelu {
        alpha: f32,
    },
    Log,
    Neg,
    Reciprocal,
    /// `max(x, +0)`.
    Relu,
    /// To integral, ties to even.
    Round,
    Sigmoid,
    /// 1, -1, +0 for both zeros, NaN.
    Sign,
    Sin,
    Sinh,
    Softplus,
    Sqrt,
    Tan,
    Tanh,
}

/// `dst[i] = op(src[i])` for i < n, rounded once to T. `dst` may be `src`; otherwise they do not overlap.
///
/// # Safety
/// `src` is valid for reading and `dst` for writing `n` elements.
pub unsafe fn unary<T: Float>(isa: Isa, op: Unary, src: *const T, dst: *mut T, n: usize) {
    macro_rules! map {
        ($function:expr) => {
            dispatch(isa, Map { function: $function, src, dst, n })
        };
    }
    match op {
        Unary::Abs => map!(Abs),
        Unary::Acos => map!(Acos),
        Unary::Acosh => map!(Acosh),
        Unary::Asin => map!(Asin),
        Unary::Asinh => map!(Asinh),
        Unary::Atan => map!(Atan),
        Unary::Atanh => map!(Atanh),
        Unary::Ceil => map!(Ceil),
        Unary::Cos => map!(Cos),
        Unary::Cosh => map!(Cosh),
        Unary::Elu { alpha } => map!(Elu(alpha)),
        Unary::Erf => map!(Erf),
        Unary::Exp => map!(Exp),
        Unary::Floor => map!(Floor),
        Unary::HardSigmoid { alpha, beta } => map!(HardSigmoid(alpha, beta)),
        Unary::HardSwish => map!(HardSwish),
        Unary::LeakyRelu { alpha } => map!(LeakyRelu(alpha)),
        Unary::Log => map!(Log),
        Unary::Neg => map!(Neg),
        Unary::Reciprocal => map!(Reciprocal),
        Unary::Relu => map!(Relu),
        Unary::Round => map!(Round),
        Unary::Sigmoid => map!(Sigmoid),
        Unary::Sign => map!(Sign),
        Unary::Sin => map!(Sin),
        Unary::Sinh => map!(Sinh),
        Unary::Softplus => map!(Softplus),
        Unary::Sqrt => map!(Sqrt),
        Unary::Tan => map!(Tan),
        Unary::Tanh => map!(Tanh),
    }
}

/// A function of a vector, as a type: each becomes a loop of its own.
trait Function: Copy {
    fn apply<A: Arch, V: Real>(self, x: V) -> V;
}

macro_rules! functions {
    ($($name:ident $(($($field:ident),*))? : |$x:ident| $body:expr;)*) => {$(
        #[derive(Clone, Copy)]
        struct $name $(($(functions!(@f32 $field)),*))?;
        impl Function for $name {
            #[inline(always)]
            fn apply<A: Arch, V: Real>(self, $x: V) -> V {
                $(let $name($($field),*) = self; $(let $field = V::from_f32($field);)*)?
                $body
            }
        }
    )*};
    (@f32 $field:ident) => { f32 };
}
functions! {
    Abs: |x| x.abs();
    Acos: |x| x.acos();
    Acosh: |x| x.acosh();
    Asin: |x| x.asin();
    Asinh: |x| x.asinh();
    Atan: |x| x.atan();
    Atanh: |x| x.atanh();
    Ceil: |x| x.ceil();
    Cos: |x| x.cos();
    Cosh: |x| x.cosh();
    Elu(alpha): |x| x.select_negative(alpha * (x.exp::<A>() - V::from_f32(1.0)), x);
    Erf: |x| x.erf::<A>();
    Exp: |x| x.exp::<A>();
    Floor: |x| x.floor();
    HardSigmoid(alpha, beta): |x| (alpha * x + beta).clamp_unit();
    HardSwish: |x| x * (V::from_f32(1.0f32 / 6.0) * x + V::from_f32(0.5)).clamp_unit();
    LeakyRelu(alpha): |x| x.select_negative(alpha * x, x);
    Log: |x| x.log::<A>();
    Neg: |x| -x;
    Reciprocal: |x| V::from_f32(1.0) / x;
    Relu: |x| x.relu();
    Round: |x| x.rint();
    Sigmoid: |x| x.sigmoid::<A>();
    Sign: |x| x.sign();
    Sin: |x| x.sin();
    Sinh: |x| x.sinh();
    Softplus: |x| x.softplus::<A>();
    Sqrt: |x| Arithmetic::sqrt(x);
    Tan: |x| x.tan();
    Tanh: |x| x.tanh::<A>();
}

struct Map<F, T> {
    function: F,
    src: *const T,
    dst: *mut T,
    n: usize,
}

impl<F: Function, T: Float> Kernel for Map<F, T> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let Map { function, src, dst, n } = self;
        let whole = n - n % L;
        for i in (0..whole).step_by(L) {
            // SAFETY: i + L <= n, and the caller vouches for n elements.
            unsafe { T::store(function.apply::<A, T::Lanes<L>>(T::load(src.add(i))), dst.add(i)) };
        }
        if whole < n {
            // SAFETY: n - whole < L elements are left.
            unsafe {
                let x = T::load_partial::<L>(src.add(whole), n - whole);
                T::store_partial(function.apply::<A, T::Lanes<L>>(x), dst.add(whole), n - whole);
            }
        }
    }
}

/// `dst[i] = base[i] ^ exponent[i]` for i < n, the exponents in binary64. `dst` may be `base`.
///
/// # Safety
/// `base` and `exponent` are valid for reading and `dst` for writing `n` elements.
pub unsafe fn power<T: Float>(isa: Isa, base: *const T, exponent: *const f64, dst: *mut T, n: usize) {
    dispatch(isa, Power { base, exponent, dst, n });
}

struct Power<T> {
    base: *const T,
    exponent: *const f64,
    dst: *mut T,
    n: usize,
}

impl<T: Float> Kernel for Power<T> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        for i in (0..self.n).step_by(L) {
            let count = L.min(self.n - i);
            // SAFETY: i + count <= n, and the caller vouches for n elements.
            unsafe {
                let x = T::load_partial::<L>(self.base.add(i), count);
                let y = f64::load_partial::<L>(self.exponent.add(i), count);
                T::store_partial(T::power(x, y), self.dst.add(i), count);
            }
        }
    }
}
