//! RotaryEmbedding: pairs of elements turned by an angle that depends on the position.

use diptych_kernels::functions::Float;
use diptych_kernels::rotary::rotate;

use super::extents::Strides;
use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::elementwise::Place;
use crate::run::KernelCx;
use crate::tensor::{Shape, element_count};
use crate::with_dtype;

const POSITIONS: usize = 3;
/// Elements worth a thread.
const GRAIN: usize = 1 << 14;

struct Rotary {
    interleaved: bool,
    heads: Option<i64>,
    dim: i64,
}

/// How the heads of a tensor turn into those of another.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    pub heads: usize,
    pub positions: usize,
    pub size: usize,
    /// Elements that turn; the others are moved.
    pub turning: usize,
    pub from: Strides,
    pub to: Strides,
    pub interleaved: bool,
}

impl Turn {
    /// How many of a head's `size` elements turn: `dim`, or all if that is 0.
    pub fn elements(dim: i64, size: usize) -> Result<usize> {
        let turning = if dim == 0 { size as i64 } else { dim };
        if turning < 0 || turning > size as i64 || turning % 2 != 0 {
            return Err(Error::shape(format!("{turning} of {size} elements cannot be turned in pairs")));
        }
        Ok(turning as usize)
    }

    /// Turns `batch` sequences; `angle` gives the row of the caches for the position with an index among all.
    pub fn run<T: Element + Float>(
        &self,
        cx: &KernelCx<'_>,
        batch: usize,
        x: Place<T>,
        [cos, sin]: [Place<T>; 2],
        y: Place<T>,
        angle: impl Fn(usize) -> usize + Sync,
    ) -> Result<()> {
        let Turn { heads, positions, size, turning, from, to, interleaved } = *self;
        let isa = cx.isa();
        cx.parallel_ranges(batch * positions, GRAIN / (heads * size).max(1) + 1, |range, _| {
            for place in range {
                let row = angle(place) * (turning / 2);
                for head in 0..heads {
                    let [src, dst] = [from, to].map(|strides| strides.at(place / positions, head, place % positions));
                    let caches = [cos.at(row), sin.at(row)].map(|p| p.cast_const());
                    // SAFETY: the head's `size` elements at this position, and the pairs of its angle; positions are disjoint.
                    unsafe {
                        rotate(isa, interleaved, turning / 2, x.at(src), caches, y.at(dst));
                        x.at(src + turning).copy_to_nonoverlapping(y.at(dst + turning), size - turning);
                    }
                }
            }
        })
    }
}

impl Rotary {
    fn turn(&self, x: &[usize]) -> Result<(usize, Turn)> {
        element_count(x)?;
        let (batch, heads, positions, size, strides) = match *x {
            [batch, heads, positions, size] => {
                (batch, heads, positions, size, Strides::of_heads(heads, positions, size))
            }
            [batch, positions, hidden] => {
                let heads = self.heads.and_then(|heads| usize::try_from(heads).ok()).filter(|&heads| heads > 0);
                let Some(heads) = heads.filter(|&heads| hidden.is_multiple_of(heads)) else {
                    let message = format!("X {x:?}: its last axis is no multiple of num_heads {:?}", self.heads);
                    return Err(Error::shape(message));
                };
                (batch, heads, positions, hidden / heads, Strides::of_rows(heads, positions, hidden / heads))
            }
            _ => return Err(Error::shape(format!("X has shape {x:?}, expected rank 3 or 4"))),
        };
        let (turning, interleaved) = (Turn::elements(self.dim, size)?, self.interleaved);
        Ok((batch, Turn { heads, positions, size, turning, from: strides, to: strides, interleaved }))
    }
}

impl Operator for Rotary {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (x, dtype) = (cx.shape(0)?, cx.dtype(0)?);
        let (batch, turn) = self.turn(x)?;
        let pairs = turn.turning / 2;
        if cx.has(POSITIONS) && cx.shape(POSITIONS)? != [batch, turn.positions] {
            let message =
                format!("position_ids has shape {:?}, expected {:?}", cx.shape(POSITIONS)?, [batch, turn.positions]);
            return Err(Error::shape(message).into());
        }
        for (input, name) in [(1, "cos_cache"), (2, "sin_cache")] {
            let shape = cx.shape(input)?;
            let fits = if cx.has(POSITIONS) {
                matches!(*shape, [_, n] if n == pairs)
            } else {
                shape == [batch, turn.positions, pairs]
            };
            if !fits {
                let message = format!("{name} has shape {shape:?}, expected {pairs} pairs for each position");
                return Err(Error::shape(message).into());
            }
        }
        let caches = [cx.shape(1)?[0], cx.shape(2)?[0]];
        let shape = Shape::from_slice(x);
        with_dtype!(dtype, T in [F32, F16, BF16] => {
            KernelStep::new(dtype, shape, move |cx| run::<T>(cx, &turn, batch, caches)).into()
        }, else Err(Error::unsupported(format!("RotaryEmbedding of {dtype}")).into()))
    }
}

fn run<T: Element + Float>(cx: &KernelCx<'_>, turn: &Turn, batch: usize, caches: [usize; 2]) -> Result<()> {
    let ids = cx.opt_input::<i64>(POSITIONS);
    let rows = caches[0].min(caches[1]);
    if let Some(wrong) = ids.and_then(|ids| ids.iter().find(|&&id| id < 0 || id as usize >= rows)) {
        return Err(Error::invalid_input(format!("position_ids has {wrong}, the caches have {rows} rows")));
    }
    let [x, cos, sin] = [0, 1, 2].map(|input| Place::input(cx.input_ptr::<T>(input)));
    let y = Place::output(cx.output_ptr::<T>(0));
    turn.run(cx, batch, x, [cos, sin], y, |place| ids.map_or(place, |ids| ids[place] as usize))
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(Rotary {
        interleaved: cx.int("interleaved", 0)? != 0,
        heads: cx.opt_int("num_heads")?,
        dim: cx.int("rotary_embedding_dim", 0)?,
    }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("RotaryEmbedding", &[23], build)
}
