//! Functions local to the model: each call is replaced by the function's nodes.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::error::{Context, Error, Result};
use crate::graph::{Attribute, Dim, Node, Type, ValueId};

use super::graph::Builder;
use super::normal_domain;
use super::opsets::{self, Opsets};
use super::proto::{AttributeProto, FunctionProto, NodeProto};

/// Nodes that inlining may add to a model: functions that call functions grow exponentially in a file of a few lines.
pub const NODE_BUDGET: usize = 1_000_000;
/// Bytes of names and attribute lists that inlining may add.
pub const BYTE_BUDGET: usize = 1 << 30;

/// What is left of the budgets of inlining.
pub(super) struct Expansion {
    nodes: usize,
    bytes: usize,
}

impl Expansion {
    pub fn new() -> Expansion {
        Expansion { nodes: NODE_BUDGET, bytes: BYTE_BUDGET }
    }

    pub fn charge(&mut self, nodes: usize, bytes: usize) -> Result<()> {
        let passed = |what: String| Error::resource_limit(format!("the model's functions, inlined, pass {what}"));
        self.nodes = self.nodes.checked_sub(nodes).ok_or_else(|| passed(format!("{NODE_BUDGET} nodes")))?;
        self.bytes = self
            .bytes
            .checked_sub(bytes)
            .ok_or_else(|| passed(format!("{BYTE_BUDGET} bytes of names and attributes")))?;
        Ok(())
    }
}

/// An attribute as it was built, and the outer values that its graphs capture: values of the level it was built in.
#[derive(Clone)]
pub(super) struct Bound {
    pub attribute: Attribute,
    pub captures: Vec<ValueId>,
    pub level: usize,
}

impl Bound {
    /// About how many bytes a copy takes. (Tensors and graphs are shared.)
    pub fn weight(&self) -> usize {
        let texts = |texts: &[String]| texts.iter().map(|text| 32 + text.len()).sum();
        let own = match &self.attribute {
            Attribute::Int(_) | Attribute::Float(_) | Attribute::Tensor(_) | Attribute::Graph(_) => 0,
            Attribute::String(text) => text.len(),
            Attribute::Ints(items) => 8 * items.len(),
            Attribute::Floats(items) => 4 * items.len(),
            Attribute::Strings(items) => texts(items),
            Attribute::Tensors(items) => 128 * items.len(),
            Attribute::Graphs(items) => 8 * items.len(),
            Attribute::Type(item) => type_weight(item),
            Attribute::Types(items) => items.iter().map(type_weight).sum(),
        };
        128 + own + 8 * self.captures.len()
    }
}

pub(super) fn type_weight(declared: &Type) -> usize {
    let dim = |dim: &Dim| if let Dim::Symbol(name) = dim { 64 + name.len() } else { 64 };
    match declared {
        Type::Tensor { shape, .. } | Type::SparseTensor { shape, .. } => {
            64 + shape.iter().flatten().map(dim).sum::<usize>()
        }
        Type::Sequence(item) | Type::Optional(item) | Type::Map { value: item, .. } => 64 + type_weight(item),
    }
}

/// A function's attributes for one call. `None`: neither given by the caller nor by a default, so that the attributes that
/// refer to it are left out too.
pub(super) type Bindings<'a> = HashMap<&'a str, Option<Bound>>;

type Key<'a> = (&'a str, &'a str, &'a str);

/// The model's functions by domain, name and overload.
pub(super) struct Functions<'a> {
    by_key: HashMap<Key<'a>, &'a FunctionProto>,
    /// Imports, checked when a function is first called.
    opsets: HashMap<*const FunctionProto, Rc<Opsets>>,
    /// Functions being inlined, outermost first.
    active: Vec<*const FunctionProto>,
}

impl<'a> Functions<'a> {
    pub fn new(protos: &'a [FunctionProto]) -> Result<Functions<'a>> {
        let mut by_key = HashMap::with_capacity(protos.len());
        for proto in protos {
            let Some(name) = proto.name.as_deref().filter(|name| !name.is_empty()) else {
                return Err(Error::invalid_model("a function without a name"));
            };
            let domain = normal_domain(proto.domain.as_deref().unwrap_or_default());
            if by_key.insert((domain, name, proto.overload.as_deref().unwrap_or_default()), proto).is_some() {
                return Err(Error::invalid_model(format!("function '{domain}.{name}' is defined twice")));
            }
        }
        Ok(Functions { by_key, opsets: HashMap::new(), active: Vec::new() })
    }

    /// The function that a node calls, if it calls one.
    pub fn find(&self, node: &NodeProto) -> Option<&'a FunctionProto> {
        let domain = normal_domain(node.domain.as_deref().unwrap_or_default());
        let (name, overload) = (node.op_type.as_deref()?, node.overload.as_deref().unwrap_or_default());
        self.by_key.get(&(domain, name, overload)).copied()
    }

    fn enter(&mut self, function: &'a FunctionProto) -> Result<Rc<Opsets>> {
        let key: *const FunctionProto = function;
        if self.active.contains(&key) {
            return Err(Error::invalid_model("the function calls itself; ONNX has no recursion"));
        }
        self.active.push(key);
        if let Some(known) = self.opsets.get(&key) {
            return Ok(known.clone());
        }
        check_names(function)?;
        let opsets = Rc::new(Opsets::read(&function.opset_import)?.0);
        self.opsets.insert(key, opsets.clone());
        Ok(opsets)
    }
}

/// A function's formal inputs and attributes have names, each its own.
fn check_names(function: &FunctionProto) -> Result<()> {
    let mut inputs = HashSet::new();
    if let Some(name) = function.input.iter().find(|name| name.is_empty() || !inputs.insert(name.as_str())) {
        return Err(Error::invalid_model(format!("the function has an unnamed or repeated input '{name}'")));
    }
    let defaults = function.attribute_proto.iter().map(|proto| proto.name.as_deref().unwrap_or_default());
    let mut attributes = HashSet::new();
    let mut all = function.attribute.iter().map(String::as_str).chain(defaults);
    if let Some(name) = all.find(|name| name.is_empty() || !attributes.insert(*name)) {
        return Err(Error::invalid_model(format!("the function has an unnamed or repeated attribute '{name}'")));
    }
    Ok(())
}

impl<'a> Builder<'a> {
    /// Puts the nodes of `function` in the place of a call named `name`.
    pub(super) fn inline(&mut self, call: &'a NodeProto, function: &'a FunctionProto, name: &str) -> Result<()> {
        let inputs = self.inputs(call)?;
        let outputs = self.outputs(call);
        let (most_in, most_out) = (function.input.len(), function.output.len());
        if inputs.len() > most_in || outputs.len() > most_out {
            return Err(Error::invalid_model(format!(
                "{} inputs and {} outputs for a function of {most_in} and {most_out}",
                inputs.len(),
                outputs.len()
            )));
        }
        let given = self.attributes(call)?;
        let opsets = self.functions.enter(function)?;
        let given_inputs = inputs.into_iter().chain(std::iter::repeat(None));
        let names = function.input.iter().map(String::as_str).zip(given_inputs);
        self.scopes.open_function(names, format!("{name}/").into(), opsets)?;
        let formals = most_in + most_out + function.attribute.len() + function.attribute_proto.len();
        self.scopes.charge(0, 64 * formals + name.len())?;
        let bindings = self.bind(function, given)?;
        self.scopes.frame_mut().bindings = Some(Rc::new(bindings));
        self.body(function, &outputs)?;
        self.scopes.close_function();
        self.functions.active.pop();
        Ok(())
    }

    /// The function's attributes: the caller's, then the defaults.
    fn bind(&mut self, function: &'a FunctionProto, given: Vec<(&'a str, Bound)>) -> Result<Bindings<'a>> {
        let mut bindings: Bindings<'a> = function.attribute.iter().map(|name| (name.as_str(), None)).collect();
        let default_name = |proto: &'a AttributeProto| proto.name.as_deref().unwrap_or_default();
        bindings.extend(function.attribute_proto.iter().map(|proto| (default_name(proto), None)));
        for (name, bound) in given {
            let slot = bindings
                .get_mut(name)
                .ok_or_else(|| Error::invalid_model(format!("the function has no attribute '{name}'")))?;
            *slot = Some(bound);
        }
        for proto in &function.attribute_proto {
            let name = default_name(proto);
            if bindings.get(name).is_some_and(Option::is_none) {
                let bound = self.attribute(proto).at(|| format!("default of attribute '{name}'"))?;
                bindings.insert(name, Some(bound));
            }
        }
        Ok(bindings)
    }

    /// The function's nodes, giving the caller's `outputs`.
    fn body(&mut self, function: &'a FunctionProto, outputs: &[Option<ValueId>]) -> Result<()> {
        let mut wanted: HashMap<&str, ValueId> = HashMap::new();
        let mut copies = Vec::new();
        let produced: HashSet<&str> = function.node.iter().flat_map(|node| &node.output).map(String::as_str).collect();
        for (formal, &output) in function.output.iter().zip(outputs) {
            let Some(output) = output else { continue };
            // What is an input at the same time, or an output for the second time, takes a copy.
            if produced.contains(formal.as_str()) && !wanted.contains_key(formal.as_str()) {
                wanted.insert(formal, output);
            } else {
                copies.push((formal, output));
            }
        }
        self.scopes.give(wanted);
        self.nodes(&function.node, &function.value_info)?;
        for (formal, output) in copies {
            self.copy(formal, output).at(|| format!("output '{formal}' of the function"))?;
        }
        Ok(())
    }

    /// An Identity node from a name of the function to a value of its caller.
    fn copy(&mut self, formal: &str, output: ValueId) -> Result<()> {
        let source = self.scopes.resolve(formal)?;
        if source.is_none() {
            return Err(Error::invalid_model("it is an input that the caller left out"));
        }
        let name = format!("{}{formal}", self.scopes.frame().prefix);
        self.scopes.charge(1, 256 + name.len())?;
        self.scopes.graph().nodes.push(Node {
            name,
            domain: String::new(),
            op_type: "Identity".into(),
            opset: opsets::LATEST,
            inputs: vec![source],
            outputs: vec![Some(output)],
            attributes: HashMap::new(),
            captures: Vec::new(),
            around: None,
        });
        Ok(())
    }
}
