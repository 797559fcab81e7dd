//! NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss.

use diptych_kernels::Isa;
use diptych_kernels::functions::Float;
use diptych_kernels::loss::{LogSums, Loss, Targets};
use diptych_kernels::norm::Then;
use diptych_kernels::reduce::{Extent, Reduction, reduce};
use diptych_kernels::softmax::log_sums;

use crate::broadcast::Walk;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{self, BuildCx, KernelStep, Operator, OutputType, PlanCx, Planned, Row, Step};
use crate::ops::axes::normalize_axis;
use crate::ops::elements::{buffer_bytes, elements_mut, rooms, rooms_bytes};
use crate::ops::elementwise::Place;
use crate::ops::normalization::spread;
use crate::ops::reduce::{Layout, along};
use crate::run::{Disjoint, KernelCx};
use crate::tensor::{Shape, element_count};
use crate::with_dtype;

/// Elements worth a thread.
const GRAIN: usize = 1 << 14;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Reduce {
    None,
    Sum,
    Mean,
}

#[derive(Clone, Copy)]
struct LossOperator {
    reduce: Reduce,
    ignored: Option<i64>,
    /// Whether the log-probabilities are first computed, as LogSoftmax of the input.
    softmax: bool,
}

fn build(cx: &BuildCx<'_>, softmax: bool) -> Result<Box<dyn Operator>> {
    let reduce = match cx.string("reduction")?.unwrap_or("mean") {
        "none" => Reduce::None,
        "sum" => Reduce::Sum,
        "mean" => Reduce::Mean,
        other => {
            return Err(Error::invalid_model(format!("reduction is '{other}', expected 'none', 'sum' or 'mean'")));
        }
    };
    Ok(Box::new(LossOperator { reduce, ignored: cx.opt_int("ignore_index")?, softmax }))
}

impl Operator for LossOperator {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (dtype, x, targets) = (cx.dtype(0)?, cx.shape(0)?, cx.shape(1)?);
        if x.len() < 2 || targets.len() + 1 != x.len() || targets[0] != x[0] || targets[1..] != x[2..] {
            let message = format!("targets have shape {targets:?} for classes on axis 1 of {x:?}");
            return Err(Error::shape(message).into());
        }
        if cx.has(2) && cx.shape(2)? != &x[1..2] {
            let message = format!("weights have shape {:?}, expected [{}]", cx.shape(2)?, x[1]);
            return Err(Error::shape(message).into());
        }
        let count = element_count(targets)?;
        let index_dtype = cx.dtype(1)?;
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16] => {
                let plan = Plan::new::<T>(*self, x, targets, count, index_dtype)?;
                plan.step::<T>(x, targets)
            },
            else Err(Error::unsupported(format!("a loss of {dtype}")).into())
        )
    }
}

/// What is settled before a run.
struct Plan {
    what: LossOperator,
    index_dtype: DType,
    classes: usize,
    inner: usize,
    /// Number of targets.
    count: usize,
    /// X as `[N, classes, inner]`.
    layout: Layout,
    /// X with a number for each target.
    walk: Walk<2>,
    /// Bytes of a number for each target.
    room: usize,
}

impl Plan {
    fn new<T: Float>(
        what: LossOperator,
        x: &[usize],
        targets: &[usize],
        count: usize,
        index_dtype: DType,
    ) -> Result<Plan> {
        let mut kept = Shape::from(x);
        kept[1] = 1;
        let extent = along(x, normalize_axis(1, x.len())?);
        let inner = if count == 0 { 0 } else { targets[1..].iter().product() };
        Ok(Plan {
            what,
            index_dtype,
            classes: x[1],
            inner,
            count,
            layout: Layout::middle(extent),
            walk: Walk::broadcast([x, &kept])?.0,
            room: buffer_bytes::<T::Wide>(&[count])?,
        })
    }

    fn step<T: Element + Float>(self, x: &[usize], targets: &[usize]) -> Planned<Step>
    where
        T::Wide: Element,
    {
        let shape = if self.what.reduce == Reduce::None { Shape::from(targets) } else { Shape::new() };
        let loss = OutputType::new(T::DTYPE, shape);
        let log_prob = self.what.softmax.then(|| OutputType::new(T::DTYPE, x));
        let workspace = rooms_bytes(&[self.room; 4])?;
        let cost = self.layout.reads() as u64 * if self.what.softmax { 2 } else { 0 } + self.count as u64 * 4 + 100;
        KernelStep::with_outputs(std::iter::once(loss).chain(log_prob), move |cx| self.run::<T>(cx))
            .workspace(workspace)
            .cost(cost)
            .into()
    }

    fn run<T: Element + Float>(&self, cx: &KernelCx<'_>) -> Result<()>
    where
        T::Wide: Element,
    {
        let [m, l, losses, weights] = rooms(cx.workspace(), [self.room; 4]).map(elements_mut::<T::Wide>);
        let targets = match self.index_dtype {
            DType::I32 => Targets::I32(cx.input(1)),
            _ => Targets::I64(cx.input(1)),
        };
        let counted = targets.check(self.what.ignored, self.classes).map_err(|class| {
            Error::invalid_input(format!("class {class}: expected one of {}, or the ignored index", self.classes))
        })?;
        if self.what.softmax && self.layout.reads() > 0 {
            self.subtrahends::<T>(cx, m, l)?;
        }
        let loss = Loss {
            x: cx.input::<T>(0),
            log_sums: self.what.softmax.then_some(LogSums { maxima: m, logs: l }),
            targets,
            weights: cx.opt_input::<T>(2),
            ignored: self.what.ignored,
            classes: self.classes,
            inner: self.inner,
        };
        if cx.has_output(0) {
            self.reduce(cx, &loss, counted, losses, weights)?;
        }
        Ok(())
    }

    /// What LogSoftmax subtracts, for each target; and log_prob, if it is wanted.
    fn subtrahends<T: Element + Float>(&self, cx: &KernelCx<'_>, m: &mut [T::Wide], l: &mut [T::Wide]) -> Result<()> {
        let isa = cx.isa();
        let (m, l) = (Place::output(m.as_mut_ptr()), Place::output(l.as_mut_ptr()));
        self.layout.each(cx, GRAIN, Place::input(cx.input_ptr::<T>(0)), |_, src, extent, rows, columns| {
            // SAFETY: the extent is that of X; m and l have a number for each target; the pieces are disjoint.
            unsafe { log_sums(isa, src, (m.at(0), l.at(0)), extent, rows, columns) };
        })?;
        if cx.has_output(1) {
            spread::<T>(cx, &self.walk, Then::Subtract, (m, l), 1)?;
        }
        Ok(())
    }

    /// The losses, or one number for all of them, into output 0. `counted`: how many targets are not ignored.
    fn reduce<T: Element + Float>(
        &self,
        cx: &KernelCx<'_>,
        loss: &Loss<'_, T>,
        counted: usize,
        losses: &mut [T::Wide],
        weights: &mut [T::Wide],
    ) -> Result<()>
    where
        T::Wide: Element,
    {
        let weighted = self.what.reduce == Reduce::Mean && loss.weights.is_some();
        let pieces = [Disjoint::new(&mut *losses), Disjoint::new(&mut *weights)];
        cx.parallel_ranges(self.count, GRAIN, |range, _| {
            // SAFETY: ranges of different threads do not overlap.
            let [losses, weights] = pieces.each_ref().map(|piece| unsafe { piece.range(range.clone()) });
            loss.terms(range, losses, weighted.then_some(weights));
        })?;
        let out = cx.output::<T>(0);
        if self.what.reduce == Reduce::None {
            out.iter_mut().zip(losses).for_each(|(out, loss)| *out = T::narrow(*loss));
            return Ok(());
        }
        let total = lane_sum(cx.isa(), losses);
        out[0] = T::narrow(match self.what.reduce {
            Reduce::Mean if weighted => total / lane_sum(cx.isa(), weights),
            Reduce::Mean => total / count_of::<T>(counted),
            _ => total,
        });
        Ok(())
    }
}

fn count_of<T: Float>(count: usize) -> T::Wide {
    <T::Wide as diptych_kernels::functions::Stash>::from_count(count)
}

/// The lane sum of all of `x`.
fn lane_sum<W: Float<Wide = W>>(isa: Isa, x: &[W]) -> W {
    let (mut sum, extent) = (W::ZERO, Extent { outer: 1, n: x.len(), inner: 1 });
    // SAFETY: one row of n numbers, one sum.
    unsafe { reduce(isa, Reduction::Sum, x.as_ptr(), &raw mut sum, extent, 0..1, 0..1) };
    sum
}

pub fn rows() -> impl Iterator<Item = Row> {
    operator::rows("NegativeLogLikelihoodLoss", &[12, 13, 22], |cx| build(cx, false)).chain(operator::rows(
        "SoftmaxCrossEntropyLoss",
        &[12, 13],
        |cx| build(cx, true),
    ))
}
