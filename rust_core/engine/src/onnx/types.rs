//! Declared types: `TypeProto` to [`Type`].

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{Dim, Type};

use super::proto::{DimensionValue, TensorTypeProto, TypeProto, TypeValue};

/// A declared type; `None` where the file leaves it, or a part without which it says nothing, open.
pub(super) fn declared_type(proto: &TypeProto) -> Result<Option<Type>> {
    let item = |elem: &Option<Box<TypeProto>>| elem.as_deref().map_or(Ok(None), declared_type);
    Ok(match &proto.value {
        None => None,
        Some(TypeValue::TensorType(tensor)) => {
            element_type(tensor.elem_type)?.map(|dtype| Type::Tensor { dtype, shape: shape(tensor) })
        }
        Some(TypeValue::SparseTensorType(tensor)) => {
            element_type(tensor.elem_type)?.map(|dtype| Type::SparseTensor { dtype, shape: shape(tensor) })
        }
        Some(TypeValue::SequenceType(sequence)) => item(&sequence.elem_type)?.map(|t| Type::Sequence(Box::new(t))),
        Some(TypeValue::OptionalType(optional)) => item(&optional.elem_type)?.map(|t| Type::Optional(Box::new(t))),
        Some(TypeValue::MapType(map)) => match (element_type(map.key_type)?, item(&map.value_type)?) {
            (Some(key), Some(value)) => Some(Type::Map { key, value: Box::new(value) }),
            _ => None,
        },
        Some(TypeValue::OpaqueType(opaque)) => {
            let (domain, name) = (opaque.domain.as_deref(), opaque.name.as_deref());
            return Err(Error::unsupported(format!(
                "the opaque type '{}.{}'",
                domain.unwrap_or_default(),
                name.unwrap_or_default()
            )));
        }
    })
}

/// The type with that `TensorProto.DataType` number; `None` for UNDEFINED.
pub(super) fn element_type(number: Option<i32>) -> Result<Option<DType>> {
    match number.unwrap_or(0) {
        0 => Ok(None),
        number => DType::from_onnx(number)
            .map(Some)
            .ok_or_else(|| Error::unsupported(format!("data type number {number} is not one of onnx 1.23"))),
    }
}

fn shape(proto: &TensorTypeProto) -> Option<Vec<Dim>> {
    let dims = &proto.shape.as_ref()?.dim;
    let dim = |value: &Option<DimensionValue>| match value {
        // Exporters write -1 for a dimension they do not know.
        Some(DimensionValue::DimValue(size)) => usize::try_from(*size).map_or(Dim::Unknown, Dim::Known),
        Some(DimensionValue::DimParam(name)) if !name.is_empty() => Dim::Symbol(name.clone()),
        _ => Dim::Unknown,
    };
    Some(dims.iter().map(|proto| dim(&proto.value)).collect())
}
