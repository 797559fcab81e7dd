//! Dead code: nodes none of whose outputs is read, and outputs that nobody reads.

use super::PassCx;
use crate::error::Result;
use crate::graph::Graph;

pub fn apply(graph: &mut Graph, _: &PassCx) -> Result<bool> {
    let mut read = vec![false; graph.values.len()];
    for &output in &graph.outputs {
        read[output] = true;
    }
    let mut live = vec![false; graph.nodes.len()];
    let mut changed = false;
    for (index, node) in graph.nodes.iter_mut().enumerate().rev() {
        for output in &mut node.outputs {
            if output.is_some_and(|id| !read[id]) {
                *output = None;
                changed = true;
            }
        }
        live[index] = node.outputs.iter().any(Option::is_some);
        if live[index] {
            node.dependencies().for_each(|id| read[id] = true);
        }
    }
    let before = graph.nodes.len();
    let mut keep = live.into_iter();
    graph.nodes.retain(|_| keep.next().unwrap_or(true));
    Ok(changed || graph.nodes.len() < before)
}
