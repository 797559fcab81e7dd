//! What a step sees when it runs.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use diptych_kernels::Isa;
use diptych_kernels::epilogue::Epilogue;
use diptych_kernels::mutant::{self, Mutant};

use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::pool::Team;
use crate::run::{Executable, RunPlace};
use crate::tensor::Value;

/// The bytes of one operand during a run. Dtype and shape were settled when the step was planned.
#[derive(Clone, Copy, Debug)]
pub struct RawSlot {
    pub ptr: *mut u8,
    pub bytes: usize,
}

impl RawSlot {
    pub const ABSENT: RawSlot = RawSlot { ptr: std::ptr::null_mut(), bytes: 0 };
}

// SAFETY: slots are handed to the threads that run a node; the plan keeps nodes that may run at once disjoint.
unsafe impl Send for RawSlot {}
// SAFETY: as above.
unsafe impl Sync for RawSlot {}

/// Operands, scratch and threads of one running step.
pub struct KernelCx<'a> {
    inputs: &'a [RawSlot],
    outputs: &'a [RawSlot],
    workspace: RawSlot,
    epilogue: Option<&'a Epilogue>,
    /// Outputs already lent out, a bit each.
    lent: Cell<u64>,
    isa: Isa,
    team: &'a Team<'a>,
}

impl<'a> KernelCx<'a> {
    pub(crate) fn new(
        inputs: &'a [RawSlot],
        outputs: &'a [RawSlot],
        workspace: RawSlot,
        epilogue: Option<&'a Epilogue>,
        isa: Isa,
        team: &'a Team<'a>,
    ) -> KernelCx<'a> {
        KernelCx { inputs, outputs, workspace, epilogue, lent: Cell::new(0), isa, team }
    }

    /// The view of a step inside this one, which reads the same inputs and writes `output`.
    pub(crate) fn inside<'b>(&'b self, output: &'b [RawSlot; 1], workspace: &'b mut [u8]) -> KernelCx<'b> {
        let workspace = RawSlot { ptr: workspace.as_mut_ptr(), bytes: workspace.len() };
        KernelCx::new(self.inputs, output, workspace, None, self.isa, self.team)
    }

    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// What follows the step, for its kernel to apply to output 0.
    pub fn epilogue(&self) -> Option<&'a Epilogue> {
        self.epilogue
    }

    /// All inputs as bare bytes, which any thread of the step may read: for operators that move elements of any type.
    pub(crate) fn slots(&self) -> &'a [RawSlot] {
        self.inputs
    }

    pub fn has(&self, input: usize) -> bool {
        self.inputs.get(input).is_some_and(|slot| !slot.ptr.is_null())
    }

    pub fn has_output(&self, output: usize) -> bool {
        self.outputs.get(output).is_some_and(|slot| !slot.ptr.is_null())
    }

    /// Elements of an input. Not for an input that the step's `in_place` lets an output overwrite: its bytes may be the
    /// output's, so take [`KernelCx::input_ptr`] there.
    pub fn input<T: Element>(&self, input: usize) -> &'a [T] {
        let slot = self.inputs[input];
        // SAFETY: the plan gave the slot the dtype's size and alignment, and no running step writes these bytes.
        unsafe { std::slice::from_raw_parts(slot.ptr.cast(), slot.bytes / size_of::<T>()) }
    }

    /// Elements of an optional input.
    pub fn opt_input<T: Element>(&self, input: usize) -> Option<&'a [T]> {
        self.has(input).then(|| self.input(input))
    }

    /// Elements of an output, to be written whole. Each output is lent once a run.
    ///
    /// # Panics
    /// If the output is taken twice: a fault of the operator.
    #[allow(clippy::mut_from_ref)]
    pub fn output<T: Element>(&self, output: usize) -> &'a mut [T] {
        let bit = 1u64 << output;
        assert!(self.lent.get() & bit == 0, "output {output} taken twice");
        self.lent.set(self.lent.get() | bit);
        let slot = self.outputs[output];
        // SAFETY: the slot is this step's alone while it runs, and it is lent once.
        unsafe { std::slice::from_raw_parts_mut(slot.ptr.cast(), slot.bytes / size_of::<T>()) }
    }

    /// Elements of an output if somebody reads it.
    #[allow(clippy::mut_from_ref)]
    pub fn opt_output<T: Element>(&self, output: usize) -> Option<&'a mut [T]> {
        self.has_output(output).then(|| self.output(output))
    }

    pub fn input_ptr<T: Element>(&self, input: usize) -> *const T {
        self.inputs[input].ptr.cast()
    }

    pub fn output_ptr<T: Element>(&self, output: usize) -> *mut T {
        self.outputs[output].ptr.cast()
    }

    /// Bytes of an input and an output: for operators that move elements of any type.
    pub fn input_bytes(&self, input: usize) -> &'a [u8] {
        self.input::<u8>(input)
    }

    /// The bytes that the step asked for to share between its threads, aligned to [`crate::tensor::ALIGN`]; they hold anything.
    /// Lent once a run.
    ///
    /// # Panics
    /// If taken twice: a fault of the operator.
    #[allow(clippy::mut_from_ref)]
    pub fn workspace(&self) -> &'a mut [u8] {
        let bit = 1u64 << 63;
        assert!(self.lent.get() & bit == 0, "workspace taken twice");
        self.lent.set(self.lent.get() | bit);
        if self.workspace.bytes == 0 {
            return &mut [];
        }
        // SAFETY: the plan gave these bytes to this step alone while it runs, and they are lent once.
        unsafe { std::slice::from_raw_parts_mut(self.workspace.ptr, self.workspace.bytes) }
    }

    /// Where in the session's runs the step's graph is evaluated.
    pub fn place(&self) -> RunPlace {
        self.team.place()
    }

    /// An error if the run was cancelled or is past its deadline: for long loops outside of [`KernelCx::parallel`].
    pub fn check(&self) -> Result<()> {
        self.team.check()
    }

    /// How many threads [`KernelCx::parallel`] may use: a hint for how finely to split.
    pub fn threads(&self) -> usize {
        self.team.threads()
    }

    /// Runs `body(chunk, scratch)` for every chunk, on several threads where that pays. `scratch` is the thread's own and
    /// as long as the step asked for. Chunks must write disjoint places.
    ///
    /// # Errors
    /// If the run was cancelled or is past its deadline; the outputs are then unfinished.
    pub fn parallel(&self, chunks: usize, body: impl Fn(usize, &mut [u8]) + Sync) -> Result<()> {
        self.team.parallel(chunks, &body)
    }

    /// Splits `0..len` into ranges of about `grain` or more and runs `body(range, scratch)` for each.
    pub fn parallel_ranges(
        &self,
        len: usize,
        grain: usize,
        body: impl Fn(Range<usize>, &mut [u8]) + Sync,
    ) -> Result<()> {
        if len == 0 {
            return Ok(());
        }
        let chunks = (len / grain.max(1)).clamp(1, self.threads() * 4);
        let short = usize::from(mutant::on(Mutant::UnevenSplit) && chunks > 1);
        self.parallel(chunks, |chunk, scratch| {
            let end = (chunk + 1) * len / chunks;
            body(chunk * len / chunks..end - short * usize::from(end == len), scratch)
        })
    }

    /// Splits an output of `out.len() / row` rows into row ranges; `body(first_row, rows, scratch)` gets each range's own slice.
    pub fn parallel_rows<T: Element>(
        &self,
        out: &mut [T],
        row: usize,
        grain: usize,
        body: impl Fn(usize, &mut [T], &mut [u8]) + Sync,
    ) -> Result<()> {
        if row == 0 || out.is_empty() {
            return Ok(());
        }
        let pieces = Disjoint::new(out);
        self.parallel_ranges(pieces.len() / row, grain, |range, scratch| {
            // SAFETY: ranges of different chunks do not overlap.
            let rows = unsafe { pieces.range(range.start * row..range.end * row) };
            body(range.start, rows, scratch);
        })
    }
}

/// A slice that several threads write in disjoint ranges.
pub struct Disjoint<'a, T> {
    ptr: *mut T,
    len: usize,
    life: PhantomData<&'a mut [T]>,
}

// SAFETY: only `range` touches elements, and its caller keeps ranges apart.
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}

impl<'a, T> Disjoint<'a, T> {
    pub fn new(slice: &'a mut [T]) -> Disjoint<'a, T> {
        Disjoint { ptr: slice.as_mut_ptr(), len: slice.len(), life: PhantomData }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// # Safety
    /// No two ranges in use at a time may overlap.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn range(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: in bounds by the assertion, exclusive by this function's contract.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.add(range.start), range.len()) }
    }
}

/// Inputs and means of a step whose outputs are values.
pub struct ValueCx<'a> {
    /// The step may take them.
    pub inputs: &'a mut [Option<Value>],
    /// Outer values of the node's subgraphs, all of them, in the order of `Node::captures`.
    pub captures: &'a [Value],
    pub isa: Isa,
    pub(crate) team: &'a Team<'a>,
    /// The node's name, and how many subgraphs it ran so far in this step.
    pub(crate) node: &'a str,
    pub(crate) subgraphs: Cell<u64>,
}

impl ValueCx<'_> {
    pub fn input(&self, input: usize) -> Result<&Value> {
        self.opt_input(input).ok_or_else(|| Self::required(input))
    }

    pub fn opt_input(&self, input: usize) -> Option<&Value> {
        self.inputs.get(input).and_then(Option::as_ref)
    }

    /// An input as the step's own: a sequence that nobody reads later is not shared then, and may change in place.
    pub fn take(&mut self, input: usize) -> Result<Value> {
        self.inputs.get_mut(input).and_then(Option::take).ok_or_else(|| Self::required(input))
    }

    fn required(input: usize) -> Error {
        Error::invalid_model(format!("input {input} is required"))
    }

    /// Runs a subgraph, one step of the run (see [`Team::step`]): `inputs` in the order of its inputs, `captures` in that of its
    /// captures.
    pub fn run_subgraph(
        &self,
        graph: &Arc<Executable>,
        inputs: Vec<Value>,
        captures: Vec<Value>,
    ) -> Result<Vec<Value>> {
        self.team.step()?;
        let around = self.team.place();
        let number = self.subgraphs.replace(self.subgraphs.get() + 1);
        self.team.set_place(around.then(format_args!("/{}[{number}]", self.node)));
        let result = graph.run_nested(inputs, captures, self.team);
        self.team.set_place(around);
        result
    }

    /// Runs `body(chunk)` for every chunk, on several threads where that pays.
    ///
    /// # Errors
    /// If the run was cancelled or is past its deadline; some chunks were then left out.
    pub fn parallel(&self, chunks: usize, body: impl Fn(usize) + Sync) -> Result<()> {
        self.team.parallel(chunks, &|chunk, _| body(chunk))
    }

    /// An error if the run was cancelled or is past its deadline: for long work.
    pub fn check(&self) -> Result<()> {
        self.team.check()
    }
}
