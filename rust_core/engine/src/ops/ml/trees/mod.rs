//! Tree ensembles. Both ways in which ONNX writes trees are read into one [`Structure`] when a node is built, which checks
//! everything but the number of features; it is flattened once for each computing type.

mod ensemble;
mod flat;
mod structure;
mod table;

use std::sync::Arc;

use diptych_kernels::Isa;
use diptych_kernels::ml::scores::{Transform, transform};
use diptych_kernels::ml::trees::{Aggregate, predict};

use super::labels::{Labels, choose};
use super::model::{Computing, Feature, Model, Written, classes_step, extents, scores_step, transform_named};
use super::versions;
use crate::error::{Error, ErrorKind, Result};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step};
use crate::ops::elements::buffer_bytes;
use crate::packed::PackedWeights;
use crate::with_dtype;
use flat::Flat;
use structure::{Structure, TooFewFeatures};

/// What becomes of the votes.
#[derive(Clone, Copy, PartialEq)]
enum Function {
    Average,
    Sum,
    Min,
    Max,
}

/// How the scores of two classes come from one number s, which speaks for the second.
#[derive(Clone, Copy, PartialEq)]
enum Binary {
    /// There is a score for each class.
    No,
    /// (1 - s, s).
    Probability,
    /// (-s, s).
    Opposite,
}

struct Forest<T> {
    flat: Flat<T>,
    function: Function,
    targets: usize,
    /// One number a target, or none.
    base: Vec<T>,
    binary: Binary,
    transform: Transform,
}

impl<T: Computing> Forest<T> {
    fn finish(&self, scores: &mut [T]) {
        if self.function == Function::Average {
            let trees = T::of(self.flat.trees() as f64);
            scores.iter_mut().for_each(|score| *score = *score / trees);
        }
        if !self.base.is_empty() {
            for row in scores.chunks_exact_mut(self.targets) {
                row.iter_mut().zip(&self.base).for_each(|(score, &base)| *score = *score + base);
            }
        }
        let one = T::of(1.0);
        match self.binary {
            Binary::No => {}
            Binary::Probability => scores.chunks_exact_mut(2).for_each(|z| z.copy_from_slice(&[one - z[0], z[0]])),
            Binary::Opposite => scores.chunks_exact_mut(2).for_each(|z| z.copy_from_slice(&[-z[0], z[0]])),
        }
    }
}

impl<T: Computing> Model<T> for Forest<T> {
    fn columns(&self) -> usize {
        self.targets
    }

    /// A byte a target, for extremes.
    fn scratch(&self, rows: usize) -> Result<usize> {
        let extreme = matches!(self.function, Function::Min | Function::Max);
        if extreme { buffer_bytes::<u8>(&[rows, self.targets]) } else { Ok(0) }
    }

    fn cost(&self) -> u64 {
        self.flat.trees() as u64 * 15 + 20
    }

    fn run(&self, isa: Isa, x: &[T], scores: &mut [T], classes: &mut [u32], scratch: &mut [u8]) {
        let rows = scores.len() / self.targets;
        let features = x.len().checked_div(rows).unwrap_or(0);
        let aggregate = match self.function {
            Function::Sum | Function::Average => Aggregate::Sum,
            Function::Min => Aggregate::Min,
            Function::Max => Aggregate::Max,
        };
        let voted = &mut scratch[..if aggregate == Aggregate::Sum { 0 } else { scores.len() }];
        // SAFETY: `Structure` and `Flat` saw to the forest, and the plan to the number of features.
        unsafe { predict(&self.flat.view(), aggregate, x, features, self.targets, scores, voted) };
        self.finish(scores);
        choose(scores, self.targets, classes);
        transform(isa, self.transform, scores, self.targets);
    }
}

/// The operators.
struct Ensemble {
    structure: Structure,
    function: Function,
    targets: usize,
    base: Vec<f64>,
    binary: Binary,
    transform: Transform,
    kind: Kind,
    made: PackedWeights,
}

enum Kind {
    Regressor,
    Classifier(Labels),
    /// Output and attributes are of the type of the features.
    Typed(ensemble::Types),
}

impl Ensemble {
    /// The forest for as many features.
    fn forest<T: Computing>(&self, features: usize) -> Result<Arc<Forest<T>>> {
        self.structure.check_features(features).map_err(|TooFewFeatures(feature)| {
            Error::shape(format!("a node looks at feature {feature} of {features}, which is what X has"))
        })?;
        self.made.get_or_pack((0, "forest", T::DTYPE as u64), || {
            let forest = Forest {
                flat: Flat::<T>::of(&self.structure)?,
                function: self.function,
                targets: self.targets,
                base: self.base.iter().map(|&base| T::of(base)).collect(),
                binary: self.binary,
                transform: self.transform,
            };
            Ok((forest, 0))
        })
    }

    fn step<S: Feature>(&self, cx: &PlanCx<'_>) -> Planned<Step>
    where
        f32: Written<S::Computed>,
    {
        let (rows, features) = extents(cx.shape(0)?)?;
        let forest = self.forest::<S::Computed>(features)?;
        match &self.kind {
            Kind::Classifier(labels) => classes_step::<S>(forest, labels, rows, features),
            _ => scores_step::<S, f32>(forest, rows, features),
        }
    }

    fn typed_step<S: Feature + Written<S::Computed>>(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (rows, features) = extents(cx.shape(0)?)?;
        let forest = self.forest::<S::Computed>(features)?;
        scores_step::<S, S>(forest, rows, features)
    }
}

impl Operator for Ensemble {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let other = || Err(Error::unsupported(format!("features of {dtype}")).into());
        if let Kind::Typed(types) = &self.kind {
            if let Some((name, got)) = types.other_than(dtype) {
                let message = format!("{name} is of {got}, expected {dtype}, the type of X");
                return Err(Error::new(ErrorKind::InvalidType, message).into());
            }
            return with_dtype!(dtype, S in [F32, F64, F16] => self.typed_step::<S>(cx), else other());
        }
        with_dtype!(dtype, S in [F32, F64, I32, I64] => self.step::<S>(cx), else other())
    }
}

/// Refuses base values that are not one a target.
fn check_base(base: &[f64], targets: usize) -> Result<()> {
    if base.is_empty() || base.len() == targets {
        return Ok(());
    }
    Err(Error::invalid_model(format!("{} base values for {targets} targets", base.len())))
}

fn target_count(cx: &BuildCx<'_>) -> Result<usize> {
    let count = cx.required("n_targets", cx.opt_int("n_targets")?)?;
    match usize::try_from(count) {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(Error::invalid_model(format!("n_targets is {count}, expected at least 1"))),
    }
}

fn build_regressor(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let targets = target_count(cx)?;
    let function = match cx.string("aggregate_function")?.unwrap_or("SUM") {
        "AVERAGE" => Function::Average,
        "SUM" => Function::Sum,
        "MIN" => Function::Min,
        "MAX" => Function::Max,
        other => {
            let message = format!("aggregate_function is '{other}', expected AVERAGE, SUM, MIN or MAX");
            return Err(Error::invalid_model(message));
        }
    };
    let structure = table::read(cx, "target", "target_ids", targets)?;
    let base = table::numbers(cx, "base_values")?;
    check_base(&base, targets)?;
    let transform = transform_named(cx)?;
    let (binary, kind, made) = (Binary::No, Kind::Regressor, PackedWeights::default());
    Ok(Box::new(Ensemble { structure, function, targets, base, binary, transform, kind, made }))
}

fn build_classifier(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let labels = Labels::of(cx, "classlabels_int64s", "classlabels_strings")?;
    let targets = labels.len();
    let structure = table::read(cx, "class", "class_ids", targets)?;
    let mut base = table::numbers(cx, "base_values")?;
    let transform = transform_named(cx)?;
    let one_vector = targets == 2 && cx.ints("class_ids")?.unwrap_or_default().iter().all(|&class| class == 0);
    let binary = if one_vector {
        // One base value is that of the number, two are those of both classes: the first is the number's.
        if base.len() == 1 {
            base.push(0.0);
        }
        let weights = table::numbers(cx, "class_weights")?;
        let positive = weights.iter().all(|&weight| weight >= 0.0);
        let probability = transform == Transform::Probit || (positive && transform == Transform::None);
        if probability { Binary::Probability } else { Binary::Opposite }
    } else {
        Binary::No
    };
    check_base(&base, targets)?;
    let (function, kind, made) = (Function::Sum, Kind::Classifier(labels), PackedWeights::default());
    Ok(Box::new(Ensemble { structure, function, targets, base, binary, transform, kind, made }))
}

fn build_ensemble(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let targets = target_count(cx)?;
    let function = match cx.int("aggregate_function", 1)? {
        0 => Function::Average,
        1 => Function::Sum,
        2 => Function::Min,
        3 => Function::Max,
        other => return Err(Error::invalid_model(format!("aggregate_function is {other}, expected 0 to 3"))),
    };
    let transform = match cx.int("post_transform", 0)? {
        0 => Transform::None,
        1 => Transform::Softmax,
        2 => Transform::Logistic,
        3 => Transform::SoftmaxZero,
        4 => Transform::Probit,
        other => return Err(Error::invalid_model(format!("post_transform is {other}, expected 0 to 4"))),
    };
    let (structure, types) = ensemble::read(cx, targets)?;
    let (base, binary, kind, made) = (Vec::new(), Binary::No, Kind::Typed(types), PackedWeights::default());
    Ok(Box::new(Ensemble { structure, function, targets, base, binary, transform, kind, made }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("TreeEnsembleRegressor", &[1, 3, 5], build_regressor)
        .chain(versions("TreeEnsembleClassifier", &[1, 3, 5], build_classifier))
        .chain(versions("TreeEnsemble", &[5], build_ensemble))
}
