//! SkipLayerNormalization and SkipSimplifiedLayerNormalization of com.microsoft: rows are added up, then normalised, row by
//! row, so that a sum is still in the cache when it is needed.

use diptych_kernels::Isa;
use diptych_kernels::elementwise::{Binary, Number, Operand, binary};
use diptych_kernels::functions::Float;
use diptych_kernels::norm::{LayerNorm, layer_norm};
use smallvec::SmallVec;

use super::rows::{Rows, optional};
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, OutputType, PlanCx, Planned, Row, Step, rows_of};
use crate::ops::elementwise::Place;
use crate::tensor::{Shape, element_count};
use crate::with_dtype;

struct SkipNormalization {
    epsilon: f32,
    /// RMSNormalization: nothing is subtracted, and there is no beta.
    simplified: bool,
}

fn build(cx: &BuildCx<'_>, simplified: bool) -> Result<Box<dyn Operator>> {
    Ok(Box::new(SkipNormalization { epsilon: cx.float("epsilon", 1e-12)?, simplified }))
}

/// Refuses an input that has not one number for each place of a row.
pub(super) fn check_per_place(cx: &PlanCx<'_>, input: usize, name: &str, n: usize) -> Result<()> {
    if cx.has(input) && cx.shape(input)? != [n] {
        return Err(Error::shape(format!("{name} has shape {:?}, expected [{n}]", cx.shape(input)?)));
    }
    Ok(())
}

impl Operator for SkipNormalization {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (dtype, x, skip) = (cx.dtype(0)?, cx.shape(0)?, cx.shape(1)?);
        let ([_, n] | [_, _, n]) = *x else {
            return Err(Error::shape(format!("input has shape {x:?}, expected 2 or 3 axes")).into());
        };
        let one_for_all = x.len() == 3 && (skip == &x[1..] || (skip.len() == 3 && skip[0] == 1 && skip[1..] == x[1..]));
        if skip != x && !one_for_all {
            return Err(Error::shape(format!(
                "skip has shape {skip:?}, expected that of input {x:?}, or [1, S, H], or [S, H]"
            ))
            .into());
        }
        let (beta, bias) = if self.simplified { (None, 3) } else { (Some(3), 4) };
        for (input, name) in [(Some(2), "gamma"), (beta, "beta"), (Some(bias), "bias")] {
            if let Some(input) = input {
                check_per_place(cx, input, name, n)?;
            }
        }
        let mut reduced = Shape::from(x);
        reduced[x.len() - 1] = 1;
        let stash = OutputType::new(DType::F32, reduced);
        let outputs = [OutputType::new(dtype, x), stash.clone(), stash, OutputType::new(dtype, x)];
        let outer = element_count(&x[..x.len() - 1])?;
        let rows = Rows { outer, n, centered: !self.simplified, epsilon: self.epsilon, statistics: [Some(1), Some(2)] };
        let sums = Sums { rows, skip_rows: element_count(&skip[..skip.len() - 1])?, beta, bias };
        let in_place: SmallVec<[(usize, usize); 2]> =
            if skip == x { [(0, 0), (1, 0)].into() } else { SmallVec::from_slice(&[(0, 0)]) };
        with_dtype!(
            dtype, T in [F32, F16, BF16] => sums.step::<T>(outputs).in_place(&in_place).into(),
            else Err(Error::unsupported(format!("SkipLayerNormalization of {dtype}")).into())
        )
    }
}

/// Rows that are added up before they are normalised.
struct Sums {
    rows: Rows,
    /// Rows of skip, which then begins again.
    skip_rows: usize,
    /// Which inputs these are.
    beta: Option<usize>,
    bias: usize,
}

impl Sums {
    fn step<T: Element + Float + Number>(self, outputs: [OutputType; 4]) -> KernelStep {
        let Rows { outer, n, centered, epsilon, statistics } = self.rows;
        KernelStep::with_outputs(outputs, move |cx| {
            let (isa, y) = (cx.isa(), Place::output(cx.output_ptr::<T>(0)));
            let [input, skip] = [0, 1].map(|input| Place::input(cx.input_ptr::<T>(input)));
            let (gamma, bias) = (cx.input::<T>(2), cx.opt_input::<T>(self.bias));
            let beta = self.beta.and_then(|input| cx.opt_input::<T>(input));
            let [means, inverses] = statistics.map(|output| optional::<f32>(cx, output));
            // Where nobody wants the sum it waits in the output's row.
            let sum = optional::<T>(cx, Some(3)).unwrap_or(y);
            cx.parallel_ranges(outer, self.rows.grain(), |rows, _| {
                for row in rows {
                    let (at, from) = (row * n, row % self.skip_rows * n);
                    // SAFETY: a row of each, which this thread alone writes; an input that is the output's place has the
                    // same rows, and is read before it is written.
                    unsafe {
                        add(isa, [input.at(at), skip.at(from)], sum.at(at), n);
                        if let Some(bias) = bias {
                            add(isa, [sum.at(at).cast_const(), bias.as_ptr()], sum.at(at), n);
                        }
                        let [mean, inverse] = [means, inverses].map(|place| place.map(|place| place.at(row)));
                        let operands =
                            LayerNorm { n, centered, scale: Some(gamma), bias: beta, epsilon, mean, inverse };
                        layer_norm::<T, f32>(isa, &operands, sum.at(at), y.at(at), 0..1);
                    }
                }
            })
        })
        .cost((outer * n) as u64 + 100)
    }
}

/// `out = rn(a + b)` for rows of n numbers.
///
/// # Safety
/// All are valid for n numbers; what overlaps is the same place.
pub(super) unsafe fn add<T: Number>(isa: Isa, [a, b]: [*const T; 2], out: *mut T, n: usize) {
    // SAFETY: by this function's contract.
    unsafe { binary(isa, Binary::Add, Operand::Slice(a), Operand::Slice(b), out, n) }
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    rows_of("com.microsoft", "SkipLayerNormalization", &[1], |cx| build(cx, false)).chain(rows_of(
        "com.microsoft",
        "SkipSimplifiedLayerNormalization",
        &[1],
        |cx| build(cx, true),
    ))
}
