//! Whether a session's results are the rounding programs' to the last bit, or within stated bounds of them.

/// What kernels may compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Math {
    /// The rounding program of every operator (docs/numerics.md).
    #[default]
    Exact,
    /// For some operators another program with a greater, bounded error, where that is faster (docs/numerics.md, section 5).
    Fast,
}

impl Math {
    /// The mode that an option names.
    pub fn from_name(name: &str) -> Option<Math> {
        [Math::Exact, Math::Fast].into_iter().find(|math| math.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Math::Exact => "exact",
            Math::Fast => "fast",
        }
    }
}

/// Which of an operator's programs a step runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// That of exact mode.
    #[default]
    Exact,
    /// Convolution by Winograd's F(4x4, 3x3).
    Winograd,
}

impl Algorithm {
    /// As profiles show it: nothing for the usual one.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Exact => "",
            Algorithm::Winograd => "winograd",
        }
    }
}
