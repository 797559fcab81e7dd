//! LayerNormalization: statistics in the stash type, scale and bias in the type of X.

use std::ops::Range;

use diptych_kernels::Isa;
use diptych_kernels::cast::{Source, Target, cast};
use diptych_kernels::elementwise::{Binary, Number, Operand, binary};
use diptych_kernels::functions::{Float, Stash};
use diptych_kernels::norm::{LayerNorm, layer_norm};

use crate::broadcast::Walk;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{self, BuildCx, KernelStep, Operator, OutputType, PlanCx, Planned, Row, Step};
use crate::ops::axes::normalize_axis;
use crate::ops::elementwise::Place;
use crate::run::KernelCx;
use crate::tensor::{Shape, element_count};
use crate::with_dtype;

/// Elements worth a thread.
const GRAIN: usize = 1 << 15;

struct LayerNormalization {
    axis: i64,
    epsilon: f32,
    stash: DType,
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let stash = cx.dtype("stash_type")?.unwrap_or(DType::F32);
    if !stash.is_float() {
        return Err(Error::unsupported(format!(
            "LayerNormalization with stash_type {stash}: expected a floating-point type"
        )));
    }
    Ok(Box::new(LayerNormalization { axis: cx.int("axis", -1)?, epsilon: cx.float("epsilon", 1e-5)?, stash }))
}

impl Operator for LayerNormalization {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let x = cx.shape(0)?;
        let axis = normalize_axis(self.axis, x.len())?;
        let shape = |input| if cx.has(input) { cx.shape(input).map(Some) } else { Ok(None) };
        let affine = [shape(1)?, shape(2)?];
        let rows = Rows { outer: element_count(&x[..axis])?, n: element_count(&x[axis..])?, epsilon: self.epsilon };
        let mut reduced = Shape::from(x);
        reduced[axis..].fill(1);
        let stash = OutputType::new(self.stash, reduced);
        let outputs = [OutputType::new(dtype, x), stash.clone(), stash];
        let fused = affine.iter().flatten().all(|shape| covers(shape, &x[axis..]));
        let affine = Affine::new(x, affine)?;
        let unsupported = || Err(Error::unsupported(format!("LayerNormalization of {dtype} in {}", self.stash)).into());
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16] => with_dtype!(
                self.stash, S in [F32, F64] =>
                    if fused { rows.fused::<T, S>(outputs) } else { rows.apart::<T, S>(outputs, affine) },
                else with_dtype!(
                    self.stash, H in [F16, BF16] => rows.narrow::<T, H>(outputs, affine),
                    else unsupported()
                )
            ),
            else unsupported()
        )
    }
}

/// Whether the shape has, but for leading ones, exactly the normalised axes: one number for each place of a row.
fn covers(shape: &[usize], axes: &[usize]) -> bool {
    let extra = shape.len().saturating_sub(axes.len());
    shape.len() >= axes.len() && shape[..extra].iter().all(|&n| n == 1) && &shape[extra..] == axes
}

/// X as `[outer, n]`.
#[derive(Clone, Copy)]
struct Rows {
    outer: usize,
    n: usize,
    epsilon: f32,
}

impl Rows {
    fn step(
        self,
        outputs: [OutputType; 3],
        run: impl Fn(&KernelCx<'_>) -> Result<()> + Send + Sync + 'static,
    ) -> KernelStep {
        KernelStep::with_outputs(outputs, run).cost((self.outer * self.n) as u64 / 2 + 100)
    }

    fn grain(self) -> usize {
        GRAIN / self.n.max(1)
    }

    /// Scale and bias of one number for each place of a row, in the pass that normalises.
    fn fused<T: Element + Float, S: Element + Stash>(self, outputs: [OutputType; 3]) -> Planned<Step> {
        let step = self.step(outputs, move |cx| {
            let (isa, x, y) = (cx.isa(), Place::input(cx.input_ptr::<T>(0)), Place::output(cx.output_ptr::<T>(0)));
            let statistics = [1, 2].map(|output| optional::<S>(cx, output));
            let (scale, bias) = (Some(cx.input::<T>(1)), cx.opt_input::<T>(2));
            cx.parallel_ranges(self.outer, self.grain(), |rows, _| {
                let [mean, inverse] = statistics.map(|place| place.map(|place| place.at(0)));
                let operands = LayerNorm { n: self.n, scale, bias, epsilon: self.epsilon, mean, inverse };
                // SAFETY: rows of the operands' shapes, of which threads have different ones.
                unsafe { layer_norm::<T, S>(isa, &operands, x.at(0), y.at(0), rows) };
            })
        });
        step.in_place(&[(0, 0)]).into()
    }

    /// Scale or bias that broadcast otherwise: after the rows are normalised.
    fn apart<T: Element + Float + Number, S: Element + Stash>(
        self,
        outputs: [OutputType; 3],
        affine: Affine,
    ) -> Planned<Step> {
        let step = self.step(outputs, move |cx| {
            let (isa, x, y) = (cx.isa(), Place::input(cx.input_ptr::<T>(0)), Place::output(cx.output_ptr::<T>(0)));
            let statistics = [1, 2].map(|output| optional::<S>(cx, output));
            let parameters = affine.inputs::<T>(cx);
            cx.parallel_ranges(self.outer, self.grain(), |rows, _| {
                let [mean, inverse] = statistics.map(|place| place.map(|place| place.at(0)));
                let operands = LayerNorm { n: self.n, scale: None, bias: None, epsilon: self.epsilon, mean, inverse };
                let elements = rows.start * self.n..rows.end * self.n;
                // SAFETY: as in `fused`.
                unsafe { layer_norm::<T, S>(isa, &operands, x.at(0), y.at(0), rows) };
                affine.apply(isa, parameters, y, elements);
            })
        });
        step.into()
    }

    /// Statistics in a 16-bit type: X is rounded to it, computed with in binary32, and the statistics are rounded to it.
    fn narrow<T, H>(self, outputs: [OutputType; 3], affine: Affine) -> Planned<Step>
    where
        T: Element + Number + Source + Target<f32>,
        H: Element + Source<Wide = f32> + Target<<T as Source>::Wide> + Target<f32>,
    {
        let step = self.step(outputs, move |cx| {
            let (isa, x, y) = (cx.isa(), cx.input::<T>(0), Place::output(cx.output_ptr::<T>(0)));
            let statistics = [1, 2].map(|output| optional::<H>(cx, output));
            let parameters = affine.inputs::<T>(cx);
            cx.parallel_ranges(self.outer, self.grain(), |rows, scratch| {
                let (row, rest) = scratch.split_at_mut(self.n * size_of::<f32>());
                // SAFETY: f32 and the 16-bit types are plain numbers, of which any bytes are a value.
                let ((_, wide, _), (_, narrow, _)) = unsafe { (row.align_to_mut::<f32>(), rest.align_to_mut::<H>()) };
                let narrow = &mut narrow[..self.n];
                for row in rows.clone() {
                    cast::<T, H>(isa, &x[row * self.n..(row + 1) * self.n], narrow);
                    cast::<H, f32>(isa, narrow, wide);
                    let found = self.normalize(isa, wide);
                    // SAFETY: the row of Y and its statistics, which this thread alone has.
                    unsafe {
                        cast::<f32, T>(isa, wide, std::slice::from_raw_parts_mut(y.at(row * self.n), self.n));
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
        step.scratch(self.n.saturating_mul(size_of::<f32>() + size_of::<H>())).into()
    }

    /// One row in place; its mean and inverse standard deviation.
    fn normalize(self, isa: Isa, row: &mut [f32]) -> [f32; 2] {
        let (mut mean, mut inverse) = (0.0f32, 0.0f32);
        let places = (Some(&raw mut mean), Some(&raw mut inverse));
        let operands =
            LayerNorm { n: self.n, scale: None, bias: None, epsilon: self.epsilon, mean: places.0, inverse: places.1 };
        let row = row.as_mut_ptr();
        // SAFETY: one row of n numbers, in place.
        unsafe { layer_norm::<f32, f32>(isa, &operands, row, row, 0..1) };
        [mean, inverse]
    }
}

/// An output, if it is wanted.
fn optional<S: Element>(cx: &KernelCx<'_>, output: usize) -> Option<Place<S>> {
    cx.has_output(output).then(|| Place::output(cx.output_ptr::<S>(output)))
}

/// Scale and bias broadcast into X.
struct Affine([Option<Walk<2>>; 2]);

impl Affine {
    /// Walks of X and of scale, of X and of bias.
    fn new(x: &[usize], parameters: [Option<&[usize]>; 2]) -> Result<Affine> {
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

pub(super) fn rows() -> impl Iterator<Item = Row> {
    operator::rows("LayerNormalization", &[17], build)
}
