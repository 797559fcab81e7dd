//! The inverse transform in integers, after Loeffler, Ligtenberg and Moschytz (ICASSP 1989): twelve multiplications for eight numbers.
//!
//! Constants have 13 bits behind the point, the columns' results two. These roundings are libjpeg's "islow".

const BITS: i32 = 13;
const KEPT: i32 = 2;

/// `x` with 13 bits behind the point.
const fn fixed(x: f64) -> i32 {
    (x * (1 << BITS) as f64 + 0.5) as i32
}

/// Samples of 8 x 8 from dequantised coefficients, into rows that are `width` apart.
pub(super) fn inverse(block: &[i16; 64], table: &[u16; 64], out: &mut [u8], width: usize) {
    let mut rows = [0i32; 64];
    for column in 0..8 {
        let input: [i32; 8] = std::array::from_fn(|i| {
            let at = i * 8 + column;
            i32::from(block[at]).wrapping_mul(table[at].into())
        });
        for (i, value) in eight(input, BITS - KEPT).into_iter().enumerate() {
            rows[i * 8 + column] = value;
        }
    }
    for (row, input) in rows.as_chunks::<8>().0.iter().enumerate() {
        let values = eight(*input, BITS + KEPT + 3);
        let to = &mut out[row * width..][..8];
        to.iter_mut().zip(values).for_each(|(to, value)| *to = value.saturating_add(128).clamp(0, 255) as u8);
    }
}

/// The transform of eight numbers, rounded by `shift` bits.
fn eight(x: [i32; 8], shift: i32) -> [i32; 8] {
    let mul = |a: i32, b: i32| a.wrapping_mul(b);
    let sum = |a: i32, b: i32| a.wrapping_add(b);
    let sub = |a: i32, b: i32| a.wrapping_sub(b);
    // The even half: a rotation of x2 and x6, and the sum and difference of x0 and x4.
    let turned = mul(sum(x[2], x[6]), fixed(0.541196100));
    let e2 = sub(turned, mul(x[6], fixed(1.847759065)));
    let e3 = sum(turned, mul(x[2], fixed(0.765366865)));
    let (e0, e1) = (sum(x[0], x[4]).wrapping_shl(BITS as u32), sub(x[0], x[4]).wrapping_shl(BITS as u32));
    let even = [sum(e0, e3), sum(e1, e2), sub(e1, e2), sub(e0, e3)];
    // The odd half.
    let (z1, z2, z3, z4) = (sum(x[7], x[1]), sum(x[5], x[3]), sum(x[7], x[3]), sum(x[5], x[1]));
    let z5 = mul(sum(z3, z4), fixed(1.175875602));
    let (z1, z2) = (mul(z1, -fixed(0.899976223)), mul(z2, -fixed(2.562915447)));
    let z3 = sum(mul(z3, -fixed(1.961570560)), z5);
    let z4 = sum(mul(z4, -fixed(0.390180644)), z5);
    let odd = [
        sum(mul(x[1], fixed(1.501321110)), sum(z1, z4)),
        sum(mul(x[3], fixed(3.072711026)), sum(z2, z3)),
        sum(mul(x[5], fixed(2.053119869)), sum(z2, z4)),
        sum(mul(x[7], fixed(0.298631336)), sum(z1, z3)),
    ];
    let rounded = |value: i32| sum(value, 1 << (shift - 1)) >> shift;
    let mut y = [0; 8];
    for i in 0..4 {
        y[i] = rounded(sum(even[i], odd[i]));
        y[7 - i] = rounded(sub(even[i], odd[i]));
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_the_real_transform() {
        let table = [1u16; 64];
        for seed in 0..50u32 {
            let block: [i16; 64] =
                std::array::from_fn(|i| (((seed * 7919 + i as u32 * 104_729) % 97) as i16 - 48) >> (i / 16));
            let mut out = [0u8; 64];
            inverse(&block, &table, &mut out, 8);
            for y in 0..8 {
                for x in 0..8 {
                    let mut want = 128.0;
                    for (i, &c) in block.iter().enumerate() {
                        let scale = |k: usize| if k == 0 { 0.5f64.sqrt() } else { 1.0 } / 2.0;
                        let wave = |k: usize, n: usize| {
                            ((2 * n + 1) as f64 * k as f64 * std::f64::consts::PI / 16.0).cos() * scale(k)
                        };
                        want += f64::from(c) * wave(i / 8, y) * wave(i % 8, x);
                    }
                    assert!((f64::from(out[y * 8 + x]) - want.clamp(0.0, 255.0)).abs() < 0.6, "{want}");
                }
            }
        }
    }
}
