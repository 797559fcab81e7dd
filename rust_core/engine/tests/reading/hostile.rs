//! Bytes meant to harm: whatever they are, the answer is a model or an error, soon.

use diptych_engine::error::ErrorKind;
use diptych_engine::onnx::proto::*;
use diptych_engine::onnx::read_bytes;

use crate::build::*;

/// A small model with a bit of everything.
fn sample() -> ModelProto {
    let branch = |op: &str, out: &str| graph(&[], vec![node(op, &["h"], &[out])], &[out]);
    let branching = with(with(node("If", &["c"], &["y"]), subgraph("then_branch", branch("Neg", "t"))), {
        subgraph("else_branch", branch("Abs", "e"))
    });
    let body = with(node("Mul", &["a", "a"], &["b"]), refer("alpha", "alpha", AttributeType::Int));
    let mut square = function("Square", &["a"], &["b"], vec![body]);
    square.attribute_proto = vec![int("alpha", 2)];
    let nodes = vec![call("Square", "sq", &["x"], &["s"]), node("Add", &["s", "w"], &["h"]), branching];
    let mut main = graph(&["x", "c"], nodes, &["y"]);
    main.initializer = vec![raw("w", 1, &[2], &[0; 8]), floats("v", &[2], &[1.0, 2.0])];
    main.sparse_initializer = vec![SparseTensorProto {
        values: Some(floats("z", &[1], &[5.0])),
        indices: Some(raw("", 7, &[1], &2i64.to_le_bytes())),
        dims: vec![3],
    }];
    ModelProto { functions: vec![square], ..model(main) }
}

#[test]
fn truncation_anywhere_is_survived() {
    let whole = encode(&sample());
    read_bytes(whole.clone(), None).unwrap();
    for end in 0..whole.len() {
        // A prefix may be a model too, where it ends between two fields.
        drop(read_bytes(whole.slice(..end), None));
    }
    invalid(read_bytes(whole.slice(..0), None), &["empty"]);
    invalid(read_bytes(whole.slice(..whole.len() - 1), None), &["protobuf"]);
}

#[test]
fn flipped_bits_are_survived() {
    let whole = encode(&sample());
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound as u64) as usize
    };
    let mut read = 0;
    for _ in 0..10_000 {
        let mut bytes = whole.to_vec();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            bytes[at] ^= 1 << random(8);
        }
        read += usize::from(read_bytes(bytes.into(), None).is_ok());
    }
    assert!(read > 0, "some flips only change names or numbers");
}

#[test]
fn malformed_protobuf_is_refused() {
    let overlong = [&[0x08][..], &[0x80; 11]].concat();
    let lying_length = vec![0x3a, 0xff, 0xff, 0xff, 0xff, 0x7f];
    let group = vec![0x0b; 1000];
    for bytes in [overlong, lying_length, group, b"not a model at all".to_vec(), vec![0xff; 64]] {
        invalid(read_bytes(bytes.into(), None), &["protobuf"]);
    }
}

#[test]
fn deep_nesting_is_refused() {
    let nest = |inner: GraphProto, k: usize| {
        graph(&[], vec![with(node("Body", &[], &[&format!("v{k}")]), subgraph("body", inner))], &[])
    };
    let shallow = (0..20).fold(graph(&[], vec![], &[]), nest);
    assert!(read_graph(shallow).is_ok());
    let deep = (0..200).fold(graph(&[], vec![], &[]), nest);
    invalid(read_graph(deep), &["recursion"]);
}

/// Deeper than the protobuf's own limit: functions whose subgraphs call functions.
#[test]
fn nesting_through_functions_is_refused() {
    let link = |k: usize| {
        let branch = graph(&[], vec![call(&format!("F{}", k + 1), "c", &["a"], &["r"])], &["r"]);
        function(&format!("F{k}"), &["a"], &["b"], vec![with(node("If", &["a"], &["b"]), subgraph("body", branch))])
    };
    let proto = ModelProto {
        functions: (0..1000).map(link).collect(),
        ..model(graph(&["x"], vec![call("F0", "f", &["x"], &["y"])], &["y"]))
    };
    refused(read(&proto), ErrorKind::ResourceLimit, &["nested"]);
}

/// A long chain is read, sorted and dropped in linear time and constant stack.
#[test]
fn long_chains_are_read() {
    const LENGTH: usize = 200_000;
    let name = |k: usize| format!("v{k}");
    let forward = (0..LENGTH).map(|k| node("Relu", &[&name(k)], &[&name(k + 1)]));
    for nodes in [forward.clone().collect::<Vec<_>>(), forward.rev().collect()] {
        let graph = read_graph(graph(&["v0"], nodes, &[&name(LENGTH)])).unwrap().graph;
        assert_eq!(graph.nodes.len(), LENGTH);
        assert_eq!(graph.value_name(graph.nodes[LENGTH - 1].outputs[0].unwrap()), name(LENGTH));
    }
}
