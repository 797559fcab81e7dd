//! Slice.

use crate::broadcast::contiguous_strides;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::axes::normalize_axes;
use crate::ops::mover;
use crate::ops::shape::repeat::Strided;
use crate::ops::shape::view::check_vector;
use crate::tensor::Shape;

struct Slice {
    /// Attributes of version 1.
    legacy: Option<Bounds>,
}

#[derive(Clone)]
struct Bounds {
    starts: Vec<i64>,
    ends: Vec<i64>,
    axes: Option<Vec<i64>>,
    steps: Option<Vec<i64>>,
}

impl Operator for Slice {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let bounds = match &self.legacy {
            Some(bounds) => bounds.clone(),
            None => {
                for input in (1..5).filter(|&input| cx.has(input)) {
                    check_vector(cx, input)?;
                }
                Bounds { starts: cx.ints(1)?, ends: cx.ints(2)?, axes: cx.opt_ints(3)?, steps: cx.opt_ints(4)? }
            }
        };
        let from = cx.shape(0)?;
        let mut shape: Shape = from.into();
        let mut strides = contiguous_strides(from);
        let mut base = 0;
        for (axis, start, count, step) in bounds.resolve(from)? {
            shape[axis] = count;
            base += start as isize * strides[axis];
            strides[axis] = strides[axis].wrapping_mul(step as isize);
        }
        mover::plan(dtype, &[0], vec![(shape.clone(), Strided::new(&shape, &strides, base))])
    }
}

// [panel: Slice]
impl Bounds {
    /// For each axis named: the axis, its first element, how many are taken, and the step.
    fn resolve(&self, from: &[usize]) -> Result<Vec<(usize, usize, usize, i64)>> {
        let count = self.starts.len();
        let all: Vec<i64> = (0..count as i64).collect();
        let ones = vec![1; count];
        let axes = self.axes.as_ref().unwrap_or(&all);
        let steps = self.steps.as_ref().unwrap_or(&ones);
        if self.ends.len() != count || axes.len() != count || steps.len() != count {
            return Err(Error::shape(format!(
                "{count} starts, {} ends, {} axes and {} steps",
                self.ends.len(),
                axes.len(),
                steps.len()
            )));
        }
        let axes = normalize_axes(axes, from.len())?;
        let mut found = Vec::with_capacity(count);
        for (i, &axis) in axes.iter().enumerate() {
            if steps[i] == 0 {
                return Err(Error::shape("a step of Slice is 0"));
            }
            let (start, taken) = clamped(self.starts[i], self.ends[i], steps[i], from[axis]);
            found.push((axis, start, taken, steps[i]));
        }
        Ok(found)
    }
}
// [/panel]

/// First element and number of elements from `start` to `end` (exclusive) by `step` of an axis of `length`. Negative
/// bounds count from the end once, then they are clamped, a backward end to -1 (before the first).
fn clamped(start: i64, end: i64, step: i64, length: usize) -> (usize, usize) {
    let length = length as i64;
    if length == 0 {
        return (0, 0);
    }
    let from_end = |n: i64| if n < 0 { n.saturating_add(length) } else { n };
    let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let start = from_end(start).max(0).min(high);
    let end = from_end(end).max(low).min(high);
    let distance = if step > 0 { end - start } else { start - end };
    let taken = if distance <= 0 { 0 } else { (distance as u64).div_ceil(step.unsigned_abs()) };
    (start as usize, taken as usize)
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let legacy = if cx.since < 10 {
        let starts = cx.required("starts", cx.ints("starts")?)?.to_vec();
        let ends = cx.required("ends", cx.ints("ends")?)?.to_vec();
        Some(Bounds { starts, ends, axes: cx.ints("axes")?.map(<[i64]>::to_vec), steps: None })
    } else {
        None
    };
    Ok(Box::new(Slice { legacy }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("Slice", &[1, 10, 11, 13], build)
}

#[cfg(test)]
mod tests {
    use super::clamped;

    #[test]
    fn bounds_clamp_as_onnx_has_them() {
        assert_eq!(clamped(1, 1000, 1, 4), (1, 3));
        assert_eq!(clamped(0, -1, 1, 4), (0, 3));
        assert_eq!(clamped(1000, 1000, 1, 4), (4, 0));
        assert_eq!(clamped(20, 0, -2, 6), (5, 3));
        assert_eq!(clamped(-1, i64::MIN, -1, 3), (2, 3));
        assert_eq!(clamped(-10, i64::MIN, -1, 3), (0, 1));
        assert_eq!(clamped(0, i64::MAX, i64::MAX, 3), (0, 1));
        assert_eq!(clamped(2, 0, i64::MIN, 3), (2, 1));
        assert_eq!(clamped(0, 5, 1, 0), (0, 0));
    }
}
