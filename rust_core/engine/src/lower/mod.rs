//! Lowering: the one place where the meaning of a model may be chosen (docs/quantization.md).
//!
//! A product between DequantizeLinear nodes means a product of floats. With [`Quantized::Integer`] it becomes a product of
//! the integers themselves, which differs in its roundings; with [`Quantized::Float`] it stays, and MatMulNBits computes in
//! floats too. [`RULES`] says what an operator becomes. A pattern that no rule takes stays as it is, and the list of
//! [`Lowered`] says why. Which patterns are taken depends on the graph as it was read, never on the order of nodes.

mod bias;
mod make;
mod nbits;
mod operand;
mod products;
mod requantization;
mod scope;

use std::collections::HashSet;
use std::sync::Arc;

use diptych_kernels::Isa;

use crate::error::{Error, Result};
use crate::graph::{Attribute, Graph, Node};
use scope::Scope;

/// What Q/DQ around a product means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quantized {
    #[default]
    Integer,
    Float,
}

impl Quantized {
    pub fn from_name(name: &str) -> Option<Quantized> {
        match name {
            "integer" => Some(Quantized::Integer),
            "float" => Some(Quantized::Float),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Quantized::Integer => "integer",
            Quantized::Float => "float",
        }
    }
}

/// A node's name and operator.
pub type Named = (String, String);

/// One product with a dequantized operand, and what became of it.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// `""` for the main graph, else such as `loop_1.body/if_2.then_branch`.
    pub graph: String,
    pub node: String,
    pub op_type: String,
    pub meaning: Quantized,
    /// What the pattern is made of; others may read some of these nodes too.
    pub nodes_in: Vec<Named>,
    /// What stands for them.
    pub nodes_out: Vec<Named>,
    /// Why the pattern stays floating point; empty where it does not.
    pub reason: String,
}

/// Why a rule gives nothing: the pattern stays floating point, or the engine failed.
enum Stop {
    Kept(String),
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Failed(error)
    }
}

type Ruled<T> = Result<T, Stop>;

/// Ends a rule: the pattern stays floating point.
fn kept<T>(reason: impl Into<String>) -> Ruled<T> {
    Err(Stop::Kept(reason.into()))
}

/// What a node becomes. Nodes of the graph are given by their index.
#[derive(Default)]
struct Rewrite {
    nodes: Vec<Node>,
    removed: Vec<usize>,
    /// All nodes that the meaning was read from.
    pattern: Vec<usize>,
    /// Those of them that go when nobody reads them any more.
    operands: Vec<usize>,
}

/// What a node of that operator becomes: node `usize` of the scope's graph.
struct Rule {
    op_type: &'static str,
    apply: fn(&Scope<'_>, usize) -> Ruled<Rewrite>,
}

const RULES: &[Rule] = &[
    Rule { op_type: "Conv", apply: products::conv },
    Rule { op_type: "ConvTranspose", apply: products::conv_transpose },
    Rule { op_type: "MatMul", apply: products::matmul },
    Rule { op_type: "Gemm", apply: products::gemm },
];

/// Lowers a graph and its subgraphs; says what was found, by graph and node.
pub fn run(graph: &mut Graph, quantized: Quantized, isa: Isa) -> Result<Vec<Lowered>> {
    if !concerns(graph, quantized) {
        return Ok(Vec::new());
    }
    let mut lowering = Lowering { quantized, isa, found: Vec::new() };
    if let Some(lowered) = lowering.graph(graph, None, "")? {
        *graph = lowered;
    }
    lowering.found.sort_by(|a, b| (&a.graph, &a.node).cmp(&(&b.graph, &b.node)));
    Ok(lowering.found)
}

/// Whether there is anything to lower in a graph or inside its nodes.
fn concerns(graph: &Graph, quantized: Quantized) -> bool {
    graph.nodes.iter().any(|node| {
        let named = match quantized {
            Quantized::Integer => node.domain.is_empty() && node.op_type == "DequantizeLinear",
            Quantized::Float => nbits::is_nbits(node),
        };
        named || node.subgraphs().iter().any(|(_, inner)| concerns(inner, quantized))
    })
}

struct Lowering {
    quantized: Quantized,
    isa: Isa,
    found: Vec<Lowered>,
}

impl Lowering {
    /// The graph lowered, with the graphs inside; `None` where it stays.
    fn graph(&mut self, graph: &Graph, outer: Option<(&Scope<'_>, &[usize])>, path: &str) -> Result<Option<Graph>> {
        if graph.nodes.iter().any(|node| node.op_type == "Gradient") {
            return Ok(None); // it differentiates the nodes as they are written
        }
        let scope = Scope::new(graph, outer, self.isa);
        let mut rewrites = Vec::with_capacity(graph.nodes.len());
        for index in 0..graph.nodes.len() {
            rewrites.push(self.rewrite(&scope, index, path)?);
        }
        let gone: HashSet<usize> = rewrites.iter().flatten().flat_map(|rewrite| rewrite.removed.clone()).collect();
        let idle: HashSet<usize> = rewrites.iter().flatten().flat_map(|rewrite| rewrite.operands.clone()).collect();
        let mut nodes = Vec::with_capacity(graph.nodes.len());
        for (index, rewrite) in rewrites.into_iter().enumerate() {
            match rewrite {
                Some(rewrite) => nodes.extend(rewrite.nodes.into_iter().map(|node| (node, false))),
                None if gone.contains(&index) => {}
                None => nodes.push((self.with_subgraphs(&scope, index, path)?, idle.contains(&index))),
            }
        }
        let mut lowered = Graph { nodes: without_idle(graph, nodes), ..graph.clone() };
        lowered.values.extend(scope.into_added());
        Ok(Some(lowered))
    }

    /// What a node becomes, if a rule takes it; notes what it found.
    fn rewrite(&mut self, scope: &Scope<'_>, index: usize, path: &str) -> Result<Option<Rewrite>> {
        let node = &scope.graph.nodes[index];
        if self.quantized == Quantized::Float {
            let Some((rewrite, reason)) = nbits::as_float(node, index) else { return Ok(None) };
            self.note(scope, path, index, Quantized::Float, &rewrite, reason);
            return Ok(Some(rewrite));
        }
        let rule = RULES.iter().find(|rule| node.domain.is_empty() && node.op_type == rule.op_type);
        let Some(rule) = rule.filter(|_| node.inputs.len() > 1 && !node.outputs.is_empty()) else { return Ok(None) };
        if !node.inputs[..2].iter().flatten().any(|&id| scope.is_dequantized(id)) {
            return Ok(None);
        }
        match (rule.apply)(scope, index) {
            Ok(rewrite) => {
                self.note(scope, path, index, Quantized::Integer, &rewrite, String::new());
                Ok(Some(rewrite))
            }
            Err(Stop::Kept(reason)) => {
                let same = Rewrite { nodes: vec![node.clone()], pattern: vec![index], ..Rewrite::default() };
                self.note(scope, path, index, Quantized::Float, &same, reason);
                Ok(None)
            }
            Err(Stop::Failed(error)) => Err(error.at(node.place())),
        }
    }

    /// Puts a line into the list.
    fn note(
        &mut self,
        scope: &Scope<'_>,
        path: &str,
        index: usize,
        meaning: Quantized,
        rewrite: &Rewrite,
        reason: String,
    ) {
        let named = |node: &Node| (node.name.clone(), node.op_type.clone());
        let (node, op_type) = named(&scope.graph.nodes[index]);
        self.found.push(Lowered {
            graph: path.into(),
            node,
            op_type,
            meaning,
            nodes_in: rewrite.pattern.iter().map(|&index| named(&scope.graph.nodes[index])).collect(),
            nodes_out: rewrite.nodes.iter().map(named).collect(),
            reason,
        });
    }

    /// A node whose subgraphs are lowered.
    fn with_subgraphs(&mut self, scope: &Scope<'_>, index: usize, path: &str) -> Result<Node> {
        let mut node = scope.graph.nodes[index].clone();
        if node.subgraphs().is_empty() {
            return Ok(node);
        }
        let prefix = if path.is_empty() { node.name.clone() } else { format!("{path}/{}", node.name) };
        let mut names: Vec<String> = node.attributes.keys().cloned().collect();
        names.sort(); // the order of captures
        let captures = std::mem::take(&mut node.captures);
        let mut rest = captures.as_slice();
        for name in names {
            let inside = format!("{prefix}.{name}");
            match node.attributes.get_mut(&name) {
                Some(Attribute::Graph(graph)) => self.subgraph(graph, scope, &mut rest, &inside)?,
                Some(Attribute::Graphs(graphs)) => {
                    for (i, graph) in graphs.iter_mut().enumerate() {
                        self.subgraph(graph, scope, &mut rest, &format!("{inside}[{i}]"))?;
                    }
                }
                _ => {}
            }
        }
        node.captures = captures;
        Ok(node)
    }

    /// One subgraph; it takes its captures from the front of `captures`.
    fn subgraph(
        &mut self,
        graph: &mut Arc<Graph>,
        scope: &Scope<'_>,
        captures: &mut &[usize],
        path: &str,
    ) -> Result<()> {
        let (own, rest) = captures.split_at(graph.captures.len().min(captures.len()));
        *captures = rest;
        if let Some(lowered) = self.graph(graph, Some((scope, own)), path)? {
            *graph = Arc::new(lowered);
        }
        Ok(())
    }
}

/// The nodes without operands (marked) that nobody reads any more.
fn without_idle(graph: &Graph, nodes: Vec<(Node, bool)>) -> Vec<Node> {
    let mut read: HashSet<usize> = graph.outputs.iter().copied().collect();
    let mut kept = Vec::with_capacity(nodes.len());
    for (node, idle) in nodes.into_iter().rev() {
        if idle && !node.outputs.iter().flatten().any(|id| read.contains(id)) {
            continue;
        }
        read.extend(node.dependencies());
        kept.push(node);
    }
    kept.reverse();
    kept
}
