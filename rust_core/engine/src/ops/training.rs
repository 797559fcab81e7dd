//! ai.onnx.preview.training: one step of an optimizer. What depends on R, T and attributes alone is computed in binary64.

use std::sync::Arc;

use diptych_kernels::functions::Stash;
use diptych_kernels::training::{Adagrad, Adam, Momentum, Optimizer, optimize, power, square_root};

use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{self, BuildCx, KernelStep, Operator, OutputType, PlanCx, Planned, Row, Step};
use crate::ops::elementwise::Place;
use crate::run::KernelCx;
use crate::tensor::element_count;

const DOMAIN: &str = "ai.onnx.preview.training";

/// Elements worth a thread.
const GRAIN: usize = 1 << 14;

/// An optimizer with its attributes: from R and T the function of one place.
trait Rule<const IN: usize, const OUT: usize>: Send + Sync + 'static {
    type Step: Optimizer<IN, OUT>;
    fn at(&self, rate: f64, steps: f64) -> Self::Step;
}

/// Inputs R and T, then `count` tensors of each of IN kinds; outputs `count` tensors of each of OUT kinds.
struct Training<R, const IN: usize, const OUT: usize> {
    rule: Arc<R>,
    count: usize,
}

fn build<R: Rule<IN, OUT>, const IN: usize, const OUT: usize>(cx: &BuildCx<'_>, rule: R) -> Result<Box<dyn Operator>> {
    let (inputs, outputs) = (cx.node.inputs.len().saturating_sub(2), cx.node.outputs.len());
    if !inputs.is_multiple_of(IN) {
        return Err(Error::invalid_model(format!("{inputs} inputs after R and T, expected {IN} for each tensor")));
    }
    let count = inputs / IN;
    if outputs > count * OUT {
        return Err(Error::invalid_model(format!("{outputs} outputs, expected {OUT} for each of {count} tensors")));
    }
    Ok(Box::new(Training::<R, IN, OUT> { rule: Arc::new(rule), count }))
}

impl<R: Rule<IN, OUT>, const IN: usize, const OUT: usize> Operator for Training<R, IN, OUT> {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        for (input, name) in [(0, "R"), (1, "T")] {
            let shape = cx.shape(input)?;
            if element_count(shape)? != 1 {
                return Err(Error::shape(format!("{name} has shape {shape:?}, expected one number")).into());
            }
        }
        let (count, rate_dtype) = (self.count, cx.dtype(0)?);
        let mut tensors = Vec::with_capacity(count);
        for i in 0..count {
            let (dtype, shape) = (cx.dtype(2 + i)?, cx.shape(2 + i)?);
            for kind in 1..IN {
                let input = 2 + kind * count + i;
                if cx.dtype(input)? != dtype || cx.shape(input)? != shape {
                    let (other, others) = (cx.dtype(input)?, cx.shape(input)?);
                    let message = format!("tensor {i} is {dtype} {shape:?}, but input {input} is {other} {others:?}");
                    return Err(Error::shape(message).into());
                }
            }
            tensors.push(OutputType::new(dtype, shape));
        }
        let outputs: Vec<OutputType> = (0..OUT).flat_map(|_| tensors.iter().cloned()).collect();
        let rule = self.rule.clone();
        KernelStep::with_outputs(outputs, move |cx| {
            let step = rule.at(number(cx, 0, rate_dtype), cx.input::<i64>(1)[0] as f64);
            for (i, tensor) in tensors.iter().enumerate() {
                let len = tensor.shape.iter().product();
                match tensor.dtype {
                    DType::F64 => run::<f64, IN, OUT>(cx, step, i, count, len)?,
                    _ => run::<f32, IN, OUT>(cx, step, i, count, len)?,
                }
            }
            Ok(())
        })
        .into()
    }
}

/// The one number of an input.
fn number(cx: &KernelCx<'_>, input: usize, dtype: DType) -> f64 {
    match dtype {
        DType::F64 => cx.input::<f64>(input)[0],
        _ => cx.input::<f32>(input)[0].into(),
    }
}

/// One step of tensor `i` of `count`.
fn run<T: Element + Stash, const IN: usize, const OUT: usize>(
    cx: &KernelCx<'_>,
    step: impl Optimizer<IN, OUT>,
    i: usize,
    count: usize,
    len: usize,
) -> Result<()> {
    let isa = cx.isa();
    let src: [Place<T>; IN] = std::array::from_fn(|kind| Place::input(cx.input_ptr::<T>(2 + kind * count + i)));
    let dst: [Option<Place<T>>; OUT] = std::array::from_fn(|kind| {
        let output = kind * count + i;
        cx.has_output(output).then(|| Place::output(cx.output_ptr::<T>(output)))
    });
    cx.parallel_ranges(len, GRAIN, |range, _| {
        let src = src.map(|place| place.at(range.start).cast_const());
        let dst = dst.map(|place| place.map_or(std::ptr::null_mut(), |place| place.at(range.start)));
        // SAFETY: the range is inside all operands, which have one shape; outputs overlap nothing; ranges are disjoint.
        unsafe { optimize::<T, IN, OUT>(isa, step, src, dst, range.len()) };
    })
}

struct AdagradRule {
    decay: f64,
    norm: f64,
    epsilon: f64,
}

impl Rule<3, 2> for AdagradRule {
    type Step = Adagrad;
    fn at(&self, rate: f64, steps: f64) -> Adagrad {
        Adagrad { rate: rate / (1.0 + steps * self.decay), norm: self.norm, epsilon: self.epsilon }
    }
}

/// The rate is that of the first step; others correct it.
struct AdamRule(Adam);

impl Rule<4, 3> for AdamRule {
    type Step = Adam;
    fn at(&self, rate: f64, steps: f64) -> Adam {
        let Adam { alpha, beta, .. } = self.0;
        let rate = match steps > 0.0 {
            true => rate * square_root(1.0 - power(beta, steps)) / (1.0 - power(alpha, steps)),
            false => rate,
        };
        Adam { rate, ..self.0 }
    }
}

struct MomentumRule(Momentum);

impl Rule<3, 2> for MomentumRule {
    type Step = Momentum;
    fn at(&self, rate: f64, steps: f64) -> Momentum {
        Momentum { rate, beta: if steps > 0.0 { self.0.beta } else { 1.0 }, ..self.0 }
    }
}

fn build_adagrad(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let attribute = |name, default| cx.float(name, default).map(f64::from);
    build(
        cx,
        AdagradRule {
            decay: attribute("decay_factor", 0.0)?,
            norm: attribute("norm_coefficient", 0.0)?,
            epsilon: attribute("epsilon", 1e-6)?,
        },
    )
}

fn build_adam(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let attribute = |name, default| cx.float(name, default).map(f64::from);
    build(
        cx,
        AdamRule(Adam {
            rate: 0.0,
            norm: attribute("norm_coefficient", 0.0)?,
            norm_post: attribute("norm_coefficient_post", 0.0)?,
            alpha: attribute("alpha", 0.9)?,
            beta: attribute("beta", 0.999)?,
            epsilon: attribute("epsilon", 1e-6)?,
        }),
    )
}

fn build_momentum(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let attribute = |name| cx.required(name, cx.opt_float(name)?).map(f64::from);
    let nesterov = match cx.required("mode", cx.string("mode")?)? {
        "standard" => false,
        "nesterov" => true,
        other => {
            return Err(Error::invalid_model(format!("mode is '{other}', expected 'standard' or 'nesterov'")));
        }
    };
    let (norm, alpha, beta) = (attribute("norm_coefficient")?, attribute("alpha")?, attribute("beta")?);
    build(cx, MomentumRule(Momentum { rate: 0.0, norm, alpha, beta, nesterov }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    operator::rows_of(DOMAIN, "Adagrad", &[1], build_adagrad)
        .chain(operator::rows_of(DOMAIN, "Adam", &[1], build_adam))
        .chain(operator::rows_of(DOMAIN, "Momentum", &[1], build_momentum))
}
