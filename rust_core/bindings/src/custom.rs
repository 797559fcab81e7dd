//! Operators written in Python: `diptych.register_operator`.
//!
//! A Python function runs on the thread that called `run()`, never on a worker, and holds no lock of the engine.

use std::cell::RefCell;
use std::sync::Arc;

use diptych_engine::operator::{BuildCx, Operator, PlanCx, Planned, Step};
use diptych_engine::run::ValueCx;
use diptych_engine::{Error, ErrorKind, Result, Value};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::attributes::to_dict;
use crate::errors::raise;
use crate::value::{from_python, lent_to_python};

thread_local! {
    /// The exception behind the last error of kind `Custom` on this thread.
    static CAUSE: RefCell<Option<PyErr>> = const { RefCell::new(None) };
}

/// The exception that an error of kind `Custom` was made of.
pub fn take_cause() -> Option<PyErr> {
    CAUSE.take()
}

/// What a user's function raised, as an engine error that remembers it.
fn failed(py: Python<'_>, what: &str, error: PyErr) -> Error {
    let name = error.get_type(py).name().map_or_else(|_| "an exception".into(), |name| name.to_string());
    let message = format!("{what} raised {name}: {}", error.value(py));
    CAUSE.set(Some(error));
    Error::new(ErrorKind::Custom, message)
}

/// Registers an operator. `definition.bind(attributes, n_inputs, n_outputs)` is called when a model is loaded and gives a
/// function from a list of values (None: absent) to a list of `n_outputs` values.
#[pyfunction]
#[pyo3(signature = (domain, op_type, since, definition, *, deterministic))]
pub fn register_operator(
    py: Python<'_>,
    domain: &str,
    op_type: &str,
    since: i64,
    definition: Py<PyAny>,
    deterministic: bool,
) -> PyResult<()> {
    let build = move |cx: &BuildCx<'_>| -> Result<Box<dyn Operator>> {
        let outputs = cx.node.outputs.len();
        let bound = Python::attach(|py| {
            let bind = || {
                let attributes = to_dict(py, &cx.node.attributes)?;
                definition.call_method1(py, "bind", (attributes, cx.node.inputs.len(), outputs))
            };
            bind().map_err(|error| Error::invalid_model(error.value(py).to_string()))
        })?;
        Ok(Box::new(PythonOperator { function: Arc::new(bound), outputs, deterministic }))
    };
    diptych_engine::custom::register(domain, op_type, since, Arc::new(build)).map_err(|error| raise(py, &error))
}

struct PythonOperator {
    function: Arc<Py<PyAny>>,
    outputs: usize,
    deterministic: bool,
}

impl Operator for PythonOperator {
    fn plan(&self, _: &PlanCx<'_>) -> Planned<Step> {
        let (function, outputs) = (self.function.clone(), self.outputs);
        Step::values(move |cx| Python::attach(|py| call(py, &function, cx, outputs)))
    }

    fn deterministic(&self) -> bool {
        self.deterministic
    }
}

fn call(py: Python<'_>, function: &Py<PyAny>, cx: &ValueCx<'_>, outputs: usize) -> Result<Vec<Value>> {
    let given = |input: &Option<Value>| match input {
        Some(value) => lent_to_python(py, value.clone()),
        None => Ok(py.None()),
    };
    let results = || -> PyResult<Vec<Value>> {
        let inputs = cx.inputs.iter().map(given).collect::<PyResult<Vec<_>>>()?;
        let results = function.call1(py, PyTuple::new(py, [PyList::new(py, inputs)?])?)?;
        results.bind(py).try_iter()?.map(|result| from_python(&result?)).collect()
    };
    let results = results().map_err(|error| failed(py, "the operator", error))?;
    if results.len() != outputs {
        let message = format!("the operator gave {} values, expected {outputs}", results.len());
        return Err(Error::new(ErrorKind::Custom, message));
    }
    Ok(results)
}
