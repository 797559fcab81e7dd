//! What a Gradient differentiates: the part of its graph that leads to `y`, short of `xs` and `zs`.
//!
//! It is cut out when the graph has been read, before any pass: nodes are evaluated once more from there, in an order that depends
//! on the graph alone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::error::{Context, Error, Result};
use crate::graph::{Around, Attribute, Graph, Node, ValueId};

const DOMAIN: &str = "ai.onnx.preview.training";

/// Gradients of gradients of ... that may be nested.
const MAX_DEPTH: usize = 16;

pub(crate) fn is_gradient(domain: &str, op_type: &str) -> bool {
    domain == DOMAIN && op_type == "Gradient"
}

/// Gives every Gradient of the graph its part.
pub(super) fn attach(graph: &mut Graph) -> Result<()> {
    for index in 0..graph.nodes.len() {
        attach_to(graph, index, 0).at(|| graph.nodes[index].place())?;
    }
    Ok(())
}

fn attach_to(graph: &mut Graph, index: usize, depth: usize) -> Result<()> {
    let node = &graph.nodes[index];
    if !is_gradient(&node.domain, &node.op_type) || node.around.is_some() {
        return Ok(());
    }
    if depth == MAX_DEPTH {
        return Err(too_deep());
    }
    let Some((sources, variables, target)) = named(graph, node)? else { return Ok(()) };
    let stop: HashSet<ValueId> = sources.iter().flatten().copied().collect();
    let producers = graph.producers();
    let order = leading_to(graph, &producers, target, &stop);
    for &inner in &order {
        attach_to(graph, inner, depth + 1)?;
    }
    let nodes: Vec<Node> = order.iter().map(|&inner| graph.nodes[inner].clone()).collect();
    let inner = nodes.iter().filter_map(|node| node.around.as_ref()).map(|around| around.depth).max();
    let depth = 1 + inner.unwrap_or(0);
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    let (mut leaves, mut seen) = (Vec::new(), stop);
    for id in nodes.iter().flat_map(Node::dependencies).chain([target]) {
        if producers[id].is_none() && seen.insert(id) {
            leaves.push(id);
        }
    }
    let node = &mut graph.nodes[index];
    node.captures = leaves.clone();
    node.around = Some(Arc::new(Around { nodes, sources, variables, target, leaves, depth }));
    Ok(())
}

fn too_deep() -> Error {
    Error::invalid_model(format!("gradients of gradients are nested more than {MAX_DEPTH} deep"))
}

type Named = (Vec<Option<ValueId>>, usize, ValueId);

/// The values that the attributes name; `None` where they are not what ONNX says, which the signature will refuse.
fn named(graph: &Graph, node: &Node) -> Result<Option<Named>> {
    let strings = |name: &str| match node.attributes.get(name) {
        Some(Attribute::Strings(names)) => Some(names.as_slice()),
        Some(Attribute::Ints(none)) if none.is_empty() => Some(&[][..]),
        None => Some(&[][..]),
        Some(_) => None,
    };
    let (Some(xs), Some(zs), Some(Attribute::String(y))) = (strings("xs"), strings("zs"), node.attributes.get("y"))
    else {
        return Ok(None);
    };
    let ids: HashMap<&str, ValueId> =
        graph.values.iter().enumerate().map(|(id, value)| (value.name.as_str(), id)).collect();
    let sources = xs.iter().chain(zs).map(|name| ids.get(name.as_str()).copied()).collect();
    let target = ids.get(y.as_str()).copied();
    let target = target.ok_or_else(|| Error::invalid_model(format!("there is no value '{y}' around the node")))?;
    Ok(Some((sources, xs.len(), target)))
}

/// The nodes that a value depends on, short of some values: each after the nodes of its inputs, in their order.
fn leading_to(graph: &Graph, producers: &[Option<usize>], target: ValueId, stop: &HashSet<ValueId>) -> Vec<usize> {
    let (mut order, mut found) = (Vec::new(), HashSet::new());
    let mut stack = vec![(target, false)];
    while let Some((id, done)) = stack.pop() {
        let Some(index) = producers[id].filter(|index| !stop.contains(&id) && !found.contains(index)) else { continue };
        if done {
            found.insert(index);
            order.push(index);
        } else {
            stack.push((id, true));
            stack.extend(graph.nodes[index].inputs.iter().rev().flatten().map(|&input| (input, false)));
        }
    }
    order
}
