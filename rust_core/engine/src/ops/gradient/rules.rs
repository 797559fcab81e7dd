//! Rules: from the gradient `g` of an entry's first output, that of one of its inputs.

use super::tape::{Entry, Tape, signed};
use crate::error::Result;
use crate::graph::Attribute;
use crate::ops::axes::{normalize_axes, normalize_axis};

type Place = Result<Option<usize>>;

/// The gradient of the input at `position`; `None` where there is none.
pub(super) fn gradient(t: &mut Tape<'_, '_>, e: &Entry, position: usize, g: usize) -> Place {
    match e.op_type.as_str() {
        "Identity" | "Neg" | "Exp" | "Log" | "Sqrt" | "Reciprocal" | "Abs" | "Sin" | "Cos" | "Relu" | "Sigmoid"
        | "Tanh" | "Softplus" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Expand" => {
            if position == 0 {
                unary(t, e, g).map(Some)
            } else {
                Ok(None)
            }
        }
        "Add" | "Sub" | "Mul" | "Div" => binary(t, e, position, g),
        "Sum" => t.fitted(g, e.input(position)?).map(Some),
        "Sign" | "Greater" => Ok(None),
        "Where" => choice(t, e, position, g),
        "Pow" => power(t, e, position, g),
        "MatMul" => matmul(t, e, position, g),
        "Gemm" => gemm(t, e, position, g),
        "Transpose" => transpose(t, e, g),
        "ReduceSum" | "ReduceMean" if position == 0 => reduction(t, e, g),
        "ReduceSum" | "ReduceMean" => Ok(None),
        "Softmax" | "LogSoftmax" => softmax(t, e, g),
        "Conv" => conv(t, e, position, g),
        _ => Err(e.refused("")),
    }
}

/// A function of the first input alone.
fn unary(t: &mut Tape<'_, '_>, e: &Entry, g: usize) -> Result<usize> {
    let (x, y) = (e.input(0)?, e.outputs[0]);
    let factor = match e.op_type.as_str() {
        "Identity" => return Ok(g),
        "Neg" => return t.apply("Neg", &[g]),
        "Log" => return t.apply("Div", &[g, x]),
        "Sqrt" => {
            let double = t.apply("Add", &[y, y])?;
            return t.apply("Div", &[g, double]);
        }
        "Reciprocal" => {
            let square = t.apply("Mul", &[y, y])?;
            let product = t.apply("Mul", &[g, square])?;
            return t.apply("Neg", &[product]);
        }
        "Cos" => {
            let sine = t.apply("Sin", &[x])?;
            let product = t.apply("Mul", &[g, sine])?;
            return t.apply("Neg", &[product]);
        }
        "Relu" => {
            let zero = t.like(0.0, x)?;
            let above = t.apply("Greater", &[x, zero])?;
            let zero = t.like(0.0, g)?;
            return t.apply("Where", &[above, g, zero]);
        }
        "Expand" => return t.fitted(g, x),
        "Exp" => y,
        "Abs" => t.apply("Sign", &[x])?,
        "Sin" => t.apply("Cos", &[x])?,
        "Sigmoid" => {
            let one = t.like(1.0, y)?;
            let rest = t.apply("Sub", &[one, y])?;
            t.apply("Mul", &[y, rest])?
        }
        "Tanh" => {
            let one = t.like(1.0, y)?;
            let square = t.apply("Mul", &[y, y])?;
            t.apply("Sub", &[one, square])?
        }
        "Softplus" => t.apply("Sigmoid", &[x])?,
        _ => {
            let shape = t.shape(x)?;
            return t.reshaped(g, &shape);
        }
    };
    t.apply("Mul", &[g, factor])
}

/// Two operands that broadcast.
fn binary(t: &mut Tape<'_, '_>, e: &Entry, position: usize, g: usize) -> Place {
    if e.opset < 7 {
        return Err(e.refused(""));
    }
    let (a, b, y) = (e.input(0)?, e.input(1)?, e.outputs[0]);
    let grad = match (e.op_type.as_str(), position) {
        ("Add", _) | ("Sub", 0) => g,
        ("Sub", _) => t.apply("Neg", &[g])?,
        ("Mul", 0) => t.apply("Mul", &[g, b])?,
        ("Mul", _) => t.apply("Mul", &[g, a])?,
        (_, 0) => t.apply("Div", &[g, b])?,
        (_, _) => {
            let product = t.apply("Mul", &[g, y])?;
            let quotient = t.apply("Div", &[product, b])?;
            t.apply("Neg", &[quotient])?
        }
    };
    t.fitted(grad, if position == 0 { a } else { b }).map(Some)
}

/// The gradient goes where the value came from.
fn choice(t: &mut Tape<'_, '_>, e: &Entry, position: usize, g: usize) -> Place {
    let condition = e.input(0)?;
    let zero = t.like(0.0, g)?;
    let chosen = match position {
        0 => return Ok(None),
        1 => t.apply("Where", &[condition, g, zero])?,
        _ => t.apply("Where", &[condition, zero, g])?,
    };
    t.fitted(chosen, e.input(position)?).map(Some)
}

/// `b * a^(b-1)` and `y * log(a)`, for operands of one type.
fn power(t: &mut Tape<'_, '_>, e: &Entry, position: usize, g: usize) -> Place {
    let (a, b, y) = (e.input(0)?, e.input(1)?, e.outputs[0]);
    if e.opset < 7 {
        return Err(e.refused(""));
    }
    if t.dtype(a)? != t.dtype(b)? {
        return Err(e.refused(" with an exponent of another type"));
    }
    let (factor, like) = if position == 0 {
        let one = t.like(1.0, b)?;
        let less = t.apply("Sub", &[b, one])?;
        let lowered = t.apply("Pow", &[a, less])?;
        (t.apply("Mul", &[b, lowered])?, a)
    } else {
        let log = t.apply("Log", &[a])?;
        (t.apply("Mul", &[y, log])?, b)
    };
    let product = t.apply("Mul", &[g, factor])?;
    t.fitted(product, like).map(Some)
}

/// `g B^T` and `A^T g`, summed over the batch axes that were broadcast.
fn matmul(t: &mut Tape<'_, '_>, e: &Entry, position: usize, g: usize) -> Place {
    let (a, b) = (e.input(0)?, e.input(1)?);
    if t.shape(a)?.len().min(t.shape(b)?.len()) < 2 {
        return Err(e.refused(" with a vector"));
    }
    let (product, like) = if position == 0 {
        let right = t.swapped(b)?;
        (t.apply("MatMul", &[g, right])?, a)
    } else {
        let left = t.swapped(a)?;
        (t.apply("MatMul", &[left, g])?, b)
    };
    t.fitted(product, like).map(Some)
}

/// Products again; C has `beta * g`.
fn gemm(t: &mut Tape<'_, '_>, e: &Entry, position: usize, g: usize) -> Place {
    if e.opset < 7 {
        return Err(e.refused(""));
    }
    let (a, b) = (e.input(0)?, e.input(1)?);
    let (alpha, beta) = (e.float("alpha", 1.0), e.float("beta", 1.0));
    let (trans_a, trans_b) = (e.int("transA", 0) != 0, e.int("transB", 0) != 0);
    let (left, right, trans_left, trans_right) = match position {
        0 if trans_a => (b, g, trans_b, true),
        0 => (g, b, false, !trans_b),
        1 if trans_b => (g, a, true, trans_a),
        1 => (a, g, !trans_a, false),
        _ => {
            let factor = t.like(beta.into(), g)?;
            let scaled = if beta == 1.0 { g } else { t.apply("Mul", &[g, factor])? };
            return t.fitted(scaled, e.input(2)?).map(Some);
        }
    };
    let attributes = [
        ("alpha", Attribute::Float(alpha)),
        ("transA", Attribute::Int(trans_left.into())),
        ("transB", Attribute::Int(trans_right.into())),
    ];
    t.apply_with("Gemm", &[left, right], attributes).map(Some)
}

/// The inverse permutation.
fn transpose(t: &mut Tape<'_, '_>, e: &Entry, g: usize) -> Place {
    let rank = t.shape(g)?.len();
    let perm = e.ints("perm").map_or_else(|| (0..rank as i64).rev().collect(), <[i64]>::to_vec);
    let mut inverse = vec![0; rank];
    for (axis, &from) in perm.iter().enumerate() {
        inverse[normalize_axis(from, rank)?] = axis as i64;
    }
    t.permuted(g, inverse).map(Some)
}

/// The gradient, for a mean divided by the count, spread over what was summed.
fn reduction(t: &mut Tape<'_, '_>, e: &Entry, g: usize) -> Place {
    let shape = t.shape(e.input(0)?)?;
    let mut named = e.ints("axes").unwrap_or_default().to_vec();
    if let Some(Some(axes)) = e.inputs.get(1) {
        named = t.tensor(*axes)?.to_i64s()?;
    }
    let every = named.is_empty() && e.int("noop_with_empty_axes", 0) == 0;
    let axes = if every { (0..shape.len()).collect() } else { normalize_axes(&named, shape.len())? };
    let mut kept = shape.clone();
    let mut count = 1.0;
    for &axis in &axes {
        kept[axis] = 1;
        count *= shape[axis] as f64;
    }
    let mut share = g;
    if e.op_type == "ReduceMean" {
        let divisor = t.like(count, g)?;
        share = t.apply("Div", &[g, divisor])?;
    }
    let share = t.reshaped(share, &kept)?;
    let shape = t.ints(&signed(&shape))?;
    t.apply("Expand", &[share, shape]).map(Some)
}

/// `(g - sum(g * y)) * y`, or `g - exp(y) * sum(g)`, sums along the axis.
fn softmax(t: &mut Tape<'_, '_>, e: &Entry, g: usize) -> Place {
    if e.opset < 13 {
        return Err(e.refused(""));
    }
    let y = e.outputs[0];
    let axis = normalize_axis(e.int("axis", -1), t.shape(y)?.len())?;
    if e.op_type == "Softmax" {
        let product = t.apply("Mul", &[g, y])?;
        let sum = t.summed(product, &[axis])?;
        let rest = t.apply("Sub", &[g, sum])?;
        return t.apply("Mul", &[rest, y]).map(Some);
    }
    let p = t.apply("Exp", &[y])?;
    let sum = t.summed(g, &[axis])?;
    let share = t.apply("Mul", &[p, sum])?;
    t.apply("Sub", &[g, share]).map(Some)
}

/// X: ConvTranspose of `g`. W: Conv of X and `g` with batch and channels swapped, strides and dilations too.
fn conv(t: &mut Tape<'_, '_>, e: &Entry, position: usize, g: usize) -> Place {
    let (x, w) = (e.input(0)?, e.input(1)?);
    let shapes = [t.shape(x)?, t.shape(w)?, t.shape(g)?];
    let rank = shapes[0].len() - 2;
    let auto = match e.attributes.get("auto_pad") {
        Some(Attribute::String(auto)) => auto.as_str(),
        _ => "NOTSET",
    };
    if !matches!(auto, "NOTSET" | "VALID") || shapes.iter().any(|shape| shape.contains(&0)) {
        return Err(e.refused(&format!(" with auto_pad {auto}, or empty")));
    }
    let list = |name: &str| e.ints(name).map_or_else(|| vec![1; rank], <[i64]>::to_vec);
    let (strides, dilations, group) = (list("strides"), list("dilations"), e.int("group", 1));
    let pads = e.ints("pads").filter(|_| auto == "NOTSET").map_or_else(|| vec![0; 2 * rank], <[i64]>::to_vec);
    let [sizes, kernel, made] = shapes.map(|shape| signed(&shape[2..]));
    // What the last window leaves of the padded input: 0 .. stride - 1.
    let rest: Vec<i64> = (0..rank)
        .map(|i| {
            let reach = (made[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1;
            sizes[i] + pads[i] + pads[rank + i] - reach
        })
        .collect();
    let perm: Vec<i64> = [1, 0].into_iter().chain(2..rank as i64 + 2).collect();
    let numbers = Attribute::Ints;
    if position == 0 {
        let attributes = [
            ("strides", numbers(strides)),
            ("dilations", numbers(dilations)),
            ("pads", numbers(pads)),
            ("group", Attribute::Int(group)),
            ("output_padding", numbers(rest)),
        ];
        return t.apply_with("ConvTranspose", &[g, w], attributes).map(Some);
    }
    if position == 2 {
        let channels = t.shape(g)?[1..2].to_vec();
        let axes: Vec<usize> = [0].into_iter().chain(2..rank + 2).collect();
        let sum = t.summed(g, &axes)?;
        return t.reshaped(sum, &channels).map(Some);
    }
    if group != 1 {
        return Err(e.refused(" with groups"));
    }
    let mut crop = vec![0, 0];
    crop.extend(&pads[..rank]);
    crop.extend([0, 0]);
    crop.extend((0..rank).map(|i| pads[rank + i] - rest[i]));
    let swapped = t.permuted(x, perm.clone())?;
    let (crop, zero) = (t.ints(&crop)?, t.like(0.0, x)?);
    let cropped = t.apply("Pad", &[swapped, crop, zero])?;
    let kernel = t.permuted(g, perm.clone())?;
    let attributes = [("strides", numbers(dilations)), ("dilations", numbers(strides))];
    let product = t.apply_with("Conv", &[cropped, kernel], attributes)?;
    t.permuted(product, perm).map(Some)
}
