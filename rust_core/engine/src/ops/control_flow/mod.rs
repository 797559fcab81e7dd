//! If, Loop, Scan, SequenceMap. Their subgraphs are planned like any graph, and see outer values as captures.

use std::sync::Arc;

use crate::dtype::Bool;
use crate::error::{Context, Error, Result};
use crate::graph::Type;
use crate::memory::check_room;
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::values::{Joined, byte_size, scalar_i64, stack_of_nothing, truth};
use crate::run::{Executable, ValueCx};
use crate::tensor::{Tensor, Value};

mod scan;
mod sequence_map;

/// Versions of If and Loop; they differ in the types they allow.
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

// [panel: If]
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
// [/panel]

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

// [panel: Loop]
fn run_loop(cx: &mut ValueCx<'_>, body: &Arc<Executable>, states: usize) -> Result<Vec<Value>> {
    let trips = cx.opt_input(0).map(|value| scalar_i64(value, "M")).transpose()?;
    let mut proceed = cx.opt_input(1).map(|value| truth(value, "cond")).transpose()?.unwrap_or(true);
    let mut state: Vec<Value> = (0..states).map(|index| cx.take(2 + index)).collect::<Result<_>>()?;
    let scans = body.graph().outputs.len() - 1 - states;
    let mut collected: Vec<Vec<Value>> = vec![Vec::new(); scans];
    let (mut iteration, mut bytes) = (0i64, 0usize);
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
            bytes = bytes.saturating_add(byte_size(&value));
            scan.push(value);
        }
        check_room(bytes)?;
        iteration += 1;
    }
    let declared = body.graph().outputs[1 + states..].iter().map(|&id| body.graph().values[id].declared.as_ref());
    for (scan, declared) in collected.into_iter().zip(declared) {
        state.push(stacked(&scan, declared)?);
    }
    Ok(state)
}
// [/panel]

/// Scan values along a new first axis; without any, the declared type and shape.
fn stacked(values: &[Value], declared: Option<&Type>) -> Result<Value> {
    let Some(first) = values.first() else { return stack_of_nothing(declared, 0, &[0]) };
    let mut joined = Joined::stack(first, 0, values.len())?;
    for (iteration, value) in values.iter().enumerate() {
        joined.put(iteration, value)?;
    }
    joined.finish()
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("If", SINCE, build_if)
        .chain(versions("Loop", SINCE, build_loop))
        .chain(scan::rows())
        .chain(sequence_map::rows())
}
