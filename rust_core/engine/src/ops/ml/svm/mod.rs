//! Support vector machines: kernels, votes of pairs of classes, probabilities.

mod coupling;
mod kernel;
mod models;

use diptych_kernels::ml::scores::Transform;

use super::labels::Labels;
use super::linear::{Product, check_matrix, converted};
use super::model::{Computing, Feature, Written, classes_step, extents, scores_step, transform_named};
use super::versions;
use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step};
use crate::packed::PackedWeights;
use crate::with_dtype;
use kernel::{KernelSpec, Kernels};
use models::{Classifier, Linear, Regressor};

struct SvmRegressor {
    spec: KernelSpec,
    coefficients: Vec<f32>,
    vectors: Vec<f32>,
    supports: usize,
    rho: f32,
    one_class: bool,
    transform: Transform,
    made: PackedWeights,
}

impl SvmRegressor {
    fn step<S: Feature>(&self, cx: &PlanCx<'_>) -> Planned<Step>
    where
        f32: Written<S::Computed>,
    {
        let (rows, features) = extents(cx.shape(0)?)?;
        let key = (cx.isa as usize, "svm", S::Computed::DTYPE as u64);
        if self.supports == 0 {
            check_matrix("coefficients", self.coefficients.len(), 1, features)?;
            let model = self.made.get_or_pack(key, || {
                let mut product = Product::new(cx.isa, converted(&self.coefficients), 1, features)?;
                product.addend = converted::<S::Computed>(&[self.rho]);
                Ok((Linear { product, columns: 1, one_class: self.one_class, transform: self.transform }, 0))
            })?;
            return scores_step::<S, f32>(model, rows, features);
        }
        check_matrix("coefficients", self.coefficients.len(), 1, self.supports)?;
        check_matrix("support_vectors", self.vectors.len(), self.supports, features)?;
        let model = self.made.get_or_pack(key, || {
            let regressor = Regressor {
                kernels: Kernels::new(cx.isa, self.spec, &self.vectors, self.supports, features)?,
                coefficients: converted::<S::Computed>(&self.coefficients),
                rho: S::Computed::of(self.rho.into()),
                one_class: self.one_class,
                transform: self.transform,
            };
            Ok((regressor, 0))
        })?;
        scores_step::<S, f32>(model, rows, features)
    }
}

impl Operator for SvmRegressor {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        with_dtype!(cx.dtype(0)?, S in [F32, F64, I32, I64] => self.step::<S>(cx),
            else Err(Error::unsupported("features of another type").into()))
    }
}

/// At least as many intercepts.
fn rho_of(cx: &BuildCx<'_>, least: usize) -> Result<Vec<f32>> {
    let rho = cx.floats("rho")?.unwrap_or_default();
    if rho.len() < least {
        return Err(Error::invalid_model(format!("rho has {} numbers, expected {least}", rho.len())));
    }
    Ok(rho.to_vec())
}

fn build_regressor(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let supports = cx.int("n_supports", 0)?;
    Ok(Box::new(SvmRegressor {
        spec: KernelSpec::of(cx)?,
        coefficients: cx.floats("coefficients")?.unwrap_or_default().to_vec(),
        vectors: cx.floats("support_vectors")?.unwrap_or_default().to_vec(),
        supports: usize::try_from(supports)
            .map_err(|_| Error::invalid_model(format!("n_supports is {supports}, expected at least 0")))?,
        rho: rho_of(cx, 1)?[0],
        one_class: cx.int("one_class", 0)? != 0,
        transform: transform_named(cx)?,
        made: PackedWeights::default(),
    }))
}

struct SvmClassifier {
    spec: KernelSpec,
    labels: Labels,
    coefficients: Vec<f32>,
    vectors: Vec<f32>,
    /// Where the vectors of each class start, and the end; empty for a linear model.
    starts: Vec<usize>,
    rho: Vec<f32>,
    platt: Option<(Vec<f32>, Vec<f32>)>,
    transform: Transform,
    made: PackedWeights,
}

impl SvmClassifier {
    fn step<S: Feature>(&self, cx: &PlanCx<'_>) -> Planned<Step>
    where
        f32: Written<S::Computed>,
    {
        let (rows, features) = extents(cx.shape(0)?)?;
        let key = (cx.isa as usize, "svm", S::Computed::DTYPE as u64);
        let Some(&vectors) = self.starts.last() else {
            check_matrix("coefficients", self.coefficients.len(), self.labels.len(), features)?;
            let model = self.made.get_or_pack(key, || {
                let columns = self.labels.len();
                let mut product = Product::new(cx.isa, converted(&self.coefficients), columns, features)?;
                product.addend = converted::<S::Computed>(&self.rho[..1]);
                Ok((Linear { product, columns, one_class: false, transform: self.transform }, 0))
            })?;
            return classes_step::<S>(model, &self.labels, rows, features);
        };
        check_matrix("support_vectors", self.vectors.len(), vectors, features)?;
        let model = self.made.get_or_pack(key, || {
            let classifier = Classifier {
                kernels: Kernels::new(cx.isa, self.spec, &self.vectors, vectors, features)?,
                starts: self.starts.clone(),
                coefficients: converted::<S::Computed>(&self.coefficients),
                rho: converted(&self.rho),
                platt: self.platt.as_ref().map(|(a, b)| (converted(a), converted(b))),
                transform: self.transform,
            };
            Ok((classifier, 0))
        })?;
        classes_step::<S>(model, &self.labels, rows, features)
    }
}

impl Operator for SvmClassifier {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        with_dtype!(cx.dtype(0)?, S in [F32, F64, I32, I64] => self.step::<S>(cx),
            else Err(Error::unsupported("features of another type").into()))
    }
}

/// Where each class's vectors start, and the end; empty if there are none.
fn starts_of(counts: &[i64]) -> Result<Vec<usize>> {
    let mut starts = vec![0usize];
    for &count in counts {
        let next = usize::try_from(count).ok().and_then(|count| starts[starts.len() - 1].checked_add(count));
        let wrong = || Error::invalid_model(format!("vectors_per_class has {count}"));
        starts.push(next.ok_or_else(wrong)?);
    }
    if starts[starts.len() - 1] == 0 {
        starts.clear();
    }
    Ok(starts)
}

/// Platt's coefficients, one of each for each pair.
fn platt_of(cx: &BuildCx<'_>, pairs: usize) -> Result<Option<(Vec<f32>, Vec<f32>)>> {
    let (a, b) = (cx.floats("prob_a")?.unwrap_or_default(), cx.floats("prob_b")?.unwrap_or_default());
    if a.len() != b.len() || (!a.is_empty() && a.len() < pairs) {
        let message = format!("prob_a has {} numbers, prob_b {}, expected {pairs} or none", a.len(), b.len());
        return Err(Error::invalid_model(message));
    }
    Ok((!a.is_empty()).then(|| (a[..pairs].to_vec(), b[..pairs].to_vec())))
}

fn build_classifier(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let labels = Labels::of(cx, "classlabels_ints", "classlabels_strings")?;
    let starts = starts_of(cx.ints("vectors_per_class")?.unwrap_or_default())?;
    let (spec, transform) = (KernelSpec::of(cx)?, transform_named(cx)?);
    let coefficients = cx.floats("coefficients")?.unwrap_or_default().to_vec();
    let vectors = cx.floats("support_vectors")?.unwrap_or_default().to_vec();
    let made = PackedWeights::default();
    let Some(&total) = starts.last() else {
        let rho = rho_of(cx, 1)?;
        let operator = SvmClassifier { spec, labels, coefficients, vectors, starts, rho, platt: None, transform, made };
        return Ok(Box::new(operator));
    };
    let (classes, counted) = (labels.len(), starts.len() - 1);
    if counted != classes || classes < 2 {
        let message = format!("{counted} vectors_per_class for {classes} classes, expected at least 2");
        return Err(Error::invalid_model(message));
    }
    let pairs = classes.checked_mul(classes - 1).map(|twice| twice / 2);
    let pairs = pairs.ok_or_else(|| Error::resource_limit(format!("{classes} classes")))?;
    let mut rho = rho_of(cx, pairs)?;
    rho.truncate(pairs);
    check_matrix("coefficients", coefficients.len(), classes - 1, total)?;
    let platt = platt_of(cx, pairs)?;
    Ok(Box::new(SvmClassifier { spec, labels, coefficients, vectors, starts, rho, platt, transform, made }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("SVMRegressor", &[1], build_regressor).chain(versions("SVMClassifier", &[1], build_classifier))
}
