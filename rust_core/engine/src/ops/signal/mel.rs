//! MelWeightMatrix: triangles on the mel scale, in binary64.

use diptych_kernels::Isa;
use diptych_kernels::functions::{Unary, unary};

use super::{number_type, scalar};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::cast::cast_tensor;
use crate::tensor::{Tensor, element_count};

/// `rn(log 10)`
const LOG_10: f64 = f64::from_bits(0x4002_6bb1_bbb5_5516);

struct Mel {
    dtype: DType,
}

/// A function of section 3 of one number.
fn apply(isa: Isa, op: Unary, mut x: f64) -> f64 {
    let p = &raw mut x;
    // SAFETY: one number, read and written.
    unsafe { unary::<f64>(isa, op, p, p, 1) };
    x
}

/// The frequency on the mel scale.
fn mel(cx: &PlanCx<'_>, input: usize, name: &str) -> Planned<f64> {
    let shape = cx.shape(input)?;
    if shape.len() > 1 || shape.iter().any(|&n| n != 1) {
        return Err(Error::shape(format!("{name} has shape {shape:?}, expected a scalar")).into());
    }
    let edge = cast_tensor(cx.isa, &cx.tensor(input)?, DType::F64)?.as_slice::<f64>()?[0];
    Ok(2595.0 * apply(cx.isa, Unary::Log, 1.0 + edge / 700.0) / LOG_10)
}

// [panel: MelWeightMatrix]
impl Operator for Mel {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let [bands, length, rate] =
            [(0, "num_mel_bins"), (1, "dft_length"), (2, "sample_rate")].map(|(input, name)| scalar(cx, input, name));
        let (bands, length, rate) = (bands?, length?, rate?);
        if bands < 0 || length < 0 || rate < 1 {
            let message = format!("{bands} bands of a transform of length {length} at {rate} samples a second");
            return Err(Error::invalid_input(message).into());
        }
        let (low, high) = (mel(cx, 3, "lower_edge_hertz")?, mel(cx, 4, "upper_edge_hertz")?);
        let (rows, columns) = ((length / 2) as usize + 1, bands as usize);
        element_count(&[rows, columns])?;
        element_count(&[columns, 3])?;
        let (isa, dtype) = (cx.isa, self.dtype);
        Step::values(move |cx| {
            let step = (high - low) / (bands as f64 + 2.0);
            let edge = |i: i64| {
                let mel = i as f64 * step + low;
                let hertz = 700.0 * (apply(isa, Unary::Exp, mel / 2595.0 * LOG_10) - 1.0);
                apply(isa, Unary::Floor, (length as f64 + 1.0) * hertz / rate as f64)
            };
            let mut weights = Tensor::zeros(DType::F64, &[rows, columns])?;
            let values = weights.as_mut_slice::<f64>()?;
            for column in 0..columns {
                cx.check()?;
                let edges = [0, 1, 2].map(|i| edge(column as i64 + i));
                for row in 0..rows {
                    values[row * columns + column] = weight(row as f64, edges);
                }
            }
            Ok(vec![cast_tensor(isa, &weights, dtype)?.into()])
        })
    }
}
// [/panel]

// [panel: MelWeightMatrix weight]
/// The height of a triangle at `j`.
fn weight(j: f64, [left, centre, right]: [f64; 3]) -> f64 {
    if right > centre && centre <= j && j < right {
        (right - j) / (right - centre)
    } else if centre == left {
        f64::from(u8::from(j == centre))
    } else if left <= j && j <= centre {
        (j - left) / (centre - left)
    } else {
        0.0
    }
}
// [/panel]

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(Mel { dtype: number_type(cx)? }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("MelWeightMatrix", &[17], build)
}
