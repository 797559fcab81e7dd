//! Attributes: `AttributeProto` to [`Attribute`].

use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Context, Error, Result};
use crate::graph::{Attribute, Graph, Type};

use super::functions::Bound;
use super::graph::Builder;
use super::proto::{AttributeProto, AttributeType, GraphProto, NodeProto, TypeProto};
use super::types::declared_type;

impl<'a> Builder<'a> {
    /// A node's attributes, in the order of their names.
    pub(super) fn attributes(&mut self, node: &'a NodeProto) -> Result<Vec<(&'a str, Bound)>> {
        let mut protos: Vec<_> = node.attribute.iter().map(|proto| (name_of(proto), proto)).collect();
        protos.sort_by_key(|(name, _)| *name);
        if let Some(pair) = protos.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::invalid_model(format!("attribute '{}' is given twice", pair[0].0)));
        }
        let mut attributes = Vec::with_capacity(protos.len());
        for (name, proto) in protos {
            if name.is_empty() {
                return Err(Error::invalid_model("an attribute without a name"));
            }
            let place = || format!("attribute '{name}'");
            let bound = match proto.ref_attr_name.as_deref().filter(|target| !target.is_empty()) {
                Some(target) => self.referred(target, proto).at(place)?,
                None => Some(self.attribute(proto).at(place)?),
            };
            if let Some(bound) = bound {
                self.scopes.charge(0, name.len() + bound.weight())?;
                attributes.push((name, bound));
            }
        }
        Ok(attributes)
    }

    /// The attribute of the function being inlined that `proto` refers to; `None` where the caller left it out and it has
    /// no default.
    fn referred(&mut self, target: &str, proto: &AttributeProto) -> Result<Option<Bound>> {
        let bindings = self.scopes.frame().bindings.clone().ok_or_else(|| {
            Error::invalid_model(format!("it refers to attribute '{target}' of a function, outside any function"))
        })?;
        let binding = bindings.get(target).ok_or_else(|| {
            Error::invalid_model(format!("it refers to '{target}', which the function does not declare"))
        })?;
        let Some(bound) = binding else { return Ok(None) };
        let want = proto.r#type.unwrap_or(0);
        if want != 0 && !kinds_of(&bound.attribute).iter().any(|kind| *kind as i32 == want) {
            return Err(Error::invalid_model(format!("the attribute '{target}' it refers to has another type")));
        }
        let mut bound = bound.clone();
        for capture in &mut bound.captures {
            *capture = self.scopes.bring(*capture, bound.level)?;
        }
        bound.level = self.scopes.depth();
        Ok(Some(bound))
    }

    /// An attribute's own value.
    pub(super) fn attribute(&mut self, proto: &'a AttributeProto) -> Result<Bound> {
        if proto.ref_attr_name.as_deref().is_some_and(|target| !target.is_empty()) {
            return Err(Error::invalid_model("a default may not refer to another attribute"));
        }
        let mut captures = Vec::new();
        let mut graph = |builder: &mut Builder<'a>, proto: &'a GraphProto| builder.subgraph(proto, &mut captures);
        let attribute = match type_of(proto)? {
            AttributeType::Float => Attribute::Float(proto.f.unwrap_or_default()),
            AttributeType::Int => Attribute::Int(proto.i.unwrap_or_default()),
            AttributeType::String => Attribute::String(text(proto.s.as_ref().unwrap_or(&Bytes::new()))?),
            AttributeType::Tensor => Attribute::Tensor(self.tensor(present(&proto.t)?)?),
            AttributeType::SparseTensor => Attribute::Tensor(self.sparse_tensor(present(&proto.sparse_tensor)?)?),
            AttributeType::Graph => Attribute::Graph(graph(self, present(&proto.g)?)?),
            AttributeType::TypeProto => Attribute::Type(some_type(present(&proto.tp)?)?),
            AttributeType::Floats => Attribute::Floats(proto.floats.clone()),
            AttributeType::Ints => Attribute::Ints(proto.ints.clone()),
            AttributeType::Strings => Attribute::Strings(proto.strings.iter().map(text).collect::<Result<_>>()?),
            AttributeType::Tensors => {
                Attribute::Tensors(proto.tensors.iter().map(|tensor| self.tensor(tensor)).collect::<Result<_>>()?)
            }
            AttributeType::SparseTensors => Attribute::Tensors(
                proto.sparse_tensors.iter().map(|tensor| self.sparse_tensor(tensor)).collect::<Result<_>>()?,
            ),
            AttributeType::Graphs => {
                Attribute::Graphs(proto.graphs.iter().map(|proto| graph(self, proto)).collect::<Result<_>>()?)
            }
            AttributeType::TypeProtos => {
                Attribute::Types(proto.type_protos.iter().map(some_type).collect::<Result<_>>()?)
            }
        };
        Ok(Bound { attribute, captures, level: self.scopes.depth() })
    }

    fn subgraph(&mut self, proto: &'a GraphProto, captures: &mut Vec<usize>) -> Result<Arc<Graph>> {
        let name = proto.name.as_deref().unwrap_or_default();
        let (graph, outer) = self.graph(proto, None).at(|| format!("graph '{name}'"))?;
        captures.extend(outer);
        Ok(Arc::new(graph))
    }
}

fn name_of(proto: &AttributeProto) -> &str {
    proto.name.as_deref().unwrap_or_default()
}

/// Which of an attribute's fields is in use. Where a type is stated no other field may be set; the first IR versions state
/// none, and one field must be.
fn type_of(proto: &AttributeProto) -> Result<AttributeType> {
    let set: Vec<_> = AttributeType::ALL.into_iter().filter(|&kind| is_set(proto, kind)).collect();
    let stated = match proto.r#type.unwrap_or(0) {
        0 => None,
        number => Some(
            AttributeType::ALL
                .into_iter()
                .find(|&kind| kind as i32 == number)
                .ok_or_else(|| Error::unsupported(format!("attribute type number {number}")))?,
        ),
    };
    match (stated, set.as_slice()) {
        (Some(stated), []) => Ok(stated),
        (Some(stated), [only]) if stated == *only => Ok(stated),
        (Some(stated), others) => {
            Err(Error::invalid_model(format!("the attribute is declared as {stated:?} and holds {others:?}")))
        }
        (None, [only]) => Ok(*only),
        (None, []) => Err(Error::invalid_model("the attribute has neither a type nor a value")),
        (None, several) => Err(Error::invalid_model(format!("the attribute has no type and holds {several:?}"))),
    }
}

fn is_set(proto: &AttributeProto, kind: AttributeType) -> bool {
    match kind {
        AttributeType::Float => proto.f.is_some(),
        AttributeType::Int => proto.i.is_some(),
        AttributeType::String => proto.s.is_some(),
        AttributeType::Tensor => proto.t.is_some(),
        AttributeType::Graph => proto.g.is_some(),
        AttributeType::SparseTensor => proto.sparse_tensor.is_some(),
        AttributeType::TypeProto => proto.tp.is_some(),
        AttributeType::Floats => !proto.floats.is_empty(),
        AttributeType::Ints => !proto.ints.is_empty(),
        AttributeType::Strings => !proto.strings.is_empty(),
        AttributeType::Tensors => !proto.tensors.is_empty(),
        AttributeType::Graphs => !proto.graphs.is_empty(),
        AttributeType::SparseTensors => !proto.sparse_tensors.is_empty(),
        AttributeType::TypeProtos => !proto.type_protos.is_empty(),
    }
}

/// The types that an attribute may have been stated as. (Sparse tensors have become dense.)
fn kinds_of(attribute: &Attribute) -> &'static [AttributeType] {
    match attribute {
        Attribute::Int(_) => &[AttributeType::Int],
        Attribute::Float(_) => &[AttributeType::Float],
        Attribute::String(_) => &[AttributeType::String],
        Attribute::Tensor(_) => &[AttributeType::Tensor, AttributeType::SparseTensor],
        Attribute::Graph(_) => &[AttributeType::Graph],
        Attribute::Type(_) => &[AttributeType::TypeProto],
        Attribute::Ints(_) => &[AttributeType::Ints],
        Attribute::Floats(_) => &[AttributeType::Floats],
        Attribute::Strings(_) => &[AttributeType::Strings],
        Attribute::Tensors(_) => &[AttributeType::Tensors, AttributeType::SparseTensors],
        Attribute::Graphs(_) => &[AttributeType::Graphs],
        Attribute::Types(_) => &[AttributeType::TypeProtos],
    }
}

fn present<T>(field: &Option<Box<T>>) -> Result<&T> {
    field.as_deref().ok_or_else(|| Error::invalid_model("the attribute has a type but no value"))
}

fn text(bytes: &Bytes) -> Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Error::invalid_model("a string that is not UTF-8"))
}

fn some_type(proto: &TypeProto) -> Result<Type> {
    declared_type(proto)?.ok_or_else(|| Error::invalid_model("a type that says nothing"))
}
