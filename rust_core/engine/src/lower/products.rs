//! The rules: Conv, MatMul and Gemm of dequantized operands as products of integers.
//!
//! Two forms. *Requantized*: where QuantizeLinear with one scale follows (Relu or Clip between them or not), QLinearConv and
//! QLinearMatMul, then Max and Min where the bounds are inside the type. *Scaled*, for any other reader:
//! `rn(rn(acc + bias) * rn(a_scale * b_scale))` from ConvInteger or MatMulInteger, Add, Cast, Mul; a bias that is no int32 of
//! that scale is added at the end.

use super::bias::Bias;
use super::make::{Attributes, Maker};
use super::operand::{FLOAT, Operand};
use super::requantization::{Requantization, requantization};
use super::scope::{Scope, float, integer};
use super::{Rewrite, Ruled, kept};
use crate::graph::{Attribute, Node, ValueId};
use crate::tensor::Tensor;

const FIRST_INTEGER_OPSET: i64 = 10;
/// From here on Max and Min take bytes.
const SMALL_MAX_OPSET: i64 = 12;

/// Conv with constant weights [M, C/group, kernel...], scales one in all or one for each of the M channels.
pub(super) fn conv(scope: &Scope<'_>, index: usize) -> Ruled<Rewrite> {
    let node = &scope.graph.nodes[index];
    let [x, w] = operands(scope, node, ["X", "W"])?;
    let Some(shape) = w.shape.clone() else { return kept("W is no constant") };
    if shape.len() < 3 {
        return kept(format!("W has rank {}", shape.len()));
    }
    one_scale(&x)?;
    scaled_along(&w, |_| 0)?;
    let factors = product_scale(&x, &w)?;
    let bias = Bias::read(scope, node, [&x, &w], |bias| *bias == shape[..1])?;
    let terms = shape[1..].iter().try_fold(1i64, |all, &n| all.checked_mul(n.try_into().ok()?));
    check_sums(terms, &x, &w, bias.as_ref())?;
    let product = Product { scope, index, operands: [x, w], factors, bias, trailing: shape.len() - 2 };
    let after = requantization(scope, product.output())?;
    if product.bias.as_ref().is_none_or(|bias| bias.exact)
        && let Some(rewrite) = product.requantized("QLinearConv", after)?
    {
        return Ok(rewrite);
    }
    product.scaled("ConvInteger")
}

pub(super) fn conv_transpose(_: &Scope<'_>, _: usize) -> Ruled<Rewrite> {
    kept("ONNX has no ConvTranspose of integers")
}

/// MatMul; the scales of B are one in all or one for each column.
pub(super) fn matmul(scope: &Scope<'_>, index: usize) -> Ruled<Rewrite> {
    let [a, b] = operands(scope, &scope.graph.nodes[index], ["A", "B"])?;
    product(scope, index, a, b, |_, _| Ok(None))
}

/// Gemm with alpha = beta = 1, A as it is, and a bias for each column.
pub(super) fn gemm(scope: &Scope<'_>, index: usize) -> Ruled<Rewrite> {
    let node = &scope.graph.nodes[index];
    let [a, mut b] = operands(scope, node, ["A", "B"])?;
    if integer(node, "transA", 0)? != 0 {
        return kept("transA is not 0");
    }
    for name in ["alpha", "beta"] {
        if float(node, name, 1.0)? != 1.0 {
            return kept(format!("{name} is not 1"));
        }
    }
    if let Some(shape) = b.shape.as_ref().filter(|shape| shape.len() != 2) {
        return kept(format!("B has rank {}", shape.len()));
    }
    if integer(node, "transB", 0)? != 0 {
        b.permute(Some(vec![1, 0]))?;
    }
    let columns = b.shape.as_ref().map(|shape| shape[1]);
    let given = node.inputs.get(2).is_some_and(Option::is_some);
    let fits = |bias: &[usize]| match *bias {
        [] | [1] | [1, 1] => true,
        [n] | [1, n] => Some(n) == columns,
        _ => false,
    };
    product(scope, index, a, b, |a, b| match columns {
        None if given => kept("B is no constant and C is given"),
        _ => Bias::read(scope, node, [a, b], fits),
    })
}

/// A product of matrices.
fn product(
    scope: &Scope<'_>,
    index: usize,
    a: Operand,
    b: Operand,
    bias: impl FnOnce(&Operand, &Operand) -> Ruled<Option<Bias>>,
) -> Ruled<Rewrite> {
    one_scale(&a)?;
    scaled_along(&b, |rank| rank - 1)?;
    let bias = bias(&a, &b)?;
    let factors = product_scale(&a, &b)?;
    for matrix in [&a, &b] {
        if matrix.shape.as_ref().is_some_and(Vec::is_empty) {
            return kept(format!("{} has rank 0", matrix.label));
        }
    }
    let terms = match (&b.shape, &a.shape) {
        (Some(b), _) => b.get(b.len().saturating_sub(2)).copied(),
        (None, Some(a)) => a.last().copied(),
        (None, None) => None,
    };
    if let Some(terms) = terms {
        check_sums(i64::try_from(terms).ok(), &a, &b, bias.as_ref())?;
    }
    let product = Product { scope, index, operands: [a, b], factors, bias, trailing: 0 };
    if product.bias.is_none()
        && let Some(rewrite) = product.requantized("QLinearMatMul", requantization(scope, product.output())?)?
    {
        return Ok(rewrite);
    }
    product.scaled("MatMulInteger")
}

/// Both operands of a product.
fn operands(scope: &Scope<'_>, node: &Node, labels: [&'static str; 2]) -> Ruled<[Operand; 2]> {
    if node.opset < FIRST_INTEGER_OPSET {
        return kept(format!("opset {} has no integer operators", node.opset));
    }
    Ok([Operand::read(scope, node.inputs[0], labels[0])?, Operand::read(scope, node.inputs[1], labels[1])?])
}

/// The first operand has one scale: its other axes are summed over, or are not the output's channels.
fn one_scale(x: &Operand) -> Ruled<()> {
    if x.axis.is_some() {
        return kept(format!("{} has a scale for each index of an axis", x.label));
    }
    Ok(())
}

/// The second operand has one scale, or one for each index of the axis that the output keeps.
fn scaled_along(w: &Operand, axis: impl Fn(usize) -> usize) -> Ruled<()> {
    let (Some(own), Some(shape)) = (w.axis, &w.shape) else { return Ok(()) };
    if shape.len() < 2 || own != axis(shape.len()) {
        return kept(format!("{} has scales along axis {own}, which is not the output's", w.label));
    }
    Ok(())
}

/// `rn(x_scale * w_scale)`, all of them normal numbers or 0.
fn product_scale(x: &Operand, w: &Operand) -> Ruled<Vec<f32>> {
    let x_scale = x.scales[0];
    let factors: Vec<f32> = w.scales.iter().map(|&w_scale| x_scale * w_scale).collect();
    let usable = |(&factor, &w_scale): (&f32, &f32)| {
        x_scale == 0.0 || w_scale == 0.0 || (factor.is_finite() && factor >= f32::MIN_POSITIVE)
    };
    if !factors.iter().zip(&w.scales).all(usable) {
        return kept(format!("the product of the scales of {} and {} is no normal number", x.label, w.label));
    }
    Ok(factors)
}

/// No sum of so many terms may pass int32.
fn check_sums(terms: Option<i64>, x: &Operand, w: &Operand, bias: Option<&Bias>) -> Ruled<()> {
    let most = terms.and_then(|terms| terms.checked_mul(x.span().ok()? * w.span().ok()?));
    let most = most.zip(Some(bias.map_or(Ok(0), Bias::magnitude)?)).and_then(|(sum, bias)| sum.checked_add(bias));
    if most.is_none_or(|most| most > i64::from(i32::MAX)) {
        let terms = terms.map_or_else(|| "too many".to_owned(), |terms| terms.to_string());
        return kept(format!("sums of {terms} products may pass int32"));
    }
    Ok(())
}

/// A product that a rule takes.
struct Product<'a> {
    scope: &'a Scope<'a>,
    index: usize,
    operands: [Operand; 2],
    /// The products of the scales: one, or one a channel.
    factors: Vec<f32>,
    bias: Option<Bias>,
    /// Axes of the output behind the channels.
    trailing: usize,
}

impl Product<'_> {
    fn node(&self) -> &Node {
        &self.scope.graph.nodes[self.index]
    }

    fn output(&self) -> Option<ValueId> {
        self.node().outputs[0]
    }

    /// What the product was read from.
    fn sources(&self) -> Vec<usize> {
        let bias = self.bias.iter().flat_map(|bias| &bias.nodes);
        self.operands.iter().flat_map(|operand| &operand.nodes).chain(bias).copied().collect()
    }

    /// QLinearConv or QLinearMatMul, then Max and Min; `None` where nothing requantizes, or not so.
    fn requantized(&self, op_type: &str, after: Option<Requantization>) -> Ruled<Option<Rewrite>> {
        let Some(after) = after else { return Ok(None) };
        let finite = self.factors.iter().all(|factor| (factor / after.step).is_finite());
        let bounds = after.bounds.iter().zip(["Max", "Min"]);
        let steps: Vec<_> = bounds.filter_map(|(bound, kind)| Some((kind, bound.clone()?))).collect();
        if !finite || (!steps.is_empty() && self.node().opset < SMALL_MAX_OPSET) {
            return Ok(None);
        }
        let mut make = Maker::new(self.scope, self.index);
        let mut inputs = Vec::new();
        for operand in &self.operands {
            inputs.extend([make.transposed(operand), make.scale(operand), make.zero_point(operand)]);
        }
        inputs.push(make.constant("y_scale", after.scale));
        inputs.push(make.constant("y_zero_point", after.zero));
        inputs.extend(self.bias.iter().map(|bias| bias.id));
        let attributes = if op_type == "QLinearConv" { self.node().attributes.clone() } else { Attributes::default() };
        let mut value = if steps.is_empty() { after.output } else { make.between(op_type) };
        make.push(op_type, &inputs, Some(value), "", attributes);
        let last = steps.len().saturating_sub(1);
        for (i, (kind, bound)) in steps.into_iter().enumerate() {
            let output = if i == last { after.output } else { make.between(kind) };
            let limit = make.constant(kind, bound);
            make.push(kind, &[value, limit], Some(output), kind, Attributes::default());
            value = output;
        }
        let operands = self.sources();
        let removed: Vec<usize> = [self.index].into_iter().chain(after.nodes).collect();
        let pattern = operands.iter().chain(&removed).copied().collect();
        Ok(Some(Rewrite { nodes: make.nodes, removed, pattern, operands }))
    }

    /// ConvInteger or MatMulInteger, Add of int32, Cast, Mul, Add of floats.
    fn scaled(&self, op_type: &str) -> Ruled<Rewrite> {
        let mut make = Maker::new(self.scope, self.index);
        let [x, w] = &self.operands;
        let mut inputs = vec![make.transposed(x), make.transposed(w)];
        inputs.extend([make.zero_point(x), make.zero_point(w)]);
        let addend = match &self.bias {
            Some(bias) if self.trailing > 0 => Some(make.spread("bias", &bias.value, self.trailing)?),
            bias => bias.as_ref().map(|bias| bias.id),
        };
        let factor = if w.axis.is_none() {
            make.constant("scale", Tensor::scalar(self.factors[0])?)
        } else {
            make.spread("scale", &Tensor::from_slice(&[self.factors.len()], &self.factors)?, self.trailing)?
        };
        let exact = self.bias.as_ref().is_some_and(|bias| bias.exact);
        let mut steps: Vec<(&str, Option<ValueId>)> = Vec::new();
        steps.extend(addend.filter(|_| exact).map(|addend| ("Add", Some(addend))));
        steps.extend([("Cast", None), ("Mul", Some(factor))]);
        steps.extend(addend.filter(|_| !exact).map(|addend| ("Add", Some(addend))));
        let attributes = if op_type == "ConvInteger" { self.node().attributes.clone() } else { Attributes::default() };
        let mut value = make.between(op_type);
        make.push(op_type, &inputs, Some(value), "", attributes);
        let last = steps.len() - 1;
        for (i, (kind, other)) in steps.into_iter().enumerate() {
            let output = if i == last { self.output() } else { Some(make.between(kind)) };
            let to = (kind == "Cast").then(|| ("to".to_owned(), Attribute::Int(FLOAT)));
            let inputs: Vec<ValueId> = [value].into_iter().chain(other).collect();
            make.push(kind, &inputs, output, kind, to.into_iter().collect());
            value = output.unwrap_or(value);
        }
        let operands = self.sources();
        let pattern = operands.iter().copied().chain([self.index]).collect();
        Ok(Rewrite { nodes: make.nodes, removed: vec![self.index], pattern, operands })
    }
}
