"""What tensors hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from diptych.reducer.candidate import Candidate

__all__ = ["plain_tensors", "single_elements", "sparse_tensors"]

FEW = 64  # elements that are looked at one by one


def plain_tensors(candidate: Candidate) -> Iterator[Candidate]:
    """All tensors, then each: zeros, ones, whole numbers, eighths."""
    tensors = candidate.tensors
    for simpler in (_zeros, _ones, _whole, _eighths):
        if len(tensors) > 1:
            yield candidate.with_tensors({key: simpler(array) for key, array in tensors.items()})
        for key, array in tensors.items():
            yield candidate.with_tensors({key: simpler(array)})


def sparse_tensors(candidate: Candidate) -> Iterator[Candidate]:
    """Tensors with halves, quarters and so on of their elements set to zero."""
    for key, array in candidate.tensors.items():
        flat = array.reshape(-1)
        places = np.flatnonzero(_nonzero(flat))
        pieces = 2
        while pieces <= min(len(places), FEW):
            for part in np.array_split(places, pieces):
                simpler = flat.copy()
                simpler[part] = _zeros(flat[:1])[0]
                yield candidate.with_tensors({key: simpler.reshape(array.shape)})
            pieces *= 2


def single_elements(candidate: Candidate) -> Iterator[Candidate]:
    """One element at a time: zero, one, minus one, the nearest whole number, eighth, and number of ten bits."""
    for key, array in candidate.tensors.items():
        if array.size > FEW:
            continue
        for index in np.ndindex(array.shape):
            element = array[index]
            for simpler in (_zeros, _ones, _minus_ones, _whole, _eighths, _short):
                changed = array.copy()
                changed[index] = simpler(np.asarray(element, dtype=array.dtype))[()]
                yield candidate.with_tensors({key: changed})


def _nonzero(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Where elements are not the simplest of their type."""
    if array.dtype.kind == "O":
        return np.asarray([bool(item) for item in array.flat]).reshape(array.shape)
    bits = np.ascontiguousarray(array).view(np.uint8).reshape(array.size, array.dtype.itemsize).any(axis=1)
    return np.asarray(bits).reshape(array.shape)


def _zeros(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.full(array.shape, "", object) if array.dtype.kind == "O" else np.zeros(array.shape, array.dtype)


def _ones(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.full(array.shape, "a", object) if array.dtype.kind == "O" else np.ones(array.shape, array.dtype)


def _minus_ones(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return -_ones(array) if array.dtype.kind in "fciV" else array


def _whole(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return _grid(array, 1)


def _eighths(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return _grid(array, 8)


def _grid(array: np.ndarray[Any, Any], steps: int) -> np.ndarray[Any, Any]:
    """Floats rounded to multiples of a part."""
    if array.dtype.kind not in "fcV":
        return array
    wide = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    with np.errstate(all="ignore"):
        return np.asarray(np.where(np.isfinite(wide), np.rint(wide * steps) / steps + 0.0, wide).astype(array.dtype))


def _short(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Floats with ten bits of their significand; halves of integers."""
    if array.dtype.kind in "iu":
        return np.asarray(array // array.dtype.type(2))
    if array.dtype.kind not in "fV":
        return array
    significand, exponent = np.frexp(array.astype(np.float64))
    return np.asarray(np.ldexp(np.rint(significand * 1024) / 1024, exponent).astype(array.dtype))
