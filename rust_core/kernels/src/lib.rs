//! Arithmetic of the Diptych engine: slices and strides in, slices out.
//!
//! The crate knows no ONNX, no tensor type and allocates nothing. Every public function takes the [`Isa`] to run
//! on as its first argument and gives the same bits on all of them: `docs/numerics.md` states the rounding
//! program that each kernel evaluates. All unstable `std::simd` features stand behind [`lanes`].
#![feature(portable_simd)]

pub mod affine;
pub mod attention;
pub mod batch_norm;
pub mod cast;
pub mod causal;
pub mod chain;
pub mod conv;
pub mod detection;
pub mod determinant;
pub mod elementwise;
pub mod epilogue;
pub mod fold;
pub mod fourier;
pub mod functions;
pub mod gemm;
pub mod integer;
pub mod lanes;
pub mod linear_attention;
pub mod loss;
pub mod lp;
pub mod lrn;
pub mod ml;
pub mod mt19937;
pub mod mutant;
pub mod nbits;
pub mod norm;
pub mod order;
pub mod peak;
pub mod pool;
pub mod qgemm;
pub mod quantize;
pub mod random;
pub mod recurrent;
pub mod reduce;
pub mod remainder;
pub mod requantize;
pub mod resize;
pub mod rotary;
pub mod sample;
pub mod scan;
pub mod scatter;
pub mod small_float;
pub mod softmax;
pub mod training;
pub mod transpose;

pub use lanes::Isa;
