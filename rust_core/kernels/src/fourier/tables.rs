//! What a transform of one length needs: its radices, roots of unity, Bluestein's chirp.

use super::LINES;
use std::cmp::Ordering;

use crate::functions::{Arithmetic, f64 as functions};
use crate::lanes::*;

/// The greatest prime with a butterfly.
pub(super) const GREATEST: usize = 31;
/// Radices of a length below 2^64.
const STAGES: usize = 64;

/// The radices of a transform's stages, in order.
#[derive(Clone, Copy, Debug)]
pub struct Radices {
    list: [u8; STAGES],
    count: usize,
}

impl Radices {
    /// Those of length `n` > 0: 4 as often as it divides n, then 2, 3, 5 …; `None` if a prime factor is too great.
    pub fn of(mut n: usize) -> Option<Radices> {
        let mut radices = Radices { list: [0; STAGES], count: 0 };
        for radix in [4, 2].into_iter().chain((3..=GREATEST).step_by(2)) {
            while n.is_multiple_of(radix) && n > 0 {
                radices.list[radices.count] = radix as u8;
                radices.count += 1;
                n /= radix;
            }
        }
        (n == 1).then_some(radices)
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.list[..self.count]
    }

    /// Elements of the table of [`Radices::fill`].
    pub fn table_len(&self) -> usize {
        let mut length = 1;
        let mut len = 0;
        for &radix in self.as_slice() {
            len += table_part(radix.into(), length).2;
            length *= usize::from(radix);
        }
        len
    }

    /// Fills the factors of all stages.
    ///
    /// # Panics
    /// If `table` is shorter than [`Radices::table_len`].
    pub fn fill(&self, isa: Isa, table: &mut [f64]) {
        let (mut length, mut rest) = (1usize, table);
        for radix in self.as_slice().iter().map(|&radix| usize::from(radix)) {
            let (roots, factors, len) = table_part(radix, length);
            let (part, after) = rest.split_at_mut(len);
            let (own, twiddles) = part.split_at_mut(2 * roots);
            let (cos, sin) = own.split_at_mut(roots);
            circle(isa, radix as u64, |i| i as u64, cos, sin);
            let (cos, sin) = twiddles.split_at_mut(factors);
            let power = |i: usize| (i / length + 1) as u64 * (i % length) as u64;
            circle(isa, (radix * length) as u64, power, cos, sin);
            rest = after;
            length *= radix;
        }
    }
}

/// A stage's part of the table: roots of unity (odd radices), twiddle factors (but for the first stage), elements in all.
pub(super) fn table_part(radix: usize, length: usize) -> (usize, usize, usize) {
    let roots = if radix.is_multiple_of(2) { 0 } else { radix };
    let factors = if length > 1 { (radix - 1) * length } else { 0 };
    (roots, factors, 2 * (roots + factors))
}

/// Cosines and sines of `2 pi index(i) / n`, `index(i) < n < 2^62`.
pub fn circle(isa: Isa, n: u64, index: impl Fn(usize) -> u64, cos: &mut [f64], sin: &mut [f64]) {
    for (chunk, (cos, sin)) in cos.chunks_mut(LINES).zip(sin.chunks_mut(LINES)).enumerate() {
        let mut k = [0; LINES];
        for (i, k) in k.iter_mut().enumerate().take(cos.len()) {
            *k = index(chunk * LINES + i);
        }
        let (c, s) = dispatch(isa, Circle { k, n });
        cos.copy_from_slice(&c[..cos.len()]);
        sin.copy_from_slice(&s[..sin.len()]);
    }
}

struct Circle {
    k: [u64; LINES],
    n: u64,
}

// [panel: HannWindow HammingWindow BlackmanWindow circle]
impl Kernel for Circle {
    type Output = ([f64; LINES], [f64; LINES]);
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) -> Self::Output {
        let (mut angle, mut quadrant, mut beyond) = ([0.0; LINES], [0u64; LINES], [Ordering::Less; LINES]);
        for i in 0..LINES {
            let v = 4 * self.k[i] % self.n;
            quadrant[i] = 4 * self.k[i] / self.n;
            beyond[i] = (2 * v).cmp(&self.n);
            angle[i] = v.min(self.n - v) as f64;
        }
        let half_pi = crate::functions::coefficients::HALF_PI_F64[0];
        let angle = Simd::from_array(angle) * Simd::splat(half_pi) / Simd::splat(self.n as f64);
        let near = functions::cos::<LINES>(angle).to_array();
        let far = functions::sin::<LINES>(angle).to_array();
        let half_root = Arithmetic::sqrt(0.5f64);
        let (mut cos, mut sin) = ([0.0; LINES], [0.0; LINES]);
        for i in 0..LINES {
            let (c, s) = match beyond[i] {
                Ordering::Greater => (far[i], near[i]),
                Ordering::Less => (near[i], far[i]),
                Ordering::Equal => (half_root, half_root),
            };
            (cos[i], sin[i]) = match quadrant[i] {
                0 => (c, s),
                1 => (-s, c),
                2 => (-c, -s),
                _ => (s, -c),
            };
        }
        (cos, sin)
    }
}
// [/panel]

/// The convolution's length for a transform of length `n`; `None` if it does not fit.
pub fn convolution_len(n: usize) -> Option<usize> {
    n.checked_mul(2)?.checked_sub(1)?.checked_next_power_of_two()
}

/// Fills the chirp of length `n` = `cos.len()` and its conjugate around 0, of length `re.len()`, which is still to be transformed.
pub fn fill_chirp(isa: Isa, cos: &mut [f64], sin: &mut [f64], re: &mut [f64], im: &mut [f64]) {
    let (n, m) = (cos.len(), re.len());
    circle(isa, 2 * n as u64, |t| (t as u128 * t as u128 % (2 * n as u128)) as u64, cos, sin);
    for (around, part) in [(re, cos), (im, sin)] {
        around.fill(0.0);
        around[..n].copy_from_slice(part);
        for t in 1..n {
            around[m - t] = part[t];
        }
    }
}
