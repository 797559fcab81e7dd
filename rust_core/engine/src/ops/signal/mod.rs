//! DFT, STFT, window functions and the mel scale.

mod fourier;
mod mel;
mod tables;
mod windows;

use crate::error::{Error, Result};
use crate::operator::{PlanCx, Planned, Row};

/// The one element of an integer input of rank 0 or 1.
fn scalar(cx: &PlanCx<'_>, input: usize, name: &str) -> Planned<i64> {
    let shape = cx.shape(input)?;
    if shape.len() > 1 || shape.iter().any(|&n| n != 1) {
        return Err(Error::shape(format!("{name} has shape {shape:?}, expected a scalar")).into());
    }
    Ok(cx.ints(input)?[0])
}

/// An output type of numbers, given as an attribute.
fn number_type(cx: &crate::operator::BuildCx<'_>) -> Result<crate::dtype::DType> {
    let dtype = cx.dtype("output_datatype")?.unwrap_or(crate::dtype::DType::F32);
    if !dtype.is_float() && !dtype.is_integer() {
        return Err(Error::invalid_model(format!("output_datatype is {dtype}, expected a type of numbers")));
    }
    Ok(dtype)
}

pub fn rows() -> impl Iterator<Item = Row> {
    fourier::rows().chain(windows::rows()).chain(mel::rows())
}
