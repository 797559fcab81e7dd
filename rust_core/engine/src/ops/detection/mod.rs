//! Detection: regions of interest pooled from a feature map, and the choice among overlapping boxes.

mod align;
mod boxes;
mod max_roi;

use crate::operator::Row;

pub fn rows() -> impl Iterator<Item = Row> {
    max_roi::rows().chain(align::rows()).chain(boxes::rows())
}
