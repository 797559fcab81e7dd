//! TreeEnsemble: inner nodes and leaves in lists of their own.

use super::structure::{Child, Inner, Mode, Structure, Votes, index, missing_flags, same_length, targets_of};
use super::table::wide;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::BuildCx;
use crate::tensor::{Tensor, Value};

/// The element types of the attributes that must be that of the features.
pub struct Types(Vec<(&'static str, DType)>);

impl Types {
    /// An attribute of another type.
    pub fn other_than(&self, dtype: DType) -> Option<(&'static str, DType)> {
        self.0.iter().copied().find(|&(_, own)| own != dtype)
    }
}

/// A list of numbers: a tensor of rank 1.
fn list<'a>(cx: &BuildCx<'a>, name: &str) -> Result<Option<&'a Tensor>> {
    match cx.tensor(name)? {
        None => Ok(None),
        Some(Value::Dense(tensor)) if tensor.shape().len() == 1 => Ok(Some(tensor)),
        Some(other) => Err(Error::invalid_model(format!("{name} is {}, expected a list", other.describe()))),
    }
}

/// A list of floats, whose type is noted.
fn floats(cx: &BuildCx<'_>, name: &'static str, types: &mut Types) -> Result<Option<Vec<f64>>> {
    let Some(tensor) = list(cx, name)? else { return Ok(None) };
    types.0.push((name, tensor.dtype()));
    match tensor.dtype() {
        DType::F32 | DType::F64 | DType::F16 => wide(tensor).map(Some),
        other => Err(Error::invalid_model(format!("{name} is of {other}, expected floats"))),
    }
}

/// The ensemble of a node.
pub fn read(cx: &BuildCx<'_>, targets: usize) -> Result<(Structure, Types)> {
    let mut types = Types(Vec::new());
    let splits = cx.required("nodes_splits", floats(cx, "nodes_splits", &mut types)?)?;
    let weights = cx.required("leaf_weights", floats(cx, "leaf_weights", &mut types)?)?;
    let members = floats(cx, "membership_values", &mut types)?.unwrap_or_default();
    let ints = |name: &str| -> Result<&[i64]> { Ok(cx.ints(name)?.unwrap_or_default()) };
    let target_ids = ints("leaf_targetids")?;
    let leaves = same_length(&[("leaf_weights", weights.len()), ("leaf_targetids", target_ids.len())])?;
    let (modes, sets) = modes_and_sets(cx, &members)?;
    let features = ints("nodes_featureids")?;
    let (truths, falses) = (ints("nodes_truenodeids")?, ints("nodes_falsenodeids")?);
    let (true_leafs, false_leafs) = (ints("nodes_trueleafs")?, ints("nodes_falseleafs")?);
    let nodes = same_length(&[
        ("nodes_splits", splits.len()),
        ("nodes_featureids", features.len()),
        ("nodes_modes", modes.len()),
        ("nodes_truenodeids", truths.len()),
        ("nodes_falsenodeids", falses.len()),
        ("nodes_trueleafs", true_leafs.len()),
        ("nodes_falseleafs", false_leafs.len()),
    ])?;
    let missing = missing_flags(cx.ints("nodes_missing_value_tracks_true")?, nodes)?;
    let child = |id: i64, leaf: i64| child_at(id, leaf != 0, nodes, leaves);
    let mut inner = Vec::with_capacity(nodes);
    for node in 0..nodes {
        inner.push(Inner {
            mode: modes[node],
            feature: features[node],
            threshold: splits[node],
            missing: missing[node],
            children: [child(truths[node], true_leafs[node])?, child(falses[node], false_leafs[node])?],
        });
    }
    let roots = ints("tree_roots")?.iter().map(|&root| child(root, 0)).collect::<Result<Vec<_>>>()?;
    if roots.is_empty() {
        return Err(Error::invalid_model("an ensemble without trees"));
    }
    let first = (0..=leaves).map(index).collect::<Result<Vec<_>>>()?;
    let votes = Votes { first, targets: targets_of(target_ids.iter().copied(), targets)?, weights };
    Ok((Structure::new(inner, roots, sets, votes)?, types))
}

fn child_at(id: i64, leaf: bool, nodes: usize, leaves: usize) -> Result<Child> {
    match usize::try_from(id) {
        Ok(place) if leaf && place < leaves => Ok(Child::Leaf(index(place)?)),
        Ok(place) if !leaf && place < nodes => Ok(Child::Inner(index(place)?)),
        _ => {
            let message = format!("a child or root {id} is outside the {nodes} nodes or the {leaves} leaves");
            Err(Error::invalid_model(message))
        }
    }
}

/// The modes of the nodes, and the sets of those that test membership, in their order: each set ends with a NaN.
fn modes_and_sets(cx: &BuildCx<'_>, members: &[f64]) -> Result<(Vec<Mode>, Vec<Vec<f64>>)> {
    let numbers = match list(cx, "nodes_modes")? {
        Some(tensor) if tensor.dtype() == DType::U8 => tensor.bytes(),
        _ => return Err(Error::invalid_model("nodes_modes must be a list of uint8")),
    };
    let mut sets: Vec<Vec<f64>> = members.split(|member| member.is_nan()).map(<[f64]>::to_vec).collect();
    // What follows the last NaN is no set.
    let rest = sets.pop().unwrap_or_default();
    let mut modes = Vec::with_capacity(numbers.len());
    let mut count = 0;
    for &number in numbers {
        modes.push(match number {
            0 => Mode::LessOrEqual,
            1 => Mode::Less,
            2 => Mode::GreaterOrEqual,
            3 => Mode::Greater,
            4 => Mode::Equal,
            5 => Mode::NotEqual,
            6 => {
                count += 1;
                Mode::Member(index(count - 1)?)
            }
            other => return Err(Error::invalid_model(format!("nodes_modes has {other}, expected 0 to 6"))),
        });
    }
    if count != sets.len() || !rest.is_empty() {
        let message = format!("membership_values has {} sets ended by NaN for {count} nodes that ask", sets.len());
        return Err(Error::invalid_model(message));
    }
    Ok((modes, sets))
}
