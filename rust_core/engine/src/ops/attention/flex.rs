//! FlexAttention (preview): attention whose scores and probabilities subgraphs may change.

use std::sync::Arc;

use super::core::{Attention, Bounds, Number, Operand, Part, Preparation, Source};
use super::dot_product::{factor, loader, precision, softmax_row, storer};
use super::extents::{Extents, Strides, heads};
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::operator::{BuildCx, KernelStep, Operator, OutputType, PlanCx, Planned, Row, Step};
use crate::ops::reduce::along;
use crate::ops::softmax;
use crate::run::{Executable, ValueCx, evaluate_step};
use crate::tensor::{Tensor, Value};
use crate::with_dtype;

struct Flex {
    scale: Option<f32>,
    precision: Option<DType>,
    score_mod: Option<Arc<Executable>>,
    prob_mod: Option<Arc<Executable>>,
}

/// Whether a type computes in binary64.
fn is_wide(dtype: DType) -> bool {
    dtype == DType::F64
}

/// Extents and types of one FlexAttention.
#[derive(Clone, Copy)]
struct Geometry {
    extents: Extents,
    strides: [Strides; 3],
    dtype: DType,
    precision: DType,
}

impl Geometry {
    fn operand<W: Number>(&self, input: usize, which: usize, dtype: DType) -> Result<Operand<W>> {
        let size = if which == 2 { self.extents.v_size } else { self.extents.size };
        let own = Source::input(input, self.strides[which]);
        Ok(Operand { own, past: None, size, dtype, load: loader(dtype)? })
    }

    /// The attention whose values are input `v`.
    fn attention<W: Number>(&self, scale: Option<f32>, v: usize, part: Part<W>) -> Result<Attention<W>> {
        let Extents { rows, size, v_size, .. } = self.extents;
        Ok(Attention {
            extents: self.extents,
            q: self.operand(0, 0, self.dtype)?,
            k: self.operand(1, 1, self.dtype)?,
            v: self.operand(v, 2, self.dtype)?,
            factor: factor(scale, size),
            cap: None,
            bounds: Bounds::default(),
            mask: None,
            padding: None,
            sink: None,
            zero_outside: false,
            softmax: softmax_row(Some(self.precision))?,
            part,
            y: Strides::of_heads(self.extents.q_heads(), rows, v_size),
            y_bytes: self.dtype.bits() / 8,
            score_bytes: self.precision.bits() / 8,
            scores_output: 0,
            present: [None; 2],
        })
    }

    fn results(&self) -> OutputType {
        let Extents { batch, rows, v_size, .. } = self.extents;
        OutputType::new(self.dtype, [batch, self.extents.q_heads(), rows, v_size].as_slice())
    }

    fn scores(&self) -> OutputType {
        let Extents { batch, rows, keys, .. } = self.extents;
        OutputType::new(self.precision, [batch, self.extents.q_heads(), rows, keys].as_slice())
    }

    /// All in one step, computed in `W`.
    fn whole<W: Number>(&self, scale: Option<f32>, cx: &PlanCx<'_>) -> Result<KernelStep> {
        let part = Part::Whole { results: storer::<W>(self.dtype)?, scores: None };
        self.attention(scale, 2, part)?.step(Preparation::nothing(), vec![self.results()], cx.isa, cx.threads)
    }

    /// Q and K to scores, computed in `W`.
    fn scores_step<W: Number>(&self, scale: Option<f32>, cx: &PlanCx<'_>) -> Result<KernelStep> {
        let part = Part::Scores(storer::<W>(self.precision)?);
        self.attention(scale, 2, part)?.step(Preparation::nothing(), vec![self.scores()], cx.isa, cx.threads)
    }

    /// Probabilities and V to results, computed in `W`.
    fn values_step<W: Number>(&self, cx: &PlanCx<'_>) -> Result<KernelStep> {
        let part = Part::Values(loader::<W>(self.precision)?, storer::<W>(self.dtype)?);
        self.attention(None, 1, part)?.step(Preparation::nothing(), vec![self.results()], cx.isa, cx.threads)
    }

    fn softmax_step(&self) -> Result<KernelStep> {
        let shape = self.scores().shape;
        with_dtype!(self.precision, S in [F32, F64, F16, BF16] => Ok(softmax::kernel::<S>(false, along(&shape, 3), shape)),
            else Err(Error::unsupported(format!("Softmax of {}", self.precision))))
    }
}

impl Flex {
    fn geometry(&self, cx: &PlanCx<'_>) -> Result<Geometry> {
        let dtype = cx.dtype(0)?;
        for (input, name) in [(0, "Q"), (1, "K"), (2, "V")] {
            if cx.shape(input)?.len() != 4 {
                return Err(Error::shape(format!("{name} has shape {:?}, expected rank 4", cx.shape(input)?)));
            }
        }
        let (q, k, v) =
            (heads(cx.shape(0)?, None, "Q")?, heads(cx.shape(1)?, None, "K")?, heads(cx.shape(2)?, None, "V")?);
        let extents = Extents::new(q.0, k.0, v.0, 0)?;
        let precision = self.precision.unwrap_or(if is_wide(dtype) { DType::F64 } else { DType::F32 });
        Ok(Geometry { extents, strides: [q.1, k.1, v.1], dtype, precision })
    }
}

impl Operator for Flex {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (geometry, scale) = (self.geometry(cx)?, self.scale);
        let plain = self.score_mod.is_none() && self.prob_mod.is_none();
        let wide = [is_wide(geometry.dtype), is_wide(geometry.precision)];
        if plain && wide[0] == wide[1] {
            return if wide[0] { geometry.whole::<f64>(scale, cx) } else { geometry.whole::<f32>(scale, cx) }?.into();
        }
        let scores =
            if wide[0] { geometry.scores_step::<f64>(scale, cx) } else { geometry.scores_step::<f32>(scale, cx) }?;
        let values = if wide[1] { geometry.values_step::<f64>(cx) } else { geometry.values_step::<f32>(cx) }?;
        let (softmax, mods) = (geometry.softmax_step()?, [self.score_mod.clone(), self.prob_mod.clone()]);
        // Captures come in the order of attribute names: prob_mod, score_mod.
        let split = mods[1].as_ref().map_or(0, |graph| graph.graph().captures.len());
        Step::values(move |cx| {
            let captures = [&cx.captures[split..], &cx.captures[..split]];
            let one = |step: &KernelStep, inputs: &[Option<Value>]| -> Result<Value> {
                let results = evaluate_step(step, inputs, cx.isa, cx.team)?;
                results.into_iter().next().map(Value::Dense).ok_or_else(|| Error::internal("a step without outputs"))
            };
            let input = |input: usize| cx.input(input).cloned().map(Some);
            let x = one(&scores, &[input(0)?, input(1)?])?;
            let x = modified(cx, mods[0].as_ref(), captures[0], x, "score_mod")?;
            let p = one(&softmax, &[Some(x)])?;
            let p = modified(cx, mods[1].as_ref(), captures[1], p, "prob_mod")?;
            Ok(vec![one(&values, &[Some(p), input(2)?])?])
        })
    }
}

/// What a subgraph makes of a tensor, which must be of its type and shape.
fn modified(
    cx: &ValueCx<'_>,
    graph: Option<&Arc<Executable>>,
    captures: &[Value],
    x: Value,
    name: &str,
) -> Result<Value> {
    let Some(graph) = graph else { return Ok(x) };
    let (dtype, shape) = (x.dtype(), x.shape().map(<[usize]>::to_vec));
    let y = cx.run_subgraph(graph, vec![x], captures.to_vec())?.into_iter().next();
    let y = y.ok_or_else(|| Error::internal("a subgraph without outputs"))?;
    if y.as_dense().map(Tensor::dtype) != dtype {
        let message = format!("{name} gives {}, expected the type of its input", y.describe());
        return Err(Error::new(ErrorKind::InvalidType, message));
    }
    if y.shape().map(<[usize]>::to_vec) != shape {
        return Err(Error::shape(format!("{name} gives {}, expected the shape {shape:?}", y.describe())));
    }
    Ok(y)
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let graph = |name: &str| -> Result<Option<Arc<Executable>>> {
        if !cx.has(name) {
            return Ok(None);
        }
        let graph = cx.graph(name)?;
        let (inputs, outputs) = (graph.graph().inputs.len(), graph.graph().outputs.len());
        if inputs != 1 || outputs != 1 {
            let message = format!("{name} has {inputs} inputs and {outputs} outputs, expected one of each");
            return Err(Error::invalid_model(message));
        }
        Ok(Some(graph))
    };
    Ok(Box::new(Flex {
        scale: cx.opt_float("scale")?,
        precision: precision(cx)?,
        score_mod: graph("score_mod")?,
        prob_mod: graph("prob_mod")?,
    }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    std::iter::once(Row { domain: "ai.onnx.preview", op_type: "FlexAttention", since: 1, build })
}
