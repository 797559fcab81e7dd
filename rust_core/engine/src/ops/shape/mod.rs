//! Operators that arrange elements anew and compute nothing; and Shape and Size.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::tensor::element_count;

mod blocks;
mod join;
mod pad;
mod repeat;
mod rows;
mod slice;
mod transpose;
mod view;

pub use repeat::dimensions;
pub use view::check_vector;

/// Dimensions `start .. end` of the input; `None` for Size, their product.
struct Dimensions {
    range: Option<(i64, Option<i64>)>,
}

// [panel: Shape Size]
impl Operator for Dimensions {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dims = cx.shape(0)?;
        let (shape, values): (&[usize], Vec<i64>) = match self.range {
            None => (&[], vec![element_count(dims)? as i64]),
            Some((start, end)) => {
                let rank = dims.len() as i64;
                let place = |n: i64| (if n < 0 { n.saturating_add(rank) } else { n }).clamp(0, rank) as usize;
                let (start, end) = (place(start), end.map_or(dims.len(), place));
                let chosen = dims.get(start..end).unwrap_or_default();
                (&[chosen.len()], chosen.iter().map(|&n| n as i64).collect())
            }
        };
        KernelStep::new(DType::I64, shape, move |cx| {
            cx.output::<i64>(0).copy_from_slice(&values);
            Ok(())
        })
        .packed(&[0])
        .into()
    }
}
// [/panel]

fn build_shape(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(Dimensions { range: Some((cx.int("start", 0)?, cx.opt_int("end")?)) }))
}

/// Lengths of consecutive pieces must be non-negative and make up the whole.
fn check_lengths(lengths: &[i64], whole: usize) -> Result<()> {
    let sum: i128 = lengths.iter().map(|&n| i128::from(n)).sum();
    if lengths.iter().any(|&n| n < 0) || sum != whole as i128 {
        return Err(Error::shape(format!("lengths {lengths:?} do not make up the axis's length {whole}")));
    }
    Ok(())
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("Shape", &[1, 13, 15, 19, 21, 23, 24, 25], build_shape)
        .chain(versions("Size", &[1, 13, 19, 21, 23, 24, 25], |_| Ok(Box::new(Dimensions { range: None }))))
        .chain(view::rows())
        .chain(transpose::rows())
        .chain(join::rows())
        .chain(repeat::rows())
        .chain(slice::rows())
        .chain(pad::rows())
        .chain(blocks::rows())
        .chain(rows::rows())
}
