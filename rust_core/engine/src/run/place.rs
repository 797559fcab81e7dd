//! Where in the runs of a session something is evaluated: what random operators without a seed draw by.

use std::fmt::Write;

/// A running hash (FNV-1a, 64 bits) over a text that no other evaluation of the session has, such as `0:2/loop[3]/draw`: the
/// session's seed, the number of the run, nodes with subgraphs and how often they evaluated one before, the node's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunPlace(u64);

impl RunPlace {
    /// A run of a session.
    pub fn of_run(random_seed: i64, run: u64) -> RunPlace {
        RunPlace(0xcbf2_9ce4_8422_2325).then(format_args!("{random_seed}:{run}"))
    }

    /// The text goes on. (Nothing is allocated: a run must not.)
    #[must_use]
    pub fn then(self, text: std::fmt::Arguments<'_>) -> RunPlace {
        let mut place = self;
        // Writing to a hash does not fail.
        let _ = place.write_fmt(text);
        place
    }

    /// 32 bits, stirred as SplitMix64 does: FNV's last letters move few.
    pub fn seed(self) -> u32 {
        let mut state = self.0;
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (state ^ (state >> 31)) as u32
    }
}

impl Write for RunPlace {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0 = text.bytes().fold(self.0, |state, byte| (state ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_the_references_seeds() {
        let place = RunPlace::of_run(0, 0).then(format_args!("/RandomNormal"));
        assert_eq!(place.seed(), 882074520);
        let other = RunPlace::of_run(-1, 2).then(format_args!("/loop[{}]", 3)).then(format_args!("/call/draw"));
        assert_eq!(other.seed(), 753497038);
    }
}
