//! What the attentions of com.microsoft add to scores: masks of keys and biases.

use diptych_kernels::attention::add_mask;
use half::{bf16, f16};

use super::prepare::Rooms;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::PlanCx;
use crate::ops::attention::core::{AddMask, Mask, Padding};
use crate::ops::attention::dot_product::loader;
use crate::ops::elements::elements_mut;
use crate::run::{Disjoint, KernelCx};

/// Elements worth a thread.
const GRAIN: usize = 1 << 15;

/// The scale, `None` for `1 / sqrt(D)`: absent or 0. Q and K are each multiplied by its root.
pub(super) fn checked_scale(scale: Option<f32>) -> Result<Option<f32>> {
    match scale {
        Some(scale) if scale < 0.0 => {
            Err(Error::unsupported(format!("scale is {scale}: a negative one is not supported, negate query instead")))
        }
        scale => Ok(scale.filter(|&scale| scale != 0.0)),
    }
}

/// attention_bias, if it is there, for scores `[batch, heads, rows, keys]`.
pub(super) fn attention_bias(
    cx: &PlanCx<'_>,
    input: usize,
    scores: [usize; 4],
    dtype: DType,
) -> Result<Option<Mask<f32>>> {
    if !cx.has(input) {
        return Ok(None);
    }
    let [batch, heads, rows, keys] = scores;
    let shape = cx.shape(input)?;
    let fits =
        matches!(*shape, [b, h, r, k] if (b == 1 || b == batch) && (h == 1 || h == heads) && [r, k] == [rows, keys]);
    if !fits {
        let message = format!("attention_bias has shape {shape:?}, expected {scores:?} (1 for the first two)");
        return Err(Error::shape(message));
    }
    let one = rows * keys;
    let strides = [if shape[0] == 1 { 0 } else { shape[1] * one }, if shape[1] == 1 { 0 } else { one }, keys, 1];
    let (bytes, add): (usize, AddMask<f32>) = match dtype {
        DType::F16 => (2, add_mask::<f16, f32>),
        DType::BF16 => (2, add_mask::<bf16, f32>),
        _ => (4, add_mask::<f32, f32>),
    };
    Ok(Some(Mask { input, strides, keys, bytes, add, load: loader(dtype)?, converted: None }))
}

/// How a mask says which keys are kept.
#[derive(Clone, Copy)]
enum Form {
    /// Each sequence's end: of `[B]`, `[3B + 2]`, and with starts `[2B]`.
    Ends { starts: bool },
    /// A number above 0 for each key that is kept, for all queries of a sequence or each.
    Flags,
    /// The same for `side` queries and keys, of which those of the past come first.
    Square { side: usize, past: usize },
}

/// A mask of keys: 0 for those that are kept, a number for the others.
#[derive(Clone, Copy)]
pub(super) struct KeyMask {
    input: usize,
    form: Form,
    batch: usize,
    /// Rows of a sequence: 1, or one for each query.
    rows: usize,
    keys: usize,
    filter: f32,
    /// Where it is prepared.
    offset: usize,
}

/// The extents of what a mask is for.
pub(super) struct Masked {
    pub batch: usize,
    pub rows: usize,
    pub past: usize,
    pub keys: usize,
    pub filter: f32,
}

impl KeyMask {
    /// By ends or flags; `None` if the shape is of no such form.
    pub fn new(shape: &[usize], input: usize, of: &Masked, starts: bool, rooms: &mut Rooms) -> Result<Option<KeyMask>> {
        let &Masked { batch, rows, keys, .. } = of;
        let (form, rows) = match *shape {
            [n] if n == batch || Some(n) == batch.checked_mul(3).and_then(|n| n.checked_add(2)) => {
                (Form::Ends { starts: false }, 1)
            }
            [n] if starts && n == 2 * batch => (Form::Ends { starts: true }, 1),
            [b, k] if [b, k] == [batch, keys] => (Form::Flags, 1),
            [b, r, k] if [b, r, k] == [batch, rows, keys] => (Form::Flags, rows),
            _ => return Ok(None),
        };
        KeyMask::of(form, input, of, rows, rooms).map(Some)
    }

    /// By a square of `side` queries and keys.
    pub fn square(side: usize, input: usize, of: &Masked, rooms: &mut Rooms) -> Result<KeyMask> {
        KeyMask::of(Form::Square { side, past: of.past }, input, of, of.rows, rooms)
    }

    fn of(form: Form, input: usize, of: &Masked, rows: usize, rooms: &mut Rooms) -> Result<KeyMask> {
        let &Masked { batch, keys, filter, .. } = of;
        let offset = rooms.room(&[batch, rows, keys], size_of::<f32>())?;
        Ok(KeyMask { input, form, batch, rows, keys, filter, offset })
    }

    /// How the core reads it.
    pub fn padding(&self) -> Padding {
        let row = if self.rows == 1 { 0 } else { self.keys };
        Padding { offset: self.offset, batch: self.rows * self.keys, row }
    }

    pub fn run(&self, cx: &KernelCx<'_>, room: &mut [u8]) -> Result<()> {
        let KeyMask { form, batch, rows, keys, filter, offset, .. } = *self;
        let mask = cx.input::<i32>(self.input);
        if let Form::Ends { .. } = form
            && let Some(wrong) = mask[..batch].iter().find(|&&end| end < 0)
        {
            return Err(Error::invalid_input(format!("a sequence's length is {wrong}, expected none below 0")));
        }
        let count = batch * rows * keys;
        let out = &mut elements_mut::<f32>(&mut room[offset..])[..count];
        let out = Disjoint::new(out);
        cx.parallel_ranges(batch * rows, GRAIN / keys.max(1) + 1, |range, _| {
            for place in range {
                // SAFETY: every row has its own range.
                let row = unsafe { out.range(place * keys..(place + 1) * keys) };
                let flags = |at: usize| mask[at..at + keys].iter().map(|&flag| flag > 0);
                let put = |(x, kept): (&mut f32, bool)| *x = if kept { 0.0 } else { filter };
                match form {
                    Form::Ends { starts } => {
                        let sequence = place / rows;
                        let start = if starts { i64::from(mask[batch + sequence]) } else { 0 };
                        let kept = start..i64::from(mask[sequence]);
                        row.iter_mut().zip((0..).map(|key| kept.contains(&key))).for_each(put);
                    }
                    Form::Flags => row.iter_mut().zip(flags(place * keys)).for_each(put),
                    Form::Square { side, past } => {
                        let line = place / rows * side + past + place % rows;
                        row.iter_mut().zip(flags(line * side)).for_each(put);
                    }
                }
            }
        })
    }
}
