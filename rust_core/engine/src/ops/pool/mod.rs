//! AveragePool, MaxPool and the global pools; pools by norms; MaxUnpool.

mod norm;
mod unpool;

use diptych_kernels::pool::{AverageElement, Indices, MaxElement, PoolShape, average_pool, max_pool};
use diptych_kernels::reduce::Reduction;

use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, OutputType, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::reduce::plan_reduce;
use crate::ops::windows::{WindowAttributes, Windows};
use crate::run::Disjoint;
use crate::tensor::element_count;
use crate::with_dtype;

/// Window positions worth a task of its own: about 20 microseconds.
const GRAIN: u64 = 100_000;

/// Longest axis of a kernel: its positions are walked even where all of them lie in the padding.
const KERNEL: usize = 1 << 24;

impl From<Windows> for PoolShape {
    fn from(windows: Windows) -> PoolShape {
        PoolShape {
            input: windows.input,
            kernel: windows.kernel,
            strides: windows.strides,
            dilations: windows.dilations,
            pads_begin: windows.pads_begin,
            pads_end: windows.pads_end,
            output: windows.output,
        }
    }
}

/// Planes to be pooled.
struct Planes {
    shape: PoolShape,
    count: usize,
    output: OutputType,
    /// Nanoseconds of one core.
    cost: u64,
    /// Planes worth a task.
    grain: usize,
}

impl Planes {
    /// The windows of a pool over the axes of the input from 2 on.
    fn new(cx: &PlanCx<'_>, attributes: &WindowAttributes, dtype: DType) -> Result<Planes> {
        let x = cx.shape(0)?;
        let &[batch, channels, ref size @ ..] = x else {
            return Err(Error::shape(format!("X has shape {x:?}, expected a rank of at least 3")));
        };
        let kernel: Vec<usize> = attributes.kernel_shape.iter().map(|&k| usize::try_from(k).unwrap_or(0)).collect();
        if size.is_empty() {
            return Err(Error::shape(format!("X has shape {x:?}, expected a rank of at least 3")));
        }
        let windows = attributes.resolve(size, &kernel)?;
        let output = OutputType::new(dtype, windows.output_shape([batch, channels]));
        let elements = element_count(&output.shape)? as u64;
        if elements > 0 && kernel.iter().any(|&k| k > KERNEL) {
            return Err(Error::resource_limit(format!("a kernel of shape {kernel:?} is more than is supported")));
        }
        let shape = PoolShape::from(windows);
        // Positions outside the input cost nothing.
        let positions = (0..3).fold(1u64, |n, i| n.saturating_mul(shape.kernel[i].min(shape.input[i].max(1)) as u64));
        let work = elements.saturating_mul(positions);
        let count = element_count(&[batch, channels])?;
        let grain = (GRAIN / (work / (count as u64).max(1)).max(1)).max(1) as usize;
        Ok(Planes { shape, count, output, cost: work / 5 + 200, grain })
    }

    fn is_empty(&self) -> bool {
        self.count == 0 || self.shape.out_plane() == 0
    }

    fn average<T: AverageElement + Element>(self, count_include_pad: bool) -> KernelStep {
        let cost = self.cost;
        KernelStep::with_outputs([self.output.clone()], move |cx| {
            if self.is_empty() {
                return Ok(());
            }
            let (x, from, isa) = (cx.input::<T>(0), self.shape.in_plane(), cx.isa());
            cx.parallel_rows(cx.output::<T>(0), self.shape.out_plane(), self.grain, |first, y, _| {
                let planes = y.len() / self.shape.out_plane();
                average_pool(isa, &self.shape, count_include_pad, &x[first * from..(first + planes) * from], y);
            })
        })
        .cost(cost)
    }

    /// `indices`: whether the second output is wanted.
    fn max<T: MaxElement + Element>(self, indices: bool, column_major: bool) -> KernelStep {
        let cost = self.cost;
        let mut outputs = vec![self.output.clone()];
        outputs.extend(indices.then(|| OutputType::new(DType::I64, self.output.shape.clone())));
        KernelStep::with_outputs(outputs, move |cx| {
            if self.is_empty() {
                return Ok(());
            }
            let (x, isa) = (cx.input::<T>(0), cx.isa());
            let (from, to) = (self.shape.in_plane(), self.shape.out_plane());
            let y = Disjoint::new(cx.output::<T>(0));
            let places = if indices { cx.opt_output::<i64>(1) } else { None };
            let places = places.map(Disjoint::new);
            cx.parallel_ranges(self.count, self.grain, |planes, _| {
                let range = planes.start * to..planes.end * to;
                let x = &x[planes.start * from..planes.end * from];
                // SAFETY: chunks have planes of their own.
                let (y, places) =
                    unsafe { (y.range(range.clone()), places.as_ref().map(|places| places.range(range))) };
                let first = (planes.start * from) as i64;
                max_pool(isa, &self.shape, x, y, places.map(|to| Indices { to, first, column_major }));
            })
        })
        .cost(cost)
    }
}

struct AveragePool {
    attributes: WindowAttributes,
    count_include_pad: bool,
}

impl Operator for AveragePool {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let planes = Planes::new(cx, &self.attributes, dtype)?;
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16] => planes.average::<T>(self.count_include_pad).into(),
            else Err(Error::unsupported(format!("AveragePool of {dtype}")).into())
        )
    }
}

struct MaxPool {
    attributes: WindowAttributes,
    column_major: bool,
}

impl Operator for MaxPool {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let planes = Planes::new(cx, &self.attributes, dtype)?;
        let indices = cx.wanted.len() > 1;
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16, I8, U8] => planes.max::<T>(indices, self.column_major).into(),
            else Err(Error::unsupported(format!("MaxPool of {dtype}")).into())
        )
    }
}

/// A global pool: a reduction over all axes from 2 on.
struct Global(Reduction);

impl Operator for Global {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let x = cx.shape(0)?;
        if x.len() < 2 {
            return Err(Error::shape(format!("X has shape {x:?}, expected a rank of at least 2")).into());
        }
        let axes: Vec<usize> = (2..x.len()).collect();
        plan_reduce(self.0, dtype, x, &axes, true)
    }
}

/// The attributes of a pool.
fn attributes(cx: &BuildCx<'_>) -> Result<WindowAttributes> {
    let attributes = WindowAttributes::new(cx)?;
    if attributes.kernel_shape.iter().any(|&k| k < 1) {
        let message = format!("kernel_shape {:?}: expected values of at least 1", attributes.kernel_shape);
        return Err(Error::invalid_model(message));
    }
    Ok(attributes)
}

fn build_average(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let attributes = attributes(cx)?;
    let count_include_pad = cx.int("count_include_pad", 0)? != 0;
    Ok(Box::new(AveragePool { attributes, count_include_pad }))
}

fn build_max(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let attributes = attributes(cx)?;
    Ok(Box::new(MaxPool { attributes, column_major: cx.int("storage_order", 0)? != 0 }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("AveragePool", &[1, 7, 10, 11, 19, 22], build_average)
        .chain(versions("MaxPool", &[1, 8, 10, 11, 12, 22], build_max))
        .chain(versions("GlobalAveragePool", &[1, 22], |_| Ok(Box::new(Global(Reduction::Mean)))))
        .chain(versions("GlobalMaxPool", &[1, 22], |_| Ok(Box::new(Global(Reduction::Max)))))
        .chain(norm::rows())
        .chain(unpool::rows())
}
