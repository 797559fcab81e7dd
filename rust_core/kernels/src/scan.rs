//! Running sums along one axis of `[outer, n, inner]`: sequential, each rounded once to the type.

use crate::elementwise::{Binary, Number, Operand, accumulate, round};
use crate::lanes::Isa;
use crate::reduce::Extent;

/// How a running sum goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direction {
    /// From the end.
    pub reverse: bool,
    /// Each sum without its own term; the first is +0.
    pub exclusive: bool,
}

/// Columns whose sums are kept unrounded at a time.
const BLOCK: usize = 256;

/// The running sums of one outer position: `src` and `out` are `[n, inner]`.
///
/// # Panics
/// If a slice is shorter than that.
pub fn running_sum<T: Number>(isa: Isa, direction: Direction, src: &[T], out: &mut [T], extent: Extent) {
    let Extent { n, inner, .. } = extent;
    assert!(src.len() >= n * inner && out.len() >= n * inner);
    let mut sums = [T::Wide::default(); BLOCK];
    for column in (0..inner).step_by(BLOCK) {
        let count = BLOCK.min(inner - column);
        let sums = &mut sums[..count];
        sums.fill(T::Wide::default());
        for step in 0..n {
            let at = (if direction.reverse { n - 1 - step } else { step }) * inner + column;
            if direction.exclusive {
                round(isa, sums, &mut out[at..at + count]);
            }
            let op = (step > 0 || direction.exclusive).then_some(Binary::Add);
            // SAFETY: `count` elements, in the slice.
            unsafe { accumulate(isa, op, sums, Operand::Slice(src[at..at + count].as_ptr())) };
            if !direction.exclusive {
                round(isa, sums, &mut out[at..at + count]);
            }
        }
    }
}
