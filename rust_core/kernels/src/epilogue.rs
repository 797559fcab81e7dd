//! What follows a product or a convolution, applied to its elements while they are in registers: the operators after it, each with
//! its own roundings, without a walk through memory for each.

use crate::lanes::*;

/// `min(max(fma(x, s, t), low), high)` in binary32, `s` and `t` being those of the element's output channel: what
/// BatchNormalization is, then Relu or Clip; or either alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Epilogue {
    /// One factor and one summand a channel; without any, x itself.
    factors: Option<(Vec<f32>, Vec<f32>)>,
    low: f32,
    high: f32,
}

impl Epilogue {
    /// `fma(x, s, t)`, rounded once.
    ///
    /// # Panics
    /// If `s` and `t` have not one length.
    pub fn mul_add(s: Vec<f32>, t: Vec<f32>) -> Epilogue {
        assert_eq!(s.len(), t.len());
        Epilogue { factors: Some((s, t)), low: f32::NEG_INFINITY, high: f32::INFINITY }
    }

    /// `min(max(x, low), high)`: -0 below +0, NaN stays. `None` for bounds where one comparison does not say which is greater: NaN, a
    /// lower -0, an upper +0.
    pub fn clamp(low: Option<f32>, high: Option<f32>) -> Option<Epilogue> {
        let (low, high) = (low.unwrap_or(f32::NEG_INFINITY), high.unwrap_or(f32::INFINITY));
        let told = |bound: f32, negative: bool| bound != 0.0 || bound.is_sign_negative() == negative;
        let plain = !low.is_nan() && !high.is_nan() && told(low, false) && told(high, true);
        plain.then_some(Epilogue { factors: None, low, high })
    }

    /// `max(x, +0)`, which turns -0 into +0.
    pub fn relu() -> Epilogue {
        Epilogue { factors: None, low: 0.0, high: f32::INFINITY }
    }

    fn is_clamp(&self) -> bool {
        self.low > f32::NEG_INFINITY || self.high < f32::INFINITY
    }

    /// This one and then `next`, if that is an epilogue too.
    pub fn then(&self, next: &Epilogue) -> Option<Epilogue> {
        (!self.is_clamp() && (self.factors.is_none() || next.factors.is_none()))
            .then(|| Epilogue { factors: self.factors.clone().or_else(|| next.factors.clone()), ..*next })
    }
}

/// What may follow the accumulators `E` of a convolution or product, in registers.
pub trait Follow<E: SimdElement>: Copy {
    /// The factors of one channel, in every lane.
    fn of_channel<const N: usize>(&self, channel: usize) -> Factors<N>;
    /// The factors of the channels from `channel` on, one a lane. Lanes above the last channel hold anything.
    fn of_lanes<const N: usize>(&self, channel: usize) -> Factors<N>;
    /// Its value for a vector whose lanes have these factors.
    fn apply<A: Arch, const N: usize>(&self, x: Simd<E, N>, factors: Factors<N>) -> Simd<E, N>;
}

/// Nothing ever follows.
#[derive(Clone, Copy, Debug)]
pub enum Never {}

impl<E: SimdElement> Follow<E> for Never {
    #[inline(always)]
    fn of_channel<const N: usize>(&self, _: usize) -> Factors<N> {
        match *self {}
    }

    #[inline(always)]
    fn of_lanes<const N: usize>(&self, _: usize) -> Factors<N> {
        match *self {}
    }

    #[inline(always)]
    fn apply<A: Arch, const N: usize>(&self, _: Simd<E, N>, _: Factors<N>) -> Simd<E, N> {
        match *self {}
    }
}

impl Follow<f32> for &Epilogue {
    #[inline(always)]
    fn of_channel<const N: usize>(&self, channel: usize) -> Factors<N> {
        match &self.factors {
            Some((s, t)) => Factors { s: Simd::splat(s[channel]), t: Simd::splat(t[channel]) },
            None => Factors::none(),
        }
    }

    #[inline(always)]
    fn of_lanes<const N: usize>(&self, channel: usize) -> Factors<N> {
        let from = |all: &[f32]| Simd::load_or_default(all.get(channel..).unwrap_or(&[]));
        match &self.factors {
            Some((s, t)) => Factors { s: from(s), t: from(t) },
            None => Factors::none(),
        }
    }

    #[inline(always)]
    fn apply<A: Arch, const N: usize>(&self, x: Simd<f32, N>, factors: Factors<N>) -> Simd<f32, N> {
        let (low, high) = (Simd::splat(self.low), Simd::splat(self.high));
        let y = A::fma(x, factors.s, factors.t);
        let y = y.simd_le(low).select(low, y);
        y.simd_ge(high).select(high, y)
    }
}

/// What a vector is multiplied by and what is added.
#[derive(Clone, Copy, Debug)]
pub struct Factors<const N: usize> {
    pub(crate) s: Simd<f32, N>,
    t: Simd<f32, N>,
}

impl<const N: usize> Factors<N> {
    /// A product alone.
    #[inline(always)]
    pub(crate) fn scale(s: Simd<f32, N>) -> Factors<N> {
        Factors { s, t: Simd::splat(-0.0) }
    }

    /// Those that leave every number as it is: x + -0 is x, for both zeros too.
    #[inline(always)]
    fn none() -> Factors<N> {
        Factors { s: Simd::splat(1.0), t: Simd::splat(-0.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Apply<'a>(&'a Epilogue, usize, &'a mut [f32; 16]);

    impl Kernel for Apply<'_> {
        type Output = ();
        #[inline(always)]
        fn run<A: Arch, const L: usize>(self) {
            let y = Follow::apply::<A, 16>(&self.0, Simd::from_array(*self.2), self.0.of_channel(self.1));
            *self.2 = y.to_array();
        }
    }

    #[test]
    fn each_operator_is_what_it_is_alone() {
        let special = [0.0, -0.0, 1.5, -1.5, 6.0, 7.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-45, -1e-45, 3e38];
        let x: [f32; 16] = std::array::from_fn(|i| special[i % special.len()]);
        let six = Epilogue::clamp(Some(0.0), Some(6.0)).unwrap();
        let scaled = Epilogue::mul_add(vec![1.0, 0.3], vec![0.0, 0.7]);
        type Case<'a> = (&'a Epilogue, &'a dyn Fn(f32) -> f32);
        let relu = |x: f32| if x <= 0.0 { 0.0 } else { x };
        let clip = |x: f32| if relu(x) >= 6.0 { 6.0 } else { relu(x) };
        let fma = |x: f32| x.mul_add(0.3, 0.7);
        let both = scaled.then(&six).unwrap();
        let none = Epilogue::clamp(None, None).unwrap();
        let cases: [Case<'_>; 5] =
            [(&Epilogue::relu(), &relu), (&six, &clip), (&scaled, &fma), (&both, &|x| clip(fma(x))), (&none, &|x| x)];
        for &isa in Isa::available() {
            for (epilogue, want) in cases {
                let mut y = x;
                dispatch(isa, Apply(epilogue, 1, &mut y));
                for (x, y) in x.iter().zip(y) {
                    let want = want(*x);
                    assert!(y.to_bits() == want.to_bits() || y.is_nan() && want.is_nan(), "{epilogue:?} of {x}: {y}");
                }
            }
        }
    }

    #[test]
    fn what_one_comparison_does_not_tell_is_no_epilogue() {
        assert!(Epilogue::clamp(Some(f32::NAN), None).is_none());
        assert!(Epilogue::clamp(Some(-0.0), None).is_none());
        assert!(Epilogue::clamp(None, Some(0.0)).is_none());
        assert!(Epilogue::clamp(Some(0.0), Some(-0.0)).is_some());
        let scaled = Epilogue::mul_add(vec![2.0], vec![1.0]);
        assert!(Epilogue::relu().then(&scaled).is_none() && scaled.then(&scaled).is_none());
        assert!(Epilogue::relu().then(&Epilogue::relu()).is_none());
    }
}
