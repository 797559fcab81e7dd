//! Sliding windows of convolutions and pools: attributes and output sizes, of up to three spatial axes.

use crate::error::{Error, Result};
use crate::operator::BuildCx;
use crate::tensor::Shape;

/// Spatial axes that the kernels know; fewer ones leave the first at extent 1.
pub const AXES: usize = 3;

/// How padding is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoPad {
    NotSet,
    SameUpper,
    SameLower,
    Valid,
}

impl AutoPad {
    pub fn is_same(self) -> bool {
        matches!(self, AutoPad::SameUpper | AutoPad::SameLower)
    }

    /// Padding before an axis, of `total`: the odd one goes to the end for SAME_UPPER, else to the begin.
    pub fn begin(self, total: i128) -> i128 {
        if self == AutoPad::SameUpper { total / 2 } else { total - total / 2 }
    }
}

/// Attributes that Conv, ConvTranspose and the pools share, as the model gives them.
#[derive(Clone, Debug)]
pub struct WindowAttributes {
    pub auto_pad: AutoPad,
    pub kernel_shape: Vec<i64>,
    pub strides: Vec<i64>,
    pub dilations: Vec<i64>,
    pub pads: Vec<i64>,
    pub ceil_mode: bool,
}

/// One axis's padding and windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Spatial axes of the operator, the last ones of the [`AXES`].
    pub rank: usize,
    pub input: [usize; AXES],
    pub kernel: [usize; AXES],
    pub strides: [usize; AXES],
    pub dilations: [usize; AXES],
    pub pads_begin: [usize; AXES],
    pub pads_end: [usize; AXES],
    pub output: [usize; AXES],
}

/// Extents of windows and paddings stay below this, so that sums and products of a few of them fit `isize`.
pub const LIMIT: i128 = 1 << 48;

/// `value` as an extent.
pub fn extent(value: i128) -> Result<usize> {
    if !(0..LIMIT).contains(&value) {
        return Err(Error::resource_limit(format!("an extent of {value} is more than can be addressed")));
    }
    Ok(value as usize)
}

/// An attribute with one value of at least `least` an axis, or its default.
pub fn per_axis(name: &str, values: &[i64], default: i64, count: usize, least: i64) -> Result<Vec<i128>> {
    if values.is_empty() {
        return Ok(vec![default.into(); count]);
    }
    if values.len() != count || values.iter().any(|&value| value < least) {
        return Err(Error::invalid_model(format!("{name} {values:?}: expected {count} values of at least {least}")));
    }
    Ok(values.iter().map(|&value| value.into()).collect())
}

impl WindowAttributes {
    /// The attributes of a node; those that its version does not have are absent there.
    pub fn new(cx: &BuildCx<'_>) -> Result<WindowAttributes> {
        let list = |name| Ok::<_, Error>(cx.ints(name)?.unwrap_or_default().to_vec());
        let auto_pad = match cx.string("auto_pad")?.unwrap_or("NOTSET") {
            "NOTSET" => AutoPad::NotSet,
            "SAME_UPPER" => AutoPad::SameUpper,
            "SAME_LOWER" => AutoPad::SameLower,
            "VALID" => AutoPad::Valid,
            other => {
                return Err(Error::invalid_model(format!(
                    "auto_pad is '{other}', expected NOTSET, SAME_UPPER, SAME_LOWER or VALID"
                )));
            }
        };
        Ok(WindowAttributes {
            auto_pad,
            kernel_shape: list("kernel_shape")?,
            strides: list("strides")?,
            dilations: list("dilations")?,
            pads: list("pads")?,
            ceil_mode: cx.int("ceil_mode", 0)? != 0,
        })
    }

    /// Padding before and behind each axis, as the attribute `pads` has it; none unless `auto_pad` is NOTSET.
    pub fn explicit_pads(&self, rank: usize) -> Result<Vec<i128>> {
        per_axis("pads", if self.auto_pad == AutoPad::NotSet { &self.pads } else { &[] }, 0, 2 * rank, 0)
    }

    /// Resolves the attributes of Conv, AveragePool or MaxPool for an input of spatial `size`.
    pub fn resolve(&self, size: &[usize], kernel: &[usize]) -> Result<Windows> {
        let (mut windows, strides, dilations) = self.frame(size, kernel)?;
        let pads = self.explicit_pads(size.len())?;
        for (i, &size) in size.iter().enumerate() {
            let axis = AXES - windows.rank + i;
            let (stride, n) = (strides[i], size as i128);
            let covered = (kernel[i] as i128 - 1) * dilations[i] + 1;
            let (begin, end, output);
            if self.auto_pad.is_same() {
                output = (n + stride - 1) / stride;
                let total = ((output - 1) * stride + covered - n).max(0);
                begin = self.auto_pad.begin(total);
                end = total - begin;
            } else {
                (begin, end) = (pads[i], pads[windows.rank + i]);
                output = output_size(n, begin, end, covered, stride, self.ceil_mode);
                if output < 0 {
                    return Err(Error::shape(format!(
                        "the kernel covers {covered} of axis {i}, more than the padded input of size {size}"
                    )));
                }
            }
            windows.pads_begin[axis] = extent(begin)?;
            windows.pads_end[axis] = extent(end)?;
            windows.output[axis] = extent(output)?;
            extent(((output - 1) * stride + covered).max(0))?;
        }
        Ok(windows)
    }

    /// What does not depend on padding; and strides and dilations of each axis.
    pub fn frame(&self, size: &[usize], kernel: &[usize]) -> Result<(Windows, Vec<i128>, Vec<i128>)> {
        let rank = size.len();
        if rank > AXES {
            return Err(Error::unsupported(format!("{rank} spatial axes: at most {AXES} are supported")));
        }
        if kernel.len() != rank || kernel.contains(&0) {
            return Err(Error::shape(format!("a kernel of shape {kernel:?} for an input of spatial size {size:?}")));
        }
        let strides = per_axis("strides", &self.strides, 1, rank, 1)?;
        let dilations = per_axis("dilations", &self.dilations, 1, rank, 1)?;
        let mut windows = Windows {
            rank,
            input: [1; AXES],
            kernel: [1; AXES],
            strides: [1; AXES],
            dilations: [1; AXES],
            pads_begin: [0; AXES],
            pads_end: [0; AXES],
            output: [1; AXES],
        };
        for i in 0..rank {
            let axis = AXES - rank + i;
            windows.input[axis] = extent(size[i] as i128)?;
            windows.kernel[axis] = extent(kernel[i] as i128)?;
            windows.strides[axis] = extent(strides[i])?;
            windows.dilations[axis] = extent(dilations[i])?;
        }
        Ok((windows, strides, dilations))
    }
}

impl Windows {
    /// The output's shape, after `lead` (batch and channels).
    pub fn output_shape(&self, lead: [usize; 2]) -> Shape {
        lead.iter().chain(&self.output[AXES - self.rank..]).copied().collect()
    }

    /// Sets an axis's output and the padding before it.
    pub fn set_output(&mut self, axis: usize, output: i128, begin: i128) -> Result<()> {
        let axis = AXES - self.rank + axis;
        self.output[axis] = extent(output)?;
        self.pads_begin[axis] = extent(begin)?;
        Ok(())
    }
}

/// Number of windows along an axis; with `ceil_mode` also a last partial one, unless it starts in the end padding.
pub fn output_size(size: i128, begin: i128, end: i128, covered: i128, stride: i128, ceil_mode: bool) -> i128 {
    let room = size + begin + end - covered;
    let count = if ceil_mode { -(-room).div_euclid(stride) } else { room.div_euclid(stride) } + 1;
    if ceil_mode && (count - 1) * stride >= size + begin { count - 1 } else { count }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes() -> WindowAttributes {
        let none = Vec::new;
        WindowAttributes {
            auto_pad: AutoPad::NotSet,
            kernel_shape: none(),
            strides: none(),
            dilations: none(),
            pads: none(),
            ceil_mode: false,
        }
    }

    #[test]
    fn outputs_follow_the_formulas() {
        let given = WindowAttributes { strides: vec![2, 2], pads: vec![1, 1, 1, 1], ..attributes() };
        let windows = given.resolve(&[7, 8], &[3, 3]).unwrap();
        assert_eq!((windows.output, windows.pads_begin), ([1, 4, 4], [0, 1, 1]));
        let ceil = WindowAttributes { ceil_mode: true, ..given.clone() };
        assert_eq!(ceil.resolve(&[7, 8], &[3, 3]).unwrap().output, [1, 4, 5]);
        let same = WindowAttributes { auto_pad: AutoPad::SameUpper, ..given.clone() };
        let windows = same.resolve(&[7, 8], &[2, 3]).unwrap();
        assert_eq!((windows.output, windows.pads_begin, windows.pads_end), ([1, 4, 4], [0, 0, 0], [0, 1, 1]));
        let lower = WindowAttributes { auto_pad: AutoPad::SameLower, ..given };
        assert_eq!(lower.resolve(&[7, 8], &[2, 3]).unwrap().pads_begin, [0, 1, 1]);
    }

    #[test]
    fn hostile_extents_are_refused() {
        assert!(attributes().resolve(&[2], &[4]).is_err());
        assert!(attributes().resolve(&[1; 4], &[1; 4]).is_err());
        let wide = WindowAttributes { pads: vec![i64::MAX, i64::MAX], ..attributes() };
        assert!(wide.resolve(&[2], &[1]).is_err());
        let far = WindowAttributes { auto_pad: AutoPad::SameUpper, dilations: vec![i64::MAX], ..attributes() };
        assert!(far.resolve(&[2], &[3]).is_err());
        assert!(WindowAttributes { strides: vec![0], ..attributes() }.resolve(&[2], &[1]).is_err());
    }
}
