//! What a node has to do, whatever kernel does it: profiles hold its time against what the machine can do.

use crate::dtype::DType;
use crate::graph::{Attribute, Node, ValueId};
use crate::operator::InputInfo;
use crate::tensor::ValueType;

/// The least that a node does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Operations in binary32, two a multiply-add, of products, convolutions and recurrences; 0 for all else.
    pub flops: u64,
    /// Bytes of the inputs and outputs, each once.
    pub bytes: u64,
}

impl Work {
    /// The work of a node whose values have types `infos`.
    pub(super) fn of(node: &Node, infos: &[Option<InputInfo>]) -> Work {
        let info = |id: &Option<ValueId>| id.and_then(|id| infos[id].as_ref());
        let values = node.inputs.iter().chain(&node.outputs).filter_map(info);
        let bytes = values.filter_map(|info| match info.ty {
            ValueType::Tensor(dtype) => dtype.byte_len(info.shape.iter().product()),
            _ => None,
        });
        let shape = |id: Option<&Option<ValueId>>| id.and_then(info).map(|info| &info.shape[..]);
        let operands = Operands {
            inputs: [0, 1, 2].map(|input| shape(node.inputs.get(input))),
            output: node.outputs.iter().find_map(|id| shape(Some(id))),
        };
        let single = node.inputs.first().and_then(info).is_some_and(|x| x.ty == ValueType::Tensor(DType::F32));
        let flops = if single { operands.flops(node).unwrap_or(0) } else { 0 };
        Work { flops, bytes: bytes.fold(0, |sum, bytes| sum.saturating_add(bytes as u64)) }
    }
}

/// Shapes of a node's first inputs and of its first output that somebody reads.
struct Operands<'a> {
    inputs: [Option<&'a [usize]>; 3],
    output: Option<&'a [usize]>,
}

impl Operands<'_> {
    /// `None` for operators that are not counted, and where a shape is not known.
    fn flops(&self, node: &Node) -> Option<u64> {
        let [a, b, c] = self.inputs;
        let transposed = |name: &str| matches!(node.attributes.get(name), Some(Attribute::Int(1)));
        let terms = match node.op_type.as_str() {
            "Conv" => count(b?.get(1..)?).saturating_mul(count(self.output?)),
            "ConvTranspose" => count(b?.get(1..)?).saturating_mul(count(a?)),
            "Gemm" | "MatMul" | "FusedMatMul" | "MatMulNBits" => {
                let inner = if transposed("transA") { 2 } else { 1 };
                let k = *a?.iter().rev().nth(inner - 1)?;
                count(self.output?).saturating_mul(k as u64)
            }
            // W and R are [directions, gates, ...], X is [time, batch, features].
            "LSTM" | "GRU" | "RNN" => count(b?).saturating_add(count(c?)).saturating_mul(count(a?.get(..2)?)),
            _ => return None,
        };
        Some(terms.saturating_mul(2))
    }
}

fn count(shape: &[usize]) -> u64 {
    shape.iter().fold(1, |count, &n| count.saturating_mul(n as u64))
}
