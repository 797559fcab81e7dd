"""Traps of Cast and CastLike."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto

from diptych.testing.values import onnx_number

from .both import answer, same

NAN, INF = np.nan, np.inf


def cast(x: np.ndarray, to: object, opset: int = 25, **attributes: object) -> np.ndarray:
    """Cast, which CastLike must agree with."""
    number = to if isinstance(to, int) else onnx_number(to)
    got = answer("Cast", [x], {"to": number, **attributes}, opset=opset)
    if not isinstance(to, int):
        like = answer("CastLike", [x, np.zeros(1, to)], attributes, opset=opset)
        assert like.dtype == got.dtype
        assert like.tobytes() == got.tobytes()
    return got


@pytest.mark.parametrize("source", [np.float32, np.float64, np.float16])
def test_floats_beyond_an_integer_type_saturate_and_nan_is_zero(source: type) -> None:
    """Undefined in ONNX: x86 gives the least integer, or wraps."""
    x = np.array([300, -300, NAN, INF, -INF, 2.9, -2.9], source)
    same(cast(x, np.int8), [127, -128, 0, 127, -128, 2, -2])
    same(cast(x, np.uint8), [255, 0, 0, 255, 0, 2, 0])
    same(cast(x, np.int64)[2:5], [0, 2**63 - 1, -(2**63)])


def test_integers_keep_their_low_bits() -> None:
    same(cast(np.int32([200, -1, 256, 65535]), np.int8), [-56, -1, 0, -1])
    same(cast(np.int64([-1, 2**40 + 7]), np.uint32), [2**32 - 1, 7])
    assert cast(np.int32([200, -1]), np.dtype(ml_dtypes.int4)).astype(int).tolist() == [-8, -1]
    assert cast(np.int32([200, -1, 7]), np.dtype(ml_dtypes.uint2)).astype(int).tolist() == [0, 3, 3]


def test_only_zeros_are_false() -> None:
    same(cast(np.float32([0.0, -0.0, NAN, 1e-45, INF, 0.1]), np.bool_), [False, False, True, True, True, True])
    same(cast(np.array([0.0, -0.0, 5e-324]), np.bool_), [False, False, True])


def test_float8_saturates_unless_told_not_to() -> None:
    x = np.float32([INF, -INF, NAN, 1e6, -1e6, -0.0, 0.0])
    fn, fnuz, e5, e5uz = (
        np.dtype(getattr(ml_dtypes, f"float8_{name}")) for name in ("e4m3fn", "e4m3fnuz", "e5m2", "e5m2fnuz")
    )
    for dtype, top in ((fn, 448), (fnuz, 240), (e5, 57344), (e5uz, 57344)):
        got = cast(x, dtype).astype(np.float32)
        np.testing.assert_array_equal(got[:6], np.float32([top, -top, NAN, top, -top, 0.0]))
        # The types without negative zero have its code for NaN.
        assert bool(np.signbit(got[5])) == (dtype in (fn, e5))
    for dtype in (fn, fnuz, e5uz):
        assert np.isnan(cast(x, dtype, saturate=0).astype(np.float32)[:5]).all()
    np.testing.assert_array_equal(cast(x, e5, saturate=0).astype(np.float32)[:5], [INF, -INF, NAN, INF, -INF])


def test_float8_rounds_to_even() -> None:
    got = cast(np.float32([1.0625, 1.1875, 17, 19, 0.0009765625]), np.dtype(ml_dtypes.float8_e4m3fn))
    assert got.astype(float).tolist() == [1.0, 1.25, 16, 20, 0.0]


def test_powers_of_two_round_as_asked() -> None:
    """Ties go up in "nearest"; what has no sign loses it."""
    x = np.float32([1, 1.1, 1.5, 1.75, 2, -3, 3e38, 1e-45])
    e8 = np.dtype(ml_dtypes.float8_e8m0fnu)
    top, least = 2.0**127, 2.0**-127
    expected = {
        "up": [1, 2, 2, 2, 2, 4, top, least],
        "down": [1, 1, 1, 1, 2, 2, top, least],
        "nearest": [1, 1, 2, 2, 2, 4, top, least],
    }
    for mode, values in expected.items():
        assert cast(x, e8, round_mode=mode).astype(float).tolist() == values, mode
    assert cast(x[:2], e8).astype(float).tolist() == [1, 2]  # up is the default


def test_four_and_two_bits_are_packed_and_keep_low_bits() -> None:
    for dtype, width in ((ml_dtypes.int4, 4), (ml_dtypes.uint4, 4), (ml_dtypes.int2, 2), (ml_dtypes.uint2, 2)):
        x = np.arange(-9, 20, dtype=np.int32)
        low = x & ((1 << width) - 1)
        signed = "uint" not in np.dtype(dtype).name
        expected = np.where(signed & (low >> (width - 1) == 1), low - (1 << width), low)
        got = cast(x, np.dtype(dtype))
        assert got.astype(int).tolist() == expected.tolist()
        same(cast(got, np.int32), expected, np.int32)  # and back, with an odd number of elements


def test_floats_as_text() -> None:
    """The shortest decimal, and the spellings of what is no number, in any case."""
    texts = answer(
        "Cast", [np.float32([1, 0.1, 1e10, 1e-7, INF, -INF, NAN, 1e20])], {"to": TensorProto.STRING}, opset=13
    )
    assert texts.tolist() == ["1.0", "0.1", "10000000000.0", "1e-07", "INF", "-INF", "NaN", "1e+20"]
    words = np.array(["INF", "+inf", "-Inf", "nan", " 1e3 ", "-0"], object)
    same(answer("Cast", [words], {"to": 1}, opset=13), [INF, INF, -INF, NAN, 1000, -0.0])
    same(answer("CastLike", [words[4:], np.zeros(0, np.float64)], opset=15), [1000, -0.0], np.float64)
    assert answer("CastLike", [np.int32([7]), np.array(["x"], object)], opset=15).tolist() == ["7"]


def test_castlike_ignores_the_elements_of_its_target() -> None:
    x = np.float32([1.5, NAN])
    same(answer("CastLike", [x, np.zeros((0, 3), np.int32)], opset=15), [1, 0], np.int32)
    same(answer("CastLike", [x, np.float32([7])], opset=15), x)
