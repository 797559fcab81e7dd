//! Trees as attributes say them, checked.

use crate::error::{Error, Result};

/// The comparison of an inner node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    LessOrEqual,
    Less,
    GreaterOrEqual,
    Greater,
    Equal,
    NotEqual,
    /// In the set of that number.
    Member(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Child {
    Inner(u32),
    Leaf(u32),
}

#[derive(Clone, Copy, Debug)]
pub struct Inner {
    pub mode: Mode,
    pub feature: i64,
    pub threshold: f64,
    /// Whether NaN goes to the first child.
    pub missing: bool,
    /// Where to go if the comparison holds, and if it does not.
    pub children: [Child; 2],
}

/// The votes of all leaves.
#[derive(Debug, Default)]
pub struct Votes {
    /// Where the votes of each leaf start, and the end.
    pub first: Vec<u32>,
    pub targets: Vec<u32>,
    pub weights: Vec<f64>,
}

/// An ensemble: every child exists, no path is endless, every vote is for a target that exists.
#[derive(Debug)]
pub struct Structure {
    pub inner: Vec<Inner>,
    pub roots: Vec<Child>,
    pub sets: Vec<Vec<f64>>,
    pub votes: Votes,
    /// The least and the greatest feature of the inner nodes, if there are any.
    features: Option<(i64, i64)>,
}

/// A feature that X does not have.
pub struct TooFewFeatures(pub i64);

impl Structure {
    /// Children and roots are within `inner` and the leaves, which `votes.first` counts.
    pub fn new(inner: Vec<Inner>, roots: Vec<Child>, sets: Vec<Vec<f64>>, votes: Votes) -> Result<Structure> {
        check_acyclic(&inner)?;
        let all = || inner.iter().map(|node| node.feature);
        let features = all().min().zip(all().max());
        Ok(Structure { inner, roots, sets, votes, features })
    }

    /// Whether X has the features that the nodes look at.
    pub fn check_features(&self, features: usize) -> std::result::Result<(), TooFewFeatures> {
        match self.features {
            Some((least, _)) if least < 0 => Err(TooFewFeatures(least)),
            Some((_, most)) if usize::try_from(most).is_ok_and(|most| most >= features) => Err(TooFewFeatures(most)),
            _ => Ok(()),
        }
    }
}

/// A number of nodes, leaves or votes as an index of 32 bits.
pub fn index(count: usize) -> Result<u32> {
    match u32::try_from(count) {
        Ok(index) if index < u32::MAX >> 2 => Ok(index),
        _ => Err(Error::resource_limit(format!("an ensemble of more than {} nodes or votes", u32::MAX >> 2))),
    }
}

/// Refuses nodes that are their own descendants: takes nodes away whose parents are all gone, until none is left. Nodes may
/// have several parents.
fn check_acyclic(inner: &[Inner]) -> Result<()> {
    let mut parents = vec![0usize; inner.len()];
    let children = |node: &Inner| {
        node.children.into_iter().filter_map(|child| match child {
            Child::Inner(index) => Some(index as usize),
            Child::Leaf(_) => None,
        })
    };
    for node in inner {
        children(node).for_each(|child| parents[child] += 1);
    }
    let mut ready: Vec<usize> = (0..inner.len()).filter(|&node| parents[node] == 0).collect();
    let mut gone = 0;
    while let Some(node) = ready.pop() {
        gone += 1;
        for child in children(&inner[node]) {
            parents[child] -= 1;
            if parents[child] == 0 {
                ready.push(child);
            }
        }
    }
    if gone < inner.len() {
        return Err(Error::invalid_model("the nodes of a tree form a cycle"));
    }
    Ok(())
}

/// The targets of votes, which must exist.
pub fn targets_of(ids: impl Iterator<Item = i64>, targets: usize) -> Result<Vec<u32>> {
    let target = |id: i64| match u32::try_from(id) {
        Ok(target) if (target as usize) < targets => Ok(target),
        _ => Err(Error::invalid_model(format!("a leaf votes for target {id} of {targets}"))),
    };
    ids.map(target).collect()
}

/// Whether NaN goes to the true child of each node; false where nothing is said.
pub fn missing_flags(flags: Option<&[i64]>, nodes: usize) -> Result<Vec<bool>> {
    match flags.unwrap_or_default() {
        [] => Ok(vec![false; nodes]),
        flags if flags.len() == nodes => Ok(flags.iter().map(|&flag| flag != 0).collect()),
        flags => Err(Error::invalid_model(format!(
            "nodes_missing_value_tracks_true has {} numbers for {nodes} nodes",
            flags.len()
        ))),
    }
}

/// Refuses lists of different lengths.
pub fn same_length(lists: &[(&str, usize)]) -> Result<usize> {
    let length = lists.first().map_or(0, |&(_, length)| length);
    if lists.iter().all(|&(_, other)| other == length) {
        return Ok(length);
    }
    let spelled: Vec<String> = lists.iter().map(|(name, length)| format!("{name} {length}")).collect();
    Err(Error::invalid_model(format!("lists of different lengths: {}", spelled.join(", "))))
}
