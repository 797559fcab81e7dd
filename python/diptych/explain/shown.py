"""Values in few letters: dtype, shape, the first elements, and a digest that shows whether two are equal."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from diptych_reference import NOTHING

__all__ = ["Shown", "digest", "element", "kind_of", "show"]

ELEMENTS = 8


@dataclass(frozen=True)
class Shown:
    """A value for people: its name, `kind` such as `float32[2, 3]`, its first elements, a digest of its bits."""

    name: str
    kind: str
    shown: str
    digest: str


def show(name: str, value: Any, elements: int = ELEMENTS) -> Shown:
    """Describe a value of a model: an array, a list for a sequence, a dict for a map, None for what is absent."""
    return Shown(name, kind_of(value), _elements(value, elements), digest(value))


def kind_of(value: Any) -> str:
    """Dtype and shape, or what else it is."""
    if value is None or value is NOTHING:
        return "absent"
    if isinstance(value, list):
        return f"sequence of {len(value)}"
    if isinstance(value, dict):
        return f"map of {len(value)}"
    array = np.asarray(value)
    name = "string" if array.dtype.kind in "OSU" else array.dtype.name
    return f"{name}{list(array.shape)}"


def element(value: Any) -> str:
    """One element: floats with the digits that tell neighbours of a binary32 apart only where they are needed."""
    if isinstance(value, str | bytes):
        return repr(value)
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, complex | np.complexfloating):
        return f"{value.real:.4g}{value.imag:+.4g}j"
    try:
        return f"{float(value):.5g}"
    except (TypeError, ValueError):  # an element of an array of objects that is not set yet, say
        return repr(value)


def digest(value: Any) -> str:
    """Eight hexadecimal digits of SHA-256 over dtype, shape and bits; "" for what holds no bits of its own."""
    if value is None or value is NOTHING:
        return ""
    state = hashlib.sha256()
    _feed(state, value)
    return state.hexdigest()[:8]


def _feed(state: Any, value: Any) -> None:
    """Add a value to a digest."""
    if isinstance(value, list):
        state.update(f"sequence {len(value)}".encode())
        for item in value:
            _feed(state, item)
    elif isinstance(value, dict):
        state.update(repr(list(value.items())).encode())
    elif value is not None and value is not NOTHING:
        array = np.asarray(value)
        state.update(f"{array.dtype.name}{list(array.shape)}".encode())
        plain = array.dtype.kind in "OSU"
        state.update(repr(array.tolist()).encode() if plain else np.ascontiguousarray(array).tobytes())


def _elements(value: Any, limit: int) -> str:
    """The first elements in row-major order, an ellipsis where there are more."""
    if value is None or value is NOTHING:
        return ""
    if isinstance(value, list):
        return "; ".join(f"{kind_of(item)} {_elements(item, 4)}" for item in value[:3]) + ("; …" if value[3:] else "")
    if isinstance(value, dict):
        pairs = [f"{key!r}: {item if isinstance(item, str) else element(item)}" for key, item in value.items()]
        return ", ".join(pairs[:limit]) + (", …" if pairs[limit:] else "")
    array = np.asarray(value)
    first = array.reshape(-1)[:limit] if array.flags.c_contiguous else array.flat[:limit]
    return " ".join(element(item) for item in first) + (" …" if array.size > limit else "")
