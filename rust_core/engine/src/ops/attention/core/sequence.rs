//! How many keys a sequence has, and where its queries stand among them.

use std::ops::Range;

use super::{Attention, Number};
use crate::error::{Error, Result};
use crate::run::KernelCx;

/// Which keys a query at position p may attend, besides those of its sequence.
#[derive(Clone, Copy, Default)]
pub(in super::super) struct Bounds {
    /// From `p - left` on.
    pub left: Option<i64>,
    /// Up to `p + right`.
    pub right: Option<i64>,
    pub lengths: Lengths,
}

/// Where sequences end.
#[derive(Clone, Copy, Default)]
pub(in super::super) enum Lengths {
    /// All of them with the last key.
    #[default]
    All,
    /// The input with each sequence's keys, whose last one is the last query's. All keys are there, past ones too.
    Outside(usize),
    /// The input with each sequence's last key. The queries' own keys are the last ones before it; if the batch has no others (a
    /// prompt), they are the first, and go on behind it.
    Cache(usize),
}

/// [`Lengths`] of a run.
#[derive(Clone, Copy)]
pub(super) enum Ends<'a> {
    All,
    Outside(&'a [i64]),
    Cache(&'a [i32]),
}

/// One sequence.
#[derive(Clone, Copy)]
pub(super) struct Sequence {
    /// Keys of the past, and keys that can be read: those of the past, then own ones.
    pub past: usize,
    pub stored: usize,
    /// The first query's position among the keys, and where they end.
    pub first: i64,
    pub end: usize,
}

impl<W: Number> Attention<W> {
    /// The sequences' ends, which lie among the keys.
    pub(super) fn ends<'a>(&self, cx: &KernelCx<'a>) -> Result<Ends<'a>> {
        let (rows, keys) = (self.extents.rows as i64, self.extents.keys as i64);
        match self.bounds.lengths {
            Lengths::All => Ok(Ends::All),
            Lengths::Outside(input) => {
                let ends = cx.input::<i64>(input);
                if let Some(wrong) = ends.iter().find(|&&n| n < 0 || n > keys) {
                    let message = format!("nonpad_kv_seqlen has {wrong}, expected 0 to {keys} keys");
                    return Err(Error::invalid_input(message));
                }
                Ok(Ends::Outside(ends))
            }
            Lengths::Cache(input) => {
                let lasts = cx.input::<i32>(input);
                let least = if rows == keys { 0 } else { (rows - 1).max(0) };
                if let Some(wrong) = lasts.iter().find(|&&n| i64::from(n) < least || i64::from(n) >= keys) {
                    let message = format!("seqlens_k has {wrong}, expected {least} to {}", keys - 1);
                    return Err(Error::invalid_input(message));
                }
                Ok(Ends::Cache(lasts))
            }
        }
    }

    pub(super) fn sequence(&self, ends: Ends<'_>, batch: usize) -> Sequence {
        let (rows, keys, past) = (self.extents.rows, self.extents.keys, self.extents.past);
        match ends {
            Ends::All => Sequence { past, stored: keys, first: past as i64, end: keys },
            Ends::Outside(ends) => {
                Sequence { past: 0, stored: keys, first: ends[batch] - rows as i64, end: ends[batch] as usize }
            }
            Ends::Cache(lasts) => {
                let end = lasts[batch] as usize + 1;
                let past = if rows == keys { 0 } else { end - rows };
                Sequence { past, stored: end, first: past as i64, end }
            }
        }
    }

    /// The operands' own keys of a sequence, beside those of the past.
    pub(super) fn own_keys(&self) -> usize {
        match self.bounds.lengths {
            Lengths::All | Lengths::Outside(_) => self.extents.keys - self.extents.past,
            Lengths::Cache(_) => self.extents.rows,
        }
    }

    /// The keys that query `row` of a sequence may attend, the mask aside.
    pub(super) fn range(&self, sequence: Sequence, row: usize) -> Range<usize> {
        const FAR: i64 = 1 << 62;
        let (keys, end) = (self.extents.keys as i64, sequence.end as i64);
        let position = sequence.first + row as i64;
        let first = self.bounds.left.map_or(0, |left| position - left.min(FAR)).clamp(0, keys);
        let last = self.bounds.right.map_or(end, |right| (position + right.min(FAR) + 1).min(end)).clamp(first, keys);
        first as usize..last as usize
    }
}
