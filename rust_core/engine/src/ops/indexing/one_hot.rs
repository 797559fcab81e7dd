//! OneHot.

use std::ops::Range;

use half::f16;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::axes::normalize_axis;
use crate::ops::mover::{self, Inputs, Mover, Word};
use crate::tensor::{Shape, element_count};

struct OneHot {
    axis: i64,
}

/// `[outer, depth, inner]`: `values[1]` at the classes that the `[outer, inner]` indices name, else `values[0]`.
struct Classes {
    index_dtype: DType,
    depth: usize,
    inner: usize,
}

impl Classes {
    /// The class of index `i`; `None` if it is outside.
    fn at(&self, indices: &[u8], i: usize) -> Option<usize> {
        let (index, depth) = (whole(self.index_dtype, indices, i), self.depth as i128);
        usize::try_from(if (-depth..0).contains(&index) { index + depth } else { index })
            .ok()
            .filter(|&c| c < self.depth)
    }
}

// [panel: OneHot]
impl Mover for Classes {
    fn run<W: Word>(&self, range: Range<usize>, inputs: Inputs<'_>, out: &mut [W]) {
        let &[off, on] = inputs.words::<W>(2) else { return };
        out.fill(off);
        let indices = inputs.bytes(0);
        let block = self.depth * self.inner;
        for outer in range.start / block..range.end.div_ceil(block) {
            for inner in 0..self.inner {
                let Some(class) = self.at(indices, outer * self.inner + inner) else { continue };
                let place = (outer * self.depth + class) * self.inner + inner;
                if range.contains(&place) {
                    out[place - range.start] = on;
                }
            }
        }
    }
}
// [/panel]

/// Number `i` of a tensor as an integer, floats toward zero as Cast to int64 has them.
fn whole(dtype: DType, bytes: &[u8], i: usize) -> i128 {
    macro_rules! read {
        ($type:ty) => {{
            let mut own = [0; size_of::<$type>()];
            own.copy_from_slice(&bytes[i * size_of::<$type>()..][..size_of::<$type>()]);
            <$type>::from_ne_bytes(own)
        }};
    }
    match dtype {
        DType::I64 => read!(i64).into(),
        DType::I32 => read!(i32).into(),
        DType::I16 => read!(i16).into(),
        DType::I8 => read!(i8).into(),
        DType::U64 => read!(u64).into(),
        DType::U32 => read!(u32).into(),
        DType::U16 => read!(u16).into(),
        DType::F16 => (read!(f16).to_f32() as i64).into(),
        DType::F32 => (read!(f32) as i64).into(),
        DType::F64 => (read!(f64) as i64).into(),
        _ => bytes[i].into(),
    }
}

impl Operator for OneHot {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (index_dtype, dtype) = (cx.dtype(0)?, cx.dtype(2)?);
        let (indices, values) = (cx.shape(0)?, cx.shape(2)?);
        if values != [2] || element_count(cx.shape(1)?)? != 1 {
            let message = format!("depth {:?} and values {values:?}, expected a scalar and [2]", cx.shape(1)?);
            return Err(Error::shape(message).into());
        }
        let depth = cx.tensor(1)?;
        let depth = whole(depth.dtype(), depth.bytes(), 0);
        let depth = usize::try_from(depth)
            .map_err(|_| Error::invalid_input(format!("depth is {depth}, expected a number of classes")))?;
        let axis = normalize_axis(self.axis, indices.len() + 1)?;
        let mut shape: Shape = indices.into();
        shape.insert(axis, depth);
        let classes = Classes { index_dtype, depth, inner: element_count(&indices[axis..])? };
        mover::plan(dtype, &[2], vec![(shape, classes)])
    }
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(OneHot { axis: cx.int("axis", -1)? }))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("OneHot", &[9, 11, 28], build)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_integers() {
        assert_eq!(whole(DType::F32, &(-1.9f32).to_ne_bytes(), 0), -1);
        assert_eq!(whole(DType::F64, &f64::NAN.to_ne_bytes(), 0), 0);
        assert_eq!(whole(DType::U64, &u64::MAX.to_ne_bytes(), 0), u64::MAX.into());
        let classes = Classes { index_dtype: DType::I8, depth: 3, inner: 1 };
        let found: Vec<_> = (0..5).map(|i| classes.at(&[0, 2, 3, 0xfd, 0xfc], i)).collect();
        assert_eq!(found, [Some(0), Some(2), None, Some(0), None]);
    }
}
