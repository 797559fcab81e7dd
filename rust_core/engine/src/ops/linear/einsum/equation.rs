//! Equations: which axes of which operand have one name.

use smallvec::SmallVec;

use crate::error::{Error, Result};

/// Axes by name: each a number below [`Labels::count`].
pub type Axes = SmallVec<[usize; 8]>;

/// One term: letters before and after the ellipsis, if there is one.
#[derive(Clone, Debug, Default)]
struct Term {
    before: Vec<u8>,
    after: Option<Vec<u8>>,
}

impl Term {
    fn parse(text: &str) -> Option<Term> {
        let letters = |text: &str| text.bytes().all(|b| b.is_ascii_alphabetic()).then(|| text.as_bytes().to_vec());
        match text.split_once("...") {
            None => Some(Term { before: letters(text)?, after: None }),
            Some((before, after)) => Some(Term { before: letters(before)?, after: Some(letters(after)?) }),
        }
    }

    fn letters(&self) -> impl Iterator<Item = u8> {
        self.before.iter().chain(self.after.iter().flatten()).copied()
    }

    /// Letters numbered by `number`, the ellipsis' axes being `0 .. hidden`.
    fn axes(&self, hidden: usize, number: impl Fn(u8) -> usize) -> Axes {
        let dots = if self.after.is_some() { hidden } else { 0 };
        let before = self.before.iter().map(|&letter| number(letter));
        before.chain(0..dots).chain(self.after.iter().flatten().map(|&letter| number(letter))).collect()
    }
}

/// A parsed equation.
#[derive(Debug)]
pub struct Equation {
    text: String,
    terms: Vec<Term>,
    output: Option<Term>,
}

/// The axes of the operands and of the output, for operands of known ranks.
#[derive(Debug)]
pub struct Labels {
    pub terms: Vec<Axes>,
    pub output: Axes,
    pub count: usize,
}

impl Equation {
    pub fn parse(text: &str) -> Result<Equation> {
        let wrong = || {
            Error::invalid_model(format!("equation '{text}': expected terms of letters with at most one '...' each"))
        };
        let dense = text.replace(' ', "");
        let (left, output) = match dense.split_once("->") {
            None => (dense.as_str(), None),
            Some((left, output)) => (left, Some(Term::parse(output).ok_or_else(wrong)?)),
        };
        let terms = left.split(',').map(Term::parse).collect::<Option<Vec<Term>>>().ok_or_else(wrong)?;
        let equation = Equation { text: text.to_string(), terms, output };
        equation.check_output()?;
        Ok(equation)
    }

    fn check_output(&self) -> Result<()> {
        let Some(output) = &self.output else { return Ok(()) };
        let letters: Vec<u8> = output.letters().collect();
        let known = letters.iter().all(|letter| self.terms.iter().any(|term| term.letters().any(|l| l == *letter)));
        let twice = letters.iter().enumerate().any(|(i, letter)| letters[..i].contains(letter));
        if twice || !known {
            let message = format!("equation '{}': output letters must be distinct and from the operands", self.text);
            return Err(Error::invalid_model(message));
        }
        Ok(())
    }

    /// Numbers the axes: those of the ellipsis first, then letters by their ASCII codes.
    pub fn labels(&self, ranks: &[usize]) -> Result<Labels> {
        let Equation { text, terms, output } = self;
        if terms.len() != ranks.len() {
            let message = format!("equation '{text}' has {} terms for {} inputs", terms.len(), ranks.len());
            return Err(Error::invalid_model(message));
        }
        let mut hidden = None;
        for (term, &rank) in terms.iter().zip(ranks) {
            let left = rank.checked_sub(term.letters().count());
            let fits = match (left, &term.after) {
                (Some(left), Some(_)) => *hidden.get_or_insert(left) == left,
                (left, None) => left == Some(0),
                (None, Some(_)) => false,
            };
            if !fits {
                return Err(Error::shape(format!("equation '{text}' does not fit operands of ranks {ranks:?}")));
            }
        }
        let hidden = hidden.unwrap_or(0);
        let mut letters: Vec<u8> = terms.iter().flat_map(Term::letters).collect();
        letters.sort_unstable();
        let once = |letter: &u8| letters.iter().filter(|&l| l == letter).count() == 1;
        let implicit = Term { before: Vec::new(), after: Some(letters.iter().copied().filter(once).collect()) };
        letters.dedup();
        let output = output.as_ref().unwrap_or(&implicit);
        let number = |letter| hidden + letters.partition_point(|&l| l < letter);
        Ok(Labels {
            terms: terms.iter().map(|term| term.axes(hidden, number)).collect(),
            output: output.axes(hidden, number),
            count: hidden + letters.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str, ranks: &[usize]) -> Option<(Vec<Vec<usize>>, Vec<usize>)> {
        let found = Equation::parse(text).ok()?.labels(ranks).ok()?;
        Some((found.terms.iter().map(|term| term.to_vec()).collect(), found.output.to_vec()))
    }

    #[test]
    fn terms_become_numbered_axes() {
        assert_eq!(labels("ij, jk", &[2, 2]), Some((vec![vec![0, 1], vec![1, 2]], vec![0, 2])));
        assert_eq!(labels("bA->", &[2]), Some((vec![vec![1, 0]], vec![])));
        assert_eq!(labels("bA", &[2]), Some((vec![vec![1, 0]], vec![0, 1])));
        assert_eq!(labels("ii", &[2]), Some((vec![vec![0, 0]], vec![])));
        assert_eq!(labels("a...b,...", &[4, 2]), Some((vec![vec![2, 0, 1, 3], vec![0, 1]], vec![0, 1, 2, 3])));
        assert_eq!(labels("...i->i", &[2]), Some((vec![vec![0, 1]], vec![1])));
        assert_eq!(labels(",i", &[0, 1]), Some((vec![vec![], vec![0]], vec![0])));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (text, ranks) in [
            ("ij", &[1][..]),
            ("i,j", &[1]),
            ("...,...", &[1, 2]),
            ("i......", &[1]),
            ("i->j", &[1]),
            ("i->ii", &[1]),
            ("i1", &[2]),
            ("i->i->i", &[1]),
            ("...ij", &[1]),
        ] {
            assert!(labels(text, ranks).is_none(), "{text}");
        }
    }
}
