//! Attention, FlexAttention, LinearAttention and RotaryEmbedding.

mod dot_product;
mod extents;
mod flex;
mod linear;
mod rotary;
mod run;

use crate::operator::Row;

pub fn rows() -> impl Iterator<Item = Row> {
    dot_product::rows().chain(flex::rows()).chain(linear::rows()).chain(rotary::rows())
}
