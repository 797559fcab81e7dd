//! Sum, Mean, Max, Min of any number of operands, left to right.

use diptych_kernels::Isa;
use diptych_kernels::elementwise::{Binary, Number, Operand, accumulate, round};
use diptych_kernels::functions::Stash;
use smallvec::SmallVec;

use super::{GRAIN_BYTES, Place, plan_binary};
use crate::broadcast::{Walk, broadcast_shapes};
use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::operator::{self, BuildCx, KernelStep, Operator, PlanCx, Planned, Row, Step};
use crate::tensor::Shape;
use crate::with_dtype;

/// Elements whose result is kept unrounded while the operands are taken one after the other.
const BLOCK: usize = 512;

struct Variadic {
    op: Binary,
    /// Mean: the result is divided by the number of operands.
    mean: bool,
    since: i64,
}

fn build(cx: &BuildCx<'_>, op: Binary) -> Result<Box<dyn Operator>> {
    Ok(Box::new(Variadic { op, mean: false, since: cx.since }))
}

fn build_mean(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(Variadic { op: Binary::Add, mean: true, since: cx.since }))
}

impl Operator for Variadic {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let inputs: Vec<usize> = (0..cx.inputs.len()).collect();
        let dtype = cx.dtype(0)?;
        let shapes = inputs.iter().map(|&input| cx.shape(input)).collect::<Result<SmallVec<[&[usize]; 4]>>>()?;
        if self.since < 8 && shapes.iter().any(|shape| shape != &shapes[0]) {
            return Err(Error::shape(format!(
                "shapes {shapes:?} differ, and version {} does not broadcast",
                self.since
            ))
            .into());
        }
        match shapes[..] {
            [shape] => Ok(Step::View { input: 0, shape: shape.into() }),
            [a, b] if !self.mean => plan_binary(self.op, dtype, a, b),
            _ => {
                let out = broadcast_shapes(&shapes)?;
                let in_place: SmallVec<[(usize, usize); 2]> =
                    inputs.iter().filter(|&&input| shapes[input] == &out[..]).map(|&input| (input, 0)).collect();
                let unsupported = Error::unsupported(format!("{:?} of {dtype}", self.op));
                let step = if self.mean {
                    with_dtype!(
                        dtype, T in [F32, F64, F16, BF16] => kernel::<T>(self.op, divide::<T>(shapes.len()), &shapes, out)?,
                        else return Err(unsupported.into())
                    )
                } else {
                    with_dtype!(
                        dtype, T in [F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64] =>
                            kernel::<T>(self.op, |_, _| (), &shapes, out)?,
                        else return Err(unsupported.into())
                    )
                };
                step.in_place(&in_place).into()
            }
        }
    }
}

/// Divides sums of `count` operands by it.
fn divide<T: Number>(count: usize) -> impl Fn(Isa, &mut [<T as Number>::Wide]) + Copy
where
    <T as Number>::Wide: Number<Wide = <T as Number>::Wide> + Stash,
{
    // SAFETY: a scalar operand has no place.
    move |isa, sums| unsafe {
        accumulate::<<T as Number>::Wide>(isa, Some(Binary::Div), sums, Operand::Scalar(Stash::from_count(count)));
    }
}

// [panel: Sum Max Min Mean walk]
/// The step that takes the operands one after the other by `op` and then calls `finish` on a block, before it is rounded.
fn kernel<T: Element + Number>(
    op: Binary,
    finish: impl Fn(Isa, &mut [T::Wide]) + Send + Sync + 'static,
    shapes: &[&[usize]],
    out: Shape,
) -> Result<KernelStep> {
    let walks = shapes.iter().map(|&shape| Ok(Walk::broadcast([shape, &out])?.0)).collect::<Result<Vec<Walk<2>>>>()?;
    let len = walks[0].len();
    let cost = (len * walks.len() * size_of::<T>()) as u64 / 16 + 100;
    let step = KernelStep::new(T::DTYPE, out, move |cx| {
        let (isa, inputs, out) = (cx.isa(), cx.slots(), Place::output(cx.output_ptr::<T>(0)));
        cx.parallel_ranges(len, GRAIN_BYTES / size_of::<T>() / walks.len(), |range, _| {
            let mut sums = [T::Wide::default(); BLOCK];
            for start in range.clone().step_by(BLOCK) {
                let block = start..range.end.min(start + BLOCK);
                for (input, walk) in walks.iter().enumerate() {
                    let stride = walk.row_strides()[0];
                    let op = (input > 0).then_some(op);
                    walk.rows(block.clone(), |at, len, [offset, _]| {
                        let sums = &mut sums[at - start..at - start + len];
                        // SAFETY: the walk stays inside the input's shape. An input that is the output is read up to the
                        // block's end before the block is written.
                        unsafe {
                            accumulate(isa, op, sums, Operand::at(inputs[input].ptr.cast::<T>().add(offset), stride))
                        };
                    });
                }
                finish(isa, &mut sums[..block.len()]);
                // SAFETY: blocks of the output do not overlap, and no reference into it is alive.
                let out = unsafe { std::slice::from_raw_parts_mut(out.at(start), block.len()) };
                round(isa, &sums[..block.len()], out);
            }
        })
    });
    Ok(step.cost(cost))
}
// [/panel]

pub(super) fn rows() -> impl Iterator<Item = Row> {
    operator::rows("Sum", &[1, 6, 8, 13], |cx| build(cx, Binary::Add))
        .chain(operator::rows("Mean", &[1, 6, 8, 13], build_mean))
        .chain(operator::rows("Max", &[1, 6, 8, 12, 13], |cx| build(cx, Binary::Max)))
        .chain(operator::rows("Min", &[1, 6, 8, 12, 13], |cx| build(cx, Binary::Min)))
}
