//! Operators of com.microsoft on quantized numbers: DequantizeLinear, the operator of ONNX on floats, QuantizeLinear.
//!
//! The operator between is ONNX's own, planned for floats that lie in the step's workspace. A function of one number is evaluated
//! for the 256 there are, and then looked up.

use std::collections::HashMap;

use diptych_kernels::quantize::{
    Dequantization, Integer, Numbers, Place, Precision, Quantization, Quantized, dequantize, quantize,
};
use smallvec::SmallVec;

use super::GRAIN;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::graph::{Attribute, Node};
use crate::operator::{BuildCx, InputInfo, KernelStep, Operator, PlanCx, Planned, Registry, Row, Step, rows_of};
use crate::ops::elements::buffer_bytes;
use crate::run::{KernelCx, RawSlot};
use crate::tensor::{ALIGN, Shape, ValueType, element_count};

/// A version of ONNX in which all these operators have their newest meaning.
const OPSET: i64 = 22;

/// Numbers that a byte may be.
const CODES: usize = 256;

/// Where an operator has its inputs.
#[derive(Clone, Copy)]
enum Form {
    /// `x, scale, zero, y_scale, y_zero`.
    One,
    /// `a, scale, zero, b, scale, zero, c_scale, c_zero`.
    Two,
    /// `y_scale, y_zero`, then `x, scale, zero` of each.
    Many,
    /// A condition, then as two.
    Where,
}

/// The places of a quantized operand, or of an output, whose `x` is nothing.
#[derive(Clone, Copy)]
struct Parameters {
    x: usize,
    scale: usize,
    zero: usize,
}

impl Parameters {
    fn at(x: usize) -> Parameters {
        Parameters { x, scale: x + 1, zero: x + 2 }
    }
}

impl Form {
    /// The operands and the output of a node with `inputs` inputs.
    fn parameters(self, inputs: usize) -> Result<(SmallVec<[Parameters; 4]>, Parameters)> {
        let output = |scale: usize| Parameters { x: usize::MAX, scale, zero: scale + 1 };
        Ok(match self {
            Form::One => ([Parameters::at(0)].into_iter().collect(), output(3)),
            Form::Two => ([0, 3].map(Parameters::at).into_iter().collect(), output(6)),
            Form::Where => ([1, 4].map(Parameters::at).into_iter().collect(), output(7)),
            Form::Many if inputs > 2 && inputs % 3 == 2 => {
                ((2..inputs).step_by(3).map(Parameters::at).collect(), output(0))
            }
            Form::Many => {
                return Err(Error::invalid_model(format!(
                    "{} inputs to concatenate, expected three for each: x, scale, zero point",
                    inputs.saturating_sub(2)
                )));
            }
        })
    }
}

struct Through {
    form: Form,
    operator: Box<dyn Operator>,
    channels_last: bool,
    /// Whether it is a function of one number.
    table: bool,
}

/// An operator of ONNX of this version with some attributes of the node.
fn build(cx: &BuildCx<'_>, form: Form, op_type: &str, opset: i64, attributes: &[&str]) -> Result<Box<dyn Operator>> {
    let named = |name: &&str| cx.node.attributes.get(*name).map(|value| (String::from(*name), value.clone()));
    let attributes: HashMap<String, Attribute> = attributes.iter().filter_map(named).collect();
    build_with(cx, form, op_type, opset, attributes)
}

fn build_with(
    cx: &BuildCx<'_>,
    form: Form,
    op_type: &str,
    opset: i64,
    attributes: HashMap<String, Attribute>,
) -> Result<Box<dyn Operator>> {
    let operands = match form {
        Form::One => 1,
        Form::Two => 2,
        Form::Where => 3,
        Form::Many => form.parameters(cx.node.inputs.len())?.0.len(),
    };
    let node = Node {
        name: cx.node.name.clone(),
        domain: String::new(),
        op_type: op_type.into(),
        opset,
        inputs: (0..operands).map(Some).collect(),
        outputs: vec![Some(operands)],
        attributes,
        captures: Vec::new(),
        around: None,
    };
    let operator = Registry::builtin().build(&node, cx.compile)?;
    let table = matches!(op_type, "Sigmoid" | "LeakyRelu");
    Ok(Box::new(Through { form, operator, channels_last: cx.int("channels_last", 0)? != 0, table }))
}

/// The version that attribute `opset` names.
fn build_softmax(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let opset = cx.required("opset", cx.opt_int("opset")?)?;
    if opset < 1 {
        return Err(Error::invalid_model(format!("opset is {opset}, expected a version of ai.onnx")));
    }
    let axis = HashMap::from([("axis".to_string(), Attribute::Int(cx.int("axis", -1)?))]);
    build_with(cx, Form::One, "Softmax", if opset >= 13 { 13 } else { 11 }, axis)
}

impl Operator for Through {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (operands, output) = self.form.parameters(cx.inputs.len())?;
        let dtype = match self.form {
            Form::Many => cx.dtype(output.zero)?,
            _ => cx.dtype(operands[0].x)?,
        };
        let all = matches!(self.form, Form::Many);
        for of in operands.iter().chain([&output]) {
            check(cx, *of, dtype, all)?;
        }
        let mut infos: Vec<Option<InputInfo>> = Vec::new();
        if matches!(self.form, Form::Where) {
            infos.push(Some(cx.info(0)?.clone()));
        }
        for of in &operands {
            let shape = match self.table {
                true => Shape::from_slice(&[CODES]),
                false => arranged(cx.shape(of.x)?, self.channels_last)?,
            };
            infos.push(Some(InputInfo { ty: ValueType::Tensor(DType::F32), shape, value: None, weight: None }));
        }
        let inner = PlanCx { inputs: &infos, wanted: &[true], ..*cx };
        let inner = match self.operator.plan(&inner)? {
            Step::Kernel(step) => step,
            Step::View { input, shape } => copied(input, shape),
            Step::Values(_) => return Err(Error::internal("a step without a known shape").into()),
        };
        let y = inner.outputs[0].shape.clone();
        let shape = match () {
            () if self.table => cx.shape(operands[0].x)?.into(),
            () if self.channels_last => back(&y),
            () => y.clone(),
        };
        let lengths = infos.iter().flatten().skip(usize::from(matches!(self.form, Form::Where)));
        let lengths = lengths.map(|info| element_count(&info.shape)).collect::<Result<_>>()?;
        let plan = Plan {
            form: self.form,
            operands,
            output,
            lengths,
            shapes: infos.iter().flatten().map(|info| info.shape.clone()).collect(),
            y,
            signed: dtype == DType::I8,
            channels_last: self.channels_last,
            table: self.table,
        };
        match dtype {
            DType::I8 => plan.step::<i8>(inner, shape),
            _ => plan.step::<u8>(inner, shape),
        }
    }
}

/// A quantized operand has type `dtype`, a float scale, and one value each of scale and zero point (which `all` demands).
fn check(cx: &PlanCx<'_>, of: Parameters, dtype: DType, all: bool) -> Result<()> {
    for (input, want) in [(of.x, dtype), (of.scale, DType::F32), (of.zero, dtype)] {
        let required = input != usize::MAX && (all || input != of.zero);
        if !cx.has(input) && !required {
            continue;
        }
        if cx.dtype(input)? != want {
            let got = cx.dtype(input)?;
            return Err(Error::new(
                crate::error::ErrorKind::InvalidType,
                format!("input {input}: got {got}, expected {want}"),
            ));
        }
        if input != of.x && !matches!(cx.shape(input)?, [] | [1]) {
            let shape = cx.shape(input)?;
            return Err(Error::shape(format!("scale or zero point {input} has shape {shape:?}, expected one value")));
        }
    }
    Ok(())
}

/// `[N, .., C]` as `[N, C, ..]`.
fn arranged(shape: &[usize], channels_last: bool) -> Result<Shape> {
    match shape {
        _ if !channels_last => Ok(shape.into()),
        [batch, size @ .., channels] => Ok([*batch, *channels].into_iter().chain(size.iter().copied()).collect()),
        _ => Err(Error::shape(format!("X has shape {shape:?}, expected channels on the last of two axes at least"))),
    }
}

/// `[N, C, ..]` as `[N, .., C]`.
fn back(shape: &[usize]) -> Shape {
    [shape[0]].into_iter().chain(shape[2..].iter().copied()).chain([shape[1]]).collect()
}

/// An input of floats, as it is.
fn copied(input: usize, shape: Shape) -> KernelStep {
    KernelStep::new(DType::F32, shape, move |cx| {
        cx.output::<f32>(0).copy_from_slice(cx.input::<f32>(input));
        Ok(())
    })
}

/// Where element `i` of `[N, C, ..]` is in `[N, .., C]`.
#[derive(Clone, Copy)]
struct Channels {
    count: usize,
    size: usize,
}

impl Channels {
    fn of(shape: &[usize]) -> Channels {
        Channels { count: shape[1], size: shape[2..].iter().product() }
    }

    fn last(self, i: usize) -> usize {
        let (plane, at) = (i / self.size, i % self.size);
        (plane / self.count * self.size + at) * self.count + plane % self.count
    }

    fn first(self, i: usize) -> usize {
        let (place, channel) = (i / self.count, i % self.count);
        (place / self.size * self.count + channel) * self.size + place % self.size
    }
}

struct Plan {
    form: Form,
    operands: SmallVec<[Parameters; 4]>,
    output: Parameters,
    /// Elements of each operand.
    lengths: SmallVec<[usize; 4]>,
    /// What the operator between is given.
    shapes: Vec<Shape>,
    /// What it gives.
    y: Shape,
    signed: bool,
    channels_last: bool,
    table: bool,
}

// [panel: com.microsoft.QLinearAdd com.microsoft.QLinearMul com.microsoft.QLinearSigmoid]
// [panel: com.microsoft.QLinearLeakyRelu com.microsoft.QLinearGlobalAveragePool]
// [panel: com.microsoft.QLinearAveragePool com.microsoft.QLinearSoftmax]
impl Plan {
    fn step<T: Element + Integer>(self, inner: KernelStep, shape: Shape) -> Planned<Step> {
        let KernelStep { run, scratch, workspace: own, cost, .. } = inner;
        let count = element_count(&self.y)?;
        // Rooms of floats, then the operator's own.
        let mut rooms: SmallVec<[(usize, usize); 8]> = SmallVec::new();
        let mut total = 0;
        for bytes in self.lengths.iter().chain([&count]).map(|&n| buffer_bytes::<f32>(&[n])).chain([Ok(own)]) {
            let bytes = bytes?;
            rooms.push((total, bytes));
            // A room that is empty has a place nonetheless.
            total = element_count(&[total + bytes.max(1).next_multiple_of(ALIGN)])?;
        }
        let read = self.lengths.iter().sum::<usize>().max(shape.iter().product());
        let cost = cost + (read + count) as u64 / 2;
        let step = KernelStep::new(T::DTYPE, shape, move |cx| {
            let base = cx.workspace().as_mut_ptr();
            let room = |i: usize| RawSlot { ptr: base.wrapping_add(rooms[i].0), bytes: rooms[i].1 };
            let slots: SmallVec<[RawSlot; 8]> = (0..rooms.len()).map(room).collect();
            let floats = self.operands.len();
            let mut inputs: SmallVec<[RawSlot; 4]> = SmallVec::new();
            if matches!(self.form, Form::Where) {
                inputs.push(cx.slots()[0]);
            }
            for i in 0..floats {
                self.dequantize(cx, i, slots[i])?;
                inputs.push(slots[i]);
            }
            run(&cx.within(&inputs, &slots[floats..=floats], slots[floats + 1]))?;
            self.quantize::<T>(cx, slots[floats])
        });
        step.workspace(total).scratch(scratch).cost(cost).into()
    }

    /// An input of quantized numbers.
    fn bytes<'a>(&self, cx: &KernelCx<'a>, input: usize) -> Quantized<'a> {
        if self.signed { Quantized::I8(cx.input(input)) } else { Quantized::U8(cx.input(input)) }
    }

    /// Operand `i` as floats.
    fn dequantize(&self, cx: &KernelCx<'_>, i: usize, to: RawSlot) -> Result<()> {
        let (of, isa) = (self.operands[i], cx.isa());
        let zero_point = cx.has(of.zero).then(|| self.bytes(cx, of.zero));
        let scale = Numbers::F32(cx.input(of.scale));
        let place = Place { offset: 0, each: false };
        // SAFETY: a room of the workspace, which is this step's; it holds so many floats.
        let out = unsafe { std::slice::from_raw_parts_mut(to.ptr.cast::<f32>(), self.lengths[i]) };
        if !self.channels_last && !self.table {
            let operands = Dequantization { x: self.bytes(cx, of.x), scale, zero_point };
            return cx.parallel_rows(out, 1, GRAIN, |first, out, _| dequantize(isa, &operands, first, place, out));
        }
        let codes: [u8; CODES] = std::array::from_fn(|code| code as u8);
        let signed = codes.map(|code| code as i8);
        let x = if self.signed { Quantized::I8(&signed) } else { Quantized::U8(&codes) };
        let mut numbers = [0.0f32; CODES];
        dequantize(isa, &Dequantization { x, scale, zero_point }, 0, place, &mut numbers);
        if self.table {
            out.copy_from_slice(&numbers);
            return Ok(());
        }
        let (codes, channels) = (cx.input_bytes(of.x), Channels::of(&self.shapes[i]));
        cx.parallel_rows(out, 1, GRAIN, |first, out, _| {
            for (i, y) in out.iter_mut().enumerate() {
                *y = numbers[usize::from(codes[channels.last(first + i)])];
            }
        })
    }

    /// The floats as the output.
    fn quantize<T: Element + Integer>(&self, cx: &KernelCx<'_>, from: RawSlot) -> Result<()> {
        /// Elements that are put in order before they are quantized.
        const CHUNK: usize = 64;
        let (isa, out) = (cx.isa(), cx.output::<T>(0));
        let len = if self.table { CODES } else { out.len() };
        // SAFETY: as in `dequantize`; nobody writes it any more.
        let y = unsafe { std::slice::from_raw_parts(from.ptr.cast_const().cast::<f32>(), len) };
        let zero_point = cx.has(self.output.zero).then(|| self.bytes(cx, self.output.zero));
        let (scale, precision) = (Numbers::F32(cx.input(self.output.scale)), Precision::F32);
        let (place, ends) = (Place { offset: 0, each: false }, if self.signed { (-128, 127) } else { (0, 255) });
        if self.table {
            let operands = Quantization { x: Numbers::F32(y), scale, zero_point, precision };
            let (mut table, codes) = ([T::default(); CODES], cx.input_bytes(self.operands[0].x));
            quantize(isa, &operands, 0, place, ends, &mut table);
            return cx.parallel_rows(out, 1, GRAIN, |first, out, _| {
                out.iter_mut().zip(&codes[first..]).for_each(|(y, &code)| *y = table[usize::from(code)]);
            });
        }
        if !self.channels_last {
            let operands = Quantization { x: Numbers::F32(y), scale, zero_point, precision };
            return cx.parallel_rows(out, 1, GRAIN, |first, out, _| quantize(isa, &operands, first, place, ends, out));
        }
        let channels = Channels::of(&self.y);
        cx.parallel_rows(out, 1, GRAIN, |first, out, _| {
            for (i, out) in out.chunks_mut(CHUNK).enumerate() {
                let numbers: [f32; CHUNK] = std::array::from_fn(|k| match k < out.len() {
                    true => y[channels.first(first + i * CHUNK + k)],
                    false => 0.0,
                });
                let operands = Quantization { x: Numbers::F32(&numbers), scale, zero_point, precision };
                quantize(isa, &operands, 0, place, ends, out);
            }
        })
    }
}
// [/panel]
// [/panel]
// [/panel]

/// A row of com.microsoft.
macro_rules! row {
    ($name:literal, $build:expr) => {
        rows_of("com.microsoft", $name, &[1], $build)
    };
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    const POOL: &[&str] = &["auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides"];
    row!("QLinearAdd", |cx| build(cx, Form::Two, "Add", OPSET, &[]))
        .chain(row!("QLinearMul", |cx| build(cx, Form::Two, "Mul", OPSET, &[])))
        .chain(row!("QLinearSigmoid", |cx| build(cx, Form::One, "Sigmoid", OPSET, &[])))
        .chain(row!("QLinearLeakyRelu", |cx| build(cx, Form::One, "LeakyRelu", OPSET, &["alpha"])))
        .chain(row!("QLinearGlobalAveragePool", |cx| build(cx, Form::One, "GlobalAveragePool", OPSET, &[])))
        .chain(row!("QLinearAveragePool", |cx| build(cx, Form::One, "AveragePool", OPSET, POOL)))
        .chain(row!("QLinearSoftmax", build_softmax))
        .chain(row!("QLinearConcat", |cx| build(cx, Form::Many, "Concat", OPSET, &["axis"])))
        .chain(row!("QLinearWhere", |cx| build(cx, Form::Where, "Where", OPSET, &[])))
}
