//! The rounding program of docs/numerics.md, section 5, written out, bit for bit on every instruction set; and its bound.

use super::*;
use crate::gemm::pack_b;

/// A convolution of 3x3 kernels: channels in and out, height, width, pads at the begin and the end.
type Case = (usize, usize, [usize; 2], [usize; 2], [usize; 2]);

const CASES: [Case; 10] = [
    (1, 1, [1, 1], [1, 1], [1, 1]),
    (3, 5, [4, 4], [1, 1], [1, 1]),
    (16, 16, [7, 7], [1, 1], [1, 1]),
    (17, 33, [9, 14], [1, 0], [0, 1]),
    (24, 70, [13, 6], [0, 0], [0, 0]),
    (40, 1, [3, 70], [1, 1], [1, 1]),
    (2, 20, [30, 31], [2, 5], [3, 7]),
    (200, 40, [20, 20], [1, 1], [1, 1]),
    (1030, 18, [5, 5], [1, 1], [1, 1]),
    (300, 20, [1, 90], [1, 1], [1, 1]),
];

fn shape_of((in_channels, out_channels, [h, w], [top, left], [bottom, right]): Case) -> ConvShape {
    ConvShape {
        groups: 1,
        in_channels,
        out_channels,
        input: [1, h, w],
        kernel: [1, 3, 3],
        strides: [1; 3],
        dilations: [1; 3],
        pads_begin: [0, top, left],
        output: [1, h + top + bottom - 2, w + left + right - 2],
    }
}

/// Numbers whose exponents spread over `range` powers of two.
fn numbers(count: usize, seed: u64, range: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..count)
        .map(|_| f32::from_bits((next() as u32 & 0x807f_ffff) | ((127 - (next() % range) as u32) << 23)))
        .collect()
}

/// Runs a plan as one thread does, or out of order with all channels in pieces.
fn run(plan: &Winograd, x: &[f32], w: &[f32], bias: &[f32], epilogue: Option<&Epilogue>, in_pieces: bool) -> Vec<f32> {
    let mut weights = vec![f32::NAN; plan.packed_len()];
    plan.pack(w, &mut weights);
    let (mut planes, mut scratch) = (vec![f32::NAN; plan.planes_len()], vec![f32::NAN; plan.scratch_len()]);
    let mut y = vec![f32::NAN; plan.shape.out_channels * plan.shape.out_plane()];
    let pieces = |n: usize| if in_pieces { (0..n).rev().map(|i| i..i + 1).collect() } else { vec![0..n] };
    for block in 0..plan.blocks() {
        for channels in pieces(plan.in_blocks()) {
            // SAFETY: the planes are as long as the plan says.
            unsafe { plan.forward(x, block, channels, planes.as_mut_ptr(), &mut scratch) };
        }
        let operands = Operands { planes: &planes, weights: &weights, bias, epilogue, y: y.as_mut_ptr() };
        for blocks in pieces(plan.out_blocks()) {
            // SAFETY: y is the whole output.
            unsafe { plan.multiply(&operands, block, blocks, &mut scratch) };
        }
    }
    y
}

/// The input of channel `c` at a position of the padded image.
fn at(s: &ConvShape, x: &[f32], c: usize, h: usize, w: usize) -> f32 {
    let inside = |i: usize, pad: usize, n: usize| i.checked_sub(pad).filter(|&i| i < n);
    match (inside(h, s.pads_begin[1], s.input[1]), inside(w, s.pads_begin[2], s.input[2])) {
        (Some(h), Some(w)) => x[(c * s.input[1] + h) * s.input[2] + w],
        _ => 0.0,
    }
}

/// The transforms of docs/numerics.md as they stand there.
fn forward(d: [f32; 6]) -> [f32; 6] {
    let (e, o) = (f32::mul_add(-2.25, d[2], d[4]), f32::mul_add(-2.25, d[1], d[3]));
    let (f, p) = (f32::mul_add(-0.390625, d[2], d[4]), f32::mul_add(-0.390625, d[1], d[3]));
    let end = |a: f32, b: f32, c: f32| f32::mul_add(0.87890625, a, f32::mul_add(-2.640625, b, c));
    [
        end(d[0], d[2], d[4]),
        f32::mul_add(0.625, o, e),
        f32::mul_add(-0.625, o, e),
        f32::mul_add(1.5, p, f),
        f32::mul_add(-1.5, p, f),
        end(d[1], d[3], d[5]),
    ]
}

fn backward(m: [f32; 6]) -> [f32; 4] {
    let (e, o, f, p) = (m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]);
    [
        (m[0] + e) + f,
        f32::mul_add(1.5, p, 0.625 * o),
        f32::mul_add(2.25, f, 0.390625 * e),
        f32::mul_add(3.375, p, f32::mul_add(0.244140625, o, m[5])),
    ]
}

/// Both ways, first down the columns, then along the rows.
fn both<const N: usize>(d: [[f32; 6]; 6], once: impl Fn([f32; 6]) -> [f32; N]) -> [[f32; N]; N] {
    let columns: [[f32; N]; 6] = std::array::from_fn(|j| once(std::array::from_fn(|i| d[i][j])));
    std::array::from_fn(|i| once(std::array::from_fn(|j| columns[j][i])))
}

/// Output (channel, row, column) of the tile at (`i`, `j`) by the program, before the bias.
fn tile(s: &ConvShape, x: &[f32], w: &[f32], oc: usize, i: usize, j: usize) -> [[f32; 4]; 4] {
    let mut m = [[0f32; 6]; 6];
    for c in 0..s.in_channels {
        let d = std::array::from_fn(|h| std::array::from_fn(|w| at(s, x, c, 4 * i + h, 4 * j + w)));
        let (v, u) = (both(d, forward), kernel(&w[(oc * s.in_channels + c) * 9..][..9]));
        for (m, (v, u)) in m.as_flattened_mut().iter_mut().zip(v.as_flattened().iter().zip(u.as_flattened())) {
            *m = f32::mul_add(*v, *u, *m);
        }
    }
    both(m, backward)
}

#[test]
fn the_program_bit_for_bit() {
    for (number, case) in CASES.into_iter().enumerate() {
        let s = shape_of(case);
        let x = numbers(s.in_channels * s.in_plane(), 77 + number as u64, 5);
        let w = numbers(s.in_channels * s.out_channels * 9, 99, 5);
        let bias = if number % 2 == 0 { numbers(s.out_channels, 5, 3) } else { vec![] };
        let (factors, terms) = (numbers(s.out_channels, 6, 2), numbers(s.out_channels, 7, 2));
        let scaled = Epilogue::mul_add(factors.clone(), terms.clone());
        let relu = (number % 3 == 0).then(|| scaled.then(&Epilogue::relu()).expect("factors, then a bound"));
        let mut want = vec![f32::NAN; s.out_channels * s.out_plane()];
        let [_, height, width] = s.output;
        for oc in 0..s.out_channels {
            for (i, j) in (0..height).step_by(4).flat_map(|i| (0..width).step_by(4).map(move |j| (i, j))) {
                let y = tile(&s, &x, &w, oc, i / 4, j / 4);
                for (h, w) in (i..height.min(i + 4)).flat_map(|h| (j..width.min(j + 4)).map(move |w| (h, w))) {
                    let y = y[h - i][w - j] + bias.get(oc).copied().unwrap_or(-0.0);
                    let followed = y.mul_add(factors[oc], terms[oc]).max(0.0);
                    want[(oc * height + h) * width + w] = if relu.is_some() { followed } else { y };
                }
            }
        }
        for &isa in Isa::available() {
            let plan = Winograd::new(isa, s).expect("a 3x3 convolution");
            for in_pieces in [false, true] {
                let got = run(&plan, &x, &w, &bias, relu.as_ref(), in_pieces);
                let wrong = got.iter().zip(&want).position(|(a, b)| a.to_bits() != b.to_bits());
                assert!(wrong.is_none(), "{} {case:?}: {:?}", isa.name(), wrong.map(|i| (i, got[i], want[i])));
            }
        }
    }
}

#[test]
fn errors_stay_below_the_bound() {
    for (number, case) in CASES.into_iter().enumerate() {
        let s = shape_of(case);
        for range in [1, 4, 40] {
            let x = numbers(s.in_channels * s.in_plane(), 3 + number as u64, range);
            let w = numbers(s.in_channels * s.out_channels * 9, 8, range);
            let plan = Winograd::new(Isa::best(), s).expect("a 3x3 convolution");
            let y = run(&plan, &x, &w, &[], None, false);
            let greatest = |v: &[f32]| v.iter().fold(0f64, |m, &v| m.max(f64::from(v.abs())));
            // The last, simplest form of the bound: the norms of A^T, G and B^T.
            let norms = (8.23828125f64 * 1.3876 * 5.28125).powi(2);
            let u = f64::from(f32::EPSILON) / 2.0 * (s.in_channels + 12) as f64;
            let bound = u / (1.0 - u) * norms * s.in_channels as f64 * greatest(&x) * greatest(&w);
            for (index, &y) in y.iter().enumerate() {
                let (oc, h, v) = (index / s.out_plane(), index % s.out_plane() / s.output[2], index % s.output[2]);
                let exact: f64 = (0..s.in_channels * 9)
                    .map(|t| {
                        let x = at(&s, &x, t / 9, h + t % 9 / 3, v + t % 3);
                        f64::from(x) * f64::from(w[oc * s.in_channels * 9 + t])
                    })
                    .sum();
                assert!((f64::from(y) - exact).abs() <= bound, "{case:?} at {index}: {y:e}, not {exact:e}");
            }
        }
    }
}

#[test]
fn other_convolutions_have_no_plan() {
    let s = shape_of((16, 16, [8, 8], [1, 1], [1, 1]));
    let others = [
        ConvShape { kernel: [1, 3, 1], ..s },
        ConvShape { kernel: [3, 3, 3], ..s },
        ConvShape { strides: [1, 1, 2], ..s },
        ConvShape { dilations: [1, 2, 1], ..s },
        ConvShape { groups: 2, ..s },
        ConvShape { output: [1, 0, 8], ..s },
        ConvShape { in_channels: 0, ..s },
        ConvShape { in_channels: usize::MAX / 64, ..s },
    ];
    for shape in others {
        assert!(Winograd::new(Isa::best(), shape).is_none(), "{shape:?}");
    }
}

#[test]
fn it_is_chosen_where_it_pays() {
    for &isa in Isa::available() {
        let pays = |channels, side| {
            let shape = shape_of((channels, channels, [side, side], [1, 1], [1, 1]));
            Winograd::new(isa, shape).is_some_and(|plan| plan.pays())
        };
        assert!(pays(64, 56) && pays(128, 28) && pays(256, 14), "{}", isa.name());
        // Products of few channels are all transforms, those of few tiles all weights.
        assert!(!pays(16, 56) && !pays(512, 7) && !pays(64, 2), "{}", isa.name());
    }
}

#[test]
fn elements_are_packed_where_pack_b_puts_them() {
    for &isa in Isa::available() {
        for (k, n) in [(1, 1), (7, 33), (40, 130), (1500, 9), (2100, 70)] {
            let b: Vec<f32> = (0..k * n).map(|i| i as f32 + 1.0).collect();
            let mut packed = vec![0.0; packed_b_len::<f32>(isa, k, n).expect("a small matrix")];
            pack_b(isa, &MatRef::row_major(&b, k, n), &mut packed);
            for (i, &b) in b.iter().enumerate() {
                assert_eq!(packed[packed_place::<f32>(isa, [k, n], [i / n, i % n])], b, "{} {k}x{n}", isa.name());
            }
        }
    }
}
