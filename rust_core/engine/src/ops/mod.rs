//! Operators, in families of one name with the reference's: each file has its table of rows.

use crate::operator::Row;

pub mod activation;
pub mod axes;
pub mod cast;
pub mod constant;
pub mod control_flow;
pub mod conv;
pub mod detection;
pub mod dropout;
pub mod elements;
pub mod elementwise;
pub mod image;
pub mod indexing;
pub mod logical;
pub mod matmul;
pub mod mover;
pub mod normalization;
pub mod pool;
pub mod quantization;
pub mod recurrent;
pub mod reduce;
pub mod resize;
pub mod shape;
pub mod softmax;
pub mod sub_byte;
pub mod windows;

/// Every row of every family.
pub fn rows() -> impl Iterator<Item = Row> {
    matmul::rows()
        .chain(conv::rows())
        .chain(pool::rows())
        .chain(resize::rows())
        .chain(detection::rows())
        .chain(image::rows())
        .chain(recurrent::rows())
        .chain(elementwise::rows())
        .chain(activation::rows())
        .chain(reduce::rows())
        .chain(softmax::rows())
        .chain(normalization::rows())
        .chain(control_flow::rows())
        .chain(shape::rows())
        .chain(indexing::rows())
        .chain(logical::rows())
        .chain(cast::rows())
        .chain(constant::rows())
        .chain(dropout::rows())
        .chain(quantization::rows())
}
