"""DFT, STFT, windows, the mel scale: defaults that differ between versions, lengths, what the text leaves open."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto
from tests.traps.both import answer, refusals, same

from diptych_reference.numerics import round_to

F32 = np.float32


def as_complex(x: Any) -> Any:
    """The last axis as complex numbers."""
    return x[..., 0].astype(np.float64) + 1j * x[..., 1].astype(np.float64)


def real(*shape: int) -> Any:
    """Numbers of no symmetry, one an element."""
    return (np.arange(np.prod(shape)).reshape(*shape, 1) * 7 % 11 - 4).astype(F32)


# DFT


def test_the_axis_is_an_attribute_in_17_and_an_input_in_20() -> None:
    """By default the first after the batch, and the last of the signal."""
    x = real(2, 3, 4)
    np.testing.assert_allclose(as_complex(answer("DFT", [x], opset=17)), np.fft.fft(x[..., 0], axis=1), atol=1e-5)
    np.testing.assert_allclose(as_complex(answer("DFT", [x], opset=20)), np.fft.fft(x[..., 0], axis=2), atol=1e-5)
    for axis in (0, -4):
        expected = np.fft.fft(x[..., 0], axis=0)
        np.testing.assert_allclose(as_complex(answer("DFT", [x], {"axis": axis}, opset=17)), expected, atol=1e-5)
        y = answer("DFT", [x, None, np.array(axis)], opset=20)
        np.testing.assert_allclose(as_complex(y), expected, atol=1e-5)
    refusals("DFT", [x], {"axis": 1}, opset=20)
    refusals("DFT", [x, None, np.array(1)], opset=17)


@pytest.mark.parametrize("axis", [3, -1, 4, -5])
def test_the_last_axis_is_none(axis: int) -> None:
    refusals("DFT", [real(2, 3, 4), None, np.array(axis)], opset=20)


def test_real_parts_alone_or_both_and_nothing_else() -> None:
    refusals("DFT", [np.zeros((2, 4, 3), F32)], opset=20)
    refusals("DFT", [np.zeros((2, 4, 2), F32)], {"onesided": 1}, opset=20)
    refusals("DFT", [np.zeros((2, 4, 1), F32)], {"onesided": 1, "inverse": 1}, opset=20)


@pytest.mark.parametrize("n", [2, 5, 8])
def test_lengths_cut_and_pad(n: int) -> None:
    x = real(2, 5)
    y = answer("DFT", [x, np.array(n)], opset=20)
    np.testing.assert_allclose(as_complex(y), np.fft.fft(x[..., 0], n=n), atol=1e-5)
    y = answer("DFT", [x, np.array(n, np.int32)], {"onesided": 1}, opset=20)
    np.testing.assert_allclose(as_complex(y), np.fft.rfft(x[..., 0], n=n), atol=1e-5)
    assert y.shape == (2, n // 2 + 1, 2)


def test_onesided_inverse_is_real() -> None:
    """IRFFT: the last axis has length 1, and the length is by default even."""
    x = np.concatenate([real(2, 4), real(2, 4) + 3], axis=-1)
    z = as_complex(x)
    for n in (None, 7, 6, 3, 10):
        y = answer("DFT", [x, None if n is None else np.array(n)], {"onesided": 1, "inverse": 1}, opset=20)
        assert y.shape == (2, n or 6, 1)
        np.testing.assert_allclose(y[..., 0], np.fft.irfft(z, n=n), atol=1e-5)


def test_the_inverse_divides_by_the_length() -> None:
    x = np.concatenate([real(3, 5), real(3, 5) - 1], axis=-1)
    for opset in (17, 20):
        y = answer("DFT", [x], {"inverse": 1}, opset=opset)
        np.testing.assert_allclose(as_complex(y), np.fft.ifft(as_complex(x)), atol=1e-6)


@pytest.mark.parametrize("n", [0, -1])
def test_no_transform_of_no_elements(n: int) -> None:
    refusals("DFT", [real(2, 5), np.array(n)], opset=20)
    refusals("DFT", [np.zeros((2, 1, 2), F32)], {"onesided": 1, "inverse": 1}, opset=20)
    refusals("DFT", [np.zeros((2, 0, 1), F32)], opset=20)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 30, 31, 37, 74, 97, 360, 1000, 1024, 1023, 4096, 8192])
def test_lengths_of_all_kinds_are_precise(n: int) -> None:
    """binary32 is rounded from binary64: sums that are exactly zero stay below 1e-7, the suite's tolerance."""
    x = np.random.default_rng(n).normal(size=(3, n, 2)).astype(F32)
    y = as_complex(answer("DFT", [x], opset=20))
    z = np.fft.fft(as_complex(x))
    np.testing.assert_allclose(y, z, rtol=2e-7, atol=1e-12 * n)
    flat = np.ones((1, n, 1), F32)
    y = answer("DFT", [flat], opset=20)
    np.testing.assert_allclose(y[0, 0], [n, 0], atol=1e-12 * n)
    assert np.abs(y[0, 1:]).max(initial=0) < 1e-10 * n


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_narrow_types_are_rounded_once(dtype: Any) -> None:
    x = np.random.default_rng(5).normal(size=(2, 12, 1)).astype(dtype)
    wide = round_to(answer("DFT", [x.astype(np.float64)], opset=20), dtype)
    same(answer("DFT", [x], opset=20).view(np.uint16), wide.view(np.uint16))


# STFT


@pytest.mark.parametrize(
    ("length", "step", "frames"), [(16, 1, 1), (17, 1, 2), (20, 4, 2), (23, 4, 2), (24, 4, 3), (15, 1, 0)]
)
def test_frames_that_lie_inside(length: int, step: int, frames: int) -> None:
    """And onesided is the default."""
    y = answer("STFT", [real(1, length), np.array(step), np.ones(16, F32)], opset=17)
    assert y.shape == (1, frames, 9, 2)
    y = answer("STFT", [real(1, length), np.array(step), None, np.array(16)], {"onesided": 0}, opset=17)
    assert y.shape == (1, frames, 16, 2)


def test_the_window_weighs_each_frame() -> None:
    x, window = real(2, 10), np.array([1, 2, 3, 4], F32)
    y = as_complex(answer("STFT", [x, np.array(3), window], {"onesided": 0}, opset=17))
    for frame in range(3):
        expected = np.fft.fft(x[:, 3 * frame : 3 * frame + 4, 0] * window)
        np.testing.assert_allclose(y[:, frame], expected, atol=1e-5)


def test_lengths_of_frames() -> None:
    x = real(1, 8)
    assert answer("STFT", [x, np.array(2)], opset=17).shape == (1, 1, 5, 2)  # the whole signal
    refusals("STFT", [x, np.array(2), np.ones(4, F32), np.array(5)], opset=17)
    refusals("STFT", [x, np.array(0), np.ones(4, F32)], opset=17)
    refusals("STFT", [x, np.array(1), None, np.array(0)], opset=17)
    refusals("STFT", [np.zeros((1, 8, 2), F32), np.array(1), np.ones(4, F32)], opset=17)  # complex and onesided
    assert (
        answer("STFT", [np.zeros((1, 8, 2), F32), np.array(1), np.ones(4, F32)], {"onesided": 0}, opset=17).shape[2]
        == 4
    )


# Windows


def test_periodic_and_symmetric() -> None:
    hann = [answer("HannWindow", [np.array(4)], {"periodic": p}, opset=17) for p in (1, 0)]
    same(hann[0], [0, 0.5, 1, 0.5])
    np.testing.assert_allclose(hann[1], [0, 0.75, 0.75, 0], atol=1e-7)
    hamming = answer("HammingWindow", [np.array(4)], {"output_datatype": TensorProto.DOUBLE}, opset=17)
    np.testing.assert_allclose(hamming, 25 / 46 - 21 / 46 * np.cos(np.pi * np.arange(4) / 2), atol=1e-15)
    blackman = answer("BlackmanWindow", [np.array(4, np.int32)], opset=17)
    np.testing.assert_allclose(blackman, [0, 0.34, 1, 0.34], atol=1e-7)


@pytest.mark.parametrize("name", ["HannWindow", "HammingWindow", "BlackmanWindow"])
def test_windows_of_one_element_and_none(name: str) -> None:
    same(answer(name, [np.array(1)], {"periodic": 0}, opset=17), [1.0], F32)
    assert answer(name, [np.array(0)], opset=17).shape == (0,)
    refusals(name, [np.array(-1)], opset=17)
    refusals(name, [np.array(4)], {"periodic": 2}, opset=17)
    refusals(name, [np.array(4)], {"output_datatype": TensorProto.BOOL}, opset=17)


@pytest.mark.parametrize("name", ["HannWindow", "HammingWindow", "BlackmanWindow"])
def test_the_peak_is_1_as_an_integer_too(name: str) -> None:
    y = answer(name, [np.array(12)], {"output_datatype": TensorProto.UINT8}, opset=17)
    same(y, [0] * 6 + [1] + [0] * 5, np.uint8)


# The mel scale


def test_triangles_inside_and_beyond() -> None:
    args = [np.array(8), np.array(16), np.array(8192)]
    y = answer("MelWeightMatrix", [*args, np.array(0, F32), np.array(4096, F32)], opset=17)
    assert y.shape == (9, 8)
    assert y.max() == 1
    beyond = answer("MelWeightMatrix", [*args, np.array(-100, F32), np.array(9000, F32)], opset=17)
    assert beyond.shape == (9, 8)
    assert np.isfinite(beyond).all()
    for wrong in (0, 1, 2):
        broken = [np.array(-1) if i == wrong else value for i, value in enumerate(args)]
        refusals("MelWeightMatrix", [*broken, np.array(0, F32), np.array(4096, F32)], opset=17)
