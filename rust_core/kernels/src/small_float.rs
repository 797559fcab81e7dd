//! Floats of 4, 6 and 8 bits: their codes, and rounding to them.

/// A small binary float: sign, exponent, fraction.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    exponent_bits: u32,
    fraction_bits: u32,
    bias: i32,
    /// Code of the greatest finite number.
    greatest: u8,
    /// Code of what lies beyond it, where a conversion does not saturate: infinity or NaN. 0 if there is neither.
    beyond: u8,
    /// Code of NaN; of no value where there is none.
    nan: Option<u8>,
    /// Whether there is one zero alone, and the code of -0 is NaN.
    unsigned_zero: bool,
}

pub const F8E4M3FN: Format = Format {
    exponent_bits: 4,
    fraction_bits: 3,
    bias: 7,
    greatest: 0x7e,
    beyond: 0x7f,
    nan: Some(0x7f),
    unsigned_zero: false,
};
pub const F8E4M3FNUZ: Format =
    Format { bias: 8, greatest: 0x7f, beyond: 0x80, nan: Some(0x80), unsigned_zero: true, ..F8E4M3FN };
pub const F8E5M2: Format = Format {
    exponent_bits: 5,
    fraction_bits: 2,
    bias: 15,
    greatest: 0x7b,
    beyond: 0x7c,
    nan: Some(0x7e),
    unsigned_zero: false,
};
pub const F8E5M2FNUZ: Format =
    Format { bias: 16, greatest: 0x7f, beyond: 0x80, nan: Some(0x80), unsigned_zero: true, ..F8E5M2 };
pub const F6E2M3: Format =
    Format { exponent_bits: 2, fraction_bits: 3, bias: 1, greatest: 0x1f, beyond: 0, nan: None, unsigned_zero: false };
pub const F6E3M2: Format = Format { exponent_bits: 3, fraction_bits: 2, bias: 3, ..F6E2M3 };
pub const F4E2M1: Format = Format { exponent_bits: 2, fraction_bits: 1, bias: 1, greatest: 7, ..F6E2M3 };

/// 2^`exponent`, for exponents of normal binary64 numbers.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

impl Format {
    fn sign(self) -> u8 {
        1 << (self.exponent_bits + self.fraction_bits)
    }

    /// The number of `code`, whose unused high bits are ignored. Exact.
    pub fn decode(self, code: u8) -> f32 {
        let magnitude = code & (self.sign() - 1);
        let negative = code & self.sign() != 0;
        if self.unsigned_zero && negative && magnitude == 0 {
            return f32::NAN;
        }
        if magnitude > self.greatest {
            return match self.nan {
                Some(_) if magnitude == self.beyond && Some(magnitude) != self.nan => signed(negative, f32::INFINITY),
                _ => f32::NAN,
            };
        }
        let exponent = i32::from(magnitude >> self.fraction_bits);
        let fraction = magnitude & ((1 << self.fraction_bits) - 1);
        // Subnormal numbers have the exponent of the least normal ones and no leading 1.
        let whole = if exponent == 0 { fraction } else { fraction | (1 << self.fraction_bits) };
        let unit = power_of_two(exponent.max(1) - self.bias - self.fraction_bits as i32);
        signed(negative, (f64::from(whole) * unit) as f32)
    }

    /// The code nearest to `x`, ties to even. What is too great, and infinity, becomes the greatest number if `saturate`; else
    /// what the type has beyond it. Types without NaN saturate always and make NaN a -0.
    pub fn encode(self, x: f32, saturate: bool) -> u8 {
        let sign = if x.is_sign_negative() { self.sign() } else { 0 };
        if x.is_nan() {
            return match self.nan {
                None => self.sign(),
                Some(nan) => nan,
            };
        }
        let size = f64::from(x.abs());
        let least = 1 - self.bias;
        let exponent = ((size.to_bits() >> 52) as i32 - 1023).max(least);
        let magnitude = if exponent > least + (1 << self.exponent_bits) {
            u32::MAX // also infinity
        } else {
            // In units of the last place; adding 2^52 rounds to an integer, ties to even.
            let places = size * power_of_two(self.fraction_bits as i32 - exponent);
            let rounded = (places + power_of_two(52)) - power_of_two(52);
            (((exponent - least) as u32) << self.fraction_bits) + rounded as u32
        };
        if magnitude > u32::from(self.greatest) {
            return match self.nan {
                Some(_) if !saturate => self.beyond | if self.unsigned_zero { 0 } else { sign },
                _ => self.greatest | sign,
            };
        }
        if magnitude == 0 && self.unsigned_zero { 0 } else { magnitude as u8 | sign }
    }
}

fn signed(negative: bool, size: f32) -> f32 {
    if negative { -size } else { size }
}

/// How a conversion to float8e8m0 rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerRounding {
    Up,
    Down,
    /// Ties up.
    Nearest,
}

/// The power of two of a float8e8m0 code; 255 is NaN.
pub fn decode_e8m0(code: u8) -> f32 {
    if code == 255 { f32::NAN } else { power_of_two(i32::from(code) - 127) as f32 }
}

/// |x| as a power of two from 2^-127 to 2^127. What does not fit becomes the nearest end if `saturate`, else NaN.
pub fn encode_e8m0(x: f32, saturate: bool, rounding: PowerRounding) -> u8 {
    if x.is_nan() {
        return 255;
    }
    let bits = f64::from(x.abs()).to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let up = match rounding {
        PowerRounding::Up => fraction > 0,
        PowerRounding::Down => false,
        PowerRounding::Nearest => fraction >= 1 << 51,
    };
    let code = (bits >> 52) as i32 - 1023 + 127 + i32::from(up);
    match code {
        ..0 => {
            if saturate {
                0
            } else {
                255
            }
        }
        255.. => {
            if saturate {
                254
            } else {
                255
            }
        }
        _ => code as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_as_itself() {
        for (format, bits) in
            [(F8E4M3FN, 8), (F8E4M3FNUZ, 8), (F8E5M2, 8), (F8E5M2FNUZ, 8), (F6E2M3, 6), (F6E3M2, 6), (F4E2M1, 4)]
        {
            for code in 0..1u32 << bits {
                let value = format.decode(code as u8);
                let again = format.encode(value, false);
                assert!(value.is_nan() || again == code as u8, "{format:?} {code:#x} {value} {again:#x}");
            }
        }
        for code in 0..=255 {
            assert_eq!(encode_e8m0(decode_e8m0(code), true, PowerRounding::Up), code);
        }
    }

    #[test]
    fn known_numbers() {
        assert_eq!((F8E4M3FN.decode(0x7e), F8E5M2.decode(0x7b), F4E2M1.decode(7)), (448.0, 57344.0, 6.0));
        assert_eq!((F8E4M3FNUZ.decode(0x7f), F8E5M2FNUZ.decode(0x7f), F6E3M2.decode(0x1f)), (240.0, 57344.0, 28.0));
        assert_eq!((F8E4M3FN.encode(464.0, false), F8E4M3FN.encode(465.0, false)), (0x7e, 0x7f));
        assert_eq!((F8E5M2.encode(1e9, false), F8E5M2.encode(-1e9, true)), (0x7c, 0xfb));
        assert_eq!((F8E5M2FNUZ.encode(f32::INFINITY, false), F8E4M3FNUZ.encode(-0.0, true)), (0x80, 0));
        assert_eq!((F4E2M1.encode(f32::NAN, true), F4E2M1.encode(-9.0, false)), (8, 15));
    }
}
