//! One channel of a causal convolution: `docs/numerics.md`, row CausalConvWithState.

use crate::functions::{Float, Real, Stash};
use crate::lanes::*;

/// `y[i]`: the chain of `sequence[i + k] * kernel[k]` over k from +0, plus the bias; with `silu` times its own sigmoid.
///
/// # Panics
/// If the sequence is not `kernel.len() - 1` longer than `y`.
pub fn causal_conv<T: Float>(isa: Isa, sequence: &[T::Wide], kernel: &[T], bias: Option<T>, silu: bool, y: &mut [T]) {
    assert_eq!(sequence.len() + 1, y.len() + kernel.len());
    dispatch(isa, Causal { sequence, kernel, bias, silu, y });
}

struct Causal<'a, T: Float> {
    sequence: &'a [T::Wide],
    kernel: &'a [T],
    bias: Option<T>,
    silu: bool,
    y: &'a mut [T],
}

// [panel: CausalConvWithState]
impl<T: Float> Kernel for Causal<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let Causal { sequence, kernel, bias, silu, y } = self;
        for (start, y) in (0..y.len()).step_by(L).zip(y.chunks_mut(L)) {
            let mut acc = <T::Wide as Float>::Lanes::<L>::splat(T::Wide::ZERO);
            for (k, w) in kernel.iter().enumerate() {
                let x = &sequence[start + k..][..y.len()];
                // SAFETY: as many elements as the slice has.
                let x = unsafe { T::Wide::load_partial::<L>(x.as_ptr(), x.len()) };
                acc = Real::multiply_add::<A>(x, Real::splat(w.widen()), acc);
            }
            if let Some(bias) = bias {
                acc = acc + Real::splat(bias.widen());
            }
            if silu {
                acc = acc * acc.sigmoid::<A>();
            }
            // SAFETY: as many elements as the chunk has.
            unsafe { T::store_partial(T::Wide::lanes_into::<T, L>(acc), y.as_mut_ptr(), y.len()) };
        }
    }
}
// [/panel]

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_output_is_its_chain() {
        for (len, taps) in [(1, 4), (37, 3), (16, 1), (0, 5)] {
            let sequence: Vec<f32> = (0..len + taps - 1).map(|i| (i * 7919 % 101) as f32 * 0.37 - 11.0).collect();
            let kernel: Vec<f32> = (0..taps).map(|k| k as f32 * 0.31 - 0.4).collect();
            for &isa in Isa::available() {
                let mut y = vec![7f32; len];
                causal_conv(isa, &sequence, &kernel, Some(0.25), false, &mut y);
                for (i, y) in y.iter().enumerate() {
                    let acc = (0..taps).fold(0f32, |acc, k| sequence[i + k].mul_add(kernel[k], acc));
                    assert_eq!(y.to_bits(), (acc + 0.25).to_bits());
                }
            }
        }
    }
}
