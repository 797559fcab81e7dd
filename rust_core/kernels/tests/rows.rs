//! Reductions, Softmax and LayerNormalization against scalar definitions (docs/numerics.md, sections 2 and 4), to the bit, on
//! every instruction set, contiguous and strided.

use diptych_kernels::Isa;
use diptych_kernels::functions::{Unary, unary};
use diptych_kernels::norm::{LayerNorm, layer_norm};
use diptych_kernels::reduce::{Extent, Reduction, reduce, reduce_integers};
use diptych_kernels::softmax::softmax;
use half::f16;

/// The lane sum (or product) as the page defines it: only lanes that got a term take part.
fn lanes(terms: &[f32], fold: fn(f32, f32) -> f32, empty: f32) -> f32 {
    let chunk = |terms: &[f32]| {
        let mut lanes = [None; 16];
        for (r, &x) in terms.iter().enumerate() {
            let lane: &mut Option<f32> = &mut lanes[r % 16];
            *lane = Some(lane.map_or(x, |sum| fold(sum, x)));
        }
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                lanes[i] = match (lanes[i], lanes[i + half]) {
                    (Some(a), Some(b)) => Some(fold(a, b)),
                    (a, b) => a.or(b),
                };
            }
        }
        lanes[0]
    };
    match terms.len() {
        0 => empty,
        1..=4096 => chunk(terms).expect("there is a term"),
        _ => lanes(&terms.chunks(4096).filter_map(chunk).collect::<Vec<_>>(), fold, empty),
    }
}

fn sum(terms: &[f32]) -> f32 {
    lanes(terms, |a, b| a + b, 0.0)
}

fn one(op: Unary, x: f32) -> f32 {
    let mut y = x;
    // SAFETY: one element.
    unsafe { unary(Isa::best(), op, &x, &mut y, 1) };
    y
}

/// Numbers whose sums depend on their order, some zeros of both signs among them.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..count)
        .map(|_| match next() % 16 {
            0 => -0.0,
            1 => 0.0,
            _ => ((next() >> 40) as f32 / 8388608.0 - 1.0) * [0.1, 1.0, 3.0][(next() % 3) as usize],
        })
        .collect()
}

fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

const SHAPES: [(usize, usize, usize); 14] = [
    (1, 0, 1),
    (2, 0, 3),
    (3, 1, 1),
    (2, 15, 1),
    (2, 16, 1),
    (3, 37, 1),
    (1, 4096, 1),
    (1, 4097, 1),
    (1, 70_001, 1),
    (2, 5, 7),
    (1, 33, 16),
    (2, 17, 35),
    (1, 9000, 3),
    (0, 4, 4),
];

fn line(x: &[f32], extent: Extent, row: usize, column: usize) -> Vec<f32> {
    (0..extent.n).map(|r| x[(row * extent.n + r) * extent.inner + column]).collect()
}

#[test]
fn reductions_follow_the_lane_order() {
    let greater =
        |a: f32, b: f32| if a.is_nan() || (a, a.is_sign_positive()) >= (b, b.is_sign_positive()) { a } else { b };
    for (outer, n, inner) in SHAPES {
        let extent = Extent { outer, n, inner };
        let x = numbers(outer * n * inner, 7 + n as u64);
        for isa in Isa::available() {
            for op in [
                Reduction::Sum,
                Reduction::Mean,
                Reduction::L1,
                Reduction::L2,
                Reduction::SumSquare,
                Reduction::LogSum,
                Reduction::LogSumExp,
                Reduction::Prod,
                Reduction::Max,
                Reduction::Min,
            ] {
                let mut y = vec![0.0; outer * inner];
                // SAFETY: the buffers have the extent's sizes.
                unsafe { reduce(*isa, op, x.as_ptr(), y.as_mut_ptr(), extent, 0..outer, 0..inner) };
                for (at, &got) in y.iter().enumerate() {
                    let terms = line(&x, extent, at / inner, at % inner);
                    let squares: Vec<f32> = terms.iter().map(|x| x * x).collect();
                    let want = match op {
                        Reduction::Sum => sum(&terms),
                        Reduction::Mean => sum(&terms) / n as f32,
                        Reduction::L1 => sum(&terms.iter().map(|x| x.abs()).collect::<Vec<_>>()),
                        Reduction::L2 => sum(&squares).sqrt(),
                        Reduction::SumSquare => sum(&squares),
                        Reduction::LogSum => one(Unary::Log, sum(&terms)),
                        Reduction::LogSumExp => {
                            let m = terms.iter().fold(f32::NEG_INFINITY, |a, &b| greater(a, b));
                            let m = if m.is_finite() { m } else { 0.0 };
                            let exponentials: Vec<f32> = terms.iter().map(|x| one(Unary::Exp, x - m)).collect();
                            m + one(Unary::Log, sum(&exponentials))
                        }
                        Reduction::Prod => lanes(&terms, |a, b| a * b, 1.0),
                        Reduction::Max => terms.iter().fold(f32::NEG_INFINITY, |a, &b| greater(a, b)),
                        Reduction::Min => -terms.iter().fold(f32::NEG_INFINITY, |a, &b| greater(a, -b)),
                    };
                    assert!(same(got, want), "{op:?} {extent:?} {}: {got:e}, not {want:e}", isa.name());
                }
            }
        }
    }
}

#[test]
fn a_nan_and_signed_zeros_decide_the_extremes() {
    for isa in Isa::available() {
        for n in [2, 16, 40] {
            for at in 0..n {
                let mut x = vec![-0.0f32; n];
                let extent = Extent { outer: 1, n, inner: 1 };
                let mut y = [0.0f32; 2];
                let mut evaluate = |x: &[f32]| {
                    // SAFETY: n elements in, one out.
                    unsafe { reduce(*isa, Reduction::Max, x.as_ptr(), &mut y[0], extent, 0..1, 0..1) };
                    // SAFETY: as above.
                    unsafe { reduce(*isa, Reduction::Min, x.as_ptr(), &mut y[1], extent, 0..1, 0..1) };
                    y
                };
                assert!(evaluate(&x).iter().all(|y| same(*y, -0.0)));
                x[at] = 0.0;
                let [max, min] = evaluate(&x);
                assert!(same(max, 0.0) && same(min, -0.0));
                x[at] = -f32::NAN;
                assert!(evaluate(&x).iter().all(|y| y.is_nan()));
            }
        }
    }
}

#[test]
fn integers_wrap_and_never_trap() {
    for (outer, n, inner) in SHAPES {
        let extent = Extent { outer, n, inner };
        let mut x: Vec<i32> = numbers(outer * n * inner, 3).iter().map(|x| x.to_bits() as i32).collect();
        x.iter_mut().step_by(5).for_each(|x| *x = i32::MIN);
        for isa in Isa::available() {
            for op in [Reduction::Sum, Reduction::Mean, Reduction::L1, Reduction::L2, Reduction::Prod, Reduction::Max] {
                let mut y = vec![0i32; outer * inner];
                // SAFETY: the buffers have the extent's sizes.
                unsafe { reduce_integers(*isa, op, x.as_ptr(), y.as_mut_ptr(), extent, 0..outer, 0..inner) };
                for (at, &got) in y.iter().enumerate() {
                    let terms = (0..n).map(|r| x[((at / inner) * n + r) * inner + at % inner]);
                    let want = match op {
                        Reduction::Sum => terms.fold(0, i32::wrapping_add),
                        Reduction::Mean => {
                            i64::from(terms.fold(0, i32::wrapping_add)).checked_div(n as i64).unwrap_or(0) as i32
                        }
                        Reduction::L1 => terms.fold(0i32, |a, x| a.wrapping_add(x.wrapping_abs())),
                        Reduction::L2 => {
                            f64::from(terms.fold(0i32, |a, x| a.wrapping_add(x.wrapping_mul(x)))).sqrt() as i32
                        }
                        Reduction::Prod => terms.fold(1, i32::wrapping_mul),
                        _ => terms.fold(i32::MIN, i32::max),
                    };
                    assert_eq!(got, want, "{op:?} {extent:?} {}", isa.name());
                }
            }
        }
    }
}

#[test]
fn softmax_and_its_logarithm() {
    for (outer, n, inner) in SHAPES {
        let extent = Extent { outer, n, inner };
        let x: Vec<f32> = numbers(outer * n * inner, 11).iter().map(|x| x * 9.0).collect();
        let halves: Vec<f16> = x.iter().map(|&x| f16::from_f32(x)).collect();
        for (isa, log) in Isa::available().iter().flat_map(|&isa| [(isa, false), (isa, true)]) {
            let mut y = x.clone();
            let mut z = halves.clone();
            // SAFETY: the buffers have the extent's sizes; in place.
            unsafe { softmax(isa, log, y.as_ptr(), y.as_mut_ptr(), extent, 0..outer, 0..inner) };
            // SAFETY: as above.
            unsafe { softmax(isa, log, z.as_ptr(), z.as_mut_ptr(), extent, 0..outer, 0..inner) };
            let widened: Vec<f32> = halves.iter().map(|x| x.to_f32()).collect();
            for at in 0..outer * inner {
                let expected = |x: &[f32]| softmax_of(&line(x, extent, at / inner, at % inner), log);
                let got = line(&y, extent, at / inner, at % inner);
                let pairs = got.iter().zip(expected(&x));
                assert!(pairs.clone().all(|(&a, b)| same(a, b)), "{extent:?} {log} {}", isa.name());
                for (r, want) in expected(&widened).into_iter().enumerate() {
                    let got = z[((at / inner) * n + r) * inner + at % inner];
                    assert_eq!(got.to_bits(), f16::from_f32(want).to_bits(), "f16 {extent:?} {log} {}", isa.name());
                }
            }
        }
    }
}

fn softmax_of(x: &[f32], log: bool) -> Vec<f32> {
    let m = x.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let e: Vec<f32> = x.iter().map(|x| one(Unary::Exp, x - m)).collect();
    let s = sum(&e);
    if log {
        let l = one(Unary::Log, s);
        return x.iter().map(|x| (x - m) - l).collect();
    }
    let r = 1.0 / s;
    e.iter().map(|e| e * r).collect()
}

#[test]
fn rows_are_normalised_in_two_passes() {
    for n in [1usize, 3, 16, 40, 768, 5000] {
        let (rows, epsilon) = (3, 1e-5f32);
        let (x, scale, bias) = (numbers(rows * n, 5), numbers(n, 6), numbers(n, 8));
        for isa in Isa::available() {
            let (mut y, mut mean, mut inverse) = (x.clone(), vec![0.0f32; rows], vec![0.0f32; rows]);
            let operands = LayerNorm {
                n,
                centered: true,
                scale: Some(&scale),
                bias: Some(&bias),
                epsilon,
                mean: Some(mean.as_mut_ptr()),
                inverse: Some(inverse.as_mut_ptr()),
            };
            // SAFETY: `rows` rows of n elements, in place; one mean and one inverse a row.
            unsafe { layer_norm::<f32, f32>(*isa, &operands, y.as_ptr(), y.as_mut_ptr(), 0..rows) };
            for row in 0..rows {
                let terms = &x[row * n..][..n];
                let m = sum(terms) / n as f32;
                let squares: Vec<f32> = terms.iter().map(|x| (x - m) * (x - m)).collect();
                let inv = 1.0 / (sum(&squares) / n as f32 + epsilon).sqrt();
                assert!(same(mean[row], m) && same(inverse[row], inv));
                for i in 0..n {
                    let want = (terms[i] - m) * inv * scale[i] + bias[i];
                    assert!(same(y[row * n + i], want), "{n} {row} {i} {}", isa.name());
                }
            }
        }
    }
}

#[test]
fn narrow_types_round_after_each_step_of_the_second_stage() {
    let n = 37;
    let half = |x: &[f32]| x.iter().map(|&x| f16::from_f32(x)).collect::<Vec<_>>();
    let (x, scale, bias) = (half(&numbers(n, 5)), half(&numbers(n, 6)), half(&numbers(n, 8)));
    let wide: Vec<f32> = x.iter().map(|x| x.to_f32()).collect();
    let m = sum(&wide) / n as f32;
    let squares: Vec<f32> = wide.iter().map(|x| (x - m) * (x - m)).collect();
    let inv = 1.0 / (sum(&squares) / n as f32 + 1e-5f32).sqrt();
    for isa in Isa::available() {
        let mut y = x.clone();
        let operands = LayerNorm {
            n,
            centered: true,
            scale: Some(&scale),
            bias: Some(&bias),
            epsilon: 1e-5,
            mean: None,
            inverse: None,
        };
        // SAFETY: one row of n elements, in place.
        unsafe { layer_norm::<f16, f32>(*isa, &operands, y.as_ptr(), y.as_mut_ptr(), 0..1) };
        for i in 0..n {
            let h = f16::from_f32((wide[i] - m) * inv);
            let scaled = f16::from_f32(h.to_f32() * scale[i].to_f32());
            assert_eq!(y[i].to_bits(), f16::from_f32(scaled.to_f32() + bias[i].to_f32()).to_bits());
        }
    }
}
