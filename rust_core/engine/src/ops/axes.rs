//! Axes given by number, and the opsets that brought element types.

use smallvec::SmallVec;

use crate::dtype::DType;
use crate::error::{Error, Result};

/// `axis` in `0 .. rank`; negative ones count from the end.
pub fn normalize_axis(axis: i64, rank: usize) -> Result<usize> {
    let rank = rank as i64;
    if !(-rank..rank).contains(&axis) {
        return Err(Error::shape(format!("axis {axis} is outside [{}, {}]", -rank, rank - 1)));
    }
    Ok((if axis < 0 { axis + rank } else { axis }) as usize)
}

/// Each axis in `0 .. rank`, none twice.
pub fn normalize_axes(axes: &[i64], rank: usize) -> Result<SmallVec<[usize; 6]>> {
    let mut normal = SmallVec::new();
    for &axis in axes {
        let axis = normalize_axis(axis, rank)?;
        if normal.contains(&axis) {
            return Err(Error::shape(format!("axes {axes:?} name axis {axis} twice")));
        }
        normal.push(axis);
    }
    Ok(normal)
}

/// The opset that brought an element type to the operators that move elements.
pub fn introduced(dtype: DType) -> i64 {
    match dtype {
        DType::BF16 => 13,
        DType::F8E4M3FN | DType::F8E4M3FNUZ | DType::F8E5M2 | DType::F8E5M2FNUZ => 19,
        DType::U4 | DType::I4 => 21,
        DType::F4E2M1 => 23,
        DType::F8E8M0 => 24,
        DType::U2 | DType::I2 => 25,
        DType::F6E2M3 | DType::F6E3M2 => 28,
        _ => 1,
    }
}
