//! Sequences and optionals: made, looked into, changed. Items share their bytes with the tensors they came from.

use crate::dtype::{Bool, DType};
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::values::{as_sequence, scalar_i64};
use crate::run::ValueCx;
use crate::tensor::{Sequence, Tensor, Value, ValueType};

mod pieces;

/// An operator that is a function of its input values.
struct Function(fn(&mut ValueCx<'_>) -> Result<Value>);

impl Operator for Function {
    fn plan(&self, _: &PlanCx<'_>) -> Planned<Step> {
        let function = self.0;
        Step::values(move |cx| Ok(vec![function(cx)?]))
    }
}

// [panel: SequenceConstruct]
fn construct(cx: &mut ValueCx<'_>) -> Result<Value> {
    let items = (0..cx.inputs.len()).map(|input| cx.take(input)).collect::<Result<_>>()?;
    Sequence::new(items).map(Value::Sequence)
}
// [/panel]

// [panel: SequenceLength]
fn length(cx: &mut ValueCx<'_>) -> Result<Value> {
    let length = as_sequence(cx.input(0)?, "input_sequence")?.len();
    Ok(Tensor::scalar(length as i64)?.into())
}
// [/panel]

// [panel: SequenceAt]
fn at(cx: &mut ValueCx<'_>) -> Result<Value> {
    let sequence = as_sequence(cx.input(0)?, "input_sequence")?;
    let position = position(scalar_i64(cx.input(1)?, "position")?, sequence.len(), sequence.len())?;
    Ok(sequence.items()[position].clone())
}
// [/panel]

// [panel: SequenceInsert]
fn insert(cx: &mut ValueCx<'_>) -> Result<Value> {
    let mut sequence = own_sequence(cx)?;
    let item = cx.take(1)?;
    let len = sequence.len();
    let position = match cx.opt_input(2) {
        Some(given) => position(scalar_i64(given, "position")?, len, len + 1)?,
        None => len,
    };
    sequence.insert(position, item)?;
    Ok(Value::Sequence(sequence))
}
// [/panel]

// [panel: SequenceErase]
fn erase(cx: &mut ValueCx<'_>) -> Result<Value> {
    let mut sequence = own_sequence(cx)?;
    let given = cx.opt_input(1).map_or(Ok(-1), |given| scalar_i64(given, "position"))?;
    sequence.remove(position(given, sequence.len(), sequence.len())?);
    Ok(Value::Sequence(sequence))
}
// [/panel]

/// Input 0, not shared if nobody reads it later.
fn own_sequence(cx: &mut ValueCx<'_>) -> Result<Sequence> {
    match cx.take(0)? {
        Value::Sequence(sequence) => Ok(sequence),
        other => Err(Error::shape(format!("input_sequence is {}, expected a sequence", other.describe()))),
    }
}

/// A position in `0 .. end`; negative ones count from `len`.
fn position(given: i64, len: usize, end: usize) -> Result<usize> {
    let place = if given < 0 { given.checked_add(len as i64) } else { Some(given) };
    let place = place.and_then(|place| usize::try_from(place).ok()).filter(|&place| place < end);
    place.ok_or_else(|| {
        Error::invalid_input(format!("position {given} is outside [{}, {}] of a sequence of {len}", -(len as i64), {
            end as i64 - 1
        }))
    })
}

/// SequenceEmpty.
struct Empty(DType);

// [panel: SequenceEmpty]
impl Operator for Empty {
    fn plan(&self, _: &PlanCx<'_>) -> Planned<Step> {
        let dtype = self.0;
        Step::values(move |_| Ok(vec![Value::Sequence(Sequence::empty(Some(dtype)))]))
    }
}
// [/panel]

fn build_empty(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(Empty(cx.dtype("dtype")?.unwrap_or(DType::F32))))
}

/// Optional: its input, or nothing. An optional that holds a value is that value.
struct Optional;

/// OptionalGetElement.
struct GetElement;

/// OptionalHasElement.
struct HasElement;

fn build_optional(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    if cx.node.inputs.first().is_none_or(Option::is_none) && !cx.has("type") {
        return Err(Error::invalid_model("an Optional without input needs the attribute 'type'"));
    }
    Ok(Box::new(Optional))
}

// [panel: Optional]
impl Operator for Optional {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        if cx.has(0) { handed_on(cx) } else { Step::values(|_| Ok(vec![Value::Absent])) }
    }
}
// [/panel]

// [panel: OptionalGetElement]
impl Operator for GetElement {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        if cx.info(0)?.ty == ValueType::Absent {
            return Err(Error::invalid_input("the optional holds no element to get").into());
        }
        handed_on(cx)
    }
}
// [/panel]

/// Output 0 is input 0.
fn handed_on(cx: &PlanCx<'_>) -> Planned<Step> {
    match cx.info(0)?.ty.dtype() {
        Some(dtype) if dtype != DType::String => Ok(Step::View { input: 0, shape: cx.shape(0)?.into() }),
        _ => Step::values(|cx| Ok(vec![cx.take(0)?])),
    }
}

// [panel: OptionalHasElement]
impl Operator for HasElement {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let has = cx.has(0) && cx.info(0)?.ty != ValueType::Absent;
        let step = KernelStep::new(DType::Bool, [].as_slice(), move |cx| {
            cx.output::<Bool>(0)[0] = Bool(has.into());
            Ok(())
        });
        // The type says it all.
        step.packed(&[0]).into()
    }
}
// [/panel]

pub fn rows() -> impl Iterator<Item = Row> {
    versions("SequenceConstruct", &[11], |_| Ok(Box::new(Function(construct))))
        .chain(versions("SequenceEmpty", &[11], build_empty))
        .chain(versions("SequenceAt", &[11], |_| Ok(Box::new(Function(at)))))
        .chain(versions("SequenceInsert", &[11], |_| Ok(Box::new(Function(insert)))))
        .chain(versions("SequenceErase", &[11], |_| Ok(Box::new(Function(erase)))))
        .chain(versions("SequenceLength", &[11], |_| Ok(Box::new(Function(length)))))
        .chain(versions("Optional", &[15, 28], build_optional))
        .chain(versions("OptionalGetElement", &[15, 18, 28], |_| Ok(Box::new(GetElement))))
        .chain(versions("OptionalHasElement", &[15, 18, 28], |_| Ok(Box::new(HasElement))))
        .chain(pieces::rows())
}
