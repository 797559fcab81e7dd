//! Running a planned graph.

use std::sync::Arc;

use crate::error::Result;
use crate::pool::Team;
use crate::tensor::Value;

mod kernel_cx;

pub use kernel_cx::{Disjoint, KernelCx, RawSlot, ValueCx};

/// A compiled graph.
pub struct Executable {}

impl Executable {
    pub(crate) fn run_nested(self: &Arc<Self>, _inputs: Vec<Value>, _captures: Vec<Value>, _team: &Team<'_>) -> Result<Vec<Value>> {
        unimplemented!()
    }
}
