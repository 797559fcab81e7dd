//! Expand and Tile; and the mover that reads one input with strides.

use std::ops::Range;

use crate::broadcast::{Walk, broadcast_shapes, contiguous_strides};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::{Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::axes::normalize_axis;
use crate::ops::mover::{self, Inputs, Mover, Word};
use crate::ops::shape::view::check_vector;
use crate::tensor::{Shape, element_count};

/// An output whose elements are an input's, by strides.
pub struct Strided {
    walk: Walk<1>,
}

impl Strided {
    pub fn new(shape: &[usize], strides: &[isize], base: isize) -> Strided {
        Strided { walk: Walk::strided(shape, [strides], [base]) }
    }
}

// [panel: Expand Tile Slice]
impl Mover for Strided {
    fn run<W: Word>(&self, range: Range<usize>, inputs: Inputs<'_>, out: &mut [W]) {
        let data = inputs.words::<W>(0);
        let [stride] = self.walk.row_strides();
        let first = range.start;
        self.walk.rows(range, |at, len, [offset]| {
            let out = &mut out[at - first..at - first + len];
            match stride {
                1 => out.copy_from_slice(&data[offset..offset + len]),
                0 => out.fill(data[offset]),
                step if step > 0 => {
                    out.iter_mut().zip(data[offset..].iter().step_by(step as usize)).for_each(|(o, &x)| *o = x);
                }
                step => {
                    let back = data[..=offset].iter().rev().step_by(step.unsigned_abs());
                    out.iter_mut().zip(back).for_each(|(o, &x)| *o = x);
                }
            }
        });
    }
}
// [/panel]

struct Expand;

// [panel: Expand]
impl Operator for Expand {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        check_vector(cx, 1)?;
        let target = dimensions(&cx.ints(1)?)?;
        let from = cx.shape(0)?;
        let shape = broadcast_shapes(&[from, &target])?;
        let mut strides = vec![0; shape.len()];
        for (axis, (&n, stride)) in (shape.len() - from.len()..).zip(from.iter().zip(contiguous_strides(from))) {
            strides[axis] = if n == 1 { 0 } else { stride };
        }
        mover::plan(dtype, &[0], vec![(shape.clone(), Strided::new(&shape, &strides, 0))])
    }
}
// [/panel]

/// Dimensions given as a tensor.
pub fn dimensions(values: &[i64]) -> Result<Shape> {
    let dims: Option<Shape> = values.iter().map(|&n| usize::try_from(n).ok()).collect();
    dims.ok_or_else(|| Error::shape(format!("shape {values:?} has a negative dimension")))
}

struct Tile {
    since: i64,
}

impl Tile {
    /// How often each axis is repeated.
    fn repeats(&self, cx: &PlanCx<'_>, rank: usize) -> Planned<Shape> {
        if self.since < 6 {
            let mut repeats = vec![1; rank];
            let axis = normalize_axis(legacy_scalar(cx, 2)?, rank)?;
            repeats[axis] = legacy_scalar(cx, 1)?;
            return Ok(dimensions(&repeats)?);
        }
        check_vector(cx, 1)?;
        let repeats = cx.ints(1)?;
        if repeats.len() != rank {
            return Err(Error::shape(format!("{} repeats for {rank} dimensions", repeats.len())).into());
        }
        Ok(dimensions(&repeats)?)
    }
}

/// A scalar input of Tile-1, which has the type of the data.
fn legacy_scalar(cx: &PlanCx<'_>, input: usize) -> Planned<i64> {
    Ok(match cx.dtype(input)? {
        DType::F16 => f64::from(cx.scalar::<half::f16>(input)?),
        DType::F32 => f64::from(cx.scalar::<f32>(input)?),
        _ => cx.scalar::<f64>(input)?,
    } as i64)
}

// [panel: Tile]
impl Operator for Tile {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let from = cx.shape(0)?;
        let repeats = self.repeats(cx, from.len())?;
        // Axis by axis: a repetition of stride 0, then the axis itself; neighbours that can merge do so in the walk.
        let (mut shape, mut split, mut strides) = (Shape::new(), Shape::new(), Vec::new());
        for ((&n, &times), stride) in from.iter().zip(&repeats).zip(contiguous_strides(from)) {
            let long = n.checked_mul(times).ok_or_else(|| Error::resource_limit("Tile repeats too often"))?;
            shape.push(long);
            split.extend([times, n]);
            strides.extend([0, stride]);
        }
        element_count(&shape)?;
        mover::plan(dtype, &[0], vec![(shape, Strided::new(&split, &strides, 0))])
    }
}
// [/panel]

pub fn rows() -> impl Iterator<Item = Row> {
    versions("Expand", &[8, 13], |_| Ok(Box::new(Expand)))
        .chain(versions("Tile", &[1, 6, 13], |cx| Ok(Box::new(Tile { since: cx.since }))))
}
