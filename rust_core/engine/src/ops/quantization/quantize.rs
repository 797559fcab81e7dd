//! QuantizeLinear.

use diptych_kernels::Isa;
use diptych_kernels::quantize::{Integer, Precision, Quantization, quantize, quantize_small};
use diptych_kernels::small_float::Format;

use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::cast::small;
use crate::ops::quantization::spread::Spread;
use crate::ops::quantization::{GRAIN, Operands, Unpacked, check_granularity, is_packed, numbers, quantized};
use crate::run::{KernelCx, ValueCx};
use crate::tensor::{Shape, Value, element_count};

struct QuantizeLinear {
    since: i64,
    axis: i64,
    saturate: bool,
    block_size: i64,
    output: Option<DType>,
    precision: Option<Precision>,
}

/// Types and places of one quantization.
#[derive(Clone, Copy)]
struct Plan {
    x: DType,
    scale: DType,
    zero_point: Option<DType>,
    y: DType,
    precision: Precision,
    spread: Spread,
    saturate: bool,
}

impl Plan {
    fn operands<'a>(&self, from: &impl Operands<'a>) -> Quantization<'a> {
        Quantization {
            x: numbers(from, 0, self.x),
            scale: numbers(from, 1, self.scale),
            zero_point: self.zero_point.map(|dtype| quantized(from, 2, dtype)),
            precision: self.precision,
        }
    }

    /// The least and the greatest of an integer type.
    fn ends(&self) -> (i32, i32) {
        let bits = self.y.bits();
        let is_signed = matches!(self.y, DType::I16 | DType::I8 | DType::I4 | DType::I2);
        if is_signed { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) }
    }

    fn integers<D: Integer>(&self, isa: Isa, operands: &Quantization<'_>, first: usize, out: &mut [D]) {
        self.spread.rows(first..first + out.len(), |at, len, place| {
            quantize(isa, operands, at, place, self.ends(), &mut out[at - first..at - first + len]);
        });
    }

    fn small(&self, format: Format, operands: &Quantization<'_>, first: usize, out: &mut [u8]) {
        // The types below 8 bits have nothing beyond their greatest number.
        let saturate = self.saturate || is_packed(self.y);
        self.spread.rows(first..first + out.len(), |at, len, place| {
            quantize_small(operands, at, place, (format, saturate), &mut out[at - first..at - first + len]);
        });
    }

    fn run_integers<D: Integer + Element>(&self, cx: &KernelCx<'_>) -> Result<()> {
        let (isa, operands) = (cx.isa(), self.operands(cx));
        cx.parallel_rows(cx.output::<D>(0), 1, GRAIN, |first, out, _| self.integers(isa, &operands, first, out))
    }

    fn run(&self, cx: &KernelCx<'_>) -> Result<()> {
        match self.y {
            DType::U8 => self.run_integers::<u8>(cx),
            DType::I8 => self.run_integers::<i8>(cx),
            DType::U16 => self.run_integers::<u16>(cx),
            DType::I16 => self.run_integers::<i16>(cx),
            other => {
                let format =
                    small::format(other).ok_or_else(|| Error::internal(format!("{other} is no small float")))?;
                let operands = self.operands(cx);
                cx.parallel_rows(cx.output::<u8>(0), 1, GRAIN, |first, out, _| {
                    self.small(format, &operands, first, out);
                })
            }
        }
    }

    /// Into a packed type.
    fn run_packed(&self, cx: &ValueCx<'_>, shape: &Shape) -> Result<Value> {
        let unpacked = Unpacked::new(cx)?;
        let operands = self.operands(&&unpacked);
        let mut codes = vec![0u8; element_count(shape)?];
        match small::format(self.y) {
            Some(format) => self.small(format, &operands, 0, &mut codes),
            None if self.ends().0 == 0 => self.integers(cx.isa, &operands, 0, &mut codes),
            None => {
                let mut signed = vec![0i8; codes.len()];
                self.integers(cx.isa, &operands, 0, &mut signed);
                codes.iter_mut().zip(signed).for_each(|(code, step)| *code = step as u8);
            }
        }
        Ok(small::from_codes(self.y, shape, &codes)?.into())
    }
}

impl QuantizeLinear {
    /// Whether this version has outputs of a type: the types of its zero points.
    fn gives(&self, dtype: DType) -> bool {
        match dtype {
            DType::U8 | DType::I8 => true,
            DType::U16 | DType::I16 | DType::U4 | DType::I4 => self.since >= 21,
            DType::F8E4M3FN | DType::F8E4M3FNUZ | DType::F8E5M2 | DType::F8E5M2FNUZ => self.since >= 19,
            DType::F4E2M1 => self.since >= 23,
            DType::U2 | DType::I2 => self.since >= 25,
            DType::F6E2M3 | DType::F6E3M2 => self.since >= 28,
            _ => false,
        }
    }

    /// The output type: the zero point's, `output_dtype` or uint8.
    fn output(&self, cx: &PlanCx<'_>) -> Result<DType> {
        if !cx.has(2) {
            let y = self.output.unwrap_or(DType::U8);
            return if self.gives(y) { Ok(y) } else { Err(Error::unsupported(format!("output_dtype {y}"))) };
        }
        let y = cx.dtype(2)?;
        match self.output {
            Some(other) if other != y => {
                Err(Error::invalid_model(format!("output_dtype is {other}, the zero point is {y}")))
            }
            _ => Ok(y),
        }
    }

    fn plan_types(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        let (x, scale) = (cx.dtype(0)?, cx.dtype(1)?);
        check_granularity(cx)?;
        let spread = Spread::new(cx, self.axis, self.block_size)?;
        if self.since == 10 && !matches!(spread, Spread::Whole) {
            return Err(Error::shape(format!("y_scale has shape {:?}, expected a scalar", cx.shape(1)?)));
        }
        let precision = self.precision.unwrap_or(match scale {
            DType::F16 => Precision::F16,
            DType::BF16 => Precision::BF16,
            _ => Precision::F32,
        });
        let y = self.output(cx)?;
        Ok(Plan { x, scale, zero_point: cx.has(2).then_some(y), y, precision, spread, saturate: self.saturate })
    }
}

impl Operator for QuantizeLinear {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let plan = self.plan_types(cx)?;
        let shape: Shape = cx.shape(0)?.into();
        if is_packed(plan.y) {
            return Step::values(move |cx| Ok(vec![plan.run_packed(cx, &shape)?]));
        }
        KernelStep::new(plan.y, shape, move |cx| plan.run(cx)).into()
    }
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let precision = match cx.int("precision", 0)? {
        0 => None,
        1 => Some(Precision::F32),
        10 => Some(Precision::F16),
        16 => Some(Precision::BF16),
        other => return Err(Error::unsupported(format!("precision {other}: expected float, float16 or bfloat16"))),
    };
    let output = if cx.int("output_dtype", 0)? == 0 { None } else { cx.dtype("output_dtype")? };
    Ok(Box::new(QuantizeLinear {
        since: cx.since,
        axis: cx.int("axis", 1)?,
        saturate: cx.int("saturate", 1)? != 0,
        block_size: cx.int("block_size", 0)?,
        output,
        precision,
    }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("QuantizeLinear", &[10, 13, 19, 21, 23, 24, 25, 28], build)
}
