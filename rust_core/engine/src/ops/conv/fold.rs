//! Col2Im: blocks of an image added up to the image.

use std::sync::Arc;

use diptych_kernels::fold::{Blocks, Flag, Summand, fold};

use crate::dtype::{Bool, DType, Element};
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::ops::elements::{buffer_bytes, elements_mut};
use crate::ops::windows::{WindowAttributes, extent, output_size, per_axis};
use crate::tensor::{Shape, Strings, Value, element_count};
use crate::with_dtype;

/// Additions worth a task.
const GRAIN: usize = 40_000;

struct Col2Im(WindowAttributes);

impl Col2Im {
    /// How the blocks lie, and the output's shape.
    fn blocks(&self, cx: &PlanCx<'_>) -> Planned<(Blocks, Shape)> {
        let (image, block) = (cx.ints(1)?, cx.ints(2)?);
        let input = cx.shape(0)?;
        let lists = cx.shape(1)?.len() == 1 && cx.shape(2)?.len() == 1;
        let fits = lists && !image.is_empty() && image.len() == block.len() && image.iter().all(|&n| n >= 0);
        let &[n, rows, columns] = input else {
            return Err(Error::shape(format!("input has shape {input:?}, expected rank 3")).into());
        };
        if !fits {
            return Err(
                Error::shape(format!("image_shape {image:?} and block_shape {block:?} do not fit together")).into()
            );
        }
        let rank = image.len();
        let block = per_axis("block_shape", &block, 1, rank, 1)?;
        let strides = per_axis("strides", &self.0.strides, 1, rank, 1)?;
        let dilations = per_axis("dilations", &self.0.dilations, 1, rank, 1)?;
        let pads = per_axis("pads", &self.0.pads, 0, 2 * rank, 0)?;
        let counts = (0..rank).map(|i| {
            let covered = (block[i] - 1) * dilations[i] + 1;
            output_size(image[i].into(), pads[i], pads[rank + i], covered, strides[i], false)
        });
        let counts: Vec<i128> = counts.collect();
        if counts.iter().any(|&count| count < 0) {
            return Err(Error::shape(format!("a block is larger than the padded image {image:?}")).into());
        }
        let extents = |values: &[i128]| values.iter().map(|&value| extent(value)).collect::<Result<Vec<usize>>>();
        let image: Vec<i128> = image.into_iter().map(Into::into).collect();
        let blocks = Blocks {
            image: extents(&image)?,
            block: extents(&block)?,
            strides: extents(&strides)?,
            dilations: extents(&dilations)?,
            pads_begin: extents(&pads[..rank])?,
            counts: extents(&counts)?,
        };
        let (taps, total) = (element_count(&blocks.block)?, element_count(&blocks.counts)?);
        if !rows.is_multiple_of(taps) || columns != total {
            let message = format!("input has shape {input:?}, expected a multiple of {taps} rows and {total} columns");
            return Err(Error::shape(message).into());
        }
        let shape: Shape = [n, rows / taps].iter().chain(&blocks.image).copied().collect();
        element_count(&shape)?;
        Ok((blocks, shape))
    }
}

impl Operator for Col2Im {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let dtype = cx.dtype(0)?;
        let (blocks, shape) = self.blocks(cx)?;
        if dtype == DType::String {
            return Step::values(move |cx| Ok(vec![strings(cx.input(0)?, &blocks, &shape)?]));
        }
        if element_count(&shape)? == 0 {
            return KernelStep::new(dtype, shape, |_| Ok(())).into();
        }
        let plan = Plan { dtype, blocks, shape };
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16, U8, U16, U32, U64] => plan.step::<T, T>(1, |x| x)?.into(),
            else match dtype {
                // The wrapping sums of both kinds of integers are the same bits.
                DType::I8 => plan.step::<u8, u8>(1, |x| x)?.into(),
                DType::I16 => plan.step::<u16, u16>(1, |x| x)?.into(),
                DType::I32 => plan.step::<u32, u32>(1, |x| x)?.into(),
                DType::I64 => plan.step::<u64, u64>(1, |x| x)?.into(),
                DType::C64 => plan.step::<f32, f32>(2, |x| x)?.into(),
                DType::C128 => plan.step::<f64, f64>(2, |x| x)?.into(),
                DType::Bool => plan.step::<Bool, Flag>(1, flags)?.into(),
                other => Err(Error::unsupported(format!("Col2Im of {other}")).into()),
            }
        )
    }
}

fn flags(bools: &[Bool]) -> &[Flag] {
    // SAFETY: both are a byte, of which every pattern is a value.
    unsafe { std::slice::from_raw_parts(bools.as_ptr().cast(), bools.len()) }
}

struct Plan {
    dtype: DType,
    blocks: Blocks,
    shape: Shape,
}

impl Plan {
    /// The step for elements of `parts` numbers `T`, which the kernel sees as `S`.
    fn step<T: Element, S: Summand>(self, parts: usize, seen: fn(&[T]) -> &[S]) -> Result<KernelStep>
    where
        S::Sum: Element,
    {
        let Plan { dtype, blocks, shape } = self;
        let scratch = buffer_bytes::<S::Sum>(&[parts, element_count(&blocks.image)?])?;
        let from = element_count(&[parts, element_count(&blocks.block)?, element_count(&blocks.counts)?])?;
        let to = blocks.image_len() * parts;
        let cost = (element_count(&shape[..2])? as u64).saturating_mul((from + to) as u64) / 4 + 200;
        let step = KernelStep::new(dtype, shape, move |cx| {
            let (x, isa) = (cx.input::<T>(0), cx.isa());
            cx.parallel_rows(cx.output::<T>(0), to, GRAIN / (from + to), |first, y, scratch| {
                let sums = &mut elements_mut::<S::Sum>(scratch)[..to];
                for (image, y) in y.chunks_exact_mut(to).enumerate() {
                    // SAFETY: `seen` says that T and S are one in memory.
                    let y = unsafe { std::slice::from_raw_parts_mut(y.as_mut_ptr().cast::<S>(), to) };
                    fold(isa, &blocks, parts, seen(&x[(first + image) * from..][..from]), sums, y);
                }
            })
        });
        Ok(step.scratch(scratch).cost(cost))
    }
}

/// Strings move; where two would be added there is no answer.
fn strings(value: &Value, blocks: &Blocks, shape: &Shape) -> Result<Value> {
    let Value::Strings(strings) = value else {
        return Err(Error::internal(format!("{} where strings were planned", value.describe())));
    };
    let (from, to, images) = (blocks.columns_len(), blocks.image_len(), element_count(&shape[..2])?);
    let empty: Arc<str> = "".into();
    let mut data = vec![empty; element_count(shape)?];
    let mut taken = vec![false; element_count(&blocks.image)?];
    let mut overlap = false;
    blocks.each_run(|run| {
        for i in 0..run.len {
            let at = run.image + i * run.stride;
            overlap |= std::mem::replace(&mut taken[at], true);
            for image in 0..images {
                data[image * to + at] = strings.data[image * from + run.column + i].clone();
            }
        }
    });
    if overlap {
        return Err(Error::invalid_input("blocks of strings overlap, and strings cannot be added"));
    }
    Ok(Value::Strings(Strings { shape: shape.clone(), data: data.into() }))
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(Col2Im(WindowAttributes::new(cx)?)))
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    versions("Col2Im", &[18], build)
}
