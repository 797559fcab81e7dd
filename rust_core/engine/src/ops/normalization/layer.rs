//! LayerNormalization, RMSNormalization and SimplifiedLayerNormalization: statistics in the stash type, scale and bias in their own.

use super::rows::{Affine, Rows, covers, stash_type};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::{self, BuildCx, Operator, OutputType, PlanCx, Planned, Row, Step};
use crate::ops::axes::normalize_axis;
use crate::tensor::{Shape, element_count};
use crate::with_dtype;

struct LayerNormalization {
    axis: i64,
    epsilon: f32,
    stash: DType,
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let (axis, epsilon, stash) = (cx.int("axis", -1)?, cx.float("epsilon", 1e-5)?, stash_type(cx)?);
    Ok(Box::new(LayerNormalization { axis, epsilon, stash }))
}

impl Operator for LayerNormalization {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let x = cx.shape(0)?;
        let axis = normalize_axis(self.axis, x.len())?;
        let shape = |input| if cx.has(input) { cx.shape(input).map(Some) } else { Ok(None) };
        let affine = [shape(1)?, shape(2)?];
        let (outer, n) = (element_count(&x[..axis])?, element_count(&x[axis..])?);
        let rows = Rows { outer, n, centered: true, epsilon: self.epsilon, statistics: [Some(1), Some(2)] };
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
                    if fused { rows.fused::<T, S>(&outputs) } else { rows.apart::<T, S>(&outputs, affine) },
                else with_dtype!(
                    self.stash, H in [F16, BF16] => rows.narrow::<T, H>(&outputs, affine),
                    else unsupported()
                )
            ),
            else unsupported()
        )
    }
}

/// As LayerNormalization, with a mean of 0 and without bias; Y has the type of the scale, which need not be that of X.
struct RmsNormalization {
    axis: i64,
    epsilon: f32,
    stash: DType,
    /// Whether it has a second output: the inverse root of the mean square.
    inverse: bool,
}

fn build_rms(cx: &BuildCx<'_>, inverse: bool) -> Result<Box<dyn Operator>> {
    let (axis, epsilon, stash) = (cx.int("axis", -1)?, cx.float("epsilon", 1e-5)?, stash_type(cx)?);
    if inverse && !matches!(stash, DType::F32 | DType::F64) {
        return Err(Error::invalid_model(format!("stash_type is {stash}, expected float or double")));
    }
    Ok(Box::new(RmsNormalization { axis, epsilon, stash, inverse }))
}

impl Operator for RmsNormalization {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (dtype, scale_dtype) = (cx.dtype(0)?, cx.dtype(1)?);
        let (x, scale) = (cx.shape(0)?, cx.shape(1)?);
        let axis = normalize_axis(self.axis, x.len())?;
        let (outer, n) = (element_count(&x[..axis])?, element_count(&x[axis..])?);
        let rows = Rows { outer, n, centered: false, epsilon: self.epsilon, statistics: [None, Some(1)] };
        let affine = Affine::new(x, [Some(scale), None])?;
        let stash = self.stash;
        let mut reduced = Shape::from(x);
        reduced[axis..].fill(1);
        let both = [OutputType::new(scale_dtype, x), OutputType::new(stash, reduced)];
        let outputs = if self.inverse { &both[..] } else { &both[..1] };
        let unsupported = || Err(Error::unsupported(format!("RMSNormalization of {dtype} and {scale_dtype}")).into());
        if dtype != scale_dtype {
            return with_dtype!(
                dtype, T in [F32, F64, F16, BF16] => with_dtype!(
                    scale_dtype, V in [F32, F64, F16, BF16] => rows.mixed::<T, V>(outputs, stash, affine),
                    else unsupported()
                ),
                else unsupported()
            );
        }
        let fused = covers(scale, &x[axis..]);
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16] => with_dtype!(
                stash, S in [F32, F64] =>
                    if fused { rows.fused::<T, S>(outputs) } else { rows.apart::<T, S>(outputs, affine) },
                else with_dtype!(
                    stash, H in [F16, BF16] => rows.narrow::<T, H>(outputs, affine),
                    else unsupported()
                )
            ),
            else unsupported()
        )
    }
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    operator::rows("LayerNormalization", &[17], build)
        .chain(operator::rows("RMSNormalization", &[23], |cx| build_rms(cx, false)))
        .chain(operator::rows("SimplifiedLayerNormalization", &[1], |cx| build_rms(cx, true)))
}
