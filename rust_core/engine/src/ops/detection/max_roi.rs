//! MaxRoiPool: maxima of the bins of regions.

use diptych_kernels::detection::{Bins, max_roi_pool};
use diptych_kernels::functions::{Float, Stash};
use diptych_kernels::pool::MaxElement;

use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::run::Disjoint;
use crate::tensor::element_count;
use crate::with_dtype;

/// Coordinates of regions stay below.
const FARTHEST: f64 = 2_147_483_648.0;
/// Bins along an axis, so that their bounds fit 64 bits.
const MOST_BINS: usize = 1 << 29;
/// Planes of one region that are a task.
const PLANES: usize = 16;

struct MaxRoiPool {
    pooled: [usize; 2],
    scale: f32,
}

impl Operator for MaxRoiPool {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (x, rois) = (cx.shape(0)?, cx.shape(1)?);
        let (&[n, channels, height, width], &[regions, 5]) = (x, rois) else {
            let message = format!("X and rois have shapes {x:?} and {rois:?}, expected rank 4 and [R, 5]");
            return Err(Error::shape(message).into());
        };
        let shape = [regions, channels, self.pooled[0], self.pooled[1]];
        if element_count(&shape)? > 0 && self.pooled.iter().any(|&n| n > MOST_BINS) {
            return Err(
                Error::resource_limit(format!("pooled_shape {:?} is more than is supported", self.pooled)).into()
            );
        }
        let dtype = cx.dtype(0)?;
        let plan = Plan { shape, images: n, size: [height, width], scale: self.scale };
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16] => plan.step::<T>()?.into(),
            else Err(Error::unsupported(format!("MaxRoiPool of {dtype}")).into())
        )
    }
}

#[derive(Clone, Copy)]
struct Plan {
    /// Regions, channels, bins down and across.
    shape: [usize; 4],
    images: usize,
    size: [usize; 2],
    scale: f32,
}

impl Plan {
    fn step<T: Element + Float + MaxElement>(self) -> Result<KernelStep> {
        let [regions, channels, rows, columns] = self.shape;
        let bins = if channels == 0 { 0 } else { rows * columns };
        let plane = element_count(&self.size)?;
        let blocks = channels.div_ceil(PLANES);
        let planes = (regions as u64).saturating_mul(channels as u64);
        let cost = planes.saturating_mul((plane / 2 + bins) as u64).saturating_add(200);
        let step = KernelStep::new(T::DTYPE, self.shape.as_slice(), move |cx| {
            let (x, rois, isa) = (cx.input::<T>(0), cx.input::<T>(1), cx.isa());
            for roi in rois.chunks_exact(5) {
                self.bins(roi)?;
            }
            let y = Disjoint::new(cx.output::<T>(0));
            cx.parallel_ranges(if bins == 0 { 0 } else { regions * blocks }, 1, |range, _| {
                for task in range {
                    let (region, first) = (task / blocks, task % blocks * PLANES);
                    let Ok((image, bounds)) = self.bins(&rois[region * 5..][..5]) else { continue };
                    let count = PLANES.min(channels - first);
                    let from = (image * channels + first) * plane;
                    let to = (region * channels + first) * bins;
                    // SAFETY: tasks have planes of their own.
                    let y = unsafe { y.range(to..to + count * bins) };
                    max_roi_pool(isa, bounds, &x[from..from + count * plane], y);
                }
            })
        });
        Ok(step.cost(cost))
    }

    /// The image of a region, and its bins down and across.
    fn bins<T: Float>(&self, roi: &[T]) -> Result<(usize, [Bins; 2])> {
        let image = roi[0].widen().to_binary64();
        if !(image >= 0.0 && image < self.images as f64 && image.trunc() == image) {
            return Err(Error::invalid_input(format!("a region of image {image}, X has {}", self.images)));
        }
        let scale = T::Wide::from_binary64(self.scale.into());
        let mut corners = [0i64; 4];
        for (corner, &x) in corners.iter_mut().zip(&roi[1..]) {
            let place = (x.widen() * scale).to_binary64().round(); // halves away from zero
            if place.is_nan() || place.abs() >= FARTHEST {
                return Err(Error::invalid_input(format!("a region with a coordinate of {place}")));
            }
            *corner = place as i64;
        }
        let bins = |axis: usize, first: i64, last: i64| Bins {
            first,
            n: (last - first + 1).max(1),
            parts: self.shape[2 + axis],
            size: self.size[axis],
        };
        Ok((image as usize, [bins(0, corners[1], corners[3]), bins(1, corners[0], corners[2])]))
    }
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let given = cx.required("pooled_shape", cx.ints("pooled_shape")?)?;
    let &[rows, columns] = given else {
        return Err(Error::invalid_model(format!("pooled_shape {given:?}: expected two values of at least 1")));
    };
    if rows < 1 || columns < 1 {
        return Err(Error::invalid_model(format!("pooled_shape {given:?}: expected two values of at least 1")));
    }
    Ok(Box::new(MaxRoiPool { pooled: [rows as usize, columns as usize], scale: cx.float("spatial_scale", 1.0)? }))
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    versions("MaxRoiPool", &[1, 22], build)
}
