"""When two results count as equal."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from diptych.compare import compare

FLOATS = [np.float16, np.float32, np.float64, ml_dtypes.bfloat16, np.complex64]
TYPES = [*FLOATS, np.int8, np.uint64, np.bool_, ml_dtypes.int4, ml_dtypes.float8_e4m3fn, object]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(), (0,), (2, 3), (0, 3)])
def test_equal_arrays(dtype: type, shape: tuple[int, ...]) -> None:
    a = np.ones(shape, dtype)
    result = compare(a, a.copy())
    assert (result.problem, result.elements, result.differing) == ("", a.size, 0)


@pytest.mark.parametrize("dtype", TYPES)
def test_one_element_differs(dtype: type) -> None:
    a = np.ones((2, 3), dtype)
    b = a.copy()
    b[1, 2] = 0
    result = compare(a, b)
    assert (result.differing, result.index, result.equal) == (1, (1, 2), False)
    assert "at [1, 2]" in result.problem


@pytest.mark.parametrize("dtype", FLOATS)
def test_signed_zeros_differ_and_nans_do_not(dtype: type) -> None:
    zero, nan = np.zeros(1, dtype), np.array([np.nan], dtype)
    assert not compare(zero, -zero).equal
    assert compare(nan, -nan).equal
    assert not compare(nan, zero).equal


SMALL_FLOATS = [np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2fnuz]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", SMALL_FLOATS)
def test_every_nan_counts_as_one_in_silence(dtype: type) -> None:
    """Signalling ones too: of all patterns against NaN none but the numbers differ, and nothing warns."""
    width = np.dtype(f"u{np.dtype(dtype).itemsize}")
    patterns = np.arange(np.iinfo(width).max + 1).astype(width).view(dtype)
    with np.errstate(invalid="ignore"):
        numbers = np.count_nonzero(~np.isnan(patterns))
    assert 0 < numbers < patterns.size
    assert compare(np.full(patterns.shape, np.nan).astype(dtype), patterns).differing == numbers


def test_kinds_dtypes_and_shapes() -> None:
    a = np.ones(1, np.float32)
    assert "dtype float64" in compare(a, a.astype(np.float64)).problem
    assert "shape []" in compare(a, a[0:1].reshape(())).problem
    assert "NoneType" in compare(a, None).problem
    assert compare(None, None).equal


def test_sequences() -> None:
    a = [np.ones(2, np.float32), np.zeros(3, np.float32)]
    assert compare(a, [x.copy() for x in a]).elements == 5
    assert compare(a, a[:1]).problem == "a sequence of 1, expected 2"
    assert compare(a, [a[0], a[1] + 1]).problem.startswith("item 1: 3 of 3")
