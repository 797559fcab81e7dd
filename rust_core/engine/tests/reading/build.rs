//! Models in a few words.

use bytes::Bytes;
use diptych_engine::error::{ErrorKind, Result};
use diptych_engine::graph::{Graph, Model};
use diptych_engine::onnx::proto::*;
use diptych_engine::onnx::read_bytes;
use prost::Message;

/// `node("Add", &["a", "b"], &["c"])`.
pub fn node(op_type: &str, input: &[&str], output: &[&str]) -> NodeProto {
    NodeProto { op_type: Some(op_type.into()), input: texts(input), output: texts(output), ..NodeProto::default() }
}

/// A call of a function in the domain `local`.
pub fn call(function: &str, name: &str, input: &[&str], output: &[&str]) -> NodeProto {
    NodeProto { domain: Some("local".into()), name: Some(name.into()), ..node(function, input, output) }
}

pub fn with(mut node: NodeProto, attribute: AttributeProto) -> NodeProto {
    node.attribute.push(attribute);
    node
}

pub fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).into()).collect()
}

pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: Some(value), ..attribute(name, AttributeType::Int) }
}

pub fn subgraph(name: &str, graph: GraphProto) -> AttributeProto {
    AttributeProto { g: Some(Box::new(graph)), ..attribute(name, AttributeType::Graph) }
}

/// An attribute of a function's node that takes the value of the function's.
pub fn refer(name: &str, target: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { ref_attr_name: Some(target.into()), ..attribute(name, kind) }
}

pub fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: Some(name.into()), r#type: Some(kind as i32), ..AttributeProto::default() }
}

/// A float input of shape `[N, 2]`.
pub fn value(name: &str) -> ValueInfoProto {
    let dim = |value| Dimension { value: Some(value) };
    let dims = vec![dim(DimensionValue::DimParam("N".into())), dim(DimensionValue::DimValue(2))];
    typed_value(name, TensorTypeProto { elem_type: Some(1), shape: Some(TensorShapeProto { dim: dims }) })
}

pub fn typed_value(name: &str, tensor: TensorTypeProto) -> ValueInfoProto {
    let r#type = TypeProto { value: Some(TypeValue::TensorType(tensor)) };
    ValueInfoProto { name: Some(name.into()), r#type: Some(r#type) }
}

pub fn floats(name: &str, dims: &[i64], data: &[f32]) -> TensorProto {
    TensorProto {
        name: Some(name.into()),
        dims: dims.into(),
        data_type: Some(1),
        float_data: data.into(),
        ..TensorProto::default()
    }
}

pub fn raw(name: &str, data_type: i32, dims: &[i64], data: &[u8]) -> TensorProto {
    TensorProto {
        name: Some(name.into()),
        dims: dims.into(),
        data_type: Some(data_type),
        raw_data: Some(Bytes::copy_from_slice(data)),
        ..TensorProto::default()
    }
}

pub fn graph(inputs: &[&str], nodes: Vec<NodeProto>, outputs: &[&str]) -> GraphProto {
    GraphProto {
        name: Some("main".into()),
        input: inputs.iter().map(|name| value(name)).collect(),
        output: outputs.iter().map(|name| value(name)).collect(),
        node: nodes,
        ..GraphProto::default()
    }
}

pub fn opset(domain: &str, version: i64) -> OperatorSetIdProto {
    OperatorSetIdProto { domain: Some(domain.into()), version: Some(version) }
}

pub fn model(graph: GraphProto) -> ModelProto {
    ModelProto { ir_version: Some(10), opset_import: vec![opset("", 21)], graph: Some(graph), ..ModelProto::default() }
}

pub fn function(name: &str, input: &[&str], output: &[&str], nodes: Vec<NodeProto>) -> FunctionProto {
    FunctionProto {
        name: Some(name.into()),
        domain: Some("local".into()),
        input: texts(input),
        output: texts(output),
        node: nodes,
        opset_import: vec![opset("", 18)],
        ..FunctionProto::default()
    }
}

pub fn encode(model: &ModelProto) -> Bytes {
    model.encode_to_vec().into()
}

pub fn read(model: &ModelProto) -> Result<Model> {
    read_bytes(encode(model), None)
}

pub fn read_graph(graph: GraphProto) -> Result<Model> {
    read(&model(graph))
}

/// The model must be refused with this kind of error, saying each of these words.
#[track_caller]
pub fn refused(result: Result<Model>, kind: ErrorKind, words: &[&str]) {
    let error = result.expect_err("the model should be refused");
    let text = error.to_string();
    assert_eq!(error.kind(), kind, "{text}");
    for word in words {
        assert!(text.contains(word), "'{word}' is missing in: {text}");
    }
}

#[track_caller]
pub fn invalid(result: Result<Model>, words: &[&str]) {
    refused(result, ErrorKind::InvalidModel, words);
}

pub fn op_types(graph: &Graph) -> Vec<&str> {
    graph.nodes.iter().map(|node| node.op_type.as_str()).collect()
}

/// The names of some values.
pub fn names<'g>(graph: &'g Graph, ids: &[usize]) -> Vec<&'g str> {
    ids.iter().map(|&id| graph.value_name(id)).collect()
}

/// `Add(a, b) -> c` for every node, with `_` for what is absent.
pub fn listing(graph: &Graph) -> Vec<String> {
    let edges = |ids: &[Option<usize>]| {
        let names: Vec<_> = ids.iter().map(|id| id.map_or("_", |id| graph.value_name(id))).collect();
        names.join(", ")
    };
    let line = |node: &diptych_engine::graph::Node| {
        format!("{}({}) -> {}", node.op_type, edges(&node.inputs), edges(&node.outputs))
    };
    graph.nodes.iter().map(line).collect()
}
