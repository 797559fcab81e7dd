//! Two axes changing places: blocks of a few rows by a few columns, each read, turned in registers and written in whole vectors.

use crate::lanes::*;

/// `y[i * columns + j] = x[j * x_stride + i]` for `rows` rows of `y`, which holds them and nothing else.
///
/// # Panics
/// If `y` is not whole rows, or `x` ends before its last element that is read.
pub fn transpose<T: SimdElement + Default>(isa: Isa, x: &[T], x_stride: usize, y: &mut [T], columns: usize) {
    if y.is_empty() {
        return;
    }
    let rows = y.len() / columns;
    assert!(rows * columns == y.len() && (columns - 1) * x_stride + rows <= x.len());
    dispatch(isa, Transpose { x, x_stride, y, rows, columns });
}

struct Transpose<'a, T> {
    x: &'a [T],
    x_stride: usize,
    y: &'a mut [T],
    rows: usize,
    columns: usize,
}

impl<T: SimdElement + Default> Kernel for Transpose<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(mut self) {
        match L * 4 / size_of::<T>().max(4) {
            16 => self.blocks::<16>(),
            8 => self.blocks::<8>(),
            4 => self.blocks::<4>(),
            _ => self.blocks::<2>(),
        }
    }
}

// [panel: Transpose blocks]
impl<T: SimdElement + Default> Transpose<'_, T> {
    /// Blocks of `B` by `B`; what is left over at the ends goes element by element.
    #[inline(always)]
    fn blocks<const B: usize>(&mut self) {
        let (whole_rows, whole_columns) = (self.rows / B * B, self.columns / B * B);
        for i in (0..whole_rows).step_by(B) {
            for j in (0..whole_columns).step_by(B) {
                self.block::<B>(i, j);
            }
            self.rest(i..i + B, whole_columns..self.columns);
        }
        self.rest(whole_rows..self.rows, 0..self.columns);
    }

    #[inline(always)]
    fn block<const B: usize>(&mut self, i: usize, j: usize) {
        let mut block = [Simd::<T, B>::splat(T::default()); B];
        for (k, line) in block.iter_mut().enumerate() {
            let from = self.x[(j + k) * self.x_stride + i..].as_ptr();
            // SAFETY: `transpose` saw that x goes on to element (j + k) * x_stride + rows - 1, and i + B <= rows.
            *line = unsafe { from.cast::<Simd<T, B>>().read_unaligned() };
        }
        for (k, line) in turned(block).into_iter().enumerate() {
            let to = self.y[(i + k) * self.columns + j..].as_mut_ptr();
            // SAFETY: row i + k of y has columns elements, and j + B <= columns.
            unsafe { to.cast::<Simd<T, B>>().write_unaligned(line) };
        }
    }

    #[inline(always)]
    fn rest(&mut self, rows: std::ops::Range<usize>, columns: std::ops::Range<usize>) {
        for i in rows {
            let y = &mut self.y[i * self.columns..][columns.clone()];
            for (y, j) in y.iter_mut().zip(columns.clone()) {
                *y = self.x[j * self.x_stride + i];
            }
        }
    }
}
// [/panel]

/// `log2(B)` rounds of interleaving lines half the block apart: the perfect shuffle of the index bits, once a bit.
#[inline(always)]
pub(crate) fn turned<T: SimdElement, const B: usize>(mut block: [Simd<T, B>; B]) -> [Simd<T, B>; B] {
    let mut round = 1;
    while round < B {
        let mut next = block;
        for i in 0..B / 2 {
            (next[2 * i], next[2 * i + 1]) = block[i].interleave(block[i + B / 2]);
        }
        block = next;
        round *= 2;
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: SimdElement + Default + PartialEq + std::fmt::Debug>(of: impl Fn(usize) -> T) {
        for (rows, columns, stride) in [(1, 1, 1), (16, 16, 16), (17, 33, 19), (40, 5, 64), (3, 50, 3), (64, 64, 64)] {
            let x: Vec<T> = (0..columns * stride).map(&of).collect();
            for &isa in Isa::available() {
                let mut y = vec![T::default(); rows * columns];
                transpose(isa, &x, stride, &mut y, columns);
                for (at, y) in y.iter().enumerate() {
                    assert_eq!(*y, x[at % columns * stride + at / columns], "{} {rows}x{columns}", isa.name());
                }
            }
        }
        transpose(Isa::best(), &[], 4, &mut [] as &mut [T], 4);
    }

    #[test]
    fn elements_of_every_width_change_places() {
        check(|i| i as u8);
        check(|i| i as u16);
        check(|i| i as u32);
        check(|i| i as u64);
    }
}
