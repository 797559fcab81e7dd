//! DepthToSpace and SpaceToDepth: a reshape, a transposition and a reshape, in one.

use crate::error::{Error, Result};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::shape::transpose::rearranged;
use crate::tensor::{Shape, element_count};

struct Blocks {
    size: usize,
    /// Mode DCR: the channels count the places of a block first, then the depth. CRD: the depth first.
    depth_last: bool,
    to_space: bool,
}

// [panel: DepthToSpace SpaceToDepth]
impl Operator for Blocks {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let &[n, c, h, w] = cx.shape(0)? else {
            return Err(Error::shape(format!("shape {:?}, expected [N, C, H, W]", cx.shape(0)?)).into());
        };
        let b = self.size;
        let uneven = || Error::shape(format!("shape {:?} is not divisible into blocks of {b} by {b}", [n, c, h, w]));
        let area = times(b, b)?;
        if self.to_space {
            if c % area != 0 {
                return Err(uneven().into());
            }
            let depth = c / area;
            let shape = Shape::from_slice(&[n, depth, times(h, b)?, times(w, b)?]);
            element_count(&shape)?;
            return if self.depth_last {
                rearranged(dtype, &[n, b, b, depth, h, w], &[0, 3, 4, 1, 5, 2], shape)
            } else {
                rearranged(dtype, &[n, depth, b, b, h, w], &[0, 1, 4, 2, 5, 3], shape)
            };
        }
        if h % b != 0 || w % b != 0 {
            return Err(uneven().into());
        }
        let shape = Shape::from_slice(&[n, times(c, area)?, h / b, w / b]);
        element_count(&shape)?;
        let order = if self.depth_last { [0, 3, 5, 1, 2, 4] } else { [0, 1, 3, 5, 2, 4] };
        rearranged(dtype, &[n, c, h / b, b, w / b, b], &order, shape)
    }
}
// [/panel]

fn times(length: usize, by: usize) -> Result<usize> {
    length.checked_mul(by).ok_or_else(|| Error::resource_limit(format!("an axis of {length} times {by} elements")))
}

fn build(cx: &BuildCx<'_>, to_space: bool) -> Result<Box<dyn Operator>> {
    let size = cx.required("blocksize", cx.opt_int("blocksize")?)?;
    let size = usize::try_from(size).ok().filter(|&size| size > 0);
    let size = size.ok_or_else(|| Error::invalid_model("blocksize must be 1 or more"))?;
    let depth_last = match cx.string("mode")?.unwrap_or("DCR") {
        "DCR" => true,
        "CRD" => false,
        other => return Err(Error::invalid_model(format!("mode is '{other}', expected DCR or CRD"))),
    };
    Ok(Box::new(Blocks { size, depth_last, to_space }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("DepthToSpace", &[1, 11, 13, 28], |cx| build(cx, true)).chain(versions(
        "SpaceToDepth",
        &[1, 13, 28],
        |cx| build(cx, false),
    ))
}
