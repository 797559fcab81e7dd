//! Linear and cubic: one pass an axis over values of the computing type, then one rounding.

use diptych_kernels::resize::{AxisPass, resize_axis};
use half::{bf16, f16};
use std::ops::{Add, Mul, Range};

use super::sample::{Axis, Settings};
use crate::dtype::Element;
use crate::error::Result;
use crate::operator::{KernelStep, OutputType};
use crate::ops::elements::{buffer_bytes, elements_mut};
use crate::run::{Disjoint, KernelCx};
use crate::tensor::{ALIGN, Shape, element_count};

/// A type that is interpolated, and the one it computes in.
pub(super) trait Sample: Element {
    type Wide: Wide;
    fn widen(self) -> Self::Wide;
    fn narrow(wide: Self::Wide) -> Self;
    /// The extrapolation value, rounded once.
    fn fill(value: f32) -> Self;
}

/// f32 or f64.
pub(super) trait Wide: Element + Add<Output = Self> + Mul<Output = Self> {
    fn of(weight: f64) -> Self;
}

impl Wide for f32 {
    fn of(weight: f64) -> f32 {
        weight as f32
    }
}

impl Wide for f64 {
    fn of(weight: f64) -> f64 {
        weight
    }
}

macro_rules! samples {
    ($($t:ty, $wide:ty, $widen:expr, $narrow:expr, $fill:expr;)*) => {$(
        impl Sample for $t {
            type Wide = $wide;
            fn widen(self) -> $wide {
                $widen(self)
            }
            fn narrow(wide: $wide) -> $t {
                $narrow(wide)
            }
            fn fill(value: f32) -> $t {
                $fill(value)
            }
        }
    )*};
}
samples! {
    f32, f32, |x| x, |x| x, |x| x;
    f64, f64, |x| x, |x| x, f64::from;
    f16, f32, f16::to_f32, f16::from_f32, f16::from_f32;
    bf16, f32, bf16::to_f32, bf16::from_f32, bf16::from_f32;
    i8, f32, |x| x as f32, |x: f32| x.round_ties_even() as i8, |x: f32| x.round_ties_even() as i8;
    u8, f32, |x| x as f32, |x: f32| x.round_ties_even() as u8, |x: f32| x.round_ties_even() as u8;
    i16, f32, |x| x as f32, |x: f32| x.round_ties_even() as i16, |x: f32| x.round_ties_even() as i16;
    u16, f32, |x| x as f32, |x: f32| x.round_ties_even() as u16, |x: f32| x.round_ties_even() as u16;
    i32, f64, |x| x as f64, |x: f64| x.round_ties_even() as i32, |x: f32| x.round_ties_even() as i32;
    u32, f64, |x| x as f64, |x: f64| x.round_ties_even() as u32, |x: f32| x.round_ties_even() as u32;
    i64, f64, |x| x as f64, |x: f64| x.round_ties_even() as i64, |x: f32| x.round_ties_even() as i64;
    u64, f64, |x| x as f64, |x: f64| x.round_ties_even() as u64, |x: f32| x.round_ties_even() as u64;
}

/// One axis's pass.
struct Pass<E> {
    outer: usize,
    length: usize,
    resized: usize,
    inner: usize,
    positions: Vec<usize>,
    weights: Vec<E>,
    taps: usize,
}

impl<E: Wide> Pass<E> {
    fn new(axis: &Axis, settings: &Settings, shape: &[usize]) -> Result<Pass<E>> {
        let taps = axis.taps(settings)?;
        Ok(Pass {
            outer: element_count(&shape[..axis.axis])?,
            length: axis.length,
            resized: axis.resized,
            inner: element_count(&shape[axis.axis + 1..])?,
            positions: taps.positions,
            weights: taps.weights.into_iter().map(E::of).collect(),
            taps: taps.taps,
        })
    }

    fn reads(&self) -> usize {
        self.outer * self.length * self.inner
    }

    fn writes(&self) -> usize {
        self.outer * self.resized * self.inner
    }

    /// Nanoseconds of one core.
    fn cost(&self) -> u64 {
        (self.writes() as u64).saturating_mul(self.taps as u64) / 4
    }

    fn run(&self, cx: &KernelCx<'_>, x: &[E], y: &mut [E]) -> Result<()> {
        let (from, to) = (self.length * self.inner, self.resized * self.inner);
        let pass = AxisPass {
            length: self.length,
            inner: self.inner,
            positions: &self.positions,
            weights: &self.weights,
            taps: self.taps,
        };
        let isa = cx.isa();
        cx.parallel_rows(y, to, 100_000 / (to * self.taps), |first, y, _| {
            let rows = y.len() / to;
            resize_axis(isa, &pass, &x[first * from..(first + rows) * from], y);
        })
    }
}

/// Slabs of the output whose coordinate on some axis lies outside: `[outer][resized][inner]`, the indices on the axis.
struct Outside {
    resized: usize,
    inner: usize,
    indices: Vec<usize>,
}

/// The step that interpolates input 0 along `axes`, in increasing order. The output is not empty.
pub(super) fn step<T: Sample>(from: &[usize], to: &[usize], axes: &[Axis], settings: &Settings) -> Result<KernelStep> {
    let mut shape = Shape::from_slice(from);
    let mut passes = Vec::with_capacity(axes.len());
    let mut outside = Vec::new();
    let (mut largest, mut cost) = (element_count(from)?, element_count(to)? as u64 / 2);
    for axis in axes {
        let pass = Pass::<T::Wide>::new(axis, settings, &shape)?;
        shape[axis.axis] = axis.resized;
        largest = largest.max(element_count(&shape)?);
        cost = cost.saturating_add(pass.cost());
        let indices: Vec<usize> = (0..axis.resized).filter(|&o| axis.is_outside(settings, o)).collect();
        if !indices.is_empty() {
            outside.push(Outside { resized: axis.resized, inner: element_count(&to[axis.axis + 1..])?, indices });
        }
        passes.push(pass);
    }
    let room = buffer_bytes::<T::Wide>(&[largest])?.next_multiple_of(ALIGN);
    let workspace = element_count(&[2, room])?;
    let fill = T::fill(settings.extrapolation_value);
    let step = KernelStep::with_outputs([OutputType::new(T::DTYPE, to)], move |cx| {
        let (first, second) = cx.workspace().split_at_mut(room);
        let (mut now, mut next) = (elements_mut::<T::Wide>(first), elements_mut::<T::Wide>(second));
        let x = cx.input::<T>(0);
        cx.parallel_rows(&mut now[..x.len()], 1, GRAIN, |first, wide, _| {
            wide.iter_mut().zip(&x[first..]).for_each(|(wide, &x)| *wide = x.widen());
        })?;
        for pass in &passes {
            pass.run(cx, &now[..pass.reads()], &mut next[..pass.writes()])?;
            std::mem::swap(&mut now, &mut next);
        }
        let y = Disjoint::new(cx.output::<T>(0));
        cx.parallel_ranges(y.len(), GRAIN, |range: Range<usize>, _| {
            // SAFETY: ranges of different chunks do not overlap.
            let y = unsafe { y.range(range.clone()) };
            y.iter_mut().zip(&now[range]).for_each(|(y, &wide)| *y = T::narrow(wide));
        })?;
        // SAFETY: the chunks above are done.
        let y = unsafe { y.range(0..y.len()) };
        for Outside { resized, inner, indices } in &outside {
            for slab in y.chunks_exact_mut(resized * inner) {
                indices.iter().for_each(|&o| slab[o * inner..(o + 1) * inner].fill(fill));
            }
        }
        Ok(())
    });
    Ok(step.workspace(workspace).cost(cost + 200))
}

/// Elements worth a task where each is only converted.
const GRAIN: usize = 40_000;
