//! What steps of values have in common: scalars, slabs of a tensor along an axis, and tensors put together of slabs.

use std::sync::Arc;

use crate::dtype::{Bool, DType};
use crate::error::{Error, Result};
use crate::graph::{Dim, Type};
use crate::ops::axes::normalize_axis;
use crate::ops::sub_byte;
use crate::tensor::{Sequence, Shape, Strings, Tensor, Value, element_count};

/// The one element of an integer tensor, of any rank.
pub fn scalar_i64(value: &Value, name: &str) -> Result<i64> {
    Ok(one_element(value, name)?.to_i64s()?[0])
}

/// The one element of a bool tensor.
pub fn truth(value: &Value, name: &str) -> Result<bool> {
    let tensor = one_element(value, name)?;
    match tensor.dtype() {
        DType::Bool => Ok(tensor.as_slice::<Bool>()?[0] != Bool(0)),
        other => Err(Error::shape(format!("{name} must be a bool, got {other}"))),
    }
}

fn one_element<'a>(value: &'a Value, name: &str) -> Result<&'a Tensor> {
    match value {
        Value::Dense(tensor) if tensor.element_count() == 1 => Ok(tensor),
        other => Err(Error::shape(format!("{name} is {}, expected one element", other.describe()))),
    }
}

/// Shape of a value that must be a tensor.
pub fn tensor_shape<'a>(value: &'a Value, name: &str) -> Result<&'a [usize]> {
    value.shape().ok_or_else(|| Error::shape(format!("{name} is {}, expected a tensor", value.describe())))
}

/// A value that must be a sequence.
pub fn as_sequence<'a>(value: &'a Value, name: &str) -> Result<&'a Sequence> {
    match value {
        Value::Sequence(sequence) => Ok(sequence),
        other => Err(Error::shape(format!("{name} is {}, expected a sequence", other.describe()))),
    }
}

/// Bytes of a value's elements, those of strings being their texts.
pub fn byte_size(value: &Value) -> usize {
    match value {
        Value::Dense(tensor) => tensor.byte_len(),
        Value::Strings(strings) => strings.data.iter().map(|text| size_of::<Arc<str>>() + text.len()).sum(),
        Value::Sequence(sequence) => sequence.items().iter().map(byte_size).sum(),
        Value::Map(map) => map.len() * size_of::<Arc<str>>() + byte_size(map.values()),
        Value::Absent => 0,
    }
}

/// `count` times `value`; refuses, rather than aborts, where there is no room for so many.
pub fn filled<T: Clone>(value: T, count: usize) -> Result<Vec<T>> {
    let mut data = room_for(count)?;
    data.resize(count, value);
    Ok(data)
}

/// An empty vector with room for `count`; refuses, rather than aborts, where there is none.
pub fn room_for<T>(count: usize) -> Result<Vec<T>> {
    let mut data = Vec::new();
    let no_room = |_| Error::resource_limit(format!("the machine has no room for {count} values"));
    data.try_reserve_exact(count).map_err(no_room)?;
    Ok(data)
}

/// How elements lie around an axis: `outer` rows of `len` slabs of `inner` elements.
#[derive(Clone, Copy)]
struct Around {
    outer: usize,
    len: usize,
    inner: usize,
}

impl Around {
    fn of(shape: &[usize], axis: usize) -> Result<Around> {
        let len = shape[axis];
        if element_count(shape)? == 0 {
            return Ok(Around { outer: 0, len, inner: 0 });
        }
        Ok(Around { outer: shape[..axis].iter().product(), len, inner: shape[axis + 1..].iter().product() })
    }

    /// The same in units of which an element has `width`.
    fn scaled(self, width: usize) -> Around {
        Around { inner: self.inner * width, ..self }
    }

    /// Copies slabs `start .. start + count` out of `all`.
    fn cut<T: Clone>(self, all: &[T], start: usize, count: usize, out: &mut [T]) {
        self.pieces(start, count).for_each(|(whole, piece)| out[piece].clone_from_slice(&all[whole]));
    }

    /// Copies slabs over `start .. start + count` of `all`.
    fn paste<T: Clone>(self, all: &mut [T], start: usize, count: usize, slabs: &[T]) {
        self.pieces(start, count).for_each(|(whole, piece)| all[whole].clone_from_slice(&slabs[piece]));
    }

    /// The ranges that slabs fill in the whole and in a piece of their own.
    fn pieces(
        self,
        start: usize,
        count: usize,
    ) -> impl Iterator<Item = (std::ops::Range<usize>, std::ops::Range<usize>)> {
        let run = count * self.inner;
        (0..self.outer).map(move |row| {
            let from = (row * self.len + start) * self.inner;
            (from..from + run, row * run..(row + 1) * run)
        })
    }
}

/// Elements that can be copied: bytes, one packed element a byte, or strings.
enum Elements<'a> {
    Bytes(&'a [u8]),
    Codes(Vec<u8>),
    Strings(&'a [Arc<str>]),
}

/// A tensor to be cut along an axis.
pub struct Slabs<'a> {
    dtype: DType,
    shape: &'a [usize],
    axis: usize,
    around: Around,
    elements: Elements<'a>,
}

impl<'a> Slabs<'a> {
    /// Along `axis`, counted from either end.
    pub fn of(value: &'a Value, axis: i64) -> Result<Slabs<'a>> {
        let shape = tensor_shape(value, "what is cut")?;
        let axis = normalize_axis(axis, shape.len())?;
        let around = Around::of(shape, axis)?;
        let (dtype, elements) = match value {
            Value::Strings(strings) => (DType::String, Elements::Strings(&strings.data)),
            Value::Dense(tensor) if tensor.dtype().bits() < 8 => {
                let codes = sub_byte::unpack(tensor.bytes(), tensor.dtype().bits(), tensor.element_count());
                (tensor.dtype(), Elements::Codes(codes))
            }
            Value::Dense(tensor) => (tensor.dtype(), Elements::Bytes(tensor.bytes())),
            other => return Err(Error::internal(format!("a shape of {}", other.describe()))),
        };
        Ok(Slabs { dtype, shape, axis, around, elements })
    }

    /// How many slabs there are.
    pub fn len(&self) -> usize {
        self.around.len
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Slab `index`, without the axis.
    pub fn one(&self, index: usize) -> Result<Value> {
        let mut shape: Shape = self.shape.into();
        shape.remove(self.axis);
        self.cut(index, 1, shape)
    }

    /// Slabs `start .. start + count`.
    pub fn some(&self, start: usize, count: usize) -> Result<Value> {
        let mut shape: Shape = self.shape.into();
        shape[self.axis] = count;
        self.cut(start, count, shape)
    }

    fn cut(&self, start: usize, count: usize, shape: Shape) -> Result<Value> {
        let around = self.around;
        match &self.elements {
            Elements::Strings(data) => {
                let mut out = filled(Arc::from(""), element_count(&shape)?)?;
                around.cut(data, start, count, &mut out);
                Ok(Value::Strings(Strings { shape, data: out.into() }))
            }
            Elements::Codes(codes) => {
                let mut out = filled(0, element_count(&shape)?)?;
                around.cut(codes, start, count, &mut out);
                let mut tensor = Tensor::zeros(self.dtype, &shape)?;
                sub_byte::pack(&out, self.dtype.bits(), tensor.bytes_mut()?);
                Ok(tensor.into())
            }
            Elements::Bytes(bytes) => {
                let mut tensor = Tensor::zeros(self.dtype, &shape)?;
                around.scaled(self.dtype.bits() / 8).cut(bytes, start, count, tensor.bytes_mut()?);
                Ok(tensor.into())
            }
        }
    }
}

/// What a [`Joined`] tensor collects before it is finished.
enum Collected {
    Dense(Tensor),
    Codes(Vec<u8>),
    Strings(Vec<Arc<str>>),
}

/// A tensor that is put together of slabs along an axis. Where nothing is put, it holds zeros or empty strings.
pub struct Joined {
    dtype: DType,
    shape: Shape,
    around: Around,
    axis: usize,
    /// Whether a slab comes without the axis.
    is_new: bool,
    collected: Collected,
}

impl Joined {
    /// `count` values like `first` along a new axis of the result, counted from either end.
    pub fn stack(first: &Value, axis: i64, count: usize) -> Result<Joined> {
        let mut shape: Shape = tensor_shape(first, "what is stacked")?.into();
        let axis = normalize_axis(axis, shape.len() + 1)?;
        shape.insert(axis, count);
        Joined::new(first, shape, axis, true)
    }

    /// Values like `first` along one of its axes, `len` in all.
    pub fn concat(first: &Value, axis: usize, len: usize) -> Result<Joined> {
        let mut shape: Shape = tensor_shape(first, "what is joined")?.into();
        shape[axis] = len;
        Joined::new(first, shape, axis, false)
    }

    fn new(first: &Value, shape: Shape, axis: usize, is_new: bool) -> Result<Joined> {
        let dtype = first.dtype().ok_or_else(|| Error::internal("a shape without a type"))?;
        let (around, count) = (Around::of(&shape, axis)?, element_count(&shape)?);
        let collected = match dtype {
            DType::String => Collected::Strings(filled(Arc::from(""), count)?),
            dtype if dtype.bits() < 8 => Collected::Codes(filled(0, count)?),
            dtype => Collected::Dense(Tensor::zeros(dtype, &shape)?),
        };
        Ok(Joined { dtype, shape, around, axis, is_new, collected })
    }

    /// Bytes that the elements take, strings by their handles alone.
    pub fn byte_size(dtype: DType, shape: &[usize]) -> Result<usize> {
        let width = if dtype == DType::String { size_of::<Arc<str>>() } else { dtype.bits().div_ceil(8) };
        Ok(element_count(shape)?.saturating_mul(width))
    }

    /// Writes a value's slabs from place `start` of the axis on; how many they are.
    pub fn put(&mut self, start: usize, value: &Value) -> Result<usize> {
        let shape = tensor_shape(value, "what is joined")?;
        let mut own: Shape = shape.into();
        if self.is_new {
            own.insert(self.axis.min(own.len()), 1);
        }
        let count = own.get(self.axis).copied().unwrap_or(0);
        let fits = own.len() == self.shape.len()
            && (0..own.len()).all(|i| i == self.axis || own[i] == self.shape[i])
            && start + count <= self.around.len;
        if !fits || value.dtype() != Some(self.dtype) {
            let (shape, axis) = (self.shape.as_slice(), self.axis);
            let message =
                format!("{} does not fit into tensor({}){shape:?} along axis {axis}", value.describe(), self.dtype);
            return Err(Error::shape(message));
        }
        match (&mut self.collected, value) {
            (Collected::Strings(data), Value::Strings(strings)) => {
                self.around.paste(data, start, count, &strings.data);
            }
            (Collected::Codes(codes), Value::Dense(tensor)) => {
                let own = sub_byte::unpack(tensor.bytes(), self.dtype.bits(), tensor.element_count());
                self.around.paste(codes, start, count, &own);
            }
            (Collected::Dense(all), Value::Dense(tensor)) => {
                let around = self.around.scaled(self.dtype.bits() / 8);
                around.paste(all.bytes_mut()?, start, count, tensor.bytes());
            }
            _ => return Err(Error::internal("a value of another kind than its type")),
        }
        Ok(count)
    }

    pub fn finish(self) -> Result<Value> {
        match self.collected {
            Collected::Dense(tensor) => Ok(tensor.into()),
            Collected::Codes(codes) => {
                let mut tensor = Tensor::zeros(self.dtype, &self.shape)?;
                sub_byte::pack(&codes, self.dtype.bits(), tensor.bytes_mut()?);
                Ok(tensor.into())
            }
            Collected::Strings(data) => Ok(Value::Strings(Strings { shape: self.shape, data: data.into() })),
        }
    }
}

/// A tensor as another shape of as many elements.
pub fn reshaped(value: Value, shape: Shape) -> Result<Value> {
    match value {
        Value::Dense(tensor) => Ok(tensor.reshaped(&shape)?.into()),
        Value::Strings(strings) => Ok(Value::Strings(Strings { shape, ..strings })),
        other => Err(Error::internal(format!("{} has no shape", other.describe()))),
    }
}

/// A stack of no values of a declared type along new axes of lengths `lens` from `axis` on: dimensions that are not fixed
/// count as 0.
pub fn stack_of_nothing(declared: Option<&Type>, axis: i64, lens: &[usize]) -> Result<Value> {
    let Some(Type::Tensor { dtype, shape }) = declared else {
        return Err(Error::invalid_model("a scan output of a loop that ran no iteration has no declared tensor type"));
    };
    let size = |dim: &Dim| if let Dim::Known(size) = dim { *size } else { 0 };
    let mut shape: Shape = shape.iter().flatten().map(size).collect();
    let axis = normalize_axis(axis, shape.len() + 1)?;
    shape.insert_from_slice(axis, lens);
    match dtype {
        DType::String => {
            let data = filled(Arc::from(""), element_count(&shape)?)?.into();
            Ok(Value::Strings(Strings { shape, data }))
        }
        dtype => Ok(Tensor::zeros(*dtype, &shape)?.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_and_joining_are_inverse() {
        let values: [Value; 2] = [
            Tensor::from_slice(&[2, 3, 2], &(0..12).map(|n| n as i16).collect::<Vec<_>>()).unwrap().into(),
            Value::Strings(Strings {
                shape: [2, 3, 2].into_iter().collect(),
                data: (0..12).map(|n| Arc::from(n.to_string())).collect(),
            }),
        ];
        for value in values {
            for axis in 0..3 {
                let slabs = Slabs::of(&value, axis - 3).unwrap();
                let mut stacked = Joined::stack(&slabs.one(0).unwrap(), axis, slabs.len()).unwrap();
                let mut joined = Joined::concat(&value, axis as usize, slabs.len()).unwrap();
                let cut = slabs.len() - 1;
                for index in 0..slabs.len() {
                    stacked.put(index, &slabs.one(index).unwrap()).unwrap();
                }
                assert_eq!(joined.put(0, &slabs.some(0, cut).unwrap()).unwrap(), cut);
                joined.put(cut, &slabs.some(cut, 1).unwrap()).unwrap();
                assert!(joined.put(slabs.len(), &slabs.some(0, 1).unwrap()).is_err());
                for made in [stacked.finish().unwrap(), joined.finish().unwrap()] {
                    assert_eq!(made.shape(), value.shape());
                    match (&made, &value) {
                        (Value::Dense(a), Value::Dense(b)) => assert_eq!(a.bytes(), b.bytes()),
                        (Value::Strings(a), Value::Strings(b)) => assert_eq!(a, b),
                        _ => panic!("another kind of value"),
                    }
                }
            }
        }
    }
}
