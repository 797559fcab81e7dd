//! A session: one model, read, optimised and compiled, ready for any number of runs at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use diptych_kernels::Isa;

use crate::error::{Context, Error, Result};
use crate::graph::{Graph, Model, Type, ValueId};
use crate::lower::{self, Lowered, Quantized};
use crate::math::Math;
use crate::memory::MemoryBudget;
use crate::packed::PackedWeights;
use crate::passes::{self, PassCx};
use crate::plan::Segment;
use crate::pool::{CancelToken, FloatEnvironment, Pool, Team, usable_cpus};
use crate::profile::{Event, Profile};
use crate::run::{CompileOptions, Executable, RunPlace};
use crate::tensor::{Sequence, Value};

/// Where a model comes from.
pub enum Source {
    Path(PathBuf),
    Bytes(Bytes),
}

#[derive(Clone, Debug)]
pub struct SessionOptions {
    pub isa: Isa,
    /// Threads of one run, the caller included; 0 for all the process may use.
    pub threads: usize,
    /// Bytes that the session may hold: weights of its own, arenas, what a run computes. `None`: nine tenths of the machine's.
    pub memory_limit: Option<usize>,
    /// Evaluations of subgraphs (iterations of loops, branches of If) that one run may make. `None`: any number.
    pub max_steps: Option<u64>,
    /// Whether operators may have another, faster program with a bounded error.
    pub math: Math,
    /// What Q/DQ around a product means.
    pub quantized: Quantized,
    /// Names of passes not to run.
    pub disabled_passes: Vec<String>,
    /// Runs tasks in a random legal order over poisoned memory: a test of the planner.
    pub schedule_seed: Option<u64>,
    /// What random operators without a seed of their own draw by, with the number of the run.
    pub random_seed: i64,
    /// Records the time of every node; see [`Session::take_events`].
    pub profile: bool,
}

impl Default for SessionOptions {
    fn default() -> SessionOptions {
        SessionOptions {
            isa: Isa::best(),
            threads: 0,
            memory_limit: None,
            max_steps: Some(MAX_STEPS),
            math: Math::default(),
            quantized: Quantized::default(),
            disabled_passes: Vec::new(),
            schedule_seed: None,
            random_seed: 0,
            profile: false,
        }
    }
}

/// The default of [`SessionOptions::max_steps`].
pub const MAX_STEPS: u64 = 10_000_000;

/// How one run may end before it is done.
#[derive(Clone, Copy, Default)]
pub struct RunOptions<'a> {
    pub timeout: Option<Duration>,
    pub cancel: Option<&'a CancelToken>,
}

/// Bytes by arena.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryStatistics {
    /// Permanent: windows of the model's file.
    pub mapped: usize,
    /// Permanent: weights held in memory of the session.
    pub constants: usize,
    /// Permanent: weights packed for kernels.
    pub packed: usize,
    /// Temporary arenas of idle run contexts.
    pub temporary: usize,
    /// Scratch of idle run contexts.
    pub scratch: usize,
    /// Idle run contexts.
    pub contexts: usize,
    /// Cached plans of the main graph.
    pub plans: usize,
}

pub struct Session {
    /// The model as read, without its graph: that is in `executable`, optimised.
    model: Model,
    lowering: Vec<Lowered>,
    executable: Arc<Executable>,
    packed: Arc<PackedWeights>,
    budget: Arc<MemoryBudget>,
    profile: Option<Arc<Profile>>,
    options: SessionOptions,
    /// Runs so far; one whose inputs are refused does not count.
    runs: AtomicU64,
}

/// A named, typed place where values enter or leave.
pub struct Port<'a> {
    pub name: &'a str,
    pub declared: Option<&'a Type>,
}

impl Session {
    pub fn new(source: Source, mut options: SessionOptions) -> Result<Session> {
        if !Isa::available().contains(&options.isa) {
            let have: Vec<&str> = Isa::available().iter().map(|isa| isa.name()).collect();
            return Err(Error::invalid_input(format!(
                "this CPU does not have the instruction set '{}'; it has: {}",
                options.isa.name(),
                have.join(", ")
            )));
        }
        options.threads = match options.threads {
            0 => usable_cpus(),
            threads => threads.min(Pool::global().max_threads()),
        };
        let place = match &source {
            Source::Path(path) => format!("model '{}'", path.display()),
            Source::Bytes(_) => "model".into(),
        };
        let budget = MemoryBudget::new(options.memory_limit);
        let _charged = budget.enter();
        let mut model = match source {
            Source::Path(path) => crate::onnx::read_path(&path)?,
            Source::Bytes(bytes) => crate::onnx::read_bytes(bytes, None)?,
        };
        let _environment = FloatEnvironment::enter();
        let mut graph = std::mem::take(&mut model.graph);
        let packed = Arc::new(PackedWeights::default());
        let profile = options.profile.then(Arc::default);
        let mut lowering = Vec::new();
        let compile = || {
            lowering = lower::run(&mut graph, options.quantized, options.isa)?;
            passes::run(&mut graph, &options.disabled_passes, &PassCx { isa: options.isa })?;
            let fuse = !options.disabled_passes.iter().any(|name| name == passes::EPILOGUE_FUSION);
            let options = CompileOptions {
                isa: options.isa,
                math: options.math,
                budget: budget.clone(),
                schedule_seed: options.schedule_seed,
                fuse,
                profile: profile.clone(),
                packed: packed.clone(),
            };
            Executable::compile(Arc::new(graph), &options)
        };
        let executable = compile().at(|| place)?;
        Ok(Session { model, lowering, executable, packed, budget, profile, options, runs: AtomicU64::new(0) })
    }

    /// The model's header: versions, producer, metadata. Its graph is empty; see [`Session::graph`].
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Products of quantized operands, and what they became.
    pub fn lowering(&self) -> &[Lowered] {
        &self.lowering
    }

    /// The graph as compiled, after the passes.
    pub fn graph(&self) -> &Graph {
        self.executable.graph()
    }

    pub fn options(&self) -> &SessionOptions {
        &self.options
    }

    fn port(&self, id: ValueId) -> Port<'_> {
        let value = &self.graph().values[id];
        Port { name: &value.name, declared: value.declared.as_ref() }
    }

    pub fn inputs(&self) -> Vec<Port<'_>> {
        self.graph().inputs.iter().map(|&id| self.port(id)).collect()
    }

    /// Inputs that have an initialiser as default.
    pub fn overridable(&self) -> Vec<Port<'_>> {
        self.graph().overridable.iter().map(|&id| self.port(id)).collect()
    }

    pub fn outputs(&self) -> Vec<Port<'_>> {
        self.graph().outputs.iter().map(|&id| self.port(id)).collect()
    }

    /// Runs the model on named inputs; gives every output, in the model's order.
    pub fn run(&self, feeds: Vec<(&str, Value)>, options: RunOptions<'_>) -> Result<Vec<Value>> {
        let graph = self.graph();
        let mut pairs = Vec::with_capacity(feeds.len());
        for (name, value) in feeds {
            let id = graph.inputs.iter().chain(&graph.overridable).copied().find(|&id| graph.value_name(id) == name);
            let id = id.ok_or_else(|| {
                let known: Vec<&str> = graph.inputs.iter().map(|&id| graph.value_name(id)).collect();
                Error::invalid_input(format!("the model has no input '{name}'; its inputs are: {}", known.join(", ")))
            })?;
            self.check_input(id, &value)?;
            pairs.push((id, self.typed(id, value)));
        }
        pairs.sort_by_key(|(id, _)| *id);
        if let Some(pair) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::invalid_input(format!("input '{}' is given twice", graph.value_name(pair[0].0))));
        }
        if let Some(&missing) = graph.inputs.iter().find(|id| pairs.binary_search_by_key(*id, |(id, _)| *id).is_err()) {
            return Err(Error::invalid_input(format!("input '{}' is missing", graph.value_name(missing))));
        }
        let _environment = FloatEnvironment::enter();
        let _charged = self.budget.enter();
        let team = Team::new(self.options.threads, options.cancel, options.timeout).max_steps(self.options.max_steps);
        team.set_place(RunPlace::of_run(self.options.random_seed, self.runs.fetch_add(1, Ordering::Relaxed)));
        let outputs = self.executable.run(&mut pairs, &team)?;
        outputs.iter().for_each(Value::release);
        Ok(outputs)
    }

    /// Holds a value to the declared element type; shapes are the operators' business.
    fn check_input(&self, id: ValueId, value: &Value) -> Result<()> {
        let Some(declared) = &self.graph().values[id].declared else { return Ok(()) };
        if fits(declared, value) {
            return Ok(());
        }
        let name = self.graph().value_name(id);
        Err(Error::invalid_input(format!("input '{name}' must be {declared}, got {}", value.describe())))
    }

    /// An empty sequence from outside has no type of its own: it takes the declared one.
    fn typed(&self, id: ValueId, value: Value) -> Value {
        match (&value, self.graph().values[id].declared.as_ref().and_then(Type::sequence_dtype)) {
            (Value::Sequence(sequence), Some(dtype)) if sequence.is_empty() => {
                Value::Sequence(Sequence::empty(Some(dtype)))
            }
            _ => value,
        }
    }

    /// The segments of the plan that the latest run followed; none before the first run.
    pub fn plan(&self) -> Vec<Arc<Segment>> {
        self.executable.latest_plan()
    }

    pub fn memory(&self) -> MemoryStatistics {
        let idle = self.executable.context_bytes();
        let (mut mapped, mut constants) = (0, 0);
        for tensor in self.graph().values.iter().filter_map(|value| value.constant.as_ref()?.as_dense()) {
            *(if tensor.is_mapped() { &mut mapped } else { &mut constants }) += tensor.byte_len();
        }
        MemoryStatistics {
            mapped,
            constants,
            packed: self.packed.bytes(),
            temporary: idle.temporary,
            scratch: idle.scratch,
            contexts: idle.contexts,
            plans: idle.plans,
        }
    }

    /// What was recorded since the last call, and how many events were not kept; nothing unless the session is profiled.
    pub fn take_events(&self) -> (Vec<Event>, usize) {
        self.profile.as_ref().map(|profile| profile.take()).unwrap_or_default()
    }

    /// Frees the arenas of idle run contexts.
    pub fn shrink(&self) {
        self.executable.shrink();
    }
}

/// Whether a value is of a declared type, shapes aside.
fn fits(declared: &Type, value: &Value) -> bool {
    match (declared, value) {
        (Type::Tensor { dtype, .. }, value) => value.dtype() == Some(*dtype),
        (Type::Sequence(item), Value::Sequence(sequence)) => sequence.items().iter().all(|value| fits(item, value)),
        (Type::Map { key, value }, Value::Map(map)) => *key == map.keys().dtype() && fits(value, map.values()),
        (Type::Optional(_), Value::Absent) => true,
        (Type::Optional(inner), value) => fits(inner, value),
        _ => false,
    }
}
