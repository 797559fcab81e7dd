//! Elementary functions on lanes and slices: the right panel of docs/numerics.md, section 3.
//!
//! * [`f32`](mod@f32) and [`f64`](mod@f64): `#[inline(always)]` functions of vectors, for use inside other kernels.
//! * [`convert`]: float16 and bfloat16 to and from binary32, in integer lanes.
//! * [`Real`]: what a vector of either type can do, so that a kernel is written once.
//! * [`Float`]: what can be loaded into and stored from such vectors: f32, f64, f16, bf16.
//! * [`unary`]: one function applied to a slice.
//!
//! Every path is the same sequence of IEEE operations on every instruction set; no path calls libm.

mod circular32;
mod circular64;
#[rustfmt::skip]
pub mod coefficients;
pub mod convert;
pub mod f32;
pub mod f64;
mod real;
mod storage;
mod unary;

pub use real::{Arithmetic, Real};
pub use storage::{Float, Stash};
pub use unary::{Unary, power, swiglu, unary};

#[cfg(test)]
mod tests;
