//! Concat and Split.

use std::ops::Range;

use crate::broadcast::contiguous_strides;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::axes::normalize_axis;
use crate::ops::mover::{self, Inputs, Mover, Word};
use crate::ops::shape::check_lengths;
use crate::ops::shape::repeat::Strided;
use crate::ops::shape::view::check_vector;
use crate::tensor::{Shape, element_count};

struct Concat {
    axis: i64,
}

/// Rows of several inputs, one after the other: input `i` gives `widths[i]` elements to each row of the output.
struct Joined {
    widths: Vec<usize>,
    row: usize,
}

// [panel: Concat com.microsoft.QLinearConcat]
impl Mover for Joined {
    fn run<W: Word>(&self, range: Range<usize>, inputs: Inputs<'_>, out: &mut [W]) {
        let mut start = 0;
        for (input, &width) in self.widths.iter().enumerate().filter(|&(_, &width)| width > 0) {
            let data = inputs.words::<W>(input);
            let end = start + width;
            for row in range.start / self.row..range.end.div_ceil(self.row) {
                // The input's part of this row, as far as it lies in the range.
                let from = (row * self.row + start).max(range.start);
                let to = (row * self.row + end).min(range.end);
                if from < to {
                    let place = row * width + (from - row * self.row - start);
                    out[from - range.start..to - range.start].copy_from_slice(&data[place..place + to - from]);
                }
            }
            start = end;
        }
    }
}
// [/panel]

impl Operator for Concat {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let all: Vec<usize> = (0..cx.inputs.len()).collect();
        let first = cx.shape(0)?;
        let axis = normalize_axis(self.axis, first.len())?;
        let mut shape: Shape = first.into();
        shape[axis] = 0;
        let mut widths = Vec::with_capacity(all.len());
        for &input in &all {
            let own = cx.shape(input)?;
            let fits = own.len() == first.len() && (0..own.len()).all(|i| i == axis || own[i] == first[i]);
            if !fits {
                let message =
                    format!("input {input} has shape {own:?}, input 0 {first:?}: they differ beside axis {axis}");
                return Err(Error::shape(message).into());
            }
            shape[axis] =
                shape[axis].checked_add(own[axis]).ok_or_else(|| Error::resource_limit("Concat is too long"))?;
            widths.push(element_count(&own[axis..])?);
        }
        let row = element_count(&shape[axis..])?;
        mover::plan(dtype, &all, vec![(shape, Joined { widths, row })])
    }
}

struct Split {
    since: i64,
    axis: i64,
    /// The attribute `split`, below version 13.
    lengths: Option<Vec<i64>>,
    /// The attribute `num_outputs`, from version 18 on.
    num_outputs: Option<i64>,
}

// [panel: Split]
impl Split {
    fn lengths(&self, cx: &PlanCx<'_>, whole: usize) -> Planned<Vec<i64>> {
        if cx.has(1) {
            if self.num_outputs.is_some() {
                let message = "give either the input split or the attribute num_outputs, not both";
                return Err(Error::invalid_model(message).into());
            }
            check_vector(cx, 1)?;
            return if self.since == 1 { float_lengths(cx) } else { cx.ints(1) };
        }
        if let Some(lengths) = &self.lengths {
            return Ok(lengths.clone());
        }
        let pieces = self.num_outputs.unwrap_or(cx.wanted.len() as i64);
        if pieces < 1 || pieces as usize != cx.wanted.len() {
            return Err(
                Error::shape(format!("num_outputs is {pieces}, the node has {} outputs", cx.wanted.len())).into()
            );
        }
        let whole = whole as i64;
        if self.since < 18 && whole % pieces != 0 {
            return Err(Error::shape(format!("length {whole} is not divisible into {pieces} equal parts")).into());
        }
        let chunk = whole / pieces + i64::from(whole % pieces != 0);
        Ok((0..pieces).map(|i| (whole - i.saturating_mul(chunk)).clamp(0, chunk)).collect())
    }
}
// [/panel]

/// Split-1's second input has the type of the data.
fn float_lengths(cx: &PlanCx<'_>) -> Planned<Vec<i64>> {
    let tensor = cx.tensor(1)?;
    Ok(match tensor.dtype() {
        DType::F16 => tensor.as_slice::<half::f16>()?.iter().map(|n| n.to_f32() as i64).collect(),
        DType::F32 => tensor.as_slice::<f32>()?.iter().map(|&n| n as i64).collect(),
        _ => tensor.as_slice::<f64>()?.iter().map(|&n| n as i64).collect(),
    })
}

impl Operator for Split {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let from = cx.shape(0)?;
        let axis = normalize_axis(self.axis, from.len())?;
        let lengths = self.lengths(cx, from[axis])?;
        check_lengths(&lengths, from[axis])?;
        if lengths.len() != cx.wanted.len() {
            return Err(Error::shape(format!("{} lengths for {} outputs", lengths.len(), cx.wanted.len())).into());
        }
        let strides = contiguous_strides(from);
        let mut start = 0;
        let mut movers = Vec::with_capacity(lengths.len());
        for &length in &lengths {
            let mut shape: Shape = from.into();
            shape[axis] = length as usize;
            let piece = Strided::new(&shape, &strides, start * strides[axis]);
            movers.push((shape, piece));
            start += length as isize;
        }
        mover::plan(dtype, &[0], movers)
    }
}

fn build_concat(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let axis = if cx.since < 4 { cx.int("axis", 1)? } else { cx.required("axis", cx.opt_int("axis")?)? };
    Ok(Box::new(Concat { axis }))
}

fn build_split(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let lengths = cx.ints("split")?.map(<[i64]>::to_vec);
    Ok(Box::new(Split { since: cx.since, axis: cx.int("axis", 0)?, lengths, num_outputs: cx.opt_int("num_outputs")? }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("Concat", &[1, 4, 11, 13], build_concat).chain(versions("Split", &[1, 2, 11, 13, 18], build_split))
}
