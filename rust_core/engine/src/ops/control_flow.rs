//! If and Loop. Their subgraphs are planned like any graph, and see outer values as captures.

use std::sync::Arc;

use crate::dtype::{Bool, DType};
use crate::error::{Context, Error, Result};
use crate::graph::{Dim, Type};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::sub_byte;
use crate::run::{Executable, ValueCx};
use crate::tensor::{Shape, Strings, Tensor, Value};

/// Versions of both; they differ in the types they allow.
const SINCE: &[i64] = &[1, 11, 13, 16, 19, 21, 23, 24, 25];

struct If {
    then_branch: Arc<Executable>,
    else_branch: Arc<Executable>,
}

fn build_if(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let branch = |name: &str| -> Result<Arc<Executable>> {
        let branch = cx.graph(name)?;
        let (given, wanted) = (branch.graph().outputs.len(), cx.node.outputs.len());
        if given < wanted {
            return Err(Error::invalid_model(format!("{name} has {given} outputs, the node {wanted}")));
        }
        Ok(branch)
    };
    Ok(Box::new(If { then_branch: branch("then_branch")?, else_branch: branch("else_branch")? }))
}

impl Operator for If {
    fn plan(&self, _: &PlanCx<'_>) -> Planned<Step> {
        let (then_branch, else_branch) = (self.then_branch.clone(), self.else_branch.clone());
        // Captures come in the order of attribute names: else_branch, then_branch.
        let split = else_branch.graph().captures.len();
        Step::values(move |cx| {
            let chosen = truth(cx.input(0)?, "cond")?;
            let (branch, captures) =
                if chosen { (&then_branch, &cx.captures[split..]) } else { (&else_branch, &cx.captures[..split]) };
            cx.run_subgraph(branch, Vec::new(), captures.to_vec())
        })
    }
}

struct Loop {
    body: Arc<Executable>,
    states: usize,
}

fn build_loop(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let body = cx.graph("body")?;
    let states = cx.node.inputs.len().saturating_sub(2);
    let (inputs, outputs) = (body.graph().inputs.len(), body.graph().outputs.len());
    if inputs != 2 + states || outputs < 1 + states || cx.node.outputs.len() > outputs - 1 {
        return Err(Error::invalid_model(format!(
            "the body has {inputs} inputs and {outputs} outputs; for {states} loop-carried values and {} outputs it needs \
             {} inputs and {} outputs or more",
            cx.node.outputs.len(),
            2 + states,
            1 + states.max(cx.node.outputs.len())
        )));
    }
    Ok(Box::new(Loop { body, states }))
}

impl Operator for Loop {
    fn plan(&self, _: &PlanCx<'_>) -> Planned<Step> {
        let (body, states) = (self.body.clone(), self.states);
        Step::values(move |cx| run_loop(cx, &body, states))
    }
}

fn run_loop(cx: &ValueCx<'_>, body: &Arc<Executable>, states: usize) -> Result<Vec<Value>> {
    let optional = |input: usize| cx.inputs.get(input).and_then(Option::as_ref);
    let trips = optional(0).map(|value| scalar_i64(value, "M")).transpose()?;
    let mut proceed = optional(1).map(|value| truth(value, "cond")).transpose()?.unwrap_or(true);
    let mut state: Vec<Value> = (0..states).map(|index| cx.input(2 + index).cloned()).collect::<Result<_>>()?;
    let scans = body.graph().outputs.len() - 1 - states;
    let mut collected: Vec<Vec<Value>> = vec![Vec::new(); scans];
    let mut iteration = 0i64;
    while proceed && trips.is_none_or(|trips| iteration < trips) {
        cx.check()?;
        let mut inputs = vec![Tensor::scalar(iteration)?.into(), Tensor::scalar(Bool(1))?.into()];
        inputs.append(&mut state);
        let results = cx.run_subgraph(body, inputs, cx.captures.to_vec()).at(|| format!("iteration {iteration}"))?;
        let mut results = results.into_iter();
        let again = results.next().ok_or_else(|| Error::internal("a body without outputs"))?;
        proceed = truth(&again, "the body's condition")?;
        state.extend(results.by_ref().take(states));
        for (scan, value) in collected.iter_mut().zip(results) {
            scan.push(value);
        }
        iteration += 1;
    }
    let declared = body.graph().outputs[1 + states..].iter().map(|&id| body.graph().values[id].declared.as_ref());
    for (scan, declared) in collected.into_iter().zip(declared) {
        state.push(stacked(scan, declared)?);
    }
    Ok(state)
}

/// Scan values along a new first axis; without any, the declared type and shape (0 where it is not fixed).
fn stacked(values: Vec<Value>, declared: Option<&Type>) -> Result<Value> {
    let Some(first) = values.first() else { return nothing(declared) };
    let wrong = |value: &Value| {
        Error::shape(format!(
            "a scan output is {} in one iteration and {} in another",
            first.describe(),
            value.describe()
        ))
    };
    let mut shape: Shape = [values.len()].into_iter().collect();
    shape.extend_from_slice(first.shape().unwrap_or_default());
    if let Some(other) = values.iter().find(|value| value.dtype() != first.dtype() || value.shape() != first.shape()) {
        return Err(wrong(other));
    }
    match first {
        Value::Dense(tensor) => {
            let mut result = Tensor::zeros(tensor.dtype(), &shape)?;
            stack(values.iter().filter_map(Value::as_dense), tensor.dtype().bits(), result.bytes_mut()?);
            Ok(result.into())
        }
        Value::Strings(_) => {
            let data = values.iter().filter_map(|value| match value {
                Value::Strings(strings) => Some(strings.data.iter().cloned()),
                _ => None,
            });
            Ok(Value::Strings(Strings { shape, data: data.flatten().collect() }))
        }
        other => Err(Error::shape(format!("a scan output must be a tensor, got {}", other.describe()))),
    }
}

/// Writes tensors of one type and shape one after the other.
fn stack<'a>(tensors: impl Iterator<Item = &'a Tensor>, bits: usize, out: &mut [u8]) {
    if bits < 8 {
        // A packed element may begin inside a byte.
        let codes: Vec<u8> = tensors.flat_map(|t| sub_byte::unpack(t.bytes(), bits, t.element_count())).collect();
        return sub_byte::pack(&codes, bits, out);
    }
    let mut left = out;
    for tensor in tensors {
        let (here, rest) = left.split_at_mut(tensor.byte_len());
        here.copy_from_slice(tensor.bytes());
        left = rest;
    }
}

fn nothing(declared: Option<&Type>) -> Result<Value> {
    let Some(Type::Tensor { dtype, shape }) = declared else {
        return Err(Error::invalid_model("a scan output of a loop that ran no iteration has no declared tensor type"));
    };
    let size = |dim: &Dim| if let Dim::Known(size) = dim { *size } else { 0 };
    let shape: Shape = std::iter::once(0).chain(shape.iter().flatten().map(size)).collect();
    match dtype {
        DType::String => Ok(Value::Strings(Strings { shape, data: Arc::from([]) })),
        dtype => Ok(Tensor::zeros(*dtype, &shape)?.into()),
    }
}

fn one_element<'a>(value: &'a Value, name: &str) -> Result<&'a Tensor> {
    match value {
        Value::Dense(tensor) if tensor.element_count() == 1 => Ok(tensor),
        other => Err(Error::shape(format!("{name} is {}, expected one element", other.describe()))),
    }
}

fn scalar_i64(value: &Value, name: &str) -> Result<i64> {
    Ok(one_element(value, name)?.to_i64s()?[0])
}

fn truth(value: &Value, name: &str) -> Result<bool> {
    let tensor = one_element(value, name)?;
    match tensor.dtype() {
        DType::Bool => Ok(tensor.bytes()[0] != 0),
        other => Err(Error::shape(format!("{name} must be a bool, got {other}"))),
    }
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("If", SINCE, build_if).chain(versions("Loop", SINCE, build_loop))
}
