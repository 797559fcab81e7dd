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
    /// `rn(max(x, +0) + min(+0, rn(alpha * rn(exp(rn(x / alpha)) - 1))))`.
    Celu {
        alpha: f32,
    },
    Cos,
    Cosh,
    /// `rn(alpha * rn(exp(x) - 1))` below 0, else x.
    Elu {
        alpha: f32,
    },
    Erf,
    Exp,
    Floor,
    /// `rn(rn(x / 2) * rn(1 + erf(rn(x * sqrt(1/2)))))`.
    Gelu,
    /// `rn(rn(x / 2) * rn(1 + tanh(rn(sqrt(2/pi) * rn(x * fma(0.044715, rn(x*x), 1))))))`.
    GeluTanh,
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
    /// `rn(x * tanh(softplus(x)))`.
    Mish,
    Neg,
    Reciprocal,
    /// `max(x, +0)`.
    Relu,
    /// To integral, ties to even.
    Round,
    /// `rn(gamma * Elu(x))`.
    Selu {
        alpha: f32,
        gamma: f32,
    },
    /// `rn(x + bias)` below -lambd, `rn(x - bias)` above lambd, else +0.
    Shrink {
        bias: f32,
        lambd: f32,
    },
    Sigmoid,
    /// 1, -1, +0 for both zeros, NaN.
    Sign,
    Sin,
    Sinh,
    Softplus,
    /// `rn(x / rn(1 + abs(x)))`.
    Softsign,
    Sqrt,
    /// `rn(x * sigmoid(rn(alpha * x)))`.
    Swish {
        alpha: f32,
    },
    Tan,
    Tanh,
    /// x above alpha, else +0.
    ThresholdedRelu {
        alpha: f32,
    },
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
        Unary::Celu { alpha } => map!(Celu(alpha)),
        Unary::Cos => map!(Cos),
        Unary::Cosh => map!(Cosh),
        Unary::Elu { alpha } => map!(Elu(alpha)),
        Unary::Erf => map!(Erf),
        Unary::Exp => map!(Exp),
        Unary::Floor => map!(Floor),
        Unary::Gelu => map!(Gelu),
        Unary::GeluTanh => map!(GeluTanh),
        Unary::HardSigmoid { alpha, beta } => map!(HardSigmoid(alpha, beta)),
        Unary::HardSwish => map!(HardSwish),
        Unary::LeakyRelu { alpha } => map!(LeakyRelu(alpha)),
        Unary::Log => map!(Log),
        Unary::Mish => map!(Mish),
        Unary::Neg => map!(Neg),
        Unary::Reciprocal => map!(Reciprocal),
        Unary::Relu => map!(Relu),
        Unary::Round => map!(Round),
        Unary::Selu { alpha, gamma } => map!(Selu(alpha, gamma)),
        Unary::Shrink { bias, lambd } => map!(Shrink(bias, lambd)),
        Unary::Sigmoid => map!(Sigmoid),
        Unary::Sign => map!(Sign),
        Unary::Sin => map!(Sin),
        Unary::Sinh => map!(Sinh),
        Unary::Softplus => map!(Softplus),
        Unary::Softsign => map!(Softsign),
        Unary::Sqrt => map!(Sqrt),
        Unary::Swish { alpha } => map!(Swish(alpha)),
        Unary::Tan => map!(Tan),
        Unary::Tanh => map!(Tanh),
        Unary::ThresholdedRelu { alpha } => map!(ThresholdedRelu(alpha)),
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

const SQRT_HALF: f64 = std::f64::consts::FRAC_1_SQRT_2;
/// sqrt(2 / pi).
const SQRT_TWO_OVER_PI: f64 = 0.797_884_560_802_865_4;

/// Elu: `rn(alpha * rn(exp(x) - 1))` below 0, else x.
#[inline(always)]
fn exponential_linear<A: Arch, V: Real>(x: V, alpha: V) -> V {
    x.select_negative(alpha * (x.exp::<A>() - V::from_f32(1.0)), x)
}

/// `rn(rn(x / 2) * rn(1 + y))`.
#[inline(always)]
fn half_of<V: Real>(x: V, y: V) -> V {
    x * V::from_f32(0.5) * (V::from_f32(1.0) + y)
}

/// `rn(x * sigmoid(rn(alpha * x)))`.
#[inline(always)]
fn gated<A: Arch, V: Real>(x: V, alpha: V) -> V {
    x * (alpha * x).sigmoid::<A>()
}

/// What stands in Gelu's hyperbolic tangent.
#[inline(always)]
fn cubic<A: Arch, V: Real>(x: V) -> V {
    let factor = Real::multiply_add::<A>(V::from_f64(0.044715), x * x, V::from_f32(1.0));
    V::from_f64(SQRT_TWO_OVER_PI) * (x * factor)
}

// [panel: Abs Acos Acosh Asin Asinh Atan Atanh Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid HardSwish]
// [panel: LeakyRelu Log Mish Neg Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign]
// [panel: Sqrt Swish Tan Tanh ThresholdedRelu com.microsoft.Gelu com.microsoft.BiasGelu com.microsoft.FastGelu]
// [panel: com.microsoft.QuickGelu com.microsoft.QLinearSigmoid com.microsoft.QLinearLeakyRelu]
functions! {
    Abs: |x| x.abs();
    Acos: |x| x.acos();
    Acosh: |x| x.acosh();
    Asin: |x| x.asin();
    Asinh: |x| x.asinh();
    Atan: |x| x.atan();
    Atanh: |x| x.atanh();
    Ceil: |x| x.ceil();
    Celu(alpha): |x| {
        let below = alpha * ((x / alpha).exp::<A>() - V::from_f32(1.0));
        x.relu() + below.minimum(V::from_f32(0.0))
    };
    Cos: |x| x.cos();
    Cosh: |x| x.cosh();
    Elu(alpha): |x| exponential_linear::<A, V>(x, alpha);
    Erf: |x| x.erf::<A>();
    Exp: |x| x.exp::<A>();
    Floor: |x| x.floor();
    Gelu: |x| half_of(x, (x * V::from_f64(SQRT_HALF)).erf::<A>());
    GeluTanh: |x| half_of(x, cubic::<A, V>(x).tanh::<A>());
    HardSigmoid(alpha, beta): |x| (alpha * x + beta).clamp_unit();
    HardSwish: |x| x * (V::from_f32(1.0f32 / 6.0) * x + V::from_f32(0.5)).clamp_unit();
    LeakyRelu(alpha): |x| x.select_negative(alpha * x, x);
    Log: |x| x.log::<A>();
    Mish: |x| x * x.softplus::<A>().tanh::<A>();
    Neg: |x| -x;
    Reciprocal: |x| V::from_f32(1.0) / x;
    Relu: |x| x.relu();
    Round: |x| x.rint();
    Selu(alpha, gamma): |x| gamma * exponential_linear::<A, V>(x, alpha);
    Shrink(bias, lambd): |x| {
        let above = x.select_greater(lambd, x - bias, V::from_f32(0.0));
        (-x).select_greater(lambd, x + bias, above)
    };
    Sigmoid: |x| x.sigmoid::<A>();
    Sign: |x| x.sign();
    Sin: |x| x.sin();
    Sinh: |x| x.sinh();
    Softplus: |x| x.softplus::<A>();
    Softsign: |x| x / (V::from_f32(1.0) + x.abs());
    Sqrt: |x| Arithmetic::sqrt(x);
    Swish(alpha): |x| gated::<A, V>(x, alpha);
    Tan: |x| x.tan();
    Tanh: |x| x.tanh::<A>();
    ThresholdedRelu(alpha): |x| x.select_greater(alpha, x, V::from_f32(0.0));
}
// [/panel]
// [/panel]
// [/panel]
// [/panel]

struct Map<F, T> {
    function: F,
    src: *const T,
    dst: *mut T,
    n: usize,
}

// [panel: unary loop]
// [panel: Abs Acos Acosh Asin Asinh Atan Atanh Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid loop]
// [panel: HardSwish LeakyRelu Log Mish Neg Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh loop]
// [panel: Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu com.microsoft.Gelu com.microsoft.BiasGelu loop]
// [panel: com.microsoft.FastGelu com.microsoft.QuickGelu com.microsoft.QLinearSigmoid loop]
// [panel: com.microsoft.QLinearLeakyRelu loop]
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
// [/panel]
// [/panel]
// [/panel]
// [/panel]
// [/panel]
// [/panel]

/// SwiGLU: `dst[i] = rn(rn(a[i] * sigmoid(rn(alpha * a[i]))) * b[i])` for i < n, rounded once to T. `dst` may be `a` or `b`.
///
/// # Safety
/// `a` and `b` are valid for reading and `dst` for writing `n` elements; what overlaps is the same place.
pub unsafe fn swiglu<T: Float>(isa: Isa, alpha: f32, a: *const T, b: *const T, dst: *mut T, n: usize) {
    dispatch(isa, SwiGlu { alpha, a, b, dst, n });
}

struct SwiGlu<T> {
    alpha: f32,
    a: *const T,
    b: *const T,
    dst: *mut T,
    n: usize,
}

// [panel: SwiGLU]
impl<T: Float> Kernel for SwiGlu<T> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let alpha = T::Lanes::<L>::from_f32(self.alpha);
        for i in (0..self.n).step_by(L) {
            let count = L.min(self.n - i);
            // SAFETY: i + count <= n, and the caller vouches for n elements.
            unsafe {
                let (a, b) = (T::load_partial::<L>(self.a.add(i), count), T::load_partial::<L>(self.b.add(i), count));
                T::store_partial(gated::<A, _>(a, alpha) * b, self.dst.add(i), count);
            }
        }
    }
}
// [/panel]

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

// [panel: Pow]
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
// [/panel]
