//! Running sums and products along one axis of `[outer, n, inner]`: sequential, each rounded once to the type.

use crate::elementwise::{Binary, Compute, Number, Operand, accumulate, round};
use crate::lanes::Isa;
use crate::reduce::Extent;

/// What runs, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Products, else sums.
    pub product: bool,
    /// From the end.
    pub reverse: bool,
    /// Each result without its own term; the first is +0, of products 1.
    pub exclusive: bool,
}

/// Columns whose results are kept unrounded at a time.
const BLOCK: usize = 256;

// [panel: CumSum CumProd]
/// The running results of one outer position: `src` and `out` are `[n, inner]`.
///
/// # Panics
/// If a slice is shorter than that.
pub fn scan<T: Number>(isa: Isa, how: Scan, src: &[T], out: &mut [T], extent: Extent) {
    let Extent { n, inner, .. } = extent;
    assert!(src.len() >= n * inner && out.len() >= n * inner);
    let (operation, start) = if how.product { (Binary::Mul, T::Wide::ONE) } else { (Binary::Add, T::Wide::default()) };
    let mut results = [start; BLOCK];
    for column in (0..inner).step_by(BLOCK) {
        let count = BLOCK.min(inner - column);
        let results = &mut results[..count];
        results.fill(start);
        for step in 0..n {
            let at = (if how.reverse { n - 1 - step } else { step }) * inner + column;
            if how.exclusive {
                round(isa, results, &mut out[at..at + count]);
            }
            let op = (step > 0 || how.exclusive).then_some(operation);
            // SAFETY: `count` elements, in the slice.
            unsafe { accumulate(isa, op, results, Operand::Slice(src[at..at + count].as_ptr())) };
            if !how.exclusive {
                round(isa, results, &mut out[at..at + count]);
            }
        }
    }
}
// [/panel]
