//! A structure flattened for one computing type.
//!
//! Each inner node has a pair of places, one for a copy of each child: the test goes to the first or the second. A node with
//! several parents has several copies, which lead on to one pair, so there are twice as many places as inner nodes and
//! one a root, whatever the graph. Pairs lie in the order of a breadth-first walk from each root.
//!
//! Comparisons become `x <= t` or `x == t`: `x < t` is `x <= t'` with the number below t, and the others are opposites, whose
//! children change places. A comparison that never holds is one with NaN.

use std::collections::VecDeque;

use diptych_kernels::ml::trees::{EQUAL, FEATURE, Forest, LEAF, MEMBER, MISSING, Node};

use super::super::model::Computing;
use super::structure::{Child, Inner, Mode, Structure, index};
use crate::error::{Error, Result};

/// The lists of a [`Forest`].
pub struct Flat<T> {
    nodes: Vec<Node<T>>,
    roots: Vec<u32>,
    plain: bool,
    sets: Vec<u32>,
    set_starts: Vec<u32>,
    set_values: Vec<T>,
    first_votes: Vec<u32>,
    targets: Vec<u32>,
    weights: Vec<T>,
    single: bool,
}

impl<T: Computing> Flat<T> {
    pub fn of(structure: &Structure) -> Result<Flat<T>> {
        let votes = &structure.votes;
        let mut flat = Flat {
            nodes: Vec::new(),
            roots: Vec::new(),
            plain: true,
            sets: Vec::new(),
            set_starts: vec![0],
            set_values: Vec::new(),
            first_votes: votes.first.clone(),
            targets: votes.targets.clone(),
            weights: votes.weights.iter().map(|&weight| T::of(weight)).collect(),
            single: votes.first.iter().enumerate().all(|(leaf, &first)| first as usize == leaf)
                && votes.targets.iter().all(|&target| target == 0),
        };
        for set in &structure.sets {
            let mut values: Vec<T> = set.iter().map(|&value| T::of(value)).collect();
            values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
            flat.set_values.extend(values);
            flat.set_starts.push(index(flat.set_values.len())?);
        }
        Layout { structure, pairs: vec![None; structure.inner.len()], waiting: VecDeque::new() }.fill(&mut flat)?;
        Ok(flat)
    }

    pub fn trees(&self) -> usize {
        self.roots.len()
    }

    pub fn view(&self) -> Forest<'_, T> {
        Forest {
            nodes: &self.nodes,
            roots: &self.roots,
            plain: self.plain,
            sets: &self.sets,
            set_starts: &self.set_starts,
            set_values: &self.set_values,
            first_votes: &self.first_votes,
            targets: &self.targets,
            weights: &self.weights,
            single: self.single,
        }
    }

    fn put(&mut self, place: usize, node: Node<T>, set: Option<u32>) {
        self.nodes[place] = node;
        self.plain &= node.test & (EQUAL | MEMBER) == 0;
        if let Some(set) = set {
            if self.sets.len() <= place {
                self.sets.resize(place + 1, 0);
            }
            self.sets[place] = set;
        }
    }
}

/// Where nodes go.
struct Layout<'a> {
    structure: &'a Structure,
    /// The first place of each inner node's pair.
    pairs: Vec<Option<u32>>,
    /// Inner nodes whose pairs have room but are not filled.
    waiting: VecDeque<u32>,
}

impl Layout<'_> {
    fn fill<T: Computing>(&mut self, flat: &mut Flat<T>) -> Result<()> {
        for &root in &self.structure.roots {
            let place = flat.nodes.len();
            flat.roots.push(index(place)?);
            flat.nodes.push(Node::default());
            self.place(flat, place, root)?;
            while let Some(node) = self.waiting.pop_front() {
                let inner = &self.structure.inner[node as usize];
                let first = self.pairs[node as usize].ok_or_else(|| Error::internal("a node without a pair"))? as usize;
                let [held, not_held] = if is_opposite::<T>(inner) { [1, 0] } else { [0, 1] };
                self.place(flat, first, inner.children[held])?;
                self.place(flat, first + 1, inner.children[not_held])?;
            }
        }
        Ok(())
    }

    /// Writes a copy of a child, and makes room for its pair if it is the first copy.
    fn place<T: Computing>(&mut self, flat: &mut Flat<T>, place: usize, child: Child) -> Result<()> {
        let node = match child {
            Child::Leaf(leaf) => {
                let value = if flat.single { flat.weights[leaf as usize] } else { T::of(0.0) };
                flat.put(place, Node { value, test: LEAF, next: leaf }, None);
                return Ok(());
            }
            Child::Inner(node) => node,
        };
        let next = match self.pairs[node as usize] {
            Some(first) => first,
            None => {
                let first = index(flat.nodes.len())?;
                flat.nodes.extend([Node::default(); 2]);
                self.pairs[node as usize] = Some(first);
                self.waiting.push_back(node);
                first
            }
        };
        let inner = &self.structure.inner[node as usize];
        let set = if let Mode::Member(set) = inner.mode { Some(set) } else { None };
        flat.put(place, Node { next, ..test::<T>(inner)? }, set);
        Ok(())
    }
}

/// Whether a comparison is written as its opposite. One with NaN is none: neither it nor its opposite holds, but for `!=`.
fn is_opposite<T: Computing>(inner: &Inner) -> bool {
    match inner.mode {
        Mode::GreaterOrEqual | Mode::Greater => !inner.threshold.is_nan(),
        Mode::NotEqual => true,
        _ => false,
    }
}

/// The test of a node; `next` is left open.
fn test<T: Computing>(inner: &Inner) -> Result<Node<T>> {
    let (t, nan) = (T::of(inner.threshold), T::of(f64::NAN));
    let least = t == T::of(f64::NEG_INFINITY);
    let value = match inner.mode {
        Mode::Less | Mode::GreaterOrEqual if least => nan,
        Mode::Less | Mode::GreaterOrEqual => t.below(),
        _ => t,
    };
    let kind = match inner.mode {
        Mode::Equal | Mode::NotEqual => EQUAL,
        Mode::Member(_) => MEMBER,
        _ => 0,
    };
    let feature = u32::try_from(inner.feature).ok().filter(|&feature| feature <= FEATURE);
    let feature = feature.ok_or_else(|| Error::resource_limit(format!("feature {} of a tree", inner.feature)))?;
    let missing = if inner.missing != is_opposite::<T>(inner) { MISSING } else { 0 };
    Ok(Node { value, test: feature | kind | missing, next: 0 })
}
