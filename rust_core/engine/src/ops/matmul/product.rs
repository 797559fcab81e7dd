//! The geometry of a product of matrices, and how it is split over threads.

use std::ops::Range;

use diptych_kernels::Isa;
use diptych_kernels::gemm::{
    Gemm, Grain, MatMut, MatRef, PackedB, Right, Scalar, gemm, pack_b, packed_b_len, scratch_len,
};

use crate::broadcast::{Walk, broadcast_shapes, contiguous_strides};
use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::operator::{KernelStep, OutputType, PlanCx};
use crate::ops::elements::{buffer_bytes, elements, elements_mut};
use crate::run::KernelCx;
use crate::tensor::{AlignedBytes, Shape, element_count};

/// Work worth a task of its own, in nanoseconds.
const TASK: u64 = 20_000;

/// Products of M x K by K x N matrices, for a broadcast batch of them.
pub(in crate::ops) struct Product {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// Where each matrix of the batch has its A, its B and their zero points (integers), in elements.
    pub batch: Walk<4>,
    /// Row and column strides.
    pub a: [usize; 2],
    pub b: [usize; 2],
    /// Matrices that B holds.
    pub b_count: usize,
    /// Elements from one of them to the next.
    pub b_step: usize,
    pub alpha: f32,
    pub beta: f32,
    /// Strides of the addend, input 2.
    pub addend: Option<[usize; 2]>,
    /// Whether a product of 16-bit numbers is rounded to them before it is scaled, too.
    pub rounded_first: bool,
}

/// A zero point: the shape of its batch axes, and whether it has one value a row of A (a column of B) or one in all.
#[derive(Default)]
pub(in crate::ops) struct ZeroPointShape {
    pub batch: Shape,
    pub per_channel: usize,
}

impl ZeroPointShape {
    /// One value in all.
    pub fn single() -> ZeroPointShape {
        ZeroPointShape { batch: Shape::new(), per_channel: 1 }
    }
}

/// How the axes of an operand are exchanged before it is multiplied: FusedMatMul's `transBatch` and `trans`.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::ops) struct Turn {
    /// First the first axis moves to the last place but one.
    pub batch: bool,
    /// Then the last two are exchanged.
    pub last_two: bool,
}

/// A batch of matrices as they lie in a dense operand.
struct Matrices<'a> {
    /// The batch axes.
    batch: &'a [usize],
    rows: usize,
    columns: usize,
    /// Of a row and a column.
    strides: [usize; 2],
    /// Elements from one matrix to the next.
    step: usize,
}

impl Matrices<'_> {
    /// The operand of this shape; one axis is a `column`, or else a row.
    fn new(shape: &[usize], column: bool, turn: Turn) -> Result<Matrices<'_>> {
        // Products wrap only where another extent is 0, so that nothing is read.
        let plain = |batch, rows: usize, columns: usize| Matrices {
            batch,
            rows,
            columns,
            strides: [columns, 1],
            step: rows.wrapping_mul(columns),
        };
        let mut found = match *shape {
            [] => return Err(Error::shape("a scalar operand; use Mul")),
            [n] if column => return Ok(plain(&[], n, 1)),
            [n] => return Ok(plain(&[], 1, n)),
            [rows, ref batch @ .., columns] if turn.batch => {
                let between = batch.iter().fold(columns, |product, &n| product.wrapping_mul(n));
                Matrices { batch, rows, columns, strides: [between, 1], step: if rows == 0 { 0 } else { columns } }
            }
            [ref batch @ .., rows, columns] => plain(batch, rows, columns),
        };
        if turn.last_two {
            (found.rows, found.columns) = (found.columns, found.rows);
            found.strides.swap(0, 1);
        }
        Ok(found)
    }
}

/// Strides of the axes `dims` in the batch `shape`, whose items are `item` elements apart.
fn batch_strides(shape: &[usize], dims: &[usize], item: usize) -> Shape {
    let own = contiguous_strides(dims);
    let mut strides = Shape::from_elem(0, shape.len());
    for (axis, (&n, stride)) in (shape.len() - dims.len()..).zip(dims.iter().zip(own)) {
        strides[axis] = if n == 1 { 0 } else { (stride as usize).wrapping_mul(item) };
    }
    strides
}

impl Product {
    /// The product of operands of these shapes, as `MatMul` has it, and the output's shape. Batch axes of zero points
    /// broadcast to those of the output.
    pub fn matmul(a: &[usize], b: &[usize], zeros: [ZeroPointShape; 2]) -> Result<(Product, Shape)> {
        Product::turned(a, b, [Turn::default(); 2], zeros)
    }

    /// As [`Product::matmul`], of operands whose axes are exchanged first.
    pub fn turned(
        a_shape: &[usize],
        b_shape: &[usize],
        turns: [Turn; 2],
        zeros: [ZeroPointShape; 2],
    ) -> Result<(Product, Shape)> {
        let (a, b) = (Matrices::new(a_shape, false, turns[0])?, Matrices::new(b_shape, true, turns[1])?);
        let (mut m, k, n) = (a.rows, a.columns, b.columns);
        if k != b.rows {
            return Err(Error::shape(format!("shapes {a_shape:?} and {b_shape:?}: {k} columns times {} rows", b.rows)));
        }
        let mut batch = broadcast_shapes(&[a.batch, b.batch])?;
        let mut shape = batch.clone();
        shape.extend((a_shape.len() > 1).then_some(m));
        shape.extend((b_shape.len() > 1).then_some(n));
        element_count(&shape)?;
        let (b_count, matrices) = (element_count(b.batch)?, element_count(&batch)?);
        // One B for all: the matrices of A are one tall matrix.
        let tall = matrices == 1 || !(turns[0].batch || turns[0].last_two);
        let whole = element_count(a.batch)? == matrices && zeros.iter().all(|z| z.batch.is_empty());
        let mut a_dims = a.batch;
        if b_count == 1 && tall && whole && (zeros[0].per_channel <= 1 || batch.iter().all(|&n| n == 1)) {
            m = element_count(&[m, matrices])?;
            batch.clear();
            a_dims = &[];
        }
        let b_dims = if batch.is_empty() { &[] } else { b.batch };
        let items = [a.step, b.step, zeros[0].per_channel, zeros[1].per_channel];
        let dims = [a_dims, b_dims, &zeros[0].batch, &zeros[1].batch];
        let strides: [Vec<isize>; 4] =
            std::array::from_fn(|i| batch_strides(&batch, dims[i], items[i]).iter().map(|&s| s as isize).collect());
        let batch = Walk::strided(&batch, std::array::from_fn(|i| strides[i].as_slice()), [0; 4]);
        let (a, b, b_step) = (a.strides, b.strides, b.step);
        Ok((Product { batch, a, b, b_count, b_step, ..Product::of(m, n, k) }, shape))
    }

    /// One product of dense matrices.
    pub fn of(m: usize, n: usize, k: usize) -> Product {
        Product {
            m,
            n,
            k,
            batch: Walk::strided(&[], [&[]; 4], [0; 4]),
            a: [k, 1],
            b: [n, 1],
            b_count: 1,
            b_step: k.wrapping_mul(n),
            alpha: 1.0,
            beta: 1.0,
            addend: None,
            rounded_first: false,
        }
    }

    /// Where matrix `index` of the batch has its operands.
    pub fn offsets(&self, index: usize) -> [usize; 4] {
        let mut found = [0; 4];
        self.batch.rows(index..index + 1, |_, _, offsets| found = offsets);
        found
    }

    /// Which of B's matrices starts at `offset`.
    pub fn b_index(&self, offset: usize) -> usize {
        offset.checked_div(self.b_step).unwrap_or(0)
    }

    /// How the matrices of B lie: the form of what is packed of them.
    pub fn b_form(&self, forms: &[&'static str; 4]) -> &'static str {
        let transposed = self.b[1] != 1;
        let scattered = self.b_count > 1 && self.b_step != self.k * self.n;
        forms[usize::from(scattered) * 2 + usize::from(transposed)]
    }

    /// Nanoseconds of one core at `flops` operations each, for operands of `size` bytes.
    pub fn cost(&self, flops: u64, size: usize) -> u64 {
        let [m, n, k, batches] = [self.m, self.n, self.k, self.batch.len()].map(|n| n as u64);
        let compute = m.saturating_mul(n).saturating_mul(k).saturating_mul(batches).saturating_mul(2) / flops;
        let bytes = (self.b_count as u64).saturating_mul(k).saturating_mul(n).saturating_mul(size as u64);
        compute.max(bytes / 10).saturating_add(200)
    }

    /// Cuts the batch into tasks of about [`TASK`] or more, of tiles of `T`.
    pub fn tasks<T: Scalar>(&self, cx: &PlanCx<'_>, cost: u64) -> Tasks {
        let parts = (cost / TASK).clamp(1, 4 * cx.threads as u64) as usize;
        let grain = Grain::new::<T>(cx.isa, self.m, self.n, parts.div_ceil(self.batch.len().max(1)));
        let each = grain.tasks(self.m, self.n);
        let total = each.saturating_mul(self.batch.len());
        Tasks { grain, each, total, grouped: total.div_ceil(parts).max(1) }
    }

    /// The strided B at `offset`.
    pub fn strided_b<'a, T: Copy>(&self, b: &'a [T], offset: usize) -> MatRef<'a, T> {
        MatRef::new(&b[offset..], self.k, self.n, self.b[0], self.b[1])
    }

    pub fn strided_a<'a, T: Copy>(&self, a: &'a [T], offset: usize) -> MatRef<'a, T> {
        MatRef::new(&a[offset..], self.m, self.k, self.a[0], self.a[1])
    }

    pub fn strided_addend<'a, T: Element>(&self, cx: &KernelCx<'a>) -> Option<MatRef<'a, T>> {
        self.addend.map(|[row, column]| MatRef::new(cx.input::<T>(2), self.m, self.n, row, column))
    }
}

/// How a batch of products is cut.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Tasks {
    grain: Grain,
    /// Tasks of one matrix, of all.
    each: usize,
    total: usize,
    /// Tasks worth a chunk.
    grouped: usize,
}

impl Tasks {
    /// Runs `body(matrix, rows, columns, block of C, scratch)` for every task, on several threads.
    pub fn run<T: Element>(
        &self,
        product: &Product,
        cx: &KernelCx<'_>,
        body: impl Fn(usize, Range<usize>, Range<usize>, MatMut<'_, T>, &mut [u8]) + Sync,
    ) -> Result<()> {
        self.run_into(product, cx, cx.output::<T>(0), body)
    }

    /// As [`Tasks::run`], into `c`, which holds the batch's matrices one after the other.
    pub fn run_into<T: Element>(
        &self,
        product: &Product,
        cx: &KernelCx<'_>,
        c: &mut [T],
        body: impl Fn(usize, Range<usize>, Range<usize>, MatMut<'_, T>, &mut [u8]) + Sync,
    ) -> Result<()> {
        let (m, n) = (product.m, product.n);
        let c = MatMut::new(c, product.batch.len() * m, n, n);
        cx.parallel_ranges(self.total, self.grouped, |range, scratch| {
            for task in range {
                let (matrix, task) = (task / self.each, task % self.each);
                let (rows, cols) = self.grain.task(task, m, n);
                let place = matrix * m + rows.start..matrix * m + rows.end;
                // SAFETY: the tasks' blocks do not overlap.
                let block = unsafe { c.shared_block(place, cols.clone()) };
                body(matrix, rows, cols, block, scratch);
            }
        })
    }
}

/// The key of a packed K x N right operand on `isa`, or `None` where the extents do not fit it.
pub(in crate::ops) fn pack_params(isa: Isa, k: usize, n: usize) -> Option<u64> {
    let fits = k < 1 << 31 && n < 1 << 31;
    fits.then_some((isa as u64) << 62 | (k as u64) << 31 | n as u64)
}

/// A constant B packed for `T`, once a session.
fn packed_b<T: Scalar + Element>(product: &Product, cx: &PlanCx<'_>) -> Result<Option<std::sync::Arc<AlignedBytes>>> {
    let Product { n, k, .. } = *product;
    let (Some((id, tensor)), Some(params), Some(len)) =
        (cx.weight(1), pack_params(cx.isa, k, n), packed_b_len::<T>(cx.isa, k, n))
    else {
        return Ok(None);
    };
    // A single column is read as it lies.
    if n <= 1 || len == 0 {
        return Ok(None);
    }
    let form = product.b_form(&["gemm_b", "gemm_b_transposed", "gemm_b_scattered", "gemm_b_scattered_transposed"]);
    let bytes = buffer_bytes::<T>(&[product.b_count, len])?;
    let packed = cx.packed.get_or_pack_bytes((id, form, params), bytes, |packed| {
        let tensor = tensor.aligned()?;
        let b = elements::<T>(tensor.bytes());
        for (matrix, packed) in elements_mut::<T>(packed).chunks_exact_mut(len).enumerate() {
            pack_b(cx.isa, &product.strided_b(b, matrix * product.b_step), packed);
        }
        Ok(())
    })?;
    Ok(Some(packed))
}

/// The step of a product computed in `T`'s own arithmetic; `flops` operations a nanosecond.
pub(super) fn scalar_step<T: Scalar + Element>(
    product: Product,
    output: OutputType,
    cx: &PlanCx<'_>,
    [alpha, beta]: [T; 2],
    flops: u64,
) -> Result<KernelStep> {
    let cost = product.cost(flops, size_of::<T>());
    let tasks = product.tasks::<T>(cx, cost);
    let packed = packed_b::<T>(&product, cx)?;
    let constant: &[usize] = if packed.is_some() { &[1] } else { &[] };
    let (m, n, k) = (product.m, product.n, product.k);
    let scratch = buffer_bytes::<T>(&[scratch_len::<T>(cx.isa, m, n, k)])?;
    let step = KernelStep::with_outputs([output], move |cx| {
        let isa = cx.isa();
        let (a, b) = (cx.input::<T>(0), cx.opt_input::<T>(1).unwrap_or(&[]));
        let len = packed_b_len::<T>(isa, k, n).unwrap_or(0);
        let addend = product.strided_addend(cx);
        tasks.run::<T>(&product, cx, |matrix, rows, cols, c, scratch| {
            let [a_at, b_at, ..] = product.offsets(matrix);
            let b = match &packed {
                Some(all) => {
                    let all = elements::<T>(all.as_slice());
                    Right::Packed(PackedB::from_packed(isa, &all[product.b_index(b_at) * len..], k, n))
                }
                None => Right::Strided(product.strided_b(b, b_at)),
            };
            let g = Gemm { alpha, beta, addend, ..Gemm::new(product.strided_a(a, a_at), b) };
            gemm(isa, &g, rows, cols, c, elements_mut(scratch));
        })
    });
    Ok(step.packed(constant).scratch(scratch).cost(cost))
}
