//! StringSplit.

use std::sync::Arc;

use super::{CHUNK, strings};
use crate::error::{Error, Result};
use crate::memory::check_room;
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::values::{filled, room_for};
use crate::run::ValueCx;
use crate::tensor::{Shape, Strings, Tensor, Value};

struct StringSplit(Arc<Splitter>);

struct Splitter {
    /// Empty: runs of white space.
    delimiter: String,
    /// The greatest number of pieces.
    most: usize,
}

impl Operator for StringSplit {
    fn plan(&self, _: &PlanCx<'_>) -> Planned<Step> {
        let splitter = self.0.clone();
        Step::values(move |cx| splitter.run(cx))
    }
}

// [panel: StringSplit]
impl Splitter {
    fn run(&self, cx: &ValueCx<'_>) -> Result<Vec<Value>> {
        let texts = strings(cx, 0)?;
        let mut counts: Vec<i64> = room_for(texts.data.len())?;
        for texts in texts.data.chunks(CHUNK) {
            cx.check()?;
            counts.extend(texts.iter().map(|text| self.pieces(text).count() as i64));
        }
        let width = counts.iter().copied().max().unwrap_or(0) as usize;
        let total = width.checked_mul(texts.data.len()).ok_or_else(|| Error::resource_limit("too many substrings"))?;
        check_room(total.saturating_mul(size_of::<Arc<str>>()))?;
        let mut data: Vec<Arc<str>> = filled(Arc::from(""), total)?;
        for (row, text) in data.chunks_exact_mut(width.max(1)).zip(texts.data.iter()) {
            cx.check()?;
            row.iter_mut().zip(self.pieces(text)).for_each(|(place, piece)| *place = piece.into());
        }
        let mut shape: Shape = texts.shape.clone();
        shape.push(width);
        let counts = Tensor::from_slice(&texts.shape, &counts)?;
        Ok(vec![Value::Strings(Strings { shape, data: data.into() }), counts.into()])
    }

    /// The substrings of a text, the last one all that is left.
    fn pieces<'a>(&'a self, text: &'a str) -> Box<dyn Iterator<Item = &'a str> + 'a> {
        if !self.delimiter.is_empty() {
            return Box::new(text.splitn(self.most, self.delimiter.as_str()));
        }
        let mut left = text.trim();
        let mut count = 0;
        Box::new(std::iter::from_fn(move || {
            if left.is_empty() {
                return None;
            }
            count += 1;
            let end = if count == self.most { None } else { left.find(char::is_whitespace) };
            let (piece, rest) = left.split_at(end.unwrap_or(left.len()));
            left = rest.trim_start();
            Some(piece)
        }))
    }
}
// [/panel]

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    // A negative number of splits is no bound, as where none is given.
    let splits = cx.opt_int("maxsplit")?.and_then(|splits| usize::try_from(splits).ok());
    let most = splits.map_or(usize::MAX, |splits| splits.saturating_add(1));
    let delimiter = cx.string("delimiter")?.unwrap_or_default().to_owned();
    Ok(Box::new(StringSplit(Arc::new(Splitter { delimiter, most }))))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("StringSplit", &[20], build)
}

#[cfg(test)]
mod tests {
    use super::Splitter;

    #[test]
    fn pieces() {
        let pieces = |delimiter: &str, most: usize, text: &str| -> Vec<String> {
            Splitter { delimiter: delimiter.into(), most }.pieces(text).map(str::to_owned).collect()
        };
        assert_eq!(pieces("", usize::MAX, " a\u{a0} b "), ["a", "b"]);
        assert_eq!(pieces("", 2, "  a   b  c  "), ["a", "b  c"]);
        assert_eq!(pieces("", 1, "  a   b  "), ["a   b"]);
        assert_eq!(pieces("", 3, "   "), [""; 0]);
        assert_eq!(pieces(",", usize::MAX, ""), [""]);
        assert_eq!(pieces(",", 2, "a,,b"), ["a", ",b"]);
        assert_eq!(pieces("aa", usize::MAX, "aaaaa"), ["", "", "a"]);
    }
}
