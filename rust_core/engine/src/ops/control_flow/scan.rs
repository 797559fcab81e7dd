//! Scan: a subgraph applied along an axis of its inputs, with states, its outputs stacked.

use std::sync::Arc;

use crate::error::{Context, Error, Result};
use crate::memory::check_room;
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::values::{Joined, Slabs, reshaped, stack_of_nothing, tensor_shape};
use crate::run::{Executable, ValueCx};
use crate::tensor::{Shape, Value, ValueType};

#[derive(Clone)]
struct Scan {
    body: Arc<Executable>,
    states: usize,
    input_axes: Vec<i64>,
    input_reversed: Vec<bool>,
    output_axes: Vec<i64>,
    output_reversed: Vec<bool>,
    /// Version 8: a first axis of batches, and their lengths as input 0.
    batched: bool,
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let batched = cx.since == 8;
    let body = cx.graph("body")?;
    let all = cx.node.inputs.len().saturating_sub(usize::from(batched));
    let scanned = cx.required("num_scan_inputs", cx.opt_int("num_scan_inputs")?)?;
    let (inputs, outputs) = (body.graph().inputs.len(), body.graph().outputs.len());
    let scanned = usize::try_from(scanned).ok().filter(|&n| n >= 1 && n <= all).ok_or_else(|| {
        Error::invalid_model(format!("num_scan_inputs is {scanned}, expected 1 to {all}, as many as there are inputs"))
    })?;
    let states = all - scanned;
    if inputs != all || outputs < states || cx.node.outputs.len() > outputs {
        return Err(Error::invalid_model(format!(
            "the body has {inputs} inputs and {outputs} outputs; for {states} states, {scanned} scan inputs and {} outputs it \
             needs {all} inputs and {} outputs or more",
            cx.node.outputs.len(),
            states.max(cx.node.outputs.len())
        )));
    }
    let directions = if batched { "directions" } else { "scan_input_directions" };
    Ok(Box::new(Scan {
        states,
        input_axes: axes(cx, "scan_input_axes", scanned)?,
        input_reversed: reversed(cx, directions, scanned)?,
        output_axes: axes(cx, "scan_output_axes", outputs - states)?,
        output_reversed: reversed(cx, "scan_output_directions", outputs - states)?,
        body,
        batched,
    }))
}

/// An attribute with one number for each of `count` inputs or outputs; zeros if it is absent.
fn axes(cx: &BuildCx<'_>, name: &str, count: usize) -> Result<Vec<i64>> {
    match cx.ints(name)? {
        None => Ok(vec![0; count]),
        Some(values) if values.len() == count => Ok(values.to_vec()),
        Some(values) => Err(Error::invalid_model(format!("{name} has {} entries, expected {count}", values.len()))),
    }
}

fn reversed(cx: &BuildCx<'_>, name: &str, count: usize) -> Result<Vec<bool>> {
    let flags = axes(cx, name, count)?;
    match flags.iter().find(|flag| !matches!(flag, 0 | 1)) {
        Some(other) => Err(Error::invalid_model(format!("{name} holds {other}, expected 0 or 1"))),
        None => Ok(flags.into_iter().map(|flag| flag == 1).collect()),
    }
}

impl Operator for Scan {
    fn plan(&self, _: &PlanCx<'_>) -> Planned<Step> {
        let scan = self.clone();
        Step::values(move |cx| if scan.batched { scan.run_batches(cx) } else { scan.run(cx) })
    }
}

/// One scan output in the making: its room is made when its first slab shows the shape.
struct Output {
    axis: i64,
    len: usize,
    joined: Option<Joined>,
}

impl Output {
    fn put(&mut self, place: usize, slab: &Value) -> Result<()> {
        let joined = match &mut self.joined {
            Some(joined) => joined,
            empty => {
                let shape = tensor_shape(slab, "a scan output")?;
                let dtype = slab.dtype().ok_or_else(|| Error::internal("a shape without a type"))?;
                check_room(Joined::byte_size(dtype, shape)?.saturating_mul(self.len))?;
                empty.insert(Joined::stack(slab, self.axis, self.len)?)
            }
        };
        joined.put(place, slab)?;
        Ok(())
    }
}

// [panel: Scan]
impl Scan {
    fn outputs(&self, len: usize) -> Vec<Output> {
        self.output_axes.iter().map(|&axis| Output { axis, len, joined: None }).collect()
    }

    fn declared(&self, output: usize) -> Option<&crate::graph::Type> {
        let graph = self.body.graph();
        graph.values[graph.outputs[self.states + output]].declared.as_ref()
    }

    /// Versions from 9 on.
    fn run(&self, cx: &mut ValueCx<'_>) -> Result<Vec<Value>> {
        let state: Vec<Value> = (0..self.states).map(|index| cx.take(index)).collect::<Result<_>>()?;
        let slabs = (self.states..cx.inputs.len()).zip(&self.input_axes);
        let slabs: Vec<Slabs<'_>> =
            slabs.map(|(input, &axis)| Slabs::of(cx.input(input)?, axis)).collect::<Result<_>>()?;
        let len = equal_lengths(&slabs)?;
        let mut outputs = self.outputs(len);
        let place = |output: usize, step: usize| if self.output_reversed[output] { len - 1 - step } else { step };
        let mut results = self.iterate(cx, state, &slabs, len, &mut outputs, &place)?;
        for (index, output) in outputs.into_iter().enumerate() {
            results.push(match output.joined {
                Some(joined) => joined.finish()?,
                None => stack_of_nothing(self.declared(index), output.axis, &[len])?,
            });
        }
        Ok(results)
    }

    /// Runs the body `count` times. Output `o` of step `t` goes to `place(o, t)`; returns the last state.
    fn iterate(
        &self,
        cx: &ValueCx<'_>,
        mut state: Vec<Value>,
        slabs: &[Slabs<'_>],
        count: usize,
        outputs: &mut [Output],
        place: &dyn Fn(usize, usize) -> usize,
    ) -> Result<Vec<Value>> {
        let types: Vec<(ValueType, Option<Shape>)> = state.iter().map(type_and_shape).collect();
        for step in 0..count {
            cx.check()?;
            let mut inputs = state;
            for (slabs, &reversed) in slabs.iter().zip(&self.input_reversed) {
                inputs.push(slabs.one(if reversed { count - 1 - step } else { step })?);
            }
            let place_of = || format!("iteration {step}");
            let mut results = cx.run_subgraph(&self.body, inputs, cx.captures.to_vec()).at(place_of)?;
            let elements = results.split_off(self.states);
            state = results;
            for (index, (value, expected)) in state.iter().zip(&types).enumerate() {
                if type_and_shape(value) != *expected {
                    return Err(Error::shape(format!("state {index} became {} in its loop", value.describe())));
                }
            }
            for (index, (output, element)) in outputs.iter_mut().zip(&elements).enumerate() {
                output.put(place(index, step), element).at(place_of)?;
            }
        }
        Ok(state)
    }

    /// Version 8: every batch runs apart, for as many steps as it is long; the rest of its outputs is zero.
    fn run_batches(&self, cx: &ValueCx<'_>) -> Result<Vec<Value>> {
        let inputs: Vec<Slabs<'_>> =
            (1..cx.inputs.len()).map(|input| Slabs::of(cx.input(input)?, 0)).collect::<Result<_>>()?;
        let batches = equal_lengths(&inputs)?;
        let steps = self.longest(cx)?;
        let lens = lengths(cx, batches, steps)?;
        let all = batches.checked_mul(steps).ok_or_else(|| Error::resource_limit("more steps than can be counted"))?;
        let mut outputs = self.outputs(all);
        let mut states: Vec<Vec<Value>> = vec![Vec::new(); self.states];
        for (batch, &count) in lens.iter().enumerate() {
            let state = inputs[..self.states].iter().map(|slabs| slabs.one(batch)).collect::<Result<_>>()?;
            let scanned: Vec<Value> =
                inputs[self.states..].iter().map(|slabs| slabs.one(batch)).collect::<Result<_>>()?;
            let slabs: Vec<Slabs<'_>> = scanned.iter().map(|value| Slabs::of(value, 0)).collect::<Result<_>>()?;
            let last = self.iterate(cx, state, &slabs, count, &mut outputs, &|_, step| batch * steps + step)?;
            states.iter_mut().zip(last).for_each(|(states, value)| states.push(value));
        }
        let mut results = Vec::new();
        for (index, values) in states.iter().enumerate() {
            let Some(first) = values.first() else {
                results.push(cx.input(1 + index)?.clone());
                continue;
            };
            let mut joined = Joined::stack(first, 0, batches)?;
            for (batch, value) in values.iter().enumerate() {
                joined.put(batch, value)?;
            }
            results.push(joined.finish()?);
        }
        for (index, output) in outputs.into_iter().enumerate() {
            results.push(match output.joined {
                Some(joined) => {
                    let flat = joined.finish()?;
                    let mut shape: Shape = [batches, steps].into_iter().collect();
                    shape.extend_from_slice(&tensor_shape(&flat, "a scan output")?[1..]);
                    reshaped(flat, shape)?
                }
                None => stack_of_nothing(self.declared(index), 0, &[batches, steps])?,
            });
        }
        Ok(results)
    }

    /// Steps of the longest sequence: the length of axis 1 of all scan inputs.
    fn longest(&self, cx: &ValueCx<'_>) -> Result<usize> {
        let axis = |input| Ok(Slabs::of(cx.input(input)?, 1)?.len());
        let lens: Vec<usize> = (1 + self.states..cx.inputs.len()).map(axis).collect::<Result<_>>()?;
        all_equal(&lens)
    }
}
// [/panel]

fn type_and_shape(value: &Value) -> (ValueType, Option<Shape>) {
    (value.value_type(), value.shape().map(Shape::from_slice))
}

fn equal_lengths(slabs: &[Slabs<'_>]) -> Result<usize> {
    all_equal(&slabs.iter().map(Slabs::len).collect::<Vec<_>>())
}

fn all_equal(lens: &[usize]) -> Result<usize> {
    match lens.iter().find(|&len| *len != lens[0]) {
        Some(_) => Err(Error::shape(format!("the lengths {lens:?} of what is scanned together differ"))),
        None => Ok(lens.first().copied().unwrap_or(0)),
    }
}

/// The number of steps of each batch.
fn lengths(cx: &ValueCx<'_>, batches: usize, steps: usize) -> Result<Vec<usize>> {
    let Some(given) = cx.opt_input(0) else { return Ok(vec![steps; batches]) };
    let shape = tensor_shape(given, "sequence_lens")?;
    if shape != [batches] {
        return Err(Error::shape(format!("sequence_lens has shape {shape:?}, expected [{batches}]")));
    }
    let lens = given.as_dense().map_or_else(|| Ok(Vec::new()), crate::tensor::Tensor::to_i64s)?;
    let len = |len: i64| usize::try_from(len).ok().filter(|&len| len <= steps);
    lens.iter().map(|&given| len(given).ok_or_else(|| too_long(given, steps))).collect()
}

fn too_long(len: i64, steps: usize) -> Error {
    Error::invalid_input(format!("sequence_lens holds {len}, expected 0 to {steps}"))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("Scan", &[8, 9, 11, 16, 19, 21, 23, 24, 25], build)
}
