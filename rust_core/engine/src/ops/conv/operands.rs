//! The types of a convolution's operands: zero points, bias, and what follows, as the kernels take them.

use diptych_kernels::conv::{Sink, Source};
use diptych_kernels::requantize::{Requantize, Target, multiplier};
use half::{bf16, f16};

use crate::dtype::{DType, Element};
use crate::ops::elements::elements_mut;
use crate::run::KernelCx;

/// A type of X or W: its zero points as the kernels subtract them.
pub(super) trait Operand: Source + Element {
    /// Bytes that a zero point takes in the form of [`Operand::zeros`].
    const ZERO: usize;
    /// What is subtracted from all of X.
    fn zero(given: Option<&[Self]>) -> Self::Zero;
    /// What is subtracted from W: one value for all, or one an output channel. `room` may be written.
    fn zeros<'a>(given: Option<&[Self]>, room: &'a mut [u8]) -> &'a [Self::Zero];
}

macro_rules! float_operand {
    ($($t:ty),*) => {$(
        impl Operand for $t {
            const ZERO: usize = 0;
            fn zero(_: Option<&[$t]>) {}
            fn zeros<'a>(_: Option<&[$t]>, _: &'a mut [u8]) -> &'a [()] {
                &[()]
            }
        }
    )*};
}
float_operand!(f32, f64, f16, bf16);

macro_rules! integer_operand {
    ($($t:ty),*) => {$(
        impl Operand for $t {
            const ZERO: usize = size_of::<i16>();
            fn zero(given: Option<&[$t]>) -> i16 {
                given.map_or(0, |zeros| zeros[0].into())
            }
            fn zeros<'a>(given: Option<&[$t]>, room: &'a mut [u8]) -> &'a [i16] {
                let Some(given) = given else { return &[0] };
                let zeros = &mut elements_mut::<i16>(room)[..given.len()];
                zeros.iter_mut().zip(given).for_each(|(to, &zero)| *to = zero.into());
                zeros
            }
        }
    )*};
}
integer_operand!(u8, i8);

/// Which inputs of an operator W and the zero points are. X is the first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub x_zero: usize,
    pub w: usize,
    pub w_zero: usize,
}

/// A type of Y and B.
pub(super) trait Output: Sink + Element {
    const PLACES: Places = Places { x_zero: 2, w: 1, w_zero: 3 };
    /// Bytes that an element of the bias takes in the form of [`Output::bias`], if it is not B itself.
    const BIAS: usize;
    /// Bytes that a channel takes in what follows.
    const FOLLOW: usize = 0;
    /// B as the kernels add it; empty where there is none. `room` may be written.
    fn bias<'a>(cx: &KernelCx<'a>, room: &'a mut [u8]) -> &'a [Self::Element];
    /// What follows, Y being of type `y`. `room` may be written.
    fn follow<'a>(cx: &KernelCx<'a>, y: DType, room: &'a mut [u8]) -> Option<Self::Follow<'a>>;
}

macro_rules! plain_output {
    ($($t:ty, $follow:expr);*) => {$(
        impl Output for $t {
            const BIAS: usize = 0;
            fn bias<'a>(cx: &KernelCx<'a>, _: &'a mut [u8]) -> &'a [$t] {
                cx.opt_input(2).unwrap_or(&[])
            }
            fn follow<'a>(cx: &KernelCx<'a>, _: DType, _: &'a mut [u8]) -> Option<Self::Follow<'a>> {
                $follow(cx)
            }
        }
    )*};
}
plain_output!(f32, KernelCx::epilogue; f64, |_| None);

macro_rules! half_output {
    ($($t:ty),*) => {$(
        impl Output for $t {
            const BIAS: usize = size_of::<f32>();
            fn bias<'a>(cx: &KernelCx<'a>, room: &'a mut [u8]) -> &'a [f32] {
                let Some(given) = cx.opt_input::<$t>(2) else { return &[] };
                let wide = &mut elements_mut::<f32>(room)[..given.len()];
                wide.iter_mut().zip(given).for_each(|(to, &b)| *to = b.to_f32());
                wide
            }
            fn follow<'a>(_: &KernelCx<'a>, _: DType, _: &'a mut [u8]) -> Option<Self::Follow<'a>> {
                None
            }
        }
    )*};
}
half_output!(f16, bf16);

impl Output for i32 {
    const BIAS: usize = 0;
    fn bias<'a>(_: &KernelCx<'a>, _: &'a mut [u8]) -> &'a [i32] {
        &[]
    }
    fn follow<'a>(_: &KernelCx<'a>, _: DType, _: &'a mut [u8]) -> Option<Self::Follow<'a>> {
        None
    }
}

/// The output of QLinearConv: bytes of either kind.
impl Output for u8 {
    const PLACES: Places = Places { x_zero: 2, w: 3, w_zero: 5 };
    const BIAS: usize = 0;
    const FOLLOW: usize = size_of::<f32>();

    fn bias<'a>(cx: &KernelCx<'a>, _: &'a mut [u8]) -> &'a [i32] {
        cx.opt_input(8).unwrap_or(&[])
    }

    fn follow<'a>(cx: &KernelCx<'a>, y: DType, room: &'a mut [u8]) -> Option<Requantize<'a>> {
        let [x_scale, w_scales, y_scale] = [1, 4, 6].map(|input| cx.input::<f32>(input));
        let multipliers = elements_mut::<f32>(room);
        for (to, channel) in multipliers.iter_mut().zip(0..) {
            let w_scale = if w_scales.len() == 1 { w_scales[0] } else { w_scales[channel] };
            *to = multiplier(x_scale[0], w_scale, y_scale[0]);
        }
        let target = Target::new(y == DType::I8, cx.input_bytes(7)[0]);
        Some(Requantize { multipliers, target })
    }
}
