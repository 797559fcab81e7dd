//! Rows that are normalised, and what scales and shifts them: LayerNormalization, RMSNormalization, GroupNormalization.

use std::ops::Range;

use diptych_kernels::Isa;
use diptych_kernels::cast::{Source, Target, cast};
use diptych_kernels::elementwise::{Binary, Number, Operand, binary};
use diptych_kernels::functions::{Float, Stash};
use diptych_kernels::norm::{LayerNorm, layer_norm};
use half::{bf16, f16};

use crate::broadcast::Walk;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, OutputType, Planned, Step};
use crate::ops::elements::{buffer_bytes, elements_mut, rooms, rooms_bytes};
use crate::ops::elementwise::Place;
use crate::run::KernelCx;
use crate::tensor::ALIGN;

/// Elements worth a thread.
const GRAIN: usize = 1 << 15;

/// The type of the statistics that attribute `stash_type` names.
pub(super) fn stash_type(cx: &BuildCx<'_>) -> Result<DType> {
    let stash = cx.dtype("stash_type")?.unwrap_or(DType::F32);
    if !stash.is_float() {
        let name = &cx.node.op_type;
        return Err(Error::unsupported(format!("{name} with stash_type {stash}: expected a floating-point type")));
    }
    Ok(stash)
}

/// Whether the shape has, but for leading ones, exactly the normalised axes: one number for each place of a row.
pub(super) fn covers(shape: &[usize], axes: &[usize]) -> bool {
    let extra = shape.len().saturating_sub(axes.len());
    shape.len() >= axes.len() && shape[..extra].iter().all(|&n| n == 1) && &shape[extra..] == axes
}

/// X as `[outer, n]`.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub outer: usize,
    pub n: usize,
    /// Whether the mean is subtracted.
    pub centered: bool,
    pub epsilon: f32,
    /// The outputs that get each row's mean and inverse standard deviation, if the operator has them.
    pub statistics: [Option<usize>; 2],
}

impl Rows {
    fn step(
        self,
        outputs: &[OutputType],
        run: impl Fn(&KernelCx<'_>) -> Result<()> + Send + Sync + 'static,
    ) -> KernelStep {
        KernelStep::with_outputs(outputs.iter().cloned(), run).cost((self.outer * self.n) as u64 / 2 + 100)
    }

    pub(super) fn grain(self) -> usize {
        GRAIN / self.n.max(1)
    }

    /// Scale and bias of one number for each place of a row, in the pass that normalises.
    pub(super) fn fused<T: Element + Float, S: Element + Stash>(self, outputs: &[OutputType]) -> Planned<Step> {
        let step = self.step(outputs, move |cx| {
            let (isa, x, y) = (cx.isa(), Place::input(cx.input_ptr::<T>(0)), Place::output(cx.output_ptr::<T>(0)));
            let statistics = self.statistics.map(|output| optional::<S>(cx, output));
            let (scale, bias) = (Some(cx.input::<T>(1)), cx.opt_input::<T>(2));
            cx.parallel_ranges(self.outer, self.grain(), |rows, _| {
                let [mean, inverse] = statistics.map(|place| place.map(|place| place.at(0)));
                let operands = LayerNorm { scale, bias, mean, inverse, ..self.plain() };
                // SAFETY: rows of the operands' shapes, of which threads have different ones.
                unsafe { layer_norm::<T, S>(isa, &operands, x.at(0), y.at(0), rows) };
            })
        });
        step.in_place(&[(0, 0)]).into()
    }

    /// Scale or bias that broadcast otherwise: after the rows are normalised.
    pub(super) fn apart<T: Element + Float + Number, S: Element + Stash>(
        self,
        outputs: &[OutputType],
        affine: Affine,
    ) -> Planned<Step> {
        let step = self.step(outputs, move |cx| {
            let (isa, x, y) = (cx.isa(), Place::input(cx.input_ptr::<T>(0)), Place::output(cx.output_ptr::<T>(0)));
            let statistics = self.statistics.map(|output| optional::<S>(cx, output));
            let parameters = affine.inputs::<T>(cx);
            cx.parallel_ranges(self.outer, self.grain(), |rows, _| {
                let [mean, inverse] = statistics.map(|place| place.map(|place| place.at(0)));
                let operands = LayerNorm { mean, inverse, ..self.plain() };
                let elements = rows.start * self.n..rows.end * self.n;
                // SAFETY: as in `fused`.
                unsafe { layer_norm::<T, S>(isa, &operands, x.at(0), y.at(0), rows) };
                affine.apply(isa, parameters, y, elements);
            })
        });
        step.into()
    }

    /// Statistics in a 16-bit type: X is rounded to it, computed with in binary32, and the statistics are rounded to it.
    pub(super) fn narrow<T, H>(self, outputs: &[OutputType], affine: Affine) -> Planned<Step>
    where
        T: Element + Number + Source + Target<f32>,
        H: Element + Source<Wide = f32> + Target<<T as Source>::Wide> + Target<f32>,
    {
        let step = self.step(outputs, move |cx| {
            let (isa, x, y) = (cx.isa(), cx.input::<T>(0), Place::output(cx.output_ptr::<T>(0)));
            let statistics = self.statistics.map(|output| optional::<H>(cx, output));
            let parameters = affine.inputs::<T>(cx);
            cx.parallel_ranges(self.outer, self.grain(), |rows, scratch| {
                for row in rows.clone() {
                    // SAFETY: the row of Y and its statistics, which this thread alone has.
                    unsafe {
                        let y = std::slice::from_raw_parts_mut(y.at(row * self.n), self.n);
                        let found = self.narrow_row::<T, H>(isa, &x[row * self.n..(row + 1) * self.n], y, scratch);
                        for (place, found) in statistics.iter().zip(found) {
                            if let Some(place) = place {
                                cast::<f32, H>(isa, &[found], std::slice::from_raw_parts_mut(place.at(row), 1));
                            }
                        }
                    }
                }
                affine.apply(isa, parameters, y, rows.start * self.n..rows.end * self.n);
            })
        });
        step.scratch(self.narrow_scratch()?).into()
    }

    /// Bytes of scratch that [`Rows::narrow_row`] needs.
    fn narrow_scratch(self) -> Result<usize> {
        rooms_bytes(&[buffer_bytes::<f32>(&[self.n])?, buffer_bytes::<f16>(&[self.n])?])
    }

    /// One row, with statistics in the 16-bit type H; its mean and inverse standard deviation.
    fn narrow_row<T, H>(self, isa: Isa, x: &[T], y: &mut [T], scratch: &mut [u8]) -> [f32; 2]
    where
        T: Source + Target<f32>,
        H: Element + Source<Wide = f32> + Target<<T as Source>::Wide>,
    {
        let [wide, narrow] = rooms(scratch, [self.n * size_of::<f32>(), self.n * size_of::<H>()]);
        let (wide, narrow) = (elements_mut::<f32>(wide), elements_mut::<H>(narrow));
        cast::<T, H>(isa, x, narrow);
        cast::<H, f32>(isa, narrow, wide);
        let (mut mean, mut inverse) = (0.0f32, 0.0f32);
        let operands =
            LayerNorm { mean: Some(&raw mut mean), inverse: Some(&raw mut inverse), ..self.plain::<f32, f32>() };
        let row = wide.as_mut_ptr();
        // SAFETY: one row of n numbers, in place.
        unsafe { layer_norm::<f32, f32>(isa, &operands, row, row, 0..1) };
        cast::<f32, T>(isa, wide, y);
        [mean, inverse]
    }

    /// Scale and Y of another type than X: each row is normalised in scratch, converted, and scaled in Y.
    pub(super) fn mixed<T, V>(self, outputs: &[OutputType], stash: DType, affine: Affine) -> Planned<Step>
    where
        T: Element + Float + Source + Target<f32>,
        V: Element + Number + Target<<T as Source>::Wide>,
        f16: Target<<T as Source>::Wide>,
        bf16: Target<<T as Source>::Wide>,
    {
        let row_bytes = buffer_bytes::<T>(&[self.n])?;
        let step = self.step(outputs, move |cx| {
            let (isa, x, y) = (cx.isa(), cx.input::<T>(0), Place::output(cx.output_ptr::<V>(0)));
            let parameters = affine.inputs::<V>(cx);
            let inverses = (optional::<f32>(cx, self.statistics[1]), optional::<f64>(cx, self.statistics[1]));
            cx.parallel_ranges(self.outer, self.grain(), |rows, scratch| {
                let (row, rest) = scratch.split_at_mut(row_bytes.next_multiple_of(ALIGN));
                let h = elements_mut::<T>(&mut row[..row_bytes]);
                for row in rows.clone() {
                    let x = &x[row * self.n..(row + 1) * self.n];
                    // 16-bit statistics are no output of an operator whose types are mixed.
                    match stash {
                        DType::F16 => {
                            self.narrow_row::<T, f16>(isa, x, h, rest);
                        }
                        DType::BF16 => {
                            self.narrow_row::<T, bf16>(isa, x, h, rest);
                        }
                        // SAFETY: one row of n numbers from x to h; the row's inverse in an output of the stash type.
                        DType::F64 => unsafe {
                            let operands = LayerNorm { inverse: inverses.1.map(|of| of.at(row)), ..self.plain() };
                            layer_norm::<T, f64>(isa, &operands, x.as_ptr(), h.as_mut_ptr(), 0..1);
                        },
                        // SAFETY: as above.
                        _ => unsafe {
                            let operands = LayerNorm { inverse: inverses.0.map(|of| of.at(row)), ..self.plain() };
                            layer_norm::<T, f32>(isa, &operands, x.as_ptr(), h.as_mut_ptr(), 0..1);
                        },
                    }
                    // SAFETY: the row of Y, which this thread alone has.
                    cast::<T, V>(isa, h, unsafe { std::slice::from_raw_parts_mut(y.at(row * self.n), self.n) });
                }
                affine.apply(isa, parameters, y, rows.start * self.n..rows.end * self.n);
            })
        });
        step.scratch(rooms_bytes(&[row_bytes, self.narrow_scratch()?])?).into()
    }

    /// What a kernel is told of rows without scale and bias.
    fn plain<'a, T, S>(self) -> LayerNorm<'a, T, S> {
        LayerNorm {
            n: self.n,
            centered: self.centered,
            scale: None,
            bias: None,
            epsilon: self.epsilon,
            mean: None,
            inverse: None,
        }
    }
}

/// An output, if it is wanted.
pub(super) fn optional<S: Element>(cx: &KernelCx<'_>, output: Option<usize>) -> Option<Place<S>> {
    output.filter(|&output| cx.has_output(output)).map(|output| Place::output(cx.output_ptr::<S>(output)))
}

/// Scale and bias broadcast into X.
pub(super) struct Affine([Option<Walk<2>>; 2]);

impl Affine {
    /// Walks of X and of scale, of X and of bias.
    pub(super) fn new(x: &[usize], parameters: [Option<&[usize]>; 2]) -> Result<Affine> {
        let mut walks = [None, None];
        for (walk, shape) in walks.iter_mut().zip(parameters) {
            let Some(shape) = shape else { continue };
            let (found, out) = Walk::broadcast([x, shape])?;
            if &out[..] != x {
                return Err(Error::shape(format!(
                    "scale or bias of shape {shape:?} does not broadcast into X of shape {x:?}"
                )));
            }
            *walk = Some(found);
        }
        Ok(Affine(walks))
    }

    fn inputs<T: Element>(&self, cx: &KernelCx<'_>) -> [Option<Place<T>>; 2] {
        [1, 2].map(|input| self.0[input - 1].as_ref().map(|_| Place::input(cx.input_ptr::<T>(input))))
    }

    /// `y = y * scale`, then `y = y + bias`, each rounded, for elements `range` of Y.
    fn apply<T: Number>(&self, isa: Isa, parameters: [Option<Place<T>>; 2], y: Place<T>, range: Range<usize>) {
        for ((walk, parameter), op) in self.0.iter().zip(parameters).zip([Binary::Mul, Binary::Add]) {
            let (Some(walk), Some(parameter)) = (walk, parameter) else { continue };
            let [y_stride, stride] = walk.row_strides();
            walk.rows(range.clone(), |at, len, [_, offset]| {
                // SAFETY: the walk stays inside the shapes; Y is read where it is written.
                unsafe {
                    let value = Operand::at(y.at(at).cast_const(), y_stride);
                    binary(isa, op, value, Operand::at(parameter.at(offset).cast_const(), stride), y.at(at), len);
                }
            });
        }
    }
}
