//! CausalConvWithState: a depthwise convolution along a sequence that goes on from call to call.

use diptych_kernels::causal::causal_conv;
use diptych_kernels::functions::Float;

use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, OutputType, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::elements::{buffer_bytes, elements_mut};
use crate::run::Disjoint;
use crate::tensor::{Shape, element_count};
use crate::with_dtype;

/// Multiply-adds worth a task.
const GRAIN: usize = 40_000;

struct Causal {
    silu: bool,
}

impl Operator for Causal {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (x, w) = (cx.shape(0)?, cx.shape(1)?);
        let (&[n, channels, length], &[m, 1, taps]) = (x, w) else {
            let message = format!("input and weight have shapes {x:?} and {w:?}, expected N, C, L and C, 1, k");
            return Err(Error::shape(message).into());
        };
        if m != channels || taps == 0 {
            return Err(Error::shape(format!("weight has shape {w:?} for {channels} channels")).into());
        }
        if cx.has(2) && cx.shape(2)? != [channels] {
            return Err(Error::shape(format!("bias of shape {:?} for {channels} channels", cx.shape(2)?)).into());
        }
        let state = [n, channels, taps - 1];
        if cx.has(3) && cx.shape(3)? != state {
            return Err(Error::shape(format!("past_state has shape {:?}, expected {state:?}", cx.shape(3)?)).into());
        }
        let dtype = cx.dtype(0)?;
        let with_state = cx.wanted.len() > 1;
        let geometry = Geometry { rows: element_count(&[n, channels])?, channels, length, taps };
        with_dtype!(
            dtype, T in [F32, F16, BF16] => step::<T>(x.into(), &state, with_state, geometry, self.silu)?.into(),
            else Err(Error::unsupported(format!("CausalConvWithState of {dtype}")).into())
        )
    }
}

/// Rows are the channels of all sequences.
#[derive(Clone, Copy)]
struct Geometry {
    rows: usize,
    channels: usize,
    length: usize,
    taps: usize,
}

fn step<T: Float + Element>(
    shape: Shape,
    state: &[usize],
    with_state: bool,
    geometry: Geometry,
    silu: bool,
) -> Result<KernelStep>
where
    T::Wide: Element,
{
    let Geometry { rows, channels, length, taps } = geometry;
    element_count(state)?;
    let past_len = taps - 1;
    let scratch = if rows == 0 { 0 } else { buffer_bytes::<T::Wide>(&[element_count(&[length])? + past_len])? };
    let mut outputs = vec![OutputType::new(T::DTYPE, shape)];
    outputs.extend(with_state.then(|| OutputType::new(T::DTYPE, state)));
    let work = length.saturating_mul(taps).saturating_add(past_len + 100);
    let cost = (rows as u64).saturating_mul(work as u64) / 8 + 200;
    let step = KernelStep::with_outputs(outputs, move |cx| {
        let (x, w, isa) = (cx.input::<T>(0), cx.input::<T>(1), cx.isa());
        let (bias, past) = (cx.opt_input::<T>(2), cx.opt_input::<T>(3));
        let y = Disjoint::new(cx.output::<T>(0));
        let present = if with_state { cx.opt_output::<T>(1).map(Disjoint::new) } else { None };
        cx.parallel_ranges(rows, GRAIN / work, |range, scratch| {
            let sequence = &mut elements_mut::<T::Wide>(scratch)[..length + past_len];
            for row in range {
                let x = &x[row * length..][..length];
                let past = past.map(|past| &past[row * past_len..][..past_len]);
                let (before, own) = sequence.split_at_mut(past_len);
                match past {
                    Some(past) => before.iter_mut().zip(past).for_each(|(to, x)| *to = x.widen()),
                    None => before.fill(T::Wide::ZERO),
                }
                own.iter_mut().zip(x).for_each(|(to, x)| *to = x.widen());
                let channel = row % channels;
                let kernel = &w[channel * taps..][..taps];
                // SAFETY: rows of different chunks do not overlap.
                let y = unsafe { y.range(row * length..(row + 1) * length) };
                causal_conv(isa, sequence, kernel, bias.map(|bias| bias[channel]), silu, y);
                if let Some(present) = &present {
                    // SAFETY: as above.
                    let to = unsafe { present.range(row * past_len..(row + 1) * past_len) };
                    for (j, to) in (length..).zip(to) {
                        *to = match j.checked_sub(past_len) {
                            Some(own) => x[own],
                            None => past.map_or(T::ZERO, |past| past[j]),
                        };
                    }
                }
            }
        })
    });
    Ok(step.scratch(scratch).cost(cost))
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let silu = match cx.string("activation")?.unwrap_or("none") {
        "none" => false,
        "silu" | "swish" => true,
        other => {
            return Err(Error::invalid_model(format!("activation is '{other}', expected none, silu or swish")));
        }
    };
    Ok(Box::new(Causal { silu }))
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    versions("CausalConvWithState", &[27], build)
}
