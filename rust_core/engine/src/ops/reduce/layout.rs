//! How a reduction over any axes becomes one over the middle of `[outer, n, inner]`.

use std::ops::Range;

use diptych_kernels::reduce::Extent;
use smallvec::SmallVec;

use crate::broadcast::{Walk, contiguous_strides};
use crate::error::Result;
use crate::ops::elementwise::Place;
use crate::run::KernelCx;
use crate::tensor::Shape;

/// Columns that are reduced together by one thread.
const COLUMNS: usize = 256;

/// A shape and its reduced axes, as a kernel sees them.
///
/// Where the reduced axes are not neighbours, each output's terms are gathered into the thread's scratch first: they are one index in
/// logical row-major order, and so is the order of the sum.
#[derive(Debug)]
pub(crate) struct Layout {
    extent: Extent,
    gather: Option<Walk<1>>,
}

impl Layout {
    /// `axes` are distinct and in `0 .. rank`, in any order.
    pub(crate) fn new(shape: &[usize], axes: &[usize]) -> Layout {
        // Runs of axes that are all kept or all reduced; axes of length 1 are of either kind.
        let mut groups: SmallVec<[(bool, usize); 6]> = SmallVec::new();
        for (axis, &n) in shape.iter().enumerate().filter(|&(_, &n)| n != 1) {
            let reduced = axes.contains(&axis);
            match groups.last_mut() {
                Some((kind, len)) if *kind == reduced => *len *= n,
                _ => groups.push((reduced, n)),
            }
        }
        let extent = |outer, n, inner| Extent { outer, n, inner };
        let direct = match groups[..] {
            [] => Some(extent(1, 1, 1)),
            [(false, inner)] => Some(extent(1, 1, inner)),
            [(true, n)] => Some(extent(1, n, 1)),
            [(false, outer), (true, n)] => Some(extent(outer, n, 1)),
            [(true, n), (false, inner)] => Some(extent(1, n, inner)),
            [(false, outer), (true, n), (false, inner)] => Some(extent(outer, n, inner)),
            _ => None,
        };
        direct.map_or_else(|| Layout::gathering(shape, axes), Layout::middle)
    }

    /// The middle of an array of this extent.
    pub(crate) fn middle(extent: Extent) -> Layout {
        Layout { extent, gather: None }
    }

    /// Each output's terms gathered, whatever the axes: `each` then has one row at a time, contiguous.
    pub(crate) fn gathering(shape: &[usize], axes: &[usize]) -> Layout {
        let strides = contiguous_strides(shape);
        let order = || {
            (0..shape.len())
                .filter(|axis| !axes.contains(axis))
                .chain((0..shape.len()).filter(|axis| axes.contains(axis)))
        };
        let permuted: Shape = order().map(|axis| shape[axis]).collect();
        let moved: SmallVec<[isize; 6]> = order().map(|axis| strides[axis]).collect();
        let (kept, reduced) = permuted.split_at(shape.len() - axes.len());
        let extent = Extent { outer: kept.iter().product(), n: reduced.iter().product(), inner: 1 };
        Layout { extent, gather: Some(Walk::strided(&permuted, [&moved], [0])) }
    }

    /// Elements that are read.
    pub(crate) fn reads(&self) -> usize {
        let Extent { outer, n, inner } = self.extent;
        outer.saturating_mul(n).saturating_mul(inner)
    }

    /// Elements of scratch that a thread needs.
    pub(crate) fn gathered(&self) -> usize {
        self.gather.as_ref().map_or(0, |_| self.extent.n)
    }

    /// Calls `body(first, terms, extent, rows, columns)` for disjoint pieces of the output, on several threads: `terms` is an array of
    /// `extent`, whose row 0 belongs to row `first` of the output `[outer, inner]`.
    pub(crate) fn each<W: Send + Sync>(
        &self,
        cx: &KernelCx<'_>,
        grain: usize,
        src: Place<W>,
        body: impl Fn(usize, *const W, Extent, Range<usize>, Range<usize>) + Sync,
    ) -> Result<()> {
        let Extent { outer, n, inner } = self.extent;
        let blocks = inner.div_ceil(COLUMNS);
        let work = n.max(1) * inner.clamp(1, COLUMNS);
        cx.parallel_ranges(outer * blocks, grain / work, |range, scratch| {
            if let Some(walk) = &self.gather {
                for row in range {
                    // SAFETY: the walk stays inside the operand's shape, and scratch holds n elements.
                    unsafe { gather_row(walk, row * n..(row + 1) * n, src, scratch.as_mut_ptr().cast()) };
                    body(row, scratch.as_ptr().cast(), Extent { outer: 1, n, inner: 1 }, 0..1, 0..1);
                }
            } else if blocks == 1 {
                body(0, src.at(0), self.extent, range, 0..inner);
            } else {
                for piece in range {
                    let (row, column) = (piece / blocks, piece % blocks * COLUMNS);
                    body(0, src.at(0), self.extent, row..row + 1, column..inner.min(column + COLUMNS));
                }
            }
        })
    }
}

/// Copies elements `range` of the walk to `out`.
///
/// # Safety
/// `src` is valid for reading wherever the walk goes, `out` for writing as many elements as the range has.
unsafe fn gather_row<W>(walk: &Walk<1>, range: Range<usize>, src: Place<W>, out: *mut W) {
    let first = range.start;
    let [stride] = walk.row_strides();
    walk.rows(range, |at, len, [offset]| {
        // SAFETY: by this function's contract.
        unsafe {
            let out = out.add(at - first);
            if stride == 1 {
                std::ptr::copy_nonoverlapping(src.at(offset), out, len);
            } else {
                for i in 0..len {
                    std::ptr::copy_nonoverlapping(
                        src.at(offset.wrapping_add_signed(i as isize * stride)),
                        out.add(i),
                        1,
                    );
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(shape: &[usize], axes: &[usize]) -> (usize, usize, usize, bool) {
        let layout = Layout::new(shape, axes);
        let Extent { outer, n, inner } = layout.extent;
        (outer, n, inner, layout.gather.is_some())
    }

    #[test]
    fn neighbouring_axes_are_one() {
        assert_eq!(extent(&[2, 3, 4, 5], &[1, 2]), (2, 12, 5, false));
        assert_eq!(extent(&[2, 3, 1, 5], &[1, 3]), (2, 15, 1, false));
        assert_eq!(extent(&[2, 3], &[]), (1, 1, 6, false));
        assert_eq!(extent(&[], &[]), (1, 1, 1, false));
        assert_eq!(extent(&[2, 0, 3], &[1]), (2, 0, 3, false));
        assert_eq!(extent(&[2, 3, 4], &[0, 2]), (3, 8, 1, true));
    }
}
