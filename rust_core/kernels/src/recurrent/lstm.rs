//! The LSTM cell.

use super::{Activation, Element, Gates, part, store};
use crate::functions::Arithmetic;
use crate::lanes::*;

/// What the steps of one direction share. Gates are in the order i, o, f, c.
#[derive(Clone, Copy, Debug)]
pub struct Lstm<'a, E> {
    pub gates: Gates<'a, E>,
    /// `[3H]`, in the order i, o, f.
    pub peephole: Option<&'a [E]>,
    /// f (gates), g (cell input), h (cell output).
    pub functions: [Activation<E>; 3],
    /// The forget gate is one minus the input gate.
    pub input_forget: bool,
}

impl<E: Element> Lstm<'_, E> {
    /// One step of some rows of the batch. `chains` `[rows][4H]` are those over inputs and hidden values; `c` `[rows][H]` is updated, `h`
    /// `[rows][H]` written.
    ///
    /// # Panics
    /// If the slices are not whole rows of one number, or bias or peepholes have other lengths.
    pub fn step(&self, isa: Isa, chains: &[E], c: &mut [E], h: &mut [E]) {
        let hidden = self.gates.hidden;
        assert!(self.gates.fit(4, chains, c) && c.len() == h.len());
        assert!(self.peephole.is_none_or(|p| p.len() == 3 * hidden));
        if hidden > 0 {
            dispatch(isa, Step { cell: self, chains, c, h });
        }
    }

    /// Hidden values from `at` on: all of `c` and `h`, at most `N`.
    #[inline(always)]
    fn advance<A: Arch, const N: usize>(&self, chains: &[E], at: usize, c: &mut [E], h: &mut [E]) {
        let (gates, n) = (&self.gates, c.len());
        let value = |gate| gates.value::<N>(chains, gate, at, n);
        let peep = |a: E::Lanes<N>, gate: usize, c| {
            self.peephole.map_or(a, |p| a + part::<E, N>(p, gate * gates.hidden + at, n) * c)
        };
        let [f_act, g_act, h_act] = self.functions;
        let old = part::<E, N>(c, 0, n);
        let i = gates.activate::<A, _>(f_act, peep(value(0), 0, old));
        let f = if self.input_forget {
            E::Lanes::<N>::from_f32(1.0) - i
        } else {
            gates.activate::<A, _>(f_act, peep(value(2), 2, old))
        };
        let g = gates.activate::<A, _>(g_act, value(3));
        let new = f * old + i * g;
        let o = gates.activate::<A, _>(f_act, peep(value(1), 1, new));
        let out = o * gates.activate::<A, _>(h_act, new);
        store::<E, N>(new, c);
        store::<E, N>(out, h);
    }
}

struct Step<'a, E> {
    cell: &'a Lstm<'a, E>,
    chains: &'a [E],
    c: &'a mut [E],
    h: &'a mut [E],
}

// [panel: LSTM com.microsoft.DynamicQuantizeLSTM]
impl<E: Element> Kernel for Step<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let hidden = self.cell.gates.hidden;
        let rows = self.chains.chunks_exact(4 * hidden).zip(self.c.chunks_exact_mut(hidden));
        for ((chains, c), h) in rows.zip(self.h.chunks_exact_mut(hidden)) {
            for ((at, c), h) in (0..hidden).step_by(L).zip(c.chunks_mut(L)).zip(h.chunks_mut(L)) {
                self.cell.advance::<A, L>(chains, at, c, h);
            }
        }
    }
}
// [/panel]
