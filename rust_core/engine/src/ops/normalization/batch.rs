//! BatchNormalization: inference and training, of every version.

use diptych_kernels::batch_norm::{factors, moved, rounded, scale_and_shift, statistics};
use diptych_kernels::epilogue::Epilogue;
use diptych_kernels::functions::{Float, Real};
use half::{bf16, f16};

use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{self, BuildCx, KernelStep, Operator, OutputType, PlanCx, Planned, Row, Step};
use crate::ops::elementwise::Place;
use crate::ops::reduce::Layout;
use crate::run::KernelCx;
use crate::tensor::{Shape, Tensor, Value};
use crate::with_dtype;

/// Elements worth a thread.
const GRAIN: usize = 1 << 16;

/// The inputs beside X: scale, bias, mean, variance.
const PARAMETERS: [usize; 4] = [1, 2, 3, 4];

#[derive(Clone, Copy)]
struct BatchNorm {
    epsilon: f32,
    momentum: f32,
    training: bool,
    /// One statistic a channel; else, in early versions, one a position.
    spatial: bool,
    since: i64,
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    // Up to version 9 asking for more outputs than Y is asking for training.
    let outputs = cx.node.outputs.len();
    let training = match cx.since {
        1 | 6 if cx.int("is_test", 0)? != 0 => false,
        ..14 => outputs > 1,
        _ => cx.int("training_mode", 0)? != 0,
    };
    if !training && outputs > 1 {
        return Err(Error::invalid_model(format!("BatchNormalization has one output in inference, got {outputs}")));
    }
    Ok(Box::new(BatchNorm {
        epsilon: cx.float("epsilon", 1e-5)?,
        momentum: cx.float("momentum", 0.9)?,
        training,
        spatial: cx.int("spatial", 1)? != 0,
        since: cx.since,
    }))
}

impl Operator for BatchNorm {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (dtype, scale, mean) = (cx.dtype(0)?, cx.dtype(1)?, cx.dtype(3)?);
        // B has the type of scale, var that of mean.
        let dtypes = [scale, scale, mean, mean];
        let (x, scale) = (cx.shape(0)?, cx.shape(1)?);
        if x.len() < 2 || scale.len() >= x.len() {
            return Err(
                Error::shape(format!("X has shape {x:?}, expected a batch axis and those of scale {scale:?}")).into()
            );
        }
        for (input, name) in PARAMETERS.into_iter().zip(["scale", "B", "mean", "var"]) {
            let expected = &x[1..1 + scale.len()];
            if cx.shape(input)? != expected {
                return Err(
                    Error::shape(format!("{name} has shape {:?}, expected {expected:?}", cx.shape(input)?)).into()
                );
            }
        }
        let geometry = Geometry::new(x, scale.len());
        let unsupported = Err(Error::unsupported(format!("BatchNormalization of {dtype}")).into());
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16] => if self.training {
                with_dtype!(
                    dtypes[2], R in [F32, F64, F16, BF16] => self.train::<T, R>(x, scale, geometry, dtypes[0]),
                    else unsupported
                )
            } else {
                self.infer::<T>(cx, x, geometry, dtypes)
            },
            else unsupported
        )
    }
}

impl BatchNorm {
    fn infer<T: Element + Float>(
        &self,
        cx: &PlanCx<'_>,
        x: &[usize],
        geometry: Geometry,
        dtypes: [DType; 4],
    ) -> Planned<Step> {
        let epsilon = self.epsilon;
        let constant = match constants(cx)? {
            Some([a, b, c, d]) => {
                let parameters = [Floats::of(&a)?, Floats::of(&b)?, Floats::of(&c)?, Floats::of(&d)?];
                let mut factors = vec![T::Wide::ZERO; 2 * geometry.channels];
                fill::<T>(parameters, epsilon, &mut factors);
                Some(factors)
            }
            None => None,
        };
        let channelwise = cx.shape(1)?.len() == 1;
        let epilogue = constant.as_ref().filter(|_| channelwise).and_then(|factors| following::<T>(factors));
        let workspace = if constant.is_some() { 0 } else { workspace::<T>(geometry.channels)? };
        let packed: &[usize] = if constant.is_some() { &PARAMETERS } else { &[] };
        KernelStep::new(T::DTYPE, Shape::from(x), move |cx| {
            if let Some(factors) = &constant {
                return geometry.apply::<T>(cx, factors);
            }
            let factors = numbers::<T>(cx, geometry.channels);
            let mut parameters = [Floats::F32(&[]); 4];
            for ((slot, input), dtype) in parameters.iter_mut().zip(PARAMETERS).zip(dtypes) {
                *slot = Floats::input(cx, input, dtype)?;
            }
            fill::<T>(parameters, epsilon, factors);
            geometry.apply::<T>(cx, factors)
        })
        .in_place(&[(0, 0)])
        .workspace(workspace)
        .packed(packed)
        .epilogue(epilogue)
        .cost((geometry.rows * geometry.inner) as u64 / 8 + 100)
        .into()
    }

    /// Training, with running statistics in R.
    fn train<T: Element + Float, R: Element + Float>(
        &self,
        x: &[usize],
        scale: &[usize],
        geometry: Geometry,
        scale_dtype: DType,
    ) -> Planned<Step> {
        let axes: Vec<usize> = (0..x.len()).filter(|&axis| axis == 0 || (self.spatial && axis > 1)).collect();
        if x.len() - axes.len() != scale.len() {
            return Err(Error::shape(format!(
                "scale has shape {scale:?}, expected the axes of X {x:?} that have statistics"
            ))
            .into());
        }
        let (layout, this) = (Layout::gathering(x, &axes), *self);
        let running = (1..if self.since < 14 { 5 } else { 3 }).map(|_| OutputType::new(R::DTYPE, scale));
        let outputs: Vec<OutputType> = std::iter::once(OutputType::new(T::DTYPE, x)).chain(running).collect();
        let scratch = layout.gathered().saturating_mul(size_of::<T>());
        KernelStep::with_outputs(outputs, move |cx| {
            let factors = numbers::<T>(cx, geometry.channels);
            this.learn::<T, R>(cx, &layout, scale_dtype, factors)?;
            geometry.apply::<T>(cx, factors)
        })
        .workspace(workspace::<T>(geometry.channels)?)
        .scratch(scratch)
        .cost((geometry.rows * geometry.inner) as u64 + 100)
        .into()
    }

    /// Each channel's statistics in the batch: into the running ones, the saved ones and the factors.
    fn learn<T: Element + Float, R: Element + Float>(
        &self,
        cx: &KernelCx<'_>,
        layout: &Layout,
        scale_dtype: DType,
        factors_out: &mut [T::Wide],
    ) -> Result<()> {
        let (isa, channels) = (cx.isa(), factors_out.len() / 2);
        let (scale, bias) = (Floats::input(cx, 1, scale_dtype)?, Floats::input(cx, 2, scale_dtype)?);
        let old = [cx.input::<R>(3), cx.input::<R>(4)];
        let outputs: [Option<Place<R>>; 4] =
            std::array::from_fn(|i| cx.has_output(i + 1).then(|| Place::output(cx.output_ptr::<R>(i + 1))));
        let place = Place::output(factors_out.as_mut_ptr());
        layout.each(cx, GRAIN, Place::input(cx.input_ptr::<T>(0)), |channel, terms, extent, _, _| {
            // SAFETY: `each` gives n terms.
            let terms = if extent.n == 0 { &[] } else { unsafe { std::slice::from_raw_parts(terms, extent.n) } };
            let (mean, variance) = statistics(isa, terms);
            let (s, t) = factors(scale.get(channel), bias.get(channel), mean, variance, self.epsilon);
            // SAFETY: the factors and each output have one element for each channel, which this call alone writes.
            unsafe {
                place.at(channel).write(rounded::<T::Wide>(s));
                place.at(channels + channel).write(rounded::<T::Wide>(t));
                for (i, batch) in [mean, variance].into_iter().enumerate() {
                    if let Some(running) = outputs[i] {
                        running.at(channel).write(moved(old[i][channel], batch, self.momentum));
                    }
                    if let Some(saved) = outputs[i + 2] {
                        saved.at(channel).write(rounded::<R>(batch));
                    }
                }
            }
        })
    }
}

/// X as `[.., channels, inner]`.
#[derive(Clone, Copy)]
struct Geometry {
    rows: usize,
    channels: usize,
    inner: usize,
}

impl Geometry {
    /// `rank`: axes, from 1 on, that have parameters of their own.
    fn new(x: &[usize], rank: usize) -> Geometry {
        let channels = if x[1..=rank].contains(&0) { 0 } else { x[1..=rank].iter().product() };
        if x.contains(&0) {
            return Geometry { rows: 0, channels, inner: 0 };
        }
        Geometry { rows: x[0] * channels, channels, inner: x[rank + 1..].iter().product() }
    }

    /// `y = fma(x, s, t)`; `factors` are all s, then all t.
    fn apply<T: Element + Float>(&self, cx: &KernelCx<'_>, factors: &[T::Wide]) -> Result<()> {
        let (isa, factors) = (cx.isa(), factors.split_at(self.channels));
        let (src, dst) = (Place::input(cx.input_ptr::<T>(0)), Place::output(cx.output_ptr::<T>(0)));
        cx.parallel_ranges(self.rows, GRAIN / self.inner.max(1), |rows, _| {
            // SAFETY: rows of X and Y, which are one place or disjoint; threads have different rows.
            unsafe { scale_and_shift(isa, factors, src.at(0), dst.at(0), self.inner, rows) };
        })
    }
}

/// Elements of a float operand of any type.
#[derive(Clone, Copy)]
enum Floats<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
    F16(&'a [f16]),
    BF16(&'a [bf16]),
}

impl<'a> Floats<'a> {
    fn input(cx: &KernelCx<'a>, input: usize, dtype: DType) -> Result<Floats<'a>> {
        match dtype {
            DType::F32 => Ok(Floats::F32(cx.input(input))),
            DType::F64 => Ok(Floats::F64(cx.input(input))),
            DType::F16 => Ok(Floats::F16(cx.input(input))),
            DType::BF16 => Ok(Floats::BF16(cx.input(input))),
            other => Err(Error::internal(format!("{other} planned as a float"))),
        }
    }

    fn of(tensor: &'a Tensor) -> Result<Floats<'a>> {
        match tensor.dtype() {
            DType::F32 => Ok(Floats::F32(tensor.as_slice()?)),
            DType::F64 => Ok(Floats::F64(tensor.as_slice()?)),
            DType::F16 => Ok(Floats::F16(tensor.as_slice()?)),
            DType::BF16 => Ok(Floats::BF16(tensor.as_slice()?)),
            other => Err(Error::internal(format!("{other} planned as a float"))),
        }
    }

    /// Element `i`; exact.
    fn get(&self, i: usize) -> f64 {
        match self {
            Floats::F32(all) => all[i].into(),
            Floats::F64(all) => all[i],
            Floats::F16(all) => all[i].to_f64(),
            Floats::BF16(all) => all[i].to_f64(),
        }
    }
}

/// The parameters, if all of them are known when the step is planned.
fn constants(cx: &PlanCx<'_>) -> Result<Option<[Tensor; 4]>> {
    let known = |input: usize| match &cx.info(input)?.value {
        Some(Value::Dense(tensor)) => Ok(Some(tensor.aligned()?)),
        _ => Ok(None),
    };
    Ok(match (known(1)?, known(2)?, known(3)?, known(4)?) {
        (Some(a), Some(b), Some(c), Some(d)) => Some([a, b, c, d]),
        _ => None,
    })
}

/// All s, then all t, of the channels.
fn fill<T: Float>([scale, bias, mean, variance]: [Floats<'_>; 4], epsilon: f32, out: &mut [T::Wide]) {
    let (s_out, t_out) = out.split_at_mut(out.len() / 2);
    for (channel, (s_out, t_out)) in s_out.iter_mut().zip(t_out).enumerate() {
        let at = |parameter: Floats<'_>| parameter.get(channel);
        let (s, t) = factors(at(scale), at(bias), at(mean), at(variance), epsilon);
        (*s_out, *t_out) = (rounded::<T::Wide>(s), rounded::<T::Wide>(t));
    }
}

/// The factors as an epilogue, which is in binary32.
fn following<T: Element + Float>(factors: &[T::Wide]) -> Option<Epilogue> {
    let number = |&x: &T::Wide| T::Wide::to_f64(<T::Wide as Float>::Lanes::<1>::splat(x))[0] as f32;
    let all: Vec<f32> = factors.iter().map(number).collect();
    let (s, t) = all.split_at(all.len() / 2);
    (T::DTYPE == DType::F32).then(|| Epilogue::mul_add(s.into(), t.into()))
}

/// Bytes of the factors of all channels.
fn workspace<T: Float>(channels: usize) -> Result<usize> {
    let bytes = channels.checked_mul(2 * size_of::<T::Wide>());
    bytes.ok_or_else(|| Error::resource_limit(format!("{channels} channels have too many factors")))
}

/// The workspace as factors of all channels.
fn numbers<'a, T: Float>(cx: &KernelCx<'a>, channels: usize) -> &'a mut [T::Wide] {
    // SAFETY: f32 or f64, of which any bytes are a value.
    let (_, numbers, _) = unsafe { cx.workspace().align_to_mut::<T::Wide>() };
    &mut numbers[..2 * channels]
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    operator::rows("BatchNormalization", &[1, 6, 7, 9, 14, 15], build)
}
