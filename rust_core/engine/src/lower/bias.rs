//! What is added to a product: int32 in its scale, or floats.

use super::operand::Operand;
use super::scope::{Scope, floats, integer, integers};
use super::{Ruled, kept};
use crate::dtype::DType;
use crate::graph::{Node, ValueId};
use crate::tensor::Tensor;

/// By which the scale of a bias may miss the product of the scales, relatively.
const SCALE_TOLERANCE: f64 = 1.0 / (1 << 20) as f64;

pub(super) struct Bias {
    pub id: ValueId,
    pub value: Tensor,
    /// int32.
    pub exact: bool,
    pub nodes: Vec<usize>,
}

impl Bias {
    /// The third input of a product, of a shape that `fits`.
    pub fn read(
        scope: &Scope<'_>,
        node: &Node,
        operands: [&Operand; 2],
        fits: impl Fn(&[usize]) -> bool,
    ) -> Ruled<Option<Bias>> {
        let Some(&Some(id)) = node.inputs.get(2) else { return Ok(None) };
        let Some(value) = scope.constant(id) else { return kept("the bias is no constant") };
        if value.dtype() != DType::F32 {
            return kept(format!("the bias is {}", value.dtype()));
        }
        if !fits(value.shape()) {
            return kept(format!("the bias has shape {:?}", value.shape()));
        }
        let source = scope.producer(id, "DequantizeLinear");
        let nodes = source.into_iter().collect();
        if let Some(source) = source.map(|index| &scope.graph.nodes[index])
            && let (Some(Some(id)), Some(value)) = (source.inputs.first(), in_scale(scope, source, operands)?)
        {
            return Ok(Some(Bias { id: *id, value, exact: true, nodes }));
        }
        Ok(Some(Bias { id, value, exact: false, nodes }))
    }

    /// The greatest magnitude, of integers.
    pub fn magnitude(&self) -> Ruled<i64> {
        if !self.exact {
            return Ok(0);
        }
        Ok(integers(&self.value)?.into_iter().map(i64::abs).max().unwrap_or(0))
    }
}

/// What a DequantizeLinear reads, if that is int32 of at most one axis, zero point 0, in steps of the product of the scales.
fn in_scale(scope: &Scope<'_>, source: &Node, [x, w]: [&Operand; 2]) -> Ruled<Option<Tensor>> {
    let (Some(q), Some(scale)) = (scope.constant_input(source, 0), scope.constant_input(source, 1)) else {
        return Ok(None);
    };
    if q.dtype() != DType::I32 || q.shape().len() > 1 || integer(source, "block_size", 0)? != 0 {
        return Ok(None);
    }
    let zero = scope.constant_input(source, 2);
    if scale.dtype() != DType::F32 || zero.is_some_and(|zero| zero.bytes().iter().any(|&byte| byte != 0)) {
        return Ok(None);
    }
    let scales = floats(&scale)?;
    if scales.len() != 1 && w.scales.len() != scales.len() && w.axis.is_some() {
        return Ok(None);
    }
    let none = scales.is_empty() || w.scales.is_empty();
    let length = if none { 0 } else { scales.len().max(w.scales.len()) };
    let close = (0..length).all(|i| {
        let at = |all: &[f32]| f64::from(all[if all.len() == 1 { 0 } else { i }]);
        let step = at(&x.scales) * at(&w.scales); // exact
        (at(&scales) - step).abs() <= step * SCALE_TOLERANCE
    });
    Ok(close.then_some(q))
}
