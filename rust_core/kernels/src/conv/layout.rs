//! Laying an input out for convolution: padding as zeros, columns split by stride phase, channels in blocks, values widened.

use super::element::{Element, Source};
use super::shape::{CHANNEL_BLOCK, InputLayout};
use crate::gemm::{first, load, store, store_upto};
use crate::lanes::*;
use crate::mutant::{self, Mutant};
use crate::transpose::turned;
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
        if self.lines.is_empty() {
            return;
        }
        for phase in 0..self.layout.phases {
            // SAFETY: the caller's promise.
            unsafe { self.segments::<L>(phase) }
        }
    }
}

impl<S: Source> LayOut<'_, S> {
    /// One phase's segments of all lines.
    #[inline(always)]
    unsafe fn segments<const L: usize>(&self, phase: usize) {
        let layout = self.layout;
        let (first, n, step) = (layout.column_start + phase as isize, layout.segment, layout.column_step);
        let first = first + isize::from(mutant::on(Mutant::OffByOnePad) && layout.column_start < 0);
        // Positions lo .. hi read the source; the others are padding.
        let up = |distance: isize| if distance > 0 { (distance + step - 1) / step } else { 0 };
        let lo = up(-first).min(n as isize) as usize;
        let hi = up(self.input[2] as isize - first).clamp(lo as isize, n as isize) as usize;
        let [depth, height] = layout.extents;
        let (unit, line) = (self.lines.start / (depth * height), self.lines.start % (depth * height));
        let (mut group, mut unit) = (unit / layout.units, unit % layout.units);
        let (mut d, mut h) = (line / height, line % height);
        let mut line = self.lines.start;
        while line < self.lines.end {
            let count = (height - h).min(self.lines.end - line);
            let to = self.to.wrapping_add(line * layout.line() + phase * n * layout.lanes);
            let place = Place { group, unit, d, h: h..h + count };
            // SAFETY: the caller's promise; these lines are a part of its range.
            unsafe { self.plane::<L>(place, lo..hi, first, to) }
            line += count;
            (d, h) = (d + 1, 0);
            if d == depth {
                (unit, d) = (unit + 1, 0);
            }
            if unit == layout.units {
                (group, unit) = (group + 1, 0);
            }
        }
    }

    /// One phase's segments of lines of one depth of one unit. Positions `inside` read the source, the first of them column `first`
    /// plus so many steps.
    #[inline(always)]
    unsafe fn plane<const L: usize>(&self, place: Place, inside: Range<usize>, first: isize, to: *mut S::Element) {
        let (layout, n) = (self.layout, self.layout.segment);
        let (lo, hi, step) = (inside.start, inside.end, layout.column_step as usize);
        let d = layout.start[0] + place.d as isize * layout.step[0];
        let reads = lo < hi && (0..self.input[0] as isize).contains(&d);
        // The lines from `top` to `bottom` have a row in the source.
        let up = |distance: isize| if distance > 0 { (distance + layout.step[1] - 1) / layout.step[1] } else { 0 };
        let line = |distance: isize| (up(distance) as usize).clamp(place.h.start, place.h.end);
        let (mut top, bottom) = match reads {
            true => (line(-layout.start[1]), line(self.input[1] as isize - layout.start[1])),
            false => (place.h.end, place.h.end),
        };
        let (plane, width) = (self.input[0] * self.input[1] * self.input[2], self.input[2]);
        let to = |h: usize| to.wrapping_add((h - place.h.start) * layout.line());
        let row = d * self.input[1] as isize + layout.start[1] + top as isize * layout.step[1];
        let column = first + (lo * step) as isize;
        let mut source = Lines {
            from: self
                .x
                .wrapping_add(place.group * self.channels * plane)
                .wrapping_offset(row * width as isize + column),
            plane,
            step,
            channels: self.channels,
            zero: self.zero,
        };
        let lanes = layout.lanes;
        // SAFETY: the segments hold n * lanes elements; columns first + lo*step .. lie inside the rows.
        unsafe {
            (place.h.start..top).for_each(|h| clear::<_, L>(to(h), n * lanes));
            let whole = hi - lo >= L && lo <= L && n - hi <= L;
            if S::PLAIN && lanes == 1 && !mutant::on(Mutant::StaleHalo) {
                let segments = Segments { lo, hi, n, width: width * layout.step[1] as usize, line: layout.line() };
                let (from, count) = (source.rows(place.unit).0.cast(), bottom.saturating_sub(top));
                let copied = match step {
                    1 if n <= L => segments.copy_short::<S::Element, L>(from, to(top), count),
                    1 if whole => segments.copy::<S::Element, L>(from, to(top), count, 1, |from| load(from)),
                    2 if whole => segments.copy::<S::Element, L>(from, to(top), count, 2, |from| every_other(from)),
                    _ => false,
                };
                top = if copied { bottom.max(top) } else { top };
            }
            for h in top..bottom {
                clear::<_, L>(to(h), lo * lanes);
                let inner = to(h).wrapping_add(lo * lanes);
                if lanes == 1 {
                    source.read::<L>(place.unit, hi - lo, inner);
                } else {
                    source.block::<L>(place.unit * CHANNEL_BLOCK, layout.elements, hi - lo, inner);
                }
                if !mutant::on(Mutant::StaleHalo) {
                    clear::<_, L>(to(h).wrapping_add(hi * lanes), (n - hi) * lanes);
                }
                source.from = source.from.wrapping_add(width * layout.step[1] as usize);
            }
            (bottom.max(top)..place.h.end).for_each(|h| clear::<_, L>(to(h), n * lanes));
        }
    }
}

/// Lines that are copied: `n` positions, of which `lo .. hi` come from the source, whose rows are `width` apart.
struct Segments {
    lo: usize,
    hi: usize,
    n: usize,
    width: usize,
    line: usize,
}

impl Segments {
    /// `count` lines of at most one vector.
    #[inline(always)]
    unsafe fn copy_short<E: Element, const L: usize>(&self, mut from: *const E, mut to: *mut E, count: usize) -> bool {
        let inside = first::<E, L>(self.hi) & !first::<E, L>(self.lo);
        for _ in 0..count {
            // SAFETY: the caller's promise: a row has hi - lo values from `from` on, a line n positions.
            unsafe {
                let row = Simd::load_select_ptr(from.wrapping_sub(self.lo), inside, Simd::splat(E::default()));
                store_upto(to, row, self.n);
            }
            (from, to) = (from.wrapping_add(self.width), to.wrapping_add(self.line));
        }
        true
    }

    /// `count` lines that have a vector of the source, every `step`-th value of it from where `read` is told. No store is masked: the
    /// later one wins.
    #[inline(always)]
    unsafe fn copy<E: Element, const L: usize>(
        &self,
        mut from: *const E,
        mut to: *mut E,
        count: usize,
        step: usize,
        read: impl Fn(*const E) -> Simd<E, L>,
    ) -> bool {
        let Segments { lo, hi, n, width, line } = *self;
        let zero = Simd::<E, L>::splat(E::default());
        for _ in 0..count {
            // SAFETY: the caller's promise: a row has hi - lo values from `from` on, a line n positions.
            unsafe {
                store(to, zero);
                store(to.add(n - L), zero);
                for i in (0..hi - lo - L).step_by(L) {
                    store(to.add(lo + i), read(from.add(i * step)));
                }
                store(to.add(hi - L), read(from.add((hi - lo - L) * step)));
            }
            (from, to) = (from.wrapping_add(width), to.wrapping_add(line));
        }
        true
    }
}

/// Values 0, 2 .. 2L-2, from the loads of 0 .. L-1 and L-1 .. 2L-2, so that nothing is read beyond the last.
///
/// # Safety
/// 2L - 1 values at `from` are readable.
#[inline(always)]
unsafe fn every_other<E: Element, const L: usize>(from: *const E) -> Simd<E, L> {
    // SAFETY: the caller's promise.
    let (a, b) = unsafe { (load::<E, L>(from), load::<E, L>(from.add(L - 1))) };
    a.deinterleave(b.rotate_elements_left::<1>()).0
}

/// Some lines of one depth of one unit.
struct Place {
    group: usize,
    unit: usize,
    d: usize,
    h: Range<usize>,
}

/// `n` zeros.
#[inline(always)]
unsafe fn clear<E: Element, const L: usize>(to: *mut E, n: usize) {
    for i in (0..n).step_by(L) {
        // SAFETY: all indices are below n.
        unsafe { store_upto(to.add(i), Simd::<E, L>::splat(E::default()), n - i) }
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

    /// The first `n` (at least one; all, if `n >= L`) of the `L` columns from `i` on; zeros after them.
    #[inline(always)]
    unsafe fn vector<const L: usize>(
        &self,
        rows: (*const S, Option<*const S>),
        i: usize,
        n: usize,
    ) -> Simd<S::Element, L> {
        let near = |offset: usize, n: usize| {
            let at = i * self.step + offset;
            // SAFETY: the caller's promise: n columns exist, and so does what lies between them.
            unsafe { S::load::<L>(rows.0.add(at), rows.1.map(|s| s.add(at)), self.zero, n) }
        };
        match self.step {
            1 => near(0, n),
            // 0, 2 .. 2L-2 from the loads of 0 .. L-1 and L-1 .. 2L-2, so that nothing is read beyond the last column.
            2 if n >= L => near(0, L).deinterleave(near(L - 1, L).rotate_elements_left::<1>()).0,
            2 if 2 * n > L => near(0, L).deinterleave(near(L, 2 * n - 1 - L)).0,
            2 => near(0, 2 * n - 1).deinterleave(Simd::splat(S::Element::default())).0,
            _ => {
                let mut lanes = [S::Element::default(); L];
                for (k, lane) in lanes.iter_mut().enumerate().take(n) {
                    // SAFETY: the caller's promise.
                    *lane = unsafe { self.one(rows, i + k) };
                }
                Simd::from_array(lanes)
            }
        }
    }

    /// `n` columns of element `e`.
    #[inline(always)]
    unsafe fn read<const L: usize>(&self, e: usize, n: usize, to: *mut S::Element) {
        let rows = self.rows(e);
        let whole = n / L * L;
        // SAFETY: all columns are below n.
        unsafe {
            for i in (0..whole).step_by(L) {
                store(to.add(i), self.vector::<L>(rows, i, L));
            }
            if whole < n {
                store_upto(to.add(whole), self.vector::<L>(rows, whole, n - whole), n - whole);
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
                    *lane = unsafe { self.vector::<L>(rows, column, count) };
                }
                for (i, v) in turned(lanes).into_iter().enumerate().take(count) {
                    // SAFETY: position column + i < n has sixteen lanes; c + L <= 16.
                    unsafe { to.add((column + i) * CHANNEL_BLOCK + c).cast::<Simd<S::Element, L>>().write_unaligned(v) }
                }
            }
        }
    }
}
