//! Runs one kernel once inside `measured`, for callgrind to count its instructions:
//!
//!     valgrind --tool=callgrind --toggle-collect='*measured*' --callgrind-out-file=/dev/null instruction_count <kernel> [isa]
//!
//! The counts are the same in every run, whatever else the machine does: asv_bench/benchmarks/instructions.py tracks
//! them. Without an argument it names the kernels. The default instruction set is avx2 where the CPU has it: valgrind
//! knows no AVX-512.

use diptych_kernels::Isa;
use diptych_kernels::conv::winograd::{self, Winograd};
use diptych_kernels::conv::{Conv, ConvShape, Operands, OutputLayout};
use diptych_kernels::functions::{Unary, unary};
use diptych_kernels::gemm::{Gemm, MatMut, MatRef, Right, gemm, pack_b, packed_b_len, scratch_len};
use diptych_kernels::norm::{LayerNorm, layer_norm};
use diptych_kernels::recurrent::{Activation, Gates, Lstm};
use diptych_kernels::reduce::Extent;
use diptych_kernels::softmax::softmax;
use diptych_kernels::transpose::transpose;
use std::hint::black_box;
use std::io::Error;

/// A kernel's name and one run of it.
type Counted = (&'static str, fn(Isa));

const KERNELS: [Counted; 14] = [
    ("conv_1x1", |isa| convolve(isa, 64, 64, 1)),
    ("conv_3x3", |isa| convolve(isa, 32, 32, 3)),
    ("conv_3x3_winograd", |isa| convolve_fast(isa, 32, 32)),
    ("erf", |isa| evaluate(isa, Unary::Erf)),
    ("exp", |isa| evaluate(isa, Unary::Exp)),
    ("gelu", |isa| evaluate(isa, Unary::Gelu)),
    ("layer_norm", normalise_rows),
    ("lstm_cell", lstm_cell),
    ("matmul", multiply),
    ("sigmoid", |isa| evaluate(isa, Unary::Sigmoid)),
    ("sin", |isa| evaluate(isa, Unary::Sin)),
    ("softmax", softmax_rows),
    ("tanh", |isa| evaluate(isa, Unary::Tanh)),
    ("transpose", turn),
];

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(name) = arguments.first() else {
        KERNELS.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(());
    };
    let available = Isa::available();
    let isa = match arguments.get(1) {
        Some(isa) => Isa::from_name(isa).filter(|isa| available.contains(isa)),
        None => Isa::from_name("avx2").filter(|isa| available.contains(isa)).or(Some(Isa::best())),
    };
    let isa = isa.ok_or_else(|| Error::other("this CPU lacks the instruction set"))?;
    let (_, run) =
        KERNELS.iter().find(|(kernel, _)| kernel == name).ok_or_else(|| Error::other(format!("no kernel {name}")))?;
    run(isa);
    Ok(())
}

/// The one function whose instructions count, with all that it calls.
#[inline(never)]
fn measured(mut work: impl FnMut()) {
    work();
}

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i * 7919 % 1013) as f32 * 1e-3 - 0.5).collect()
}

/// 128 x 128 x 128 with packed B.
fn multiply(isa: Isa) {
    let (m, n, k) = (128, 128, 128);
    let (a, b) = (numbers(m * k), numbers(k * n));
    let mut packed = vec![0.0; packed_b_len::<f32>(isa, k, n).expect("a small shape")];
    let right = Right::Packed(pack_b(isa, &MatRef::row_major(&b, k, n), &mut packed));
    let product = Gemm::new(MatRef::row_major(&a, m, k), right);
    let (mut c, mut scratch) = (vec![0.0; m * n], vec![0.0; scratch_len::<f32>(isa, m, n, k)]);
    measured(|| gemm(isa, &product, 0..m, 0..n, MatMut::new(&mut c, m, n, n), &mut scratch));
    black_box(c);
}

/// A layer on a 28 x 28 plane.
fn layer(in_channels: usize, out_channels: usize, kernel: usize) -> ConvShape {
    let (side, pad) = (28, kernel / 2);
    ConvShape {
        groups: 1,
        in_channels,
        out_channels,
        input: [1, side, side],
        kernel: [1, kernel, kernel],
        strides: [1; 3],
        dilations: [1; 3],
        pads_begin: [0, pad, pad],
        output: [1, side, side],
    }
}

/// A layer by Winograd's algorithm.
fn convolve_fast(isa: Isa, in_channels: usize, out_channels: usize) {
    let shape = layer(in_channels, out_channels, 3);
    let plan = Winograd::new(isa, shape).expect("a 3x3 layer");
    let (x, bias) = (numbers(in_channels * shape.in_plane()), numbers(out_channels));
    let mut weights = vec![0.0; plan.packed_len()];
    plan.pack(&numbers(in_channels * out_channels * shape.taps()), &mut weights);
    let (mut planes, mut scratch) = (vec![0f32; plan.planes_len()], vec![0f32; plan.scratch_len()]);
    let mut y = vec![0f32; out_channels * shape.out_plane()];
    measured(|| {
        for block in 0..plan.blocks() {
            // SAFETY: the planes are as long as the plan says, and there is one thread.
            unsafe { plan.forward(&x, block, 0..plan.in_blocks(), planes.as_mut_ptr(), &mut scratch) };
            let operands = winograd::Operands {
                planes: &planes,
                weights: &weights,
                bias: &bias,
                epilogue: None,
                y: y.as_mut_ptr(),
            };
            // SAFETY: y is the whole output.
            unsafe { plan.multiply(&operands, block, 0..plan.out_blocks(), &mut scratch) };
        }
    });
    black_box(y);
}

/// A layer, laying out included.
fn convolve(isa: Isa, in_channels: usize, out_channels: usize, kernel: usize) {
    let shape = layer(in_channels, out_channels, kernel);
    let plan = Conv::<f32>::new(isa, shape).expect("a sound shape");
    let (x, bias) = (numbers(in_channels * shape.in_plane()), numbers(out_channels));
    let mut weights = vec![0.0; plan.packed_len()];
    plan.pack(&numbers(in_channels * out_channels * shape.taps()), &[()], &mut weights);
    let (mut scratch, mut y) = (vec![0f32; plan.scratch_len()], vec![0f32; out_channels * shape.out_plane()]);
    measured(|| {
        // SAFETY: the scratch is as long as the plan says, and there is one thread.
        unsafe { plan.lay_out(&x, (), scratch.as_mut_ptr(), 0..plan.lines()) };
        let output = OutputLayout::Planes { plane: shape.out_plane(), step: 1 };
        let operands = Operands {
            x: &scratch,
            weights: &weights,
            bias: &bias,
            epilogue: None,
            channel: 0,
            y: y.as_mut_ptr(),
            output,
        };
        // SAFETY: y is the whole output.
        unsafe { plan.run(&operands, 0..plan.blocks(), 0..plan.rows()) };
    });
    black_box(y);
}

/// An elementary function or activation of 4096 elements.
fn evaluate(isa: Isa, function: Unary) {
    let mut x = numbers(4096);
    // SAFETY: x holds 4096 elements; a function may write where it reads.
    measured(|| unsafe { unary(isa, function, x.as_ptr(), x.as_mut_ptr(), x.len()) });
    black_box(x);
}

/// LayerNormalization of 16 rows of 768.
fn normalise_rows(isa: Isa) {
    let (rows, n) = (16, 768);
    let (mut x, scale, bias) = (numbers(rows * n), numbers(n), numbers(n));
    let operands = LayerNorm::<f32, f32> {
        n,
        centered: true,
        scale: Some(&scale),
        bias: Some(&bias),
        epsilon: 1e-5,
        mean: None,
        inverse: None,
    };
    // SAFETY: x holds the rows, and may be written where it is read.
    measured(|| unsafe { layer_norm(isa, &operands, x.as_ptr(), x.as_mut_ptr(), 0..rows) });
    black_box(x);
}

/// A matrix of 128 x 128.
fn turn(isa: Isa) {
    let side = 128;
    let (x, mut y) = (numbers(side * side), vec![0f32; side * side]);
    measured(|| transpose(isa, &x, side, &mut y, side));
    black_box(y);
}

/// 16 rows of 128.
fn softmax_rows(isa: Isa) {
    let (outer, n) = (16, 128);
    let x = numbers(outer * n);
    let mut y = vec![0.0; outer * n];
    let extent = Extent { outer, n, inner: 1 };
    // SAFETY: both hold outer * n elements.
    measured(|| unsafe { softmax(isa, false, x.as_ptr(), y.as_mut_ptr(), extent, 0..outer, 0..1) });
    black_box(y);
}

/// One step of 4 rows of 256.
fn lstm_cell(isa: Isa) {
    let (rows, hidden) = (4, 256);
    let (bias, chains) = (numbers(4 * hidden), numbers(rows * 4 * hidden));
    let functions = [Activation::Sigmoid, Activation::Tanh, Activation::Tanh];
    let gates = Gates { bias: Some(&bias[..]), clip: None, hidden };
    let cell = Lstm { gates, peephole: None, functions, input_forget: false };
    let (mut c, mut h) = (numbers(rows * hidden), vec![0.0; rows * hidden]);
    measured(|| cell.step(isa, &chains, &mut c, &mut h));
    black_box((c, h));
}
