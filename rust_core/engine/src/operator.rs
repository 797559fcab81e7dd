//! What an operator is to the engine: a struct with its attributes that, for given input types, plans one step.
//!
//! [`Operator::plan`] does everything that does not depend on the elements: dispatches on dtypes, broadcasts shapes,
//! computes strides, packs weights. It returns the outputs' types and a closure that only calls a kernel. Plans are cached
//! by input shapes, so the closure is all that a run pays for. A node's arity, attributes and input types are held against
//! ONNX's signature before ([`crate::signatures`]): operators rely on them.

use std::collections::HashMap;
use std::sync::Arc;

use diptych_kernels::Isa;
use diptych_kernels::epilogue::Epilogue;
use smallvec::SmallVec;

use crate::custom;
use crate::dtype::{DType, Element};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::graph::{Attribute, Graph, Node};
use crate::math::{Algorithm, Math};
use crate::packed::PackedWeights;
use crate::private;
use crate::run::{Executable, KernelCx, ValueCx};
use crate::signatures::{self, Signature};
use crate::tensor::{Shape, Tensor, Value, ValueType};

/// One row of a family's table: which builder serves which version of which operator.
#[derive(Clone, Copy)]
pub struct Row {
    pub domain: &'static str,
    pub op_type: &'static str,
    /// The schema version this row serves: exactly one of ONNX's since_versions.
    pub since: i64,
    pub build: Builder,
}

pub type Builder = fn(&BuildCx<'_>) -> Result<Box<dyn Operator>>;

/// Rows of ai.onnx for one builder: `rows("Relu", &[1, 6, 13, 14], build_relu)`.
pub fn rows(op_type: &'static str, since: &'static [i64], build: Builder) -> impl Iterator<Item = Row> {
    rows_of("", op_type, since, build)
}

/// Rows of any domain for one builder.
pub fn rows_of(
    domain: &'static str,
    op_type: &'static str,
    since: &'static [i64],
    build: Builder,
) -> impl Iterator<Item = Row> {
    since.iter().map(move |&since| Row { domain, op_type, since, build })
}

/// A node being built: its attributes, version and arity.
pub struct BuildCx<'a> {
    pub node: &'a Node,
    /// The since_version of the row that is built.
    pub since: i64,
    /// Compiles a subgraph of the node with the session's options.
    pub compile: &'a dyn Fn(&Arc<Graph>) -> Result<Arc<Executable>>,
}

impl<'a> BuildCx<'a> {
    fn wrong(&self, name: &str, want: &str) -> Error {
        Error::invalid_model(format!("attribute '{name}' of {} must be {want}", self.node.op_type))
    }

    pub fn has(&self, name: &str) -> bool {
        self.node.attributes.contains_key(name)
    }

    pub fn int(&self, name: &str, default: i64) -> Result<i64> {
        Ok(self.opt_int(name)?.unwrap_or(default))
    }

    pub fn opt_int(&self, name: &str) -> Result<Option<i64>> {
        match self.node.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Int(value)) => Ok(Some(*value)),
            Some(_) => Err(self.wrong(name, "an integer")),
        }
    }

    pub fn float(&self, name: &str, default: f32) -> Result<f32> {
        Ok(self.opt_float(name)?.unwrap_or(default))
    }

    pub fn opt_float(&self, name: &str) -> Result<Option<f32>> {
        match self.node.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Float(value)) => Ok(Some(*value)),
            Some(_) => Err(self.wrong(name, "a float")),
        }
    }

    pub fn ints(&self, name: &str) -> Result<Option<&'a [i64]>> {
        match self.node.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Ints(values)) => Ok(Some(values)),
            Some(_) => Err(self.wrong(name, "a list of integers")),
        }
    }

    pub fn floats(&self, name: &str) -> Result<Option<&'a [f32]>> {
        match self.node.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Floats(values)) => Ok(Some(values)),
            // An empty list from Python has no element type.
            Some(Attribute::Ints(values)) if values.is_empty() => Ok(Some(&[])),
            Some(_) => Err(self.wrong(name, "a list of floats")),
        }
    }

    pub fn string(&self, name: &str) -> Result<Option<&'a str>> {
        match self.node.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::String(value)) => Ok(Some(value)),
            Some(_) => Err(self.wrong(name, "a string")),
        }
    }

    pub fn strings(&self, name: &str) -> Result<Option<&'a [String]>> {
        match self.node.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Strings(values)) => Ok(Some(values)),
            Some(Attribute::Ints(values)) if values.is_empty() => Ok(Some(&[])),
            Some(_) => Err(self.wrong(name, "a list of strings")),
        }
    }

    pub fn tensor(&self, name: &str) -> Result<Option<&'a Value>> {
        match self.node.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Tensor(value)) => Ok(Some(value)),
            Some(_) => Err(self.wrong(name, "a tensor")),
        }
    }

    pub fn graph(&self, name: &str) -> Result<Arc<Executable>> {
        match self.node.attributes.get(name) {
            Some(Attribute::Graph(graph)) => (self.compile)(graph),
            _ => Err(self.wrong(name, "present, a graph")),
        }
    }

    /// A dtype given as `TensorProto.DataType` number.
    pub fn dtype(&self, name: &str) -> Result<Option<DType>> {
        let Some(number) = self.opt_int(name)? else { return Ok(None) };
        let dtype = i32::try_from(number).ok().and_then(DType::from_onnx);
        dtype.map(Some).ok_or_else(|| self.wrong(name, "a TensorProto.DataType"))
    }

    /// A required attribute's value, or the error that names it.
    pub fn required<T>(&self, name: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| Error::invalid_model(format!("{} needs attribute '{name}'", self.node.op_type)))
    }
}

/// An operator with its attributes.
pub trait Operator: Send + Sync {
    /// What to do for inputs of these types; see [`PlanCx`].
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step>;

    /// Whether equal inputs give equal outputs, so that the node may be folded away.
    fn deterministic(&self) -> bool {
        true
    }
}

/// Why planning stopped.
#[derive(Debug)]
pub enum Stop {
    /// The *elements* of this input decide an output's shape, and they are not known yet. The planner ends the segment
    /// here, runs what it has, and asks again.
    NeedsValue(usize),
    Error(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Error(error)
    }
}

pub type Planned<T> = std::result::Result<T, Stop>;

/// Type of one output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputType {
    pub dtype: DType,
    pub shape: Shape,
}

impl OutputType {
    pub fn new(dtype: DType, shape: impl Into<Shape>) -> OutputType {
        OutputType { dtype, shape: shape.into() }
    }
}

pub type RunKernel = Box<dyn Fn(&KernelCx<'_>) -> Result<()> + Send + Sync>;
pub type RunValues = Box<dyn Fn(&mut ValueCx<'_>) -> Result<Vec<Value>> + Send + Sync>;

/// A dense step: outputs of known type, written by a closure that allocates nothing.
pub struct KernelStep {
    pub outputs: SmallVec<[OutputType; 2]>,
    pub run: RunKernel,
    /// Bytes of scratch each thread needs.
    pub scratch: usize,
    /// Bytes that all threads of the step share while it runs: see [`KernelCx::workspace`].
    pub workspace: usize,
    /// `(input, output)`: the output may be given the input's bytes. The closure must then use
    /// [`KernelCx::input_ptr`] and [`KernelCx::output_ptr`] for the two.
    pub in_place: SmallVec<[(usize, usize); 2]>,
    /// Inputs the closure does not read, because it holds them packed.
    pub packed: SmallVec<[usize; 2]>,
    /// Rough work in nanoseconds of one core, for priorities and splitting.
    pub cost: u64,
    /// What the step does to input 0, if it is that alone: it may then follow another step inside its kernel.
    pub epilogue: Option<Box<Epilogue>>,
    /// Whether the kernel applies [`KernelCx::epilogue`] to output 0.
    pub takes_epilogue: bool,
    /// For profiles.
    pub algorithm: Algorithm,
}

impl KernelStep {
    /// A step with one output.
    pub fn new(
        dtype: DType,
        shape: impl Into<Shape>,
        run: impl Fn(&KernelCx<'_>) -> Result<()> + Send + Sync + 'static,
    ) -> KernelStep {
        KernelStep::with_outputs([OutputType::new(dtype, shape)], run)
    }

    pub fn with_outputs(
        outputs: impl IntoIterator<Item = OutputType>,
        run: impl Fn(&KernelCx<'_>) -> Result<()> + Send + Sync + 'static,
    ) -> KernelStep {
        let outputs: SmallVec<[OutputType; 2]> = outputs.into_iter().collect();
        let elements: usize = outputs.iter().map(|output| output.shape.iter().product::<usize>()).sum();
        KernelStep {
            outputs,
            run: Box::new(run),
            scratch: 0,
            workspace: 0,
            in_place: SmallVec::new(),
            packed: SmallVec::new(),
            cost: elements as u64 / 4 + 100,
            epilogue: None,
            takes_epilogue: false,
            algorithm: Algorithm::Exact,
        }
    }

    pub fn scratch(mut self, bytes: usize) -> KernelStep {
        self.scratch = bytes;
        self
    }

    pub fn workspace(mut self, bytes: usize) -> KernelStep {
        self.workspace = bytes;
        self
    }

    pub fn in_place(mut self, pairs: &[(usize, usize)]) -> KernelStep {
        self.in_place = pairs.into();
        self
    }

    pub fn packed(mut self, inputs: &[usize]) -> KernelStep {
        self.packed = inputs.into();
        self
    }

    pub fn epilogue(mut self, epilogue: Option<Epilogue>) -> KernelStep {
        self.epilogue = epilogue.map(Box::new);
        self
    }

    pub fn takes_epilogue(mut self, takes: bool) -> KernelStep {
        self.takes_epilogue = takes;
        self
    }

    pub fn algorithm(mut self, algorithm: Algorithm) -> KernelStep {
        self.algorithm = algorithm;
        self
    }

    pub fn cost(mut self, nanoseconds: u64) -> KernelStep {
        self.cost = nanoseconds;
        self
    }
}

impl From<KernelStep> for Planned<Step> {
    fn from(step: KernelStep) -> Planned<Step> {
        Ok(Step::Kernel(step))
    }
}

/// What planning an operator gives.
pub enum Step {
    /// Dense outputs of known type.
    Kernel(KernelStep),
    /// Output 0 is the bytes of `input` under another shape. Nothing runs.
    View { input: usize, shape: Shape },
    /// The outputs are values whose type shows only when run: data-dependent shapes, strings, sequences, control flow.
    Values(RunValues),
}

impl Step {
    pub fn values(run: impl Fn(&mut ValueCx<'_>) -> Result<Vec<Value>> + Send + Sync + 'static) -> Planned<Step> {
        Ok(Step::Values(Box::new(run)))
    }
}

/// What is known of one input at plan time.
#[derive(Clone)]
pub struct InputInfo {
    pub ty: ValueType,
    /// Empty for sequences and optionals.
    pub shape: Shape,
    /// The elements, if they are known at plan time: constants, and what can be computed from shapes.
    pub value: Option<Value>,
    /// Identity of an initialiser, for weights packed once a session; `None` if the value may differ from run to run.
    pub weight: Option<usize>,
}

/// Input types of a node, and what planning may use.
pub struct PlanCx<'a> {
    pub inputs: &'a [Option<InputInfo>],
    /// Which outputs somebody reads.
    pub wanted: &'a [bool],
    pub isa: Isa,
    pub math: Math,
    /// Threads that a run of this session may use.
    pub threads: usize,
    pub packed: &'a PackedWeights,
}

impl PlanCx<'_> {
    pub fn has(&self, input: usize) -> bool {
        self.inputs.get(input).is_some_and(Option::is_some)
    }

    pub fn wants(&self, output: usize) -> bool {
        self.wanted.get(output).copied().unwrap_or(false)
    }

    pub fn info(&self, input: usize) -> Result<&InputInfo> {
        self.inputs
            .get(input)
            .and_then(Option::as_ref)
            .ok_or_else(|| Error::invalid_model(format!("input {input} is required")))
    }

    pub fn dtype(&self, input: usize) -> Result<DType> {
        let dtype = self.info(input)?.ty.dtype();
        dtype.ok_or_else(|| Error::shape(format!("input {input} must be a tensor, not a sequence or optional")))
    }

    pub fn shape(&self, input: usize) -> Result<&[usize]> {
        self.dtype(input)?;
        Ok(&self.info(input)?.shape)
    }

    /// The elements of an input, or a stop that asks for them.
    pub fn value(&self, input: usize) -> Planned<&Value> {
        self.info(input)?.value.as_ref().ok_or(Stop::NeedsValue(input))
    }

    pub fn tensor(&self, input: usize) -> Planned<Tensor> {
        match self.value(input)? {
            Value::Dense(tensor) => Ok(tensor.aligned()?),
            other => Err(Error::shape(format!("input {input} is {}, not a dense tensor", other.describe())).into()),
        }
    }

    /// Integer elements (int32 or int64) of an input: shapes, axes, pads.
    pub fn ints(&self, input: usize) -> Planned<Vec<i64>> {
        Ok(self.tensor(input)?.to_i64s()?)
    }

    /// Integer elements of an optional input.
    pub fn opt_ints(&self, input: usize) -> Planned<Option<Vec<i64>>> {
        if self.has(input) { self.ints(input).map(Some) } else { Ok(None) }
    }

    /// The one element of an input of type `T` (shape `[]` or `[1]`).
    pub fn scalar<T: Element>(&self, input: usize) -> Planned<T> {
        let tensor = self.tensor(input)?;
        match tensor.as_slice::<T>()? {
            [value] => Ok(*value),
            _ => {
                Err(Error::shape(format!("input {input} must have one element, got shape {:?}", tensor.shape())).into())
            }
        }
    }

    /// The initialiser behind an input, aligned, if it is one: what may be packed.
    pub fn weight(&self, input: usize) -> Option<(usize, &Tensor)> {
        let info = self.inputs.get(input)?.as_ref()?;
        match (&info.value, info.weight) {
            (Some(Value::Dense(tensor)), Some(id)) => Some((id, tensor)),
            _ => None,
        }
    }
}

/// Every operator of the engine, by name; versions ascending.
pub struct Registry {
    by_name: HashMap<&'static str, Vec<Row>>,
}

impl Registry {
    /// The built-in operators, from the families' tables.
    pub fn builtin() -> &'static Registry {
        static REGISTRY: std::sync::OnceLock<Registry> = std::sync::OnceLock::new();
        REGISTRY.get_or_init(|| Registry::new(crate::ops::rows()))
    }

    fn new(rows: impl Iterator<Item = Row>) -> Registry {
        let mut by_name: HashMap<_, Vec<Row>> = HashMap::new();
        for row in rows {
            by_name.entry(row.op_type).or_default().push(row);
        }
        for versions in by_name.values_mut() {
            versions.sort_by_key(|row| row.since);
        }
        Registry { by_name }
    }

    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.by_name.values().flatten()
    }

    /// The row for a node: the newest version that its opset has.
    pub fn find<'a>(&'a self, node: &Node) -> Result<&'a Row> {
        let full_name =
            if node.domain.is_empty() { node.op_type.clone() } else { format!("{}.{}", node.domain, node.op_type) };
        let versions: Vec<&Row> = self
            .by_name
            .get(node.op_type.as_str())
            .into_iter()
            .flatten()
            .filter(|row| row.domain == node.domain)
            .collect();
        if versions.is_empty()
            && let Some(message) = private::refusal(&node.domain, &node.op_type)
        {
            return Err(Error::unsupported(message));
        }
        if versions.is_empty() {
            let message = format!(
                "operator {full_name} is not implemented; `diptych ops` lists what is, diptych.register_operator adds your own"
            );
            return Err(Error::unsupported(message));
        }
        versions.into_iter().rev().find(|row| row.since <= node.opset).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidModel,
                format!("operator {full_name} is newer than the opset {} that the model imports", node.opset),
            )
        })
    }

    /// Builds the operator of a node.
    pub fn build(
        &self,
        node: &Node,
        compile: &dyn Fn(&Arc<Graph>) -> Result<Arc<Executable>>,
    ) -> Result<Box<dyn Operator>> {
        if !self.by_name.get(node.op_type.as_str()).is_some_and(|rows| rows.iter().any(|row| row.domain == node.domain))
            && let Some((since, build)) = custom::find(node)
        {
            return build(&BuildCx { node, since, compile }).at(|| node.place());
        }
        let row = self.find(node)?;
        let build = || (row.build)(&BuildCx { node, since: row.since, compile });
        let Some(signature) = signatures::find(row.domain, row.op_type, row.since) else {
            return build().at(|| node.place());
        };
        let operator = signature.check_node(node).and_then(|()| build()).at(|| node.place())?;
        Ok(Box::new(Signed { signature, operator }))
    }
}

/// An operator of ONNX. Its inputs are held against its signature before it plans, so it need not check their types.
struct Signed {
    signature: &'static Signature,
    operator: Box<dyn Operator>,
}

impl Operator for Signed {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        self.signature.check_types(cx.inputs.iter().map(|info| info.as_ref().map(|info| info.ty)))?;
        self.operator.plan(cx)
    }

    fn deterministic(&self) -> bool {
        self.operator.deterministic()
    }
}
