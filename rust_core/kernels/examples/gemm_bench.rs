//! GFLOP/s of the matrix products, f32 and 8-bit, one thread: the median of repeated runs for each shape and instruction set.
//!
//! `cargo run --release -p diptych-kernels --example gemm_bench [isa]`

use diptych_kernels::Isa;
use diptych_kernels::gemm::{Gemm, MatMut, MatRef, Right, gemm, pack_b, packed_b_len, scratch_len};
use diptych_kernels::qgemm::{ByteGemm, Bytes, ZeroPoint, byte_scratch_len, gemm_bytes, pack_bytes, packed_bytes_len};
use std::time::Instant;

/// m, n, k: square, BERT, ViT, attention heads, pointwise convolutions (row-major B), matrix-vector, vector-matrix.
const SHAPES: [(usize, usize, usize); 20] = [
    (128, 128, 128),
    (256, 256, 256),
    (512, 512, 512),
    (1024, 1024, 1024),
    (384, 768, 768),
    (384, 3072, 768),
    (197, 768, 3072),
    (128, 128, 64),
    (128, 64, 128),
    (64, 3136, 256),
    (256, 3136, 64),
    (128, 784, 512),
    (512, 784, 128),
    (256, 196, 1024),
    (1024, 196, 256),
    (96, 12544, 16),
    (32, 784, 192),
    (4, 4, 4),
    (1, 3072, 768),
    (1000, 1, 2048),
];

/// How B is given.
#[derive(Clone, Copy, Debug)]
enum Form {
    Packed,
    RowMajor,
    Transposed,
}

/// 64-byte aligned storage of `len` elements.
fn aligned(storage: &mut Vec<f32>, len: usize) -> &mut [f32] {
    storage.resize(len + 16, 0.0);
    let skip = storage.as_ptr().align_offset(64).min(16);
    &mut storage[skip..skip + len]
}

/// Median seconds of one product.
fn time(isa: Isa, (m, n, k): (usize, usize, usize), form: Form) -> f64 {
    let a: Vec<f32> = (0..m * k).map(|i| (i % 17) as f32 - 8.0).collect();
    let b: Vec<f32> = (0..k * n).map(|i| (i % 13) as f32 - 6.0).collect();
    let view = match form {
        Form::Transposed => MatRef::new(&b, k, n, 1, k),
        _ => MatRef::row_major(&b, k, n),
    };
    let mut storage = Vec::new();
    let packed = aligned(&mut storage, packed_b_len::<f32>(isa, k, n).expect("the shapes are small"));
    let right = match form {
        Form::Packed => Right::Packed(pack_b(isa, &view, packed)),
        _ => Right::Strided(view),
    };
    let product = Gemm::new(MatRef::row_major(&a, m, k), right);
    let (mut c, mut scratch) = (vec![0.0; m * n], Vec::new());
    let scratch = aligned(&mut scratch, scratch_len::<f32>(isa, m, n, k));
    median(m * n * k, || gemm(isa, &product, 0..m, 0..n, MatMut::new(&mut c, m, n, n), scratch))
}

/// Median seconds of one u8 x s8 product with packed B.
fn time_bytes(isa: Isa, (m, n, k): (usize, usize, usize)) -> f64 {
    let a: Vec<u8> = (0..m * k).map(|i| i as u8).collect();
    let b: Vec<u8> = (0..k * n).map(|i| (i * 7) as u8).collect();
    let b = Bytes { values: MatRef::row_major(&b, k, n), signed: true };
    let mut packed = vec![0; packed_bytes_len(isa, k, n).expect("the shapes are small")];
    let product = ByteGemm {
        a: Bytes { values: MatRef::row_major(&a, m, k), signed: false },
        b: pack_bytes(isa, &b, &mut packed),
        a_zero: ZeroPoint::Scalar(128),
        b_zero: ZeroPoint::Scalar(0),
    };
    let (mut c, mut scratch) = (vec![0; m * n], vec![0; byte_scratch_len(isa, m, k)]);
    median(m * n * k, || gemm_bytes(isa, &product, 0..m, 0..n, MatMut::new(&mut c, m, n, n), &mut scratch))
}

/// Median seconds of a call that does `work` multiply-adds, timed in batches of some microseconds.
fn median(work: usize, mut call: impl FnMut()) -> f64 {
    let per_batch = (2e6 / work as f64).ceil() as usize;
    let mut times = Vec::new();
    let begin = Instant::now();
    while times.len() < 9 || begin.elapsed().as_secs_f64() < 0.2 {
        let start = Instant::now();
        (0..per_batch).for_each(|_| call());
        times.push(start.elapsed().as_secs_f64() / per_batch as f64);
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let wanted = std::env::args().nth(1);
    for &isa in Isa::available().iter().filter(|isa| wanted.as_deref().is_none_or(|name| name == isa.name())) {
        let [packed, row_major, transposed, bytes] = ["packed", "row-major", "transposed", "u8 x s8"];
        println!("{:>8} {:>16} {packed:>9} {row_major:>9} {transposed:>10} {bytes:>9}  Gop/s", isa.name(), "m x n x k");
        for shape @ (m, n, k) in SHAPES {
            let rate = |form| 2.0 * (m * n * k) as f64 / time(isa, shape, form) / 1e9;
            let rates = [Form::Packed, Form::RowMajor, Form::Transposed].map(rate);
            let bytes = 2.0 * (m * n * k) as f64 / time_bytes(isa, shape) / 1e9;
            let name = format!("{m}x{n}x{k}");
            println!("{name:>25} {:>9.1} {:>9.1} {:>10.1} {bytes:>9.1}", rates[0], rates[1], rates[2]);
        }
    }
}
