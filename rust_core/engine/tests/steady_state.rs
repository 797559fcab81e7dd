//! At a cached shape a dense graph allocates nothing but its outputs.
//!
//! One test in a binary of its own: the allocator counts for the whole process.

#[path = "reading/build.rs"]
#[allow(dead_code)]
mod build;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use diptych_engine::session::{RunOptions, Session, SessionOptions, Source};
use diptych_engine::{Math, Tensor, Value};
use prost::Message;

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: forwards to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// `layers` times MatMul, Add, Relu, Softmax, with a Reshape by computed shape in between.
fn session(layers: usize, threads: usize) -> Session {
    let mut nodes = Vec::new();
    let mut last = String::from("x");
    for layer in 0..layers {
        let name = |step: &str| format!("{step}{layer}");
        nodes.push(build::node("MatMul", &[&last, "w"], &[&name("product")]));
        nodes.push(build::node("Add", &[&name("product"), "b"], &[&name("sum")]));
        nodes.push(build::node("Relu", &[&name("sum")], &[&name("positive")]));
        nodes.push(build::node("Shape", &[&name("positive")], &[&name("shape")]));
        nodes.push(build::node("Reshape", &[&name("positive"), &name("shape")], &[&name("same")]));
        nodes.push(build::node("Softmax", &[&name("same")], &[&name("out")]));
        last = name("out");
    }
    let mut graph = build::graph(&["x"], nodes, &[&last]);
    graph.initializer =
        vec![build::floats("w", &[2, 2], &[1.0, -2.0, 3.0, 0.5]), build::floats("b", &[2], &[0.1, 0.2])];
    let bytes = Bytes::from(build::model(graph).encode_to_vec());
    let options = SessionOptions { threads, ..SessionOptions::default() };
    Session::new(Source::Bytes(bytes), options).expect("a valid model")
}

/// `layers` times Conv of 3x3 kernels, in fast mode, and Relu.
fn convolutions(layers: usize, threads: usize) -> Session {
    let mut nodes = Vec::new();
    let mut last = String::from("x");
    for layer in 0..layers {
        let (sums, out) = (format!("sums{layer}"), format!("out{layer}"));
        nodes.push(build::node("Conv", &[&last, "w"], &[&sums]));
        nodes.push(build::node("Relu", &[&sums], &[&out]));
        last = out;
    }
    let mut graph = build::graph(&["x"], nodes, &[&last]);
    graph.initializer = vec![build::floats("w", &[32, 32, 3, 3], &[0.25; 32 * 32 * 9])];
    let bytes = Bytes::from(build::model(graph).encode_to_vec());
    let options = SessionOptions { threads, math: Math::Fast, ..SessionOptions::default() };
    Session::new(Source::Bytes(bytes), options).expect("a valid model")
}

/// A session of so many layers, on so many threads.
type Make = fn(usize, usize) -> Session;

fn allocations_of_a_run(session: &Session, shape: &[usize]) -> usize {
    let elements = vec![0.5f32; shape.iter().product()];
    let input: Value = Tensor::from_slice(shape, &elements).expect("a tensor").into();
    let mut counted = 0;
    // The first runs plan, and let the pool and the context grow to size.
    for _ in 0..3 {
        let feeds = vec![("x", input.clone())];
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        let outputs = session.run(feeds, RunOptions::default()).expect("a run");
        counted = ALLOCATIONS.load(Ordering::Relaxed) - before;
        assert_eq!(outputs.len(), 1);
    }
    counted
}

#[test]
fn a_run_at_a_cached_shape_allocates_its_outputs_only() {
    for threads in [1, 2] {
        let cases: [(Make, &[usize]); 2] = [(session, &[300, 2]), (convolutions, &[1, 32, 40, 40])];
        for (make, shape) in cases {
            let [short, long] = [1, 10].map(|layers| allocations_of_a_run(&make(layers, threads), shape));
            assert_eq!(short, long, "allocations grow with the number of nodes, {threads} threads");
            // The list of inputs, the list of outputs, and for the one output its bytes and their reference count.
            assert!(short <= 4, "{short} allocations, {threads} threads");
        }
    }
}
