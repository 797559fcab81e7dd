//! MultiHeadAttention: operands separate or packed, with a bias, masks and a cache.

use super::bias::{KeyMask, Masked, attention_bias, checked_scale};
use super::prepare::{AddBias, Rooms, View, prepared};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, OutputType, PlanCx, Planned, Row, Step, rows_of};
use crate::ops::attention::core::{Attention, Bounds, Lengths, Operand, Part, Preparation, Present, Source};
use crate::ops::attention::dot_product::{factor, loader, softmax_row, storer};
use crate::ops::attention::extents::{Extents, Strides, heads};
use crate::tensor::{Shape, element_count};

/// Inputs by position.
mod input {
    pub const BIAS: usize = 3;
    pub const MASK: usize = 4;
    pub const ATTENTION_BIAS: usize = 5;
    pub const PAST: [usize; 2] = [6, 7];
    pub const PAST_LENGTH: usize = 8;
    pub const CACHE_INDIRECTION: usize = 9;
}
/// Outputs by position.
const PRESENT: [usize; 2] = [1, 2];
const SCORES: usize = 3;

struct MultiHead {
    heads: i64,
    scale: Option<f32>,
    filter: f32,
    causal: bool,
}

/// The past: its keys, the keys that its buffers have room for, and whether they are more than its own.
#[derive(Clone, Copy, Default)]
struct Past {
    keys: usize,
    room: usize,
    shared: bool,
}

impl MultiHead {
    /// Q, K and V.
    fn operands(&self, cx: &PlanCx<'_>) -> Result<[View; 3]> {
        let shapes = [0, 1, 2].map(|input| if cx.has(input) { cx.shape(input).map(Some) } else { Ok(None) });
        let [q, k, v] = shapes;
        let (q, k, v) = (q?, k?, v?);
        let count = usize::try_from(self.heads).ok();
        let own = |input: usize, name: &str| -> Result<View> {
            let (shape, strides) = heads(cx.shape(input)?, Some(self.heads), name)?;
            Ok((shape, Source::input(input, strides)))
        };
        match (q, k, v) {
            (Some(&[batch, rows, n, 3, size]), None, None) if Some(n) == count => {
                Ok([0, 1, 2].map(|which| packed(0, [batch, n, rows, size], 3, which)))
            }
            (Some([_, _, _]), Some(&[batch, rows, n, 2, size]), None) if Some(n) == count => {
                Ok([own(0, "query")?, packed(1, [batch, n, rows, size], 2, 0), packed(1, [batch, n, rows, size], 2, 1)])
            }
            (Some([_, _, _]), Some([_, _, _]), Some([_, _, _]))
            | (Some([_, _, _]), Some([_, _, _, _]), Some([_, _, _, _])) => {
                Ok([own(0, "query")?, own(1, "key")?, own(2, "value")?])
            }
            _ => Err(Error::shape(format!(
                "query, key and value have shapes {q:?}, {k:?}, {v:?}: expected [B, S, N*H] with [B, L, N*H] twice, \
                 [B, N, L, H] twice or [B, L, N, 2, H], or [B, S, N, 3, H] alone"
            ))),
        }
    }

    /// The past beside `new` keys.
    fn past(&self, cx: &PlanCx<'_>, [k, v]: [[usize; 4]; 2], kept_before: bool) -> Planned<Past> {
        if cx.has(input::PAST[0]) != cx.has(input::PAST[1]) {
            return Err(Error::invalid_input("past_key and past_value come together").into());
        }
        if !cx.has(input::PAST[0]) {
            return Ok(Past::default());
        }
        if kept_before {
            let message = "key and value of rank 4 are those of the past: got past_key too";
            return Err(Error::invalid_input(message).into());
        }
        let mut room = None;
        for (input, [batch, heads, _, size]) in input::PAST.into_iter().zip([k, v]) {
            let shape = cx.shape(input)?;
            match *shape {
                [b, h, rows, d] if [b, h, d] == [batch, heads, size] && room.is_none_or(|room| room == rows) => {
                    room = Some(rows);
                }
                _ => {
                    let message = format!("the past has shape {shape:?}, expected [{batch}, {heads}, past, {size}]");
                    return Err(Error::shape(message).into());
                }
            }
        }
        let room = room.unwrap_or(0);
        if !cx.has(input::PAST_LENGTH) {
            return Ok(Past { keys: room, room: element_count(&[room + k[2]])?, shared: false });
        }
        let [keys] = cx.ints(input::PAST_LENGTH)?[..] else {
            let shape = cx.shape(input::PAST_LENGTH)?;
            let message = format!("past_sequence_length has shape {shape:?}, expected one element");
            return Err(Error::shape(message).into());
        };
        match usize::try_from(keys).ok().filter(|&keys| keys <= room && k[2] <= room - keys) {
            Some(keys) => Ok(Past { keys, room, shared: true }),
            None => {
                let message =
                    format!("past_sequence_length is {keys}: with {} new keys, past_key has room for {room}", k[2]);
                Err(Error::invalid_input(message).into())
            }
        }
    }

    /// What adds the bias to the operands, which then lie in `rooms`.
    fn biases(
        &self,
        cx: &PlanCx<'_>,
        views: &mut [View],
        width: usize,
        dtype: DType,
        rooms: &mut Rooms,
    ) -> Result<Vec<AddBias>> {
        if !cx.has(input::BIAS) {
            return Ok(Vec::new());
        }
        if cx.shape(input::BIAS)? != [width] {
            return Err(Error::shape(format!("bias has shape {:?}, expected [{width}]", cx.shape(input::BIAS)?)));
        }
        let mut offset = 0;
        views
            .iter_mut()
            .map(|(shape, source)| {
                let from = std::mem::replace(source, prepared(rooms, *shape, dtype)?);
                let add = AddBias { from, to: *source, shape: *shape, dtype, bias: input::BIAS, offset };
                offset += shape[1] * shape[3];
                Ok(add)
            })
            .collect()
    }

    fn mask(&self, cx: &PlanCx<'_>, of: &Masked, rooms: &mut Rooms) -> Result<Option<KeyMask>> {
        if !cx.has(input::MASK) {
            return Ok(None);
        }
        let shape = cx.shape(input::MASK)?;
        KeyMask::new(shape, input::MASK, of, false, rooms)?.map(Some).ok_or_else(|| {
            let Masked { batch, rows, keys, .. } = of;
            Error::shape(format!(
                "key_padding_mask has shape {shape:?}, expected one or {} numbers for {batch} sequences, [{batch}, {keys}] or \
                 [{batch}, {rows}, {keys}]",
                3 * batch + 2
            ))
        })
    }

    fn step(&self, cx: &PlanCx<'_>) -> Planned<KernelStep> {
        if cx.has(input::CACHE_INDIRECTION) {
            let message = "cache_indirection: beams are not supported, reorder past_key and past_value";
            return Err(Error::unsupported(message).into());
        }
        let (dtype, mut views) = (cx.dtype(0)?, self.operands(cx)?);
        let [q, k, v] = views.each_ref().map(|(shape, _)| *shape);
        let kept_before = cx.has(1) && cx.shape(1)?.len() == 4;
        let past = self.past(cx, [k, v], kept_before)?;
        let extents = Extents::new(q, k, v, past.keys)?;
        let Extents { batch, rows, keys, size, v_size, kv_heads, .. } = extents;
        let width = element_count(&[kv_heads, 2 * size + v_size])?;
        let mut rooms = Rooms::default();
        let biased = if kept_before { &mut views[..1] } else { &mut views[..] };
        let biases = self.biases(cx, biased, width, dtype, &mut rooms)?;
        let of = Masked { batch, rows, past: past.keys, keys, filter: self.filter };
        let mask = self.mask(cx, &of, &mut rooms)?;
        let capacity = if past.shared { past.room } else { keys };
        let operand = |which: usize, past_input: Option<usize>, size: usize| -> Result<Operand<f32>> {
            let before = Strides::of_heads(kv_heads, if past.shared { past.room } else { past.keys }, size);
            let past = past_input.filter(|_| past.room > 0).map(|input| Source::input(input, before));
            Ok(Operand { own: views[which].1, past, size, dtype, load: loader(dtype)? })
        };
        let store = storer::<f32>(dtype)?;
        let scores = [batch, kv_heads, rows, keys];
        let attention = Attention {
            extents,
            q: operand(0, None, size)?,
            k: operand(1, Some(input::PAST[0]), size)?,
            v: operand(2, Some(input::PAST[1]), v_size)?,
            factor: factor(self.scale, size),
            cap: None,
            bounds: Bounds { left: None, right: self.causal.then_some(0), lengths: Lengths::All },
            mask: attention_bias(cx, input::ATTENTION_BIAS, scores, dtype)?,
            padding: mask.map(|mask| mask.padding()),
            softmax: softmax_row(None)?,
            sink: None,
            part: Part::Whole { results: store, scores: cx.wants(SCORES).then_some((2, store)) },
            zero_outside: false,
            y: Strides::of_rows(kv_heads, rows, v_size),
            y_bytes: dtype.bits() / 8,
            score_bytes: dtype.bits() / 8,
            scores_output: SCORES,
            present: PRESENT.map(|output| {
                cx.wants(output).then_some(Present { output, offset: 0, capacity, like_past: past.shared })
            }),
        };
        let mut outputs = vec![OutputType::new(dtype, Shape::from_slice(&[batch, rows, kv_heads * v_size]))];
        if cx.wanted.len() > 1 {
            element_count(&[batch, kv_heads, capacity, size.max(v_size)])?;
            outputs.push(OutputType::new(dtype, [batch, kv_heads, capacity, size].as_slice()));
            outputs.push(OutputType::new(dtype, [batch, kv_heads, capacity, v_size].as_slice()));
        }
        if cx.wanted.len() > SCORES {
            outputs.push(OutputType::new(dtype, scores.as_slice()));
        }
        let preparation = Preparation {
            bytes: rooms.bytes,
            cost: rooms.bytes as u64 / 8,
            run: Box::new(move |cx, room| {
                biases.iter().try_for_each(|bias| bias.run(cx, room))?;
                mask.iter().try_for_each(|mask| mask.run(cx, room))
            }),
            ..Preparation::nothing()
        };
        Ok(attention.step(preparation, outputs, cx.isa, cx.threads)?)
    }
}

/// One of `count` operands that lie side by side in each head of an input `[batch, rows, heads, count, size]`.
fn packed(input: usize, shape: [usize; 4], count: usize, which: usize) -> View {
    let [_, heads, rows, size] = shape;
    let strides = Strides { batch: rows * heads * count * size, head: count * size, row: heads * count * size };
    (shape, Source { offset: which * size, ..Source::input(input, strides) })
}

impl Operator for MultiHead {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        self.step(cx)?.into()
    }
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(MultiHead {
        heads: cx.required("num_heads", cx.opt_int("num_heads")?)?,
        scale: checked_scale(cx.opt_float("scale")?)?,
        filter: cx.float("mask_filter_value", -10000.0)?,
        causal: cx.int("unidirectional", 0)? != 0,
    }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    rows_of("com.microsoft", "MultiHeadAttention", &[1], build)
}
