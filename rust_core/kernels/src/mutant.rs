//! Planted bugs, so that the tests can show that they would find real ones: docs/mutants.md has the table.
//!
//! Each [`Mutant`] is one line somewhere in this crate or the engine that asks [`on`]. Without the feature `mutants` that is the
//! constant `false`, and the line is not compiled. With it, at most one mutant is on in the whole process.

macro_rules! mutants {
    ($($(#[$what:meta])* $name:ident = $text:literal,)*) => {
        /// A bug that can be switched on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Mutant {
            $($(#[$what])* $name,)*
        }

        #[cfg(feature = "mutants")]
        const ALL: &[(&str, Mutant)] = &[$(($text, Mutant::$name)),*];
    };
}
mutants! {
    /// ArgMax takes the last of equal maxima.
    ArgMaxTie = "argmax_tie",
    /// LayerNormalization's scale and bias are one fused multiply-add.
    ContractedMultiplyAdd = "contracted_multiply_add",
    /// A conversion from binary64 to 16 bits rounds to binary32 on the way.
    DoubleRounding = "double_rounding",
    /// The last column of a matrix product's partial vector is not stored.
    DroppedTail = "dropped_tail",
    /// A value is overwritten in place although a later task reads it.
    InPlaceReadLater = "in_place_read_later",
    /// The sixteen lanes of a sum are added from left to right.
    LaneOrder = "lane_order",
    /// Max of a NaN and a number is the number.
    LostNan = "lost_nan",
    /// Relu of -0 is -0.
    LostPositiveZero = "lost_positive_zero",
    /// The padding of a convolution's input is one column too narrow on the left.
    OffByOnePad = "off_by_one_pad",
    /// AveragePool counts the padding.
    PadCounted = "pad_counted",
    /// QuantizeLinear takes ties up.
    QuantizeTiesUp = "quantize_ties_up",
    /// Bytes are reused without waiting for those who still read them.
    ReuseRace = "reuse_race",
    /// A matrix product's multiply-add rounds twice.
    RoundedProduct = "rounded_product",
    /// Round takes ties away from zero.
    RoundTiesAway = "round_ties_away",
    /// Softmax divides by the sum instead of multiplying by its reciprocal.
    SoftmaxDivision = "softmax_division",
    /// A convolution's padding on the right is not cleared.
    StaleHalo = "stale_halo",
    /// A block of K starts its chain at zero again.
    StaleProduct = "stale_product",
    /// Transpose applies the inverse permutation.
    SwappedAxes = "swapped_axes",
    /// bfloat16 takes ties up.
    TiesUp = "ties_up",
    /// TopK takes the last of equal elements first.
    TopKTie = "topk_tie",
    /// The last thread's part of an output is one element short.
    UnevenSplit = "uneven_split",
}

#[cfg(feature = "mutants")]
static ACTIVE: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(u8::MAX);

/// Whether the bug is switched on.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub const fn on(_mutant: Mutant) -> bool {
    false
}

/// Whether the bug is switched on.
#[cfg(feature = "mutants")]
#[inline(always)]
pub fn on(mutant: Mutant) -> bool {
    ACTIVE.load(std::sync::atomic::Ordering::Relaxed) == mutant as u8
}

/// Switches one bug on and any other off; `None`: all off. False if there is no bug of that name.
#[cfg(feature = "mutants")]
pub fn set(name: Option<&str>) -> bool {
    let code = match name {
        None => Some(u8::MAX),
        Some(name) => ALL.iter().find(|(known, _)| *known == name).map(|(_, mutant)| *mutant as u8),
    };
    if let Some(code) = code {
        ACTIVE.store(code, std::sync::atomic::Ordering::Relaxed);
    }
    code.is_some()
}

/// All names that [`set`] knows.
#[cfg(feature = "mutants")]
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}
