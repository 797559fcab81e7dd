//! The register tile: `MR` rows by `NV` vectors of C, one multiply-add chain an element.

use crate::epilogue::{Epilogue, Factors, Follow};
use crate::lanes::{Arch, Avx2, Avx512, Baseline, Isa, Kernel, Mask, Neon, Simd, dispatch, prefetch};
use crate::mutant::{self, Mutant};
use std::marker::PhantomData;
use std::simd::SimdElement;

/// Steps over k by which rows of B are asked for ahead.
const AHEAD: usize = 8;
/// Rows from which on a tile asks: with fewer it reads B as fast as it comes, and asking costs.
const ASKING_ROWS: usize = 4;

/// The element types that a product is computed in: `f32` (fused), `f64` (multiply, then add), and wrapping `i32`
/// and `i64`. Unsigned integers run as signed ones: see [`MatRef::as_signed`](super::MatRef).
pub trait Scalar: SimdElement + Default + PartialEq + Send + Sync + 'static {
    const ONE: Self;
    /// One step of the chain: `c + a * b` as docs/numerics.md, section 1, has it for the type.
    fn mul_add<A: Arch, const W: usize>(a: Simd<Self, W>, b: Simd<Self, W>, c: Simd<Self, W>) -> Simd<Self, W>;
    fn mul<const W: usize>(a: Simd<Self, W>, b: Simd<Self, W>) -> Simd<Self, W>;
    fn add<const W: usize>(a: Simd<Self, W>, b: Simd<Self, W>) -> Simd<Self, W>;
    /// `epilogue` of a vector with these factors; of `f32` alone, for the others there is none.
    #[inline(always)]
    fn follow<A: Arch, const W: usize>(_: &Epilogue, x: Simd<Self, W>, _: Factors<W>) -> Simd<Self, W> {
        x
    }
    #[doc(hidden)]
    fn tiles(isa: Isa) -> &'static TileSet<Self>;
}

/// What happens to a finished chain on its way to C.
#[derive(Clone, Copy, Debug)]
pub enum Finish<T> {
    /// `acc`
    Store,
    /// `alpha * acc`
    Scale(T),
    /// `alpha * acc + beta * addend[i][j]`. `addend` points at the tile's first element; `unit` says that its columns
    /// are contiguous, else one value serves a row.
    Add { alpha: T, beta: T, addend: *const T, row_stride: usize, unit: bool },
}

/// One tile: C[0..MR][0..n] from A[0..MR][0..k] and B[0..k][0..n]. Strides count elements.
#[derive(Debug)]
pub struct TileArgs<T> {
    pub k: usize,
    pub a: *const T,
    pub a_row: usize,
    pub a_k: usize,
    /// Rows of B are readable in whole vectors; lanes from `n` on are ignored.
    pub b: *const T,
    pub b_k: usize,
    pub c: *mut T,
    pub c_row: usize,
    /// Columns: more than `NV - 1` vectors, at most `NV`.
    pub n: usize,
    /// The chain goes on from what C holds, instead of from +0.
    pub resume: bool,
    pub finish: Finish<T>,
    /// What follows, the first row being channel `channel`; null for nothing. Valid while the kernel runs.
    pub epilogue: *const Epilogue,
    pub channel: usize,
}

/// A tile kernel.
///
/// # Safety
/// The CPU has the kernel's instruction set, and all elements that [`TileArgs`] describes for its `MR` and `NV` are valid:
/// A and B to read, C to write (and to read, if `resume`).
pub type TileFn<T> = unsafe fn(&TileArgs<T>);

/// The tile kernels of one type on one instruction set.
#[derive(Debug)]
pub struct TileSet<T: 'static> {
    /// Lanes of a vector.
    pub lanes: usize,
    /// `kernels[nv - 1][mr - 1]`
    pub kernels: &'static [&'static [TileFn<T>]],
}

impl<T> TileSet<T> {
    /// Columns of a full panel.
    pub fn panel(&self) -> usize {
        self.lanes * self.kernels.len()
    }

    /// The kernels for `n` columns (at least 1, at most a panel), by height.
    pub fn of_width(&self, n: usize) -> &'static [TileFn<T>] {
        self.kernels[n.div_ceil(self.lanes) - 1]
    }
}

/// The first `n` lanes.
#[inline(always)]
pub(crate) fn first<T: SimdElement, const W: usize>(n: usize) -> Mask<T::Mask, W> {
    Mask::from_bitmask(if n >= 64 { u64::MAX } else { (1u64 << n) - 1 })
}

/// # Safety
/// `W` elements at `p` are readable.
#[inline(always)]
pub(crate) unsafe fn load<T: SimdElement, const W: usize>(p: *const T) -> Simd<T, W> {
    // SAFETY: the caller's promise; the read is unaligned.
    unsafe { p.cast::<Simd<T, W>>().read_unaligned() }
}

/// # Safety
/// `W` elements at `p` are writable.
#[inline(always)]
pub(crate) unsafe fn store<T: SimdElement, const W: usize>(p: *mut T, v: Simd<T, W>) {
    // SAFETY: the caller's promise; the write is unaligned.
    unsafe { p.cast::<Simd<T, W>>().write_unaligned(v) }
}

/// # Safety
/// The first `n` elements at `p` are readable.
#[inline(always)]
pub(crate) unsafe fn load_first<T: SimdElement + Default, const W: usize>(p: *const T, n: usize) -> Simd<T, W> {
    // SAFETY: the caller's promise; lanes outside the mask are not read.
    unsafe { Simd::load_select_ptr(p, first::<T, W>(n), Simd::splat(T::default())) }
}

/// # Safety
/// The first `n` elements at `p` are writable.
#[inline(always)]
pub(crate) unsafe fn store_first<T: SimdElement, const W: usize>(p: *mut T, v: Simd<T, W>, n: usize) {
    // SAFETY: the caller's promise; lanes outside the mask are not written.
    unsafe { v.store_select_ptr(p, first::<T, W>(n)) }
}

/// # Safety
/// `min(n, W)` elements at `p` are writable.
#[inline(always)]
pub(crate) unsafe fn store_upto<T: SimdElement, const W: usize>(p: *mut T, v: Simd<T, W>, n: usize) {
    // SAFETY: the caller's promise.
    unsafe { if n >= W { store(p, v) } else { store_first(p, v, n) } }
}

/// What one step over k does to the accumulators.
pub(crate) trait Step<T: Scalar>: 'static {
    fn step<A: Arch, const W: usize>(a: Simd<T, W>, b: Simd<T, W>, c: Simd<T, W>) -> Simd<T, W>;
}

/// The type's own multiply-add.
#[derive(Debug)]
pub(crate) struct Chain;

impl<T: Scalar> Step<T> for Chain {
    #[inline(always)]
    fn step<A: Arch, const W: usize>(a: Simd<T, W>, b: Simd<T, W>, c: Simd<T, W>) -> Simd<T, W> {
        T::mul_add::<A, W>(a, b, c)
    }
}

struct Tile<'a, Want, S, T, const W: usize, const MR: usize, const NV: usize>(&'a TileArgs<T>, PhantomData<(Want, S)>);

impl<Want: Arch, S: Step<T>, T: Scalar, const W: usize, const MR: usize, const NV: usize> Kernel
    for Tile<'_, Want, S, T, W, MR, NV>
{
    type Output = ();
    const DOTS: bool = Want::ISA as u8 == Isa::Avx512Vnni as u8;
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        // The table names the set: no other body is compiled.
        if const { A::ISA as u8 == Want::ISA as u8 } {
            // SAFETY: `TileFn`'s contract, which every caller of `tile` keeps.
            unsafe { chains::<A, S, T, W, MR, NV>(self.0) }
        }
    }
}

/// # Safety
/// As [`TileFn`].
pub(crate) unsafe fn tile<Want: Arch, S: Step<T>, T: Scalar, const W: usize, const MR: usize, const NV: usize>(
    args: &TileArgs<T>,
) {
    dispatch(Want::ISA, Tile::<Want, S, T, W, MR, NV>(args, PhantomData));
}

// [panel: MatMul Gemm com.microsoft.FusedMatMul]
// [panel: Conv Einsum chains]
/// # Safety
/// As [`TileFn`].
#[inline(always)]
unsafe fn chains<A: Arch, S: Step<T>, T: Scalar, const W: usize, const MR: usize, const NV: usize>(args: &TileArgs<T>) {
    let mut acc = [[Simd::<T, W>::splat(T::default()); NV]; MR];
    let tail = args.n - (NV - 1) * W;
    if args.resume {
        for (i, row) in acc.iter_mut().enumerate() {
            // SAFETY: C's tile is readable when chains resume.
            unsafe { load_row(args.c.wrapping_add(i * args.c_row), tail, row) };
        }
    }
    if MR >= ASKING_ROWS && !args.resume {
        // C is written at the end; its lines come meanwhile.
        for i in 0..MR {
            for v in 0..NV {
                prefetch(args.c.wrapping_add(i * args.c_row + v * W));
            }
        }
    }
    // [panel: register tile]
    let rows: [*const T; MR] = std::array::from_fn(|i| args.a.wrapping_add(i * args.a_row));
    let mut b = args.b;
    let mut at = 0;
    for _ in 0..args.k {
        // SAFETY: row k of B is readable in NV whole vectors.
        let bs: [Simd<T, W>; NV] = std::array::from_fn(|v| unsafe { load(b.wrapping_add(v * W)) });
        if MR >= ASKING_ROWS {
            for v in 0..NV {
                prefetch(b.wrapping_add(AHEAD * args.b_k + v * W));
            }
        }
        for i in 0..MR {
            // SAFETY: A's element (i, k) is readable.
            let a = Simd::splat(unsafe { *rows[i].wrapping_add(at) });
            for v in 0..NV {
                acc[i][v] = S::step::<A, W>(a, bs[v], acc[i][v]);
            }
        }
        b = b.wrapping_add(args.b_k);
        at = at.wrapping_add(args.a_k);
    }
    // [/panel]
    // A copy, so that the accumulators are never addressed and stay in registers.
    let mut sums: [[Simd<T, W>; NV]; MR] = std::array::from_fn(|i| std::array::from_fn(|v| acc[i][v]));
    // SAFETY: C's tile is writable, the addend's readable.
    unsafe { finish::<A, T, W, MR, NV>(args, tail, &mut sums) };
}
// [/panel]
// [/panel]

/// # Safety
/// `(NV - 1) * W + tail` elements at `p` are readable.
#[inline(always)]
unsafe fn load_row<T: Scalar, const W: usize, const NV: usize>(p: *const T, tail: usize, row: &mut [Simd<T, W>; NV]) {
    for (v, x) in row.iter_mut().enumerate() {
        let q = p.wrapping_add(v * W);
        // SAFETY: the caller's promise.
        *x = unsafe { if v + 1 < NV || tail == W { load(q) } else { load_first(q, tail) } };
    }
}

// [panel: MatMul Gemm com.microsoft.FusedMatMul finish]
/// # Safety
/// C's tile is writable and the addend's readable.
#[inline(always)]
unsafe fn finish<A: Arch, T: Scalar, const W: usize, const MR: usize, const NV: usize>(
    args: &TileArgs<T>,
    tail: usize,
    acc: &mut [[Simd<T, W>; NV]; MR],
) {
    match args.finish {
        Finish::Store => {}
        Finish::Scale(alpha) => {
            for row in acc.iter_mut() {
                *row = row.map(|x| T::mul(Simd::splat(alpha), x));
            }
        }
        Finish::Add { alpha, beta, addend, row_stride, unit } => {
            for (i, row) in acc.iter_mut().enumerate() {
                let p = addend.wrapping_add(i * row_stride);
                let mut add = [Simd::splat(T::default()); NV];
                // SAFETY: the caller's promise; without `unit` one element serves the row.
                unsafe { if unit { load_row(p, tail, &mut add) } else { add = [Simd::splat(*p); NV] } };
                for v in 0..NV {
                    row[v] = T::add(T::mul(Simd::splat(alpha), row[v]), T::mul(Simd::splat(beta), add[v]));
                }
            }
        }
    }
    // SAFETY: `TileArgs` says so.
    if let Some(epilogue) = unsafe { args.epilogue.as_ref() } {
        for (i, row) in acc.iter_mut().enumerate() {
            let factors = epilogue.of_channel(args.channel + i);
            *row = row.map(|x| T::follow::<A, W>(epilogue, x, factors));
        }
    }
    let stored = tail - usize::from(mutant::on(Mutant::DroppedTail));
    for (i, row) in acc.iter().enumerate() {
        for (v, &x) in row.iter().enumerate() {
            let p = args.c.wrapping_add(i * args.c_row + v * W);
            // SAFETY: the caller's promise.
            unsafe { if v + 1 < NV || tail == W { store(p, x) } else { store_first(p, x, stored) } };
        }
    }
}
// [/panel]

/// `tile_set!(T, Step, Arch, lanes; vectors: heights; …)`: a [`TileSet`].
macro_rules! tile_set {
    ($t:ty, $arch:ident, $lanes:literal; $($rest:tt)*) => {
        tile_set!($t, Chain, $arch, $lanes; $($rest)*)
    };
    ($t:ty, $step:ident, $arch:ident, $lanes:literal; $($nv:literal: [$($mr:literal)*]);*) => {{
        const SET: &TileSet<$t> = &TileSet {
            lanes: $lanes,
            kernels: &[$(&[$(tile::<$arch, $step, $t, $lanes, $mr, $nv>),*]),*],
        };
        SET
    }};
}
pub(crate) use tile_set;

impl Scalar for f32 {
    const ONE: f32 = 1.0;
    #[inline(always)]
    fn mul_add<A: Arch, const W: usize>(a: Simd<f32, W>, b: Simd<f32, W>, c: Simd<f32, W>) -> Simd<f32, W> {
        if mutant::on(Mutant::RoundedProduct) { a * b + c } else { A::fma(a, b, c) }
    }
    #[inline(always)]
    fn mul<const W: usize>(a: Simd<f32, W>, b: Simd<f32, W>) -> Simd<f32, W> {
        a * b
    }
    #[inline(always)]
    fn add<const W: usize>(a: Simd<f32, W>, b: Simd<f32, W>) -> Simd<f32, W> {
        a + b
    }
    #[inline(always)]
    fn follow<A: Arch, const W: usize>(epilogue: &Epilogue, x: Simd<f32, W>, factors: Factors<W>) -> Simd<f32, W> {
        epilogue.apply::<A, W>(x, factors)
    }
    // [panel: tile sizes]
    fn tiles(isa: Isa) -> &'static TileSet<f32> {
        match isa {
            Isa::Baseline => tile_set!(f32, Baseline, 4; 1: [1 2 3 4]; 2: [1 2 3 4]),
            Isa::Neon => {
                tile_set!(f32, Neon, 4; 1: [1 2 3 4 5 6]; 2: [1 2 3 4 5 6]; 3: [1 2 3 4 5 6]; 4: [1 2 3 4 5 6])
            }
            Isa::Avx2 => tile_set!(f32, Avx2, 8; 1: [1 2 3 4 5 6 7 8 9 10]; 2: [1 2 3 4 5 6]),
            Isa::Avx512 | Isa::Avx512Vnni => tile_set!(f32, Avx512, 16; 1: [1 2 3 4 5 6 7 8 9 10 11 12];
                2: [1 2 3 4 5 6 7 8 9 10 11 12 13 14]; 3: [1 2 3 4 5 6 7 8]; 4: [1 2 3 4 5 6]),
        }
    }
    // [/panel]
}

impl Scalar for f64 {
    const ONE: f64 = 1.0;
    #[inline(always)]
    fn mul_add<A: Arch, const W: usize>(a: Simd<f64, W>, b: Simd<f64, W>, c: Simd<f64, W>) -> Simd<f64, W> {
        a * b + c
    }
    #[inline(always)]
    fn mul<const W: usize>(a: Simd<f64, W>, b: Simd<f64, W>) -> Simd<f64, W> {
        a * b
    }
    #[inline(always)]
    fn add<const W: usize>(a: Simd<f64, W>, b: Simd<f64, W>) -> Simd<f64, W> {
        a + b
    }
    fn tiles(isa: Isa) -> &'static TileSet<f64> {
        match isa {
            Isa::Baseline => tile_set!(f64, Baseline, 2; 1: [1 2 3 4]; 2: [1 2 3 4]),
            Isa::Neon => {
                tile_set!(f64, Neon, 2; 1: [1 2 3 4 5 6]; 2: [1 2 3 4 5 6]; 3: [1 2 3 4 5 6]; 4: [1 2 3 4 5 6])
            }
            Isa::Avx2 => tile_set!(f64, Avx2, 4; 1: [1 2 3 4 5 6]; 2: [1 2 3 4 5 6]),
            Isa::Avx512 | Isa::Avx512Vnni => tile_set!(f64, Avx512, 8; 1: [1 2 3 4 5 6]; 2: [1 2 3 4 5 6];
                3: [1 2 3 4 5 6]; 4: [1 2 3 4 5 6]),
        }
    }
}

macro_rules! wrapping_scalar {
    ($t:ty, $narrow:literal, $avx2:literal, $avx512:literal) => {
        impl Scalar for $t {
            const ONE: $t = 1;
            #[inline(always)]
            fn mul_add<A: Arch, const W: usize>(a: Simd<$t, W>, b: Simd<$t, W>, c: Simd<$t, W>) -> Simd<$t, W> {
                a * b + c
            }
            #[inline(always)]
            fn mul<const W: usize>(a: Simd<$t, W>, b: Simd<$t, W>) -> Simd<$t, W> {
                a * b
            }
            #[inline(always)]
            fn add<const W: usize>(a: Simd<$t, W>, b: Simd<$t, W>) -> Simd<$t, W> {
                a + b
            }
            fn tiles(isa: Isa) -> &'static TileSet<$t> {
                match isa {
                    Isa::Baseline => tile_set!($t, Baseline, $narrow; 1: [1 2 3 4]; 2: [1 2 3 4]),
                    Isa::Neon => tile_set!($t, Neon, $narrow; 1: [1 2 3 4]; 2: [1 2 3 4]),
                    Isa::Avx2 => tile_set!($t, Avx2, $avx2; 1: [1 2 3 4]; 2: [1 2 3 4]),
                    Isa::Avx512 | Isa::Avx512Vnni => tile_set!($t, Avx512, $avx512; 1: [1 2 3 4]; 2: [1 2 3 4]),
                }
            }
        }
    };
}
wrapping_scalar!(i32, 4, 8, 16);
wrapping_scalar!(i64, 2, 4, 8);
