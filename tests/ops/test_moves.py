"""Operators that move elements keep their bits, the sign and payload of a NaN included, on both panels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.testing import Case, Row, catalogue, on_engine, on_reference, operator_cases
from diptych.testing.catalogue import is_newest_meaning

MOVES = {
    "BitCast", "CenterCropPad", "Compress", "Concat", "ConcatFromSequence", "Constant", "ConstantOfShape",
    "DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "Pad", "Reshape",
    "ReverseSequence", "Scan", "SequenceInsert", "SequenceMap", "Slice", "SpaceToDepth", "Split", "SplitToSequence",
    "Squeeze", "TensorScatter", "Tile", "Transpose", "Trilu", "Unique", "Unsqueeze", "Where",
}  # fmt: skip
FLOATS = ("float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")
ROWS = [row for row in catalogue() if row.op_type in MOVES and is_newest_meaning(row)]


def tensors(values: Iterable[Any]) -> list[np.ndarray[Any, Any]]:
    """The tensors among some values, those in sequences too."""
    return [item for value in values for item in (value if isinstance(value, list) else [value]) if item is not None]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_bits_are_kept(row: Row) -> None:
    dtypes = [dtype for dtype in row.dtypes if dtype.name in FLOATS]

    @settings(max_examples=settings.default.max_examples)
    @given(st.sampled_from(dtypes).flatmap(lambda dtype: operator_cases(row.op_type, row.since, dtype)))
    def kept(case: Case) -> None:
        expected, actual = on_reference(case), on_engine(case)
        assert (expected.error is None) == (actual.error is None), f"{expected!r} against {actual!r}"
        for left, right in zip(tensors(expected.outputs), tensors(actual.outputs), strict=True):
            assert left.shape == right.shape
            width = np.dtype(f"u{left.dtype.itemsize}")
            bits = [np.ascontiguousarray(value).reshape(-1).view(width) for value in (left, right)]
            np.testing.assert_array_equal(*bits)

    kept()
