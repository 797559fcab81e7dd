//! Reading: from an ONNX file to a [`Model`], without any ONNX library.
//!
//! `file -> Bytes -> proto -> Model`. The file is mapped, not read: weights in `raw_data` and in external files stay
//! windows of their maps. Everything ONNX's IR specification asks of a model is checked here, so that what follows may
//! rely on it: one definition a name, no undefined input, no cycle, typed attributes, data as long as their shapes say.
//! Functions are inlined and values are numbered. Whatever the bytes, the answer is a model or an error; depth, work and
//! memory are bounded by the size of the file and by the budgets named in [`functions`], [`scope`] and [`tensor`].

mod around;
mod attributes;
mod external;
mod functions;
mod graph;
mod model;
mod opsets;
pub mod proto;
mod scope;
mod sort;
mod tensor;
mod types;

pub(crate) use around::is_gradient;

use std::path::Path;

use bytes::Bytes;
use prost::Message;

use crate::error::{Context, Error, Result};
use crate::graph::Model;

use external::{Folder, map_file};
use proto::ModelProto;

#[cfg(target_endian = "big")]
compile_error!(
    "ONNX stores tensors in little-endian order and the engine uses them where they lie: big-endian targets would need every weight swapped"
);

/// Reads the model at `path`. Its external data, if any, must lie in the folder of `path`.
///
/// The file stays mapped as long as a tensor of the model lives; it must not be changed meanwhile.
///
/// # Errors
/// `Io` where a file is missing or may not be read, `InvalidModel` where the bytes break ONNX's rules, `Unsupported`
/// for versions and types this engine does not have, `ResourceLimit` where a budget would be passed.
pub fn read_path(path: &Path) -> Result<Model> {
    let read = || {
        let bytes = map_file(path)?;
        let folder = Folder::of_model(path)?;
        read(bytes, Some(folder))
    };
    read().at(|| format!("model '{}'", path.display()))
}

/// Reads a model from memory. Tensors refer into `bytes`; external data is looked for in `folder`, if one is given.
///
/// # Errors
/// As [`read_path`].
pub fn read_bytes(bytes: Bytes, folder: Option<&Path>) -> Result<Model> {
    let read = || read(bytes, folder.map(Folder::new).transpose()?);
    read().at(|| "model".into())
}

fn read(bytes: Bytes, folder: Option<Folder>) -> Result<Model> {
    if bytes.is_empty() {
        return Err(Error::invalid_model("the file is empty"));
    }
    let proto = ModelProto::decode(bytes)
        .map_err(|error| Error::invalid_model(format!("not an ONNX model: the protobuf cannot be decoded: {error}")))?;
    model::model(&proto, folder)
}

/// The name of a domain: `ai.onnx` is the empty one.
fn normal_domain(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}
