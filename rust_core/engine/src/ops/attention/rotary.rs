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

#[derive(Clone, Copy)]
struct Extents {
    heads: usize,
    positions: usize,
    size: usize,
    /// Elements that turn.
    turning: usize,
    strides: Strides,
    interleaved: bool,
}

impl Rotary {
    fn extents(&self, x: &[usize]) -> Result<(usize, Extents)> {
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
        let dim = if self.dim == 0 { size as i64 } else { self.dim };
        if dim < 0 || dim > size as i64 || dim % 2 != 0 {
            return Err(Error::shape(format!("{dim} of {size} elements cannot be turned in pairs")));
        }
        let interleaved = self.interleaved;
        Ok((batch, Extents { heads, positions, size, turning: dim as usize, strides, interleaved }))
    }
}

impl Operator for Rotary {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (x, dtype) = (cx.shape(0)?, cx.dtype(0)?);
        let (batch, extents) = self.extents(x)?;
        let pairs = extents.turning / 2;
        if cx.has(POSITIONS) && cx.shape(POSITIONS)? != [batch, extents.positions] {
            let message =
                format!("position_ids has shape {:?}, expected {:?}", cx.shape(POSITIONS)?, [batch, extents.positions]);
            return Err(Error::shape(message).into());
        }
        for (input, name) in [(1, "cos_cache"), (2, "sin_cache")] {
            let shape = cx.shape(input)?;
            let fits = if cx.has(POSITIONS) {
                matches!(*shape, [_, n] if n == pairs)
            } else {
                shape == [batch, extents.positions, pairs]
            };
            if !fits {
                let message = format!("{name} has shape {shape:?}, expected {pairs} pairs for each position");
                return Err(Error::shape(message).into());
            }
        }
        let caches = [cx.shape(1)?[0], cx.shape(2)?[0]];
        let shape = Shape::from_slice(x);
        with_dtype!(dtype, T in [F32, F16, BF16] => {
            KernelStep::new(dtype, shape, move |cx| run::<T>(cx, &extents, batch, caches)).into()
        }, else Err(Error::unsupported(format!("RotaryEmbedding of {dtype}")).into()))
    }
}

fn run<T: Element + Float>(cx: &KernelCx<'_>, extents: &Extents, batch: usize, caches: [usize; 2]) -> Result<()> {
    let Extents { heads, positions, size, turning, strides, interleaved } = *extents;
    let ids = cx.opt_input::<i64>(POSITIONS);
    let rows = caches[0].min(caches[1]);
    if let Some(wrong) = ids.and_then(|ids| ids.iter().find(|&&id| id < 0 || id as usize >= rows)) {
        return Err(Error::invalid_input(format!("position_ids has {wrong}, the caches have {rows} rows")));
    }
    let [x, cos, sin] = [0, 1, 2].map(|input| Place::input(cx.input_ptr::<T>(input)));
    let (y, isa) = (Place::output(cx.output_ptr::<T>(0)), cx.isa());
    cx.parallel_ranges(batch * positions, GRAIN / (heads * size).max(1) + 1, |range, _| {
        for place in range {
            let angle = ids.map_or(place, |ids| ids[place] as usize) * (turning / 2);
            for head in 0..heads {
                let at = strides.at(place / positions, head, place % positions);
                // SAFETY: the head's `size` elements at this position, and the pairs of its angle; positions are disjoint.
                unsafe {
                    rotate(
                        isa,
                        interleaved,
                        turning / 2,
                        x.at(at),
                        [cos.at(angle), sin.at(angle)].map(|p| p.cast_const()),
                        y.at(at),
                    );
                    let rest = at + turning;
                    x.at(rest).copy_to_nonoverlapping(y.at(rest), size - turning);
                }
            }
        }
    })
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
