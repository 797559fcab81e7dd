//! Steps that follow others inside their kernels: what they do to an element happens while it is in a register.
//!
//! Each operator keeps its own roundings; only the walks through memory between them are saved.

use std::collections::HashMap;

use diptych_kernels::epilogue::Epilogue;

use super::segment::Planned;
use crate::graph::{Graph, ValueId};

/// Lets every step whose only input is another's output, read by nobody else, follow that one where its kernel can.
pub(super) fn fuse(graph: &Graph, steps: &mut Vec<Planned>) {
    let readers = count_readers(graph);
    // The step that writes a value which a follower may take over.
    let mut hosts: HashMap<ValueId, usize> = HashMap::new();
    let mut kept: Vec<Planned> = Vec::with_capacity(steps.len());
    for planned in steps.drain(..) {
        if let Some(host) = host(graph, &planned, &hosts)
            && let Some(epilogue) = joined(kept[host].epilogue.as_ref(), planned.step.epilogue.as_deref())
        {
            kept[host].epilogue = Some(epilogue);
            kept[host].outputs = planned.outputs;
            hosts.extend(only_output(&kept[host], &readers).map(|value| (value, host)));
            continue;
        }
        if planned.step.takes_epilogue {
            hosts.extend(only_output(&planned, &readers).map(|value| (value, kept.len())));
        }
        kept.push(planned);
    }
    *steps = kept;
}

/// How often each value is read: by nodes, by their subgraphs, as an output of the graph.
fn count_readers(graph: &Graph) -> HashMap<ValueId, usize> {
    let mut readers = HashMap::new();
    for value in graph.nodes.iter().flat_map(|node| node.dependencies()).chain(graph.outputs.iter().copied()) {
        *readers.entry(value).or_insert(0) += 1;
    }
    readers
}

/// The one output of a step, if one node alone reads it.
fn only_output(planned: &Planned, readers: &HashMap<ValueId, usize>) -> Option<ValueId> {
    match planned.outputs[..] {
        [Some(value)] if readers.get(&value) == Some(&1) => Some(value),
        _ => None,
    }
}

/// The step that `planned` may follow: the one that writes its input 0.
fn host(graph: &Graph, planned: &Planned, hosts: &HashMap<ValueId, usize>) -> Option<usize> {
    planned.step.epilogue.as_ref()?;
    let input = graph.nodes[planned.node].inputs.first().copied().flatten()?;
    hosts.get(&input).copied()
}

/// What a step has after it, and then `next`.
fn joined(before: Option<&Epilogue>, next: Option<&Epilogue>) -> Option<Epilogue> {
    match before {
        None => next.cloned(),
        Some(before) => before.then(next?),
    }
}
