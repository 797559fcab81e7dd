//! Models: `ModelProto` to [`Model`].

use std::rc::Rc;

use crate::error::{Context, Error, Result};
use crate::graph::Model;

use super::external::Folder;
use super::functions::Functions;
use super::graph::Builder;
use super::opsets::Opsets;
use super::proto::ModelProto;
use super::tensor::TensorReader;

/// IR versions that the engine reads. Before 3 models had no opset imports.
const IR_VERSIONS: std::ops::RangeInclusive<i64> = 3..=14;

/// The model of a decoded file.
pub(super) fn model(proto: &ModelProto, folder: Option<Folder>) -> Result<Model> {
    let ir_version = proto.ir_version.unwrap_or_default();
    check_ir_version(ir_version)?;
    let (opsets, order) = Opsets::read(&proto.opset_import)?;
    let graph = proto.graph.as_ref().ok_or_else(|| Error::invalid_model("the model has no graph"))?;
    let mut builder = Builder::new(TensorReader::new(folder), Functions::new(&proto.functions)?);
    let name = graph.name.as_deref().unwrap_or_default();
    let (graph, _) = builder.graph(graph, Some(Rc::new(opsets))).at(|| format!("graph '{name}'"))?;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    Ok(Model {
        graph,
        ir_version,
        opsets: order,
        producer_name: text(&proto.producer_name),
        producer_version: text(&proto.producer_version),
        domain: text(&proto.domain),
        model_version: proto.model_version.unwrap_or_default(),
        doc_string: text(&proto.doc_string),
        metadata: proto.metadata_props.iter().map(|entry| (text(&entry.key), text(&entry.value))).collect(),
    })
}

fn check_ir_version(version: i64) -> Result<()> {
    let (first, last) = (IR_VERSIONS.start(), IR_VERSIONS.end());
    match version {
        0 => Err(Error::invalid_model("the model states no IR version: not an ONNX model, or a damaged one")),
        _ if IR_VERSIONS.contains(&version) => Ok(()),
        _ if version < *first => Err(Error::unsupported(format!(
            "IR version {version}: this engine reads {first} to {last}, for older models import no operator sets"
        ))),
        _ => Err(Error::unsupported(format!(
            "IR version {version}: this engine reads {first} to {last}; export the model with an older ONNX or update Diptych"
        ))),
    }
}
