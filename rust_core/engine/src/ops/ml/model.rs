//! Models of rows of features: how a batch is cut into blocks of rows, converted, scored and written.

use std::ops::Range;
use std::sync::Arc;

use diptych_kernels::Isa;
use diptych_kernels::cast::cast;
use diptych_kernels::gemm::Scalar;
use diptych_kernels::ml::scores::{Score, Transform};
use diptych_kernels::ml::trees::Number;
use half::f16;

use super::labels::Labels;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, OutputType, Planned, Step};
use crate::ops::elements::{elements_mut, rooms, rooms_bytes};
use crate::run::{Disjoint, ValueCx};
use crate::tensor::{AlignedBytes, Strings, Tensor, Value, element_count};

/// A type that models compute in: binary32, or binary64 for double features.
pub trait Computing: Element + Score + Scalar + Number {
    /// The nearest number.
    fn of(value: f64) -> Self;
    /// The greatest number below.
    fn below(self) -> Self;
}

impl Computing for f32 {
    fn of(value: f64) -> f32 {
        value as f32
    }
    fn below(self) -> f32 {
        self.next_down()
    }
}

impl Computing for f64 {
    fn of(value: f64) -> f64 {
        value
    }
    fn below(self) -> f64 {
        self.next_down()
    }
}

/// An element type of features.
pub trait Feature: Element {
    type Computed: Computing;
    /// Whether rows are converted into a buffer.
    const CONVERTS: bool;
    /// The features in the computing type: themselves, or written to the buffer.
    fn computed<'a>(isa: Isa, x: &'a [Self], buffer: &'a mut [Self::Computed]) -> &'a [Self::Computed];
}

macro_rules! features {
    ($($type:ty => $computed:ty),*) => {$(
        impl Feature for $type {
            type Computed = $computed;
            const CONVERTS: bool = true;
            fn computed<'a>(isa: Isa, x: &'a [Self], buffer: &'a mut [$computed]) -> &'a [$computed] {
                cast(isa, x, buffer);
                buffer
            }
        }
    )*};
    (same $($type:ty),*) => {$(
        impl Feature for $type {
            type Computed = $type;
            const CONVERTS: bool = false;
            fn computed<'a>(_: Isa, x: &'a [Self], _: &'a mut [$type]) -> &'a [$type] {
                x
            }
        }
    )*};
}
features!(same f32, f64);
features!(i32 => f32, i64 => f32, f16 => f32);

/// An element type that scores are written as.
pub trait Written<T>: Element {
    fn write(isa: Isa, scores: &[T], out: &mut [Self]);
}

macro_rules! written {
    ($($from:ty => $to:ty),*) => {$(
        impl Written<$from> for $to {
            fn write(isa: Isa, scores: &[$from], out: &mut [$to]) {
                cast(isa, scores, out);
            }
        }
    )*};
}
written!(f64 => f32, f32 => f16);

impl<T: Element> Written<T> for T {
    fn write(_: Isa, scores: &[T], out: &mut [T]) {
        out.copy_from_slice(scores);
    }
}

/// What scores rows.
pub trait Model<T>: Send + Sync {
    /// Scores of a row.
    fn columns(&self) -> usize;
    /// Bytes of scratch for as many rows.
    fn scratch(&self, rows: usize) -> Result<usize>;
    /// Rough nanoseconds of a row.
    fn cost(&self) -> u64;
    /// The scores of whole rows of `x`; the class of each, if `classes` is not empty.
    fn run(&self, isa: Isa, x: &[T], scores: &mut [T], classes: &mut [u32], scratch: &mut [u8]);
}

/// Rows and features of X: a vector is one row.
pub fn extents(shape: &[usize]) -> Result<(usize, usize)> {
    match *shape {
        [features] => Ok((1, features)),
        [rows, features] => Ok((rows, features)),
        _ => Err(Error::shape(format!("X has shape {shape:?}, expected [N, F] or [F]"))),
    }
}

/// The attribute `post_transform`, a name.
pub fn transform_named(cx: &BuildCx<'_>) -> Result<Transform> {
    Ok(match cx.string("post_transform")?.unwrap_or("NONE") {
        "NONE" => Transform::None,
        "SOFTMAX" => Transform::Softmax,
        "LOGISTIC" => Transform::Logistic,
        "SOFTMAX_ZERO" => Transform::SoftmaxZero,
        "PROBIT" => Transform::Probit,
        other => {
            let known = "NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO or PROBIT";
            return Err(Error::invalid_model(format!("post_transform is '{other}', expected {known}")));
        }
    })
}

/// Bytes that a block of rows works in: about an L2 cache.
const BLOCK_BYTES: usize = 1 << 18;
/// Rows of a block: enough for tiles and vectors, few enough to keep many threads busy.
const BLOCK_ROWS: usize = 128;
/// Nanoseconds worth a thread.
const TASK: u64 = 20_000;

/// A batch of rows and the model that scores them.
struct Batch<S: Feature> {
    model: Arc<dyn Model<S::Computed>>,
    rows: usize,
    features: usize,
    columns: usize,
    /// Rows of a block.
    block: usize,
    /// Bytes of converted features, of scores, of classes, of the model's scratch.
    sizes: [usize; 4],
}

impl<S: Feature> Batch<S> {
    fn new(model: Arc<dyn Model<S::Computed>>, rows: usize, features: usize) -> Result<Batch<S>> {
        let columns = model.columns();
        element_count(&[rows, columns])?;
        let sizes = |rows: usize| -> Result<[usize; 4]> {
            let converted = if S::CONVERTS { element_count(&[rows, features])? } else { 0 };
            let size = size_of::<S::Computed>();
            Ok([converted * size, element_count(&[rows, columns])? * size, rows * 4, model.scratch(rows)?])
        };
        let row = if rows == 0 { [0; 4] } else { sizes(1)? };
        let row = row.iter().fold(features.saturating_mul(8), |sum, &size| sum.saturating_add(size));
        let mut block = (BLOCK_BYTES / row.max(1)).clamp(1, BLOCK_ROWS).min(rows.max(1));
        if block > 16 {
            block = block / 16 * 16;
        }
        // Without rows there is nothing to work in.
        let sizes = if rows == 0 { [0; 4] } else { sizes(block)? };
        Ok(Batch { model, rows, features, columns, block, sizes })
    }

    fn scratch(&self) -> Result<usize> {
        rooms_bytes(&self.sizes)
    }

    fn blocks(&self) -> usize {
        self.rows.div_ceil(self.block)
    }

    fn cost(&self) -> u64 {
        self.model.cost().saturating_mul(self.rows as u64).saturating_add(200)
    }

    /// Blocks worth a thread.
    fn grain(&self) -> usize {
        (TASK / self.model.cost().saturating_mul(self.block as u64).max(1)).max(1) as usize
    }

    /// Rows of a block.
    fn range(&self, block: usize) -> Range<usize> {
        block * self.block..((block + 1) * self.block).min(self.rows)
    }

    /// Scores the rows of a block; `out` is theirs, if anybody reads it; `chosen(row of the block, class)` is told of classes.
    fn run<O: Written<S::Computed>>(
        &self,
        isa: Isa,
        x: &[S],
        range: Range<usize>,
        out: Option<&mut [O]>,
        chosen: Option<&mut dyn FnMut(usize, u32)>,
        scratch: &mut [u8],
    ) {
        let count = range.len();
        let x = &x[range.start * self.features..range.end * self.features];
        let [converted, scores, classes, scratch] = rooms(scratch, self.sizes);
        let converted = elements_mut::<S::Computed>(converted);
        let converted_len = converted.len().min(x.len());
        let x = S::computed(isa, x, &mut converted[..converted_len]);
        let scores = &mut elements_mut::<S::Computed>(scores)[..count * self.columns];
        let wanted = if chosen.is_some() { count } else { 0 };
        let classes = &mut elements_mut::<u32>(classes)[..wanted];
        self.model.run(isa, x, scores, classes, scratch);
        if let Some(out) = out {
            O::write(isa, scores, out);
        }
        if let Some(chosen) = chosen {
            classes.iter().enumerate().for_each(|(row, &class)| chosen(row, class));
        }
    }
}

/// The step of a regressor: scores alone, [rows, columns].
pub fn scores_step<S: Feature, O: Written<S::Computed>>(
    model: Arc<dyn Model<S::Computed>>,
    rows: usize,
    features: usize,
) -> Planned<Step> {
    let batch = Batch::<S>::new(model, rows, features)?;
    let (scratch, cost, columns) = (batch.scratch()?, batch.cost(), batch.columns);
    KernelStep::new(O::DTYPE, [rows, columns].as_slice(), move |cx| {
        let (isa, x) = (cx.isa(), cx.input::<S>(0));
        let out = Disjoint::new(cx.output::<O>(0));
        cx.parallel_ranges(batch.blocks(), batch.grain(), |blocks, scratch| {
            for block in blocks {
                let range = batch.range(block);
                // SAFETY: blocks do not overlap.
                let out = unsafe { out.range(range.start * columns..range.end * columns) };
                batch.run(isa, x, range, Some(out), None, scratch);
            }
        })
    })
    .scratch(scratch)
    .cost(cost)
    .into()
}

/// The step of a classifier: a label a row, and float scores.
pub fn classes_step<S: Feature>(
    model: Arc<dyn Model<S::Computed>>,
    labels: &Labels,
    rows: usize,
    features: usize,
) -> Planned<Step>
where
    f32: Written<S::Computed>,
{
    let batch = Batch::<S>::new(model, rows, features)?;
    match labels {
        Labels::Integers(labels) => integers_step(batch, labels.clone()),
        Labels::Strings(labels) => {
            let labels = labels.clone();
            Step::values(move |cx| strings_run(cx, &batch, &labels))
        }
    }
}

fn integers_step<S: Feature>(batch: Batch<S>, labels: Arc<[i64]>) -> Planned<Step>
where
    f32: Written<S::Computed>,
{
    let (scratch, cost, columns) = (batch.scratch()?, batch.cost(), batch.columns);
    let outputs = [
        OutputType::new(DType::I64, [batch.rows].as_slice()),
        OutputType::new(DType::F32, [batch.rows, columns].as_slice()),
    ];
    KernelStep::with_outputs(outputs, move |cx| {
        let (isa, x) = (cx.isa(), cx.input::<S>(0));
        let (y, z) = (cx.opt_output::<i64>(0).map(Disjoint::new), cx.opt_output::<f32>(1).map(Disjoint::new));
        cx.parallel_ranges(batch.blocks(), batch.grain(), |blocks, scratch| {
            for block in blocks {
                let range = batch.range(block);
                // SAFETY: blocks do not overlap.
                let z = z.as_ref().map(|z| unsafe { z.range(range.start * columns..range.end * columns) });
                let Some(y) = &y else {
                    batch.run(isa, x, range, z, None, scratch);
                    continue;
                };
                // SAFETY: as above.
                let y = unsafe { y.range(range.clone()) };
                let mut chosen = |row: usize, class: u32| y[row] = labels[class as usize];
                batch.run(isa, x, range, z, Some(&mut chosen), scratch);
            }
        })
    })
    .scratch(scratch)
    .cost(cost)
    .into()
}

/// As [`integers_step`]; strings are no dense output.
fn strings_run<S: Feature>(cx: &ValueCx<'_>, batch: &Batch<S>, labels: &[Arc<str>]) -> Result<Vec<Value>>
where
    f32: Written<S::Computed>,
{
    let Value::Dense(x) = cx.input(0)? else { return Err(Error::internal("a dense tensor was planned")) };
    let (x, columns) = (x.aligned()?, batch.columns);
    let (x, isa) = (x.as_slice::<S>()?, cx.isa);
    let mut z = Tensor::zeros(DType::F32, &[batch.rows, columns])?;
    let mut classes = vec![0u32; batch.rows];
    let chunks = batch.blocks().div_ceil(batch.grain()).clamp(1, cx.team.threads() * 4);
    let (each, room) = (batch.blocks().div_ceil(chunks), batch.scratch()?);
    let mut scratch = AlignedBytes::zeroed(element_count(&[chunks, room])?)?;
    let (scratch, y) = (Disjoint::new(scratch.as_mut_slice()), Disjoint::new(&mut classes));
    let out = Disjoint::new(z.as_mut_slice::<f32>()?);
    cx.team.parallel(chunks, &|chunk, _| {
        // SAFETY: each chunk has a room of its own.
        let scratch = unsafe { scratch.range(chunk * room..(chunk + 1) * room) };
        for block in chunk * each..((chunk + 1) * each).min(batch.blocks()) {
            let range = batch.range(block);
            // SAFETY: blocks do not overlap.
            let (y, z) = unsafe { (y.range(range.clone()), out.range(range.start * columns..range.end * columns)) };
            batch.run(isa, x, range, Some(z), Some(&mut |row, class| y[row] = class), scratch);
        }
    })?;
    let data = classes.iter().map(|&class| labels[class as usize].clone()).collect();
    let y = Strings { shape: [batch.rows].as_slice().into(), data };
    Ok(vec![Value::Strings(y), z.into()])
}
