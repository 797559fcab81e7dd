//! The Mersenne Twister MT19937 (Matsumoto and Nishimura, ACM TOMACS 8(1), 1998), seeded and read as NumPy's `RandomState` does.

const WORDS: usize = 624;
const SHIFT: usize = 397;

/// The generator's state.
pub struct Mt19937 {
    words: [u32; WORDS],
    next: usize,
}

impl Mt19937 {
    /// The state that `RandomState(seed)` starts from.
    pub fn new(seed: u32) -> Mt19937 {
        let mut words = [seed; WORDS];
        for i in 1..WORDS {
            let before = words[i - 1];
            words[i] = 1812433253u32.wrapping_mul(before ^ (before >> 30)).wrapping_add(i as u32);
        }
        Mt19937 { words, next: WORDS }
    }

    /// The next 624 words. In three stretches, so that no index needs a remainder.
    fn twist(&mut self) {
        let mixed = |word: u32, next: u32| {
            let y = (word & 0x8000_0000) | (next & 0x7fff_ffff);
            (y >> 1) ^ (0x9908_b0df & 0u32.wrapping_sub(y & 1))
        };
        let words = &mut self.words;
        for i in 0..WORDS - SHIFT {
            words[i] = words[i + SHIFT] ^ mixed(words[i], words[i + 1]);
        }
        for i in WORDS - SHIFT..WORDS - 1 {
            words[i] = words[i + SHIFT - WORDS] ^ mixed(words[i], words[i + 1]);
        }
        words[WORDS - 1] = words[SHIFT - 1] ^ mixed(words[WORDS - 1], words[0]);
        self.next = 0;
    }

    /// The next 32 random bits.
    #[inline]
    pub fn word(&mut self) -> u32 {
        if self.next == WORDS {
            self.twist();
        }
        let mut y = self.words[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// The next of `random_sample`: 53 random bits as a number in [0, 1).
    #[inline]
    pub fn uniform(&mut self) -> f64 {
        let (high, low) = (self.word() >> 5, self.word() >> 6);
        (f64::from(high) * 67108864.0 + f64::from(low)) / 9007199254740992.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_numpys() {
        // numpy.random.RandomState(0).random_sample(2), and .random_sample() after 1000 more.
        let mut generator = Mt19937::new(0);
        assert_eq!(generator.uniform(), 0.5488135039273248);
        assert_eq!(generator.uniform(), 0.7151893663724195);
        for _ in 0..1000 {
            generator.uniform();
        }
        assert_eq!(generator.uniform(), 0.47582619585722274);
    }
}
