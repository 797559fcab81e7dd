//! DynamicQuantizeLinear.

use diptych_kernels::quantize::{
    Numbers, Place, Precision, Quantization, Quantized, dynamic_parameters, quantize, range_with_zero,
};

use crate::dtype::DType;
use crate::operator::{KernelStep, Operator, OutputType, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::quantization::GRAIN;
use crate::tensor::Shape;

struct DynamicQuantizeLinear;

impl Operator for DynamicQuantizeLinear {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let outputs = [
            OutputType::new(DType::U8, cx.shape(0)?),
            OutputType::new(DType::F32, Shape::new()),
            OutputType::new(DType::U8, Shape::new()),
        ];
        KernelStep::with_outputs(outputs.into_iter().take(cx.wanted.len()), |cx| {
            let (isa, x) = (cx.isa(), cx.input::<f32>(0));
            let (scale, zero_point) = dynamic_parameters(range_with_zero(isa, x));
            if let Some(out) = cx.opt_output::<f32>(1) {
                out[0] = scale;
            }
            if let Some(out) = cx.opt_output::<u8>(2) {
                out[0] = zero_point;
            }
            let Some(out) = cx.opt_output::<u8>(0) else { return Ok(()) };
            let (scales, zero_points) = ([scale], [zero_point]);
            let operands = Quantization {
                x: Numbers::F32(x),
                scale: Numbers::F32(&scales),
                zero_point: Some(Quantized::U8(&zero_points)),
                precision: Precision::F32,
            };
            cx.parallel_rows(out, 1, GRAIN, |first, out, _| {
                quantize(isa, &operands, first, Place { offset: 0, each: false }, (0, 255), out);
            })
        })
        .into()
    }
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("DynamicQuantizeLinear", &[11], |_| Ok(Box::new(DynamicQuantizeLinear)))
}
