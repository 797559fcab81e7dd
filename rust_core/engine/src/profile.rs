//! Times of nodes, recorded while runs are in flight.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::graph::Graph;
use crate::math::Algorithm;

/// Most events that are kept; later ones are only counted, so that a forgotten profile cannot fill the memory.
const KEPT: usize = 1 << 20;

/// One node, run once.
pub struct Event {
    /// The graph or subgraph of the node, and the node's index in it.
    pub graph: Arc<Graph>,
    pub node: usize,
    pub algorithm: Algorithm,
    /// From the profile's beginning.
    pub start: Duration,
    pub duration: Duration,
    /// Bytes of the inputs that the kernel reads and of the outputs it writes; 0 where they show only at run time.
    pub bytes: usize,
}

/// What a session records of its runs.
pub struct Profile {
    origin: Instant,
    events: Mutex<(Vec<Event>, usize)>,
}

impl Default for Profile {
    fn default() -> Profile {
        Profile { origin: Instant::now(), events: Mutex::default() }
    }
}

impl Profile {
    /// Runs `body`, which is node `node` of `graph` by that `algorithm`, and records how long it took.
    pub fn time<T>(
        &self,
        graph: &Arc<Graph>,
        (node, algorithm): (usize, Algorithm),
        bytes: usize,
        body: impl FnOnce() -> T,
    ) -> T {
        let start = self.origin.elapsed();
        let result = body();
        let duration = self.origin.elapsed() - start;
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.0.len() < KEPT {
            events.0.push(Event { graph: graph.clone(), node, algorithm, start, duration, bytes });
        } else {
            events.1 += 1;
        }
        result
    }

    /// What was recorded since the last call, in the order of completion, and how many events were not kept.
    pub fn take(&self) -> (Vec<Event>, usize) {
        std::mem::take(&mut self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
