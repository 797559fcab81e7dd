//! Truth values: connectives, comparisons and Where. Comparisons with NaN are false.

use std::ops::Range;

use crate::broadcast::{Row as Operand, Walk, binary_rows, legacy_aligned};
use crate::dtype::{Bool, DType, Element};
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::mover::{self, Inputs, Mover, Word};
use crate::tensor::{Shape, Tensor, Value};
use crate::with_dtype;

/// Comparisons and connectives of two operands.
#[derive(Clone, Copy, PartialEq)]
enum Relation {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    And,
    Or,
    Xor,
}

struct Binary {
    relation: Relation,
    /// `axis` and `broadcast` of versions 1 to 6.
    legacy: Option<(Option<i64>, bool)>,
}

impl Binary {
    fn walk(&self, cx: &PlanCx<'_>) -> Result<(Walk<2>, Shape)> {
        let (a, b) = (cx.shape(0)?, cx.shape(1)?);
        match self.legacy {
            None => Walk::broadcast([a, b]),
            Some((axis, broadcast)) => Walk::broadcast([a, &legacy_aligned(a, b, axis, broadcast)?]),
        }
    }
}

impl Operator for Binary {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let (walk, shape) = self.walk(cx)?;
        let relation = self.relation;
        with_dtype!(dtype, T in [F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64] =>
            step(walk, shape, move |walk, range, operands, out| compare::<T>(relation, walk, range, operands, out)),
        else match dtype {
            DType::Bool => step(walk, shape, move |walk, range, operands, out| {
                connect(relation, walk, range, operands, out);
            }),
            DType::String => equal_strings(walk, shape),
            other => Err(Error::unsupported(format!("a comparison of {other}")).into()),
        })
    }
}

/// Comparisons below which a chunk is not worth a thread.
const GRAIN: usize = 1 << 16;

/// A step that writes truth values range by range.
fn step<T: Element>(
    walk: Walk<2>,
    shape: Shape,
    body: impl Fn(&Walk<2>, Range<usize>, (&[T], &[T]), &mut [Bool]) + Send + Sync + 'static,
) -> Planned<Step> {
    KernelStep::new(DType::Bool, shape, move |cx| {
        let operands = (cx.input::<T>(0), cx.input::<T>(1));
        cx.parallel_rows(cx.output::<Bool>(0), 1, GRAIN, |first, out, _| {
            body(&walk, first..first + out.len(), operands, out);
        })
    })
    .into()
}

// [panel: Equal Greater GreaterOrEqual Less LessOrEqual]
fn compare<T: Element + PartialOrd>(
    relation: Relation,
    walk: &Walk<2>,
    range: Range<usize>,
    operands: (&[T], &[T]),
    out: &mut [Bool],
) {
    match relation {
        Relation::Greater => binary_rows(walk, range, operands, out, |a, b| Bool(u8::from(a > b))),
        Relation::GreaterOrEqual => binary_rows(walk, range, operands, out, |a, b| Bool(u8::from(a >= b))),
        Relation::Less => binary_rows(walk, range, operands, out, |a, b| Bool(u8::from(a < b))),
        Relation::LessOrEqual => binary_rows(walk, range, operands, out, |a, b| Bool(u8::from(a <= b))),
        _ => binary_rows(walk, range, operands, out, |a, b| Bool(u8::from(a == b))),
    }
}
// [/panel]

// [panel: And Or Xor]
/// Connectives. A byte that is not 0 is true, whatever it is.
fn connect(relation: Relation, walk: &Walk<2>, range: Range<usize>, operands: (&[Bool], &[Bool]), out: &mut [Bool]) {
    let truth = |b: Bool| b.0 != 0;
    match relation {
        Relation::And => binary_rows(walk, range, operands, out, |a, b| Bool(u8::from(truth(a) & truth(b)))),
        Relation::Or => binary_rows(walk, range, operands, out, |a, b| Bool(u8::from(truth(a) | truth(b)))),
        Relation::Xor => binary_rows(walk, range, operands, out, |a, b| Bool(u8::from(truth(a) != truth(b)))),
        _ => binary_rows(walk, range, operands, out, |a, b| Bool(u8::from(truth(a) == truth(b)))),
    }
}
// [/panel]

fn equal_strings(walk: Walk<2>, shape: Shape) -> Planned<Step> {
    Step::values(move |cx| {
        let (Value::Strings(a), Value::Strings(b)) = (cx.input(0)?, cx.input(1)?) else {
            return Err(Error::internal("strings were planned"));
        };
        let mut tensor = Tensor::zeros(DType::Bool, &shape)?;
        let out = tensor.as_mut_slice::<Bool>()?;
        let [sa, sb] = walk.row_strides();
        walk.rows(0..walk.len(), |at, len, [oa, ob]| {
            for i in 0..len {
                out[at + i] = Bool(u8::from(a.data[oa + i * sa as usize] == b.data[ob + i * sb as usize]));
            }
        });
        Ok(vec![tensor.into()])
    })
}

struct Not;

// [panel: Not]
impl Operator for Not {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        KernelStep::new(DType::Bool, cx.shape(0)?, |cx| {
            let x = cx.input::<Bool>(0);
            cx.parallel_rows(cx.output::<Bool>(0), 1, GRAIN, |first, out, _| {
                out.iter_mut().zip(&x[first..]).for_each(|(o, x)| *o = Bool(u8::from(x.0 == 0)));
            })
        })
        .into()
    }
}
// [/panel]

/// Bit patterns that a test of numbers looks for: `bits & mask` in `least ..= greatest`.
#[derive(Clone, Copy)]
struct Class {
    mask: u64,
    least: u64,
    greatest: u64,
}

/// The NaNs of a floating-point type.
fn nans(dtype: DType) -> Option<Class> {
    let above = |mask: u64, infinity: u64| Class { mask, least: infinity + 1, greatest: mask };
    Some(match dtype {
        DType::F8E4M3FN => above(0x7f, 0x7e), // no infinity: the greatest number
        DType::F8E4M3FNUZ | DType::F8E5M2FNUZ => Class { mask: 0xff, least: 0x80, greatest: 0x80 },
        _ => above(u64::MAX >> (65 - dtype.bits()), infinity(dtype)?),
    })
}

/// The infinities of the signs that are asked for.
fn infinities(dtype: DType, negative: bool, positive: bool) -> Option<Class> {
    let all = u64::MAX >> (64 - dtype.bits());
    let none = Class { mask: 0, least: 1, greatest: 0 };
    if matches!(dtype, DType::F8E4M3FN | DType::F8E4M3FNUZ | DType::F8E5M2FNUZ) {
        return Some(none);
    }
    let plus = infinity(dtype)?;
    let minus = plus | (all ^ (all >> 1));
    Some(match (negative, positive) {
        (true, true) => Class { mask: all >> 1, least: plus, greatest: plus },
        (false, true) => Class { mask: all, least: plus, greatest: plus },
        (true, false) => Class { mask: all, least: minus, greatest: minus },
        (false, false) => none,
    })
}

/// The bits of +infinity.
fn infinity(dtype: DType) -> Option<u64> {
    Some(match dtype {
        DType::F32 => f32::INFINITY.to_bits().into(),
        DType::F64 => f64::INFINITY.to_bits(),
        DType::F16 => 0x7c00,
        DType::BF16 => 0x7f80,
        DType::F8E5M2 => 0x7c,
        _ => return None,
    })
}

/// The step that says of each number whether its bits are of a class.
fn classify(cx: &PlanCx<'_>, class: impl Fn(DType) -> Option<Class>) -> Planned<Step> {
    let (dtype, shape) = (cx.dtype(0)?, cx.shape(0)?);
    let Some(class) = class(dtype) else {
        return Err(Error::unsupported(format!("NaN and infinity of {dtype}")).into());
    };
    match dtype.bits() {
        8 => classes::<u8>(shape, class),
        16 => classes::<u16>(shape, class),
        32 => classes::<u32>(shape, class),
        _ => classes::<u64>(shape, class),
    }
}

// [panel: IsNaN IsInf]
fn classes<W: Element + Into<u64>>(shape: &[usize], Class { mask, least, greatest }: Class) -> Planned<Step> {
    KernelStep::new(DType::Bool, shape, move |cx| {
        let x = cx.input::<W>(0);
        cx.parallel_rows(cx.output::<Bool>(0), 1, GRAIN, |first, out, _| {
            out.iter_mut().zip(&x[first..]).for_each(|(o, &x)| {
                let bits = x.into() & mask;
                *o = Bool(u8::from((least..=greatest).contains(&bits)));
            });
        })
    })
    .into()
}
// [/panel]

struct IsNan;

impl Operator for IsNan {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        classify(cx, nans)
    }
}

struct IsInf {
    negative: bool,
    positive: bool,
}

impl Operator for IsInf {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        classify(cx, |dtype| infinities(dtype, self.negative, self.positive))
    }
}

fn build_is_inf(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let (negative, positive) = (cx.int("detect_negative", 1)? != 0, cx.int("detect_positive", 1)? != 0);
    Ok(Box::new(IsInf { negative, positive }))
}

struct Where;

/// Element by element, input 1 where input 0 is true, else input 2.
struct Select {
    walk: Walk<3>,
}

impl Mover for Select {
    fn run<W: Word>(&self, range: Range<usize>, inputs: Inputs<'_>, out: &mut [W]) {
        let (condition, x, y) = (inputs.words::<u8>(0), inputs.words::<W>(1), inputs.words::<W>(2));
        let [sc, sx, sy] = self.walk.row_strides();
        let first = range.start;
        self.walk.rows(range, |at, len, [oc, ox, oy]| {
            let out = &mut out[at - first..at - first + len];
            let (x, y) = (Operand::of(x, ox, len, sx), Operand::of(y, oy, len, sy));
            match Operand::of(condition, oc, len, sc) {
                Operand::Scalar(truth) => match if truth != 0 { x } else { y } {
                    Operand::Slice(chosen) => out.copy_from_slice(chosen),
                    Operand::Scalar(chosen) => out.fill(chosen),
                },
                Operand::Slice(truth) => select(truth, x, y, out),
            }
        });
    }
}

// [panel: Where com.microsoft.QLinearWhere]
/// One loop for each kind of row, so that each can be vectorised.
fn select<W: Word>(truth: &[u8], x: Operand<'_, W>, y: Operand<'_, W>, out: &mut [W]) {
    let each = out.iter_mut().zip(truth);
    match (x, y) {
        (Operand::Slice(x), Operand::Slice(y)) => {
            each.zip(x.iter().zip(y)).for_each(|((o, &t), (&x, &y))| *o = if t != 0 { x } else { y });
        }
        (Operand::Slice(x), Operand::Scalar(y)) => {
            each.zip(x).for_each(|((o, &t), &x)| *o = if t != 0 { x } else { y });
        }
        (Operand::Scalar(x), Operand::Slice(y)) => {
            each.zip(y).for_each(|((o, &t), &y)| *o = if t != 0 { x } else { y });
        }
        (Operand::Scalar(x), Operand::Scalar(y)) => each.for_each(|(o, &t)| *o = if t != 0 { x } else { y }),
    }
}
// [/panel]

impl Operator for Where {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(1)?;
        let (walk, shape) = Walk::broadcast([cx.shape(0)?, cx.shape(1)?, cx.shape(2)?])?;
        mover::plan(dtype, &[1, 2], vec![(shape, Select { walk })])
    }
}

fn build(cx: &BuildCx<'_>, relation: Relation) -> Result<Box<dyn Operator>> {
    let legacy = if cx.since < 7 { Some((cx.opt_int("axis")?, cx.int("broadcast", 0)? != 0)) } else { None };
    Ok(Box::new(Binary { relation, legacy }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("And", &[1, 7], |cx| build(cx, Relation::And))
        .chain(versions("Or", &[1, 7], |cx| build(cx, Relation::Or)))
        .chain(versions("Xor", &[1, 7], |cx| build(cx, Relation::Xor)))
        .chain(versions("Equal", &[1, 7, 11, 13, 19], |cx| build(cx, Relation::Equal)))
        .chain(versions("Greater", &[1, 7, 9, 13], |cx| build(cx, Relation::Greater)))
        .chain(versions("Less", &[1, 7, 9, 13], |cx| build(cx, Relation::Less)))
        .chain(versions("GreaterOrEqual", &[12, 16], |cx| build(cx, Relation::GreaterOrEqual)))
        .chain(versions("LessOrEqual", &[12, 16], |cx| build(cx, Relation::LessOrEqual)))
        .chain(versions("Not", &[1], |_| Ok(Box::new(Not))))
        .chain(versions("IsNaN", &[9, 13, 20], |_| Ok(Box::new(IsNan))))
        .chain(versions("IsInf", &[10, 20], build_is_inf))
        .chain(versions("Where", &[9, 16], |_| Ok(Box::new(Where))))
}
