//! Identity, Reshape, Flatten, Squeeze, Unsqueeze: the same elements under another shape. Nothing is copied.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::axes::normalize_axes;
use crate::tensor::{Shape, Strings, Value, element_count};

/// Output 0 is input 0 as `shape`.
fn view(dtype: DType, shape: Shape) -> Planned<Step> {
    if dtype != DType::String {
        return Ok(Step::View { input: 0, shape });
    }
    Step::values(move |cx| match cx.input(0)? {
        Value::Strings(strings) => {
            Ok(vec![Value::Strings(Strings { shape: shape.clone(), data: strings.data.clone() })])
        }
        other => Err(Error::internal(format!("{} where strings were planned", other.describe()))),
    })
}

struct Identity;

// [panel: Identity]
impl Operator for Identity {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        match cx.info(0)?.ty.dtype() {
            Some(dtype) => view(dtype, cx.shape(0)?.into()),
            // A sequence is handed on as it is.
            None => Step::values(|cx| Ok(vec![cx.input(0)?.clone()])),
        }
    }
}
// [/panel]

struct Reshape {
    /// The attribute of version 1.
    shape: Option<Vec<i64>>,
    allow_zero: bool,
}

impl Operator for Reshape {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let shape = match &self.shape {
            Some(shape) => reshaped(cx.shape(0)?, shape, true)?,
            None => {
                check_vector(cx, 1)?;
                reshaped(cx.shape(0)?, &cx.ints(1)?, !self.allow_zero)?
            }
        };
        view(dtype, shape)
    }
}

/// Refuses an input that is not of one dimension.
pub fn check_vector(cx: &PlanCx<'_>, input: usize) -> Result<()> {
    match cx.shape(input)? {
        [_] => Ok(()),
        other => Err(Error::shape(format!("input {input} has shape {other:?}, expected one dimension"))),
    }
}

// [panel: Reshape]
/// `from` in the shape `target`: one -1 is inferred, and with `copy_zeros` a 0 copies the dimension.
fn reshaped(from: &[usize], target: &[i64], copy_zeros: bool) -> Result<Shape> {
    let error = |why: String| Error::shape(format!("shape {from:?} cannot be reshaped to {target:?}: {why}"));
    if target.iter().any(|&n| n < -1) || target.iter().filter(|&&n| n == -1).count() > 1 {
        return Err(error("dimensions are >= 0, and one of them may be -1".into()));
    }
    if !copy_zeros && target.contains(&0) && target.contains(&-1) {
        return Err(error("with allowzero a shape may not hold both 0 and -1".into()));
    }
    let mut dims = Shape::new();
    for (axis, &n) in target.iter().enumerate() {
        dims.push(match n {
            0 if copy_zeros => {
                *from.get(axis).ok_or_else(|| error(format!("the 0 at {axis} has no dimension to copy")))?
            }
            -1 => 1,
            n => n as usize,
        });
    }
    let (size, known) = (element_count(from)?, element_count(&dims)?);
    if let Some(inferred) = target.iter().position(|&n| n == -1) {
        if known == 0 || size % known != 0 {
            return Err(error(format!("-1 cannot make up for {size} elements")));
        }
        dims[inferred] = size / known;
    } else if known != size {
        return Err(error(format!("{size} elements, not {known}")));
    }
    Ok(dims)
}
// [/panel]

struct Flatten {
    axis: i64,
}

// [panel: Flatten]
impl Operator for Flatten {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let shape = cx.shape(0)?;
        let rank = shape.len() as i64;
        if !(-rank..=rank).contains(&self.axis) {
            return Err(Error::shape(format!("axis {} is outside [{}, {rank}]", self.axis, -rank)).into());
        }
        let (rows, columns) = shape.split_at(if self.axis < 0 { self.axis + rank } else { self.axis } as usize);
        view(dtype, Shape::from_slice(&[element_count(rows)?, element_count(columns)?]))
    }
}
// [/panel]

/// Squeeze and Unsqueeze.
struct Ones {
    since: i64,
    insert: bool,
    /// The attribute, below version 13.
    axes: Option<Vec<i64>>,
}

impl Ones {
    fn axes(&self, cx: &PlanCx<'_>) -> Planned<Option<Vec<i64>>> {
        if self.since < 13 {
            return Ok(self.axes.clone());
        }
        if cx.has(1) && cx.shape(1)?.len() > 1 {
            return Err(Error::shape(format!("axes have shape {:?}, expected one dimension", cx.shape(1)?)).into());
        }
        cx.opt_ints(1)
    }
}

impl Operator for Ones {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let axes = self.axes(cx)?;
        let shape = cx.shape(0)?;
        view(dtype, if self.insert { inserted(shape, &axes.unwrap_or_default())? } else { squeezed(shape, axes)? })
    }
}

// [panel: Squeeze]
/// `shape` without the dimensions `axes` (`None`: all of length 1).
fn squeezed(shape: &[usize], axes: Option<Vec<i64>>) -> Result<Shape> {
    let Some(axes) = axes else {
        return Ok(shape.iter().copied().filter(|&n| n != 1).collect());
    };
    let dropped = normalize_axes(&axes, shape.len())?;
    if let Some(&axis) = dropped.iter().find(|&&axis| shape[axis] != 1) {
        return Err(Error::shape(format!("axis {axis} of shape {shape:?} is not of length 1")));
    }
    Ok((0..shape.len()).filter(|axis| !dropped.contains(axis)).map(|axis| shape[axis]).collect())
}
// [/panel]

// [panel: Unsqueeze]
/// `shape` with dimensions of length 1 at `axes`, which count in the output.
fn inserted(shape: &[usize], axes: &[i64]) -> Result<Shape> {
    let rank = shape.len() + axes.len();
    let ones = normalize_axes(axes, rank)?;
    let mut dims = shape.iter();
    Ok((0..rank).filter_map(|axis| if ones.contains(&axis) { Some(1) } else { dims.next().copied() }).collect())
}
// [/panel]

fn build_reshape(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let shape = if cx.since < 5 { Some(cx.ints("shape")?.unwrap_or_default().to_vec()) } else { None };
    Ok(Box::new(Reshape { shape, allow_zero: cx.int("allowzero", 0)? != 0 }))
}

fn build_flatten(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(Flatten { axis: cx.int("axis", 1)? }))
}

fn build_squeeze(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(Ones { since: cx.since, insert: false, axes: cx.ints("axes")?.map(<[i64]>::to_vec) }))
}

fn build_unsqueeze(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let axes = if cx.since < 13 { Some(cx.required("axes", cx.ints("axes")?)?.to_vec()) } else { None };
    Ok(Box::new(Ones { since: cx.since, insert: true, axes }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("Identity", &[1, 13, 14, 16, 19, 21, 23, 24, 25], |_| Ok(Box::new(Identity)))
        .chain(versions("Reshape", &[1, 5, 13, 14, 19, 21, 23, 24, 25], build_reshape))
        .chain(versions("Flatten", &[1, 9, 11, 13, 21, 23, 24, 25], build_flatten))
        .chain(versions("Squeeze", &[1, 11, 13, 21, 23, 24, 25], build_squeeze))
        .chain(versions("Unsqueeze", &[1, 11, 13, 21, 23, 24, 25], build_unsqueeze))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reshape_infers_copies_and_refuses() {
        assert_eq!(reshaped(&[2, 3, 4], &[0, -1], true).unwrap().as_slice(), [2, 12]);
        assert_eq!(reshaped(&[0, 3], &[3, 0], false).unwrap().as_slice(), [3, 0]);
        assert_eq!(reshaped(&[1], &[], true).unwrap().as_slice(), [0usize; 0]);
        for (target, copy) in
            [(&[5, -1][..], true), (&[-1, -1], true), (&[0, -1], false), (&[2, 3, 4, 0], true), (&[-2], true)]
        {
            assert!(reshaped(&[2, 3, 4], target, copy).is_err(), "{target:?}");
        }
        assert!(reshaped(&[0], &[0, -1], true).is_err());
        assert!(reshaped(&[6], &[i64::MAX, i64::MAX], true).is_err());
    }

    #[test]
    fn ones_go_and_come() {
        assert_eq!(squeezed(&[1, 3, 1], None).unwrap().as_slice(), [3]);
        assert_eq!(squeezed(&[1, 3, 1], Some(vec![-1])).unwrap().as_slice(), [1, 3]);
        assert!(squeezed(&[1, 3], Some(vec![1])).is_err());
        assert_eq!(inserted(&[3], &[-1, 0]).unwrap().as_slice(), [1, 3, 1]);
        assert!(inserted(&[3], &[2, -1]).is_err());
    }
}
