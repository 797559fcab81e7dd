//! Operators, in families of one name with the reference's: each file has its table of rows.

use crate::operator::Row;

pub mod matmul;

/// Every row of every family.
pub fn rows() -> impl Iterator<Item = Row> {
    matmul::rows()
}
