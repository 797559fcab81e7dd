//! What DynamicQuantizeLSTM does besides an LSTM: `docs/numerics.md`, its row.

use crate::lanes::*;

/// Sums of products as numbers: `rn(rn(acc) * m)` for each column, `m = rn(scale * scales[column])`, written to `out` or added to it.
///
/// `acc` and `out` are whole rows of as many columns as `scales` has; `scales` may also be one for all.
///
/// # Panics
/// If `acc` and `out` differ in length, or are no whole rows.
pub fn scale_products(isa: Isa, acc: &[i32], (scale, scales): (f32, &[f32]), add: bool, out: &mut [f32]) {
    assert!(acc.len() == out.len() && !scales.is_empty() && acc.len().is_multiple_of(scales.len()));
    dispatch(isa, Scale { acc, scale, scales, add, out });
}

struct Scale<'a> {
    acc: &'a [i32],
    scale: f32,
    scales: &'a [f32],
    add: bool,
    out: &'a mut [f32],
}

// [panel: com.microsoft.DynamicQuantizeLSTM]
impl Kernel for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch, const L: usize>(self) {
        let one = self.scales.len() == 1;
        let row = if one { self.acc.len().max(1) } else { self.scales.len() };
        for (acc, out) in self.acc.chunks_exact(row).zip(self.out.chunks_exact_mut(row)) {
            for (at, out) in (0..row).step_by(L).zip(out.chunks_mut(L)) {
                let scales = if one {
                    Simd::<f32, L>::splat(self.scales[0])
                } else {
                    Simd::load_or_default(&self.scales[at..][..out.len()])
                };
                let sums = Simd::<i32, L>::load_or_default(&acc[at..][..out.len()]);
                let product = sums.cast::<f32>() * (Simd::splat(self.scale) * scales);
                let result = if self.add { Simd::load_or_default(out) + product } else { product };
                out.copy_from_slice(&result.as_array()[..out.len()]);
            }
        }
    }
}
// [/panel]

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_scaled_by_column_on_every_isa() {
        let acc: Vec<i32> = (0..3 * 21).map(|i| (i - 30) * 7919 * 1001).collect();
        let scales: Vec<f32> = (0..21).map(|i| 0.013 + i as f32 * 0.17).collect();
        for scales in [&scales[..], &scales[..1]] {
            for &isa in Isa::available() {
                let mut out: Vec<f32> = (0..acc.len()).map(|i| i as f32 * 0.3).collect();
                let before = out.clone();
                scale_products(isa, &acc, (0.7, scales), true, &mut out);
                for (i, (&got, &acc)) in out.iter().zip(&acc).enumerate() {
                    let want = before[i] + acc as f32 * (0.7 * scales[if scales.len() == 1 { 0 } else { i % 21 }]);
                    assert_eq!(got.to_bits(), want.to_bits(), "{}", isa.name());
                }
            }
        }
    }
}
