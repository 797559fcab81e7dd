//! Operators on strings: StringConcat, StringNormalizer, StringSplit, RegexFullMatch, TfIdfVectorizer.

use std::collections::HashSet;
use std::sync::Arc;

use regex::Regex;

use crate::broadcast::Walk;
use crate::dtype::Bool;
use crate::error::{Error, Result};
use crate::memory::check_room;
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::values::room_for;
use crate::run::ValueCx;
use crate::tensor::{Shape, Strings, Tensor, Value};

mod case;
mod re2;
mod split;
mod tfidf;

/// Strings between two looks at the clock.
const CHUNK: usize = 1024;

/// Input `input`, which must be strings.
fn strings<'a>(cx: &'a ValueCx<'_>, input: usize) -> Result<&'a Strings> {
    match cx.input(input)? {
        Value::Strings(strings) => Ok(strings),
        other => Err(Error::internal(format!("{} where strings were planned", other.describe()))),
    }
}

/// Refuses more bytes of strings than the session or the machine has.
fn check_bytes(bytes: usize) -> Result<()> {
    check_room(bytes)?;
    room_for::<u8>(bytes).map(drop)
}

struct StringConcat;

impl Operator for StringConcat {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (walk, shape) = Walk::<2>::broadcast([cx.shape(0)?, cx.shape(1)?])?;
        Step::values(move |cx| concat(cx, &walk, &shape).map(|value| vec![value]))
    }
}

// [panel: StringConcat]
fn concat(cx: &ValueCx<'_>, walk: &Walk<2>, shape: &Shape) -> Result<Value> {
    let (left, right) = (strings(cx, 0)?, strings(cx, 1)?);
    let strides = walk.row_strides();
    // What is made may be far more than what is given: each string occurs as often as broadcasting repeats it.
    let repeated = |strings: &Strings| {
        let bytes: usize = strings.data.iter().map(|text| text.len()).sum();
        bytes.saturating_mul(walk.len() / strings.data.len().max(1))
    };
    let handles = walk.len().saturating_mul(size_of::<Arc<str>>());
    check_bytes(handles.saturating_add(repeated(left)).saturating_add(repeated(right)))?;
    let mut data: Vec<Arc<str>> = room_for(walk.len())?;
    let mut text = String::new();
    for start in (0..walk.len()).step_by(CHUNK) {
        cx.check()?;
        walk.rows(start..start + CHUNK, |_, len, [a, b]| {
            for i in 0..len {
                text.clear();
                text.push_str(&left.data[a + i * strides[0] as usize]);
                text.push_str(&right.data[b + i * strides[1] as usize]);
                data.push(text.as_str().into());
            }
        });
    }
    Ok(Value::Strings(Strings { shape: shape.clone(), data: data.into() }))
}
// [/panel]

#[derive(Clone, Copy, PartialEq)]
enum CaseChange {
    None,
    Lower,
    Upper,
}

struct StringNormalizer(Arc<Normalizer>);

struct Normalizer {
    change: CaseChange,
    case_sensitive: bool,
    /// In lower case unless case counts.
    stopwords: HashSet<String>,
}

fn build_normalizer(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let change = match cx.string("case_change_action")?.unwrap_or("NONE") {
        "NONE" => CaseChange::None,
        "LOWER" => CaseChange::Lower,
        "UPPER" => CaseChange::Upper,
        other => {
            let message = format!("case_change_action is '{other}', expected NONE, LOWER or UPPER");
            return Err(Error::invalid_model(message));
        }
    };
    // Languages whose letters change case in a way of their own.
    let locale = cx.string("locale")?.unwrap_or("en_US");
    let language: String = locale.chars().take_while(char::is_ascii_alphabetic).collect();
    if matches!(language.to_ascii_lowercase().as_str(), "tr" | "az" | "lt") {
        return Err(Error::unsupported(format!("locale '{locale}', whose case differs from Unicode's own")));
    }
    let case_sensitive = cx.int("is_case_sensitive", 0)? != 0;
    let words = cx.strings("stopwords")?.unwrap_or_default();
    let stopwords = words.iter().map(|word| if case_sensitive { word.clone() } else { case::lower(word) }).collect();
    Ok(Box::new(StringNormalizer(Arc::new(Normalizer { change, case_sensitive, stopwords }))))
}

impl Operator for StringNormalizer {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let shape = cx.shape(0)?;
        if !matches!(shape, [_] | [1, _]) {
            return Err(Error::shape(format!("X has shape {shape:?}, expected [C] or [1, C]")).into());
        }
        let (normalizer, mut shape) = (self.0.clone(), Shape::from_slice(shape));
        let last = shape.len() - 1;
        shape[last] = 0;
        Step::values(move |cx| {
            let mut data = normalizer.run(cx)?;
            if data.is_empty() {
                data.push("".into());
            }
            let mut shape = shape.clone();
            shape[last] = data.len();
            Ok(vec![Value::Strings(Strings { shape, data: data.into() })])
        })
    }
}

// [panel: StringNormalizer]
impl Normalizer {
    fn run(&self, cx: &ValueCx<'_>) -> Result<Vec<Arc<str>>> {
        let mut kept = Vec::new();
        for words in strings(cx, 0)?.data.chunks(CHUNK) {
            cx.check()?;
            for word in words.iter().filter(|word| !self.is_stopword(word)) {
                kept.push(match self.change {
                    CaseChange::None => word.clone(),
                    CaseChange::Lower => case::lower(word).into(),
                    CaseChange::Upper => case::upper(word).into(),
                });
            }
        }
        Ok(kept)
    }

    fn is_stopword(&self, word: &str) -> bool {
        if self.stopwords.is_empty() {
            return false;
        }
        if self.case_sensitive { self.stopwords.contains(word) } else { self.stopwords.contains(&case::lower(word)) }
    }
}
// [/panel]

struct RegexFullMatch(Regex);

fn build_full_match(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    // The schema gives the pattern no default, and calls it optional.
    let pattern = cx.required("pattern", cx.string("pattern")?)?;
    Ok(Box::new(RegexFullMatch(re2::full_match(pattern)?)))
}

// [panel: RegexFullMatch]
impl Operator for RegexFullMatch {
    fn plan(&self, _: &PlanCx<'_>) -> Planned<Step> {
        let regex = self.0.clone();
        Step::values(move |cx| {
            let texts = strings(cx, 0)?;
            let mut matches: Vec<Bool> = room_for(texts.data.len())?;
            for texts in texts.data.chunks(CHUNK) {
                cx.check()?;
                matches.extend(texts.iter().map(|text| Bool(regex.is_match(text).into())));
            }
            Ok(vec![Tensor::from_slice(&texts.shape, &matches)?.into()])
        })
    }
}
// [/panel]

pub fn rows() -> impl Iterator<Item = Row> {
    versions("StringConcat", &[20], |_| Ok(Box::new(StringConcat)))
        .chain(versions("StringNormalizer", &[10], build_normalizer))
        .chain(versions("RegexFullMatch", &[20], build_full_match))
        .chain(split::rows())
        .chain(tfidf::rows())
}
