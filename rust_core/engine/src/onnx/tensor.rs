//! Tensors: `TensorProto` and `SparseTensorProto` to [`Value`].

use std::sync::Arc;

use crate::dtype::DType;
use crate::error::{Context, Error, Result};
use crate::tensor::{Shape, Strings, Tensor, Value, byte_len, element_count};

use super::external::Folder;
use super::proto::{SparseTensorProto, TensorProto};
use super::types::element_type;

/// Bytes that all sparse tensors of a model may take together once they are dense: a file of a few bytes can declare any size.
pub const SPARSE_BUDGET: usize = 1 << 30;

/// `TensorProto.DataLocation.EXTERNAL`.
const EXTERNAL: i32 = 1;

/// Decodes a model's tensors.
pub(super) struct TensorReader {
    folder: Option<Folder>,
    /// What is left of [`SPARSE_BUDGET`].
    sparse_budget: usize,
}

impl TensorReader {
    pub fn new(folder: Option<Folder>) -> TensorReader {
        TensorReader { folder, sparse_budget: SPARSE_BUDGET }
    }

    /// A tensor. `raw_data` and external data stay where they are; typed fields are decoded.
    pub fn value(&mut self, proto: &TensorProto) -> Result<Value> {
        if proto.segment.is_some() {
            return Err(Error::unsupported("a tensor in segments"));
        }
        let dtype =
            element_type(proto.data_type)?.ok_or_else(|| Error::invalid_model("a tensor without a data type"))?;
        let shape = dims(&proto.dims)?;
        if dtype == DType::String {
            return strings(proto, shape).map(Value::Strings);
        }
        let want = byte_len(dtype, &shape)?;
        if proto.data_location == Some(EXTERNAL) {
            let folder = self.folder.as_mut().ok_or_else(|| {
                Error::invalid_model("external data in a model read from memory: give the folder that holds the data")
            })?;
            return Tensor::mapped(dtype, &shape, folder.data(&proto.external_data, want)?).map(Value::Dense);
        }
        one_field(proto)?;
        match &proto.raw_data {
            // An empty field is how some writers spell an absent one.
            Some(raw) if !raw.is_empty() => Tensor::mapped(dtype, &shape, raw.clone()),
            _ => typed(proto, dtype, &shape),
        }
        .map(Value::Dense)
    }

    /// A sparse tensor, made dense.
    pub fn sparse(&mut self, proto: &SparseTensorProto) -> Result<Value> {
        let shape = dims(&proto.dims)?;
        let part = |part: &'static str| Error::invalid_model(format!("a sparse tensor without {part}"));
        let values = proto.values.as_ref().ok_or_else(|| part("values"))?;
        let values = self.value(values).at(|| "values".into())?;
        let Value::Dense(values) = values else {
            return Err(Error::unsupported("a sparse tensor of strings"));
        };
        let indices = self.value(proto.indices.as_ref().ok_or_else(|| part("indices"))?).at(|| "indices".into())?;
        let positions = positions(&indices, values.shape(), &shape)?;
        if values.dtype().bits() < 8 {
            return Err(Error::unsupported(format!("a sparse tensor of {}", values.dtype())));
        }
        let want = byte_len(values.dtype(), &shape)?;
        self.sparse_budget = self.sparse_budget.checked_sub(want).ok_or_else(|| {
            Error::resource_limit(format!(
                "sparse tensor of shape {shape:?} takes {want} bytes once dense; the sparse tensors of a model may take {SPARSE_BUDGET} together"
            ))
        })?;
        let mut dense = Tensor::zeros(values.dtype(), &shape)?;
        let size = values.dtype().bits() / 8;
        let bytes = dense.bytes_mut()?;
        for (position, value) in positions.into_iter().zip(values.bytes().chunks_exact(size)) {
            bytes[position * size..][..size].copy_from_slice(value);
        }
        Ok(Value::Dense(dense))
    }
}

fn dims(dims: &[i64]) -> Result<Shape> {
    let dim = |&dim: &i64| usize::try_from(dim).ok();
    dims.iter()
        .map(dim)
        .collect::<Option<Shape>>()
        .ok_or_else(|| Error::invalid_model(format!("a tensor with a negative dimension: {}", preview(dims))))
}

/// The first few of a list, for messages.
fn preview(dims: &[i64]) -> String {
    let rest = if dims.len() > 8 { ", ..." } else { "" };
    let shown: Vec<_> = dims.iter().take(8).map(i64::to_string).collect();
    format!("[{}{rest}]", shown.join(", "))
}

/// At most one field may hold data.
fn one_field(proto: &TensorProto) -> Result<()> {
    let set = [
        ("raw_data", proto.raw_data.as_ref().is_some_and(|raw| !raw.is_empty())),
        ("float_data", !proto.float_data.is_empty()),
        ("int32_data", !proto.int32_data.is_empty()),
        ("string_data", !proto.string_data.is_empty()),
        ("int64_data", !proto.int64_data.is_empty()),
        ("double_data", !proto.double_data.is_empty()),
        ("uint64_data", !proto.uint64_data.is_empty()),
    ];
    let names: Vec<_> = set.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
    if names.len() > 1 {
        return Err(Error::invalid_model(format!("a tensor with data in {}", names.join(" and "))));
    }
    Ok(())
}

fn strings(proto: &TensorProto, shape: Shape) -> Result<Strings> {
    if proto.data_location == Some(EXTERNAL) || proto.raw_data.as_ref().is_some_and(|raw| !raw.is_empty()) {
        return Err(Error::invalid_model("a tensor of strings keeps them in string_data, not in raw or external data"));
    }
    one_field(proto)?;
    let count = element_count(&shape)?;
    if proto.string_data.len() != count {
        return Err(Error::invalid_model(format!(
            "{} strings for a tensor of shape {shape:?}, which has {count}",
            proto.string_data.len()
        )));
    }
    let text = |bytes: &bytes::Bytes| {
        std::str::from_utf8(bytes).map(Arc::from).map_err(|_| Error::invalid_model("a string that is not UTF-8"))
    };
    let data = proto.string_data.iter().map(text).collect::<Result<Vec<_>>>()?;
    Ok(Strings { shape, data: data.into() })
}

/// A tensor from the typed field of its data type (`onnx.proto`, TensorProto). Integers in wider fields give their low
/// bits, as NumPy's conversion in the onnx package does.
fn typed(proto: &TensorProto, dtype: DType, shape: &[usize]) -> Result<Tensor> {
    let ints = &proto.int32_data;
    match dtype {
        // The parts of complex numbers alternate, real first: the order in memory too.
        DType::F32 | DType::C64 => decode(dtype, shape, "float_data", &proto.float_data, f32::to_le_bytes),
        DType::F64 | DType::C128 => decode(dtype, shape, "double_data", &proto.double_data, f64::to_le_bytes),
        DType::I64 => decode(dtype, shape, "int64_data", &proto.int64_data, i64::to_le_bytes),
        DType::U64 => decode(dtype, shape, "uint64_data", &proto.uint64_data, u64::to_le_bytes),
        DType::U32 => decode(dtype, shape, "uint64_data", &proto.uint64_data, |v| (v as u32).to_le_bytes()),
        DType::I32 => decode(dtype, shape, "int32_data", ints, i32::to_le_bytes),
        DType::I16 | DType::U16 | DType::F16 | DType::BF16 => {
            decode(dtype, shape, "int32_data", ints, |v| (v as u16).to_le_bytes())
        }
        DType::F6E2M3 | DType::F6E3M2 => sextets(dtype, shape, ints),
        // One byte an entry: an element of eight bits, two of four or four of two.
        _ => decode(dtype, shape, "int32_data", ints, |v| [v as u8]),
    }
}

/// Entries that each become `N` bytes.
fn decode<T: Copy, const N: usize>(
    dtype: DType,
    shape: &[usize],
    field: &str,
    entries: &[T],
    bytes: impl Fn(T) -> [u8; N],
) -> Result<Tensor> {
    check_entries(dtype, shape, field, entries.len(), byte_len(dtype, shape)?.div_ceil(N))?;
    let mut tensor = Tensor::zeros(dtype, shape)?;
    for (target, &entry) in tensor.bytes_mut()?.chunks_exact_mut(N).zip(entries) {
        target.copy_from_slice(&bytes(entry));
    }
    Ok(tensor)
}

/// Six-bit elements, one an entry, to a bit stream with the first element in the lowest bits.
fn sextets(dtype: DType, shape: &[usize], entries: &[i32]) -> Result<Tensor> {
    check_entries(dtype, shape, "int32_data", entries.len(), element_count(shape)?)?;
    let mut tensor = Tensor::zeros(dtype, shape)?;
    for (target, group) in tensor.bytes_mut()?.chunks_mut(3).zip(entries.chunks(4)) {
        let bits = group.iter().rev().fold(0u32, |bits, &entry| bits << 6 | (entry as u32 & 0x3f));
        target.copy_from_slice(&bits.to_le_bytes()[..target.len()]);
    }
    Ok(tensor)
}

/// Before anything is allocated: as many entries as the shape asks for.
fn check_entries(dtype: DType, shape: &[usize], field: &str, got: usize, want: usize) -> Result<()> {
    if got != want {
        return Err(Error::invalid_model(format!(
            "{got} entries in {field} for a {dtype} tensor of shape {shape:?}, which takes {want}"
        )));
    }
    Ok(())
}

/// Where each value of a sparse tensor lies in the dense one, counted in elements: ascending, no two alike.
fn positions(indices: &Value, values: &[usize], shape: &[usize]) -> Result<Vec<usize>> {
    let wrong =
        || Error::invalid_model("a sparse tensor's values must be [NNZ], its indices int64 [NNZ] or [NNZ, rank]");
    let indices = indices.as_dense().filter(|tensor| tensor.dtype() == DType::I64).ok_or_else(wrong)?;
    let &[nnz] = values else { return Err(wrong()) };
    let flat = match *indices.shape() {
        [count] if count == nnz => true,
        [count, rank] if count == nnz && rank == shape.len() => false,
        _ => return Err(wrong()),
    };
    let (numbers, total) = (indices.to_i64s()?, element_count(shape)?);
    let outside = || Error::invalid_model(format!("a sparse tensor has an index outside its shape {shape:?}"));
    let linear = |index: &[i64]| {
        index.iter().zip(shape).try_fold(0usize, |position, (&i, &dim)| {
            let i = usize::try_from(i).ok().filter(|&i| i < dim)?;
            position.checked_mul(dim)?.checked_add(i)
        })
    };
    let mut found: Vec<usize> = Vec::with_capacity(nnz);
    for k in 0..nnz {
        let position = if flat {
            usize::try_from(numbers[k]).ok().filter(|&position| position < total)
        } else {
            linear(&numbers[k * shape.len()..][..shape.len()]).filter(|&position| position < total)
        };
        let position = position.ok_or_else(outside)?;
        if found.last().is_some_and(|&last| last >= position) {
            return Err(Error::invalid_model("a sparse tensor's indices must ascend, no two alike"));
        }
        found.push(position);
    }
    Ok(found)
}
