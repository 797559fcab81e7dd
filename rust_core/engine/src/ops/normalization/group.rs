//! GroupNormalization and InstanceNormalization: over groups of channels, or each channel, of every instance.

use diptych_kernels::functions::{Float, Stash};
use diptych_kernels::norm::{GroupNorm, group_norm};

use super::rows::{Affine, Rows, stash_type};
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{self, BuildCx, KernelStep, Operator, OutputType, PlanCx, Planned, Row, Step};
use crate::ops::elementwise::Place;
use crate::tensor::{Shape, element_count};
use crate::with_dtype;

struct GroupNormalization {
    /// None: every channel is a group.
    groups: Option<i64>,
    epsilon: f32,
    /// Scale and bias are one number a channel, and statistics have this type: version 21. Else they are one number a group, and
    /// only the result is rounded to the type of X.
    stash: Option<DType>,
}

fn build_group(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let groups = cx.required("num_groups", cx.opt_int("num_groups")?)?;
    if groups < 1 {
        return Err(Error::invalid_model(format!("num_groups is {groups}, expected a positive number")));
    }
    let stash = if cx.since < 21 { None } else { Some(stash_type(cx)?) };
    Ok(Box::new(GroupNormalization { groups: Some(groups), epsilon: cx.float("epsilon", 1e-5)?, stash }))
}

fn build_instance(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(GroupNormalization { groups: None, epsilon: cx.float("epsilon", 1e-5)?, stash: None }))
}

impl Operator for GroupNormalization {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (dtype, x) = (cx.dtype(0)?, cx.shape(0)?);
        let geometry = self.geometry(x)?;
        let parameters = geometry.groups * if self.stash.is_some() { geometry.channels } else { 1 };
        for (input, name) in [(1, "scale"), (2, "bias")] {
            if cx.shape(input)? != [parameters] {
                let shape = cx.shape(input)?;
                return Err(Error::shape(format!("{name} has shape {shape:?}, expected [{parameters}]")).into());
            }
        }
        let unsupported = || Err(Error::unsupported(format!("normalization of {dtype}")).into());
        with_dtype!(
            dtype, T in [F32, F64, F16, BF16] => match self.stash {
                None => geometry.in_one().step::<T, <T as Float>::Wide>(x, false).into(),
                Some(stash) => with_dtype!(
                    stash, S in [F32, F64] => geometry.step::<T, S>(x, true).into(),
                    else with_dtype!(
                        stash, H in [F16, BF16] => {
                            let spread: Shape = std::iter::once(parameters).chain(x[2..].iter().map(|_| 1)).collect();
                            let affine = Affine::new(x, [Some(&spread), Some(&spread)])?;
                            geometry.rows().narrow::<T, H>(&[OutputType::new(dtype, x)], affine)
                        },
                        else unsupported()
                    )
                ),
            },
            else unsupported()
        )
    }
}

impl GroupNormalization {
    fn geometry(&self, x: &[usize]) -> Result<Geometry> {
        let misfit = || Error::shape(format!("X has shape {x:?}: expected channels on axis 1 that the groups divide"));
        let &[instances, channels, ..] = x else { return Err(misfit()) };
        let groups = match self.groups {
            None => channels,
            Some(groups) => usize::try_from(groups).map_err(|_| misfit())?,
        };
        if groups > 0 && channels % groups != 0 {
            return Err(misfit());
        }
        let (channels, inner) = (channels.checked_div(groups).unwrap_or(0), element_count(&x[2..])?);
        let instances = if x.contains(&0) { 0 } else { instances };
        Ok(Geometry { instances, groups, channels, inner, epsilon: self.epsilon })
    }
}

/// X as `[instances, groups, channels, inner]`.
#[derive(Clone, Copy)]
struct Geometry {
    /// 0 if X has no elements.
    instances: usize,
    groups: usize,
    channels: usize,
    inner: usize,
    epsilon: f32,
}

impl Geometry {
    /// All of a group as one channel.
    fn in_one(self) -> Geometry {
        let inner = if self.instances == 0 { 0 } else { self.channels * self.inner };
        Geometry { channels: 1, inner, ..self }
    }

    fn rows(self) -> Rows {
        let (outer, n) =
            if self.instances == 0 { (0, 0) } else { (self.instances * self.groups, self.channels * self.inner) };
        Rows { outer, n, centered: true, epsilon: self.epsilon, statistics: [None; 2] }
    }

    fn step<T: Element + Float, S: Stash>(self, x: &[usize], rounded: bool) -> KernelStep {
        let rows = self.rows();
        let cost = (rows.outer * rows.n) as u64 / 2 + 100;
        KernelStep::new(T::DTYPE, Shape::from(x), move |cx| {
            let (isa, src, dst) = (cx.isa(), Place::input(cx.input_ptr::<T>(0)), Place::output(cx.output_ptr::<T>(0)));
            let Geometry { groups, channels, inner, epsilon, .. } = self;
            let (scale, bias) = (cx.input::<T>(1), cx.input::<T>(2));
            let operands = GroupNorm { groups, channels, inner, scale, bias, epsilon, rounded };
            cx.parallel_ranges(rows.outer, rows.grain(), |rows, _| {
                // SAFETY: groups of X and Y, which are one place or disjoint; threads have different ones.
                unsafe { group_norm::<T, S>(isa, &operands, src.at(0), dst.at(0), rows) };
            })
        })
        .in_place(&[(0, 0)])
        .cost(cost)
    }
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    operator::rows("GroupNormalization", &[18, 21], build_group).chain(operator::rows(
        "InstanceNormalization",
        &[1, 6, 22],
        build_instance,
    ))
}
