//! Reading and writing elements at computed places. Negative indices count from the end; one out of range is an error.

use crate::error::{Error, Result};
use crate::operator::Row;

mod choose;
mod gather;
mod non_zero;
mod one_hot;
mod scatter;
mod tensor_scatter;
mod unique;

/// Indices of GatherElements and ScatterElements: of the data's rank, and beside `axis` no longer than the data.
fn check_elements(data: &[usize], indices: &[usize], axis: usize) -> Result<()> {
    let fits = data.len() == indices.len() && (0..data.len()).all(|i| i == axis || indices[i] <= data[i]);
    if fits {
        return Ok(());
    }
    Err(Error::shape(format!("indices {indices:?} do not fit in data {data:?} beside axis {axis}")))
}

pub fn rows() -> impl Iterator<Item = Row> {
    gather::rows()
        .chain(scatter::rows())
        .chain(tensor_scatter::rows())
        .chain(non_zero::rows())
        .chain(choose::rows())
        .chain(one_hot::rows())
        .chain(unique::rows())
}
