//! One number out for each place: arithmetic, roundings and elementary functions.
//!
//! Operands broadcast as in NumPy from opset 7 on (variadic ones from 8). Integers wrap. float16 and bfloat16 compute in
//! binary32 and are rounded once.

mod binary;
mod clip;
mod modulo;
mod power;
mod unary;
mod variadic;

pub(crate) use binary::plan_binary;
pub(crate) use unary::{UnaryFloat, plan_unary};

use crate::operator::Row;

/// Work in bytes of one operand below which a chunk is not worth a thread.
pub(crate) const GRAIN_BYTES: usize = 1 << 18;

/// A pointer that the threads of a step share; each uses places of its own.
#[derive(Debug)]
pub(crate) struct Place<T>(*mut T);

// SAFETY: only an address; whoever uses it answers for the places it touches.
unsafe impl<T: Send> Send for Place<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Place<T> {}

impl<T> Clone for Place<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Place<T> {}

impl<T> Place<T> {
    pub(crate) fn input(ptr: *const T) -> Place<T> {
        Place(ptr.cast_mut())
    }

    pub(crate) fn output(ptr: *mut T) -> Place<T> {
        Place(ptr)
    }

    /// The address of element `i`.
    #[inline]
    pub(crate) fn at(self, i: usize) -> *mut T {
        self.0.wrapping_add(i)
    }
}

pub fn rows() -> impl Iterator<Item = Row> {
    binary::rows()
        .chain(modulo::rows())
        .chain(variadic::rows())
        .chain(unary::rows())
        .chain(clip::rows())
        .chain(power::rows())
}
