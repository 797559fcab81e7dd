//! Quantized operands: DequantizeLinear of 8-bit integers, then perhaps Transpose.

use super::scope::{Scope, floats, integer, integers, malformed};
use super::{Ruled, kept};
use crate::dtype::DType;
use crate::graph::{Attribute, Node, ValueId};
use crate::tensor::Tensor;

/// TensorProto's number of binary32.
pub(super) const FLOAT: i64 = 1;
/// TensorProto's number of uint8.
const UINT8: i64 = 2;

/// A quantized operand of a product: value `id`, then the permutations in `perms`, read as `(q - zero) * scale`.
pub(super) struct Operand {
    pub label: &'static str,
    pub id: ValueId,
    /// A scalar, or one value for each index of `axis`; so is `zero`.
    pub scale: Tensor,
    pub scales: Vec<f32>,
    pub zero: Tensor,
    pub axis: Option<usize>,
    /// Shape of a constant, permuted; `None` for others.
    pub shape: Option<Vec<usize>>,
    pub perms: Vec<Option<Vec<i64>>>,
    /// What it was read from.
    pub nodes: Vec<usize>,
}

impl Operand {
    pub fn read(scope: &Scope<'_>, value: Option<ValueId>, label: &'static str) -> Ruled<Operand> {
        let Some((transpose, index)) = value.and_then(|id| scope.dequantization(id)) else {
            return kept(format!("{label} is not quantized"));
        };
        let node = &scope.graph.nodes[index];
        let Some(id) = node.inputs[0] else { return kept(format!("{label} is not quantized")) };
        let (scale, zero) = granularity(scope, node, label)?;
        let value = scope.constant(id);
        let dtype = check_type(scope, id, zero.as_ref(), value.as_ref(), label)?;
        let zero = zero.map_or_else(|| Tensor::zeros(dtype, scale.shape()), Ok)?;
        let scales = floats(&scale)?;
        if scales.iter().any(|scale| !scale.is_finite() || *scale < 0.0) {
            return kept(format!("{label} has a scale that is negative or not finite"));
        }
        let shape = value.map(|value| value.shape().to_vec());
        let axis =
            if scale.shape().is_empty() { None } else { Some(axis(node, shape.as_deref(), scales.len(), label)?) };
        let mut operand =
            Operand { label, id, scale, scales, zero, axis, shape, perms: Vec::new(), nodes: vec![index] };
        if let Some(index) = transpose {
            operand.permute(perm(&scope.graph.nodes[index])?)?;
            operand.nodes.push(index);
        }
        Ok(operand)
    }

    /// Puts a Transpose behind the operand.
    pub fn permute(&mut self, perm: Option<Vec<i64>>) -> Ruled<()> {
        if let Some(shape) = &self.shape {
            let rank = shape.len();
            let order: Vec<i64> = perm.clone().unwrap_or_else(|| (0..rank as i64).rev().collect());
            let mut sorted = order.clone();
            sorted.sort_unstable();
            if !sorted.iter().copied().eq(0..rank as i64) {
                return kept(format!("{} has a permutation that does not fit its shape", self.label));
            }
            self.axis = self.axis.and_then(|axis| order.iter().position(|&from| from == axis as i64));
            self.shape = Some(order.iter().map(|&from| shape[from as usize]).collect());
        }
        self.perms.push(perm);
        Ok(())
    }

    /// The greatest magnitude of `q - zero`.
    pub fn span(&self) -> Ruled<i64> {
        let [least, greatest] = ends(self.zero.dtype());
        let spans = integers(&self.zero)?.into_iter().map(|zero| (zero - least).max(greatest - zero));
        Ok(spans.max().unwrap_or(0))
    }
}

/// The ends of int8 and uint8.
pub(super) fn ends(dtype: DType) -> [i64; 2] {
    if dtype == DType::I8 { [-128, 127] } else { [0, 255] }
}

pub(super) fn is_byte(dtype: DType) -> bool {
    matches!(dtype, DType::I8 | DType::U8)
}

/// Whether an optional input is given.
pub(super) fn has_input(node: &Node, input: usize) -> bool {
    node.inputs.get(input).is_some_and(Option::is_some)
}

/// Scale and zero point of a DequantizeLinear: scalars, or vectors along its axis.
fn granularity(scope: &Scope<'_>, node: &Node, label: &str) -> Ruled<(Tensor, Option<Tensor>)> {
    if integer(node, "block_size", 0)? != 0 {
        return kept(format!("{label} is quantized in blocks"));
    }
    let Some(scale) = scope.constant_input(node, 1) else {
        return kept(format!("{label} has a scale that is no constant"));
    };
    let zero = scope.constant_input(node, 2);
    if has_input(node, 2) && zero.is_none() {
        return kept(format!("{label} has a zero point that is no constant"));
    }
    let target = integer(node, "output_dtype", 0)?;
    if scale.dtype() != DType::F32 || !matches!(target, 0 | FLOAT) {
        return kept(format!("{label} is not dequantized to float"));
    }
    let one = |tensor: &Tensor| tensor.element_count() == 1;
    let differ = |zero: &Tensor| zero.shape() != scale.shape() && !(one(zero) && one(&scale));
    if scale.shape().len() > 1 || zero.as_ref().is_some_and(differ) {
        return kept(format!("{label} has a scale and zero point of different shapes"));
    }
    if one(&scale) {
        return Ok((scale.reshaped(&[])?, zero.map(|zero| zero.reshaped(&[])).transpose()?));
    }
    if node.opset < 13 {
        return kept(format!("{label} has a scale for each index of an axis before opset 13"));
    }
    Ok((scale, zero))
}

/// Integer operators take int8 and uint8.
fn check_type(
    scope: &Scope<'_>,
    id: ValueId,
    zero: Option<&Tensor>,
    value: Option<&Tensor>,
    label: &str,
) -> Ruled<DType> {
    let dtype = match zero {
        Some(zero) => Some(zero.dtype()),
        None => quantized_type(scope, id, value)?,
    };
    if value.is_some_and(|value| Some(value.dtype()) != dtype) {
        return kept(format!("{label} and its zero point have different types"));
    }
    match dtype {
        None => kept(format!("{label} is of unknown type: give its DequantizeLinear a zero point")),
        Some(dtype) if is_byte(dtype) => Ok(dtype),
        Some(dtype) => kept(format!("{label} is {dtype}")),
    }
}

/// Element type of a quantized value, where this graph says it.
fn quantized_type(scope: &Scope<'_>, id: ValueId, value: Option<&Tensor>) -> Ruled<Option<DType>> {
    if let Some(value) = value {
        return Ok(Some(value.dtype()));
    }
    if let Some(declared) = scope.declared_input(id) {
        return Ok(declared);
    }
    match scope.producer(id, "QuantizeLinear") {
        Some(index) => output_type(scope, &scope.graph.nodes[index]),
        None => Ok(None),
    }
}

/// Element type that a QuantizeLinear gives.
pub(super) fn output_type(scope: &Scope<'_>, node: &Node) -> Ruled<Option<DType>> {
    if has_input(node, 2) {
        return Ok(scope.constant_input(node, 2).map(|zero| zero.dtype()));
    }
    let number = match integer(node, "output_dtype", 0)? {
        0 => UINT8,
        number => number,
    };
    Ok(i32::try_from(number).ok().and_then(DType::from_onnx))
}

/// The axis of scales, one for each of its indices.
fn axis(node: &Node, shape: Option<&[usize]>, scales: usize, label: &str) -> Ruled<usize> {
    let axis = integer(node, "axis", 1)?;
    let Some(shape) = shape else {
        return kept(format!("{label} has a scale for each index of an axis and is no constant"));
    };
    let axis = if axis < 0 { axis.checked_add(shape.len() as i64) } else { Some(axis) };
    match axis.and_then(|axis| usize::try_from(axis).ok()) {
        Some(axis) if shape.get(axis) == Some(&scales) => Ok(axis),
        _ => kept(format!("{label} has scales that do not fit its shape")),
    }
}

fn perm(node: &Node) -> Ruled<Option<Vec<i64>>> {
    match node.attributes.get("perm") {
        None => Ok(None),
        Some(Attribute::Ints(perm)) => Ok(Some(perm.clone())),
        Some(_) => malformed(node, "perm"),
    }
}
