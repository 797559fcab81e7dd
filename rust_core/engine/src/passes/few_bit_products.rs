//! Products whose constant weights a blocked DequantizeLinear gives: one MatMulNBits of com.microsoft, which has the same bits
//! in binary32 and keeps the weights as they are, where their float form would be made anew in every run.

use std::collections::HashMap;
use std::sync::Arc;

use super::PassCx;
use crate::dtype::DType;
use crate::error::Result;
use crate::graph::{Attribute, Graph, Node, ValueId, ValueInfo};
use crate::ops::nbits::code;
use crate::tensor::Tensor;

pub fn apply(graph: &mut Graph, _: &PassCx) -> Result<bool> {
    let producers = graph.producers();
    let mut changed = false;
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        let Some(right) = product_of(node) else { continue };
        let Some(weights) = producers[right].and_then(|source| Weights::of(graph, &graph.nodes[source])) else {
            continue;
        };
        let inputs = weights.inputs()?;
        let mut ids = vec![graph.nodes[index].inputs[0]];
        for input in inputs {
            let name = format!("{}/{}", graph.nodes[index].name, ids.len());
            graph.values.push(ValueInfo { name, declared: None, constant: Some(Arc::new(input.into())) });
            ids.push(Some(graph.values.len() - 1));
        }
        let node = &mut graph.nodes[index];
        node.inputs = ids;
        node.domain = "com.microsoft".into();
        node.op_type = "MatMulNBits".into();
        node.opset = 1;
        node.attributes = weights.attributes();
        changed = true;
    }
    Ok(changed)
}

/// The right operand of a MatMul.
fn product_of(node: &Node) -> Option<ValueId> {
    let is_product = node.domain.is_empty() && node.op_type == "MatMul" && node.opset >= 9;
    is_product.then(|| node.inputs.get(1).copied().flatten()).flatten()
}

/// Constant weights [K, N] in blocks along K.
struct Weights {
    k: usize,
    n: usize,
    block: usize,
    codes: Tensor,
    scales: Tensor,
    zeros: Option<Tensor>,
}

impl Weights {
    /// What the node dequantizes, if it is constant and MatMulNBits can have it.
    fn of(graph: &Graph, node: &Node) -> Option<Weights> {
        if !node.domain.is_empty() || node.op_type != "DequantizeLinear" || node.opset < 21 {
            return None;
        }
        let int = |name: &str, default: i64| match node.attributes.get(name) {
            Some(Attribute::Int(value)) => *value,
            _ => default,
        };
        let constant = |input: usize| {
            let id = node.inputs.get(input).copied().flatten()?;
            let value = graph.constant(id).filter(|_| !graph.overridable.contains(&id))?;
            value.as_dense().cloned()
        };
        let (codes, scales, zeros) = (constant(0)?, constant(1)?, constant(2));
        let has_zeros = node.inputs.get(2).copied().flatten().is_some();
        let block = usize::try_from(int("block_size", 0)).ok()?;
        let &[k, n] = codes.shape() else { return None };
        let by_block = [k.div_ceil(block.max(1)), n];
        let fits = matches!(codes.dtype(), DType::U4 | DType::I4 | DType::U8 | DType::I8)
            && matches!(int("axis", 1), 0 | -2)
            && matches!(int("output_dtype", 0), 0 | 1)
            && (block >= 16 && block.is_power_of_two())
            && (k > 0 && n > 0)
            && (scales.dtype() == DType::F32 && scales.shape() == by_block)
            && zeros.is_some() == has_zeros
            && zeros.as_ref().is_none_or(|zeros| zeros.dtype() == codes.dtype() && zeros.shape() == by_block);
        fits.then_some(Weights { k, n, block, codes, scales, zeros })
    }

    fn blocks(&self) -> usize {
        self.k.div_ceil(self.block)
    }

    fn attributes(&self) -> HashMap<String, Attribute> {
        let all = [("K", self.k), ("N", self.n), ("block_size", self.block), ("bits", self.codes.dtype().bits())];
        all.into_iter().map(|(name, value)| (name.to_string(), Attribute::Int(value as i64))).collect()
    }

    /// B [N, blocks, bytes], scales [N, blocks] and, unless they are MatMulNBits's default, zero points [N, bytes].
    fn inputs(&self) -> Result<Vec<Tensor>> {
        let (k, n, bits, blocks) = (self.k, self.n, self.codes.dtype().bits(), self.blocks());
        // Signed integers move by half the range, and with them their zero points.
        let half = if matches!(self.codes.dtype(), DType::I4 | DType::I8) { 1 << (bits - 1) } else { 0 };
        let columns = |tensor: &Tensor, rows: usize, width: usize| {
            let bytes = tensor.bytes();
            turned(n, rows, bits, width, |row, column| code(bytes, bits, row * n + column) ^ half)
        };
        let blob = self.block * bits / 8;
        let b = Tensor::from_slice(&[n, blocks, blob], &columns(&self.codes, k, blocks * blob))?;
        let given = self.scales.aligned()?;
        let given = given.as_slice::<f32>()?;
        let scales: Vec<f32> = (0..n * blocks).map(|i| given[i % blocks * n + i / blocks]).collect();
        let mut inputs = vec![b, Tensor::from_slice(&[n, blocks], &scales)?];
        let width = (blocks * bits).div_ceil(8);
        match &self.zeros {
            Some(zeros) => inputs.push(Tensor::from_slice(&[n, width], &columns(zeros, blocks, width))?),
            None if half == 0 => inputs.push(Tensor::zeros(DType::U8, &[n, width])?),
            None => {}
        }
        Ok(inputs)
    }
}

/// Codes `at(row, column)` as `columns` times `width` bytes, the rows of a column side by side.
fn turned(columns: usize, rows: usize, bits: usize, width: usize, at: impl Fn(usize, usize) -> u8) -> Vec<u8> {
    /// Rows at a time: their cache lines serve one column after another.
    const BAND: usize = 32;
    let mut bytes = vec![0; columns * width];
    for first in (0..rows).step_by(BAND) {
        for (column, bytes) in bytes.chunks_exact_mut(width).enumerate() {
            for row in first..rows.min(first + BAND) {
                bytes[row * bits / 8] |= at(row, column) << (row * bits % 8);
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constant(name: &str, tensor: Tensor) -> ValueInfo {
        ValueInfo { name: name.into(), declared: None, constant: Some(Arc::new(tensor.into())) }
    }

    fn node(op_type: &str, inputs: &[ValueId], output: ValueId, attributes: &[(&str, i64)]) -> Node {
        Node {
            name: op_type.into(),
            domain: String::new(),
            op_type: op_type.into(),
            opset: 21,
            inputs: inputs.iter().copied().map(Some).collect(),
            outputs: vec![Some(output)],
            attributes: attributes.iter().map(|(name, value)| (name.to_string(), Attribute::Int(*value))).collect(),
            captures: Vec::new(),
            around: None,
        }
    }

    /// `a @ dequantized(w)`, w being int8 [17, 2].
    fn graph(block: i64, axis: i64) -> Graph {
        let codes: Vec<i8> = (0..34).map(|i| i - 17).collect();
        let scales = [0.5f32, 1.0, 2.0, 4.0];
        let values = vec![
            ValueInfo { name: "a".into(), ..ValueInfo::default() },
            constant("w", Tensor::from_slice(&[17, 2], &codes).unwrap()),
            constant("scale", Tensor::from_slice(&[2, 2], &scales).unwrap()),
            ValueInfo { name: "dense".into(), ..ValueInfo::default() },
            ValueInfo { name: "y".into(), ..ValueInfo::default() },
        ];
        let nodes = vec![
            node("DequantizeLinear", &[1, 2], 3, &[("axis", axis), ("block_size", block)]),
            node("MatMul", &[0, 3], 4, &[]),
        ];
        Graph { values, inputs: vec![0], outputs: vec![4], nodes, ..Graph::default() }
    }

    #[test]
    fn a_product_takes_the_weights_as_they_are() {
        let mut graph = graph(16, 0);
        assert!(apply(&mut graph, &PassCx { isa: diptych_kernels::Isa::best() }).unwrap());
        let product = &graph.nodes[1];
        assert_eq!((product.domain.as_str(), product.op_type.as_str()), ("com.microsoft", "MatMulNBits"));
        assert_eq!(product.inputs, [0, 5, 6].map(Some));
        let value = |id: ValueId| graph.constant(id).and_then(|value| value.as_dense().cloned()).unwrap();
        let (b, scales) = (value(5), value(6));
        assert_eq!((b.shape(), scales.shape()), (&[2, 2, 16][..], &[2, 2][..]));
        assert_eq!(b.bytes()[..3], [111, 113, 115]);
        assert_eq!(b.bytes()[16..18], [143, 0]);
        assert_eq!(scales.as_slice::<f32>().unwrap(), [0.5, 2.0, 1.0, 4.0]);
        assert!(!apply(&mut graph, &PassCx { isa: diptych_kernels::Isa::best() }).unwrap());
    }

    #[test]
    fn other_weights_stay() {
        for (block, axis) in [(9, 0), (0, 0), (16, 1), (32, 0)] {
            let mut graph = graph(block, axis);
            assert!(!apply(&mut graph, &PassCx { isa: diptych_kernels::Isa::best() }).unwrap(), "{block}, {axis}");
        }
    }
}
