//! TensorScatter: an update written into a cache, for each batch from a place of its own on.

use std::ops::Range;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::axes::normalize_axis;
use crate::ops::mover::{self, Inputs, Mover, Word};
use crate::tensor::element_count;

struct TensorScatter {
    axis: i64,
    circular: bool,
}

/// `out[b, m, (start[b] + s) mod length, :] = update[b, m, s, :]`, over a copy of the cache.
struct Written {
    circular: bool,
    /// Whether input 2 says where to start.
    given: bool,
    batch: usize,
    middle: usize,
    length: usize,
    steps: usize,
    inner: usize,
}

impl Written {
    fn start(&self, inputs: Inputs<'_>, batch: usize) -> i64 {
        if self.given { inputs.indices(2, DType::I64).get(batch) } else { 0 }
    }
}

// [panel: TensorScatter]
impl Mover for Written {
    const OVERWRITES: bool = true;

    fn check(&self, inputs: Inputs<'_>) -> Result<()> {
        let most = (self.length - self.steps) as i64;
        let outside = |start: &i64| !self.circular && !(0..=most).contains(start);
        match (0..self.batch).map(|batch| self.start(inputs, batch)).find(outside) {
            None => Ok(()),
            Some(start) => Err(Error::invalid_input(format!("write index {start}, expected 0 .. {most}"))),
        }
    }

    fn run<W: Word>(&self, _: Range<usize>, inputs: Inputs<'_>, out: &mut [W]) {
        let update = inputs.words::<W>(1);
        for row in 0..self.batch * self.middle {
            let start = self.start(inputs, row / self.middle).rem_euclid(self.length.max(1) as i64) as usize;
            // Up to the end of the axis, then from its beginning.
            let first = self.steps.min(self.length - start);
            for (place, from, to) in [(start, 0, first), (0, first, self.steps)] {
                let len = (to - from) * self.inner;
                let (place, from) = ((row * self.length + place) * self.inner, (row * self.steps + from) * self.inner);
                out[place..place + len].copy_from_slice(&update[from..from + len]);
            }
        }
    }
}
// [/panel]

impl Operator for TensorScatter {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let (cache, update) = (cx.shape(0)?, cx.shape(1)?);
        let axis = normalize_axis(self.axis, cache.len())?;
        if axis == 0 {
            return Err(Error::invalid_model("axis is the batch axis, expected another").into());
        }
        let fits = update.len() == cache.len()
            && (0..cache.len()).all(|i| update[i] == cache[i] || (i == axis && update[i] <= cache[i]));
        if !fits {
            let message = format!("update {update:?} does not fit in {cache:?} along axis {axis}");
            return Err(Error::shape(message).into());
        }
        let given = cx.has(2);
        if given && cx.shape(2)? != [cache[0]] {
            let message = format!("write_indices have shape {:?}, expected [{}]", cx.shape(2)?, cache[0]);
            return Err(Error::shape(message).into());
        }
        let written = Written {
            circular: self.circular,
            given,
            batch: cache[0],
            middle: element_count(&cache[1..axis])?,
            length: cache[axis],
            steps: update[axis],
            inner: element_count(&cache[axis + 1..])?,
        };
        mover::plan(dtype, &[0, 1], vec![(cache.into(), written)])
    }
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let circular = match cx.string("mode")?.unwrap_or("linear") {
        "linear" => false,
        "circular" => true,
        other => return Err(Error::invalid_model(format!("mode is '{other}', expected linear or circular"))),
    };
    Ok(Box::new(TensorScatter { axis: cx.int("axis", -2)?, circular }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("TensorScatter", &[24], build)
}
