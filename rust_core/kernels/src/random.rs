//! Uniform and normal numbers in binary64 out of MT19937's stream: the program is in docs/numerics.md, "Random numbers".

use crate::Isa;
use crate::functions::{Unary, unary};
use crate::mt19937::Mt19937;

/// Numbers made at a time: what stays in the first-level cache. Even, since normal numbers come in pairs.
pub const BLOCK: usize = 512;

// [panel: RandomUniform RandomUniformLike Bernoulli Multinomial uniforms]
/// The next numbers of the stream.
pub fn uniforms(generator: &mut Mt19937, out: &mut [f64]) {
    out.fill_with(|| generator.uniform());
}
// [/panel]

// [panel: RandomNormal RandomNormalLike]
/// The next normal numbers, by Marsaglia's polar method. They come in pairs: a stream that is read in pieces has pieces of
/// even length, but for the last.
pub fn normals(isa: Isa, generator: &mut Mt19937, out: &mut [f64]) {
    for out in out.chunks_mut(BLOCK) {
        let mut points = [[0.0; 2]; BLOCK / 2];
        let (mut squares, mut logs) = ([0.0; BLOCK / 2], [0.0; BLOCK / 2]);
        let pairs = out.len().div_ceil(2);
        for (point, square) in points[..pairs].iter_mut().zip(&mut squares) {
            (*point, *square) = inside(generator);
        }
        // SAFETY: both arrays have as many elements or more.
        unsafe { unary::<f64>(isa, Unary::Log, squares.as_ptr(), logs.as_mut_ptr(), pairs) };
        for (((out, [x, y]), square), log) in out.chunks_mut(2).zip(points).zip(squares).zip(logs) {
            let factor = (-2.0 * log / square).sqrt();
            out.iter_mut().zip([factor * y, factor * x]).for_each(|(out, z)| *out = z);
        }
    }
}
// [/panel]

/// The next point inside the unit circle, but not at its centre, and the square of its distance from there.
fn inside(generator: &mut Mt19937) -> ([f64; 2], f64) {
    loop {
        let x = 2.0 * generator.uniform() - 1.0;
        let y = 2.0 * generator.uniform() - 1.0;
        let square = x * x + y * y;
        if square < 1.0 && square != 0.0 {
            return ([x, y], square);
        }
    }
}

/// Turns logarithms of weights into the running sums of the weights, the greatest of which is 1. Gives the last place with a
/// weight above 0; `None` if the greatest logarithm is not finite.
pub fn running_weights(isa: Isa, logs: &mut [f64]) -> Option<usize> {
    let greatest = logs.iter().copied().fold(f64::NEG_INFINITY, |a, x| if x > a || x.is_nan() { x } else { a });
    if !greatest.is_finite() || logs.iter().any(|x| x.is_nan()) {
        return None;
    }
    logs.iter_mut().for_each(|x| *x -= greatest);
    let data = logs.as_mut_ptr();
    // SAFETY: a function of each element in its own place.
    unsafe { unary::<f64>(isa, Unary::Exp, data, data, logs.len()) };
    let (mut sum, mut last) = (0.0, 0);
    for (place, x) in logs.iter_mut().enumerate() {
        if *x > 0.0 {
            last = place;
        }
        sum += *x;
        *x = sum;
    }
    Some(last)
}

/// The first place whose running sum is above `u` times the last one, but none after `last`.
pub fn place_of(sums: &[f64], u: f64, last: usize) -> usize {
    let target = u * sums[sums.len() - 1];
    sums.partition_point(|&sum| sum <= target).min(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_numbers_are_numpys_but_for_rounding() {
        // numpy.random.RandomState(5).standard_normal(5)
        let numpy = [0.44122748688504, -0.33087015189409, 2.43077118700778, -0.25209212960308, 0.10960984157818];
        for &isa in Isa::available() {
            let mut out = [0.0; 5];
            normals(isa, &mut Mt19937::new(5), &mut out);
            assert!(out.iter().zip(numpy).all(|(a, b)| (a - b).abs() < 1e-13), "{out:?}");
            let (mut pieces, mut generator) = ([0.0; 5], Mt19937::new(5));
            normals(isa, &mut generator, &mut pieces[..4]);
            normals(isa, &mut generator, &mut pieces[4..]);
            assert_eq!(out, pieces);
        }
    }

    #[test]
    fn weights_add_up_and_impossible_places_are_not_drawn() {
        let mut logs = [f64::NEG_INFINITY, 1.0, 1.0, f64::NEG_INFINITY];
        let last = running_weights(Isa::best(), &mut logs);
        assert_eq!((logs, last), ([0.0, 1.0, 2.0, 2.0], Some(2)));
        let places = [0.0, 0.49, 0.5, 1.0].map(|u| place_of(&logs, u, 2));
        assert_eq!(places, [1, 1, 2, 2]);
        for bad in [f64::NAN, f64::INFINITY] {
            assert_eq!(running_weights(Isa::best(), &mut [0.0, bad, 0.0]), None);
        }
        assert_eq!(running_weights(Isa::best(), &mut [f64::NEG_INFINITY; 2]), None);
    }
}
