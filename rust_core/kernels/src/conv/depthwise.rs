//! Depthwise convolution that reads planes as they lie: one square kernel a channel, vectors along the columns. Nothing is laid out:
//! what of a vector would stand in the padding is masked to the zeros that take part there.

use super::shape::ConvShape;
use crate::epilogue::{Epilogue, Follow};
use crate::gemm::{load, store_upto};
use crate::lanes::*;

/// Side of the largest kernel.
const LARGEST: usize = 5;
/// Rows of a tile: an input row that several of them read is loaded once.
const TILE_ROWS: usize = 4;

/// The plan of one depthwise convolution of `f32`.
#[derive(Clone, Copy, Debug)]
pub struct Depthwise {
    isa: Isa,
    kernel: usize,
    /// Of height and width, as all pairs here.
    strides: [usize; 2],
    pads: [usize; 2],
    input: [usize; 2],
    output: [usize; 2],
}

/// What a [`Depthwise`] reads. Planes are counted over all images, whose channels follow each other.
#[derive(Clone, Copy, Debug)]
pub struct DepthwiseOperands<'a> {
    /// `[images][channels][height][width]`
    pub x: &'a [f32],
    /// `[channels][kernel][kernel]`
    pub weights: &'a [f32],
    /// One value a channel, or empty.
    pub bias: &'a [f32],
    pub epilogue: Option<&'a Epilogue>,
}

impl Depthwise {
    /// The plan for images of `shape`; `None` for what is no depthwise convolution of planes with kernels of 3x3 or 5x5 and strides of 1 or
    /// 2 on each axis, and on machines whose masked loads are no instruction.
    pub fn new(isa: Isa, shape: &ConvShape) -> Option<Depthwise> {
        let ([_, kh, kw], [_, sh, sw]) = (shape.kernel, shape.strides);
        let plane = shape.input[0] * shape.kernel[0] * shape.output[0] == 1 && shape.pads_begin[0] == 0;
        let one_to_one = shape.in_channels == 1 && shape.out_channels == 1;
        let known = matches!((kh, sh, sw), (3 | 5, 1 | 2, 1 | 2)) && kh == kw && shape.dilations[1..] == [1, 1];
        let masks = matches!(isa, Isa::Avx2 | Isa::Avx512 | Isa::Avx512Vnni);
        (plane && one_to_one && known && masks && shape.is_sound() && shape.in_plane() > 0 && shape.out_plane() > 0)
            .then(|| Depthwise {
                isa,
                kernel: kh,
                strides: [sh, sw],
                pads: [shape.pads_begin[1], shape.pads_begin[2]],
                input: [shape.input[1], shape.input[2]],
                output: [shape.output[1], shape.output[2]],
            })
    }

    /// Computes the planes `y`, which are whole ones, the first being plane `plane`.
    ///
    /// # Panics
    /// If the operands have no such planes.
    pub fn run(&self, operands: &DepthwiseOperands<'_>, plane: usize, y: &mut [f32]) {
        let outputs = self.output[0] * self.output[1];
        let channels = operands.weights.len() / (self.kernel * self.kernel);
        assert!(y.len().is_multiple_of(outputs) && channels > 0);
        assert!(operands.x.len() >= (plane + y.len() / outputs) * self.input[0] * self.input[1]);
        assert!(operands.bias.is_empty() || operands.bias.len() >= channels);
        macro_rules! pick {
            ($($k:literal $h:literal $w:literal),*) => {
                match (self.kernel, self.strides) {
                    $(($k, [$h, $w]) => {
                        dispatch(self.isa, Planes::<$k, $h, $w> { plan: self, operands, plane, channels, y });
                    })*
                    _ => unreachable!("`new` knows these kernels and strides alone"),
                }
            };
        }
        pick!(3 1 1, 3 1 2, 3 2 1, 3 2 2, 5 1 1, 5 1 2, 5 2 1, 5 2 2);
    }
}

/// Some planes, with kernels of `K` by `K` in steps of `H` rows and `W` columns.
struct Planes<'p, const K: usize, const H: usize, const W: usize> {
    plan: &'p Depthwise,
    operands: &'p DepthwiseOperands<'p>,
    plane: usize,
    channels: usize,
    y: &'p mut [f32],
}

impl<const K: usize, const H: usize, const W: usize> Kernel for Planes<'_, K, H, W> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let (plan, operands) = (self.plan, self.operands);
        let [inputs, outputs] = [plan.input, plan.output].map(|[height, width]| height * width);
        for (y, plane) in self.y.chunks_exact_mut(outputs).zip(self.plane..) {
            let channel = plane % self.channels;
            let plane = Plane::<K, H, W> {
                plan,
                x: &operands.x[plane * inputs..][..inputs],
                w: &operands.weights[channel * K * K..][..K * K],
                bias: operands.bias.get(channel).copied(),
                epilogue: operands.epilogue,
                channel,
                y,
            };
            plane.run::<A, L>();
        }
    }
}

/// One plane.
struct Plane<'p, const K: usize, const H: usize, const W: usize> {
    plan: &'p Depthwise,
    x: &'p [f32],
    w: &'p [f32],
    bias: Option<f32>,
    epilogue: Option<&'p Epilogue>,
    channel: usize,
    y: &'p mut [f32],
}

impl<const K: usize, const H: usize, const W: usize> Plane<'_, K, H, W> {
    #[inline(always)]
    fn run<A: Arch, const L: usize>(mut self) {
        let [rows, columns] = self.plan.output;
        for column in (0..columns).step_by(L) {
            let at = Columns::<W>::new::<L>(column, self.plan);
            let tall = rows >= TILE_ROWS;
            let mut row = 0;
            while row < rows {
                // The last tile may compute rows again that the one before it has.
                let last = row.min(rows.saturating_sub(TILE_ROWS));
                // SAFETY: the tile's rows exist; `inside` says that whole vectors do.
                unsafe {
                    match (tall, at.inside) {
                        (true, true) => self.tile::<A, L, TILE_ROWS, false>(last, column, &at),
                        (true, false) => self.tile::<A, L, TILE_ROWS, true>(last, column, &at),
                        (false, _) => self.tile::<A, L, 1, true>(row, column, &at),
                    }
                }
                row += if tall { TILE_ROWS } else { 1 };
            }
        }
    }
}

/// Which columns of a row of the input the vectors of a tile read.
struct Columns<const S: usize> {
    /// Column of the first value of the first vector.
    at: isize,
    /// All vectors lie inside the row.
    inside: bool,
    /// What of the vectors that start at columns `at`, `at + 1`, … lies inside, and of those a vector further.
    lanes: [[u64; LARGEST]; 2],
}

impl<const S: usize> Columns<S> {
    #[inline(always)]
    fn new<const L: usize>(column: usize, plan: &Depthwise) -> Self {
        let (at, width) = ((column * S) as isize - plan.pads[1] as isize, plan.input[1] as isize);
        let up_to = |n: isize| (1u64 << n.clamp(0, L as isize)) - 1;
        let of = |at: isize| up_to(width - at) & !up_to(-at);
        let lanes = [0, L].map(|further| std::array::from_fn(|k| of(at + (k + further) as isize)));
        let end = at + (plan.kernel.next_multiple_of(S) - S + S * L) as isize;
        Columns { at, inside: at >= 0 && end <= width, lanes }
    }

    /// What the kernel's columns read of one row: value `l` of vector `k` stands in column `at + l * S + k`, and is zero outside of the row.
    ///
    /// # Safety
    /// The row at `line` is readable; without `EDGE` all vectors lie inside it.
    #[inline(always)]
    unsafe fn taps<const L: usize, const K: usize, const EDGE: bool>(&self, line: *const f32) -> [Simd<f32, L>; K] {
        let line = line.wrapping_offset(self.at);
        // SAFETY: the caller's promise; lanes outside of the row are not read.
        let vector = |k: usize, further: usize| unsafe {
            let from = line.wrapping_add(k + further * L);
            if !EDGE {
                return load(from);
            }
            Simd::load_select_ptr(from, Mask::from_bitmask(self.lanes[further][k]), Simd::splat(0.0))
        };
        if S == 1 {
            return std::array::from_fn(|k| vector(k, 0));
        }
        let mut all = [Simd::splat(0.0); K];
        for k in (0..K).step_by(2) {
            let (even, odd) = vector(k, 0).deinterleave(vector(k, 1));
            all[k] = even;
            if k + 1 < K {
                all[k + 1] = odd;
            }
        }
        all
    }
}

// [panel: Conv depthwise]
impl<const K: usize, const H: usize, const W: usize> Plane<'_, K, H, W> {
    /// `R` rows by one vector of columns, the first of which is `column`. A row of the input takes part in the chains of all rows of the
    /// tile that it is a tap of, so that every chain runs over its taps in row-major order.
    ///
    /// # Safety
    /// Rows `row .. row + R` and column `column` exist; without `EDGE` all vectors lie inside the input's rows.
    #[inline(always)]
    unsafe fn tile<A: Arch, const L: usize, const R: usize, const EDGE: bool>(
        &mut self,
        row: usize,
        column: usize,
        at: &Columns<W>,
    ) {
        let [height, width] = self.plan.input;
        let top = (row * H) as isize - self.plan.pads[0] as isize;
        let mut acc = [Simd::<f32, L>::splat(0.0); R];
        macro_rules! input_rows {
            ($($i:literal)*) => {$(
                if const { $i < (R - 1) * H + K } {
                    let line = top + $i;
                    let taps = if (0..height as isize).contains(&line) {
                        // SAFETY: the row exists, and the caller's promise.
                        unsafe { at.taps::<L, K, EDGE>(self.x.as_ptr().wrapping_add(line as usize * width)) }
                    } else {
                        [Simd::splat(0.0); K]
                    };
                    for r in 0..R {
                        if $i >= r * H && $i < r * H + K {
                            for k in 0..K {
                                let weight = Simd::splat(self.w[($i - r * H) * K + k]);
                                acc[r] = A::fma(taps[k], weight, acc[r]);
                            }
                        }
                    }
                }
            )*};
        }
        input_rows!(0 1 2 3 4 5 6 7 8 9 10);
        let columns = self.plan.output[1];
        let y = self.y.as_mut_ptr().wrapping_add(row * columns + column);
        for (r, acc) in acc.into_iter().enumerate() {
            let sum = self.bias.map_or(acc, |bias| acc + Simd::splat(bias));
            let followed = match self.epilogue {
                Some(epilogue) => epilogue.apply::<A, L>(sum, epilogue.of_channel(self.channel)),
                None => sum,
            };
            // SAFETY: the row has `columns - column` values from here on.
            unsafe { store_upto(y.wrapping_add(r * columns), followed, (columns - column).min(L)) }
        }
    }
}
// [/panel]

#[cfg(test)]
mod tests {
    use super::super::{Conv, Operands, OutputLayout};
    use super::*;

    /// Outputs by the convolution of any shape, which lays its input out.
    fn laid_out(isa: Isa, shape: ConvShape, operands: &DepthwiseOperands<'_>) -> Vec<f32> {
        let plan = Conv::<f32>::new(isa, shape).unwrap();
        let (mut packed, mut scratch) = (vec![0.0; plan.packed_len()], vec![0.0; plan.scratch_len()]);
        plan.pack(operands.weights, &[()], &mut packed);
        let mut y = vec![0.0; shape.groups * shape.out_plane()];
        let output = OutputLayout::Planes { plane: shape.out_plane(), step: 1 };
        // SAFETY: scratch and output have the plan's lengths.
        unsafe {
            plan.lay_out(operands.x, (), scratch.as_mut_ptr(), 0..plan.lines());
            let DepthwiseOperands { bias, epilogue, .. } = *operands;
            let operands =
                Operands { x: &scratch, weights: &packed, bias, epilogue, channel: 0, y: y.as_mut_ptr(), output };
            plan.run(&operands, 0..plan.blocks(), 0..plan.rows());
        }
        y
    }

    #[test]
    fn equals_the_convolution_that_lays_its_input_out() {
        let special = [f32::NAN, f32::INFINITY, -0.0, 1e-40, -3.1e38];
        let number = |i: usize| match i * 7919 % 101 {
            rare @ 0..5 => special[rare],
            common => common as f32 * 0.37 - 19.0,
        };
        let relu = Epilogue::relu();
        for isa in Isa::available().iter().copied().filter(|isa| !matches!(isa, Isa::Baseline | Isa::Neon)) {
            for (kernel, strides) in [3, 5].into_iter().flat_map(|k| [[1, 1], [1, 2], [2, 1], [2, 2]].map(|s| (k, s))) {
                for (height, width) in [(1, 1), (2, 3), (4, 7), (7, 7), (9, 16), (11, 33), (14, 14), (6, 70), (21, 112)]
                {
                    for (top, left, bottom, right) in [(0, 0, 0, 0), (1, 1, 1, 1), (2, 0, 1, 2), (0, 3, 4, 1)] {
                        let of = |n: usize, stride: usize| n.checked_sub(kernel).map_or(0, |n| n / stride + 1);
                        let output = [1, of(height + top + bottom, strides[0]), of(width + left + right, strides[1])];
                        let shape = ConvShape {
                            groups: 3,
                            in_channels: 1,
                            out_channels: 1,
                            input: [1, height, width],
                            kernel: [1, kernel, kernel],
                            strides: [1, strides[0], strides[1]],
                            dilations: [1; 3],
                            pads_begin: [0, top, left],
                            output,
                        };
                        let Some(plan) = Depthwise::new(isa, &shape) else {
                            assert!(shape.out_plane() == 0, "{shape:?}");
                            continue;
                        };
                        let x: Vec<f32> = (0..3 * height * width).map(|i| number(i + kernel)).collect();
                        let weights: Vec<f32> = (0..3 * kernel * kernel).map(|i| number(i * 3 + 11)).collect();
                        let (with, without) = (&[0.5, -1.25, f32::NAN][..], &[][..]);
                        for (bias, epilogue) in [(with, None), (without, None), (with, Some(&relu))] {
                            let operands = DepthwiseOperands { x: &x, weights: &weights, bias, epilogue };
                            let want = laid_out(isa, shape, &operands);
                            let mut got = vec![0.0; want.len()];
                            plan.run(&operands, 0, &mut got);
                            for (i, (want, got)) in want.iter().zip(&got).enumerate() {
                                let same = want.to_bits() == got.to_bits() || want.is_nan() && got.is_nan();
                                assert!(same, "{} {shape:?}: output {i} is {got}, not {want}", isa.name());
                            }
                            // From any plane on.
                            let (plane, mut last) = (shape.out_plane(), vec![0.0; shape.out_plane()]);
                            plan.run(&operands, 2, &mut last);
                            assert!(last.iter().zip(&got[2 * plane..]).all(|(a, b)| a.to_bits() == b.to_bits()));
                        }
                    }
                }
            }
        }
    }
}
