//! Constant folding: nodes whose inputs are all constants run once, now.

use std::sync::Arc;

use super::PassCx;
use crate::error::{Context, Error, Result};
use crate::graph::{Graph, Node};
use crate::operator::{Operator, Registry};
use crate::run::evaluate;
use crate::tensor::Value;

/// A result larger than its inputs by more than this is left to be computed at run time: a ConstantOfShape of a gigabyte
/// should not live as long as the session.
const MAX_GROWTH: usize = 1 << 20;

pub fn apply(graph: &mut Graph, cx: &PassCx) -> Result<bool> {
    let mut changed = false;
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        if !node.captures.is_empty() || !node.subgraphs().is_empty() || node.outputs.iter().all(Option::is_none) {
            continue;
        }
        let Some(inputs) = constants(graph, node) else { continue };
        let Some(results) = fold(node, &inputs, cx)? else { continue };
        let outputs = node.outputs.clone();
        for (output, result) in outputs.iter().zip(results) {
            if let Some(id) = *output {
                graph.values[id].constant = Some(Arc::new(result));
            }
        }
        graph.nodes[index].outputs.fill(None);
        changed = true;
    }
    graph.nodes.retain(|node| node.outputs.iter().any(Option::is_some));
    Ok(changed)
}

/// The node's inputs, if all are constants that no caller can override.
fn constants(graph: &Graph, node: &Node) -> Option<Vec<Option<Value>>> {
    let constant = |id: usize| {
        let fixed = !graph.overridable.contains(&id);
        fixed.then(|| graph.constant(id)).flatten().map(|value| (**value).clone())
    };
    node.inputs.iter().map(|input| input.map_or(Some(None), |id| constant(id).map(Some))).collect()
}

fn fold(node: &Node, inputs: &[Option<Value>], cx: &PassCx) -> Result<Option<Vec<Value>>> {
    let no_subgraphs = |_: &Arc<Graph>| Err(Error::internal("folding a node with subgraphs"));
    // An operator that cannot be built is reported when the graph is compiled, with or without this pass.
    let Ok(operator) = Registry::builtin().build(node, &no_subgraphs) else { return Ok(None) };
    if !operator.deterministic() || !worthwhile(&*operator, node, inputs, cx) {
        return Ok(None);
    }
    evaluate(&*operator, node, inputs, cx.isa).map(Some).at(|| node.place())
}

/// Whether the results are not much larger than the inputs. Operators that fail to plan are left for the run to report.
fn worthwhile(operator: &dyn Operator, node: &Node, inputs: &[Option<Value>], cx: &PassCx) -> bool {
    let given: usize = inputs.iter().flatten().filter_map(Value::as_dense).map(|tensor| tensor.byte_len()).sum();
    crate::run::planned_bytes(operator, node, inputs, cx.isa)
        .is_some_and(|bytes| bytes <= given.saturating_add(MAX_GROWTH))
}
