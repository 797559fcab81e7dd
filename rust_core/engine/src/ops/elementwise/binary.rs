//! Add, Sub, Mul, Div.

use std::ops::Range;

use diptych_kernels::Isa;
use diptych_kernels::elementwise::{Binary, Number, Operand, binary};
use smallvec::SmallVec;

use super::{GRAIN_BYTES, Place};
use crate::broadcast::{Walk, legacy_aligned};
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{self, BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step};
use crate::tensor::Shape;
use crate::with_dtype;

/// How opsets 1 to 6 broadcast B into A.
#[derive(Clone, Copy)]
pub(super) struct Legacy {
    axis: Option<i64>,
    broadcast: bool,
}

impl Legacy {
    /// The attributes of a version that broadcasts so.
    pub(super) fn build(cx: &BuildCx<'_>) -> Result<Legacy> {
        Ok(Legacy { axis: cx.opt_int("axis")?, broadcast: cx.int("broadcast", 0)? != 0 })
    }

    /// B's shape, as it broadcasts into A.
    pub(super) fn align(self, a: &[usize], b: &[usize]) -> Result<Shape> {
        legacy_aligned(a, b, self.axis, self.broadcast)
    }
}

struct Arithmetic {
    op: Binary,
    legacy: Option<Legacy>,
}

fn build(cx: &BuildCx<'_>, op: Binary) -> Result<Box<dyn Operator>> {
    let legacy = if cx.since < 7 { Some(Legacy::build(cx)?) } else { None };
    Ok(Box::new(Arithmetic { op, legacy }))
}

impl Operator for Arithmetic {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (dtype, a, b) = (cx.dtype(0)?, cx.shape(0)?, cx.shape(1)?);
        match self.legacy {
            Some(legacy) => plan_binary(self.op, dtype, a, &legacy.align(a, b)?),
            None => plan_binary(self.op, dtype, a, b),
        }
    }
}

/// The step `a op b` of two inputs of one dtype and these shapes.
pub(crate) fn plan_binary(op: Binary, dtype: DType, a: &[usize], b: &[usize]) -> Planned<Step> {
    let (walk, out) = Walk::broadcast([a, b])?;
    let in_place: SmallVec<[(usize, usize); 2]> =
        [a, b].into_iter().enumerate().filter(|&(_, shape)| shape == &out[..]).map(|(input, _)| (input, 0)).collect();
    Ok(Step::Kernel(step(op, dtype, walk, out, [0, 1])?.in_place(&in_place)))
}

/// The step `x * x` of input 0, which has this type and shape.
pub(super) fn plan_square(dtype: DType, x: &[usize]) -> Planned<Step> {
    let (walk, out) = Walk::broadcast([x, x])?;
    Ok(Step::Kernel(step(Binary::Mul, dtype, walk, out, [0, 0])?.in_place(&[(0, 0)])))
}

/// The step of `op` between the inputs `inputs`.
fn step(op: Binary, dtype: DType, walk: Walk<2>, out: Shape, inputs: [usize; 2]) -> Result<KernelStep> {
    with_dtype!(
        dtype, T in [F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64] => Ok(kernel::<T>(op, walk, out, inputs)),
        else Err(Error::unsupported(format!("{op:?} of {dtype}")))
    )
}

fn kernel<T: Element + Number>(op: Binary, walk: Walk<2>, out: Shape, inputs: [usize; 2]) -> KernelStep {
    let cost = (walk.len() * size_of::<T>()) as u64 / 16 + 100;
    KernelStep::new(T::DTYPE, out, move |cx| {
        let operands = inputs.map(|input| Place::input(cx.input_ptr::<T>(input)));
        let (isa, out) = (cx.isa(), Place::output(cx.output_ptr::<T>(0)));
        cx.parallel_ranges(walk.len(), GRAIN_BYTES / size_of::<T>(), |range, _| {
            run(isa, op, &walk, range, operands, out);
        })
    })
    .cost(cost)
}

fn run<T: Number>(isa: Isa, op: Binary, walk: &Walk<2>, range: Range<usize>, operands: [Place<T>; 2], out: Place<T>) {
    let strides = walk.row_strides();
    walk.rows(range, |at, len, [a, b]| {
        // SAFETY: the walk stays inside the operands' shapes. An input that is the output has its shape, so that a row of it
        // is the row that is written.
        unsafe {
            let a = Operand::at(operands[0].at(a), strides[0]);
            let b = Operand::at(operands[1].at(b), strides[1]);
            binary(isa, op, a, b, out.at(at), len);
        }
    });
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    const SINCE: &[i64] = &[1, 6, 7, 13, 14];
    operator::rows("Add", SINCE, |cx| build(cx, Binary::Add))
        .chain(operator::rows("Sub", SINCE, |cx| build(cx, Binary::Sub)))
        .chain(operator::rows("Mul", SINCE, |cx| build(cx, Binary::Mul)))
        .chain(operator::rows("Div", SINCE, |cx| build(cx, Binary::Div)))
}
