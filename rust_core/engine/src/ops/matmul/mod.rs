//! MatMul, Gemm, FusedMatMul, MatMulInteger and QLinearMatMul: products of matrices.

mod fused;
mod half;
mod integer;
mod product;
mod qlinear;
mod to_float;

use diptych_kernels::gemm::half::{BFloat16, Float16};

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, OutputType, PlanCx, Planned, Row, Step, rows as versions};
use crate::tensor::{Shape, element_count};
pub(super) use product::{Product, Tasks, pack_params};
use product::{ZeroPointShape, scalar_step};

/// The step of a product with its scaling and addend. Integers are multiplied with a scale of 1 only.
pub(super) fn step(product: Product, shape: Shape, dtype: DType, cx: &PlanCx<'_>) -> Result<KernelStep> {
    let output = OutputType::new(dtype, shape);
    let scale = [product.alpha, product.beta];
    match dtype {
        DType::F32 => scalar_step::<f32>(product, output, cx, scale, 50),
        DType::F64 => scalar_step::<f64>(product, output, cx, scale.map(f64::from), 20),
        // The bits of unsigned sums and products are those of signed ones.
        DType::I32 | DType::U32 => scalar_step::<i32>(product, output, cx, [1, 1], 20),
        DType::I64 | DType::U64 => scalar_step::<i64>(product, output, cx, [1, 1], 5),
        DType::F16 => half::step::<Float16>(product, output, cx),
        DType::BF16 => half::step::<BFloat16>(product, output, cx),
        other => Err(Error::unsupported(format!("a product of {other}"))),
    }
}

struct MatMul;

impl Operator for MatMul {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let (product, shape) = Product::matmul(cx.shape(0)?, cx.shape(1)?, Default::default())?;
        step(product, shape, dtype, cx)?.into()
    }
}

struct Gemm {
    alpha: f32,
    beta: f32,
    transposed: [bool; 2],
    /// Versions 1 and 6: whether C may broadcast.
    broadcast: bool,
}

impl Gemm {
    fn product(&self, cx: &PlanCx<'_>) -> Result<Product> {
        let (a, b) = (cx.shape(0)?, cx.shape(1)?);
        let (&[a_rows, a_cols], &[b_rows, b_cols]) = (a, b) else {
            return Err(Error::shape(format!("A and B have shapes {a:?} and {b:?}, expected rank 2")));
        };
        let (m, k, a) = if self.transposed[0] { (a_cols, a_rows, [1, a_cols]) } else { (a_rows, a_cols, [a_cols, 1]) };
        let (k_b, n, b) =
            if self.transposed[1] { (b_cols, b_rows, [1, b_cols]) } else { (b_rows, b_cols, [b_cols, 1]) };
        if k != k_b {
            return Err(Error::shape(format!("A' is {m}x{k}, B' is {k_b}x{n}: they do not multiply")));
        }
        element_count(&[m, n])?;
        let addend = if cx.has(2) { Some(self.addend(cx.shape(2)?, m, n)?) } else { None };
        Ok(Product { a, b, alpha: self.alpha, beta: self.beta, addend, ..Product::of(m, n, k) })
    }

    /// Strides of C, broadcast to `m` x `n`.
    fn addend(&self, c: &[usize], m: usize, n: usize) -> Result<[usize; 2]> {
        let (rows, cols) = match *c {
            [] => (1, 1),
            [cols] => (1, cols),
            [rows, cols] => (rows, cols),
            _ => (usize::MAX, usize::MAX),
        };
        let fits = (rows == m || rows == 1) && (cols == n || cols == 1);
        if !fits || (!self.broadcast && c != [m, n]) {
            return Err(Error::shape(format!("C of shape {c:?} does not broadcast into {:?}", [m, n])));
        }
        Ok([if rows == 1 { 0 } else { cols }, usize::from(cols != 1)])
    }
}

impl Operator for Gemm {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let product = self.product(cx)?;
        let shape = Shape::from_slice(&[product.m, product.n]);
        let scaled = self.alpha != 1.0 || (self.beta != 1.0 && product.addend.is_some());
        if scaled && dtype.is_integer() {
            return integer::scaled_step(product, shape, dtype, cx)?.into();
        }
        step(product, shape, dtype, cx)?.into()
    }
}

/// The axes of zero points or scales of an operand (the left one, or the right): one value in all; or all its axes with the row (column)
/// axis alone; or one a row (column).
fn channels(operand: &[usize], shape: &[usize], left: bool) -> Result<ZeroPointShape> {
    if shape.iter().all(|&n| n == 1) && shape.len() <= operand.len().max(1) {
        return Ok(ZeroPointShape::single());
    }
    let wrong = || Error::shape(format!("zero points or scales of shape {shape:?} for a matrix of shape {operand:?}"));
    let &[ref operand_batch @ .., rows, cols] = operand else { return Err(wrong()) };
    let channels = if left { rows } else { cols };
    let (batch, per_channel): (&[usize], usize) = match *shape {
        [n] => (&[], n),
        [ref batch @ .., n, 1] if left => (batch, n),
        [ref batch @ .., 1, n] if !left => (batch, n),
        _ => return Err(wrong()),
    };
    let within = batch.len() <= operand_batch.len();
    let own = &operand_batch[operand_batch.len() - batch.len().min(operand_batch.len())..];
    if !within
        || batch.iter().zip(own).any(|(&z, &n)| z != 1 && z != n)
        || (per_channel != 1 && per_channel != channels)
    {
        return Err(wrong());
    }
    Ok(ZeroPointShape { batch: batch.into(), per_channel })
}

struct MatMulInteger;

impl Operator for MatMulInteger {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let zeros = [(0, 2, true), (1, 3, false)].map(|(operand, input, left)| match cx.has(input) {
            true => channels(cx.shape(operand)?, cx.shape(input)?, left),
            false => Ok(ZeroPointShape::single()),
        });
        let [a, b] = zeros;
        let zeros = [a?, b?];
        let per_channel = [zeros[0].per_channel, zeros[1].per_channel];
        let (product, shape) = Product::matmul(cx.shape(0)?, cx.shape(1)?, zeros)?;
        integer::bytes_step(product, shape, per_channel, cx)?.into()
    }
}

fn build_gemm(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let legacy = cx.since < 7;
    Ok(Box::new(Gemm {
        alpha: cx.float("alpha", 1.0)?,
        beta: cx.float("beta", 1.0)?,
        transposed: [cx.int("transA", 0)? != 0, cx.int("transB", 0)? != 0],
        broadcast: !legacy || cx.int("broadcast", 0)? != 0,
    }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("MatMul", &[1, 9, 13], |_| Ok(Box::new(MatMul)))
        .chain(versions("Gemm", &[1, 6, 7, 9, 11, 13], build_gemm))
        .chain(versions("MatMulInteger", &[10], |_| Ok(Box::new(MatMulInteger))))
        .chain(qlinear::rows())
        .chain(fused::rows())
        .chain(to_float::rows())
}
