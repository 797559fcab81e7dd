//! What the decoders of JPEG and JPEG 2000 give.

/// Why there is no image.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The file is broken.
    Broken,
    /// The file may be whole, but is of a kind that is not decoded.
    Unsupported(&'static str),
    /// More pixels than allowed.
    TooLarge { width: usize, height: usize },
    /// The allocator refuses.
    Memory,
    /// The caller has had enough: a small file can ask for much work.
    Stopped,
}

pub(super) type Outcome<T> = Result<T, Failure>;

/// A decoded image: numbers of its pixels, 1 or 3 each.
pub(super) struct Image {
    pub width: usize,
    pub height: usize,
    pub channels: usize,
    pub pixels: Vec<u8>,
}
