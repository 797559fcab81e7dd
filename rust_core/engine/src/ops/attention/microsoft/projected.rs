//! Attention: queries, keys and values are one projection of the input.

use super::bias::{KeyMask, Masked, attention_bias, checked_scale};
use super::prepare::{Rooms, View, room_of};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, OutputType, PlanCx, Planned, Row, Step, rows_of};
use crate::ops::attention::core::{Attention, Bounds, Home, Lengths, Operand, Part, Preparation, Present, Source};
use crate::ops::attention::dot_product::{factor, loader, softmax_row, storer};
use crate::ops::attention::extents::{Extents, Strides};
use crate::ops::matmul::{self, Product};
use crate::run::{KernelCx, RawSlot};
use crate::tensor::{Shape, element_count};

/// Inputs by position; the first three are those of a Gemm.
mod input {
    pub const BIAS: usize = 2;
    pub const MASK: usize = 3;
    pub const PAST: usize = 4;
    pub const ATTENTION_BIAS: usize = 5;
}
const PRESENT: usize = 1;

struct Projected {
    heads: i64,
    sizes: Option<Vec<i64>>,
    scale: Option<f32>,
    filter: f32,
    causal: bool,
}

/// A product that a step computes into a room of its own.
struct Projection {
    step: KernelStep,
    /// Where it goes, and where it works.
    to: Source,
    bytes: usize,
    workspace: usize,
}

impl Projected {
    /// Widths of all heads of Q, K and V, which are the weights' columns.
    fn widths(&self, columns: usize) -> Result<[usize; 3]> {
        let Some(sizes) = &self.sizes else {
            if !columns.is_multiple_of(3) {
                let message =
                    format!("weights have {columns} columns, expected a multiple of 3 without qkv_hidden_sizes");
                return Err(Error::shape(message));
            }
            return Ok([columns / 3; 3]);
        };
        let widths: Vec<usize> = sizes.iter().filter_map(|&size| usize::try_from(size).ok()).collect();
        match widths[..] {
            [q, k, v] if sizes.len() == 3 && q == k => {
                if q.checked_add(k).and_then(|sum| sum.checked_add(v)) != Some(columns) {
                    return Err(Error::shape(format!(
                        "weights have {columns} columns, qkv_hidden_sizes are {sizes:?}"
                    )));
                }
                Ok([q, k, v])
            }
            _ => {
                let message = format!("qkv_hidden_sizes are {sizes:?}, expected three, the first two equal");
                Err(Error::invalid_model(message))
            }
        }
    }

    /// The projection, and shapes and places of its parts.
    fn project(&self, cx: &PlanCx<'_>, dtype: DType, rooms: &mut Rooms) -> Result<(Projection, [View; 3])> {
        let (x, weights) = (cx.shape(0)?, cx.shape(1)?);
        let (&[batch, rows, k], &[k_weights, columns]) = (x, weights) else {
            return Err(Error::shape(format!("input {x:?} and weights {weights:?}: expected [B, S, K] and [K, D]")));
        };
        if k != k_weights {
            return Err(Error::shape(format!("input {x:?} and weights {weights:?}: expected one K")));
        }
        let widths = self.widths(columns)?;
        if cx.has(input::BIAS) && cx.shape(input::BIAS)? != [columns] {
            return Err(Error::shape(format!("bias has shape {:?}, expected [{columns}]", cx.shape(input::BIAS)?)));
        }
        let heads = usize::try_from(self.heads).ok().filter(|&heads| heads > 0);
        let heads = heads.filter(|&heads| widths.iter().all(|width| width.is_multiple_of(heads)));
        let Some(heads) = heads else {
            return Err(Error::shape(format!("Q, K and V are {widths:?} wide: no multiples of {} heads", self.heads)));
        };
        let m = element_count(&[batch, rows])?;
        element_count(&[m, columns])?;
        let addend = cx.has(input::BIAS).then_some([0, 1]);
        let product = Product { addend, ..Product::of(m, columns, k) };
        let step = matmul::step(product, Shape::from_slice(&[m, columns]), dtype, cx)?;
        let bytes = dtype.bits() / 8;
        let offset = rooms.room(&[m, columns], bytes)?;
        let workspace = rooms.room(&[step.workspace], 1)?;
        let mut before = 0;
        let views = widths.map(|width| {
            let strides = Strides { batch: rows * columns, head: width / heads, row: columns };
            let source = Source { home: Home::Prepared(offset), offset: before, strides };
            before += width;
            ([batch, heads, rows, width / heads], source)
        });
        let to = Source { offset: 0, ..views[0].1 };
        Ok((Projection { step, to, bytes: m * columns * bytes, workspace }, views))
    }

    /// The past's keys.
    fn past(&self, cx: &PlanCx<'_>, q: [usize; 4], v_size: usize) -> Result<usize> {
        if !cx.has(input::PAST) {
            return Ok(0);
        }
        let ([batch, heads, _, size], shape) = (q, cx.shape(input::PAST)?);
        match *shape {
            [2, b, h, past, d] if [b, h, d] == [batch, heads, size] && v_size == size => Ok(past),
            _ => Err(Error::shape(format!(
                "past has shape {shape:?}, expected [2, {batch}, {heads}, past, {size}], and values of {size} elements: \
                 they have {v_size}"
            ))),
        }
    }

    fn mask(&self, cx: &PlanCx<'_>, of: &Masked, rooms: &mut Rooms) -> Result<Option<KeyMask>> {
        if !cx.has(input::MASK) {
            return Ok(None);
        }
        let (shape, &Masked { batch, keys, rows, .. }) = (cx.shape(input::MASK)?, of);
        let mask = KeyMask::new(shape, input::MASK, of, true, rooms)?;
        if mask.is_some() || shape == [batch, 1] || shape == [1, 1] {
            return Ok(mask);
        }
        match *shape {
            [b, 1, side, across] if b == batch && side == across && side >= keys => {
                if self.causal {
                    let message = "mask_index of rank 4 says itself which keys come later: expected unidirectional 0";
                    return Err(Error::invalid_input(message));
                }
                KeyMask::square(side, input::MASK, of, rooms).map(Some)
            }
            _ => {
                let message =
                    format!("mask_index has shape {shape:?}: no form for {batch} x {rows} queries, {keys} keys");
                Err(Error::shape(message))
            }
        }
    }

    fn step(&self, cx: &PlanCx<'_>) -> Result<KernelStep> {
        let (dtype, mut rooms) = (cx.dtype(0)?, Rooms::default());
        let (projection, views) = self.project(cx, dtype, &mut rooms)?;
        let [q, k, v] = views.map(|(shape, _)| shape);
        if cx.wanted.len() > 1 && k[3] != v[3] {
            let message = format!("present has keys and values in one: theirs have {} and {} elements", k[3], v[3]);
            return Err(Error::shape(message));
        }
        let past = self.past(cx, q, v[3])?;
        let extents = Extents::new(q, k, v, past)?;
        let Extents { batch, rows, keys, size, v_size, kv_heads, .. } = extents;
        let of = Masked { batch, rows, past, keys, filter: self.filter };
        let mask = self.mask(cx, &of, &mut rooms)?;
        let half = element_count(&[batch, kv_heads, keys, size, 2])? / 2;
        let operand = |which: usize, half: Option<usize>, size: usize| -> Result<Operand<f32>> {
            let before = Strides::of_heads(kv_heads, past, size);
            let offset = |half: usize| half * batch * kv_heads * past * size;
            let past = half.filter(|_| past > 0);
            let past = past.map(|half| Source { offset: offset(half), ..Source::input(input::PAST, before) });
            Ok(Operand { own: views[which].1, past, size, dtype, load: loader(dtype)? })
        };
        let scores = [batch, kv_heads, rows, keys];
        let attention = Attention {
            extents,
            q: operand(0, None, size)?,
            k: operand(1, Some(0), size)?,
            v: operand(2, Some(1), v_size)?,
            factor: factor(self.scale, size),
            cap: None,
            bounds: Bounds { left: None, right: self.causal.then_some(0), lengths: Lengths::All },
            mask: attention_bias(cx, input::ATTENTION_BIAS, scores, dtype)?,
            padding: mask.map(|mask| mask.padding()),
            softmax: softmax_row(None)?,
            sink: None,
            part: Part::Whole { results: storer(dtype)?, scores: None },
            zero_outside: false,
            y: Strides::of_rows(kv_heads, rows, v_size),
            y_bytes: dtype.bits() / 8,
            score_bytes: dtype.bits() / 8,
            scores_output: 0,
            present: [0, half].map(|offset| {
                cx.wants(PRESENT).then_some(Present { output: PRESENT, offset, capacity: keys, like_past: false })
            }),
        };
        let mut outputs = vec![OutputType::new(dtype, Shape::from_slice(&[batch, rows, kv_heads * v_size]))];
        if cx.wanted.len() > 1 {
            outputs.push(OutputType::new(dtype, [2, batch, kv_heads, keys, size].as_slice()));
        }
        let packed = projection.step.packed.clone();
        let preparation = Preparation {
            bytes: rooms.bytes,
            scratch: projection.step.scratch,
            cost: projection.step.cost,
            run: Box::new(move |cx, room| {
                projection.run(cx, room)?;
                mask.iter().try_for_each(|mask| mask.run(cx, room))
            }),
        };
        Ok(attention.step(preparation, outputs, cx.isa, cx.threads)?.packed(&packed))
    }
}

impl Projection {
    fn run(&self, cx: &KernelCx<'_>, room: &mut [u8]) -> Result<()> {
        let (before, after) = room.split_at_mut(self.workspace);
        let output = [RawSlot { ptr: room_of::<u8>(before, &self.to).at(0), bytes: self.bytes }];
        let after = &mut after[..self.step.workspace];
        let workspace = RawSlot { ptr: after.as_mut_ptr(), bytes: after.len() };
        (self.step.run)(&cx.within(cx.slots(), &output, workspace))
    }
}

impl Operator for Projected {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        self.step(cx)?.into()
    }
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    if cx.int("do_rotary", 0)? != 0 {
        let message = "do_rotary is not supported: use RotaryEmbedding and MultiHeadAttention";
        return Err(Error::unsupported(message));
    }
    if cx.int("past_present_share_buffer", 0)? != 0 {
        return Err(Error::unsupported("past_present_share_buffer is not supported: use MultiHeadAttention"));
    }
    Ok(Box::new(Projected {
        heads: cx.required("num_heads", cx.opt_int("num_heads")?)?,
        sizes: cx.ints("qkv_hidden_sizes")?.map(<[i64]>::to_vec),
        scale: checked_scale(cx.opt_float("scale")?)?,
        filter: cx.float("mask_filter_value", -10000.0)?,
        causal: cx.int("unidirectional", 0)? != 0,
    }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    rows_of("com.microsoft", "Attention", &[1], build)
}
