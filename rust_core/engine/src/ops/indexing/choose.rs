//! Compress, and the mover that takes chosen slices.

use std::ops::Range;

use crate::dtype::Bool;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::axes::normalize_axis;
use crate::ops::mover::{self, Inputs, Mover, Word};
use crate::tensor::{Shape, element_count};

/// `out[o, k, :] = data[o, places[k], :]`
pub(super) struct Chosen {
    pub places: Vec<usize>,
    /// Length of the axis that the places count along.
    pub length: usize,
    /// Elements after the axis.
    pub inner: usize,
}

impl Chosen {
    /// Slices of data of `shape` along `axis`, or its elements, flat: the result's shape and the mover.
    pub fn of(shape: &[usize], axis: Option<usize>, places: Vec<usize>) -> Result<(Shape, Chosen)> {
        let Some(axis) = axis else {
            let chosen = [places.len()].into_iter().collect();
            return Ok((chosen, Chosen { places, length: element_count(shape)?, inner: 1 }));
        };
        let mut chosen: Shape = shape.into();
        chosen[axis] = places.len();
        Ok((chosen, Chosen { places, length: shape[axis], inner: element_count(&shape[axis + 1..])? }))
    }
}

// [panel: Compress]
impl Mover for Chosen {
    fn run<W: Word>(&self, range: Range<usize>, inputs: Inputs<'_>, out: &mut [W]) {
        let data = inputs.words::<W>(0);
        let count = self.places.len();
        let mut at = range.start;
        while at < range.end {
            let (slice, column) = (at / self.inner, at % self.inner);
            let len = (self.inner - column).min(range.end - at);
            let from = (slice / count * self.length + self.places[slice % count]) * self.inner + column;
            let to = at - range.start;
            out[to..to + len].copy_from_slice(&data[from..from + len]);
            at += len;
        }
    }
}
// [/panel]

struct Compress {
    axis: Option<i64>,
}

impl Operator for Compress {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let (shape, condition): (Shape, _) = (cx.shape(0)?.into(), cx.shape(1)?);
        let axis = self.axis.map(|axis| normalize_axis(axis, shape.len())).transpose()?;
        let length = axis.map_or_else(|| element_count(&shape), |axis| Ok(shape[axis]))?;
        if condition.len() != 1 || condition[0] > length {
            let message = format!("condition has shape {condition:?}, expected up to {length} elements");
            return Err(Error::shape(message).into());
        }
        Step::values(move |cx| {
            let condition =
                cx.input(1)?.as_dense().ok_or_else(|| Error::internal("a tensor was planned"))?.aligned()?;
            let kept = condition.as_slice::<Bool>()?.iter().enumerate().filter(|(_, kept)| kept.0 != 0);
            let chosen = Chosen::of(&shape, axis, kept.map(|(place, _)| place).collect())?;
            mover::evaluate(cx, dtype, &[0], &[chosen])
        })
    }
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(Compress { axis: cx.opt_int("axis")? }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("Compress", &[9, 11, 28], build)
}
