//! One segment: the dense steps that can be planned now, and the dynamic nodes that run after them.

use std::collections::{HashMap, HashSet};

use diptych_kernels::epilogue::Epilogue;
use smallvec::SmallVec;

use super::fusion;
use super::memory::{self, Use};
use super::work::Work;
use super::{Arrival, Successors};
use crate::error::{Context, Error, Result};
use crate::graph::{Graph, ValueId};
use crate::math::Algorithm;
use crate::operator::{InputInfo, KernelStep, OutputType, PlanCx, RunKernel, RunValues, Step, Stop};
use crate::pool::Team;
use crate::run::{Executable, evaluate_step};
use crate::tensor::{Shape, Tensor, Value, ValueType, byte_len, element_count};

/// Known values up to this many elements are computed at plan time instead of at every run: shape arithmetic.
const FOLD_ELEMENTS: usize = 1024;

/// One dense step of a segment.
pub struct Task {
    pub node: usize,
    pub run: RunKernel,
    pub algorithm: Algorithm,
    pub work: Work,
    /// What follows the node inside its kernel.
    pub epilogue: Option<Epilogue>,
    /// Inputs the kernel reads; absent and packed ones are `None`.
    pub inputs: SmallVec<[Option<ValueId>; 4]>,
    pub outputs: SmallVec<[Option<ValueId>; 2]>,
    /// Offset in the temporary arena and bytes of what the task's threads share while it runs.
    pub workspace: (usize, usize),
    pub cost: u64,
    /// Longest path from here to the end, in cost.
    pub priority: u64,
    pub successors: Vec<u32>,
    pub predecessors: u32,
}

/// A node whose outputs are known only when it has run.
pub struct DynamicNode {
    pub node: usize,
    pub run: RunValues,
    /// Inputs that nobody reads after it: their sequences are the node's to change.
    pub last_reads: Vec<ValueId>,
}

/// Where the bytes of a value are while a segment runs.
#[derive(Clone, Debug)]
pub enum Place {
    /// At an offset of the temporary arena.
    Temporary { offset: usize, bytes: usize },
    /// The bytes of another value (an input, a constant, an output, a temporary).
    View { of: ValueId },
}

/// A value that outlives its segment.
pub enum LiveOut {
    /// Written by a task into a buffer of its own.
    Buffer { value: ValueId, ty: OutputType },
    /// Another value under this shape.
    View { value: ValueId, of: ValueId, shape: Shape },
    /// Computed when the plan was made.
    Known { value: ValueId, constant: Value },
}

pub struct Segment {
    pub arrivals: Vec<Arrival>,
    /// Values whose elements the plan depends on, as they were.
    pub read: Vec<(ValueId, Value)>,
    pub tasks: Vec<Task>,
    pub dynamic: Vec<DynamicNode>,
    pub live_out: Vec<LiveOut>,
    /// Places of temporaries and views, views after what they show.
    pub places: Vec<(ValueId, Place)>,
    /// Operands of tasks that are constants, or were computed when the plan was made.
    pub folded: Vec<(ValueId, Tensor)>,
    /// Byte ranges of the arena with the tasks that touch them, for the poison of random schedules.
    pub buffers: Vec<memory::Buffer>,
    pub arena_bytes: usize,
    pub scratch_bytes: usize,
    /// Bytes of the buffers in `live_out`.
    pub output_bytes: usize,
    /// Sum of costs over the longest path: above 1, nodes can run side by side.
    pub width: f64,
    /// Nodes that are done once this segment has run.
    pub done: Vec<bool>,
    /// What is known of values after the dense steps, for planning the next segment.
    pub infos: Vec<Option<InputInfo>>,
    pub finished: bool,
    pub next: Successors,
}

/// Where temporaries and views are.
type Places = Vec<(ValueId, Place)>;
/// Operands known when the plan is made.
type Operands = Vec<(ValueId, Tensor)>;

/// Plans one segment of a graph.
pub struct Planner<'a> {
    executable: &'a Executable,
    graph: &'a Graph,
    threads: usize,
    infos: Vec<Option<InputInfo>>,
    /// Values that exist before the segment runs.
    available: Vec<bool>,
    /// View -> root (roots are not views themselves).
    roots: HashMap<ValueId, ValueId>,
    read: Vec<(ValueId, Value)>,
    steps: Vec<Planned>,
    dynamic: Vec<DynamicNode>,
    done: Vec<bool>,
    /// Views and folded values made here.
    made: Vec<ValueId>,
}

/// A step of the segment.
pub(super) struct Planned {
    pub node: usize,
    pub step: KernelStep,
    /// The node's outputs, or those of the last node that follows it inside its kernel.
    pub outputs: SmallVec<[Option<ValueId>; 2]>,
    pub epilogue: Option<Epilogue>,
}

enum Outcome {
    Done,
    Dynamic,
    Blocked,
}

impl<'a> Planner<'a> {
    /// `before`: the segment that has just run, if any. `arrivals`: inputs of the run, or outputs of its dynamic nodes.
    pub fn new(
        executable: &'a Executable,
        threads: usize,
        before: Option<&Segment>,
        arrivals: &[Arrival],
    ) -> Planner<'a> {
        let graph = executable.graph();
        let mut infos = match before {
            Some(segment) => segment.infos.clone(),
            None => executable.constant_infos().to_vec(),
        };
        for arrival in arrivals {
            infos[arrival.value] = Some(arrival.info());
        }
        Planner {
            executable,
            graph,
            threads,
            available: infos.iter().map(Option::is_some).collect(),
            infos,
            roots: HashMap::new(),
            read: Vec::new(),
            steps: Vec::new(),
            dynamic: Vec::new(),
            done: before.map_or_else(|| vec![false; graph.nodes.len()], |segment| segment.done.clone()),
            made: Vec::new(),
        }
    }

    /// Plans every node that can be. `value` looks up a value that exists already.
    pub fn plan(mut self, arrivals: Vec<Arrival>, value: &dyn Fn(ValueId) -> Option<Value>) -> Result<Segment> {
        for index in 0..self.graph.nodes.len() {
            if self.done[index] {
                continue;
            }
            let node = &self.graph.nodes[index];
            if node.dependencies().any(|dependency| self.infos[dependency].is_none()) {
                continue;
            }
            match self.plan_node(index, value).at(|| node.place())? {
                Outcome::Done => self.done[index] = true,
                Outcome::Dynamic | Outcome::Blocked => {}
            }
        }
        for dynamic in &self.dynamic {
            self.done[dynamic.node] = true;
        }
        self.finish(arrivals)
    }

    fn plan_node(&mut self, index: usize, value: &dyn Fn(ValueId) -> Option<Value>) -> Result<Outcome> {
        let node = &self.graph.nodes[index];
        let operator = self.executable.operator(index);
        let wanted: SmallVec<[bool; 4]> = node.outputs.iter().map(Option::is_some).collect();
        loop {
            let inputs: SmallVec<[Option<InputInfo>; 4]> =
                node.inputs.iter().map(|input| input.and_then(|id| self.infos[id].clone())).collect();
            let cx = PlanCx {
                inputs: &inputs,
                wanted: &wanted,
                isa: self.executable.isa(),
                math: self.executable.math(),
                threads: self.threads,
                packed: self.executable.packed(),
            };
            match operator.plan(&cx) {
                Err(Stop::Error(error)) => return Err(error),
                Err(Stop::NeedsValue(input)) => {
                    let id = node.inputs[input].ok_or_else(|| Error::internal(format!("input {input} is absent")))?;
                    // A value of an earlier segment can be read now; one of this segment, in the next.
                    let Some(elements) = self.available[id].then(|| value(id)).flatten() else {
                        return Ok(Outcome::Blocked);
                    };
                    self.read.push((id, elements.clone()));
                    if let Some(info) = &mut self.infos[id] {
                        info.value = Some(elements);
                    }
                }
                Ok(Step::Values(run)) => {
                    self.dynamic.push(DynamicNode { node: index, run, last_reads: Vec::new() });
                    return Ok(Outcome::Dynamic);
                }
                Ok(Step::View { input, shape }) => return self.view(index, input, shape),
                Ok(Step::Kernel(step)) => {
                    // What the kernel does not read need not be known: Shape is folded though its input is not.
                    let ready = |(position, info): (usize, &Option<InputInfo>)| {
                        step.packed.contains(&position) || info.as_ref().is_none_or(|info| info.value.is_some())
                    };
                    let known = operator.deterministic() && inputs.iter().enumerate().all(ready);
                    let small =
                        step.outputs.iter().all(|ty| element_count(&ty.shape).is_ok_and(|n| n <= FOLD_ELEMENTS));
                    return if known && small { self.fold(index, &step, &inputs) } else { self.schedule(index, step) };
                }
            }
        }
    }

    fn view(&mut self, index: usize, input: usize, shape: Shape) -> Result<Outcome> {
        let node = &self.graph.nodes[index];
        let (Some(from), Some(Some(to))) = (node.inputs[input], node.outputs.first()) else {
            return Err(Error::internal("a view of an absent value"));
        };
        let mut info = self.infos[from].clone().ok_or_else(|| Error::internal("a view of an unplanned value"))?;
        info.value = match info.value {
            Some(Value::Dense(tensor)) => Some(tensor.reshaped(&shape)?.into()),
            Some(Value::Strings(strings)) => Some(Value::Strings(crate::Strings { shape: shape.clone(), ..strings })),
            other => other,
        };
        info.shape = shape;
        self.infos[*to] = Some(info);
        self.roots.insert(*to, self.root(from));
        self.made.push(*to);
        Ok(Outcome::Done)
    }

    /// Runs a step on known elements, now.
    fn fold(&mut self, index: usize, step: &KernelStep, inputs: &[Option<InputInfo>]) -> Result<Outcome> {
        let node = &self.graph.nodes[index];
        let operands: Vec<Option<Value>> =
            inputs.iter().map(|info| info.as_ref().and_then(|info| info.value.clone())).collect();
        let results = evaluate_step(step, &operands, self.executable.isa(), &Team::new(1, None, None))?;
        for ((output, result), ty) in node.outputs.iter().zip(results).zip(&step.outputs) {
            if let Some(id) = *output {
                let value = Some(Value::Dense(result));
                self.infos[id] =
                    Some(InputInfo { ty: ValueType::Tensor(ty.dtype), shape: ty.shape.clone(), value, weight: None });
                self.made.push(id);
            }
        }
        Ok(Outcome::Done)
    }

    fn schedule(&mut self, index: usize, step: KernelStep) -> Result<Outcome> {
        let node = &self.graph.nodes[index];
        if step.outputs.len() < node.outputs.len() {
            return Err(Error::internal(format!("{} planned outputs for {}", step.outputs.len(), node.outputs.len())));
        }
        for (output, ty) in node.outputs.iter().zip(&step.outputs) {
            byte_len(ty.dtype, &ty.shape)?;
            if let Some(id) = *output {
                let (ty, shape) = (ValueType::Tensor(ty.dtype), ty.shape.clone());
                let info = InputInfo { ty, shape, value: None, weight: None };
                self.infos[id] = Some(info);
            }
        }
        self.steps.push(Planned { node: index, step, outputs: node.outputs.as_slice().into(), epilogue: None });
        Ok(Outcome::Done)
    }

    fn root(&self, value: ValueId) -> ValueId {
        self.roots.get(&value).copied().unwrap_or(value)
    }

    fn is_planned(&self, value: ValueId) -> bool {
        !self.available[value]
    }

    /// Values of this segment that somebody reads after it, and the roots of views among them.
    fn survivors(&self) -> Vec<ValueId> {
        let mut needed: HashSet<ValueId> = self.graph.outputs.iter().copied().collect();
        for (index, node) in self.graph.nodes.iter().enumerate() {
            if !self.done[index] || self.dynamic.iter().any(|dynamic| dynamic.node == index) {
                needed.extend(node.dependencies());
            }
        }
        let roots: Vec<ValueId> = needed.iter().map(|&value| self.root(value)).collect();
        needed.extend(roots);
        let mut survivors: Vec<ValueId> =
            needed.into_iter().filter(|&value| self.is_planned(value) && self.infos[value].is_some()).collect();
        survivors.sort_unstable();
        survivors
    }

    /// Finds, for each dynamic node, the inputs that neither later nodes nor the graph's outputs read.
    fn find_last_reads(&mut self) {
        let mut read: HashSet<ValueId> = self.graph.outputs.iter().copied().collect();
        let waiting = self.graph.nodes.iter().enumerate().filter(|(index, _)| !self.done[*index]);
        read.extend(waiting.flat_map(|(_, node)| node.dependencies()));
        // A capture is shared with the subgraph, and read again by the next iteration.
        for dynamic in self.dynamic.iter_mut().rev() {
            let node = &self.graph.nodes[dynamic.node];
            read.extend(&node.captures);
            let twice = |id: &ValueId| node.inputs.iter().filter(|input| **input == Some(*id)).count() > 1;
            dynamic.last_reads =
                node.inputs.iter().flatten().copied().filter(|id| !read.contains(id) && !twice(id)).collect();
            read.extend(node.inputs.iter().flatten());
        }
    }

    fn finish(mut self, arrivals: Vec<Arrival>) -> Result<Segment> {
        self.find_last_reads();
        let survivors = self.survivors();
        if self.executable.fuses() {
            fusion::fuse(self.graph, &mut self.steps);
        }
        let written: HashSet<ValueId> =
            self.steps.iter().flat_map(|planned| planned.outputs.iter().flatten().copied()).collect();
        let owned: HashSet<ValueId> = survivors.iter().copied().filter(|value| written.contains(value)).collect();
        let uses = self.uses(&owned)?;
        let layout = memory::lay_out(&uses, &|value| self.root(value));
        let live_out = self.live_out(&survivors, &owned)?;
        let mut output_bytes = 0usize;
        for live in &live_out {
            if let LiveOut::Buffer { ty, .. } = live {
                output_bytes = output_bytes.saturating_add(byte_len(ty.dtype, &ty.shape)?);
            }
        }
        let (places, folded) = self.places(&layout, &owned)?;
        let scratch_bytes = self.steps.iter().map(|planned| planned.step.scratch).max().unwrap_or(0);
        let (tasks, width) = self.tasks(&layout);
        let finished = self.done.iter().all(|done| *done);
        if !finished && tasks.is_empty() && self.dynamic.is_empty() && self.made.is_empty() {
            return Err(Error::internal("planning made no progress"));
        }
        let mut infos = self.infos;
        for (id, info) in infos.iter_mut().enumerate() {
            // Values that do not outlive the segment are unknown to the next.
            if !self.available[id] && survivors.binary_search(&id).is_err() {
                *info = None;
            }
        }
        Ok(Segment {
            arrivals,
            read: self.read,
            tasks,
            dynamic: self.dynamic,
            live_out,
            places,
            folded,
            buffers: layout.buffers,
            arena_bytes: layout.arena_bytes,
            scratch_bytes: scratch_bytes.next_multiple_of(crate::tensor::ALIGN),
            output_bytes,
            width,
            done: self.done,
            infos,
            finished,
            next: Successors::default(),
        })
    }

    /// The memory planner's name for the workspace of a step: a value that lives while the step runs.
    fn workspace_id(&self, position: usize) -> ValueId {
        self.graph.values.len() + position
    }

    /// What the memory planner needs to know of each step.
    fn uses(&self, owned: &HashSet<ValueId>) -> Result<Vec<Use>> {
        let mut uses = Vec::with_capacity(self.steps.len());
        for (position, Planned { node, step, outputs: values, .. }) in self.steps.iter().enumerate() {
            let node = &self.graph.nodes[*node];
            let inputs: SmallVec<[ValueId; 4]> = node
                .inputs
                .iter()
                .enumerate()
                .filter(|(position, _)| !step.packed.contains(position))
                .filter_map(|(_, input)| *input)
                .collect();
            let mut outputs = SmallVec::new();
            for (position, (output, ty)) in values.iter().zip(&step.outputs).enumerate() {
                if let Some(id) = output
                    && !owned.contains(id)
                {
                    outputs.push((position, *id, byte_len(ty.dtype, &ty.shape)?));
                }
            }
            if step.workspace > 0 {
                outputs.push((usize::MAX, self.workspace_id(position), step.workspace));
            }
            let in_place =
                step.in_place.iter().filter_map(|&(from, to)| Some((node.inputs.get(from).copied()??, to))).collect();
            uses.push(Use { inputs, outputs, in_place });
        }
        Ok(uses)
    }

    fn live_out(&self, survivors: &[ValueId], owned: &HashSet<ValueId>) -> Result<Vec<LiveOut>> {
        let mut live_out = Vec::new();
        // Buffers first: views among the survivors show them.
        let (buffers, others): (Vec<ValueId>, Vec<ValueId>) = survivors.iter().partition(|value| owned.contains(value));
        for value in buffers.into_iter().chain(others) {
            let info = self.infos[value].as_ref().ok_or_else(|| Error::internal("a live value without a type"))?;
            live_out.push(match (&info.value, self.roots.get(&value)) {
                (Some(constant), _) => LiveOut::Known { value, constant: constant.clone() },
                (None, Some(&of)) => LiveOut::View { value, of, shape: info.shape.clone() },
                (None, None) => {
                    let dtype = info.ty.dtype().ok_or_else(|| Error::internal("a dense value without a dtype"))?;
                    LiveOut::Buffer { value, ty: OutputType::new(dtype, info.shape.clone()) }
                }
            });
        }
        Ok(live_out)
    }

    fn places(&self, layout: &memory::Layout, owned: &HashSet<ValueId>) -> Result<(Places, Operands)> {
        let mut places = Vec::new();
        let mut folded = Vec::new();
        for (&value, &buffer) in layout.buffer_of.iter().filter(|&(&value, _)| value < self.graph.values.len()) {
            let info = self.infos[value].as_ref().ok_or_else(|| Error::internal("a temporary without a type"))?;
            let dtype = info.ty.dtype().ok_or_else(|| Error::internal("a temporary without a dtype"))?;
            let bytes = byte_len(dtype, &info.shape)?;
            places.push((value, Place::Temporary { offset: layout.buffers[buffer].offset, bytes }));
        }
        for &value in &self.made {
            let known = self.infos[value].as_ref().and_then(|info| info.value.as_ref());
            match (known, self.roots.get(&value)) {
                (Some(Value::Dense(tensor)), _) => folded.push((value, tensor.aligned()?)),
                (_, Some(&of)) if !owned.contains(&value) => places.push((value, Place::View { of })),
                _ => {}
            }
        }
        for Planned { node, step, .. } in &self.steps {
            for (position, input) in self.graph.nodes[*node].inputs.iter().enumerate() {
                if let Some(id) = *input
                    && !step.packed.contains(&position)
                    && let Some(tensor) = self.executable.aligned_constant(id)?
                    && self.infos[id].as_ref().is_some_and(|info| info.weight.is_some())
                {
                    folded.push((id, tensor));
                }
            }
        }
        Ok((places, folded))
    }

    /// The steps with their dependencies (data and reuse) and priorities; and the width of the task graph.
    fn tasks(&mut self, layout: &memory::Layout) -> (Vec<Task>, f64) {
        let mut producer: HashMap<ValueId, usize> = HashMap::new();
        let mut edges: HashSet<(usize, usize)> = layout.edges.iter().copied().filter(|(from, to)| from != to).collect();
        for (position, planned) in self.steps.iter().enumerate() {
            let node = &self.graph.nodes[planned.node];
            edges.extend(
                node.inputs.iter().flatten().filter_map(|&id| Some((*producer.get(&self.root(id))?, position))),
            );
            producer.extend(planned.outputs.iter().flatten().map(|&id| (id, position)));
        }
        let mut successors: Vec<Vec<u32>> = vec![Vec::new(); self.steps.len()];
        let mut predecessors = vec![0u32; self.steps.len()];
        for (from, to) in edges {
            successors[from].push(to as u32);
            predecessors[to] += 1;
        }
        let mut priority = vec![0u64; self.steps.len()];
        for position in (0..self.steps.len()).rev() {
            let after = successors[position].iter().map(|&next| priority[next as usize]).max().unwrap_or(0);
            priority[position] = after.saturating_add(self.steps[position].step.cost.max(1));
        }
        let total: u64 = self.steps.iter().map(|planned| planned.step.cost.max(1)).fold(0, u64::saturating_add);
        let width = total as f64 / priority.iter().copied().max().unwrap_or(1).max(1) as f64;
        let workspaces: Vec<usize> = (0..self.steps.len())
            .map(|position| {
                layout.buffer_of.get(&self.workspace_id(position)).map_or(0, |&of| layout.buffers[of].offset)
            })
            .collect();
        let steps = self.steps.iter_mut().zip(workspaces);
        let tasks = steps.zip(successors).zip(predecessors).zip(priority);
        let tasks = tasks.map(|((((planned, workspace), successors), predecessors), priority)| {
            let (node, step) = (&self.graph.nodes[planned.node], &mut planned.step);
            let read =
                |(position, input): (usize, &Option<ValueId>)| input.filter(|_| !step.packed.contains(&position));
            Task {
                node: planned.node,
                inputs: node.inputs.iter().enumerate().map(read).collect(),
                outputs: planned.outputs.clone(),
                epilogue: planned.epilogue.take(),
                algorithm: step.algorithm,
                work: Work::of(node, &self.infos),
                workspace: (workspace, step.workspace),
                cost: step.cost,
                priority,
                successors,
                predecessors,
                run: std::mem::replace(&mut step.run, Box::new(|_| Ok(()))),
            }
        });
        (tasks.collect(), width)
    }
}
