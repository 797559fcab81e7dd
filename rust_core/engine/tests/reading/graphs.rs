//! Graphs: names, order, types, subgraphs, attributes, versions.

use diptych_engine::error::ErrorKind;
use diptych_engine::graph::{Attribute, Dim, Type};
use diptych_engine::onnx::proto::*;
use diptych_engine::{DType, Value};

use crate::build::*;

#[test]
fn a_model_keeps_its_header_and_declarations() {
    let mut proto = model(graph(&["x"], vec![node("Relu", &["x"], &["y"])], &["y"]));
    proto.producer_name = Some("me".into());
    proto.model_version = Some(7);
    proto.opset_import = vec![opset("ai.onnx", 21), opset("", 21), opset("unused.domain", 999)];
    let model = read(&proto).unwrap();
    assert_eq!((model.ir_version, model.producer_name.as_str(), model.model_version), (10, "me", 7));
    assert_eq!(model.opsets, [("".to_owned(), 21), ("unused.domain".to_owned(), 999)]);
    let graph = &model.graph;
    assert_eq!(listing(graph), ["Relu(x) -> y"]);
    assert_eq!((graph.nodes[0].name.as_str(), graph.nodes[0].opset), ("Relu_0", 21));
    let shape = Some(vec![Dim::Symbol("N".into()), Dim::Known(2)]);
    assert_eq!(graph.values[graph.inputs[0]].declared, Some(Type::Tensor { dtype: DType::F32, shape }));
}

#[test]
fn open_dimensions_stay_open() {
    let dims = [Some(DimensionValue::DimValue(-1)), Some(DimensionValue::DimParam(String::new())), None];
    let shape = TensorShapeProto { dim: dims.map(|value| Dimension { value }).into() };
    let mut proto = graph(&[], vec![], &["x"]);
    proto.input = vec![typed_value("x", TensorTypeProto { elem_type: Some(1), shape: Some(shape) })];
    let model = read_graph(proto).unwrap();
    let Some(Type::Tensor { shape, .. }) = &model.graph.values[0].declared else { panic!("a tensor") };
    assert_eq!(shape.as_deref(), Some([Dim::Unknown, Dim::Unknown, Dim::Unknown].as_slice()));
}

#[test]
fn nodes_are_put_in_order_and_an_order_that_holds_is_kept() {
    let late = vec![node("Neg", &["b"], &["c"]), node("Abs", &["a"], &["b"]), node("Relu", &["x"], &["a"])];
    let model = read_graph(graph(&["x"], late, &["c"])).unwrap();
    assert_eq!(op_types(&model.graph), ["Relu", "Abs", "Neg"]);
    let held = vec![node("B", &["x"], &["b"]), node("A", &["x"], &["a"]), node("C", &["b"], &["c"])];
    let model = read_graph(graph(&["x"], held, &["c"])).unwrap();
    assert_eq!(op_types(&model.graph), ["B", "A", "C"]);
}

#[test]
fn cycles_are_refused_naming_a_node_on_them() {
    let nodes = vec![node("After", &["b"], &["z"]), node("One", &["x", "b"], &["a"]), node("Two", &["a"], &["b"])];
    invalid(read_graph(graph(&["x"], nodes, &["z"])), &["cycle", "graph 'main'"]);
    invalid(read_graph(graph(&[], vec![node("Self", &["a"], &["a"])], &["a"])), &["cycle", "Self"]);
}

#[test]
fn undefined_and_repeated_names_are_refused() {
    let broken = node("Add", &["x", "nowhere"], &["y"]);
    invalid(read_graph(graph(&["x"], vec![broken], &["y"])), &["nowhere", "Add_0", "input 1"]);
    let twice = vec![node("A", &["x"], &["y"]), node("B", &["x"], &["y"])];
    invalid(read_graph(graph(&["x"], twice, &["y"])), &["'y' is defined twice", "B_1"]);
    invalid(read_graph(graph(&["x", "x"], vec![], &["x"])), &["'x' is defined twice"]);
    invalid(read_graph(graph(&["x"], vec![node("A", &["x"], &["y", "y"])], &["y"])), &["defined twice"]);
    invalid(read_graph(graph(&["x"], vec![node("A", &[], &["x"])], &["x"])), &["defined twice"]);
    invalid(read_graph(graph(&["x"], vec![], &["y"])), &["graph output 'y'"]);
    invalid(read_graph(graph(&[""], vec![], &[])), &["without a name"]);
    invalid(read_graph(graph(&["x"], vec![node("", &["x"], &["y"])], &["y"])), &["op_type"]);
}

#[test]
fn absent_inputs_and_outputs_stay_absent() {
    let nodes = vec![node("Clip", &["x", "", "x"], &["y"]), node("Split", &["y"], &["", "z"])];
    let model = read_graph(graph(&["x"], nodes, &["z"])).unwrap();
    assert_eq!(listing(&model.graph), ["Clip(x, _, x) -> y", "Split(y) -> _, z"]);
}

#[test]
fn outputs_may_be_inputs_initializers_or_each_other() {
    let mut proto = graph(&["x"], vec![], &["x", "w", "w"]);
    proto.initializer = vec![floats("w", &[2], &[1.0, 2.0])];
    let model = read_graph(proto).unwrap();
    assert_eq!(names(&model.graph, &model.graph.outputs), ["x", "w", "w"]);
}

#[test]
fn initializers_listed_as_inputs_are_overridable_in_any_ir() {
    for ir in [3, 10] {
        let mut inner = graph(&["w", "x"], vec![node("Mul", &["x", "w"], &["y"])], &["y"]);
        inner.initializer = vec![floats("w", &[2], &[1.0, 2.0]), floats("v", &[1], &[3.0])];
        let mut proto = model(inner);
        proto.ir_version = Some(ir);
        let graph = read(&proto).unwrap().graph;
        assert_eq!(names(&graph, &graph.inputs), ["x"]);
        assert_eq!(names(&graph, &graph.overridable), ["w"]);
        assert!(graph.constant(graph.overridable[0]).is_some());
    }
}

#[test]
fn initializers_that_clash_are_refused() {
    let with = |tensors: Vec<TensorProto>| {
        let mut proto = graph(&["x"], vec![node("Relu", &["x"], &["y"])], &["y"]);
        proto.initializer = tensors;
        read_graph(proto)
    };
    let weight = |name: &str| floats(name, &[1], &[1.0]);
    invalid(with(vec![weight("w"), weight("w")]), &["initializer 'w'", "twice"]);
    invalid(with(vec![weight("x"), weight("x")]), &["two initializers"]);
    invalid(with(vec![weight("y")]), &["'y' is defined twice"]);
    invalid(with(vec![weight("")]), &["without a name"]);
    invalid(with(vec![raw("x", 7, &[1], &[0; 8])]), &["tensor(int64)", "tensor(float)"]);
}

/// `If` whose branch holds an `If` whose branch reads names of both graphs around it.
fn nested() -> GraphProto {
    let inner = graph(&[], vec![node("Add", &["x", "w"], &["i"])], &["i"]);
    let middle_if = with(with(node("If", &["c"], &["m"]), subgraph("then_branch", inner)), {
        subgraph("else_branch", graph(&[], vec![node("Neg", &["mid"], &["e"])], &["e"]))
    });
    let middle = graph(&[], vec![node("Abs", &["x"], &["mid"]), middle_if], &["m"]);
    let outer_else = graph(&[], vec![], &["w"]);
    let outer = with(with(node("If", &["c"], &["y"]), subgraph("then_branch", middle)), {
        subgraph("else_branch", outer_else)
    });
    let mut proto = graph(&["x", "c"], vec![outer], &["y"]);
    proto.initializer = vec![floats("w", &[1], &[1.0])];
    proto
}

#[test]
fn captures_pass_through_the_graphs_in_between() {
    let graph = read_graph(nested()).unwrap().graph;
    let outer = &graph.nodes[0];
    let subgraphs = outer.subgraphs();
    let [("else_branch", other), ("then_branch", middle)] = subgraphs.as_slice() else { panic!("two branches") };
    assert_eq!(names(other, &other.captures), ["w"]);
    assert_eq!(other.outputs, other.captures);
    assert_eq!(names(middle, &middle.captures), ["x", "c", "w"]);
    assert_eq!(names(&graph, &outer.captures), ["w", "x", "c", "w"]);
    let inner_if = &middle.nodes[1];
    assert_eq!(names(middle, &inner_if.captures), ["mid", "x", "w"]);
    let (name, inner) = inner_if.subgraphs()[1];
    assert_eq!((name, names(inner, &inner.captures)), ("then_branch", vec!["x", "w"]));
}

#[test]
fn a_captured_value_orders_the_nodes() {
    let branch = || graph(&[], vec![node("Neg", &["late"], &["b"])], &["b"]);
    let branching = with(with(node("If", &["x"], &["y"]), subgraph("then_branch", branch())), {
        subgraph("else_branch", branch())
    });
    let model = read_graph(graph(&["x"], vec![branching, node("Abs", &["x"], &["late"])], &["y"])).unwrap();
    assert_eq!(op_types(&model.graph), ["Abs", "If"]);
}

#[test]
fn a_subgraph_may_not_hide_names_it_could_read() {
    let hides = |inner: GraphProto| {
        let body = with(node("Loop", &["e"], &["y"]), subgraph("body", inner));
        read_graph(graph(&["x"], vec![node("Abs", &["x"], &["e"]), body, node("Neg", &["y"], &["late"])], &["late"]))
    };
    invalid(hides(graph(&["x"], vec![], &["x"])), &["'x' hides", "Loop_1", "attribute 'body'"]);
    invalid(hides(graph(&[], vec![node("Neg", &["x"], &["e"])], &["e"])), &["'e' hides"]);
    let mut shadow = graph(&[], vec![], &["x"]);
    shadow.initializer = vec![floats("x", &[1], &[1.0])];
    invalid(hides(shadow), &["'x' hides"]);
    // The outputs of the node itself and of later ones cannot be read there.
    for name in ["y", "late"] {
        let graph = hides(graph(&[], vec![node("Neg", &["x"], &[name])], &[name])).unwrap().graph;
        let (_, inner) = graph.nodes[1].subgraphs()[0];
        assert_eq!((listing(inner), names(inner, &inner.captures)), (vec![format!("Neg(x) -> {name}")], vec!["x"]));
    }
}

#[test]
fn attributes_take_their_types() {
    let tensor = floats("", &[2], &[1.0, 2.0]);
    let sparse = SparseTensorProto {
        values: Some(floats("", &[1], &[5.0])),
        indices: Some(raw("", 7, &[1], &2i64.to_le_bytes())),
        dims: vec![3],
    };
    let mut relu = node("Relu", &["x"], &["y"]);
    relu.attribute = vec![
        AttributeProto { f: Some(0.5), ..attribute("f", AttributeType::Float) },
        int("i", -3),
        AttributeProto { s: Some("text".into()), ..attribute("s", AttributeType::String) },
        AttributeProto { t: Some(Box::new(tensor)), ..attribute("t", AttributeType::Tensor) },
        AttributeProto { sparse_tensor: Some(Box::new(sparse)), ..attribute("z", AttributeType::SparseTensor) },
        AttributeProto { ints: vec![1, 2], ..attribute("ints", AttributeType::Ints) },
        AttributeProto { strings: vec!["a".into()], ..attribute("strings", AttributeType::Strings) },
        AttributeProto { tp: value("v").r#type.map(Box::new), ..attribute("tp", AttributeType::TypeProto) },
        attribute("empty", AttributeType::Floats),
        attribute("zero", AttributeType::Int),
        // The first IR versions state no type.
        AttributeProto { name: Some("old".into()), ints: vec![4], ..AttributeProto::default() },
    ];
    let graph = read_graph(graph(&["x"], vec![relu], &["y"])).unwrap().graph;
    let found = &graph.nodes[0].attributes;
    assert!(matches!(found["f"], Attribute::Float(v) if v == 0.5));
    assert!(matches!(found["i"], Attribute::Int(-3)) && matches!(found["zero"], Attribute::Int(0)));
    assert!(matches!(&found["s"], Attribute::String(text) if text == "text"));
    assert!(matches!(&found["t"], Attribute::Tensor(Value::Dense(t)) if t.as_slice::<f32>().unwrap() == [1.0, 2.0]));
    assert!(
        matches!(&found["z"], Attribute::Tensor(Value::Dense(t)) if t.as_slice::<f32>().unwrap() == [0.0, 0.0, 5.0])
    );
    assert!(matches!(&found["ints"], Attribute::Ints(v) if v == &[1, 2]));
    assert!(matches!(&found["strings"], Attribute::Strings(v) if v == &["a"]));
    assert!(matches!(&found["tp"], Attribute::Type(t) if t.to_string() == "tensor(float)"));
    assert!(matches!(&found["empty"], Attribute::Floats(v) if v.is_empty()));
    assert!(matches!(&found["old"], Attribute::Ints(v) if v == &[4]));
}

#[test]
fn wrong_attributes_are_refused() {
    let reading = |attributes: Vec<AttributeProto>| {
        let mut relu = node("Relu", &["x"], &["y"]);
        relu.attribute = attributes;
        read_graph(graph(&["x"], vec![relu], &["y"]))
    };
    invalid(reading(vec![int("a", 1), int("b", 1), int("a", 2)]), &["'a' is given twice", "Relu_0"]);
    invalid(reading(vec![int("", 1)]), &["without a name"]);
    let mixed = AttributeProto { i: Some(1), ..attribute("a", AttributeType::Float) };
    invalid(reading(vec![mixed]), &["attribute 'a'", "Float", "Int"]);
    invalid(reading(vec![AttributeProto { name: Some("a".into()), ..AttributeProto::default() }]), &["neither"]);
    invalid(reading(vec![attribute("a", AttributeType::Tensor)]), &["no value"]);
    invalid(reading(vec![refer("a", "b", AttributeType::Int)]), &["outside any function"]);
    let bytes = AttributeProto { s: Some(vec![0xff].into()), ..attribute("a", AttributeType::String) };
    invalid(reading(vec![bytes]), &["UTF-8"]);
    let unknown = AttributeProto { r#type: Some(77), ..int("a", 1) };
    refused(reading(vec![unknown]), ErrorKind::Unsupported, &["77"]);
}

#[test]
fn versions_are_checked() {
    let proto = || model(graph(&["x"], vec![node("Relu", &["x"], &["y"])], &["y"]));
    for ir in [3, 14] {
        assert!(read(&ModelProto { ir_version: Some(ir), ..proto() }).is_ok());
    }
    for ir in [1, 2, 15, -1, i64::MAX] {
        let words = [format!("IR version {ir}")];
        refused(read(&ModelProto { ir_version: Some(ir), ..proto() }), ErrorKind::Unsupported, &[&words[0]]);
    }
    invalid(read(&ModelProto { ir_version: None, ..proto() }), &["IR version"]);
    for version in [1, 28] {
        assert!(read(&ModelProto { opset_import: vec![opset("", version)], ..proto() }).is_ok());
    }
    for version in [0, 29] {
        let imports = vec![opset("", version)];
        refused(read(&ModelProto { opset_import: imports, ..proto() }), ErrorKind::Unsupported, &["opset"]);
    }
    invalid(read(&ModelProto { opset_import: vec![opset("", 13), opset("ai.onnx", 14)], ..proto() }), &["disagree"]);
    invalid(read(&ModelProto { opset_import: vec![], ..proto() }), &["'ai.onnx'", "Relu_0"]);
    invalid(read(&ModelProto { graph: None, ..proto() }), &["no graph"]);
}

#[test]
fn domains_of_others_are_read() {
    let mut custom = node("Magic", &["x"], &["y"]);
    custom.domain = Some("com.example".into());
    let mut proto = model(graph(&["x"], vec![custom], &["y"]));
    invalid(read(&proto), &["com.example"]);
    proto.opset_import.push(opset("com.example", 3));
    let graph = read(&proto).unwrap().graph;
    assert_eq!((graph.nodes[0].domain.as_str(), graph.nodes[0].opset), ("com.example", 3));
}
