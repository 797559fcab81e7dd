//! A session's plan as Python data: where values lie while the model runs.

use std::collections::HashMap;

use diptych_engine::graph::{Graph, ValueId};
use diptych_engine::plan::{LiveOut, Place, Segment};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// One segment: see `diptych.InferenceSession.plan`.
pub fn segment_of<'py>(py: Python<'py>, graph: &Graph, segment: &Segment) -> PyResult<Bound<'py, PyDict>> {
    let named = |ids: &[Option<ValueId>]| -> Vec<String> {
        ids.iter().flatten().map(|&id| graph.value_name(id).to_owned()).collect()
    };
    let tasks = PyList::empty(py);
    for task in &segment.tasks {
        let entry = PyDict::new(py);
        entry.set_item("node", task.node)?;
        entry.set_item("inputs", named(&task.inputs))?;
        entry.set_item("outputs", named(&task.outputs))?;
        entry.set_item("workspace_offset", task.workspace.0)?;
        entry.set_item("workspace_bytes", task.workspace.1)?;
        tasks.append(entry)?;
    }
    let values = PyList::empty(py);
    for (id, kind, offset, bytes, of) in places_of(graph, segment) {
        let entry = PyDict::new(py);
        entry.set_item("name", graph.value_name(id))?;
        entry.set_item("kind", kind)?;
        entry.set_item("offset", offset)?;
        entry.set_item("bytes", bytes)?;
        entry.set_item("of", of.map_or("", |of| graph.value_name(of)))?;
        values.append(entry)?;
    }
    let result = PyDict::new(py);
    result.set_item("arena_bytes", segment.arena_bytes)?;
    result.set_item("scratch_bytes", segment.scratch_bytes)?;
    result.set_item("output_bytes", segment.output_bytes)?;
    result.set_item("tasks", tasks)?;
    result.set_item("values", values)?;
    result.set_item("dynamic", segment.dynamic.iter().map(|dynamic| dynamic.node).collect::<Vec<_>>())?;
    Ok(result)
}

/// A value, its kind of place, offset and bytes in the arena, and what it is a view of. A view of a view names the root.
type Listed = (ValueId, &'static str, usize, usize, Option<ValueId>);

/// The places of a segment's values, by value.
fn places_of(graph: &Graph, segment: &Segment) -> Vec<Listed> {
    let mut listed: HashMap<ValueId, Listed> = HashMap::new();
    for (id, place) in &segment.places {
        let entry = match *place {
            Place::Temporary { offset, bytes } => (*id, "arena", offset, bytes, None),
            Place::View { of } => (*id, "view", 0, 0, Some(of)),
        };
        listed.insert(*id, entry);
    }
    for live in &segment.live_out {
        let entry = match live {
            LiveOut::Buffer { value, .. } => (*value, "output", 0, 0, None),
            LiveOut::View { value, of, .. } => (*value, "view", 0, 0, Some(*of)),
            LiveOut::Known { value, .. } => (*value, "known", 0, 0, None),
        };
        listed.insert(entry.0, entry);
    }
    for (id, _) in &segment.folded {
        let kind = if graph.constant(*id).is_some() { "constant" } else { "known" };
        listed.entry(*id).or_insert((*id, kind, 0, 0, None));
    }
    let mut listed: Vec<Listed> = listed.into_values().collect();
    listed.sort_unstable_by_key(|entry| entry.0);
    listed
}
