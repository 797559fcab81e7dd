//! Maps: ONNX's dictionaries from integers or strings to numbers or strings.

use std::sync::Arc;

use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::tensor::{Strings, Tensor, Value};
use crate::with_dtype;

/// Keys, ascending, none twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    Integers(Arc<[i64]>),
    Strings(Arc<[Arc<str>]>),
}

impl Keys {
    pub fn dtype(&self) -> DType {
        match self {
            Keys::Integers(_) => DType::I64,
            Keys::Strings(_) => DType::String,
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Keys::Integers(keys) => keys.len(),
            Keys::Strings(keys) => keys.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// These keys in ascending order, and where each was; of equal keys the last.
    pub fn sorted(self) -> (Keys, Vec<usize>) {
        fn order<K: Ord + Clone>(keys: &[K]) -> (Arc<[K]>, Vec<usize>) {
            let mut places: Vec<usize> = (0..keys.len()).collect();
            places.sort_by(|&a, &b| keys[a].cmp(&keys[b]));
            let mut kept: Vec<usize> = Vec::with_capacity(places.len());
            for place in places {
                match kept.last_mut() {
                    Some(last) if keys[*last] == keys[place] => *last = place,
                    _ => kept.push(place),
                }
            }
            (kept.iter().map(|&place| keys[place].clone()).collect(), kept)
        }
        match self {
            Keys::Integers(keys) => {
                let (keys, places) = order(&keys);
                (Keys::Integers(keys), places)
            }
            Keys::Strings(keys) => {
                let (keys, places) = order(&keys);
                (Keys::Strings(keys), places)
            }
        }
    }
}

/// A map. Its values are a tensor of rank 1, in the order of the keys.
#[derive(Clone, Debug)]
pub struct Map {
    keys: Keys,
    values: Box<Value>,
}

impl Map {
    /// A map of keys in any order; of equal keys the last counts.
    pub fn new(keys: Keys, values: Value) -> Result<Map> {
        let count = keys.len();
        if values.shape() != Some(&[count]) {
            return Err(Error::invalid_input(format!("a map of {count} keys has the values {}", values.describe())));
        }
        let (keys, places) = keys.sorted();
        if places.len() == count && places.iter().enumerate().all(|(at, &place)| at == place) {
            return Ok(Map { keys, values: Box::new(values) });
        }
        let values = match values {
            Value::Strings(strings) => Value::Strings(Strings {
                shape: [places.len()].as_slice().into(),
                data: places.iter().map(|&place| strings.data[place].clone()).collect(),
            }),
            Value::Dense(tensor) => chosen(&tensor, &places)?.into(),
            other => return Err(Error::invalid_input(format!("a map has the values {}", other.describe()))),
        };
        Ok(Map { keys, values: Box::new(values) })
    }

    /// A map whose keys are in order and whose values are theirs.
    pub(crate) fn of_sorted(keys: Keys, values: Tensor) -> Map {
        debug_assert!(values.shape() == [keys.len()]);
        Map { keys, values: Box::new(values.into()) }
    }

    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    pub fn values(&self) -> &Value {
        &self.values
    }

    pub fn value_dtype(&self) -> DType {
        match &*self.values {
            Value::Dense(tensor) => tensor.dtype(),
            _ => DType::String,
        }
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// The elements at those places.
fn chosen(tensor: &Tensor, places: &[usize]) -> Result<Tensor> {
    fn of<T: Element>(tensor: &Tensor, places: &[usize]) -> Result<Tensor> {
        let tensor = tensor.aligned()?;
        let all = tensor.as_slice::<T>()?;
        Tensor::from_slice(&[places.len()], &places.iter().map(|&place| all[place]).collect::<Vec<T>>())
    }
    with_dtype!(tensor.dtype(), T in [F32, F64, I64] => of::<T>(tensor, places),
        else Err(Error::unsupported(format!("a map with values of {}", tensor.dtype()))))
}
