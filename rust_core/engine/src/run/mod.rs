//! Running planned graphs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use diptych_kernels::Isa;

use crate::error::{Context, Error, Result};
use crate::graph::{Graph, ValueId};
use crate::math::{Algorithm, Math};
use crate::memory::MemoryBudget;
use crate::operator::{InputInfo, KernelStep, Operator, Registry};
use crate::packed::PackedWeights;
use crate::plan::{Arrival, Planner, Segment, Successors, Work};
use crate::pool::Team;
use crate::profile::Profile;
use crate::tensor::{Tensor, Value};

mod context;
mod kernel_cx;
mod place;
mod schedule;
mod single;

pub use context::RunContext;
pub use kernel_cx::{Disjoint, KernelCx, RawSlot, ValueCx};
pub use place::RunPlace;
pub use single::{evaluate, evaluate_on, planned_bytes};

/// What every graph and subgraph of a session is compiled with.
#[derive(Clone)]
pub struct CompileOptions {
    pub isa: Isa,
    pub math: Math,
    /// Bytes that the session may hold.
    pub budget: Arc<MemoryBudget>,
    /// Runs tasks in a random legal order, poisoning freed memory: for tests of the planner.
    pub schedule_seed: Option<u64>,
    /// Whether steps may follow others inside their kernels: the plan's pass `epilogue_fusion`.
    pub fuse: bool,
    /// Where the times of nodes go, if anybody asked for them.
    pub profile: Option<Arc<Profile>>,
    pub packed: Arc<PackedWeights>,
}

/// A graph with its operators built: plans are made for the input shapes that come.
pub struct Executable {
    graph: Arc<Graph>,
    operators: Vec<Box<dyn Operator>>,
    options: CompileOptions,
    constant_infos: Vec<Option<InputInfo>>,
    /// Aligned copies of constants whose bytes in the file are not.
    aligned: Mutex<HashMap<ValueId, Tensor>>,
    root: Successors,
    contexts: Mutex<Vec<RunContext>>,
}

/// Bytes held by idle contexts and plans.
#[derive(Clone, Copy, Debug, Default)]
pub struct ContextBytes {
    pub temporary: usize,
    pub scratch: usize,
    pub contexts: usize,
    pub plans: usize,
}

impl Executable {
    pub fn compile(graph: Arc<Graph>, options: &CompileOptions) -> Result<Arc<Executable>> {
        let compile = |subgraph: &Arc<Graph>| {
            Executable::compile(subgraph.clone(), options).at(|| format!("subgraph '{}'", subgraph.name))
        };
        let registry = Registry::builtin();
        let operators = graph.nodes.iter().map(|node| registry.build(node, &compile)).collect::<Result<_>>()?;
        let constant_infos = graph.values.iter().map(|value| value.constant.as_ref().map(constant_info)).collect();
        Ok(Arc::new(Executable {
            graph,
            operators,
            options: options.clone(),
            constant_infos,
            aligned: Mutex::default(),
            root: Successors::default(),
            contexts: Mutex::default(),
        }))
    }

    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    pub fn isa(&self) -> Isa {
        self.options.isa
    }

    pub(crate) fn math(&self) -> Math {
        self.options.math
    }

    pub(crate) fn fuses(&self) -> bool {
        self.options.fuse
    }

    /// The segments of the latest run's plan, in order; none before the first run.
    pub fn latest_plan(&self) -> Vec<Arc<Segment>> {
        std::iter::successors(self.root.latest(), |segment| segment.next.latest()).collect()
    }

    /// Runs `body`, the work of a node by an algorithm, and records its time if the session is profiled.
    fn timed<T>(&self, node: (usize, Algorithm), work: Work, body: impl FnOnce() -> T) -> T {
        match &self.options.profile {
            None => body(),
            Some(profile) => profile.time(&self.graph, node, work, body),
        }
    }

    pub(crate) fn operator(&self, node: usize) -> &dyn Operator {
        &*self.operators[node]
    }

    pub(crate) fn packed(&self) -> &PackedWeights {
        &self.options.packed
    }

    pub(crate) fn constant_infos(&self) -> &[Option<InputInfo>] {
        &self.constant_infos
    }

    /// The constant behind a value with bytes a kernel can read, if it is one.
    pub(crate) fn aligned_constant(&self, id: ValueId) -> Result<Option<Tensor>> {
        let Some(Value::Dense(tensor)) = self.graph.constant(id).map(|value| &**value) else { return Ok(None) };
        if tensor.is_aligned() {
            return Ok(Some(tensor.clone()));
        }
        let mut aligned = self.aligned.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(copy) = aligned.get(&id) {
            return Ok(Some(copy.clone()));
        }
        let copy = tensor.deep_clone()?;
        aligned.insert(id, copy.clone());
        Ok(Some(copy))
    }

    /// Runs the graph. `inputs` pairs value ids (inputs, overridden initialisers, captures) with values, in a fixed order.
    pub fn run(&self, inputs: &mut Vec<(ValueId, Value)>, team: &Team<'_>) -> Result<Vec<Value>> {
        let mut context = self.take_context()?;
        let result = self.run_in(&mut context, inputs, team);
        context.clear();
        self.contexts.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(context);
        result
    }

    /// Runs as the subgraph of a node: inputs by position, then captures by position.
    pub(crate) fn run_nested(&self, inputs: Vec<Value>, captures: Vec<Value>, team: &Team<'_>) -> Result<Vec<Value>> {
        if inputs.len() != self.graph.inputs.len() || captures.len() != self.graph.captures.len() {
            return Err(Error::invalid_model(format!(
                "subgraph '{}' takes {} inputs, got {}",
                self.graph.name,
                self.graph.inputs.len(),
                inputs.len()
            )));
        }
        let ids = self.graph.inputs.iter().chain(&self.graph.captures).copied();
        let mut pairs = ids.zip(inputs.into_iter().chain(captures)).collect();
        // The subgraph has a context, and so a scratch, of its own; the caller's comes back afterwards.
        let (base, stride) = team.scratch();
        let result = self.run(&mut pairs, team).at(|| format!("subgraph '{}'", self.graph.name));
        team.set_scratch(base, stride);
        result
    }

    fn take_context(&self) -> Result<RunContext> {
        let idle = self.contexts.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop();
        idle.map_or_else(|| RunContext::new(self.graph.values.len()), Ok)
    }

    fn run_in(
        &self,
        context: &mut RunContext,
        inputs: &mut Vec<(ValueId, Value)>,
        team: &Team<'_>,
    ) -> Result<Vec<Value>> {
        let mut arrived: smallvec::SmallVec<[ValueId; 16]> = smallvec::SmallVec::new();
        for (id, value) in inputs.drain(..) {
            arrived.push(id);
            context.store(id, value)?;
        }
        let mut segment = self.next_segment(None, &arrived, context, team)?;
        loop {
            self.run_segment(&segment, context, team)?;
            if segment.finished {
                break;
            }
            arrived.clear();
            arrived.extend(
                segment
                    .dynamic
                    .iter()
                    .flat_map(|dynamic| self.graph.nodes[dynamic.node].outputs.iter().flatten().copied()),
            );
            segment = self.next_segment(Some(&segment), &arrived, context, team)?;
        }
        self.graph.outputs.iter().map(|&id| self.value(context, id)).collect()
    }

    fn missing(&self, id: ValueId) -> Error {
        Error::internal(format!("value '{}' was never computed", self.graph.value_name(id)))
    }

    /// What a value is now. Whatever leaves the file for the run is aligned here: kernels read it as slices of its type.
    fn value(&self, context: &RunContext, id: ValueId) -> Result<Value> {
        if let Some(value) = &context.values[id] {
            return Ok(value.clone());
        }
        if let Some(tensor) = self.aligned_constant(id)? {
            return Ok(Value::Dense(tensor));
        }
        self.graph.constant(id).map(|value| (**value).clone()).ok_or_else(|| self.missing(id))
    }

    /// As [`Self::value`] for plans, which look at bytes one by one, wherever they lie.
    fn peek(&self, context: &RunContext, id: ValueId) -> Option<Value> {
        context.values[id].clone().or_else(|| self.graph.constant(id).map(|value| (**value).clone()))
    }

    /// The plan of the next segment: from the cache, or made now.
    fn next_segment(
        &self,
        before: Option<&Arc<Segment>>,
        arrived: &[ValueId],
        context: &RunContext,
        team: &Team<'_>,
    ) -> Result<Arc<Segment>> {
        let cache = before.map_or(&self.root, |segment| &segment.next);
        let value = |id: ValueId| self.peek(context, id);
        if let Some(plan) = cache.find(arrived, &value) {
            return Ok(plan);
        }
        let arrivals =
            arrived.iter().map(|&id| value(id).map(|value| Arrival::of(id, &value)).ok_or_else(|| self.missing(id)));
        let arrivals: Vec<Arrival> = arrivals.collect::<Result<_>>()?;
        let planner = Planner::new(self, team.threads(), before.map(|segment| &**segment), &arrivals);
        let plan = Arc::new(planner.plan(arrivals, &value)?);
        self.check_budget(&plan, team)?;
        cache.insert(plan.clone());
        Ok(plan)
    }

    fn check_budget(&self, plan: &Segment, team: &Team<'_>) -> Result<()> {
        let scratch = plan.scratch_bytes.saturating_mul(team.threads());
        let need = plan.arena_bytes.saturating_add(scratch).saturating_add(plan.output_bytes);
        if need > self.options.budget.limit() {
            return Err(Error::resource_limit(format!(
                "a run with these input shapes needs {need} bytes ({} temporary, {scratch} scratch, {} outputs), more than {}",
                plan.arena_bytes,
                plan.output_bytes,
                self.options.budget.name()
            )));
        }
        Ok(())
    }

    /// Frees idle contexts; running ones are freed when they come back and the next shrink sees them.
    pub fn shrink(&self) {
        self.contexts.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clear();
    }

    pub fn context_bytes(&self) -> ContextBytes {
        let contexts = self.contexts.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut total = ContextBytes { contexts: contexts.len(), plans: self.root.len(), ..Default::default() };
        for context in contexts.iter() {
            let (temporary, scratch) = context.bytes();
            total.temporary += temporary;
            total.scratch += scratch;
        }
        total
    }
}

fn constant_info(value: &Arc<Value>) -> InputInfo {
    InputInfo {
        ty: value.value_type(),
        shape: value.shape().unwrap_or_default().into(),
        value: Some((**value).clone()),
        weight: Some(Arc::as_ptr(value).addr()),
    }
}

/// Runs one step alone on one thread: constant folding, and operators called directly.
pub fn evaluate_step(step: &KernelStep, operands: &[Option<Value>], isa: Isa, team: &Team<'_>) -> Result<Vec<Tensor>> {
    let operands: Vec<Option<Tensor>> = operands
        .iter()
        .enumerate()
        .map(|(position, operand)| match operand {
            _ if step.packed.contains(&position) => Ok(None),
            Some(Value::Dense(tensor)) => tensor.aligned().map(Some),
            Some(other) => Err(Error::internal(format!("a dense step was given {}", other.describe()))),
            None => Ok(None),
        })
        .collect::<Result<_>>()?;
    let slot = |tensor: &Tensor| context::slot_of(&Value::Dense(tensor.clone()));
    let inputs: Vec<RawSlot> = operands.iter().map(|operand| operand.as_ref().map_or(RawSlot::ABSENT, slot)).collect();
    let results: Vec<Tensor> =
        step.outputs.iter().map(|ty| Tensor::zeros(ty.dtype, &ty.shape)).collect::<Result<_>>()?;
    let outputs: Vec<RawSlot> = results.iter().map(slot).collect();
    let stride = step.scratch.next_multiple_of(crate::tensor::ALIGN);
    let scratch = crate::tensor::AlignedBytes::zeroed(stride * team.threads())?;
    let workspace = crate::tensor::AlignedBytes::zeroed(step.workspace)?;
    let shared = RawSlot { ptr: workspace.as_ptr(), bytes: workspace.len() };
    let before = team.scratch();
    team.set_scratch(scratch.as_ptr(), stride);
    let result = (step.run)(&KernelCx::new(&inputs, &outputs, shared, None, isa, team));
    team.set_scratch(before.0, before.1);
    result.map(|()| results)
}

/// Every executable is shared between threads that run it at once.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Executable>();
};
