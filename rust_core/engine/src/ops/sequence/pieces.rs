//! SplitToSequence and ConcatFromSequence.

use crate::error::{Error, Result};
use crate::memory::check_room;
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::axes::normalize_axis;
use crate::ops::values::{Joined, Slabs, as_sequence, byte_size, room_for, scalar_i64, tensor_shape};
use crate::run::ValueCx;
use crate::tensor::{Sequence, Value, element_count};

#[derive(Clone, Copy)]
struct SplitToSequence {
    axis: i64,
    keep_dims: bool,
}

impl Operator for SplitToSequence {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        normalize_axis(self.axis, cx.shape(0)?.len())?;
        let split = *self;
        Step::values(move |cx| split.run(cx).map(|value| vec![value]))
    }
}

// [panel: SplitToSequence]
impl SplitToSequence {
    fn run(self, cx: &ValueCx<'_>) -> Result<Value> {
        let input = cx.input(0)?;
        let slabs = Slabs::of(input, self.axis)?;
        let mut items = Vec::new();
        match cx.opt_input(1) {
            None if !self.keep_dims => {
                items = room(slabs.len())?;
                for index in 0..slabs.len() {
                    cx.check()?;
                    items.push(slabs.one(index)?);
                }
            }
            None => chunks(cx, &slabs, 1, &mut items)?,
            Some(split) if tensor_shape(split, "split")?.is_empty() => {
                let chunk = scalar_i64(split, "split")?;
                let chunk = usize::try_from(chunk).ok().filter(|&chunk| chunk > 0);
                let chunk = chunk.ok_or_else(|| Error::invalid_input("split must be positive"))?;
                chunks(cx, &slabs, chunk, &mut items)?;
            }
            Some(split) => {
                let mut start = 0;
                for length in lengths(split, slabs.len())? {
                    cx.check()?;
                    items.push(slabs.some(start, length)?);
                    start += length;
                }
            }
        }
        if items.is_empty() {
            return Ok(Value::Sequence(Sequence::empty(input.dtype())));
        }
        Sequence::new(items).map(Value::Sequence)
    }
}
// [/panel]

/// Pieces of `chunk` slabs each, the last one perhaps shorter.
fn chunks(cx: &ValueCx<'_>, slabs: &Slabs<'_>, chunk: usize, items: &mut Vec<Value>) -> Result<()> {
    *items = room(slabs.len().div_ceil(chunk))?;
    let mut start = 0;
    while start < slabs.len() {
        cx.check()?;
        let length = chunk.min(slabs.len() - start);
        items.push(slabs.some(start, length)?);
        start += length;
    }
    Ok(())
}

fn room(count: usize) -> Result<Vec<Value>> {
    check_room(count.saturating_mul(size_of::<Value>()))?;
    room_for(count)
}

/// Lengths that add up to `whole`.
fn lengths(split: &Value, whole: usize) -> Result<Vec<usize>> {
    let shape = tensor_shape(split, "split")?;
    if shape.len() != 1 {
        return Err(Error::shape(format!("split has shape {shape:?}, expected a scalar or one dimension")));
    }
    let given = split.as_dense().map_or_else(|| Ok(Vec::new()), crate::tensor::Tensor::to_i64s)?;
    let lengths: Option<Vec<usize>> = given.iter().map(|&length| usize::try_from(length).ok()).collect();
    let sum = |lengths: &Vec<usize>| lengths.iter().try_fold(0usize, |sum, &length| sum.checked_add(length));
    lengths.filter(|lengths| sum(lengths) == Some(whole)).ok_or_else(|| {
        Error::invalid_input(format!("split {given:?} does not divide the length {whole} into parts of length >= 0"))
    })
}

#[derive(Clone, Copy)]
struct ConcatFromSequence {
    axis: i64,
    new_axis: bool,
}

impl Operator for ConcatFromSequence {
    fn plan(&self, _: &PlanCx<'_>) -> Planned<Step> {
        let concat = *self;
        Step::values(move |cx| concat.run(cx).map(|value| vec![value]))
    }
}

// [panel: ConcatFromSequence]
impl ConcatFromSequence {
    fn run(self, cx: &ValueCx<'_>) -> Result<Value> {
        let sequence = as_sequence(cx.input(0)?, "input_sequence")?;
        let Some(first) = sequence.items().first() else {
            return Err(Error::shape("a sequence without tensors has nothing to concatenate"));
        };
        let shape = tensor_shape(first, "an item")?;
        let axis = normalize_axis(self.axis, shape.len() + usize::from(self.new_axis))?;
        check_room(byte_size(cx.input(0)?))?;
        let mut joined = if self.new_axis {
            Joined::stack(first, self.axis, sequence.len())?
        } else {
            let own = |item: &Value| Some(*item.shape()?.get(axis)?);
            let sum = sequence.items().iter().try_fold(0usize, |sum, item| sum.checked_add(own(item).unwrap_or(0)));
            let len = sum.ok_or_else(|| Error::resource_limit("the concatenation is too long"))?;
            element_count(&[len])?;
            Joined::concat(first, axis, len)?
        };
        let mut place = 0;
        for item in sequence.items() {
            cx.check()?;
            place += joined.put(place, item)?;
        }
        joined.finish()
    }
}
// [/panel]

fn build_split(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(SplitToSequence { axis: cx.int("axis", 0)?, keep_dims: cx.int("keepdims", 1)? != 0 }))
}

fn build_concat(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let axis = cx.required("axis", cx.opt_int("axis")?)?;
    Ok(Box::new(ConcatFromSequence { axis, new_axis: cx.int("new_axis", 0)? != 0 }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("SplitToSequence", &[11, 24], build_split).chain(versions("ConcatFromSequence", &[11], build_concat))
}
