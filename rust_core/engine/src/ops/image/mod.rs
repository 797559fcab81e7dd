//! Images: decoding files, grids of places, and sampling at them. Upsample is with Resize.

mod affine;
mod decode;
mod decoded;
mod grid;
mod interpolate;
mod jpeg;
mod jpeg2000;

use crate::operator::Row;

pub fn rows() -> impl Iterator<Item = Row> {
    affine::rows().chain(grid::rows()).chain(decode::rows())
}
