//! NonZero.

use crate::dtype::{Bool, DType, Element};
use crate::error::{Error, Result};
use crate::operator::{Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::tensor::{Tensor, Value};
use crate::with_dtype;

struct NonZero;

impl Operator for NonZero {
    fn plan(&self, _: &PlanCx<'_>) -> Planned<Step> {
        Step::values(|cx| {
            let value = cx.input(0)?;
            let places = places(value)?;
            Ok(vec![coordinates(&places, value.shape().unwrap_or_default())?.into()])
        })
    }
}

/// Row-major places of the elements that are not zero (nor an empty string); NaN is not zero.
fn places(value: &Value) -> Result<Vec<usize>> {
    let tensor = match value {
        Value::Strings(strings) => return Ok(where_true(strings.data.iter().map(|text| !text.is_empty()))),
        Value::Dense(tensor) => tensor.aligned()?,
        other => return Err(Error::internal(format!("{} where a tensor was planned", other.describe()))),
    };
    fn of<T: Element>(tensor: &Tensor) -> Result<Vec<usize>> {
        let zero = T::default();
        Ok(where_true(tensor.as_slice::<T>()?.iter().map(|&x| x != zero)))
    }
    let complex = |size: usize, half: fn(&[u8]) -> bool| {
        where_true(tensor.bytes().chunks_exact(size).map(|z| half(&z[..size / 2]) || half(&z[size / 2..])))
    };
    let is_float = |part: &[u8]| part.iter().rev().skip(1).any(|&byte| byte != 0) || part[part.len() - 1] & 0x7f != 0;
    with_dtype!(tensor.dtype(), T in [F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64] => of::<T>(&tensor), else
    match tensor.dtype() {
        DType::Bool => Ok(where_true(tensor.as_slice::<Bool>()?.iter().map(|b| b.0 != 0))),
        DType::C64 => Ok(complex(8, is_float)),
        DType::C128 => Ok(complex(16, is_float)),
        other => Err(Error::unsupported(format!("NonZero does not take tensor({other})"))),
    })
}

fn where_true(found: impl Iterator<Item = bool>) -> Vec<usize> {
    found.enumerate().filter_map(|(place, found)| found.then_some(place)).collect()
}

// [panel: NonZero]
/// `places` of a tensor of `shape` as int64 `[rank, n]`.
fn coordinates(places: &[usize], shape: &[usize]) -> Result<Tensor> {
    let mut tensor = Tensor::zeros(DType::I64, &[shape.len(), places.len()])?;
    let out = tensor.as_mut_slice::<i64>()?;
    let mut stride = 1;
    for (axis, &len) in shape.iter().enumerate().rev() {
        let row = &mut out[axis * places.len()..(axis + 1) * places.len()];
        row.iter_mut().zip(places).for_each(|(o, &place)| *o = (place / stride % len) as i64);
        stride *= len.max(1);
    }
    Ok(tensor)
}
// [/panel]

pub fn rows() -> impl Iterator<Item = Row> {
    versions("NonZero", &[9, 13], |_| Ok(Box::new(NonZero)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_become_coordinates() {
        let tensor = Tensor::from_slice(&[2, 3], &[0.0f32, f32::NAN, -0.0, 1.0, 0.0, 2.0]).unwrap();
        let found = places(&tensor.into()).unwrap();
        assert_eq!(found, [1, 3, 5]);
        assert_eq!(coordinates(&found, &[2, 3]).unwrap().as_slice::<i64>().unwrap(), [0, 1, 1, 1, 0, 2]);
        assert_eq!(coordinates(&[0], &[]).unwrap().shape(), [0, 1]);
    }
}
