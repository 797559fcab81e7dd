//! Discrete Fourier transforms in binary64: docs/numerics.md, sections 3.6 and 4.
//!
//! A transform is a sequence of stages, one for each factor of its length. Between two of them, `[after][length]` holds the
//! transforms of length `length` of interleaved parts; a stage of radix r combines r of them. Real and imaginary parts are
//! arrays of their own. Either one line is transformed, vectors running along it, or [`LINES`] lines side by side, one a
//! lane: every element sees the same operations in the same order.

mod stage;
mod tables;

use crate::functions::Float;
use crate::lanes::*;
use stage::stages;
pub use tables::{Radices, circle, convolution_len, fill_chirp};

/// Lines that are transformed side by side.
pub const LINES: usize = 8;

/// A transform of one length, with its tables.
#[derive(Clone, Copy, Debug)]
pub struct Transform<'a> {
    pub n: usize,
    pub radices: &'a Radices,
    pub table: &'a [f64],
    /// Where n has no radices: `radices` and `table` are then those of the convolution's length.
    pub chirp: Option<Chirp<'a>>,
}

/// Bluestein's chirp.
#[derive(Clone, Copy, Debug)]
pub struct Chirp<'a> {
    /// The convolution's length.
    pub m: usize,
    /// `[n]` each.
    pub cos: &'a [f64],
    pub sin: &'a [f64],
    /// The transform of the conjugate chirp around 0, `[m]` each.
    pub re: &'a [f64],
    pub im: &'a [f64],
}

/// What is done with lines: where elements are and what becomes of the transform.
#[derive(Clone, Copy, Debug)]
pub struct Lines<T> {
    /// Numbers of an element of the source (1 or 2) and how far apart elements are.
    pub parts: usize,
    pub src_stride: usize,
    /// Elements that are there; the rest of the transform's are 0.
    pub count: usize,
    /// `count` factors, or null.
    pub window: *const T,
    pub inverse: bool,
    /// The source is the first half of the transform of a real signal.
    pub mirrored: bool,
    /// Elements that are stored, their numbers (1 or 2), how far apart.
    pub bins: usize,
    pub out_parts: usize,
    pub dst_stride: usize,
}

// SAFETY: the window is only read; whoever runs lines answers for it.
unsafe impl<T: Sync> Send for Lines<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Lines<T> {}

impl Transform<'_> {
    /// Elements of each of the four arrays that a line works in.
    pub fn size(&self) -> usize {
        self.chirp.map_or(self.n, |chirp| chirp.m)
    }

    /// Transforms lines, whose first elements are at `places` (source, destination), of which there are at most `side`; `side` is 1
    /// or [`LINES`].
    ///
    /// # Safety
    /// For each place, the elements that `lines` names are readable at `src` and writable at `dst`, and the window is readable.
    ///
    /// # Panics
    /// If `room` is shorter than `4 * size * side`.
    #[allow(clippy::too_many_arguments)] // where from, where to, which lines, and room
    pub unsafe fn run<T: Float>(
        &self,
        isa: Isa,
        lines: &Lines<T>,
        src: *const T,
        dst: *mut T,
        places: &[(usize, usize)],
        side: usize,
        room: &mut [f64],
    ) {
        assert!(places.len() <= side && (side == 1 || side == LINES));
        let len = self.size() * side;
        let (first, rest) = room.split_at_mut(2 * len);
        let (re, im) = first.split_at_mut(len);
        let (re2, im2) = rest[..2 * len].split_at_mut(len);
        dispatch(isa, Run { transform: self, lines, src, dst, places, side, a: [re, im], b: [re2, im2] });
    }

    /// Transforms one line of `n` elements in place, forwards. `room` has `2 * n` elements.
    ///
    /// # Panics
    /// If lengths do not fit, or the transform is Bluestein's.
    pub fn in_place(&self, isa: Isa, re: &mut [f64], im: &mut [f64], room: &mut [f64]) {
        assert!(self.chirp.is_none() && re.len() == self.n && im.len() == self.n && room.len() >= 2 * self.n);
        let (re2, im2) = room[..2 * self.n].split_at_mut(self.n);
        if dispatch(isa, InPlace { transform: self, a: [&mut *re, &mut *im], b: [&mut *re2, &mut *im2] }) {
            re.copy_from_slice(re2);
            im.copy_from_slice(im2);
        }
    }
}

struct InPlace<'a> {
    transform: &'a Transform<'a>,
    a: [&'a mut [f64]; 2],
    b: [&'a mut [f64]; 2],
}

impl Kernel for InPlace<'_> {
    type Output = bool;
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) -> bool {
        stages(self.transform, self.a, self.b, 1)
    }
}

struct Run<'a, T> {
    transform: &'a Transform<'a>,
    lines: &'a Lines<T>,
    src: *const T,
    dst: *mut T,
    places: &'a [(usize, usize)],
    side: usize,
    a: [&'a mut [f64]; 2],
    b: [&'a mut [f64]; 2],
}

impl<T: Float> Kernel for Run<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let Run { transform, lines, src, dst, places, side, a: [mut re, mut im], b: [re2, im2] } = self;
        let n = transform.n;
        // SAFETY: the caller vouches for the elements at the places.
        unsafe { gather(lines, src, places, side, re, im) };
        re[lines.count * side..].fill(0.0);
        im[lines.count * side..].fill(0.0);
        if lines.mirrored {
            mirror(re, im, n, side);
        }
        if lines.inverse {
            (re, im) = (im, re);
        }
        let (mut re, mut im) = match &transform.chirp {
            None => pick(stages(transform, [&mut *re, &mut *im], [&mut *re2, &mut *im2], side), [re, im], [re2, im2]),
            Some(chirp) => {
                turn_all(re, im, chirp.cos, chirp.sin, side);
                let moved = stages(transform, [&mut *re, &mut *im], [&mut *re2, &mut *im2], side);
                let ((re, im), (re2, im2)) = if moved { ((re2, im2), (re, im)) } else { ((re, im), (re2, im2)) };
                respond(re, im, chirp, side);
                // The inverse: parts change places.
                let moved = stages(transform, [&mut *im, &mut *re], [&mut *re2, &mut *im2], side);
                let (im, re) = pick(moved, [im, re], [re2, im2]);
                for part in [&mut *re, &mut *im] {
                    part.iter_mut().for_each(|x| *x /= chirp.m as f64);
                }
                turn_all(&mut re[..n * side], &mut im[..n * side], chirp.cos, chirp.sin, side);
                (re, im)
            }
        };
        if lines.inverse {
            (re, im) = (im, re);
        }
        // SAFETY: as above.
        unsafe { scatter(lines, n, re, im, dst, places, side) };
    }
}

/// The buffer that holds the result.
#[inline(always)]
fn pick<'a>(
    second: bool,
    [re, im]: [&'a mut [f64]; 2],
    [re2, im2]: [&'a mut [f64]; 2],
) -> (&'a mut [f64], &'a mut [f64]) {
    if second { (re2, im2) } else { (re, im) }
}

/// The elements of the lines, widened and weighted, `[count][side]`.
///
/// # Safety
/// [`Transform::run`]'s.
#[inline(always)]
unsafe fn gather<T: Float>(
    lines: &Lines<T>,
    src: *const T,
    places: &[(usize, usize)],
    side: usize,
    re: &mut [f64],
    im: &mut [f64],
) {
    for t in 0..lines.count {
        // SAFETY: the window has `count` elements.
        let weight = (!lines.window.is_null()).then(|| unsafe { to_f64(lines.window.add(t)) });
        for (line, &(place, _)) in places.iter().enumerate() {
            // SAFETY: the caller vouches for the line's elements.
            let (mut x, mut y) = unsafe {
                let at = src.add(place + t * lines.src_stride);
                (to_f64(at), if lines.parts == 2 { to_f64(at.add(1)) } else { 0.0 })
            };
            if let Some(weight) = weight {
                x *= weight;
                if lines.parts == 2 {
                    y *= weight;
                }
            }
            re[t * side + line] = x;
            im[t * side + line] = y;
        }
        for line in places.len()..side {
            re[t * side + line] = 0.0;
            im[t * side + line] = 0.0;
        }
    }
}

/// # Safety
/// One element at `from` is readable.
#[inline(always)]
unsafe fn to_f64<T: Float>(from: *const T) -> f64 {
    // SAFETY: the caller's promise.
    T::to_f64(unsafe { T::load::<1>(from) })[0]
}

/// All of a real signal's transform from its first half.
#[inline(always)]
fn mirror(re: &mut [f64], im: &mut [f64], n: usize, side: usize) {
    im[..side].fill(0.0);
    if n.is_multiple_of(2) {
        im[n / 2 * side..(n / 2 + 1) * side].fill(0.0);
    }
    for k in 1..=(n - 1) / 2 {
        for line in 0..side {
            re[(n - k) * side + line] = re[k * side + line];
            im[(n - k) * side + line] = -im[k * side + line];
        }
    }
}

/// Every element times the conjugate of its factor: `x (cos - i sin)`.
#[inline(always)]
fn turn_all(re: &mut [f64], im: &mut [f64], cos: &[f64], sin: &[f64], side: usize) {
    for ((re, im), (&cos, &sin)) in re.chunks_exact_mut(side).zip(im.chunks_exact_mut(side)).zip(cos.iter().zip(sin)) {
        for (re, im) in re.iter_mut().zip(im) {
            (*re, *im) = (*re * cos + *im * sin, *im * cos - *re * sin);
        }
    }
}

/// Every element times the response.
#[inline(always)]
fn respond(re: &mut [f64], im: &mut [f64], chirp: &Chirp<'_>, side: usize) {
    let factors = chirp.re.iter().zip(chirp.im);
    for ((re, im), (&c, &s)) in re.chunks_exact_mut(side).zip(im.chunks_exact_mut(side)).zip(factors) {
        for (re, im) in re.iter_mut().zip(im) {
            (*re, *im) = (*re * c - *im * s, *re * s + *im * c);
        }
    }
}

/// Stores the first bins of each line, divided by n after an inverse, rounded once.
///
/// # Safety
/// [`Transform::run`]'s.
#[inline(always)]
unsafe fn scatter<T: Float>(
    lines: &Lines<T>,
    n: usize,
    re: &[f64],
    im: &[f64],
    dst: *mut T,
    places: &[(usize, usize)],
    side: usize,
) {
    for k in 0..lines.bins {
        for (part, values) in [re, im].into_iter().enumerate().take(lines.out_parts) {
            let mut x = [0.0; LINES];
            x[..side].copy_from_slice(&values[k * side..(k + 1) * side]);
            let mut x = Simd::<f64, LINES>::from_array(x);
            if lines.inverse {
                x /= Simd::splat(n as f64);
            }
            let mut stored = [T::ZERO; LINES];
            // SAFETY: LINES elements are stored in the array, and one at each place, for which the caller vouches.
            unsafe {
                T::store::<LINES>(T::round_f64(x), stored.as_mut_ptr());
                for (&x, &(_, place)) in stored.iter().zip(places) {
                    *dst.add(place + k * lines.dst_stride + part) = x;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transform(isa: Isa, x: &[(f64, f64)], side: usize) -> Vec<(f64, f64)> {
        let n = x.len();
        let found = Radices::of(n);
        let m = found.map_or_else(|| convolution_len(n).unwrap(), |_| n);
        let radices = found.unwrap_or_else(|| Radices::of(m).unwrap());
        let mut table = vec![0.0; radices.table_len()];
        radices.fill(isa, &mut table);
        let (mut cos, mut sin, mut re, mut im) = (vec![0.0; n], vec![0.0; n], vec![0.0; m], vec![0.0; m]);
        let plain = Transform { n: m, radices: &radices, table: &table, chirp: None };
        fill_chirp(isa, &mut cos, &mut sin, &mut re, &mut im);
        plain.in_place(isa, &mut re, &mut im, &mut vec![0.0; 2 * m]);
        let chirp = Chirp { m, cos: &cos, sin: &sin, re: &re, im: &im };
        let whole = Transform { n, chirp: found.is_none().then_some(chirp), ..plain };
        let lines = Lines {
            parts: 2,
            src_stride: 2,
            count: n,
            window: std::ptr::null(),
            inverse: false,
            mirrored: false,
            bins: n,
            out_parts: 2,
            dst_stride: 2,
        };
        let src: Vec<f64> = x.iter().flat_map(|&(re, im)| [re, im]).collect();
        let mut dst = vec![0.0; 2 * n];
        let mut room = vec![7.0; 4 * whole.size() * side];
        // SAFETY: one line of n complex elements on both sides.
        unsafe { whole.run::<f64>(isa, &lines, src.as_ptr(), dst.as_mut_ptr(), &[(0, 0)], side, &mut room) };
        dst.chunks(2).map(|z| (z[0], z[1])).collect()
    }

    #[test]
    fn transforms_are_those_of_the_definition_on_every_isa() {
        for n in [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 16, 31, 35, 37, 48, 60, 64, 74, 100, 128, 240, 1000] {
            let x: Vec<(f64, f64)> = (0..n)
                .map(|t| ((t * 7919 % 101) as f64 / 50.0 - 1.0, (t * 104_729 % 89) as f64 / 44.0 - 1.0))
                .collect();
            let want = transform(Isa::available()[0], &x, 1);
            for &isa in Isa::available() {
                for side in [1, LINES] {
                    assert_eq!(transform(isa, &x, side), want, "{n} on {} with {side} lines", isa.name());
                }
            }
            for (k, &(re, im)) in want.iter().enumerate() {
                let (mut sum, mut other) = (0.0, 0.0);
                for (t, &(a, b)) in x.iter().enumerate() {
                    let angle = std::f64::consts::TAU * (k * t % n) as f64 / n as f64;
                    let (sin, cos) = angle.sin_cos();
                    sum += a * cos + b * sin;
                    other += b * cos - a * sin;
                }
                assert!((re - sum).abs() + (im - other).abs() < 1e-13 * n as f64, "{n}: {k}");
            }
        }
    }
}
