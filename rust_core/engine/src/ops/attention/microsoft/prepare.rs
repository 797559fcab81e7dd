//! What is computed before an attention, in rooms of its step's workspace: operands with their bias, turned operands.

use diptych_kernels::attention::add_row;
use diptych_kernels::functions::Float;

use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::ops::attention::core::{Home, Source};
use crate::ops::attention::extents::Strides;
use crate::ops::elementwise::Place;
use crate::run::KernelCx;
use crate::tensor::{ALIGN, element_count};
use crate::with_dtype;

/// Elements worth a thread.
const GRAIN: usize = 1 << 14;

/// Rooms, one after the other.
#[derive(Default)]
pub(super) struct Rooms {
    pub bytes: usize,
}

impl Rooms {
    /// Where a room of so many elements begins, in bytes.
    pub fn room(&mut self, shape: &[usize], bytes: usize) -> Result<usize> {
        let start = self.bytes;
        let size = element_count(&[element_count(shape)?, bytes])?;
        self.bytes = element_count(&[start + size.next_multiple_of(ALIGN)])?;
        Ok(start)
    }
}

/// `[batch, heads, rows, size]` of Q, K or V, and where they lie.
pub(super) type View = ([usize; 4], Source);

/// Room for rows that lie as `[batch, rows, heads * size]`.
pub(super) fn prepared(rooms: &mut Rooms, [batch, heads, rows, size]: [usize; 4], dtype: DType) -> Result<Source> {
    let offset = rooms.room(&[batch, heads, rows, size], dtype.bits() / 8)?;
    Ok(Source { home: Home::Prepared(offset), offset: 0, strides: Strides::of_rows(heads, rows, size) })
}

/// The address of a prepared room that is written.
pub(super) fn room_of<T>(room: &mut [u8], source: &Source) -> Place<T> {
    let Home::Prepared(offset) = source.home else { return Place::output(std::ptr::null_mut()) };
    Place::output(room[offset..].as_mut_ptr().cast())
}

/// `rn(x + bias)` for the heads of an operand.
pub(super) struct AddBias {
    pub from: Source,
    pub to: Source,
    /// `[batch, heads, rows, size]`.
    pub shape: [usize; 4],
    pub dtype: DType,
    /// The bias' input, and its elements before those of this operand.
    pub bias: usize,
    pub offset: usize,
}

impl AddBias {
    pub fn run(&self, cx: &KernelCx<'_>, room: &mut [u8]) -> Result<()> {
        with_dtype!(self.dtype, T in [F32, F16, BF16] => self.run_as::<T>(cx, room),
            else Err(Error::unsupported(format!("attention of {}", self.dtype))))
    }

    fn run_as<T: Element + Float>(&self, cx: &KernelCx<'_>, room: &mut [u8]) -> Result<()> {
        let [batch, heads, rows, size] = self.shape;
        let x: Place<u8> = self.from.locate(cx, &[], self.dtype);
        let bias = Place::input(cx.input_ptr::<T>(self.bias));
        let (y, isa, bytes) = (room_of::<T>(room, &self.to), cx.isa(), size_of::<T>());
        let (from, to, offset) = (self.from.strides, self.to.strides, self.offset);
        cx.parallel_ranges(batch * rows, GRAIN / (heads * size).max(1) + 1, |range, _| {
            for (place, head) in range.flat_map(|place| (0..heads).map(move |head| (place, head))) {
                let [src, dst] = [from, to].map(|strides| strides.at(place / rows, head, place % rows));
                let bias = bias.at(offset + head * size);
                // SAFETY: the head's row, its part of the bias, and its place in the room; rows are disjoint.
                unsafe { add_row::<T>(isa, x.at(src * bytes).cast(), bias, y.at(dst), size) };
            }
        })
    }
}
