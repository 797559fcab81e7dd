//! Operators that draw numbers: docs/numerics.md, "Random numbers". One thread each, since the numbers are one stream.

use diptych_kernels::cast::{Target, cast};
use diptych_kernels::mt19937::Mt19937;
use diptych_kernels::random::{BLOCK, normals, place_of, running_weights, uniforms};

use crate::dtype::{DType, Element};
use crate::error::{Error, ErrorKind, Result};
use crate::operator::{BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::constant::{one_bits, output_type};
use crate::ops::elements::elements_mut;
use crate::ops::mover::Word;
use crate::ops::shape::dimensions;
use crate::run::KernelCx;
use crate::tensor::{Shape, element_count};
use crate::with_dtype;

/// Where the stream of a node starts.
#[derive(Clone)]
enum Seed {
    Given(u32),
    /// By the node's name: other numbers than other nodes draw, and others in every run.
    Named(String),
}

impl Seed {
    fn new(cx: &BuildCx<'_>) -> Result<Seed> {
        match cx.opt_float("seed")? {
            None => Ok(Seed::Named(cx.node.name.clone())),
            Some(seed) if seed.is_finite() => Ok(Seed::Given(f64::from(seed).trunc().rem_euclid(4294967296.0) as u32)),
            Some(seed) => Err(Error::invalid_model(format!("seed is {seed}, expected a finite number"))),
        }
    }

    fn generator(&self, cx: &KernelCx<'_>) -> Mt19937 {
        Mt19937::new(match self {
            Seed::Given(seed) => *seed,
            Seed::Named(name) => cx.place().then(format_args!("/{name}")).seed(),
        })
    }

    /// Whether every evaluation gives the same.
    fn is_given(&self) -> bool {
        matches!(self, Seed::Given(_))
    }
}

/// RandomNormal, RandomUniform and their like.
struct Random {
    /// `None`: that of the input.
    dtype: Option<DType>,
    shape: Option<Shape>,
    seed: Seed,
    distribution: Distribution,
}

#[derive(Clone, Copy)]
enum Distribution {
    Uniform { low: f64, range: f64 },
    Normal { mean: f64, scale: f64 },
}

impl Distribution {
    /// The next numbers, in pieces of even length.
    fn draw(self, cx: &KernelCx<'_>, generator: &mut Mt19937, out: &mut [f64]) {
        let (offset, factor) = match self {
            Distribution::Uniform { low, range } => {
                uniforms(generator, out);
                (low, range)
            }
            Distribution::Normal { mean, scale } => {
                normals(cx.isa(), generator, out);
                (mean, scale)
            }
        };
        out.iter_mut().for_each(|x| *x = offset + factor * *x);
    }
}

impl Operator for Random {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let shape: Shape = match &self.shape {
            Some(shape) => shape.clone(),
            None => cx.shape(0)?.into(),
        };
        let dtype = match self.dtype {
            Some(dtype) => dtype,
            None => cx.dtype(0)?,
        };
        element_count(&shape)?;
        let (seed, distribution) = (self.seed.clone(), self.distribution);
        with_dtype!(dtype, T in [F32, F64, F16, BF16] => drawn::<T>(shape, seed, distribution).into(), else
            Err(Error::new(ErrorKind::InvalidType, format!("random numbers of {dtype}, expected a float")).into()))
    }

    fn deterministic(&self) -> bool {
        self.seed.is_given()
    }
}

// [panel: RandomUniform RandomUniformLike RandomNormal RandomNormalLike drawn]
fn drawn<T: Element + Target<f64>>(shape: Shape, seed: Seed, distribution: Distribution) -> KernelStep {
    let cost = shape.iter().product::<usize>() as u64 * 10;
    KernelStep::new(T::DTYPE, shape, move |cx| {
        let mut generator = seed.generator(cx);
        let mut numbers = [0.0; BLOCK];
        for out in cx.output::<T>(0).chunks_mut(BLOCK) {
            cx.check()?;
            let numbers = &mut numbers[..out.len()];
            distribution.draw(cx, &mut generator, numbers);
            cast(cx.isa(), numbers, out);
        }
        Ok(())
    })
    .packed(&[0])
    .cost(cost)
}
// [/panel]

struct Bernoulli {
    dtype: Option<DType>,
    seed: Seed,
}

impl Operator for Bernoulli {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let given = cx.dtype(0)?;
        let dtype = self.dtype.unwrap_or(given);
        let one =
            one_bits(dtype).ok_or_else(|| Error::invalid_model(format!("dtype is {dtype}, expected a number")))?;
        let (shape, seed) = (cx.shape(0)?, self.seed.clone());
        let cost = element_count(shape)? as u64 * 8;
        KernelStep::new(dtype, shape, move |cx| {
            let mut generator = seed.generator(cx);
            match dtype.bits() {
                8 => toss::<u8>(cx, given, &mut generator, one),
                16 => toss::<u16>(cx, given, &mut generator, one),
                32 => toss::<u32>(cx, given, &mut generator, one),
                _ => toss::<u64>(cx, given, &mut generator, one),
            }
        })
        .cost(cost)
        .into()
    }

    fn deterministic(&self) -> bool {
        self.seed.is_given()
    }
}

// [panel: Bernoulli]
/// `one` where the next number is below the probability, else 0.
fn toss<W: Word + Element>(cx: &KernelCx<'_>, given: DType, generator: &mut Mt19937, one: u64) -> Result<()> {
    let (mut numbers, mut probabilities) = ([0.0; BLOCK], [0.0; BLOCK]);
    for (block, out) in cx.output::<W>(0).chunks_mut(BLOCK).enumerate() {
        cx.check()?;
        uniforms(generator, &mut numbers[..out.len()]);
        widen(cx, given, block * BLOCK, &mut probabilities[..out.len()])?;
        for ((out, u), p) in out.iter_mut().zip(&numbers).zip(&probabilities) {
            *out = if u < p { W::from_bits(one) } else { W::default() };
        }
    }
    Ok(())
}
// [/panel]

/// Elements of input 0 from `first` on, in binary64.
fn widen(cx: &KernelCx<'_>, dtype: DType, first: usize, out: &mut [f64]) -> Result<()> {
    with_dtype!(dtype, T in [F32, F64, F16, BF16] => {
        cast(cx.isa(), &cx.input::<T>(0)[first..first + out.len()], out);
        Ok(())
    }, else Err(Error::internal(format!("probabilities of {dtype}"))))
}

struct Multinomial {
    dtype: DType,
    seed: Seed,
    samples: usize,
}

impl Operator for Multinomial {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let given = cx.dtype(0)?;
        let &[batch, classes] = cx.shape(0)? else {
            return Err(Error::shape(format!("input {:?}, expected [batch, class]", cx.shape(0)?)).into());
        };
        if batch > 0 && classes == 0 {
            return Err(Error::shape("there is no class to draw").into());
        }
        let shape = Shape::from_slice(&[batch, self.samples]);
        let cost = (element_count(&shape)? * 10 + element_count(cx.shape(0)?)? * 3) as u64;
        let (seed, wide) = (self.seed.clone(), self.dtype == DType::I64);
        KernelStep::new(self.dtype, shape, move |cx| {
            let mut generator = seed.generator(cx);
            let weights = elements_mut::<f64>(cx.workspace());
            if wide {
                sample::<i64>(cx, given, &mut generator, weights, batch)
            } else {
                sample::<i32>(cx, given, &mut generator, weights, batch)
            }
        })
        .workspace(classes * size_of::<f64>())
        .cost(cost)
        .into()
    }

    fn deterministic(&self) -> bool {
        self.seed.is_given()
    }
}

// [panel: Multinomial]
/// Draws classes; `weights` has room for those of a row.
fn sample<T: Element + Target<u64>>(
    cx: &KernelCx<'_>,
    given: DType,
    generator: &mut Mt19937,
    weights: &mut [f64],
    batch: usize,
) -> Result<()> {
    let out = cx.output::<T>(0);
    let samples = out.len() / batch.max(1);
    for row in 0..batch {
        cx.check()?;
        widen(cx, given, row * weights.len(), weights)?;
        let last = running_weights(cx.isa(), weights).ok_or_else(|| {
            Error::invalid_input("a row of log-probabilities has a NaN, an infinity, or nothing but -infinity")
        })?;
        let mut places = [0u64; BLOCK];
        for out in out[row * samples..][..samples].chunks_mut(BLOCK) {
            let places = &mut places[..out.len()];
            places.fill_with(|| place_of(weights, generator.uniform(), last) as u64);
            cast(cx.isa(), places, out);
        }
    }
    Ok(())
}
// [/panel]

fn random(cx: &BuildCx<'_>, default: Option<DType>, shape: Option<Shape>, normal: bool) -> Result<Box<dyn Operator>> {
    let float = |name: &str, default| Ok::<f64, Error>(cx.float(name, default)?.into());
    let distribution = if normal {
        Distribution::Normal { mean: float("mean", 0.0)?, scale: float("scale", 1.0)? }
    } else {
        let low = float("low", 0.0)?;
        Distribution::Uniform { low, range: float("high", 1.0)? - low }
    };
    let dtype = output_type(cx)?.or(default);
    if let Some(dtype) = dtype.filter(|dtype| !dtype.is_float()) {
        return Err(Error::invalid_model(format!("dtype is {dtype}, expected a floating-point type")));
    }
    Ok(Box::new(Random { dtype, shape, seed: Seed::new(cx)?, distribution }))
}

fn build_shaped(cx: &BuildCx<'_>, normal: bool) -> Result<Box<dyn Operator>> {
    let shape = dimensions(cx.required("shape", cx.ints("shape")?)?)?;
    random(cx, Some(DType::F32), Some(shape), normal)
}

fn build_like(cx: &BuildCx<'_>, normal: bool) -> Result<Box<dyn Operator>> {
    random(cx, None, None, normal)
}

fn build_bernoulli(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(Bernoulli { dtype: output_type(cx)?, seed: Seed::new(cx)? }))
}

fn build_multinomial(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let dtype = cx.dtype("dtype")?.unwrap_or(DType::I32);
    if !matches!(dtype, DType::I32 | DType::I64) {
        return Err(Error::invalid_model(format!("dtype is {dtype}, expected int32 or int64")));
    }
    let samples = cx.int("sample_size", 1)?;
    let samples = usize::try_from(samples)
        .map_err(|_| Error::invalid_input(format!("sample_size is {samples}, expected 0 or more")))?;
    Ok(Box::new(Multinomial { dtype, seed: Seed::new(cx)?, samples }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("RandomUniform", &[1, 22], |cx| build_shaped(cx, false))
        .chain(versions("RandomNormal", &[1, 22], |cx| build_shaped(cx, true)))
        .chain(versions("RandomUniformLike", &[1, 22], |cx| build_like(cx, false)))
        .chain(versions("RandomNormalLike", &[1, 22], |cx| build_like(cx, true)))
        .chain(versions("Bernoulli", &[15, 22], build_bernoulli))
        .chain(versions("Multinomial", &[7, 22], build_multinomial))
}
