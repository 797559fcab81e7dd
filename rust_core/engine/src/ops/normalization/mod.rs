//! Normalisations: over the batch, rows, groups, channels, any axes (docs/numerics.md, section 4).

mod axes;
mod batch;
mod embed;
mod group;
mod layer;
mod local;
mod rows;
mod skip;

pub(crate) use axes::spread;

use crate::operator::Row;

pub fn rows() -> impl Iterator<Item = Row> {
    batch::rows()
        .chain(layer::rows())
        .chain(group::rows())
        .chain(axes::rows())
        .chain(local::rows())
        .chain(skip::rows())
        .chain(embed::rows())
}
