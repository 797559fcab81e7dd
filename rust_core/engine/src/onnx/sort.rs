//! Topological order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::error::{Error, Result};
use crate::graph::{Graph, Node, ValueId};

/// Puts the nodes in topological order: of the nodes that can run, the first in the file comes first, so that a file in
/// order stays as it is.
///
/// # Errors
/// `InvalidModel`, naming a node, where the graph has a cycle.
pub(super) fn sort(graph: &mut Graph) -> Result<()> {
    let producers = graph.producers();
    let (consumers, mut missing) = edges(graph, &producers);
    let mut ready: BinaryHeap<_> = (0..missing.len()).filter(|&i| missing[i] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(missing.len());
    while let Some(Reverse(index)) = ready.pop() {
        order.push(index);
        for &consumer in consumers.of(index) {
            missing[consumer] -= 1;
            if missing[consumer] == 0 {
                ready.push(Reverse(consumer));
            }
        }
    }
    if let Some(stuck) = missing.iter().position(|&count| count > 0) {
        let node = on_cycle(graph, &producers, &missing, stuck);
        return Err(Error::invalid_model("the node depends on its own output: the graph has a cycle").at(node.place()));
    }
    let mut nodes: Vec<_> = std::mem::take(&mut graph.nodes).into_iter().map(Some).collect();
    graph.nodes = order.iter().filter_map(|&index| nodes[index].take()).collect();
    Ok(())
}

/// Consumers of every node's outputs, all in one vector.
struct Consumers {
    starts: Vec<usize>,
    nodes: Vec<usize>,
}

impl Consumers {
    fn of(&self, node: usize) -> &[usize] {
        &self.nodes[self.starts[node]..self.starts[node + 1]]
    }
}

/// The edges from producers to consumers, and how many each consumer has.
fn edges(graph: &Graph, producers: &[Option<usize>]) -> (Consumers, Vec<usize>) {
    let count = graph.nodes.len();
    let (mut starts, mut missing) = (vec![0; count + 1], vec![0; count]);
    let pairs = || {
        graph
            .nodes
            .iter()
            .enumerate()
            .flat_map(|(index, node)| node.dependencies().filter_map(move |value| Some((producers[value]?, index))))
    };
    for (producer, consumer) in pairs() {
        starts[producer + 1] += 1;
        missing[consumer] += 1;
    }
    for index in 0..count {
        starts[index + 1] += starts[index];
    }
    let mut nodes = vec![0; starts[count]];
    let mut next = starts.clone();
    for (producer, consumer) in pairs() {
        nodes[next[producer]] = consumer;
        next[producer] += 1;
    }
    (Consumers { starts, nodes }, missing)
}

/// A node of a cycle, found by walking up from a node that waits for one.
fn on_cycle<'g>(graph: &'g Graph, producers: &[Option<usize>], missing: &[usize], stuck: usize) -> &'g Node {
    let mut seen = vec![false; graph.nodes.len()];
    let mut index = stuck;
    while !seen[index] {
        seen[index] = true;
        let waits = |value: ValueId| producers[value].filter(|&producer| missing[producer] > 0);
        match graph.nodes[index].dependencies().find_map(waits) {
            Some(producer) => index = producer,
            None => break,
        }
    }
    &graph.nodes[index]
}
