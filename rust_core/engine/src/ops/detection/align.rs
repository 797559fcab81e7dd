//! RoiAlign: samples of the bins of regions.

use diptych_kernels::detection::{ROI_PLANES, Region, roi_align};
use diptych_kernels::functions::{Float, Stash};

use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::run::Disjoint;
use crate::tensor::element_count;
use crate::with_dtype;

/// Samples of a region.
const SAMPLES: f64 = (1u64 << 26) as f64;

struct RoiAlign {
    half_pixel: bool,
    max: bool,
    output: [usize; 2],
    sampling_ratio: usize,
    scale: f64,
}

impl Operator for RoiAlign {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (x, rois, images) = (cx.shape(0)?, cx.shape(1)?, cx.shape(2)?);
        let (&[n, channels, height, width], &[regions, 4]) = (x, rois) else {
            let message = format!("X and rois have shapes {x:?} and {rois:?}, expected rank 4 and [R, 4]");
            return Err(Error::shape(message).into());
        };
        if images != [regions] {
            return Err(Error::shape(format!("batch_indices have shape {images:?}, expected [{regions}]")).into());
        }
        let shape = [regions, channels, self.output[0], self.output[1]];
        element_count(&shape)?;
        let dtype = cx.dtype(0)?;
        let plan = Plan {
            half_pixel: self.half_pixel,
            max: self.max,
            sampling_ratio: self.sampling_ratio,
            scale: self.scale,
            shape,
            images: n,
            size: [height, width],
        };
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16] => plan.step::<T>()?.into(),
            else Err(Error::unsupported(format!("RoiAlign of {dtype}")).into())
        )
    }
}

#[derive(Clone, Copy)]
struct Plan {
    half_pixel: bool,
    max: bool,
    sampling_ratio: usize,
    scale: f64,
    /// Regions, channels, bins down and across.
    shape: [usize; 4],
    images: usize,
    size: [usize; 2],
}

impl Plan {
    fn step<T: Element + Float>(self) -> Result<KernelStep> {
        let [regions, channels, rows, columns] = self.shape;
        let plane = element_count(&self.size)?;
        let bins = element_count(&[rows, columns])?;
        let blocks = channels.div_ceil(ROI_PLANES);
        let samples = if self.sampling_ratio > 0 { (self.sampling_ratio as u64).saturating_pow(2) } else { 4 };
        let planes = (regions as u64).saturating_mul(channels as u64);
        let cost = [bins as u64, samples, 4].iter().fold(planes, |cost, &n| cost.saturating_mul(n));
        let step = KernelStep::new(T::DTYPE, self.shape.as_slice(), move |cx| {
            let (x, rois, images) = (cx.input::<T>(0), cx.input::<T>(1), cx.input::<i64>(2));
            if let Some(image) = images.iter().find(|&&image| image < 0 || image as usize >= self.images) {
                return Err(Error::invalid_input(format!("a region of image {image}, X has {}", self.images)));
            }
            for roi in rois.chunks_exact(4) {
                self.region(roi)?;
            }
            let (y, isa) = (Disjoint::new(cx.output::<T>(0)), cx.isa());
            cx.parallel_ranges(regions * blocks, 1, |range, _| {
                for task in range {
                    let (roi, first) = (task / blocks, task % blocks * ROI_PLANES);
                    let Ok(region) = self.region(&rois[roi * 4..][..4]) else { continue };
                    let count = ROI_PLANES.min(channels - first);
                    let from = (images[roi] as usize * channels + first) * plane;
                    let to = (roi * channels + first) * bins;
                    // SAFETY: tasks have planes of their own.
                    let y = unsafe { y.range(to..to + count * bins) };
                    roi_align(isa, &region, self.max, &x[from..from + count * plane], y);
                }
            })
        });
        Ok(step.cost(cost.saturating_add(200)))
    }

    /// Where the samples of a region lie.
    fn region<T: Float>(&self, roi: &[T]) -> Result<Region> {
        let corner = |i: usize| {
            let place = roi[i].widen().to_binary64() * self.scale;
            place - if self.half_pixel { 0.5 } else { 0.0 }
        };
        let output = [self.shape[2], self.shape[3]];
        let mut region =
            Region { size: self.size, start: [corner(1), corner(0)], bin: [0.0; 2], output, samples: [0; 2] };
        let (mut total, mut counts) = (1.0, [0.0; 2]);
        for (axis, end) in [corner(3), corner(2)].into_iter().enumerate() {
            let mut size = end - region.start[axis];
            if !self.half_pixel && size < 1.0 {
                size = 1.0;
            }
            region.bin[axis] = size / output[axis] as f64;
            if !(region.start[axis].is_finite() && region.bin[axis].is_finite()) {
                return Err(Error::invalid_input("a region with coordinates that are no numbers"));
            }
            let adaptive = region.bin[axis].ceil().max(0.0);
            counts[axis] = if self.sampling_ratio > 0 { self.sampling_ratio as f64 } else { adaptive };
        }
        for factor in [counts[0], counts[1], output[0] as f64, output[1] as f64] {
            total *= factor;
        }
        if total > SAMPLES {
            return Err(Error::resource_limit(format!("a region needs more than {SAMPLES} samples")));
        }
        region.samples = counts.map(|count| count as usize);
        Ok(region)
    }
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let half_pixel = match cx.string("coordinate_transformation_mode")? {
        _ if cx.since == 10 => false,
        None | Some("half_pixel") => true,
        Some("output_half_pixel") => false,
        Some(other) => {
            return Err(Error::invalid_model(format!(
                "coordinate_transformation_mode is '{other}', expected half_pixel or output_half_pixel"
            )));
        }
    };
    let max = match cx.string("mode")?.unwrap_or("avg") {
        "avg" => false,
        "max" => true,
        other => return Err(Error::invalid_model(format!("mode is '{other}', expected avg or max"))),
    };
    let extent = |name: &str, default: i64, least: i64| {
        let value = cx.int(name, default)?;
        usize::try_from(value)
            .ok()
            .filter(|_| value >= least)
            .ok_or_else(|| Error::invalid_model(format!("{name} is {value}, expected at least {least}")))
    };
    Ok(Box::new(RoiAlign {
        half_pixel,
        max,
        output: [extent("output_height", 1, 1)?, extent("output_width", 1, 1)?],
        sampling_ratio: extent("sampling_ratio", 0, 0)?,
        scale: cx.float("spatial_scale", 1.0)?.into(),
    }))
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    versions("RoiAlign", &[10, 16, 22], build)
}
