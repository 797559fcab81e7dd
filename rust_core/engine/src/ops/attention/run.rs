//! The step of an attention: blocks of queries, each with all its scores in scratch.
//!
//! A block's scores are products with tiles of keys, its results products with tiles of values, chained over the tiles in order.
//! Where several blocks share a head's keys, tiles are packed once, ahead of all blocks; else (decoding) each block reads them as
//! they lie. The bits depend on neither, nor on the sizes of blocks and tiles.

use std::ops::Range;

use diptych_kernels::Isa;
use diptych_kernels::attention::{Computed, accumulate, has_nan, softcap};
use diptych_kernels::gemm::{Gemm, MatMut, MatRef, PackedB, Right, gemm, pack_b, packed_b_len, scratch_len};
use smallvec::SmallVec;

use super::extents::{Extents, Strides};
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{KernelStep, OutputType};
use crate::ops::cast::cast_bytes;
use crate::ops::elements::{buffer_bytes, elements_mut, rooms, rooms_bytes};
use crate::ops::elementwise::Place;
use crate::run::{Disjoint, KernelCx, RawSlot};

/// Keys of a tile: whole panels of every instruction set.
const TILE: usize = 128;
/// Queries of a block: whole register tiles of the common heights.
const BLOCK: usize = 48;
/// Bytes of a block's scores, about half a second-level cache.
const SCORES: usize = 1 << 20;
/// Lanes of a lane sum, where the part of a row that Softmax sees begins.
const LANES: usize = 16;
/// Work worth a task of its own, in nanoseconds.
const TASK: u64 = 20_000;

/// f32 or f64.
pub(super) trait Number: Computed + Element {}
impl Number for f32 {}
impl Number for f64 {}

/// Kernels of [`diptych_kernels::attention`] for the types at hand.
pub(super) type Load<W> = unsafe fn(Isa, *const u8, usize, [usize; 2], Option<W>, &mut [W]);
pub(super) type Store<W> = unsafe fn(Isa, bool, &[W], *mut u8);
pub(super) type AddMask<W> = unsafe fn(Isa, *const u8, usize, &mut [W]) -> usize;
pub(super) type SoftmaxRow<W> = fn(Isa, usize, &mut [W], &mut [f64]);

/// Q, K or V: which input, where its heads lie, how it is read.
#[derive(Clone, Copy)]
pub(super) struct Operand<W> {
    pub input: usize,
    /// The input with the rows before it, `[batch, heads, past, size]`.
    pub past_input: usize,
    pub strides: Strides,
    pub size: usize,
    pub dtype: DType,
    pub load: Load<W>,
}

/// A bias of the scores.
#[derive(Clone, Copy)]
pub(super) struct Mask<W> {
    pub input: usize,
    /// Elements between batches, heads, queries and keys; 0 broadcasts.
    pub strides: [usize; 4],
    /// Keys that it covers: the others take no part.
    pub keys: usize,
    /// Bytes of an element, and how it is added.
    pub bytes: usize,
    pub add: AddMask<W>,
    /// Its own type and the one it is converted to first, with the number of its elements.
    pub converted: Option<(DType, DType, usize)>,
}

/// Which keys a query at position p may attend, besides those of its sequence.
#[derive(Clone, Copy, Default)]
pub(super) struct Bounds {
    /// From `p - left` on.
    pub left: Option<i64>,
    /// Up to `p + right`.
    pub right: Option<i64>,
    /// The input with each sequence's keys, whose last one is the last query's.
    pub lengths: Option<usize>,
}

/// What is computed.
#[derive(Clone, Copy)]
pub(super) enum Part<W> {
    /// Scores, their Softmax, results. The scores are stored at a stage: 0 raw, 1 capped, 2 biased, 3 probabilities.
    Whole { results: Store<W>, scores: Option<(i64, Store<W>)> },
    /// Scores alone.
    Scores(Store<W>),
    /// Results from probabilities `[batch, heads, rows, keys]`, input 0.
    Values(Load<W>, Store<W>),
}

pub(super) struct Attention<W> {
    pub extents: Extents,
    pub q: Operand<W>,
    pub k: Operand<W>,
    pub v: Operand<W>,
    /// The factor of queries and of keys.
    pub factor: W,
    pub cap: Option<W>,
    pub bounds: Bounds,
    pub mask: Option<Mask<W>>,
    pub softmax: SoftmaxRow<W>,
    pub part: Part<W>,
    /// Where heads lie in the results, and the bytes of one of their elements and of a stored score.
    pub y: Strides,
    pub y_bytes: usize,
    pub score_bytes: usize,
    /// The outputs with the scores and with present keys and values, if they are wanted.
    pub scores_output: usize,
    pub present: [Option<usize>; 2],
}

/// How an attention is cut, and what memory that takes.
#[derive(Clone, Copy)]
struct Cut {
    /// Queries of a block, blocks of a query head (1 if a block has several heads), blocks of a key head.
    block: usize,
    parts: usize,
    pieces: usize,
    tiles: usize,
    packed: bool,
    /// Elements of a packed tile of keys and of values.
    lens: [usize; 2],
    /// Rooms of the workspace: packed keys and values, the converted mask.
    workspace: [usize; 3],
    /// Rooms of scratch: queries, scores, results, a tile, a row of Softmax, the products' own.
    scratch: [usize; 6],
}

/// What the blocks of a run share.
struct Shared<'a, W> {
    isa: Isa,
    cut: Cut,
    slots: &'a [RawSlot],
    lengths: Option<&'a [i64]>,
    mask: Place<u8>,
    keys: &'a [W],
    values: &'a [W],
    y: Place<u8>,
    scores: Place<u8>,
}

impl<W: Number> Attention<W> {
    pub fn step(self, outputs: Vec<OutputType>, isa: Isa, threads: usize) -> Result<KernelStep> {
        let Extents { batch, rows, keys, size, v_size, .. } = self.extents;
        let work = [batch, self.extents.q_heads(), rows, keys];
        let products = work.iter().fold((size + v_size) as u64, |all, &n| all.saturating_mul(n as u64));
        let exponentials = work.iter().fold(1u64, |all, &n| all.saturating_mul(n as u64));
        let cost = (products / 25).saturating_add(exponentials).saturating_add(500);
        let cut = self.cut(isa, threads)?;
        let (workspace, scratch) = (rooms_bytes(&cut.workspace)?, rooms_bytes(&cut.scratch)?);
        let step = KernelStep::with_outputs(outputs, move |cx| self.run(cx, cut, cost));
        Ok(step.workspace(workspace).scratch(scratch).cost(cost))
    }

    fn cut(&self, isa: Isa, threads: usize) -> Result<Cut> {
        let Extents { batch, kv_heads, group, rows, keys, size, v_size, .. } = self.extents;
        let (heads, all) = (batch * kv_heads, group * rows);
        // Keys that a block can reach: all, or those of a window.
        let reach = match (self.bounds.left, self.bounds.right, self.stores_scores()) {
            (Some(left), Some(right), false) => {
                let window = left.saturating_add(right).clamp(0, 1 << 48) as usize;
                keys.min(window + BLOCK.min(rows) + 2 * TILE)
            }
            _ => keys,
        };
        let fitting = (SCORES / size_of::<W>() / reach.max(1)).clamp(8, BLOCK);
        let fitting = fitting.min(all.div_ceil(threads.div_ceil(heads.max(1)))).max(1);
        // Equal parts of a head, or as many whole heads as fit.
        let parts = rows.div_ceil(fitting);
        let (block, pieces) = if parts > 1 {
            (rows.div_ceil(parts), group * parts)
        } else {
            let together = (fitting / rows.max(1)).max(1);
            (together * rows, group.div_ceil(together))
        };
        let parts = parts.max(1);
        let tiles = keys.div_ceil(TILE);
        let packed = pieces > 1;
        let tile = [(size, TILE), (TILE, v_size)].map(|(k, n)| packed_b_len::<W>(isa, k, n));
        let [Some(key_len), Some(value_len)] = tile else {
            return Err(Error::resource_limit("keys or values are too large to pack"));
        };
        let room = |len: usize| buffer_bytes::<W>(&[usize::from(packed), heads, tiles, len]);
        let converted = self.mask.and_then(|mask| mask.converted).map_or(0, |(_, _, count)| count);
        let product = scratch_len::<W>(isa, block, TILE, size).max(scratch_len::<W>(isa, block, v_size, TILE));
        Ok(Cut {
            block,
            parts,
            pieces,
            tiles,
            packed,
            lens: [key_len, value_len],
            workspace: [room(key_len)?, room(value_len)?, buffer_bytes::<f64>(&[converted])?],
            scratch: [
                buffer_bytes::<W>(&[block, size])?,
                buffer_bytes::<W>(&[block, reach])?,
                buffer_bytes::<W>(&[block, v_size])?,
                buffer_bytes::<W>(&[TILE, size.max(v_size)])?,
                buffer_bytes::<f64>(&[reach])?,
                buffer_bytes::<W>(&[product])?,
            ],
        })
    }

    fn stores_scores(&self) -> bool {
        !matches!(self.part, Part::Whole { scores: None, .. })
    }

    fn run(&self, cx: &KernelCx<'_>, cut: Cut, cost: u64) -> Result<()> {
        let Extents { batch, kv_heads, .. } = self.extents;
        let lengths = self.bounds.lengths.map(|input| cx.input::<i64>(input));
        if let Some(wrong) = lengths.and_then(|all| all.iter().find(|&&n| n < 0 || n as usize > self.extents.keys)) {
            let message = format!("nonpad_kv_seqlen has {wrong}, expected 0 to {} keys", self.extents.keys);
            return Err(Error::invalid_input(message));
        }
        for (output, operand) in self.present.iter().zip([&self.k, &self.v]) {
            if let Some(output) = output.filter(|&output| cx.has_output(output)) {
                self.write_present(cx, operand, output)?;
            }
        }
        let [keys, values, mask_room] = rooms(cx.workspace(), cut.workspace);
        let mask = self.ready_mask(cx, mask_room)?;
        let (keys, values) = (elements_mut::<W>(keys), elements_mut::<W>(values));
        if cut.packed {
            self.pack(cx, &cut, keys, values)?;
        }
        let shared = Shared {
            isa: cx.isa(),
            cut,
            slots: cx.slots(),
            lengths,
            mask,
            keys,
            values,
            y: Place::output(cx.output_ptr::<u8>(0)),
            scores: Place::output(if self.stores_scores() {
                cx.output_ptr(self.scores_output)
            } else {
                std::ptr::null_mut()
            }),
        };
        let tasks = batch * kv_heads * cut.pieces;
        let grain = (TASK.saturating_mul(tasks as u64) / cost).max(1) as usize;
        cx.parallel_ranges(tasks, grain, |range, scratch| {
            for task in range {
                self.block(&shared, task, scratch);
            }
        })
    }

    /// Past rows and then the operand's own, `[batch, heads, rows, size]`.
    fn write_present(&self, cx: &KernelCx<'_>, operand: &Operand<W>, output: usize) -> Result<()> {
        let Extents { batch, kv_heads, past, keys, .. } = self.extents;
        let bytes = operand.dtype.bits() / 8;
        let (slots, dst) = (cx.slots(), Place::output(cx.output_ptr::<u8>(output)));
        let row = operand.size * bytes;
        cx.parallel_ranges(batch * kv_heads, (1 << 18) / (keys * row).max(1) + 1, |heads, _| {
            for (head, j) in heads.flat_map(|head| (0..keys).map(move |j| (head, j))) {
                let (source, at) = if j < past {
                    (slots[operand.past_input].ptr, (head * past + j) * operand.size)
                } else {
                    (slots[operand.input].ptr, operand.strides.at(head / kv_heads, head % kv_heads, j - past))
                };
                // SAFETY: row j of the head, of which source and destination have `row` bytes; heads are disjoint.
                unsafe { source.add(at * bytes).copy_to_nonoverlapping(dst.at((head * keys + j) * row), row) };
            }
        })
    }

    /// The mask as blocks read it.
    fn ready_mask(&self, cx: &KernelCx<'_>, room: &mut [u8]) -> Result<Place<u8>> {
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

    /// Packs all tiles of all heads.
    fn pack(&self, cx: &KernelCx<'_>, cut: &Cut, keys: &mut [W], values: &mut [W]) -> Result<()> {
        let Extents { batch, kv_heads, size, v_size, .. } = self.extents;
        let (isa, slots, [key_len, value_len]) = (cx.isa(), cx.slots(), cut.lens);
        let (keys, values) = (Disjoint::new(keys), Disjoint::new(values));
        cx.parallel(batch * kv_heads * cut.tiles, |task, scratch| {
            let (head, range) = (task / cut.tiles, self.tile(task % cut.tiles));
            let [_, _, _, tile, ..] = rooms(scratch, cut.scratch);
            let tile = elements_mut::<W>(tile);
            // SAFETY: every tile has its own range.
            let (k, v) = unsafe {
                let k = keys.range(task * key_len..(task + 1) * key_len);
                (k, values.range(task * value_len..(task + 1) * value_len))
            };
            if !matches!(self.part, Part::Values(..)) {
                self.load_keys(isa, slots, &self.k, head, range.clone(), Some(self.factor), tile);
                pack_b(isa, &MatRef::new(tile, size, range.len(), 1, size), k);
            }
            if !matches!(self.part, Part::Scores(..)) {
                self.load_keys(isa, slots, &self.v, head, range.clone(), None, tile);
                pack_b(isa, &MatRef::row_major(tile, range.len(), v_size), v);
            }
        })
    }

    /// The keys of a tile.
    fn tile(&self, index: usize) -> Range<usize> {
        index * TILE..((index + 1) * TILE).min(self.extents.keys)
    }

    /// Rows of K or V of one head, those of the past first.
    #[allow(clippy::too_many_arguments)]
    fn load_keys(
        &self,
        isa: Isa,
        slots: &[RawSlot],
        operand: &Operand<W>,
        head: usize,
        keys: Range<usize>,
        factor: Option<W>,
        dst: &mut [W],
    ) {
        let Extents { kv_heads, past, .. } = self.extents;
        let (size, bytes) = (operand.size, operand.dtype.bits() / 8);
        let old = past.clamp(keys.start, keys.end) - keys.start;
        if old > 0 {
            let at = (head * past + keys.start) * size * bytes;
            // SAFETY: the past has these rows of the head.
            unsafe { (operand.load)(isa, slots[operand.past_input].ptr.add(at), size, [old, size], factor, dst) };
        }
        if old < keys.len() {
            let at = operand.strides.at(head / kv_heads, head % kv_heads, keys.start + old - past) * bytes;
            let (rows, stride) = (keys.len() - old, operand.strides.row);
            // SAFETY: the operand has these rows of the head.
            unsafe {
                (operand.load)(
                    isa,
                    slots[operand.input].ptr.add(at),
                    stride,
                    [rows, size],
                    factor,
                    &mut dst[old * size..],
                )
            };
        }
    }

    /// The keys that query `row` of a batch may attend, the mask aside.
    fn range(&self, lengths: Option<&[i64]>, batch: usize, row: usize) -> Range<usize> {
        const FAR: i64 = 1 << 62;
        let (rows, keys) = (self.extents.rows as i64, self.extents.keys as i64);
        let end = lengths.map_or(keys, |all| all[batch]);
        let position = lengths.map_or(self.extents.past as i64, |all| all[batch] - rows) + row as i64;
        let first = self.bounds.left.map_or(0, |left| position - left.min(FAR)).clamp(0, keys);
        let last = self.bounds.right.map_or(end, |right| (position + right.min(FAR) + 1).min(end)).clamp(first, keys);
        first as usize..last as usize
    }

    /// One block of queries of one key head.
    fn block(&self, shared: &Shared<'_, W>, task: usize, scratch: &mut [u8]) {
        let Extents { kv_heads, group, rows, size, v_size, .. } = self.extents;
        let Cut { block, parts, pieces, .. } = shared.cut;
        let (head, piece) = (task / pieces, task % pieces);
        // Queries of all heads of the group, one after the other.
        let (first, end) = if parts > 1 {
            (piece / parts * rows + piece % parts * block, (piece / parts + 1) * rows)
        } else {
            (piece * block, group * rows)
        };
        let queries: SmallVec<[Query; BLOCK]> = (first..(first + block).min(end))
            .map(|index| Query {
                batch: head / kv_heads,
                head: head % kv_heads * group + index / rows,
                row: index % rows,
                keys: self.range(shared.lengths, head / kv_heads, index % rows),
            })
            .collect();
        let tiles = self.span(&queries);
        let keys = if tiles.is_empty() { 0..0 } else { tiles.start * TILE..self.tile(tiles.end - 1).end };
        let [q, x, y, tile, room, product] = rooms(scratch, shared.cut.scratch);
        let [q, x, y, tile, product] = [q, x, y, tile, product].map(|room| elements_mut::<W>(room));
        let (x, y) = (&mut x[..queries.len() * keys.len()], &mut y[..queries.len() * v_size]);
        if let Part::Values(load, _) = self.part {
            for (row, query) in x.chunks_exact_mut(keys.len().max(1)).zip(&queries) {
                let at = self.score_row(query) * self.score_bytes;
                // SAFETY: the input has the row.
                unsafe { load(shared.isa, shared.slots[0].ptr.add(at), keys.len(), [1, keys.len()], None, row) };
            }
        } else {
            self.load_queries(shared, &queries, q);
            let q = MatRef::row_major(q, queries.len(), size);
            for index in tiles.clone() {
                self.multiply_keys(shared, head, index, &q, x, &keys, [&mut *tile, &mut *product]);
            }
        }
        let mut left: SmallVec<[usize; BLOCK]> = SmallVec::from_elem(keys.len(), queries.len());
        if !keys.is_empty() {
            for ((row, query), left) in x.chunks_exact_mut(keys.len()).zip(&queries).zip(&mut left) {
                *left = self.finish_scores(shared, query, &keys, row, elements_mut(room));
            }
        }
        let (Part::Whole { results: store, .. } | Part::Values(_, store)) = self.part else { return };
        y.fill(W::default());
        for index in tiles.clone() {
            let resume = index > tiles.start;
            self.multiply_values(shared, head, index, x, &keys, resume, y, [&mut *tile, &mut *product]);
        }
        for (n, query) in queries.iter().enumerate() {
            let y = &mut y[n * v_size..(n + 1) * v_size];
            let p = &x[n * keys.len()..(n + 1) * keys.len()];
            if left[n] < keys.len() && has_nan(y) && !has_nan(p) {
                self.without_others(shared, head, query, p, keys.start, y, tile);
            }
            let at = self.y.at(query.batch, query.head, query.row) * self.y_bytes;
            // SAFETY: the query's own row of the results.
            unsafe { store(shared.isa, true, y, shared.y.at(at)) };
        }
    }

    /// The tiles that hold all keys that some query attends; all tiles, where scores are stored.
    fn span(&self, queries: &[Query]) -> Range<usize> {
        if self.stores_scores() {
            return 0..self.extents.keys.div_ceil(TILE);
        }
        let some = queries.iter().map(|query| &query.keys).filter(|keys| !keys.is_empty());
        let first = some.clone().map(|keys| keys.start).min().unwrap_or(0);
        let last = some.map(|keys| keys.end).max().unwrap_or(0);
        first / TILE..last.div_ceil(TILE)
    }

    fn load_queries(&self, shared: &Shared<'_, W>, queries: &[Query], dst: &mut [W]) {
        let (size, bytes) = (self.extents.size, self.q.dtype.bits() / 8);
        for (n, query) in queries.iter().enumerate() {
            let at = self.q.strides.at(query.batch, query.head, query.row) * bytes;
            let dst = &mut dst[n * size..(n + 1) * size];
            // SAFETY: Q has the row.
            unsafe {
                let from = shared.slots[self.q.input].ptr.add(at);
                (self.q.load)(shared.isa, from, size, [1, size], Some(self.factor), dst);
            }
        }
    }

    /// The scores of a tile's keys, into their columns of `x`, which holds those of `keys`.
    #[allow(clippy::too_many_arguments)]
    fn multiply_keys(
        &self,
        shared: &Shared<'_, W>,
        head: usize,
        index: usize,
        q: &MatRef<'_, W>,
        x: &mut [W],
        keys: &Range<usize>,
        [tile, scratch]: [&mut [W]; 2],
    ) {
        let (size, range, Cut { tiles, packed, lens, .. }) = (self.extents.size, self.tile(index), shared.cut);
        let right = if packed {
            let at = (head * tiles + index) * lens[0];
            Right::Packed(PackedB::from_packed(shared.isa, &shared.keys[at..at + lens[0]], size, range.len()))
        } else {
            self.load_keys(shared.isa, shared.slots, &self.k, head, range.clone(), Some(self.factor), tile);
            Right::Strided(MatRef::new(tile, size, range.len(), 1, size))
        };
        let mut all = MatMut::new(x, q.rows(), keys.len(), keys.len());
        let columns = all.block(0..q.rows(), range.start - keys.start..range.end - keys.start);
        gemm(shared.isa, &Gemm::new(*q, right), 0..q.rows(), 0..range.len(), columns, scratch);
    }

    /// Goes on with the results' chains over a tile's values.
    #[allow(clippy::too_many_arguments)]
    fn multiply_values(
        &self,
        shared: &Shared<'_, W>,
        head: usize,
        index: usize,
        x: &[W],
        keys: &Range<usize>,
        resume: bool,
        y: &mut [W],
        [tile, scratch]: [&mut [W]; 2],
    ) {
        let (v_size, range, Cut { tiles, packed, lens, .. }) = (self.extents.v_size, self.tile(index), shared.cut);
        let rows = x.len() / keys.len().max(1);
        let right = if packed {
            let at = (head * tiles + index) * lens[1];
            Right::Packed(PackedB::from_packed(shared.isa, &shared.values[at..at + lens[1]], range.len(), v_size))
        } else if let Some(lying) = self.lying_values(shared.slots, head, &range) {
            Right::Strided(lying)
        } else {
            self.load_keys(shared.isa, shared.slots, &self.v, head, range.clone(), None, tile);
            Right::Strided(MatRef::row_major(tile, range.len(), v_size))
        };
        let p = MatRef::new(&x[range.start - keys.start..], rows, range.len(), keys.len(), 1);
        let product = Gemm { resume, ..Gemm::new(p, right) };
        gemm(shared.isa, &product, 0..rows, 0..v_size, MatMut::new(y, rows, v_size, v_size), scratch);
    }

    /// The values of some keys as they lie in memory, where they are of the computing type and not both past and new.
    fn lying_values<'a>(&self, slots: &'a [RawSlot], head: usize, keys: &Range<usize>) -> Option<MatRef<'a, W>> {
        let Extents { kv_heads, past, v_size, .. } = self.extents;
        let (input, at, stride) = if keys.end <= past {
            (self.v.past_input, (head * past + keys.start) * v_size, v_size)
        } else if keys.start >= past {
            let at = self.v.strides.at(head / kv_heads, head % kv_heads, keys.start - past);
            (self.v.input, at, self.v.strides.row)
        } else {
            return None;
        };
        if self.v.dtype != W::DTYPE || v_size == 0 {
            return None;
        }
        let len = (keys.len() - 1) * stride + v_size;
        // SAFETY: the input has these rows, of elements of W; nobody writes it while the step runs.
        let rows = unsafe { std::slice::from_raw_parts(slots[input].ptr.cast::<W>().add(at), len) };
        Some(MatRef::new(rows, keys.len(), v_size, stride, 1))
    }

    /// Where a query's scores begin in a tensor of all.
    fn score_row(&self, query: &Query) -> usize {
        let Extents { rows, keys, .. } = self.extents;
        ((query.batch * self.extents.q_heads() + query.head) * rows + query.row) * keys
    }

    /// Cap, bias and Softmax of a row of scores for `keys`; stores what is wanted of it. Returns the number of keys that take part.
    fn finish_scores(
        &self,
        shared: &Shared<'_, W>,
        query: &Query,
        keys: &Range<usize>,
        row: &mut [W],
        room: &mut [f64],
    ) -> usize {
        let at = self.score_row(query) * self.score_bytes;
        let store = |stage: i64, row: &[W]| {
            let (wanted, store) = match self.part {
                Part::Whole { scores: Some(scores), .. } => scores,
                Part::Scores(store) => (0, store),
                _ => return,
            };
            if wanted == stage {
                // SAFETY: the query's own row of the scores.
                unsafe { store(shared.isa, false, row, shared.scores.at(at)) };
            }
        };
        store(0, row);
        if !matches!(self.part, Part::Whole { .. }) {
            return row.len();
        }
        if let Some(cap) = self.cap {
            softcap(shared.isa, cap, row);
        }
        store(1, row);
        let [first, last] = [query.keys.start, query.keys.end].map(|key| key.clamp(keys.start, keys.end) - keys.start);
        let left = self.add_bias(shared, query, keys.start, first..last, row);
        store(2, row);
        if left == 0 {
            row.fill(W::default());
        } else {
            let start = first - first % LANES;
            row[..start].fill(W::default());
            row[last..].fill(W::default());
            (self.softmax)(shared.isa, keys.start + start, &mut row[start..last], room);
            if left < row.len() && has_nan(&row[start..last]) {
                // Of a sum that is NaN, also for keys that take no part.
                let out = |&key: &usize| key < first || !self.takes_part(shared, query, keys.start + key);
                (start..last).filter(out).for_each(|key| row[key] = W::default());
            }
        }
        store(3, row);
        left
    }

    /// Adds the mask to a row of scores, of which those in `inside` may take part; -inf for all that do not. Returns how many do.
    fn add_bias(
        &self,
        shared: &Shared<'_, W>,
        query: &Query,
        start: usize,
        inside: Range<usize>,
        row: &mut [W],
    ) -> usize {
        let none = W::from_f32(f32::NEG_INFINITY);
        let covered =
            self.mask.map_or(inside.end, |mask| inside.end.min(mask.keys.saturating_sub(start))).max(inside.start);
        row[..inside.start].fill(none);
        row[covered..].fill(none);
        let Some(mask) = self.mask else { return covered - inside.start };
        let row = &mut row[inside.start..covered];
        if row.is_empty() {
            return 0;
        }
        // SAFETY: the mask has an element for each of these keys, or one for all.
        unsafe { (mask.add)(shared.isa, shared.mask.at(mask.at(query, start + inside.start)), mask.strides[3], row) }
    }

    /// A query's results from the keys that take part alone, for values of others that are infinite or NaN: elsewhere their
    /// probabilities of 0 do no harm.
    #[allow(clippy::too_many_arguments)]
    fn without_others(
        &self,
        shared: &Shared<'_, W>,
        head: usize,
        query: &Query,
        p: &[W],
        start: usize,
        y: &mut [W],
        tile: &mut [W],
    ) {
        y.fill(W::default());
        for key in query.keys.clone().filter(|&key| self.takes_part(shared, query, key)) {
            let v = &mut tile[..y.len()];
            self.load_keys(shared.isa, shared.slots, &self.v, head, key..key + 1, None, v);
            accumulate(shared.isa, p[key - start], v, y);
        }
    }

    /// Whether the mask lets a key take part.
    fn takes_part(&self, shared: &Shared<'_, W>, query: &Query, key: usize) -> bool {
        let Some(mask) = self.mask else { return true };
        // SAFETY: the mask has an element for the key if it covers it.
        key < mask.keys
            && unsafe { (mask.add)(shared.isa, shared.mask.at(mask.at(query, key)), 0, &mut [W::default()]) } == 1
    }
}

impl<W> Mask<W> {
    /// The byte where the element for a query and a key lies.
    fn at(&self, query: &Query, key: usize) -> usize {
        let [batch, head, row, each] = self.strides;
        (query.batch * batch + query.head * head + query.row * row + key * each) * self.bytes
    }
}

/// One query of a block, and the keys it may attend.
struct Query {
    batch: usize,
    head: usize,
    row: usize,
    keys: Range<usize>,
}
