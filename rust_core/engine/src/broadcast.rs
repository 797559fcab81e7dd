//! Walking several strided operands together: broadcasting, slicing, transposing.
//!
//! A [`Walk`] is made once, when a step is planned: axes of length 1 dropped, neighbouring axes merged wherever every
//! operand allows it. What is left is a *row* (the innermost axis) and few outer axes. A kernel is then a loop over rows
//! in which every operand has one constant stride: 1 (a slice), 0 (one element for the whole row) or another.

// `k` numbers the operands of a walk across several arrays at once.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use smallvec::SmallVec;

use crate::error::{Error, Result};
use crate::tensor::{Shape, element_count};

/// The shape that `shapes` broadcast to by ONNX's (NumPy's) multidirectional rule.
pub fn broadcast_shapes(shapes: &[&[usize]]) -> Result<Shape> {
    let rank = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
    let mut out = Shape::from_elem(1, rank);
    for shape in shapes {
        for (dim, &n) in out[rank - shape.len()..].iter_mut().zip(shape.iter()) {
            if *dim == 1 {
                *dim = n;
            } else if n != 1 && n != *dim {
                return Err(Error::shape(format!("shapes {shapes:?} do not broadcast to one: {n} and {dim} differ")));
            }
        }
    }
    element_count(&out)?;
    Ok(out)
}

/// The shape under which `b` broadcasts into `a` as opsets 1 to 6 have it: its axes are `a`'s from `axis` on (default: the
/// last ones), and without `broadcast` the shapes must be equal.
pub fn legacy_aligned(a: &[usize], b: &[usize], axis: Option<i64>, broadcast: bool) -> Result<Shape> {
    if !broadcast {
        if a != b {
            return Err(Error::shape(format!("shapes {a:?} and {b:?} differ and broadcast is 0")));
        }
        return Ok(b.into());
    }
    let rank = a.len() as i64;
    let start = axis.map_or(rank - b.len() as i64, |axis| axis.rem_euclid(rank.max(1)));
    let mut aligned: Shape = b.into();
    aligned.extend(std::iter::repeat_n(1, (rank - start - b.len() as i64).max(0) as usize));
    let fits = start >= 0
        && aligned.len() <= a.len()
        && aligned.iter().rev().zip(a.iter().rev()).all(|(&n, &dim)| n == 1 || n == dim);
    if !fits {
        return Err(Error::shape(format!("shape {b:?} does not broadcast into {a:?} from axis {axis:?} on")));
    }
    Ok(aligned)
}

/// Strides, in elements, of a contiguous tensor.
pub fn contiguous_strides(shape: &[usize]) -> SmallVec<[isize; 6]> {
    let mut strides = SmallVec::from_elem(1, shape.len());
    for axis in (1..shape.len()).rev() {
        // Wraps only where another dimension is 0, so that no element has a place.
        strides[axis - 1] = isize::wrapping_mul(strides[axis], shape[axis].max(1) as isize);
    }
    strides
}

/// One collapsed axis: its length and each operand's stride along it, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis<const N: usize> {
    pub len: usize,
    pub strides: [isize; N],
}

/// `N` strided operands walked in the row-major order of one logical shape (that of a contiguous output).
#[derive(Clone, Debug)]
pub struct Walk<const N: usize> {
    /// Collapsed, outermost first; never empty.
    axes: SmallVec<[Axis<N>; 6]>,
    base: [isize; N],
    len: usize,
}

impl<const N: usize> Walk<N> {
    /// Contiguous operands broadcast together; gives the walk and the shape of the output.
    pub fn broadcast(shapes: [&[usize]; N]) -> Result<(Walk<N>, Shape)> {
        let out = broadcast_shapes(&shapes)?;
        let strides = shapes.map(|shape| {
            let mut strides: SmallVec<[isize; 6]> = SmallVec::from_elem(0, out.len());
            let own = contiguous_strides(shape);
            for (axis, (&n, stride)) in (out.len() - shape.len()..).zip(shape.iter().zip(own)) {
                strides[axis] = if n == 1 { 0 } else { stride };
            }
            strides
        });
        let walk = Walk::strided(&out, std::array::from_fn(|operand| strides[operand].as_slice()), [0; N]);
        Ok((walk, out))
    }

    /// Operands of any strides: operand `k`'s element at index `i` of `shape` lies at `base[k] + sum(i * strides[k])`.
    pub fn strided(shape: &[usize], strides: [&[isize]; N], base: [isize; N]) -> Walk<N> {
        let mut axes: SmallVec<[Axis<N>; 6]> = SmallVec::new();
        if shape.contains(&0) {
            axes.push(Axis { len: 0, strides: [0; N] });
            return Walk { axes, base, len: 0 };
        }
        // [panel: merge axes]
        for (index, &len) in shape.iter().enumerate().filter(|&(_, &len)| len != 1) {
            let axis = Axis { len, strides: strides.map(|of| of[index]) };
            match axes.last_mut() {
                Some(outer) if (0..N).all(|k| outer.strides[k] == axis.strides[k] * len as isize) => {
                    *outer = Axis { len: outer.len * len, strides: axis.strides };
                }
                _ => axes.push(axis),
            }
        }
        // [/panel]
        if axes.is_empty() {
            axes.push(Axis { len: 1, strides: [0; N] });
        }
        Walk { axes, base, len: shape.iter().product() }
    }

    /// Elements of the output.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The collapsed axes, outermost first, the row last. There is always one.
    pub fn axes(&self) -> &[Axis<N>] {
        &self.axes
    }

    /// Elements of a row.
    pub fn row(&self) -> usize {
        self.axes[self.axes.len() - 1].len
    }

    /// Stride of each operand within a row. A broadcast operand's is 0 or 1.
    pub fn row_strides(&self) -> [isize; N] {
        self.axes[self.axes.len() - 1].strides
    }

    /// Whether the whole walk is one row.
    pub fn is_flat(&self) -> bool {
        self.axes.len() == 1
    }

    /// Calls `body(at, len, offsets)` for every piece of a row in the output's elements `range`, in order: output elements
    /// `at .. at + len` come from operand elements `offsets[k] + i * row_strides()[k]`.
    #[inline]
    pub fn rows(&self, range: Range<usize>, mut body: impl FnMut(usize, usize, [usize; N])) {
        let end = range.end.min(self.len);
        if range.start >= end {
            return;
        }
        let row = self.row();
        let strides = self.row_strides();
        let outer = &self.axes[..self.axes.len() - 1];
        let (mut index, mut start) = self.seek(range.start / row);
        let mut at = range.start;
        let mut column = range.start % row;
        loop {
            let len = (row - column).min(end - at);
            let offsets = std::array::from_fn(|k| (start[k] + column as isize * strides[k]) as usize);
            body(at, len, offsets);
            at += len;
            if at == end {
                return;
            }
            column = 0;
            // The next row: count up like an odometer.
            for (place, axis) in index.iter_mut().zip(outer).rev() {
                *place += 1;
                for k in 0..N {
                    start[k] += axis.strides[k];
                }
                if *place < axis.len {
                    break;
                }
                *place = 0;
                for k in 0..N {
                    start[k] -= axis.strides[k] * axis.len as isize;
                }
            }
        }
    }

    /// Offset of each operand's first element of row `row` (rows count along all axes but the last).
    pub fn row_start(&self, row: usize) -> [usize; N] {
        self.seek(row).1.map(|start| start as usize)
    }

    /// Index along the outer axes and operand offsets of row `row`.
    fn seek(&self, mut row: usize) -> (SmallVec<[usize; 8]>, [isize; N]) {
        let outer = &self.axes[..self.axes.len() - 1];
        let mut index: SmallVec<[usize; 8]> = SmallVec::from_elem(0, outer.len());
        let mut start = self.base;
        for (place, axis) in index.iter_mut().zip(outer).rev() {
            *place = row % axis.len;
            row /= axis.len;
            for k in 0..N {
                start[k] += axis.strides[k] * *place as isize;
            }
        }
        (index, start)
    }
}

/// A row of an operand whose stride is 0 or 1: what an elementwise loop is specialised for.
#[derive(Clone, Copy, Debug)]
pub enum Row<'a, T> {
    Slice(&'a [T]),
    Scalar(T),
}

impl<'a, T: Copy> Row<'a, T> {
    /// The row of `data` that starts at `offset`.
    #[inline]
    pub fn of(data: &'a [T], offset: usize, len: usize, stride: isize) -> Row<'a, T> {
        if stride == 0 { Row::Scalar(data[offset]) } else { Row::Slice(&data[offset..offset + len]) }
    }
}

/// `out[i] = f(a[i], b[i])` over rows: the loop is one of three, each simple enough to be vectorised.
#[inline]
pub fn binary_rows<A: Copy, B: Copy, R>(
    walk: &Walk<2>,
    range: Range<usize>,
    (a, b): (&[A], &[B]),
    out: &mut [R],
    f: impl Fn(A, B) -> R + Copy,
) {
    let [sa, sb] = walk.row_strides();
    let first = range.start;
    walk.rows(range, |at, len, [oa, ob]| {
        let out = &mut out[at - first..at - first + len];
        match (Row::of(a, oa, len, sa), Row::of(b, ob, len, sb)) {
            (Row::Slice(a), Row::Slice(b)) => {
                out.iter_mut().zip(a.iter().zip(b)).for_each(|(o, (&a, &b))| *o = f(a, b))
            }
            (Row::Slice(a), Row::Scalar(b)) => out.iter_mut().zip(a).for_each(|(o, &a)| *o = f(a, b)),
            (Row::Scalar(a), Row::Slice(b)) => out.iter_mut().zip(b).for_each(|(o, &b)| *o = f(a, b)),
            (Row::Scalar(a), Row::Scalar(b)) => out.iter_mut().for_each(|o| *o = f(a, b)),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places<const N: usize>(walk: &Walk<N>, range: Range<usize>) -> Vec<[usize; N]> {
        let mut found = Vec::new();
        let strides = walk.row_strides();
        walk.rows(range.clone(), |at, len, offsets| {
            assert_eq!(at, range.start + found.len());
            for i in 0..len {
                found.push(std::array::from_fn(|k| (offsets[k] as isize + i as isize * strides[k]) as usize));
            }
        });
        found
    }

    #[test]
    fn broadcast_axes_merge_and_every_range_agrees() {
        let (walk, shape) = Walk::broadcast([&[2, 3, 4, 5], &[3, 1, 1]]).unwrap();
        assert_eq!(shape.as_slice(), [2, 3, 4, 5]);
        assert_eq!(walk.axes().len(), 3);
        assert_eq!((walk.row(), walk.row_strides()), (20, [1, 0]));
        let all = places(&walk, 0..120);
        for (i, &[a, b]) in all.iter().enumerate() {
            assert_eq!((a, b), (i, i / 20 % 3));
        }
        for start in (0..120).step_by(7) {
            for end in (start..=120).step_by(11) {
                assert_eq!(places(&walk, start..end), all[start..end]);
            }
        }
    }

    #[test]
    fn equal_shapes_are_one_row() {
        let (walk, _) = Walk::broadcast([&[2, 3, 4], &[2, 3, 4]]).unwrap();
        assert!(walk.is_flat());
        assert_eq!(walk.row(), 24);
    }

    #[test]
    fn ranks_zero_and_empty_shapes_walk() {
        let (walk, shape) = Walk::broadcast([&[], &[]]).unwrap();
        assert!(shape.is_empty());
        assert_eq!(places(&walk, 0..1), [[0, 0]]);
        let (walk, shape) = Walk::broadcast([&[0, 3], &[1]]).unwrap();
        assert_eq!(shape.as_slice(), [0, 3]);
        assert!(places(&walk, 0..walk.len()).is_empty());
        assert!(Walk::broadcast([&[2, 3], &[2]]).is_err());
    }

    #[test]
    fn negative_strides_walk_backwards() {
        let walk = Walk::strided(&[2, 3], [&[3, -1]], [2]);
        assert_eq!(places(&walk, 0..6).concat(), [2, 1, 0, 5, 4, 3]);
    }

    #[test]
    fn legacy_axes_align_from_the_axis_on() {
        assert_eq!(legacy_aligned(&[2, 3, 4], &[3], Some(1), true).unwrap().as_slice(), [3, 1]);
        assert_eq!(legacy_aligned(&[2, 3, 4], &[3, 4], None, true).unwrap().as_slice(), [3, 4]);
        assert!(legacy_aligned(&[2, 3, 4], &[3], None, true).is_err());
        assert!(legacy_aligned(&[2, 3], &[3], None, false).is_err());
    }
}
