//! The Diptych engine: reads an ONNX model, plans it and runs it. Knows nothing of Python.
//!
//! `read -> graph -> lower -> passes -> plan -> run`: see the modules of those names.

pub mod broadcast;
pub mod custom;
pub mod dtype;
pub mod error;
pub mod graph;
pub mod lower;
pub mod map;
pub mod math;
pub mod memory;
pub mod onnx;
pub mod operator;
pub mod ops;
pub mod packed;
pub mod passes;
pub mod plan;
pub mod pool;
mod private;
pub mod profile;
pub mod run;
pub mod session;
pub mod signatures;
pub mod tensor;

pub use dtype::{Bool, DType, Element};
pub use error::{Context, Error, ErrorKind, Result};
pub use map::{Keys, Map};
pub use math::Math;
pub use tensor::{Sequence, Shape, Strings, Tensor, Value, ValueType};
