//! ONNX's element types.

use std::fmt;

use half::{bf16, f16};

macro_rules! dtypes {
    ($($variant:ident = $number:literal, $name:literal, $bits:literal;)*) => {
        /// Element type of a tensor. The discriminant is `TensorProto.DataType`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum DType { $($variant = $number),* }

        impl DType {
            pub const ALL: &'static [DType] = &[$(DType::$variant),*];

            /// The type of that `TensorProto.DataType` number.
            pub fn from_onnx(number: i32) -> Option<DType> {
                match number { $($number => Some(DType::$variant),)* _ => None }
            }

            /// ONNX's name, as in `tensor(float)`.
            pub fn name(self) -> &'static str {
                match self { $(DType::$variant => $name),* }
            }

            /// Size of one element in bits; 0 for strings.
            pub fn bits(self) -> usize {
                match self { $(DType::$variant => $bits),* }
            }
        }
    };
}

dtypes! {
    F32 = 1, "float", 32;
    U8 = 2, "uint8", 8;
    I8 = 3, "int8", 8;
    U16 = 4, "uint16", 16;
    I16 = 5, "int16", 16;
    I32 = 6, "int32", 32;
    I64 = 7, "int64", 64;
    String = 8, "string", 0;
    Bool = 9, "bool", 8;
    F16 = 10, "float16", 16;
    F64 = 11, "double", 64;
    U32 = 12, "uint32", 32;
    U64 = 13, "uint64", 64;
    C64 = 14, "complex64", 64;
    C128 = 15, "complex128", 128;
    BF16 = 16, "bfloat16", 16;
    F8E4M3FN = 17, "float8e4m3fn", 8;
    F8E4M3FNUZ = 18, "float8e4m3fnuz", 8;
    F8E5M2 = 19, "float8e5m2", 8;
    F8E5M2FNUZ = 20, "float8e5m2fnuz", 8;
    U4 = 21, "uint4", 4;
    I4 = 22, "int4", 4;
    F4E2M1 = 23, "float4e2m1", 4;
    F8E8M0 = 24, "float8e8m0", 8;
    U2 = 25, "uint2", 2;
    I2 = 26, "int2", 2;
    F6E2M3 = 27, "float6e2m3", 6;
    F6E3M2 = 28, "float6e3m2", 6;
}

impl DType {
    /// Bytes of `count` elements; sub-byte types are packed, the last byte padded. `None` on overflow or for strings.
    pub fn byte_len(self, count: usize) -> Option<usize> {
        match self.bits() {
            0 => None,
            bits => Some(count.checked_mul(bits)?.div_ceil(8)),
        }
    }

    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64 | DType::F16 | DType::BF16)
    }

    pub fn is_integer(self) -> bool {
        self.is_signed() || matches!(self, DType::U8 | DType::U16 | DType::U32 | DType::U64)
    }

    pub fn is_signed(self) -> bool {
        matches!(self, DType::I8 | DType::I16 | DType::I32 | DType::I64)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A bool tensor's element: a byte, zero or not. (Rust's `bool` would make any other byte in a file undefined behaviour.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct Bool(pub u8);

/// Rust types that are elements of dense tensors.
///
/// # Safety
/// Any bit pattern must be a value of the type, and its size must be that of `DTYPE`.
pub unsafe trait Element: Copy + Send + Sync + Default + PartialEq + fmt::Debug + 'static {
    const DTYPE: DType;
}

macro_rules! elements {
    ($($type:ty => $dtype:ident),* $(,)?) => {$(
        // SAFETY: a plain number of the size of its DType; every bit pattern is a value.
        unsafe impl Element for $type { const DTYPE: DType = DType::$dtype; }
    )*};
}
elements! {
    f32 => F32, f64 => F64, f16 => F16, bf16 => BF16, Bool => Bool,
    i8 => I8, i16 => I16, i32 => I32, i64 => I64, u8 => U8, u16 => U16, u32 => U32, u64 => U64,
}

/// Calls `$body` with the type alias `$T` bound to the Rust element type of `$dtype`, for the listed dtypes; other
/// dtypes take the `else` expression.
///
/// ```ignore
/// with_dtype!(dtype, T in [F32, F64, I32] => run::<T>(cx), else Err(...))
/// ```
#[macro_export]
macro_rules! with_dtype {
    ($dtype:expr, $T:ident in [$($variant:ident),* $(,)?] => $body:expr, else $other:expr) => {
        match $dtype {
            $($crate::dtype::DType::$variant => { type $T = $crate::element_of!($variant); $body })*
            #[allow(unreachable_patterns)]
            _ => $other,
        }
    };
}

/// The Rust element type of a [`DType`] variant.
#[macro_export]
macro_rules! element_of {
    (F32) => {
        f32
    };
    (F64) => {
        f64
    };
    (F16) => {
        ::half::f16
    };
    (BF16) => {
        ::half::bf16
    };
    (I8) => {
        i8
    };
    (I16) => {
        i16
    };
    (I32) => {
        i32
    };
    (I64) => {
        i64
    };
    (U8) => {
        u8
    };
    (U16) => {
        u16
    };
    (U32) => {
        u32
    };
    (U64) => {
        u64
    };
    (Bool) => {
        $crate::dtype::Bool
    };
}
