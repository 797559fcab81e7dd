//! Bits of the entropy-coded data, and Huffman codes.

use super::{Failure, Outcome};

/// Bits that the quick table looks at.
const QUICK: u32 = 9;

/// A Huffman table: codes of up to 16 bits.
pub(super) struct Huffman {
    /// For every QUICK bits that a short code starts: its value and length; length 0 if the code is longer.
    quick: Vec<(u8, u8)>,
    /// By length: the greatest code, aligned to 16 bits, plus one; and what added to a code gives its value's place.
    limits: [u32; 17],
    offsets: [i32; 17],
    values: Vec<u8>,
}

impl Huffman {
    /// From the number of codes of each length, and their values. `None` if there are more codes than bits allow.
    pub fn new(counts: &[u8], values: &[u8]) -> Option<Huffman> {
        let mut table =
            Huffman { quick: vec![(0, 0); 1 << QUICK], limits: [0; 17], offsets: [0; 17], values: values.to_vec() };
        let (mut code, mut place) = (0u32, 0usize);
        for length in 1..=16u32 {
            let count = usize::from(counts[length as usize - 1]);
            table.offsets[length as usize] = place as i32 - code as i32;
            for _ in 0..count {
                if code >= 1 << length {
                    return None;
                }
                if length <= QUICK {
                    let first = (code << (QUICK - length)) as usize;
                    table.quick[first..first + (1 << (QUICK - length))].fill((values[place], length as u8));
                }
                code += 1;
                place += 1;
            }
            table.limits[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Some(table)
    }
}

/// Reads bits, the highest of a byte first, up to the next marker.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    bits: u64,
    count: u32,
    /// Bits that were made up behind the end.
    missing: u32,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0, bits: 0, count: 0, missing: 0 }
    }

    /// What follows the bits that were read.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// At least 16 bits, zeros behind the end.
    fn fill(&mut self) {
        while self.count <= 48 {
            let byte = match self.bytes[self.at..] {
                [0xff, 0, ..] => {
                    self.at += 2;
                    0xff
                }
                [0xff, ..] | [] => {
                    self.missing += 8;
                    0
                }
                [byte, ..] => {
                    self.at += 1;
                    byte
                }
            };
            self.bits |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    fn take(&mut self, count: u32) {
        self.bits <<= count;
        self.count -= count;
    }

    /// An error if bits were used that are not there.
    pub fn check(&self) -> Outcome<()> {
        if self.missing > self.count { Err(Failure::Broken) } else { Ok(()) }
    }

    /// The next `count` <= 16 bits as a number.
    pub fn bits(&mut self, count: u32) -> u32 {
        if count == 0 {
            return 0;
        }
        if self.count < 16 {
            self.fill();
        }
        let value = (self.bits >> (64 - count)) as u32;
        self.take(count);
        value
    }

    /// `count` bits as JPEG's signed numbers.
    pub fn signed(&mut self, count: u32) -> i32 {
        let value = self.bits(count) as i32;
        if count > 0 && value < 1 << (count - 1) { value - (1 << count) + 1 } else { value }
    }

    /// The value of the next code.
    pub fn code(&mut self, table: &Huffman) -> Outcome<u8> {
        if self.count < 16 {
            self.fill();
        }
        let (value, length) = table.quick[(self.bits >> (64 - QUICK)) as usize];
        if length > 0 {
            self.take(length.into());
            return Ok(value);
        }
        let next = (self.bits >> 48) as u32;
        for length in QUICK + 1..=16 {
            if next < table.limits[length as usize] {
                let place = (next >> (16 - length)) as i32 + table.offsets[length as usize];
                self.take(length);
                return usize::try_from(place).ok().and_then(|at| table.values.get(at).copied()).ok_or(Failure::Broken);
            }
        }
        Err(Failure::Broken)
    }

    /// Passes over a restart marker; bits before it are thrown away.
    pub fn restart(&mut self) -> Outcome<()> {
        self.check()?;
        (self.bits, self.count, self.missing) = (0, 0, 0);
        match self.bytes[self.at..] {
            [0xff, 0xd0..=0xd7, ..] => {
                self.at += 2;
                Ok(())
            }
            _ => Err(Failure::Broken),
        }
    }
}
