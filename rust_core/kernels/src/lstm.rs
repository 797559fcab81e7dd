//! The LSTM cell: `docs/numerics.md`, row LSTM.
//!
//! The chains over inputs and hidden values are matrix products: [`crate::gemm`] multiplies all steps' inputs by W at once, and goes on
//! (`resume`) with the hidden values and R step by step. What is left of a step is here: bias, peepholes, clip, activations, state.

use crate::lanes::*;

/// An activation function with its parameters, rounded to the type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation<E> {
    Sigmoid,
    Tanh,
    /// `max(x, 0)`
    Relu,
    Softplus,
    /// `x / (1 + |x|)`
    Softsign,
    /// `rn(alpha*x) + beta`
    Affine(E, E),
    /// `rn(alpha*x)` where `x < 0`, else `x`
    LeakyRelu(E),
    /// `x` where `x > alpha`, else 0
    ThresholdedRelu(E),
    /// `alpha * tanh(rn(beta*x))`
    ScaledTanh(E, E),
    /// `max(0, min(1, rn(alpha*x) + beta))`
    HardSigmoid(E, E),
    /// `rn(alpha * rn(exp(x) - 1))` where `x < 0`, else `x`
    Elu(E),
}

/// What the steps of one direction share. H is the hidden size; gates are in the order i, o, f, c.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a, E> {
    /// `[4H]`: `rn(Wb + Rb)`.
    pub bias: Option<&'a [E]>,
    /// `[3H]`, in the order i, o, f.
    pub peephole: Option<&'a [E]>,
    /// f (gates), g (cell input), h (cell output).
    pub functions: [Activation<E>; 3],
    pub clip: Option<E>,
    /// The forget gate is one minus the input gate.
    pub input_forget: bool,
    pub hidden: usize,
}

impl<E: CellElement> Cell<'_, E> {
    /// One step of some rows of the batch. `gates` `[rows][4H]` holds the chains over inputs and hidden values; `c` `[rows][H]` is
    /// updated, `h` `[rows][H]` written.
    ///
    /// # Panics
    /// If the slices are not whole rows of one number, or bias or peepholes have other lengths.
    pub fn step(&self, isa: Isa, gates: &[E], c: &mut [E], h: &mut [E]) {
        let hidden = self.hidden;
        assert!(self.bias.is_none_or(|b| b.len() == 4 * hidden) && self.peephole.is_none_or(|p| p.len() == 3 * hidden));
        assert!(c.len() == h.len() && gates.len() == 4 * c.len() && (hidden == 0 || c.len().is_multiple_of(hidden)));
        if hidden > 0 {
            dispatch(isa, Step { cell: self, gates, c, h });
        }
    }
}

struct Step<'a, E> {
    cell: &'a Cell<'a, E>,
    gates: &'a [E],
    c: &'a mut [E],
    h: &'a mut [E],
}

impl<E: CellElement> Kernel for Step<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let hidden = self.cell.hidden;
        let rows = self.gates.chunks_exact(4 * hidden).zip(self.c.chunks_exact_mut(hidden));
        for ((gates, c), h) in rows.zip(self.h.chunks_exact_mut(hidden)) {
            for ((at, c), h) in (0..hidden).step_by(L).zip(c.chunks_mut(L)).zip(h.chunks_mut(L)) {
                E::advance::<A, L>(self.cell, gates, at, c, h);
            }
        }
    }
}

/// f32 and f64.
pub trait CellElement: Copy + Default + Send + Sync + 'static {
    /// Up to `N` hidden values from `at` on: all of `c` and `h`.
    fn advance<A: Arch, const N: usize>(cell: &Cell<Self>, gates: &[Self], at: usize, c: &mut [Self], h: &mut [Self]);
}

macro_rules! cell_element {
    ($t:ident, $functions:path $(, $arch:ident)?) => {
        impl CellElement for $t {
            #[inline(always)]
            fn advance<A: Arch, const N: usize>(cell: &Cell<$t>, gates: &[$t], at: usize, c: &mut [$t], h: &mut [$t]) {
                use $functions as functions;
                type V<const N: usize> = Simd<$t, N>;

                /// -0 below +0; a NaN operand gives NaN.
                #[inline(always)]
                fn maximum<const N: usize>(a: V<N>, b: V<N>) -> V<N> {
                    (a.simd_gt(b) | a.simd_ne(a) | (a.simd_eq(b) & b.is_sign_negative())).select(a, b)
                }

                #[inline(always)]
                fn minimum<const N: usize>(a: V<N>, b: V<N>) -> V<N> {
                    (a.simd_lt(b) | a.simd_ne(a) | (a.simd_eq(b) & a.is_sign_negative())).select(a, b)
                }

                #[inline(always)]
                fn apply<$($arch: Arch,)? const N: usize>(function: Activation<$t>, x: V<N>) -> V<N> {
                    let (zero, one) = (V::splat(0.0), V::splat(1.0));
                    match function {
                        Activation::Sigmoid => functions::sigmoid::<$($arch,)? N>(x),
                        Activation::Tanh => functions::tanh::<$($arch,)? N>(x),
                        Activation::Relu => maximum(x, zero),
                        Activation::Softplus => functions::softplus::<$($arch,)? N>(x),
                        Activation::Softsign => x / (one + x.abs()),
                        Activation::Affine(alpha, beta) => V::splat(alpha) * x + V::splat(beta),
                        Activation::LeakyRelu(alpha) => x.simd_lt(zero).select(V::splat(alpha) * x, x),
                        Activation::ThresholdedRelu(alpha) => x.simd_gt(V::splat(alpha)).select(x, zero),
                        Activation::ScaledTanh(alpha, beta) => {
                            V::splat(alpha) * functions::tanh::<$($arch,)? N>(V::splat(beta) * x)
                        }
                        Activation::HardSigmoid(alpha, beta) => {
                            maximum(zero, minimum(one, V::splat(alpha) * x + V::splat(beta)))
                        }
                        Activation::Elu(alpha) => {
                            let below = V::splat(alpha) * (functions::exp::<$($arch,)? N>(x) - one);
                            x.simd_lt(zero).select(below, x)
                        }
                    }
                }

                let hidden = cell.hidden;
                let n = c.len();
                let part = |from: &[$t], gate: usize| V::<N>::load_or_default(&from[gate * hidden + at..][..n]);
                let gate = |gate: usize| {
                    let a = part(gates, gate);
                    cell.bias.map_or(a, |b| a + part(b, gate))
                };
                let peep = |a: V<N>, gate: usize, c: V<N>| cell.peephole.map_or(a, |p| a + part(p, gate) * c);
                let activate = |function: Activation<$t>, a: V<N>| {
                    let clipped = |b: $t| minimum(V::splat(b), maximum(V::splat(-b), a));
                    apply::<$($arch,)? N>(function, cell.clip.map_or(a, clipped))
                };
                let [f_act, g_act, h_act] = cell.functions;
                let old = V::<N>::load_or_default(c);
                let i = activate(f_act, peep(gate(0), 0, old));
                let f = if cell.input_forget { V::splat(1.0) - i } else { activate(f_act, peep(gate(2), 2, old)) };
                let g = activate(g_act, gate(3));
                let new = f * old + i * g;
                let o = activate(f_act, peep(gate(1), 1, new));
                let out = o * activate(h_act, new);
                c.copy_from_slice(&new.as_array()[..n]);
                h.copy_from_slice(&out.as_array()[..n]);
            }
        }
    };
}
cell_element!(f32, crate::functions::f32, A);
cell_element!(f64, crate::functions::f64);

#[cfg(test)]
mod tests {
    use super::*;

    /// One value of an activation, by its definition; exp, tanh and the like from their own kernels, one lane.
    fn activation(function: Activation<f32>, x: f32) -> f32 {
        let lane = |f: fn(Simd<f32, 1>) -> Simd<f32, 1>, x: f32| f(Simd::splat(x))[0];
        use crate::functions::f32 as functions;
        // Baseline's multiply-add is exact, so it stands for all.
        let (exp, tanh) = (functions::exp::<Baseline, 1>, functions::tanh::<Baseline, 1>);
        match function {
            Activation::Sigmoid => lane(functions::sigmoid::<Baseline, 1>, x),
            Activation::Tanh => lane(tanh, x),
            Activation::Relu => {
                if x > 0.0 || x.is_nan() {
                    x
                } else {
                    0.0
                }
            }
            Activation::Softplus => lane(functions::softplus::<Baseline, 1>, x),
            Activation::Softsign => x / (1.0 + x.abs()),
            Activation::Affine(a, b) => a * x + b,
            Activation::LeakyRelu(a) => {
                if x < 0.0 {
                    a * x
                } else {
                    x
                }
            }
            Activation::ThresholdedRelu(a) => {
                if x > a {
                    x
                } else {
                    0.0
                }
            }
            Activation::ScaledTanh(a, b) => a * lane(tanh, b * x),
            Activation::HardSigmoid(a, b) => {
                let line = a * x + b;
                if line.is_nan() {
                    line
                } else if line > 1.0 {
                    1.0
                } else if line > 0.0 {
                    line
                } else {
                    0.0
                }
            }
            Activation::Elu(a) => {
                if x < 0.0 {
                    a * (lane(exp, x) - 1.0)
                } else {
                    x
                }
            }
        }
    }

    fn value(i: usize) -> f32 {
        match i % 61 {
            13 => -0.0,
            29 => f32::NAN,
            47 => f32::NEG_INFINITY,
            _ => ((i * 7919 % 2003) as f32 - 1000.0) * 0.004_1,
        }
    }

    #[test]
    fn a_step_is_its_definition_on_every_isa() {
        let all = [
            Activation::Sigmoid,
            Activation::Tanh,
            Activation::Relu,
            Activation::Softplus,
            Activation::Softsign,
            Activation::Affine(1.5, -0.3),
            Activation::LeakyRelu(0.01),
            Activation::ThresholdedRelu(0.7),
            Activation::ScaledTanh(1.3, 0.6),
            Activation::HardSigmoid(0.2, 0.5),
            Activation::Elu(0.9),
        ];
        for (k, &first) in all.iter().enumerate() {
            let functions = [first, all[(k + 1) % 11], all[(k + 2) % 11]];
            let hidden = [1, 3, 8, 16, 17, 35][k % 6];
            let numbers = |n: usize, from: usize| (0..n).map(|i| value(i + from)).collect::<Vec<f32>>();
            let (bias, peephole) = (numbers(4 * hidden, 5), numbers(3 * hidden, 900));
            let cell = Cell {
                bias: (k % 3 > 0).then_some(&bias[..]),
                peephole: (k % 2 > 0).then_some(&peephole[..]),
                functions,
                clip: (k % 4 > 1).then_some(2.5),
                input_forget: k % 5 == 4,
                hidden,
            };
            let (rows, gates) = (3, numbers(12 * hidden, 77));
            let old = numbers(rows * hidden, 4000);
            for &isa in Isa::available() {
                let (mut c, mut h) = (old.clone(), vec![7.0; rows * hidden]);
                cell.step(isa, &gates, &mut c, &mut h);
                for at in 0..rows * hidden {
                    let (want_c, want_h) = expected(&cell, &gates[at / hidden * 4 * hidden..], at % hidden, old[at]);
                    for (got, want) in [(c[at], want_c), (h[at], want_h)] {
                        let same = got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan();
                        assert!(same, "{} {functions:?}: {got:e}, not {want:e}", isa.name());
                    }
                }
            }
        }
    }

    /// The next c and h of hidden value `j`.
    fn expected(cell: &Cell<f32>, gates: &[f32], j: usize, old: f32) -> (f32, f32) {
        let hidden = cell.hidden;
        let act = |function, x: f32| {
            let clipped = |b: f32| {
                if x > b {
                    b
                } else if x < -b {
                    -b
                } else {
                    x
                }
            };
            activation(function, cell.clip.map_or(x, clipped))
        };
        let a = |gate: usize| gates[gate * hidden + j];
        let a = |gate: usize| cell.bias.map_or(a(gate), |b| a(gate) + b[gate * hidden + j]);
        let peep = |gate: usize, c: f32| cell.peephole.map_or(a(gate), |p| a(gate) + p[gate * hidden + j] * c);
        let [f_act, g_act, h_act] = cell.functions;
        let i = act(f_act, peep(0, old));
        let f = if cell.input_forget { 1.0 - i } else { act(f_act, peep(2, old)) };
        let new = f * old + i * act(g_act, a(3));
        (new, act(f_act, peep(1, new)) * act(h_act, new))
    }

    #[test]
    fn doubles_step_too() {
        let functions = [Activation::Sigmoid, Activation::Tanh, Activation::Tanh];
        let cell = Cell { bias: None, peephole: None, functions, clip: None, input_forget: false, hidden: 5 };
        let gates: Vec<f64> = (0..20).map(|i| value(i) as f64 * 0.1).collect();
        let results: Vec<Vec<u64>> = Isa::available()
            .iter()
            .map(|&isa| {
                let (mut c, mut h) = (vec![0.25; 5], vec![0.0; 5]);
                cell.step(isa, &gates, &mut c, &mut h);
                c.iter().chain(&h).map(|x| if x.is_nan() { !0 } else { x.to_bits() }).collect()
            })
            .collect();
        assert!(results.iter().all(|r| *r == results[0]));
    }
}
