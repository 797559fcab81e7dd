//! Transpose.

use std::ops::Range;

use diptych_kernels::Isa;
use diptych_kernels::mutant::{self, Mutant};

use crate::broadcast::{Walk, contiguous_strides};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::axes::normalize_axes;
use crate::ops::mover::{self, Inputs, Mover, Word};
use crate::ops::shape::repeat::Strided;
use crate::tensor::Shape;

struct Transpose {
    perm: Option<Vec<i64>>,
}

impl Operator for Transpose {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let from = cx.shape(0)?;
        let order: Vec<usize> = match &self.perm {
            None => (0..from.len()).rev().collect(),
            Some(perm) => normalize_axes(perm, from.len())?.to_vec(),
        };
        if order.len() != from.len() {
            return Err(Error::shape(format!("perm {order:?} is no permutation of the axes of shape {from:?}")).into());
        }
        let inverse = |axis| order.iter().position(|&from| from == axis).unwrap_or(axis);
        let order: Vec<usize> =
            if mutant::on(Mutant::SwappedAxes) { (0..order.len()).map(inverse).collect() } else { order };
        let shape: Shape = order.iter().map(|&axis| from[axis]).collect();
        rearranged(dtype, from, &order, shape)
    }
}

/// Input 0, seen as of shape `from`, with its axes in another order, in `shape`.
pub(super) fn rearranged(dtype: DType, from: &[usize], order: &[usize], shape: Shape) -> Planned<Step> {
    let own = contiguous_strides(from);
    let strides: Vec<isize> = order.iter().map(|&axis| own[axis]).collect();
    let turned: Shape = order.iter().map(|&axis| from[axis]).collect();
    let walk = Walk::strided(&turned, [&strides], [0]);
    if (walk.is_flat() || walk.is_empty()) && dtype != DType::String {
        // Only axes of length 1 change places.
        return Ok(Step::View { input: 0, shape });
    }
    match Flipped::new(walk) {
        Some(flipped) => mover::plan(dtype, &[0], vec![(shape, flipped)]),
        None => mover::plan(dtype, &[0], vec![(shape, Strided::new(&turned, &strides, 0))]),
    }
}

/// Rows that are turned at a time: whole lines of the cache, of elements of any size.
const ROWS: usize = 64;

/// A transposition whose last two collapsed axes change places: the outer of them is the input's innermost axis.
struct Flipped {
    walk: Walk<1>,
    /// Length of the axis before the row.
    rows: usize,
}

// [panel: Transpose]
impl Flipped {
    fn new(walk: Walk<1>) -> Option<Flipped> {
        match walk.axes() {
            [.., rows, row] if rows.strides == [1] && row.strides[0] > 1 => Some(Flipped { rows: rows.len, walk }),
            _ => None,
        }
    }

    /// The output rows from `first` on that `out` holds, all under one index of the outer axes.
    fn turn<W: Word>(&self, isa: Isa, first: usize, data: &[W], out: &mut [W]) {
        let [base] = self.walk.row_start(first);
        W::transpose(isa, &data[base..], self.walk.row_strides()[0] as usize, out, self.walk.row());
    }

    /// A piece of one row.
    fn piece<W: Word>(&self, range: Range<usize>, data: &[W], out: &mut [W]) {
        let stride = self.walk.row_strides()[0] as usize;
        let first = range.start;
        self.walk.rows(range, |at, len, [offset]| {
            let out = &mut out[at - first..at - first + len];
            out.iter_mut().zip(data[offset..].iter().step_by(stride)).for_each(|(o, &x)| *o = x);
        });
    }
}
// [/panel]

impl Mover for Flipped {
    fn run<W: Word>(&self, range: Range<usize>, inputs: Inputs<'_>, out: &mut [W]) {
        let data = inputs.words::<W>(0);
        let row = self.walk.row();
        let whole_from = range.start.next_multiple_of(row).min(range.end);
        let whole_to = (range.end / row * row).max(whole_from);
        let (head, rest) = out.split_at_mut(whole_from - range.start);
        let (body, tail) = rest.split_at_mut(whole_to - whole_from);
        self.piece(range.start..whole_from, data, head);
        let (mut at, mut body) = (whole_from / row, body);
        while !body.is_empty() {
            let count = ROWS.min(self.rows - at % self.rows).min(body.len() / row);
            let (now, later) = body.split_at_mut(count * row);
            self.turn(inputs.isa(), at, data, now);
            at += count;
            body = later;
        }
        self.piece(whole_to..range.end, data, tail);
    }
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(Transpose { perm: cx.ints("perm")?.map(<[i64]>::to_vec) }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("Transpose", &[1, 13, 21, 23, 24, 25], build)
}
