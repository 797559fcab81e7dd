"""ai.onnx.preview.training: one step of an optimizer (docs/numerics.md, section 4).

Inputs are R (the learning rate), T (how many steps there were), then the optimized tensors, then their gradients, then
their accumulated values of one or two kinds; outputs the new tensors and the new accumulated values. Each tensor is
optimized for itself, in its own type. What depends on R, T and attributes alone is computed in binary64, once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from diptych_reference import numerics
from diptych_reference.errors import InvalidModelError, InvalidTypeError, ShapeError
from diptych_reference.operator import Array, operator

DOMAIN = "ai.onnx.preview.training"


@operator("Adagrad", since=1, domain=DOMAIN)
def adagrad(
    r: Array,
    t: Array,
    *inputs: Array,
    decay_factor: float = 0.0,
    epsilon: float = 1e-6,
    norm_coefficient: float = 0.0,
) -> tuple[Array, ...]:
    """X, G, H (accumulated squared gradients) of each tensor -> X', H'.

    `g = norm * X + G`; `H' = H + g * g`; `X' = X - r * g / (sqrt(H') + epsilon)`, `r = R / (1 + T * decay)`.
    """
    rate = number("R", r) / (1 + number("T", t) * decay_factor)

    def step(x: Array, g: Array, h: Array) -> tuple[Array, ...]:
        one = x.dtype.type
        g = one(norm_coefficient) * x + g
        h = h + g * g
        return x - one(rate) * g / (np.sqrt(h) + one(epsilon)), h

    return each(step, inputs, 3)


@operator("Adam", since=1, domain=DOMAIN)
def adam(
    r: Array,
    t: Array,
    *inputs: Array,
    alpha: float = 0.9,
    beta: float = 0.999,
    epsilon: float = 1e-6,
    norm_coefficient: float = 0.0,
    norm_coefficient_post: float = 0.0,
) -> tuple[Array, ...]:
    """X, G, V (averaged gradients), H (averaged squared gradients) of each tensor -> X', V', H'.

    `g = norm * X + G`; `V' = alpha * V + (1 - alpha) * g`; `H' = beta * H + (1 - beta) * g * g`;
    `X' = (1 - norm_post) * (X - r * V' / (sqrt(H') + epsilon))`, `r` being R with the averages' bias corrected.
    """
    steps = number("T", t)
    rate = number("R", r)
    if steps > 0:
        rate = rate * np.sqrt(1 - power(beta, steps)) / (1 - power(alpha, steps))

    def step(x: Array, g: Array, v: Array, h: Array) -> tuple[Array, ...]:
        one = x.dtype.type
        g = one(norm_coefficient) * x + g
        v = one(alpha) * v + one(1 - alpha) * g
        h = one(beta) * h + one(1 - beta) * g * g
        x = x - one(rate) * v / (np.sqrt(h) + one(epsilon))
        return one(1 - norm_coefficient_post) * x, v, h

    return each(step, inputs, 4)


@operator("Momentum", since=1, domain=DOMAIN)
def momentum(
    r: Array, t: Array, *inputs: Array, alpha: float, beta: float, mode: str, norm_coefficient: float
) -> tuple[Array, ...]:
    """X, G, V (momentum) of each tensor -> X', V'.

    `g = norm * X + G`; `V' = alpha * V + beta * g` (in the first step, `T <= 0`, without beta); `X' = X - R * V'`, with
    Nesterov's momentum `X' = X - R * (g + alpha * V')`.
    """
    if mode not in ("standard", "nesterov"):
        raise InvalidModelError(f"mode is {mode!r}, expected 'standard' or 'nesterov'")
    rate = number("R", r)
    factor = beta if number("T", t) > 0 else 1.0

    def step(x: Array, g: Array, v: Array) -> tuple[Array, ...]:
        one = x.dtype.type
        g = one(norm_coefficient) * x + g
        v = one(alpha) * v + one(factor) * g
        return x - one(rate) * (g + one(alpha) * v if mode == "nesterov" else v), v

    return each(step, inputs, 3)


def number(name: str, value: Array) -> Any:
    """The one number of an input, in binary64."""
    if value.size != 1:
        raise ShapeError(f"{name} has shape {list(value.shape)}, expected one number")
    return value.reshape(()).astype(np.float64)[()]


def power(base: float, exponent: Any) -> Any:
    """`base ^ exponent` in binary64."""
    return numerics.power(np.asarray(base, np.float64), np.asarray(exponent)).reshape(())[()]


def each(step: Callable[..., tuple[Array, ...]], inputs: Sequence[Array], kinds: int) -> tuple[Array, ...]:
    """`step` of each tensor with its gradient and accumulated values; the results by kind, as the inputs are."""
    if len(inputs) % kinds:
        raise InvalidModelError(f"{len(inputs)} inputs after R and T, expected {kinds} for each tensor")
    count = len(inputs) // kinds
    results = []
    for i in range(count):
        values = inputs[i::count]
        if any(value.dtype != values[0].dtype for value in values):
            raise InvalidTypeError(f"tensor {i} and what belongs to it have types {[v.dtype.name for v in values]}")
        if any(value.shape != values[0].shape for value in values):
            raise ShapeError(f"tensor {i} and what belongs to it have shapes {[list(v.shape) for v in values]}")
        results.append(step(*values))
    return tuple(result[kind] for kind in range(kinds - 1) for result in results)
