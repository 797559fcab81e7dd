//! Rotary embeddings: pairs of elements turned by an angle (docs/numerics.md, section 4).

use crate::functions::Float;
use crate::lanes::*;

/// Turns the pairs of one head: `a' = rn(rn(cos * a) - rn(sin * b))`, `b' = rn(rn(sin * a) + rn(cos * b))`. Pair i is elements 2i and
/// 2i + 1 if `interleaved`, else i and `pairs + i`. `dst` does not overlap the sources.
///
/// # Safety
/// `2 * pairs` elements are readable at `src` and writable at `dst`, `pairs` readable at `cos` and `sin`.
pub unsafe fn rotate<T: Float>(
    isa: Isa,
    interleaved: bool,
    pairs: usize,
    src: *const T,
    [cos, sin]: [*const T; 2],
    dst: *mut T,
) {
    dispatch(isa, Rotate { interleaved, pairs, src, cos, sin, dst });
}

struct Rotate<T> {
    interleaved: bool,
    pairs: usize,
    src: *const T,
    cos: *const T,
    sin: *const T,
    dst: *mut T,
}

// [panel: RotaryEmbedding com.microsoft.RotaryEmbedding]
impl<T: Float> Kernel for Rotate<T> {
    type Output = ();
    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        for i in (0..self.pairs).step_by(L) {
            let count = L.min(self.pairs - i);
            // SAFETY: `count` pairs from i on, for which the caller vouches; the arrays hold L elements.
            unsafe {
                let (c, s) =
                    (T::load_partial::<L>(self.cos.add(i), count), T::load_partial::<L>(self.sin.add(i), count));
                if !self.interleaved {
                    let (a, b) = (self.src.add(i), self.src.add(self.pairs + i));
                    let (a, b) = (T::load_partial::<L>(a, count), T::load_partial::<L>(b, count));
                    T::store_partial::<L>(c * a - s * b, self.dst.add(i), count);
                    T::store_partial::<L>(s * a + c * b, self.dst.add(self.pairs + i), count);
                    continue;
                }
                let (mut a, mut b) = ([T::ZERO; L], [T::ZERO; L]);
                for lane in 0..count {
                    a[lane] = *self.src.add(2 * (i + lane));
                    b[lane] = *self.src.add(2 * (i + lane) + 1);
                }
                let (x, y) = (T::load::<L>(a.as_ptr()), T::load::<L>(b.as_ptr()));
                T::store::<L>(c * x - s * y, a.as_mut_ptr());
                T::store::<L>(s * x + c * y, b.as_mut_ptr());
                for lane in 0..count {
                    *self.dst.add(2 * (i + lane)) = a[lane];
                    *self.dst.add(2 * (i + lane) + 1) = b[lane];
                }
            }
        }
    }
}
// [/panel]
