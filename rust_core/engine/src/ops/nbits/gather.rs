//! GatherBlockQuantized.

use diptych_kernels::Isa;
use diptych_kernels::cast::Target;
use diptych_kernels::quantize::{Dequantization, Numbers, Place, Quantized, dequantize};

use super::{checked_bits, checked_block, code};
use crate::broadcast::contiguous_strides;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step, rows_of};
use crate::ops::axes::normalize_axis;
use crate::ops::cast::small;
use crate::ops::mover::Indices;
use crate::run::KernelCx;
use crate::tensor::{Shape, element_count};
use crate::with_dtype;

/// Elements below which a chunk is not worth a thread.
const GRAIN: usize = 1 << 14;
/// Elements that are unpacked at a time.
const CHUNK: usize = 64;

/// Inputs by position.
mod input {
    pub const DATA: usize = 0;
    pub const INDICES: usize = 1;
    pub const SCALES: usize = 2;
    pub const ZERO_POINTS: usize = 3;
}

struct GatherBlockQuantized {
    bits: i64,
    block_size: i64,
    gather_axis: i64,
    quantize_axis: i64,
}

/// What is gathered from where.
#[derive(Clone)]
struct Plan {
    data: DType,
    scale: DType,
    indices: DType,
    bits: usize,
    /// The data's extents, in elements.
    dims: Shape,
    blocked: usize,
    /// Elements of a block.
    size: usize,
    /// Scales between neighbours along each axis (blocks along the blocked one); 0 where one serves all.
    strides: Shape,
    has_zero_point: bool,
    /// Blocks along the last axis, each row of whose zero points starts a byte (uint8 data).
    row: usize,
    /// Indices of the gathered axis, indices given, elements after that axis.
    length: usize,
    count: usize,
    inner: usize,
}

/// What one scale, or one each, belongs to: elements, where scales start, whether each element has its own.
struct Stretch {
    len: usize,
    scale: usize,
    each: bool,
}

impl GatherBlockQuantized {
    /// Bits of an element and elements of a block, 0 for a whole axis.
    fn extents(&self, data: DType) -> Result<(usize, usize)> {
        let is_float = small::format(data).is_some();
        let size = if is_float && self.block_size == 0 { 0 } else { checked_block(self.block_size)? };
        if data == DType::U8 {
            return Ok((checked_bits(self.bits)?, size));
        }
        if !is_float && self.bits != 4 {
            return Err(Error::invalid_model(format!("bits is {}, expected 4 for {data}", self.bits)));
        }
        Ok((data.bits(), size))
    }

    fn geometry(&self, cx: &PlanCx<'_>) -> Result<(Plan, Shape)> {
        let (data, mut dims) = (cx.dtype(input::DATA)?, Shape::from(cx.shape(input::DATA)?));
        if dims.len() < 2 {
            return Err(Error::shape(format!("data has shape {dims:?}, expected two axes or more")));
        }
        let gathered = normalize_axis(self.gather_axis, dims.len())?;
        let blocked = normalize_axis(self.quantize_axis, dims.len())?;
        let (bits, size) = self.extents(data)?;
        let last = dims.len() - 1;
        if data == DType::U8 {
            if gathered != 0 || blocked != last {
                return Err(Error::invalid_model(format!(
                    "gather_axis {}, quantize_axis {}: packed data is gathered along its first axis and quantized along its last",
                    self.gather_axis, self.quantize_axis
                )));
            }
            dims[last] = element_count(&[dims[last], 8 / bits])?;
        }
        element_count(&dims)?;
        let size = if size == 0 { dims[blocked].max(1) } else { size };
        let mut by_block = dims.clone();
        by_block[blocked] = dims[blocked].div_ceil(size);
        let is_float = small::format(data).is_some();
        let strides = scale_strides(cx.shape(input::SCALES)?, &by_block, blocked, is_float)?;
        let has_zero_point = cx.has(input::ZERO_POINTS);
        if has_zero_point {
            check_zero_points(cx, data, bits, &by_block)?;
        }
        let indices = cx.shape(input::INDICES)?;
        let shape: Shape = dims[..gathered].iter().chain(indices).chain(&dims[gathered + 1..]).copied().collect();
        let plan = Plan {
            data,
            scale: cx.dtype(input::SCALES)?,
            indices: cx.dtype(input::INDICES)?,
            bits,
            blocked,
            size,
            strides,
            has_zero_point,
            row: by_block[last],
            length: dims[gathered],
            count: element_count(indices)?,
            inner: element_count(&dims[gathered + 1..])?,
            dims,
        };
        Ok((plan, shape))
    }
}

/// Strides of scales over the data's axes. Those of small floats may have length 1 beside the blocked axis.
fn scale_strides(scales: &[usize], by_block: &[usize], blocked: usize, is_float: bool) -> Result<Shape> {
    let fits = scales.len() == by_block.len()
        && scales
            .iter()
            .zip(by_block)
            .enumerate()
            .all(|(axis, (&has, &wanted))| has == wanted || (is_float && has == 1 && axis != blocked));
    if !fits {
        return Err(Error::shape(format!("scales have shape {scales:?}, expected {by_block:?}")));
    }
    let strides = contiguous_strides(scales);
    Ok(strides.iter().zip(scales).map(|(&stride, &n)| if n == 1 { 0 } else { stride as usize }).collect())
}

fn check_zero_points(cx: &PlanCx<'_>, data: DType, bits: usize, by_block: &[usize]) -> Result<()> {
    if small::format(data).is_some() {
        return Err(Error::invalid_model(format!("zero_points with data of {data}, which has none")));
    }
    let mut expected = Shape::from(by_block);
    if data == DType::U8 {
        let last = expected.len() - 1;
        expected[last] = (expected[last] * bits).div_ceil(8);
    }
    let shape = cx.shape(input::ZERO_POINTS)?;
    if *shape != *expected {
        return Err(Error::shape(format!("zero_points has shape {shape:?}, expected {expected:?}")));
    }
    Ok(())
}

impl Operator for GatherBlockQuantized {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (plan, shape) = self.geometry(cx)?;
        with_dtype!(plan.scale, D in [F32, F16, BF16] => plan.step::<D>(shape),
            else Err(Error::internal("scales of no float type").into()))
    }
}

// [panel: com.microsoft.GatherBlockQuantized]
impl Plan {
    fn step<D: Element + Target<f32>>(self, shape: Shape) -> Planned<Step> {
        KernelStep::new(D::DTYPE, shape, move |cx| {
            let (isa, source) = (cx.isa(), Source::new(cx, &self));
            let grain = (GRAIN / self.inner.max(1)).max(1);
            cx.parallel_rows(cx.output::<D>(0), self.inner, grain, |first, slices, _| {
                for (slice, out) in (first..).zip(slices.chunks_exact_mut(self.inner)) {
                    match self.place(slice, source.indices.get(slice % self.count)) {
                        Some(place) => self.slice(isa, &source, place, out),
                        None => out.fill(D::default()),
                    }
                }
            })
        })
        .into()
    }

    /// The first element of what `index` gathers into slice `slice`; `None` where it is out of range.
    fn place(&self, slice: usize, index: i64) -> Option<usize> {
        let length = self.length as i64;
        let at = if index < 0 { index.checked_add(length)? } else { index };
        let inside = (0..length).contains(&at);
        inside.then(|| (slice / self.count * self.length + at as usize) * self.inner)
    }

    /// The stretch that starts with element `at` of the data.
    fn stretch(&self, at: usize) -> Stretch {
        let (mut rest, mut scale) = (at, 0);
        for axis in (0..self.dims.len()).rev() {
            let (outer, coordinate) = (rest / self.dims[axis], rest % self.dims[axis]);
            scale += self.strides[axis] * if axis == self.blocked { coordinate / self.size } else { coordinate };
            rest = outer;
        }
        let last = self.dims.len() - 1;
        let (length, column) = (self.dims[last], at % self.dims[last]);
        if self.blocked == last {
            let end = (column / self.size + 1).saturating_mul(self.size).min(length);
            return Stretch { len: end - column, scale, each: false };
        }
        Stretch { len: length - column, scale, each: self.strides[last] != 0 }
    }

    /// Dequantizes as many elements as `out` has, from `place` on.
    fn slice<D: Target<f32>>(&self, isa: Isa, source: &Source<'_>, place: usize, out: &mut [D]) {
        let mut done = 0;
        while done < out.len() {
            let Stretch { len, scale, each } = self.stretch(place + done);
            let len = len.min(CHUNK).min(out.len() - done);
            let to = &mut out[done..done + len];
            let own = if each { len } else { 1 };
            let mut codes = [0; CHUNK];
            codes[..len].iter_mut().zip(place + done..).for_each(|(to, i)| *to = code(source.data, self.bits, i));
            let mut zeros = [0; CHUNK];
            zeros[..own].iter_mut().zip(scale..).for_each(|(to, i)| *to = self.zero_point(source, i));
            let (mut signed, mut signed_zeros) = ([0; CHUNK], [0; CHUNK]);
            let zero_point;
            let x = match (self.data, small::format(self.data)) {
                (_, Some(format)) => {
                    zero_point = None;
                    Quantized::Small(format, &codes[..len])
                }
                (DType::I4, _) => {
                    extend(&codes, &mut signed);
                    extend(&zeros, &mut signed_zeros);
                    zero_point = Some(Quantized::I8(&signed_zeros[..own]));
                    Quantized::I8(&signed[..len])
                }
                _ => {
                    zero_point = Some(Quantized::U8(&zeros[..own]));
                    Quantized::U8(&codes[..len])
                }
            };
            let operands = Dequantization { x, scale: source.scales_from(scale), zero_point };
            dequantize(isa, &operands, 0, Place { offset: 0, each }, to);
            done += len;
        }
    }

    /// The code of the zero point that goes with scale `i`.
    fn zero_point(&self, source: &Source<'_>, i: usize) -> u8 {
        match source.zero_points {
            None if self.data == DType::U8 => 1 << (self.bits - 1),
            None => 0,
            Some(bytes) if self.data == DType::U8 => {
                let row = (self.row * self.bits).div_ceil(8);
                code(&bytes[i / self.row * row..], self.bits, i % self.row)
            }
            Some(bytes) => code(bytes, self.bits, i),
        }
    }
}
// [/panel]

/// Codes of four bits with a sign.
fn extend(codes: &[u8; CHUNK], signed: &mut [i8; CHUNK]) {
    signed.iter_mut().zip(codes).for_each(|(to, &code)| *to = small::integer(code, 4, true));
}

/// The inputs of a run.
struct Source<'a> {
    data: &'a [u8],
    indices: Indices<'a>,
    scales: Numbers<'a>,
    zero_points: Option<&'a [u8]>,
}

impl<'a> Source<'a> {
    fn new(cx: &KernelCx<'a>, plan: &Plan) -> Source<'a> {
        Source {
            data: cx.input_bytes(input::DATA),
            indices: match plan.indices {
                DType::I32 => Indices::I32(cx.input(input::INDICES)),
                _ => Indices::I64(cx.input(input::INDICES)),
            },
            scales: match plan.scale {
                DType::F16 => Numbers::F16(cx.input(input::SCALES)),
                DType::BF16 => Numbers::BF16(cx.input(input::SCALES)),
                _ => Numbers::F32(cx.input(input::SCALES)),
            },
            zero_points: plan.has_zero_point.then(|| cx.input_bytes(input::ZERO_POINTS)),
        }
    }

    fn scales_from(&self, at: usize) -> Numbers<'a> {
        match self.scales {
            Numbers::F32(all) => Numbers::F32(&all[at..]),
            Numbers::F16(all) => Numbers::F16(&all[at..]),
            Numbers::BF16(all) => Numbers::BF16(&all[at..]),
            other => other,
        }
    }
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(GatherBlockQuantized {
        bits: cx.int("bits", 4)?,
        block_size: cx.int("block_size", 128)?,
        gather_axis: cx.int("gather_axis", 0)?,
        quantize_axis: cx.int("quantize_axis", 1)?,
    }))
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    rows_of("com.microsoft", "GatherBlockQuantized", &[1], build)
}
