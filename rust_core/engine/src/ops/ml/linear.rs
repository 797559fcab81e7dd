//! LinearRegressor and LinearClassifier, and the product that support vector machines share with them.

use diptych_kernels::Isa;
use diptych_kernels::gemm::{Gemm, MatMut, MatRef, PackedB, Right, gemm, pack_b, packed_b_len, scratch_len};
use diptych_kernels::ml::scores::{Transform, transform};

use super::labels::{Labels, choose};
use super::model::{Computing, Feature, Model, Written, classes_step, extents, scores_step, transform_named};
use super::versions;
use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step};
use crate::ops::elements::{buffer_bytes, elements, elements_mut, rooms, rooms_bytes};
use crate::packed::PackedWeights;
use crate::tensor::AlignedBytes;
use crate::with_dtype;

/// Numbers in the computing type.
pub fn converted<T: Computing>(values: &[f32]) -> Vec<T> {
    values.iter().map(|&value| T::of(value.into())).collect()
}

/// Refuses a list that is not `rows` times `columns` long.
pub fn check_matrix(what: &str, len: usize, rows: usize, columns: usize) -> Result<()> {
    if rows.checked_mul(columns) == Some(len) {
        return Ok(());
    }
    Err(Error::shape(format!("{what} has {len} numbers, expected {rows} times {columns}")))
}

/// Rows of features times the transpose of a constant matrix `[columns, features]`, packed for an instruction set.
pub struct Product<T> {
    isa: Isa,
    features: usize,
    columns: usize,
    weights: Vec<T>,
    packed: Option<AlignedBytes>,
    pub scale: T,
    /// Added to each column, one number a column or one for all; none if empty.
    pub addend: Vec<T>,
}

// [panel: ai.onnx.ml.LinearClassifier ai.onnx.ml.LinearRegressor]
impl<T: Computing> Product<T> {
    pub fn new(isa: Isa, weights: Vec<T>, columns: usize, features: usize) -> Result<Product<T>> {
        check_matrix("a matrix", weights.len(), columns, features)?;
        let mut packed = None;
        if columns > 1 && features > 0 {
            let len = packed_b_len::<T>(isa, features, columns)
                .ok_or_else(|| Error::resource_limit(format!("a matrix of {columns} times {features}")))?;
            let mut bytes = AlignedBytes::zeroed(buffer_bytes::<T>(&[len])?)?;
            let b = MatRef::new(&weights, features, columns, 1, features);
            pack_b(isa, &b, elements_mut(bytes.as_mut_slice()));
            packed = Some(bytes);
        }
        let weights = if packed.is_some() { Vec::new() } else { weights };
        Ok(Product { isa, features, columns, weights, packed, scale: T::of(1.0), addend: Vec::new() })
    }

    pub fn scratch(&self, rows: usize) -> Result<usize> {
        buffer_bytes::<T>(&[scratch_len::<T>(self.isa, rows, self.columns, self.features)])
    }

    /// Multiply-adds of a row.
    pub fn work(&self) -> u64 {
        (self.columns as u64).saturating_mul(self.features as u64)
    }

    /// `out[r, c] = rn(rn(scale * chain) + addend[c])`.
    pub fn run(&self, x: &[T], out: &mut [T], scratch: &mut [u8]) {
        let (n, k) = (self.columns, self.features);
        let rows = out.len().checked_div(n).unwrap_or(0);
        let b = match &self.packed {
            Some(bytes) => Right::Packed(PackedB::from_packed(self.isa, elements(bytes.as_slice()), k, n)),
            None => Right::Strided(MatRef::new(&self.weights, k, n, 1, k)),
        };
        let stride = usize::from(self.addend.len() > 1);
        let addend = (!self.addend.is_empty()).then(|| MatRef::new(&self.addend, rows, n, 0, stride));
        let g = Gemm { alpha: self.scale, addend, ..Gemm::new(MatRef::row_major(x, rows, k), b) };
        gemm(self.isa, &g, 0..rows, 0..n, MatMut::new(out, rows, n, n), elements_mut(scratch));
    }
}
// [/panel]

/// Scores of rows: a product, two columns made of one for two classes, a transform.
struct Linear<T> {
    product: Product<T>,
    /// The one column s becomes (-s, s).
    opposite: bool,
    transform: Transform,
}

impl<T: Computing> Model<T> for Linear<T> {
    fn columns(&self) -> usize {
        if self.opposite { 2 } else { self.product.columns }
    }

    fn scratch(&self, rows: usize) -> Result<usize> {
        rooms_bytes(&[self.single(rows), self.product.scratch(rows)?])
    }

    fn cost(&self) -> u64 {
        self.product.work() / 16 + 10
    }

    fn run(&self, isa: Isa, x: &[T], scores: &mut [T], classes: &mut [u32], scratch: &mut [u8]) {
        let rows = scores.len() / self.columns();
        if self.opposite {
            let [single, scratch] = rooms(scratch, [self.single(rows), self.product.scratch(rows).unwrap_or(0)]);
            let single = elements_mut::<T>(single);
            self.product.run(x, single, scratch);
            opposites(single, scores);
        } else {
            self.product.run(x, scores, scratch);
        }
        choose(scores, self.columns(), classes);
        transform(isa, self.transform, scores, self.columns());
    }
}

impl<T: Computing> Linear<T> {
    /// Bytes of the one column before it is two.
    fn single(&self, rows: usize) -> usize {
        if self.opposite { rows * size_of::<T>() } else { 0 }
    }
}

/// (-s, s) of each s.
pub fn opposites<T: Computing>(single: &[T], scores: &mut [T]) {
    for (pair, &s) in scores.chunks_exact_mut(2).zip(single) {
        pair.copy_from_slice(&[-s, s]);
    }
}

struct LinearOperator {
    coefficients: Vec<f32>,
    intercepts: Vec<f32>,
    transform: Transform,
    targets: usize,
    /// Those of a classifier.
    labels: Option<Labels>,
    made: PackedWeights,
}

impl LinearOperator {
    /// The rows of coefficients, and whether one row serves two classes.
    fn rows_of_coefficients(&self, features: usize) -> Result<(usize, bool)> {
        let opposite =
            self.labels.is_some() && self.targets == 2 && features > 0 && self.coefficients.len() == features;
        let rows = if opposite { 1 } else { self.targets };
        check_matrix("coefficients", self.coefficients.len(), rows, features)?;
        if !self.intercepts.is_empty() && self.intercepts.len() != rows {
            let got = self.intercepts.len();
            return Err(Error::shape(format!("{got} intercepts for {rows} rows of coefficients")));
        }
        Ok((rows, opposite))
    }

    fn step<S: Feature>(&self, cx: &PlanCx<'_>) -> Planned<Step>
    where
        f32: Written<S::Computed>,
    {
        let (rows, features) = extents(cx.shape(0)?)?;
        let (columns, opposite) = self.rows_of_coefficients(features)?;
        let form = if opposite { "one row" } else { "a row a score" };
        let key = (cx.isa as usize, form, S::Computed::DTYPE as u64);
        let model = self.made.get_or_pack(key, || {
            let mut product = Product::new(cx.isa, converted(&self.coefficients), columns, features)?;
            product.addend = converted(&self.intercepts);
            Ok((Linear { product, opposite, transform: self.transform }, 0))
        })?;
        match &self.labels {
            None => scores_step::<S, f32>(model, rows, features),
            Some(labels) => classes_step::<S>(model, labels, rows, features),
        }
    }
}

impl Operator for LinearOperator {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        with_dtype!(cx.dtype(0)?, S in [F32, F64, I32, I64] => self.step::<S>(cx),
            else Err(Error::unsupported("features of another type").into()))
    }
}

fn build(cx: &BuildCx<'_>, targets: usize, labels: Option<Labels>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(LinearOperator {
        coefficients: cx.floats("coefficients")?.unwrap_or_default().to_vec(),
        intercepts: cx.floats("intercepts")?.unwrap_or_default().to_vec(),
        transform: transform_named(cx)?,
        targets,
        labels,
        made: PackedWeights::default(),
    }))
}

fn build_regressor(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let targets = cx.int("targets", 1)?;
    match usize::try_from(targets) {
        Ok(count) if count > 0 => build(cx, count, None),
        _ => Err(Error::invalid_model(format!("targets is {targets}, expected at least 1"))),
    }
}

fn build_classifier(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let labels = Labels::of(cx, "classlabels_ints", "classlabels_strings")?;
    build(cx, labels.len(), Some(labels))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("LinearRegressor", &[1], build_regressor).chain(versions("LinearClassifier", &[1], build_classifier))
}
