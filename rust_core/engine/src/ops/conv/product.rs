//! Convolutions that are products of matrices: every output hits one kernel position.
//!
//! The chain of such an output runs over the channels in order, as a product's runs over k, so both give the same bits; the product
//! reads the planes as they lie.

use std::ops::{Add, Range};

use diptych_kernels::gemm::{Gemm, Grain, MatMut, MatRef, Right, Scalar, gemm, scratch_len};

use super::Geometry;
use crate::dtype::{DType, Element};
use crate::error::Result;
use crate::operator::{KernelStep, PlanCx};
use crate::ops::elements::{buffer_bytes, elements_mut};
use crate::run::KernelCx;
use crate::tensor::element_count;

/// Work worth a task of its own, in nanoseconds.
const TASK: u64 = 20_000;
/// Positions of a plane from which on a product fills its tiles better than a convolution does.
const LEAST_PLANE: usize = 96;
/// Output channels from which on it does.
const LEAST_CHANNELS: usize = 4;

impl Geometry {
    /// Whether a convolution has one kernel position and takes every input once: weights times planes.
    pub(super) fn is_pointwise(&self) -> bool {
        let shape = &self.shape;
        shape.taps() == 1
            && shape.strides == [1; 3]
            && shape.pads_begin == [0; 3]
            && shape.input == shape.output
            && self.fills_tiles(shape.out_channels, shape.out_plane())
    }

    /// Whether the kernels of a transposed convolution stand side by side: each output comes from one input.
    pub(super) fn is_tiled(&self) -> bool {
        let shape = &self.shape;
        let tiled = (0..3).all(|i| {
            shape.kernel[i] == shape.strides[i]
                && shape.dilations[i] == 1
                && shape.pads_begin[i] == 0
                && shape.input[i].checked_mul(shape.strides[i]) == Some(shape.output[i])
        });
        tiled && self.fills_tiles(shape.out_channels * shape.taps(), shape.in_plane())
    }

    fn fills_tiles(&self, m: usize, n: usize) -> bool {
        self.batch > 0 && self.shape.groups > 0 && m >= LEAST_CHANNELS && n >= LEAST_PLANE
    }
}

/// Products of M x K by K x N matrices, cut into tasks.
#[derive(Clone, Copy)]
struct Products {
    m: usize,
    n: usize,
    k: usize,
    grain: Grain,
    /// Tasks of one product.
    tasks: usize,
    /// Products, and those that groups of weights differ in.
    count: usize,
    groups: usize,
    cost: u64,
    /// Chunks worth a thread.
    parts: usize,
}

impl Products {
    fn new<T: Scalar>(cx: &PlanCx<'_>, geometry: &Geometry, [m, n]: [usize; 2], flops: u64) -> Result<Products> {
        let (groups, k) = (geometry.shape.groups, geometry.shape.in_channels);
        let count = element_count(&[geometry.batch, groups])?;
        let cost = [count, m, n, k, 2].iter().fold(1u64, |cost, &n| cost.saturating_mul(n as u64)) / flops;
        let parts = (cost / TASK).clamp(1, 4 * cx.threads as u64) as usize;
        let grain = Grain::new::<T>(cx.isa, m, n, parts.div_ceil(count));
        Ok(Products { m, n, k, grain, tasks: grain.tasks(m, n), count, groups, cost: cost.saturating_add(200), parts })
    }

    /// Computes the products `which` with `matrices(product)` for weights, planes and addend, one after the other in C.
    fn run<'a, T: Scalar + Element>(
        &self,
        cx: &KernelCx<'_>,
        which: Range<usize>,
        c: &mut [T],
        matrices: impl Fn(usize) -> (MatRef<'a, T>, MatRef<'a, T>, Option<MatRef<'a, T>>) + Sync,
    ) -> Result<()> {
        let (m, n) = (self.m, self.n);
        let c = MatMut::new(c, which.len() * m, n, n);
        let (isa, epilogue, total) = (cx.isa(), cx.epilogue(), self.tasks * which.len());
        cx.parallel_ranges(total, total.div_ceil(self.parts).max(1), |range, scratch| {
            for task in range {
                let (product, task) = (task / self.tasks, task % self.tasks);
                let (rows, cols) = self.grain.task(task, m, n);
                let (a, b, addend) = matrices(which.start + product);
                let channel = (which.start + product) % self.groups * m;
                let g = Gemm { addend, epilogue, channel, ..Gemm::new(a, Right::Strided(b)) };
                // SAFETY: the tasks' blocks do not overlap.
                let block = unsafe { c.shared_block(product * m + rows.start..product * m + rows.end, cols.clone()) };
                gemm(isa, &g, rows, cols, block, elements_mut(scratch));
            }
        })
    }

    fn scratch<T: Scalar>(&self, cx: &PlanCx<'_>) -> Result<usize> {
        buffer_bytes::<T>(&[scratch_len::<T>(cx.isa, self.m, self.n, self.k)])
    }

    /// The planes that product `product` multiplies.
    fn planes<'a, T: Copy>(&self, x: &'a [T], product: usize) -> MatRef<'a, T> {
        MatRef::new(&x[product * self.k * self.n..], self.k, self.n, self.n, 1)
    }

    /// What of the weights, or of the bias, belongs to product `product`: `each` elements.
    fn of_group<'a, T>(&self, all: &'a [T], product: usize, each: usize) -> &'a [T] {
        &all[product % self.groups * each..][..each]
    }
}

/// The step of a convolution that [`Geometry::is_pointwise`]; `flops` operations a nanosecond.
pub(super) fn pointwise_step<T: Scalar + Element>(
    cx: &PlanCx<'_>,
    geometry: &Geometry,
    flops: u64,
) -> Result<KernelStep> {
    let shape = &geometry.shape;
    let products = Products::new::<T>(cx, geometry, [shape.out_channels, shape.out_plane()], flops)?;
    let Products { m, n, k, count, cost, .. } = products;
    let step = KernelStep::with_outputs([geometry.output(T::DTYPE)?], move |cx| {
        let (x, w, bias) = (cx.input::<T>(0), cx.input::<T>(1), cx.opt_input::<T>(2));
        products.run(cx, 0..count, cx.output::<T>(0), |product| {
            let weights = MatRef::new(products.of_group(w, product, m * k), m, k, k, 1);
            // One value a row: the bias of its channel, added last.
            let bias = bias.map(|bias| MatRef::new(products.of_group(bias, product, m), m, n, 1, 0));
            (weights, products.planes(x, product), bias)
        })
    });
    Ok(step.scratch(products.scratch::<T>(cx)?).takes_epilogue(T::DTYPE == DType::F32).cost(cost))
}

/// The step of a transposed convolution that [`Geometry::is_tiled`]: products with one row a channel and kernel position, whose rows are
/// then put between each other.
pub(super) fn tiled_step<T>(cx: &PlanCx<'_>, geometry: &Geometry, flops: u64) -> Result<KernelStep>
where
    T: Scalar + Element + Add<Output = T>,
{
    let shape = geometry.shape;
    let (channels, taps) = (shape.out_channels, shape.taps());
    let products = Products::new::<T>(cx, geometry, [element_count(&[channels, taps])?, shape.in_plane()], flops)?;
    let Products { m, n, k, count, cost, .. } = products;
    let room = buffer_bytes::<T>(&[m, n])?;
    let step = KernelStep::with_outputs([geometry.output(T::DTYPE)?], move |cx| {
        let (x, w, bias) = (cx.input::<T>(0), cx.input::<T>(1), cx.opt_input::<T>(2));
        let c = &mut elements_mut::<T>(cx.workspace())[..m * n];
        for (product, y) in (0..count).zip(cx.output::<T>(0).chunks_exact_mut(m * n)) {
            products.run(cx, product..product + 1, c, |product| {
                // Stored as [k][m].
                let weights = MatRef::new(products.of_group(w, product, m * k), m, k, 1, m);
                (weights, products.planes(x, product), None)
            })?;
            let bias = bias.map(|bias| products.of_group(bias, product, channels));
            let spread = Spread { input: shape.input, kernel: shape.kernel, c, bias };
            cx.parallel_rows(y, taps * n, TASK as usize / (taps * n), |first, y, _| {
                y.chunks_exact_mut(taps * n).zip(first..).for_each(|(plane, channel)| spread.plane(channel, plane));
            })?;
        }
        Ok(())
    });
    let moved = (count as u64).saturating_mul((m * n) as u64) / 4;
    Ok(step.scratch(products.scratch::<T>(cx)?).workspace(room).cost(cost.saturating_add(moved)))
}

/// Puts the planes of the kernel positions, `c` `[channel][kernel position][input position]`, between each other.
struct Spread<'a, T> {
    input: [usize; 3],
    kernel: [usize; 3],
    c: &'a [T],
    bias: Option<&'a [T]>,
}

impl<T: Copy + Add<Output = T>> Spread<'_, T> {
    /// Writes the output plane of `channel`.
    fn plane(&self, channel: usize, y: &mut [T]) {
        let ([_, height, width], [kd, kh, kw]) = (self.input, self.kernel);
        let n = self.input.iter().product::<usize>();
        let c = &self.c[channel * kd * kh * kw * n..];
        for (row, y) in y.chunks_exact_mut(width * kw).enumerate() {
            let (d, h) = (row / (height * kh), row % (height * kh));
            let line = (d / kd * height + h / kh) * width;
            let tap = (d % kd * kh + h % kh) * kw;
            let lines = |k: usize| &c[(tap + k) * n + line..][..width];
            match self.bias.map(|bias| bias[channel]) {
                None => interleave(kw, lines, y, |x| x),
                Some(bias) => interleave(kw, lines, y, |x| x + bias),
            }
        }
    }
}

/// `y[i * count + k] = of(lines(k)[i])`.
#[inline]
fn interleave<'a, T: Copy + 'a>(count: usize, lines: impl Fn(usize) -> &'a [T], y: &mut [T], of: impl Fn(T) -> T) {
    if count == 2 {
        let (even, odd) = (lines(0), lines(1));
        for ((y, &a), &b) in y.as_chunks_mut::<2>().0.iter_mut().zip(even).zip(odd) {
            *y = [of(a), of(b)];
        }
        return;
    }
    for k in 0..count {
        y[k..].iter_mut().step_by(count).zip(lines(k)).for_each(|(y, &x)| *y = of(x));
    }
}
