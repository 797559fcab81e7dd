//! What ONNX says of each operator version: its inputs with their types, how many it takes and gives, its attributes.
//!
//! Operators do not check these themselves: [`crate::operator::Registry::build`] holds every node against its signature,
//! when it is built and when it is planned. The table knows every operator of ONNX, also those without a row.

use smallvec::SmallVec;

use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::tensor::ValueType;

#[rustfmt::skip]
mod table;

pub use table::SIGNATURES;

/// A set of element types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Types(u32);

impl Types {
    pub const fn of(dtypes: &[DType]) -> Types {
        let mut bits = 0;
        let mut i = 0;
        while i < dtypes.len() {
            bits |= 1 << dtypes[i] as u8;
            i += 1;
        }
        Types(bits)
    }

    pub fn contains(self, dtype: DType) -> bool {
        self.0 & (1 << dtype as u8) != 0
    }

    fn iter(self) -> impl Iterator<Item = DType> {
        DType::ALL.iter().copied().filter(move |&dtype| self.contains(dtype))
    }
}

/// The types that an input may have, by the element types of their tensors.
#[derive(Debug)]
pub struct TypeSet {
    pub tensors: Types,
    pub sequences: Types,
    pub optionals: Types,
    pub optional_sequences: Types,
    /// Keys and values. No value of the engine is a map yet.
    pub maps: &'static [(DType, DType)],
}

impl TypeSet {
    const NONE: TypeSet = TypeSet {
        tensors: Types::of(&[]),
        sequences: Types::of(&[]),
        optionals: Types::of(&[]),
        optional_sequences: Types::of(&[]),
        maps: &[],
    };

    fn contains(&self, ty: ValueType) -> bool {
        match ty {
            ValueType::Tensor(dtype) => self.tensors.contains(dtype),
            ValueType::Sequence(dtype) => self.sequences.contains(dtype),
            ValueType::Optional(dtype) => self.optionals.contains(dtype),
            ValueType::EmptySequence | ValueType::Absent | ValueType::Nested => false,
        }
    }

    /// Whether an optional of this type is of the set.
    fn contains_optional(&self, ty: ValueType) -> bool {
        match ty {
            ValueType::Tensor(dtype) => self.optionals.contains(dtype),
            ValueType::Sequence(dtype) => self.optional_sequences.contains(dtype),
            _ => false,
        }
    }
}

impl std::fmt::Display for TypeSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let spelled = |types: Types, before: &'static str, after: &'static str| {
            types.iter().map(move |dtype| format!("{before}tensor({dtype}){after}"))
        };
        let maps = self.maps.iter().map(|(key, value)| format!("map({key},tensor({value}))"));
        let all: Vec<String> = spelled(self.tensors, "", "")
            .chain(spelled(self.sequences, "seq(", ")"))
            .chain(spelled(self.optionals, "optional(", ")"))
            .chain(spelled(self.optional_sequences, "optional(seq(", "))"))
            .chain(maps)
            .collect();
        f.write_str(&all.join(", "))
    }
}

/// How often an input comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Required,
    Optional,
    /// Any number of values of one type, none of them absent.
    Variadic,
    /// Any number of values, each of a type of its own, or absent.
    Heterogeneous,
}

/// One formal input.
#[derive(Debug)]
pub struct Input {
    pub name: &'static str,
    pub presence: Presence,
    /// Inputs with one number have one type.
    pub variable: u8,
    pub types: &'static TypeSet,
}

/// The kind of an attribute, as `AttributeProto` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeKind {
    Int,
    Float,
    String,
    Tensor,
    Graph,
    SparseTensor,
    TypeProto,
    Ints,
    Floats,
    Strings,
}

/// One attribute.
#[derive(Debug)]
pub struct FormalAttribute {
    pub name: &'static str,
    pub kind: AttributeKind,
    pub required: bool,
}

/// One version of one operator.
#[derive(Debug)]
pub struct Signature {
    /// `""` for ai.onnx.
    pub domain: &'static str,
    pub op_type: &'static str,
    pub since: i64,
    pub min_inputs: usize,
    pub inputs: &'static [Input],
    /// The least and the greatest number of outputs, `usize::MAX` for any number.
    pub outputs: (usize, usize),
    /// Sorted by name.
    pub attributes: &'static [FormalAttribute],
}

/// The signature of exactly that version.
pub fn find(domain: &str, op_type: &str, since: i64) -> Option<&'static Signature> {
    let key = |signature: &Signature| (signature.domain, signature.op_type, signature.since);
    let found = SIGNATURES.binary_search_by(|signature| key(signature).cmp(&(domain, op_type, since)));
    found.ok().map(|index| &SIGNATURES[index])
}

impl Signature {
    /// `Slice-13`: how messages name it.
    pub fn name(&self) -> String {
        let domain = if self.domain.is_empty() { String::new() } else { format!("{}.", self.domain) };
        format!("{domain}{}-{}", self.op_type, self.since)
    }

    /// The formal input at a position; a variadic one, the last, takes all that follow.
    fn input(&self, position: usize) -> Option<&'static Input> {
        self.inputs.get(position).or_else(|| self.inputs.last().filter(|_| self.is_variadic()))
    }

    fn is_variadic(&self) -> bool {
        let last = self.inputs.last().map(|input| input.presence);
        matches!(last, Some(Presence::Variadic | Presence::Heterogeneous))
    }

    /// Every input must have a type its constraint allows, and inputs that share a type variable the same type. `None`
    /// is an absent input.
    pub fn check_types(&self, inputs: impl IntoIterator<Item = Option<ValueType>>) -> Result<()> {
        let mut bound: SmallVec<[(u8, ValueType); 4]> = SmallVec::new();
        for (position, ty) in inputs.into_iter().enumerate() {
            let (Some(input), Some(ty)) = (self.input(position), ty) else { continue };
            if matches!(ty, ValueType::Absent) {
                continue;
            }
            let first = bound.iter().find(|(variable, _)| *variable == input.variable).map(|(_, ty)| *ty);
            let wanted = first.filter(|_| input.presence != Presence::Heterogeneous);
            let fits = input.types.contains(ty) && wanted.is_none_or(|wanted| wanted == ty);
            if !fits && !input.types.contains_optional(ty) && ty != ValueType::EmptySequence {
                return Err(self.wrong_type(input, ty, wanted));
            }
            if first.is_none() {
                bound.push((input.variable, ty));
            }
        }
        Ok(())
    }

    fn wrong_type(&self, input: &Input, got: ValueType, wanted: Option<ValueType>) -> Error {
        let expected = match wanted {
            Some(wanted) => wanted.to_string(),
            None => format!("one of {}", input.types),
        };
        let message = format!("{}, input '{}': got {got}, expected {expected}", self.name(), input.name);
        Error::new(ErrorKind::InvalidType, message)
    }
}

const fn op(
    domain: &'static str,
    op_type: &'static str,
    since: i64,
    min_inputs: usize,
    inputs: &'static [Input],
    outputs: (usize, usize),
    attributes: &'static [FormalAttribute],
) -> Signature {
    Signature { domain, op_type, since, min_inputs, inputs, outputs, attributes }
}

const fn one(name: &'static str, variable: u8, types: &'static TypeSet) -> Input {
    Input { name, presence: Presence::Required, variable, types }
}

const fn opt(name: &'static str, variable: u8, types: &'static TypeSet) -> Input {
    Input { name, presence: Presence::Optional, variable, types }
}

const fn many(name: &'static str, variable: u8, types: &'static TypeSet) -> Input {
    Input { name, presence: Presence::Variadic, variable, types }
}

const fn mixed(name: &'static str, variable: u8, types: &'static TypeSet) -> Input {
    Input { name, presence: Presence::Heterogeneous, variable, types }
}

const fn attribute(name: &'static str, kind: AttributeKind) -> FormalAttribute {
    FormalAttribute { name, kind, required: false }
}

const fn required(name: &'static str, kind: AttributeKind) -> FormalAttribute {
    FormalAttribute { name, kind, required: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::Registry;

    const F: ValueType = ValueType::Tensor(DType::F32);
    const I64: ValueType = ValueType::Tensor(DType::I64);
    const I32: ValueType = ValueType::Tensor(DType::I32);

    /// The message with which types are refused, "" if they are taken.
    fn refusal(op_type: &str, since: i64, types: &[Option<ValueType>]) -> String {
        match find("", op_type, since).unwrap().check_types(types.iter().copied()) {
            Ok(()) => String::new(),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidType);
                error.message().to_owned()
            }
        }
    }

    #[test]
    fn every_row_of_onnx_is_found() {
        let keys = SIGNATURES.iter().map(|signature| (signature.domain, signature.op_type, signature.since));
        assert!(keys.is_sorted_by(|a, b| a < b));
        for row in Registry::builtin().rows() {
            assert!(find(row.domain, row.op_type, row.since).is_some(), "{}-{}", row.op_type, row.since);
        }
        assert!(find("", "Slice", 12).is_none() && find("com.example", "Slice", 13).is_none());
    }

    #[test]
    fn inputs_of_one_variable_have_one_type() {
        assert_eq!(refusal("Slice", 13, &[Some(F), Some(I64), Some(I64), None, Some(I64)]), "");
        assert_eq!(
            refusal("Slice", 13, &[Some(F), Some(I64), Some(I32)]),
            "Slice-13, input 'ends': got tensor(int32), expected tensor(int64)"
        );
        assert_eq!(
            refusal("Slice", 13, &[Some(F), Some(F), Some(F)]),
            "Slice-13, input 'starts': got tensor(float), expected one of tensor(int32), tensor(int64)"
        );
    }

    #[test]
    fn every_value_of_a_variadic_input_counts() {
        assert_eq!(refusal("Concat", 13, &[Some(F); 9]), "");
        assert!(refusal("Concat", 13, &[Some(F), Some(F), Some(F), Some(I64)]).contains("'inputs': got tensor(int64)"));
        let (trips, proceed) = (Some(I64), Some(ValueType::Tensor(DType::Bool)));
        assert_eq!(refusal("Loop", 13, &[trips, proceed, Some(F), Some(I32), Some(ValueType::EmptySequence)]), "");
        assert!(
            refusal("Loop", 13, &[Some(F), None]).contains("'M': got tensor(float), expected one of tensor(int64)")
        );
    }

    #[test]
    fn sequences_and_optionals_are_types_of_their_own() {
        let [floats, bfloats] = [DType::F32, DType::BF16].map(|dtype| Some(ValueType::Sequence(dtype)));
        assert_eq!(refusal("Identity", 14, &[floats]), "");
        assert!(refusal("Identity", 13, &[floats]).contains("got seq(tensor(float))"));
        assert!(refusal("Identity", 14, &[bfloats]).contains("got seq(tensor(bfloat16))"));
        // An optional takes the value itself, an empty sequence is of any type, and what holds nothing is absent.
        assert_eq!(refusal("OptionalHasElement", 15, &[Some(F)]), "");
        assert_eq!(refusal("Identity", 14, &[Some(ValueType::EmptySequence)]), "");
        assert_eq!(refusal("Slice", 13, &[Some(ValueType::Absent)]), "");
        assert!(refusal("Identity", 28, &[Some(ValueType::Nested)]).contains("what is no tensor"));
    }
}
