//! Tensors and the other values of ONNX: dense, strings, sequence, optional.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::map::Map;

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

/// Alignment of every buffer the engine allocates: a cache line and a zmm register.
pub const ALIGN: usize = 64;

/// Owned bytes, aligned to [`ALIGN`] and zeroed at birth.
pub struct AlignedBytes {
    ptr: NonNull<u8>,
    len: usize,
}

// SAFETY: the buffer is plain memory owned by the struct.
unsafe impl Send for AlignedBytes {}
// SAFETY: shared references only read.
unsafe impl Sync for AlignedBytes {}

impl AlignedBytes {
    /// `len` zeroed bytes. Refuses, rather than aborts, if the allocator does.
    pub fn zeroed(len: usize) -> Result<AlignedBytes> {
        if len == 0 {
            return Ok(AlignedBytes { ptr: NonNull::<u64>::dangling().cast(), len: 0 });
        }
        let layout = Self::layout(len)?;
        // SAFETY: the layout has a non-zero size.
        let ptr = NonNull::new(unsafe { alloc_zeroed(layout) })
            .ok_or_else(|| Error::resource_limit(format!("the machine has no {len} bytes left")))?;
        Ok(AlignedBytes { ptr, len })
    }

    fn layout(len: usize) -> Result<Layout> {
        Layout::from_size_align(len, ALIGN)
            .map_err(|_| Error::resource_limit(format!("{len} bytes are more than can be addressed")))
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: ptr is valid for len initialised bytes.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }

    pub fn as_ptr(&self) -> *mut u8 {
        self.ptr.as_ptr()
    }
}

impl Drop for AlignedBytes {
    fn drop(&mut self) {
        if self.len > 0
            && let Ok(layout) = Self::layout(self.len)
        {
            // SAFETY: allocated in `zeroed` with this very layout.
            unsafe { dealloc(self.ptr.as_ptr(), layout) }
        }
    }
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

/// Anything a graph's edge can carry. Only `Dense` lives in arenas.
#[derive(Clone, Debug)]
pub enum Value {
    Dense(Tensor),
    Strings(Strings),
    Sequence(Vec<Value>),
    Optional(Option<Box<Value>>),
    Map(Map),
}

/// Type of a value, its shape aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    Tensor(DType),
    /// A sequence of tensors, of the type of its first.
    Sequence(DType),
    /// A sequence without elements has no element type.
    EmptySequence,
    /// An optional that holds a tensor.
    Optional(DType),
    /// An optional that holds nothing, as good as no input.
    Absent,
    /// A sequence or an optional of what is no tensor: no operator takes one.
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
            ValueType::Optional(dtype) => write!(f, "optional(tensor({dtype}))"),
            ValueType::Absent => f.write_str("optional()"),
            ValueType::Nested => f.write_str("a sequence or optional of what is no tensor"),
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
            Value::Sequence(items) => match items.first().map(Value::value_type) {
                None => ValueType::EmptySequence,
                Some(ValueType::Tensor(dtype)) => ValueType::Sequence(dtype),
                Some(_) => ValueType::Nested,
            },
            Value::Optional(None) => ValueType::Absent,
            Value::Optional(Some(value)) => value.dtype().map_or(ValueType::Nested, ValueType::Optional),
            Value::Map(map) => ValueType::Map(map.keys().dtype(), map.value_dtype()),
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

    /// What this is, for messages: `tensor(float)[2, 3]`, `sequence of 4`.
    pub fn describe(&self) -> String {
        match self {
            Value::Dense(tensor) => format!("tensor({}){:?}", tensor.dtype(), tensor.shape()),
            Value::Strings(strings) => format!("tensor(string){:?}", strings.shape.as_slice()),
            Value::Sequence(items) => format!("sequence of {}", items.len()),
            Value::Optional(None) => "empty optional".into(),
            Value::Optional(Some(value)) => format!("optional {}", value.describe()),
            Value::Map(map) => format!("map({},tensor({})) of {}", map.keys().dtype(), map.value_dtype(), map.len()),
        }
    }
}

impl From<Tensor> for Value {
    fn from(tensor: Tensor) -> Value {
        Value::Dense(tensor)
    }
}
