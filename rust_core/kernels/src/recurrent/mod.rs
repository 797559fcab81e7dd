//! The cells of recurrent operators: `docs/numerics.md`, rows LSTM, GRU and RNN.
//!
//! The chains over inputs and hidden values are matrix products: [`crate::gemm`] multiplies all steps' inputs by W at once, and goes on
//! (`resume`) with the hidden values and R step by step. What is left of a step is here: bias, clip, activations, state.

mod gru;
mod lstm;
mod quantized;
mod rnn;
#[cfg(test)]
mod tests;

pub use gru::{Gru, LinearGate};
pub use lstm::Lstm;
pub use quantized::scale_products;
pub use rnn::Rnn;

use crate::functions::{Real, Stash};
use crate::lanes::*;

/// What cells compute in: f32 and f64.
pub trait Element: Stash + Default {}
impl Element for f32 {}
impl Element for f64 {}

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

impl<E> Activation<E> {
    #[inline(always)]
    fn apply<A: Arch, V: Real<Scalar = E>>(self, x: V) -> V {
        let (zero, one) = (V::from_f32(0.0), V::from_f32(1.0));
        match self {
            Activation::Sigmoid => x.sigmoid::<A>(),
            Activation::Tanh => x.tanh::<A>(),
            Activation::Relu => x.maximum(zero),
            Activation::Softplus => x.softplus::<A>(),
            Activation::Softsign => x / (one + x.abs()),
            Activation::Affine(alpha, beta) => V::splat(alpha) * x + V::splat(beta),
            Activation::LeakyRelu(alpha) => x.select_negative(V::splat(alpha) * x, x),
            Activation::ThresholdedRelu(alpha) => x.select_greater(V::splat(alpha), x, zero),
            Activation::ScaledTanh(alpha, beta) => V::splat(alpha) * (V::splat(beta) * x).tanh::<A>(),
            Activation::HardSigmoid(alpha, beta) => zero.maximum(one.minimum(V::splat(alpha) * x + V::splat(beta))),
            Activation::Elu(alpha) => x.select_negative(V::splat(alpha) * (x.exp::<A>() - one), x),
        }
    }
}

/// What all cells of one direction have: G gates of H hidden values each.
#[derive(Clone, Copy, Debug)]
pub struct Gates<'a, E> {
    /// `[G*H]`: `rn(Wb + Rb)`.
    pub bias: Option<&'a [E]>,
    /// Of each activation's input.
    pub clip: Option<E>,
    pub hidden: usize,
}

// [panel: LSTM GRU RNN gates]
impl<E: Element> Gates<'_, E> {
    /// Whether `chains` are whole rows of `count` gates for `state`, whole rows of hidden values, and the bias is one of these gates.
    fn fit(&self, count: usize, chains: &[E], state: &[E]) -> bool {
        let rows = state.len().checked_div(self.hidden).unwrap_or(0);
        self.bias.is_none_or(|bias| bias.len() == count * self.hidden)
            && state.len() == rows * self.hidden
            && chains.len() == count * state.len()
    }

    /// `n` values of a gate from hidden value `at` on, before its activation: the row's chains, and the bias.
    #[inline(always)]
    fn value<const N: usize>(&self, chains: &[E], gate: usize, at: usize, n: usize) -> E::Lanes<N> {
        let a = part(chains, gate * self.hidden + at, n);
        self.bias.map_or(a, |bias| a + part(bias, gate * self.hidden + at, n))
    }

    /// `function` of `a`, clipped before.
    #[inline(always)]
    fn activate<A: Arch, V: Real<Scalar = E>>(&self, function: Activation<E>, a: V) -> V {
        let clipped = |bound: E| V::splat(bound).minimum(V::splat(-bound).maximum(a));
        function.apply::<A, V>(self.clip.map_or(a, clipped))
    }
}
// [/panel]

/// `n <= N` numbers of `from`, zeros after them.
#[inline(always)]
fn part<E: Element, const N: usize>(from: &[E], at: usize, n: usize) -> E::Lanes<N> {
    let from = &from[at..at + n];
    // SAFETY: the slice has n elements.
    unsafe { E::load_partial(from.as_ptr(), n) }
}

/// The first lanes into `to`, which has at most `N` elements.
#[inline(always)]
fn store<E: Element, const N: usize>(lanes: E::Lanes<N>, to: &mut [E]) {
    // SAFETY: as many as the slice has.
    unsafe { E::store_partial(lanes, to.as_mut_ptr(), to.len()) }
}
