//! DeformConv: a convolution that reads its input at places of its own for every output.
//!
//! What the kernel positions read becomes columns, some outputs at a time; a product with the weights as they lie does the rest.

use std::ops::Range;

use diptych_kernels::Isa;
use diptych_kernels::functions::{Float, Stash};
use diptych_kernels::gemm::{Gemm, MatMut, MatRef, Right, Scalar, gemm, scratch_len};
use diptych_kernels::sample::{Neighbours, OUTSIDE, weighted_sums};

use super::check_weights;
use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, OutputType, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::elements::{buffer_bytes, elements, elements_mut, rooms, rooms_bytes};
use crate::ops::windows::{AXES, WindowAttributes, Windows};
use crate::run::Disjoint;
use crate::tensor::element_count;
use crate::with_dtype;

/// Bytes of columns that stay in the second cache beside the weights.
const COLUMNS: usize = 256 << 10;
/// A place whose neighbours all lie outside: for coordinates that are no numbers.
const NOWHERE: f64 = -100.0;

struct DeformConv {
    attributes: WindowAttributes,
    group: i64,
    offset_group: i64,
}

/// Extents of the operands.
#[derive(Clone, Copy)]
struct Geometry {
    windows: Windows,
    batch: usize,
    channels: usize,
    groups: usize,
    offset_groups: usize,
    /// Output channels in all.
    out_channels: usize,
    /// Kernel positions.
    taps: usize,
    /// Positions of a plane of X and of Y.
    from: usize,
    to: usize,
    mask: bool,
}

impl DeformConv {
    fn geometry(&self, cx: &PlanCx<'_>) -> Result<Geometry> {
        let (x, w) = (cx.shape(0)?, cx.shape(1)?);
        let groups = check_weights([x, w], &self.attributes, self.group, |w, group| w[1].checked_mul(group))?;
        let windows = self.attributes.resolve(&x[2..], &w[2..])?;
        let offset_groups = usize::try_from(self.offset_group).ok().filter(|&n| n > 0 && x[1].is_multiple_of(n));
        let Some(offset_groups) = offset_groups else {
            return Err(Error::shape(format!("{} channels and {} offset groups", x[1], self.offset_group)));
        };
        let (taps, rank) = (element_count(&w[2..])?, windows.rank);
        let wanted =
            |per_tap| Ok::<_, Error>(windows.output_shape([x[0], element_count(&[offset_groups, taps, per_tap])?]));
        for (input, name, per_tap) in [(2, "offset", rank), (4, "mask", 1)] {
            if cx.has(input) && cx.shape(input)? != wanted(per_tap)?.as_slice() {
                let (found, wanted) = (cx.shape(input)?, wanted(per_tap)?);
                return Err(Error::shape(format!("{name} has shape {found:?}, expected {:?}", wanted.as_slice())));
            }
        }
        if cx.has(3) && cx.shape(3)? != [w[0]] {
            return Err(Error::shape(format!("bias of shape {:?} for {} output channels", cx.shape(3)?, w[0])));
        }
        let spatial = |sizes: &[usize; AXES]| element_count(&sizes[AXES - rank..]);
        Ok(Geometry {
            windows,
            batch: x[0],
            channels: x[1],
            groups,
            offset_groups,
            out_channels: w[0],
            taps,
            from: spatial(&windows.input)?,
            to: spatial(&windows.output)?,
            mask: cx.has(4),
        })
    }
}

impl Operator for DeformConv {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let geometry = self.geometry(cx)?;
        let output = OutputType::new(dtype, geometry.windows.output_shape([geometry.batch, geometry.out_channels]));
        if element_count(&output.shape)? == 0 {
            return KernelStep::with_outputs([output], |_| Ok(())).into();
        }
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16] => step::<T>(cx, geometry, output)?.into(),
            else Err(Error::unsupported(format!("DeformConv of {dtype}")).into())
        )
    }
}

impl Geometry {
    /// Elements around a place.
    fn neighbours(&self) -> usize {
        1 << self.windows.rank
    }

    /// The elements around what kernel position `tap` of offset group `group` reads for the outputs `range` of image `image`, and
    /// their weights.
    fn find<T: Float>(
        &self,
        offset: &[T],
        [image, group, tap]: [usize; 3],
        range: Range<usize>,
        offsets: &mut [usize],
        weights: &mut [T::Wide],
    ) {
        let windows = &self.windows;
        let (rank, places) = (windows.rank, range.len());
        let first = ((image * self.offset_groups + group) * self.taps + tap) * rank * self.to;
        for (p, output) in range.enumerate() {
            let (mut rest, mut position) = (output, tap);
            let (mut below, mut part) = ([0.0; AXES], [0.0; AXES]);
            for axis in (AXES - rank..AXES).rev() {
                let (o, k) = (rest % windows.output[axis], position % windows.kernel[axis]);
                rest /= windows.output[axis];
                position /= windows.kernel[axis];
                let start =
                    (o * windows.strides[axis] + k * windows.dilations[axis]) as i64 - windows.pads_begin[axis] as i64;
                let moved = offset[first + (axis + rank - AXES) * self.to + output].widen();
                let place = start as f64 + moved.to_binary64();
                let place = if place.is_finite() { place } else { NOWHERE };
                below[axis] = place.floor();
                part[axis] = place - below[axis];
            }
            for corner in 0..self.neighbours() {
                let (mut weight, mut at) = (1.0, Some(0));
                for axis in AXES - rank..AXES {
                    let step = corner >> (AXES - 1 - axis) & 1;
                    weight *= if step == 1 { part[axis] } else { 1.0 - part[axis] };
                    let place = below[axis] + step as f64;
                    let inside = place >= 0.0 && place < windows.input[axis] as f64;
                    at = at.filter(|_| inside).map(|at: usize| at * windows.input[axis] + place as usize);
                }
                offsets[corner * places + p] = at.unwrap_or(OUTSIDE);
                weights[corner * places + p] = T::Wide::from_binary64(weight);
            }
        }
    }
}

/// The step of a convolution whose output is not empty.
fn step<T>(cx: &PlanCx<'_>, geometry: Geometry, output: OutputType) -> Result<KernelStep>
where
    T: Float + Element,
    T::Wide: Scalar + Element + Stash,
{
    let Geometry { batch, channels, groups, out_channels, taps, to, .. } = geometry;
    let (m, k) = (out_channels / groups, element_count(&[channels / groups, taps])?);
    let rows = element_count(&[channels, taps])?;
    let places = (COLUMNS / (rows.max(1) * size_of::<T::Wide>())).clamp(16, 512).min(to);
    let found = element_count(&[geometry.neighbours(), places])?;
    let wide = buffer_bytes::<T::Wide>;
    // The last block may have a single output, whose product runs the other way round.
    let product = scratch_len::<T::Wide>(cx.isa, m, places, k).max(scratch_len::<T::Wide>(cx.isa, m, 1, k));
    let product = wide(&[product])?;
    let sizes = [wide(&[rows, places])?, wide(&[m, places])?, product, found * size_of::<usize>(), wide(&[found])?];
    let widened = if T::NARROW { wide(&[out_channels, k])? } else { 0 };
    let shared = [widened, if cx.has(3) { wide(&[out_channels])? } else { 0 }];
    let blocks = to.div_ceil(places);
    let operations = [batch, out_channels, k, to, 2].iter().fold(1u64, |n, &f| n.saturating_mul(f as u64));
    let reads = [batch, rows, to, geometry.neighbours()].iter().fold(1u64, |n, &f| n.saturating_mul(f as u64));
    let cost = (operations / 60).saturating_add(reads).saturating_add(200);
    let step = KernelStep::with_outputs([output], move |cx| {
        let [room, bias_room] = rooms(cx.workspace(), shared);
        let weights: &[T::Wide] = if T::NARROW {
            let room = elements_mut::<T::Wide>(room);
            room.iter_mut().zip(cx.input::<T>(1)).for_each(|(to, w)| *to = w.widen());
            room
        } else {
            elements(cx.input_bytes(1))
        };
        let bias = cx.opt_input::<T>(3).map(|given| {
            let wide = &mut elements_mut::<T::Wide>(bias_room)[..given.len()];
            wide.iter_mut().zip(given).for_each(|(to, b)| *to = b.widen());
            &*wide
        });
        let run = Run::<T> {
            geometry,
            x: cx.input(0),
            offset: cx.input(2),
            mask: if geometry.mask { cx.opt_input(4) } else { None },
            weights,
            bias,
            y: Disjoint::new(cx.output::<T>(0)),
            m,
            k,
        };
        let isa = cx.isa();
        cx.parallel_ranges(batch * blocks, 1, |range, scratch| {
            for task in range {
                let start = task % blocks * places;
                run.block(isa, task / blocks, start..(start + places).min(to), rooms(scratch, sizes));
            }
        })
    });
    Ok(step.scratch(rooms_bytes(&sizes)?).workspace(rooms_bytes(&shared)?).cost(cost))
}

/// A convolution under way.
struct Run<'a, T: Float> {
    geometry: Geometry,
    x: &'a [T],
    offset: &'a [T],
    mask: Option<&'a [T]>,
    weights: &'a [T::Wide],
    bias: Option<&'a [T::Wide]>,
    y: Disjoint<'a, T>,
    /// Of a group: output channels and terms of a chain.
    m: usize,
    k: usize,
}

// [panel: DeformConv]
impl<T> Run<'_, T>
where
    T: Float + Element,
    T::Wide: Scalar + Element + Stash,
{
    /// Computes the outputs `range` of image `image`.
    fn block(&self, isa: Isa, image: usize, range: Range<usize>, rooms: [&mut [u8]; 5]) {
        let Geometry { channels, groups, out_channels, taps, to, .. } = self.geometry;
        let places = range.len();
        let [columns, result, scratch, offsets, weights] = rooms;
        let offsets = &mut as_offsets(offsets)[..self.geometry.neighbours() * places];
        let weights = &mut elements_mut::<T::Wide>(weights)[..self.geometry.neighbours() * places];
        let columns = &mut elements_mut::<T::Wide>(columns)[..channels * taps * places];
        self.fill(isa, image, range.clone(), columns, (offsets, weights));
        let (m, k) = (self.m, self.k);
        let result = &mut elements_mut::<T::Wide>(result)[..m * places];
        let scratch = elements_mut::<T::Wide>(scratch);
        for group in 0..groups {
            let a = MatRef::new(&self.weights[group * m * k..], m, k, k, 1);
            let b = MatRef::new(&columns[group * k * places..], k, places, places, 1);
            let addend = self.bias.map(|bias| MatRef::new(&bias[group * m..], m, places, 1, 0));
            let product = Gemm { addend, ..Gemm::new(a, Right::Strided(b)) };
            gemm(isa, &product, 0..m, 0..places, MatMut::new(result, m, places, places), scratch);
            for (row, values) in result.chunks_exact(places).enumerate() {
                let first = (image * out_channels + group * m + row) * to;
                // SAFETY: tasks have outputs of their own.
                let y = unsafe { self.y.range(first + range.start..first + range.end) };
                y.iter_mut().zip(values).for_each(|(y, &value)| *y = T::narrow(value));
            }
        }
    }

    /// What each kernel position reads of each channel for the outputs `range`: `[channel][kernel position][output]`.
    fn fill(
        &self,
        isa: Isa,
        image: usize,
        range: Range<usize>,
        columns: &mut [T::Wide],
        (offsets, weights): (&mut [usize], &mut [T::Wide]),
    ) {
        let Geometry { channels, offset_groups, taps, from, to, .. } = self.geometry;
        let (places, each) = (range.len(), channels / offset_groups);
        for group in 0..offset_groups {
            for tap in 0..taps {
                self.geometry.find(self.offset, [image, group, tap], range.clone(), offsets, weights);
                let neighbours = Neighbours { places, offsets, weights };
                let mask = self.mask.map(|mask| {
                    let first = ((image * offset_groups + group) * taps + tap) * to;
                    &mask[first + range.start..first + range.end]
                });
                for channel in group * each..(group + 1) * each {
                    let x = &self.x[(image * channels + channel) * from..][..from];
                    let column = &mut columns[(channel * taps + tap) * places..][..places];
                    weighted_sums(isa, &neighbours, x, mask, column);
                }
            }
        }
    }
}
// [/panel]

/// Aligned bytes as offsets.
fn as_offsets(bytes: &mut [u8]) -> &mut [usize] {
    let words = elements_mut::<u64>(bytes);
    // SAFETY: on the 64-bit machines that the engine is for, usize and u64 are one in memory.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len()) }
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let (group, offset_group) = (cx.int("group", 1)?, cx.int("offset_group", 1)?);
    Ok(Box::new(DeformConv { attributes: WindowAttributes::new(cx)?, group, offset_group }))
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    versions("DeformConv", &[19, 22], build)
}
