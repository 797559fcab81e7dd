//! The transforms of F(4x4, 3x3) by interpolation at 0, ±5/8, ±3/2 and infinity.
//!
//! `y = A^T [(G g G^T) * (B^T d B)] A`: Winograd, *Arithmetic Complexity of Computations*, 1980; Lavin and Gray, "Fast Algorithms for
//! Convolutional Neural Networks", 2016. The entries of A and B are dyadic and exact in binary32. Among points of one sign pair each
//! these give nearly the least error bound (docs/numerics.md, section 5), a quarter of that of the usual 0, ±1, ±2.

use crate::lanes::*;

/// Outputs of a tile along an axis, and the inputs that they read.
pub const TILE: usize = 4;
pub(super) const REACH: usize = TILE + 2;
/// Products of a tile and a channel.
pub(super) const PRODUCTS: usize = REACH * REACH;

/// The points, their squares and cubes.
const P: [f32; 2] = [0.625, 1.5];
const P2: [f32; 2] = [P[0] * P[0], P[1] * P[1]];
const P3: [f32; 2] = [P2[0] * P[0], P2[1] * P[1]];

/// `B^T d`, every entry within two roundings.
#[inline(always)]
pub(super) fn input<A: Arch, const N: usize>(d: [Simd<f32, N>; REACH]) -> [Simd<f32, N>; REACH] {
    let by = |factor: f32, x, y| A::fma(Simd::splat(factor), x, y);
    let (product, sum) = (P2[0] * P2[1], P2[0] + P2[1]);
    let (even0, odd0) = (by(-P2[1], d[2], d[4]), by(-P2[1], d[1], d[3]));
    let (even1, odd1) = (by(-P2[0], d[2], d[4]), by(-P2[0], d[1], d[3]));
    [
        by(product, d[0], by(-sum, d[2], d[4])),
        by(P[0], odd0, even0),
        by(-P[0], odd0, even0),
        by(P[1], odd1, even1),
        by(-P[1], odd1, even1),
        by(product, d[1], by(-sum, d[3], d[5])),
    ]
}

/// `A^T m`, every entry within three roundings.
#[inline(always)]
pub(super) fn output<A: Arch, const N: usize>(m: [Simd<f32, N>; REACH]) -> [Simd<f32, N>; TILE] {
    let by = |factor: f32, x, y| A::fma(Simd::splat(factor), x, y);
    let (even0, odd0) = (m[1] + m[2], m[1] - m[2]);
    let (even1, odd1) = (m[3] + m[4], m[3] - m[4]);
    [
        (m[0] + even0) + even1,
        by(P[1], odd1, Simd::splat(P[0]) * odd0),
        by(P2[1], even1, Simd::splat(P2[0]) * even0),
        by(P3[1], odd1, by(P3[0], odd0, m[5])),
    ]
}

/// `G g`, in binary64.
fn weights(g: [f64; 3]) -> [f64; REACH] {
    let [a, b] = P2.map(f64::from);
    let point = |p: f32, scale: f64| {
        let (p, even) = (f64::from(p), g[0] + f64::from(p) * f64::from(p) * g[2]);
        [(even + p * g[1]) / scale, (even - p * g[1]) / scale]
    };
    let [plus0, minus0] = point(P[0], 2.0 * a * (a - b));
    let [plus1, minus1] = point(P[1], 2.0 * b * (b - a));
    [g[0] / (a * b), plus0, minus0, plus1, minus1, g[2]]
}

/// `G g G^T` of a kernel in row-major order, in binary64, each entry rounded to binary32 once.
pub(super) fn kernel(g: &[f32]) -> [[f32; REACH]; REACH] {
    let columns: [[f64; REACH]; 3] = std::array::from_fn(|j| weights(std::array::from_fn(|i| f64::from(g[i * 3 + j]))));
    std::array::from_fn(|i| weights([columns[0][i], columns[1][i], columns[2][i]]).map(|x| x as f32))
}
