//! The GRU cell.
//!
//! The hidden gate's chain over hidden values needs the reset gate first, unless the reset acts on its result
//! (linear_before_reset). So a step has two halves, with a product between them: [`Gru::reset`] and [`Gru::update`]; or one, after both
//! products: [`Gru::step_linear`].

use super::{Activation, Element, Gates, part, store};
use crate::functions::Arithmetic;
use crate::lanes::*;

/// What the steps of one direction share. Gates are in the order z, r, h (update, reset, hidden).
#[derive(Clone, Copy, Debug)]
pub struct Gru<'a, E> {
    pub gates: Gates<'a, E>,
    /// f (update and reset), g (hidden).
    pub functions: [Activation<E>; 2],
}

/// What becomes of the hidden gate where the reset gate acts on what R makes of the hidden values.
#[derive(Clone, Copy, Debug)]
pub struct LinearGate<'a, E> {
    /// `[rows][H]`: the chains over the hidden values alone.
    pub chains: &'a [E],
    /// Wb and Rb of this gate, `[H]` each.
    pub biases: Option<[&'a [E]; 2]>,
}

impl<E: Element> Gru<'_, E> {
    /// The first half of a step of some rows: z and r from `chains` `[rows][3H]`, whose first two gates are over inputs and hidden values.
    /// z takes its chain's place, `r * h` goes to `reset` `[rows][H]`.
    ///
    /// # Panics
    /// If the slices are not whole rows of one number, or the bias has another length.
    pub fn reset(&self, isa: Isa, chains: &mut [E], h: &[E], reset: &mut [E]) {
        assert!(self.gates.fit(3, chains, h) && h.len() == reset.len());
        if self.gates.hidden > 0 {
            dispatch(isa, Reset { cell: self, chains, h, reset });
        }
    }

    /// The second half: `chains` have z itself, anything, and the hidden gate's chains over inputs and `r * h`; `h` is updated.
    ///
    /// # Panics
    /// As [`Gru::reset`].
    pub fn update(&self, isa: Isa, chains: &[E], h: &mut [E]) {
        assert!(self.gates.fit(3, chains, h));
        if self.gates.hidden > 0 {
            dispatch(isa, Update { cell: self, chains, linear: None, h });
        }
    }

    /// A whole step: `chains` over inputs and hidden values, but of the hidden gate over inputs alone, whose other part is `linear`.
    ///
    /// # Panics
    /// As [`Gru::reset`].
    pub fn step_linear(&self, isa: Isa, chains: &[E], linear: LinearGate<'_, E>, h: &mut [E]) {
        let hidden = self.gates.hidden;
        assert!(self.gates.fit(3, chains, h) && linear.chains.len() == h.len());
        assert!(linear.biases.is_none_or(|biases| biases.iter().all(|bias| bias.len() == hidden)));
        if hidden > 0 {
            dispatch(isa, Update { cell: self, chains, linear: Some(linear), h });
        }
    }
}

struct Reset<'a, E> {
    cell: &'a Gru<'a, E>,
    chains: &'a mut [E],
    h: &'a [E],
    reset: &'a mut [E],
}

// [panel: GRU reset]
impl<E: Element> Kernel for Reset<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let Gru { gates, functions: [f_act, _] } = self.cell;
        let hidden = gates.hidden;
        let rows = self.chains.chunks_exact_mut(3 * hidden).zip(self.h.chunks_exact(hidden));
        for ((chains, h), reset) in rows.zip(self.reset.chunks_exact_mut(hidden)) {
            for (at, reset) in (0..hidden).step_by(L).zip(reset.chunks_mut(L)) {
                let n = reset.len();
                let z = gates.activate::<A, _>(*f_act, gates.value::<L>(chains, 0, at, n));
                let r = gates.activate::<A, _>(*f_act, gates.value::<L>(chains, 1, at, n));
                store::<E, L>(z, &mut chains[at..at + n]);
                store::<E, L>(r * part::<E, L>(h, at, n), reset);
            }
        }
    }
}
// [/panel]

struct Update<'a, E> {
    cell: &'a Gru<'a, E>,
    chains: &'a [E],
    linear: Option<LinearGate<'a, E>>,
    h: &'a mut [E],
}

// [panel: GRU]
impl<E: Element> Kernel for Update<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let Gru { gates, functions: [f_act, g_act] } = self.cell;
        let hidden = gates.hidden;
        for (row, (chains, h)) in self.chains.chunks_exact(3 * hidden).zip(self.h.chunks_exact_mut(hidden)).enumerate()
        {
            for (at, h) in (0..hidden).step_by(L).zip(h.chunks_mut(L)) {
                let n = h.len();
                let (z, a) = match &self.linear {
                    None => (part::<E, L>(chains, at, n), gates.value::<L>(chains, 2, at, n)),
                    Some(linear) => {
                        let z = gates.activate::<A, _>(*f_act, gates.value::<L>(chains, 0, at, n));
                        let r = gates.activate::<A, _>(*f_act, gates.value::<L>(chains, 1, at, n));
                        (z, linear.value::<L>(part::<E, L>(chains, 2 * hidden + at, n), r, row * hidden, at, n))
                    }
                };
                let g = gates.activate::<A, _>(*g_act, a);
                let old = part::<E, L>(h, 0, n);
                store::<E, L>((E::Lanes::<L>::from_f32(1.0) - z) * g + z * old, h);
            }
        }
    }
}
// [/panel]

impl<E: Element> LinearGate<'_, E> {
    /// `rn(rn(x + rn(r * rn(u + Rb))) + Wb)`, x being the chain over the inputs and u that over the hidden values, in the row at `row`.
    #[inline(always)]
    fn value<const N: usize>(&self, x: E::Lanes<N>, r: E::Lanes<N>, row: usize, at: usize, n: usize) -> E::Lanes<N> {
        let u = part::<E, N>(self.chains, row + at, n);
        match self.biases {
            None => x + r * u,
            Some([w, of_r]) => x + r * (u + part::<E, N>(of_r, at, n)) + part::<E, N>(w, at, n),
        }
    }
}
