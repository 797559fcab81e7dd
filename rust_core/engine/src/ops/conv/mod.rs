//! Conv, ConvInteger, QLinearConv, ConvTranspose and DeformConv over one to three spatial axes; CausalConvWithState; Col2Im.

mod causal;
mod deform;
mod depthwise;
mod fold;
mod operands;
mod product;
mod run;
mod winograd;

use diptych_kernels::Isa;
use diptych_kernels::conv::{Conv as Plan, ConvShape, ConvTranspose as TransposedPlan, Sink, Source};
use half::{bf16, f16};

use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::math::Math;
use crate::operator::{BuildCx, KernelStep, Operator, OutputType, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::windows::{WindowAttributes, Windows, per_axis};
use crate::tensor::element_count;
use operands::{Operand, Output};
use product::{pointwise_step, tiled_step};
use run::{Convolution, Images, step};

/// Bytes of laid-out input that a group's convolution finds in the first cache.
const FIRST_CACHE: usize = 48 << 10;

/// Geometry of a convolution: one image, and how many there are.
struct Geometry {
    windows: Windows,
    shape: ConvShape,
    batch: usize,
}

impl Geometry {
    fn output(&self, dtype: DType) -> Result<OutputType> {
        let channels = element_count(&[self.shape.groups, self.shape.out_channels])?;
        let output = OutputType::new(dtype, self.windows.output_shape([self.batch, channels]));
        element_count(&output.shape)?;
        Ok(output)
    }

    /// The step with the plan `new` makes of this geometry.
    fn step<P, S, W, O>(
        &self,
        cx: &PlanCx<'_>,
        new: impl Fn(Isa, ConvShape) -> Option<P>,
        flops: u64,
    ) -> Result<KernelStep>
    where
        P: Convolution<S::Element>,
        S: Operand,
        W: Operand + Source<Element = S::Element>,
        O: Output + Sink<Element = S::Element>,
        S::Element: Element,
    {
        self.step_to::<P, S, W, O>(cx, O::DTYPE, new, flops)
    }

    /// As [`Geometry::step`], Y being of type `y`, whose elements `O` are.
    fn step_to<P, S, W, O>(
        &self,
        cx: &PlanCx<'_>,
        y: DType,
        new: impl Fn(Isa, ConvShape) -> Option<P>,
        flops: u64,
    ) -> Result<KernelStep>
    where
        P: Convolution<S::Element>,
        S: Operand,
        W: Operand + Source<Element = S::Element>,
        O: Output + Sink<Element = S::Element>,
        S::Element: Element,
    {
        let output = self.output(y)?;
        if element_count(&output.shape)? == 0 {
            // Without an output no extent is too large.
            return Ok(KernelStep::with_outputs([output], |_| Ok(())));
        }
        let shape = self.shape.squeezed();
        let new = |groups| {
            new(cx.isa, ConvShape { groups, ..shape })
                .ok_or_else(|| Error::resource_limit("a convolution's extents are more than can be addressed"))
        };
        let one = new(1)?;
        let groups = groups_at_once(shape.groups, one.scratch_len().saturating_mul(size_of::<S::Element>()));
        let images =
            Images { batch: self.batch, parts: shape.groups / groups, shape: ConvShape { groups, ..shape }, flops };
        step::<P, S, W, O>(cx, new(groups)?, images, output)
    }
}

/// Groups that are convolved as one image: as many as stay in the first cache when each is laid out in `bytes`.
fn groups_at_once(groups: usize, bytes: usize) -> usize {
    let most = (FIRST_CACHE / bytes.max(1)).clamp(1, groups.max(1));
    (1..=most).rev().find(|&part| groups.is_multiple_of(part)).unwrap_or(1)
}

/// Checks ranks, channels and groups. `channels`: those of the input that the weights ask for.
fn check_weights(
    [x, w]: [&[usize]; 2],
    attributes: &WindowAttributes,
    group: i64,
    channels: impl Fn(&[usize], usize) -> Option<usize>,
) -> Result<usize> {
    if x.len() < 3 || x.len() != w.len() {
        let message = format!("X and W have shapes {x:?} and {w:?}, expected one rank of at least 3");
        return Err(Error::shape(message));
    }
    let group = usize::try_from(group).ok().filter(|&group| group > 0);
    let fits =
        |group: &usize| channels(w, *group) == Some(x[1]) && w[0].is_multiple_of(*group) && x[1].is_multiple_of(*group);
    let Some(group) = group.filter(fits) else {
        return Err(Error::shape(format!("{} input channels, weights {w:?} and group do not fit together", x[1])));
    };
    let kernel = &attributes.kernel_shape;
    if !kernel.is_empty() && kernel.iter().map(|&n| n as usize).ne(w[2..].iter().copied()) {
        return Err(Error::invalid_model(format!("kernel_shape {kernel:?}, but W has shape {w:?}")));
    }
    Ok(group)
}

fn check_bias(cx: &PlanCx<'_>, input: usize, channels: usize) -> Result<()> {
    if cx.has(input) && cx.shape(input)? != [channels] {
        return Err(Error::shape(format!("bias of shape {:?} for {channels} output channels", cx.shape(input)?)));
    }
    Ok(())
}

/// Conv of any type; the attributes of ConvInteger and QLinearConv are the same.
struct Conv {
    attributes: WindowAttributes,
    group: i64,
}

impl Conv {
    /// Input `w` being the weights.
    fn geometry(&self, cx: &PlanCx<'_>, w: usize) -> Result<Geometry> {
        let (x, w) = (cx.shape(0)?, cx.shape(w)?);
        let groups = check_weights([x, w], &self.attributes, self.group, |w, group| w[1].checked_mul(group))?;
        let windows = self.attributes.resolve(&x[2..], &w[2..])?;
        let shape = ConvShape {
            groups,
            in_channels: w[1],
            out_channels: w[0] / groups,
            input: windows.input,
            kernel: windows.kernel,
            strides: windows.strides,
            dilations: windows.dilations,
            pads_begin: windows.pads_begin,
            output: windows.output,
        };
        Ok(Geometry { windows, shape, batch: x[0] })
    }
}

impl Operator for Conv {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let geometry = self.geometry(cx, 1)?;
        check_bias(cx, 2, cx.shape(1)?[0])?;
        if cx.math == Math::Fast
            && dtype == DType::F32
            && let Some(step) = winograd::step(cx, &geometry)?
        {
            return step.into();
        }
        if dtype == DType::F32
            && let Some(step) = depthwise::step(cx, &geometry)?
        {
            return step.into();
        }
        match dtype {
            DType::F32 if geometry.is_pointwise() => pointwise_step::<f32>(cx, &geometry, 150),
            DType::F64 if geometry.is_pointwise() => pointwise_step::<f64>(cx, &geometry, 40),
            DType::F32 => geometry.step::<_, f32, f32, f32>(cx, Plan::new, 150),
            DType::F64 => geometry.step::<_, f64, f64, f64>(cx, Plan::new, 40),
            DType::F16 => geometry.step::<_, f16, f16, f16>(cx, Plan::new, 100),
            _ => geometry.step::<_, bf16, bf16, bf16>(cx, Plan::new, 100),
        }?
        .into()
    }
}

struct ConvInteger(Conv);

impl ConvInteger {
    fn check_zeros(&self, cx: &PlanCx<'_>) -> Result<()> {
        for input in [2, 3].into_iter().filter(|&input| cx.has(input)) {
            let count = element_count(cx.shape(input)?)?;
            if count != 1 && (input == 2 || count != cx.shape(1)?[0]) {
                return Err(Error::shape(format!("zero point {input} has shape {:?}", cx.shape(input)?)));
            }
        }
        Ok(())
    }
}

impl Operator for ConvInteger {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let geometry = self.0.geometry(cx, 1)?;
        self.check_zeros(cx)?;
        match (cx.dtype(0)?, cx.dtype(1)?) {
            (DType::U8, DType::U8) => geometry.step::<_, u8, u8, i32>(cx, Plan::new, 100),
            (DType::U8, DType::I8) => geometry.step::<_, u8, i8, i32>(cx, Plan::new, 100),
            (DType::I8, DType::U8) => geometry.step::<_, i8, u8, i32>(cx, Plan::new, 100),
            (DType::I8, DType::I8) => geometry.step::<_, i8, i8, i32>(cx, Plan::new, 100),
            (x, w) => Err(Error::unsupported(format!("ConvInteger of {x} and {w}"))),
        }?
        .into()
    }
}

struct QLinearConv(Conv);

impl QLinearConv {
    /// Scales and zero points: one value, or for W one an output channel.
    fn check_scales(&self, cx: &PlanCx<'_>) -> Result<()> {
        let channels = cx.shape(3)?[0];
        for (scale, zero) in [(1, 2), (4, 5), (6, 7)] {
            let given = [cx.shape(scale)?, cx.shape(zero)?];
            let counts = [element_count(given[0])?, element_count(given[1])?];
            let each = scale == 4 && counts == [channels; 2] && given[0] == given[1];
            let single = counts == [1, 1];
            if !each && !single {
                let message = format!("scale {:?} and zero point {:?} for {channels} channels", given[0], given[1]);
                return Err(Error::shape(message));
            }
        }
        Ok(())
    }
}

impl Operator for QLinearConv {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let geometry = self.0.geometry(cx, 3)?;
        self.check_scales(cx)?;
        check_bias(cx, 8, cx.shape(3)?[0])?;
        let y = cx.dtype(7)?;
        match (cx.dtype(0)?, cx.dtype(3)?) {
            (DType::U8, DType::U8) => geometry.step_to::<_, u8, u8, u8>(cx, y, Plan::new, 100),
            (DType::U8, DType::I8) => geometry.step_to::<_, u8, i8, u8>(cx, y, Plan::new, 100),
            (DType::I8, DType::U8) => geometry.step_to::<_, i8, u8, u8>(cx, y, Plan::new, 100),
            (DType::I8, DType::I8) => geometry.step_to::<_, i8, i8, u8>(cx, y, Plan::new, 100),
            (x, w) => Err(Error::unsupported(format!("QLinearConv of {x} and {w}"))),
        }?
        .into()
    }
}

struct ConvTranspose {
    attributes: WindowAttributes,
    group: i64,
    output_padding: Vec<i64>,
    output_shape: Vec<i64>,
}

impl ConvTranspose {
    fn geometry(&self, cx: &PlanCx<'_>) -> Result<Geometry> {
        let (x, w) = (cx.shape(0)?, cx.shape(1)?);
        let groups = check_weights([x, w], &self.attributes, self.group, |w, _| Some(w[0]))?;
        let (mut windows, strides, dilations) = self.attributes.frame(&x[2..], &w[2..])?;
        let rank = windows.rank;
        let extra = per_axis("output_padding", &self.output_padding, 0, rank, 0)?;
        let given = &self.output_shape[self.output_shape.len().saturating_sub(rank)..];
        let wanted = per_axis("output_shape", given, 0, rank, 0)?;
        let auto_pad = self.attributes.auto_pad;
        let pads = self.attributes.explicit_pads(rank)?;
        for i in 0..rank {
            let n = x[2 + i] as i128;
            let full = strides[i] * (n - 1) + extra[i] + (w[2 + i] as i128 - 1) * dilations[i] + 1;
            if given.is_empty() && !auto_pad.is_same() {
                windows.set_output(i, (full - pads[i] - pads[rank + i]).max(0), pads[i])?;
            } else {
                let output = if given.is_empty() { n * strides[i] } else { wanted[i] };
                windows.set_output(i, output, auto_pad.begin((full - output).max(0)))?;
            }
        }
        let shape = ConvShape {
            groups,
            in_channels: x[1] / groups,
            out_channels: w[1],
            input: windows.input,
            kernel: windows.kernel,
            strides: windows.strides,
            dilations: windows.dilations,
            pads_begin: windows.pads_begin,
            output: windows.output,
        };
        Ok(Geometry { windows, shape, batch: x[0] })
    }
}

impl Operator for ConvTranspose {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let geometry = self.geometry(cx)?;
        check_bias(cx, 2, element_count(&[geometry.shape.groups, geometry.shape.out_channels])?)?;
        match dtype {
            DType::F32 if geometry.is_tiled() => tiled_step::<f32>(cx, &geometry, 150),
            DType::F64 if geometry.is_tiled() => tiled_step::<f64>(cx, &geometry, 40),
            DType::F32 => geometry.step::<_, f32, f32, f32>(cx, TransposedPlan::new, 90),
            DType::F64 => geometry.step::<_, f64, f64, f64>(cx, TransposedPlan::new, 30),
            DType::F16 => geometry.step::<_, f16, f16, f16>(cx, TransposedPlan::new, 25),
            _ => geometry.step::<_, bf16, bf16, bf16>(cx, TransposedPlan::new, 25),
        }?
        .into()
    }
}

fn new_conv(cx: &BuildCx<'_>) -> Result<Conv> {
    Ok(Conv { attributes: WindowAttributes::new(cx)?, group: cx.int("group", 1)? })
}

fn build_conv(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(new_conv(cx)?))
}

fn build_conv_integer(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(ConvInteger(new_conv(cx)?)))
}

fn build_qlinear_conv(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(QLinearConv(new_conv(cx)?)))
}

fn build_conv_transpose(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(ConvTranspose {
        attributes: WindowAttributes::new(cx)?,
        group: cx.int("group", 1)?,
        output_padding: cx.ints("output_padding")?.unwrap_or_default().to_vec(),
        output_shape: cx.ints("output_shape")?.unwrap_or_default().to_vec(),
    }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("Conv", &[1, 11, 22], build_conv)
        .chain(versions("ConvInteger", &[10], build_conv_integer))
        .chain(versions("QLinearConv", &[10], build_qlinear_conv))
        .chain(versions("ConvTranspose", &[1, 11, 22], build_conv_transpose))
        .chain(deform::rows())
        .chain(causal::rows())
        .chain(fold::rows())
}
