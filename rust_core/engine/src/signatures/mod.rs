//! What ONNX says of each operator version: its inputs with their types, how many it takes and gives, its attributes.
//!
//! Operators do not check these themselves: [`crate::operator::Registry::build`] holds every node against its signature,
//! when it is built and when it is planned. The table knows every operator of ONNX, also those without a row.

use smallvec::SmallVec;

use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Attribute, Node, ValueId};
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

    fn is_empty(self) -> bool {
        self.0 == 0
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
    /// Keys and values.
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
            ValueType::Map(key, value) => self.maps.contains(&(key, value)),
            ValueType::EmptySequence => !self.sequences.is_empty(),
            ValueType::Absent | ValueType::Nested => false,
        }
    }

    /// Whether an optional of this type is of the set. An optional that holds a value is that value, so only what holds
    /// nothing is known to be one.
    fn contains_optional(&self, ty: ValueType) -> bool {
        match ty {
            ValueType::Tensor(dtype) => self.optionals.contains(dtype),
            ValueType::Sequence(dtype) => self.optional_sequences.contains(dtype),
            ValueType::EmptySequence => !self.optional_sequences.is_empty(),
            ValueType::Absent => !(self.optionals.is_empty() && self.optional_sequences.is_empty()),
            ValueType::Map(..) | ValueType::Nested => false,
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

impl Input {
    /// Whether it may not be absent.
    fn is_needed(&self) -> bool {
        matches!(self.presence, Presence::Required | Presence::Variadic)
    }
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

impl AttributeKind {
    fn takes(self, value: &Attribute) -> bool {
        match value {
            // An empty list from Python has no element type.
            Attribute::Ints(values) if values.is_empty() => {
                matches!(self, AttributeKind::Ints | AttributeKind::Floats | AttributeKind::Strings)
            }
            Attribute::Int(_) => self == AttributeKind::Int,
            Attribute::Float(_) => self == AttributeKind::Float,
            Attribute::String(_) => self == AttributeKind::String,
            // A sparse tensor is read as a dense one.
            Attribute::Tensor(_) => matches!(self, AttributeKind::Tensor | AttributeKind::SparseTensor),
            Attribute::Graph(_) => self == AttributeKind::Graph,
            Attribute::Type(_) => self == AttributeKind::TypeProto,
            Attribute::Ints(_) => self == AttributeKind::Ints,
            Attribute::Floats(_) => self == AttributeKind::Floats,
            Attribute::Strings(_) => self == AttributeKind::Strings,
            // No operator of ONNX has an attribute of these.
            Attribute::Tensors(_) | Attribute::Graphs(_) | Attribute::Types(_) => false,
        }
    }

    /// What an attribute of the kind is, for messages.
    fn description(self) -> &'static str {
        match self {
            AttributeKind::Int => "an integer",
            AttributeKind::Float => "a float",
            AttributeKind::String => "a string",
            AttributeKind::Tensor => "a tensor",
            AttributeKind::SparseTensor => "a sparse tensor",
            AttributeKind::Graph => "a graph",
            AttributeKind::TypeProto => "a type",
            AttributeKind::Ints => "a list of integers",
            AttributeKind::Floats => "a list of floats",
            AttributeKind::Strings => "a list of strings",
        }
    }
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

/// The signature of the newest version that an opset has.
pub fn in_force(domain: &str, op_type: &str, opset: i64) -> Option<&'static Signature> {
    let key = |signature: &Signature| (signature.domain, signature.op_type, signature.since);
    let after = SIGNATURES.partition_point(|signature| key(signature) <= (domain, op_type, opset));
    let found = SIGNATURES[..after].last()?;
    (found.domain == domain && found.op_type == op_type).then_some(found)
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

    /// Holds a node's numbers of inputs and outputs and its attributes against the signature.
    pub fn check_node(&self, node: &Node) -> Result<()> {
        self.check_inputs(&node.inputs)?;
        let most = self.outputs.1;
        if node.outputs.len() > most {
            return Err(self.wrong(format!("{} outputs are asked for, expected at most {most}", node.outputs.len())));
        }
        self.check_attributes(node)
    }

    fn wrong(&self, problem: String) -> Error {
        Error::invalid_model(format!("{}: {problem}", self.name()))
    }

    /// Absent inputs at the end are as good as none.
    fn check_inputs(&self, inputs: &[Option<ValueId>]) -> Result<()> {
        let present = inputs.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        if inputs.len() < self.min_inputs || (!self.is_variadic() && present > self.inputs.len()) {
            let most = if self.is_variadic() { "any number".into() } else { self.inputs.len().to_string() };
            let message = format!("got {} inputs, expected {} to {most}", inputs.len(), self.min_inputs);
            return Err(self.wrong(message));
        }
        let absent = inputs.iter().enumerate().filter(|(_, input)| input.is_none());
        let mut formal = absent.filter_map(|(position, _)| self.input(position));
        match formal.find(|input| input.is_needed()) {
            Some(input) => Err(self.wrong(format!("input '{}' is absent, and the operator needs it", input.name))),
            None => Ok(()),
        }
    }

    fn check_attributes(&self, node: &Node) -> Result<()> {
        for (name, value) in &node.attributes {
            let Some(formal) = self.attributes.iter().find(|formal| formal.name == name) else {
                let known: Vec<&str> = self.attributes.iter().map(|formal| formal.name).collect();
                let known = if known.is_empty() { "none".into() } else { known.join(", ") };
                return Err(self.wrong(format!("it has no attribute '{name}' (it has: {known})")));
            };
            if !formal.kind.takes(value) {
                return Err(self.wrong(format!("attribute '{name}' must be {}", formal.kind.description())));
            }
        }
        let missing = |formal: &&FormalAttribute| formal.required && !node.attributes.contains_key(formal.name);
        match self.attributes.iter().find(missing) {
            Some(formal) => Err(self.wrong(format!("it needs attribute '{}'", formal.name))),
            None => Ok(()),
        }
    }

    /// Every input must have a type its constraint allows, and inputs that share a type variable the same type. `None`
    /// is an absent input.
    pub fn check_types(&self, inputs: impl IntoIterator<Item = Option<ValueType>>) -> Result<()> {
        let mut bound: SmallVec<[(u8, ValueType); 4]> = SmallVec::new();
        for (position, ty) in inputs.into_iter().enumerate() {
            let (Some(input), Some(ty)) = (self.input(position), ty) else { continue };
            let first = bound.iter().find(|(variable, _)| *variable == input.variable).map(|(_, ty)| *ty);
            let wanted = first.filter(|_| input.presence != Presence::Heterogeneous);
            let fits = input.types.contains(ty) && wanted.is_none_or(|wanted| wanted == ty);
            if !fits && !input.types.contains_optional(ty) {
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
    fn maps_have_types_of_keys_and_values() {
        let vectorizer = find("ai.onnx.ml", "DictVectorizer", 1).unwrap();
        let check = |key, value| vectorizer.check_types([Some(ValueType::Map(key, value))]);
        assert!(check(DType::I64, DType::F32).is_ok() && check(DType::String, DType::I64).is_ok());
        let refused = check(DType::I64, DType::I64).unwrap_err();
        assert!(refused.message().contains("got map(int64,tensor(int64)), expected one of map(int64,tensor(double))"));
        assert!(refusal("Identity", 16, &[Some(ValueType::Map(DType::I64, DType::F32))]).contains("got map"));
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

    /// The message with which a node of these inputs, outputs and attributes is refused, "" if it is taken.
    fn refused_node(
        op_type: &str,
        since: i64,
        inputs: &[Option<ValueId>],
        outputs: usize,
        attributes: &[(&str, Attribute)],
    ) -> String {
        let node = Node {
            name: "n".into(),
            domain: String::new(),
            op_type: op_type.into(),
            opset: since,
            inputs: inputs.to_vec(),
            outputs: vec![Some(9); outputs],
            attributes: attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            captures: Vec::new(),
            around: None,
        };
        match find("", op_type, since).unwrap().check_node(&node) {
            Ok(()) => String::new(),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidModel);
                error.message().to_owned()
            }
        }
    }

    #[test]
    fn arity_is_that_of_the_version() {
        let refused = |inputs: &[Option<ValueId>], outputs| refused_node("Slice", 13, inputs, outputs, &[]);
        assert_eq!(refused(&[Some(0), Some(1), Some(2), None, Some(4)], 1), "");
        assert_eq!(refused(&[Some(0), Some(1), Some(2), None, None, None], 1), "");
        assert_eq!(refused(&[Some(0), Some(1)], 1), "Slice-13: got 2 inputs, expected 3 to 5");
        assert_eq!(refused(&[Some(0); 6], 1), "Slice-13: got 6 inputs, expected 3 to 5");
        assert_eq!(
            refused(&[Some(0), None, Some(2)], 1),
            "Slice-13: input 'starts' is absent, and the operator needs it"
        );
        assert_eq!(refused(&[Some(0); 3], 2), "Slice-13: 2 outputs are asked for, expected at most 1");
        let max = |inputs: &[Option<ValueId>]| refused_node("Max", 13, inputs, 1, &[]);
        assert_eq!(max(&[Some(0); 20]), "");
        assert_eq!(max(&[]), "Max-13: got 0 inputs, expected 1 to any number");
        assert!(max(&[Some(0), None]).contains("'data_0' is absent"));
    }

    #[test]
    fn attributes_are_those_of_the_version() {
        let cast = |attributes: &[(&str, Attribute)]| refused_node("Cast", 13, &[Some(0)], 1, attributes);
        let to = ("to", Attribute::Int(1));
        assert_eq!(cast(std::slice::from_ref(&to)), "");
        assert_eq!(cast(&[]), "Cast-13: it needs attribute 'to'");
        assert_eq!(cast(&[("to", Attribute::Float(1.0))]), "Cast-13: attribute 'to' must be an integer");
        let saturate = ("saturate", Attribute::Int(1));
        assert_eq!(cast(&[to, saturate]), "Cast-13: it has no attribute 'saturate' (it has: to)");
        let empty = [("activations", Attribute::Ints(vec![])), ("hidden_size", Attribute::Int(1))];
        assert_eq!(refused_node("LSTM", 14, &[Some(0); 3], 1, &empty), "");
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
        // An optional takes the value itself, and an empty sequence may be of any type.
        assert_eq!(refusal("OptionalHasElement", 15, &[Some(F)]), "");
        assert_eq!(refusal("Identity", 14, &[Some(ValueType::EmptySequence)]), "");
        assert_eq!(refusal("OptionalHasElement", 15, &[Some(ValueType::Absent)]), "");
        assert_eq!(refusal("Identity", 16, &[Some(ValueType::Absent)]), "");
        assert!(
            refusal("Identity", 14, &[Some(ValueType::Absent)]).contains("'input': got optional(), expected one of")
        );
        assert!(refusal("Slice", 13, &[Some(ValueType::EmptySequence)]).contains("'data': got seq(), expected one of"));
        let absent_axes = [Some(F), Some(I64), Some(I64), Some(ValueType::Absent)];
        assert!(refusal("Slice", 13, &absent_axes).contains("'axes': got optional(), expected tensor(int64)"));
        assert!(refusal("Identity", 25, &[Some(ValueType::Nested)]).contains("what is no tensor"));
    }
}
