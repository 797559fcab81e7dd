//! The tape: values, and how those that were computed came to be.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use diptych_kernels::batch_norm::rounded;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{Attribute, Node};
use crate::math::Math;
use crate::operator::Registry;
use crate::run::{ValueCx, evaluate_on};
use crate::tensor::{Tensor, Value, element_count};
use crate::with_dtype;

/// The opset of the operators which rules are made of.
const OPSET: i64 = 22;

/// One application of an operator: places on the tape of its inputs and outputs.
pub(super) struct Entry {
    pub op_type: String,
    pub opset: i64,
    pub attributes: HashMap<String, Attribute>,
    pub inputs: Vec<Option<usize>>,
    pub outputs: Vec<usize>,
}

impl Entry {
    /// The error of an entry that has no rule.
    pub fn refused(&self, why: &str) -> Error {
        Error::unsupported(format!("Gradient has no rule for {} at opset {}{why}", self.op_type, self.opset))
    }

    /// The place of an input that is there.
    pub fn input(&self, position: usize) -> Result<usize> {
        let place = self.inputs.get(position).copied().flatten();
        place.ok_or_else(|| Error::invalid_model(format!("input {position} of {} is absent", self.op_type)))
    }

    pub fn int(&self, name: &str, default: i64) -> i64 {
        match self.attributes.get(name) {
            Some(Attribute::Int(value)) => *value,
            _ => default,
        }
    }

    pub fn float(&self, name: &str, default: f32) -> f32 {
        match self.attributes.get(name) {
            Some(Attribute::Float(value)) => *value,
            _ => default,
        }
    }

    /// A list of integers; an empty one is as good as none.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.attributes.get(name) {
            Some(Attribute::Ints(values)) if !values.is_empty() => Some(values),
            _ => None,
        }
    }
}

pub(super) struct Tape<'a, 'b> {
    values: Vec<Value>,
    entries: Vec<Arc<Entry>>,
    cx: &'a ValueCx<'b>,
}

impl<'a, 'b> Tape<'a, 'b> {
    pub fn new(cx: &'a ValueCx<'b>) -> Tape<'a, 'b> {
        Tape { values: Vec::new(), entries: Vec::new(), cx }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn entry(&self, index: usize) -> Arc<Entry> {
        self.entries[index].clone()
    }

    pub fn value(&self, place: usize) -> &Value {
        &self.values[place]
    }

    /// An error if the run was cancelled or is past its deadline.
    pub fn check(&self) -> Result<()> {
        self.cx.check()
    }

    pub fn tensor(&self, place: usize) -> Result<&Tensor> {
        let value = &self.values[place];
        value.as_dense().ok_or_else(|| Error::shape(format!("{} is not a dense tensor", value.describe())))
    }

    pub fn dtype(&self, place: usize) -> Result<DType> {
        Ok(self.tensor(place)?.dtype())
    }

    pub fn shape(&self, place: usize) -> Result<Vec<usize>> {
        Ok(self.tensor(place)?.shape().to_vec())
    }

    /// A value that nothing computed.
    pub fn add(&mut self, value: Value) -> usize {
        self.values.push(value);
        self.values.len() - 1
    }

    /// Evaluates a node of these inputs and writes it down; the places of its outputs.
    pub fn record(&mut self, node: &Node, inputs: Vec<Option<usize>>) -> Result<Vec<usize>> {
        self.check()?;
        let no_subgraphs = |_: &_| Err(Error::unsupported("Gradient does not look into subgraphs"));
        let operator = Registry::builtin().build(node, &no_subgraphs)?;
        let values: Vec<Option<Value>> =
            inputs.iter().map(|input| input.map(|place| self.values[place].clone())).collect();
        let results = evaluate_on(&*operator, node, &values, self.cx.isa, Math::Exact, self.cx.team)?;
        let outputs: Vec<usize> = results.into_iter().take(node.outputs.len()).map(|value| self.add(value)).collect();
        self.entries.push(Arc::new(Entry {
            op_type: node.op_type.clone(),
            opset: node.opset,
            attributes: node.attributes.clone(),
            inputs,
            outputs: outputs.clone(),
        }));
        Ok(outputs)
    }

    /// The one output of an operator that a rule uses.
    pub fn apply(&mut self, op_type: &str, inputs: &[usize]) -> Result<usize> {
        self.apply_with(op_type, inputs, [])
    }

    pub fn apply_with<const N: usize>(
        &mut self,
        op_type: &str,
        inputs: &[usize],
        attributes: [(&str, Attribute); N],
    ) -> Result<usize> {
        let node = Node {
            name: op_type.into(),
            domain: String::new(),
            op_type: op_type.into(),
            opset: OPSET,
            inputs: (0..inputs.len()).map(Some).collect(),
            outputs: vec![Some(inputs.len())],
            attributes: attributes.into_iter().map(|(name, value)| (name.into(), value)).collect(),
            captures: Vec::new(),
            around: None,
        };
        let outputs = self.record(&node, inputs.iter().copied().map(Some).collect())?;
        outputs.first().copied().ok_or_else(|| Error::internal(format!("{op_type} gives nothing")))
    }

    /// The values that some values have a part in, and those themselves.
    pub fn depending_on(&self, wanted: &[usize]) -> HashSet<usize> {
        let mut active: HashSet<usize> = wanted.iter().copied().collect();
        for entry in &self.entries {
            if entry.inputs.iter().flatten().any(|input| active.contains(input)) {
                active.extend(&entry.outputs);
            }
        }
        active
    }

    fn constant(&mut self, number: f64, dtype: DType, shape: &[usize]) -> Result<usize> {
        let count = element_count(shape)?;
        let tensor = with_dtype!(
            dtype, T in [F32, F64, F16, BF16] => Tensor::from_slice::<T>(shape, &vec![rounded::<T>(number); count])?,
            else return Err(Error::shape(format!("{dtype} is not a type of floats")))
        );
        Ok(self.add(tensor.into()))
    }

    /// A number of the type of a value.
    pub fn like(&mut self, number: f64, place: usize) -> Result<usize> {
        self.constant(number, self.dtype(place)?, &[])
    }

    /// A tensor like a value, full of a number.
    pub fn filled(&mut self, number: f64, place: usize) -> Result<usize> {
        let shape = self.shape(place)?;
        self.constant(number, self.dtype(place)?, &shape)
    }

    /// A list of integers: shapes and axes.
    pub fn ints(&mut self, numbers: &[i64]) -> Result<usize> {
        Ok(self.add(Tensor::from_slice(&[numbers.len()], numbers)?.into()))
    }

    /// A value under another shape.
    pub fn reshaped(&mut self, place: usize, shape: &[usize]) -> Result<usize> {
        let shape = self.ints(&signed(shape))?;
        self.apply_with("Reshape", &[place, shape], [("allowzero", Attribute::Int(1))])
    }

    /// The sum over some axes, which are kept.
    pub fn summed(&mut self, place: usize, axes: &[usize]) -> Result<usize> {
        let axes = self.ints(&signed(axes))?;
        self.apply_with("ReduceSum", &[place, axes], [("keepdims", Attribute::Int(1))])
    }

    /// A gradient summed over the axes along which `like` was broadcast.
    pub fn fitted(&mut self, place: usize, like: usize) -> Result<usize> {
        let (shape, wanted) = (self.shape(place)?, self.shape(like)?);
        if shape == wanted {
            return Ok(place);
        }
        let extra = shape.len().saturating_sub(wanted.len());
        let kept = |axis: usize| if axis < extra { 1 } else { wanted[axis - extra] };
        let axes: Vec<usize> = (0..shape.len()).filter(|&axis| kept(axis) != shape[axis]).collect();
        let summed = if axes.is_empty() { place } else { self.summed(place, &axes)? };
        self.reshaped(summed, &wanted)
    }

    /// The last two axes swapped.
    pub fn swapped(&mut self, place: usize) -> Result<usize> {
        let rank = self.shape(place)?.len();
        let mut perm: Vec<i64> = (0..rank as i64).collect();
        perm.swap(rank - 2, rank - 1);
        self.permuted(place, perm)
    }

    pub fn permuted(&mut self, place: usize, perm: Vec<i64>) -> Result<usize> {
        self.apply_with("Transpose", &[place], [("perm", Attribute::Ints(perm))])
    }
}

pub(super) fn signed(numbers: &[usize]) -> Vec<i64> {
    numbers.iter().map(|&n| n as i64).collect()
}
