//! Activations: Relu and its kin. float16 and bfloat16 compute in binary32 and are rounded once.

use diptych_kernels::elementwise::{Binary, Number, Operand, binary};
use diptych_kernels::functions::Unary;

use crate::dtype::Element;
use crate::error::Result;
use crate::operator::{self, BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step};
use crate::ops::elementwise::{GRAIN_BYTES, Place, UnaryFloat, plan_unary};
use crate::tensor::Shape;
use crate::with_dtype;

struct Relu;

impl Operator for Relu {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let shape = cx.shape(0)?;
        with_dtype!(
            dtype, T in [I8, I16, I32, I64] => integer_relu::<T>(shape.into()).into(),
            else plan_unary(Unary::Relu, dtype, shape)
        )
    }
}

fn integer_relu<T: Element + Number>(shape: Shape) -> KernelStep {
    let len: usize = shape.iter().product();
    KernelStep::new(T::DTYPE, shape, move |cx| {
        let (isa, x, y) = (cx.isa(), Place::input(cx.input_ptr::<T>(0)), Place::output(cx.output_ptr::<T>(0)));
        cx.parallel_ranges(len, GRAIN_BYTES / size_of::<T>(), |range, _| {
            // SAFETY: the range is inside both; they are the same place or disjoint, and ranges do not overlap.
            unsafe {
                let zero = Operand::Scalar(<T as Default>::default());
                binary(isa, Binary::Max, Operand::Slice(x.at(range.start)), zero, y.at(range.start), range.len());
            }
        })
    })
    .in_place(&[(0, 0)])
}

fn build_leaky_relu(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    UnaryFloat::build(Unary::LeakyRelu { alpha: cx.float("alpha", 0.01)? })
}

fn build_hard_sigmoid(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    UnaryFloat::build(Unary::HardSigmoid { alpha: cx.float("alpha", 0.2)?, beta: cx.float("beta", 0.5)? })
}

pub fn rows() -> impl Iterator<Item = Row> {
    operator::rows("Relu", &[1, 6, 13, 14], |_| Ok(Box::new(Relu)))
        .chain(operator::rows("LeakyRelu", &[1, 6, 16], build_leaky_relu))
        .chain(operator::rows("Sigmoid", &[1, 6, 13], |_| UnaryFloat::build(Unary::Sigmoid)))
        .chain(operator::rows("Tanh", &[1, 6, 13], |_| UnaryFloat::build(Unary::Tanh)))
        .chain(operator::rows("HardSigmoid", &[1, 6, 22], build_hard_sigmoid))
        .chain(operator::rows("HardSwish", &[14, 22], |_| UnaryFloat::build(Unary::HardSwish)))
        .chain(operator::rows("Softplus", &[1, 22], |_| UnaryFloat::build(Unary::Softplus)))
}
