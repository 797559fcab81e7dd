//! AffineGrid: where the elements of an image lie after an affine map.

use diptych_kernels::affine::affine_row;
use diptych_kernels::functions::{Float, Stash};

use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::tensor::{Shape, element_count};
use crate::with_dtype;

/// Numbers worth a task.
const GRAIN: usize = 20_000;

struct AffineGrid {
    align_corners: bool,
}

impl Operator for AffineGrid {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let size = cx.ints(1)?;
        let theta = cx.shape(0)?;
        let rank = size.len().wrapping_sub(2);
        let sizes: Option<Shape> = size.iter().map(|&n| usize::try_from(n).ok()).collect();
        let Some(sizes) = sizes.filter(|_| matches!(rank, 2 | 3) && cx.shape(1).is_ok_and(|s| s.len() == 1)) else {
            return Err(Error::shape(format!("size is {size:?}, expected N, C and two or three lengths")).into());
        };
        if theta != [sizes[0], rank, rank + 1] {
            return Err(Error::shape(format!("theta has shape {theta:?} for size {size:?}")).into());
        }
        let shape: Shape = [sizes[0]].iter().chain(&sizes[2..]).chain(&[rank]).copied().collect();
        let dtype = cx.dtype(0)?;
        if element_count(&shape)? == 0 {
            return KernelStep::new(dtype, shape, |_| Ok(())).into();
        }
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16] => step::<T>(shape, self.align_corners)?.into(),
            else Err(Error::unsupported(format!("AffineGrid of {dtype}")).into())
        )
    }
}

/// Where in -1 .. 1 the elements of an axis lie.
fn centers<E: Stash>(n: usize, align_corners: bool) -> Vec<E> {
    let divisor = E::from_count(if align_corners { (n - 1).max(1) } else { n });
    (0..n).map(|i| E::from_binary64((2 * i + 1) as f64 - n as f64) / divisor).collect()
}

/// The step for a grid `[N, (depth,) height, width, axes]` that is not empty.
fn step<T: Float + Element>(shape: Shape, align_corners: bool) -> Result<KernelStep> {
    let rank = shape.len() - 2;
    let axes: Vec<Vec<T::Wide>> = shape[1..=rank].iter().map(|&n| centers(n, align_corners)).collect();
    let rows: usize = shape[1..rank].iter().product();
    let row = element_count(&shape[rank..])?;
    let cost = element_count(&shape)? as u64 + 200;
    let step = KernelStep::new(T::DTYPE, shape, move |cx| {
        let (theta, isa) = (cx.input::<T>(0), cx.isa());
        let Some((x, outer_axes)) = axes.split_last() else { return Ok(()) };
        cx.parallel_rows(cx.output::<T>(0), row, GRAIN / row, |first, y, _| {
            for (index, y) in y.chunks_exact_mut(row).enumerate() {
                let (image, mut rest) = ((first + index) / rows, (first + index) % rows);
                // y, then z.
                let mut outer = [T::Wide::ZERO; 2];
                for (to, axis) in outer.iter_mut().zip(outer_axes.iter().rev()) {
                    *to = axis[rest % axis.len()];
                    rest /= axis.len();
                }
                let theta = &theta[image * rank * (rank + 1)..][..rank * (rank + 1)];
                affine_row(isa, theta, &outer[..rank - 1], x, y);
            }
        })
    });
    Ok(step.cost(cost))
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(AffineGrid { align_corners: cx.int("align_corners", 0)? != 0 }))
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    versions("AffineGrid", &[20], build)
}
