//! Graph passes: each removes work without changing a bit, and can be switched off by name.

mod constant_folding;
mod dead_code;
mod few_bit_products;
mod identity;

use std::sync::Arc;

use diptych_kernels::Isa;

use crate::error::{Error, Result};
use crate::graph::{Attribute, Graph, Node, ValueInfo};
use crate::signatures;

/// One pass: its public name and what it does to a graph (not to subgraphs: [`run`] descends).
struct Pass {
    name: &'static str,
    apply: fn(&mut Graph, &PassCx) -> Result<bool>,
}

/// What passes may know.
pub struct PassCx {
    pub isa: Isa,
}

/// In the order they run. The sequence repeats until nothing changes.
const PASSES: &[Pass] = &[
    Pass { name: "identity_elimination", apply: identity::apply },
    Pass { name: "constant_folding", apply: constant_folding::apply },
    Pass { name: "few_bit_products", apply: few_bit_products::apply },
    Pass { name: "dead_code_elimination", apply: dead_code::apply },
];

/// The pass of plans, which know types and shapes: see `plan::fusion`.
pub const EPILOGUE_FUSION: &str = "epilogue_fusion";

/// Rounds after which a graph that still changes is left as it is; two suffice for the passes above.
const MAX_ROUNDS: usize = 8;

/// Names of all passes.
pub fn names() -> impl Iterator<Item = &'static str> {
    PASSES.iter().map(|pass| pass.name).chain([EPILOGUE_FUSION])
}

/// Runs the passes on a graph and its subgraphs, except those named in `disabled`.
pub fn run(graph: &mut Graph, disabled: &[String], cx: &PassCx) -> Result<()> {
    if let Some(unknown) = disabled.iter().find(|name| !names().any(|known| known == name.as_str())) {
        let known: Vec<&str> = names().collect();
        return Err(Error::invalid_input(format!("no pass is named '{unknown}'; there are: {}", known.join(", "))));
    }
    run_on(graph, disabled, cx)
}

fn run_on(graph: &mut Graph, disabled: &[String], cx: &PassCx) -> Result<()> {
    for node in &mut graph.nodes {
        run_on_subgraphs(node, disabled, cx)?;
    }
    for _ in 0..MAX_ROUNDS {
        let mut changed = false;
        for pass in PASSES.iter().filter(|pass| !disabled.iter().any(|name| name == pass.name)) {
            changed |= (pass.apply)(graph, cx)?;
        }
        if !changed {
            break;
        }
    }
    name_needed_outputs(graph);
    Ok(())
}

/// Gives the outputs that an operator always has a value each, also where nobody reads it: kernels write them.
fn name_needed_outputs(graph: &mut Graph) {
    let Graph { nodes, values, .. } = graph;
    for node in nodes.iter_mut().filter(|node| !node.outputs.is_empty()) {
        let signature = signatures::in_force(&node.domain, &node.op_type, node.opset);
        let least = signature.map_or(1, |signature| signature.outputs.0);
        if node.outputs.len() < least {
            node.outputs.resize(least, None);
        }
        for (index, output) in node.outputs.iter_mut().enumerate().take(least) {
            output.get_or_insert_with(|| {
                values.push(ValueInfo { name: format!("{}:{index}", node.name), declared: None, constant: None });
                values.len() - 1
            });
        }
    }
}

fn run_on_subgraphs(node: &mut Node, disabled: &[String], cx: &PassCx) -> Result<()> {
    let optimise = |graph: &mut Arc<Graph>| run_on(Arc::make_mut(graph), disabled, cx);
    for attribute in node.attributes.values_mut() {
        match attribute {
            Attribute::Graph(graph) => optimise(graph)?,
            Attribute::Graphs(graphs) => graphs.iter_mut().try_for_each(optimise)?,
            _ => {}
        }
    }
    Ok(())
}
