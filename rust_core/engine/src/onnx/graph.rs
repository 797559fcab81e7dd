//! Graphs: `GraphProto` to [`Graph`].

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::error::{Context, Error, Result};
use crate::graph::{Graph, Node, Type, ValueId};
use crate::tensor::Value;

use super::around;
use super::functions::{Bound, Functions, type_weight};
use super::normal_domain;
use super::opsets::Opsets;
use super::proto::{GraphProto, NodeProto, SparseTensorProto, TensorProto, ValueInfoProto};
use super::scope::Scopes;
use super::sort::sort;
use super::tensor::TensorReader;
use super::types::declared_type;

/// Builds a model's graphs.
pub(super) struct Builder<'a> {
    tensors: TensorReader,
    pub(super) functions: Functions<'a>,
    pub(super) scopes: Scopes<'a>,
    /// Tensors met in functions: decoded once, whatever the number of calls.
    shared: HashMap<*const u8, Value>,
}

impl<'a> Builder<'a> {
    pub fn new(tensors: TensorReader, functions: Functions<'a>) -> Builder<'a> {
        Builder { tensors, functions, scopes: Scopes::new(), shared: HashMap::new() }
    }

    /// A graph, and the values of the graph around it that it captures. `opsets` are the model's; a subgraph has those
    /// of what is around it.
    pub fn graph(&mut self, proto: &'a GraphProto, opsets: Option<Rc<Opsets>>) -> Result<(Graph, Vec<ValueId>)> {
        self.scopes.open_graph(opsets)?;
        self.scopes.charge(0, 256)?;
        self.scopes.graph().name = proto.name.clone().unwrap_or_default();
        let inputs = self.define_inputs(&proto.input)?;
        self.initializers(proto)?;
        self.split_inputs(inputs);
        self.nodes(&proto.node, &proto.value_info)?;
        self.outputs_of_graph(&proto.output)?;
        sort(self.scopes.graph())?;
        around::attach(self.scopes.graph())?;
        self.scopes.close_graph()
    }

    fn define_inputs(&mut self, protos: &'a [ValueInfoProto]) -> Result<Vec<ValueId>> {
        let mut inputs = Vec::with_capacity(protos.len());
        for proto in protos {
            let id = self.scopes.define(proto.name.as_deref().unwrap_or_default()).at(|| "graph input".into())?;
            self.declare(id, proto)?;
            inputs.push(id);
        }
        Ok(inputs)
    }

    /// Inputs with an initialiser are optional for the caller.
    fn split_inputs(&mut self, inputs: Vec<ValueId>) {
        let graph = self.scopes.graph();
        (graph.overridable, graph.inputs) = inputs.into_iter().partition(|&id| graph.values[id].constant.is_some());
    }

    fn initializers(&mut self, proto: &'a GraphProto) -> Result<()> {
        let inputs = self.scopes.graph().values.len();
        for tensor in &proto.initializer {
            let name = tensor.name.as_deref().unwrap_or_default();
            let place = || format!("initializer '{name}'");
            let value = self.tensor(tensor).at(place)?;
            self.initialize(name, value, inputs).at(place)?;
        }
        for sparse in &proto.sparse_initializer {
            let name = sparse.values.as_ref().and_then(|values| values.name.as_deref()).unwrap_or_default();
            let place = || format!("sparse initializer '{name}'");
            let value = self.sparse_tensor(sparse).at(place)?;
            self.initialize(name, value, inputs).at(place)?;
        }
        Ok(())
    }

    /// Gives a value to a name: to one of the graph's `inputs` first values, its inputs, or to a new one.
    fn initialize(&mut self, name: &'a str, value: Value, inputs: usize) -> Result<()> {
        let input = self.scopes.local(name).filter(|&id| id < inputs);
        let id = input.map_or_else(|| self.scopes.define(name), Ok)?;
        let info = &mut self.scopes.graph().values[id];
        if info.constant.is_some() {
            return Err(Error::invalid_model(format!("'{name}' has two initializers")));
        }
        if let (Some(Type::Tensor { dtype, .. }), Some(got)) = (&info.declared, value.dtype())
            && *dtype != got
        {
            return Err(Error::invalid_model(format!("a tensor({got}) for an input declared as tensor({dtype})")));
        }
        info.constant = Some(Arc::new(value));
        Ok(())
    }

    /// Nodes of a graph or of a function: names first, for files may list nodes in any order.
    pub(super) fn nodes(&mut self, nodes: &'a [NodeProto], value_info: &'a [ValueInfoProto]) -> Result<()> {
        for (index, node) in nodes.iter().enumerate() {
            self.scopes.frame_mut().at = index + 1;
            for output in node.output.iter().filter(|name| !name.is_empty()) {
                self.scopes.define(output).at(|| self.place(node, index))?;
            }
        }
        for proto in value_info {
            self.scopes.charge(0, 16)?;
            if let Some(id) = proto.name.as_deref().and_then(|name| self.scopes.local(name)) {
                self.declare(id, proto)?;
            }
        }
        for (index, node) in nodes.iter().enumerate() {
            self.scopes.frame_mut().at = index + 1;
            self.node(node, index).at(|| self.place(node, index))?;
        }
        Ok(())
    }

    fn place(&self, node: &NodeProto, index: usize) -> String {
        let domain = normal_domain(node.domain.as_deref().unwrap_or_default());
        let dot = if domain.is_empty() { "" } else { "." };
        let op_type = node.op_type.as_deref().unwrap_or_default();
        format!("node '{}' ({domain}{dot}{op_type})", own_name(node, index))
    }

    fn node(&mut self, proto: &'a NodeProto, index: usize) -> Result<()> {
        let name = format!("{}{}", self.scopes.frame().prefix, own_name(proto, index));
        let op_type = proto.op_type.as_deref().unwrap_or_default();
        if op_type.is_empty() {
            return Err(Error::invalid_model("a node without an op_type"));
        }
        let domain = normal_domain(proto.domain.as_deref().unwrap_or_default());
        let edges = proto.input.len() + proto.output.len();
        self.scopes.charge(1, 256 + name.len() + op_type.len() + domain.len() + 16 * edges)?;
        if let Some(function) = self.functions.find(proto) {
            return self.inline(proto, function, &name);
        }
        if around::is_gradient(domain, op_type) && self.scopes.frame().bindings.is_some() {
            // The names in its attributes would be the function's.
            return Err(Error::unsupported("Gradient inside a function"));
        }
        let opset = self.scopes.frame().opsets.version(domain)?;
        let inputs = self.inputs(proto)?;
        let outputs = self.outputs(proto);
        let mut node = Node {
            name,
            domain: domain.into(),
            op_type: op_type.into(),
            opset,
            inputs,
            outputs,
            attributes: HashMap::with_capacity(proto.attribute.len()),
            captures: Vec::new(),
            around: None,
        };
        for (name, Bound { attribute, captures, .. }) in self.attributes(proto)? {
            node.attributes.insert(name.into(), attribute);
            node.captures.extend(captures);
        }
        self.scopes.graph().nodes.push(node);
        Ok(())
    }

    /// A node's inputs; `None` where an optional one is left out.
    pub(super) fn inputs(&mut self, node: &NodeProto) -> Result<Vec<Option<ValueId>>> {
        let input = |name: &String| if name.is_empty() { Ok(None) } else { self.scopes.resolve(name) };
        node.input.iter().map(input).enumerate().map(|(k, input)| input.at(|| format!("input {k}"))).collect()
    }

    /// A node's outputs, which `nodes` has defined; `None` where nobody asks for one.
    pub(super) fn outputs(&self, node: &NodeProto) -> Vec<Option<ValueId>> {
        node.output.iter().map(|name| self.scopes.local(name)).collect()
    }

    fn outputs_of_graph(&mut self, protos: &'a [ValueInfoProto]) -> Result<()> {
        for proto in protos {
            self.scopes.charge(0, 16)?;
            let name = proto.name.as_deref().unwrap_or_default();
            let place = || format!("graph output '{name}'");
            let id = self.scopes.resolve(name).at(place)?;
            let id = id.ok_or_else(|| Error::invalid_model("it is an input that the caller left out")).at(place)?;
            self.declare(id, proto)?;
            self.scopes.graph().outputs.push(id);
        }
        Ok(())
    }

    /// Notes the declared type of a value that has none yet.
    fn declare(&mut self, id: ValueId, proto: &ValueInfoProto) -> Result<()> {
        let Some(declared) = &proto.r#type else { return Ok(()) };
        if self.scopes.graph().values[id].declared.is_some() {
            return Ok(());
        }
        let name = proto.name.as_deref().unwrap_or_default();
        let declared = declared_type(declared).at(|| format!("type of '{name}'"))?;
        if let Some(declared) = &declared {
            self.scopes.charge(0, type_weight(declared))?;
        }
        self.scopes.graph().values[id].declared = declared;
        Ok(())
    }

    pub(super) fn tensor(&mut self, proto: &'a TensorProto) -> Result<Value> {
        self.share(std::ptr::from_ref(proto).cast(), |tensors| tensors.value(proto))
    }

    pub(super) fn sparse_tensor(&mut self, proto: &'a SparseTensorProto) -> Result<Value> {
        self.share(std::ptr::from_ref(proto).cast(), |tensors| tensors.sparse(proto))
    }

    /// In a function, what was decoded for an earlier call; else decodes. `key` is the message's address, which stays
    /// while the model is built. (A sparse tensor and its first field may share an address, but a nested message is
    /// never asked for here.)
    fn share(&mut self, key: *const u8, decode: impl FnOnce(&mut TensorReader) -> Result<Value>) -> Result<Value> {
        if self.scopes.frame().bindings.is_none() {
            return decode(&mut self.tensors);
        }
        self.scopes.charge(0, 128)?;
        if let Some(value) = self.shared.get(&key) {
            return Ok(value.clone());
        }
        let value = decode(&mut self.tensors)?;
        self.shared.insert(key, value.clone());
        Ok(value)
    }
}

/// The name of a node without its prefix.
fn own_name(node: &NodeProto, index: usize) -> String {
    match node.name.as_deref() {
        Some(name) if !name.is_empty() => name.into(),
        _ => format!("{}_{index}", node.op_type.as_deref().unwrap_or_default()),
    }
}
