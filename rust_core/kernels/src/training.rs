//! Steps of optimizers: docs/numerics.md, section 4, Training. Factors are binary64 numbers, rounded once to the type.

use crate::functions::{Arithmetic, Float, Real, Stash};
use crate::lanes::*;

/// The function of one place: X, its gradient and accumulated values in, the new X and accumulated values out.
pub trait Optimizer<const IN: usize, const OUT: usize>: Copy + Send + Sync + 'static {
    fn step<V: Real>(self, values: [V; IN]) -> [V; OUT];
}

#[derive(Clone, Copy, Debug)]
pub struct Adagrad {
    pub rate: f64,
    pub norm: f64,
    pub epsilon: f64,
}

// [panel: ai.onnx.preview.training.Adagrad]
impl Optimizer<3, 2> for Adagrad {
    #[inline(always)]
    fn step<V: Real>(self, [x, g, h]: [V; 3]) -> [V; 2] {
        let g = V::from_f64(self.norm) * x + g;
        let h = h + g * g;
        [x - V::from_f64(self.rate) * g / (Arithmetic::sqrt(h) + V::from_f64(self.epsilon)), h]
    }
}
// [/panel]

#[derive(Clone, Copy, Debug)]
pub struct Adam {
    /// With the averages' bias corrected.
    pub rate: f64,
    pub norm: f64,
    pub norm_post: f64,
    pub alpha: f64,
    pub beta: f64,
    pub epsilon: f64,
}

// [panel: ai.onnx.preview.training.Adam]
impl Optimizer<4, 3> for Adam {
    #[inline(always)]
    fn step<V: Real>(self, [x, g, v, h]: [V; 4]) -> [V; 3] {
        let g = V::from_f64(self.norm) * x + g;
        let v = V::from_f64(self.alpha) * v + V::from_f64(1.0 - self.alpha) * g;
        let h = V::from_f64(self.beta) * h + V::from_f64(1.0 - self.beta) * g * g;
        let x = x - V::from_f64(self.rate) * v / (Arithmetic::sqrt(h) + V::from_f64(self.epsilon));
        [V::from_f64(1.0 - self.norm_post) * x, v, h]
    }
}
// [/panel]

#[derive(Clone, Copy, Debug)]
pub struct Momentum {
    pub rate: f64,
    pub norm: f64,
    pub alpha: f64,
    pub beta: f64,
    pub nesterov: bool,
}

// [panel: ai.onnx.preview.training.Momentum]
impl Optimizer<3, 2> for Momentum {
    #[inline(always)]
    fn step<V: Real>(self, [x, g, v]: [V; 3]) -> [V; 2] {
        let g = V::from_f64(self.norm) * x + g;
        let alpha = V::from_f64(self.alpha);
        let v = alpha * v + V::from_f64(self.beta) * g;
        let direction = if self.nesterov { g + alpha * v } else { v };
        [x - V::from_f64(self.rate) * direction, v]
    }
}
// [/panel]

/// `base ^ exponent` in binary64.
pub fn power(base: f64, exponent: f64) -> f64 {
    <f64 as Float>::power::<1>(Simd::splat(base), Simd::splat(exponent))[0]
}

/// Square root in binary64.
pub fn square_root(x: f64) -> f64 {
    Arithmetic::sqrt(x)
}

/// One step of `n` places. An output whose pointer is null is not written.
///
/// # Safety
/// Every `src` is valid for reading and every `dst` that is not null for writing `n` numbers; a `dst` overlaps nothing else.
pub unsafe fn optimize<T: Stash, const IN: usize, const OUT: usize>(
    isa: Isa,
    optimizer: impl Optimizer<IN, OUT>,
    src: [*const T; IN],
    dst: [*mut T; OUT],
    n: usize,
) {
    dispatch(isa, Optimize { optimizer, src, dst, n });
}

struct Optimize<O, T, const IN: usize, const OUT: usize> {
    optimizer: O,
    src: [*const T; IN],
    dst: [*mut T; OUT],
    n: usize,
}

impl<O: Optimizer<IN, OUT>, T: Stash, const IN: usize, const OUT: usize> Kernel for Optimize<O, T, IN, OUT> {
    type Output = ();
    // Plain loops: what core's iterators over arrays call need not be inlined.
    #[allow(clippy::needless_range_loop)]
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        for i in (0..self.n).step_by(L) {
            let count = L.min(self.n - i);
            let mut values = [T::Lanes::<L>::from_f32(0.0); IN];
            for k in 0..IN {
                // SAFETY: i + count <= n, and the caller vouches for n numbers.
                values[k] = unsafe { T::load_partial::<L>(self.src[k].add(i), count) };
            }
            let results = self.optimizer.step(values);
            for k in 0..OUT {
                if !self.dst[k].is_null() {
                    // SAFETY: as above.
                    unsafe { T::store_partial(results[k], self.dst[k].add(i), count) };
                }
            }
        }
    }
}
