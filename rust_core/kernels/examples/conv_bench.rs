//! Speed of the convolution kernels on one thread: median GFLOP/s of some layers of ResNet-50 and MobileNetV2, for each instruction set.
//!
//! For 3x3 layers also the time of fast mode's Winograd convolution, as the median of its ratios to the direct one, in turns; for
//! depthwise ones the speed of the kernel that lays nothing out.
//!
//! `cargo run --release -p diptych-kernels --example conv_bench [isa …]`

use diptych_kernels::Isa;
use diptych_kernels::conv::winograd::{self, Winograd};
use diptych_kernels::conv::{Conv, ConvShape, Depthwise, DepthwiseOperands, Operands, OutputLayout};
use std::time::Instant;

/// Name, groups, channels of a group in and out, side of the input, of the kernel, stride.
const LAYERS: &[(&str, usize, usize, usize, usize, usize, usize)] = &[
    ("first 7x7/2", 1, 3, 64, 224, 7, 2),
    ("3x3 56", 1, 64, 64, 56, 3, 1),
    ("3x3/2 56", 1, 128, 128, 56, 3, 2),
    ("3x3 28", 1, 128, 128, 28, 3, 1),
    ("3x3 14", 1, 256, 256, 14, 3, 1),
    ("3x3 7", 1, 512, 512, 7, 3, 1),
    ("3x3 yolo 80", 1, 32, 32, 80, 3, 1),
    ("3x3 yolo 160", 1, 16, 16, 160, 3, 1),
    ("1x1 56", 1, 64, 256, 56, 1, 1),
    ("1x1 14", 1, 1024, 256, 14, 1, 1),
    ("1x1 7", 1, 512, 2048, 7, 1, 1),
    ("1x1/2 56", 1, 256, 512, 56, 1, 2),
    ("1x1 expand", 1, 16, 96, 112, 1, 1),
    ("depthwise 112", 96, 1, 1, 112, 3, 1),
    ("depthwise/2 112", 96, 1, 1, 112, 3, 2),
    ("depthwise 28", 192, 1, 1, 28, 3, 1),
    ("depthwise 14", 384, 1, 1, 14, 3, 1),
    ("depthwise/2 14", 576, 1, 1, 14, 3, 2),
    ("depthwise 7", 960, 1, 1, 7, 3, 1),
    ("depthwise 5x5 14", 480, 1, 1, 14, 5, 1),
    ("grouped 4x4", 32, 4, 4, 56, 3, 1),
];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let isas = Isa::available().iter().filter(|isa| wanted.is_empty() || wanted.iter().any(|w| w == isa.name()));
    for &isa in isas.rev() {
        println!("{}: layer, GFLOP/s with laying out, without, time of Winograd / direct", isa.name());
        for &(name, groups, in_channels, out_channels, side, kernel, stride) in LAYERS {
            let out = (side - 1) / stride + 1;
            let (pad, kernel, input, output) = (kernel / 2, [1, kernel, kernel], [1, side, side], [1, out, out]);
            let (strides, pads_begin) = ([1, stride, stride], [0, pad, pad]);
            let dilations = [1; 3];
            let shape =
                ConvShape { groups, in_channels, out_channels, input, kernel, strides, dilations, pads_begin, output };
            let (whole, run) = measure(isa, shape);
            let ratio = Winograd::new(isa, shape).map_or(String::new(), |plan| {
                format!("{:8.3}{}", compare(isa, plan), if plan.pays() { "" } else { " (not taken)" })
            });
            let as_they_lie = Depthwise::new(isa, &shape)
                .map_or(String::new(), |plan| format!("{:8.1} as planes lie", measure_depthwise(plan, shape)));
            println!("{name:>16} {whole:8.1} {run:8.1} {ratio}{as_they_lie}");
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

/// GFLOP/s of a depthwise convolution that reads planes as they lie.
fn measure_depthwise(plan: Depthwise, shape: ConvShape) -> f64 {
    let numbers = |n: usize| (0..n).map(|i| (i * 7919 % 1013) as f32 * 1e-3 - 0.5).collect::<Vec<f32>>();
    let (x, weights) = (numbers(shape.groups * shape.in_plane()), numbers(shape.groups * shape.taps()));
    let bias = numbers(shape.groups);
    let mut y = vec![0f32; shape.groups * shape.out_plane()];
    let operands = DepthwiseOperands { x: &x, weights: &weights, bias: &bias, epilogue: None };
    let mut times: Vec<f64> = (0..200)
        .map(|_| {
            let start = Instant::now();
            plan.run(&operands, 0, &mut y);
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    2.0 * (y.len() * shape.taps()) as f64 / times[times.len() / 2] / 1e9
}

/// Median over the rounds of the time of `plan` / that of the direct convolution, laying out included.
fn compare(isa: Isa, plan: Winograd) -> f64 {
    let shape = *plan.shape();
    let direct = Conv::<f32>::new(isa, shape).expect("a sound shape");
    let numbers = |n: usize| (0..n).map(|i| (i * 7919 % 1013) as f32 * 1e-3 - 0.5).collect::<Vec<f32>>();
    let x = numbers(shape.in_channels * shape.in_plane());
    let w = numbers(shape.in_channels * shape.out_channels * 9);
    let (mut packed, mut weights) = (vec![0f32; direct.packed_len()], vec![0f32; plan.packed_len()]);
    direct.pack(&w, &[()], &mut packed);
    plan.pack(&w, &mut weights);
    let mut scratch = vec![0f32; direct.scratch_len().max(plan.scratch_len())];
    let (mut planes, mut y) = (vec![0f32; plan.planes_len()], vec![0f32; shape.out_channels * shape.out_plane()]);
    let mut ratios: Vec<f64> = (0..15)
        .map(|_| {
            let start = Instant::now();
            // SAFETY: the scratch is as long as the plan says, and there is one thread.
            unsafe { direct.lay_out(&x, (), scratch.as_mut_ptr(), 0..direct.lines()) };
            let output = OutputLayout::Planes { plane: shape.out_plane(), step: 1 };
            let (epilogue, y) = (None, y.as_mut_ptr());
            let operands = Operands { x: &scratch, weights: &packed, bias: &[], epilogue, channel: 0, y, output };
            // SAFETY: y is the whole output.
            unsafe { direct.run(&operands, 0..direct.blocks(), 0..direct.rows()) };
            let middle = Instant::now();
            for block in 0..plan.blocks() {
                // SAFETY: the planes are as long as the plan says, and there is one thread.
                unsafe { plan.forward(&x, block, 0..plan.in_blocks(), planes.as_mut_ptr(), &mut scratch) };
                let operands = winograd::Operands { planes: &planes, weights: &weights, bias: &[], epilogue: None, y };
                // SAFETY: y is the whole output.
                unsafe { plan.multiply(&operands, block, 0..plan.out_blocks(), &mut scratch) };
            }
            middle.elapsed().as_secs_f64() / (middle - start).as_secs_f64()
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}
