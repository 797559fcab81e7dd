//! Functions local to the model, inlined.

use diptych_engine::error::{ErrorKind, Result};
use diptych_engine::graph::{Attribute, Model};
use diptych_engine::onnx::proto::*;

use crate::build::*;

fn with_functions(graph: GraphProto, functions: Vec<FunctionProto>) -> ModelProto {
    ModelProto { functions, ..model(graph) }
}

fn reading(nodes: Vec<NodeProto>, functions: Vec<FunctionProto>) -> Result<Model> {
    read(&with_functions(graph(&["x"], nodes, &["y"]), functions))
}

#[test]
fn calls_become_nodes() {
    let twice = function("Twice", &["a"], &["b"], vec![node("Add", &["a", "a"], &["t"]), node("Neg", &["t"], &["b"])]);
    let calls = vec![call("Twice", "f", &["x"], &["m"]), call("Twice", "f", &["m"], &["y"])];
    let graph = reading(calls, vec![twice]).unwrap().graph;
    assert_eq!(listing(&graph), ["Add(x, x) -> f/t", "Neg(f/t) -> m", "Add(m, m) -> f/t_1", "Neg(f/t_1) -> y"]);
    // Names of nodes carry their caller's; opsets are those the function imports.
    assert_eq!((graph.nodes[0].name.as_str(), graph.nodes[0].opset), ("f/Add_0", 18));
}

#[test]
fn functions_call_functions() {
    let inner = function("Inner", &["a"], &["b"], vec![node("Neg", &["a"], &["b"])]);
    let outer = function(
        "Outer",
        &["a"],
        &["b"],
        vec![call("Inner", "second", &["t"], &["b"]), call("Inner", "first", &["a"], &["t"])],
    );
    let graph = reading(vec![call("Outer", "o", &["x"], &["y"])], vec![outer, inner]).unwrap().graph;
    assert_eq!(listing(&graph), ["Neg(x) -> o/t", "Neg(o/t) -> y"]);
    assert_eq!(graph.nodes[0].name, "o/first/Neg_0");
}

#[test]
fn overloads_and_domains_are_told_apart() {
    let neg = function("F", &["a"], &["b"], vec![node("Neg", &["a"], &["b"])]);
    let abs = FunctionProto {
        overload: Some("v2".into()),
        ..function("F", &["a"], &["b"], vec![node("Abs", &["a"], &["b"])])
    };
    let picked = NodeProto { overload: Some("v2".into()), ..call("F", "f", &["x"], &["y"]) };
    let graph = reading(vec![picked], vec![neg.clone(), abs]).unwrap().graph;
    assert_eq!(op_types(&graph), ["Abs"]);
    invalid(reading(vec![], vec![neg.clone(), neg]), &["'local.F' is defined twice"]);
}

#[test]
fn absent_inputs_and_outputs() {
    let clip = function(
        "F",
        &["a", "low", "high"],
        &["b", "c"],
        vec![node("Clip", &["a", "low", "high"], &["b"]), node("Neg", &["b"], &["c"])],
    );
    let graph = reading(vec![call("F", "f", &["x", "", "x"], &["", "y"])], vec![clip.clone()]).unwrap().graph;
    assert_eq!(listing(&graph), ["Clip(x, _, x) -> f/b", "Neg(f/b) -> y"]);
    let graph = reading(vec![call("F", "f", &["x"], &["y"])], vec![clip.clone()]).unwrap().graph;
    assert_eq!(listing(&graph), ["Clip(x, _, _) -> y", "Neg(y) -> f/c"]);
    invalid(reading(vec![call("F", "f", &["x"; 4], &["y"])], vec![clip]), &["4 inputs", "node 'f' (local.F)"]);
}

#[test]
fn outputs_that_are_inputs_or_repeated_are_copied() {
    let echo = function("F", &["a"], &["a", "b", "b"], vec![node("Neg", &["a"], &["b"])]);
    let mut inner = graph(&["x"], vec![call("F", "f", &["x"], &["p", "q", "r"])], &["p", "q", "r"]);
    inner.output.truncate(3);
    let graph = read(&with_functions(inner, vec![echo.clone()])).unwrap().graph;
    assert_eq!(listing(&graph), ["Neg(x) -> q", "Identity(x) -> p", "Identity(q) -> r"]);
    let nothing = function("F", &["a"], &["nowhere"], vec![]);
    invalid(reading(vec![call("F", "f", &["x"], &["y"])], vec![nothing]), &["nowhere", "output 'nowhere'"]);
    invalid(reading(vec![call("F", "f", &[], &["y"])], vec![echo]), &["left out"]);
}

#[test]
fn attributes_reach_the_nodes_that_refer_to_them() {
    let mut body = node("Neg", &["a"], &["b"]);
    body.attribute = vec![
        refer("given", "alpha", AttributeType::Int),
        refer("default", "beta", AttributeType::Int),
        refer("nobody", "gamma", AttributeType::Int),
    ];
    let mut proto = function("F", &["a"], &["b"], vec![body]);
    proto.attribute = texts(&["alpha", "gamma"]);
    proto.attribute_proto = vec![int("beta", 5)];
    let calling = |attributes: Vec<AttributeProto>| {
        let attribute = attributes;
        reading(vec![NodeProto { attribute, ..call("F", "f", &["x"], &["y"]) }], vec![proto.clone()])
    };
    let graph = calling(vec![int("alpha", 3)]).unwrap().graph;
    let found = &graph.nodes[0].attributes;
    assert!(matches!(found["given"], Attribute::Int(3)) && matches!(found["default"], Attribute::Int(5)));
    assert!(!found.contains_key("nobody"));
    let graph = calling(vec![int("alpha", 3), int("beta", 6)]).unwrap().graph;
    assert!(matches!(graph.nodes[0].attributes["default"], Attribute::Int(6)));
    invalid(calling(vec![int("delta", 1)]), &["no attribute 'delta'"]);
    let float = AttributeProto { f: Some(1.0), ..attribute("alpha", AttributeType::Float) };
    invalid(calling(vec![float]), &["attribute 'given'", "another type"]);
    let mut wrong = proto.clone();
    wrong.attribute.clear();
    invalid(reading(vec![call("F", "f", &["x"], &["y"])], vec![wrong]), &["'alpha'", "does not declare"]);
}

#[test]
fn subgraphs_in_functions_capture_the_functions_values() {
    let branch = || graph(&[], vec![node("Add", &["t", "a"], &["r"])], &["r"]);
    let body = vec![
        node("Abs", &["a"], &["t"]),
        with(with(node("If", &["a"], &["b"]), subgraph("then_branch", branch())), subgraph("else_branch", branch())),
    ];
    let graph = reading(vec![call("F", "f", &["x"], &["y"])], vec![function("F", &["a"], &["b"], body)]).unwrap().graph;
    assert_eq!(listing(&graph), ["Abs(x) -> f/t", "If(x) -> y"]);
    assert_eq!(names(&graph, &graph.nodes[1].captures), ["f/t", "x", "f/t", "x"]);
    let (_, inner) = graph.nodes[1].subgraphs()[0];
    assert_eq!(listing(inner), ["Add(f/t, x) -> f/r"]);
    assert_eq!(inner.nodes[0].opset, 18);
}

#[test]
fn calls_inside_subgraphs_inline_there() {
    let neg = function("F", &["a"], &["b"], vec![node("Neg", &["a"], &["b"])]);
    let branch = || graph(&[], vec![call("F", "f", &["x"], &["r"])], &["r"]);
    let body = with(with(node("If", &["x"], &["y"]), subgraph("then_branch", branch())), {
        subgraph("else_branch", branch())
    });
    let graph = reading(vec![body], vec![neg]).unwrap().graph;
    let (_, inner) = graph.nodes[0].subgraphs()[0];
    assert_eq!((listing(inner), names(inner, &inner.captures)), (vec!["Neg(x) -> r".to_owned()], vec!["x"]));
}

/// A graph passed as a function's attribute reads the caller's names, wherever in the function it ends up.
#[test]
fn graphs_given_as_attributes_keep_their_callers_names() {
    let deep = with(node("If", &["a"], &["r"]), refer("then_branch", "body", AttributeType::Graph));
    let outer = with(node("If", &["a"], &["b"]), subgraph("then_branch", graph(&[], vec![deep], &["r"])));
    let mut proto = function("F", &["a"], &["b"], vec![outer]);
    proto.attribute = texts(&["body"]);
    let given = subgraph("body", graph(&[], vec![node("Neg", &["m"], &["g"])], &["g"]));
    let nodes = vec![node("Abs", &["x"], &["m"]), with(call("F", "f", &["x"], &["y"]), given)];
    let graph = reading(nodes, vec![proto]).unwrap().graph;
    assert_eq!(names(&graph, &graph.nodes[1].captures), ["x", "m"]);
    let (_, middle) = graph.nodes[1].subgraphs()[0];
    assert_eq!(names(middle, &middle.nodes[0].captures), ["m"]);
    let (_, inner) = middle.nodes[0].subgraphs()[0];
    assert_eq!(listing(inner), ["Neg(m) -> g"]);
}

#[test]
fn functions_see_none_of_their_callers_names() {
    let thief = function("F", &["a"], &["b"], vec![node("Add", &["a", "x"], &["b"])]);
    invalid(reading(vec![call("F", "f", &["x"], &["y"])], vec![thief]), &["'x' is not defined", "node 'f'"]);
    let free = function("F", &["x"], &["y"], vec![node("Neg", &["x"], &["t"]), node("Abs", &["t"], &["y"])]);
    assert!(reading(vec![call("F", "f", &["x"], &["y"])], vec![free]).is_ok());
    let double = function("F", &["a"], &["b"], vec![node("Neg", &["a"], &["a"])]);
    invalid(reading(vec![call("F", "f", &["x"], &["y"])], vec![double]), &["'a' is defined twice"]);
    let repeated = function("F", &["a", "a"], &["b"], vec![]);
    invalid(reading(vec![call("F", "f", &["x"], &["y"])], vec![repeated]), &["repeated input"]);
}

#[test]
fn recursion_is_refused() {
    let a = function("A", &["a"], &["b"], vec![call("B", "b", &["a"], &["b"])]);
    let b = function("B", &["a"], &["b"], vec![call("A", "a", &["a"], &["b"])]);
    invalid(reading(vec![call("A", "top", &["x"], &["y"])], vec![a, b]), &["calls itself", "node 'top'"]);
}

#[test]
fn bombs_are_refused() {
    // Each function calls the next ten times: 10^30 nodes in a file of a few kilobytes.
    let fan = |k: usize| {
        let next = format!("F{}", k + 1);
        let calls = (0..10).map(|i| call(&next, &format!("c{i}"), &["a"], &[&format!("t{i}")])).collect();
        function(&format!("F{k}"), &["a"], &["t0"], calls)
    };
    let mut functions: Vec<_> = (0..30).map(fan).collect();
    functions.push(function("F30", &["a"], &["b"], vec![node("Neg", &["a"], &["b"])]));
    let bomb = reading(vec![call("F0", "f", &["x"], &["y"])], functions);
    refused(bomb, ErrorKind::ResourceLimit, &["inlined, pass"]);
    // A chain of calls too deep for any stack.
    let link = |k: usize| {
        let next = call(&format!("F{}", k + 1), "c", &["a"], &["b"]);
        function(&format!("F{k}"), &["a"], &["b"], vec![next])
    };
    let chain = reading(vec![call("F0", "f", &["x"], &["y"])], (0..10_000).map(link).collect());
    refused(chain, ErrorKind::ResourceLimit, &["nested"]);
}

/// Copies of long attribute lists count too.
#[test]
fn bombs_of_attributes_are_refused() {
    let long = AttributeProto { ints: vec![1; 100_000], ..attribute("axes", AttributeType::Ints) };
    let bodies = (0..100).map(|i| with(node("Neg", &["a"], &[&format!("t{i}")]), long.clone())).collect();
    let inner = function("Inner", &["a"], &["t0"], bodies);
    let calls = (0..100).map(|i| call("Inner", &format!("c{i}"), &["a"], &[&format!("t{i}")])).collect();
    let outer = function("Outer", &["a"], &["t0"], calls);
    let bomb = reading(vec![call("Outer", "f", &["x"], &["y"])], vec![inner, outer]);
    refused(bomb, ErrorKind::ResourceLimit, &["bytes"]);
}

/// Weights in functions are decoded once and shared by all calls.
#[test]
fn tensors_in_functions_are_shared() {
    let weight = AttributeProto {
        t: Some(Box::new(floats("", &[2], &[1.0, 2.0]))),
        ..attribute("value", AttributeType::Tensor)
    };
    let constant = function("F", &["a"], &["b"], vec![with(node("Constant", &[], &["b"]), weight)]);
    let calls = vec![call("F", "f", &["x"], &["y"]), call("F", "g", &["x"], &["z"])];
    let graph = reading(calls, vec![constant]).unwrap().graph;
    let data = |index: usize| match &graph.nodes[index].attributes["value"] {
        Attribute::Tensor(value) => value.as_dense().unwrap().bytes().as_ptr(),
        _ => panic!("a tensor"),
    };
    assert_eq!(data(0), data(1));
}
