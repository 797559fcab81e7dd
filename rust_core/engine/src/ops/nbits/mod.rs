//! Weights of a few bits in blocks: MatMulNBits and GatherBlockQuantized of com.microsoft.

use crate::error::{Error, Result};
use crate::operator::Row;

mod gather;
mod operands;
mod product;

/// Bits of an integer: 2, 4 or 8.
fn checked_bits(bits: i64) -> Result<usize> {
    match bits {
        bits @ (2 | 4 | 8) => Ok(bits as usize),
        bits => Err(Error::invalid_model(format!("bits is {bits}, expected 2, 4 or 8"))),
    }
}

/// A block size, of integers at least.
fn checked_block(block: i64) -> Result<usize> {
    let size = usize::try_from(block).ok().filter(|size| *size >= 16 && size.is_power_of_two());
    size.ok_or_else(|| Error::invalid_model(format!("block_size is {block}, expected a power of two from 16 on")))
}

/// Element `i` of packed integers of `bits` bits, the first in the lowest bits.
pub fn code(bytes: &[u8], bits: usize, i: usize) -> u8 {
    let bit = i * bits;
    (bytes[bit / 8] >> (bit % 8)) & (0xff >> (8 - bits))
}

pub fn rows() -> impl Iterator<Item = Row> {
    product::rows().chain(gather::rows())
}
