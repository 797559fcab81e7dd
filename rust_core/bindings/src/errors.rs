//! The exception classes, and the way from the engine's errors to them.

use diptych_engine::{Error, ErrorKind};
use pyo3::exceptions::{
    PyException, PyMemoryError, PyNotImplementedError, PyOSError, PyRuntimeError, PyTimeoutError, PyTypeError,
    PyValueError,
};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

struct Classes {
    base: Py<PyType>,
    by_kind: Vec<(ErrorKind, Py<PyType>)>,
}

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

fn class<'py>(py: Python<'py>, name: &str, doc: &str, bases: &[Bound<'py, PyType>]) -> PyResult<Bound<'py, PyType>> {
    let namespace = PyDict::new(py);
    namespace.set_item("__module__", "diptych")?;
    namespace.set_item("__doc__", doc)?;
    let made = py.get_type::<PyType>().call1((name, PyTuple::new(py, bases)?, namespace))?;
    Ok(made.cast_into::<PyType>()?)
}

/// Makes the classes and adds them to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let base = class(py, "Error", "Anything that Diptych reports.", &[py.get_type::<PyException>()])?;
    module.add("Error", &base)?;
    let value = py.get_type::<PyValueError>();
    let table: [(ErrorKind, &str, &str, Option<Bound<'_, PyType>>); 10] = [
        (
            ErrorKind::InvalidModel,
            "InvalidModelError",
            "The file or the graph breaks ONNX's rules.",
            Some(value.clone()),
        ),
        (
            ErrorKind::Io,
            "ModelFileError",
            "A file the model needs is missing or may not be read.",
            Some(py.get_type::<PyOSError>()),
        ),
        (
            ErrorKind::Unsupported,
            "UnsupportedOperatorError",
            "A valid operator, version, type or attribute that Diptych does not have.",
            Some(py.get_type::<PyNotImplementedError>()),
        ),
        (
            ErrorKind::InvalidInput,
            "InvalidInputError",
            "An argument has the wrong name, type or value.",
            Some(value.clone()),
        ),
        (ErrorKind::Shape, "ShapeError", "Shapes or values met at run time do not fit an operator.", Some(value)),
        (
            ErrorKind::ResourceLimit,
            "ResourceLimitError",
            "A memory or work budget would be passed.",
            Some(py.get_type::<PyMemoryError>()),
        ),
        (ErrorKind::Cancelled, "CancelledError", "The run was cancelled.", None),
        (
            ErrorKind::DeadlineExceeded,
            "DeadlineExceededError",
            "The run passed its deadline.",
            Some(py.get_type::<PyTimeoutError>()),
        ),
        (
            ErrorKind::Custom,
            "CustomOperatorError",
            "An operator that was registered with register_operator raised an exception, its cause.",
            Some(py.get_type::<PyRuntimeError>()),
        ),
        (ErrorKind::Internal, "InternalError", "A fault of Diptych.", Some(py.get_type::<PyRuntimeError>())),
    ];
    let mut by_kind = Vec::new();
    for (kind, name, doc, builtin) in table {
        let bases: Vec<Bound<'_, PyType>> = std::iter::once(base.clone()).chain(builtin).collect();
        let made = class(py, name, doc, &bases)?;
        module.add(name, &made)?;
        by_kind.push((kind, made.unbind()));
    }
    let name = "InvalidTypeError";
    let bases = [module.getattr("InvalidInputError")?.cast_into()?, py.get_type::<PyTypeError>()];
    let made = class(py, name, "A value has a type that its operator does not take.", &bases)?;
    module.add(name, &made)?;
    by_kind.push((ErrorKind::InvalidType, made.unbind()));
    let _ = CLASSES.set(py, Classes { base: base.unbind(), by_kind });
    Ok(())
}

/// The Python exception of an engine error.
pub fn raise(py: Python<'_>, error: &Error) -> PyErr {
    let Some(classes) = CLASSES.get(py) else { return PyRuntimeError::new_err(error.to_string()) };
    let class =
        classes.by_kind.iter().find(|(kind, _)| *kind == error.kind()).map_or(&classes.base, |(_, class)| class);
    let raised = PyErr::from_type(class.bind(py).clone(), error.to_string());
    if error.kind() == ErrorKind::Custom {
        raised.set_cause(py, crate::custom::take_cause());
    }
    raised
}
