//! Nanoseconds an element of the elementary functions, Softmax, LayerNormalization and reductions on 384 rows of 3072
//! float32 (sin and cos in -10 .. 10), for every instruction set of this CPU. One thread.

use diptych_kernels::Isa;
use diptych_kernels::functions::{Unary, unary};
use diptych_kernels::reduce::{Extent, Reduction, reduce};
use diptych_kernels::softmax::softmax;
use std::time::Instant;

const ROWS: usize = 384;
const COLUMNS: usize = 3072;

fn main() {
    let x: Vec<f32> = (0..ROWS * COLUMNS).map(|i| ((i * 7919) % 20_011) as f32 / 1000.0 - 10.0).collect();
    let mut y = vec![0.0f32; x.len()];
    let functions = [
        Unary::Exp,
        Unary::Log,
        Unary::Erf,
        Unary::Tanh,
        Unary::Sigmoid,
        Unary::Softplus,
        Unary::Sin,
        Unary::Cos,
        Unary::Relu,
        Unary::Floor,
    ];
    for &isa in Isa::available() {
        for op in functions {
            // SAFETY: both hold ROWS * COLUMNS elements.
            report(isa, &format!("{op:?}"), || unsafe { unary(isa, op, x.as_ptr(), y.as_mut_ptr(), x.len()) });
        }
        let extent = Extent { outer: ROWS, n: COLUMNS, inner: 1 };
        let strided = Extent { outer: 1, n: ROWS, inner: COLUMNS };
        for (name, extent) in [("rows", extent), ("columns", strided)] {
            let (rows, columns) = (0..extent.outer, 0..extent.inner);
            // SAFETY: both hold outer * n * inner elements.
            report(isa, &format!("softmax {name}"), || unsafe {
                softmax(isa, false, x.as_ptr(), y.as_mut_ptr(), extent, rows.clone(), columns.clone());
            });
            for op in [Reduction::Sum, Reduction::Max] {
                // SAFETY: as above; the result has fewer elements.
                report(isa, &format!("{op:?} {name}"), || unsafe {
                    reduce(isa, op, x.as_ptr(), y.as_mut_ptr(), extent, rows.clone(), columns.clone());
                });
            }
        }
    }
}

/// Prints the least time of ten.
fn report(isa: Isa, name: &str, mut work: impl FnMut()) {
    let mut least = f64::INFINITY;
    for _ in 0..10 {
        let start = Instant::now();
        work();
        least = least.min(start.elapsed().as_secs_f64());
    }
    println!("{:9} {name:16} {:.3} ns", isa.name(), least * 1e9 / (ROWS * COLUMNS) as f64);
}
