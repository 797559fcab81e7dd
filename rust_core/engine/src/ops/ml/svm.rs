//! Support vector machines: kernels, votes of pairs of classes, probabilities.

use diptych_kernels::Isa;
use diptych_kernels::functions::{Unary, power, unary};
use diptych_kernels::ml::scores::{Transform, transform};
use diptych_kernels::ml::svm::{Term, pack_vectors, packed_len, squared_distances, weighted_sums};
use diptych_kernels::transpose::transpose;

use super::labels::{Labels, choose, first_greatest};
use super::linear::{Product, check_matrix, converted, opposites};
use super::model::{Computing, Feature, Model, Written, classes_step, extents, scores_step, transform_named};
use super::versions;
use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step};
use crate::ops::elements::{buffer_bytes, elements, elements_mut, rooms, rooms_bytes};
use crate::packed::PackedWeights;
use crate::tensor::AlignedBytes;
use crate::with_dtype;

mod coupling;

use coupling::{coupled, coupling_len};

#[derive(Clone, Copy, PartialEq)]
enum KernelType {
    Linear,
    Poly,
    Rbf,
    Sigmoid,
}

/// Kernel and parameters, as attributes.
#[derive(Clone, Copy)]
struct KernelSpec {
    kernel: KernelType,
    gamma: f32,
    coef0: f32,
    degree: f32,
}

impl KernelSpec {
    fn of(cx: &BuildCx<'_>) -> Result<KernelSpec> {
        let kernel = match cx.string("kernel_type")?.unwrap_or("LINEAR") {
            "LINEAR" => KernelType::Linear,
            "POLY" => KernelType::Poly,
            "RBF" => KernelType::Rbf,
            "SIGMOID" => KernelType::Sigmoid,
            other => {
                let message = format!("kernel_type is '{other}', expected LINEAR, POLY, RBF or SIGMOID");
                return Err(Error::invalid_model(message));
            }
        };
        match *cx.floats("kernel_params")?.unwrap_or_default() {
            [] => Ok(KernelSpec { kernel, gamma: 0.0, coef0: 0.0, degree: 0.0 }),
            [gamma, coef0, degree] => Ok(KernelSpec { kernel, gamma, coef0, degree }),
            ref other => {
                let message = format!("kernel_params has {} numbers, expected gamma, coef0 and degree", other.len());
                Err(Error::invalid_model(message))
            }
        }
    }
}

/// The kernels of rows with constant support vectors.
struct Kernels<T> {
    spec: KernelSpec,
    vectors: usize,
    features: usize,
    /// Of every kernel but RBF.
    product: Option<Product<T>>,
    /// The vectors of RBF in panels.
    panels: AlignedBytes,
    /// `degree` for each vector.
    exponents: Vec<f64>,
}

impl<T: Computing> Kernels<T> {
    fn new(isa: Isa, spec: KernelSpec, vectors: &[f32], count: usize, features: usize) -> Result<Kernels<T>> {
        check_matrix("support_vectors", vectors.len(), count, features)?;
        let (mut product, mut panels, mut exponents) = (None, AlignedBytes::zeroed(0)?, Vec::new());
        if spec.kernel == KernelType::Rbf {
            let len = packed_len(count, features).ok_or_else(|| Error::resource_limit("too many support vectors"))?;
            panels = AlignedBytes::zeroed(buffer_bytes::<T>(&[len])?)?;
            if features > 0 {
                pack_vectors(&converted::<T>(vectors), features, elements_mut(panels.as_mut_slice()));
            }
        } else {
            let mut dots = Product::new(isa, converted(vectors), count, features)?;
            if spec.kernel != KernelType::Linear {
                dots.scale = T::of(spec.gamma.into());
                dots.addend = vec![T::of(spec.coef0.into())];
            }
            product = Some(dots);
        }
        if spec.kernel == KernelType::Poly {
            exponents = vec![spec.degree.into(); count];
        }
        Ok(Kernels { spec, vectors: count, features, product, panels, exponents })
    }

    /// Bytes of the kernels of as many rows, of them transposed, and of what a product needs.
    fn sizes(&self, rows: usize) -> Result<[usize; 3]> {
        let each = buffer_bytes::<T>(&[rows, self.vectors])?;
        Ok([each, each, self.product.as_ref().map_or(Ok(0), |product| product.scratch(rows))?])
    }

    /// Rough nanoseconds of a row.
    fn cost(&self) -> u64 {
        let vectors = self.vectors as u64;
        vectors.saturating_mul(self.features as u64) / 8 + vectors * 2
    }

    /// The kernels of rows of `x`, [vectors, rows], in the second of the rooms.
    fn run<'a>(&self, isa: Isa, x: &[T], rows: usize, [across, down, scratch]: [&'a mut [u8]; 3]) -> &'a [T] {
        let across = &mut elements_mut::<T>(across)[..rows * self.vectors];
        let down = &mut elements_mut::<T>(down)[..rows * self.vectors];
        let (ptr, len) = (across.as_mut_ptr(), across.len());
        match &self.product {
            Some(product) => product.run(x, across, scratch),
            None => {
                squared_distances(isa, x, self.features, elements(self.panels.as_slice()), self.vectors, across);
                let gamma = T::of(self.spec.gamma.into());
                across.iter_mut().for_each(|q| *q = -gamma * *q);
            }
        }
        // SAFETY: in place over the whole slice, or over a row of it and an exponent for each element.
        unsafe {
            match self.spec.kernel {
                KernelType::Linear => {}
                KernelType::Rbf => unary(isa, Unary::Exp, ptr, ptr, len),
                KernelType::Sigmoid => unary(isa, Unary::Tanh, ptr, ptr, len),
                KernelType::Poly => {
                    for row in 0..rows {
                        let at = ptr.add(row * self.vectors);
                        power(isa, at, self.exponents.as_ptr(), at, self.vectors);
                    }
                }
            }
        }
        transpose(isa, across, self.vectors, down, rows);
        down
    }
}

/// A regressor with support vectors.
struct Regressor<T> {
    kernels: Kernels<T>,
    coefficients: Vec<T>,
    rho: T,
    one_class: bool,
    transform: Transform,
}

/// 1 above 0, else -1.
fn signs<T: Computing>(scores: &mut [T]) {
    let (zero, one) = (T::of(0.0), T::of(1.0));
    scores.iter_mut().for_each(|y| *y = if *y > zero { one } else { -one });
}

impl<T: Computing> Model<T> for Regressor<T> {
    fn columns(&self) -> usize {
        1
    }

    fn scratch(&self, rows: usize) -> Result<usize> {
        rooms_bytes(&self.kernels.sizes(rows)?)
    }

    fn cost(&self) -> u64 {
        self.kernels.cost()
    }

    fn run(&self, isa: Isa, x: &[T], scores: &mut [T], _: &mut [u32], scratch: &mut [u8]) {
        let rows = scores.len();
        let rooms = rooms(scratch, self.kernels.sizes(rows).unwrap_or_default());
        let kernels = self.kernels.run(isa, x, rows, rooms);
        let term = Term { first: 0, weights: &self.coefficients };
        weighted_sums(isa, kernels, rows, &[term], self.rho, scores, 1);
        if self.one_class {
            signs(scores);
        }
        transform(isa, self.transform, scores, 1);
    }
}

/// A linear model: scores are products plus one number.
struct Linear<T> {
    product: Product<T>,
    columns: usize,
    one_class: bool,
    transform: Transform,
}

impl<T: Computing> Model<T> for Linear<T> {
    fn columns(&self) -> usize {
        self.columns
    }

    fn scratch(&self, rows: usize) -> Result<usize> {
        self.product.scratch(rows)
    }

    fn cost(&self) -> u64 {
        self.product.work() / 16 + 10
    }

    fn run(&self, isa: Isa, x: &[T], scores: &mut [T], classes: &mut [u32], scratch: &mut [u8]) {
        self.product.run(x, scores, scratch);
        if self.one_class {
            signs(scores);
        }
        choose(scores, self.columns, classes);
        transform(isa, self.transform, scores, self.columns);
    }
}

/// A classifier with support vectors: each pair of classes has a score and votes.
struct Classifier<T> {
    kernels: Kernels<T>,
    /// Where the vectors of each class start, and the end.
    starts: Vec<usize>,
    /// [classes - 1, vectors].
    coefficients: Vec<T>,
    /// One a pair.
    rho: Vec<T>,
    /// Platt's coefficients, one of each a pair, or none.
    platt: Option<(Vec<T>, Vec<T>)>,
    transform: Transform,
}

impl<T: Computing> Classifier<T> {
    fn classes(&self) -> usize {
        self.starts.len() - 1
    }

    /// Bytes of the kernels' rooms, the scores of pairs, votes, and the coupling of a row.
    fn sizes(&self, rows: usize) -> Result<[usize; 6]> {
        let [across, down, product] = self.kernels.sizes(rows)?;
        let pairs = buffer_bytes::<T>(&[rows, self.rho.len()])?;
        let coupling = if self.platt.is_some() { coupling_len(self.classes())? } else { 0 };
        Ok([across, down, product, pairs, self.classes() * size_of::<T>(), buffer_bytes::<T>(&[coupling])?])
    }

    /// The two terms of pair (i, j): class i's vectors in row j - 1 of the coefficients, class j's in row i.
    fn terms(&self, i: usize, j: usize) -> [Term<'_, T>; 2] {
        let term = |class: usize, row: usize| {
            let (first, end) = (self.starts[class], self.starts[class + 1]);
            let start = row * self.kernels.vectors;
            Term { first, weights: &self.coefficients[start + first..start + end] }
        };
        [term(i, j - 1), term(j, i)]
    }

    /// The scores of all pairs of each row, [rows, pairs].
    fn pairs(&self, isa: Isa, kernels: &[T], rows: usize, out: &mut [T]) {
        let count = self.rho.len();
        for (pair, (i, j)) in pairs(self.classes()).enumerate() {
            let terms = self.terms(i, j);
            weighted_sums(isa, kernels, rows, &terms, self.rho[pair], &mut out[pair..], count);
        }
    }

    /// The class with the most votes, the first of equals. Counts are exact.
    fn vote(&self, scores: &[T], votes: &mut [T]) -> u32 {
        let (zero, one) = (T::of(0.0), T::of(1.0));
        votes.fill(zero);
        for ((i, j), score) in pairs(self.classes()).zip(scores) {
            let winner = if *score > zero { i } else { j };
            votes[winner] = votes[winner] + one;
        }
        first_greatest(votes) as u32
    }
}

/// Pairs i < j of classes, in order.
fn pairs(classes: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..classes).flat_map(move |i| (i + 1..classes).map(move |j| (i, j)))
}

impl<T: Computing> Model<T> for Classifier<T> {
    fn columns(&self) -> usize {
        match (&self.platt, self.classes()) {
            (Some(_), classes) => classes,
            (None, 2) => 2,
            _ => self.rho.len(),
        }
    }

    fn scratch(&self, rows: usize) -> Result<usize> {
        rooms_bytes(&self.sizes(rows)?)
    }

    fn cost(&self) -> u64 {
        let iterations = if self.platt.is_some() { 20 * self.classes() as u64 * self.classes() as u64 } else { 0 };
        self.kernels.cost() + self.coefficients.len() as u64 / 4 + iterations
    }

    fn run(&self, isa: Isa, x: &[T], scores: &mut [T], classes: &mut [u32], scratch: &mut [u8]) {
        let (columns, count) = (self.columns(), self.rho.len());
        let rows = scores.len() / columns;
        let [across, down, product, pairs, votes, coupling] =
            rooms(scratch, self.sizes(rows).unwrap_or_default());
        let kernels = self.kernels.run(isa, x, rows, [across, down, product]);
        let pairs = elements_mut::<T>(pairs);
        self.pairs(isa, kernels, rows, pairs);
        let votes = elements_mut::<T>(votes);
        for (class, scores) in classes.iter_mut().zip(pairs.chunks_exact(count)) {
            *class = self.vote(scores, votes);
        }
        match &self.platt {
            Some((a, b)) => {
                for row in pairs.chunks_exact_mut(count) {
                    row.iter_mut().zip(a.iter().zip(b)).for_each(|(s, (&a, &b))| *s = -(*s * a + b));
                }
                transform(isa, Transform::Logistic, pairs, count);
                let coupling = elements_mut::<T>(coupling);
                for (row, p) in scores.chunks_exact_mut(columns).zip(pairs.chunks_exact(count)) {
                    coupled(p, row, coupling);
                }
            }
            None if self.classes() == 2 => opposites(pairs, scores),
            None => scores.copy_from_slice(pairs),
        }
        transform(isa, self.transform, scores, columns);
    }
}

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
        let operator =
            SvmClassifier { spec, labels, coefficients, vectors, starts, rho, platt: None, transform, made };
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
