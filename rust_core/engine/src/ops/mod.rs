//! Operators, in families of one name with the reference's: each file has its table of rows.

use crate::operator::Row;

pub mod activation;
pub mod attention;
pub mod axes;
pub mod bitwise;
pub mod cast;
pub mod constant;
pub mod control_flow;
pub mod conv;
pub mod detection;
pub mod dropout;
pub mod elements;
pub mod elementwise;
pub mod gradient;
pub mod image;
pub mod indexing;
pub mod linear;
pub mod logical;
pub mod loss;
pub mod matmul;
pub mod ml;
pub mod mover;
pub mod nbits;
pub mod normalization;
pub mod pool;
pub mod quantization;
pub mod random;
pub mod recurrent;
pub mod reduce;
pub mod resize;
pub mod sequence;
pub mod shape;
pub mod signal;
pub mod softmax;
pub mod sub_byte;
pub mod text;
pub mod training;
pub mod values;
pub mod windows;

/// Every row of every family.
pub fn rows() -> impl Iterator<Item = Row> {
    matmul::rows()
        .chain(linear::rows())
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
        .chain(loss::rows())
        .chain(training::rows())
        .chain(gradient::rows())
        .chain(control_flow::rows())
        .chain(sequence::rows())
        .chain(text::rows())
        .chain(shape::rows())
        .chain(indexing::rows())
        .chain(logical::rows())
        .chain(bitwise::rows())
        .chain(cast::rows())
        .chain(constant::rows())
        .chain(dropout::rows())
        .chain(quantization::rows())
        .chain(nbits::rows())
        .chain(random::rows())
        .chain(ml::rows())
        .chain(attention::rows())
        .chain(signal::rows())
}
