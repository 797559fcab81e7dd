"""Random numbers by NumPy's own generator: what the reference's stream becomes, with NumPy's logarithm."""

from __future__ import annotations

import math

import numpy as np
from onnx import TensorProto

from diptych.testing import Case
from diptych.testing.oracles.base import WIDE, Expected, moves, oracle, spacing

moves("Bernoulli", "Multinomial")  # outcomes are compared, not rounded: see tests/traps/test_random.py


@oracle("RandomUniform", "RandomUniformLike", "RandomNormal", "RandomNormalLike")
def drawn(case: Case) -> list[Expected | None] | None:
    """`RandomState(seed)`, where the case has a seed; a few roundings of the binary64 number are allowed."""
    if "seed" not in case.attributes:
        return None
    numbers = {name: float(np.float32(value)) for name, value in case.attributes.items() if isinstance(value, float)}
    state = np.random.RandomState(math.trunc(numbers["seed"]) % 2**32)
    shape = tuple(case.attributes["shape"]) if "shape" in case.attributes else case.inputs[0].shape
    if "Normal" in case.op_type:
        offset, factor = numbers.get("mean", 0.0), numbers.get("scale", 1.0)
        unit = state.standard_normal(shape)
    else:
        offset = numbers.get("low", 0.0)
        factor = numbers.get("high", 1.0) - offset
        unit = state.random_sample(shape)
    scaled = np.asarray(unit, WIDE) * WIDE(factor)
    exact, slack = offset + scaled, (8 * np.abs(scaled) + 2 * abs(offset)) * WIDE(2.0**-53)
    return [Expected(exact, slack + (spacing(exact, np.float32) / 2 if is_single(case) else 0))]


def is_single(case: Case) -> bool:
    """Whether the output is binary32, to which the binary64 number is rounded last."""
    kind = case.attributes.get("dtype")
    return kind == TensorProto.FLOAT if kind is not None else not case.inputs or case.inputs[0].dtype == np.float32
