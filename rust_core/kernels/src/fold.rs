//! Blocks of an image added up to the image: `docs/numerics.md`, row Col2Im.

use crate::lanes::*;
use half::{bf16, f16};

/// How blocks lie in an image. Every list has one entry an axis, outermost first; strides are positive.
#[derive(Clone, Debug)]
pub struct Blocks {
    pub image: Vec<usize>,
    pub block: Vec<usize>,
    pub strides: Vec<usize>,
    pub dilations: Vec<usize>,
    pub pads_begin: Vec<usize>,
    /// Blocks along each axis.
    pub counts: Vec<usize>,
}

/// Elements that lie `stride` apart in the image and side by side in the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub column: usize,
    pub image: usize,
    pub stride: usize,
    pub len: usize,
}

impl Blocks {
    /// Elements of an image.
    pub fn image_len(&self) -> usize {
        self.image.iter().product()
    }

    /// Elements of the columns of an image: block positions times blocks.
    pub fn columns_len(&self) -> usize {
        self.block.iter().chain(&self.counts).product()
    }

    /// The blocks along `axis` whose position `k` lies in the image: the first of them, the one behind the last, and where the first
    /// one has it.
    #[inline(always)]
    fn inside(&self, axis: usize, k: usize) -> (usize, usize, usize) {
        let (stride, pad, shift) = (self.strides[axis], self.pads_begin[axis], k * self.dilations[axis]);
        let first = pad.saturating_sub(shift).div_ceil(stride);
        let end = (self.image[axis] + pad).saturating_sub(shift).div_ceil(stride).min(self.counts[axis]);
        if first < end { (first, end, first * stride + shift - pad) } else { (0, 0, 0) }
    }

    /// Calls `visit` for all runs, in the order of block positions (row-major).
    #[inline(always)]
    pub fn each_run(&self, mut visit: impl FnMut(Run)) {
        let rank = self.image.len();
        if rank == 0 || self.columns_len() == 0 {
            return;
        }
        let blocks: usize = self.counts.iter().product();
        let lines: usize = self.counts[..rank - 1].iter().product();
        for position in 0..self.block.iter().product() {
            let (first, end, start) = self.inside(rank - 1, position % self.block[rank - 1]);
            if first == end {
                continue;
            }
            for line in 0..lines {
                // The block's index and its position along each outer axis, innermost first.
                let (mut blocks_left, mut positions_left) = (line, position / self.block[rank - 1]);
                let (mut at, mut stride, mut taken) = (start, self.image[rank - 1], true);
                for axis in (0..rank - 1).rev() {
                    let (index, k) = (blocks_left % self.counts[axis], positions_left % self.block[axis]);
                    blocks_left /= self.counts[axis];
                    positions_left /= self.block[axis];
                    let place = index * self.strides[axis] + k * self.dilations[axis];
                    if place < self.pads_begin[axis] || place - self.pads_begin[axis] >= self.image[axis] {
                        taken = false;
                        break;
                    }
                    at += (place - self.pads_begin[axis]) * stride;
                    stride *= self.image[axis];
                }
                if taken {
                    let column = position * blocks + line * self.counts[rank - 1] + first;
                    visit(Run { column, image: at, stride: self.strides[rank - 1], len: end - first });
                }
            }
        }
    }
}

/// A type that is added up in a type `Sum`, whose default is zero.
pub trait Summand: Copy + Send + Sync + 'static {
    type Sum: Copy + Default;
    fn add(sum: Self::Sum, x: Self) -> Self::Sum;
    fn finish(sum: Self::Sum) -> Self;
}

macro_rules! summands {
    ($($t:ty, $sum:ty, |$a:ident, $x:ident| $add:expr, $finish:expr;)*) => {$(
        impl Summand for $t {
            type Sum = $sum;
            #[inline(always)]
            fn add($a: $sum, $x: $t) -> $sum {
                $add
            }
            #[inline(always)]
            fn finish(sum: $sum) -> $t {
                $finish(sum)
            }
        }
    )*};
}
summands! {
    f32, f32, |a, x| a + x, |s| s;
    f64, f64, |a, x| a + x, |s| s;
    f16, f32, |a, x| a + x.to_f32(), f16::from_f32;
    bf16, f32, |a, x| a + x.to_f32(), bf16::from_f32;
    u8, u8, |a, x| a.wrapping_add(x), |s| s;
    u16, u16, |a, x| a.wrapping_add(x), |s| s;
    u32, u32, |a, x| a.wrapping_add(x), |s| s;
    u64, u64, |a, x| a.wrapping_add(x), |s| s;
}

/// A byte that is zero or not: their sum is whether any is not.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Flag(pub u8);

impl Summand for Flag {
    type Sum = u8;
    #[inline(always)]
    fn add(sum: u8, x: Flag) -> u8 {
        sum | u8::from(x.0 != 0)
    }
    #[inline(always)]
    fn finish(sum: u8) -> Flag {
        Flag(sum)
    }
}

/// Adds the columns of one image up. Elements have `parts` numbers each (complex ones two), which add by themselves. `sums` is as
/// long as the image and may hold anything.
///
/// # Panics
/// If the slices' lengths are not those of `blocks`.
pub fn fold<T: Summand>(isa: Isa, blocks: &Blocks, parts: usize, columns: &[T], sums: &mut [T::Sum], image: &mut [T]) {
    assert!(columns.len() == blocks.columns_len() * parts && image.len() == blocks.image_len() * parts);
    assert_eq!(sums.len(), image.len());
    dispatch(isa, Fold { blocks, parts, columns, sums, image });
}

struct Fold<'a, T: Summand> {
    blocks: &'a Blocks,
    parts: usize,
    columns: &'a [T],
    sums: &'a mut [T::Sum],
    image: &'a mut [T],
}

// [panel: Col2Im]
impl<T: Summand> Kernel for Fold<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let Fold { blocks, parts, columns, sums, image } = self;
        sums.fill(T::Sum::default());
        blocks.each_run(|run| {
            let from = &columns[run.column * parts..][..run.len * parts];
            let to = &mut sums[run.image * parts..];
            if run.stride == 1 {
                to.iter_mut().zip(from).for_each(|(sum, &x)| *sum = T::add(*sum, x));
            } else {
                for (to, from) in to.chunks_mut(run.stride * parts).zip(from.chunks_exact(parts)) {
                    to.iter_mut().zip(from).for_each(|(sum, &x)| *sum = T::add(*sum, x));
                }
            }
        });
        image.iter_mut().zip(sums).for_each(|(y, &mut sum)| *y = T::finish(sum));
    }
}
// [/panel]

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_the_sum_of_its_blocks() {
        let base = Blocks {
            image: vec![5, 7],
            block: vec![2, 3],
            strides: vec![1, 2],
            dilations: vec![2, 1],
            pads_begin: vec![1, 0],
            counts: vec![4, 3],
        };
        let line = Blocks {
            image: vec![9],
            block: vec![3],
            strides: vec![1],
            dilations: vec![1],
            pads_begin: vec![2],
            counts: vec![9],
        };
        let none = Blocks { counts: vec![0, 3], ..base.clone() };
        for blocks in [base, line, none] {
            let rank = blocks.image.len();
            let columns: Vec<f32> = (0..blocks.columns_len()).map(|i| (i * 37 % 23) as f32 + 0.1).collect();
            let mut want = vec![0f32; blocks.image_len()];
            let total: usize = blocks.counts.iter().product();
            for (i, x) in columns.iter().enumerate() {
                let (mut position, mut index, mut at, mut stride) = (i / total, i % total, 0, 1);
                let mut inside = true;
                for axis in (0..rank).rev() {
                    let (k, b) = (position % blocks.block[axis], index % blocks.counts[axis]);
                    position /= blocks.block[axis];
                    index /= blocks.counts[axis];
                    let place = (b * blocks.strides[axis] + k * blocks.dilations[axis]) as isize
                        - blocks.pads_begin[axis] as isize;
                    inside &= (0..blocks.image[axis] as isize).contains(&place);
                    at += place.max(0) as usize * stride;
                    stride *= blocks.image[axis];
                }
                if inside {
                    want[at] += x;
                }
            }
            for &isa in Isa::available() {
                let (mut sums, mut image) = (vec![7f32; want.len()], vec![7f32; want.len()]);
                fold(isa, &blocks, 1, &columns, &mut sums, &mut image);
                assert_eq!(image, want);
                let twice: Vec<f32> = columns.iter().flat_map(|&x| [x, -x]).collect();
                let (mut sums, mut image) = (vec![7f32; 2 * want.len()], vec![7f32; 2 * want.len()]);
                fold(isa, &blocks, 2, &twice, &mut sums, &mut image);
                assert!(image.chunks(2).zip(&want).all(|(z, x)| z[0] == *x && (z[1] == -x)));
            }
        }
    }
}
