//! Scatter, ScatterElements, ScatterND: a copy of the data with updates written, or combined, at computed places.
//!
//! Updates run in row-major order on one thread: of duplicates the last one stays, and sums have one order.

use std::ops::Range;

use diptych_kernels::scatter::{Reducible, Reduction, combine};
use half::{bf16, f16};

use crate::broadcast::{Walk, contiguous_strides};
use crate::dtype::{Bool, DType, Element};
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::axes::normalize_axis;
use crate::ops::indexing::check_elements;
use crate::ops::mover::{self, Inputs, Mover, Word};
use crate::run::KernelCx;
use crate::tensor::{Shape, element_count};
use crate::with_dtype;

/// Where updates go.
enum Targets {
    /// `data[i, indices[i, j, k], k]` for update `[i, j, k]`.
    Elements { index_dtype: DType, length: usize, stride: usize, walk: Walk<1> },
    /// `data[indices[i, 0], .., indices[i, depth - 1], :]` for the updates `[i, :]`.
    Coordinates { lengths: Shape, tuples: usize, inner: usize },
}

impl Targets {
    fn check(&self, inputs: Inputs<'_>) -> Result<()> {
        match self {
            Targets::Elements { index_dtype, length, .. } => inputs.indices(1, *index_dtype).check(*length),
            Targets::Coordinates { lengths, .. } => inputs.indices(1, DType::I64).check_each(lengths),
        }
    }

    /// Calls `body(update, target, len)` for every stretch of updates that goes to a stretch of targets, in order.
    fn each(&self, inputs: Inputs<'_>, mut body: impl FnMut(usize, usize, usize)) {
        match self {
            Targets::Elements { index_dtype, length, stride, walk } => {
                let indices = inputs.indices(1, *index_dtype);
                let step = walk.row_strides()[0] as usize;
                walk.rows(0..walk.len(), |at, len, [offset]| {
                    for i in 0..len {
                        body(at + i, offset + i * step + indices.at(at + i, *length) * stride, 1);
                    }
                });
            }
            Targets::Coordinates { lengths, tuples, inner } => {
                let indices = inputs.indices(1, DType::I64);
                for tuple in 0..*tuples {
                    body(tuple * inner, indices.place(tuple * lengths.len(), lengths) * inner, *inner);
                }
            }
        }
    }
}

/// Reduction none.
struct Overwrite(Targets);

// [panel: Scatter ScatterElements ScatterND]
impl Mover for Overwrite {
    const OVERWRITES: bool = true;

    fn check(&self, inputs: Inputs<'_>) -> Result<()> {
        self.0.check(inputs)
    }

    fn run<W: Word>(&self, _: Range<usize>, inputs: Inputs<'_>, out: &mut [W]) {
        let updates = inputs.words::<W>(2);
        self.0.each(inputs, |update, target, len| {
            out[target..target + len].copy_from_slice(&updates[update..update + len]);
        });
    }
}
// [/panel]

struct Scatter {
    /// `None` for ScatterND.
    axis: Option<i64>,
    reduction: Option<Reduction>,
}

impl Scatter {
    fn elements(&self, cx: &PlanCx<'_>, axis: i64) -> Result<Targets> {
        let (data, indices, updates) = (cx.shape(0)?, cx.shape(1)?, cx.shape(2)?);
        let index_dtype = cx.dtype(1)?;
        let axis = normalize_axis(axis, data.len())?;
        if updates != indices {
            return Err(Error::shape(format!("updates {updates:?} and indices {indices:?} differ")));
        }
        check_elements(data, indices, axis)?;
        let mut strides = contiguous_strides(data);
        let stride = strides[axis] as usize;
        strides[axis] = 0;
        Ok(Targets::Elements { index_dtype, length: data[axis], stride, walk: Walk::strided(indices, [&strides], [0]) })
    }

    fn coordinates(&self, cx: &PlanCx<'_>) -> Result<Targets> {
        let (data, indices, updates) = (cx.shape(0)?, cx.shape(1)?, cx.shape(2)?);
        let depth = match indices {
            [.., depth] if (1..=data.len()).contains(depth) => *depth,
            _ => {
                let message = format!("indices {indices:?} have too many or no coordinates for data {data:?}");
                return Err(Error::shape(message));
            }
        };
        let expected: Shape = indices[..indices.len() - 1].iter().chain(&data[depth..]).copied().collect();
        if updates != expected.as_slice() {
            return Err(Error::shape(format!("updates have shape {updates:?}, expected {expected:?}")));
        }
        Ok(Targets::Coordinates {
            lengths: data[..depth].into(),
            tuples: element_count(&indices[..indices.len() - 1])?,
            inner: element_count(&data[depth..])?,
        })
    }
}

impl Operator for Scatter {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let targets = match self.axis {
            Some(axis) => self.elements(cx, axis)?,
            None => self.coordinates(cx)?,
        };
        let shape: Shape = cx.shape(0)?.into();
        let Some(reduction) = self.reduction else {
            return mover::plan(dtype, &[0, 2], vec![(shape, Overwrite(targets))]);
        };
        match (dtype, reduction) {
            (DType::F16, Reduction::Add | Reduction::Mul) => wide::<f16>(shape, targets, reduction).into(),
            (DType::BF16, Reduction::Add | Reduction::Mul) => wide::<bf16>(shape, targets, reduction).into(),
            _ => with_dtype!(dtype, T in [F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64] =>
                narrow::<T>(shape, targets, reduction).into(), else
            match dtype {
                DType::Bool => narrow::<Bool>(shape, targets, reduction).into(),
                _ => Err(Error::unsupported(format!("reduction of tensor({dtype})")).into()),
            }),
        }
    }
}

/// Logical or and and are the sum and product of truth values.
impl Reducible for Bool {
    fn add(self, other: Self) -> Self {
        Bool(u8::from(self.0 | other.0 != 0))
    }
    fn mul(self, other: Self) -> Self {
        Bool(u8::from(self.0 != 0 && other.0 != 0))
    }
    fn max(self, other: Self) -> Self {
        Reducible::add(self, other)
    }
    fn min(self, other: Self) -> Self {
        Reducible::mul(self, other)
    }
}

/// A reduction whose every step is rounded to the type, or exact.
fn narrow<T: Element + Reducible>(shape: Shape, targets: Targets, reduction: Reduction) -> KernelStep {
    KernelStep::new(T::DTYPE, shape, move |cx| {
        let inputs = Inputs::of(cx);
        targets.check(inputs)?;
        let (out, updates) = (cx.output::<T>(0), cx.input::<T>(2));
        out.copy_from_slice(cx.input(0));
        targets.each(inputs, |update, target, len| {
            combine(reduction, &mut out[target..target + len], &updates[update..update + len]);
        });
        Ok(())
    })
}

/// A 16-bit float that accumulates in binary32.
trait Half: Element {
    fn wide(self) -> f32;
    fn rounded(wide: f32) -> Self;
}

impl Half for f16 {
    fn wide(self) -> f32 {
        self.to_f32()
    }
    fn rounded(wide: f32) -> Self {
        f16::from_f32(wide)
    }
}

impl Half for bf16 {
    fn wide(self) -> f32 {
        self.to_f32()
    }
    fn rounded(wide: f32) -> Self {
        bf16::from_f32(wide)
    }
}

/// A sum or product of 16-bit floats: accumulated in binary32, each target rounded once at the end.
fn wide<T: Half>(shape: Shape, targets: Targets, reduction: Reduction) -> KernelStep {
    let bytes = shape.iter().product::<usize>() * size_of::<f32>();
    KernelStep::new(T::DTYPE, shape, move |cx| {
        let inputs = Inputs::of(cx);
        targets.check(inputs)?;
        accumulate::<T>(cx, inputs, &targets, reduction)
    })
    .scratch(bytes)
}

fn accumulate<T: Half>(cx: &KernelCx<'_>, inputs: Inputs<'_>, targets: &Targets, reduction: Reduction) -> Result<()> {
    let (data, updates) = (cx.input::<T>(0), cx.input::<T>(2));
    let out = crate::run::Disjoint::new(cx.output::<T>(0));
    cx.parallel(1, |_, scratch| {
        // SAFETY: the only chunk; and any bytes are an f32 (scratch is aligned to a cache line, so nothing is left over).
        let (out, (_, sums, _)) = unsafe { (out.range(0..out.len()), scratch.align_to_mut::<f32>()) };
        let sums = &mut sums[..data.len()];
        sums.iter_mut().zip(data).for_each(|(sum, x)| *sum = x.wide());
        targets.each(inputs, |update, target, len| {
            for (sum, x) in sums[target..target + len].iter_mut().zip(&updates[update..update + len]) {
                combine(reduction, std::slice::from_mut(sum), &[x.wide()]);
            }
        });
        out.iter_mut().zip(sums).for_each(|(o, sum)| *o = T::rounded(*sum));
    })
}

fn reduction(cx: &BuildCx<'_>) -> Result<Option<Reduction>> {
    match cx.string("reduction")?.unwrap_or("none") {
        "none" => Ok(None),
        "add" => Ok(Some(Reduction::Add)),
        "mul" => Ok(Some(Reduction::Mul)),
        "max" if cx.since >= 18 => Ok(Some(Reduction::Max)),
        "min" if cx.since >= 18 => Ok(Some(Reduction::Min)),
        other => Err(Error::invalid_model(format!("reduction is '{other}', expected none, add, mul, max or min"))),
    }
}

fn build_elements(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(Scatter { axis: Some(cx.int("axis", 0)?), reduction: reduction(cx)? }))
}

fn build_nd(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(Scatter { axis: None, reduction: reduction(cx)? }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("Scatter", &[9, 11], build_elements)
        .chain(versions("ScatterElements", &[11, 13, 16, 18], build_elements))
        .chain(versions("ScatterND", &[11, 13, 16, 18], build_nd))
}
