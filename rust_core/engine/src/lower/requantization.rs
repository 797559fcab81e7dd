//! What follows a product: QuantizeLinear with one scale, after Relu or Clip or not.

use super::operand::{FLOAT, ends, has_input, is_byte, output_type};
use super::scope::{Scope, float, floats, integer, integers};
use super::{Ruled, Stop};
use crate::dtype::DType;
use crate::error::Error;
use crate::graph::{Node, ValueId};
use crate::tensor::Tensor;

pub(super) struct Requantization {
    pub scale: Tensor,
    pub zero: Tensor,
    /// The value of `scale`.
    pub step: f32,
    pub output: ValueId,
    /// From the product's output to `output`.
    pub nodes: Vec<usize>,
    /// What the nodes between bound the integers by, where the type does not: from below, from above.
    pub bounds: [Option<Tensor>; 2],
}

/// QuantizeLinear with one scale as the only reader of `value`, or after Relu or Clip.
pub(super) fn requantization(scope: &Scope<'_>, value: Option<ValueId>) -> Ruled<Option<Requantization>> {
    let graph = scope.graph;
    let Some(mut value) = value else { return Ok(None) };
    let mut nodes = Vec::new();
    let mut reader = scope.only_reader(value);
    let mut bounds = None;
    if let Some(index) = reader {
        bounds = clipping(scope, &graph.nodes[index], value)?;
        if let (Some(_), Some(&Some(output))) = (bounds, graph.nodes[index].outputs.first()) {
            nodes.push(index);
            value = output;
            reader = scope.only_reader(value);
        }
    }
    let Some(index) = reader else { return Ok(None) };
    nodes.push(index);
    let node = &graph.nodes[index];
    let (Some(&Some(output)), true) = (node.outputs.first(), is_quantize(node, value)) else { return Ok(None) };
    let Some((scale, zero)) = one_scale(scope, node)? else { return Ok(None) };
    let step = floats(&scale)?[0];
    if !step.is_finite() || step <= 0.0 {
        return Ok(None);
    }
    let mut found = Requantization { scale, zero, step, output, nodes, bounds: [None, None] };
    for (which, bound) in bounds.into_iter().flatten().enumerate() {
        found.bounds[which] = bound_of(scope, &found, which, bound)?;
    }
    Ok(Some(found))
}

fn is_quantize(node: &Node, value: ValueId) -> bool {
    node.domain.is_empty() && node.op_type == "QuantizeLinear" && node.inputs.first() == Some(&Some(value))
}

/// Scale and zero point of a QuantizeLinear to bytes, if they are constants and one value each.
fn one_scale(scope: &Scope<'_>, node: &Node) -> Ruled<Option<(Tensor, Tensor)>> {
    let scale = scope.constant_input(node, 1);
    let dtype = output_type(scope, node)?;
    let zero = match (has_input(node, 2), dtype) {
        (true, _) => scope.constant_input(node, 2),
        (false, Some(dtype)) if is_byte(dtype) => Some(Tensor::zeros(dtype, &[])?),
        _ => None,
    };
    let precision = integer(node, "precision", 0)?;
    let (Some(scale), Some(zero)) = (scale, zero) else { return Ok(None) };
    if scale.dtype() != DType::F32 || !matches!(precision, 0 | FLOAT) || !is_byte(zero.dtype()) {
        return Ok(None);
    }
    let one = |tensor: &Tensor| tensor.element_count() == 1 && tensor.shape().len() <= 1;
    if !one(&scale) || !one(&zero) || integer(node, "block_size", 0)? != 0 {
        return Ok(None);
    }
    Ok(Some((scale.reshaped(&[])?, zero.reshaped(&[])?)))
}

/// A bound (0: from below, 1: from above) as the integer that QuantizeLinear makes of it, if it is inside the type's ends.
fn bound_of(scope: &Scope<'_>, of: &Requantization, which: usize, bound: f32) -> Ruled<Option<Tensor>> {
    let level = scope.quantized(bound, &of.scale, &of.zero);
    let level = level.ok_or_else(|| Stop::Failed(Error::internal("a bound that QuantizeLinear refuses")))?;
    let inside = integers(&level)?[0] != ends(level.dtype())[which];
    Ok(inside.then_some(level))
}

/// The constant bounds between which Relu or Clip keeps `value`.
fn clipping(scope: &Scope<'_>, node: &Node, value: ValueId) -> Ruled<Option<[f32; 2]>> {
    let output = node.outputs.first().is_some_and(Option::is_some);
    if !node.domain.is_empty() || node.inputs.first() != Some(&Some(value)) || !output {
        return Ok(None);
    }
    let everything = [f32::NEG_INFINITY, f32::INFINITY];
    let ends = match node.op_type.as_str() {
        "Relu" => [0.0, f32::INFINITY],
        "Clip" if node.opset < 11 => [float(node, "min", everything[0])?, float(node, "max", everything[1])?],
        "Clip" => {
            let mut ends = everything;
            for (which, end) in ends.iter_mut().enumerate().filter(|(which, _)| has_input(node, which + 1)) {
                let bound = scope.constant_input(node, which + 1);
                let bound = bound.filter(|bound| bound.dtype() == DType::F32 && bound.shape().is_empty());
                let Some(bound) = bound else { return Ok(None) };
                *end = floats(&bound)?[0];
            }
            ends
        }
        _ => return Ok(None),
    };
    Ok((!ends.iter().any(|end| end.is_nan())).then_some(ends))
}
