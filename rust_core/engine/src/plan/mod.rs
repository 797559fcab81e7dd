//! Plans: which steps run for given input shapes, where their values live, what they wait for.
//!
//! A graph is planned in *segments*. A segment holds every node whose output types can be known now; where an output's shape
//! depends on elements not yet computed (NonZero, a Loop, a Reshape to computed values), the segment ends, runs, and the next
//! one is planned with what it gave. A dense graph is one segment. Each segment keeps the plans of its successors, by
//! the shapes and the shape-deciding values they were made for, in a small LRU list.

mod fusion;
mod memory;
mod segment;
mod work;

pub use segment::{DynamicNode, LiveOut, Place, Planner, Segment, Task};
pub use work::Work;

use std::sync::{Arc, Mutex};

use crate::graph::ValueId;
use crate::operator::InputInfo;
use crate::tensor::{Shape, Value, ValueType};

/// How many plans each point of a graph keeps.
const CACHED: usize = 16;

/// Type of a value that a segment starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    pub value: ValueId,
    pub ty: ValueType,
    pub shape: Shape,
}

impl Arrival {
    pub fn of(id: ValueId, value: &Value) -> Arrival {
        Arrival { value: id, ty: value.value_type(), shape: value.shape().map(Shape::from_slice).unwrap_or_default() }
    }

    fn matches(&self, value: &Value) -> bool {
        self.ty == value.value_type() && value.shape().unwrap_or_default() == self.shape.as_slice()
    }

    pub fn info(&self) -> InputInfo {
        InputInfo { ty: self.ty, shape: self.shape.clone(), value: None, weight: None }
    }
}

/// Plans of the segment that follows one point, most recently used first.
#[derive(Default)]
pub struct Successors(Mutex<Vec<Arc<Segment>>>);

impl Successors {
    /// The plan made for arrivals like these, in this order, if there is one. `value` looks up any value of the run.
    pub fn find(&self, arrived: &[ValueId], value: &dyn Fn(ValueId) -> Option<Value>) -> Option<Arc<Segment>> {
        let mut plans = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let found = plans.iter().position(|plan| {
            plan.arrivals.len() == arrived.len()
                && plan.arrivals.iter().zip(arrived).all(|(arrival, id)| {
                    arrival.value == *id && value(*id).is_some_and(|value| arrival.matches(&value))
                })
                && plan.read.iter().all(|(id, seen)| value(*id).is_some_and(|now| same_elements(seen, &now)))
        })?;
        plans[..=found].rotate_right(1);
        Some(plans[0].clone())
    }

    /// The plan that was found or made last.
    pub fn latest(&self) -> Option<Arc<Segment>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).first().cloned()
    }

    pub fn insert(&self, plan: Arc<Segment>) {
        let mut plans = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        plans.insert(0, plan);
        plans.truncate(CACHED);
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn same_elements(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Dense(a), Value::Dense(b)) => {
            a.dtype() == b.dtype() && a.shape() == b.shape() && a.bytes() == b.bytes()
        }
        (Value::Strings(a), Value::Strings(b)) => a == b,
        _ => false,
    }
}
