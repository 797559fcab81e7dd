//! The attentions of com.microsoft: what they take they put as views before the one core.

mod bias;
mod group_query;
mod multi_head;
mod prepare;
mod projected;
mod rotary;

use crate::operator::Row;

pub fn rows() -> impl Iterator<Item = Row> {
    group_query::rows().chain(multi_head::rows()).chain(projected::rows()).chain(rotary::rows())
}
