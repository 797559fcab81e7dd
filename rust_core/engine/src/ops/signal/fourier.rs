//! DFT and STFT: transforms along one axis, computed in binary64 and rounded once.

use diptych_kernels::fourier::{LINES, Lines};
use diptych_kernels::functions::Float;

use super::scalar;
use super::tables::Tables;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, OutputType, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::axes::normalize_axis;
use crate::ops::elements::{buffer_bytes, elements_mut};
use crate::ops::elementwise::Place;
use crate::tensor::{Shape, element_count};
use crate::with_dtype;

/// Elements of the greatest transform of which several lines run side by side: their arrays fit a second-level cache.
const TOGETHER: usize = 4096;

/// Lines of a tensor: line `l` begins at `l / inner * outer_stride + l % inner * inner_stride` on either side.
#[derive(Clone, Copy)]
struct Layout {
    lines: usize,
    inner: usize,
    /// Strides of the source and of the destination.
    outer_stride: [usize; 2],
    inner_stride: [usize; 2],
}

impl Layout {
    fn place(&self, line: usize) -> (usize, usize) {
        let [src, dst] = [0, 1]
            .map(|side| line / self.inner * self.outer_stride[side] + line % self.inner * self.inner_stride[side]);
        (src, dst)
    }
}

/// The step that transforms all lines of input 0; `window` is the input with a frame's factors.
fn step<T: Element + Float>(
    n: usize,
    layout: Layout,
    lines: Lines<T>,
    window: Option<usize>,
    output: OutputType,
    cx: &PlanCx<'_>,
) -> Planned<Step> {
    let tables = Tables::new(cx.isa, n)?;
    let size = tables.size();
    let side = if size <= TOGETHER && layout.lines >= 2 { LINES } else { 1 };
    let scratch = buffer_bytes::<f64>(&[4, size, side])?;
    let each = (size as u64).saturating_mul(u64::from(usize::BITS - size.leading_zeros())).saturating_mul(2) / 3 + 50;
    let cost = each.saturating_mul(layout.lines as u64).saturating_add(200);
    let groups = layout.lines.div_ceil(side);
    let grain = (20_000 / each.saturating_mul(side as u64)).max(1) as usize;
    KernelStep::with_outputs([output], move |cx| {
        let (isa, transform) = (cx.isa(), tables.transform());
        let window = window.map_or(std::ptr::null(), |input| cx.input_ptr::<T>(input));
        let lines = Lines { window, ..lines };
        let (src, dst) = (Place::input(cx.input_ptr::<T>(0)), Place::output(cx.output_ptr::<T>(0)));
        cx.parallel_ranges(groups, grain, |range, scratch| {
            let room = elements_mut::<f64>(scratch);
            for group in range {
                let mut places = [(0, 0); LINES];
                let count = side.min(layout.lines - group * side);
                for (i, place) in places.iter_mut().enumerate().take(count) {
                    *place = layout.place(group * side + i);
                }
                // SAFETY: the places are those of lines of the input and of the output, which no other group has.
                unsafe { transform.run(isa, &lines, src.at(0), dst.at(0), &places[..count], side, room) };
            }
        })
    })
    .scratch(scratch)
    .cost(cost)
    .into()
}

struct Dft {
    axis: Option<i64>,
    inverse: bool,
    onesided: bool,
}

impl Operator for Dft {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let shape = Shape::from_slice(cx.shape(0)?);
        element_count(&shape)?;
        let parts = match *shape {
            [_, .., parts @ (1 | 2)] => parts,
            _ => {
                let message = format!("got shape {shape:?}, expected rank 2 or more and a last axis of length 1 or 2");
                return Err(Error::shape(message).into());
            }
        };
        let axis = match self.axis {
            Some(axis) => axis,
            None if cx.has(2) => scalar(cx, 2, "axis")?,
            None => -2,
        };
        let at = normalize_axis(axis, shape.len())?;
        if at == shape.len() - 1 {
            let message = format!("axis {axis} is the last one of {shape:?}, which holds real and imaginary parts");
            return Err(Error::shape(message).into());
        }
        if self.onesided && parts != if self.inverse { 2 } else { 1 } {
            let message = format!("onesided with inverse={}: {parts} numbers an element", i32::from(self.inverse));
            return Err(Error::shape(message).into());
        }
        let mirrored = self.onesided && self.inverse;
        let length = shape[at];
        let n = if cx.has(1) {
            scalar(cx, 1, "dft_length")?
        } else if mirrored {
            2 * (length as i64 - 1)
        } else {
            length as i64
        };
        if n < 1 {
            return Err(Error::invalid_input(format!("a transform of length {n}")).into());
        }
        let n = n as usize;
        let bins = if self.onesided && !self.inverse { n / 2 + 1 } else { n };
        let mut out = shape.clone();
        out[at] = bins;
        let out_parts = if mirrored { 1 } else { 2 };
        out[shape.len() - 1] = out_parts;
        let lines = element_count(&[&shape[..at], &shape[at + 1..shape.len() - 1]].concat())?;
        element_count(&out)?;
        let inner = if lines == 0 { 1 } else { shape[at + 1..shape.len() - 1].iter().product::<usize>() };
        let layout = Layout {
            lines,
            inner,
            outer_stride: [length * inner * parts, bins * inner * out_parts],
            inner_stride: [parts, out_parts],
        };
        let dtype = cx.dtype(0)?;
        with_dtype!(dtype, T in [F32, F64, F16, BF16] => {
            let lines = Lines::<T> {
                parts,
                src_stride: inner * parts,
                count: length.min(if mirrored { n / 2 + 1 } else { n }),
                window: std::ptr::null(),
                inverse: self.inverse,
                mirrored,
                bins,
                out_parts,
                dst_stride: inner * out_parts,
            };
            if layout.lines == 0 {
                return KernelStep::new(dtype, out, |_| Ok(())).into();
            }
            step(n, layout, lines, None, OutputType::new(dtype, out), cx)
        }, else Err(unsupported(dtype).into()))
    }
}

struct Stft {
    onesided: bool,
}

impl Stft {
    /// The length of a frame: frame_length, else the window's, else the signal's.
    fn frame_size(&self, cx: &PlanCx<'_>, length: usize) -> Planned<i64> {
        let given = if cx.has(3) { Some(scalar(cx, 3, "frame_length")?) } else { None };
        if !cx.has(2) {
            return Ok(given.unwrap_or(length as i64));
        }
        let &[window] = cx.shape(2)? else {
            return Err(Error::shape(format!("window has shape {:?}, expected rank 1", cx.shape(2)?)).into());
        };
        match given {
            Some(given) if given != window as i64 => {
                Err(Error::shape(format!("frame_length is {given}, the window has {window} elements")).into())
            }
            _ => Ok(window as i64),
        }
    }
}

impl Operator for Stft {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let shape = cx.shape(0)?;
        let &[batch, length, parts @ (1 | 2)] = shape else {
            return Err(Error::shape(format!("signal has shape {shape:?}, expected [batch, length, 1 or 2]")).into());
        };
        if self.onesided && parts == 2 {
            return Err(Error::shape("onesided: the signal has imaginary parts").into());
        }
        let (step_size, n) = (scalar(cx, 1, "frame_step")?, self.frame_size(cx, length)?);
        if step_size < 1 || n < 1 {
            return Err(Error::invalid_input(format!("frames of length {n}, {step_size} apart")).into());
        }
        let frames = if n > length as i64 { 0 } else { ((length as i64 - n) / step_size) as usize + 1 };
        let n = n as usize;
        let bins = if self.onesided { n / 2 + 1 } else { n };
        let out = Shape::from_slice(&[batch, frames, bins, 2]);
        element_count(&out)?;
        let layout = Layout {
            lines: batch * frames,
            inner: frames.max(1),
            outer_stride: [length * parts, frames * bins * 2],
            // One frame alone has no neighbour, however great the step is.
            inner_stride: [if frames > 1 { step_size as usize * parts } else { 0 }, bins * 2],
        };
        let dtype = cx.dtype(0)?;
        with_dtype!(dtype, T in [F32, F64, F16, BF16] => {
            if layout.lines == 0 {
                return KernelStep::new(dtype, out, |_| Ok(())).into();
            }
            let lines = Lines::<T> {
                parts,
                src_stride: parts,
                count: n,
                window: std::ptr::null(),
                inverse: false,
                mirrored: false,
                bins,
                out_parts: 2,
                dst_stride: 2,
            };
            step(n, layout, lines, cx.has(2).then_some(2), OutputType::new(dtype, out), cx)
        }, else Err(unsupported(dtype).into()))
    }
}

fn unsupported(dtype: DType) -> Error {
    Error::unsupported(format!("a transform of {dtype}"))
}

fn build_dft(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(Dft {
        axis: if cx.since < 20 { Some(cx.int("axis", 1)?) } else { None },
        inverse: cx.int("inverse", 0)? != 0,
        onesided: cx.int("onesided", 0)? != 0,
    }))
}

fn build_stft(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(Stft { onesided: cx.int("onesided", 1)? != 0 }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("DFT", &[17, 20], build_dft).chain(versions("STFT", &[17], build_stft))
}
