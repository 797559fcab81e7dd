//! Tree ensembles: from rows of features to the leaf of each tree, from the leaves' votes to numbers.
//!
//! Trees are flattened: the two children of a node lie side by side, so a node is 12 (binary64: 16) bytes and a step is a load,
//! a comparison and an addition without a branch. Several walks go side by side to hide the loads' latency: of some rows
//! through one tree, or where there are few rows of one row through some trees. Votes are counted in the order of the trees.

use crate::functions::Arithmetic;

/// Walks side by side.
const SIDE: usize = 8;

/// High bits of [`Node::test`]: a leaf; the test holds for NaN; the test is for equality; it is for membership in a set.
pub const LEAF: u32 = 1 << 31;
pub const MISSING: u32 = 1 << 30;
pub const EQUAL: u32 = 1 << 29;
pub const MEMBER: u32 = 1 << 28;
/// Low bits of [`Node::test`]: the feature. 0 for leaves.
pub const FEATURE: u32 = MEMBER - 1;

/// A node: an inner node tests `feature <= value`, unless its bits say otherwise.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Node<T> {
    /// What a feature is compared with; the weight of a leaf that has one vote.
    pub value: T,
    pub test: u32,
    /// Where to go if the test holds; the node after it is for where it does not. The number of a leaf.
    pub next: u32,
}

/// A flattened ensemble.
#[derive(Clone, Copy)]
pub struct Forest<'a, T> {
    pub nodes: &'a [Node<T>],
    /// The root of each tree.
    pub roots: &'a [u32],
    /// No node has one of the bits [`EQUAL`] and [`MEMBER`].
    pub plain: bool,
    /// The set of each node that tests membership: its place in `set_starts`. Empty without such nodes.
    pub sets: &'a [u32],
    /// Where in `set_values` each set starts, and the end; sets are sorted and have no NaN.
    pub set_starts: &'a [u32],
    pub set_values: &'a [T],
    /// Where in `targets` and `weights` the votes of each leaf start, and the end.
    pub first_votes: &'a [u32],
    pub targets: &'a [u32],
    pub weights: &'a [T],
    /// Every leaf has one vote, for target 0, and its weight is the node's value.
    pub single: bool,
}

/// How votes for a target become its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// Added to +0.
    Sum,
    Min,
    Max,
}

/// f32 or f64.
pub trait Number: Arithmetic + PartialOrd + Default {}
impl Number for f32 {}
impl Number for f64 {}

/// Aggregates the votes for each row of `x` [rows, features] into `out` [rows, targets]; what has no vote is +0.
///
/// `voted` has an element for each of `out`, unless the aggregate is a sum.
///
/// # Safety
/// `x` has whole rows. In `forest`: roots and, of inner nodes, `next` and `next + 1` are places in `nodes`; features are less than
/// `features`; no path is endless; numbers of leaves, sets and targets are within their lists, and starts do not fall.
pub unsafe fn predict<T: Number>(
    forest: &Forest<'_, T>,
    aggregate: Aggregate,
    x: &[T],
    features: usize,
    targets: usize,
    out: &mut [T],
    voted: &mut [u8],
) {
    out.fill(T::default());
    // SAFETY: the caller's.
    unsafe {
        match aggregate {
            Aggregate::Sum if forest.single && targets == 1 => {
                each_leaf(forest, x, features, out.len(), |row, node| out[row] = out[row] + node.value);
            }
            Aggregate::Sum => votes(forest, x, features, targets, out.len(), |at, weight| out[at] = out[at] + weight),
            Aggregate::Min | Aggregate::Max => {
                voted.fill(0);
                votes(forest, x, features, targets, out.len(), |at, weight| {
                    out[at] = match (voted[at], aggregate) {
                        (0, _) => weight,
                        (_, Aggregate::Min) => out[at].minimum(weight),
                        _ => out[at].maximum(weight),
                    };
                    voted[at] = 1;
                });
            }
        }
    }
}

/// Calls `vote(place in the output, weight)` for each vote of each row's leaves, in order.
///
/// # Safety
/// As [`predict`].
#[inline(always)]
unsafe fn votes<T: Number>(
    forest: &Forest<'_, T>,
    x: &[T],
    features: usize,
    targets: usize,
    places: usize,
    mut vote: impl FnMut(usize, T),
) {
    // SAFETY: the caller's.
    unsafe {
        each_leaf(forest, x, features, places / targets.max(1), |row, node| {
            let leaf = node.next as usize;
            let range = forest.first_votes[leaf] as usize..forest.first_votes[leaf + 1] as usize;
            for (&target, &weight) in forest.targets[range.clone()].iter().zip(&forest.weights[range]) {
                vote(row * targets + target as usize, weight);
            }
        });
    }
}

/// Calls `visit(row, leaf)` for each of `rows` rows and each tree; for a row in the order of the trees.
///
/// # Safety
/// As [`predict`].
#[inline(always)]
unsafe fn each_leaf<T: Number>(
    forest: &Forest<'_, T>,
    x: &[T],
    features: usize,
    rows: usize,
    visit: impl FnMut(usize, &Node<T>),
) {
    assert!(x.len() >= rows * features);
    // SAFETY: the caller's.
    unsafe {
        if forest.plain {
            each_leaf_of::<T, true>(forest, x, features, rows, visit);
        } else {
            each_leaf_of::<T, false>(forest, x, features, rows, visit);
        }
    }
}

/// As [`each_leaf`].
///
/// # Safety
/// As [`predict`].
#[inline(always)]
unsafe fn each_leaf_of<T: Number, const PLAIN: bool>(
    forest: &Forest<'_, T>,
    x: &[T],
    features: usize,
    rows: usize,
    mut visit: impl FnMut(usize, &Node<T>),
) {
    let row = |index: usize| x.as_ptr().wrapping_add(index * features);
    let whole = rows - rows % SIDE;
    for &root in forest.roots {
        for first in (0..whole).step_by(SIDE) {
            let mut at = [root; SIDE];
            // SAFETY: the caller's; these rows exist.
            unsafe { walk::<T, PLAIN, SIDE>(forest, features, &mut at, std::array::from_fn(|lane| row(first + lane))) };
            for (lane, &leaf) in at.iter().enumerate() {
                visit(first + lane, &forest.nodes[leaf as usize]);
            }
        }
    }
    let (groups, rest) = forest.roots.as_chunks::<SIDE>();
    for index in whole..rows {
        for group in groups {
            let mut at = *group;
            // SAFETY: the caller's; this row exists.
            unsafe { walk::<T, PLAIN, SIDE>(forest, features, &mut at, [row(index); SIDE]) };
            at.iter().for_each(|&leaf| visit(index, &forest.nodes[leaf as usize]));
        }
        for &root in rest {
            let mut at = [root];
            // SAFETY: as above.
            unsafe { walk::<T, PLAIN, 1>(forest, features, &mut at, [row(index)]) };
            visit(index, &forest.nodes[at[0] as usize]);
        }
    }
}

// [panel: ai.onnx.ml.TreeEnsemble ai.onnx.ml.TreeEnsembleClassifier ai.onnx.ml.TreeEnsembleRegressor]
/// Moves each of `at`, places of nodes, down to its leaf.
///
/// # Safety
/// As [`predict`]; each of `rows` points at a row of features.
#[inline(always)]
unsafe fn walk<T: Number, const PLAIN: bool, const N: usize>(
    forest: &Forest<'_, T>,
    features: usize,
    at: &mut [u32; N],
    rows: [*const T; N],
) {
    if features == 0 {
        return; // no inner node can be there
    }
    loop {
        let mut inner = false;
        for (at, row) in at.iter_mut().zip(rows) {
            // SAFETY: a place of a node, by the caller's promise for roots and children; so is a row's feature, of which
            // there is at least one.
            let (node, x) = unsafe {
                let node = *forest.nodes.get_unchecked(*at as usize);
                (node, *row.add((node.test & FEATURE) as usize))
            };
            let holds = if PLAIN { x <= node.value } else { holds(forest, *at, &node, x) };
            #[allow(clippy::eq_op)] // NaN alone is not itself
            let goes = holds | ((x != x) & (node.test & MISSING != 0));
            let to = node.next.wrapping_add(u32::from(!goes));
            let leaf = node.test & LEAF != 0;
            *at = if leaf { *at } else { to };
            inner |= !leaf;
        }
        if !inner {
            return;
        }
    }
}
// [/panel]

/// Whether a node's test holds for a number.
#[inline(always)]
fn holds<T: Number>(forest: &Forest<'_, T>, at: u32, node: &Node<T>, x: T) -> bool {
    if node.test & (EQUAL | MEMBER) == 0 {
        return x <= node.value;
    }
    if node.test & EQUAL != 0 {
        return x == node.value;
    }
    let set = forest.sets[at as usize] as usize;
    let values = &forest.set_values[forest.set_starts[set] as usize..forest.set_starts[set + 1] as usize];
    values.get(values.partition_point(|value| *value < x)).is_some_and(|value| *value == x)
}
