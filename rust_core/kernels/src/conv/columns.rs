//! The column path: vectors along the output columns, weights broadcast. For depthwise convolutions and narrow groups.

use super::direct::Taps;
use super::element::{Element, Sink};
use super::shape::CHANNEL_BLOCK;
use crate::epilogue::Follow;
use crate::lanes::*;

/// A rectangle of rows by columns of one output channel.
///
/// # Safety
/// `x` points at the first tap of the first output; all taps lie in the scratch, which goes on for [`super::shape::SLACK`] elements; `w`
/// at the channel's packed weights; `y` at the first output.
pub(super) struct Rectangle<'r, 'a, O: Sink> {
    pub taps: &'r Taps,
    pub kernel_taps: usize,
    pub elements: usize,
    /// Distance of neighbouring elements (channel planes).
    pub channel: usize,
    pub rows: usize,
    pub columns: usize,
    /// Input elements and output values from one row to the next.
    pub x_row: usize,
    pub y_row: usize,
    pub x: *const O::Element,
    pub w: *const O::Element,
    pub bias: Option<O::Element>,
    /// What follows, for channel `channel_index`.
    pub epilogue: Option<O::Follow<'a>>,
    pub channel_index: usize,
    pub y: *mut O,
}

impl<O: Sink> Rectangle<'_, '_, O> {
    /// Strips of four, two or one vectors of columns, as many as there are registers for.
    ///
    /// # Safety
    /// As the type says.
    #[inline(always)]
    pub(super) unsafe fn run<A: Arch, const L: usize>(&self) {
        let wide = matches!(A::ISA, Isa::Avx512 | Isa::Avx512Vnni | Isa::Neon) && O::Element::VECTORS == 2;
        let mut column = 0;
        while column < self.columns {
            let left = (self.columns - column).div_ceil(L);
            // SAFETY: the first vector starts inside the row; what it reads beyond lies in the slack, what it stores is cut off.
            unsafe {
                if wide && left > 2 {
                    self.strip::<A, L, 4>(column);
                    column += 4 * L;
                } else if left > 1 {
                    self.strip::<A, L, 2>(column);
                    column += 2 * L;
                } else {
                    self.strip::<A, L, 1>(column);
                    column += L;
                }
            }
        }
    }

    /// `V` vectors of columns, in bands of eight rows (narrow strips), four, two and one.
    #[inline(always)]
    unsafe fn strip<A: Arch, const L: usize, const V: usize>(&self, column: usize) {
        let mut row = 0;
        // SAFETY: row + band <= self.rows.
        unsafe {
            while V == 1 && self.rows - row >= 8 {
                self.tile::<A, L, 8, V>(row, column);
                row += 8;
            }
            while self.rows - row >= 4 {
                self.tile::<A, L, 4, V>(row, column);
                row += 4;
            }
            if self.rows - row >= 2 {
                self.tile::<A, L, 2, V>(row, column);
                row += 2;
            }
            if self.rows > row {
                self.tile::<A, L, 1, V>(row, column);
            }
        }
    }

    /// `R` rows by `V` vectors of columns.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "register tiles are indexed")]
    unsafe fn tile<A: Arch, const L: usize, const R: usize, const V: usize>(&self, row: usize, column: usize) {
        let mut acc = [[Simd::<O::Element, L>::splat(O::Element::default()); V]; R];
        let x = self.x.wrapping_add(row * self.x_row + column);
        let mut x_block = x;
        let mut w_block = self.w;
        let mut left = self.elements;
        if left == 1 && self.taps.phases == 1 {
            // Depthwise with stride 1: nothing but the kernel's rows.
            let step = self.taps.whole * self.taps.position;
            self.taps.lines(|offset, tap| {
                for k in 0..self.taps.counts[2] {
                    // SAFETY: the caller's promise.
                    unsafe {
                        let weight = Simd::splat(*self.w.add(tap + k));
                        let x = x.wrapping_offset(offset + k as isize * step);
                        for r in 0..R {
                            for v in 0..V {
                                let at = x.wrapping_add(r * self.x_row + v * L).cast::<Simd<O::Element, L>>();
                                acc[r][v] = O::Element::mac::<A, L>(at.read_unaligned(), weight, acc[r][v]);
                            }
                        }
                    }
                }
            });
            left = 0;
        }
        while left > 0 {
            let n = left.min(CHANNEL_BLOCK);
            self.taps.each(|offset, tap| {
                let mut x = x_block.wrapping_offset(offset);
                let w = w_block.wrapping_add(tap * n);
                for c in 0..n {
                    // SAFETY: the caller's promise.
                    unsafe {
                        let weight = Simd::splat(*w.add(c));
                        for r in 0..R {
                            for v in 0..V {
                                let at = x.wrapping_add(r * self.x_row + v * L).cast::<Simd<O::Element, L>>();
                                acc[r][v] = O::Element::mac::<A, L>(at.read_unaligned(), weight, acc[r][v]);
                            }
                        }
                    }
                    x = x.wrapping_add(self.channel);
                }
            });
            x_block = x_block.wrapping_add(n * self.channel);
            w_block = w_block.wrapping_add(self.kernel_taps * n);
            left -= n;
        }
        let bias = Simd::splat(self.bias.unwrap_or_default());
        match self.epilogue {
            Some(epilogue) => {
                let factors = epilogue.of_channel(self.channel_index);
                for r in 0..R {
                    for v in 0..V {
                        let sum = if self.bias.is_some() { O::Element::add(acc[r][v], bias) } else { acc[r][v] };
                        let y = epilogue.apply::<A, L>(sum, factors);
                        // SAFETY: the caller's promise.
                        unsafe { self.store::<L>(row + r, column + v * L, y) }
                    }
                }
            }
            None => {
                for r in 0..R {
                    for v in 0..V {
                        let sum = if self.bias.is_some() { O::Element::add(acc[r][v], bias) } else { acc[r][v] };
                        // SAFETY: the caller's promise.
                        unsafe { self.store::<L>(row + r, column + v * L, sum) }
                    }
                }
            }
        }
    }

    /// Stores what of a vector lies in the row.
    #[inline(always)]
    unsafe fn store<const L: usize>(&self, row: usize, column: usize, y: Simd<O::Element, L>) {
        let n = self.columns.saturating_sub(column).min(L);
        // SAFETY: n columns of the row from `column` on exist.
        unsafe { O::store(y, self.y.wrapping_add(row * self.y_row + column), n) }
    }
}
