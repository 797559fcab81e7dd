//! Offsets in the temporary arena: lifetimes, in-place reuse, and the dependencies that reuse creates.
//!
//! Two values may share bytes only if every task that touches the first precedes the producer of the second in the task
//! graph. [`lay_out`] places buffers in one legal order of the tasks and returns the edges that make every order
//! the scheduler may choose respect the sharing.

use std::collections::{BTreeMap, HashMap};

use diptych_kernels::mutant::{self, Mutant};
use smallvec::SmallVec;

use crate::graph::ValueId;
use crate::tensor::ALIGN;

/// A task as the memory planner sees it.
pub struct Use {
    pub inputs: SmallVec<[ValueId; 4]>,
    /// Temporary outputs and their bytes, by output index; values that live elsewhere are absent.
    pub outputs: SmallVec<[(usize, ValueId, usize); 2]>,
    /// `(input value, output index)` pairs the kernel may run in place.
    pub in_place: SmallVec<[(ValueId, usize); 2]>,
}

/// Bytes shared by a chain of in-place values.
#[derive(Clone, Debug)]
pub struct Buffer {
    pub offset: usize,
    pub bytes: usize,
    /// Tasks that write or read the buffer, ascending.
    pub users: Vec<usize>,
    /// Where in `users` the last task that writes stands: all before it precede it by edges already.
    last_writer: usize,
}

impl Buffer {
    /// Tasks that must be done before the bytes may change hands.
    fn last_users(&self) -> &[usize] {
        &self.users[self.last_writer..]
    }
}

#[derive(Debug, Default)]
pub struct Layout {
    pub buffers: Vec<Buffer>,
    /// Buffer of each temporary value. Views are not listed: they share their root's.
    pub buffer_of: HashMap<ValueId, usize>,
    /// `(earlier, later)` task pairs that sharing bytes adds to the task graph.
    pub edges: Vec<(usize, usize)>,
    pub arena_bytes: usize,
}

/// Lays out the temporaries of tasks given in a legal order. `root_of` maps a view to the value whose bytes it shows.
pub fn lay_out(tasks: &[Use], root_of: &dyn Fn(ValueId) -> ValueId) -> Layout {
    let mut layout = Layout::default();
    assign_buffers(tasks, root_of, &mut layout);
    place_buffers(&mut layout);
    layout.edges.sort_unstable();
    layout.edges.dedup();
    layout
}

/// Last task that reads each root.
fn last_uses(tasks: &[Use], root_of: &dyn Fn(ValueId) -> ValueId) -> HashMap<ValueId, usize> {
    let mut last = HashMap::new();
    for (index, task) in tasks.iter().enumerate() {
        for &input in &task.inputs {
            last.insert(root_of(input), index);
        }
    }
    last
}

/// Gives every temporary a buffer: an input's where the kernel can run in place and nobody reads the input later.
fn assign_buffers(tasks: &[Use], root_of: &dyn Fn(ValueId) -> ValueId, layout: &mut Layout) {
    let last = last_uses(tasks, root_of);
    for (index, task) in tasks.iter().enumerate() {
        let mut touched: SmallVec<[usize; 8]> = SmallVec::new();
        for &input in &task.inputs {
            if let Some(&buffer) = layout.buffer_of.get(&root_of(input)) {
                touched.push(buffer);
            }
        }
        let mut joined: SmallVec<[usize; 2]> = SmallVec::new();
        for &(output, value, bytes) in &task.outputs {
            let host = task.in_place.iter().filter(|(_, to)| *to == output).find_map(|&(input, _)| {
                let root = root_of(input);
                let buffer = *layout.buffer_of.get(&root)?;
                let only =
                    task.inputs.iter().filter(|&&other| layout.buffer_of.get(&root_of(other)) == Some(&buffer)).count();
                let free = (last.get(&root) == Some(&index) || mutant::on(Mutant::InPlaceReadLater))
                    && only == 1
                    && !joined.contains(&buffer);
                (free && layout.buffers[buffer].bytes >= bytes).then_some(buffer)
            });
            let buffer = host.unwrap_or_else(|| {
                layout.buffers.push(Buffer { offset: 0, bytes, users: Vec::new(), last_writer: 0 });
                layout.buffers.len() - 1
            });
            if host.is_some() {
                joined.push(buffer);
                // Every other reader of the bytes must be done before this task overwrites them.
                let held = &mut layout.buffers[buffer];
                layout.edges.extend(held.last_users().iter().map(|&user| (user, index)));
                held.last_writer = held.users.len();
            }
            layout.buffer_of.insert(value, buffer);
            touched.push(buffer);
        }
        touched.sort_unstable();
        touched.dedup();
        for buffer in touched {
            layout.buffers[buffer].users.push(index);
        }
    }
}

/// Chooses offsets with a best-fit free list in task order, and records who held a byte range before.
fn place_buffers(layout: &mut Layout) {
    let mut order: Vec<usize> = (0..layout.buffers.len()).filter(|&b| !layout.buffers[b].users.is_empty()).collect();
    order.sort_by_key(|&buffer| layout.buffers[buffer].users[0]);
    let mut ends: Vec<usize> = order.clone();
    ends.sort_by_key(|&buffer| layout.buffers[buffer].users.last().copied());
    let mut ends = ends.into_iter().peekable();
    let mut arena = FreeList::default();
    let mut owners = Owners::default();
    for buffer in order {
        let born = layout.buffers[buffer].users[0];
        while let Some(dead) = ends.next_if(|&other| layout.buffers[other].users.last() < Some(&born)) {
            arena.release(layout.buffers[dead].offset, padded(layout.buffers[dead].bytes));
        }
        let size = padded(layout.buffers[buffer].bytes);
        let offset = arena.take(size);
        layout.buffers[buffer].offset = offset;
        for previous in owners.claim(offset, offset + size, buffer) {
            if mutant::on(Mutant::ReuseRace) {
                continue;
            }
            let users = layout.buffers[previous].last_users();
            layout.edges.extend(users.iter().map(|&user| (user, born)));
        }
    }
    layout.arena_bytes = arena.end;
}

fn padded(bytes: usize) -> usize {
    bytes.max(1).next_multiple_of(ALIGN)
}

/// Free ranges below `end`, coalesced.
#[derive(Default)]
struct FreeList {
    ranges: BTreeMap<usize, usize>,
    end: usize,
}

impl FreeList {
    fn take(&mut self, size: usize) -> usize {
        let best = self.ranges.iter().filter(|(_, len)| **len >= size).min_by_key(|(_, len)| **len);
        if let Some((&offset, &len)) = best {
            self.ranges.remove(&offset);
            if len > size {
                self.ranges.insert(offset + size, len - size);
            }
            return offset;
        }
        // A free range that touches the end grows; otherwise the arena does.
        let offset = match self.ranges.last_key_value() {
            Some((&offset, &len)) if offset + len == self.end => {
                self.ranges.remove(&offset);
                offset
            }
            _ => self.end,
        };
        self.end = offset + size;
        offset
    }

    fn release(&mut self, mut offset: usize, mut len: usize) {
        if let Some((&before, &before_len)) = self.ranges.range(..offset).next_back()
            && before + before_len == offset
        {
            self.ranges.remove(&before);
            offset = before;
            len += before_len;
        }
        if let Some(after_len) = self.ranges.remove(&(offset + len)) {
            len += after_len;
        }
        self.ranges.insert(offset, len);
    }
}

/// Who held each byte range last.
#[derive(Default)]
struct Owners {
    /// start -> (end, buffer)
    ranges: BTreeMap<usize, (usize, usize)>,
}

impl Owners {
    /// Gives `[start, end)` to `buffer`; returns the previous holders of its parts.
    fn claim(&mut self, start: usize, end: usize, buffer: usize) -> SmallVec<[usize; 4]> {
        let mut previous = SmallVec::new();
        let mut cut: SmallVec<[(usize, usize, usize); 4]> = SmallVec::new();
        for (&from, &(to, owner)) in self.ranges.range(..end).rev() {
            if to <= start {
                break;
            }
            cut.push((from, to, owner));
        }
        for (from, to, owner) in cut {
            previous.push(owner);
            self.ranges.remove(&from);
            if from < start {
                self.ranges.insert(from, (start, owner));
            }
            if to > end {
                self.ranges.insert(end, (to, owner));
            }
        }
        self.ranges.insert(start, (end, buffer));
        previous
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(inputs: &[ValueId], output: ValueId, bytes: usize, in_place: bool) -> Use {
        let in_place = inputs.iter().take(in_place as usize).map(|&input| (input, 0)).collect();
        Use { inputs: inputs.into(), outputs: [(0, output, bytes)].into_iter().collect(), in_place }
    }

    #[test]
    fn a_chain_in_place_uses_one_buffer() {
        let tasks: Vec<Use> = (1..5).map(|v| task(&[v - 1], v, 1000, true)).collect();
        let layout = lay_out(&tasks, &|v| v);
        // Value 0 is the graph's input: not a temporary, never written over.
        assert_eq!(layout.buffers.len(), 1);
        assert_eq!(layout.arena_bytes, 1024);
    }

    #[test]
    fn a_chain_apart_alternates_two_buffers() {
        let tasks: Vec<Use> = (1..9).map(|v| task(&[v - 1], v, 64, false)).collect();
        let layout = lay_out(&tasks, &|v| v);
        assert_eq!(layout.arena_bytes, 128);
        // Value 3 takes value 1's bytes: tasks 0 and 1 (producer and reader of value 1) precede task 2.
        assert!(layout.edges.contains(&(0, 2)) && layout.edges.contains(&(1, 2)));
    }

    #[test]
    fn a_value_read_later_is_not_overwritten() {
        let tasks = [task(&[0], 1, 64, true), task(&[1], 2, 64, true), task(&[1, 2], 3, 64, true)];
        let layout = lay_out(&tasks, &|v| v);
        assert_ne!(layout.buffer_of[&1], layout.buffer_of[&2]);
        assert_eq!(layout.buffer_of[&1], layout.buffer_of[&3]);
    }

    #[test]
    fn readers_of_overwritten_bytes_come_first() {
        // Task 1 and task 2 both read value 1; task 2 writes over it. In a random order task 1 must still be first.
        let tasks = [task(&[0], 1, 64, true), task(&[1], 2, 4, false), task(&[1], 3, 64, true)];
        let layout = lay_out(&tasks, &|v| v);
        assert_eq!(layout.buffer_of[&1], layout.buffer_of[&3]);
        assert!(layout.edges.contains(&(1, 2)));
    }

    #[test]
    fn the_same_value_twice_is_not_in_place() {
        let tasks = [task(&[0], 1, 64, true), task(&[1, 1], 2, 64, true)];
        let layout = lay_out(&tasks, &|v| v);
        assert_ne!(layout.buffer_of[&1], layout.buffer_of[&2]);
    }
}
