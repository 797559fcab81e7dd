//! Activations: Relu and its kin. float16 and bfloat16 compute in binary32 and are rounded once.

use diptych_kernels::elementwise::{Binary, Number, Operand, binary};
use diptych_kernels::functions::{Float, Unary, swiglu, unary};
use diptych_kernels::integer::Integer;

use crate::broadcast::{Walk, broadcast_shapes};
use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::operator::{self, BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step};
use crate::ops::elementwise::{GRAIN_BYTES, Place, UnaryFloat, plan_binary, plan_unary};
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

struct Shrink {
    bias: f32,
    lambd: f32,
}

impl Operator for Shrink {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let shape = cx.shape(0)?;
        let Shrink { bias, lambd } = *self;
        with_dtype!(
            dtype, T in [I8, I16, I32, I64, U8, U16, U32, U64] => self.integers::<T>(shape.into()).into(),
            else plan_unary(Unary::Shrink { bias, lambd }, dtype, shape)
        )
    }
}

impl Shrink {
    /// In binary64, then to integer; with a bias of 0 the integer itself stays, which binary64 may not hold.
    fn integers<T: Element + Integer>(&self, shape: Shape) -> KernelStep {
        let (bias, lambd) = (f64::from(self.bias), f64::from(self.lambd));
        let len: usize = shape.iter().product();
        KernelStep::new(T::DTYPE, shape, move |cx| {
            let x = cx.input::<T>(0);
            cx.parallel_rows(cx.output::<T>(0), 1, GRAIN_BYTES / size_of::<T>(), |first, out, _| {
                for (out, &x) in out.iter_mut().zip(&x[first..]) {
                    let wide = x.to_f64();
                    let shift = match () {
                        () if wide < -lambd => bias,
                        () if wide > lambd => -bias,
                        () => {
                            *out = T::default();
                            continue;
                        }
                    };
                    *out = if bias == 0.0 { x } else { T::from_f64(wide + shift) };
                }
            })
        })
        .cost(len as u64 + 100)
    }
}

/// `legacy`: the slope is one number, or one for each channel (axis 1), as versions 1 and 6 have it.
struct PRelu {
    legacy: bool,
}

impl Operator for PRelu {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (dtype, x, slope) = (cx.dtype(0)?, cx.shape(0)?, cx.shape(1)?);
        let misfit = || Error::shape(format!("slope of shape {slope:?} does not broadcast into X of shape {x:?}"));
        let aligned: Shape = match self.legacy {
            false => slope.into(),
            true if slope.iter().all(|&n| n == 1) => Shape::new(),
            true if x.len() >= 2 && slope == &x[1..2] => {
                slope.iter().copied().chain(std::iter::repeat_n(1, x.len() - 2)).collect()
            }
            true => return Err(misfit().into()),
        };
        if broadcast_shapes(&[x, &aligned])?[..] != *x {
            return Err(misfit().into());
        }
        plan_binary(Binary::PRelu, dtype, x, &aligned)
    }
}

fn build_prelu(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(PRelu { legacy: cx.since < 7 }))
}

struct SwiGlu {
    alpha: f32,
}

impl Operator for SwiGlu {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (dtype, a, b) = (cx.dtype(0)?, cx.shape(0)?, cx.shape(1)?);
        if a != b {
            return Err(Error::shape(format!("A and B have shapes {a:?} and {b:?}, expected one shape")).into());
        }
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16] => gated_product::<T>(self.alpha, a.into()).into(),
            else Err(Error::unsupported(format!("SwiGLU of {dtype}")).into())
        )
    }
}

fn gated_product<T: Element + Float>(alpha: f32, shape: Shape) -> KernelStep {
    /// Elements worth a thread.
    const GRAIN: usize = 1 << 14;
    let len: usize = shape.iter().product();
    KernelStep::new(T::DTYPE, shape, move |cx| {
        let [a, b] = [0, 1].map(|input| Place::input(cx.input_ptr::<T>(input)));
        let (isa, y) = (cx.isa(), Place::output(cx.output_ptr::<T>(0)));
        cx.parallel_ranges(len, GRAIN, |range, _| {
            let i = range.start;
            // SAFETY: the range is inside all three; they are one place or disjoint, and ranges do not overlap.
            unsafe { swiglu(isa, alpha, a.at(i), b.at(i), y.at(i), range.len()) };
        })
    })
    .in_place(&[(0, 0), (1, 0)])
    .cost(len as u64 / 2 + 100)
}

/// BiasGelu, FastGelu: a function of the sum of X and, where there is one, a bias with one number for each place of X's last axis.
struct OfSum(Unary);

impl Operator for OfSum {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (dtype, x) = (cx.dtype(0)?, cx.shape(0)?);
        if !cx.has(1) {
            return plan_unary(self.0, dtype, x);
        }
        let bias = cx.shape(1)?;
        if x.last().is_none_or(|&n| bias != [n]) {
            return Err(Error::shape(format!("bias has shape {bias:?}, expected the last axis of {x:?} alone")).into());
        }
        let (walk, _) = Walk::broadcast([x, bias])?;
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16] => of_sum::<T>(self.0, walk, x.into()).into(),
            else Err(Error::unsupported(format!("{:?} of {dtype}", self.0)).into())
        )
    }
}

fn of_sum<T: Element + Float + Number>(function: Unary, walk: Walk<2>, shape: Shape) -> KernelStep {
    /// Elements worth a thread.
    const GRAIN: usize = 1 << 14;
    let cost = walk.len() as u64 / 2 + 100;
    KernelStep::new(T::DTYPE, shape, move |cx| {
        let [x, bias] = [0, 1].map(|input| Place::input(cx.input_ptr::<T>(input)));
        let (isa, y) = (cx.isa(), Place::output(cx.output_ptr::<T>(0)));
        let strides = walk.row_strides();
        cx.parallel_ranges(walk.len(), GRAIN, |range, _| {
            walk.rows(range, |at, len, [from, place]| {
                // SAFETY: the walk stays inside the shapes; Y is X's place or apart from it, and ranges do not overlap.
                unsafe {
                    let x = Operand::at(x.at(from).cast_const(), strides[0]);
                    binary(isa, Binary::Add, x, Operand::at(bias.at(place).cast_const(), strides[1]), y.at(at), len);
                    unary(isa, function, y.at(at).cast_const(), y.at(at), len);
                }
            });
        })
    })
    .in_place(&[(0, 0)])
    .cost(cost)
}

/// The function that one FLOAT attribute `alpha` says.
fn build_with_alpha(cx: &BuildCx<'_>, function: impl Fn(f32) -> Unary) -> Result<Box<dyn Operator>> {
    UnaryFloat::build(function(cx.float("alpha", 1.0)?))
}

fn build_selu(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let (alpha, gamma) = if cx.since < 6 { (1.6732, 1.0507) } else { (1.673_263_2, 1.050_701) };
    UnaryFloat::build(Unary::Selu { alpha: cx.float("alpha", alpha)?, gamma: cx.float("gamma", gamma)? })
}

fn build_gelu(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    match cx.string("approximate")?.unwrap_or("none") {
        "none" => UnaryFloat::build(Unary::Gelu),
        "tanh" => UnaryFloat::build(Unary::GeluTanh),
        other => Err(Error::invalid_model(format!("approximate is '{other}', expected 'none' or 'tanh'"))),
    }
}

fn build_shrink(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(Shrink { bias: cx.float("bias", 0.0)?, lambd: cx.float("lambd", 0.5)? }))
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
        .chain(operator::rows("Softsign", &[1, 22], |_| UnaryFloat::build(Unary::Softsign)))
        .chain(operator::rows("Mish", &[18, 22], |_| UnaryFloat::build(Unary::Mish)))
        .chain(operator::rows("Gelu", &[20], build_gelu))
        .chain(operator::rows("Selu", &[1, 6, 22], build_selu))
        .chain(with_alpha())
        .chain(operator::rows("Shrink", &[9], build_shrink))
        .chain(operator::rows("PRelu", &[1, 6, 7, 9, 16], build_prelu))
        .chain(operator::rows("SwiGLU", &[28], |cx| Ok(Box::new(SwiGlu { alpha: cx.float("alpha", 1.0)? }))))
        .chain(microsoft())
}

/// Of com.microsoft.
fn microsoft() -> impl Iterator<Item = Row> {
    let rows = |op_type, build| operator::rows_of("com.microsoft", op_type, &[1], build);
    rows("Gelu", |_| UnaryFloat::build(Unary::Gelu))
        .chain(rows("BiasGelu", |_| Ok(Box::new(OfSum(Unary::Gelu)))))
        .chain(rows("FastGelu", |_| Ok(Box::new(OfSum(Unary::GeluTanh)))))
        .chain(rows("QuickGelu", |cx| UnaryFloat::build(Unary::Swish { alpha: cx.float("alpha", 1.702)? })))
}

/// Functions with one factor, 1 by default.
fn with_alpha() -> impl Iterator<Item = Row> {
    operator::rows("Elu", &[1, 6, 22], |cx| build_with_alpha(cx, |alpha| Unary::Elu { alpha }))
        .chain(operator::rows("Celu", &[12, 28], |cx| build_with_alpha(cx, |alpha| Unary::Celu { alpha })))
        .chain(operator::rows("Swish", &[24], |cx| build_with_alpha(cx, |alpha| Unary::Swish { alpha })))
        .chain(operator::rows("ThresholdedRelu", &[10, 22], |cx| {
            build_with_alpha(cx, |alpha| Unary::ThresholdedRelu { alpha })
        }))
}
