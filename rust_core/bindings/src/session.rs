//! `_core.Session` and `_core.CancelToken`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use diptych_engine::graph::{Dim, Type};
use diptych_engine::lower::Quantized;
use diptych_engine::pool::CancelToken as EngineToken;
use diptych_engine::session::{Port, RunOptions, Session as EngineSession, SessionOptions, Source};
use diptych_engine::{Error, Math, Value};
use diptych_kernels::Isa;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::errors::raise;
use crate::plan::segment_of;
use crate::value::{from_python, to_python};

/// Cancels the runs it was given to.
#[pyclass(frozen, module = "diptych._core")]
#[derive(Default)]
pub struct CancelToken(Arc<EngineToken>);

#[pymethods]
impl CancelToken {
    #[new]
    fn new() -> CancelToken {
        CancelToken::default()
    }

    fn cancel(&self) {
        self.0.cancel();
    }
}

/// The instruction set of that name; the best one for none.
pub fn isa_named(py: Python<'_>, name: Option<&str>) -> PyResult<Isa> {
    let Some(name) = name else { return Ok(Isa::best()) };
    let found = Isa::from_name(name).filter(|isa| Isa::available().contains(isa));
    found.ok_or_else(|| {
        let have: Vec<&str> = Isa::available().iter().map(|isa| isa.name()).collect();
        let have = have.join(", ");
        raise(py, &Error::invalid_input(format!("instruction set '{name}' is not to be had here; there are: {have}")))
    })
}

/// The mode of that name.
pub fn math_named(py: Python<'_>, name: &str) -> PyResult<Math> {
    let found = Math::from_name(name);
    found.ok_or_else(|| raise(py, &Error::invalid_input(format!("math must be 'exact' or 'fast', got '{name}'"))))
}

#[pyclass(frozen, module = "diptych._core")]
pub struct Session(EngineSession);

#[pymethods]
impl Session {
    #[new]
    #[pyo3(signature = (model, *, isa=None, threads=0, memory_limit=None, max_steps=None, disabled_passes=Vec::new(), math="exact", quantized="integer", schedule_seed=None, random_seed=0, profile=false))]
    #[allow(clippy::too_many_arguments)] // keyword arguments of one constructor
    fn new(
        py: Python<'_>,
        model: &Bound<'_, PyAny>,
        isa: Option<&str>,
        threads: usize,
        memory_limit: Option<usize>,
        max_steps: Option<u64>,
        disabled_passes: Vec<String>,
        math: &str,
        quantized: &str,
        schedule_seed: Option<u64>,
        random_seed: i64,
        profile: bool,
    ) -> PyResult<Session> {
        let math = math_named(py, math)?;
        let quantized = Quantized::from_name(quantized).ok_or_else(|| {
            let message = format!("quantized must be 'integer' or 'float', got '{quantized}'");
            raise(py, &Error::invalid_input(message))
        })?;
        let source = match model.cast::<PyBytes>() {
            Ok(bytes) => Source::Bytes(Bytes::copy_from_slice(bytes.as_bytes())),
            Err(_) => Source::Path(model.extract::<PathBuf>()?),
        };
        let isa = isa_named(py, isa)?;
        let options = SessionOptions {
            isa,
            threads,
            memory_limit,
            max_steps,
            math,
            quantized,
            disabled_passes,
            schedule_seed,
            random_seed,
            profile,
        };
        py.detach(|| EngineSession::new(source, options)).map(Session).map_err(|error| raise(py, &error))
    }

    #[getter]
    fn inputs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        ports(py, &self.0.inputs())
    }

    #[getter]
    fn outputs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        ports(py, &self.0.outputs())
    }

    #[getter]
    fn overridable<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        ports(py, &self.0.overridable())
    }

    #[getter]
    fn isa(&self) -> &'static str {
        self.0.options().isa.name()
    }

    #[getter]
    fn math(&self) -> &'static str {
        self.0.options().math.name()
    }

    #[getter]
    fn threads(&self) -> usize {
        self.0.options().threads
    }

    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let model = self.0.model();
        let custom = PyDict::new(py);
        for (key, value) in &model.metadata {
            custom.set_item(key, value)?;
        }
        let result = PyDict::new(py);
        result.set_item("ir_version", model.ir_version)?;
        result.set_item("opsets", model.opsets.clone())?;
        result.set_item("producer_name", &model.producer_name)?;
        result.set_item("producer_version", &model.producer_version)?;
        result.set_item("domain", &model.domain)?;
        result.set_item("description", &model.doc_string)?;
        result.set_item("graph_name", &self.0.graph().name)?;
        result.set_item("version", model.model_version)?;
        result.set_item("custom", custom)?;
        Ok(result)
    }

    /// Runs the model. The interpreter is free for other threads meanwhile.
    #[pyo3(signature = (output_names, feeds, *, timeout=None, cancel=None))]
    fn run<'py>(
        &self,
        py: Python<'py>,
        output_names: Option<Vec<String>>,
        feeds: &Bound<'py, PyDict>,
        timeout: Option<f64>,
        cancel: Option<&CancelToken>,
    ) -> PyResult<Bound<'py, PyList>> {
        let chosen = self.chosen_outputs(py, output_names)?;
        let mut names = Vec::with_capacity(feeds.len());
        let mut values = Vec::with_capacity(feeds.len());
        for (name, value) in feeds.iter() {
            names.push(name.extract::<String>()?);
            values.push(from_python(&value)?);
        }
        let timeout = match timeout {
            None => None,
            Some(seconds) => Some(Duration::try_from_secs_f64(seconds).map_err(|_| {
                raise(py, &Error::invalid_input(format!("timeout must be a time in seconds, got {seconds}")))
            })?),
        };
        let results = py.detach(|| {
            let feeds = names.iter().map(String::as_str).zip(values).collect();
            self.0.run(feeds, RunOptions { timeout, cancel: cancel.map(|token| &*token.0) })
        });
        let mut results: Vec<Option<Value>> =
            results.map_err(|error| raise(py, &error))?.into_iter().map(Some).collect();
        let list = PyList::empty(py);
        for (position, &index) in chosen.iter().enumerate() {
            let again = chosen[position + 1..].contains(&index);
            let value = if again { results[index].clone() } else { results[index].take() };
            list.append(value.map(|value| to_python(py, value)).transpose()?)?;
        }
        Ok(list)
    }

    fn memory<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let memory = self.0.memory();
        let result = PyDict::new(py);
        for (name, bytes) in [
            ("mapped", memory.mapped),
            ("constants", memory.constants),
            ("packed", memory.packed),
            ("temporary", memory.temporary),
            ("scratch", memory.scratch),
            ("contexts", memory.contexts),
            ("plans", memory.plans),
        ] {
            result.set_item(name, bytes)?;
        }
        Ok(result)
    }

    /// The segments of the latest run's plan: see `diptych.InferenceSession.plan`.
    fn plan<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for segment in self.0.plan() {
            list.append(segment_of(py, self.0.graph(), &segment)?)?;
        }
        Ok(list)
    }

    /// `(events, lost)`: see `diptych.InferenceSession.take_events`.
    fn take_events<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyList>, usize)> {
        let (events, lost) = self.0.take_events();
        let list = PyList::empty(py);
        for event in events {
            let node = &event.graph.nodes[event.node];
            let entry = PyDict::new(py);
            entry.set_item("graph", &event.graph.name)?;
            entry.set_item("node", event.node)?;
            entry.set_item("name", &node.name)?;
            entry.set_item("op_type", &node.op_type)?;
            entry.set_item("algorithm", event.algorithm.name())?;
            entry.set_item("start_us", event.start.as_secs_f64() * 1e6)?;
            entry.set_item("duration_us", event.duration.as_secs_f64() * 1e6)?;
            entry.set_item("bytes", event.work.bytes)?;
            entry.set_item("flops", event.work.flops)?;
            list.append(entry)?;
        }
        Ok((list, lost))
    }

    fn shrink(&self) {
        self.0.shrink();
    }

    /// What lowering found: see `diptych.InferenceSession.lowering`.
    fn lowering<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for lowered in self.0.lowering() {
            let entry = PyDict::new(py);
            entry.set_item("graph", &lowered.graph)?;
            entry.set_item("node", &lowered.node)?;
            entry.set_item("op_type", &lowered.op_type)?;
            entry.set_item("meaning", lowered.meaning.name())?;
            entry.set_item("nodes_in", lowered.nodes_in.clone())?;
            entry.set_item("nodes_out", lowered.nodes_out.clone())?;
            entry.set_item("reason", &lowered.reason)?;
            list.append(entry)?;
        }
        Ok(list)
    }

    /// The graph as compiled: its nodes after the passes.
    fn graph<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let graph = self.0.graph();
        let name = |id: &Option<usize>| id.map(|id| graph.value_name(id).to_owned());
        let nodes = PyList::empty(py);
        for node in &graph.nodes {
            let entry = PyDict::new(py);
            entry.set_item("name", &node.name)?;
            entry.set_item("op_type", &node.op_type)?;
            entry.set_item("domain", &node.domain)?;
            entry.set_item("opset", node.opset)?;
            entry.set_item("inputs", node.inputs.iter().map(name).collect::<Vec<_>>())?;
            entry.set_item("outputs", node.outputs.iter().map(name).collect::<Vec<_>>())?;
            nodes.append(entry)?;
        }
        let constants = graph.values.iter().filter(|value| value.constant.is_some()).map(|value| value.name.as_str());
        let result = PyDict::new(py);
        result.set_item("name", &graph.name)?;
        result.set_item("nodes", nodes)?;
        result.set_item("inputs", graph.inputs.iter().map(|&id| graph.value_name(id)).collect::<Vec<_>>())?;
        result.set_item("outputs", graph.outputs.iter().map(|&id| graph.value_name(id)).collect::<Vec<_>>())?;
        result.set_item("constants", constants.collect::<Vec<_>>())?;
        Ok(result)
    }
}

impl Session {
    /// Indices of the outputs that a caller asked for; all for none or an empty list.
    fn chosen_outputs(&self, py: Python<'_>, names: Option<Vec<String>>) -> PyResult<Vec<usize>> {
        let outputs = self.0.outputs();
        let names = names.unwrap_or_default();
        if names.is_empty() {
            return Ok((0..outputs.len()).collect());
        }
        let index = |name: &String| {
            outputs.iter().position(|port| port.name == name).ok_or_else(|| {
                let known: Vec<&str> = outputs.iter().map(|port| port.name).collect();
                let known = known.join(", ");
                raise(py, &Error::invalid_input(format!("the model has no output '{name}'; its outputs are: {known}")))
            })
        };
        names.iter().map(index).collect()
    }
}

/// `(name, type, shape)` of each port; shape is None if even the rank is open.
fn ports<'py>(py: Python<'py>, ports: &[Port<'_>]) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for port in ports {
        let spelled = port.declared.map_or_else(|| "undefined".into(), ToString::to_string);
        let shape = match port.declared {
            Some(Type::Tensor { shape: Some(dims), .. } | Type::SparseTensor { shape: Some(dims), .. }) => {
                let dims = dims.iter().map(|dim| match dim {
                    Dim::Known(size) => size.into_py_any(py),
                    Dim::Symbol(name) => name.into_py_any(py),
                    Dim::Unknown => Ok(py.None()),
                });
                PyList::new(py, dims.collect::<PyResult<Vec<_>>>()?)?.into_any()
            }
            _ => py.None().into_bound(py),
        };
        list.append((port.name, spelled, shape))?;
    }
    Ok(list)
}
