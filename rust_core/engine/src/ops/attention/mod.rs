//! Attention, FlexAttention, LinearAttention and RotaryEmbedding.

mod core;
mod dot_product;
mod extents;
mod flex;
mod linear;
mod microsoft;
mod rotary;

use crate::operator::Row;

pub fn rows() -> impl Iterator<Item = Row> {
    dot_product::rows().chain(flex::rows()).chain(linear::rows()).chain(rotary::rows()).chain(microsoft::rows())
}
