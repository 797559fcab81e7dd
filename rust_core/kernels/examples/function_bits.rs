//! Evaluates one elementary function on raw numbers from standard input and writes the results to standard output, so
//! that another implementation can be compared bit by bit:
//!
//!     function_bits <isa> <function> <f32|f64|f16|bf16> < inputs > outputs
//!
//! `power` reads pairs: a number of the type and a binary64 exponent, all numbers first.

use diptych_kernels::Isa;
use diptych_kernels::functions::{Float, Unary, power, unary};
use std::io::{Error, Read, Write};

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [isa, function, dtype] = &arguments[..] else {
        return Err(Error::other("expected <isa> <function> <dtype>"));
    };
    let isa = Isa::from_name(isa)
        .filter(|isa| Isa::available().contains(isa))
        .ok_or_else(|| Error::other(format!("this CPU has no instruction set {isa}")))?;
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input)?;
    let output = match dtype.as_str() {
        "f32" => evaluate::<f32, 4>(isa, function, &input, f32::from_le_bytes, f32::to_le_bytes)?,
        "f64" => evaluate::<f64, 8>(isa, function, &input, f64::from_le_bytes, f64::to_le_bytes)?,
        "f16" => evaluate::<half::f16, 2>(isa, function, &input, half::f16::from_le_bytes, half::f16::to_le_bytes)?,
        "bf16" => evaluate::<half::bf16, 2>(isa, function, &input, half::bf16::from_le_bytes, half::bf16::to_le_bytes)?,
        other => return Err(Error::other(format!("no type {other}"))),
    };
    std::io::stdout().write_all(&output)
}

fn evaluate<T: Float, const B: usize>(
    isa: Isa,
    function: &str,
    input: &[u8],
    read: impl Fn([u8; B]) -> T,
    write: impl Fn(T) -> [u8; B],
) -> Result<Vec<u8>, Error> {
    let pairs = function == "power";
    let n = input.len() / if pairs { B + 8 } else { B };
    let mut x: Vec<T> = input[..n * B].as_chunks::<B>().0.iter().map(|&bytes| read(bytes)).collect();
    if pairs {
        let y: Vec<f64> = input[n * B..].as_chunks::<8>().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect();
        // SAFETY: both hold n elements.
        unsafe { power(isa, x.as_ptr(), y.as_ptr(), x.as_mut_ptr(), n) };
    } else {
        let op = by_name(function).ok_or_else(|| Error::other(format!("no function {function}")))?;
        // SAFETY: x holds n elements.
        unsafe { unary(isa, op, x.as_ptr(), x.as_mut_ptr(), n) };
    }
    Ok(x.into_iter().flat_map(write).collect())
}

fn by_name(name: &str) -> Option<Unary> {
    Some(match name {
        "cos" => Unary::Cos,
        "erf" => Unary::Erf,
        "exp" => Unary::Exp,
        "log" => Unary::Log,
        "sigmoid" => Unary::Sigmoid,
        "sin" => Unary::Sin,
        "softplus" => Unary::Softplus,
        "tanh" => Unary::Tanh,
        _ => return None,
    })
}
