//! Where queries, keys and values lie, how they are read, packed and kept.

use std::ops::Range;

use diptych_kernels::Isa;
use diptych_kernels::gemm::{MatRef, pack_b};

use super::cut::Cut;
use super::sequence::{Ends, Sequence};
use super::{Attention, Number, Part};
use crate::dtype::DType;
use crate::error::Result;
use crate::ops::attention::extents::{Extents, Strides};
use crate::ops::elements::{elements_mut, rooms};
use crate::ops::elementwise::Place;
use crate::run::{Disjoint, KernelCx};

/// Reads rows and widens them: of [`diptych_kernels::attention`], for the types at hand.
pub(in super::super) type Load<W> = unsafe fn(Isa, *const u8, usize, [usize; 2], Option<W>, &mut [W]);

/// Whose bytes they are.
#[derive(Clone, Copy)]
pub(in super::super) enum Home {
    Input(usize),
    /// What the operator prepared, from this byte on.
    Prepared(usize),
}

/// Where heads lie: a view of an input, or of what the operator prepared.
#[derive(Clone, Copy)]
pub(in super::super) struct Source {
    pub home: Home,
    /// Elements before the first head.
    pub offset: usize,
    pub strides: Strides,
}

impl Source {
    /// An input from its first element on.
    pub fn input(input: usize, strides: Strides) -> Source {
        Source { home: Home::Input(input), offset: 0, strides }
    }

    /// The address of the first head. An input that this part of an attention does not read may be absent.
    pub fn locate(&self, cx: &KernelCx<'_>, prepared: &[u8], dtype: DType) -> Place<u8> {
        let start = match self.home {
            Home::Input(input) => cx.slots().get(input).map_or(std::ptr::null(), |slot| slot.ptr.cast_const()),
            Home::Prepared(offset) => prepared[offset..].as_ptr(),
        };
        Place::input(start.wrapping_add(self.offset * dtype.bits() / 8))
    }
}

/// Q, K or V: where its heads lie, how it is read.
#[derive(Clone, Copy)]
pub(in super::super) struct Operand<W> {
    pub own: Source,
    /// The rows before them.
    pub past: Option<Source>,
    pub size: usize,
    pub dtype: DType,
    pub load: Load<W>,
}

/// Where keys or values are kept.
#[derive(Clone, Copy)]
pub(in super::super) struct Present {
    pub output: usize,
    /// Elements before them.
    pub offset: usize,
    /// Keys that a head has room for.
    pub capacity: usize,
    /// Whether the room behind the keys holds what the past has there; else +0.
    pub like_past: bool,
}

/// Keys or values of a run.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a, W> {
    operand: &'a Operand<W>,
    own: Place<u8>,
    past: Place<u8>,
    factor: Option<W>,
}

/// One head of keys and values.
#[derive(Clone, Copy)]
pub(super) struct Head {
    /// Among all.
    pub index: usize,
    pub batch: usize,
    pub head: usize,
    pub sequence: Sequence,
}

impl<W: Number> Operand<W> {
    pub(super) fn locate<'a>(&'a self, cx: &KernelCx<'_>, prepared: &[u8], factor: Option<W>) -> Keys<'a, W> {
        let own = self.own.locate(cx, prepared, self.dtype);
        let past = self.past.map_or(own, |past| past.locate(cx, prepared, self.dtype));
        Keys { operand: self, own, past, factor }
    }
}

impl<W: Number> Keys<'_, W> {
    fn bytes(&self) -> usize {
        self.operand.dtype.bits() / 8
    }

    /// The address of a key of the past, and of one of the operand's own.
    fn past_at(&self, head: &Head, key: usize) -> *const u8 {
        let at = self.operand.past.map_or(0, |past| past.strides.at(head.batch, head.head, key));
        self.past.at(at * self.bytes())
    }

    fn own_at(&self, head: &Head, key: usize) -> *const u8 {
        self.own.at(self.operand.own.strides.at(head.batch, head.head, key) * self.bytes())
    }

    /// The operand's own rows in runs that lie together: where they start, and how many they are.
    fn runs(&self, own: usize) -> impl Iterator<Item = (usize, usize)> {
        let together = self.operand.own.strides.row == self.operand.size;
        let length = if together { own.max(1) } else { 1 };
        (0..own).step_by(length).map(move |at| (at, length))
    }

    /// Rows of a head, those of the past first, +0 behind those that are there.
    pub fn load(&self, isa: Isa, head: &Head, keys: Range<usize>, dst: &mut [W]) {
        let Sequence { past, stored, .. } = head.sequence;
        let (size, load) = (self.operand.size, self.operand.load);
        let [old, there] = [past, stored].map(|end| end.clamp(keys.start, keys.end) - keys.start);
        if old > 0 {
            let stride = self.operand.past.map_or(0, |past| past.strides.row);
            let from = self.past_at(head, keys.start);
            // SAFETY: the past has these rows of the head.
            unsafe { load(isa, from, stride, [old, size], self.factor, dst) };
        }
        if old < there {
            let from = self.own_at(head, keys.start + old - past);
            let (stride, dst) = (self.operand.own.strides.row, &mut dst[old * size..]);
            // SAFETY: the operand has these rows of the head.
            unsafe { load(isa, from, stride, [there - old, size], self.factor, dst) };
        }
        dst[there * size..keys.len() * size].fill(W::default());
    }

    /// Some rows as they lie in memory, where they are of the computing type and not both past and new.
    pub fn lying(&self, head: &Head, keys: &Range<usize>) -> Option<MatRef<'_, W>> {
        let Sequence { past, stored, .. } = head.sequence;
        let size = self.operand.size;
        let (from, stride) = if keys.end <= past {
            (self.past_at(head, keys.start), self.operand.past?.strides.row)
        } else if keys.start >= past && keys.end <= stored {
            (self.own_at(head, keys.start - past), self.operand.own.strides.row)
        } else {
            return None;
        };
        if self.operand.dtype != W::DTYPE || size == 0 || keys.is_empty() {
            return None;
        }
        let len = (keys.len() - 1) * stride + size;
        // SAFETY: these rows are there, of elements of W; nobody writes them while the step runs.
        let rows = unsafe { std::slice::from_raw_parts(from.cast::<W>(), len) };
        Some(MatRef::new(rows, keys.len(), size, stride, 1))
    }
}

impl<W: Number> Attention<W> {
    pub(super) fn head(&self, ends: Ends<'_>, index: usize) -> Head {
        let (batch, head) = (index / self.extents.kv_heads, index % self.extents.kv_heads);
        Head { index, batch, head, sequence: self.sequence(ends, batch) }
    }

    /// Past rows, then the operand's own, then what is behind them: `[batch, heads, capacity, size]`.
    pub(super) fn write_present(
        &self,
        cx: &KernelCx<'_>,
        ends: Ends<'_>,
        keys: &Keys<'_, W>,
        present: Present,
    ) -> Result<()> {
        let Extents { batch, kv_heads, .. } = self.extents;
        let (row, own) = (keys.operand.size * keys.bytes(), self.own_keys());
        let room = present.capacity * row;
        let dst = Place::output(cx.output_ptr::<u8>(present.output).wrapping_add(present.offset * keys.bytes()));
        cx.parallel_ranges(batch * kv_heads, (1 << 18) / room.max(1) + 1, |heads, _| {
            for index in heads {
                let head = self.head(ends, index);
                let (dst, past) = (dst.at(index * room), head.sequence.past);
                let end = past + own;
                // SAFETY: past and operand have these rows, those of the past one after the other, and the output has room
                // for all of them; heads are disjoint.
                unsafe {
                    if past > 0 {
                        keys.past_at(&head, 0).copy_to_nonoverlapping(dst, past * row);
                    }
                    for (at, count) in keys.runs(own) {
                        keys.own_at(&head, at).copy_to_nonoverlapping(dst.add((past + at) * row), count * row);
                    }
                    let (behind, left) = (dst.add(end * row), room - end * row);
                    if present.like_past && left > 0 {
                        keys.past_at(&head, end).copy_to_nonoverlapping(behind, left);
                    } else {
                        behind.write_bytes(0, left);
                    }
                }
            }
        })
    }

    /// Packs all tiles of all heads that a query may reach.
    pub(super) fn pack(
        &self,
        cx: &KernelCx<'_>,
        cut: &Cut,
        ends: Ends<'_>,
        [k, v]: [&Keys<'_, W>; 2],
        [keys, values]: [&mut [W]; 2],
    ) -> Result<()> {
        let Extents { batch, kv_heads, size, v_size, .. } = self.extents;
        let (isa, [key_len, value_len]) = (cx.isa(), cut.lens);
        let (keys, values) = (Disjoint::new(keys), Disjoint::new(values));
        cx.parallel(batch * kv_heads * cut.tiles, |task, scratch| {
            let (head, range) = (self.head(ends, task / cut.tiles), self.tile(task % cut.tiles));
            if range.start >= head.sequence.stored && !self.stores_scores() {
                return;
            }
            let [_, _, _, tile, ..] = rooms(scratch, cut.scratch);
            let tile = elements_mut::<W>(tile);
            // SAFETY: every tile has its own range.
            let (to_keys, to_values) = unsafe {
                let to_keys = keys.range(task * key_len..(task + 1) * key_len);
                (to_keys, values.range(task * value_len..(task + 1) * value_len))
            };
            if !matches!(self.part, Part::Values(..)) {
                k.load(isa, &head, range.clone(), tile);
                pack_b(isa, &MatRef::new(tile, size, range.len(), 1, size), to_keys);
            }
            if !matches!(self.part, Part::Scores(..)) {
                v.load(isa, &head, range.clone(), tile);
                pack_b(isa, &MatRef::row_major(tile, range.len(), v_size), to_values);
            }
        })
    }
}
