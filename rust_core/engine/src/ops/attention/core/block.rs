//! One block of queries of a key head: products with keys, Softmax of the rows, products with values.

use std::ops::Range;

use diptych_kernels::Isa;
use diptych_kernels::attention::{accumulate, has_nan, softcap, softmax_with_sink};
use diptych_kernels::gemm::{Gemm, MatMut, MatRef, PackedB, Right, gemm};
use smallvec::SmallVec;

use super::cut::{BLOCK, Cut, TILE};
use super::operand::{Head, Keys};
use super::sequence::Ends;
use super::{Attention, Number, Part, Sink};
use crate::ops::attention::extents::Extents;
use crate::ops::elements::{elements_mut, rooms};
use crate::ops::elementwise::Place;
use crate::run::RawSlot;

/// Lanes of a lane sum, where the part of a row that Softmax sees begins.
const LANES: usize = 16;

/// What the blocks of a run share.
pub(super) struct Shared<'a, W> {
    pub isa: Isa,
    pub cut: Cut,
    pub slots: &'a [RawSlot],
    pub ends: Ends<'a>,
    pub q: Place<u8>,
    pub k: Keys<'a, W>,
    pub v: Keys<'a, W>,
    pub mask: Place<u8>,
    pub padding: Place<W>,
    /// Packed tiles.
    pub keys: &'a [W],
    pub values: &'a [W],
    pub y: Place<u8>,
    pub scores: Place<u8>,
}

/// One query of a block, and the keys it may attend.
pub(super) struct Query {
    pub batch: usize,
    pub head: usize,
    pub row: usize,
    pub keys: Range<usize>,
}

impl<W: Number> Attention<W> {
    /// One block of queries of one key head.
    pub(super) fn block(&self, shared: &Shared<'_, W>, task: usize, scratch: &mut [u8]) {
        let Extents { group, rows, size, v_size, .. } = self.extents;
        let Cut { block, parts, pieces, .. } = shared.cut;
        let (head, piece) = (self.head(shared.ends, task / pieces), task % pieces);
        // Queries of all heads of the group, one after the other.
        let (first, end) = if parts > 1 {
            (piece / parts * rows + piece % parts * block, (piece / parts + 1) * rows)
        } else {
            (piece * block, group * rows)
        };
        let queries: SmallVec<[Query; BLOCK]> = (first..(first + block).min(end))
            .map(|index| Query {
                batch: head.batch,
                head: head.head * group + index / rows,
                row: index % rows,
                keys: self.range(head.sequence, index % rows),
            })
            .collect();
        if queries.is_empty() {
            return;
        }
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
                self.multiply_keys(shared, &head, index, &q, x, &keys, [&mut *tile, &mut *product]);
            }
        }
        let mut left: SmallVec<[usize; BLOCK]> = SmallVec::from_elem(keys.len(), queries.len());
        if !keys.is_empty() {
            for ((row, query), left) in x.chunks_exact_mut(keys.len()).zip(&queries).zip(&mut left) {
                *left = self.finish_scores(shared, query, &keys, row, room);
            }
        }
        let (Part::Whole { results: store, .. } | Part::Values(_, store)) = self.part else { return };
        y.fill(W::default());
        for index in tiles.clone() {
            let resume = index > tiles.start;
            self.multiply_values(shared, &head, index, x, &keys, resume, y, [&mut *tile, &mut *product]);
        }
        for (n, query) in queries.iter().enumerate() {
            let y = &mut y[n * v_size..(n + 1) * v_size];
            let p = &x[n * keys.len()..(n + 1) * keys.len()];
            if left[n] < keys.len() && has_nan(y) && !has_nan(p) {
                self.without_others(shared, &head, query, p, keys.start, y, tile);
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
            let at = self.q.own.strides.at(query.batch, query.head, query.row) * bytes;
            let dst = &mut dst[n * size..(n + 1) * size];
            // SAFETY: Q has the row.
            unsafe {
                (self.q.load)(shared.isa, shared.q.at(at), size, [1, size], Some(self.factor), dst);
            }
        }
    }

    /// The scores of a tile's keys, into their columns of `x`, which holds those of `keys`.
    #[allow(clippy::too_many_arguments)]
    fn multiply_keys(
        &self,
        shared: &Shared<'_, W>,
        head: &Head,
        index: usize,
        q: &MatRef<'_, W>,
        x: &mut [W],
        keys: &Range<usize>,
        [tile, scratch]: [&mut [W]; 2],
    ) {
        let (size, range, Cut { tiles, packed, lens, .. }) = (self.extents.size, self.tile(index), shared.cut);
        let right = if packed {
            let at = (head.index * tiles + index) * lens[0];
            Right::Packed(PackedB::from_packed(shared.isa, &shared.keys[at..at + lens[0]], size, range.len()))
        } else {
            shared.k.load(shared.isa, head, range.clone(), tile);
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
        head: &Head,
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
            let at = (head.index * tiles + index) * lens[1];
            Right::Packed(PackedB::from_packed(shared.isa, &shared.values[at..at + lens[1]], range.len(), v_size))
        } else if let Some(lying) = shared.v.lying(head, &range) {
            Right::Strided(lying)
        } else {
            shared.v.load(shared.isa, head, range.clone(), tile);
            Right::Strided(MatRef::row_major(tile, range.len(), v_size))
        };
        let p = MatRef::new(&x[range.start - keys.start..], rows, range.len(), keys.len(), 1);
        let product = Gemm { resume, ..Gemm::new(p, right) };
        gemm(shared.isa, &product, 0..rows, 0..v_size, MatMut::new(y, rows, v_size, v_size), scratch);
    }

    /// Where a query's scores begin in a tensor of all.
    fn score_row(&self, query: &Query) -> usize {
        let Extents { rows, keys, .. } = self.extents;
        ((query.batch * self.extents.q_heads() + query.head) * rows + query.row) * keys
    }

    // [panel: Attention ai.onnx.preview.FlexAttention com.microsoft.Attention scores]
    // [panel: com.microsoft.MultiHeadAttention com.microsoft.GroupQueryAttention scores]
    /// Cap, bias and Softmax of a row of scores for `keys`; stores what is wanted of it. Returns the number of keys that take part.
    fn finish_scores(
        &self,
        shared: &Shared<'_, W>,
        query: &Query,
        keys: &Range<usize>,
        row: &mut [W],
        room: &mut [u8],
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
        let left = self.add_bias(shared, query, keys.start, first..last, row, elements_mut(room));
        if self.zero_outside {
            row[..first].fill(W::default());
            row[last..].fill(W::default());
        }
        store(2, row);
        if left == 0 {
            row.fill(W::default());
        } else {
            let start = first - first % LANES;
            row[..start].fill(W::default());
            row[start..first].fill(W::from_f32(f32::NEG_INFINITY));
            row[last..].fill(W::default());
            let own = &mut row[start..last];
            match self.sink(shared, query) {
                Some(sink) => softmax_with_sink(shared.isa, keys.start + start, own, sink),
                None => (self.softmax)(shared.isa, keys.start + start, own, elements_mut(room)),
            }
            if left < row.len() && has_nan(&row[start..last]) {
                // Of a sum that is NaN, also for keys that take no part.
                let out = |&key: &usize| key < first || !self.takes_part(shared, query, keys.start + key);
                (start..last).filter(out).for_each(|key| row[key] = W::default());
            }
        }
        store(3, row);
        left
    }
    // [/panel]
    // [/panel]

    /// A query's results from the keys that take part alone, for values of others that are infinite or NaN: elsewhere their
    /// probabilities of 0 do no harm.
    #[allow(clippy::too_many_arguments)]
    fn without_others(
        &self,
        shared: &Shared<'_, W>,
        head: &Head,
        query: &Query,
        p: &[W],
        start: usize,
        y: &mut [W],
        tile: &mut [W],
    ) {
        y.fill(W::default());
        for key in query.keys.clone().filter(|&key| self.takes_part(shared, query, key)) {
            let v = &mut tile[..y.len()];
            shared.v.load(shared.isa, head, key..key + 1, v);
            accumulate(shared.isa, p[key - start], v, y);
        }
    }
    /// The score of the further key that a query's head has.
    fn sink(&self, shared: &Shared<'_, W>, query: &Query) -> Option<W> {
        match self.sink? {
            Sink::Zero => Some(W::default()),
            Sink::Input(input, load) => {
                let mut sink = [W::default()];
                let at = query.head * self.q.dtype.bits() / 8;
                // SAFETY: the input has a number of Q's type for each head.
                unsafe { load(shared.isa, shared.slots[input].ptr.add(at), 1, [1, 1], None, &mut sink) };
                Some(sink[0])
            }
        }
    }
}
