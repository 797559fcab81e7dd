//! Attributes given from Python to an operator that is called directly.

use std::collections::HashMap;

use diptych_engine::Error;
use diptych_engine::graph::Attribute;
use numpy::PyUntypedArray;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PySequence, PyString};

use crate::errors::raise;
use crate::value::{from_python, to_python};

pub fn from_dict(attributes: &Bound<'_, PyDict>) -> PyResult<HashMap<String, Attribute>> {
    attributes.iter().map(|(name, value)| Ok((name.extract()?, attribute(&value)?))).collect()
}

/// ints, floats, strings, lists of one of them, arrays for tensors.
fn attribute(value: &Bound<'_, PyAny>) -> PyResult<Attribute> {
    if value.is_instance_of::<PyBool>() || value.is_instance_of::<PyInt>() {
        return Ok(Attribute::Int(value.extract()?));
    }
    if value.is_instance_of::<PyFloat>() {
        return Ok(Attribute::Float(value.extract::<f64>()? as f32));
    }
    if value.is_instance_of::<PyString>() {
        return Ok(Attribute::String(value.extract()?));
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Attribute::String(String::from_utf8(bytes.as_bytes().to_vec())?));
    }
    if value.is_instance_of::<PyUntypedArray>() {
        return Ok(Attribute::Tensor(from_python(value)?));
    }
    if let Ok(items) = value.cast::<PySequence>() {
        return list(items);
    }
    Err(PyTypeError::new_err(format!("no attribute can be a {}", value.get_type())))
}

/// Attributes of a node as a Python function takes them.
pub fn to_dict<'py>(py: Python<'py>, attributes: &HashMap<String, Attribute>) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in attributes {
        match value {
            Attribute::Int(value) => dict.set_item(name, value)?,
            Attribute::Float(value) => dict.set_item(name, value)?,
            Attribute::String(value) => dict.set_item(name, value)?,
            Attribute::Ints(values) => dict.set_item(name, values)?,
            Attribute::Floats(values) => dict.set_item(name, values)?,
            Attribute::Strings(values) => dict.set_item(name, values)?,
            Attribute::Tensor(value) => dict.set_item(name, to_python(py, value.clone())?)?,
            _ => {
                let message =
                    format!("attribute '{name}': a user's operator takes numbers, strings, tensors and lists");
                return Err(raise(py, &Error::unsupported(message)));
            }
        }
    }
    Ok(dict)
}

fn list(items: &Bound<'_, PySequence>) -> PyResult<Attribute> {
    let kinds = || -> PyResult<Attribute> {
        if (items.is_empty()? || items.get_item(0)?.is_instance_of::<PyInt>())
            && let Ok(ints) = items.extract()
        {
            return Ok(Attribute::Ints(ints));
        }
        if items.get_item(0)?.is_instance_of::<PyString>() {
            return Ok(Attribute::Strings(items.extract()?));
        }
        let floats: Vec<f64> = items.extract()?;
        Ok(Attribute::Floats(floats.into_iter().map(|value| value as f32).collect()))
    };
    kinds().map_err(|_| {
        let message = format!("an attribute must be a list of integers, floats or strings alone, got {items}");
        raise(items.py(), &Error::invalid_model(message))
    })
}
