//! Arithmetic of the domain ai.onnx.ml where it is heavy: trees, support vectors, transforms of scores.

pub mod scores;
pub mod svm;
pub mod trees;
