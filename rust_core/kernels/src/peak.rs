//! The most that a core can do, which profiles hold kernels against. These compute nothing of use.

use crate::lanes::*;

/// Chains that are under way at once: more than any core's latency times its units.
const CHAINS: usize = 12;

/// Runs chains of `f32` multiply-adds in registers, `steps` of each, and returns the operations done (two a multiply-add), and a sum that
/// depends on all of them.
pub fn multiply_adds(isa: Isa, steps: usize) -> (u64, f32) {
    dispatch(isa, MultiplyAdds(steps))
}

struct MultiplyAdds(usize);

impl Kernel for MultiplyAdds {
    type Output = (u64, f32);

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) -> (u64, f32) {
        let (a, b) = std::hint::black_box((0.999_f32, 1e-3_f32));
        let (a, b) = (Simd::<f32, L>::splat(a), Simd::splat(b));
        let mut chains: [_; CHAINS] = std::array::from_fn(|i| Simd::splat(i as f32));
        for _ in 0..self.0 {
            for chain in &mut chains {
                *chain = A::fma(*chain, a, b);
            }
        }
        let sum = chains.into_iter().fold(Simd::splat(0.0), |sum, chain| sum + chain);
        ((2 * L * CHAINS * self.0) as u64, sum[0])
    }
}

/// Reads `values` once, and returns a sum that depends on all of them.
pub fn read(isa: Isa, values: &[f32]) -> f32 {
    dispatch(isa, Read(values))
}

struct Read<'a>(&'a [f32]);

impl Kernel for Read<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) -> f32 {
        let mut sums = [Simd::<f32, L>::splat(0.0); 4];
        let mut blocks = self.0.chunks_exact(4 * L);
        for block in &mut blocks {
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum += Simd::from_slice(&block[i * L..]);
            }
        }
        let sum = sums.into_iter().fold(Simd::splat(0.0), |sum, part| sum + part);
        blocks.remainder().iter().fold(sum[0], |sum, x| sum + x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_counted_and_values_read() {
        for &isa in Isa::available() {
            let (operations, sum) = multiply_adds(isa, 10);
            assert_eq!(operations, (2 * isa.lanes() * CHAINS * 10) as u64);
            assert!(sum > 0.0 && sum.is_finite());
            let mut values = vec![0.0; 1003];
            assert_eq!(read(isa, &values), 0.0);
            values[1002] = 3.0;
            assert_eq!(read(isa, &values), 3.0);
        }
    }
}
