//! What one run in flight owns: its temporary arena, its scratch and the table of where values are.

use std::collections::BinaryHeap;
use std::sync::Mutex;
use std::sync::atomic::AtomicU32;

use super::kernel_cx::RawSlot;
use crate::error::Result;
use crate::graph::ValueId;
use crate::tensor::{AlignedBytes, Value};

/// Memory of one run in flight. Idle contexts wait in their executable's pool.
pub struct RunContext {
    /// Bytes of each value of the graph, while they are valid.
    pub slots: Vec<RawSlot>,
    /// Values that outlive a segment: inputs, live-outs, outputs of dynamic nodes.
    pub values: Vec<Option<Value>>,
    pub temporary: AlignedBytes,
    pub scratch: AlignedBytes,
    pub waiting: Vec<AtomicU32>,
    pub ready: Mutex<BinaryHeap<(u64, u32)>>,
}

impl RunContext {
    pub fn new(values: usize) -> Result<RunContext> {
        Ok(RunContext {
            slots: vec![RawSlot::ABSENT; values],
            values: vec![None; values],
            temporary: AlignedBytes::zeroed(0)?,
            scratch: AlignedBytes::zeroed(0)?,
            waiting: Vec::new(),
            ready: Mutex::new(BinaryHeap::new()),
        })
    }

    /// Makes room for a segment; grows only.
    pub fn reserve(&mut self, temporary: usize, scratch: usize, tasks: usize) -> Result<()> {
        // The old arena goes before the new one comes: both together may be more than there is.
        if self.temporary.len() < temporary {
            self.temporary = AlignedBytes::zeroed(0)?;
            self.temporary = AlignedBytes::zeroed(temporary)?;
        }
        if self.scratch.len() < scratch {
            self.scratch = AlignedBytes::zeroed(0)?;
            self.scratch = AlignedBytes::zeroed(scratch)?;
        }
        if self.waiting.len() < tasks {
            self.waiting.resize_with(tasks, AtomicU32::default);
            let ready = self.ready.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
            ready.reserve(tasks);
        }
        Ok(())
    }

    /// Stores a value of the run and points its slot at the bytes, aligned ones: kernels read slices of the element type.
    pub fn store(&mut self, id: ValueId, value: Value) -> Result<()> {
        let value = match value {
            Value::Dense(tensor) => Value::Dense(tensor.aligned()?),
            other => other,
        };
        self.slots[id] = slot_of(&value);
        self.values[id] = Some(value);
        Ok(())
    }

    /// Lets go of every value, so that an idle context holds no tensor of a caller.
    pub fn clear(&mut self) {
        self.values.fill(None);
    }

    /// Bytes of the two arenas.
    pub fn bytes(&self) -> (usize, usize) {
        (self.temporary.len(), self.scratch.len())
    }
}

/// Where a value's bytes are; values without bytes have no slot.
pub fn slot_of(value: &Value) -> RawSlot {
    match value {
        // A tensor without elements still has a (dangling, aligned) place: absence is a null pointer.
        Value::Dense(tensor) => RawSlot { ptr: tensor.bytes().as_ptr().cast_mut(), bytes: tensor.byte_len() },
        _ => RawSlot::ABSENT,
    }
}
