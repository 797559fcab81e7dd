//! Gather, GatherElements, GatherND.

use std::ops::Range;

use crate::broadcast::{Walk, contiguous_strides};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::axes::normalize_axis;
use crate::ops::indexing::check_elements;
use crate::ops::mover::{self, Inputs, Mover, Word};
use crate::tensor::{Shape, element_count};

struct Gather {
    axis: i64,
}

/// `out[o, k, :] = data[o, indices[k], :]`
struct Slices {
    index_dtype: DType,
    /// Length of the axis the indices count along.
    length: usize,
    /// Indices, for each index of the axes before.
    count: usize,
    /// Elements after the axis.
    inner: usize,
}

// [panel: Gather]
impl Mover for Slices {
    fn check(&self, inputs: Inputs<'_>) -> Result<()> {
        inputs.indices(1, self.index_dtype).check(self.length)
    }

    fn run<W: Word>(&self, range: Range<usize>, inputs: Inputs<'_>, out: &mut [W]) {
        let data = inputs.words::<W>(0);
        let indices = inputs.indices(1, self.index_dtype);
        let mut at = range.start;
        while at < range.end {
            let (slice, column) = (at / self.inner, at % self.inner);
            let len = (self.inner - column).min(range.end - at);
            let place = slice / self.count * self.length + indices.at(slice % self.count, self.length);
            let from = place * self.inner + column;
            let to = at - range.start;
            if len == 1 {
                out[to] = data[from];
            } else {
                out[to..to + len].copy_from_slice(&data[from..from + len]);
            }
            at += len;
        }
    }
}
// [/panel]

impl Operator for Gather {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let index_dtype = cx.dtype(1)?;
        let (from, indices) = (cx.shape(0)?, cx.shape(1)?);
        let axis = normalize_axis(self.axis, from.len())?;
        let shape: Shape = from[..axis].iter().chain(indices).chain(&from[axis + 1..]).copied().collect();
        let slices = Slices {
            index_dtype,
            length: from[axis],
            count: element_count(indices)?,
            inner: element_count(&from[axis + 1..])?,
        };
        mover::plan(dtype, &[0], vec![(shape, slices)])
    }
}

struct GatherElements {
    axis: i64,
}

/// `out[i, j, k] = data[i, indices[i, j, k], k]`
struct Elements {
    index_dtype: DType,
    length: usize,
    stride: usize,
    /// Walks the output's places, and the data's without the axis.
    walk: Walk<1>,
}

// [panel: GatherElements]
impl Mover for Elements {
    fn check(&self, inputs: Inputs<'_>) -> Result<()> {
        inputs.indices(1, self.index_dtype).check(self.length)
    }

    fn run<W: Word>(&self, range: Range<usize>, inputs: Inputs<'_>, out: &mut [W]) {
        let data = inputs.words::<W>(0);
        let indices = inputs.indices(1, self.index_dtype);
        let step = self.walk.row_strides()[0] as usize;
        let first = range.start;
        self.walk.rows(range, |at, len, [offset]| {
            for i in 0..len {
                out[at - first + i] = data[offset + i * step + indices.at(at + i, self.length) * self.stride];
            }
        });
    }
}
// [/panel]

impl Operator for GatherElements {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let index_dtype = cx.dtype(1)?;
        let (from, indices) = (cx.shape(0)?, cx.shape(1)?);
        let axis = normalize_axis(self.axis, from.len())?;
        check_elements(from, indices, axis)?;
        let mut strides = contiguous_strides(from);
        let stride = strides[axis] as usize;
        strides[axis] = 0;
        let walk = Walk::strided(indices, [&strides], [0]);
        mover::plan(dtype, &[0], vec![(indices.into(), Elements { index_dtype, length: from[axis], stride, walk })])
    }
}

struct GatherNd {
    batch_dims: i64,
}

/// `out[b, i, :] = data[b, indices[b, i, 0], .., indices[b, i, depth - 1], :]`
struct Coordinates {
    /// Lengths of the axes that the coordinates count along.
    lengths: Shape,
    /// Coordinate tuples of one batch.
    tuples: usize,
    /// Elements of one batch of data.
    batch: usize,
    /// Elements after the last coordinate's axis.
    inner: usize,
}

// [panel: GatherND]
impl Mover for Coordinates {
    fn check(&self, inputs: Inputs<'_>) -> Result<()> {
        inputs.indices(1, DType::I64).check_each(&self.lengths)
    }

    fn run<W: Word>(&self, range: Range<usize>, inputs: Inputs<'_>, out: &mut [W]) {
        let data = inputs.words::<W>(0);
        let indices = inputs.indices(1, DType::I64);
        let mut at = range.start;
        while at < range.end {
            let (tuple, column) = (at / self.inner, at % self.inner);
            let len = (self.inner - column).min(range.end - at);
            let place = indices.place(tuple * self.lengths.len(), &self.lengths);
            let from = tuple / self.tuples * self.batch + place * self.inner + column;
            out[at - range.start..at - range.start + len].copy_from_slice(&data[from..from + len]);
            at += len;
        }
    }
}
// [/panel]

impl Operator for GatherNd {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let (data, indices) = (cx.shape(0)?, cx.shape(1)?);
        let error = |why: &str| Error::shape(format!("indices {indices:?} for data {data:?}: {why}"));
        let rank = data.len().min(indices.len());
        let batch = usize::try_from(self.batch_dims)
            .ok()
            .filter(|&batch| batch < rank && data[..batch] == indices[..batch])
            .ok_or_else(|| error(&format!("they do not agree in {} batch dimensions", self.batch_dims)))?;
        let depth = indices[indices.len() - 1];
        if depth == 0 || depth > data.len() - batch {
            return Err(error("too many or no coordinates").into());
        }
        let shape: Shape = indices[..indices.len() - 1].iter().chain(&data[batch + depth..]).copied().collect();
        let coordinates = Coordinates {
            lengths: data[batch..batch + depth].into(),
            tuples: element_count(&indices[batch..indices.len() - 1])?,
            batch: element_count(&data[batch..])?,
            inner: element_count(&data[batch + depth..])?,
        };
        mover::plan(dtype, &[0], vec![(shape, coordinates)])
    }
}

fn build_gather(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(Gather { axis: cx.int("axis", 0)? }))
}

fn build_elements(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(GatherElements { axis: cx.int("axis", 0)? }))
}

fn build_nd(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(GatherNd { batch_dims: cx.int("batch_dims", 0)? }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("Gather", &[1, 11, 13], build_gather)
        .chain(versions("GatherElements", &[11, 13], build_elements))
        .chain(versions("GatherND", &[11, 12, 13], build_nd))
}
