//! GridSample, linear and cubic: some places at a time, whose neighbours and weights serve all channels.

use std::ops::Range;

use diptych_kernels::functions::{Float, Stash};
use diptych_kernels::sample::{OUTSIDE, interpolate};
use half::{bf16, f16};

use super::grid::{Geometry, Mode, Numbers};
use crate::dtype::{Bool, DType, Element};
use crate::error::{Error, Result};
use crate::operator::KernelStep;
use crate::ops::elements::{buffer_bytes, elements_mut, rooms, rooms_bytes};
use crate::ops::mover::Inputs;
use crate::run::Disjoint;
use crate::tensor::element_count;
use crate::with_dtype;

/// Places that are worked on together.
const PLACES: usize = 64;

/// A type that is interpolated, and the one it computes in.
trait Sampled: Element {
    type Wide: Stash + Element;
    fn widen(self) -> Self::Wide;
    /// Floats rounded once, others cast.
    fn cast(wide: Self::Wide) -> Self;
}

macro_rules! sampled {
    ($($t:ty, $wide:ty, $widen:expr, $cast:expr;)*) => {$(
        impl Sampled for $t {
            type Wide = $wide;
            fn widen(self) -> $wide {
                $widen(self)
            }
            fn cast(wide: $wide) -> $t {
                $cast(wide)
            }
        }
    )*};
}
sampled! {
    f32, f32, |x| x, |y| y;
    f64, f64, |x| x, |y| y;
    f16, f32, f16::to_f32, f16::from_f32;
    bf16, f32, bf16::to_f32, bf16::from_f32;
    i8, f32, |x| x as f32, |y| y as i8;
    u8, f32, |x| x as f32, |y| y as u8;
    i16, f32, |x| x as f32, |y| y as i16;
    u16, f32, |x| x as f32, |y| y as u16;
    i32, f64, |x| x as f64, |y| y as i32;
    u32, f64, |x| x as f64, |y| y as u32;
    i64, f64, |x| x as f64, |y| y as i64;
    u64, f64, |x| x as f64, |y| y as u64;
    Bool, f32, |x: Bool| if x.0 == 0 { 0.0 } else { 1.0 }, |y| Bool(u8::from(y != 0.0));
}

/// The step that interpolates X at places that are not none.
pub(super) fn step(dtype: DType, mode: Mode, geometry: Geometry) -> Result<KernelStep> {
    with_dtype!(
        dtype, T in [F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64, Bool] =>
            typed::<T>(dtype, 1, mode, geometry),
        else match dtype {
            DType::C64 => typed::<f32>(dtype, 2, mode, geometry),
            DType::C128 => typed::<f64>(dtype, 2, mode, geometry),
            other => Err(Error::unsupported(format!("GridSample of {other}"))),
        }
    )
}

/// For elements of `parts` numbers `T`.
fn typed<T: Sampled>(dtype: DType, parts: usize, mode: Mode, geometry: Geometry) -> Result<KernelStep> {
    let Geometry { batch, channels, places, .. } = geometry;
    let (steps, rank) = (mode.steps(), geometry.axes.len());
    let taps = steps.pow(rank as u32);
    let width = PLACES.min(places);
    let sizes = [
        buffer_bytes::<usize>(&[taps, width])?,
        buffer_bytes::<T::Wide>(&[rank, steps, width])?,
        buffer_bytes::<T::Wide>(&[taps, width])?,
    ];
    let blocks = places.div_ceil(width);
    let cost = (element_count(&geometry.output)? as u64).saturating_mul((taps * parts) as u64).saturating_add(200);
    let output = geometry.output.clone();
    let step = KernelStep::new(dtype, output, move |cx| {
        let (x, numbers) = (cx.input::<T>(0), Numbers::of(Inputs::of(cx), geometry.grid));
        let (y, isa) = (Disjoint::new(cx.output::<T>(0)), cx.isa());
        cx.parallel_ranges(batch * blocks, 1, |range, scratch| {
            let [offsets, weights, values] = rooms(scratch, sizes);
            for task in range {
                let image = task / blocks;
                let start = task % blocks * width;
                let own = start..(start + width).min(places);
                let count = own.len();
                let offsets = &mut offsets_of(offsets)[..taps * count];
                let weights = &mut elements_mut::<T::Wide>(weights)[..rank * steps * count];
                let values = &mut elements_mut::<T::Wide>(values)[..taps * count];
                geometry.find(numbers, image, own.clone(), mode, offsets, weights);
                for (channel, part) in (0..channels).flat_map(|c| (0..parts).map(move |part| (c, part))) {
                    let plane = image * channels + channel;
                    let x = &x[plane * geometry.from * parts..][..geometry.from * parts];
                    for (value, &offset) in values.iter_mut().zip(&*offsets) {
                        *value = match offset {
                            OUTSIDE => T::Wide::ZERO,
                            offset => x[offset * parts + part].widen(),
                        };
                    }
                    interpolate(isa, steps, count, weights, values);
                    let first = (plane * places + own.start) * parts;
                    // SAFETY: tasks have places of their own.
                    let y = unsafe { y.range(first..first + count * parts) };
                    let y = y.iter_mut().skip(part).step_by(parts);
                    y.zip(&values[..count]).for_each(|(y, &value)| *y = T::cast(value));
                }
            }
        })
    });
    Ok(step.scratch(rooms_bytes(&sizes)?).cost(cost))
}

/// Aligned bytes as offsets.
fn offsets_of(bytes: &mut [u8]) -> &mut [usize] {
    let words = elements_mut::<u64>(bytes);
    // SAFETY: on the 64-bit machines that the engine is for, usize and u64 are one in memory.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len()) }
}

impl Geometry {
    /// The elements around the places `range` of an image, innermost axis fastest, and the weights along each axis.
    fn find<E: Stash>(
        &self,
        numbers: Numbers<'_>,
        image: usize,
        range: Range<usize>,
        mode: Mode,
        offsets: &mut [usize],
        weights: &mut [E],
    ) {
        let (rank, steps, count) = (self.axes.len(), mode.steps(), range.len());
        for (p, place) in range.enumerate() {
            let first = (image * self.places + place) * rank;
            offsets[p] = 0;
            let mut known = 1; // combinations of the axes so far
            for (a, axis) in self.axes.iter().enumerate() {
                let at = axis.bounded(axis.denormalized(numbers.at(first + rank - 1 - a)));
                let below = at.floor();
                let part = at - below;
                let mut elements = [None; 4];
                for (k, element) in elements[..steps].iter_mut().enumerate() {
                    let step = k as f64 - if mode == Mode::Cubic { 1.0 } else { 0.0 };
                    *element = axis.element(below + step);
                    weights[(a * steps + k) * count + p] = E::from_binary64(weight((step - part).abs(), mode));
                }
                // Backwards, so that what is read is not yet written over.
                for combination in (0..known).rev() {
                    let outer = offsets[combination * count + p];
                    for (k, element) in elements[..steps].iter().enumerate() {
                        offsets[(combination * steps + k) * count + p] = match element {
                            Some(element) if outer != OUTSIDE => outer * axis.length + element,
                            _ => OUTSIDE,
                        };
                    }
                }
                known *= steps;
            }
        }
    }
}

/// The weight of an element at distance `t`: a tent, or Keys' cubic with a = -0.75.
fn weight(t: f64, mode: Mode) -> f64 {
    if mode == Mode::Linear {
        return 1.0 - t;
    }
    let a = -0.75;
    if t <= 1.0 { ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0 } else { ((a * t - 5.0 * a) * t + 8.0 * a) * t - 4.0 * a }
}
