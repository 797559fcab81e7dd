//! Times of nodes, recorded while runs are in flight.

use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diptych_kernels::{Isa, peak};

use crate::graph::Graph;
use crate::math::Algorithm;
use crate::plan::Work;

/// Most events that are kept; later ones are only counted, so that a forgotten profile cannot fill the memory.
const KEPT: usize = 1 << 20;

/// How long each of the peaks is measured.
const MEASURED: Duration = Duration::from_millis(40);
/// Values that a thread reads to measure the memory: 32 MiB, more than a core's share of any cache.
const STREAM: usize = 8 << 20;

/// What the machine can do: the roofline (Williams, Waterman, Patterson 2009) that profiles hold nodes against.
#[derive(Clone, Copy, Debug)]
pub struct Peaks {
    /// Operations a second of binary32 multiply-adds in registers, two each.
    pub flops: f64,
    /// Bytes a second that are read from memory.
    pub bytes: f64,
}

impl Peaks {
    /// Measures them with `threads` threads at once, which takes about a tenth of a second.
    pub fn measure(isa: Isa, threads: usize) -> Peaks {
        let flops = rate(threads, || {
            || {
                let (operations, sum) = peak::multiply_adds(isa, 1 << 14);
                std::hint::black_box(sum);
                operations
            }
        });
        let bytes = rate(threads, || {
            let stream = vec![1.0_f32; STREAM];
            move || {
                std::hint::black_box(peak::read(isa, &stream));
                size_of_val(&stream[..]) as u64
            }
        });
        Peaks { flops, bytes }
    }
}

/// What `threads` threads, each with a body of its own from `prepare`, do in a second all together, by what the bodies return.
fn rate<F: FnMut() -> u64>(threads: usize, prepare: impl Fn() -> F + Sync) -> f64 {
    let (begin, total) = (Barrier::new(threads.max(1)), Mutex::new(0.0));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                let mut body = prepare();
                begin.wait();
                let (start, mut done) = (Instant::now(), 0);
                while start.elapsed() < MEASURED {
                    done += body();
                }
                *total.lock().unwrap_or_else(PoisonError::into_inner) += done as f64 / start.elapsed().as_secs_f64();
            });
        }
    });
    total.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// One node, run once.
pub struct Event {
    /// The graph or subgraph of the node, and the node's index in it.
    pub graph: Arc<Graph>,
    pub node: usize,
    pub algorithm: Algorithm,
    /// From the profile's beginning.
    pub start: Duration,
    pub duration: Duration,
    /// Nothing where shapes show only at run time.
    pub work: Work,
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
        work: Work,
        body: impl FnOnce() -> T,
    ) -> T {
        let start = self.origin.elapsed();
        let result = body();
        let duration = self.origin.elapsed() - start;
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.0.len() < KEPT {
            events.0.push(Event { graph: graph.clone(), node, algorithm, start, duration, work });
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
