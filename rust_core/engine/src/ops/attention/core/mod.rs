//! The core of every attention: blocks of queries, each with all its scores in scratch.
//!
//! A block's scores are products with tiles of keys, its results products with tiles of values, chained over the tiles in order.
//! Where several blocks share a head's keys, tiles are packed once, ahead of all blocks; else (decoding) each block reads them as
//! they lie. The bits depend on neither, nor on the sizes of blocks and tiles.
//!
//! Operators say where their operands lie: views of inputs, or what they [prepare](Preparation) in the step's workspace. Keys of a past
//! stay where they are; the core reads them there and copies them to the present only if somebody wants it.

mod block;
mod cut;
mod mask;
mod operand;
mod sequence;

use diptych_kernels::Isa;
use diptych_kernels::attention::Computed;

pub(super) use mask::{AddMask, Mask, Padding};
pub(super) use operand::{Home, Load, Operand, Present, Source};
pub(super) use sequence::{Bounds, Lengths};

use super::extents::{Extents, Strides};
use crate::dtype::Element;
use crate::error::Result;
use crate::operator::{KernelStep, OutputType};
use crate::ops::elements::{elements_mut, rooms, rooms_bytes};
use crate::ops::elementwise::Place;
use crate::run::KernelCx;
use block::Shared;
use cut::{Cut, TASK};

/// f32 or f64.
pub(super) trait Number: Computed + Element {}
impl Number for f32 {}
impl Number for f64 {}

/// Kernels of [`diptych_kernels::attention`] for the types at hand.
pub(super) type Store<W> = unsafe fn(Isa, bool, &[W], *mut u8);
pub(super) type SoftmaxRow<W> = fn(Isa, usize, &mut [W], &mut [f64]);

/// What is computed.
#[derive(Clone, Copy)]
pub(super) enum Part<W> {
    /// Scores, their Softmax, results. The scores are stored at a stage: 0 raw, 1 capped, 2 biased, 3 probabilities.
    Whole { results: Store<W>, scores: Option<(i64, Store<W>)> },
    /// Scores alone.
    Scores(Store<W>),
    /// Results from probabilities `[batch, heads, rows, keys]`, input 0.
    Values(Load<W>, Store<W>),
}

/// The score of a further key without a value, which takes part in the Softmax of all of a head's queries.
#[derive(Clone, Copy)]
pub(super) enum Sink<W> {
    Zero,
    /// One for each head.
    Input(usize, Load<W>),
}

/// What an operator computes before its attention, into a room of its own in the workspace.
pub(super) struct Preparation {
    pub bytes: usize,
    pub scratch: usize,
    pub cost: u64,
    pub run: Prepare,
}

pub(super) type Prepare = Box<dyn Fn(&KernelCx<'_>, &mut [u8]) -> Result<()> + Send + Sync>;

impl Preparation {
    /// None at all.
    pub fn nothing() -> Preparation {
        Preparation { bytes: 0, scratch: 0, cost: 0, run: Box::new(|_, _| Ok(())) }
    }
}

pub(super) struct Attention<W> {
    pub extents: Extents,
    pub q: Operand<W>,
    pub k: Operand<W>,
    pub v: Operand<W>,
    /// The factor of queries and of keys.
    pub factor: W,
    pub cap: Option<W>,
    pub bounds: Bounds,
    /// Added to the scores, both in one sum.
    pub mask: Option<Mask<W>>,
    pub padding: Option<Padding>,
    pub softmax: SoftmaxRow<W>,
    pub sink: Option<Sink<W>>,
    pub part: Part<W>,
    /// Whether biased scores that are stored are +0 for keys outside a query's bounds, not -inf.
    pub zero_outside: bool,
    /// Where heads lie in the results, and the bytes of one of their elements and of a stored score.
    pub y: Strides,
    pub y_bytes: usize,
    pub score_bytes: usize,
    /// The output with the scores.
    pub scores_output: usize,
    /// Where keys and values go, if they are wanted.
    pub present: [Option<Present>; 2],
}

impl<W: Number> Attention<W> {
    pub fn step(
        self,
        preparation: Preparation,
        outputs: Vec<OutputType>,
        isa: Isa,
        threads: usize,
    ) -> Result<KernelStep> {
        let Extents { batch, rows, keys, size, v_size, .. } = self.extents;
        let work = [batch, self.extents.q_heads(), rows, keys];
        let products = work.iter().fold((size + v_size) as u64, |all, &n| all.saturating_mul(n as u64));
        let exponentials = work.iter().fold(1u64, |all, &n| all.saturating_mul(n as u64));
        let cost = (products / 25).saturating_add(exponentials).saturating_add(500);
        let cut = self.cut(isa, threads)?;
        let whole = [preparation.bytes, rooms_bytes(&cut.workspace)?];
        let (workspace, scratch) = (rooms_bytes(&whole)?, rooms_bytes(&cut.scratch)?.max(preparation.scratch));
        let all = cost.saturating_add(preparation.cost);
        let step = KernelStep::with_outputs(outputs, move |cx| {
            let [prepared, own] = rooms(cx.workspace(), whole);
            (preparation.run)(cx, prepared)?;
            self.run(cx, cut, cost, prepared, own)
        });
        Ok(step.workspace(workspace).scratch(scratch).cost(all))
    }

    fn stores_scores(&self) -> bool {
        !matches!(self.part, Part::Whole { scores: None, .. })
    }

    fn run(&self, cx: &KernelCx<'_>, cut: Cut, cost: u64, prepared: &[u8], workspace: &mut [u8]) -> Result<()> {
        let Extents { batch, kv_heads, .. } = self.extents;
        let ends = self.ends(cx)?;
        let isa = cx.isa();
        let (k, v) = (self.k.locate(cx, prepared, Some(self.factor)), self.v.locate(cx, prepared, None));
        for (present, keys) in self.present.iter().zip([&k, &v]) {
            if let Some(present) = present.filter(|present| cx.has_output(present.output)) {
                self.write_present(cx, ends, keys, present)?;
            }
        }
        let [packed_keys, packed_values, mask_room] = rooms(workspace, cut.workspace);
        let mask = self.ready_mask(cx, mask_room)?;
        let (packed_keys, packed_values) = (elements_mut::<W>(packed_keys), elements_mut::<W>(packed_values));
        if cut.packed {
            self.pack(cx, &cut, ends, [&k, &v], [&mut *packed_keys, &mut *packed_values])?;
        }
        let shared = Shared {
            isa,
            cut,
            slots: cx.slots(),
            ends,
            q: self.q.own.locate(cx, prepared, self.q.dtype),
            k,
            v,
            mask,
            padding: Place::input(self.padding.map_or(&[][..], |padding| &prepared[padding.offset..]).as_ptr().cast()),
            keys: packed_keys,
            values: packed_values,
            y: Place::output(cx.output_ptr::<u8>(0)),
            scores: Place::output(if self.stores_scores() {
                cx.output_ptr(self.scores_output)
            } else {
                std::ptr::null_mut()
            }),
        };
        let tasks = batch * kv_heads * cut.pieces;
        let grain = (TASK.saturating_mul(tasks as u64) / cost).max(1) as usize;
        cx.parallel_ranges(tasks, grain, |range, scratch| {
            for task in range {
                self.block(&shared, task, scratch);
            }
        })
    }
}
