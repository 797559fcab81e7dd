//! Many short multiply-add chains at once, a lane each (docs/numerics.md, section 2): products of matrices too small for
//! [`gemm`](crate::gemm), and products without a sum.

use crate::lanes::*;

/// Chains computed side by side.
const N: usize = 16;

/// A number that chains are made of.
pub trait Chain: SimdElement + Default + Send + Sync + 'static {
    /// `acc + a * b`: rounded once in binary32, multiplied then added in binary64, wrapping.
    fn step<A: Arch>(a: Simd<Self, N>, b: Simd<Self, N>, acc: Simd<Self, N>) -> Simd<Self, N>;
}

impl Chain for f32 {
    #[inline(always)]
    fn step<A: Arch>(a: Simd<f32, N>, b: Simd<f32, N>, acc: Simd<f32, N>) -> Simd<f32, N> {
        A::fma(a, b, acc)
    }
}

macro_rules! two_steps {
    ($($type:ty),*) => {$(impl Chain for $type {
        #[inline(always)]
        fn step<A: Arch>(a: Simd<$type, N>, b: Simd<$type, N>, acc: Simd<$type, N>) -> Simd<$type, N> {
            a * b + acc
        }
    })*};
}
two_steps!(f64, i32, i64);

/// The factors of a row of chains: chain `i` takes `a[i * strides[0] + k * steps[0]]` and `b[i * strides[1] + k * steps[1]]`.
#[derive(Clone, Copy, Debug)]
pub struct Factors<T> {
    pub a: *const T,
    pub b: *const T,
    pub strides: [isize; 2],
    pub steps: [isize; 2],
    /// Terms of each chain.
    pub k: usize,
}

/// `out[i] = chain over k` for every element of `out`.
///
/// # Safety
/// All factors of `out.len()` chains are valid for reading.
pub unsafe fn chains<T: Chain>(isa: Isa, factors: Factors<T>, out: &mut [T]) {
    dispatch(isa, Row { factors, out });
}

struct Row<'a, T> {
    factors: Factors<T>,
    out: &'a mut [T],
}

impl<T: Chain> Kernel for Row<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let Row { factors: Factors { a, b, strides, steps, k }, out } = self;
        for (block, out) in out.chunks_mut(N).enumerate() {
            let first = (block * N) as isize;
            let mut acc = Simd::splat(T::default());
            for k in 0..k as isize {
                // SAFETY: `chains`' contract.
                let (x, y) = unsafe {
                    (
                        lanes(a.wrapping_offset(first * strides[0] + k * steps[0]), strides[0], out.len()),
                        lanes(b.wrapping_offset(first * strides[1] + k * steps[1]), strides[1], out.len()),
                    )
                };
                acc = T::step::<A>(x, y, acc);
            }
            out.copy_from_slice(&acc.as_array()[..out.len()]);
        }
    }
}

/// `count <= N` numbers `stride` apart.
///
/// # Safety
/// They are valid for reading.
#[inline(always)]
unsafe fn lanes<T: Chain>(from: *const T, stride: isize, count: usize) -> Simd<T, N> {
    // SAFETY: by this function's contract.
    unsafe {
        if stride == 0 {
            return Simd::splat(from.read());
        }
        if stride == 1 && count == N {
            return from.cast::<Simd<T, N>>().read_unaligned();
        }
        let mut lanes = [T::default(); N];
        for (i, lane) in lanes.iter_mut().enumerate().take(count) {
            *lane = from.offset(i as isize * stride).read();
        }
        Simd::from_array(lanes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_of_any_stride_are_chains() {
        let a: Vec<f32> = (0..200).map(|i| 1.0 + i as f32 * 0.37).collect();
        let b: Vec<f32> = (0..200).map(|i| 2.0 - i as f32 * 0.11).collect();
        for &isa in Isa::available() {
            for (strides, steps) in [([1, 0], [0, 1]), ([3, 1], [1, 2]), ([0, 2], [5, 40])] {
                for len in [0, 1, 15, 16, 17, 35] {
                    let mut out = vec![0.0; len];
                    // SAFETY: 34 * 3 + 3 * 40 at most.
                    unsafe { chains(isa, Factors { a: a.as_ptr(), b: b.as_ptr(), strides, steps, k: 3 }, &mut out) };
                    for (i, &got) in out.iter().enumerate() {
                        let want = (0..3).fold(0.0f32, |acc, k| {
                            let at = |n: usize| i * strides[n] as usize + k * steps[n] as usize;
                            a[at(0)].mul_add(b[at(1)], acc)
                        });
                        assert_eq!(got.to_bits(), want.to_bits());
                    }
                }
            }
        }
    }
}
