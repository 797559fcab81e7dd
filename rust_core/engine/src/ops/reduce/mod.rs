//! Reductions over axes, running sums, and the places of extremes. Sums follow docs/numerics.md, section 2.

mod extreme;
mod layout;
mod log_sum_exp;
mod scan;
mod topk;

pub(crate) use extreme::along;
pub(crate) use layout::Layout;

use diptych_kernels::Isa;
use diptych_kernels::reduce::{Extent, Integer, Reduction, reduce, reduce_integers};
use smallvec::SmallVec;
use std::ops::Range;

use crate::dtype::{Bool, DType, Element};
use crate::error::{Error, Result};
use crate::operator::{self, BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step};
use crate::ops::axes::normalize_axes;
use crate::ops::elementwise::Place;
use crate::tensor::Shape;
use crate::with_dtype;

/// Elements read that are worth a thread.
const GRAIN: usize = 1 << 16;

/// Where a version has its axes.
enum Axes {
    Attribute(SmallVec<[i64; 6]>),
    /// Input 1. With none, `noop` says whether none or all are meant.
    Input {
        noop: bool,
    },
}

struct Reduce {
    op: Reduction,
    axes: Axes,
    keepdims: bool,
}

/// `input_axes`: the version that made the axes an input.
fn build(cx: &BuildCx<'_>, op: Reduction, input_axes: i64) -> Result<Box<dyn Operator>> {
    let axes = if cx.since < input_axes {
        Axes::Attribute(cx.ints("axes")?.unwrap_or_default().into())
    } else {
        Axes::Input { noop: cx.int("noop_with_empty_axes", 0)? != 0 }
    };
    let keepdims = cx.int("keepdims", 1)? != 0;
    Ok(Box::new(Reduce { op, axes, keepdims }))
}

impl Operator for Reduce {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let shape = cx.shape(0)?;
        let (named, noop): (SmallVec<[i64; 6]>, bool) = match &self.axes {
            Axes::Attribute(axes) => (axes.clone(), false),
            Axes::Input { noop } => (cx.opt_ints(1)?.unwrap_or_default().into(), *noop),
        };
        let axes =
            if named.is_empty() && !noop { (0..shape.len()).collect() } else { normalize_axes(&named, shape.len())? };
        plan_reduce(self.op, dtype, shape, &axes, self.keepdims)
    }
}

/// The step that reduces input 0 over `axes` (distinct, in `0 .. rank`).
pub(crate) fn plan_reduce(
    op: Reduction,
    dtype: DType,
    shape: &[usize],
    axes: &[usize],
    keepdims: bool,
) -> Planned<Step> {
    let out: Shape = (0..shape.len())
        .filter(|axis| keepdims || !axes.contains(axis))
        .map(|axis| if axes.contains(&axis) { 1 } else { shape[axis] })
        .collect();
    crate::tensor::element_count(&out)?;
    let layout = Layout::new(shape, axes);
    with_dtype!(
        dtype, T in [F32, F64, F16, BF16] => kernel::<T, T>(layout, out, move |isa, src, dst, extent, rows, columns| {
            // SAFETY: the layout's extents are those of the operands, and its pieces of the output are disjoint.
            unsafe { reduce(isa, op, src, dst, extent, rows, columns) }
        }).into(),
        else if op == Reduction::LogSumExp {
            log_sum_exp::integers(dtype, layout, out)
        } else {
            with_dtype!(
            dtype, T in [I8, I16, I32, I64, U8, U16, U32, U64] => kernel::<T, T>(layout, out, integers(op)).into(),
            else match dtype {
                DType::Bool => kernel::<Bool, u8>(layout, out, bools(op)).into(),
                other => Err(Error::unsupported(format!("{op:?} of {other}")).into()),
            }
        )}
    )
}

fn integers<T: Integer>(
    op: Reduction,
) -> impl Fn(Isa, *const T, *mut T, Extent, Range<usize>, Range<usize>) + Send + Sync + 'static {
    move |isa, src, dst, extent, rows, columns| {
        // SAFETY: as for floats.
        unsafe { reduce_integers(isa, op, src, dst, extent, rows, columns) }
    }
}

/// Extremes of bytes, then 0 or 1: of nothing, or of a true that was another byte, the extreme is another byte.
fn bools(
    op: Reduction,
) -> impl Fn(Isa, *const u8, *mut u8, Extent, Range<usize>, Range<usize>) + Send + Sync + 'static {
    move |isa, src, dst, extent, rows, columns| {
        // SAFETY: as for floats; the outputs that are read were written just before.
        unsafe {
            reduce_integers(isa, op, src, dst, extent, rows.clone(), columns.clone());
            for row in rows {
                for column in columns.clone() {
                    let at = dst.add(row * extent.inner + column);
                    at.write((at.read() != 0).into());
                }
            }
        }
    }
}

/// The step of a reduction of elements `T`, which the kernel sees as `W` of the same size.
fn kernel<T: Element, W: Element>(
    layout: Layout,
    out: Shape,
    run: impl Fn(Isa, *const W, *mut W, Extent, Range<usize>, Range<usize>) + Send + Sync + 'static,
) -> KernelStep {
    let cost = (layout.reads() * size_of::<T>()) as u64 / 8 + 100;
    let scratch = layout.gathered().saturating_mul(size_of::<T>());
    KernelStep::new(T::DTYPE, out, move |cx| {
        let isa = cx.isa();
        let (src, dst) = (Place::input(cx.input_ptr::<W>(0)), Place::output(cx.output_ptr::<W>(0)));
        layout.each(cx, GRAIN, src, |row, terms, extent, rows, columns| {
            run(isa, terms, dst.at(row * extent.inner), extent, rows, columns);
        })
    })
    .scratch(scratch)
    .cost(cost)
}

pub fn rows() -> impl Iterator<Item = Row> {
    const OLD: &[i64] = &[1, 11, 13, 18];
    const LOGARITHMS: &[i64] = &[1, 11, 13, 18, 28];
    const EXTREMES: &[i64] = &[1, 11, 12, 13, 18, 20];
    operator::rows("ReduceSum", &[1, 11, 13], |cx| build(cx, Reduction::Sum, 13))
        .chain(operator::rows("ReduceMean", OLD, |cx| build(cx, Reduction::Mean, 18)))
        .chain(operator::rows("ReduceProd", OLD, |cx| build(cx, Reduction::Prod, 18)))
        .chain(operator::rows("ReduceL1", OLD, |cx| build(cx, Reduction::L1, 18)))
        .chain(operator::rows("ReduceSumSquare", OLD, |cx| build(cx, Reduction::SumSquare, 18)))
        .chain(operator::rows("ReduceLogSum", LOGARITHMS, |cx| build(cx, Reduction::LogSum, 18)))
        .chain(operator::rows("ReduceLogSumExp", LOGARITHMS, |cx| build(cx, Reduction::LogSumExp, 18)))
        .chain(operator::rows("ReduceL2", OLD, |cx| build(cx, Reduction::L2, 18)))
        .chain(operator::rows("ReduceMax", EXTREMES, |cx| build(cx, Reduction::Max, 18)))
        .chain(operator::rows("ReduceMin", EXTREMES, |cx| build(cx, Reduction::Min, 18)))
        .chain(extreme::rows())
        .chain(scan::rows())
        .chain(topk::rows())
}
