//! QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear (docs/numerics.md).
//!
//! A call is a *row*: elements that share one scale or have one each. Elements and scales of any type come in chunks of
//! [`CHUNK`] numbers of binary32; a chunk's types are looked up once for its 16 elements.

use half::{bf16, f16};

use crate::cast::{CHUNK, Source, Target};
use crate::lanes::*;
use crate::mutant::{self, Mutant};
use crate::small_float::{Format, decode_e8m0};

/// Numbers of one of the types that are quantized, or that scales have.
#[derive(Clone, Copy)]
pub enum Numbers<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    BF16(&'a [bf16]),
    I32(&'a [i32]),
    E8M0(&'a [u8]),
}

/// The type that `x / scale` is computed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    F32,
    F16,
    BF16,
}

/// Quantized elements, or zero points. Small floats are codes with their format.
#[derive(Clone, Copy)]
pub enum Quantized<'a> {
    U8(&'a [u8]),
    I8(&'a [i8]),
    U16(&'a [u16]),
    I16(&'a [i16]),
    I32(&'a [i32]),
    Small(Format, &'a [u8]),
}

/// Where a row's scales (and zero points) start, and whether each element has its own (else one has them all).
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub offset: usize,
    pub each: bool,
}

impl Place {
    /// The elements `from .. from + len` of a row, filled up to a chunk with the last one's kind of padding.
    #[inline(always)]
    fn chunk<T: Copy + Default>(self, all: &[T], from: usize, len: usize) -> [T; CHUNK] {
        if !self.each {
            return [all[self.offset]; CHUNK];
        }
        let mut chunk = [T::default(); CHUNK];
        chunk[..len].copy_from_slice(&all[self.offset + from..self.offset + from + len]);
        chunk
    }
}

/// A chunk rounded to the type of the division, in binary32.
#[inline(always)]
fn rounded<W: Copy>(chunk: [W; CHUNK], precision: Precision) -> Simd<f32, CHUNK>
where
    f32: Target<W>,
    f16: Target<W>,
    bf16: Target<W>,
{
    Simd::from_array(match precision {
        Precision::F32 => f32::convert(chunk),
        Precision::F16 => f16::widen(f16::convert(chunk)),
        Precision::BF16 => bf16::widen(bf16::convert(chunk)),
    })
}

impl Numbers<'_> {
    #[inline(always)]
    fn chunk(self, place: Place, from: usize, len: usize, precision: Precision) -> Simd<f32, CHUNK> {
        match self {
            Numbers::F32(all) => rounded(place.chunk(all, from, len), precision),
            Numbers::F16(all) => rounded(f16::widen(place.chunk(all, from, len)), precision),
            Numbers::BF16(all) => rounded(bf16::widen(place.chunk(all, from, len)), precision),
            Numbers::I32(all) => rounded(place.chunk(all, from, len), precision),
            Numbers::E8M0(all) => rounded(place.chunk(all, from, len).map(decode_e8m0), precision),
        }
    }
}

impl Quantized<'_> {
    /// A chunk of integers; a small float's is not one.
    #[inline(always)]
    fn integers(self, place: Place, from: usize, len: usize) -> [i64; CHUNK] {
        match self {
            Quantized::U8(all) => place.chunk(all, from, len).map(i64::from),
            Quantized::I8(all) => place.chunk(all, from, len).map(i64::from),
            Quantized::U16(all) => place.chunk(all, from, len).map(i64::from),
            Quantized::I16(all) => place.chunk(all, from, len).map(i64::from),
            Quantized::I32(all) => place.chunk(all, from, len).map(i64::from),
            Quantized::Small(..) => [0; CHUNK],
        }
    }

    /// A chunk of small floats in binary32.
    #[inline(always)]
    fn floats(self, place: Place, from: usize, len: usize) -> Simd<f32, CHUNK> {
        match self {
            Quantized::Small(format, all) => {
                Simd::from_array(place.chunk(all, from, len).map(|code| format.decode(code)))
            }
            integers => Simd::from_array(integers.integers(place, from, len).map(|n| n as f32)),
        }
    }
}

/// Nearest integers, ties to even. From 2^23 on every binary32 is an integer; below, adding and subtracting 2^23 rounds.
#[inline(always)]
fn rint(x: Simd<f32, CHUNK>) -> Simd<f32, CHUNK> {
    if mutant::on(Mutant::QuantizeTiesUp) {
        return StdFloat::floor(x + Simd::splat(0.5));
    }
    let sign = Simd::splat(0x8000_0000);
    let magic = Simd::<f32, CHUNK>::from_bits((x.to_bits() & sign) | Simd::splat(8388608f32.to_bits()));
    let magnitude = Simd::<f32, CHUNK>::from_bits(x.to_bits() & !sign);
    magnitude.simd_lt(Simd::splat(8388608.0)).select((x + magic) - magic, x)
}

/// Operands of a quantization.
#[derive(Clone, Copy)]
pub struct Quantization<'a> {
    pub x: Numbers<'a>,
    pub scale: Numbers<'a>,
    pub zero_point: Option<Quantized<'a>>,
    pub precision: Precision,
}

impl Quantization<'_> {
    /// `rn(x / scale)` of elements `from .. from + len` of a row that starts at `start`.
    #[inline(always)]
    fn quotient(&self, start: usize, scales: Place, from: usize, len: usize) -> Simd<f32, CHUNK> {
        let x = self.x.chunk(Place { offset: start, each: true }, from, len, self.precision);
        let scale = self.scale.chunk(scales, from, len, self.precision);
        rounded((x / scale).to_array(), self.precision)
    }
}

/// A type of quantized integers.
pub trait Integer: SimdElement {
    /// Numbers within the type's ends.
    fn narrowed(wide: Simd<i32, CHUNK>) -> Simd<Self, CHUNK>;
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Integer for $type {
            #[inline(always)]
            fn narrowed(wide: Simd<i32, CHUNK>) -> Simd<Self, CHUNK> {
                wide.cast()
            }
        }
    )*};
}
integers!(u8, i8, u16, i16);

struct ToIntegers<'a, 'b, D> {
    operands: &'b Quantization<'a>,
    start: usize,
    scales: Place,
    ends: (i32, i32),
    out: &'b mut [D],
}

// [panel: QuantizeLinear DynamicQuantizeLinear]
impl<'a, D: Integer> ToIntegers<'a, '_, D> {
    /// The elements, the scale and the zero point of a row of binary32 that shares one of each.
    #[inline(always)]
    fn shared(&self) -> Option<(&'a [f32], f32, i32)> {
        let Quantization { x: Numbers::F32(x), scale: Numbers::F32(scales), zero_point, precision: Precision::F32 } =
            *self.operands
        else {
            return None;
        };
        if self.scales.each || self.out.is_empty() {
            return None;
        }
        let zero = zero_point.map_or(0, |zero| zero.integers(self.scales, 0, 1)[0] as i32);
        Some((&x[self.start..self.start + self.out.len()], scales[self.scales.offset], zero))
    }

    /// `clamp(rint(quotient) + zero, ends)`. The sum saturates where the exact one would be clamped to the same end.
    #[inline(always)]
    fn steps(quotient: Simd<f32, CHUNK>, zero: Simd<i32, CHUNK>, (low, high): (i32, i32)) -> [D; CHUNK] {
        let sum = rint(quotient).cast::<i32>().saturating_add(zero);
        D::narrowed(sum.simd_clamp(Simd::splat(low), Simd::splat(high))).to_array()
    }
}
// [/panel]

// [panel: QuantizeLinear DynamicQuantizeLinear com.microsoft.QLinearAdd com.microsoft.QLinearMul integers]
// [panel: com.microsoft.QLinearSoftmax com.microsoft.QLinearConcat integers]
impl<D: Integer> Kernel for ToIntegers<'_, '_, D> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let mut whole = 0;
        if let Some((x, scale, zero)) = self.shared() {
            let chunks = x.as_chunks::<CHUNK>().0;
            for (out, &chunk) in self.out.as_chunks_mut::<CHUNK>().0.iter_mut().zip(chunks) {
                *out = Self::steps(Simd::from_array(chunk) / Simd::splat(scale), Simd::splat(zero), self.ends);
            }
            whole = chunks.len() * CHUNK;
        }
        for (i, out) in self.out[whole..].chunks_mut(CHUNK).enumerate() {
            let (from, len) = (whole + i * CHUNK, out.len());
            let quotient = self.operands.quotient(self.start, self.scales, from, len);
            let zeros = |zero: Quantized<'_>| zero.integers(self.scales, from, len).map(|n| n as i32);
            let zero = Simd::from_array(self.operands.zero_point.map_or([0; CHUNK], zeros));
            out.copy_from_slice(&Self::steps(quotient, zero, self.ends)[..len]);
        }
    }
}
// [/panel]
// [/panel]

/// `clamp(rint(x / scale) + zero_point, ends)` of the row that starts at element `start`.
pub fn quantize<D: Integer>(
    isa: Isa,
    operands: &Quantization<'_>,
    start: usize,
    scales: Place,
    ends: (i32, i32),
    out: &mut [D],
) {
    dispatch(isa, ToIntegers { operands, start, scales, ends, out });
}

/// `rn(x / scale + zero_point)` as codes of a small float.
pub fn quantize_small(
    operands: &Quantization<'_>,
    start: usize,
    scales: Place,
    (format, saturate): (Format, bool),
    out: &mut [u8],
) {
    for (i, out) in out.chunks_mut(CHUNK).enumerate() {
        let (from, len) = (i * CHUNK, out.len());
        let q = operands.quotient(start, scales, from, len);
        let shifted = operands.zero_point.map_or(q, |zero| q + zero.floats(scales, from, len));
        for (o, &x) in out.iter_mut().zip(shifted.as_array()) {
            *o = format.encode(x, saturate);
        }
    }
}

/// Operands of a dequantization.
#[derive(Clone, Copy)]
pub struct Dequantization<'a> {
    pub x: Quantized<'a>,
    pub scale: Numbers<'a>,
    pub zero_point: Option<Quantized<'a>>,
}

struct ToFloats<'a, 'b, D> {
    operands: &'b Dequantization<'a>,
    start: usize,
    scales: Place,
    out: &'b mut [D],
}

// [panel: DequantizeLinear com.microsoft.QLinearAdd com.microsoft.QLinearMul com.microsoft.QLinearWhere]
impl<D: Target<f32>> Kernel for ToFloats<'_, '_, D> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let Dequantization { x, scale, zero_point } = *self.operands;
        let elements = Place { offset: self.start, each: true };
        for (i, out) in self.out.chunks_mut(CHUNK).enumerate() {
            let (from, len) = (i * CHUNK, out.len());
            let difference = match x {
                Quantized::Small(..) => {
                    let x = x.floats(elements, from, len);
                    zero_point.map_or(x, |zero| x - zero.floats(self.scales, from, len))
                }
                _ => {
                    let x = Simd::from_array(x.integers(elements, from, len));
                    let exact =
                        zero_point.map_or(x, |zero| x - Simd::from_array(zero.integers(self.scales, from, len)));
                    exact.cast()
                }
            };
            let y = difference * scale.chunk(self.scales, from, len, Precision::F32);
            out.copy_from_slice(&D::convert(y.to_array())[..len]);
        }
    }
}
// [/panel]

/// `rn(rn(x - zero_point) * scale)` of the row that starts at element `start`.
pub fn dequantize<D: Target<f32>>(isa: Isa, operands: &Dequantization<'_>, start: usize, scales: Place, out: &mut [D]) {
    dispatch(isa, ToFloats { operands, start, scales, out });
}

struct Ends<'a>(&'a [f32]);

impl Kernel for Ends<'_> {
    type Output = (f32, f32);
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) -> (f32, f32) {
        let (whole, rest) = self.0.as_chunks::<CHUNK>();
        let zero = Simd::<f32, CHUNK>::splat(0.0);
        let (mut low, mut high, mut unordered) = (zero, zero, Mask::splat(false));
        for &chunk in whole {
            let x = Simd::from_array(chunk);
            unordered |= x.is_nan();
            low = x.simd_lt(low).select(x, low);
            high = x.simd_gt(high).select(x, high);
        }
        if unordered.any() || rest.iter().any(|x| x.is_nan()) {
            return (f32::NAN, f32::NAN);
        }
        low.as_array()
            .iter()
            .chain(high.as_array())
            .chain(rest)
            .fold((0.0, 0.0), |(low, high), &x| (if x < low { x } else { low }, if x > high { x } else { high }))
    }
}

/// `min(0, min x)` and `max(0, max x)`; NaN if any x is.
pub fn range_with_zero(isa: Isa, x: &[f32]) -> (f32, f32) {
    dispatch(isa, Ends(x))
}

// [panel: DynamicQuantizeLinear parameters]
/// Scale and zero point of DynamicQuantizeLinear for numbers in that range.
pub fn dynamic_parameters((low, high): (f32, f32)) -> (f32, u8) {
    let width = (high - low) / 255.0;
    let scale = if width == 0.0 { 1.0 } else { width };
    let centre = (0.0 - low / scale).clamp(0.0, 255.0);
    (scale, rint(Simd::splat(centre)).cast::<u8>()[0])
}
// [/panel]

#[cfg(test)]
mod tests {
    use super::*;

    /// One scale for all, which goes in vectors, is that scale for each, which goes by chunks of any type.
    #[test]
    fn a_shared_scale_is_the_scale_of_each() {
        let special = [0.0, -0.0, 0.5, 1.5, -2.5, 127.5, 1e-45, -1e38, 3e9, f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        let x: Vec<f32> = (0..83).map(|i| special[i % special.len()] * (1 + i / special.len()) as f32).collect();
        for (&isa, scale) in
            Isa::available().iter().flat_map(|isa| [1.0f32, 0.3, 0.0, 1e-40, f32::NAN].map(|s| (isa, s)))
        {
            for (start, len) in [(0, 83), (1, 16), (3, 47), (5, 15), (7, 0)] {
                let (scales, zeros) = (vec![scale; len], vec![-7i8; len]);
                let numbers = [Some(Quantized::I8(&zeros)), None];
                for zero_point in numbers {
                    let (precision, scale) = (Precision::F32, Numbers::F32(&scales));
                    let operands = Quantization { x: Numbers::F32(&x), scale, zero_point, precision };
                    let row = |each| {
                        let mut out = vec![99i8; len];
                        quantize(isa, &operands, start, Place { offset: 0, each }, (-128, 127), &mut out);
                        out
                    };
                    assert_eq!(row(false), row(true), "{len} from {start} by {scales:?} on {}", isa.name());
                }
            }
        }
    }

    #[test]
    fn quantizing_rounds_before_it_adds() {
        let x = [0.5, 1.5, 2.5, -0.5, 1e30, f32::NAN, f32::NEG_INFINITY, 3.0];
        for &isa in Isa::available() {
            let operands = Quantization {
                x: Numbers::F32(&x),
                scale: Numbers::F32(&[1.0]),
                zero_point: Some(Quantized::U8(&[1])),
                precision: Precision::F32,
            };
            let mut out = [0u8; 8];
            quantize(isa, &operands, 0, Place { offset: 0, each: false }, (0, 255), &mut out);
            assert_eq!(out, [1, 3, 3, 1, 255, 1, 0, 4]);
            let back = Dequantization {
                x: Quantized::U8(&out),
                scale: Numbers::F16(&[f16::from_f32(0.5)]),
                zero_point: Some(Quantized::U8(&[1])),
            };
            let mut y = [0f32; 3];
            dequantize(isa, &back, 5, Place { offset: 0, each: false }, &mut y);
            assert_eq!(y, [0.0, -0.5, 1.5]);
        }
    }

    #[test]
    fn ranges_hold_zero() {
        for &isa in Isa::available() {
            let x: Vec<f32> = (1..40).map(|i| i as f32).collect();
            assert_eq!(range_with_zero(isa, &x), (0.0, 39.0));
            assert_eq!(range_with_zero(isa, &[]), (0.0, 0.0));
            assert!(range_with_zero(isa, &[1.0, f32::NAN]).0.is_nan());
        }
        assert_eq!(dynamic_parameters((0.0, 0.0)), (1.0, 0));
        // 255 / 2 lies halfway, but the quotient of the rounded scale lies just below.
        assert_eq!(dynamic_parameters((-1.0, 1.0)).1, 127);
        assert_eq!(dynamic_parameters((f32::NAN, f32::NAN)).1, 0);
    }
}
