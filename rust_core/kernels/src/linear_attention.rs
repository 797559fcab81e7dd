//! The recurrence of linear attention, in binary32 (docs/numerics.md, section 4): a state `[Dk][columns]` for each head, whose columns
//! know nothing of each other, so that vectors and threads run over them.

use crate::lanes::*;

/// One step of some columns of one head's state.
#[derive(Debug)]
pub struct Step<'a> {
    /// `[Dk][columns]`
    pub state: &'a mut [f32],
    /// `[Dk]`
    pub key: &'a [f32],
    /// Factors of the state's rows: one for each, one for all, or none.
    pub gate: &'a [f32],
    /// The delta rule's rate.
    pub rate: Option<f32>,
    /// `[columns]`; overwritten by what is written.
    pub value: &'a mut [f32],
}

impl Step<'_> {
    /// `S = rn(S * gate)`; with a rate `w = rn(rate * rn(v - r))`, r the chains of `S_dm k_d` over d, else `w = v`;
    /// `S = fma(k_d, w_m, S)`.
    ///
    /// # Panics
    /// If the state is not `key.len() * value.len()` long, or the gate has another length than 0, 1 and the key's.
    pub fn run(self, isa: Isa) {
        assert!(self.state.len() == self.key.len() * self.value.len());
        assert!(self.gate.len() <= 1 || self.gate.len() == self.key.len());
        dispatch(isa, self);
    }
}

// [panel: LinearAttention]
impl Kernel for Step<'_> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let Step { state, key, gate, rate, value } = self;
        let columns = value.len();
        if columns == 0 {
            return;
        }
        if !gate.is_empty() {
            for (d, row) in state.chunks_exact_mut(columns).enumerate() {
                let factor = gate[if gate.len() == 1 { 0 } else { d }];
                row.iter_mut().for_each(|s| *s *= factor);
            }
        }
        for m in (0..columns).step_by(L) {
            let count = L.min(columns - m);
            let mut write = load::<L>(&value[m..m + count]);
            if let Some(rate) = rate {
                let retrieved = chain::<A, L>(key, state, columns, m, count);
                write = Simd::splat(rate) * (write - retrieved);
                write.as_array()[..count].iter().zip(&mut value[m..m + count]).for_each(|(&w, v)| *v = w);
            }
            for (row, &k) in state.chunks_exact_mut(columns).zip(key) {
                let s = A::fma(Simd::splat(k), write, load::<L>(&row[m..m + count]));
                row[m..m + count].copy_from_slice(&s.as_array()[..count]);
            }
        }
    }
}
// [/panel]

/// `out[m] = rn(scale * o_m)`, o the chains of `x_d S_dm` over d.
///
/// # Panics
/// If the state is not `x.len() * out.len()` long.
pub fn read(isa: Isa, x: &[f32], state: &[f32], scale: f32, out: &mut [f32]) {
    assert!(state.len() == x.len() * out.len());
    dispatch(isa, Read { x, state, scale, out });
}

struct Read<'a> {
    x: &'a [f32],
    state: &'a [f32],
    scale: f32,
    out: &'a mut [f32],
}

impl Kernel for Read<'_> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let columns = self.out.len();
        for m in (0..columns).step_by(L) {
            let count = L.min(columns - m);
            let o = Simd::splat(self.scale) * chain::<A, L>(self.x, self.state, columns, m, count);
            self.out[m..m + count].copy_from_slice(&o.as_array()[..count]);
        }
    }
}

// [panel: LinearAttention chain]
/// The chains of `x_d S_dm` over d from +0, for `count` columns from m on.
#[inline(always)]
fn chain<A: Arch, const L: usize>(x: &[f32], state: &[f32], columns: usize, m: usize, count: usize) -> Simd<f32, L> {
    let mut acc = Simd::splat(0.0);
    for (row, &x) in state.chunks_exact(columns).zip(x) {
        acc = A::fma(Simd::splat(x), load::<L>(&row[m..m + count]), acc);
    }
    acc
}
// [/panel]

/// Up to L numbers, zeros in the other lanes.
#[inline(always)]
fn load<const L: usize>(from: &[f32]) -> Simd<f32, L> {
    if from.len() == L { Simd::from_slice(from) } else { Simd::load_or_default(from) }
}

/// `exp(x)` of each number.
pub fn exponentials(isa: Isa, x: &mut [f32]) {
    let p = x.as_mut_ptr();
    // SAFETY: the slice is read and written as long as it is.
    unsafe { crate::functions::unary::<f32>(isa, crate::functions::Unary::Exp, p, p, x.len()) };
}
