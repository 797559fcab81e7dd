//! Names to values: the graphs under construction and the scopes in which their names are read.
//!
//! Two stacks. A *level* is a graph: a subgraph lies one level below the graph whose node holds it. A *frame* is a set of
//! names: each graph has one, and so has each function being inlined, which puts its nodes into its caller's level but sees
//! none of its caller's names. A name found in an outer frame is captured by every level in between.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;

use crate::error::{Error, Result};
use crate::graph::{Graph, ValueId, ValueInfo};

use super::functions::{Bindings, Expansion};
use super::opsets::Opsets;

/// How deep subgraphs and calls of functions may be nested, counted together.
pub const MAX_DEPTH: usize = 100;

/// A graph under construction.
#[derive(Default)]
struct Level {
    graph: Graph,
    /// Values of the enclosing graph that this one captures, in the order of `graph.captures`.
    outer: Vec<ValueId>,
    inner_of: HashMap<ValueId, ValueId>,
    /// Names in use, each with the number last appended to it to make another.
    names: HashMap<String, usize>,
}

impl Level {
    /// A new value. Where inlined functions would give a name twice, a number is appended.
    fn add(&mut self, name: String) -> ValueId {
        let name = self.unused(name);
        self.graph.values.push(ValueInfo { name, declared: None, constant: None });
        self.graph.values.len() - 1
    }

    fn unused(&mut self, name: String) -> String {
        let mut number = match self.names.entry(name.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(0);
                return name;
            }
            Entry::Occupied(entry) => *entry.get(),
        };
        let candidate = loop {
            number += 1;
            let candidate = format!("{name}_{number}");
            if !self.names.contains_key(&candidate) {
                break candidate;
            }
        };
        self.names.insert(name, number);
        self.names.insert(candidate.clone(), 0);
        candidate
    }
}

/// What a name stands for.
struct Name {
    /// `None` for an input that the caller of a function left out.
    id: Option<ValueId>,
    /// Where in the file the name is defined: 0 for inputs and initialisers, then the nodes from 1.
    defined_at: usize,
}

/// The names of a graph or of a function being inlined.
pub(super) struct Frame<'a> {
    names: HashMap<&'a str, Name>,
    /// The node at hand, counted from 1; 0 before the first.
    pub at: usize,
    /// Values of the caller that the function's outputs of these names are to be.
    wanted: HashMap<&'a str, ValueId>,
    level: usize,
    /// Whether the frame below on the stack encloses this one.
    sees_outer: bool,
    /// Set before the names of values and nodes: the names of the calls being inlined, each with a `/`.
    pub prefix: Rc<str>,
    pub opsets: Rc<Opsets>,
    /// The attributes of the function being inlined; `None` outside functions.
    pub bindings: Option<Rc<Bindings<'a>>>,
}

/// The two stacks, and the budget of what inlining adds to them.
pub(super) struct Scopes<'a> {
    levels: Vec<Level>,
    frames: Vec<Frame<'a>>,
    expansion: Expansion,
}

impl<'a> Scopes<'a> {
    pub fn new() -> Scopes<'a> {
        Scopes { levels: Vec::new(), frames: Vec::new(), expansion: Expansion::new() }
    }

    /// Opens a graph: the model's with its opsets, or a subgraph of the node at hand, which takes what is around it.
    pub fn open_graph(&mut self, opsets: Option<Rc<Opsets>>) -> Result<()> {
        let (prefix, around, bindings) = match self.frames.last() {
            Some(frame) => (frame.prefix.clone(), Some(frame.opsets.clone()), frame.bindings.clone()),
            None => ("".into(), None, None),
        };
        let opsets = opsets.or(around).ok_or_else(|| Error::internal("a graph without opsets"))?;
        let sees_outer = !self.frames.is_empty();
        self.levels.push(Level::default());
        self.push(Frame {
            names: HashMap::new(),
            at: 0,
            wanted: HashMap::new(),
            level: 0,
            sees_outer,
            prefix,
            opsets,
            bindings,
        })
    }

    /// Closes the innermost graph; also gives the outer values that it captures.
    pub fn close_graph(&mut self) -> Result<(Graph, Vec<ValueId>)> {
        self.frames.pop();
        let level = self.levels.pop().ok_or_else(|| Error::internal("no graph to close"))?;
        Ok((level.graph, level.outer))
    }

    /// Opens a function's body, whose nodes go into the innermost graph.
    pub fn open_function(
        &mut self,
        inputs: impl Iterator<Item = (&'a str, Option<ValueId>)>,
        prefix: Rc<str>,
        opsets: Rc<Opsets>,
    ) -> Result<()> {
        let bindings = Some(Rc::default());
        let names = inputs.map(|(name, id)| (name, Name { id, defined_at: 0 })).collect();
        self.push(Frame { names, at: 0, wanted: HashMap::new(), level: 0, sees_outer: false, prefix, opsets, bindings })
    }

    /// Makes the function's outputs of these names values of its caller.
    pub fn give(&mut self, wanted: HashMap<&'a str, ValueId>) {
        self.frame_mut().wanted = wanted;
    }

    pub fn close_function(&mut self) {
        self.frames.pop();
    }

    fn push(&mut self, frame: Frame<'a>) -> Result<()> {
        if self.frames.len() >= MAX_DEPTH {
            return Err(Error::resource_limit(format!(
                "subgraphs and calls of functions are nested more than {MAX_DEPTH} deep"
            )));
        }
        let level = self.levels.len() - 1;
        self.frames.push(Frame { level, ..frame });
        Ok(())
    }

    /// The innermost frame.
    pub fn frame(&self) -> &Frame<'a> {
        &self.frames[self.frames.len() - 1]
    }

    pub fn frame_mut(&mut self) -> &mut Frame<'a> {
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    /// The innermost graph.
    pub fn graph(&mut self) -> &mut Graph {
        let last = self.levels.len() - 1;
        &mut self.levels[last].graph
    }

    /// How many levels lie around the innermost one.
    pub fn depth(&self) -> usize {
        self.levels.len() - 1
    }

    /// Takes from the budget of inlining, if a function is being inlined: so many nodes, so many bytes of text and lists.
    pub fn charge(&mut self, nodes: usize, bytes: usize) -> Result<()> {
        if self.frame().bindings.is_some() { self.expansion.charge(nodes, bytes) } else { Ok(()) }
    }

    /// Whether the innermost frame itself defines the name.
    pub fn local(&self, name: &str) -> Option<ValueId> {
        self.frame().names.get(name)?.id
    }

    /// A new value of the innermost graph, under a name of the innermost frame.
    ///
    /// # Errors
    /// `InvalidModel` where the name is empty, defined before, or that of a value of an enclosing graph which a node here
    /// could read (ONNX IR, names within a graph). What the enclosing graph defines later, the outputs of the node that
    /// holds this graph among them, does no harm and exists in the wild.
    pub fn define(&mut self, name: &'a str) -> Result<ValueId> {
        if name.is_empty() {
            return Err(Error::invalid_model("a value without a name"));
        }
        if self.frame().names.contains_key(name) {
            return Err(Error::invalid_model(format!("value '{name}' is defined twice")));
        }
        if self.is_visible_outside(name) {
            return Err(Error::invalid_model(format!("value '{name}' hides a value of an enclosing graph")));
        }
        let defined_at = self.frame().at;
        if let Some(id) = self.frame_mut().wanted.remove(name) {
            self.frame_mut().names.insert(name, Name { id: Some(id), defined_at });
            return Ok(id);
        }
        let prefix = self.frame().prefix.clone();
        self.charge(0, 128 + 2 * (prefix.len() + name.len()))?;
        let last = self.levels.len() - 1;
        let id = self.levels[last].add(format!("{prefix}{name}"));
        self.frame_mut().names.insert(name, Name { id: Some(id), defined_at });
        Ok(id)
    }

    /// Whether an enclosing graph has defined the name before the node that holds this one.
    fn is_visible_outside(&self, name: &str) -> bool {
        let mut sees_outer = true;
        for frame in self.frames.iter().rev() {
            if !sees_outer {
                break;
            }
            // In the innermost frame itself the name is new.
            if frame.names.get(name).is_some_and(|found| found.defined_at < frame.at.max(1)) {
                return true;
            }
            sees_outer = frame.sees_outer;
        }
        false
    }

    /// The value of a name seen from the innermost frame, as a value of the innermost graph. `None` stands for an input
    /// that the caller of a function left out.
    ///
    /// # Errors
    /// `InvalidModel` where nothing defines the name.
    pub fn resolve(&mut self, name: &str) -> Result<Option<ValueId>> {
        for index in (0..self.frames.len()).rev() {
            let frame = &self.frames[index];
            if let Some(found) = frame.names.get(name) {
                let (id, level) = (found.id, frame.level);
                return id.map(|id| self.bring(id, level)).transpose();
            }
            if !frame.sees_outer {
                break;
            }
        }
        Err(Error::invalid_model(format!(
            "'{name}' is not defined: no input, initialiser or node of the graph or of one around it gives it"
        )))
    }

    /// A value of an outer level as one of the innermost graph, captured by the graphs in between.
    pub fn bring(&mut self, id: ValueId, level: usize) -> Result<ValueId> {
        let mut id = id;
        for inner in level + 1..self.levels.len() {
            if let Some(&known) = self.levels[inner].inner_of.get(&id) {
                id = known;
                continue;
            }
            let name = self.levels[inner - 1].graph.value_name(id).to_owned();
            self.charge(0, 128 + 2 * name.len())?;
            let level = &mut self.levels[inner];
            let own = level.add(name);
            level.graph.captures.push(own);
            level.outer.push(id);
            level.inner_of.insert(id, own);
            id = own;
        }
        Ok(id)
    }
}
