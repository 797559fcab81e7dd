//! One step of some rows: the products with R, and the cell between or after them.

use diptych_kernels::Isa;
use diptych_kernels::gemm::{Gemm, MatMut, MatRef, gemm, scratch_len};
use diptych_kernels::recurrent::{Activation, Gates, Gru, LinearGate, Lstm, Rnn};
use smallvec::SmallVec;

use super::weights::{Computed, Stored, Weights};
use super::{Extents, Kind, Recurrent, activation, input};
use crate::error::Result;
use crate::operator::PlanCx;

/// The cells of all directions, and R as right operands.
pub(super) struct Cells<E> {
    kind: Kind,
    hidden: usize,
    functions: Vec<Activation<E>>,
    clip: Option<E>,
    /// All gates; of a GRU z and r, then the hidden gate, whose product comes later or goes elsewhere.
    r: SmallVec<[Weights; 2]>,
}

/// What the steps of one direction read, in the computing type.
#[derive(Clone, Copy)]
pub(super) struct Constants<'a, E> {
    pub direction: usize,
    /// R of all directions, where it is not packed.
    pub r: &'a [E],
    /// As [`Cells::bias`] writes it.
    pub bias: Option<&'a [E]>,
    pub peephole: Option<&'a [E]>,
}

/// Rows of the batch at one step.
pub(super) struct Rows<'a, E> {
    /// `[rows][G*H]`: the gates' chains over the inputs.
    pub chains: &'a mut [E],
    /// `[rows][H]`
    pub h: &'a mut [E],
    /// `[rows][H]`: an LSTM's c; of a GRU what the hidden gate's product reads or gives; an RNN has none.
    pub second: &'a mut [E],
}

impl<E: Computed> Cells<E> {
    pub(super) fn new<T: Stored<Wide = E>>(layer: &Recurrent, extents: &Extents, cx: &PlanCx<'_>) -> Result<Cells<E>> {
        let Extents { hidden, gates, .. } = *extents;
        let cut = if matches!(layer.kind, Kind::Gru { .. }) { 2 * hidden } else { gates };
        let parts = [0..cut, cut..gates].into_iter().filter(|part| part.start == 0 || !part.is_empty());
        Ok(Cells {
            kind: layer.kind,
            hidden,
            functions: layer.functions.iter().map(|&function| activation::typed(function)).collect(),
            clip: layer.clip.map(E::from),
            r: parts.map(|part| Weights::new::<T>(cx, input::R, extents, hidden, part)).collect::<Result<_>>()?,
        })
    }

    /// Whether R is not read at run time.
    pub(super) fn is_packed(&self) -> bool {
        self.r.iter().all(Weights::is_packed)
    }

    /// Elements of scratch for a step of `rows`.
    pub(super) fn scratch_len(&self, isa: Isa, rows: usize) -> usize {
        self.r.iter().map(|r| scratch_len::<E>(isa, rows, r.n(), self.hidden)).max().unwrap_or(0)
    }

    fn is_linear(&self) -> bool {
        self.kind == Kind::Gru { linear_before_reset: true }
    }

    /// Elements of a direction's bias in the form of [`Cells::bias`].
    pub(super) fn bias_len(&self) -> usize {
        (self.kind.gates() + if self.is_linear() { 2 } else { 0 }) * self.hidden
    }

    /// B of one direction as the cell adds it: `rn(Wb + Rb)` of all gates, then both of the hidden gate where they are added apart.
    pub(super) fn bias<T: Stored<Wide = E>>(&self, given: &[T], to: &mut [E]) {
        let (w, r) = given.split_at(given.len() / 2);
        let (sums, apart) = to.split_at_mut(w.len());
        sums.iter_mut().zip(w.iter().zip(r)).for_each(|(to, (w, r))| *to = w.widen() + r.widen());
        if self.is_linear() {
            let own = 2 * self.hidden;
            apart.iter_mut().zip(w[own..].iter().chain(&r[own..])).for_each(|(to, x)| *to = x.widen());
        }
    }

    /// One step: `h` and `second` become the next ones.
    pub(super) fn step(&self, isa: Isa, constants: &Constants<'_, E>, rows: Rows<'_, E>, scratch: &mut [E]) {
        let Rows { chains, h, second } = rows;
        let (hidden, stride) = (self.hidden, self.kind.gates() * self.hidden);
        let count = h.len() / hidden;
        let each = self.kind.functions().len();
        let functions = &self.functions[constants.direction * each..][..each];
        let gates = Gates { bias: constants.bias.map(|bias| &bias[..stride]), clip: self.clip, hidden };
        // The chains of part `which` of R's gates, from column `first` of `to` on, continued over `from`.
        let mut multiply = |which: usize, from: &[E], to: &mut [E], [first, width]: [usize; 2], resume: bool| {
            let r = &self.r[which];
            let right = r.right(isa, constants.r, constants.direction);
            let product = Gemm { resume, ..Gemm::new(MatRef::row_major(from, count, hidden), right) };
            let mut to = MatMut::new(to, count, width, width);
            gemm(isa, &product, 0..count, 0..r.n(), to.block(0..count, first..first + r.n()), scratch);
        };
        multiply(0, h, chains, [0, stride], true);
        match (self.kind, functions) {
            (Kind::Rnn, &[function]) => Rnn { gates, function }.step(isa, chains, h),
            (Kind::Gru { linear_before_reset }, &[f, g]) => {
                let cell = Gru { gates, functions: [f, g] };
                if linear_before_reset {
                    multiply(1, h, second, [0, hidden], false);
                    let biases = constants.bias.map(|bias| [&bias[stride..][..hidden], &bias[stride + hidden..]]);
                    cell.step_linear(isa, chains, LinearGate { chains: second, biases }, h);
                } else {
                    cell.reset(isa, chains, h, second);
                    multiply(1, second, chains, [2 * hidden, stride], true);
                    cell.update(isa, chains, h);
                }
            }
            (Kind::Lstm { input_forget }, &[f, g, h_act]) => {
                let functions = [f, g, h_act];
                Lstm { gates, peephole: constants.peephole, functions, input_forget }.step(isa, chains, second, h);
            }
            _ => unreachable!("a kind has its own number of functions"),
        }
    }
}
