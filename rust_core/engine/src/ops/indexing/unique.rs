//! Unique: elements or slices become rows of integers that are ordered and equal as they are; the rows are sorted.

use diptych_kernels::order::Ordered;

use crate::dtype::{Bool, DType, Element};
use crate::error::{Error, Result};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::axes::normalize_axis;
use crate::ops::indexing::choose::Chosen;
use crate::ops::mover;
use crate::run::ValueCx;
use crate::tensor::{Strings, Tensor, Value, element_count};
use crate::with_dtype;

struct Unique {
    axis: Option<i64>,
    sorted: bool,
}

/// The distinct items of `0 .. count`.
struct Distinct {
    /// The first of each.
    first: Vec<usize>,
    /// Which of the distinct ones each item is.
    group: Vec<usize>,
    counts: Vec<i64>,
}

// [panel: Unique]
/// Sorts `0 .. count` by `compare`, equal ones by number, and groups them; groups in order, or in that of their firsts.
fn distinct<K: Ord>(mut items: Vec<(K, usize)>, sorted: bool) -> Distinct {
    items.sort_unstable();
    let mut group = vec![0; items.len()];
    let (mut first, mut counts) = (Vec::new(), Vec::new());
    for (at, (key, item)) in items.iter().enumerate() {
        if at == 0 || items[at - 1].0 != *key {
            first.push(*item);
            counts.push(0);
        }
        group[*item] = first.len() - 1;
        counts[first.len() - 1] += 1;
    }
    if sorted {
        return Distinct { first, group, counts };
    }
    let mut order: Vec<usize> = (0..first.len()).collect();
    order.sort_unstable_by_key(|&of| first[of]);
    let mut turned = vec![0; first.len()];
    order.iter().enumerate().for_each(|(to, &of)| turned[of] = to);
    Distinct {
        first: order.iter().map(|&of| first[of]).collect(),
        group: group.iter().map(|&of| turned[of]).collect(),
        counts: order.iter().map(|&of| counts[of]).collect(),
    }
}
// [/panel]

/// The distinct elements of a tensor.
fn elements(value: &Value, sorted: bool) -> Result<Distinct> {
    fn of<T: Element + Ordered>(tensor: &Tensor, sorted: bool) -> Result<Distinct> {
        let numbers = tensor.as_slice::<T>()?.iter().map(|x| x.key());
        Ok(distinct(numbers.zip(0..).collect(), sorted))
    }
    let tensor = match value {
        Value::Strings(strings) => {
            return Ok(distinct(strings.data.iter().map(|text| &**text).zip(0..).collect(), sorted));
        }
        Value::Dense(tensor) => tensor.aligned()?,
        other => return Err(Error::internal(format!("{} where a tensor was planned", other.describe()))),
    };
    with_dtype!(tensor.dtype(), T in [F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64] =>
        of::<T>(&tensor, sorted), else
    match tensor.dtype() {
        DType::Bool => {
            Ok(distinct(tensor.as_slice::<Bool>()?.iter().map(|b| b.0 != 0).zip(0..).collect(), sorted))
        }
        DType::C64 => {
            let parts = tensor.bytes().chunks_exact(4).map(|part| part.try_into().map_or(0.0, f32::from_ne_bytes).key());
            Ok(distinct(pairs(parts.collect()), sorted))
        }
        DType::C128 => {
            let parts = tensor.bytes().chunks_exact(8).map(|part| part.try_into().map_or(0.0, f64::from_ne_bytes).key());
            Ok(distinct(pairs(parts.collect()), sorted))
        }
        other => Err(Error::unsupported(format!("Unique does not take tensor({other})"))),
    })
}

/// Complex numbers: by their real, then their imaginary parts.
fn pairs<K: Copy>(parts: Vec<K>) -> Vec<([K; 2], usize)> {
    parts.chunks_exact(2).map(|z| [z[0], z[1]]).zip(0..).collect()
}

/// The distinct slices of a tensor along `axis`.
fn slices(value: &Value, shape: &[usize], axis: usize, sorted: bool) -> Result<Distinct> {
    let (outer, n, inner) = (element_count(&shape[..axis])?, shape[axis], element_count(&shape[axis + 1..])?);
    let ranks = elements(value, true)?.group;
    // Slice by slice, its elements in row-major order.
    let mut rows = Vec::with_capacity(ranks.len());
    for slice in 0..n {
        for row in 0..outer {
            rows.extend_from_slice(&ranks[(row * n + slice) * inner..][..inner]);
        }
    }
    let width = outer * inner;
    Ok(distinct((0..n).map(|slice| (&rows[slice * width..][..width], slice)).collect(), sorted))
}

impl Operator for Unique {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let rank = cx.shape(0)?.len();
        let axis = self.axis.map(|axis| normalize_axis(axis, rank)).transpose()?;
        let (outputs, sorted) = (cx.wanted.len(), self.sorted);
        Step::values(move |cx| run(cx, axis, sorted, outputs))
    }
}

fn run(cx: &mut ValueCx<'_>, axis: Option<usize>, sorted: bool, outputs: usize) -> Result<Vec<Value>> {
    let value = cx.input(0)?;
    let (dtype, shape) = match value {
        Value::Dense(tensor) => (tensor.dtype(), tensor.shape()),
        Value::Strings(Strings { shape, .. }) => (DType::String, shape.as_slice()),
        other => return Err(Error::internal(format!("{} where a tensor was planned", other.describe()))),
    };
    let found = match axis {
        None => elements(value, sorted)?,
        Some(axis) => slices(value, shape, axis, sorted)?,
    };
    let integers = |values: Vec<i64>| Ok(Value::Dense(Tensor::from_slice(&[values.len()], &values)?));
    let places = |places: &[usize]| integers(places.iter().map(|&place| place as i64).collect());
    let (first, group) = (places(&found.first)?, places(&found.group)?);
    let mut results = mover::evaluate(cx, dtype, &[0], &[Chosen::of(shape, axis, found.first)?])?;
    results.extend([first, group, integers(found.counts)?]);
    results.truncate(outputs);
    Ok(results)
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let sorted = match cx.int("sorted", 1)? {
        0 => false,
        1 => true,
        other => return Err(Error::invalid_model(format!("sorted is {other}, expected 0 or 1"))),
    };
    Ok(Box::new(Unique { axis: cx.opt_int("axis")?, sorted }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("Unique", &[11, 28], build)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firsts_groups_and_counts() {
        let items = || [2, 1, 1, 3, 4, 3].into_iter().zip(0..).collect::<Vec<(i32, usize)>>();
        let found = distinct(items(), true);
        assert_eq!(
            (found.first, found.group, found.counts),
            (vec![1, 0, 3, 4], vec![1, 0, 0, 2, 3, 2], vec![2, 1, 2, 1])
        );
        let found = distinct(items(), false);
        assert_eq!(
            (found.first, found.group, found.counts),
            (vec![0, 1, 3, 4], vec![0, 1, 1, 2, 3, 2], vec![1, 2, 2, 1])
        );
    }
}
