//! TreeEnsembleRegressor and TreeEnsembleClassifier: a table of all nodes, inner nodes and leaves, with ids.

use std::collections::HashMap;

use super::structure::{Child, Inner, Mode, Structure, Votes, index, missing_flags, same_length, targets_of};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::BuildCx;
use crate::ops::cast::cast_tensor;
use crate::tensor::{Tensor, Value};

/// The numbers of an attribute that is a list of floats, or under its name and `_as_tensor` a tensor of floats or doubles.
pub fn numbers(cx: &BuildCx<'_>, name: &str) -> Result<Vec<f64>> {
    let plain = cx.floats(name)?.unwrap_or_default();
    let Some(tensor) = cx.tensor(&format!("{name}_as_tensor"))? else {
        return Ok(plain.iter().map(|&value| value.into()).collect());
    };
    if !plain.is_empty() {
        return Err(Error::invalid_model(format!("{name} and {name}_as_tensor are both given, expected one")));
    }
    match tensor {
        Value::Dense(tensor) if tensor.shape().len() == 1 && matches!(tensor.dtype(), DType::F32 | DType::F64) => {
            wide(tensor)
        }
        other => {
            Err(Error::invalid_model(format!("{name}_as_tensor is {}, expected a list of doubles", other.describe())))
        }
    }
}

/// The numbers of a tensor of floats, exactly.
pub fn wide(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(cast_tensor(diptych_kernels::Isa::best(), tensor, DType::F64)?.as_slice::<f64>()?.to_vec())
}

/// Rows of the table.
struct Table<'a> {
    trees: &'a [i64],
    ids: &'a [i64],
    modes: &'a [String],
    /// Row of each (tree, node id).
    rows: HashMap<(i64, i64), u32>,
    /// Each row among the inner nodes or the leaves.
    children: Vec<Child>,
}

impl<'a> Table<'a> {
    fn new(cx: &BuildCx<'a>) -> Result<Table<'a>> {
        let ints = |name: &str| -> Result<&'a [i64]> { Ok(cx.ints(name)?.unwrap_or_default()) };
        let (trees, ids) = (ints("nodes_treeids")?, ints("nodes_nodeids")?);
        let modes = cx.strings("nodes_modes")?.unwrap_or_default();
        same_length(&[
            ("nodes_treeids", trees.len()),
            ("nodes_nodeids", ids.len()),
            ("nodes_modes", modes.len()),
            ("nodes_featureids", ints("nodes_featureids")?.len()),
            ("nodes_truenodeids", ints("nodes_truenodeids")?.len()),
            ("nodes_falsenodeids", ints("nodes_falsenodeids")?.len()),
        ])?;
        if ids.is_empty() {
            return Err(Error::invalid_model("an ensemble without nodes"));
        }
        let (mut rows, mut children) = (HashMap::with_capacity(ids.len()), Vec::with_capacity(ids.len()));
        let (mut inner, mut leaves) = (0, 0);
        for (row, mode) in modes.iter().enumerate() {
            if rows.insert((trees[row], ids[row]), index(row)?).is_some() {
                return Err(Error::invalid_model(format!("node {} appears twice in tree {}", ids[row], trees[row])));
            }
            let count = if mode == "LEAF" { &mut leaves } else { &mut inner };
            children.push(if mode == "LEAF" { Child::Leaf(*count) } else { Child::Inner(*count) });
            *count += 1;
        }
        Ok(Table { trees, ids, modes, rows, children })
    }

    fn row(&self, tree: i64, id: i64) -> Result<usize> {
        let row = self.rows.get(&(tree, id)).map(|&row| row as usize);
        row.ok_or_else(|| Error::invalid_model(format!("tree {tree} has no node {id}, to which something refers")))
    }

    /// The root of a tree is its first node in the table; trees come in the order of their roots.
    fn roots(&self) -> Vec<Child> {
        let mut seen = std::collections::HashSet::new();
        let first = self.trees.iter().zip(&self.children).filter(|(tree, _)| seen.insert(**tree));
        first.map(|(_, &root)| root).collect()
    }

    fn inner(&self, cx: &BuildCx<'_>) -> Result<Vec<Inner>> {
        let thresholds = numbers(cx, "nodes_values")?;
        same_length(&[("nodes_nodeids", self.ids.len()), ("nodes_values", thresholds.len())])?;
        let missing = missing_flags(cx.ints("nodes_missing_value_tracks_true")?, self.ids.len())?;
        let features = cx.ints("nodes_featureids")?.unwrap_or_default();
        let truths = cx.ints("nodes_truenodeids")?.unwrap_or_default();
        let falses = cx.ints("nodes_falsenodeids")?.unwrap_or_default();
        let mut inner = Vec::new();
        for (row, mode) in self.modes.iter().enumerate() {
            let Some(mode) = mode_named(mode)? else { continue };
            let child = |id: i64| Ok(self.children[self.row(self.trees[row], id)?]);
            inner.push(Inner {
                mode,
                feature: features[row],
                threshold: thresholds[row],
                missing: missing[row],
                children: [child(truths[row])?, child(falses[row])?],
            });
        }
        Ok(inner)
    }

    /// Votes in the order of their leaves, and of the table for one leaf. Votes of inner nodes do not count.
    fn votes(&self, cx: &BuildCx<'_>, prefix: &str, ids: &str, targets: usize) -> Result<Votes> {
        let ints = |name: &str| -> Result<&[i64]> { Ok(cx.ints(name)?.unwrap_or_default()) };
        let (trees, nodes) = (ints(&format!("{prefix}_treeids"))?, ints(&format!("{prefix}_nodeids"))?);
        let (ids, weights) = (ints(ids)?, numbers(cx, &format!("{prefix}_weights"))?);
        same_length(&[
            ("treeids", trees.len()),
            ("nodeids", nodes.len()),
            ("ids", ids.len()),
            ("weights", weights.len()),
        ])?;
        index(ids.len())?;
        let mut leaves = Vec::with_capacity(ids.len());
        for (vote, (&tree, &node)) in trees.iter().zip(nodes).enumerate() {
            if let Child::Leaf(leaf) = self.children[self.row(tree, node)?] {
                leaves.push((leaf, vote));
            }
        }
        leaves.sort_unstable();
        let count = self.children.iter().filter(|child| matches!(child, Child::Leaf(_))).count();
        let mut first = vec![0u32; count + 1];
        for &(leaf, _) in &leaves {
            first[leaf as usize + 1] += 1;
        }
        for leaf in 0..count {
            first[leaf + 1] += first[leaf];
        }
        Ok(Votes {
            first,
            targets: targets_of(leaves.iter().map(|&(_, vote)| ids[vote]), targets)?,
            weights: leaves.iter().map(|&(_, vote)| weights[vote]).collect(),
        })
    }
}

/// The comparison of that name; none for a leaf.
fn mode_named(name: &str) -> Result<Option<Mode>> {
    Ok(Some(match name {
        "BRANCH_LEQ" => Mode::LessOrEqual,
        "BRANCH_LT" => Mode::Less,
        "BRANCH_GTE" => Mode::GreaterOrEqual,
        "BRANCH_GT" => Mode::Greater,
        "BRANCH_EQ" => Mode::Equal,
        "BRANCH_NEQ" => Mode::NotEqual,
        "LEAF" => return Ok(None),
        other => {
            return Err(Error::invalid_model(format!("nodes_modes has '{other}', expected BRANCH_LEQ, … or LEAF")));
        }
    }))
}

/// The ensemble of a node; the votes' attributes begin with `prefix`, their targets are `ids`.
pub fn read(cx: &BuildCx<'_>, prefix: &str, ids: &str, targets: usize) -> Result<Structure> {
    let table = Table::new(cx)?;
    let (inner, votes) = (table.inner(cx)?, table.votes(cx, prefix, ids, targets)?);
    Structure::new(inner, table.roots(), Vec::new(), votes)
}
