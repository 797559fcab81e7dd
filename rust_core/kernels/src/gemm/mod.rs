//! Matrix products: one multiply-add chain an element of C, over k in order from +0 (docs/numerics.md, section 2).
//!
//! K is blocked for the caches; between blocks the accumulators rest in C and are loaded again, never summed apart, so the
//! bits depend on no block size, split or instruction set. A caller splits a product over threads by giving each its
//! own range of rows and columns. Arithmetic is in `f32`, `f64`, `i32` or `i64` ([`Scalar`]); [`half`] adds the 16-bit types.
//!
//! Loops, outermost first: k block, block of rows (held in L2), panel of B (a tile wide), tiles down the panel.

pub mod half;
mod matrix;
mod pack;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod tile;

#[cfg(test)]
pub(crate) use matrix::extent;
pub use matrix::{MatMut, MatRef};
pub(crate) use pack::packed_place;
pub use pack::{PackedB, pack_b, packed_b_len, panel_width};
pub use tile::Scalar;
pub(crate) use tile::{first, load, load_first, store, store_first, store_upto};

use crate::epilogue::Epilogue;
use crate::lanes::Isa;
use crate::mutant::{self, Mutant};
use pack::{Same, Source, pack_panel};
use std::ops::Range;
use tile::{Finish, TileArgs, TileFn, TileSet};

// [panel: block sizes]
/// Rows whose part of A is swept by one panel after another: with `DEPTH_BYTES` of k they fill half an L2 cache.
const ROW_BLOCK: usize = 192;
/// Bytes of one column's k block.
const DEPTH_BYTES: usize = 4096;
/// k block where a strided B is rearranged: deep enough that the chains seldom rest in C.
const SHALLOW: usize = 256;
// [/panel]

/// The right operand.
#[derive(Clone, Copy, Debug)]
pub enum Right<'a, T> {
    /// Packed ahead of time by [`pack_b`], for the same instruction set.
    Packed(PackedB<'a, T>),
    /// As it lies in memory; panels are copied to scratch where that pays. Also the better form of a matrix with one column.
    Strided(MatRef<'a, T>),
}

impl<T: Scalar> Right<'_, T> {
    fn k(&self) -> usize {
        match self {
            Right::Packed(b) => b.k(),
            Right::Strided(b) => b.rows(),
        }
    }

    fn n(&self) -> usize {
        match self {
            Right::Packed(b) => b.n(),
            Right::Strided(b) => b.cols(),
        }
    }
}

/// A product `C = alpha * (A B) + beta * addend`: each factor rounds, then the sum. Without an addend, `alpha * (A B)`.
#[derive(Clone, Copy, Debug)]
pub struct Gemm<'a, T> {
    /// [M, K]
    pub a: MatRef<'a, T>,
    /// [K, N]
    pub b: Right<'a, T>,
    /// Chains go on from the values of C instead of starting from +0.
    pub resume: bool,
    pub alpha: T,
    pub beta: T,
    /// [M, N]; strides of 0 broadcast a row, a column or a scalar.
    pub addend: Option<MatRef<'a, T>>,
    /// What follows, in `f32` alone: row r is channel `channel + r`.
    pub epilogue: Option<&'a Epilogue>,
    pub channel: usize,
}

impl<'a, T: Scalar> Gemm<'a, T> {
    /// The plain product `A B`.
    pub fn new(a: MatRef<'a, T>, b: Right<'a, T>) -> Self {
        Gemm { a, b, resume: false, alpha: T::ONE, beta: T::ONE, addend: None, epilogue: None, channel: 0 }
    }

    pub fn m(&self) -> usize {
        self.a.rows()
    }

    pub fn k(&self) -> usize {
        self.a.cols()
    }

    pub fn n(&self) -> usize {
        self.b.n()
    }

    /// A product with a single column is its transpose, a row times a matrix.
    fn transposed(&self) -> Self {
        let b = match self.b {
            Right::Packed(b) => b.single_column(),
            Right::Strided(b) => b,
        };
        Gemm {
            a: b.transposed(),
            b: Right::Strided(self.a.transposed()),
            addend: self.addend.map(MatRef::transposed),
            ..*self
        }
    }
}

/// Rows of a k block of `k` rows in all: blocks of nearly equal depth, at most `DEPTH_BYTES` a column.
pub(crate) fn k_block<T>(k: usize) -> usize {
    let deepest = DEPTH_BYTES / size_of::<T>();
    k.div_ceil(k.div_ceil(deepest).max(1)).max(1)
}

/// Elements of scratch that [`gemm`] may need for a product of these lengths or any part of it.
pub fn scratch_len<T: Scalar>(isa: Isa, m: usize, n: usize, k: usize) -> usize {
    let tiles = T::tiles(isa);
    // A single column runs as a single row: m is then the number of columns.
    let widest = if n == 1 { m } else { n };
    let panel = tiles.panel().min(widest.saturating_add(tiles.lanes));
    k.min(DEPTH_BYTES / size_of::<T>()) * (panel + ROW_BLOCK.min(m))
}

/// How to cut a product into tasks: ranges of `rows` by `cols`, the last ones shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grain {
    pub rows: usize,
    pub cols: usize,
}

impl Grain {
    /// Cuts an `m` x `n` product into about `parts` tasks (at least 1): over rows while each part has some tiles of them, else over
    /// whole panels of columns.
    pub fn new<T: Scalar>(isa: Isa, m: usize, n: usize, parts: usize) -> Grain {
        let tiles = T::tiles(isa);
        let (height, panel) = (tiles.of_width(panel_of(tiles, n)).len(), tiles.panel());
        let parts = parts.max(1);
        // One column runs as one row of `m` columns.
        if n <= 1 {
            return Grain { rows: m.div_ceil(parts).next_multiple_of(panel), cols: 1 };
        }
        if m.div_ceil(height) >= 4 * parts || n <= panel {
            return Grain { rows: m.div_ceil(height).div_ceil(parts).max(1) * height, cols: n.max(1) };
        }
        Grain { rows: m.max(1), cols: n.div_ceil(panel).div_ceil(parts).max(1) * panel }
    }

    /// Number of tasks.
    pub fn tasks(&self, m: usize, n: usize) -> usize {
        m.div_ceil(self.rows.max(1)) * n.div_ceil(self.cols.max(1))
    }

    /// Rows and columns of task `index`.
    pub fn task(&self, index: usize, m: usize, n: usize) -> (Range<usize>, Range<usize>) {
        let across = n.div_ceil(self.cols.max(1)).max(1);
        let (row, col) = (index / across * self.rows, index % across * self.cols);
        (row.min(m)..(row + self.rows).min(m), col.min(n)..(col + self.cols).min(n))
    }
}

fn panel_of<T>(tiles: &TileSet<T>, n: usize) -> usize {
    n.clamp(1, tiles.panel())
}

/// Computes rows `rows` and columns `cols` of the product into `c`, which is that block of C.
///
/// # Panics
/// If shapes do not agree, `scratch` is shorter than [`scratch_len`], or B is packed for another instruction set or the columns do not
/// start at a multiple of [`panel_width`] then.
pub fn gemm<T: Scalar>(
    isa: Isa,
    g: &Gemm<'_, T>,
    rows: Range<usize>,
    cols: Range<usize>,
    c: MatMut<'_, T>,
    scratch: &mut [T],
) {
    check(isa, g, &rows, &cols, &c);
    if rows.is_empty() || cols.is_empty() {
        return;
    }
    let addend_first = g.addend.as_ref().is_none_or(unit_or_constant);
    assert!(g.epilogue.is_none() || (g.n() > 1 && addend_first), "an epilogue has rows for channels and comes last");
    assert!(scratch.len() >= scratch_len::<T>(isa, rows.len(), g.n(), g.k()), "{} elements of scratch", scratch.len());
    if g.n() == 1 && rows.len() > 1 && c.row_stride() == 1 {
        let row = Block::new(isa, &g.transposed(), cols, rows, c.column_as_row());
        row.run(scratch);
    } else {
        Block::new(isa, g, rows, cols, c).run(scratch);
    }
}

fn check<T: Scalar>(isa: Isa, g: &Gemm<'_, T>, rows: &Range<usize>, cols: &Range<usize>, c: &MatMut<'_, T>) {
    let (m, n, k) = (g.m(), g.n(), g.k());
    assert!(g.b.k() == k, "A is {m}x{k}, B {}x{n}", g.b.k());
    assert!(rows.start <= rows.end && rows.end <= m, "rows {rows:?} of {m}");
    assert!(cols.start <= cols.end && cols.end <= n, "columns {cols:?} of {n}");
    assert!(c.rows() == rows.len() && c.cols() == cols.len(), "C is {}x{}, not {rows:?}x{cols:?}", c.rows(), c.cols());
    if let Some(d) = &g.addend {
        assert!(d.rows() == m && d.cols() == n, "the addend is {}x{}, not {m}x{n}", d.rows(), d.cols());
    }
    if let Right::Packed(b) = &g.b {
        assert!(b.isa() == isa, "B is packed for {}, not {}", b.isa().name(), isa.name());
        assert!(cols.start.is_multiple_of(panel_width::<T>(isa)), "columns {cols:?} start inside a panel");
    }
}

/// A block of C and how it is blocked further.
pub(crate) struct Block<'a, T: Scalar> {
    isa: Isa,
    g: Gemm<'a, T>,
    rows: Range<usize>,
    cols: Range<usize>,
    c: MatMut<'a, T>,
    tiles: &'static TileSet<T>,
    /// Depth of a k block.
    depth: usize,
    /// Rows of A are rearranged to `[k][tile height]`.
    pack_a: bool,
    /// Whole vectors of B are read where they lie.
    direct_b: bool,
}

impl<'a, T: Scalar> Block<'a, T> {
    pub(crate) fn new(isa: Isa, g: &Gemm<'a, T>, rows: Range<usize>, cols: Range<usize>, c: MatMut<'a, T>) -> Self {
        Block::with_tiles(isa, T::tiles(isa), g, rows, cols, c)
    }

    /// As [`Block::new`], in other arithmetic than the type's own.
    pub(crate) fn with_tiles(
        isa: Isa,
        tiles: &'static TileSet<T>,
        g: &Gemm<'a, T>,
        rows: Range<usize>,
        cols: Range<usize>,
        c: MatMut<'a, T>,
    ) -> Self {
        let few = rows.len() <= tiles.of_width(tiles.panel()).len();
        let (mut depth, mut direct_b) = (k_block::<T>(g.k()), false);
        if let Right::Strided(b) = &g.b {
            direct_b = b.col_stride() == 1 && (few || b.row_stride() == tiles.panel());
            if !direct_b {
                depth = g.k().div_ceil(g.k().div_ceil(SHALLOW).max(1)).max(1);
            }
        }
        // Strides of whole pages put a tall tile's rows into one set of the cache.
        let aliased = rows.len() >= 64 && (g.a.row_stride() * size_of::<T>()).is_multiple_of(4096);
        let pack_a = cols.len() > tiles.panel() && (g.a.col_stride() != 1 || aliased);
        Block { isa, g: *g, rows, cols, c, tiles, depth, pack_a, direct_b }
    }

    pub(crate) fn run(&self, scratch: &mut [T]) {
        let k = self.g.k();
        // K = 0 still writes C: one block without a step.
        for k0 in (0..k.max(1)).step_by(self.depth) {
            let ks = k0..k.min(k0 + self.depth);
            let row_block = if self.pack_a { ROW_BLOCK } else { 2 * ROW_BLOCK };
            for r0 in self.rows.clone().step_by(row_block) {
                self.run_rows(ks.clone(), r0..self.rows.end.min(r0 + row_block), scratch);
            }
        }
        if let Some(addend) = self.g.addend.filter(|d| !unit_or_constant(d)) {
            self.add_strided(&addend);
        }
    }

    /// One k block of one block of rows.
    fn run_rows(&self, ks: Range<usize>, rows: Range<usize>, scratch: &mut [T]) {
        let k = self.g.k();
        let (panel_scratch, a_scratch) =
            scratch.split_at_mut(if self.pack_a { scratch.len() - rows.len() * ks.len() } else { scratch.len() });
        let tallest = self.tiles.of_width(panel_of(self.tiles, self.cols.len())).len();
        if self.pack_a {
            for tile in Heights::new(rows.clone(), tallest) {
                self.pack_rows(&ks, &rows, tile, a_scratch);
            }
        }
        let widest = self.widest_panel();
        for j in self.cols.clone().step_by(widest) {
            let n = widest.min(self.cols.end - j);
            let (b, b_k) = self.panel(&ks, j, n, panel_scratch);
            let kernels = self.tiles.of_width(n);
            let tallest = if self.pack_a { tallest.min(kernels.len()) } else { kernels.len() };
            for tile in Heights::new(rows.clone(), tallest) {
                let packed = self.pack_a.then(|| a_scratch[(tile.start - rows.start) * ks.len()..].as_ptr());
                let (a, a_row, a_k) = match packed {
                    Some(a) => (a, 1, tile.len()),
                    None => (self.g.a.ptr(tile.start, ks.start), self.g.a.row_stride(), self.g.a.col_stride()),
                };
                let args = TileArgs {
                    k: ks.len(),
                    a,
                    a_row,
                    a_k,
                    b,
                    b_k,
                    c: self.c.ptr(tile.start - self.rows.start, j - self.cols.start),
                    c_row: self.c.row_stride(),
                    n,
                    resume: self.g.resume || (ks.start > 0 && !mutant::on(Mutant::StaleProduct)),
                    finish: self.finish(&ks, tile.start, j),
                    epilogue: self.g.epilogue.filter(|_| ks.end == k).map_or(std::ptr::null(), std::ptr::from_ref),
                    channel: self.g.channel + tile.start,
                };
                let kernel: TileFn<T> = kernels[tile.len() - 1];
                // SAFETY: `check` and the matrices' own extents cover the tile; the panel holds ks.len() rows of whole vectors.
                unsafe { kernel(&args) };
            }
        }
    }

    /// Columns of a panel: of packed ones what they were packed for, else nearly equal ones, so that none is much narrower than others.
    fn widest_panel(&self) -> usize {
        let (panel, lanes) = (self.tiles.panel(), self.tiles.lanes);
        match self.g.b {
            Right::Packed(_) => panel,
            Right::Strided(_) if self.direct_b => panel,
            Right::Strided(_) => {
                let vectors = self.cols.len().div_ceil(lanes);
                vectors.div_ceil(self.cols.len().div_ceil(panel)) * lanes
            }
        }
    }

    /// Copies the rows of one tile to `[k][height]` at their place in `scratch`.
    fn pack_rows(&self, ks: &Range<usize>, rows: &Range<usize>, tile: Range<usize>, scratch: &mut [T]) {
        let a = &self.g.a;
        let source = Source {
            ptr: a.ptr(tile.start, ks.start),
            k_stride: a.col_stride(),
            n_stride: a.row_stride(),
            k: ks.len(),
            n: tile.len(),
        };
        let dst = &mut scratch[(tile.start - rows.start) * ks.len()..(tile.end - rows.start) * ks.len()];
        // SAFETY: the rows lie in A; dst has exactly k * height elements.
        unsafe { pack_panel::<Same<T>>(self.isa, source, dst.as_mut_ptr(), tile.len()) };
    }

    /// Where the panel of `n` columns from `j` can be read for the block `ks`, and the distance of its rows.
    fn panel(&self, ks: &Range<usize>, j: usize, n: usize, scratch: &mut [T]) -> (*const T, usize) {
        let b = match &self.g.b {
            Right::Packed(b) => return b.panel(ks.start, ks.len(), j),
            Right::Strided(b) => b,
        };
        if self.direct_b && n.is_multiple_of(self.tiles.lanes) {
            return (b.ptr(ks.start, j), b.row_stride());
        }
        let width = n.next_multiple_of(self.tiles.lanes);
        let source =
            Source { ptr: b.ptr(ks.start, j), k_stride: b.row_stride(), n_stride: b.col_stride(), k: ks.len(), n };
        let dst = &mut scratch[..ks.len() * width];
        // SAFETY: the block lies in B; dst has k * width elements.
        unsafe { pack_panel::<Same<T>>(self.isa, source, dst.as_mut_ptr(), width) };
        (dst.as_ptr(), width)
    }

    /// What the tile at (`row`, `col`) of the whole product does after the k block `ks`.
    fn finish(&self, ks: &Range<usize>, row: usize, col: usize) -> Finish<T> {
        let (alpha, beta) = (self.g.alpha, self.g.beta);
        if ks.end < self.g.k() {
            return Finish::Store;
        }
        match &self.g.addend {
            Some(d) if unit_or_constant(d) => Finish::Add {
                alpha,
                beta,
                addend: d.ptr(row, col),
                row_stride: d.row_stride(),
                unit: d.col_stride() == 1,
            },
            Some(_) => Finish::Store,
            None if alpha == T::ONE => Finish::Store,
            None => Finish::Scale(alpha),
        }
    }

    /// The end of the program for an addend whose columns lie apart: element by element.
    fn add_strided(&self, addend: &MatRef<'_, T>) {
        let one = |x| crate::lanes::Simd::<T, 1>::from_array([x]);
        for i in 0..self.c.rows() {
            for j in 0..self.c.cols() {
                let p = self.c.ptr(i, j);
                let d = addend.at(self.rows.start + i, self.cols.start + j);
                // SAFETY: (i, j) lies in C.
                let acc = unsafe { *p };
                let y = T::add(T::mul(one(self.g.alpha), one(acc)), T::mul(one(self.g.beta), one(d)));
                // SAFETY: as above.
                unsafe { *p = y[0] };
            }
        }
    }
}

/// Columns of the addend that tiles can read: contiguous, or one value for all.
fn unit_or_constant<T: Copy>(addend: &MatRef<'_, T>) -> bool {
    addend.col_stride() <= 1
}

/// Cuts rows into the fewest tiles of at most `tallest` rows, as equal as they can be.
struct Heights {
    next: usize,
    end: usize,
    tiles: usize,
}

impl Heights {
    fn new(rows: Range<usize>, tallest: usize) -> Heights {
        Heights { next: rows.start, end: rows.end, tiles: rows.len().div_ceil(tallest) }
    }
}

impl Iterator for Heights {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let left = self.end - self.next;
        if left == 0 {
            return None;
        }
        let start = self.next;
        self.next += left.div_ceil(self.tiles);
        self.tiles -= 1;
        Some(start..self.next)
    }
}
