//! HannWindow, HammingWindow, BlackmanWindow: sums of cosines of fractions of the circle.

use diptych_kernels::fourier::circle;

use super::{number_type, scalar};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::cast::cast_tensor;
use crate::tensor::{Tensor, element_count};

struct Window {
    /// a0, a1, a2: `(a0 + a2 * cos of the double angle) - a1 * cos`.
    factors: [f64; 3],
    dtype: DType,
    periodic: bool,
}

impl Operator for Window {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let size = scalar(cx, 0, "size")?;
        let Ok(count) = usize::try_from(size) else {
            return Err(Error::invalid_input(format!("a window of size {size}")).into());
        };
        element_count(&[count])?;
        let (isa, factors, dtype, periodic) = (cx.isa, self.factors, self.dtype, self.periodic);
        Step::values(move |_| {
            let n = if periodic { count } else { count.saturating_sub(1) };
            let mut window = Tensor::zeros(DType::F64, &[count])?;
            let values = window.as_mut_slice::<f64>()?;
            if count == 1 && n == 0 {
                values[0] = 1.0;
            } else {
                fill(isa, n.max(1) as u64, factors, values)?;
            }
            Ok(vec![cast_tensor(isa, &window, dtype)?.into()])
        })
    }
}

// [panel: HannWindow HammingWindow BlackmanWindow]
/// Element k is `rn(rn(a0 + rn(a2 * cos(4 pi k / n))) - rn(a1 * cos(2 pi k / n)))`, a0 alone in front if a2 is 0.
fn fill(isa: diptych_kernels::Isa, n: u64, [a0, a1, a2]: [f64; 3], values: &mut [f64]) -> Result<()> {
    let mut cosines = Tensor::zeros(DType::F64, &[values.len()])?;
    let cos = cosines.as_mut_slice::<f64>()?;
    let mut sines = Tensor::zeros(DType::F64, &[values.len()])?;
    let sin = sines.as_mut_slice::<f64>()?;
    values.fill(a0);
    if a2 != 0.0 {
        circle(isa, n, |k| 2 * k as u64 % n, cos, sin);
        values.iter_mut().zip(&*cos).for_each(|(value, cos)| *value = a0 + a2 * cos);
    }
    circle(isa, n, |k| k as u64 % n, cos, sin);
    values.iter_mut().zip(&*cos).for_each(|(value, cos)| *value -= a1 * cos);
    Ok(())
}
// [/panel]

fn build(cx: &BuildCx<'_>, factors: [f64; 3]) -> Result<Box<dyn Operator>> {
    let periodic = match cx.int("periodic", 1)? {
        0 => false,
        1 => true,
        other => return Err(Error::invalid_model(format!("periodic is {other}, expected 0 or 1"))),
    };
    Ok(Box::new(Window { factors, dtype: number_type(cx)?, periodic }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    const SINCE: &[i64] = &[17];
    versions("HannWindow", SINCE, |cx| build(cx, [0.5, 0.5, 0.0]))
        .chain(versions("HammingWindow", SINCE, |cx| build(cx, [25.0 / 46.0, 21.0 / 46.0, 0.0])))
        .chain(versions("BlackmanWindow", SINCE, |cx| build(cx, [0.42, 0.5, 0.08])))
}
