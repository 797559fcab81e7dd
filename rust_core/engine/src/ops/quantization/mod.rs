//! QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear: between real numbers and small types, with a scale and a zero
//! point.

use diptych_kernels::quantize::{Numbers, Quantized};

use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{PlanCx, Row};
use crate::ops::cast::small;
use crate::ops::types::Types;
use crate::run::{KernelCx, ValueCx};
use crate::tensor::{Tensor, Value, element_count};

mod dequantize;
mod dynamic;
mod quantize;
mod spread;

/// Elements below which a chunk is not worth a thread.
const GRAIN: usize = 1 << 14;

const FLOAT8: Types = Types::of(&[DType::F8E4M3FN, DType::F8E4M3FNUZ, DType::F8E5M2, DType::F8E5M2FNUZ]);
const NARROW_FLOATS: Types = Types::of(&[DType::F32, DType::F16, DType::BF16]);

/// The quantized types of a version, without int32.
fn quantized_types(since: i64) -> Types {
    let mut types = Types::of(&[DType::U8, DType::I8]);
    for (version, more) in [
        (19, FLOAT8),
        (21, Types::of(&[DType::U16, DType::I16, DType::U4, DType::I4])),
        (23, Types::of(&[DType::F4E2M1])),
        (25, Types::of(&[DType::U2, DType::I2])),
        (28, Types::of(&[DType::F6E2M3, DType::F6E3M2])),
    ] {
        if since >= version {
            types = types.with(more);
        }
    }
    types
}

/// The types of scales: float alone at first, `more` from version 19 on, float8e8m0 from 24 on.
fn scale_types(since: i64, more: Types) -> Types {
    match since {
        ..19 => Types::of(&[DType::F32]),
        19..24 => more,
        _ => more.with(Types::of(&[DType::F8E8M0])),
    }
}

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
    quantize::rows().chain(dequantize::rows()).chain(dynamic::rows())
}
