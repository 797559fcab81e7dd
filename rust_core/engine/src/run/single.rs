//! One operator alone, outside any graph: for constant folding, and for calling operators directly.

use std::cell::Cell;

use diptych_kernels::Isa;

use super::{ValueCx, evaluate_step};
use crate::error::{Error, Result};
use crate::graph::Node;
use crate::math::Math;
use crate::operator::{InputInfo, Operator, PlanCx, Planned, Step, Stop};
use crate::packed::PackedWeights;
use crate::pool::Team;
use crate::tensor::{Value, byte_len};

fn plan(
    operator: &dyn Operator,
    node: &Node,
    inputs: &[Option<Value>],
    (isa, math): (Isa, Math),
    threads: usize,
    packed: &PackedWeights,
) -> Planned<Step> {
    let known = |(index, input): (usize, &Option<Value>)| {
        // What fast mode does with weights that are packed ahead of time, it does here too.
        let weight = (math == Math::Fast).then_some(index);
        input.as_ref().map(|value| InputInfo { weight, ..info(value) })
    };
    let infos: Vec<Option<InputInfo>> = inputs.iter().enumerate().map(known).collect();
    let wanted: Vec<bool> = node.outputs.iter().map(Option::is_some).collect();
    operator.plan(&PlanCx { inputs: &infos, wanted: &wanted, isa, math, threads, packed })
}

fn info(value: &Value) -> InputInfo {
    InputInfo {
        ty: value.value_type(),
        shape: value.shape().unwrap_or_default().into(),
        value: Some(value.clone()),
        weight: None,
    }
}

fn stopped(stop: Stop) -> Error {
    match stop {
        Stop::Error(error) => error,
        Stop::NeedsValue(input) => Error::internal(format!("input {input} has a value and yet it was asked for")),
    }
}

/// Bytes of the dense outputs an operator would give; `None` if it cannot be planned or its outputs show only when run.
pub fn planned_bytes(operator: &dyn Operator, node: &Node, inputs: &[Option<Value>], isa: Isa) -> Option<usize> {
    match plan(operator, node, inputs, (isa, Math::Exact), 1, &PackedWeights::default()).ok()? {
        Step::Kernel(step) => step
            .outputs
            .iter()
            .map(|ty| byte_len(ty.dtype, &ty.shape).ok())
            .try_fold(0usize, |sum, n| sum.checked_add(n?)),
        Step::View { .. } => Some(0),
        Step::Values(_) => None,
    }
}

/// Runs one operator on values, exactly, on one thread.
pub fn evaluate(operator: &dyn Operator, node: &Node, inputs: &[Option<Value>], isa: Isa) -> Result<Vec<Value>> {
    evaluate_on(operator, node, inputs, isa, Math::Exact, &Team::new(1, None, None))
}

/// Runs one operator on values with a team of threads.
pub fn evaluate_on(
    operator: &dyn Operator,
    node: &Node,
    inputs: &[Option<Value>],
    isa: Isa,
    math: Math,
    team: &Team<'_>,
) -> Result<Vec<Value>> {
    let packed = PackedWeights::default();
    match plan(operator, node, inputs, (isa, math), team.threads(), &packed).map_err(stopped)? {
        // An operator may plan outputs that the node does not name.
        Step::Kernel(step) => {
            let outputs = evaluate_step(&step, inputs, isa, team)?;
            Ok(outputs.into_iter().take(node.outputs.len()).map(Value::Dense).collect())
        }
        Step::View { input, shape } => match inputs.get(input).and_then(Option::as_ref) {
            Some(Value::Dense(tensor)) => Ok(vec![tensor.reshaped(&shape)?.into()]),
            Some(Value::Strings(strings)) => {
                Ok(vec![Value::Strings(crate::Strings { shape, data: strings.data.clone() })])
            }
            Some(other) => Ok(vec![other.clone()]),
            None => Err(Error::internal("a view of an absent value")),
        },
        Step::Values(run) => {
            let inputs = &mut inputs.to_vec();
            let mut cx = ValueCx { inputs, captures: &[], isa, team, node: &node.name, subgraphs: Cell::new(0) };
            let mut outputs = run(&mut cx)?;
            outputs.truncate(node.outputs.len());
            Ok(outputs)
        }
    }
}
