//! ai.onnx.preview.training.Gradient: reverse-mode differentiation of the graph around the node.
//!
//! What leads to `y` is evaluated once more, with the node's inputs for `xs` and `zs`, and written on a tape; read backwards, each
//! entry's rule says how the gradient of its output becomes that of its inputs. Rules are made of ONNX's operators and write on the
//! same tape, so that a Gradient of a Gradient needs nothing more.

mod rules;
mod tape;

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::{Context, Error, Result};
use crate::graph::{Around, Node, ValueId};
use crate::onnx::is_gradient;
use crate::operator::{self, BuildCx, Operator, PlanCx, Planned, Row, Step};
use crate::run::ValueCx;
use crate::tensor::Value;

use tape::Tape;

struct Gradient(Arc<Around>);

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let around = cx.node.around.clone().ok_or_else(|| Error::invalid_model("Gradient needs the graph around it"))?;
    let (given, wanted) = (around.variables, cx.node.outputs.len());
    if wanted > given {
        return Err(Error::invalid_model(format!("{wanted} outputs, expected one for each of {given} xs")));
    }
    Ok(Box::new(Gradient(around)))
}

impl Operator for Gradient {
    fn plan(&self, _: &PlanCx<'_>) -> Planned<Step> {
        let around = self.0.clone();
        Step::values(move |cx| run(&around, cx))
    }
}

fn run(around: &Around, cx: &ValueCx<'_>) -> Result<Vec<Value>> {
    let mut tape = Tape::new(cx);
    let inputs: Vec<usize> =
        (0..cx.inputs.len()).map(|input| Ok(tape.add(cx.input(input)?.clone()))).collect::<Result<_>>()?;
    let leaves: Vec<usize> = cx.captures.iter().map(|value| tape.add(value.clone())).collect();
    let found = differentiate(&mut tape, around, &inputs, &leaves)?;
    Ok(found.into_iter().map(|place| tape.value(place).clone()).collect())
}

/// Evaluates what leads to the target, then goes backwards; the gradients of the variables. `inputs` and `leaves` are places on the
/// tape.
fn differentiate(tape: &mut Tape<'_, '_>, around: &Around, inputs: &[usize], leaves: &[usize]) -> Result<Vec<usize>> {
    if inputs.len() != around.sources.len() || leaves.len() != around.leaves.len() {
        let message = format!("{} inputs for the {} tensors of xs and zs", inputs.len(), around.sources.len());
        return Err(Error::invalid_model(message));
    }
    let mut known: HashMap<ValueId, usize> = around.leaves.iter().copied().zip(leaves.iter().copied()).collect();
    known.extend(around.sources.iter().zip(inputs).filter_map(|(source, &place)| source.map(|id| (id, place))));
    for node in &around.nodes {
        forward(tape, node, &mut known).at(|| node.place())?;
    }
    let target = place_of(&known, around.target)?;
    // Of a tensor named twice the last place counts.
    let of_source = |(source, &input): (&Option<ValueId>, &usize)| source.map_or(input, |id| known[&id]);
    let wanted: Vec<usize> = around.sources.iter().zip(inputs).take(around.variables).map(of_source).collect();
    for &place in wanted.iter().chain([&target]) {
        if !tape.dtype(place).is_ok_and(|dtype| dtype.is_float()) {
            let what = tape.value(place).describe();
            return Err(Error::shape(format!("{what} is not a tensor of floats, so there is no gradient")));
        }
    }
    backward(tape, target, &wanted)
}

fn place_of(known: &HashMap<ValueId, usize>, id: ValueId) -> Result<usize> {
    known.get(&id).copied().ok_or_else(|| Error::internal(format!("value {id} is not on the tape")))
}

/// Evaluates a node, or for a Gradient what it stands for.
fn forward(tape: &mut Tape<'_, '_>, node: &Node, known: &mut HashMap<ValueId, usize>) -> Result<()> {
    let inputs: Vec<Option<usize>> =
        node.inputs.iter().map(|input| input.map(|id| place_of(known, id)).transpose()).collect::<Result<_>>()?;
    let outputs = match &node.around {
        Some(around) if is_gradient(&node.domain, &node.op_type) => {
            let absent = || Error::invalid_model("an input of Gradient is absent");
            let inputs: Vec<usize> = inputs.into_iter().map(|input| input.ok_or_else(absent)).collect::<Result<_>>()?;
            let leaves: Vec<usize> = around.leaves.iter().map(|&id| place_of(known, id)).collect::<Result<_>>()?;
            differentiate(tape, around, &inputs, &leaves)?
        }
        _ => tape.record(node, inputs)?,
    };
    known.extend(node.outputs.iter().zip(outputs).filter_map(|(output, place)| output.map(|id| (id, place))));
    Ok(())
}

// [panel: ai.onnx.preview.training.Gradient]
/// Gradients of the sum of `target` with respect to the values `wanted`; zeros where it does not depend on one.
fn backward(tape: &mut Tape<'_, '_>, target: usize, wanted: &[usize]) -> Result<Vec<usize>> {
    let active = tape.depending_on(wanted);
    let mut found: HashMap<usize, usize> = HashMap::new();
    if active.contains(&target) {
        found.insert(target, tape.filled(1.0, target)?);
    }
    for index in (0..tape.len()).rev() {
        tape.check()?;
        let entry = tape.entry(index);
        let grads: Vec<Option<usize>> = entry.outputs.iter().map(|output| found.get(output).copied()).collect();
        let needed = entry.inputs.iter().flatten().any(|input| active.contains(input));
        if !needed || grads.iter().all(Option::is_none) {
            continue;
        }
        let (Some(&Some(grad)), true) = (grads.first(), grads[1..].iter().all(Option::is_none)) else {
            return Err(entry.refused(", of whose outputs the first alone may matter"));
        };
        for (position, input) in entry.inputs.iter().enumerate() {
            let Some(input) = input.filter(|input| active.contains(input)) else { continue };
            if let Some(new) = rules::gradient(tape, &entry, position, grad)? {
                let sum = match found.get(&input) {
                    Some(&old) => tape.apply("Add", &[old, new])?,
                    None => new,
                };
                found.insert(input, sum);
            }
        }
    }
    wanted.iter().map(|place| found.get(place).map_or_else(|| tape.filled(0.0, *place), |&found| Ok(found))).collect()
}
// [/panel]

pub fn rows() -> impl Iterator<Item = Row> {
    operator::rows_of("ai.onnx.preview.training", "Gradient", &[1], build)
}
