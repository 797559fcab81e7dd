//! Categories to other categories: LabelEncoder, CategoryMapper, OneHotEncoder.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diptych_kernels::cast::cast;

use super::versions;
use crate::dtype::{DType, Element};
use crate::error::{Error, ErrorKind, Result};
use crate::operator::{BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step};
use crate::ops::elements::elements;
use crate::tensor::{Shape, Strings, Tensor, Value, element_count};
use crate::with_dtype;

/// Elements below which a chunk is not worth a thread.
const GRAIN: usize = 1 << 12;

/// How floats are compared.
#[derive(Clone, Copy, PartialEq)]
enum Floats {
    /// Bit by bit: -0 is not 0, and a NaN is a NaN of the same payload alone.
    Bits,
    /// By value: -0 is 0, and every NaN is every other.
    Values,
}

/// A number as a key of a table.
trait Key: Element {
    fn key(self, floats: Floats) -> u64;
}

macro_rules! keys {
    (integers $($type:ty),*) => {$(
        impl Key for $type {
            fn key(self, _: Floats) -> u64 {
                i64::from(self) as u64
            }
        }
    )*};
    (floats $($type:ty),*) => {$(
        impl Key for $type {
            fn key(self, floats: Floats) -> u64 {
                if floats == Floats::Bits {
                    return self.to_bits().into();
                }
                (if self.is_nan() { <$type>::NAN } else { self + 0.0 }).to_bits().into()
            }
        }
    )*};
}
keys!(integers i16, i32, i64);
keys!(floats f32, f64);

/// Places of keys.
enum Table {
    Numbers(HashMap<u64, u32>),
    Strings(HashMap<Arc<str>, u32>),
}

/// Keys and what they become. The last of equal keys counts.
struct Encoder {
    keys: DType,
    floats: Floats,
    table: Table,
    /// A value for each key, and then the one for what is no key.
    values: Arc<Value>,
    count: usize,
}

// [panel: ai.onnx.ml.LabelEncoder ai.onnx.ml.CategoryMapper]
impl Encoder {
    fn new(keys: &Value, floats: Floats, values: Value, default: Value) -> Result<Encoder> {
        let count = length(keys)?;
        if length(&values)? != count {
            let message = format!("{count} keys and {} values, expected as many", length(&values)?);
            return Err(Error::invalid_model(message));
        }
        u32::try_from(count).map_err(|_| Error::resource_limit("more keys than can be counted"))?;
        let table = match keys {
            Value::Strings(strings) => Table::Strings(strings.data.iter().cloned().zip(0..).collect()),
            Value::Dense(tensor) => Table::Numbers(numbers(tensor, floats)?.into_iter().zip(0..).collect()),
            other => return Err(Error::internal(format!("keys are {}", other.describe()))),
        };
        let keys = keys.dtype().ok_or_else(|| Error::internal("keys without a type"))?;
        Ok(Encoder { keys, floats, table, values: Arc::new(appended(&values, &default)?), count })
    }

    /// A step for X of the keys' type.
    fn step(self: &Arc<Self>, shape: &[usize]) -> Planned<Step> {
        let encoder = self.clone();
        let values = match &*self.values {
            Value::Dense(values) if self.keys != DType::String => values,
            _ => return Step::values(move |cx| Ok(vec![encoder.encoded(cx.input(0)?)?])),
        };
        let (dtype, bits) = (values.dtype(), values.dtype().bits());
        macro_rules! kernel {
            ($word:ty) => {
                with_dtype!(self.keys, K in [F32, F64, I16, I32, I64] => encoder.kernel::<K, $word>(dtype, shape),
                    else Err(Error::internal("keys of another type").into()))
            };
        }
        match bits {
            16 => kernel!(u16),
            32 => kernel!(u32),
            _ => kernel!(u64),
        }
    }

    /// Numbers to numbers, moved as words `W`.
    fn kernel<K: Key, W: Element>(self: Arc<Self>, dtype: DType, shape: &[usize]) -> Planned<Step> {
        KernelStep::new(dtype, shape, move |cx| {
            let (Table::Numbers(table), Value::Dense(values)) = (&self.table, &*self.values) else {
                return Err(Error::internal("numbers were planned"));
            };
            let (x, values) = (cx.input::<K>(0), elements::<W>(values.bytes()));
            let (floats, unknown) = (self.floats, self.count as u32);
            cx.parallel_rows(cx.output::<W>(0), 1, GRAIN, |first, out, _| {
                for (y, &x) in out.iter_mut().zip(&x[first..]) {
                    *y = values[table.get(&x.key(floats)).copied().unwrap_or(unknown) as usize];
                }
            })
        })
        .into()
    }

    /// The place of each element's key, `count` for what is no key.
    fn places(&self, x: &Value) -> Result<Vec<u32>> {
        let unknown = self.count as u32;
        match (x, &self.table) {
            (Value::Strings(strings), Table::Strings(table)) => {
                Ok(strings.data.iter().map(|text| table.get(text).copied().unwrap_or(unknown)).collect())
            }
            (Value::Dense(tensor), Table::Numbers(table)) => {
                let keys = numbers(tensor, self.floats)?;
                Ok(keys.iter().map(|key| table.get(key).copied().unwrap_or(unknown)).collect())
            }
            (other, _) => Err(Error::internal(format!("{} where keys were planned", other.describe()))),
        }
    }

    fn encoded(&self, x: &Value) -> Result<Value> {
        let shape = x.shape().unwrap_or_default();
        let places = self.places(x)?;
        match &*self.values {
            Value::Strings(strings) => {
                let data = places.iter().map(|&place| strings.data[place as usize].clone()).collect();
                Ok(Value::Strings(Strings { shape: shape.into(), data }))
            }
            Value::Dense(values) => {
                let size = values.dtype().bits() / 8;
                let mut y = Tensor::zeros(values.dtype(), shape)?;
                for (to, &place) in y.bytes_mut()?.chunks_exact_mut(size).zip(&places) {
                    to.copy_from_slice(&values.bytes()[place as usize * size..][..size]);
                }
                Ok(y.into())
            }
            other => Err(Error::internal(format!("values are {}", other.describe()))),
        }
    }
}
// [/panel]

/// Elements of a list of labels.
fn length(list: &Value) -> Result<usize> {
    element_count(list.shape().unwrap_or_default())
}

/// The keys of a tensor's elements.
fn numbers(tensor: &Tensor, floats: Floats) -> Result<Vec<u64>> {
    let tensor = tensor.aligned()?;
    with_dtype!(tensor.dtype(), K in [F32, F64, I16, I32, I64] =>
        Ok(tensor.as_slice::<K>()?.iter().map(|key| key.key(floats)).collect()),
        else Err(Error::internal(format!("keys of {}", tensor.dtype()))))
}

/// A list with one more element.
fn appended(values: &Value, last: &Value) -> Result<Value> {
    match (values, last) {
        (Value::Strings(values), Value::Strings(last)) => {
            let data: Arc<[Arc<str>]> = values.data.iter().chain(last.data.iter()).cloned().collect();
            Ok(Value::Strings(Strings { shape: Shape::from_slice(&[data.len()]), data }))
        }
        (Value::Dense(values), Value::Dense(last)) if values.dtype() == last.dtype() => {
            let mut all = Tensor::zeros(values.dtype(), &[values.element_count() + 1])?;
            let (before, after) = all.bytes_mut()?.split_at_mut(values.byte_len());
            before.copy_from_slice(values.bytes());
            after.copy_from_slice(last.bytes());
            Ok(all.into())
        }
        _ => Err(Error::internal(format!("{} and {}", values.describe(), last.describe()))),
    }
}

fn text_list<'a>(texts: impl IntoIterator<Item = &'a str>) -> Value {
    let data: Arc<[Arc<str>]> = texts.into_iter().map(Arc::from).collect();
    Value::Strings(Strings { shape: Shape::from_slice(&[data.len()]), data })
}

fn number_list<T: Element>(numbers: &[T]) -> Result<Value> {
    Ok(Tensor::from_slice(&[numbers.len()], numbers)?.into())
}

/// An operator with an encoder for each type of keys it takes.
struct Encoding {
    encoders: Vec<Arc<Encoder>>,
}

impl Operator for Encoding {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        match self.encoders.iter().find(|encoder| encoder.keys == dtype) {
            Some(encoder) => encoder.step(cx.shape(0)?),
            None => {
                let keys: Vec<String> = self.encoders.iter().map(|encoder| encoder.keys.to_string()).collect();
                let message = format!("X is of {dtype}, the keys are of {}", keys.join(", "));
                Err(Error::new(ErrorKind::InvalidType, message).into())
            }
        }
    }
}

/// Both ways between strings and integers.
fn both_ways(cx: &BuildCx<'_>, strings: &[String], integers: &[i64]) -> Result<Box<dyn Operator>> {
    let (texts, numbers) = (text_list(strings.iter().map(String::as_str)), number_list(integers)?);
    let number = number_list(&[cx.int("default_int64", -1)?])?;
    let text = text_list([cx.string("default_string")?.unwrap_or("_Unused")]);
    let to_numbers = Encoder::new(&texts, Floats::Bits, numbers.clone(), number)?;
    let to_texts = Encoder::new(&numbers, Floats::Bits, texts, text)?;
    Ok(Box::new(Encoding { encoders: vec![Arc::new(to_numbers), Arc::new(to_texts)] }))
}

fn build_first_encoder(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let strings = cx.required("classes_strings", cx.strings("classes_strings")?)?;
    both_ways(cx, strings, &(0..strings.len() as i64).collect::<Vec<_>>())
}

fn build_mapper(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let strings = cx.strings("cats_strings")?.unwrap_or_default();
    let integers = cx.ints("cats_int64s")?.unwrap_or_default();
    if strings.len() != integers.len() {
        let (integers, strings) = (integers.len(), strings.len());
        let message = format!("{integers} cats_int64s and {strings} cats_strings, expected as many");
        return Err(Error::invalid_model(message));
    }
    both_ways(cx, strings, integers)
}

/// The one list that is given: `keys_*` or `values_*`.
fn given(cx: &BuildCx<'_>, what: &str) -> Result<Value> {
    let mut found = Vec::new();
    match cx.floats(&format!("{what}_floats"))? {
        None | Some([]) => {}
        Some(list) => found.push(number_list(list)?),
    }
    match cx.ints(&format!("{what}_int64s"))? {
        None | Some([]) => {}
        Some(list) => found.push(number_list(list)?),
    }
    match cx.strings(&format!("{what}_strings"))? {
        None | Some([]) => {}
        Some(list) => found.push(text_list(list.iter().map(String::as_str))),
    }
    if let Some(tensor) = cx.tensor(&format!("{what}_tensor"))? {
        let known = [DType::F32, DType::F64, DType::I64, DType::I32, DType::I16, DType::String];
        let fits = tensor.dtype().is_some_and(|dtype| known.contains(&dtype));
        if !fits || tensor.shape().map(<[usize]>::len) != Some(1) {
            let message = format!("{what}_tensor is {}, expected a list of labels", tensor.describe());
            return Err(Error::invalid_model(message));
        }
        found.push(tensor.clone());
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        count => Err(Error::invalid_model(format!("{count} of the {what}_* attributes are given, expected one"))),
    }
}

/// What becomes of elements that are no keys: `default_tensor`, else the default of the values' type.
fn default_of(cx: &BuildCx<'_>, values: &Value) -> Result<Value> {
    let dtype = values.dtype().ok_or_else(|| Error::internal("values without a type"))?;
    if let Some(tensor) = cx.tensor("default_tensor")? {
        if tensor.dtype() != Some(dtype) || length(tensor)? != 1 {
            let message = format!("default_tensor is {}, expected one element of {dtype}", tensor.describe());
            return Err(Error::invalid_model(message));
        }
        return Ok(tensor.clone());
    }
    match dtype {
        DType::F32 => number_list(&[cx.float("default_float", -0.0)?]),
        DType::F64 => number_list(&[-0.0f64]),
        DType::I64 => number_list(&[cx.int("default_int64", -1)?]),
        DType::I32 => number_list(&[-1i32]),
        DType::I16 => number_list(&[-1i16]),
        _ => Ok(text_list([cx.string("default_string")?.unwrap_or("_Unused")])),
    }
}

fn build_encoder(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let floats = if cx.since < 4 { Floats::Bits } else { Floats::Values };
    let (keys, values) = (given(cx, "keys")?, given(cx, "values")?);
    let default = default_of(cx, &values)?;
    Ok(Box::new(Encoding { encoders: vec![Arc::new(Encoder::new(&keys, floats, values, default)?)] }))
}

struct OneHotEncoder {
    encoder: Arc<Encoder>,
    /// Whether an unknown category gives zeros, not an error.
    zeros: bool,
}

// [panel: ai.onnx.ml.OneHotEncoder]
impl OneHotEncoder {
    fn shape(&self, x: &[usize]) -> Result<Shape> {
        let mut shape = Shape::from_slice(x);
        shape.push(self.encoder.count);
        element_count(&shape)?;
        Ok(shape)
    }

    fn unknown() -> Error {
        Error::invalid_input("an element is of no known category, and zeros is 0")
    }

    /// Numbers are cast to int64.
    fn step<S: Element + diptych_kernels::cast::Source>(&self, shape: &[usize]) -> Planned<Step>
    where
        i64: diptych_kernels::cast::Target<S::Wide>,
    {
        let (encoder, zeros, count) = (self.encoder.clone(), self.zeros, self.encoder.count);
        KernelStep::new(DType::F32, self.shape(shape)?, move |cx| {
            let (isa, x) = (cx.isa(), cx.input::<S>(0));
            let Table::Numbers(table) = &encoder.table else { return Err(Error::internal("numbers were planned")) };
            let missed = AtomicBool::new(false);
            cx.parallel_rows(cx.output::<f32>(0), count, (GRAIN / count).max(1), |first, out, _| {
                out.fill(0.0);
                let x = &x[first..];
                let mut key = [0i64];
                for (row, x) in out.chunks_exact_mut(count).zip(x) {
                    cast(isa, std::slice::from_ref(x), &mut key);
                    match table.get(&(key[0] as u64)) {
                        Some(&place) => row[place as usize] = 1.0,
                        None => missed.store(true, Ordering::Relaxed),
                    }
                }
            })?;
            if missed.into_inner() && !zeros { Err(OneHotEncoder::unknown()) } else { Ok(()) }
        })
        .into()
    }
}
// [/panel]

impl Operator for OneHotEncoder {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (dtype, x) = (cx.dtype(0)?, cx.shape(0)?);
        if (dtype == DType::String) != (self.encoder.keys == DType::String) {
            let message = format!("X is of {dtype}, which is not what the categories are");
            return Err(Error::new(ErrorKind::InvalidType, message).into());
        }
        if dtype != DType::String {
            return with_dtype!(dtype, S in [F32, F64, I32, I64] => self.step::<S>(x),
                else Err(Error::unsupported(format!("categories of {dtype}")).into()));
        }
        let (encoder, zeros, shape) = (self.encoder.clone(), self.zeros, self.shape(x)?);
        Step::values(move |cx| {
            let places = encoder.places(cx.input(0)?)?;
            let mut y = Tensor::zeros(DType::F32, &shape)?;
            for (row, place) in y.as_mut_slice::<f32>()?.chunks_exact_mut(encoder.count).zip(places) {
                match row.get_mut(place as usize) {
                    Some(one) => *one = 1.0,
                    None if zeros => {}
                    None => return Err(OneHotEncoder::unknown()),
                }
            }
            Ok(vec![y.into()])
        })
    }
}

fn build_one_hot(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let integers = cx.ints("cats_int64s")?.unwrap_or_default();
    let strings = cx.strings("cats_strings")?.unwrap_or_default();
    if integers.is_empty() == strings.is_empty() {
        return Err(Error::invalid_model("one of cats_int64s and cats_strings must be given"));
    }
    let keys = if integers.is_empty() { text_list(strings.iter().map(String::as_str)) } else { number_list(integers)? };
    // The values are not used: the place is.
    let places = number_list(&vec![0i16; length(&keys)?])?;
    let encoder = Arc::new(Encoder::new(&keys, Floats::Bits, places, number_list(&[0i16])?)?);
    Ok(Box::new(OneHotEncoder { encoder, zeros: cx.int("zeros", 1)? != 0 }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("LabelEncoder", &[1], build_first_encoder)
        .chain(versions("LabelEncoder", &[2, 4], build_encoder))
        .chain(versions("CategoryMapper", &[1], build_mapper))
        .chain(versions("OneHotEncoder", &[1], build_one_hot))
}
