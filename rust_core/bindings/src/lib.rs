//! PyO3 bindings of the Diptych engine: conversions, interpreter detachment, exceptions. No logic.

mod attributes;
mod custom;
mod errors;
#[cfg(feature = "mutants")]
mod mutants;
mod plan;
mod session;
mod value;

use diptych_engine::graph::Node;
use diptych_engine::operator::Registry;
use diptych_engine::pool::{FloatEnvironment, Team};
use diptych_engine::{Context, Error, Value};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use errors::raise;
use session::{isa_named, math_named};
use value::{from_python, to_python};

/// Version of the rounding programs in docs/numerics.md.
const NUMERICS_VERSION: u32 = 1;

/// Runs one operator without a model.
#[pyfunction]
#[pyo3(signature = (op_type, inputs, attributes, *, opset, domain="", n_outputs=1, isa=None, threads=0, math="exact"))]
#[allow(clippy::too_many_arguments)] // keyword arguments
fn run_operator<'py>(
    py: Python<'py>,
    op_type: &str,
    inputs: Vec<Bound<'py, PyAny>>,
    attributes: &Bound<'py, PyDict>,
    opset: i64,
    domain: &str,
    n_outputs: usize,
    isa: Option<&str>,
    threads: usize,
    math: &str,
) -> PyResult<Bound<'py, PyList>> {
    let (isa, math) = (isa_named(py, isa)?, math_named(py, math)?);
    let absent = |object: &Bound<'py, PyAny>| object.is_none();
    let values: Vec<Option<Value>> = inputs
        .iter()
        .map(|input| if absent(input) { Ok(None) } else { from_python(input).map(Some) })
        .collect::<PyResult<_>>()?;
    let node = Node {
        // As a nameless node that is the first of its model: what draws random numbers draws the same.
        name: format!("{op_type}_0"),
        domain: domain.to_owned(),
        op_type: op_type.to_owned(),
        opset,
        inputs: values.iter().enumerate().map(|(index, value)| value.as_ref().map(|_| index)).collect(),
        outputs: (0..n_outputs).map(|index| Some(values.len() + index)).collect(),
        attributes: attributes::from_dict(attributes)?,
        captures: Vec::new(),
        around: None,
    };
    let results = py.detach(|| {
        let _environment = FloatEnvironment::enter();
        let no_subgraphs = |_: &_| Err(Error::unsupported("operators with subgraphs need a model"));
        let operator = Registry::builtin().build(&node, &no_subgraphs)?;
        let threads = if threads == 0 { diptych_engine::pool::usable_cpus() } else { threads };
        let team = Team::new(threads, None, None);
        let budget = diptych_engine::memory::MemoryBudget::new(None);
        let _charged = budget.enter();
        diptych_engine::run::evaluate_on(&*operator, &node, &values, isa, math, &team).at(|| node.place())
    });
    let results = results.map_err(|error| raise(py, &error))?;
    PyList::new(py, results.into_iter().map(|value| to_python(py, value)).collect::<PyResult<Vec<_>>>()?)
}

/// Every operator of the engine: `(domain, op_type, since_version)`.
#[pyfunction]
fn operators() -> Vec<(&'static str, &'static str, i64)> {
    let mut rows: Vec<_> = Registry::builtin().rows().map(|row| (row.domain, row.op_type, row.since)).collect();
    rows.sort_unstable();
    rows
}

/// Instruction sets of this CPU, slowest first.
#[pyfunction]
fn available_isas() -> Vec<&'static str> {
    diptych_kernels::Isa::available().iter().map(|isa| isa.name()).collect()
}

/// Names of the passes over the graph, in the order they run.
#[pyfunction]
fn passes() -> Vec<&'static str> {
    diptych_engine::passes::names().collect()
}

/// CPUs this process may use, by affinity and cgroup quota.
#[pyfunction]
fn usable_cpus() -> usize {
    diptych_engine::pool::usable_cpus()
}

/// `(operations, bytes)` a second: see `diptych.profile`'s roofline.
#[pyfunction]
#[pyo3(signature = (isa=None, threads=1))]
fn measure_peaks(py: Python<'_>, isa: Option<&str>, threads: usize) -> PyResult<(f64, f64)> {
    let isa = session::isa_named(py, isa)?;
    let peaks = py.detach(|| diptych_engine::profile::Peaks::measure(isa, threads));
    Ok((peaks.flops, peaks.bytes))
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("numerics_version", NUMERICS_VERSION)?;
    errors::register(module)?;
    module.add_class::<session::Session>()?;
    module.add_class::<session::CancelToken>()?;
    module.add_function(wrap_pyfunction!(run_operator, module)?)?;
    module.add_function(wrap_pyfunction!(measure_peaks, module)?)?;
    module.add_function(wrap_pyfunction!(operators, module)?)?;
    module.add_function(wrap_pyfunction!(custom::register_operator, module)?)?;
    module.add_function(wrap_pyfunction!(passes, module)?)?;
    module.add_function(wrap_pyfunction!(available_isas, module)?)?;
    module.add_function(wrap_pyfunction!(usable_cpus, module)?)?;
    #[cfg(feature = "mutants")]
    mutants::register(module)?;
    Ok(())
}
