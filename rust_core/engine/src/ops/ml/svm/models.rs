//! The models: regressors and classifiers with support vectors, and linear ones.

use diptych_kernels::Isa;
use diptych_kernels::ml::scores::{Transform, transform};
use diptych_kernels::ml::svm::{Term, weighted_sums};

use super::super::labels::{choose, first_greatest};
use super::super::linear::{Product, opposites};
use super::super::model::{Computing, Model};
use super::coupling::{coupled, coupling_len};
use super::kernel::Kernels;
use crate::error::Result;
use crate::ops::elements::{buffer_bytes, elements_mut, rooms, rooms_bytes};

/// A regressor with support vectors.
pub struct Regressor<T> {
    pub kernels: Kernels<T>,
    pub coefficients: Vec<T>,
    pub rho: T,
    pub one_class: bool,
    pub transform: Transform,
}

/// 1 above 0, else -1.
fn signs<T: Computing>(scores: &mut [T]) {
    let (zero, one) = (T::of(0.0), T::of(1.0));
    scores.iter_mut().for_each(|y| *y = if *y > zero { one } else { -one });
}

impl<T: Computing> Model<T> for Regressor<T> {
    fn columns(&self) -> usize {
        1
    }

    fn scratch(&self, rows: usize) -> Result<usize> {
        rooms_bytes(&self.kernels.sizes(rows)?)
    }

    fn cost(&self) -> u64 {
        self.kernels.cost()
    }

    fn run(&self, isa: Isa, x: &[T], scores: &mut [T], _: &mut [u32], scratch: &mut [u8]) {
        let rows = scores.len();
        let rooms = rooms(scratch, self.kernels.sizes(rows).unwrap_or_default());
        let kernels = self.kernels.run(isa, x, rows, rooms);
        let term = Term { first: 0, weights: &self.coefficients };
        weighted_sums(isa, kernels, rows, &[term], self.rho, scores, 1);
        if self.one_class {
            signs(scores);
        }
        transform(isa, self.transform, scores, 1);
    }
}

/// A linear model: scores are products plus one number.
pub struct Linear<T> {
    pub product: Product<T>,
    pub columns: usize,
    pub one_class: bool,
    pub transform: Transform,
}

impl<T: Computing> Model<T> for Linear<T> {
    fn columns(&self) -> usize {
        self.columns
    }

    fn scratch(&self, rows: usize) -> Result<usize> {
        self.product.scratch(rows)
    }

    fn cost(&self) -> u64 {
        self.product.work() / 16 + 10
    }

    fn run(&self, isa: Isa, x: &[T], scores: &mut [T], classes: &mut [u32], scratch: &mut [u8]) {
        self.product.run(x, scores, scratch);
        if self.one_class {
            signs(scores);
        }
        choose(scores, self.columns, classes);
        transform(isa, self.transform, scores, self.columns);
    }
}

/// A classifier with support vectors: each pair of classes has a score and votes.
pub struct Classifier<T> {
    pub kernels: Kernels<T>,
    /// Where the vectors of each class start, and the end.
    pub starts: Vec<usize>,
    /// [classes - 1, vectors].
    pub coefficients: Vec<T>,
    /// One a pair.
    pub rho: Vec<T>,
    /// Platt's coefficients, one of each a pair, or none.
    pub platt: Option<(Vec<T>, Vec<T>)>,
    pub transform: Transform,
}

impl<T: Computing> Classifier<T> {
    fn classes(&self) -> usize {
        self.starts.len() - 1
    }

    /// Bytes of the kernels' rooms, the scores of pairs, votes, and the coupling of a row.
    fn sizes(&self, rows: usize) -> Result<[usize; 6]> {
        let [across, down, product] = self.kernels.sizes(rows)?;
        let pairs = buffer_bytes::<T>(&[rows, self.rho.len()])?;
        let coupling = if self.platt.is_some() { coupling_len(self.classes())? } else { 0 };
        Ok([across, down, product, pairs, self.classes() * size_of::<T>(), buffer_bytes::<T>(&[coupling])?])
    }

    /// The two terms of pair (i, j): class i's vectors in row j - 1 of the coefficients, class j's in row i.
    fn terms(&self, i: usize, j: usize) -> [Term<'_, T>; 2] {
        let term = |class: usize, row: usize| {
            let (first, end) = (self.starts[class], self.starts[class + 1]);
            let start = row * self.kernels.vectors;
            Term { first, weights: &self.coefficients[start + first..start + end] }
        };
        [term(i, j - 1), term(j, i)]
    }

    /// The scores of all pairs of each row, [rows, pairs].
    fn pairs(&self, isa: Isa, kernels: &[T], rows: usize, out: &mut [T]) {
        let count = self.rho.len();
        for (pair, (i, j)) in pairs(self.classes()).enumerate() {
            let terms = self.terms(i, j);
            weighted_sums(isa, kernels, rows, &terms, self.rho[pair], &mut out[pair..], count);
        }
    }

    /// The class with the most votes, the first of equals. Counts are exact.
    fn vote(&self, scores: &[T], votes: &mut [T]) -> u32 {
        let (zero, one) = (T::of(0.0), T::of(1.0));
        votes.fill(zero);
        for ((i, j), score) in pairs(self.classes()).zip(scores) {
            let winner = if *score > zero { i } else { j };
            votes[winner] = votes[winner] + one;
        }
        first_greatest(votes) as u32
    }
}

/// Pairs i < j of classes, in order.
pub fn pairs(classes: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..classes).flat_map(move |i| (i + 1..classes).map(move |j| (i, j)))
}

impl<T: Computing> Model<T> for Classifier<T> {
    fn columns(&self) -> usize {
        match (&self.platt, self.classes()) {
            (Some(_), classes) => classes,
            (None, 2) => 2,
            _ => self.rho.len(),
        }
    }

    fn scratch(&self, rows: usize) -> Result<usize> {
        rooms_bytes(&self.sizes(rows)?)
    }

    fn cost(&self) -> u64 {
        let iterations = if self.platt.is_some() { 20 * self.classes() as u64 * self.classes() as u64 } else { 0 };
        self.kernels.cost() + self.coefficients.len() as u64 / 4 + iterations
    }

    fn run(&self, isa: Isa, x: &[T], scores: &mut [T], classes: &mut [u32], scratch: &mut [u8]) {
        let (columns, count) = (self.columns(), self.rho.len());
        let rows = scores.len() / columns;
        let [across, down, product, pairs, votes, coupling] = rooms(scratch, self.sizes(rows).unwrap_or_default());
        let kernels = self.kernels.run(isa, x, rows, [across, down, product]);
        let pairs = elements_mut::<T>(pairs);
        self.pairs(isa, kernels, rows, pairs);
        let votes = elements_mut::<T>(votes);
        for (class, scores) in classes.iter_mut().zip(pairs.chunks_exact(count)) {
            *class = self.vote(scores, votes);
        }
        match &self.platt {
            Some((a, b)) => {
                for row in pairs.chunks_exact_mut(count) {
                    row.iter_mut().zip(a.iter().zip(b)).for_each(|(s, (&a, &b))| *s = -(*s * a + b));
                }
                transform(isa, Transform::Logistic, pairs, count);
                let coupling = elements_mut::<T>(coupling);
                for (row, p) in scores.chunks_exact_mut(columns).zip(pairs.chunks_exact(count)) {
                    coupled(p, row, coupling);
                }
            }
            None if self.classes() == 2 => opposites(pairs, scores),
            None => scores.copy_from_slice(pairs),
        }
        transform(isa, self.transform, scores, columns);
    }
}
