//! Elements of 2, 4 and 6 bits, which ONNX packs low bits first: to a byte each and back.

/// Element `i` of packed `bytes` in the low bits of a byte.
fn code(bytes: &[u8], bits: usize, i: usize) -> u8 {
    let bit = i * bits;
    let low = u16::from(bytes[bit / 8]);
    let high = bytes.get(bit / 8 + 1).map_or(0, |&byte| u16::from(byte) << 8);
    (((low | high) >> (bit % 8)) & ((1 << bits) - 1)) as u8
}

/// `count` packed elements, a byte each.
pub fn unpack(bytes: &[u8], bits: usize, count: usize) -> Vec<u8> {
    (0..count).map(|i| code(bytes, bits, i)).collect()
}

/// The elements in the low bits of `codes`, packed into `out`; padding bits are 0.
pub fn pack(codes: &[u8], bits: usize, out: &mut [u8]) {
    out.fill(0);
    for (i, &code) in codes.iter().enumerate() {
        let bit = i * bits;
        let wide = (u16::from(code) & ((1 << bits) - 1)) << (bit % 8);
        out[bit / 8] |= wide as u8;
        if wide > 0xff {
            out[bit / 8 + 1] |= (wide >> 8) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn packing_and_unpacking_are_inverse() {
        for bits in [2, 4, 6] {
            for count in 0..20 {
                let codes: Vec<u8> = (0..count).map(|i| (i * 37 % (1 << bits)) as u8).collect();
                let mut packed = vec![0xff; usize::div_ceil(count * bits, 8)];
                super::pack(&codes, bits, &mut packed);
                assert_eq!(super::unpack(&packed, bits, count), codes);
            }
        }
        let mut packed = [0];
        super::pack(&[1, 2], 4, &mut packed);
        assert_eq!(packed, [0x21]);
    }
}
