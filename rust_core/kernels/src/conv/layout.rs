//! Laying an input out for convolution: padding as zeros, columns split by stride phase, channels in blocks, values widened.

use super::element::{Element, Source, transpose};
use super::shape::{CHANNEL_BLOCK, InputLayout};
use crate::lanes::*;
use std::ops::Range;

/// Lays lines `lines` of one image `x` (`[groups * channels][depth][height][width]`) out in `to`.
///
/// # Safety
/// `x` must be the whole image, `to` the whole scratch; no other thread may touch these lines of `to`.
pub(super) struct LayOut<'a, S: Source> {
    pub layout: &'a InputLayout,
    pub channels: usize,
    pub input: [usize; 3],
    pub zero: S::Zero,
    pub x: *const S,
    pub to: *mut S::Element,
    /// Counted over (group, unit, depth, height).
    pub lines: Range<usize>,
}

impl<S: Source> Kernel for LayOut<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let layout = self.layout;
        let per_unit = layout.extents[0] * layout.extents[1];
        for line in self.lines.clone() {
            let (unit, at) = (line / per_unit, line % per_unit);
            let (d, h) = (at / layout.extents[1], at % layout.extents[1]);
            let source = |axis: usize, i: usize| {
                let s = layout.start[axis] + i as isize * layout.step[axis];
                (s >= 0 && s < self.input[axis] as isize).then_some(s as usize)
            };
            let row = source(0, d).zip(source(1, h)).map(|(d, h)| (d * self.input[1] + h) * self.input[2]);
            let to = self.to.wrapping_add(line * layout.line());
            for phase in 0..layout.phases {
                let to = to.wrapping_add(phase * layout.segment * layout.lanes);
                // SAFETY: the caller's promise; the segment is a part of the line.
                unsafe { self.segment::<L>(unit, row, phase, to) }
            }
        }
    }
}

impl<S: Source> LayOut<'_, S> {
    /// One segment of one line of one unit.
    #[inline(always)]
    unsafe fn segment<const L: usize>(&self, unit: usize, row: Option<usize>, phase: usize, to: *mut S::Element) {
        let layout = self.layout;
        let (group, unit) = (unit / layout.units, unit % layout.units);
        let (first, n) = (layout.column_start + phase as isize, layout.segment);
        let step = layout.column_step;
        // Positions lo .. hi read the source; the others are padding.
        let width = self.input[2] as isize;
        let lo = if first < 0 { (-first + step - 1) / step } else { 0 }.min(n as isize) as usize;
        let hi =
            if first < width { (width - first + step - 1) / step } else { 0 }.clamp(lo as isize, n as isize) as usize;
        let (lo, hi) = if row.is_some() { (lo, hi) } else { (0, 0) };
        let zero = S::Element::default();
        // SAFETY: the segment holds n * lanes elements.
        unsafe {
            for i in 0..lo * layout.lanes {
                to.add(i).write(zero);
            }
            for i in hi * layout.lanes..n * layout.lanes {
                to.add(i).write(zero);
            }
        }
        let Some(row) = row.filter(|_| lo < hi) else { return };
        let plane = self.input[0] * self.input[1] * self.input[2];
        let from = self.x.wrapping_add(group * self.channels * plane + row).wrapping_offset(first + lo as isize * step);
        let source = Lines { from, plane, step: step as usize, channels: self.channels, zero: self.zero };
        let to = to.wrapping_add(lo * layout.lanes);
        // SAFETY: columns first + lo*step .. lie inside the row.
        unsafe {
            if layout.lanes == 1 {
                source.read(unit, hi - lo, to);
            } else {
                source.block::<L>(unit * CHANNEL_BLOCK, layout.elements, hi - lo, to);
            }
        }
    }
}

/// One row of every channel of a group.
struct Lines<S: Source> {
    from: *const S,
    plane: usize,
    step: usize,
    channels: usize,
    zero: S::Zero,
}

impl<S: Source> Lines<S> {
    /// `n` columns of element `e`.
    #[inline(always)]
    unsafe fn read(&self, e: usize, n: usize, to: *mut S::Element) {
        let channel = e * S::Element::CHANNELS;
        let first = self.from.wrapping_add(channel * self.plane);
        let second = (S::Element::CHANNELS == 2 && channel + 1 < self.channels).then(|| first.wrapping_add(self.plane));
        // SAFETY: both channels exist and hold n columns, `step` apart.
        unsafe {
            match (second, self.step) {
                (None, 1) => (0..n).for_each(|i| to.add(i).write(S::element(*first.add(i), None, self.zero))),
                (None, 2) => (0..n).for_each(|i| to.add(i).write(S::element(*first.add(2 * i), None, self.zero))),
                (None, s) => (0..n).for_each(|i| to.add(i).write(S::element(*first.add(i * s), None, self.zero))),
                (Some(b), s) => {
                    (0..n).for_each(|i| to.add(i).write(S::element(*first.add(i * s), Some(*b.add(i * s)), self.zero)))
                }
            }
        }
    }

    /// `n` columns of the sixteen elements from `e` on (those at and above `elements` are zero), transposed.
    #[inline(always)]
    unsafe fn block<const L: usize>(&self, e: usize, elements: usize, n: usize, to: *mut S::Element) {
        let mut column = 0;
        while column < n {
            let count = L.min(n - column);
            let source = Lines { from: self.from.wrapping_add(column * self.step), ..*self };
            for c in (0..CHANNEL_BLOCK).step_by(L) {
                let mut rows = [Simd::<S::Element, L>::splat(S::Element::default()); L];
                for (i, row) in rows.iter_mut().enumerate().take(elements.saturating_sub(e + c)) {
                    // SAFETY: count <= L columns of an existing element.
                    unsafe { source.read(e + c + i, count, row.as_mut_array().as_mut_ptr()) }
                }
                for (i, v) in transpose(rows).into_iter().enumerate().take(count) {
                    // SAFETY: position column + i < n has sixteen lanes; c + L <= 16.
                    unsafe { to.add((column + i) * CHANNEL_BLOCK + c).cast::<Simd<S::Element, L>>().write_unaligned(v) }
                }
            }
            column += count;
        }
    }
}
