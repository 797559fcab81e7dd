//! What the rules look at: who produces and who reads a value, and which values are constants.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use diptych_kernels::Isa;

use super::{Ruled, kept};
use crate::dtype::DType;
use crate::error::Error;
use crate::graph::{Attribute, Graph, Node, Type, ValueId, ValueInfo};
use crate::operator::Registry;
use crate::run::evaluate;
use crate::tensor::{Tensor, Value};

/// Operators through which constants are followed, and how many of them one after the other.
const FOLDED: &[&str] = &[
    "Constant",
    "Identity",
    "Cast",
    "QuantizeLinear",
    "DequantizeLinear",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
];
const LONGEST_CHAIN: usize = 16;

/// A graph to be lowered, inside the scope of the graph around it.
pub(super) struct Scope<'a> {
    pub graph: &'a Graph,
    isa: Isa,
    /// The scope around, and its values that the graph captures.
    outer: Option<(&'a Scope<'a>, &'a [ValueId])>,
    /// The position of captured values among the captures.
    captured: HashMap<ValueId, usize>,
    producers: Vec<Option<usize>>,
    readers: Vec<Vec<usize>>,
    is_output: Vec<bool>,
    /// Constants of this graph, each with the number of nodes that lead to it one after the other.
    chains: Vec<Option<usize>>,
    folded: RefCell<HashMap<ValueId, Option<Tensor>>>,
    /// New values, numbered behind those of the graph.
    added: RefCell<Vec<ValueInfo>>,
}

impl<'a> Scope<'a> {
    pub fn new(graph: &'a Graph, outer: Option<(&'a Scope<'a>, &'a [ValueId])>, isa: Isa) -> Scope<'a> {
        let mut readers = vec![Vec::new(); graph.values.len()];
        for (index, node) in graph.nodes.iter().enumerate() {
            for id in node.dependencies() {
                if readers[id].last() != Some(&index) {
                    readers[id].push(index);
                }
            }
        }
        let mut is_output = vec![false; graph.values.len()];
        graph.outputs.iter().for_each(|&id| is_output[id] = true);
        let captured = graph.captures.iter().enumerate().map(|(at, &id)| (id, at)).collect();
        let mut scope = Scope {
            graph,
            isa,
            outer,
            captured,
            producers: graph.producers(),
            readers,
            is_output,
            chains: Vec::new(),
            folded: RefCell::default(),
            added: RefCell::default(),
        };
        scope.chains = scope.find_chains();
        scope
    }

    fn find_chains(&self) -> Vec<Option<usize>> {
        let mut chains: Vec<Option<usize>> = self
            .graph
            .values
            .iter()
            .enumerate()
            .map(|(id, value)| match (&value.constant, self.outer_of(id)) {
                (Some(_), _) if !self.graph.overridable.contains(&id) => Some(0),
                (None, Some((outer, id))) => outer.chains[id],
                _ => None,
            })
            .collect();
        for node in &self.graph.nodes {
            let [Some(output)] = node.outputs[..] else { continue };
            if !node.domain.is_empty() || !FOLDED.contains(&node.op_type.as_str()) {
                continue;
            }
            let longest =
                node.inputs.iter().flatten().try_fold(0, |longest: usize, &id| Some(longest.max(chains[id]?)));
            chains[output] = longest.map(|longest| longest + 1);
        }
        chains
    }

    /// The value of the graph around that a captured value stands for.
    fn outer_of(&self, id: ValueId) -> Option<(&'a Scope<'a>, ValueId)> {
        let (outer, ids) = self.outer?;
        let &at = self.captured.get(&id)?;
        Some((outer, *ids.get(at)?))
    }

    /// The node of that operator which gives the value as its first output.
    pub fn producer(&self, id: ValueId, op_type: &str) -> Option<usize> {
        let index = self.producers[id]?;
        let node = &self.graph.nodes[index];
        let found = node.domain.is_empty()
            && node.op_type == op_type
            && node.outputs[0] == Some(id)
            && node.inputs.first().is_some_and(Option::is_some);
        found.then_some(index)
    }

    /// The Transpose before a value, if there is one, and the DequantizeLinear before that.
    pub fn dequantization(&self, id: ValueId) -> Option<(Option<usize>, usize)> {
        let transpose = self.producer(id, "Transpose");
        let inner = transpose.map_or(Some(id), |index| self.graph.nodes[index].inputs[0])?;
        Some((transpose, self.producer(inner, "DequantizeLinear")?))
    }

    pub fn is_dequantized(&self, id: ValueId) -> bool {
        self.dequantization(id).is_some()
    }

    /// The node that reads a value, if it is the only one and the graph does not give the value out.
    pub fn only_reader(&self, id: ValueId) -> Option<usize> {
        match self.readers[id][..] {
            [index] if !self.is_output[id] => Some(index),
            _ => None,
        }
    }

    /// Whether the value is an input of the graph, and the element type that it declares.
    pub fn declared_input(&self, id: ValueId) -> Option<Option<DType>> {
        let is_input = self.graph.inputs.contains(&id) || self.graph.overridable.contains(&id);
        is_input.then(|| match self.graph.values[id].declared {
            Some(Type::Tensor { dtype, .. }) => Some(dtype),
            _ => None,
        })
    }

    /// A value that is the same in every run. Initialisers that a caller may override are no constants.
    pub fn constant(&self, id: ValueId) -> Option<Tensor> {
        if let Some((outer, id)) = self.outer_of(id) {
            return outer.constant(id);
        }
        if let Some(known) = self.folded.borrow().get(&id) {
            return known.clone();
        }
        let value = self.fold(id);
        self.folded.borrow_mut().insert(id, value.clone());
        value
    }

    /// An input of a node that is a constant.
    pub fn constant_input(&self, node: &Node, input: usize) -> Option<Tensor> {
        self.constant((*node.inputs.get(input)?)?)
    }

    fn fold(&self, id: ValueId) -> Option<Tensor> {
        self.chains[id].filter(|&length| length <= LONGEST_CHAIN)?;
        if let Some(value) = &self.graph.values[id].constant {
            return value.as_dense().cloned();
        }
        let node = &self.graph.nodes[self.producers[id]?];
        let inputs = node.inputs.iter().map(|input| match input {
            None => Some(None),
            Some(id) => self.constant(*id).map(|tensor| Some(Value::Dense(tensor))),
        });
        let inputs: Vec<Option<Value>> = inputs.collect::<Option<_>>()?;
        self.evaluate(node, &inputs)
    }

    /// The first output of a node; `None` where it fails: the run will say so.
    fn evaluate(&self, node: &Node, inputs: &[Option<Value>]) -> Option<Tensor> {
        let no_subgraphs = |_: &Arc<Graph>| Err(Error::internal("folding a node with subgraphs"));
        let operator = Registry::builtin().build(node, &no_subgraphs).ok()?;
        evaluate(&*operator, node, inputs, self.isa).ok()?.first()?.as_dense().cloned()
    }

    /// What QuantizeLinear makes of a number.
    pub fn quantized(&self, number: f32, scale: &Tensor, zero: &Tensor) -> Option<Tensor> {
        let node = Node {
            name: String::new(),
            domain: String::new(),
            op_type: "QuantizeLinear".into(),
            opset: 13,
            inputs: vec![Some(0), Some(1), Some(2)],
            outputs: vec![Some(3)],
            attributes: HashMap::new(),
            captures: Vec::new(),
            around: None,
        };
        let inputs =
            [Tensor::scalar(number).ok()?, scale.clone(), zero.clone()].map(|tensor| Some(Value::Dense(tensor)));
        self.evaluate(&node, &inputs)
    }

    /// A new value.
    pub fn add(&self, name: String, constant: Option<Tensor>) -> ValueId {
        let mut added = self.added.borrow_mut();
        let constant = constant.map(|tensor| Arc::new(Value::Dense(tensor)));
        added.push(ValueInfo { name, declared: None, constant });
        self.graph.values.len() + added.len() - 1
    }

    pub fn into_added(self) -> Vec<ValueInfo> {
        self.added.into_inner()
    }
}

/// An attribute that is an integer.
pub(super) fn integer(node: &Node, name: &str, default: i64) -> Ruled<i64> {
    match node.attributes.get(name) {
        None => Ok(default),
        Some(Attribute::Int(value)) => Ok(*value),
        Some(_) => malformed(node, name),
    }
}

/// An attribute that is a float.
pub(super) fn float(node: &Node, name: &str, default: f32) -> Ruled<f32> {
    match node.attributes.get(name) {
        None => Ok(default),
        Some(Attribute::Float(value)) => Ok(*value),
        Some(_) => malformed(node, name),
    }
}

pub(super) fn malformed<T>(node: &Node, name: &str) -> Ruled<T> {
    kept(format!("{} has a malformed attribute {name}", node.op_type))
}

/// The elements of a tensor of numbers.
pub(super) fn floats(tensor: &Tensor) -> Ruled<Vec<f32>> {
    Ok(tensor.aligned()?.as_slice::<f32>()?.to_vec())
}

/// The elements of a tensor of int8, uint8 or int32.
pub(super) fn integers(tensor: &Tensor) -> Ruled<Vec<i64>> {
    Ok(match tensor.dtype() {
        DType::U8 => tensor.bytes().iter().map(|&byte| byte.into()).collect(),
        DType::I8 => tensor.bytes().iter().map(|&byte| i64::from(byte as i8)).collect(),
        _ => tensor.to_i64s()?,
    })
}
