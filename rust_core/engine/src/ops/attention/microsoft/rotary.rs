//! RotaryEmbedding of com.microsoft: as ONNX's, with its inputs in another order and positions that may be one number.

use diptych_kernels::functions::Float;

use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step, rows_of};
use crate::ops::attention::extents::Strides;
use crate::ops::attention::rotary::Turn;
use crate::ops::elementwise::Place;
use crate::run::KernelCx;
use crate::tensor::{Shape, element_count};
use crate::with_dtype;

const POSITIONS: usize = 1;
const CACHES: [usize; 2] = [2, 3];

struct Rotary {
    interleaved: bool,
    heads: i64,
    dim: i64,
}

/// The rows and pairs of both caches.
pub(super) fn caches(cx: &PlanCx<'_>, inputs: [usize; 2]) -> Result<[usize; 2]> {
    let [cos, sin] = [cx.shape(inputs[0])?, cx.shape(inputs[1])?];
    match *cos {
        [rows, pairs] if cos == sin => Ok([rows, pairs]),
        _ => Err(Error::shape(format!(
            "cos_cache and sin_cache have shapes {cos:?} and {sin:?}, expected one of rank 2"
        ))),
    }
}

/// The positions from `first` on, or an error where a cache of `rows` rows does not have them all.
pub(super) fn count_from(first: i64, count: usize, rows: usize) -> Result<usize> {
    let last = first.checked_add_unsigned(count as u64);
    if first < 0 || last.is_none_or(|last| last > rows as i64) {
        return Err(Error::invalid_input(format!("positions from {first} on: the caches have {rows} rows")));
    }
    Ok(first as usize)
}

/// Positions, or an error where a cache of `rows` rows lacks one.
pub(super) fn checked(ids: &[i64], rows: usize) -> Result<&[i64]> {
    match ids.iter().find(|&&id| id < 0 || id >= rows as i64) {
        Some(wrong) => Err(Error::invalid_input(format!("position_ids has {wrong}, the caches have {rows} rows"))),
        None => Ok(ids),
    }
}

impl Rotary {
    fn turn(&self, x: &[usize], pairs: usize) -> Result<(usize, Turn)> {
        element_count(x)?;
        let (batch, heads, positions, size, strides) = match *x {
            [batch, heads, positions, size] => {
                (batch, heads, positions, size, Strides::of_heads(heads, positions, size))
            }
            [batch, positions, hidden] => {
                if self.dim != 0 && self.heads <= 0 {
                    return Err(Error::invalid_model("rotary_embedding_dim needs num_heads beside it"));
                }
                let by_caches = hidden.checked_div(2 * pairs).unwrap_or(0);
                let heads = usize::try_from(self.heads).ok().filter(|&heads| heads > 0).unwrap_or(by_caches);
                if heads == 0 || !hidden.is_multiple_of(heads) {
                    let message = format!("input {x:?}: its last axis is no multiple of {heads} heads");
                    return Err(Error::shape(message));
                }
                (batch, heads, positions, hidden / heads, Strides::of_rows(heads, positions, hidden / heads))
            }
            _ => return Err(Error::shape(format!("input has shape {x:?}, expected rank 3 or 4"))),
        };
        if self.heads > 0 && self.heads != heads as i64 {
            return Err(Error::shape(format!("input {x:?} has {heads} heads, the attribute says {}", self.heads)));
        }
        let (turning, interleaved) = (Turn::elements(self.dim, size)?, self.interleaved);
        if turning / 2 != pairs {
            return Err(Error::shape(format!("the caches have {pairs} pairs, {turning} elements of a head turn")));
        }
        Ok((batch, Turn { heads, positions, size, turning, from: strides, to: strides, interleaved }))
    }
}

impl Operator for Rotary {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (x, dtype, [rows, pairs]) = (cx.shape(0)?, cx.dtype(0)?, caches(cx, CACHES)?);
        let (batch, turn) = self.turn(x, pairs)?;
        let ids = cx.shape(POSITIONS)?;
        let one = ids.is_empty() || ids == [1];
        if !one && ids != [batch, turn.positions] {
            let message =
                format!("position_ids has shape {ids:?}, expected {:?} or one number", [batch, turn.positions]);
            return Err(Error::shape(message).into());
        }
        let shape = Shape::from_slice(x);
        with_dtype!(dtype, T in [F32, F16, BF16] => {
            KernelStep::new(dtype, shape, move |cx| run::<T>(cx, &turn, batch, rows, one)).into()
        }, else Err(Error::unsupported(format!("RotaryEmbedding of {dtype}")).into()))
    }
}

fn run<T: Element + Float>(cx: &KernelCx<'_>, turn: &Turn, batch: usize, rows: usize, one: bool) -> Result<()> {
    let ids = cx.input::<i64>(POSITIONS);
    let [x, cos, sin] = [0, CACHES[0], CACHES[1]].map(|input| Place::input(cx.input_ptr::<T>(input)));
    let y = Place::output(cx.output_ptr::<T>(0));
    if batch * turn.positions == 0 {
        return Ok(());
    }
    if one {
        let (first, positions) = (count_from(ids[0], turn.positions, rows)?, turn.positions);
        return turn.run(cx, batch, x, [cos, sin], y, |place| first + place % positions);
    }
    let ids = checked(ids, rows)?;
    turn.run(cx, batch, x, [cos, sin], y, |place| ids[place] as usize)
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(Rotary {
        interleaved: cx.int("interleaved", 0)? != 0,
        heads: cx.int("num_heads", 0)?,
        dim: cx.int("rotary_embedding_dim", 0)?,
    }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    rows_of("com.microsoft", "RotaryEmbedding", &[1], build)
}
