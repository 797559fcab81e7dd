//! The nodes that stand for one product, named after it.

use std::collections::HashMap;

use super::Ruled;
use super::operand::Operand;
use super::scope::Scope;
use crate::graph::{Attribute, Node, ValueId};
use crate::tensor::Tensor;

pub(super) type Attributes = HashMap<String, Attribute>;

pub(super) struct Maker<'a> {
    pub scope: &'a Scope<'a>,
    pub node: &'a Node,
    pub nodes: Vec<Node>,
}

impl<'a> Maker<'a> {
    pub fn new(scope: &'a Scope<'a>, index: usize) -> Maker<'a> {
        Maker { scope, node: &scope.graph.nodes[index], nodes: Vec::new() }
    }

    /// Appends a node of the product's opset; it has the product's name, with `suffix` behind it if that is not empty.
    pub fn push(
        &mut self,
        op_type: &str,
        inputs: &[ValueId],
        output: Option<ValueId>,
        suffix: &str,
        attributes: Attributes,
    ) {
        let dash = if suffix.is_empty() { "" } else { "/" };
        self.nodes.push(Node {
            name: format!("{}{dash}{suffix}", self.node.name),
            domain: String::new(),
            op_type: op_type.into(),
            opset: self.node.opset,
            inputs: inputs.iter().copied().map(Some).collect(),
            outputs: vec![output],
            attributes,
            captures: Vec::new(),
            around: None,
        });
    }

    fn value_name(&self, what: &str) -> String {
        let output = self.node.outputs.first().copied().flatten();
        format!("{}/{what}", output.map_or("", |id| self.scope.graph.value_name(id)))
    }

    /// A value before the last one.
    pub fn between(&self, what: &str) -> ValueId {
        self.scope.add(self.value_name(what), None)
    }

    /// A new constant of the product.
    pub fn constant(&self, what: &str, tensor: Tensor) -> ValueId {
        self.scope.add(self.value_name(what), Some(tensor))
    }

    /// The quantized operand behind its permutations.
    pub fn transposed(&mut self, operand: &Operand) -> ValueId {
        let mut id = operand.id;
        for (i, perm) in operand.perms.iter().enumerate() {
            let count = if i == 0 { String::new() } else { format!("_{i}") };
            let place = format!("Transpose_{}{count}", operand.label);
            let output = self.between(&place);
            let attributes = perm.iter().map(|perm| ("perm".to_owned(), Attribute::Ints(perm.clone()))).collect();
            self.push("Transpose", &[id], Some(output), &place, attributes);
            id = output;
        }
        id
    }

    pub fn scale(&self, operand: &Operand) -> ValueId {
        self.constant(&format!("{}_scale", operand.label.to_lowercase()), operand.scale.clone())
    }

    pub fn zero_point(&self, operand: &Operand) -> ValueId {
        self.constant(&format!("{}_zero_point", operand.label.to_lowercase()), operand.zero.clone())
    }

    /// A tensor with one value a channel, `trailing` axes behind the channels.
    pub fn spread(&self, what: &str, tensor: &Tensor, trailing: usize) -> Ruled<ValueId> {
        let mut shape = vec![tensor.element_count()];
        shape.extend(std::iter::repeat_n(1, trailing));
        Ok(self.constant(what, tensor.reshaped(&shape)?))
    }
}
