"""Sequences, optionals and bodies applied to parts: nothing is rounded."""

from __future__ import annotations

from diptych.testing.oracles.base import moves

moves(
    "ConcatFromSequence", "Optional", "OptionalGetElement", "OptionalHasElement", "Scan", "SequenceAt",
    "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceLength", "SequenceMap",
    "SplitToSequence",
)  # fmt: skip
