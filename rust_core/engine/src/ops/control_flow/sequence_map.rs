//! SequenceMap: a subgraph applied to each item of a sequence.

use std::sync::Arc;

use crate::error::{Context, Error, Result};
use crate::graph::Type;
use crate::memory::check_room;
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::values::{as_sequence, byte_size};
use crate::run::{Executable, ValueCx};
use crate::tensor::{Sequence, Value};

struct SequenceMap {
    body: Arc<Executable>,
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let body = cx.graph("body")?;
    let (inputs, outputs) = (body.graph().inputs.len(), body.graph().outputs.len());
    if inputs != cx.node.inputs.len() || outputs < cx.node.outputs.len() {
        return Err(Error::invalid_model(format!(
            "the body has {inputs} inputs and {outputs} outputs, the node {} and {}",
            cx.node.inputs.len(),
            cx.node.outputs.len()
        )));
    }
    Ok(Box::new(SequenceMap { body }))
}

impl Operator for SequenceMap {
    fn plan(&self, _: &PlanCx<'_>) -> Planned<Step> {
        let body = self.body.clone();
        Step::values(move |cx| run(cx, &body))
    }
}

// [panel: SequenceMap]
fn run(cx: &ValueCx<'_>, body: &Arc<Executable>) -> Result<Vec<Value>> {
    let len = as_sequence(cx.input(0)?, "input_sequence")?.len();
    for (position, input) in cx.inputs.iter().flatten().enumerate() {
        if let Value::Sequence(sequence) = input
            && sequence.len() != len
        {
            let message = format!("input {position} is a sequence of {}, input 0 of {len}", sequence.len());
            return Err(Error::shape(message));
        }
    }
    let mut collected: Vec<Vec<Value>> = vec![Vec::new(); body.graph().outputs.len()];
    let mut bytes = 0usize;
    for index in 0..len {
        cx.check()?;
        let sample = |input: &Value| match input {
            Value::Sequence(sequence) => sequence.items()[index].clone(),
            whole => whole.clone(),
        };
        let inputs = (0..cx.inputs.len()).map(|input| cx.input(input).map(sample)).collect::<Result<_>>()?;
        let results = cx.run_subgraph(body, inputs, cx.captures.to_vec()).at(|| format!("item {index}"))?;
        for (items, value) in collected.iter_mut().zip(results) {
            if value.dtype().is_none() {
                return Err(Error::shape(format!("the body gives {}, expected tensors", value.describe())));
            }
            bytes = bytes.saturating_add(byte_size(&value));
            items.push(value);
        }
        check_room(bytes)?;
    }
    let declared = body.graph().outputs.iter().map(|&id| body.graph().values[id].declared.as_ref());
    collected.into_iter().zip(declared).map(|(items, declared)| sequence_of(items, declared)).collect()
}
// [/panel]

/// The items as a sequence; without any, of the declared element type.
fn sequence_of(items: Vec<Value>, declared: Option<&Type>) -> Result<Value> {
    let sequence = match declared {
        Some(Type::Tensor { dtype, .. }) if items.is_empty() => Sequence::empty(Some(*dtype)),
        _ => Sequence::new(items)?,
    };
    Ok(Value::Sequence(sequence))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("SequenceMap", &[17], build)
}
