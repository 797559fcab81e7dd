//! The activation functions of recurrent operators: names, parameters and defaults.

use diptych_kernels::recurrent::Activation;

use crate::error::{Error, Result};
use crate::operator::BuildCx;

/// The functions of all directions, `defaults` of each where none are named. Those that take an alpha (beta) use up the given ones in
/// order.
pub(super) fn resolve(cx: &BuildCx<'_>, defaults: &[&str], directions: usize) -> Result<Vec<Activation<f32>>> {
    let given: Vec<&str> = cx.strings("activations")?.unwrap_or_default().iter().map(String::as_str).collect();
    // RNN's schema has a default for two directions, whatever the number of them.
    let unnamed = given.is_empty() || (defaults.len() == 1 && given == [defaults[0]; 2]);
    let names = if unnamed { defaults.repeat(directions) } else { given };
    let count = defaults.len() * directions;
    if names.len() != count {
        return Err(Error::invalid_model(format!("activations {names:?}: expected {count}")));
    }
    let mut alphas = cx.floats("activation_alpha")?.unwrap_or_default().iter().copied();
    let mut betas = cx.floats("activation_beta")?.unwrap_or_default().iter().copied();
    let mut bound = Vec::with_capacity(names.len());
    for name in names {
        let mut alpha = |default: f32| alphas.next().unwrap_or(default);
        let mut beta = |default: f32| betas.next().unwrap_or(default);
        bound.push(match name.to_ascii_lowercase().as_str() {
            "sigmoid" => Activation::Sigmoid,
            "tanh" => Activation::Tanh,
            "relu" => Activation::Relu,
            "softplus" => Activation::Softplus,
            "softsign" => Activation::Softsign,
            "affine" => Activation::Affine(alpha(1.0), beta(0.0)),
            "leakyrelu" => Activation::LeakyRelu(alpha(0.01)),
            "thresholdedrelu" => Activation::ThresholdedRelu(alpha(1.0)),
            "scaledtanh" => Activation::ScaledTanh(alpha(1.0), beta(1.0)),
            "hardsigmoid" => Activation::HardSigmoid(alpha(0.2), beta(0.5)),
            "elu" => Activation::Elu(alpha(1.0)),
            _ => return Err(Error::invalid_model(format!("activation '{name}' is not one that ONNX defines"))),
        });
    }
    Ok(bound)
}

/// The same function with its parameters in the computing type.
pub(super) fn typed<E: From<f32>>(function: Activation<f32>) -> Activation<E> {
    let e = E::from;
    match function {
        Activation::Sigmoid => Activation::Sigmoid,
        Activation::Tanh => Activation::Tanh,
        Activation::Relu => Activation::Relu,
        Activation::Softplus => Activation::Softplus,
        Activation::Softsign => Activation::Softsign,
        Activation::Affine(alpha, beta) => Activation::Affine(e(alpha), e(beta)),
        Activation::LeakyRelu(alpha) => Activation::LeakyRelu(e(alpha)),
        Activation::ThresholdedRelu(alpha) => Activation::ThresholdedRelu(e(alpha)),
        Activation::ScaledTanh(alpha, beta) => Activation::ScaledTanh(e(alpha), e(beta)),
        Activation::HardSigmoid(alpha, beta) => Activation::HardSigmoid(e(alpha), e(beta)),
        Activation::Elu(alpha) => Activation::Elu(e(alpha)),
    }
}
