//! Types of the tensors, and W and R as right operands.

use std::ops::{Add, Range};
use std::sync::Arc;

use diptych_kernels::Isa;
use diptych_kernels::gemm::{MatRef, PackedB, Right, Scalar, pack_b, packed_b_len};
use diptych_kernels::recurrent::Element as CellElement;
use half::{bf16, f16};

use super::Extents;
use crate::dtype::Element;
use crate::error::Result;
use crate::operator::PlanCx;
use crate::ops::elements::{buffer_bytes, elements, elements_mut};
use crate::ops::matmul::pack_params;
use crate::tensor::AlignedBytes;

/// f32 or f64.
pub(super) trait Computed: CellElement + Scalar + Element + From<f32> + Add<Output = Self> {}
impl Computed for f32 {}
impl Computed for f64 {}

/// A type of the tensors, and the one it computes in.
pub(super) trait Stored: Element {
    type Wide: Computed;
    /// The elements themselves, where the computing type is this one.
    fn view(elements: &[Self]) -> Option<&[Self::Wide]>;
    fn widen(self) -> Self::Wide;
    fn narrow(wide: Self::Wide) -> Self;
}

macro_rules! stored {
    ($($t:ty, $wide:ty, $view:expr, $widen:expr, $narrow:expr;)*) => {$(
        impl Stored for $t {
            type Wide = $wide;
            fn view(elements: &[$t]) -> Option<&[$wide]> {
                $view(elements)
            }
            fn widen(self) -> $wide {
                $widen(self)
            }
            fn narrow(wide: $wide) -> $t {
                $narrow(wide)
            }
        }
    )*};
}
stored! {
    f32, f32, Some, |x| x, |x| x;
    f64, f64, Some, |x| x, |x| x;
    f16, f32, |_| None, f16::to_f32, f16::from_f32;
    bf16, f32, |_| None, bf16::to_f32, bf16::from_f32;
}

/// `given` in the computing type: itself, or widened into `room`.
pub(super) fn wide<'a, T: Stored>(given: &'a [T], room: &'a mut [T::Wide]) -> &'a [T::Wide] {
    if let Some(view) = T::view(given) {
        return view;
    }
    let room = &mut room[..given.len()];
    room.iter_mut().zip(given).for_each(|(wide, &x)| *wide = x.widen());
    room
}

/// A right operand `[k, n]` of each direction: some gates' rows of W or R, which hold it transposed.
pub(super) struct Weights {
    k: usize,
    n: usize,
    /// Elements of a direction, and before this operand in it.
    stride: usize,
    first: usize,
    /// Packed ahead, if it is constant.
    packed: Option<Arc<AlignedBytes>>,
}

/// The form in which whole operands, or those of some gates, are packed.
fn form(gates: &Range<usize>) -> &'static str {
    if gates.start == 0 { "recurrent" } else { "recurrent_hidden" }
}

impl Weights {
    /// The rows `gates` of input W or R, which has `k` columns.
    pub(super) fn new<T: Stored>(
        cx: &PlanCx<'_>,
        input: usize,
        extents: &Extents,
        k: usize,
        gates: Range<usize>,
    ) -> Result<Weights> {
        let n = gates.len();
        let unpacked = Weights { k, n, stride: extents.gates * k, first: gates.start * k, packed: None };
        let (Some((id, tensor)), Some(params), Some(len)) =
            (cx.weight(input), pack_params(cx.isa, k, n), packed_b_len::<T::Wide>(cx.isa, k, n))
        else {
            return Ok(unpacked);
        };
        if len == 0 {
            return Ok(unpacked);
        }
        let bytes = buffer_bytes::<T::Wide>(&[extents.directions, len])?;
        let packed = cx.packed.get_or_pack_bytes((id, form(&gates), params), bytes, |packed| {
            let tensor = tensor.aligned()?;
            let stored = elements::<T>(tensor.bytes());
            let mut room = vec![T::Wide::default(); if T::view(stored).is_some() { 0 } else { stored.len() }];
            let values = wide(stored, &mut room);
            for (direction, packed) in elements_mut(packed).chunks_exact_mut(len).enumerate() {
                pack_b(cx.isa, &unpacked.strided(values, direction), packed);
            }
            Ok(())
        })?;
        Ok(Weights { packed: Some(packed), ..unpacked })
    }

    /// The operand of one direction in all values of W or R.
    fn strided<'a, E: Copy>(&self, given: &'a [E], direction: usize) -> MatRef<'a, E> {
        MatRef::new(&given[direction * self.stride + self.first..], self.k, self.n, 1, self.k)
    }

    /// The operand of one direction; `given` are the values where they are not packed.
    pub(super) fn right<'a, E: Scalar + Element>(&'a self, isa: Isa, given: &'a [E], direction: usize) -> Right<'a, E> {
        let (k, n) = (self.k, self.n);
        match &self.packed {
            Some(packed) => {
                let len = packed_b_len::<E>(isa, k, n).unwrap_or(0);
                Right::Packed(PackedB::from_packed(isa, &elements(packed.as_slice())[direction * len..], k, n))
            }
            None => Right::Strided(self.strided(given, direction)),
        }
    }

    pub(super) fn is_packed(&self) -> bool {
        self.packed.is_some()
    }

    pub(super) fn n(&self) -> usize {
        self.n
    }
}
