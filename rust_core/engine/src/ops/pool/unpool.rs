//! MaxUnpool: elements back to the places that MaxPool took them from.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::windows::{WindowAttributes, extent, per_axis};
use crate::run::{Disjoint, KernelCx};
use crate::tensor::{Shape, element_count};

/// Elements worth a task.
const GRAIN: usize = 1 << 15;

struct MaxUnpool(WindowAttributes);

/// Where indices count, and where that lies in the output: at its origin.
struct Geometry {
    /// Planes, and elements of one of X.
    planes: usize,
    from: usize,
    /// Spatial sizes of the tensor that indices count in, and of the output.
    frame: Shape,
    output: Shape,
}

impl MaxUnpool {
    fn geometry(&self, cx: &PlanCx<'_>) -> Planned<Geometry> {
        let x = cx.shape(0)?;
        if x.len() < 3 || cx.shape(1)? != x {
            let message = format!("X and I have shapes {x:?} and {:?}, expected one of rank 3 at least", cx.shape(1)?);
            return Err(Error::shape(message).into());
        }
        let rank = x.len() - 2;
        let kernel = per_axis("kernel_shape", &self.0.kernel_shape, 1, rank, 1)?;
        let strides = per_axis("strides", &self.0.strides, 1, rank, 1)?;
        let pads = self.0.explicit_pads(rank)?;
        let given = cx.opt_ints(2)?;
        if let Some(given) = &given {
            let fits = cx.shape(2)?.len() == 1
                && given.len() == x.len()
                && (0..2).all(|axis| usize::try_from(given[axis]) == Ok(x[axis]));
            if !fits {
                return Err(Error::shape(format!("output_shape is {given:?} for X of shape {x:?}")).into());
            }
        }
        let (mut frame, mut output) = (Shape::new(), Shape::new());
        for axis in 0..rank {
            let full = (x[2 + axis] as i128 - 1) * strides[axis] + kernel[axis];
            let own = given.as_ref().map_or(full - pads[axis] - pads[rank + axis], |given| given[2 + axis].into());
            let counted = own.min(full);
            if counted < 0 {
                return Err(Error::shape(format!("X of shape {x:?} unpools to {counted} along axis {axis}")).into());
            }
            frame.push(extent(counted)?);
            output.push(extent(own)?);
        }
        Ok(Geometry { planes: element_count(&x[..2])?, from: element_count(&x[2..])?, frame, output })
    }
}

impl Operator for MaxUnpool {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let geometry = self.geometry(cx)?;
        let shape: Shape = cx.shape(0)?[..2].iter().chain(&geometry.output).copied().collect();
        element_count(&shape)?;
        Ok(Step::Kernel(match dtype.bits() {
            16 => step::<u16>(dtype, shape, geometry)?,
            32 => step::<u32>(dtype, shape, geometry)?,
            64 => step::<u64>(dtype, shape, geometry)?,
            _ => return Err(Error::unsupported(format!("MaxUnpool of {dtype}")).into()),
        }))
    }
}

// [panel: MaxUnpool]
/// The step for elements as wide as `W`, whose zero is theirs.
fn step<W: Element>(dtype: DType, shape: Shape, geometry: Geometry) -> Result<KernelStep> {
    let Geometry { planes, from, frame, output } = geometry;
    let (counted, to) = if planes == 0 { (0, 0) } else { (element_count(&frame)?, element_count(&output)?) };
    let total = element_count(&[planes, counted])?;
    // Where a place in a plane of the frame lies in a plane of the output.
    let moved = move |place: usize| {
        if frame == output {
            return place;
        }
        let (mut rest, mut at, mut stride) = (place, 0, 1);
        for (&counted, &size) in frame.iter().zip(&output).rev() {
            at += rest % counted * stride;
            rest /= counted;
            stride *= size;
        }
        at
    };
    let cost = (planes as u64).saturating_mul((from * 2 + to / 2) as u64).saturating_add(200);
    let step = KernelStep::new(dtype, shape, move |cx| {
        let (x, indices) = (cx.input::<W>(0), cx.input::<i64>(1));
        let y = Disjoint::new(cx.output::<W>(0));
        let at_home = at_home(cx, indices, [planes, from, counted], total)?;
        let grain = GRAIN / (from + to).max(1);
        let scatter = |first: usize, plane: usize, y: &mut [W]| {
            let range = plane * from..(plane + 1) * from;
            for (&x, &index) in x[range.clone()].iter().zip(&indices[range]) {
                let (home, place) = (index as usize / counted, index as usize % counted);
                y[(home - first) * to + moved(place)] = x;
            }
        };
        cx.parallel_ranges(planes, grain, |range, _| {
            // SAFETY: ranges of different chunks do not overlap.
            let y = unsafe { y.range(range.start * to..range.end * to) };
            y.fill(W::default());
            if at_home && counted > 0 {
                range.clone().for_each(|plane| scatter(range.start, plane, y));
            }
        })?;
        if !at_home {
            // SAFETY: the chunks above are done.
            let y = unsafe { y.range(0..y.len()) };
            (0..planes).for_each(|plane| scatter(0, plane, y));
        }
        Ok(())
    });
    Ok(step.cost(cost))
}
// [/panel]

/// Whether all indices of a plane lie in that plane of the frame, so that planes may be scattered side by side. An index outside of the
/// whole frame is an error.
fn at_home(cx: &KernelCx<'_>, indices: &[i64], [planes, from, counted]: [usize; 3], total: usize) -> Result<bool> {
    let (strayed, outside) = (AtomicBool::new(false), AtomicBool::new(false));
    cx.parallel_ranges(planes, GRAIN / from.max(1), |range, _| {
        for plane in range {
            let own = &indices[plane * from..(plane + 1) * from];
            let home = plane * counted..(plane + 1) * counted;
            let fits = |index: &i64| home.contains(&(*index as usize)) && *index >= 0;
            if !own.iter().fold(true, |all, index| all & fits(index)) {
                strayed.store(true, Ordering::Relaxed);
                if own.iter().any(|&index| index < 0 || index as usize >= total) {
                    outside.store(true, Ordering::Relaxed);
                }
            }
        }
    })?;
    if outside.into_inner() {
        return Err(Error::invalid_input(format!(
            "an index is outside 0 .. {total}, the places of the unpooled tensor"
        )));
    }
    Ok(!strayed.into_inner())
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(MaxUnpool(WindowAttributes::new(cx)?)))
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    versions("MaxUnpool", &[9, 11, 22], build)
}
