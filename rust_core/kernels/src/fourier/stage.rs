//! The stages of a transform, and their butterflies.

use super::tables::{GREATEST, table_part};
use super::{LINES, Transform};
use crate::lanes::*;

/// A number in each lane, or a complex one.
type Lane<const N: usize> = Simd<f64, N>;

#[derive(Clone, Copy)]
struct Cx<const N: usize>(Lane<N>, Lane<N>);

impl<const N: usize> Cx<N> {
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        Cx(self.0 + other.0, self.1 + other.1)
    }
    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        Cx(self.0 - other.0, self.1 - other.1)
    }
    #[inline(always)]
    fn times(self, factor: f64) -> Self {
        Cx(self.0 * Simd::splat(factor), self.1 * Simd::splat(factor))
    }
    /// `self - i other`.
    #[inline(always)]
    fn minus_i(self, other: Self) -> Self {
        Cx(self.0 + other.1, self.1 - other.0)
    }
    /// `self + i other`.
    #[inline(always)]
    fn plus_i(self, other: Self) -> Self {
        Cx(self.0 - other.1, self.1 + other.0)
    }
    /// `self (cos - i sin)`.
    #[inline(always)]
    fn turned(self, cos: Lane<N>, sin: Lane<N>) -> Self {
        Cx(self.0 * cos + self.1 * sin, self.1 * cos - self.0 * sin)
    }
}

/// One stage: `[radix][after][length][side]` to `[after][radix][length][side]`.
struct Stage<'a> {
    radix: usize,
    length: usize,
    after: usize,
    side: usize,
    /// `[radix]` each, for odd radices.
    roots: (&'a [f64], &'a [f64]),
    /// `[radix - 1][length]` each; empty in the first stage.
    twiddles: (&'a [f64], &'a [f64]),
    src: [*const f64; 2],
    dst: [*mut f64; 2],
}

/// All stages, from `a` to `b` and back; whether the result is in `b`.
#[inline(always)]
pub(super) fn stages(transform: &Transform<'_>, a: [&mut [f64]; 2], b: [&mut [f64]; 2], side: usize) -> bool {
    let size = transform.size();
    assert!(a.iter().chain(&b).all(|part| part.len() >= size * side));
    let pointers = [a.map(|part| part.as_mut_ptr()), b.map(|part| part.as_mut_ptr())];
    let (mut length, mut table, mut at) = (1, transform.table, 0);
    for radix in transform.radices.as_slice().iter().map(|&radix| usize::from(radix)) {
        let (roots, factors, len) = table_part(radix, length);
        let (own, twiddles) = table[..len].split_at(2 * roots);
        let stage = Stage {
            radix,
            length,
            after: size / (length * radix),
            side,
            roots: own.split_at(roots),
            twiddles: twiddles.split_at(factors),
            src: pointers[at].map(|p| p.cast_const()),
            dst: pointers[1 - at],
        };
        // SAFETY: both buffers hold `size * side` elements, and radix * length * after is the size.
        unsafe {
            match radix {
                2 => stage.run::<2>(),
                3 => stage.run::<3>(),
                4 => stage.run::<4>(),
                5 => stage.run::<5>(),
                7 => stage.run::<7>(),
                _ => stage.run::<GREATEST>(),
            }
        }
        table = &table[len..];
        length *= radix;
        at = 1 - at;
    }
    at == 1
}

// [panel: DFT STFT]
impl Stage<'_> {
    /// Runs the stage; `R` is its radix or, for those without an instance of their own, the greatest.
    ///
    /// # Safety
    /// `radix * after * length * side` elements are readable at `src` and writable at `dst`.
    #[inline(always)]
    unsafe fn run<const R: usize>(&self) {
        if self.side == 1 && self.length == 1 {
            let whole = self.after - self.after % LINES;
            for m in (0..whole).step_by(LINES) {
                // SAFETY: LINES butterflies from m on lie in the stage.
                unsafe { self.first::<LINES, R>(m) };
            }
            for m in whole..self.after {
                // SAFETY: as above.
                unsafe { self.first::<1, R>(m) };
            }
            return;
        }
        for m in 0..self.after {
            // SAFETY: the points lie in the stage.
            unsafe {
                if self.side == LINES {
                    for k in 0..self.length {
                        self.point::<LINES, R>(m, k, true);
                    }
                } else {
                    let whole = self.length - self.length % LINES;
                    for k in (0..whole).step_by(LINES) {
                        self.point::<LINES, R>(m, k, false);
                    }
                    for k in whole..self.length {
                        self.point::<1, R>(m, k, false);
                    }
                }
            }
        }
    }

    /// `N` butterflies of element k of part m: for `N` lines, or (`splat` false) for k and its successors.
    ///
    /// # Safety
    /// As [`Stage::run`], and the elements lie in the stage.
    #[inline(always)]
    unsafe fn point<const N: usize, const R: usize>(&self, m: usize, k: usize, splat: bool) {
        let radix = if R == GREATEST { self.radix } else { R };
        let (stride, from) = (self.after * self.length * self.side, (m * self.length + k) * self.side);
        let mut z = [Cx::<N>(Simd::splat(0.0), Simd::splat(0.0)); R];
        let z = &mut z[..radix];
        for (q, z) in z.iter_mut().enumerate() {
            // SAFETY: element k of part m + q * after.
            *z = unsafe { self.load(from + q * stride) };
            if q > 0 && self.length > 1 {
                let at = (q - 1) * self.length + k;
                let factor = |table: &[f64]| {
                    if splat { Simd::splat(table[at]) } else { Simd::from_slice(&table[at..at + N]) }
                };
                *z = z.turned(factor(self.twiddles.0), factor(self.twiddles.1));
            }
        }
        self.butterfly(z);
        let (stride, to) = (self.length * self.side, (m * radix * self.length + k) * self.side);
        for (p, z) in z.iter().enumerate() {
            let at = to + p * stride;
            // SAFETY: element k + p * length of part m.
            unsafe {
                self.dst[0].add(at).cast::<Lane<N>>().write_unaligned(z.0);
                self.dst[1].add(at).cast::<Lane<N>>().write_unaligned(z.1);
            }
        }
    }

    /// `N` butterflies of one line's first stage, of parts m and its successors.
    ///
    /// # Safety
    /// As [`Stage::run`], and the parts lie in the stage.
    #[inline(always)]
    unsafe fn first<const N: usize, const R: usize>(&self, m: usize) {
        let radix = if R == GREATEST { self.radix } else { R };
        let mut z = [Cx::<N>(Simd::splat(0.0), Simd::splat(0.0)); R];
        let z = &mut z[..radix];
        for (q, z) in z.iter_mut().enumerate() {
            // SAFETY: parts m to m + N of those from q * after on.
            *z = unsafe { self.load(m + q * self.after) };
        }
        self.butterfly(z);
        for (p, z) in z.iter().enumerate() {
            for i in 0..N {
                let at = (m + i) * radix + p;
                // SAFETY: output p of part m + i.
                unsafe {
                    *self.dst[0].add(at) = z.0[i];
                    *self.dst[1].add(at) = z.1[i];
                }
            }
        }
    }

    /// # Safety
    /// `N` elements from `at` on are readable.
    #[inline(always)]
    unsafe fn load<const N: usize>(&self, at: usize) -> Cx<N> {
        // SAFETY: the caller's promise.
        unsafe {
            Cx(
                self.src[0].add(at).cast::<Lane<N>>().read_unaligned(),
                self.src[1].add(at).cast::<Lane<N>>().read_unaligned(),
            )
        }
    }

    /// The transform of length `z.len()`, in place.
    #[inline(always)]
    fn butterfly<const N: usize>(&self, z: &mut [Cx<N>]) {
        match z.len() {
            2 => (z[0], z[1]) = (z[0].plus(z[1]), z[0].minus(z[1])),
            4 => {
                let (even, odd) = ([z[0].plus(z[2]), z[0].minus(z[2])], [z[1].plus(z[3]), z[1].minus(z[3])]);
                (z[0], z[2]) = (even[0].plus(odd[0]), even[0].minus(odd[0]));
                (z[1], z[3]) = (even[1].minus_i(odd[1]), even[1].plus_i(odd[1]));
            }
            _ => self.odd_butterfly(z),
        }
    }

    /// An odd radix: sums and differences of pairs, then each pair of outputs by its sums over them, in order.
    #[inline(always)]
    fn odd_butterfly<const N: usize>(&self, z: &mut [Cx<N>]) {
        const PAIRS: usize = GREATEST / 2;
        let (radix, half) = (z.len(), z.len() / 2);
        let zero = Cx::<N>(Simd::splat(0.0), Simd::splat(0.0));
        let (mut s, mut d) = ([zero; PAIRS], [zero; PAIRS]);
        let origin = z[0];
        for j in 1..=half {
            s[j - 1] = z[j].plus(z[radix - j]);
            d[j - 1] = z[j].minus(z[radix - j]);
            z[0] = z[0].plus(s[j - 1]);
        }
        let (cos, sin) = self.roots;
        for p in 1..=half {
            let (mut u, mut v) = (origin.plus(s[0].times(cos[p])), d[0].times(sin[p]));
            for j in 2..=half {
                let root = j * p % radix;
                u = u.plus(s[j - 1].times(cos[root]));
                v = v.plus(d[j - 1].times(sin[root]));
            }
            z[p] = u.minus_i(v);
            z[radix - p] = u.plus_i(v);
        }
    }
}
// [/panel]
