//! The RNN cell.

use super::{Activation, Element, Gates, store};
use crate::lanes::*;

/// What the steps of one direction share: one gate.
#[derive(Clone, Copy, Debug)]
pub struct Rnn<'a, E> {
    pub gates: Gates<'a, E>,
    pub function: Activation<E>,
}

impl<E: Element> Rnn<'_, E> {
    /// One step of some rows of the batch. `chains` `[rows][H]` are those over inputs and hidden values; `h` `[rows][H]` is written.
    ///
    /// # Panics
    /// If the slices are not whole rows of one number, or the bias has another length.
    pub fn step(&self, isa: Isa, chains: &[E], h: &mut [E]) {
        assert!(self.gates.fit(1, chains, h));
        if self.gates.hidden > 0 {
            dispatch(isa, Step { cell: self, chains, h });
        }
    }
}

struct Step<'a, E> {
    cell: &'a Rnn<'a, E>,
    chains: &'a [E],
    h: &'a mut [E],
}

// [panel: RNN]
impl<E: Element> Kernel for Step<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let Rnn { gates, function } = self.cell;
        let rows = self.chains.chunks_exact(gates.hidden).zip(self.h.chunks_exact_mut(gates.hidden));
        for (chains, h) in rows {
            for (at, h) in (0..gates.hidden).step_by(L).zip(h.chunks_mut(L)) {
                let a = gates.value::<L>(chains, 0, at, h.len());
                store::<E, L>(gates.activate::<A, _>(*function, a), h);
            }
        }
    }
}
// [/panel]
