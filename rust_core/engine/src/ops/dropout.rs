//! Dropout: in inference the identity; in training a random mask (docs/numerics.md).

use diptych_kernels::mt19937::Mt19937;
use diptych_kernels::small_float::PowerRounding;
use half::{bf16, f16};

use crate::dtype::{Bool, DType, Element};
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, OutputType, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::cast::{cast_tensor, small};
use crate::run::ValueCx;
use crate::tensor::{Tensor, Value};
use crate::with_dtype;

struct Dropout {
    since: i64,
    /// Attributes of versions below 12.
    ratio: f32,
    training: bool,
    seed: i64,
}

impl Dropout {
    /// The share of elements to drop: 0 in inference.
    fn share(&self, cx: &PlanCx<'_>) -> Planned<f64> {
        let training = if cx.has(2) { cx.scalar::<Bool>(2)?.0 != 0 } else { self.training };
        if !training {
            return Ok(0.0);
        }
        let ratio = if cx.has(1) { self.ratio_input(cx)? } else { f64::from(self.ratio) };
        if !(0.0..1.0).contains(&ratio) {
            return Err(Error::invalid_input(format!("ratio is {ratio}, expected a number in [0, 1)")).into());
        }
        Ok(ratio)
    }

    fn ratio_input(&self, cx: &PlanCx<'_>) -> Planned<f64> {
        let ratio = cast_tensor(cx.isa, &small::to_plain(&cx.tensor(1)?)?, DType::F64)?;
        match ratio.as_slice::<f64>()? {
            [ratio] => Ok(*ratio),
            _ => Err(Error::shape(format!("ratio has shape {:?}, expected a scalar", ratio.shape())).into()),
        }
    }

    /// Whether the mask has the type of the data.
    fn typed_mask(&self) -> bool {
        self.since < 10
    }
}

impl Operator for Dropout {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let share = self.share(cx)?;
        let shape = cx.shape(0)?;
        if share == 0.0 && !cx.wants(1) {
            return Ok(Step::View { input: 0, shape: shape.into() });
        }
        let mask = if self.typed_mask() { dtype } else { DType::Bool };
        let outputs = [OutputType::new(dtype, shape), OutputType::new(mask, shape)];
        let outputs = outputs.into_iter().take(cx.wanted.len());
        let (typed, seed) = (self.typed_mask(), self.seed.rem_euclid(1 << 32) as u32);
        if share == 0.0 {
            return whole(outputs, mask).into();
        }
        with_dtype!(dtype, T in [F32, F64, F16, BF16] =>
        KernelStep::with_outputs(outputs, move |cx| {
            let (x, y) = (cx.input::<T>(0), cx.output::<T>(0));
            if typed {
                drop(x, y, cx.opt_output::<T>(1), share, seed);
            } else {
                drop(x, y, cx.opt_output::<Bool>(1), share, seed);
            }
            Ok(())
        }).cost(cx.shape(0)?.iter().product::<usize>() as u64 * 6).into(),
        else {
            let wants_mask = outputs.len() > 1;
            Step::values(move |cx| drop_small(cx, share, seed, wants_mask))
        })
    }
}

/// Inference with a mask: a copy and ones.
fn whole(outputs: impl Iterator<Item = OutputType>, mask: DType) -> KernelStep {
    KernelStep::with_outputs(outputs, move |cx| {
        cx.output::<u8>(0).copy_from_slice(cx.input_bytes(0));
        match mask {
            DType::Bool => cx.output::<Bool>(1).fill(Bool::ONE),
            DType::F16 => cx.output::<f16>(1).fill(f16::ONE),
            DType::F64 => cx.output::<f64>(1).fill(1.0),
            _ => cx.output::<f32>(1).fill(1.0),
        }
        Ok(())
    })
}

/// The training form for float8: in binary32, rounded once.
fn drop_small(cx: &ValueCx<'_>, ratio: f64, seed: u32, wants_mask: bool) -> Result<Vec<Value>> {
    let data = cx.input(0)?.as_dense().ok_or_else(|| Error::internal("a tensor was planned"))?;
    let wide = small::to_plain(data)?;
    let mut y = Tensor::zeros(DType::F32, data.shape())?;
    let mut mask = Tensor::zeros(DType::Bool, data.shape())?;
    drop(wide.as_slice::<f32>()?, y.as_mut_slice()?, Some(mask.as_mut_slice::<Bool>()?), ratio, seed);
    let options = small::Options { saturate: false, rounding: PowerRounding::Up };
    let y = small::from_plain(cx.isa, &y, data.dtype(), options)?;
    Ok(if wants_mask { vec![y.into(), mask.into()] } else { vec![y.into()] })
}

/// An element of a mask.
trait Mark: Element {
    const ONE: Self;
    const ZERO: Self;
}

/// A float that Dropout scales: in binary64 for double, else in binary32.
trait Scaled: Mark {
    /// `1 / (1 - ratio)` and its product with `self`.
    fn scaled(self, ratio: f64) -> Self;
}

macro_rules! scaled {
    ($($type:ty, $wide:ty: $narrow:expr, $one:expr, $zero:expr;)*) => {$(
        impl Mark for $type {
            const ONE: Self = $one;
            const ZERO: Self = $zero;
        }
        impl Scaled for $type {
            #[inline]
            fn scaled(self, ratio: f64) -> Self {
                let scale = 1.0 / (1.0 - ratio as $wide);
                $narrow(<$wide>::from(self) * scale)
            }
        }
    )*};
}
scaled! {
    f32, f32: |x| x, 1.0, 0.0;
    f64, f64: |x| x, 1.0, 0.0;
    f16, f32: f16::from_f32, f16::ONE, f16::ZERO;
    bf16, f32: bf16::from_f32, bf16::ONE, bf16::ZERO;
}

impl Mark for Bool {
    const ONE: Self = Bool(1);
    const ZERO: Self = Bool(0);
}

// [panel: Dropout]
/// The training form. One thread: the numbers are one stream.
fn drop<T: Scaled, M: Mark>(x: &[T], y: &mut [T], mut mask: Option<&mut [M]>, ratio: f64, seed: u32) {
    let mut generator = Mt19937::new(seed);
    for (i, (y, x)) in y.iter_mut().zip(x).enumerate() {
        let kept = generator.uniform() >= ratio;
        *y = if kept { x.scaled(ratio) } else { T::ZERO };
        if let Some(mask) = &mut mask {
            mask[i] = if kept { M::ONE } else { M::ZERO };
        }
    }
}
// [/panel]

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(Dropout {
        since: cx.since,
        ratio: cx.float("ratio", 0.5)?,
        training: cx.since < 7 && cx.int("is_test", 0)? == 0,
        seed: cx.int("seed", 0)?,
    }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("Dropout", &[1, 6, 7, 10, 12, 13, 22], build)
}
