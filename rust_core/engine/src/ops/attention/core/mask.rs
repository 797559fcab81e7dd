//! What is added to scores before their Softmax.

use std::ops::Range;

use diptych_kernels::Isa;
use diptych_kernels::attention::{accumulate, add_mask};

use super::block::{Query, Shared};
use super::operand::Load;
use super::{Attention, Number};
use crate::dtype::DType;
use crate::error::Result;
use crate::ops::cast::cast_bytes;
use crate::ops::elementwise::Place;
use crate::run::{Disjoint, KernelCx};

/// Adds a row to scores: of [`diptych_kernels::attention`], for the types at hand.
pub(in super::super) type AddMask<W> = unsafe fn(Isa, *const u8, usize, &mut [W]) -> usize;

/// A bias of the scores, an input.
#[derive(Clone, Copy)]
pub(in super::super) struct Mask<W> {
    pub input: usize,
    /// Elements between batches, heads, queries and keys; 0 broadcasts.
    pub strides: [usize; 4],
    /// Keys that it covers: the others take no part.
    pub keys: usize,
    /// Bytes of an element, how it is added, and, beside a padding, how its rows are read.
    pub bytes: usize,
    pub add: AddMask<W>,
    pub load: Load<W>,
    /// Its own type and the one it is converted to first, with the number of its elements.
    pub converted: Option<(DType, DType, usize)>,
}

/// A bias that the operator prepared, a number for each key.
#[derive(Clone, Copy)]
pub(in super::super) struct Padding {
    /// Where it lies, in bytes.
    pub offset: usize,
    /// Elements between batches and queries; 0 broadcasts.
    pub batch: usize,
    pub row: usize,
}

impl<W> Mask<W> {
    /// The byte where the element for a query and a key lies.
    fn at(&self, query: &Query, key: usize) -> usize {
        let [batch, head, row, each] = self.strides;
        (query.batch * batch + query.head * head + query.row * row + key * each) * self.bytes
    }
}

impl<W: Number> Attention<W> {
    /// The mask as blocks read it.
    pub(super) fn ready_mask(&self, cx: &KernelCx<'_>, room: &mut [u8]) -> Result<Place<u8>> {
        let Some(mask) = self.mask else { return Ok(Place::input(std::ptr::null())) };
        let Some((from, to, count)) = mask.converted else { return Ok(Place::input(cx.input_ptr(mask.input))) };
        let (x, isa) = (cx.input_bytes(mask.input), cx.isa());
        let [old, new] = [from, to].map(|dtype| dtype.bits() / 8);
        let out = Disjoint::new(&mut room[..count * new]);
        cx.parallel_ranges(count, 1 << 15, |range, _| {
            // SAFETY: ranges do not overlap.
            let out = unsafe { out.range(range.start * new..range.end * new) };
            let done = cast_bytes(isa, from, &x[range.start * old..range.end * old], to, out);
            debug_assert!(done.is_ok(), "the plan converts plain numbers alone");
        })?;
        Ok(Place::input(room.as_ptr()))
    }

    /// Adds the biases to a row of scores, of which those in `inside` may take part; -inf for all that do not. Returns how many do.
    /// `room` is as long as the row.
    pub(super) fn add_bias(
        &self,
        shared: &Shared<'_, W>,
        query: &Query,
        start: usize,
        inside: Range<usize>,
        row: &mut [W],
        room: &mut [W],
    ) -> usize {
        let none = W::from_f32(f32::NEG_INFINITY);
        let covered =
            self.mask.map_or(inside.end, |mask| inside.end.min(mask.keys.saturating_sub(start))).max(inside.start);
        row[..inside.start].fill(none);
        row[covered..].fill(none);
        self.add_to(shared, query, start + inside.start, &mut row[inside.start..covered], room)
    }

    /// Adds the biases of some keys, from `key` on, all of which the mask covers.
    fn add_to(&self, shared: &Shared<'_, W>, query: &Query, key: usize, row: &mut [W], room: &mut [W]) -> usize {
        let n = row.len();
        if n == 0 {
            return 0;
        }
        let mask = self.mask.map(|mask| (mask, shared.mask.at(mask.at(query, key))));
        let padding = self.padding.map(|padding| {
            let at = query.batch * padding.batch + query.row * padding.row + key;
            // SAFETY: the padding has a number for each of these keys, which nobody writes while the step runs.
            unsafe { std::slice::from_raw_parts(shared.padding.at(at), n) }
        });
        match (mask, padding) {
            (None, None) => n,
            // SAFETY: the mask has an element for each of these keys, or one for all.
            (Some((mask, at)), None) => unsafe { (mask.add)(shared.isa, at, mask.strides[3], row) },
            // SAFETY: the padding has as many numbers as the row.
            (None, Some(padding)) => unsafe { add_mask::<W, W>(shared.isa, padding.as_ptr().cast(), 1, row) },
            (Some((mask, at)), Some(padding)) => {
                let sums = &mut room[..n];
                // SAFETY: the mask has an element for each of these keys, one after the other.
                unsafe { (mask.load)(shared.isa, at, n, [1, n], None, sums) };
                accumulate(shared.isa, W::ONE, padding, sums);
                // SAFETY: there are as many sums as scores.
                unsafe { add_mask::<W, W>(shared.isa, sums.as_ptr().cast(), 1, row) }
            }
        }
    }

    /// Whether the biases let a key take part.
    pub(super) fn takes_part(&self, shared: &Shared<'_, W>, query: &Query, key: usize) -> bool {
        let covered = self.mask.is_none_or(|mask| key < mask.keys);
        covered && self.add_to(shared, query, key, &mut [W::default()], &mut [W::default()]) == 1
    }
}
