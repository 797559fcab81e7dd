//! QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear: between real numbers and small types, with a scale and a zero
//! point.

use diptych_kernels::quantize::{Numbers, Quantized};

use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{PlanCx, Row};
use crate::ops::cast::small;
use crate::run::{KernelCx, ValueCx};
use crate::tensor::{Tensor, Value, element_count};

mod dequantize;
mod dynamic;
mod quantize;
mod spread;
mod through;

/// Elements below which a chunk is not worth a thread.
const GRAIN: usize = 1 << 14;

/// Scale and zero point (if there is one) have one shape; `[]` and `[1]` say the same.
fn check_granularity(cx: &PlanCx<'_>) -> Result<()> {
    if !cx.has(2) {
        return Ok(());
    }
    let (scale, zero) = (cx.shape(1)?, cx.shape(2)?);
    let single = |shape: &[usize]| Ok::<_, Error>(shape.len() <= 1 && element_count(shape)? == 1);
    if scale != zero && !(single(scale)? && single(zero)?) {
        return Err(Error::shape(format!("scale {scale:?} and zero point {zero:?} differ in shape")));
    }
    Ok(())
}

/// Whether elements are packed, several to a byte.
fn is_packed(dtype: DType) -> bool {
    dtype.bits() < 8
}

/// Inputs as slices: a kernel's, or those of tensors unpacked for the occasion.
trait Operands<'a> {
    fn of<T: Element>(&self, input: usize) -> &'a [T];
}

impl<'a> Operands<'a> for KernelCx<'a> {
    fn of<T: Element>(&self, input: usize) -> &'a [T] {
        self.input(input)
    }
}

/// Tensors of plain types; packed and small ones are uint8 or int8 tensors of codes.
struct Unpacked(Vec<Option<Tensor>>);

impl Unpacked {
    fn new(cx: &ValueCx<'_>) -> Result<Unpacked> {
        let tensors = cx.inputs.iter().map(|value| value.as_ref().and_then(Value::as_dense).map(unpacked).transpose());
        Ok(Unpacked(tensors.collect::<Result<_>>()?))
    }
}

fn unpacked(tensor: &Tensor) -> Result<Tensor> {
    if small::packed_integer(tensor.dtype()).is_some() {
        let plain = small::to_plain(tensor)?;
        let is_signed = matches!(tensor.dtype(), DType::I4 | DType::I2);
        return if is_signed { Ok(plain) } else { Tensor::from_slice(plain.shape(), &small::codes(tensor)) };
    }
    if small::is_small(tensor.dtype()) {
        return Tensor::from_slice(tensor.shape(), &small::codes(tensor));
    }
    tensor.aligned()
}

impl<'a> Operands<'a> for &'a Unpacked {
    fn of<T: Element>(&self, input: usize) -> &'a [T] {
        self.0[input].as_ref().and_then(|tensor| tensor.as_slice::<T>().ok()).unwrap_or_default()
    }
}

/// An input of scales or of numbers to quantize. The plan has checked its dtype.
fn numbers<'a>(from: &impl Operands<'a>, input: usize, dtype: DType) -> Numbers<'a> {
    match dtype {
        DType::F16 => Numbers::F16(from.of(input)),
        DType::BF16 => Numbers::BF16(from.of(input)),
        DType::I32 => Numbers::I32(from.of(input)),
        DType::F8E8M0 => Numbers::E8M0(from.of(input)),
        _ => Numbers::F32(from.of(input)),
    }
}

/// An input of quantized elements or zero points. The plan has checked its dtype.
fn quantized<'a>(from: &impl Operands<'a>, input: usize, dtype: DType) -> Quantized<'a> {
    match dtype {
        DType::U16 => Quantized::U16(from.of(input)),
        DType::I16 => Quantized::I16(from.of(input)),
        DType::I32 => Quantized::I32(from.of(input)),
        DType::I8 | DType::I4 | DType::I2 => Quantized::I8(from.of(input)),
        other => match small::format(other) {
            Some(format) => Quantized::Small(format, from.of(input)),
            None => Quantized::U8(from.of(input)),
        },
    }
}

pub fn rows() -> impl Iterator<Item = Row> {
    quantize::rows().chain(dequantize::rows()).chain(dynamic::rows()).chain(through::rows())
}
