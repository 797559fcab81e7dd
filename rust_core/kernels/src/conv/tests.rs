//! Every path against the definition, bit for bit, on every instruction set.

use super::*;
use half::f16;

/// A small generator of numbers, the same every time.
pub(super) struct Numbers(pub u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Full mantissas, exponents near 0, now and then a special value.
    fn float(&mut self) -> f32 {
        let r = self.next();
        match r % 97 {
            0 if r & 1024 == 0 => -0.0,
            1 if r & 0xf000 == 0 => f32::INFINITY,
            2 => f32::from_bits(0x0000_0fff | (r >> 32) as u32 & 0x8000_0000),
            _ => f32::from_bits((r as u32 & 0x807f_ffff) | (0x3e80_0000 + (((r >> 40) as u32 % 4) << 23))),
        }
    }
}

fn flat(shape: &[usize], at: &[isize]) -> Option<usize> {
    shape.iter().zip(at).try_fold(0, |n, (&s, &i)| (i >= 0 && i < s as isize).then(|| n * s + i as usize))
}

/// The kernel positions in order.
fn taps(s: &ConvShape) -> impl Iterator<Item = [usize; 3]> + use<> {
    let [kd, kh, kw] = s.kernel;
    (0..kd * kh * kw).map(move |t| [t / (kh * kw), t / kw % kh, t % kw])
}

/// One output by the definition: `term(acc, x or None in the padding, weight index)`.
fn chain<T>(
    s: &ConvShape,
    g: usize,
    oc: usize,
    o: [usize; 3],
    mut acc: T,
    term: impl Fn(T, Option<usize>, usize) -> T,
) -> T {
    for block in (0..s.in_channels).step_by(16) {
        for (t, k) in taps(s).enumerate() {
            for c in block..(block + 16).min(s.in_channels) {
                let at: [isize; 3] = std::array::from_fn(|i| {
                    (o[i] * s.strides[i] + k[i] * s.dilations[i]) as isize - s.pads_begin[i] as isize
                });
                let x = flat(&s.input, &at).map(|x| (g * s.in_channels + c) * s.in_plane() + x);
                acc = term(acc, x, ((g * s.out_channels + oc) * s.in_channels + c) * s.taps() + t);
            }
        }
    }
    acc
}

/// The same for the transposed convolution; positions that miss take no part.
fn gather<T>(s: &ConvShape, g: usize, oc: usize, o: [usize; 3], mut acc: T, term: impl Fn(T, usize, usize) -> T) -> T {
    for block in (0..s.in_channels).step_by(16) {
        for (t, k) in taps(s).enumerate() {
            let up: [isize; 3] =
                std::array::from_fn(|i| (o[i] + s.pads_begin[i]) as isize - (k[i] * s.dilations[i]) as isize);
            let on_grid = (0..3).all(|i| up[i].rem_euclid(s.strides[i] as isize) == 0);
            let at: [isize; 3] = std::array::from_fn(|i| up[i].div_euclid(s.strides[i] as isize));
            let Some(x) = flat(&s.input, &at).filter(|_| on_grid) else { continue };
            for c in block..(block + 16).min(s.in_channels) {
                let ic = g * s.in_channels + c;
                acc = term(acc, ic * s.in_plane() + x, (ic * s.out_channels + oc) * s.taps() + t);
            }
        }
    }
    acc
}

fn outputs(s: &ConvShape) -> impl Iterator<Item = (usize, usize, [usize; 3])> + use<> {
    let (oc, [od, oh, ow], n) = (s.out_channels, s.output, s.groups * s.out_channels * s.out_plane());
    let plane = (od * oh * ow).max(1);
    (0..n).map(move |i| {
        let (c, p) = (i / plane, i % plane);
        (c / oc, c % oc, [p / (oh * ow), p / ow % oh, p % ow])
    })
}

/// Lays out, packs and runs in uneven parts, as threads would.
fn run<S: Source, O: Sink<Element = S::Element>>(
    isa: Isa,
    s: &ConvShape,
    x: &[S],
    w: &[S],
    zeros: (S::Zero, &[S::Zero]),
    bias: &[S::Element],
    fill: O,
) -> Vec<O> {
    let plan = Conv::<S::Element>::new(isa, *s).expect("a sound shape");
    let mut packed = vec![S::Element::default(); plan.packed_len()];
    plan.pack(w, zeros.1, &mut packed);
    let mut scratch = vec![S::Element::default(); plan.scratch_len()];
    let mut y = vec![fill; s.groups * s.out_channels * s.out_plane()];
    let (lines, rows) = (plan.lines(), plan.rows());
    for part in [0..lines / 3, lines / 3..lines] {
        // SAFETY: the scratch has scratch_len elements.
        unsafe { plan.lay_out(x, zeros.0, scratch.as_mut_ptr(), part) }
    }
    let output = OutputLayout::Planes { plane: s.out_plane(), step: 1 };
    let operands =
        Operands { x: &scratch, weights: &packed, bias, epilogue: None, channel: 0, y: y.as_mut_ptr(), output };
    for part in [0..rows / 2, rows / 2..rows] {
        // SAFETY: y is the whole output.
        unsafe { plan.run(&operands, 0..plan.blocks(), part) }
    }
    y
}

fn run_transposed<S: Source, O: Sink<Element = S::Element>>(
    isa: Isa,
    s: &ConvShape,
    x: &[S],
    w: &[S],
    zeros: (S::Zero, &[S::Zero]),
    bias: &[S::Element],
    fill: O,
) -> Vec<O> {
    let plan = ConvTranspose::<S::Element>::new(isa, *s).expect("a sound shape");
    let mut packed = vec![S::Element::default(); plan.packed_len()];
    plan.pack(w, zeros.1, &mut packed);
    let mut scratch = vec![S::Element::default(); plan.scratch_len()];
    let mut y = vec![fill; s.groups * s.out_channels * s.out_plane()];
    // SAFETY: the scratch has scratch_len elements.
    unsafe { plan.lay_out(x, zeros.0, scratch.as_mut_ptr(), 0..plan.lines()) }
    let output = OutputLayout::Planes { plane: s.out_plane(), step: 1 };
    let operands =
        Operands { x: &scratch, weights: &packed, bias, epilogue: None, channel: 0, y: y.as_mut_ptr(), output };
    // SAFETY: y is the whole output.
    unsafe { plan.run(&operands, 0..plan.blocks(), 0..plan.rows()) }
    y
}

fn shape(g: usize, ic: usize, oc: usize, input: [usize; 3], kernel: [usize; 3]) -> ConvShape {
    ConvShape {
        groups: g,
        in_channels: ic,
        out_channels: oc,
        input,
        kernel,
        strides: [1; 3],
        dilations: [1; 3],
        pads_begin: [0; 3],
        output: [1; 3],
    }
}

/// Sets strides, dilations and pads; derives the output.
fn with(mut s: ConvShape, strides: [usize; 3], dilations: [usize; 3], begin: [usize; 3], end: [usize; 3]) -> ConvShape {
    (s.strides, s.dilations, s.pads_begin) = (strides, dilations, begin);
    s.output = std::array::from_fn(|i| {
        let span = (s.kernel[i] - 1) * dilations[i] + 1;
        (s.input[i] + begin[i] + end[i]).checked_sub(span).map_or(0, |n| n / strides[i] + 1)
    });
    s
}

fn cases() -> Vec<ConvShape> {
    let one = [1; 3];
    let none = [0; 3];
    let pad = [0, 1, 1];
    vec![
        with(shape(1, 3, 16, [1, 9, 11], [1, 3, 3]), [1, 2, 2], one, pad, pad),
        with(shape(1, 3, 40, [1, 20, 37], [1, 7, 7]), [1, 2, 2], one, [0, 3, 3], [0, 3, 3]),
        with(shape(1, 16, 33, [1, 8, 30], [1, 3, 3]), one, one, pad, pad),
        with(shape(1, 35, 70, [1, 7, 7], [1, 3, 3]), one, one, pad, pad),
        with(shape(1, 20, 17, [1, 6, 5], [1, 1, 1]), one, one, none, none),
        with(shape(1, 64, 48, [1, 17, 17], [1, 1, 1]), [1, 2, 2], one, none, none),
        with(shape(1, 18, 8, [1, 5, 6], [1, 1, 1]), [1, 2, 3], one, [0, 1, 2], [0, 2, 1]),
        with(shape(12, 1, 1, [1, 10, 45], [1, 3, 3]), one, one, pad, pad),
        with(shape(5, 1, 2, [1, 9, 14], [1, 5, 5]), [1, 2, 2], one, [0, 2, 2], [0, 2, 2]),
        with(shape(3, 1, 1, [1, 4, 100], [1, 3, 3]), [1, 1, 3], [1, 1, 2], [0, 0, 4], [0, 1, 3]),
        with(shape(4, 4, 4, [1, 7, 19], [1, 3, 3]), one, one, pad, pad),
        with(shape(2, 20, 24, [1, 6, 9], [1, 3, 2]), one, [1, 2, 3], [0, 2, 1], [0, 1, 4]),
        with(shape(1, 17, 5, [1, 1, 50], [1, 1, 5]), [1, 1, 3], [1, 1, 4], [0, 0, 7], [0, 0, 2]),
        with(shape(1, 19, 18, [5, 6, 7], [3, 2, 3]), [2, 1, 1], [1, 2, 1], [1, 1, 1], [1, 0, 1]),
        with(shape(2, 1, 1, [4, 5, 6], [2, 3, 3]), [1, 2, 1], one, [1, 1, 1], [0, 1, 1]),
        with(shape(1, 40, 64, [1, 1, 1], [1, 1, 1]), one, one, none, none),
        with(shape(1, 2, 3, [1, 2, 2], [1, 2, 2]), one, one, [0, 3, 3], [0, 3, 3]),
        with(shape(1, 4, 3, [1, 0, 5], [1, 1, 1]), one, one, none, none),
        with(shape(1, 0, 20, [1, 3, 3], [1, 3, 3]), one, one, pad, pad),
        with(shape(1, 5, 0, [1, 3, 3], [1, 3, 3]), one, one, pad, pad),
        with(shape(1, 3, 4, [1, 2, 2], [1, 3, 3]), one, one, none, none),
    ]
}

/// The same cases turned round: their outputs, plus a little, are the transposed convolution's outputs.
fn transposed_cases() -> Vec<ConvShape> {
    let mut cases = cases();
    for (i, s) in cases.iter_mut().enumerate() {
        let more = [0, i % 2, i % 3];
        s.output = std::array::from_fn(|a| {
            let full = s.input[a].saturating_sub(1) * s.strides[a] + (s.kernel[a] - 1) * s.dilations[a] + 1 + more[a];
            if s.input[a] == 0 { 2 } else { full.saturating_sub(2 * s.pads_begin[a]) }
        });
    }
    cases
}

fn floats(numbers: &mut Numbers, n: usize) -> Vec<f32> {
    (0..n).map(|_| numbers.float()).collect()
}

fn sizes(s: &ConvShape) -> (usize, usize, usize) {
    let ic = s.groups * s.in_channels;
    (ic * s.in_plane(), ic * s.out_channels * s.taps(), s.groups * s.out_channels)
}

#[test]
fn f32_is_the_chain_on_every_isa() {
    let mut numbers = Numbers(0x1234_5678_9abc_def1);
    for (i, s) in cases().iter().enumerate() {
        let (nx, nw, nb) = sizes(s);
        let (x, w) = (floats(&mut numbers, nx), floats(&mut numbers, nw));
        let bias = if i % 3 == 0 { vec![] } else { floats(&mut numbers, nb) };
        let want: Vec<f32> = outputs(s)
            .map(|(g, oc, o)| {
                let acc = chain(s, g, oc, o, 0f32, |acc, xi, wi| xi.map_or(0.0, |i| x[i]).mul_add(w[wi], acc));
                bias.get(g * s.out_channels + oc).map_or(acc, |b| acc + b)
            })
            .collect();
        for &isa in Isa::available() {
            let got = run(isa, s, &x, &w, ((), &[()]), &bias, 7f32);
            same(isa, s, &got, &want);
        }
    }
}

#[test]
fn f32_transposed_is_the_chain_on_every_isa() {
    let mut numbers = Numbers(0x1234_5678_9abc_def1);
    for (i, s) in transposed_cases().iter().enumerate() {
        let (nx, nw, nb) = sizes(s);
        let (x, w) = (floats(&mut numbers, nx), floats(&mut numbers, nw));
        let bias = if i % 3 == 0 { vec![] } else { floats(&mut numbers, nb) };
        let want: Vec<f32> = outputs(s)
            .map(|(g, oc, o)| {
                let acc = gather(s, g, oc, o, 0f32, |acc, xi, wi| x[xi].mul_add(w[wi], acc));
                bias.get(g * s.out_channels + oc).map_or(acc, |b| acc + b)
            })
            .collect();
        for &isa in Isa::available() {
            same(isa, s, &run_transposed(isa, s, &x, &w, ((), &[()]), &bias, 7f32), &want);
        }
    }
}

fn same(isa: Isa, s: &ConvShape, got: &[f32], want: &[f32]) {
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let equal = g.to_bits() == w.to_bits() || g.is_nan() && w.is_nan();
        assert!(equal, "{} {s:?}: output {i} is {g:e}, not {w:e}", isa.name());
    }
}

#[test]
fn f64_multiplies_then_adds() {
    let mut numbers = Numbers(77);
    for (s, t) in cases().iter().zip(&transposed_cases()) {
        let (nx, nw, nb) = sizes(s);
        let double = |v: Vec<f32>| v.into_iter().map(|x| x as f64 * 1.000_000_000_1).collect::<Vec<f64>>();
        let (x, w) = (double(floats(&mut numbers, nx)), double(floats(&mut numbers, nw)));
        let bias = double(floats(&mut numbers, nb));
        let bits =
            |v: Vec<f64>| v.into_iter().map(|x| if x.is_nan() { u64::MAX } else { x.to_bits() }).collect::<Vec<u64>>();
        let add = |s: &ConvShape, g: usize, oc: usize, acc: f64| acc + bias[g * s.out_channels + oc];
        let forward = outputs(s).map(|(g, oc, o)| {
            let acc = chain(s, g, oc, o, 0f64, |acc, xi, wi| acc + xi.map_or(0.0, |i| x[i]) * w[wi]);
            add(s, g, oc, acc)
        });
        let backward =
            outputs(t).map(|(g, oc, o)| add(t, g, oc, gather(t, g, oc, o, 0f64, |acc, xi, wi| acc + x[xi] * w[wi])));
        let (forward, backward) = (bits(forward.collect()), bits(backward.collect()));
        for &isa in Isa::available() {
            assert_eq!(bits(run(isa, s, &x, &w, ((), &[()]), &bias, 7f64)), forward, "{} {s:?}", isa.name());
            assert_eq!(
                bits(run_transposed(isa, t, &x, &w, ((), &[()]), &bias, 7f64)),
                backward,
                "{} {t:?}",
                isa.name()
            );
        }
    }
}

#[test]
fn f16_rounds_once_after_the_bias() {
    let mut numbers = Numbers(99);
    for s in &cases() {
        let (nx, nw, nb) = sizes(s);
        let mut half = |n| floats(&mut numbers, n).into_iter().map(f16::from_f32).collect::<Vec<f16>>();
        let (x, w) = (half(nx), half(nw));
        let bias: Vec<f32> = half(nb).into_iter().map(f16::to_f32).collect();
        let bits = |v: Vec<f16>| v.into_iter().map(|x| if x.is_nan() { !0 } else { x.to_bits() }).collect::<Vec<u16>>();
        let want = outputs(s).map(|(g, oc, o)| {
            let x = |i: Option<usize>| i.map_or(0.0, |i| x[i].to_f32());
            let acc = chain(s, g, oc, o, 0f32, |acc, xi, wi| x(xi).mul_add(w[wi].to_f32(), acc));
            f16::from_f32(acc + bias[g * s.out_channels + oc])
        });
        let want = bits(want.collect());
        for &isa in Isa::available() {
            assert_eq!(bits(run(isa, s, &x, &w, ((), &[()]), &bias, f16::ONE)), want, "{} {s:?}", isa.name());
        }
    }
}

#[test]
fn integers_are_exact_with_zero_points() {
    let mut numbers = Numbers(5);
    for (i, s) in cases().iter().enumerate() {
        let (nx, nw, nb) = sizes(s);
        let x: Vec<u8> = (0..nx).map(|_| numbers.next() as u8 | (numbers.next() as u8 & 0xf0)).collect();
        let w: Vec<u8> = (0..nw).map(|_| numbers.next() as u8).collect();
        let zero = [0, 255, 128][i % 3];
        let zeros: Vec<i16> = (0..if i % 2 == 0 { 1 } else { nb.max(1) }).map(|c| (c * 37 % 256) as i16).collect();
        let want: Vec<i32> = outputs(s)
            .map(|(g, oc, o)| {
                let z = zeros[(g * s.out_channels + oc) % zeros.len()] as i32;
                chain(s, g, oc, o, 0i32, |acc, xi, wi| acc + xi.map_or(0, |i| x[i] as i32 - zero) * (w[wi] as i32 - z))
            })
            .collect();
        for &isa in Isa::available() {
            assert_eq!(run(isa, s, &x, &w, (zero as i16, &zeros), &[], 7i32), want, "{} {s:?}", isa.name());
        }
    }
}

#[test]
fn signed_integers_are_exact() {
    let mut numbers = Numbers(6);
    for s in &cases() {
        let (nx, nw, _) = sizes(s);
        let x: Vec<i8> = (0..nx).map(|_| numbers.next() as i8).collect();
        let w: Vec<i8> = (0..nw).map(|_| numbers.next() as i8).collect();
        let want: Vec<i32> = outputs(s)
            .map(|(g, oc, o)| {
                chain(s, g, oc, o, 0, |acc, xi, wi| acc + xi.map_or(0, |i| x[i] as i32 + 3) * w[wi] as i32)
            })
            .collect();
        for &isa in Isa::available() {
            assert_eq!(run(isa, s, &x, &w, (-3, &[0]), &[], 7i32), want, "{} {s:?}", isa.name());
        }
    }
}

#[test]
fn blocks_hold_what_planes_hold() {
    let mut numbers = Numbers(8);
    let one = [1; 3];
    let s = with(shape(1, 19, 40, [1, 9, 31], [1, 3, 3]), one, one, [0, 1, 1], [0, 1, 1]);
    let (nx, nw, nb) = sizes(&s);
    let (x, w, bias) = (floats(&mut numbers, nx), floats(&mut numbers, nw), floats(&mut numbers, nb));
    for &isa in Isa::available() {
        let planes = run(isa, &s, &x, &w, ((), &[()]), &bias, 0f32);
        let plan = Conv::<f32>::new(isa, s).expect("a sound shape");
        let (mut packed, mut scratch) = (vec![0.0; plan.packed_len()], vec![0.0; plan.scratch_len()]);
        plan.pack(&w, &[()], &mut packed);
        let block = s.out_plane() * CHANNEL_BLOCK;
        let mut y = vec![0f32; s.out_channels.div_ceil(CHANNEL_BLOCK) * block];
        assert!(plan.writes_blocks());
        let output = OutputLayout::Blocks { block };
        // SAFETY: scratch and y are as long as the plan says.
        unsafe {
            plan.lay_out(&x, (), scratch.as_mut_ptr(), 0..plan.lines());
            let operands = Operands {
                x: &scratch,
                weights: &packed,
                bias: &bias,
                epilogue: None,
                channel: 0,
                y: y.as_mut_ptr(),
                output,
            };
            plan.run(&operands, 0..plan.blocks(), 0..plan.rows());
        }
        for c in 0..s.out_channels {
            for p in 0..s.out_plane() {
                let got = y[c / 16 * block + p * 16 + c % 16];
                let want = planes[c * s.out_plane() + p];
                assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan());
            }
        }
    }
}

#[test]
fn hostile_extents_have_no_plan() {
    let huge = usize::MAX / 4;
    let s = shape(1, 3, 4, [1, 5, 5], [1, 3, 3]);
    for bad in [
        ConvShape { strides: [1, 0, 1], ..s },
        ConvShape { dilations: [0, 1, 1], ..s },
        ConvShape { dilations: [1, 1, huge], ..s },
        ConvShape { pads_begin: [huge, 0, 0], ..s },
        ConvShape { output: [1, huge, huge], ..s },
        ConvShape { groups: huge, ..s },
    ] {
        for &isa in Isa::available() {
            assert!(Conv::<f32>::new(isa, bad).is_none(), "{bad:?}");
            assert!(ConvTranspose::<f32>::new(isa, bad).is_none(), "{bad:?}");
        }
    }
}
