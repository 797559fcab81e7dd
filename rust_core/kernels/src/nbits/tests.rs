use super::quantized::dot;
use super::*;
use crate::gemm::MatMut;
use crate::gemm::tests::Random;
use crate::lanes::{Arch, Kernel, Simd, dispatch};

/// Weights as stored, and what they stand for.
struct Stored {
    extents: Extents,
    codes: Vec<u8>,
    scales: Vec<f32>,
    zeros: Option<Vec<f32>>,
    groups: Option<Vec<i32>>,
}

impl Stored {
    fn new(extents: Extents, zeros: u64, grouped: bool, random: &mut Random) -> Stored {
        let Extents { k, n, block, bits } = extents;
        let blocks = extents.blocks();
        let codes = (0..n * blocks * block * bits / 8).map(|_| random.next() as u8).collect();
        let scales = (0..n * blocks).map(|_| random.unit() as f32).collect();
        let mut zero = |_| match zeros {
            1 => (random.next() % (1 << bits)) as f32,
            _ => random.unit() as f32 * 9.0,
        };
        let zeros = (zeros > 0).then(|| (0..n * blocks).map(&mut zero).collect());
        let groups = grouped.then(|| (0..k).map(|_| random.below(blocks) as i32).collect());
        Stored { extents, codes, scales, zeros, groups }
    }

    fn code(&self, k: usize, n: usize) -> i32 {
        let Extents { block, bits, .. } = self.extents;
        let bit = (n * self.extents.blocks() * block + k) * bits;
        i32::from(self.codes[bit / 8] >> (bit % 8)) & ((1 << bits) - 1)
    }

    fn zero(&self, block: usize, n: usize) -> f32 {
        let default = (1 << (self.extents.bits - 1)) as f32;
        self.zeros.as_ref().map_or(default, |zeros| zeros[n * self.extents.blocks() + block])
    }

    fn scale(&self, block: usize, n: usize) -> f32 {
        self.scales[n * self.extents.blocks() + block]
    }

    fn float(&self, a: &[f32], n: usize) -> f32 {
        a.iter().enumerate().fold(0.0, |acc, (k, &a)| {
            let block = self.groups.as_ref().map_or(k / self.extents.block, |groups| groups[k] as usize);
            let weight = (self.code(k, n) as f32 - self.zero(block, n)) * self.scale(block, n);
            a.mul_add(weight, acc)
        })
    }

    fn quantized(&self, a: &[f32], n: usize) -> f32 {
        let block = self.extents.block;
        a.chunks(block).enumerate().fold(0.0, |acc, (b, a)| {
            let most =
                a.iter().fold(0.0f32, |most, x| if x.is_nan() || most.is_nan() { f32::NAN } else { most.max(x.abs()) });
            let inverse = if most == 0.0 { 0.0 } else { 127.0 / most };
            let level = |x: &f32| (x * inverse).clamp(-127.0, 127.0).round_ties_even() as i32;
            let term = |(i, x)| level(x) * (self.code(b * block + i, n) - self.zero(b, n) as i32);
            let d: i32 = a.iter().enumerate().map(term).sum();
            (d as f32).mul_add(most / 127.0 * self.scale(b, n), acc)
        })
    }
}

/// The packed form: codes, scales, zero points.
fn packed(isa: Isa, stored: &Stored) -> (Vec<i32>, Vec<f32>, Option<Vec<f32>>) {
    let extents = &stored.extents;
    let panel = panel_columns(isa);
    let mut codes = vec![-1; extents.packed_codes(isa).unwrap()];
    for (p, to) in codes.chunks_mut(panel * extents.words()).enumerate() {
        pack_codes(isa, extents, &stored.codes, p * panel, to);
    }
    let by_block = |at: &dyn Fn(usize, usize) -> f32| {
        let mut values = vec![f32::NAN; extents.packed_by_block(isa).unwrap()];
        for (p, to) in values.chunks_mut(panel * extents.blocks()).enumerate() {
            pack_by_block(isa, extents, at, p * panel, to);
        }
        values
    };
    let scales = by_block(&|n, block| stored.scale(block, n));
    let zeros = stored.zeros.as_ref().map(|_| by_block(&|n, block| stored.zero(block, n)));
    (codes, scales, zeros)
}

/// Calls `run` with rows and columns of four blocks of `y`, [m, n], columns cut at `cut`, and with each block.
fn in_blocks(y: &mut [f32], [m, n]: [usize; 2], cut: usize, mut run: impl FnMut([Range<usize>; 2], MatMut<'_, f32>)) {
    let mut c = MatMut::new(y, m, n, n);
    for rows in [0..m / 3, m / 3..m] {
        for cols in [0..cut, cut..n].into_iter().filter(|cols| !cols.is_empty()) {
            run([rows.clone(), cols.clone()], c.block(rows.clone(), cols));
        }
    }
}

fn run_case(m: usize, extents: Extents, zeros: u64, grouped: bool, random: &mut Random) {
    let Extents { k, n, block, .. } = extents;
    let blocks = extents.blocks();
    let stored = Stored::new(extents, zeros, grouped, random);
    let mut a: Vec<f32> = (0..m * k).map(|_| random.unit() as f32 * 3.0).collect();
    if random.below(4) == 0 && !a.is_empty() {
        let at = random.below(a.len());
        a[at] = [f32::NAN, f32::INFINITY, 1e-40, 1e30][random.below(4)];
    }
    let bias: Option<Vec<f32>> = (random.below(2) == 0).then(|| (0..n).map(|_| random.unit() as f32).collect());
    let plus = |acc: f32, n: usize| bias.as_ref().map_or(acc, |bias| acc + bias[n]);
    let same = |got: f32, want: f32| got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan());
    for &isa in Isa::available() {
        let (codes, scales, zero_points) = packed(isa, &stored);
        let w = Weights::new(isa, extents, &codes, &scales, zero_points.as_deref(), stored.groups.as_deref());
        let what = format!("{m} rows, {extents:?}, zero points {zeros}, on {}", isa.name());
        let cut = (n / 2).next_multiple_of(panel_columns(isa)).min(n);
        let mut y = vec![7.0f32; m * n];
        let mut scratch = vec![f32::NAN; float_scratch_len(isa, &extents)];
        in_blocks(&mut y, [m, n], cut, |place, c| float_rows(isa, &w, &a, place, bias.as_deref(), c, &mut scratch));
        for (at, &got) in y.iter().enumerate() {
            let want = plus(stored.float(&a[at / n * k..][..k], at % n), at % n);
            assert!(same(got, want), "{what}: rows, {at}: {got:e}, not {want:e}");
        }
        if grouped {
            continue;
        }
        for (a, want) in a.chunks_exact(k).zip(y.chunks_exact(n)) {
            let mut row = vec![7.0; n];
            for cols in [0..cut, cut..n].into_iter().filter(|cols| !cols.is_empty()) {
                float_row(isa, &w, a, cols.clone(), bias.as_deref(), &mut row[cols]);
            }
            assert!(row.iter().zip(want).all(|(&got, &want)| same(got, want)), "{what}: a row");
        }
        if zeros > 1 {
            continue;
        }
        let (mut groups, mut steps, mut sums) =
            (vec![-1; m * blocks * block / 4], vec![0.0; m * blocks], vec![9; m * blocks]);
        quantize_rows(isa, &extents, &a, LevelsMut { groups: &mut groups, steps: &mut steps, sums: &mut sums });
        let levels = Levels { groups: &groups, steps: &steps, sums: &sums };
        in_blocks(&mut y, [m, n], cut, |place, c| quantized_rows(isa, &w, &levels, place, bias.as_deref(), c));
        for (at, &got) in y.iter().enumerate() {
            let want = plus(stored.quantized(&a[at / n * k..][..k], at % n), at % n);
            assert!(same(got, want), "{what}: quantized, {at}: {got:e}, not {want:e}");
        }
    }
}

#[test]
fn products_of_all_kinds() {
    let mut random = Random(0x1357_9bdf_2468_ace1);
    let ms = [1, 2, 3, 4, 5, 7, 13];
    let ns = [1, 3, 4, 7, 8, 9, 15, 16, 17, 33, 48, 63, 64, 65, 130];
    let ks = [1, 2, 15, 16, 17, 31, 32, 33, 100, 128, 130];
    for case in 0..300 {
        let extents = Extents {
            k: ks[random.below(ks.len())],
            n: ns[random.below(ns.len())],
            block: [16, 32, 64, 128][random.below(4)],
            bits: [2, 4, 8][random.below(3)],
        };
        run_case(ms[random.below(ms.len())], extents, case % 3, random.below(4) == 0, &mut random);
    }
}

#[test]
fn deep_products_and_large_blocks() {
    let mut random = Random(77);
    for (k, block, bits) in [(1500, 32, 4), (1030, 1024, 8), (1030, 512, 8), (2050, 2048, 4), (1025, 16, 2)] {
        for zeros in 0..3 {
            run_case(3, Extents { k, n: 20, block, bits }, zeros, false, &mut random);
        }
    }
}

#[test]
fn extremes_do_not_saturate() {
    for bits in [2, 4, 8] {
        for code in [0x00, 0xff] {
            let extents = Extents { k: 512, n: 5, block: 512, bits };
            let stored = Stored {
                extents,
                codes: vec![code; 5 * 512 * bits / 8],
                scales: vec![1.0; 5],
                zeros: Some(vec![if code == 0 { ((1 << bits) - 1) as f32 } else { 0.0 }; 5]),
                groups: None,
            };
            let a = vec![-3.0; 512];
            for &isa in Isa::available() {
                let (codes, scales, zeros) = packed(isa, &stored);
                let w = Weights::new(isa, extents, &codes, &scales, zeros.as_deref(), None);
                let (mut groups, mut steps, mut sums) = ([0; 128], [0.0], [0]);
                quantize_rows(isa, &extents, &a, LevelsMut { groups: &mut groups, steps: &mut steps, sums: &mut sums });
                let levels = Levels { groups: &groups, steps: &steps, sums: &sums };
                let mut y = [0.0; 5];
                quantized_rows(isa, &w, &levels, [0..1, 0..5], None, MatMut::new(&mut y, 1, 5, 5));
                assert_eq!(
                    y[4].to_bits(),
                    stored.quantized(&a, 4).to_bits(),
                    "{bits} bits of {code:#x} on {}",
                    isa.name()
                );
            }
        }
    }
}

struct Dots<'a, const BITS: usize>(&'a [[i32; 3]], &'a mut [i32]);

impl<const BITS: usize> Kernel for Dots<'_, BITS> {
    type Output = ();
    const DOTS: bool = true;
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        for (args, out) in self.0.iter().zip(self.1) {
            let [w, a, c] = args.map(Simd::<i32, L>::splat);
            *out = dot::<A, L, BITS>(w, a, c)[L - 1];
        }
    }
}

#[test]
fn dot_products_agree_with_their_portable_form() {
    let mut random = Random(5);
    let mut byte = |most: u8, signed: bool| {
        let ends = if signed { [0x81, 0x7f] } else { [most, 0] };
        if random.below(3) == 0 { ends[random.below(2)] } else { (random.next() as u8) & most }
    };
    for bits in [2, 4, 8] {
        let most = ((1u32 << bits) - 1) as u8;
        let args: Vec<[i32; 3]> = (0..2000)
            .map(|i| {
                let w = i32::from_le_bytes(std::array::from_fn(|_| byte(most, false)));
                [w, i32::from_le_bytes(std::array::from_fn(|_| byte(0xff, true))), i * 7919]
            })
            .collect();
        for &isa in Isa::available() {
            let mut out = vec![0; args.len()];
            with_bits!(bits, BITS => dispatch(isa, Dots::<BITS>(&args, &mut out)));
            for (&[w, a, c], got) in args.iter().zip(out) {
                let pairs = w.to_le_bytes().into_iter().zip(a.to_le_bytes());
                let want = pairs.fold(c, |c, (w, a)| c + i32::from(w) * i32::from(a as i8));
                assert_eq!(got, want, "{w:#x} {a:#x} on {}", isa.name());
            }
        }
    }
}
