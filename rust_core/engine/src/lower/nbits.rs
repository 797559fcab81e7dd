//! MatMulNBits, whose `accuracy_level` may let it quantize A: with [`Quantized::Float`](super::Quantized) it may not.

use super::Rewrite;
use crate::graph::{Attribute, Node};

const LEVEL: &str = "accuracy_level";
/// Binary32.
const FLOAT: i64 = 1;

pub(super) fn is_nbits(node: &Node) -> bool {
    node.domain == "com.microsoft" && node.op_type == "MatMulNBits"
}

/// The node with level 1 in place of another that was set, and what to say of it.
pub(super) fn as_float(node: &Node, index: usize) -> Option<(Rewrite, String)> {
    let Some(Attribute::Int(level)) = node.attributes.get(LEVEL).filter(|_| is_nbits(node)) else { return None };
    if matches!(level, 0 | 1) {
        return None;
    }
    let mut exact = node.clone();
    exact.attributes.insert(LEVEL.into(), Attribute::Int(FLOAT));
    let rewrite = Rewrite { nodes: vec![exact], removed: vec![index], pattern: vec![index], operands: Vec::new() };
    Some((rewrite, format!("{LEVEL} {level} becomes {FLOAT}")))
}
