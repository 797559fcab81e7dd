//! Labels of classes, and which class has the greatest score.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::operator::BuildCx;

/// The labels of classes.
#[derive(Clone)]
pub enum Labels {
    Integers(Arc<[i64]>),
    Strings(Arc<[Arc<str>]>),
}

impl Labels {
    /// Those of two attributes, one of which must be given.
    pub fn of(cx: &BuildCx<'_>, integers: &str, strings: &str) -> Result<Labels> {
        let (ints, texts) = (cx.ints(integers)?.unwrap_or_default(), cx.strings(strings)?.unwrap_or_default());
        if ints.is_empty() == texts.is_empty() {
            return Err(Error::invalid_model(format!("one of {integers} and {strings} must be given")));
        }
        if ints.is_empty() {
            return Ok(Labels::Strings(texts.iter().map(|text| Arc::from(text.as_str())).collect()));
        }
        Ok(Labels::Integers(ints.into()))
    }

    pub fn len(&self) -> usize {
        match self {
            Labels::Integers(labels) => labels.len(),
            Labels::Strings(labels) => labels.len(),
        }
    }
}

/// The place of the greatest number, the first of equals; a NaN is greater only where it comes first.
pub fn first_greatest<T: PartialOrd>(scores: &[T]) -> usize {
    let mut best = 0;
    for (place, score) in scores.iter().enumerate().skip(1) {
        if *score > scores[best] {
            best = place;
        }
    }
    best
}

/// The class of the greatest score of each row, if somebody asks for classes.
pub fn choose<T: PartialOrd>(scores: &[T], columns: usize, classes: &mut [u32]) {
    for (class, row) in classes.iter_mut().zip(scores.chunks_exact(columns)) {
        *class = first_greatest(row) as u32;
    }
}
