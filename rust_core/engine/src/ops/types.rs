//! Sets of element types: what a version of an operator takes.

use crate::dtype::DType;
use crate::error::Result;
use crate::operator::PlanCx;
use crate::ops::axes::unsupported_type;

/// A set of element types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Types(u64);

impl Types {
    /// float16, float, double: the floats of the early versions.
    pub const OLD_FLOATS: Types = Types::of(&[DType::F16, DType::F32, DType::F64]);
    pub const FLOATS: Types = Types::OLD_FLOATS.with(Types::of(&[DType::BF16]));
    /// Integers of 32 and 64 bits.
    pub const WIDE_INTEGERS: Types = Types::of(&[DType::I32, DType::I64, DType::U32, DType::U64]);
    pub const SIGNED: Types = Types::of(&[DType::I8, DType::I16, DType::I32, DType::I64]);
    pub const INTEGERS: Types = Types::SIGNED.with(Types::of(&[DType::U8, DType::U16, DType::U32, DType::U64]));
    /// Every float and integer.
    pub const NUMBERS: Types = Types::FLOATS.with(Types::INTEGERS);

    pub const fn of(dtypes: &[DType]) -> Types {
        let mut bits = 0;
        let mut i = 0;
        while i < dtypes.len() {
            bits |= 1 << dtypes[i] as u8;
            i += 1;
        }
        Types(bits)
    }

    pub const fn with(self, other: Types) -> Types {
        Types(self.0 | other.0)
    }

    /// float16, float and double, and bfloat16 from version `bfloat16` on.
    pub fn floats(since: i64, bfloat16: i64) -> Types {
        if since < bfloat16 { Types::OLD_FLOATS } else { Types::FLOATS }
    }

    pub fn contains(self, dtype: DType) -> bool {
        self.0 & (1 << dtype as u8) != 0
    }

    /// The dtype of an input, if it is of the set; `since` is the operator's version, for the message.
    pub fn check(self, cx: &PlanCx<'_>, input: usize, since: i64) -> Result<DType> {
        let dtype = cx.dtype(input)?;
        if self.contains(dtype) { Ok(dtype) } else { Err(unsupported_type(input, dtype, since)) }
    }
}
