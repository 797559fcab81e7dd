//! LpNormalization and MeanVarianceNormalization: statistics along any axes, of which each element sees its own.

use diptych_kernels::functions::{Float, Stash};
use diptych_kernels::norm::{Statistics, Then, center, lp_norm, mean_and_deviation};
use diptych_kernels::reduce::Extent;
use smallvec::SmallVec;

use crate::broadcast::Walk;
use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::operator::{self, BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step};
use crate::ops::axes::{normalize_axes, normalize_axis};
use crate::ops::elements::{buffer_bytes, elements_mut, rooms, rooms_bytes};
use crate::ops::elementwise::Place;
use crate::ops::reduce::{Layout, along};
use crate::run::KernelCx;
use crate::tensor::{Shape, element_count};
use crate::with_dtype;

/// Elements worth a thread.
const GRAIN: usize = 1 << 15;

/// What ONNX's function body adds to the standard deviation.
const EPSILON: f32 = 1e-9;

struct LpNormalization {
    axis: i64,
    absolute: bool,
}

fn build_lp(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let p = cx.int("p", 2)?;
    if p != 1 && p != 2 {
        return Err(Error::invalid_model(format!("p is {p}, expected 1 or 2")));
    }
    Ok(Box::new(LpNormalization { axis: cx.int("axis", -1)?, absolute: p == 1 }))
}

impl Operator for LpNormalization {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (dtype, shape) = (cx.dtype(0)?, cx.shape(0)?);
        let extent = along(shape, normalize_axis(self.axis, shape.len())?);
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16] => divided_by_norm::<T>(self.absolute, extent, shape.into()).into(),
            else Err(Error::unsupported(format!("LpNormalization of {dtype}")).into())
        )
    }
}

fn divided_by_norm<T: Element + Float>(absolute: bool, extent: Extent, shape: Shape) -> KernelStep {
    let layout = Layout::middle(extent);
    let cost = layout.reads() as u64 / 2 + 100;
    KernelStep::new(T::DTYPE, shape, move |cx| {
        let isa = cx.isa();
        let (src, dst) = (Place::input(cx.input_ptr::<T>(0)), Place::output(cx.output_ptr::<T>(0)));
        layout.each(cx, GRAIN, src, |_, src, extent, rows, columns| {
            // SAFETY: the extent is that of both; they are one place or disjoint; the pieces are disjoint.
            unsafe { lp_norm(isa, absolute, src, dst.at(0), extent, rows, columns) };
        })
    })
    .in_place(&[(0, 0)])
    .cost(cost)
}

struct MeanVariance {
    axes: SmallVec<[i64; 6]>,
}

fn build_mean_variance(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(MeanVariance { axes: cx.ints("axes")?.unwrap_or(&[0, 2, 3]).into() }))
}

impl Operator for MeanVariance {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (dtype, x) = (cx.dtype(0)?, cx.shape(0)?);
        let axes = match self.axes.is_empty() {
            true => (0..x.len()).collect(),
            false => normalize_axes(&self.axes, x.len())?,
        };
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16] => standardized::<T>(x, &axes),
            else Err(Error::unsupported(format!("MeanVarianceNormalization of {dtype}")).into())
        )
    }
}

fn standardized<T: Element + Float>(x: &[usize], axes: &[usize]) -> Planned<Step>
where
    T::Wide: Element,
{
    let mut kept = Shape::from(x);
    axes.iter().for_each(|&axis| kept[axis] = 1);
    let count = if x.contains(&0) { 0 } else { element_count(&kept)? };
    let room = buffer_bytes::<T::Wide>(&[count])?;
    let (walk, layout) = (Walk::broadcast([x, &kept])?.0, Layout::gathering(x, axes));
    let cost = walk.len() as u64 + 100;
    let gathered = if count == 0 { 0 } else { layout.gathered() };
    KernelStep::new(T::DTYPE, Shape::from(x), move |cx| {
        if count == 0 {
            return Ok(());
        }
        let [means, deviations] = rooms(cx.workspace(), [room, room]);
        let means = Place::output(elements_mut::<T::Wide>(means).as_mut_ptr());
        let deviations = Place::output(elements_mut::<T::Wide>(deviations).as_mut_ptr());
        let (isa, src) = (cx.isa(), Place::input(cx.input_ptr::<T>(0)));
        layout.each(cx, GRAIN, src, |row, terms, extent, _, _| {
            // SAFETY: `each` gives n terms; the statistics have a place for each row, which this call alone writes.
            unsafe {
                let terms = std::slice::from_raw_parts(terms, extent.n);
                let (mean, deviation) = mean_and_deviation(isa, terms, EPSILON);
                means.at(row).write(mean);
                deviations.at(row).write(deviation);
            }
        })?;
        spread::<T>(cx, &walk, Then::Divide, (means, deviations), 0)
    })
    .workspace(rooms_bytes(&[room, room])?)
    .scratch(buffer_bytes::<T>(&[gathered])?)
    .cost(cost)
    .into()
}

/// `(x - first) then second` into an output, for a walk of X and of the statistics.
pub(crate) fn spread<T: Element + Float>(
    cx: &KernelCx<'_>,
    walk: &Walk<2>,
    then: Then,
    (first, second): (Place<T::Wide>, Place<T::Wide>),
    output: usize,
) -> Result<()>
where
    T::Wide: Stash,
{
    let isa = cx.isa();
    let (src, dst) = (Place::input(cx.input_ptr::<T>(0)), Place::output(cx.output_ptr::<T>(output)));
    let [_, stride] = walk.row_strides();
    cx.parallel_ranges(walk.len(), GRAIN, |range, _| {
        walk.rows(range, |at, len, [_, offset]| {
            let statistics = Statistics { first: first.at(offset), second: second.at(offset), each: stride != 0 };
            // SAFETY: the walk stays inside the shapes; X and Y are apart, and threads have different elements.
            unsafe { center(isa, then, statistics, src.at(at), dst.at(at), len) };
        });
    })
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    operator::rows("LpNormalization", &[1, 22], build_lp).chain(operator::rows(
        "MeanVarianceNormalization",
        &[9, 13],
        build_mean_variance,
    ))
}
