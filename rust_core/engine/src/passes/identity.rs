//! Identity elimination: readers of an Identity's output read its input. (Dropout without a mask, in inference before opset 12,
//! is the same thing.)

use super::PassCx;
use crate::error::Result;
use crate::graph::{Graph, Node, ValueId};

pub fn apply(graph: &mut Graph, _: &PassCx) -> Result<bool> {
    let mut stands_for: Vec<ValueId> = (0..graph.values.len()).collect();
    // A graph's outputs keep their names and their producers.
    let mut is_output = vec![false; graph.values.len()];
    graph.outputs.iter().for_each(|&id| is_output[id] = true);
    let mut changed = false;
    for node in &mut graph.nodes {
        for id in node.inputs.iter_mut().flatten().chain(&mut node.captures) {
            if stands_for[*id] != *id {
                *id = stands_for[*id];
                changed = true;
            }
        }
        if let (true, Some(Some(from)), Some(Some(to))) = (is_identity(node), node.inputs.first(), node.outputs.first())
            && !is_output[*to]
        {
            stands_for[*to] = *from;
        }
    }
    Ok(changed)
}

fn is_identity(node: &Node) -> bool {
    let only_output = node.outputs.iter().skip(1).all(Option::is_none);
    node.domain.is_empty()
        && match node.op_type.as_str() {
            "Identity" => true,
            "Dropout" => (7..12).contains(&node.opset) && only_output,
            _ => false,
        }
}
