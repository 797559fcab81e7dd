"""DFT and STFT: transforms along one axis, computed in binary64 and rounded once.

The last axis of a tensor holds one real number or a real and an imaginary part.
"""

from __future__ import annotations

import math

import numpy as np

from diptych_reference.axes import normal_axis
from diptych_reference.errors import InvalidInputError, ShapeError
from diptych_reference.numerics import round_to
from diptych_reference.operator import Array, operator
from diptych_reference.ops.signal.transform import Complex, inverse, transform


@operator("DFT", since=20)
def dft(
    input: Array,
    dft_length: Array | None = None,
    axis: Array | None = None,
    *,
    inverse: int = 0,
    onesided: int = 0,
) -> Array:
    """The transform along `axis` (any but the last one, by default the one before it) of `dft_length` elements.

    Longer signals are cut off, shorter ones end with zeros. Inverse: divided by the length. Onesided: of a real signal
    the first `n // 2 + 1` elements; inverse, of so many the real signal of length n, by default `2 (elements - 1)`.
    """
    return along(input, dft_length, -2 if axis is None else scalar(axis, "axis"), bool(inverse), bool(onesided))


@operator("DFT", since=17)
def dft_17(
    input: Array, dft_length: Array | None = None, *, axis: int = 1, inverse: int = 0, onesided: int = 0
) -> Array:
    """DFT whose axis is an attribute, by default the first one after the batch."""
    return along(input, dft_length, axis, bool(inverse), bool(onesided))


def along(input: Array, dft_length: Array | None, axis: int, inverted: bool, onesided: bool) -> Array:
    """DFT of either version."""
    parts = check_parts(input, 2)
    at = normal_axis(axis, input.ndim)
    if at == input.ndim - 1:
        raise ShapeError(f"axis {axis} is the last one of rank {input.ndim}, which holds real and imaginary parts")
    if onesided and parts != (2 if inverted else 1):
        raise ShapeError(f"onesided: {'an inverse' if inverted else 'a'} transform of {parts} numbers an element")
    length = input.shape[at]
    default = 2 * (length - 1) if inverted and onesided else length
    n = default if dft_length is None else scalar(dft_length, "dft_length")
    if n < 1:
        raise InvalidInputError(f"a transform of length {n}")
    bins = n // 2 + 1
    x = lines_of(input, at, bins if inverted and onesided else n)
    re, im = inverse(mirrored(x, n) if onesided else x) if inverted else transform(x)
    if inverted and onesided:
        return restored((re,), input, at)
    keep = bins if onesided else n
    return restored((re[:, :keep], im[:, :keep]), input, at)


def check_parts(x: Array, least: int) -> int:
    """How many numbers an element has, 1 or 2."""
    if x.ndim < least or x.shape[-1] not in (1, 2):
        raise ShapeError(f"got shape {list(x.shape)}, expected rank {least} or more and a last axis of length 1 or 2")
    return int(x.shape[-1])


def scalar(value: Array, name: str) -> int:
    """The one element of an integer input."""
    if value.size != 1 or value.ndim > 1:
        raise ShapeError(f"{name} has shape {list(value.shape)}, expected a scalar")
    return int(value.reshape(())[()])


def lines_of(input: Array, axis: int, n: int) -> Complex:
    """Real and imaginary parts, [lines, n] in binary64, of the elements along `axis`, cut off or ended with zeros."""
    moved = np.moveaxis(input, axis, -2)
    kept = min(n, moved.shape[-2])
    lines = math.prod(moved.shape[:-2])
    parts = np.zeros((2, lines, n))
    for part in range(moved.shape[-1]):
        parts[part, :, :kept] = moved[..., :kept, part].reshape(lines, kept)
    return parts[0], parts[1]


def mirrored(x: Complex, n: int) -> Complex:
    """All n elements of a real signal's transform from the first n // 2 + 1; what must be real is taken as real."""
    re, im = np.zeros((len(x[0]), n)), np.zeros((len(x[0]), n))
    re[:, : n // 2 + 1] = x[0]
    inner = (n - 1) // 2
    im[:, 1 : inner + 1] = x[1][:, 1 : inner + 1]
    re[:, n - inner :], im[:, n - inner :] = x[0][:, inner:0:-1], -x[1][:, inner:0:-1]
    return re, im


def restored(parts: tuple[Array, ...], input: Array, axis: int) -> Array:
    """Lines back along `axis`, in the type of `input`."""
    shape = [size for at, size in enumerate(input.shape[:-1]) if at != axis]
    y = np.stack([round_to(part, input.dtype) for part in parts], axis=-1)
    return np.moveaxis(y.reshape(*shape, *y.shape[1:]), -2, axis)


@operator("STFT", since=17)
def stft(
    signal: Array,
    frame_step: Array,
    window: Array | None = None,
    frame_length: Array | None = None,
    *,
    onesided: int = 1,
) -> Array:
    """Transforms of frames of `signal` [batch, length, 1 or 2], `frame_step` apart: [batch, frames, bins, 2].

    Each element of a frame is multiplied with the window's (in binary64, rounded). As many frames as lie inside:
    `(length - frame_length) // frame_step + 1`. Onesided, for real signals: the first `frame_length // 2 + 1` bins.
    """
    parts = check_parts(signal, 3)
    step = scalar(frame_step, "frame_step")
    n = frame_size(signal, window, frame_length)
    if signal.ndim != 3 or (onesided and parts == 2):
        raise ShapeError(
            f"signal has shape {list(signal.shape)}, expected [batch, length, 1{'' if onesided else ' or 2'}]"
        )
    if step < 1 or n < 1:
        raise InvalidInputError(f"frames of length {n}, {step} apart")
    batch, length = signal.shape[:2]
    frames = max((length - n) // step + 1, 0)
    places = np.arange(frames)[:, None] * step + np.arange(n)
    weights = np.ones(n) if window is None else window.astype(np.float64)
    framed = signal[:, places].astype(np.float64).reshape(batch * frames, n, parts)
    weighted = [framed[..., part] * weights for part in range(parts)]
    re, im = transform((weighted[0], weighted[1] if parts == 2 else np.zeros_like(weighted[0])))
    bins = n // 2 + 1 if onesided else n
    y = np.stack([round_to(re[:, :bins], signal.dtype), round_to(im[:, :bins], signal.dtype)], axis=-1)
    return y.reshape(batch, frames, bins, 2)


def frame_size(signal: Array, window: Array | None, frame_length: Array | None) -> int:
    """The length of a frame: frame_length, else the window's, else the signal's."""
    if window is not None and window.ndim != 1:
        raise ShapeError(f"window has shape {list(window.shape)}, expected rank 1")
    given = None if frame_length is None else scalar(frame_length, "frame_length")
    if window is None:
        return signal.shape[1] if given is None else given
    if given is not None and given != len(window):
        raise ShapeError(f"frame_length is {given}, the window has {len(window)} elements")
    return len(window)
