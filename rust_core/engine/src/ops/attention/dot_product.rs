//! Attention: `softmax(Q K^T + bias) V` for each head.

use diptych_kernels::attention::{add_mask, apply_mask, load_rows, softmax, softmax_as, store_row};

use super::core::{
    AddMask, Attention, Bounds, Lengths, Load, Mask, Number, Operand, Part, Preparation, Present, SoftmaxRow, Source,
    Store,
};
use super::extents::{Extents, Strides, heads};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, OutputType, PlanCx, Planned, Row, Step, rows as versions};
use crate::tensor::Shape;
use crate::with_dtype;

/// Inputs and outputs by position.
const MASK: usize = 3;
const PAST: [usize; 2] = [4, 5];
const LENGTHS: usize = 6;
const PRESENT: [usize; 2] = [1, 2];
const SCORES: usize = 3;

struct DotProduct {
    since: i64,
    heads: [Option<i64>; 2],
    scale: Option<f32>,
    softcap: f32,
    precision: Option<DType>,
    mode: i64,
    causal: bool,
    /// How far a query sees to the left and right; negative: without a bound.
    windows: [i64; 2],
}

/// The reader of rows of `dtype`.
pub(super) fn loader<W: Number>(dtype: DType) -> Result<Load<W>> {
    with_dtype!(dtype, T in [F32, F64, F16, BF16] => Ok(load_rows::<T, W> as Load<W>),
        else Err(Error::unsupported(format!("attention of {dtype}"))))
}

/// The writer of rows of `dtype`.
pub(super) fn storer<W: Number>(dtype: DType) -> Result<Store<W>> {
    with_dtype!(dtype, T in [F32, F64, F16, BF16] => Ok(store_row::<T, W> as Store<W>),
        else Err(Error::unsupported(format!("attention of {dtype}"))))
}

/// Softmax in `W`, or rounded to `precision`.
pub(super) fn softmax_row<W: Number>(precision: Option<DType>) -> Result<SoftmaxRow<W>> {
    match precision {
        Some(precision) if precision != W::DTYPE => with_dtype!(
            precision, S in [F32, F64, F16, BF16] => Ok(softmax_as::<S, W> as SoftmaxRow<W>),
            else Err(Error::unsupported(format!("Softmax of {precision}")))
        ),
        _ => Ok(|isa, first, row, _| softmax::<W>(isa, first, row)),
    }
}

/// A floating-point type given as an attribute.
pub(super) fn precision(cx: &BuildCx<'_>) -> Result<Option<DType>> {
    let precision = cx.dtype("softmax_precision")?;
    match precision {
        Some(dtype) if !dtype.is_float() => {
            Err(Error::invalid_model(format!("softmax_precision is {dtype}, expected a floating-point type")))
        }
        precision => Ok(precision),
    }
}

/// The factor of queries and of keys: the square root of the scale.
pub(super) fn factor<W: Number>(scale: Option<f32>, size: usize) -> W {
    let scale = scale.map_or_else(|| W::from_f32(1.0) / W::from_count(size).sqrt(), W::from_f32);
    scale.sqrt()
}

/// A mask type's bytes and how its rows are added to scores of type `T`, computed in `W`.
fn adder<W: Number>(mask: DType, dtype: DType) -> (usize, AddMask<W>) {
    if mask == DType::Bool {
        return (1, apply_mask::<W>);
    }
    match dtype {
        DType::F16 => (2, add_mask::<half::f16, W>),
        DType::BF16 => (2, add_mask::<half::bf16, W>),
        _ => (size_of::<W>(), add_mask::<W, W>),
    }
}

impl DotProduct {
    /// Which keys the queries see.
    fn bounds(&self, cx: &PlanCx<'_>, batch: usize) -> Result<Bounds> {
        let bound = |width: i64| (width >= 0).then_some(width);
        let right = [self.causal.then_some(0), bound(self.windows[1])].into_iter().flatten().min();
        let mut bounds = Bounds { left: bound(self.windows[0]), right, lengths: Lengths::All };
        if cx.has(LENGTHS) {
            if cx.has(PAST[0]) {
                let message = "nonpad_kv_seqlen is for a cache outside, past_key for one inside: got both";
                return Err(Error::invalid_input(message));
            }
            if cx.shape(LENGTHS)? != [batch] {
                let message = format!("nonpad_kv_seqlen has shape {:?}, expected [{batch}]", cx.shape(LENGTHS)?);
                return Err(Error::shape(message));
            }
            bounds.lengths = Lengths::Outside(LENGTHS);
        }
        Ok(bounds)
    }

    /// The mask for scores `[batch, heads, rows, keys]` of type `dtype`.
    fn mask<W: Number>(&self, cx: &PlanCx<'_>, scores: [usize; 4], dtype: DType) -> Result<Option<Mask<W>>> {
        if !cx.has(MASK) {
            return Ok(None);
        }
        let (given, shape) = (cx.dtype(MASK)?, cx.shape(MASK)?);
        let wrong = || Error::shape(format!("attn_mask {shape:?} does not broadcast to {scores:?}"));
        let Some(missing) = 4usize.checked_sub(shape.len()) else { return Err(wrong()) };
        let (mut strides, mut next) = ([0; 4], 1);
        let mut covered = scores[3];
        for (axis, &n) in shape.iter().enumerate().rev() {
            let (at, target) = (missing + axis, scores[missing + axis]);
            // From version 24 on, what a mask lacks at its end takes no part, also if it has but one key.
            let short = at == 3 && self.since > 23 && n < target;
            if !short && n != target && n != 1 {
                return Err(wrong());
            }
            if short {
                covered = n;
            }
            strides[at] = if n == target || short { next } else { 0 };
            next *= n;
        }
        let (bytes, add) = adder::<W>(given, dtype);
        let converted = (given != DType::Bool && given != dtype).then_some((given, dtype, next));
        Ok(Some(Mask { input: MASK, strides, keys: covered, bytes, add, load: loader(dtype)?, converted }))
    }

    fn step<W: Number>(&self, cx: &PlanCx<'_>, dtype: DType) -> Result<KernelStep> {
        let [q, k, v] = [(0, self.heads[0], "Q"), (1, self.heads[1], "K"), (2, self.heads[1], "V")]
            .map(|(input, count, name)| heads(cx.shape(input)?, count, name));
        let (q, k, v) = (q?, k?, v?);
        let rank = cx.shape(0)?.len();
        if cx.shape(1)?.len() != rank || cx.shape(2)?.len() != rank {
            return Err(Error::shape(format!(
                "Q, K and V have ranks {rank}, {}, {}",
                cx.shape(1)?.len(),
                cx.shape(2)?.len()
            )));
        }
        let past = self.past(cx, [k.0, v.0])?;
        let extents = Extents::new(q.0, k.0, v.0, past)?;
        let Extents { batch, kv_heads, rows, keys, size, v_size, .. } = extents;
        let q_heads = extents.q_heads();
        let scores = [batch, q_heads, rows, keys];
        let operand = |input: usize, past_input: Option<usize>, strides: Strides, size: usize| -> Result<Operand<W>> {
            let dtype = cx.dtype(input)?;
            let before = Strides::of_heads(kv_heads, past, size);
            let past = past_input.filter(|_| past > 0).map(|input| Source::input(input, before));
            Ok(Operand { own: Source::input(input, strides), past, size, dtype, load: loader(dtype)? })
        };
        let (y, y_shape) = if rank == 3 {
            (Strides::of_rows(q_heads, rows, v_size), Shape::from_slice(&[batch, rows, q_heads * v_size]))
        } else {
            (Strides::of_heads(q_heads, rows, v_size), Shape::from_slice(&[batch, q_heads, rows, v_size]))
        };
        let mut outputs = vec![OutputType::new(dtype, y_shape)];
        // Types of all outputs that the node names, wanted or not.
        if cx.wanted.len() > 1 {
            outputs.push(OutputType::new(dtype, [batch, kv_heads, keys, size].as_slice()));
            outputs.push(OutputType::new(cx.dtype(2)?, [batch, kv_heads, keys, v_size].as_slice()));
        }
        if cx.wanted.len() > SCORES {
            outputs.push(OutputType::new(dtype, scores.as_slice()));
        }
        let store = storer::<W>(dtype)?;
        let attention = Attention {
            extents,
            q: operand(0, None, q.1, size)?,
            k: operand(1, Some(PAST[0]), k.1, size)?,
            v: operand(2, Some(PAST[1]), v.1, v_size)?,
            factor: factor(self.scale, size),
            cap: (self.softcap != 0.0).then(|| W::from_f32(self.softcap)),
            bounds: self.bounds(cx, extents.batch)?,
            mask: self.mask(cx, scores, dtype)?,
            padding: None,
            softmax: softmax_row(self.precision.filter(|&precision| precision != dtype))?,
            sink: None,
            zero_outside: false,
            part: Part::Whole { results: store, scores: cx.wants(SCORES).then_some((self.mode, store)) },
            y,
            y_bytes: dtype.bits() / 8,
            score_bytes: dtype.bits() / 8,
            scores_output: SCORES,
            present: PRESENT.map(|output| {
                cx.wants(output).then_some(Present { output, offset: 0, capacity: keys, like_past: false })
            }),
        };
        attention.step(Preparation::nothing(), outputs, cx.isa, cx.threads)
    }

    /// The past's keys.
    fn past(&self, cx: &PlanCx<'_>, own: [[usize; 4]; 2]) -> Result<usize> {
        if cx.has(PAST[0]) != cx.has(PAST[1]) {
            return Err(Error::invalid_input("past_key and past_value come together"));
        }
        if !cx.has(PAST[0]) {
            return Ok(0);
        }
        let mut lengths = [0; 2];
        for ((input, [batch, heads, _, size]), length) in PAST.into_iter().zip(own).zip(&mut lengths) {
            let shape = cx.shape(input)?;
            match *shape {
                [b, h, past, d] if [b, h, d] == [batch, heads, size] => *length = past,
                _ => {
                    let message = format!("the past has shape {shape:?}, expected [{batch}, {heads}, past, {size}]");
                    return Err(Error::shape(message));
                }
            }
        }
        if lengths[0] != lengths[1] {
            return Err(Error::shape(format!("past_key has {} keys, past_value {}", lengths[0], lengths[1])));
        }
        Ok(lengths[0])
    }
}

impl Operator for DotProduct {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        match cx.dtype(0)? {
            DType::F64 => self.step::<f64>(cx, DType::F64),
            dtype => self.step::<f32>(cx, dtype),
        }?
        .into()
    }
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let mode = cx.int("qk_matmul_output_mode", 0)?;
    if !(0..=3).contains(&mode) {
        return Err(Error::invalid_model(format!("qk_matmul_output_mode is {mode}, expected 0, 1, 2 or 3")));
    }
    let windows = [cx.int("left_window_size", -1)?, cx.int("right_window_size", -1)?];
    if windows.iter().any(|&width| width < -1) {
        return Err(Error::invalid_model(format!("left and right window sizes are {windows:?}, expected -1 or more")));
    }
    Ok(Box::new(DotProduct {
        since: cx.since,
        heads: [cx.opt_int("q_num_heads")?, cx.opt_int("kv_num_heads")?],
        scale: cx.opt_float("scale")?,
        softcap: cx.float("softcap", 0.0)?,
        precision: precision(cx)?,
        mode,
        causal: cx.int("is_causal", 0)? != 0,
        windows,
    }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("Attention", &[23, 24, 25], build)
}
