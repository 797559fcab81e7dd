//! Tensors of small types (floats and integers of 2 to 8 bits) to and from plain numbers.

use diptych_kernels::Isa;
use diptych_kernels::cast::to_odd_f32;
use diptych_kernels::small_float::{self, Format, PowerRounding, decode_e8m0, encode_e8m0};

use crate::dtype::{Bool, DType};
use crate::error::{Error, Result};
use crate::ops::cast::cast_tensor;
use crate::ops::sub_byte;
use crate::tensor::Tensor;
use crate::with_dtype;

/// What a conversion to a small float does with numbers it has not.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub saturate: bool,
    pub rounding: PowerRounding,
}

/// The layout of a small float (float8e8m0, which has no sign, is none).
pub fn format(dtype: DType) -> Option<Format> {
    Some(match dtype {
        DType::F8E4M3FN => small_float::F8E4M3FN,
        DType::F8E4M3FNUZ => small_float::F8E4M3FNUZ,
        DType::F8E5M2 => small_float::F8E5M2,
        DType::F8E5M2FNUZ => small_float::F8E5M2FNUZ,
        DType::F4E2M1 => small_float::F4E2M1,
        DType::F6E2M3 => small_float::F6E2M3,
        DType::F6E3M2 => small_float::F6E3M2,
        _ => return None,
    })
}

/// Bits and signedness of the packed integer types.
pub fn packed_integer(dtype: DType) -> Option<(usize, bool)> {
    match dtype {
        DType::U4 | DType::U2 => Some((dtype.bits(), false)),
        DType::I4 | DType::I2 => Some((dtype.bits(), true)),
        _ => None,
    }
}

pub fn is_small(dtype: DType) -> bool {
    dtype == DType::F8E8M0 || format(dtype).is_some() || packed_integer(dtype).is_some()
}

/// The tensor's elements, a code each in the low bits of a byte.
pub fn codes(tensor: &Tensor) -> Vec<u8> {
    sub_byte::unpack(tensor.bytes(), tensor.dtype().bits(), tensor.element_count())
}

/// A tensor of a small type from codes.
pub fn from_codes(dtype: DType, shape: &[usize], codes: &[u8]) -> Result<Tensor> {
    let mut tensor = Tensor::zeros(dtype, shape)?;
    sub_byte::pack(codes, dtype.bits(), tensor.bytes_mut()?);
    Ok(tensor)
}

/// A code of `bits` bits as a number.
pub fn integer(code: u8, bits: usize, signed: bool) -> i8 {
    let shift = 8 - bits;
    if signed { ((code << shift) as i8) >> shift } else { code as i8 }
}

/// Small integers as int8, small floats as float, exactly; other tensors as they are.
pub fn to_plain(tensor: &Tensor) -> Result<Tensor> {
    let dtype = tensor.dtype();
    if let Some((bits, signed)) = packed_integer(dtype) {
        let values: Vec<i8> = codes(tensor).into_iter().map(|code| integer(code, bits, signed)).collect();
        return Tensor::from_slice(tensor.shape(), &values);
    }
    let decode: Box<dyn Fn(u8) -> f32> = match format(dtype) {
        Some(format) => Box::new(move |code| format.decode(code)),
        None if dtype == DType::F8E8M0 => Box::new(decode_e8m0),
        None => return tensor.aligned(),
    };
    let values: Vec<f32> = codes(tensor).into_iter().map(decode).collect();
    Tensor::from_slice(tensor.shape(), &values)
}

/// Plain numbers as a small type. Integers keep their low bits, floats going to int8 first; floats are rounded once.
pub fn from_plain(isa: Isa, tensor: &Tensor, to: DType, options: Options) -> Result<Tensor> {
    if packed_integer(to).is_some() {
        let bytes = cast_tensor(isa, tensor, DType::I8)?;
        return from_codes(to, tensor.shape(), bytes.bytes());
    }
    let odd = odd_f32(tensor)?;
    let codes: Vec<u8> = match format(to) {
        Some(format) => odd.iter().map(|&x| format.encode(x, options.saturate)).collect(),
        None => odd.iter().map(|&x| encode_e8m0(x, options.saturate, options.rounding)).collect(),
    };
    from_codes(to, tensor.shape(), &codes)
}

/// The elements in binary32, rounded to odd where 24 bits are too few, so that a further rounding acts as the only one.
fn odd_f32(tensor: &Tensor) -> Result<Vec<f32>> {
    let tensor = tensor.aligned()?;
    let mut out = vec![0.0; tensor.element_count()];
    with_dtype!(tensor.dtype(), T in [F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64] =>
        to_odd_f32(tensor.as_slice::<T>()?, &mut out), else
    match tensor.dtype() {
        DType::Bool => to_odd_f32(tensor.as_slice::<Bool>()?, &mut out),
        other => return Err(Error::internal(format!("{other} is no plain number"))),
    });
    Ok(out)
}
