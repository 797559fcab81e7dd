//! Maps to tensors and back: CastMap, DictVectorizer, ZipMap.

use std::sync::Arc;

use diptych_kernels::small_float::PowerRounding;

use super::labels::Labels;
use super::versions;
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::map::{Keys, Map};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step};
use crate::ops::cast::{cast_value, small};
use crate::run::ValueCx;
use crate::tensor::{Sequence, Strings, Tensor, Value};
use crate::with_dtype;

fn map_of<'a>(cx: &'a ValueCx<'_>) -> Result<&'a Map> {
    match cx.input(0)? {
        Value::Map(map) => Ok(map),
        other => Err(Error::internal(format!("{} where a map was planned", other.describe()))),
    }
}

/// The elements of a list at those places, `absent` where there is none.
fn picked(values: &Value, places: &[Option<usize>], absent: &str, shape: &[usize]) -> Result<Value> {
    match values {
        Value::Strings(strings) => {
            let absent: Arc<str> = absent.into();
            let at = |place: &Option<usize>| place.map_or(&absent, |place| &strings.data[place]).clone();
            Ok(Value::Strings(Strings { shape: shape.into(), data: places.iter().map(at).collect() }))
        }
        Value::Dense(tensor) => with_dtype!(tensor.dtype(), T in [F32, F64, I64] => {
            let tensor = tensor.aligned()?;
            let all = tensor.as_slice::<T>()?;
            let data: Vec<T> = places.iter().map(|place| place.map_or_else(T::default, |place| all[place])).collect();
            Ok(Tensor::from_slice(shape, &data)?.into())
        }, else Err(Error::unsupported(format!("a map with values of {}", tensor.dtype())))),
        other => Err(Error::internal(format!("a map's values are {}", other.describe()))),
    }
}

/// Where the values of a CastMap go.
#[derive(Clone, Copy)]
enum Form {
    /// One after the other.
    Dense,
    /// Each to the column that its key says, of so many.
    Sparse(usize),
}

struct CastMap {
    to: DType,
    form: Form,
}

impl Operator for CastMap {
    fn plan(&self, _: &PlanCx<'_>) -> Planned<Step> {
        let (to, form) = (self.to, self.form);
        Step::values(move |cx| {
            let map = map_of(cx)?;
            let Keys::Integers(keys) = map.keys() else { return Err(Error::internal("integer keys were planned")) };
            let values = cast_values(cx, map.values(), to)?;
            let y = match form {
                Form::Dense => picked(&values, &(0..map.len()).map(Some).collect::<Vec<_>>(), "", &[1, map.len()])?,
                Form::Sparse(columns) => spread(&values, keys, columns)?,
            };
            Ok(vec![y])
        })
    }
}

// [panel: ai.onnx.ml.CastMap]
fn cast_values(cx: &ValueCx<'_>, values: &Value, to: DType) -> Result<Value> {
    if values.dtype() == Some(to) {
        return Ok(values.clone());
    }
    cast_value(cx.isa, values, to, small::Options { saturate: true, rounding: PowerRounding::Up })
}
// [/panel]

/// Each value in the column that its key says; a column without one has 0, or a string that is ONNX Runtime's.
fn spread(values: &Value, keys: &[i64], columns: usize) -> Result<Value> {
    let column = |&key: &i64| {
        let column = usize::try_from(key).ok().filter(|&column| column < columns);
        column.ok_or_else(|| Error::invalid_input(format!("key {key} is outside [0, {columns})")))
    };
    let places = keys.iter().map(column).collect::<Result<Vec<usize>>>()?;
    match values {
        Value::Strings(strings) => {
            let mut data: Vec<Arc<str>> = Vec::new();
            let room = data.try_reserve_exact(columns);
            room.map_err(|_| Error::resource_limit(format!("{columns} columns are more than there is memory for")))?;
            data.resize(columns, "0.f".into());
            places.iter().zip(strings.data.iter()).for_each(|(&place, text)| data[place] = text.clone());
            Ok(Value::Strings(Strings { shape: [1, columns].as_slice().into(), data: data.into() }))
        }
        Value::Dense(tensor) => with_dtype!(tensor.dtype(), T in [F32, I64] => {
            let tensor = tensor.aligned()?;
            let mut y = Tensor::zeros(tensor.dtype(), &[1, columns])?;
            let out = y.as_mut_slice::<T>()?;
            places.iter().zip(tensor.as_slice::<T>()?).for_each(|(&place, &value)| out[place] = value);
            Ok(y.into())
        }, else Err(Error::internal(format!("values cast to {}", tensor.dtype())))),
        other => Err(Error::internal(format!("a map's values are {}", other.describe()))),
    }
}

fn build_cast_map(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let to = match cx.string("cast_to")?.unwrap_or("TO_FLOAT") {
        "TO_FLOAT" => DType::F32,
        "TO_STRING" => DType::String,
        "TO_INT64" => DType::I64,
        other => {
            let message = format!("cast_to is '{other}', expected TO_FLOAT, TO_STRING or TO_INT64");
            return Err(Error::invalid_model(message));
        }
    };
    let form = match cx.string("map_form")?.unwrap_or("DENSE") {
        "DENSE" => Form::Dense,
        "SPARSE" => {
            let columns = cx.int("max_map", 1)?;
            let wrong = |_| Error::invalid_model(format!("max_map is {columns}, expected at least 0"));
            Form::Sparse(usize::try_from(columns).map_err(wrong)?)
        }
        other => return Err(Error::invalid_model(format!("map_form is '{other}', expected DENSE or SPARSE"))),
    };
    Ok(Box::new(CastMap { to, form }))
}

struct DictVectorizer {
    vocabulary: Labels,
}

// [panel: ai.onnx.ml.DictVectorizer]
impl Operator for DictVectorizer {
    fn plan(&self, _: &PlanCx<'_>) -> Planned<Step> {
        let vocabulary = self.vocabulary.clone();
        Step::values(move |cx| {
            let map = map_of(cx)?;
            let places: Vec<Option<usize>> = match (map.keys(), &vocabulary) {
                (Keys::Integers(keys), Labels::Integers(words)) => {
                    words.iter().map(|word| keys.binary_search(word).ok()).collect()
                }
                (Keys::Strings(keys), Labels::Strings(words)) => {
                    words.iter().map(|word| keys.binary_search(word).ok()).collect()
                }
                (keys, _) => {
                    let message = format!("the map's keys are {}, which is not what the vocabulary is", keys.dtype());
                    return Err(Error::new(ErrorKind::InvalidType, message));
                }
            };
            Ok(vec![picked(map.values(), &places, "", &[places.len()])?])
        })
    }
}
// [/panel]

fn build_vectorizer(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(DictVectorizer { vocabulary: Labels::of(cx, "int64_vocabulary", "string_vocabulary")? }))
}

struct ZipMap {
    /// In order.
    keys: Keys,
    /// The column of each key.
    columns: Arc<[usize]>,
    labels: usize,
}

// [panel: ai.onnx.ml.ZipMap]
impl Operator for ZipMap {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let shape = cx.shape(0)?;
        let rows = match *shape {
            [columns] if columns == self.labels => 1,
            [rows, columns] if columns == self.labels => rows,
            _ => {
                let labels = self.labels;
                return Err(Error::shape(format!("X has shape {shape:?}, expected [N, {labels}] or [{labels}]")).into());
            }
        };
        let (keys, columns, labels) = (self.keys.clone(), self.columns.clone(), self.labels);
        Step::values(move |cx| {
            let Value::Dense(x) = cx.input(0)? else { return Err(Error::internal("a dense tensor was planned")) };
            let x = x.aligned()?;
            let mut maps = Vec::new();
            let room = maps.try_reserve_exact(rows);
            room.map_err(|_| Error::resource_limit(format!("{rows} maps are more than there is memory for")))?;
            for (at, row) in x.as_slice::<f32>()?.chunks_exact(labels).enumerate() {
                if at % 1024 == 0 {
                    cx.check()?;
                }
                let mut values = Tensor::zeros(DType::F32, &[columns.len()])?;
                values.as_mut_slice::<f32>()?.iter_mut().zip(&*columns).for_each(|(v, &column)| *v = row[column]);
                maps.push(Value::Map(Map::of_sorted(keys.clone(), values)));
            }
            Ok(vec![Value::Sequence(Sequence::new(maps)?)])
        })
    }
}
// [/panel]

fn build_zip_map(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let labels = Labels::of(cx, "classlabels_int64s", "classlabels_strings")?;
    let count = labels.len();
    let keys = match labels {
        Labels::Integers(labels) => Keys::Integers(labels),
        Labels::Strings(labels) => Keys::Strings(labels),
    };
    let (keys, columns) = keys.sorted();
    Ok(Box::new(ZipMap { keys, columns: columns.into(), labels: count }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("CastMap", &[1], build_cast_map).chain(versions("DictVectorizer", &[1], build_vectorizer)).chain(versions(
        "ZipMap",
        &[1],
        build_zip_map,
    ))
}
