//! ReverseSequence and Trilu: rows that each keep, turn round or drop a part.

use std::ops::Range;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::mover::{self, Inputs, Mover, Word};
use crate::tensor::element_count;

struct ReverseSequence {
    /// Whether axis 0 is time, not the batch.
    time_first: bool,
}

/// `[batch, time, inner]` or `[time, batch, inner]`, the first steps of each batch in reverse.
struct Turned {
    time_first: bool,
    batch: usize,
    time: usize,
    inner: usize,
}

// [panel: ReverseSequence]
impl Mover for Turned {
    fn check(&self, inputs: Inputs<'_>) -> Result<()> {
        let lengths = inputs.indices(1, DType::I64);
        match (0..lengths.len()).map(|i| lengths.get(i)).find(|&n| n < 0 || n > self.time as i64) {
            None => Ok(()),
            Some(n) => Err(Error::invalid_input(format!("a sequence of {n} steps, expected 0 .. {}", self.time))),
        }
    }

    fn run<W: Word>(&self, range: Range<usize>, inputs: Inputs<'_>, out: &mut [W]) {
        let data = inputs.words::<W>(0);
        let lengths = inputs.indices(1, DType::I64);
        let mut at = range.start;
        while at < range.end {
            let (row, column) = (at / self.inner, at % self.inner);
            let len = (self.inner - column).min(range.end - at);
            let minor = if self.time_first { self.batch } else { self.time };
            let (step, batch) = if self.time_first { (row / minor, row % minor) } else { (row % minor, row / minor) };
            let length = lengths.get(batch) as usize;
            let source = if step < length { length - 1 - step } else { step };
            let from = if self.time_first { source * minor + batch } else { batch * minor + source };
            let (from, to) = (from * self.inner + column, at - range.start);
            out[to..to + len].copy_from_slice(&data[from..from + len]);
            at += len;
        }
    }
}
// [/panel]

impl Operator for ReverseSequence {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let (shape, lengths) = (cx.shape(0)?, cx.shape(1)?);
        let &[first, second, ..] = shape else {
            return Err(Error::shape(format!("shape {shape:?}, expected two dimensions or more")).into());
        };
        let (batch, time) = if self.time_first { (second, first) } else { (first, second) };
        if lengths != [batch] {
            return Err(Error::shape(format!("sequence_lens have shape {lengths:?}, expected [{batch}]")).into());
        }
        let turned = Turned { time_first: self.time_first, batch, time, inner: element_count(&shape[2..])? };
        mover::plan(dtype, &[0], vec![(shape.into(), turned)])
    }
}

struct Trilu {
    upper: bool,
}

/// Matrices of `n` rows of `m`: one side of a diagonal, zeros on the other.
struct Triangle {
    upper: bool,
    /// Whether input 1 says which diagonal.
    given: bool,
    n: usize,
    m: usize,
}

// [panel: Trilu]
impl Mover for Triangle {
    fn run<W: Word>(&self, range: Range<usize>, inputs: Inputs<'_>, out: &mut [W]) {
        let data = inputs.words::<W>(0);
        let k = if self.given { inputs.indices(1, DType::I64).get(0) } else { 0 };
        let mut at = range.start;
        while at < range.end {
            let (row, column) = (at / self.m, at % self.m);
            let len = (self.m - column).min(range.end - at);
            // Where the diagonal crosses the row: as a column, and as a place in this piece of it.
            let crossing = k.saturating_add((row % self.n) as i64);
            let place =
                |column_of: i64| (column_of.clamp(0, self.m as i64) as usize).clamp(column, column + len) - column;
            let kept = if self.upper { place(crossing)..len } else { 0..place(crossing.saturating_add(1)) };
            let (piece, source) = (&mut out[at - range.start..at - range.start + len], &data[at..at + len]);
            piece[..kept.start].fill(W::default());
            piece[kept.clone()].copy_from_slice(&source[kept.clone()]);
            piece[kept.end..].fill(W::default());
            at += len;
        }
    }
}
// [/panel]

impl Operator for Trilu {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let shape = cx.shape(0)?;
        let &[.., n, m] = shape else {
            return Err(Error::shape(format!("shape {shape:?}, expected two dimensions or more")).into());
        };
        let given = cx.has(1);
        if given && element_count(cx.shape(1)?)? != 1 {
            return Err(Error::shape(format!("k has shape {:?}, expected a scalar", cx.shape(1)?)).into());
        }
        mover::plan(dtype, &[0], vec![(shape.into(), Triangle { upper: self.upper, given, n, m })])
    }
}

fn build_reverse(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    match (cx.int("batch_axis", 1)?, cx.int("time_axis", 0)?) {
        (1, 0) => Ok(Box::new(ReverseSequence { time_first: true })),
        (0, 1) => Ok(Box::new(ReverseSequence { time_first: false })),
        (batch, time) => {
            let message = format!("batch_axis {batch}, time_axis {time}; expected 0 and 1 in some order");
            Err(Error::invalid_model(message))
        }
    }
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("ReverseSequence", &[10, 28], build_reverse)
        .chain(versions("Trilu", &[14], |cx| Ok(Box::new(Trilu { upper: cx.int("upper", 1)? != 0 }))))
}
