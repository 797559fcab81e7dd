//! Normalisations: BatchNormalization, LayerNormalization, LRN (docs/numerics.md, section 4).

mod batch;
mod layer;
mod local;

use crate::operator::Row;

pub fn rows() -> impl Iterator<Item = Row> {
    batch::rows().chain(layer::rows()).chain(local::rows())
}
