//! The domain ai.onnx.ml: trees, linear models, support vectors, encoders, maps.

use crate::operator::{Builder, Row, rows_of};

mod encoders;
mod features;
mod labels;
mod linear;
mod maps;
mod model;
mod svm;
mod trees;

/// Rows of this domain.
fn versions(op_type: &'static str, since: &'static [i64], build: Builder) -> impl Iterator<Item = Row> {
    rows_of("ai.onnx.ml", op_type, since, build)
}

pub fn rows() -> impl Iterator<Item = Row> {
    trees::rows()
        .chain(linear::rows())
        .chain(svm::rows())
        .chain(features::rows())
        .chain(encoders::rows())
        .chain(maps::rows())
}
