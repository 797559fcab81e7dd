//! Switching planted bugs on, in builds with the feature `mutants` alone: docs/mutants.md.

use diptych_kernels::mutant;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Switches one bug on and any other off; None: all off.
#[pyfunction]
fn _set_mutant(name: Option<&str>) -> PyResult<()> {
    if mutant::set(name) {
        return Ok(());
    }
    let known: Vec<&str> = mutant::names().collect();
    Err(PyValueError::new_err(format!("no mutant {name:?}; there are: {}", known.join(", "))))
}

/// Names of all planted bugs.
#[pyfunction]
fn _mutants() -> Vec<&'static str> {
    mutant::names().collect()
}

/// Adds both, and switches on the bug that DIPTYCH_MUTANT names.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_set_mutant, module)?)?;
    module.add_function(wrap_pyfunction!(_mutants, module)?)?;
    match std::env::var("DIPTYCH_MUTANT") {
        Ok(name) if !name.is_empty() => _set_mutant(Some(&name)),
        _ => Ok(()),
    }
}
