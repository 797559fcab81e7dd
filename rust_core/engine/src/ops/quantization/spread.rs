//! Which scale belongs to which element.

use std::ops::Range;

use diptych_kernels::quantize::Place;

use crate::error::{Error, Result};
use crate::operator::PlanCx;
use crate::ops::axes::normalize_axis;
use crate::tensor::{Shape, element_count};

/// One scale for all, one an index of an axis, or one a block along an axis.
#[derive(Clone, Copy, Debug)]
pub enum Spread {
    Whole,
    /// An axis of `length` with `inner` elements after each of its indices.
    Axis {
        length: usize,
        inner: usize,
    },
    Blocks {
        length: usize,
        inner: usize,
        block: usize,
    },
}

impl Spread {
    /// How the scales, input 1, spread over input 0.
    pub fn new(cx: &PlanCx<'_>, axis: i64, block_size: i64) -> Result<Spread> {
        let (x, scale) = (cx.shape(0)?, cx.shape(1)?);
        if block_size != 0 {
            return blocks(x, scale, normalize_axis(axis, x.len())?, block_size);
        }
        if scale.len() <= 1 && element_count(scale)? == 1 {
            return Ok(Spread::Whole);
        }
        let axis = normalize_axis(axis, x.len())?;
        if *scale != [x[axis]] {
            let message = format!("scale has shape {scale:?}, expected a scalar or [{}] for axis {axis}", x[axis]);
            return Err(Error::shape(message));
        }
        Ok(Spread::Axis { length: x[axis], inner: element_count(&x[axis + 1..])? })
    }

    /// Calls `body(at, len, place)` for every stretch of elements in `range` whose scales lie at one place.
    pub fn rows(self, range: Range<usize>, mut body: impl FnMut(usize, usize, Place)) {
        let mut at = range.start;
        while at < range.end {
            let (end, place) = self.stretch(at);
            let end = end.min(range.end);
            body(at, end - at, place);
            at = end;
        }
    }

    /// The end of the stretch from element `at` on, and the place of its scales.
    fn stretch(self, at: usize) -> (usize, Place) {
        match self {
            Spread::Whole => (usize::MAX, Place { offset: 0, each: false }),
            Spread::Axis { length, inner: 1 } => {
                let column = at % length;
                (at - column + length, Place { offset: column, each: true })
            }
            Spread::Axis { length, inner } => {
                let line = at / inner;
                ((line + 1) * inner, Place { offset: line % length, each: false })
            }
            Spread::Blocks { length, inner: 1, block } => {
                let (row, column) = (at / length, at % length);
                let end = (column / block + 1).saturating_mul(block).min(length);
                (row * length + end, Place { offset: row * length.div_ceil(block) + column / block, each: false })
            }
            Spread::Blocks { length, inner, block } => {
                let (line, column) = (at / inner, at % inner);
                let scales = line / length * length.div_ceil(block) + line % length / block;
                ((line + 1) * inner, Place { offset: scales * inner + column, each: true })
            }
        }
    }
}

fn blocks(x: &[usize], scale: &[usize], axis: usize, block_size: i64) -> Result<Spread> {
    let block = usize::try_from(block_size)
        .map_err(|_| Error::invalid_model(format!("block_size is {block_size}, expected 0 or more")))?;
    let mut expected: Shape = x.into();
    expected[axis] = x[axis].div_ceil(block);
    if scale != expected.as_slice() {
        let message = format!("scale has shape {scale:?}, expected {expected:?} for blocks of {block_size}");
        return Err(Error::shape(message));
    }
    Ok(Spread::Blocks { length: x[axis], inner: element_count(&x[axis + 1..])?, block })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The scale of every element, by rows of every kind of range.
    fn scales(spread: Spread, count: usize) -> Vec<usize> {
        let mut found = Vec::new();
        for start in (0..count).step_by(5) {
            spread.rows(start..(start + 5).min(count), |at, len, place| {
                assert_eq!(at, found.len());
                found.extend((0..len).map(|i| place.offset + if place.each { i } else { 0 }));
            });
        }
        found
    }

    #[test]
    fn each_element_finds_its_scale() {
        for inner in [1, 3] {
            let spread = Spread::Axis { length: 4, inner };
            let want: Vec<usize> = (0..24 * inner).map(|i| i / inner % 4).collect();
            assert_eq!(scales(spread, 24 * inner), want);
            let spread = Spread::Blocks { length: 5, inner, block: 2 };
            let want: Vec<usize> =
                (0..10 * inner).map(|i| (i / inner / 5 * 3 + i / inner % 5 / 2) * inner + i % inner).collect();
            assert_eq!(scales(spread, 10 * inner), want);
        }
    }
}
