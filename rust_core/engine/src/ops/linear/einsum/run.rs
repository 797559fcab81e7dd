//! Running the stages of an equation.

use std::marker::PhantomData;

use diptych_kernels::Isa;
use diptych_kernels::chain::{Chain, Factors, chains};
use diptych_kernels::functions::Float;
use diptych_kernels::gemm::{Gemm, Right, Scalar, gemm, scratch_len};
use diptych_kernels::reduce::{Extent, Reduction, reduce, reduce_integers};
use half::{bf16, f16};

use super::plan::{At, Plan, Stage, To};
use crate::broadcast::Walk;
use crate::dtype::Element;
use crate::error::Result;
use crate::operator::{KernelStep, PlanCx};
use crate::ops::elements::{buffer_bytes, elements_mut, rooms_bytes};
use crate::ops::elementwise::Place;
use crate::ops::matmul::{Product, Tasks};
use crate::run::KernelCx;
use crate::tensor::ALIGN;

/// Elements moved, and terms summed, that are worth a thread.
const GRAIN: usize = 1 << 15;

/// An element type of the operands, and the type that is computed in.
pub trait Stored: Element {
    type Computed: Computed;
    /// Exact; integers keep their value.
    fn widen(self) -> Self::Computed;
    /// Rounded once; integers keep their low bits.
    fn narrow(number: Self::Computed) -> Self;
}

/// A type that sums and products are computed in.
pub trait Computed: Scalar + Chain + Element {
    /// The lane sums of the rows of an array of this extent (inner length 1) into `sums`.
    fn lane_sums(isa: Isa, rows: &[Self], extent: Extent, sums: &mut [Self]);
}

macro_rules! computed {
    ($($type:ty: $reduce:ident;)*) => {$(impl Computed for $type {
        fn lane_sums(isa: Isa, rows: &[$type], extent: Extent, sums: &mut [$type]) {
            assert!(rows.len() == extent.outer * extent.n && sums.len() == extent.outer && extent.inner == 1);
            // SAFETY: both slices have the extent's elements.
            unsafe { $reduce(isa, Reduction::Sum, rows.as_ptr(), sums.as_mut_ptr(), extent, 0..extent.outer, 0..1) };
        }
    })*};
}
computed! { f32: reduce; f64: reduce; i32: reduce_integers; i64: reduce_integers; }

macro_rules! stored {
    ($($type:ty => $computed:ty: |$x:ident| $widen:expr, |$y:ident| $narrow:expr;)*) => {$(impl Stored for $type {
        type Computed = $computed;
        #[inline(always)]
        fn widen(self) -> $computed { let $x = self; $widen }
        #[inline(always)]
        fn narrow($y: $computed) -> $type { $narrow }
    })*};
}
stored! {
    f32 => f32: |x| x, |y| y;
    f64 => f64: |x| x, |y| y;
    f16 => f32: |x| Float::widen(x), |y| Float::narrow(y);
    bf16 => f32: |x| Float::widen(x), |y| Float::narrow(y);
    i8 => i32: |x| x.into(), |y| y as i8;
    u8 => i32: |x| x.into(), |y| y as u8;
    i16 => i32: |x| x.into(), |y| y as i16;
    u16 => i32: |x| x.into(), |y| y as u16;
    i32 => i32: |x| x, |y| y;
    u32 => i32: |x| x as i32, |y| y as u32;
    i64 => i64: |x| x, |y| y;
    u64 => i64: |x| x as i64, |y| y as u64;
}

/// The step that runs a plan for elements `S`.
pub fn step<S: Stored>(plan: Plan, cx: &PlanCx<'_>) -> Result<KernelStep> {
    let Plan { stages, rooms, shape } = plan;
    let sizes = rooms.iter().map(|&len| buffer_bytes::<S::Computed>(&[len])).collect::<Result<Vec<usize>>>()?;
    let workspace = rooms_bytes(&sizes)?;
    let mut places = Vec::with_capacity(rooms.len());
    let mut offset = 0;
    for (&len, &size) in rooms.iter().zip(&sizes) {
        places.push((offset, len));
        offset += size.next_multiple_of(ALIGN);
    }
    let (mut scratch, mut cost) = (0, 200u64);
    for stage in &stages {
        cost = cost.saturating_add(work(stage) / 4);
        if let Stage::Product { product, .. } = stage {
            let len = scratch_len::<S::Computed>(cx.isa, product.m, product.n, product.k);
            scratch = scratch.max(buffer_bytes::<S::Computed>(&[len])?);
        }
    }
    let step = KernelStep::new(S::DTYPE, shape, move |cx| {
        let run =
            Run::<S> { cx, room: Place::output(cx.workspace().as_mut_ptr()), places: &places, stored: PhantomData };
        stages.iter().try_for_each(|stage| run.stage(stage))
    });
    Ok(step.workspace(workspace).scratch(scratch).cost(cost))
}

/// Elements moved or multiply-adds, scaled to one measure.
fn work(stage: &Stage) -> u64 {
    match stage {
        Stage::Gather { walk, .. } | Stage::Finish { walk, .. } => walk.len() as u64 * 2,
        Stage::Sum { rows, n, .. } => (rows * n) as u64,
        Stage::Chains { walk, k, .. } => (walk.len() as u64).saturating_mul(*k as u64 + 1),
        Stage::Product { product, .. } => product.cost(20, 4) * 4,
    }
}

/// A plan being run.
struct Run<'a, S> {
    cx: &'a KernelCx<'a>,
    room: Place<u8>,
    /// Offset in bytes and elements of each room.
    places: &'a [(usize, usize)],
    stored: PhantomData<S>,
}

// [panel: Einsum]
impl<S: Stored> Run<'_, S> {
    /// The elements of an input or room; an input must be of the computing type.
    fn read(&self, at: At) -> &[S::Computed] {
        match at {
            At::Input(input) => {
                debug_assert_eq!(size_of::<S>(), size_of::<S::Computed>());
                self.cx.input::<S::Computed>(input)
            }
            At::Room(room) => {
                let (offset, len) = self.places[room];
                if len == 0 {
                    return &[];
                }
                // SAFETY: the room is inside the workspace, aligned, and no stage writes a room that it reads.
                unsafe { std::slice::from_raw_parts(self.room.at(offset).cast(), len) }
            }
        }
    }

    /// The elements of a room or of the output, which then is of the computing type.
    #[allow(clippy::mut_from_ref)]
    fn write(&self, to: To) -> &mut [S::Computed] {
        match to {
            To::Output => {
                debug_assert_eq!(size_of::<S>(), size_of::<S::Computed>());
                self.cx.output::<S::Computed>(0)
            }
            To::Room(room) => {
                let (offset, len) = self.places[room];
                if len == 0 {
                    return &mut [];
                }
                // SAFETY: as in `read`; stages run one after the other and each writes one place.
                unsafe { std::slice::from_raw_parts_mut(self.room.at(offset).cast(), len) }
            }
        }
    }

    fn stage(&self, stage: &Stage) -> Result<()> {
        match stage {
            Stage::Gather { from, walk, to } => match from {
                At::Input(input) => {
                    let x = self.cx.input::<S>(*input);
                    self.moved(x, walk, self.write(To::Room(*to)), S::widen)
                }
                room => self.moved(self.read(*room), walk, self.write(To::Room(*to)), |x| x),
            },
            Stage::Finish { from, walk } => match from {
                At::Input(input) => self.moved(self.cx.input::<S>(*input), walk, self.cx.output::<S>(0), |x| x),
                room => self.moved(self.read(*room), walk, self.cx.output::<S>(0), S::narrow),
            },
            Stage::Sum { from, rows, n, to } => self.sums(self.read(*from), [*rows, *n], self.write(*to)),
            Stage::Chains { from, walk, k, steps, to } => {
                self.chains(from.map(|at| self.read(at)), walk, *k, *steps, self.write(*to))
            }
            Stage::Product { from, product, tasks, to } => {
                self.product(from.map(|at| self.read(at)), product, tasks, self.write(*to))
            }
        }
    }

    /// `out`, in the order of the walk, from `x`.
    fn moved<X: Element, Y: Element>(
        &self,
        x: &[X],
        walk: &Walk<1>,
        out: &mut [Y],
        convert: impl Fn(X) -> Y + Copy + Sync,
    ) -> Result<()> {
        let [stride] = walk.row_strides();
        self.cx.parallel_rows(out, 1, GRAIN, |first, out, _| {
            walk.rows(first..first + out.len(), |at, len, [offset]| {
                let out = &mut out[at - first..at - first + len];
                match stride {
                    0 => out.fill(convert(x[offset])),
                    1 => out.iter_mut().zip(&x[offset..]).for_each(|(y, &x)| *y = convert(x)),
                    _ => {
                        let spread = x[offset..].iter().step_by(stride as usize);
                        out.iter_mut().zip(spread).for_each(|(y, &x)| *y = convert(x));
                    }
                }
            });
        })
    }

    fn sums(&self, x: &[S::Computed], [rows, n]: [usize; 2], out: &mut [S::Computed]) -> Result<()> {
        debug_assert_eq!(out.len(), rows);
        let isa = self.cx.isa();
        self.cx.parallel_rows(out, 1, GRAIN / n.max(1), |first, out, _| {
            let extent = Extent { outer: out.len(), n, inner: 1 };
            S::Computed::lane_sums(isa, &x[first * n..(first + out.len()) * n], extent, out);
        })
    }

    fn chains(
        &self,
        [a, b]: [&[S::Computed]; 2],
        walk: &Walk<2>,
        k: usize,
        steps: [isize; 2],
        out: &mut [S::Computed],
    ) -> Result<()> {
        let (isa, strides) = (self.cx.isa(), walk.row_strides());
        self.cx.parallel_rows(out, 1, GRAIN / (k + 1), |first, out, _| {
            walk.rows(first..first + out.len(), |at, len, [x, y]| {
                let out = &mut out[at - first..at - first + len];
                let (a, b) = (a.as_ptr().wrapping_add(x), b.as_ptr().wrapping_add(y));
                // SAFETY: walk and steps stay inside the operands, whose axes they are made of.
                unsafe { chains(isa, Factors { a, b, strides, steps, k }, out) };
            });
        })
    }

    fn product(
        &self,
        [a, b]: [&[S::Computed]; 2],
        product: &Product,
        tasks: &Tasks,
        out: &mut [S::Computed],
    ) -> Result<()> {
        let isa = self.cx.isa();
        tasks.run_into::<S::Computed>(product, self.cx, out, |matrix, rows, cols, c, scratch| {
            let [a_at, b_at, ..] = product.offsets(matrix);
            let b = Right::Strided(product.strided_b(b, b_at));
            gemm(isa, &Gemm::new(product.strided_a(a, a_at), b), rows, cols, c, elements_mut(scratch));
        })
    }
}
// [/panel]
