//! Operators, in families of one name with the reference's: each file has its table of rows.

use crate::operator::Row;

pub mod axes;
pub mod control_flow;
pub mod indexing;
pub mod matmul;
pub mod mover;
pub mod shape;
pub mod sub_byte;

/// Every row of every family.
pub fn rows() -> impl Iterator<Item = Row> {
    matmul::rows().chain(control_flow::rows()).chain(shape::rows()).chain(indexing::rows())
}
