//! The instruction sets agree with each other, conversions with the `half` crate, and every binary32 function with
//! binary64 to its stated bound.

use super::*;
use crate::lanes::*;
use ::core::primitive::{f32, f64};
use half::{bf16, f16};

const ALL: [Unary; 39] = [
    Unary::Abs,
    Unary::Acos,
    Unary::Acosh,
    Unary::Asin,
    Unary::Asinh,
    Unary::Atan,
    Unary::Atanh,
    Unary::Ceil,
    Unary::Celu { alpha: 1.3 },
    Unary::Cos,
    Unary::Cosh,
    Unary::Elu { alpha: 0.7 },
    Unary::Erf,
    Unary::Exp,
    Unary::Floor,
    Unary::Gelu,
    Unary::GeluTanh,
    Unary::HardSigmoid { alpha: 0.2, beta: 0.5 },
    Unary::HardSwish,
    Unary::LeakyRelu { alpha: 0.01 },
    Unary::Log,
    Unary::Mish,
    Unary::Neg,
    Unary::Reciprocal,
    Unary::Relu,
    Unary::Round,
    Unary::Selu { alpha: 1.67, gamma: 1.05 },
    Unary::Shrink { bias: 0.3, lambd: 0.5 },
    Unary::Sigmoid,
    Unary::Sign,
    Unary::Sin,
    Unary::Sinh,
    Unary::Softplus,
    Unary::Softsign,
    Unary::Sqrt,
    Unary::Swish { alpha: 1.7 },
    Unary::Tan,
    Unary::Tanh,
    Unary::ThresholdedRelu { alpha: 0.9 },
];

/// xorshift64.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    /// Uniform in -scale .. scale.
    pub(crate) fn symmetric(&mut self, scale: f64) -> f64 {
        ((self.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0) * scale
    }
}

const EDGES: [f64; 30] = [
    0.0,
    -0.0,
    0.5,
    -0.5,
    1.0,
    -1.0,
    1.5,
    -1.5,
    2.5,
    -2.5,
    0.875,
    0.625,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    88.72284,
    -103.97209,
    -104.0,
    89.5,
    709.78,
    -745.2,
    1e-40,
    -1e-40,
    1e-310,
    8388607.5,
    4503599627370495.5,
    1e30,
    -1e30,
    1e300,
    std::f64::consts::FRAC_PI_2,
];

fn bits_of<T: Float>(x: T) -> u64 {
    let wide = T::to_f64(T::Lanes::<1>::splat(x.widen()))[0];
    if wide.is_nan() { u64::MAX } else { wide.to_bits() }
}

fn apply<T: Float>(isa: Isa, op: Unary, x: &[T]) -> Vec<u64> {
    let mut y = vec![T::ZERO; x.len()];
    // SAFETY: both hold x.len() elements.
    unsafe { unary(isa, op, x.as_ptr(), y.as_mut_ptr(), x.len()) };
    y.into_iter().map(bits_of).collect()
}

fn agree<T: Float>(x: &[T]) {
    for op in ALL {
        let expected = apply(Isa::Baseline, op, x);
        for &isa in Isa::available() {
            let got = apply(isa, op, x);
            let differing = (0..x.len()).find(|&i| got[i] != expected[i]);
            assert_eq!(differing, None, "{op:?} on {} at {:#x}", isa.name(), bits_of(x[differing.unwrap_or(0)]));
        }
    }
}

#[test]
fn instruction_sets_agree_on_f32_and_f64() {
    let mut random = Random(1);
    let mut x: Vec<f64> = EDGES.to_vec();
    for scale in [1.0, 10.0, 100.0, 800.0, 1e9] {
        x.extend((0..5_000).map(|_| random.symmetric(scale)));
    }
    let mut single: Vec<f32> = x.iter().map(|&x| x as f32).collect();
    single.extend((0..20_000).map(|_| f32::from_bits(random.next() as u32)));
    x.extend((0..20_000).map(|_| f64::from_bits(random.next())));
    agree(&single);
    agree(&x);
}

#[test]
fn instruction_sets_agree_on_every_f16_and_bf16() {
    let all: Vec<u16> = (0..=u16::MAX).collect();
    agree(&all.iter().map(|&bits| f16::from_bits(bits)).collect::<Vec<_>>());
    agree(&all.iter().map(|&bits| bf16::from_bits(bits)).collect::<Vec<_>>());
}

#[test]
fn tails_are_as_bodies_and_work_in_place() {
    let x: Vec<f32> = (0..70).map(|i| i as f32 * 0.37 - 9.0).collect();
    for &isa in Isa::available() {
        let whole = apply(isa, Unary::Erf, &x);
        for n in 0..x.len() {
            let mut y = x.clone();
            // SAFETY: y holds at least n elements.
            unsafe { unary(isa, Unary::Erf, y.as_ptr(), y.as_mut_ptr(), n) };
            assert!((0..n).all(|i| bits_of(y[i]) == whole[i]));
            assert!((n..x.len()).all(|i| y[i] == x[i]));
        }
    }
}

#[test]
fn roundings_are_those_of_ieee() {
    let mut random = Random(3);
    let mut x: Vec<f32> = EDGES.iter().map(|&x| x as f32).collect();
    x.extend((0..50_000).map(|_| f32::from_bits(random.next() as u32)));
    x.extend((0..50_000).map(|_| random.symmetric(20.0) as f32));
    let wide: Vec<f64> = x.iter().map(|&x| f64::from(x) * 1.25).collect();
    type Rounding = (Unary, fn(f32) -> f32, fn(f64) -> f64);
    let cases: [Rounding; 4] = [
        (Unary::Floor, f32::floor, f64::floor),
        (Unary::Ceil, f32::ceil, f64::ceil),
        (Unary::Round, f32::round_ties_even, f64::round_ties_even),
        (Unary::Sqrt, f32::sqrt, f64::sqrt),
    ];
    for (op, single, double) in cases {
        assert_eq!(apply(Isa::best(), op, &x), x.iter().map(|&x| bits_of(single(x))).collect::<Vec<_>>(), "{op:?}");
        assert_eq!(apply(Isa::best(), op, &wide), wide.iter().map(|&x| bits_of(double(x))).collect::<Vec<_>>());
    }
}

#[test]
fn conversions_are_those_of_half() {
    let mut random = Random(4);
    for bits in 0..=u16::MAX {
        assert_eq!(bits_of(f16::from_bits(bits)), bits_of(f16::from_bits(bits).to_f32()));
        assert_eq!(bits_of(bf16::from_bits(bits)), bits_of(bf16::from_bits(bits).to_f32()));
    }
    for i in 0..400_000u32 {
        // Random patterns, and numbers at and beside the midpoints of both types.
        let x = match i % 4 {
            0 => f32::from_bits(random.next() as u32),
            1 => f32::from_bits((random.next() as u32 & 0xffff_0000) | 0x8000),
            2 => random.symmetric(70000.0) as f32,
            _ => f32::from_bits((f16::from_bits(random.next() as u16).to_f32().to_bits() | 0x1000).wrapping_add(i % 3)),
        };
        assert_eq!(bits_of(<f16 as Float>::narrow(x)), bits_of(f16::from_f32(x)), "{x:e}");
        assert_eq!(bits_of(<bf16 as Float>::narrow(x)), bits_of(bf16::from_f32(x)), "{x:e}");
    }
}

#[test]
fn binary64_rounds_once() {
    // Beside a midpoint of the narrow type by less than binary32 can say: rounding twice would take the midpoint for exact.
    let mut random = Random(6);
    for i in 0..100_000u32 {
        let bits = (random.next() as u16) & 0x7fff;
        let direction = if i % 2 == 0 { 1.0 } else { -1.0 };
        macro_rules! check {
            ($t:ty) => {
                let (below, above) = (<$t>::from_bits(bits).to_f64(), <$t>::from_bits(bits + 1).to_f64());
                if bits < <$t>::MAX.to_bits() {
                    let x = (below + above) / 2.0 * (1.0 + direction * 1e-15);
                    let want = if direction > 0.0 { above } else { below };
                    assert_eq!(f64::from(<$t>::round_f64(Simd::from_array([x]))[0]), want, "{x:e}");
                }
            };
        }
        check!(f16);
        check!(bf16);
    }
}

#[test]
fn power_agrees_on_all_instruction_sets_and_has_the_special_cases() {
    let mut random = Random(5);
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for &a in &EDGES {
        for &b in &EDGES {
            x.push(a);
            y.push(b);
        }
    }
    for _ in 0..20_000 {
        x.push(f64::from_bits(random.next()));
        y.push(random.symmetric(40.0));
    }
    let evaluate = |isa| {
        let mut z = vec![0.0; x.len()];
        // SAFETY: all hold x.len() elements.
        unsafe { power(isa, x.as_ptr(), y.as_ptr(), z.as_mut_ptr(), x.len()) };
        z
    };
    let expected = evaluate(Isa::Baseline);
    for &isa in Isa::available() {
        assert!(evaluate(isa).iter().zip(&expected).all(|(&a, &b)| bits_of(a) == bits_of(b)), "{}", isa.name());
    }
    for ((&a, &b), &got) in x.iter().zip(&y).zip(&expected) {
        let want = a.powf(b);
        let close = (got - want).abs() <= 4.0 * f64::EPSILON * want.abs() + f64::from_bits(2);
        assert!(
            got == want && got.is_sign_negative() == want.is_sign_negative() || got.is_nan() && want.is_nan() || close
        );
    }
}

/// Largest error in ULP of binary32 over all inputs, against an evaluation in binary64.
fn exhaustive(op: Unary, exact: fn(f64) -> f64) -> (f64, f32) {
    let mut worst = (0.0, 0.0);
    let mut x = vec![0.0f32; 1 << 16];
    let mut y = x.clone();
    for high in 0..1u32 << 16 {
        for (low, x) in x.iter_mut().enumerate() {
            *x = f32::from_bits(high << 16 | low as u32);
        }
        // SAFETY: both hold x.len() elements.
        unsafe { unary(Isa::best(), op, x.as_ptr(), y.as_mut_ptr(), x.len()) };
        for (&x, &y) in x.iter().zip(&y) {
            let want = exact(f64::from(x));
            if want.is_nan() || want.is_infinite() || y.is_infinite() {
                let overflown = y.is_infinite() && (want as f32) == y;
                assert!(want.is_nan() && y.is_nan() || overflown, "{op:?}({x:e}) = {y:e}, not {want:e}");
                continue;
            }
            let exponent = ((want.to_bits() >> 52 & 0x7ff) as i64 - 1023).max(-126) - 23;
            let unit = f64::from_bits(((exponent + 1023) as u64) << 52);
            let error = (f64::from(y) - want).abs() / unit;
            assert!(!error.is_nan(), "{op:?}({x:e}) = {y:e}, not {want:e}");
            if error > worst.0 {
                worst = (error, x);
            }
        }
    }
    worst
}

macro_rules! exhaustive {
    ($($name:ident: $op:expr, $bound:expr, $exact:expr;)*) => {$(
        #[test]
        #[ignore = "all 2^32 inputs: minutes"]
        fn $name() {
            let (error, x) = exhaustive($op, $exact);
            println!("{:?}: {error:.4} ULP at {x:e}", $op);
            assert!(error <= $bound);
        }
    )*};
}
exhaustive! {
    exhaustive_exp: Unary::Exp, 1.0, f64::exp;
    exhaustive_log: Unary::Log, 1.0, f64::ln;
    exhaustive_erf: Unary::Erf, 1.5, |x| super::f64::erf(Simd::<f64, 1>::splat(x))[0];
    exhaustive_tanh: Unary::Tanh, 1.5, f64::tanh;
    exhaustive_sigmoid: Unary::Sigmoid, 2.0, |x| if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) };
    exhaustive_softplus: Unary::Softplus, 2.0, |x| (if x > 0.0 { x } else { 0.0 }) + (-x.abs()).exp().ln_1p();
    exhaustive_sin: Unary::Sin, 1.0, f64::sin;
    exhaustive_cos: Unary::Cos, 1.0, f64::cos;
    exhaustive_tan: Unary::Tan, 1.0, f64::tan;
    exhaustive_asin: Unary::Asin, 1.0, f64::asin;
    exhaustive_acos: Unary::Acos, 1.0, f64::acos;
    exhaustive_atan: Unary::Atan, 1.0, f64::atan;
    exhaustive_sinh: Unary::Sinh, 1.0, f64::sinh;
    exhaustive_cosh: Unary::Cosh, 1.0, f64::cosh;
    exhaustive_asinh: Unary::Asinh, 1.0, f64::asinh;
    exhaustive_acosh: Unary::Acosh, 1.0, f64::acosh;
    exhaustive_atanh: Unary::Atanh, 1.0, f64::atanh;
}
