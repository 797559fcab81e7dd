//! Extents of an attention, and where its operands have their heads.

use crate::error::{Error, Result};
use crate::tensor::element_count;

/// How far apart batches, heads and rows of an operand lie, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Strides {
    pub batch: usize,
    pub head: usize,
    pub row: usize,
}

impl Strides {
    /// `[batch, heads, rows, size]`.
    pub fn of_heads(heads: usize, rows: usize, size: usize) -> Strides {
        Strides { batch: heads * rows * size, head: rows * size, row: size }
    }

    /// `[batch, rows, heads * size]`.
    pub fn of_rows(heads: usize, rows: usize, size: usize) -> Strides {
        Strides { batch: heads * rows * size, head: size, row: heads * size }
    }

    pub fn at(&self, batch: usize, head: usize, row: usize) -> usize {
        batch * self.batch + head * self.head + row * self.row
    }
}

/// An operand's `[batch, heads, rows, size]` and strides; one of rank 3 has `count` heads side by side.
pub(super) fn heads(shape: &[usize], count: Option<i64>, name: &str) -> Result<([usize; 4], Strides)> {
    element_count(shape)?;
    match *shape {
        [batch, heads, rows, size] => {
            if let Some(count) = count.filter(|&count| count != 0 && count != heads as i64) {
                return Err(Error::shape(format!("{name} {shape:?} has {heads} heads, the attribute says {count}")));
            }
            Ok(([batch, heads, rows, size], Strides::of_heads(heads, rows, size)))
        }
        [batch, rows, hidden] => {
            let count = count.and_then(|count| usize::try_from(count).ok()).filter(|&count| count > 0);
            let Some(heads) = count.filter(|&count| hidden.is_multiple_of(count)) else {
                let message = format!("{name} {shape:?}: its last axis is no multiple of {} heads", count.unwrap_or(0));
                return Err(Error::shape(message));
            };
            let size = hidden / heads;
            Ok(([batch, heads, rows, size], Strides::of_rows(heads, rows, size)))
        }
        _ => Err(Error::shape(format!("{name} has shape {shape:?}, expected rank 3 or 4"))),
    }
}

/// Extents of one attention.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extents {
    pub batch: usize,
    pub kv_heads: usize,
    /// Query heads of one key head.
    pub group: usize,
    /// Queries of a head.
    pub rows: usize,
    /// Keys of the past, and all keys.
    pub past: usize,
    pub keys: usize,
    pub size: usize,
    pub v_size: usize,
}

impl Extents {
    /// From `[batch, heads, rows, size]` of Q, K and V, and the past's keys.
    pub fn new(q: [usize; 4], k: [usize; 4], v: [usize; 4], past: usize) -> Result<Extents> {
        let groups = if k[1] == 0 { q[1] == 0 } else { q[1].is_multiple_of(k[1]) };
        if q[0] != k[0] || q[3] != k[3] || k[..3] != v[..3] || !groups {
            return Err(Error::shape(format!("Q {q:?}, K {k:?} and V {v:?} do not fit together")));
        }
        let keys = element_count(&[k[2] + past])?;
        // Products of these extents do not overflow below.
        element_count(&[q[0].max(1), q[1].max(1), q[2].max(1), keys.max(1)])?;
        element_count(&[q[0].max(1), q[1].max(1), q[2].max(1) + keys, q[3].max(v[3]).max(1), 2])?;
        Ok(Extents {
            batch: q[0],
            kv_heads: k[1],
            group: q[1].checked_div(k[1]).unwrap_or(1),
            rows: q[2],
            past,
            keys,
            size: q[3],
            v_size: v[3],
        })
    }

    pub fn q_heads(&self) -> usize {
        self.kv_heads * self.group
    }
}
