//! The graph: a typed IR with explicit values, subgraphs and captured outer values.

use std::collections::HashMap;
use std::sync::Arc;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tensor::Value;

/// Index of a value in its graph's `values`.
pub type ValueId = usize;

/// A dimension as a model declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    Known(usize),
    Symbol(String),
    Unknown,
}

/// A type as a model declares it. `shape: None` means that even the rank is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    Tensor { dtype: DType, shape: Option<Vec<Dim>> },
    SparseTensor { dtype: DType, shape: Option<Vec<Dim>> },
    Sequence(Box<Type>),
    Optional(Box<Type>),
    Map { key: DType, value: Box<Type> },
}

impl Type {
    /// Element type of the tensors of a declared sequence, or optional sequence.
    pub fn sequence_dtype(&self) -> Option<DType> {
        match self {
            Type::Optional(inner) => inner.sequence_dtype(),
            Type::Sequence(item) => match **item {
                Type::Tensor { dtype, .. } => Some(dtype),
                _ => None,
            },
            _ => None,
        }
    }
}

impl std::fmt::Display for Type {
    /// ONNX's spelling: `tensor(float)`, `seq(tensor(int64))`, `map(string,tensor(float))`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Type::Tensor { dtype, .. } => write!(f, "tensor({dtype})"),
            Type::SparseTensor { dtype, .. } => write!(f, "sparse_tensor({dtype})"),
            Type::Sequence(item) => write!(f, "seq({item})"),
            Type::Optional(item) => write!(f, "optional({item})"),
            Type::Map { key, value } => write!(f, "map({key},{value})"),
        }
    }
}

/// A named edge of the graph.
#[derive(Clone, Debug, Default)]
pub struct ValueInfo {
    pub name: String,
    /// As declared by the model's inputs, outputs or value_info; not inferred.
    pub declared: Option<Type>,
    /// The value itself, for initialisers and folded constants.
    pub constant: Option<Arc<Value>>,
}

#[derive(Clone, Debug)]
pub enum Attribute {
    Int(i64),
    Float(f32),
    String(String),
    Tensor(Value),
    Graph(Arc<Graph>),
    Type(Type),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Strings(Vec<String>),
    Tensors(Vec<Value>),
    Graphs(Vec<Arc<Graph>>),
    Types(Vec<Type>),
}

/// One operator's application.
#[derive(Clone, Debug)]
pub struct Node {
    /// The model's name for it, or `OpType_index` where it has none. Inlined functions prefix the caller's name and `/`.
    pub name: String,
    /// `""` for ai.onnx.
    pub domain: String,
    pub op_type: String,
    /// Opset version of `domain` that the model (or the function) imports.
    pub opset: i64,
    /// An absent optional input is `None`.
    pub inputs: Vec<Option<ValueId>>,
    /// An output nobody asked for is `None`.
    pub outputs: Vec<Option<ValueId>>,
    pub attributes: HashMap<String, Attribute>,
    /// Outer values that the node's subgraphs read, in the order of [`Graph::captures`] of each subgraph, in attribute
    /// name order. They are dependencies like inputs.
    pub captures: Vec<ValueId>,
    /// What a Gradient differentiates: its leaves are the node's `captures`.
    pub around: Option<Arc<Around>>,
}

/// The part of a graph that leads to one value. Values are numbered as in the graph when it was read.
#[derive(Clone, Debug)]
pub struct Around {
    /// Each after the nodes of its inputs, in the order of the inputs.
    pub nodes: Vec<Node>,
    /// The tensors named in `xs`, then those in `zs`: what the part starts from. `None`: the graph has no such value.
    pub sources: Vec<Option<ValueId>>,
    /// How many of them are `xs`.
    pub variables: usize,
    pub target: ValueId,
    /// Other values that it reads and no node of the graph gives.
    pub leaves: Vec<ValueId>,
    /// Gradients of gradients: 1 if there is no other Gradient among the nodes.
    pub depth: usize,
}

impl Node {
    /// `node 'conv1' (Conv)`: how messages name it.
    pub fn place(&self) -> String {
        let domain = if self.domain.is_empty() { String::new() } else { format!("{}.", self.domain) };
        format!("node '{}' ({domain}{})", self.name, self.op_type)
    }

    /// The subgraphs among the attributes, in attribute name order: the order of `captures`.
    pub fn subgraphs(&self) -> Vec<(&str, &Arc<Graph>)> {
        let mut found: Vec<_> = self
            .attributes
            .iter()
            .flat_map(|(name, attribute)| match attribute {
                Attribute::Graph(graph) => vec![(name.as_str(), graph)],
                Attribute::Graphs(graphs) => graphs.iter().map(|graph| (name.as_str(), graph)).collect(),
                _ => Vec::new(),
            })
            .collect();
        found.sort_by_key(|(name, _)| *name);
        found
    }

    /// Every value the node depends on: inputs, then captures.
    pub fn dependencies(&self) -> impl Iterator<Item = ValueId> + '_ {
        self.inputs.iter().flatten().chain(&self.captures).copied()
    }
}

/// A graph in topological order.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub name: String,
    pub values: Vec<ValueInfo>,
    /// Inputs that a caller must give, in order; initialisers listed as inputs (IR 3) come in `overridable`.
    pub inputs: Vec<ValueId>,
    /// Inputs that have an initialiser as default.
    pub overridable: Vec<ValueId>,
    pub outputs: Vec<ValueId>,
    /// In topological order.
    pub nodes: Vec<Node>,
    /// Inner values that stand for values of the enclosing graph: the node that holds this subgraph lists the outer
    /// ones in its `captures`, in this order.
    pub captures: Vec<ValueId>,
}

impl Graph {
    pub fn value_name(&self, id: ValueId) -> &str {
        &self.values[id].name
    }

    pub fn constant(&self, id: ValueId) -> Option<&Arc<Value>> {
        self.values[id].constant.as_ref()
    }

    /// Index of the node that produces each value.
    pub fn producers(&self) -> Vec<Option<usize>> {
        let mut producers = vec![None; self.values.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for &output in node.outputs.iter().flatten() {
                producers[output] = Some(index);
            }
        }
        producers
    }
}

/// A whole model, read and resolved: functions inlined, external data mapped.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub graph: Graph,
    pub ir_version: i64,
    /// Domain and version, in file order.
    pub opsets: Vec<(String, i64)>,
    pub producer_name: String,
    pub producer_version: String,
    pub domain: String,
    pub model_version: i64,
    pub doc_string: String,
    pub metadata: Vec<(String, String)>,
}

impl Model {
    /// The imported version of a domain (`""` and `ai.onnx` are one).
    pub fn opset(&self, domain: &str) -> Result<i64> {
        self.opsets
            .iter()
            .find(|(name, _)| name == domain)
            .map(|(_, version)| *version)
            .ok_or_else(|| Error::invalid_model(format!("the model imports no opset of domain '{domain}'")))
    }
}
