//! Products against a scalar triple loop, bit for bit, on every instruction set of the machine.

use super::*;
use crate::lanes::Isa;

/// xorshift64: enough for test data.
pub(crate) struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Uniform in [-1, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

trait Sample: Scalar + std::fmt::Debug {
    fn sample(random: &mut Random) -> Self;
    /// Now and then a NaN, an infinity, a zero of either sign, a subnormal, an extreme.
    fn special(random: &mut Random) -> Self;
    fn step(a: Self, b: Self, c: Self) -> Self;
    fn finish(alpha: Self, acc: Self, addend: Option<(Self, Self)>) -> Self;
    fn same(a: Self, b: Self) -> bool;
}

macro_rules! float_sample {
    ($t:ty, $step:expr) => {
        impl Sample for $t {
            fn sample(random: &mut Random) -> $t {
                random.unit() as $t
            }
            fn special(random: &mut Random) -> $t {
                match random.below(40) {
                    0 => <$t>::NAN,
                    1 => <$t>::INFINITY,
                    2 => <$t>::NEG_INFINITY,
                    3..6 => -0.0,
                    6..9 => 0.0,
                    9..12 => <$t>::MIN_POSITIVE * random.unit() as $t,
                    12 => <$t>::MAX,
                    _ => <$t>::sample(random) * (<$t>::MIN_POSITIVE).sqrt(),
                }
            }
            fn step(a: $t, b: $t, c: $t) -> $t {
                let step: fn($t, $t, $t) -> $t = $step;
                step(a, b, c)
            }
            fn finish(alpha: $t, acc: $t, addend: Option<($t, $t)>) -> $t {
                addend.map_or(alpha * acc, |(beta, d)| alpha * acc + beta * d)
            }
            fn same(a: $t, b: $t) -> bool {
                a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
            }
        }
    };
}
float_sample!(f32, |a, b, c| a.mul_add(b, c));
float_sample!(f64, |a, b, c| a * b + c);

macro_rules! integer_sample {
    ($t:ty) => {
        impl Sample for $t {
            fn sample(random: &mut Random) -> $t {
                random.next() as $t
            }
            fn special(random: &mut Random) -> $t {
                [0, 1, -1, <$t>::MIN, <$t>::MAX][random.below(5)]
            }
            fn step(a: $t, b: $t, c: $t) -> $t {
                a.wrapping_mul(b).wrapping_add(c)
            }
            fn finish(alpha: $t, acc: $t, addend: Option<($t, $t)>) -> $t {
                let scaled = alpha.wrapping_mul(acc);
                addend.map_or(scaled, |(beta, d)| scaled.wrapping_add(beta.wrapping_mul(d)))
            }
            fn same(a: $t, b: $t) -> bool {
                a == b
            }
        }
    };
}
integer_sample!(i32);
integer_sample!(i64);

/// A stored matrix with room between its elements.
struct Stored<T> {
    data: Vec<T>,
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<T: Sample> Stored<T> {
    /// `layout`: 0 row-major, 1 with gaps between rows, 2 transposed, 3 transposed with gaps, 4 both strides general.
    fn new(rows: usize, cols: usize, layout: usize, special: bool, random: &mut Random) -> Self {
        let (row_stride, col_stride) = match layout {
            0 => (cols, 1),
            1 => (cols + 3, 1),
            2 => (1, rows),
            3 => (1, rows + 5),
            _ => (3 * cols + 1, 3),
        };
        // Exactly the elements that the view reaches: reads beyond are out of bounds.
        let len = extent(rows, cols, row_stride, col_stride).unwrap();
        let data = (0..len).map(|_| if special { T::special(random) } else { T::sample(random) }).collect();
        Stored { data, rows, cols, row_stride, col_stride }
    }

    fn view(&self) -> MatRef<'_, T> {
        MatRef::new(&self.data, self.rows, self.cols, self.row_stride, self.col_stride)
    }
}

/// The definition: row-major [m, n].
fn triple_loop<T: Sample>(g: &Gemm<'_, T>, b: &MatRef<'_, T>, start: &[T]) -> Vec<T> {
    let (m, n, k) = (g.m(), g.n(), g.k());
    let mut out = Vec::with_capacity(m * n);
    for i in 0..m {
        for j in 0..n {
            let mut acc = if g.resume { start[i * n + j] } else { T::default() };
            for p in 0..k {
                acc = T::step(g.a.at(i, p), b.at(p, j), acc);
            }
            out.push(T::finish(g.alpha, acc, g.addend.map(|d| (g.beta, d.at(i, j)))));
        }
    }
    out
}

/// Runs `g` in tasks of `grain`, on memory that shows writes outside of C, and compares.
fn compare<T: Sample>(isa: Isa, g: &Gemm<'_, T>, want: &[T], start: &[T], grain: Grain, what: &str) {
    let (m, n) = (g.m(), g.n());
    for gap in [0, 3] {
        let stride = n + gap;
        let mut data = vec![T::ONE; m * stride + 7];
        for i in 0..m {
            data[i * stride..i * stride + n].copy_from_slice(&start[i * n..][..n]);
        }
        let mut scratch = vec![T::ONE; scratch_len::<T>(isa, m, n, g.k())];
        let c = MatMut::new(&mut data, m, n, stride);
        for task in 0..grain.tasks(m, n) {
            let (rows, cols) = grain.task(task, m, n);
            // SAFETY: tasks run one after another and do not overlap.
            let block = unsafe { c.shared_block(rows.clone(), cols.clone()) };
            gemm(isa, g, rows, cols, block, &mut scratch);
        }
        for (at, &got) in data.iter().enumerate() {
            let (i, j) = (at / stride.max(1), at % stride.max(1));
            let expected = if i < m && j < n { want[i * n + j] } else { T::ONE };
            assert!(T::same(got, expected), "{what} on {}: C[{i}, {j}] = {got:?}, not {expected:?}", isa.name());
        }
    }
}

struct Case {
    m: usize,
    n: usize,
    k: usize,
    a_layout: usize,
    b_layout: usize,
    special: bool,
    /// 0 none, else the addend's form.
    addend: usize,
    scaled: bool,
    resume: bool,
}

fn run_case<T: Sample>(case: &Case, random: &mut Random) {
    let &Case { m, n, k, a_layout, b_layout, special, .. } = case;
    let a = Stored::<T>::new(m, k, a_layout, special, random);
    let b = Stored::<T>::new(k, n, b_layout, special, random);
    let d = Stored::<T>::new(m, n, if case.addend == 5 { 4 } else { 0 }, false, random);
    let addend = match case.addend {
        0 => None,
        1 | 5 => Some(d.view()),
        2 => Some(MatRef::new(&d.data, m, n, 0, 1)),
        3 => Some(MatRef::new(&d.data, m, n, 1, 0)),
        _ => Some(MatRef::new(&d.data, m, n, 0, 0)),
    };
    let start: Vec<T> = (0..m * n).map(|_| T::sample(random)).collect();
    let mut g = Gemm { resume: case.resume, addend, ..Gemm::new(a.view(), Right::Strided(b.view())) };
    if case.scaled {
        (g.alpha, g.beta) = (T::sample(random), T::sample(random));
    }
    let want = triple_loop(&g, &b.view(), &start);
    for &isa in Isa::available() {
        let what = format!("{m}x{n}x{k} A{a_layout} B{b_layout} addend {}", case.addend);
        let whole = Grain { rows: m, cols: n };
        compare(isa, &g, &want, &start, whole, &what);
        compare(isa, &g, &want, &start, Grain { rows: m.div_ceil(2).max(1), cols: n.div_ceil(3).max(1) }, &what);
        // Poison shows reads of memory that packing should have filled.
        let mut packed = vec![T::ONE; packed_b_len::<T>(isa, k, n).unwrap()];
        let b = Right::Packed(pack_b(isa, &b.view(), &mut packed));
        let g = Gemm { b, ..g };
        compare(isa, &g, &want, &start, whole, &what);
        compare(isa, &g, &want, &start, Grain::new::<T>(isa, m, n, 3), &what);
        compare(isa, &g, &want, &start, Grain { rows: 5, cols: panel_width::<T>(isa) }, &what);
    }
}

fn edges<T: Sample>(seed: u64) {
    let mut random = Random(seed);
    // Around tiles (heights 4, 6, 12; panels 4 .. 64), and k around nothing, vectors and blocks.
    let ms = [0, 1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 17, 25];
    let ns = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 48, 63, 64, 65, 79, 129];
    let ks = [0, 1, 2, 3, 7, 16, 17, 40];
    for _ in 0..400 {
        let case = Case {
            m: ms[random.below(ms.len())],
            n: ns[random.below(ns.len())],
            k: ks[random.below(ks.len())],
            a_layout: random.below(5),
            b_layout: random.below(5),
            special: random.below(4) == 0,
            addend: random.below(6),
            scaled: random.below(2) == 0,
            resume: random.below(4) == 0,
        };
        run_case::<T>(&case, &mut random);
    }
}

#[test]
fn f32_edges() {
    edges::<f32>(0x9e37_79b9_7f4a_7c15);
}

#[test]
fn f64_edges() {
    edges::<f64>(0xd1b5_4a32_d192_ed03);
}

#[test]
fn i32_edges() {
    edges::<i32>(0xaef1_7502_108e_f2d9);
}

#[test]
fn i64_edges() {
    edges::<i64>(0x94d0_49bb_1331_11eb);
}

#[test]
fn k_and_row_blocks() {
    let mut random = Random(0xbf58_476d_1ce4_e5b9);
    for (m, n, k) in
        [(7, 70, 1023), (7, 70, 1024), (7, 70, 1025), (13, 33, 2100), (1, 130, 3000), (300, 1, 1100), (400, 65, 33)]
    {
        for (a_layout, b_layout) in [(0, 0), (2, 0), (0, 2), (4, 4)] {
            let (addend, resume) = (random.below(6), random.below(2) == 0);
            run_case::<f32>(
                &Case { m, n, k, a_layout, b_layout, special: false, addend, scaled: true, resume },
                &mut random,
            );
        }
    }
}

#[test]
fn rows_that_alias_in_the_cache() {
    let mut random = Random(77);
    let a: Vec<f32> = (0..70 * 1024).map(|_| f32::sample(&mut random)).collect();
    let b = Stored::<f32>::new(40, 130, 0, false, &mut random);
    let start = vec![0.0; 70 * 130];
    let g = Gemm::new(MatRef::new(&a, 70, 40, 1024, 1), Right::Strided(b.view()));
    let want = triple_loop(&g, &b.view(), &start);
    for &isa in Isa::available() {
        compare(isa, &g, &want, &start, Grain { rows: 70, cols: 130 }, "aliased rows");
    }
}

#[test]
fn unsigned_views_are_the_same_bits() {
    let a = [u32::MAX, 3];
    let b = [5u32, u32::MAX];
    let mut c = [0u32; 1];
    let isa = Isa::best();
    let g = Gemm::new(MatRef::row_major(&a, 1, 2).as_signed(), Right::Strided(MatRef::row_major(&b, 2, 1).as_signed()));
    let mut scratch = vec![0; scratch_len::<i32>(isa, 1, 1, 2)];
    gemm(isa, &g, 0..1, 0..1, MatMut::new(&mut c, 1, 1, 1).as_signed(), &mut scratch);
    assert_eq!(c[0], u32::MAX.wrapping_mul(5).wrapping_add(u32::MAX.wrapping_mul(3)));
}

#[test]
fn grains_cover_every_element_once() {
    for &isa in Isa::available() {
        for (m, n) in [(0, 0), (0, 5), (1, 1), (1, 1000), (1000, 1), (384, 768), (7, 65), (50, 50)] {
            for parts in [0, 1, 2, 3, 8] {
                let grain = Grain::new::<f32>(isa, m, n, parts);
                let mut seen = vec![0; m * n];
                for task in 0..grain.tasks(m, n) {
                    let (rows, cols) = grain.task(task, m, n);
                    assert!(cols.start % panel_width::<f32>(isa) == 0);
                    for i in rows {
                        cols.clone().for_each(|j| seen[i * n + j] += 1);
                    }
                }
                assert!(seen.iter().all(|&count| count == 1), "{m}x{n} in {parts} parts on {}", isa.name());
            }
        }
    }
}

#[test]
#[should_panic(expected = "reaches beyond")]
fn a_view_beyond_its_data_is_refused() {
    MatRef::new(&[0.0f32; 5], 2, 3, 3, 1);
}
