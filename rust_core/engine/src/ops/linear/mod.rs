//! Linear algebra beyond matrix products: Einsum and Det.

mod det;
mod einsum;

use crate::operator::Row;

pub fn rows() -> impl Iterator<Item = Row> {
    einsum::rows().chain(det::rows())
}
