//! Laying an input out for convolution: padding as zeros, columns split by stride phase, channels in blocks, values widened.

use super::element::{Element, Source, transpose};
use super::shape::{CHANNEL_BLOCK, InputLayout};
use crate::lanes::*;
use crate::mutant::{self, Mutant};
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
        let [depth, height] = self.layout.extents;
        let mut line = self.lines.start;
        while line < self.lines.end {
            // The lines of one plane of depths; its phases one after the other.
            let (unit, d, h) = (line / (depth * height), line / height % depth, line % height);
            let count = (height - h).min(self.lines.end - line);
            for phase in 0..self.layout.phases {
                // SAFETY: the caller's promise; these lines are a part of its range.
                unsafe { self.segments::<L>(unit, d, h..h + count, phase) }
            }
            line += count;
        }
    }
}

impl<S: Source> LayOut<'_, S> {
    /// One phase's segments of lines `lines` of depth `d` of one unit.
    #[inline(always)]
    unsafe fn segments<const L: usize>(&self, unit: usize, d: usize, lines: Range<usize>, phase: usize) {
        let layout = self.layout;
        let (group, within) = (unit / layout.units, unit % layout.units);
        let (first, n, step) = (layout.column_start + phase as isize, layout.segment, layout.column_step);
        let first = first + isize::from(mutant::on(Mutant::OffByOnePad) && layout.column_start < 0);
        // Positions lo .. hi read the source; the others are padding.
        let up = |distance: isize| if distance > 0 { (distance + step - 1) / step } else { 0 };
        let lo = up(-first).min(n as isize) as usize;
        let hi = up(self.input[2] as isize - first).clamp(lo as isize, n as isize) as usize;
        let source = |axis: usize, i: usize| {
            let s = layout.start[axis] + i as isize * layout.step[axis];
            (s >= 0 && s < self.input[axis] as isize).then_some(s as usize)
        };
        let plane = self.input[0] * self.input[1] * self.input[2];
        let (step, channels, zero, lanes) = (step as usize, self.channels, self.zero, layout.lanes);
        for h in lines {
            let line = (unit * layout.extents[0] + d) * layout.extents[1] + h;
            let to = self.to.wrapping_add(line * layout.line() + phase * n * lanes);
            let row = source(0, d).zip(source(1, h)).filter(|_| lo < hi);
            let (lo, hi) = if row.is_some() { (lo, hi) } else { (0, 0) };
            // SAFETY: the segment holds n * lanes elements; columns first + lo*step .. lie inside the row.
            unsafe {
                clear(to, lo * lanes);
                if !mutant::on(Mutant::StaleHalo) {
                    clear(to.wrapping_add(hi * lanes), (n - hi) * lanes);
                }
                let Some((d, h)) = row else { continue };
                let at = (d * self.input[1] + h) * self.input[2];
                let from =
                    self.x.wrapping_add(group * channels * plane + at).wrapping_offset(first + (lo * step) as isize);
                let source = Lines { from, plane, step, channels, zero };
                let to = to.wrapping_add(lo * lanes);
                if lanes == 1 {
                    source.read::<L>(within, hi - lo, to);
                } else {
                    source.block::<L>(within * CHANNEL_BLOCK, layout.elements, hi - lo, to);
                }
            }
        }
    }
}

/// `n` zeros; few of them (a pad) without a call.
#[inline(always)]
unsafe fn clear<E: Element>(to: *mut E, n: usize) {
    let zero = E::default();
    // SAFETY: all indices are below n.
    unsafe {
        if n > 0 {
            to.write(zero);
            to.add(n - 1).write(zero);
        }
        if n > 2 {
            to.add(1).write(zero);
            to.add(n - 2).write(zero);
        }
        if n > 4 {
            to.add(2).write_bytes(0, n - 4);
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
    /// The rows of element `e`'s channels.
    #[inline(always)]
    fn rows(&self, e: usize) -> (*const S, Option<*const S>) {
        let channel = e * S::Element::CHANNELS;
        let first = self.from.wrapping_add(channel * self.plane);
        let second = S::Element::CHANNELS == 2 && channel + 1 < self.channels;
        (first, second.then(|| first.wrapping_add(self.plane)))
    }

    /// Column `i`.
    #[inline(always)]
    unsafe fn one(&self, (first, second): (*const S, Option<*const S>), i: usize) -> S::Element {
        // SAFETY: the caller's promise: column i exists.
        unsafe { S::element(*first.add(i * self.step), second.map(|s| *s.add(i * self.step)), self.zero) }
    }

    /// `L` columns from `i` on.
    #[inline(always)]
    unsafe fn vector<const L: usize>(&self, rows: (*const S, Option<*const S>), i: usize) -> Simd<S::Element, L> {
        let near = |offset: usize| {
            let unit = Lines { step: 1, ..*self };
            // SAFETY: the caller's promise: all L columns exist, and so does what lies between them.
            Simd::from_array(std::array::from_fn(|k| unsafe { unit.one(rows, i * self.step + offset + k) }))
        };
        match self.step {
            1 => near(0),
            // 0, 2 .. 2L-2 from the loads of 0 .. L-1 and L-1 .. 2L-2, so that nothing is read beyond the last column.
            2 => near(0).deinterleave(near(L - 1).rotate_elements_left::<1>()).0,
            // SAFETY: the caller's promise.
            _ => Simd::from_array(std::array::from_fn(|k| unsafe { self.one(rows, i + k) })),
        }
    }

    /// `n` columns of element `e`.
    #[inline(always)]
    unsafe fn read<const L: usize>(&self, e: usize, n: usize, to: *mut S::Element) {
        let rows = self.rows(e);
        // SAFETY: all columns are below n.
        unsafe {
            if n < L {
                (0..n).for_each(|i| to.add(i).write(self.one(rows, i)));
                return;
            }
            let mut i = 0;
            while i < n {
                // The last vector overlaps the one before.
                let at = i.min(n - L);
                to.add(at).cast::<Simd<S::Element, L>>().write_unaligned(self.vector::<L>(rows, at));
                i += L;
            }
        }
    }

    /// `n` columns of the sixteen elements from `e` on (those at and above `elements` are zero), transposed.
    #[inline(always)]
    unsafe fn block<const L: usize>(&self, e: usize, elements: usize, n: usize, to: *mut S::Element) {
        for column in (0..n).step_by(L) {
            let count = L.min(n - column);
            for c in (0..CHANNEL_BLOCK).step_by(L) {
                let mut lanes = [Simd::<S::Element, L>::splat(S::Element::default()); L];
                for (i, lane) in lanes.iter_mut().enumerate().take(elements.saturating_sub(e + c)) {
                    let rows = self.rows(e + c + i);
                    // SAFETY: count <= L columns of an existing element.
                    unsafe {
                        if count == L {
                            *lane = self.vector::<L>(rows, column);
                        } else {
                            (0..count).for_each(|k| lane[k] = self.one(rows, column + k));
                        }
                    }
                }
                for (i, v) in transpose(lanes).into_iter().enumerate().take(count) {
                    // SAFETY: position column + i < n has sixteen lanes; c + L <= 16.
                    unsafe { to.add((column + i) * CHANNEL_BLOCK + c).cast::<Simd<S::Element, L>>().write_unaligned(v) }
                }
            }
        }
    }
}
