//! Tensors and the other values of ONNX: dense, strings, sequence, optional.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::dtype::{DType, Element};
use crate::error::{Error, ErrorKind, Result};
use crate::map::Map;
pub use crate::memory::{ALIGN, AlignedBytes};

/// Dimensions of a tensor, outermost first.
pub type Shape = SmallVec<[usize; 6]>;

/// Number of elements of `shape`, or an error where it overflows: no tensor may address more than `isize::MAX` bytes.
pub fn element_count(shape: &[usize]) -> Result<usize> {
    let mut count = 1usize;
    // A zero anywhere makes the product zero, whatever the others are.
    if shape.contains(&0) {
        return Ok(0);
    }
    for &dim in shape {
        count = count
            .checked_mul(dim)
            .filter(|&n| n <= isize::MAX as usize / 16)
            .ok_or_else(|| Error::resource_limit(format!("a tensor of shape {shape:?} has too many elements")))?;
    }
    Ok(count)
}

/// Bytes of a dense tensor.
pub fn byte_len(dtype: DType, shape: &[usize]) -> Result<usize> {
    dtype
        .byte_len(element_count(shape)?)
        .ok_or_else(|| Error::internal(format!("a tensor of {dtype} has no fixed size in bytes")))
}

/// Where a dense tensor's bytes live.
#[derive(Clone)]
enum Storage {
    Owned(Arc<AlignedBytes>),
    /// A window of the model's file (or of a caller's buffer): never copied, perhaps not aligned.
    Mapped(Bytes),
}

/// A dense tensor: contiguous, row-major, sub-byte types packed. Cloning shares the bytes.
#[derive(Clone)]
pub struct Tensor {
    dtype: DType,
    shape: Shape,
    storage: Storage,
}

impl Tensor {
    /// A tensor of zeros.
    pub fn zeros(dtype: DType, shape: &[usize]) -> Result<Tensor> {
        let bytes = AlignedBytes::zeroed(byte_len(dtype, shape)?)?;
        Ok(Tensor { dtype, shape: shape.into(), storage: Storage::Owned(Arc::new(bytes)) })
    }

    pub fn from_slice<T: Element>(shape: &[usize], data: &[T]) -> Result<Tensor> {
        let mut tensor = Tensor::zeros(T::DTYPE, shape)?;
        if data.len() != tensor.element_count() {
            return Err(Error::internal(format!("{} elements for shape {shape:?}", data.len())));
        }
        tensor.as_mut_slice::<T>()?.copy_from_slice(data);
        Ok(tensor)
    }

    /// A rank-0 tensor.
    pub fn scalar<T: Element>(value: T) -> Result<Tensor> {
        Tensor::from_slice(&[], &[value])
    }

    /// A tensor over a window of a file. `bytes` must be exactly as long as dtype and shape say.
    pub fn mapped(dtype: DType, shape: &[usize], bytes: Bytes) -> Result<Tensor> {
        let want = byte_len(dtype, shape)?;
        if bytes.len() != want {
            return Err(Error::invalid_model(format!(
                "{} bytes of data for a {dtype} tensor of shape {shape:?}, which takes {want}",
                bytes.len()
            )));
        }
        Ok(Tensor { dtype, shape: shape.into(), storage: Storage::Mapped(bytes) })
    }

    pub fn from_owned(dtype: DType, shape: &[usize], bytes: Arc<AlignedBytes>) -> Result<Tensor> {
        if bytes.len() < byte_len(dtype, shape)? {
            return Err(Error::internal("a buffer shorter than its tensor"));
        }
        Ok(Tensor { dtype, shape: shape.into(), storage: Storage::Owned(bytes) })
    }

    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The session no longer answers for the bytes: see [`AlignedBytes::release`].
    pub fn release(&self) {
        if let Storage::Owned(bytes) = &self.storage {
            bytes.release();
        }
    }

    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub fn element_count(&self) -> usize {
        if self.shape.contains(&0) { 0 } else { self.shape.iter().product() }
    }

    pub fn byte_len(&self) -> usize {
        self.dtype.byte_len(self.element_count()).unwrap_or(0)
    }

    pub fn bytes(&self) -> &[u8] {
        let all = match &self.storage {
            Storage::Owned(bytes) => bytes.as_slice(),
            Storage::Mapped(bytes) => bytes,
        };
        &all[..self.byte_len()]
    }

    /// Whether the bytes are a window of a file.
    pub fn is_mapped(&self) -> bool {
        matches!(self.storage, Storage::Mapped(_))
    }

    /// Whether the bytes may be seen as a slice of the element type.
    pub fn is_aligned(&self) -> bool {
        let size = (self.dtype.bits() / 8).clamp(1, 8);
        (self.bytes().as_ptr() as usize).is_multiple_of(size)
    }

    /// This tensor with aligned bytes: itself, or a copy where a file's offset is odd.
    pub fn aligned(&self) -> Result<Tensor> {
        if self.is_aligned() { Ok(self.clone()) } else { self.deep_clone() }
    }

    /// A copy with bytes of its own.
    pub fn deep_clone(&self) -> Result<Tensor> {
        let mut bytes = AlignedBytes::zeroed(self.byte_len())?;
        bytes.as_mut_slice().copy_from_slice(self.bytes());
        Ok(Tensor { dtype: self.dtype, shape: self.shape.clone(), storage: Storage::Owned(Arc::new(bytes)) })
    }

    /// The elements, if the dtype is `T`'s and the bytes are aligned (see [`Tensor::aligned`]).
    pub fn as_slice<T: Element>(&self) -> Result<&[T]> {
        self.check::<T>()?;
        let bytes = self.bytes();
        // SAFETY: dtype and alignment are checked, every bit pattern is a T, the length is in whole elements.
        Ok(unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), self.element_count()) })
    }

    /// The elements for writing, if no other tensor shares the bytes.
    pub fn as_mut_slice<T: Element>(&mut self) -> Result<&mut [T]> {
        self.check::<T>()?;
        let count = self.element_count();
        let bytes = self.bytes_mut()?;
        // SAFETY: as in `as_slice`, and the bytes are not shared.
        Ok(unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), count) })
    }

    /// The bytes for writing, if no other tensor shares them.
    pub fn bytes_mut(&mut self) -> Result<&mut [u8]> {
        let len = self.byte_len();
        match &mut self.storage {
            Storage::Owned(bytes) => {
                let bytes = Arc::get_mut(bytes).ok_or_else(|| Error::internal("writing to a shared tensor"))?;
                Ok(&mut bytes.as_mut_slice()[..len])
            }
            Storage::Mapped(_) => Err(Error::internal("writing to a mapped tensor")),
        }
    }

    fn check<T: Element>(&self) -> Result<()> {
        if self.dtype != T::DTYPE {
            return Err(Error::internal(format!("a {} tensor read as {}", self.dtype, T::DTYPE)));
        }
        if !self.is_aligned() {
            return Err(Error::internal("a tensor whose bytes are not aligned"));
        }
        Ok(())
    }

    /// The same elements under another shape of as many elements.
    pub fn reshaped(&self, shape: &[usize]) -> Result<Tensor> {
        if element_count(shape)? != self.element_count() {
            return Err(Error::shape(format!("{:?} has not as many elements as {shape:?}", self.shape)));
        }
        Ok(Tensor { dtype: self.dtype, shape: shape.into(), storage: self.storage.clone() })
    }

    /// Integer elements (int64 or int32), widened: what shapes, axes and pads are given as.
    pub fn to_i64s(&self) -> Result<Vec<i64>> {
        let tensor = self.aligned()?;
        match self.dtype {
            DType::I64 => Ok(tensor.as_slice::<i64>()?.to_vec()),
            DType::I32 => Ok(tensor.as_slice::<i32>()?.iter().map(|&v| v.into()).collect()),
            other => Err(Error::shape(format!("expected an int64 or int32 tensor, got {other}"))),
        }
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tensor({}{:?})", self.dtype, self.shape.as_slice())
    }
}

/// A tensor of strings. ONNX's strings are UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strings {
    pub shape: Shape,
    pub data: Arc<[Arc<str>]>,
}

/// A sequence: values of one type. Cloning shares the items, and so does taking one out.
#[derive(Clone, Debug, Default)]
pub struct Sequence {
    /// Element type of its tensors. `None`: of no tensors, or of nothing that has a type yet.
    dtype: Option<DType>,
    items: Arc<Vec<Value>>,
}

impl Sequence {
    /// A sequence without items, of tensors of `dtype`; `None` where nobody said.
    pub fn empty(dtype: Option<DType>) -> Sequence {
        Sequence { dtype, items: Arc::default() }
    }

    /// Refuses items of different types.
    pub fn new(items: Vec<Value>) -> Result<Sequence> {
        let mut types = items.iter().map(Value::value_type);
        let Some(first) = types.next() else { return Ok(Sequence::default()) };
        if let Some(other) = types.find(|ty| *ty != first) {
            let message = format!("a sequence of {first} and {other}; its items must be of one type");
            return Err(Error::new(ErrorKind::InvalidType, message));
        }
        Ok(Sequence { dtype: first.dtype(), items: Arc::new(items) })
    }

    /// Element type of its tensors, if that is known.
    pub fn dtype(&self) -> Option<DType> {
        self.dtype
    }

    pub fn items(&self) -> &[Value] {
        &self.items
    }

    /// The items, moved out if nobody shares them.
    pub fn into_items(self) -> Vec<Value> {
        Arc::unwrap_or_clone(self.items)
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Puts a tensor of the sequence's type before item `at <= len`. Items are moved only if nobody shares them, else
    /// copied first, which shares their bytes.
    pub fn insert(&mut self, at: usize, item: Value) -> Result<()> {
        let dtype = item.dtype().ok_or_else(|| Error::internal("a sequence item that is no tensor"))?;
        if let Some(own) = self.dtype.filter(|&own| own != dtype) {
            let message = format!("a tensor({dtype}) does not go into a seq(tensor({own}))");
            return Err(Error::new(ErrorKind::InvalidType, message));
        }
        self.dtype = Some(dtype);
        Arc::make_mut(&mut self.items).insert(at, item);
        Ok(())
    }

    /// Takes item `at < len` out.
    pub fn remove(&mut self, at: usize) {
        Arc::make_mut(&mut self.items).remove(at);
    }
}

/// Anything a graph's edge can carry. Only `Dense` lives in arenas. An optional that holds a value is that value.
#[derive(Clone, Debug)]
pub enum Value {
    Dense(Tensor),
    Strings(Strings),
    Sequence(Sequence),
    Map(Map),
    /// An optional that holds nothing.
    Absent,
}

/// Type of a value, its shape aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    Tensor(DType),
    /// A sequence of tensors.
    Sequence(DType),
    /// A sequence without items to which nobody gave a type: it is of any.
    EmptySequence,
    /// An optional that holds nothing.
    Absent,
    /// A sequence of what is no tensor: no operator takes one.
    Nested,
    /// Element types of keys and values.
    Map(DType, DType),
}

impl ValueType {
    /// Element type, for tensors.
    pub fn dtype(self) -> Option<DType> {
        match self {
            ValueType::Tensor(dtype) => Some(dtype),
            _ => None,
        }
    }
}

impl std::fmt::Display for ValueType {
    /// ONNX's spelling: `tensor(float)`, `seq(tensor(int64))`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ValueType::Tensor(dtype) => write!(f, "tensor({dtype})"),
            ValueType::Sequence(dtype) => write!(f, "seq(tensor({dtype}))"),
            ValueType::EmptySequence => f.write_str("seq()"),
            ValueType::Absent => f.write_str("optional()"),
            ValueType::Nested => f.write_str("a sequence of what is no tensor"),
            ValueType::Map(key, value) => write!(f, "map({key},tensor({value}))"),
        }
    }
}

impl Value {
    /// Its type: what an operator's signature is held against.
    pub fn value_type(&self) -> ValueType {
        match self {
            Value::Dense(tensor) => ValueType::Tensor(tensor.dtype()),
            Value::Strings(_) => ValueType::Tensor(DType::String),
            Value::Sequence(sequence) => match sequence.dtype() {
                Some(dtype) => ValueType::Sequence(dtype),
                None if sequence.is_empty() => ValueType::EmptySequence,
                None => ValueType::Nested,
            },
            Value::Map(map) => ValueType::Map(map.keys().dtype(), map.value_dtype()),
            Value::Absent => ValueType::Absent,
        }
    }

    /// The session no longer answers for the bytes: they leave it.
    pub fn release(&self) {
        match self {
            Value::Dense(tensor) => tensor.release(),
            Value::Sequence(sequence) => sequence.items().iter().for_each(Value::release),
            Value::Map(map) => map.values().release(),
            Value::Strings(_) | Value::Absent => {}
        }
    }

    pub fn as_dense(&self) -> Option<&Tensor> {
        match self {
            Value::Dense(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// Element type, for tensors.
    pub fn dtype(&self) -> Option<DType> {
        self.value_type().dtype()
    }

    /// Shape, for tensors.
    pub fn shape(&self) -> Option<&[usize]> {
        match self {
            Value::Dense(tensor) => Some(tensor.shape()),
            Value::Strings(strings) => Some(&strings.shape),
            _ => None,
        }
    }

    /// What this is, for messages: `tensor(float)[2, 3]`, `seq(tensor(float)) of 4`.
    pub fn describe(&self) -> String {
        match self {
            Value::Dense(tensor) => format!("tensor({}){:?}", tensor.dtype(), tensor.shape()),
            Value::Strings(strings) => format!("tensor(string){:?}", strings.shape.as_slice()),
            Value::Sequence(sequence) => format!("{} of {}", self.value_type(), sequence.len()),
            Value::Map(map) => format!("map({},tensor({})) of {}", map.keys().dtype(), map.value_dtype(), map.len()),
            Value::Absent => "an empty optional".into(),
        }
    }
}

impl From<Tensor> for Value {
    fn from(tensor: Tensor) -> Value {
        Value::Dense(tensor)
    }
}
