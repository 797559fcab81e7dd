"""Operators that draw numbers, with seeds of all kinds and without."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.testing.families.constant import output_type
from diptych.testing.sketch import Sketch, shape_rule
from diptych.testing.values import Array, onnx_number

SEEDS = (0.0, 1.0, 2.5, -0.5, -1.0, 16777216.0, 4294967296.0, 3e38, -3e38)


@shape_rule("RandomUniform", "RandomNormal")
def shaped(s: Sketch) -> list[Any]:
    """Nothing but attributes. The case's type is that of the output."""
    if s.dtype != np.float32 or s.coin():
        s.set("dtype", onnx_number(s.dtype))
    s.set("shape", list(s.shape(limit=1500)))
    parameters(s)
    return []


@shape_rule("RandomUniformLike", "RandomNormalLike")
def like(s: Sketch) -> list[Any]:
    """A tensor of any type, whose shape counts; its type too, if it is one of floats."""
    if s.dtype in s.row.types(s.row.schema.outputs[0].type_str):
        output_type(s)
    else:
        s.set("dtype", onnx_number(s.choose(*s.row.types(s.row.schema.outputs[0].type_str))))
    parameters(s)
    return [s.tensor(s.shape(limit=1500))]


def parameters(s: Sketch) -> None:
    """The seed, and what the distribution has."""
    s.attribute("seed", *SEEDS)
    for name in ("low", "high", "mean", "scale"):
        s.attribute(name, 0.0, 1.0, -1.5, 0.1, 1e30, 3e38, -3e38)


@shape_rule("Bernoulli")
def bernoulli(s: Sketch) -> list[Any]:
    """Probabilities, some outside of [0, 1]."""
    s.attribute("seed", *SEEDS)
    output_type(s)
    x = s.shape(limit=1500)
    random = np.random.default_rng(s.integer(0, 0xFFFF))
    return [s.tensor(x) if s.coin() else np.asarray(random.random(x)).astype(s.dtype)]


@shape_rule("Multinomial")
def multinomial(s: Sketch) -> list[Any]:
    """Rows of logarithms with impossible classes among them, but none in which all are."""
    s.attribute("seed", *SEEDS)
    output_type(s)
    s.attribute("sample_size", 1, 2, 0, 7, 17, 700)
    batch, classes = s.integer(0, 3), s.choose(3, 1, 2, 7, 17, 37)
    return [logarithms(s, batch, classes)]


def logarithms(s: Sketch, batch: int, classes: int) -> Array:
    """Finite numbers, with -infinity wherever another pattern has it."""
    x = s.tensor((batch, classes), specials=False)
    random = np.random.default_rng(s.integer(0, 0xFFFF))
    impossible = random.random(x.shape) < s.choose(0.0, 0.3, 0.9)
    impossible[:, s.integer(0, classes - 1)] = False
    return np.asarray(np.where(impossible, -np.inf, x.astype(np.float64)).astype(s.dtype))
