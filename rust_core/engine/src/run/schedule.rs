//! The scheduler: runs the tasks of one segment in an order its graph allows.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use smallvec::SmallVec;

use super::Executable;
use super::context::RunContext;
use super::kernel_cx::{KernelCx, RawSlot, ValueCx};
use crate::error::{Context, Error, Result};
use crate::graph::ValueId;
use crate::math::Algorithm;
use crate::operator::OutputType;
use crate::plan::{LiveOut, Place, Segment, Task, Work};
use crate::pool::Team;
use crate::tensor::{Tensor, Value};

/// Below this ratio of work to longest path, nodes run one after the other and only their insides are split.
const MIN_WIDTH: f64 = 1.15;

impl Executable {
    pub(super) fn run_segment(&self, segment: &Segment, context: &mut RunContext, team: &Team<'_>) -> Result<()> {
        self.set_up(segment, context, team)?;
        match self.options.schedule_seed {
            Some(seed) => self.run_randomly(segment, context, team, seed)?,
            None if team.threads() > 1 && segment.width > MIN_WIDTH => self.run_side_by_side(segment, context, team)?,
            None => {
                for task in &segment.tasks {
                    team.check()?;
                    self.run_task(task, &context.slots, context.temporary.as_ptr(), team)?;
                }
            }
        }
        self.keep_views(segment, context)?;
        self.run_dynamic(segment, context, team)
    }

    /// Points every slot of the segment at its bytes.
    fn set_up(&self, segment: &Segment, context: &mut RunContext, team: &Team<'_>) -> Result<()> {
        context.reserve(segment.arena_bytes, segment.scratch_bytes * team.threads(), segment.tasks.len())?;
        team.set_scratch(context.scratch.as_ptr(), segment.scratch_bytes);
        for live in &segment.live_out {
            match live {
                LiveOut::Buffer { value, ty: OutputType { dtype, shape } } => {
                    context.store(*value, Tensor::zeros(*dtype, shape)?.into())?;
                }
                LiveOut::Known { value, constant } => context.store(*value, constant.clone())?,
                LiveOut::View { .. } => {}
            }
        }
        for (value, tensor) in &segment.folded {
            context.slots[*value] = RawSlot { ptr: tensor.bytes().as_ptr().cast_mut(), bytes: tensor.byte_len() };
        }
        for (value, place) in &segment.places {
            context.slots[*value] = match place {
                Place::Temporary { offset, bytes } => {
                    // SAFETY: the layout keeps offset + bytes inside the arena that `reserve` made.
                    RawSlot { ptr: unsafe { context.temporary.as_ptr().add(*offset) }, bytes: *bytes }
                }
                Place::View { of } => context.slots[*of],
            };
        }
        Ok(())
    }

    fn run_task(&self, task: &Task, slots: &[RawSlot], arena: *mut u8, team: &Team<'_>) -> Result<()> {
        let slot = |id: &Option<ValueId>| id.map_or(RawSlot::ABSENT, |id| slots[id]);
        let inputs: SmallVec<[RawSlot; 8]> = task.inputs.iter().map(slot).collect();
        let outputs: SmallVec<[RawSlot; 4]> = task.outputs.iter().map(slot).collect();
        let (offset, bytes) = task.workspace;
        // The layout keeps offset + bytes inside the arena.
        let workspace = RawSlot { ptr: arena.wrapping_add(offset), bytes };
        let cx = KernelCx::new(&inputs, &outputs, workspace, task.epilogue.as_ref(), self.isa(), team);
        self.timed((task.node, task.algorithm), task.work, || (task.run)(&cx))
            .at(|| self.graph.nodes[task.node].place())
    }

    /// Threads of the team take ready tasks by priority; a thread without one helps inside a running node.
    fn run_side_by_side(&self, segment: &Segment, context: &mut RunContext, team: &Team<'_>) -> Result<()> {
        let tasks = &segment.tasks;
        let (slots, waiting, ready) = (&context.slots, &context.waiting, &context.ready);
        let temporary = &context.temporary;
        let mut queue = ready.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        queue.clear();
        for (index, task) in tasks.iter().enumerate() {
            waiting[index].store(task.predecessors, Ordering::Relaxed);
            if task.predecessors == 0 {
                queue.push((task.priority, index as u32));
            }
        }
        drop(queue);
        let left = AtomicUsize::new(tasks.len());
        let stopped = AtomicBool::new(false);
        let failure: Mutex<Option<Error>> = Mutex::new(None);
        let fail = |error| {
            failure.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(error);
            stopped.store(true, Ordering::Release);
        };
        team.ranks(false, team.threads(), &|_, rank| {
            Team::as_rank(rank, || {
                while left.load(Ordering::Acquire) > 0 && !stopped.load(Ordering::Acquire) {
                    let next = ready.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop();
                    let Some((_, index)) = next else {
                        if !team.help() {
                            std::thread::yield_now();
                        }
                        continue;
                    };
                    let task = &tasks[index as usize];
                    if let Err(error) = team.check().and_then(|()| self.run_task(task, slots, temporary.as_ptr(), team))
                    {
                        fail(error);
                        return;
                    }
                    for &successor in &task.successors {
                        if waiting[successor as usize].fetch_sub(1, Ordering::AcqRel) == 1 {
                            let entry = (tasks[successor as usize].priority, successor);
                            ready.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(entry);
                        }
                    }
                    left.fetch_sub(1, Ordering::Release);
                }
            });
        })?;
        failure.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).map_or(Ok(()), Err)
    }

    /// Runs tasks one at a time in a random order that the task graph allows; as soon as the last task that touches a byte
    /// range is done, the range is overwritten, so that a missing dependency shows as wrong bits.
    fn run_randomly(&self, segment: &Segment, context: &mut RunContext, team: &Team<'_>, seed: u64) -> Result<()> {
        let tasks = &segment.tasks;
        let mut waiting: Vec<u32> = tasks.iter().map(|task| task.predecessors).collect();
        let mut users: Vec<usize> = segment.buffers.iter().map(|buffer| buffer.users.len()).collect();
        let mut touches: Vec<Vec<usize>> = vec![Vec::new(); tasks.len()];
        for (buffer, layout) in segment.buffers.iter().enumerate() {
            layout.users.iter().for_each(|&user| touches[user].push(buffer));
        }
        let key = |index: u32| Reverse(scramble(seed ^ u64::from(index)));
        let mut ready: BinaryHeap<_> = (0..tasks.len() as u32)
            .filter(|&index| waiting[index as usize] == 0)
            .map(|index| (key(index), index))
            .collect();
        context.temporary.as_mut_slice().fill(0xff);
        while let Some((_, index)) = ready.pop() {
            let task = &tasks[index as usize];
            team.check()?;
            self.run_task(task, &context.slots, context.temporary.as_ptr(), team)?;
            for &buffer in &touches[index as usize] {
                users[buffer] -= 1;
                if users[buffer] == 0 {
                    let range = &segment.buffers[buffer];
                    context.temporary.as_mut_slice()[range.offset..range.offset + range.bytes].fill(0xff);
                }
            }
            for &successor in &task.successors {
                waiting[successor as usize] -= 1;
                if waiting[successor as usize] == 0 {
                    ready.push((key(successor), successor));
                }
            }
        }
        Ok(())
    }

    /// Makes views that outlive the segment values of their own, sharing bytes.
    fn keep_views(&self, segment: &Segment, context: &mut RunContext) -> Result<()> {
        for live in &segment.live_out {
            if let LiveOut::View { value, of, shape } = live {
                let viewed = match self.value(context, *of)? {
                    Value::Dense(tensor) => Value::Dense(tensor.reshaped(shape)?),
                    Value::Strings(strings) => Value::Strings(crate::Strings { shape: shape.clone(), ..strings }),
                    other => other,
                };
                context.values[*value] = None;
                context.store(*value, viewed)?;
            }
        }
        Ok(())
    }

    fn run_dynamic(&self, segment: &Segment, context: &mut RunContext, team: &Team<'_>) -> Result<()> {
        for dynamic in &segment.dynamic {
            let node = &self.graph.nodes[dynamic.node];
            team.check()?;
            let value = |id: ValueId| self.value(context, id);
            let mut inputs: Vec<Option<Value>> =
                node.inputs.iter().map(|input| input.map(value).transpose()).collect::<Result<_>>()?;
            let captures: Vec<Value> = node.captures.iter().map(|&id| value(id)).collect::<Result<_>>()?;
            for &id in &dynamic.last_reads {
                if matches!(context.values[id], Some(Value::Sequence(_))) {
                    context.values[id] = None;
                }
            }
            let (inputs, captures, subgraphs) = (&mut inputs, &captures, Cell::new(0));
            let mut cx = ValueCx { inputs, captures, isa: self.isa(), team, node: &node.name, subgraphs };
            let results = self
                .timed((dynamic.node, Algorithm::Exact), Work::default(), || (dynamic.run)(&mut cx))
                .at(|| node.place())?;
            if results.len() < node.outputs.len() {
                let message = format!("gave {} outputs for {}", results.len(), node.outputs.len());
                return Err(Error::internal(message).at(node.place()));
            }
            for (output, result) in node.outputs.iter().zip(results) {
                if let Some(id) = *output {
                    context.store(id, result)?;
                }
            }
        }
        Ok(())
    }
}

/// SplitMix64: a well-mixed hash of a counter.
fn scramble(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
