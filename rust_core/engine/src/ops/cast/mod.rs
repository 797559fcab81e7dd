//! Cast: every element type into every other (docs/numerics.md, section 1).

use diptych_kernels::Isa;
use diptych_kernels::cast::{CHUNK, Source, Target, cast};
use diptych_kernels::small_float::PowerRounding;

use crate::dtype::{Bool, DType, Element};
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::axes::introduced;
use crate::ops::elements::{elements, elements_mut};
use crate::tensor::{Tensor, Value};
use crate::with_dtype;

pub mod small;
mod text;

struct Cast {
    since: i64,
    to: DType,
    options: small::Options,
}

/// The opset that brought an element type to Cast.
fn castable_since(dtype: DType) -> i64 {
    match dtype {
        DType::String => 9,
        DType::C64 | DType::C128 => i64::MAX,
        other => introduced(other),
    }
}

impl Source for Bool {
    type Wide = u8;
    #[inline(always)]
    fn widen(chunk: [Self; CHUNK]) -> [u8; CHUNK] {
        chunk.map(|truth| u8::from(truth.0 != 0))
    }
}

impl<W: Copy + Default + PartialEq> Target<W> for Bool {
    #[inline(always)]
    fn convert(chunk: [W; CHUNK]) -> [Bool; CHUNK] {
        chunk.map(|x| Bool(u8::from(x != W::default())))
    }
}

/// Elements below which a chunk is not worth a thread.
const GRAIN: usize = 1 << 15;

/// Binds both types of a conversion between plain numbers.
macro_rules! with_pair {
    ($from:expr, $to:expr, $S:ident, $D:ident => $body:expr, else $other:expr) => {
        with_dtype!($from, $S in [F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64, Bool] =>
            with_dtype!($to, $D in [F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64, Bool] => $body, else $other),
        else $other)
    };
}

impl Operator for Cast {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        if castable_since(self.to) > self.since {
            return Err(Error::unsupported(format!("Cast of version {} has no tensor({})", self.since, self.to)).into());
        }
        plan(cx, self.to, self.options)
    }
}

/// CastLike: to the type of input 1, whose elements do not matter.
struct CastLike {
    options: small::Options,
}

impl Operator for CastLike {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        plan(cx, cx.dtype(1)?, self.options)
    }
}

/// The step that gives input 0 as `to`.
fn plan(cx: &PlanCx<'_>, to: DType, options: small::Options) -> Planned<Step> {
    let (from, shape) = (cx.dtype(0)?, cx.shape(0)?);
    if from == to {
        return match from {
            DType::String => Step::values(|cx| Ok(vec![cx.input(0)?.clone()])),
            _ => Ok(Step::View { input: 0, shape: shape.into() }),
        };
    }
    with_pair!(from, to, S, D => kernel::<S, D>(shape), else {
        Step::values(move |cx| Ok(vec![cast_value(cx.isa, cx.input(0)?, to, options)?]))
    })
}

fn kernel<S: Element + Source, D: Element + Target<S::Wide>>(shape: &[usize]) -> Planned<Step> {
    KernelStep::new(D::DTYPE, shape, |cx| {
        let (isa, x) = (cx.isa(), cx.input::<S>(0));
        cx.parallel_rows(cx.output::<D>(0), 1, GRAIN, |first, out, _| cast(isa, &x[first..first + out.len()], out))
    })
    .into()
}

/// Conversions that strings or types of less than 16 bits take part in.
pub(in crate::ops) fn cast_value(isa: Isa, value: &Value, to: DType, options: small::Options) -> Result<Value> {
    match value {
        Value::Strings(strings) => match to {
            DType::F64 => Ok(text::parse_f64(strings)?.into()),
            _ if to.is_integer() => Ok(text::parse_integers(strings, to)?.into()),
            _ => cast_value(isa, &text::parse_f64(strings)?.into(), to, options),
        },
        Value::Dense(tensor) => {
            let tensor = small::to_plain(tensor)?;
            match to {
                DType::String => Ok(Value::Strings(text::spell(isa, &tensor)?)),
                _ if small::is_small(to) => Ok(small::from_plain(isa, &tensor, to, options)?.into()),
                _ => Ok(cast_tensor(isa, &tensor, to)?.into()),
            }
        }
        other => Err(Error::internal(format!("{} where a tensor was planned", other.describe()))),
    }
}

/// `tensor` as `to`, both plain numbers.
pub fn cast_tensor(isa: Isa, tensor: &Tensor, to: DType) -> Result<Tensor> {
    let tensor = tensor.aligned()?;
    if tensor.dtype() == to {
        return Ok(tensor);
    }
    let mut out = Tensor::zeros(to, tensor.shape())?;
    with_pair!(tensor.dtype(), to, S, D => {
        cast(isa, tensor.as_slice::<S>()?, out.as_mut_slice::<D>()?);
        Ok(out)
    }, else Err(Error::internal(format!("no conversion from {} to {to}", tensor.dtype()))))
}

/// Plain numbers of type `from` as `to`, in bytes aligned for their types.
pub fn cast_bytes(isa: Isa, from: DType, x: &[u8], to: DType, out: &mut [u8]) -> Result<()> {
    with_pair!(from, to, S, D => {
        cast(isa, elements::<S>(x), elements_mut::<D>(out));
        Ok(())
    }, else Err(Error::internal(format!("no conversion from {from} to {to}"))))
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let to = if cx.since == 1 { legacy_type(cx)? } else { cx.required("to", cx.dtype("to")?)? };
    Ok(Box::new(Cast { since: cx.since, to, options: options(cx)? }))
}

/// What the attributes say of numbers that small types have not.
fn options(cx: &BuildCx<'_>) -> Result<small::Options> {
    let rounding = match cx.string("round_mode")?.unwrap_or("up") {
        "up" => PowerRounding::Up,
        "down" => PowerRounding::Down,
        "nearest" => PowerRounding::Nearest,
        other => return Err(Error::invalid_model(format!("round_mode is '{other}', expected up, down or nearest"))),
    };
    Ok(small::Options { saturate: cx.int("saturate", 1)? != 0, rounding })
}

/// Version 1 has `to` as the name of a TensorProto.DataType.
fn legacy_type(cx: &BuildCx<'_>) -> Result<DType> {
    let name = cx.required("to", cx.string("to")?)?;
    DType::ALL
        .iter()
        .copied()
        .find(|dtype| dtype.name().eq_ignore_ascii_case(name))
        .ok_or_else(|| Error::invalid_model(format!("to is '{name}', expected the name of a TensorProto.DataType")))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("Cast", &[1, 6, 9, 13, 19, 21, 23, 24, 25, 28], build).chain(versions(
        "CastLike",
        &[15, 19, 21, 23, 24, 25],
        |cx| Ok(Box::new(CastLike { options: options(cx)? })),
    ))
}
