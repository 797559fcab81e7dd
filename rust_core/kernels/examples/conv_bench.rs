//! Speed of the convolution kernels on one thread: median GFLOP/s of some layers of ResNet-50 and MobileNetV2, for each instruction set.
//!
//! `cargo run --release -p diptych-kernels --example conv_bench [isa …]`

use diptych_kernels::Isa;
use diptych_kernels::conv::{Conv, ConvShape, Operands, OutputLayout};
use std::time::Instant;

/// Name, groups, channels of a group in and out, side of the input, of the kernel, stride.
const LAYERS: &[(&str, usize, usize, usize, usize, usize, usize)] = &[
    ("first 7x7/2", 1, 3, 64, 224, 7, 2),
    ("3x3 56", 1, 64, 64, 56, 3, 1),
    ("3x3/2 56", 1, 128, 128, 56, 3, 2),
    ("3x3 28", 1, 128, 128, 28, 3, 1),
    ("3x3 14", 1, 256, 256, 14, 3, 1),
    ("3x3 7", 1, 512, 512, 7, 3, 1),
    ("1x1 56", 1, 64, 256, 56, 1, 1),
    ("1x1 14", 1, 1024, 256, 14, 1, 1),
    ("1x1 7", 1, 512, 2048, 7, 1, 1),
    ("1x1/2 56", 1, 256, 512, 56, 1, 2),
    ("1x1 expand", 1, 16, 96, 112, 1, 1),
    ("depthwise 112", 96, 1, 1, 112, 3, 1),
    ("depthwise/2 112", 96, 1, 1, 112, 3, 2),
    ("depthwise 28", 192, 1, 1, 28, 3, 1),
    ("depthwise 14", 384, 1, 1, 14, 3, 1),
    ("grouped 4x4", 32, 4, 4, 56, 3, 1),
];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let isas = Isa::available().iter().filter(|isa| wanted.is_empty() || wanted.iter().any(|w| w == isa.name()));
    for &isa in isas.rev() {
        println!("{}: layer, GFLOP/s with laying out, without", isa.name());
        for &(name, groups, in_channels, out_channels, side, kernel, stride) in LAYERS {
            let out = (side - 1) / stride + 1;
            let (pad, kernel, input, output) = (kernel / 2, [1, kernel, kernel], [1, side, side], [1, out, out]);
            let (strides, pads_begin) = ([1, stride, stride], [0, pad, pad]);
            let dilations = [1; 3];
            let shape =
                ConvShape { groups, in_channels, out_channels, input, kernel, strides, dilations, pads_begin, output };
            let (whole, run) = measure(isa, shape);
            println!("{name:>16} {whole:8.1} {run:8.1}");
        }
    }
}

/// GFLOP/s of laying out and running, and of running alone.
fn measure(isa: Isa, shape: ConvShape) -> (f64, f64) {
    let plan = Conv::<f32>::new(isa, shape).expect("a sound shape");
    let numbers = |n: usize| (0..n).map(|i| (i * 7919 % 1013) as f32 * 1e-3 - 0.5).collect::<Vec<f32>>();
    let x = numbers(shape.groups * shape.in_channels * shape.in_plane());
    let w = numbers(shape.groups * shape.in_channels * shape.out_channels * shape.taps());
    let bias = numbers(shape.groups * shape.out_channels);
    let mut packed = vec![0f32; plan.packed_len()];
    plan.pack(&w, &[()], &mut packed);
    let mut scratch = vec![0f32; plan.scratch_len()];
    let mut y = vec![0f32; shape.groups * shape.out_channels * shape.out_plane()];
    let flops = 2.0 * y.len() as f64 * (shape.in_channels * shape.taps()) as f64;
    let rounds = (2e9 / flops).clamp(5.0, 200.0) as usize;
    let mut times: Vec<[f64; 2]> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            // SAFETY: the scratch is as long as the plan says, and there is one thread.
            unsafe { plan.lay_out(&x, (), scratch.as_mut_ptr(), 0..plan.lines()) };
            let middle = Instant::now();
            let output = OutputLayout::Planes { plane: shape.out_plane(), step: 1 };
            let operands = Operands {
                x: &scratch,
                weights: &packed,
                bias: &bias,
                epilogue: None,
                channel: 0,
                y: y.as_mut_ptr(),
                output,
            };
            // SAFETY: y is the whole output.
            unsafe { plan.run(&operands, 0..plan.blocks(), 0..plan.rows()) };
            [start.elapsed().as_secs_f64(), middle.elapsed().as_secs_f64()]
        })
        .collect();
    let mut median = |i: usize| {
        times.sort_by(|a, b| a[i].total_cmp(&b[i]));
        flops / times[times.len() / 2][i] / 1e9
    };
    (median(0), median(1))
}
