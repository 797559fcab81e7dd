//! NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss: docs/numerics.md, section 4.

use crate::functions::{Arithmetic, Float};
use std::ops::Range;

/// The class of each target.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'a> {
    I32(&'a [i32]),
    I64(&'a [i64]),
}

impl Targets<'_> {
    #[inline]
    fn get(&self, i: usize) -> i64 {
        match self {
            Targets::I32(all) => all[i].into(),
            Targets::I64(all) => all[i],
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Targets::I32(all) => all.len(),
            Targets::I64(all) => all.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many are not `ignored`; or the first of them that is not in `0 .. classes`.
    pub fn check(&self, ignored: Option<i64>, classes: usize) -> Result<usize, i64> {
        let mut count = 0;
        for i in 0..self.len() {
            let class = self.get(i);
            if Some(class) == ignored {
                continue;
            }
            if usize::try_from(class).map_or(true, |class| class >= classes) {
                return Err(class);
            }
            count += 1;
        }
        Ok(count)
    }
}

/// What LogSoftmax subtracts from x, first one, then the other: a number for each target.
#[derive(Clone, Copy, Debug)]
pub struct LogSums<'a, W> {
    pub maxima: &'a [W],
    pub logs: &'a [W],
}

/// The operands of a loss. Log-probabilities are `[N, classes, inner]`, targets `[N, inner]`.
#[derive(Clone, Copy)]
pub struct Loss<'a, T: Float> {
    pub x: &'a [T],
    /// What is subtracted from x to give log-probabilities, if x are not those.
    pub log_sums: Option<LogSums<'a, T::Wide>>,
    pub targets: Targets<'a>,
    /// A factor for each class.
    pub weights: Option<&'a [T]>,
    /// The class whose targets have no loss.
    pub ignored: Option<i64>,
    pub classes: usize,
    pub inner: usize,
}

// [panel: NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss]
impl<T: Float> Loss<'_, T> {
    /// Loss and weight of target `i`.
    #[inline]
    fn of(&self, i: usize) -> (T::Wide, T::Wide) {
        let class = self.targets.get(i);
        let zero = T::Wide::from_f32(0.0);
        if Some(class) == self.ignored {
            return (zero, zero);
        }
        let class = class as usize;
        let mut y = self.x[(i / self.inner * self.classes + class) * self.inner + i % self.inner].widen();
        if let Some(LogSums { maxima, logs }) = self.log_sums {
            y = (y - maxima[i]) - logs[i];
        }
        match self.weights {
            None => (-y, T::Wide::from_f32(1.0)),
            Some(weights) => {
                let weight = weights[class].widen();
                (-y * weight, weight)
            }
        }
    }

    /// Losses of the targets in `range` and, if wanted, their weights: as many numbers as the range has.
    ///
    /// # Panics
    /// If a target is neither a class nor ignored ([`Targets::check`]), or a slice is too short.
    pub fn terms(&self, range: Range<usize>, losses: &mut [T::Wide], mut weights: Option<&mut [T::Wide]>) {
        for (k, i) in range.enumerate() {
            let (loss, weight) = self.of(i);
            losses[k] = loss;
            if let Some(weights) = &mut weights {
                weights[k] = weight;
            }
        }
    }
}
// [/panel]
