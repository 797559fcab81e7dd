//! NumPy arrays to values and back, without copies where the layout allows.

use std::os::raw::c_int;
use std::sync::Arc;

use bytes::Bytes;
use diptych_engine::{DType, Error, Keys, Map, Sequence, Shape, Strings, Tensor, Value};
use numpy::npyffi::{self, NPY_TYPES, PY_ARRAY_API, npy_intp};
use numpy::{PyArrayDescr, PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyFloat, PyList, PyString, PyTuple};

use crate::errors::raise;

/// Types that `ml_dtypes` gives to NumPy, by the names it uses.
const EXTENSION_TYPES: &[(DType, &str)] = &[
    (DType::BF16, "bfloat16"),
    (DType::F8E4M3FN, "float8_e4m3fn"),
    (DType::F8E4M3FNUZ, "float8_e4m3fnuz"),
    (DType::F8E5M2, "float8_e5m2"),
    (DType::F8E5M2FNUZ, "float8_e5m2fnuz"),
    (DType::F8E8M0, "float8_e8m0fnu"),
    (DType::F4E2M1, "float4_e2m1fn"),
    (DType::F6E2M3, "float6_e2m3fn"),
    (DType::F6E3M2, "float6_e3m2fn"),
    (DType::I4, "int4"),
    (DType::U4, "uint4"),
    (DType::I2, "int2"),
    (DType::U2, "uint2"),
];

/// NumPy's number of a standard type.
fn numpy_number(dtype: DType) -> Option<NPY_TYPES> {
    Some(match dtype {
        DType::F32 => NPY_TYPES::NPY_FLOAT,
        DType::F64 => NPY_TYPES::NPY_DOUBLE,
        DType::F16 => NPY_TYPES::NPY_HALF,
        DType::I8 => NPY_TYPES::NPY_BYTE,
        DType::I16 => NPY_TYPES::NPY_SHORT,
        DType::I32 => NPY_TYPES::NPY_INT,
        DType::I64 => NPY_TYPES::NPY_LONG,
        DType::U8 => NPY_TYPES::NPY_UBYTE,
        DType::U16 => NPY_TYPES::NPY_USHORT,
        DType::U32 => NPY_TYPES::NPY_UINT,
        DType::U64 => NPY_TYPES::NPY_ULONG,
        DType::Bool => NPY_TYPES::NPY_BOOL,
        DType::C64 => NPY_TYPES::NPY_CFLOAT,
        DType::C128 => NPY_TYPES::NPY_CDOUBLE,
        _ => return None,
    })
}

/// NumPy's description of an element type.
fn descriptor(py: Python<'_>, dtype: DType) -> PyResult<Bound<'_, PyArrayDescr>> {
    if let Some(number) = numpy_number(dtype) {
        // SAFETY: a standard type number; the API gives a new reference or null with an exception.
        return unsafe {
            let raw = PY_ARRAY_API.PyArray_DescrFromType(py, number as c_int);
            Ok(Bound::from_owned_ptr_or_err(py, raw.cast())?.cast_into_unchecked())
        };
    }
    let found = extension_types(py)?.iter().find(|(known, _)| *known == dtype);
    match found {
        Some((_, descriptor)) => Ok(descriptor.bind(py).clone()),
        None => Err(raise(py, &Error::unsupported(format!("NumPy has no element type for {dtype}")))),
    }
}

/// Descriptions of the types that the installed `ml_dtypes` has. Imported when first needed.
fn extension_types(py: Python<'_>) -> PyResult<&Vec<(DType, Py<PyArrayDescr>)>> {
    static FOUND: PyOnceLock<Vec<(DType, Py<PyArrayDescr>)>> = PyOnceLock::new();
    FOUND.get_or_try_init(py, || {
        let ml_dtypes = py.import("ml_dtypes")?;
        let mut found = Vec::new();
        for (dtype, name) in EXTENSION_TYPES {
            if ml_dtypes.hasattr(*name)? {
                let descriptor = PyArrayDescr::new(py, ml_dtypes.getattr(*name)?)?;
                found.push((*dtype, descriptor.unbind()));
            }
        }
        Ok(found)
    })
}

/// The engine's type of a NumPy description; object arrays are strings.
fn dtype_of(py: Python<'_>, descriptor: &Bound<'_, PyArrayDescr>) -> PyResult<DType> {
    let standard = match (descriptor.kind(), descriptor.itemsize()) {
        (b'f', 2) => Some(DType::F16),
        (b'f', 4) => Some(DType::F32),
        (b'f', 8) => Some(DType::F64),
        (b'i', 1) => Some(DType::I8),
        (b'i', 2) => Some(DType::I16),
        (b'i', 4) => Some(DType::I32),
        (b'i', 8) => Some(DType::I64),
        (b'u', 1) => Some(DType::U8),
        (b'u', 2) => Some(DType::U16),
        (b'u', 4) => Some(DType::U32),
        (b'u', 8) => Some(DType::U64),
        (b'b', 1) => Some(DType::Bool),
        (b'c', 8) => Some(DType::C64),
        (b'c', 16) => Some(DType::C128),
        (b'O', _) => Some(DType::String),
        _ => None,
    };
    // ml_dtypes' types have type numbers of their own, some under the kinds above.
    if descriptor.num() < NPY_TYPES::NPY_NTYPES_LEGACY as c_int
        && let Some(dtype) = standard
        && descriptor.is_native_byteorder() != Some(false)
    {
        return Ok(dtype);
    }
    for (dtype, known) in extension_types(py)? {
        if known.bind(py).is_equiv_to(descriptor) {
            return Ok(*dtype);
        }
    }
    Err(PyTypeError::new_err(format!("arrays of {descriptor} have no ONNX element type")))
}

/// A NumPy array kept alive by the tensor that looks at its bytes.
struct Borrowed {
    _array: Py<PyUntypedArray>,
    ptr: *const u8,
    len: usize,
}

// SAFETY: the bytes are only read, and the reference count is only touched with the interpreter attached (PyO3's drop).
unsafe impl Send for Borrowed {}
// SAFETY: as above.
unsafe impl Sync for Borrowed {}

impl AsRef<[u8]> for Borrowed {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the array is C-contiguous, has len bytes there, and lives as long as this.
        unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
    }
}

/// A Python object as the engine takes it: an array (no copy if it is C-contiguous), a list for a sequence, a tuple of two
/// vectors, keys and values, for a map, None for an empty optional.
pub fn from_python(object: &Bound<'_, PyAny>) -> PyResult<Value> {
    let py = object.py();
    if object.is_none() {
        return Ok(Value::Absent);
    }
    if let Ok(list) = object.cast::<PyList>() {
        let items = list.iter().map(|item| from_python(&item)).collect::<PyResult<_>>()?;
        return Sequence::new(items).map(Value::Sequence).map_err(|error| raise(py, &error));
    }
    if let Ok(pair) = object.cast::<PyTuple>() {
        return map_from(pair);
    }
    let array = match object.cast::<PyUntypedArray>() {
        Ok(array) => array.clone(),
        Err(_) => {
            let converted = py.import("numpy")?.call_method1("asarray", (object,))?;
            converted.cast_into::<PyUntypedArray>()?
        }
    };
    let dtype = dtype_of(py, &array.dtype())?;
    if dtype == DType::String {
        return strings_from(&array);
    }
    let array = if array.is_c_contiguous() {
        array
    } else {
        py.import("numpy")?.call_method1("ascontiguousarray", (&array,))?.cast_into::<PyUntypedArray>()?
    };
    // NumPy makes a rank-0 array rank 1 when it copies; the shape asked for is the original's.
    let shape: Shape = object.getattr("shape")?.extract::<Vec<usize>>()?.into_iter().collect();
    let len = array.len() * array.dtype().itemsize();
    // SAFETY: a live array object; its data pointer is valid for len bytes, or the array is empty.
    let ptr = unsafe { (*array.as_array_ptr()).fields.data as *const u8 };
    let tensor = if dtype.bits() < 8 {
        // SAFETY: as above; ml_dtypes keeps one sub-byte element a byte.
        let elements = unsafe { std::slice::from_raw_parts(ptr, len) };
        packed(dtype, &shape, elements)
    } else if len == 0 {
        Tensor::zeros(dtype, &shape)
    } else {
        let borrowed = Borrowed { _array: array.unbind(), ptr, len };
        Tensor::mapped(dtype, &shape, Bytes::from_owner(borrowed)).and_then(|tensor| tensor.aligned())
    };
    tensor.map(Value::Dense).map_err(|error| raise(py, &error))
}

fn map_from(pair: &Bound<'_, PyTuple>) -> PyResult<Value> {
    let py = pair.py();
    let fail = |error: Error| raise(py, &error);
    if pair.len() != 2 {
        return Err(PyTypeError::new_err("a map is a tuple of two arrays, keys and values"));
    }
    let keys = match from_python(&pair.get_item(0)?)? {
        Value::Strings(strings) => Keys::Strings(strings.data),
        Value::Dense(tensor) => Keys::Integers(tensor.as_slice::<i64>().map_err(fail)?.into()),
        other => return Err(PyTypeError::new_err(format!("a map has the keys {}", other.describe()))),
    };
    Map::new(keys, from_python(&pair.get_item(1)?)?).map(Value::Map).map_err(fail)
}

/// A map as a dict of Python's own numbers and strings.
fn map_to_python(py: Python<'_>, map: &Map) -> PyResult<Py<PyAny>> {
    let dict = PyDict::new(py);
    let fail = |error: Error| raise(py, &error);
    let values: Vec<Py<PyAny>> = match map.values() {
        Value::Strings(strings) => {
            strings.data.iter().map(|text| PyString::new(py, text).into_any().unbind()).collect()
        }
        Value::Dense(tensor) if tensor.dtype() == DType::F32 => {
            let numbers = tensor.as_slice::<f32>().map_err(fail)?;
            numbers.iter().map(|&x| PyFloat::new(py, x.into()).into_any().unbind()).collect()
        }
        other => to_python(py, other.clone())?.call_method0(py, "tolist")?.extract(py)?,
    };
    match map.keys() {
        Keys::Integers(keys) => keys.iter().zip(values).try_for_each(|(key, value)| dict.set_item(key, value))?,
        Keys::Strings(keys) => keys.iter().zip(values).try_for_each(|(key, value)| dict.set_item(&**key, value))?,
    }
    Ok(dict.into_any().unbind())
}

/// Packs one element a byte into the type's bits, low bits first.
fn packed(dtype: DType, shape: &[usize], elements: &[u8]) -> diptych_engine::Result<Tensor> {
    let mut tensor = Tensor::zeros(dtype, shape)?;
    let bits = dtype.bits();
    let bytes = tensor.bytes_mut()?;
    for (index, &element) in elements.iter().enumerate() {
        let at = index * bits;
        let wide = u16::from(element & ((1u16 << bits) - 1) as u8) << (at % 8);
        bytes[at / 8] |= wide as u8;
        if wide > 0xff {
            bytes[at / 8 + 1] |= (wide >> 8) as u8;
        }
    }
    Ok(tensor)
}

/// One element a byte, sign-extended for the signed types as ml_dtypes has them.
fn unpacked(tensor: &Tensor) -> diptych_engine::Result<Tensor> {
    let bits = tensor.dtype().bits();
    let signed = matches!(tensor.dtype(), DType::I4 | DType::I2);
    let mut result = Tensor::zeros(DType::U8, tensor.shape())?;
    let bytes = tensor.bytes();
    for (index, out) in result.bytes_mut()?.iter_mut().enumerate() {
        let at = index * bits;
        let next = bytes.get(at / 8 + 1).copied().unwrap_or(0);
        let wide = u16::from_le_bytes([bytes[at / 8], next]) >> (at % 8);
        let element = (wide as u8) << (8 - bits);
        *out = if signed { ((element as i8) >> (8 - bits)) as u8 } else { element >> (8 - bits) };
    }
    Ok(result)
}

fn strings_from(array: &Bound<'_, PyUntypedArray>) -> PyResult<Value> {
    let flat = array.call_method0("ravel")?.call_method0("tolist")?.cast_into::<PyList>()?;
    let data = flat
        .iter()
        .map(|item| match item.cast::<PyString>() {
            Ok(text) => Ok(Arc::from(text.to_cow()?.as_ref())),
            Err(_) => Err(PyTypeError::new_err(format!("a string tensor holds {}", item.get_type()))),
        })
        .collect::<PyResult<Arc<[Arc<str>]>>>()?;
    Ok(Value::Strings(Strings { shape: array.shape().into(), data }))
}

/// Keeps a tensor's bytes alive for the array that shows them.
#[pyclass(frozen, module = "diptych._core")]
struct TensorOwner {
    _tensor: Tensor,
}

/// An engine's value as Python takes it. A tensor nobody else holds becomes a writable array over its bytes.
pub fn to_python(py: Python<'_>, value: Value) -> PyResult<Py<PyAny>> {
    match value {
        Value::Dense(tensor) => array_over(py, tensor, true),
        Value::Strings(strings) => {
            let flat = PyList::new(py, strings.data.iter().map(|text| &**text))?;
            let numpy = py.import("numpy")?;
            let array = numpy.call_method1("empty", (flat.len(), "O"))?;
            array.set_item(pyo3::types::PySlice::full(py), flat)?;
            Ok(array.call_method1("reshape", (strings.shape.to_vec(),))?.unbind())
        }
        Value::Sequence(sequence) => {
            let items = sequence.into_items();
            let items = items.into_iter().map(|item| to_python(py, item)).collect::<PyResult<Vec<_>>>()?;
            Ok(PyList::new(py, items)?.into_any().unbind())
        }
        Value::Absent => Ok(py.None()),
        Value::Map(map) => map_to_python(py, &map),
    }
}

/// The same, where the engine goes on using the bytes: arrays over them are read-only.
pub fn lent_to_python(py: Python<'_>, value: Value) -> PyResult<Py<PyAny>> {
    match value {
        Value::Dense(tensor) => array_over(py, tensor, false),
        Value::Sequence(items) => {
            let items =
                items.into_items().into_iter().map(|item| lent_to_python(py, item)).collect::<PyResult<Vec<_>>>()?;
            Ok(PyList::new(py, items)?.into_any().unbind())
        }
        other => to_python(py, other),
    }
}

fn array_over(py: Python<'_>, tensor: Tensor, writable: bool) -> PyResult<Py<PyAny>> {
    let fail = |error: Error| raise(py, &error);
    let dtype = tensor.dtype();
    let descriptor = descriptor(py, dtype)?;
    // Bytes that something else holds too (a constant, an input, a second output) are copied: arrays are the caller's to write.
    let mut tensor = if dtype.bits() < 8 { unpacked(&tensor).map_err(fail)? } else { tensor };
    if if writable { tensor.bytes_mut().is_err() } else { !tensor.is_aligned() } {
        tensor = tensor.deep_clone().map_err(fail)?;
    }
    let mut dims: Vec<npy_intp> = tensor.shape().iter().map(|&dim| dim as npy_intp).collect();
    if dims.len() > 64 {
        return Err(fail(Error::shape(format!("NumPy has no arrays of rank {}", dims.len()))));
    }
    let data = tensor.bytes().as_ptr().cast_mut();
    let flags = if writable { npyffi::NPY_ARRAY_WRITEABLE } else { 0 };
    let owner = Bound::new(py, TensorOwner { _tensor: tensor })?;
    // SAFETY: descriptor, dims and data describe the tensor's contiguous bytes, which the base object keeps alive. Both calls
    // steal the reference they are given.
    unsafe {
        let array = PY_ARRAY_API.PyArray_NewFromDescr(
            py,
            npyffi::get_type_object(py, npyffi::NpyTypes::PyArray_Type),
            descriptor.into_ptr().cast(),
            dims.len() as c_int,
            dims.as_mut_ptr(),
            std::ptr::null_mut(),
            data.cast(),
            flags,
            std::ptr::null_mut(),
        );
        let array = Bound::from_owned_ptr_or_err(py, array)?;
        if PY_ARRAY_API.PyArray_SetBaseObject(py, array.as_ptr().cast(), owner.into_ptr()) < 0 {
            return Err(PyErr::fetch(py));
        }
        Ok(array.unbind())
    }
}
