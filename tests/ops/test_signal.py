"""Fourier transforms of lengths and axes that strategies seldom draw, and their symmetries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from diptych.testing import Case, difference, engine_paths, on_engine, on_reference
from diptych_reference.numerics.circle import circle


def check(case: Case) -> Any:
    """All paths of the engine against the reference; the first output."""
    expected = on_reference(case)
    assert expected.error is None, expected.error
    for isa, threads in engine_paths((1, 2)):
        problem = difference(expected, on_engine(case, isa, threads))
        assert not problem, f"{isa}, {threads} threads: {problem}"
    return expected.outputs[0]


@pytest.mark.parametrize("n", [121, 169, 243, 625, 1000, 1013, 2048, 2310, 3072, 4099, 16384, 1 << 17])
@pytest.mark.parametrize("lines", [1, 2])
def test_lengths(n: int, lines: int) -> None:
    """One line alone and two side by side, lengths above and below what fits a cache, with and without butterflies."""
    x = np.random.default_rng(n).normal(size=(lines, n, 2)).astype(np.float32)
    y = check(Case("DFT", "", 20, (x,), {}, 1))
    z = np.fft.fft(x[..., 0].astype(np.float64) + 1j * x[..., 1])
    np.testing.assert_allclose(y[..., 0] + 1j * y[..., 1].astype(np.float64), z, rtol=3e-7, atol=1e-11 * n)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("attributes", [{}, {"onesided": 1}, {"inverse": 1}, {"inverse": 1, "onesided": 1}])
def test_axes(axis: int, attributes: dict[str, int]) -> None:
    """More lines than run side by side, neighbours and far apart."""
    parts = 1 if attributes == {"onesided": 1} else 2
    x = np.random.default_rng(axis).normal(size=(11, 13, 9, parts))
    y = check(Case("DFT", "", 20, (x, np.array(12), np.array(axis)), attributes, 1))
    z = x[..., 0] if parts == 1 else x[..., 0] + 1j * x[..., 1]
    transform = {
        (): np.fft.fft,
        ("onesided",): np.fft.rfft,
        ("inverse",): np.fft.ifft,
        ("inverse", "onesided"): np.fft.irfft,
    }[tuple(attributes)]
    expected = transform(z, n=12, axis=axis)  # type: ignore[operator]
    actual = y[..., 0] if y.shape[-1] == 1 else y[..., 0] + 1j * y[..., 1]
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-13)


def test_frames_side_by_side() -> None:
    signal = np.random.default_rng(0).normal(size=(3, 400, 1)).astype(np.float32)
    window = np.hanning(48).astype(np.float32)
    y = check(Case("STFT", "", 17, (signal, np.array(7), window), {}, 1))
    assert y.shape == (3, 51, 25, 2)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 12, 37, 1000])
def test_fractions_of_the_circle(n: int) -> None:
    """Quarters are exact; a turn the other way negates the sine alone."""
    k = np.arange(n)
    cos, sin = circle(k, n)
    assert (cos[0], sin[0]) == (1, 0)
    assert np.array_equal(cos[1:], cos[:0:-1])
    assert np.array_equal(sin[1:], -sin[:0:-1])
    if n % 4 == 0:
        assert (cos[n // 4], sin[n // 4], cos[n // 2], sin[n // 2]) == (0, 1, -1, 0)
    np.testing.assert_allclose(cos + 1j * sin, np.exp(2j * np.pi * k / n), rtol=0, atol=2e-15)
