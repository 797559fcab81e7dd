//! Combining an update with what it falls on: the reductions of ScatterElements and ScatterND.

use half::{bf16, f16};

/// A number with the four reductions. Integers wrap; of floats, NaN wins max and min, and -0 is below +0.
pub trait Reducible: Copy {
    fn add(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn max(self, other: Self) -> Self;
    fn min(self, other: Self) -> Self;
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Reducible for $type {
            #[inline]
            fn add(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline]
            fn mul(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }
            #[inline]
            fn max(self, other: Self) -> Self {
                Ord::max(self, other)
            }
            #[inline]
            fn min(self, other: Self) -> Self {
                Ord::min(self, other)
            }
        }
    )*};
}
integers!(i8, i16, i32, i64, u8, u16, u32, u64);

macro_rules! floats {
    ($($type:ty: $add:expr, $mul:expr;)*) => {$(
        impl Reducible for $type {
            #[inline]
            fn add(self, other: Self) -> Self {
                $add(self, other)
            }
            #[inline]
            fn mul(self, other: Self) -> Self {
                $mul(self, other)
            }
            #[inline]
            fn max(self, other: Self) -> Self {
                if self.is_nan() || other.is_nan() {
                    return <$type>::NAN;
                }
                // Equal numbers of two signs are zeros: the positive one.
                if self > other || (self == other && other.is_sign_negative()) { self } else { other }
            }
            #[inline]
            fn min(self, other: Self) -> Self {
                if self.is_nan() || other.is_nan() {
                    return <$type>::NAN;
                }
                if self < other || (self == other && self.is_sign_negative()) { self } else { other }
            }
        }
    )*};
}
floats! {
    f32: |a, b| a + b, |a, b| a * b;
    f64: |a, b| a + b, |a, b| a * b;
    f16: |a: f16, b: f16| f16::from_f32(a.to_f32() + b.to_f32()), |a: f16, b: f16| f16::from_f32(a.to_f32() * b.to_f32());
    bf16: |a: bf16, b: bf16| bf16::from_f32(a.to_f32() + b.to_f32()), |a: bf16, b: bf16| bf16::from_f32(a.to_f32() * b.to_f32());
}

/// What happens to an element that an update falls on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    Add,
    Mul,
    Max,
    Min,
}

// [panel: ScatterElements ScatterND]
/// `target[i] = reduce(target[i], updates[i])`
#[inline]
pub fn combine<T: Reducible>(reduction: Reduction, target: &mut [T], updates: &[T]) {
    let pairs = target.iter_mut().zip(updates);
    match reduction {
        Reduction::Add => pairs.for_each(|(t, &u)| *t = t.add(u)),
        Reduction::Mul => pairs.for_each(|(t, &u)| *t = t.mul(u)),
        Reduction::Max => pairs.for_each(|(t, &u)| *t = t.max(u)),
        Reduction::Min => pairs.for_each(|(t, &u)| *t = t.min(u)),
    }
}
// [/panel]

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_have_an_order_and_nan_wins() {
        assert!(Reducible::max(-0.0f32, 0.0).is_sign_positive() && Reducible::max(0.0f32, -0.0).is_sign_positive());
        assert!(Reducible::min(-0.0f32, 0.0).is_sign_negative() && Reducible::min(0.0f32, -0.0).is_sign_negative());
        assert!(Reducible::max(f16::NAN, f16::ONE).is_nan() && Reducible::min(bf16::ONE, bf16::NAN).is_nan());
        assert_eq!(Reducible::add(i8::MAX, 1), i8::MIN);
    }
}
