//! Steps that move elements and compute nothing, written once for every element type.
//!
//! A [`Mover`] writes the elements of one output, in any range, from elements of its inputs. It is generic over *words*: what an
//! element is moved as. Dense elements are words of their size and go through kernels. Packed elements (2, 4 and 6 bits)
//! are unpacked to bytes first, strings are moved as indices into a table: both as values, since they allocate.

use std::ops::Range;
use std::sync::Arc;

use diptych_kernels::Isa;
use diptych_kernels::transpose::transpose;
use smallvec::SmallVec;

use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::memory::check_room;
use crate::operator::{KernelStep, OutputType, Planned, Step};
use crate::ops::sub_byte;
use crate::run::{Disjoint, KernelCx, RawSlot, ValueCx};
use crate::tensor::{Shape, Strings, Tensor, Value, byte_len, element_count};

/// What an element is moved as.
///
/// # Safety
/// Any bit pattern must be a value of the type, and its alignment at most 8.
pub unsafe trait Word: Copy + Default + Send + Sync + 'static {
    /// `y[i * columns + j] = x[j * x_stride + i]` for the whole rows that `y` holds.
    fn transpose(isa: Isa, x: &[Self], x_stride: usize, y: &mut [Self], columns: usize);
    /// The word whose low bits these are.
    fn from_bits(bits: u64) -> Self;
}

macro_rules! words {
    ($($type:ty),*) => {$(
        // SAFETY: a plain integer.
        unsafe impl Word for $type {
            fn transpose(isa: Isa, x: &[Self], x_stride: usize, y: &mut [Self], columns: usize) {
                transpose(isa, x, x_stride, y, columns);
            }
            fn from_bits(bits: u64) -> Self {
                bits as $type
            }
        }
    )*};
}
words!(u8, u16, u32, u64);

// SAFETY: two plain integers.
unsafe impl Word for [u64; 2] {
    fn transpose(_: Isa, x: &[Self], x_stride: usize, y: &mut [Self], columns: usize) {
        for (i, row) in y.chunks_exact_mut(columns).enumerate() {
            row.iter_mut().zip(x[i..].iter().step_by(x_stride)).for_each(|(y, &x)| *y = x);
        }
    }
    fn from_bits(bits: u64) -> Self {
        [bits, 0]
    }
}

/// Inputs of a mover: data as words, indices as they are.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    slots: &'a [RawSlot],
    isa: Isa,
}

impl<'a> Inputs<'a> {
    pub fn of(cx: &KernelCx<'a>) -> Inputs<'a> {
        Inputs { slots: cx.slots(), isa: cx.isa() }
    }

    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Elements of a data input. `W` is as wide as its elements.
    pub fn words<W: Word>(&self, input: usize) -> &'a [W] {
        let slot = self.slots[input];
        if slot.bytes == 0 {
            return &[];
        }
        debug_assert!((slot.ptr as usize).is_multiple_of(align_of::<W>()));
        // SAFETY: the slot is valid and aligned for its dtype, whose size is W's; nobody writes it during the step.
        unsafe { std::slice::from_raw_parts(slot.ptr.cast(), slot.bytes / size_of::<W>()) }
    }

    /// Bytes of an input that is no data.
    pub fn bytes(&self, input: usize) -> &'a [u8] {
        self.words::<u8>(input)
    }

    /// Elements of an input. `T` is its type.
    pub fn elements<T: Element>(&self, input: usize) -> &'a [T] {
        let slot = self.slots[input];
        if slot.bytes == 0 {
            return &[];
        }
        debug_assert!((slot.ptr as usize).is_multiple_of(align_of::<T>()));
        // SAFETY: the slot is valid and aligned for its dtype, which is T's; nobody writes it during the step.
        unsafe { std::slice::from_raw_parts(slot.ptr.cast(), slot.bytes / size_of::<T>()) }
    }

    /// Elements of an int32 or int64 input.
    pub fn indices(&self, input: usize, dtype: DType) -> Indices<'a> {
        if dtype == DType::I32 {
            let words = self.words::<u32>(input);
            // SAFETY: i32 and u32 have one layout.
            Indices::I32(unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), words.len()) })
        } else {
            let words = self.words::<u64>(input);
            // SAFETY: i64 and u64 have one layout.
            Indices::I64(unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), words.len()) })
        }
    }
}

/// Elements of an index tensor.
#[derive(Clone, Copy)]
pub enum Indices<'a> {
    I32(&'a [i32]),
    I64(&'a [i64]),
}

impl Indices<'_> {
    /// Index `i`, counted from the front of an axis of `len`. It must have passed [`Indices::check`].
    #[inline]
    pub fn at(&self, i: usize, len: usize) -> usize {
        let index = self.get(i);
        (if index < 0 { index + len as i64 } else { index }) as usize
    }

    /// Index `i` as it stands.
    #[inline]
    pub fn get(&self, i: usize) -> i64 {
        match self {
            Indices::I32(all) => all[i].into(),
            Indices::I64(all) => all[i],
        }
    }

    /// The row-major place, in axes of `lens`, of the coordinates that start at index `first`.
    #[inline]
    pub fn place(&self, first: usize, lens: &[usize]) -> usize {
        lens.iter().enumerate().fold(0, |place, (i, &len)| place * len + self.at(first + i, len))
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn len(&self) -> usize {
        match self {
            Indices::I32(all) => all.len(),
            Indices::I64(all) => all.len(),
        }
    }

    /// Refuses indices outside `[-len, len - 1]`.
    pub fn check(&self, len: usize) -> Result<()> {
        let inside = -(len as i64)..len as i64;
        let fits = match self {
            Indices::I32(all) => all.iter().fold(true, |fits, &i| fits & inside.contains(&i64::from(i))),
            Indices::I64(all) => all.iter().fold(true, |fits, i| fits & inside.contains(i)),
        };
        // The search for the culprit is only for the message.
        if fits { Ok(()) } else { self.check_each(&[len]) }
    }

    /// Refuses an index outside `[-len, len - 1]`, where `len` goes round `lens`: coordinate by coordinate.
    pub fn check_each(&self, lens: &[usize]) -> Result<()> {
        let outside = |(index, len): (i64, &usize)| index < -(*len as i64) || index >= *len as i64;
        let around = lens.iter().cycle();
        let found = match self {
            Indices::I32(all) => all.iter().map(|&i| i.into()).zip(around).find(|&pair| outside(pair)),
            Indices::I64(all) => all.iter().copied().zip(around).find(|&pair| outside(pair)),
        };
        match found {
            None => Ok(()),
            Some((index, len)) => {
                Err(Error::invalid_input(format!("index {index} is outside [{}, {}]", -(*len as i64), *len as i64 - 1)))
            }
        }
    }
}

/// Moves elements into one output.
pub trait Mover: Send + Sync + 'static {
    /// Whether the output starts as a copy of input 0 and `run` overwrites parts of it, in one piece.
    const OVERWRITES: bool = false;

    /// Refuses what only elements can show: indices out of range.
    fn check(&self, _inputs: Inputs<'_>) -> Result<()> {
        Ok(())
    }

    /// Writes the output's elements `range`, which are `out` and not none.
    fn run<W: Word>(&self, range: Range<usize>, inputs: Inputs<'_>, out: &mut [W]);
}

/// Bytes moved below which a chunk is not worth a thread.
const GRAIN_BYTES: usize = 1 << 17;

/// Plans `movers`, one an output. The inputs `data` have elements of `dtype`; others are indices or conditions.
pub fn plan<M: Mover>(dtype: DType, data: &[usize], movers: Vec<(Shape, M)>) -> Planned<Step> {
    for (shape, _) in &movers {
        element_count(shape)?;
    }
    match dtype.bits() {
        8 => kernel::<u8, M>(dtype, movers),
        16 => kernel::<u16, M>(dtype, movers),
        32 => kernel::<u32, M>(dtype, movers),
        64 => kernel::<u64, M>(dtype, movers),
        128 => kernel::<[u64; 2], M>(dtype, movers),
        _ => {
            let data: SmallVec<[usize; 4]> = data.into();
            Step::values(move |cx| evaluate(cx, dtype, &data, &movers))
        }
    }
}

/// What [`plan`] plans, done at once: for outputs whose shapes show only when the step runs.
pub fn evaluate<M: Mover>(cx: &ValueCx<'_>, dtype: DType, data: &[usize], movers: &[(Shape, M)]) -> Result<Vec<Value>> {
    match dtype.bits() {
        8 => dense::<u8, M>(cx, dtype, movers),
        16 => dense::<u16, M>(cx, dtype, movers),
        32 => dense::<u32, M>(cx, dtype, movers),
        64 => dense::<u64, M>(cx, dtype, movers),
        128 => dense::<[u64; 2], M>(cx, dtype, movers),
        0 => strings(cx, data, movers),
        _ => packed(cx, data, movers, dtype),
    }
}

fn kernel<W: Word, M: Mover>(dtype: DType, movers: Vec<(Shape, M)>) -> Planned<Step> {
    let outputs: Vec<OutputType> = movers.iter().map(|(shape, _)| OutputType::new(dtype, shape.clone())).collect();
    let mut bytes = 0u64;
    for output in &outputs {
        bytes += byte_len(dtype, &output.shape)? as u64;
    }
    let step = KernelStep::with_outputs(outputs, move |cx| {
        let inputs = Inputs::of(cx);
        for (output, (_, mover)) in movers.iter().enumerate().filter(|&(output, _)| cx.has_output(output)) {
            mover.check(inputs)?;
            move_words::<W, M>(cx, mover, inputs, output)?;
        }
        Ok(())
    });
    let step = if M::OVERWRITES { step.in_place(&[(0, 0)]) } else { step };
    step.cost(bytes / 8 + 100).into()
}

fn move_words<W: Word, M: Mover>(cx: &KernelCx<'_>, mover: &M, inputs: Inputs<'_>, output: usize) -> Result<()> {
    if M::OVERWRITES {
        let (from, to) = (cx.input_ptr::<u8>(0), cx.output_ptr::<u8>(output));
        let bytes = cx.slots()[0].bytes;
        if bytes > 0 && !std::ptr::eq(from, to) {
            // SAFETY: input 0 and the output are of one type and shape; two slots are the same bytes or disjoint.
            unsafe { std::ptr::copy_nonoverlapping(from, to, bytes) };
        }
    }
    let bytes = cx.output::<u8>(output);
    let count = bytes.len() / size_of::<W>();
    if count == 0 {
        return Ok(());
    }
    // SAFETY: the slot is aligned for its dtype, whose size is W's, and lent to this step alone.
    let words: &mut [W] = unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), count) };
    if M::OVERWRITES {
        mover.run(0..count, inputs, words);
        return Ok(());
    }
    let pieces = Disjoint::new(words);
    cx.parallel_ranges(count, GRAIN_BYTES / size_of::<W>(), |range, _| {
        // SAFETY: ranges of different chunks do not overlap.
        let out = unsafe { pieces.range(range.clone()) };
        mover.run(range, inputs, out);
    })
}

/// Runs movers over dense elements where they lie, into new tensors.
fn dense<W: Word, M: Mover>(cx: &ValueCx<'_>, dtype: DType, movers: &[(Shape, M)]) -> Result<Vec<Value>> {
    let mut held = Vec::new();
    let mut slots = vec![RawSlot::ABSENT; cx.inputs.len()];
    for (slot, input) in slots.iter_mut().zip(cx.inputs.iter()) {
        if let Some(Value::Dense(tensor)) = input {
            held.push(tensor.aligned()?);
            *slot = slot_of(&held[held.len() - 1]);
        }
    }
    let results: Vec<Tensor> = movers.iter().map(|(shape, _)| Tensor::zeros(dtype, shape)).collect::<Result<_>>()?;
    let outputs: Vec<RawSlot> = results.iter().map(slot_of).collect();
    let kernel = KernelCx::new(&slots, &outputs, RawSlot::ABSENT, None, cx.isa, cx.team);
    for (output, (_, mover)) in movers.iter().enumerate() {
        let inputs = Inputs::of(&kernel);
        mover.check(inputs)?;
        move_words::<W, M>(&kernel, mover, inputs, output)?;
    }
    Ok(results.into_iter().map(Value::Dense).collect())
}

fn slot_of(tensor: &Tensor) -> RawSlot {
    RawSlot { ptr: tensor.bytes().as_ptr().cast_mut(), bytes: tensor.byte_len() }
}

/// Runs movers over words made for the occasion: `data` inputs hold `words`, the others their own bytes.
fn by_value<W: Word, M: Mover>(
    cx: &ValueCx<'_>,
    data: &[usize],
    words: &mut [Vec<W>],
    movers: &[(Shape, M)],
    mut finish: impl FnMut(&Shape, Vec<W>) -> Result<Value>,
) -> Result<Vec<Value>> {
    let mut held = Vec::new();
    let mut slots = vec![RawSlot::ABSENT; cx.inputs.len()];
    for (input, slot) in slots.iter_mut().enumerate() {
        if let Some(position) = data.iter().position(|&index| index == input) {
            *slot =
                RawSlot { ptr: words[position].as_mut_ptr().cast(), bytes: size_of_val(words[position].as_slice()) };
        } else if let Some(Some(Value::Dense(tensor))) = cx.inputs.get(input) {
            let tensor = tensor.aligned()?;
            *slot = RawSlot { ptr: tensor.bytes().as_ptr().cast_mut(), bytes: tensor.byte_len() };
            held.push(tensor);
        }
    }
    let inputs = Inputs { slots: &slots, isa: cx.isa };
    let mut outputs = Vec::new();
    for (shape, mover) in movers {
        mover.check(inputs)?;
        let count = element_count(shape)?;
        // The words, and what they become: a string is a pointer and a length.
        check_room(count.saturating_mul(size_of::<W>() + size_of::<Arc<str>>()))?;
        let mut out = if M::OVERWRITES { inputs.words::<W>(0).to_vec() } else { vec![W::default(); count] };
        if count > 0 {
            mover.run(0..count, inputs, &mut out);
        }
        outputs.push(finish(shape, out)?);
    }
    Ok(outputs)
}

/// Packed elements: a byte each while they move.
fn packed<M: Mover>(cx: &ValueCx<'_>, data: &[usize], movers: &[(Shape, M)], dtype: DType) -> Result<Vec<Value>> {
    let mut codes = Vec::new();
    for &input in data {
        codes.push(match cx.inputs.get(input).and_then(Option::as_ref).and_then(Value::as_dense) {
            Some(tensor) => sub_byte::unpack(tensor.bytes(), dtype.bits(), tensor.element_count()),
            None => Vec::new(),
        });
    }
    by_value(cx, data, &mut codes, movers, |shape, out| {
        let mut tensor = Tensor::zeros(dtype, shape)?;
        sub_byte::pack(&out, dtype.bits(), tensor.bytes_mut()?);
        Ok(tensor.into())
    })
}

/// Strings: indices into a table while they move. Index 0 is the empty string, as zero is of numbers.
fn strings<M: Mover>(cx: &ValueCx<'_>, data: &[usize], movers: &[(Shape, M)]) -> Result<Vec<Value>> {
    let mut table: Vec<Arc<str>> = vec!["".into()];
    let mut ids = Vec::new();
    for &input in data {
        let first = table.len() as u64;
        if let Some(Some(Value::Strings(strings))) = cx.inputs.get(input) {
            table.extend(strings.data.iter().cloned());
        }
        ids.push((first..table.len() as u64).collect());
    }
    by_value(cx, data, &mut ids, movers, |shape, out: Vec<u64>| {
        let data = out.into_iter().map(|id| table[id as usize].clone()).collect();
        Ok(Value::Strings(Strings { shape: shape.clone(), data }))
    })
}
