"""What the rules of ai.onnx.ml share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from diptych.testing.shapes import SIDES
from diptych.testing.sketch import Rule, Sketch, shape_rule
from diptych.testing.values import Array

__all__ = ["DOMAIN", "batch", "floats", "integers", "labels", "ml_rule", "strings", "transform"]

DOMAIN = "ai.onnx.ml"
Registered = TypeVar("Registered", bound=Rule)
TRANSFORMS = ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT")
ROWS = (1, 2, 3, 0, 7, 8, 9, 16, 17, 65, 131)
WORDS = ("", "a", "b", "ab", "äöü", "日本", "NaN", "7")


def ml_rule(*op_types: str) -> Callable[[Registered], Registered]:
    """Register a shape rule of the domain."""
    return shape_rule(*op_types, domain=DOMAIN)


def batch(s: Sketch, most: int = 21, least: int = 0) -> tuple[int, ...]:
    """The shape of rows of features, [N, F] or [F]."""
    features = s.choose(*(n for n in SIDES if least <= n <= most))
    return (s.choose(*ROWS), features) if s.integer(0, 4) else (features,)


def floats(s: Sketch, count: int, *, specials: bool = True) -> list[float]:
    """A list of binary32 numbers."""
    numbers: list[float] = s.tensor((count,), np.float32, specials=specials).tolist()
    return numbers


def integers(s: Sketch, count: int) -> list[int]:
    """A list of integers, small ones at times, so that some are equal."""
    numbers: list[int] = s.tensor((count,), np.int64).tolist()
    return numbers


def strings(s: Sketch, count: int) -> list[str]:
    """A list of strings, some of them equal."""
    return [str(s.choose(*WORDS)) for _ in range(count)]


def transform(s: Sketch) -> None:
    """Perhaps a transform of the scores, by name."""
    s.attribute("post_transform", *TRANSFORMS)


def labels(s: Sketch, count: int, integer_name: str, string_name: str) -> None:
    """Labels of one kind."""
    if s.coin():
        s.set(string_name, strings(s, count))
    else:
        s.set(integer_name, integers(s, count))


def picks(s: Sketch, source: Array, count: int, otherwise: Array) -> Array:
    """`count` elements, each from `source` (what may be equal to it then) or `otherwise`, by a seed."""
    random = np.random.default_rng(s.integer(0, 0xFFFF))
    if not source.size or not count:
        return otherwise
    chosen = source.reshape(-1)[random.integers(0, source.size, count)]
    with np.errstate(all="ignore"):
        chosen = chosen.astype(otherwise.dtype)
    return np.where(random.random(count) < 0.5, chosen, otherwise)
