//! TfIdfVectorizer: how often the n-grams of a pool occur in rows of tokens.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use super::strings;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::memory::check_room;
use crate::operator::{BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::tensor::{Shape, Tensor, Value, byte_len};

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Tf,
    Idf,
    TfIdf,
}

/// The tokens of the pool's n-grams, each with its number.
enum Vocabulary {
    Integers(HashMap<i64, u32>),
    Strings(HashMap<String, u32>),
}

struct TfIdfVectorizer(Arc<Vectorizer>);

struct Vectorizer {
    mode: Mode,
    vocabulary: Vocabulary,
    /// N-grams, as numbers of tokens: their places in the pool.
    grams: HashMap<Vec<u32>, Vec<usize>>,
    /// Lengths of n-grams that are looked for.
    lengths: std::ops::RangeInclusive<usize>,
    max_skip: usize,
    /// Of each n-gram of the pool: its place in the output, and its weight.
    places: Vec<(usize, f32)>,
    width: usize,
}

impl Operator for TfIdfVectorizer {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let shape = cx.shape(0)?;
        let (rows, columns) = match *shape {
            [columns] => (1, columns),
            [rows, columns] => (rows, columns),
            _ => return Err(Error::shape(format!("X has shape {shape:?}, expected [C] or [N, C]")).into()),
        };
        let mut out: Shape = shape[..shape.len() - 1].into();
        out.push(self.0.width);
        let (vectorizer, dtype) = (self.0.clone(), cx.dtype(0)?);
        match (&self.0.vocabulary, dtype) {
            (Vocabulary::Integers(_), DType::I32 | DType::I64) => {
                let step = KernelStep::new(DType::F32, out, move |cx| {
                    let counted = match dtype {
                        DType::I32 => vectorizer.tokens(cx.input::<i32>(0), |&token| token.into()),
                        _ => vectorizer.tokens(cx.input::<i64>(0), |&token| token),
                    };
                    vectorizer.run(&counted, rows, columns, cx.output::<f32>(0), &|| cx.check())
                });
                step.cost(50 * (rows as u64).saturating_mul(columns as u64)).into()
            }
            (Vocabulary::Strings(_), DType::String) => Step::values(move |cx| {
                check_room(byte_len(DType::F32, &out)?)?;
                let tokens = vectorizer.words(&strings(cx, 0)?.data);
                let mut result = Tensor::zeros(DType::F32, &out)?;
                vectorizer.run(&tokens, rows, columns, result.as_mut_slice::<f32>()?, &|| cx.check())?;
                Ok(vec![Value::Dense(result)])
            }),
            (_, dtype) => {
                let message = format!("a tensor({dtype}) does not go with a pool of the other kind of token");
                Err(Error::shape(message).into())
            }
        }
    }
}

// [panel: TfIdfVectorizer]
impl Vectorizer {
    fn tokens<T>(&self, tokens: &[T], wide: impl Fn(&T) -> i64) -> Vec<Option<u32>> {
        match &self.vocabulary {
            Vocabulary::Integers(known) => tokens.iter().map(|token| known.get(&wide(token)).copied()).collect(),
            Vocabulary::Strings(_) => vec![None; tokens.len()],
        }
    }

    fn words(&self, words: &[Arc<str>]) -> Vec<Option<u32>> {
        match &self.vocabulary {
            Vocabulary::Strings(known) => words.iter().map(|word| known.get(&**word).copied()).collect(),
            Vocabulary::Integers(_) => vec![None; words.len()],
        }
    }

    /// `check` says whether to go on.
    fn run(
        &self,
        tokens: &[Option<u32>],
        rows: usize,
        columns: usize,
        out: &mut [f32],
        check: &dyn Fn() -> Result<()>,
    ) -> Result<()> {
        out.fill(0.0);
        let mut counts = vec![0u64; self.places.len()];
        for row in 0..rows {
            counts.fill(0);
            self.count(&tokens[row * columns..(row + 1) * columns], &mut counts, check)?;
            let out = &mut out[row * self.width..(row + 1) * self.width];
            for (&(place, weight), &count) in self.places.iter().zip(&counts).filter(|&(_, &count)| count > 0) {
                out[place] += match self.mode {
                    Mode::Tf => count as f32,
                    Mode::Idf => weight,
                    Mode::TfIdf => count as f32 * weight,
                };
            }
        }
        Ok(())
    }

    /// Counts each n-gram of the pool in one row, at all distances of its tokens.
    fn count(&self, row: &[Option<u32>], counts: &mut [u64], check: &dyn Fn() -> Result<()>) -> Result<()> {
        let mut gram = Vec::new();
        for length in self.lengths.clone() {
            // One token has no distances, and longer ones end where an n-gram no longer fits.
            let skips = if length == 1 { 0 } else { self.max_skip };
            for distance in 1..=skips.saturating_add(1).min(row.len()) {
                let Some(span) = (length - 1).checked_mul(distance).filter(|&span| span < row.len()) else { break };
                check()?;
                for start in 0..row.len() - span {
                    gram.clear();
                    gram.extend(row[start..=start + span].iter().step_by(distance).map_while(|token| *token));
                    if gram.len() == length
                        && let Some(places) = self.grams.get(&gram)
                    {
                        places.iter().for_each(|&place| counts[place] += 1);
                    }
                }
            }
        }
        Ok(())
    }
}
// [/panel]

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let (vocabulary, pool) = match (cx.ints("pool_int64s")?, cx.strings("pool_strings")?) {
        (Some(pool), None) => {
            let (known, numbers) = numbered(pool);
            (Vocabulary::Integers(known), numbers)
        }
        (None, Some(pool)) => {
            let (known, numbers) = numbered(pool);
            (Vocabulary::Strings(known), numbers)
        }
        _ => return Err(Error::invalid_model("expected one of the attributes pool_int64s and pool_strings")),
    };
    let mode = match cx.required("mode", cx.string("mode")?)? {
        "TF" => Mode::Tf,
        "IDF" => Mode::Idf,
        "TFIDF" => Mode::TfIdf,
        other => return Err(Error::invalid_model(format!("mode is '{other}', expected TF, IDF or TFIDF"))),
    };
    let counts = cx.required("ngram_counts", cx.ints("ngram_counts")?)?;
    let lengths = lengths(cx, counts.len())?;
    let max_skip = cx.required("max_skip_count", cx.opt_int("max_skip_count")?)?;
    let max_skip = usize::try_from(max_skip).map_err(|_| Error::invalid_model("max_skip_count is negative"))?;
    let mut grams: HashMap<Vec<u32>, Vec<usize>> = HashMap::new();
    let mut number = 0;
    for (index, section) in sections(counts, pool.len())?.into_iter().enumerate() {
        let length = index + 1;
        if section.len() % length != 0 {
            let message =
                format!("the pool holds {} tokens of {length}-grams, which is no whole number", section.len());
            return Err(Error::invalid_model(message));
        }
        for gram in pool[section].chunks_exact(length) {
            if lengths.contains(&length) {
                grams.entry(gram.to_vec()).or_default().push(number);
            }
            number += 1;
        }
    }
    let (places, width) = places(cx, number)?;
    let vectorizer = Vectorizer { mode, vocabulary, grams, lengths, max_skip, places, width };
    Ok(Box::new(TfIdfVectorizer(Arc::new(vectorizer))))
}

/// Each different token with a number, and the numbers of all.
fn numbered<T: Clone + Eq + Hash>(pool: &[T]) -> (HashMap<T, u32>, Vec<u32>) {
    let mut known = HashMap::new();
    let mut numbers = Vec::with_capacity(pool.len());
    for token in pool {
        let next = known.len() as u32;
        numbers.push(*known.entry(token.clone()).or_insert(next));
    }
    (known, numbers)
}

fn lengths(cx: &BuildCx<'_>, most: usize) -> Result<std::ops::RangeInclusive<usize>> {
    let least = cx.required("min_gram_length", cx.opt_int("min_gram_length")?)?;
    let greatest = cx.required("max_gram_length", cx.opt_int("max_gram_length")?)?;
    if least < 1 || greatest < least || greatest > most as i64 {
        return Err(Error::invalid_model(format!(
            "min_gram_length is {least}, max_gram_length {greatest}: expected 1 <= min <= max <= {most}, the length of \
             ngram_counts"
        )));
    }
    Ok(least as usize..=greatest as usize)
}

/// The part of the pool that holds the n-grams of each length.
fn sections(counts: &[i64], len: usize) -> Result<Vec<std::ops::Range<usize>>> {
    let ends = counts.iter().skip(1).copied().chain([len as i64]);
    let section = |(&start, end): (&i64, i64)| {
        let fits = 0 <= start && start <= end && end <= len as i64;
        fits.then_some(start as usize..end as usize)
    };
    let sections: Option<Vec<_>> = counts.iter().zip(ends).map(section).collect();
    sections.ok_or_else(|| {
        Error::invalid_model(format!(
            "ngram_counts is {counts:?}, expected starts of parts of a pool of {len} in order"
        ))
    })
}

/// Place in the output and weight of each of `count` n-grams, and the width of the output.
fn places(cx: &BuildCx<'_>, count: usize) -> Result<(Vec<(usize, f32)>, usize)> {
    let indexes = cx.required("ngram_indexes", cx.ints("ngram_indexes")?)?;
    let weights = cx.floats("weights")?;
    let fits = indexes.len() == count && weights.is_none_or(|weights| weights.len() == count);
    if !fits || count == 0 {
        return Err(Error::invalid_model(format!(
            "ngram_indexes has {} entries and weights {}: expected one for each of the pool's {count} n-grams",
            indexes.len(),
            weights.map_or(0, <[f32]>::len)
        )));
    }
    let place = |&index: &i64| usize::try_from(index).ok();
    let found: Option<Vec<usize>> = indexes.iter().map(place).collect();
    let found = found.ok_or_else(|| Error::invalid_model("ngram_indexes holds a negative number"))?;
    let last = found.iter().copied().max().unwrap_or(0);
    let width = last.checked_add(1).ok_or_else(|| Error::resource_limit("ngram_indexes is out of all bounds"))?;
    let weight = |index: usize| weights.map_or(1.0, |weights| weights[index]);
    Ok((found.into_iter().enumerate().map(|(index, place)| (place, weight(index))).collect(), width))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("TfIdfVectorizer", &[9], build)
}
