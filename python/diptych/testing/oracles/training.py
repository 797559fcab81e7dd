"""Oracles of the optimizers: the formulas of ONNX's text, with running bounds of each step's error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from diptych.testing import Case
from diptych.testing.oracles.base import WIDE, Expected, oracle, own_unit, tiny, unit, wide
from diptych.testing.values import Array


@dataclass
class Near:
    """Numbers and how far what is computed may lie from them, in a type of unit roundoff `unit(dtype)`."""

    value: Any
    error: Any
    dtype: Any

    def rounded(self, value: Any, error: Any) -> Near:
        """A result with its own rounding; what overflows has no bound."""
        total = error * WIDE(1.01) + unit(self.dtype) * WIDE(1.01) * np.abs(value) + tiny(self.dtype)
        top = float(np.finfo(self.dtype).max) / 4
        return Near(value, np.where(np.abs(value) > top, np.inf, total), self.dtype)

    def __add__(self, other: Near) -> Near:
        return self.rounded(self.value + other.value, self.error + other.error)

    def __sub__(self, other: Near) -> Near:
        return self.rounded(self.value - other.value, self.error + other.error)

    def __mul__(self, other: Near) -> Near:
        error = np.abs(self.value) * other.error + np.abs(other.value) * self.error + self.error * other.error
        return self.rounded(self.value * other.value, error)

    def __truediv__(self, other: Near) -> Near:
        y = self.value / other.value
        sound = np.abs(other.value) > 2 * other.error
        error = (self.error + np.abs(y) * other.error) / (np.abs(other.value) - other.error)
        return self.rounded(y, np.where(sound, error, np.inf))

    def root(self) -> Near:
        """The square root."""
        y = np.sqrt(self.value)
        lowest = np.sqrt(np.maximum(self.value - self.error, 0))
        error = np.where(self.value > 2 * self.error, self.error / (y + lowest), np.inf)
        return self.rounded(y, np.where(self.error == 0, 0, error))


def attribute(case: Case, name: str, default: float = 0.0) -> Any:
    """A FLOAT attribute."""
    return WIDE(np.float32(case.attributes.get(name, default)))


@oracle("Adagrad", "Adam", "Momentum")
def optimizer(case: Case) -> list[Expected | None]:
    """All tensors with the formulas of one of the three."""
    rate, steps = exactly(case.inputs[0].reshape(()).astype(np.float64)), int(case.inputs[1].reshape(()))
    kinds = 4 if case.op_type == "Adam" else 3
    tensors = case.inputs[2:]
    count = len(tensors) // kinds
    step = {"Adagrad": adagrad, "Adam": adam, "Momentum": momentum}[case.op_type]
    results = [step(case, rate, steps, [exactly(t) for t in tensors[i::count]]) for i in range(count)]
    return [Expected(result[k].value, result[k].error) for k in range(kinds - 1) for result in results]


def exactly(x: Array) -> Near:
    """A tensor without an error."""
    return Near(wide(x), np.zeros(x.shape, WIDE), x.dtype)


def number(value: Any, like: Near) -> Near:
    """A factor: computed in binary64 in a few operations, rounded once to the type."""
    error = np.abs(value) * WIDE(own_unit(like.dtype, 2.0**-47)) * 4
    return Near(WIDE(value), np.zeros((), WIDE), like.dtype).rounded(WIDE(value), error)


def rounded_to(dtype: Any, x: Near) -> Near:
    """What was computed in binary64 as a number of the tensors' type."""
    return Near(x.value, x.error, dtype).rounded(x.value, x.error)


def beside_one(base: Any, steps: int) -> Near:
    """1 - base^steps in binary64: near one the power's error remains when its leading bits have gone."""
    power = base**steps
    return exactly(np.ones(())) - Near(power, np.abs(power) * WIDE(2.0**-50), np.float64)


def adagrad(case: Case, rate: Near, steps: int, values: list[Near]) -> list[Near]:
    """New X and H."""
    x, g, h = values
    r = number(rate.value / (1 + steps * attribute(case, "decay_factor")), x)
    g = number(attribute(case, "norm_coefficient"), x) * x + g
    h = h + g * g
    return [x - r * g / (h.root() + number(attribute(case, "epsilon", 1e-6), x)), h]


def adam(case: Case, rate: Near, steps: int, values: list[Near]) -> list[Near]:
    """New X, V and H."""
    x, g, v, h = values
    alpha, beta = attribute(case, "alpha", 0.9), attribute(case, "beta", 0.999)
    if steps > 0:
        rate = rate * beside_one(beta, steps).root() / beside_one(alpha, steps)
    g = number(attribute(case, "norm_coefficient"), x) * x + g
    v = number(alpha, x) * v + number(1 - alpha, x) * g
    h = number(beta, x) * h + number(1 - beta, x) * g * g
    new = x - rounded_to(x.dtype, rate) * v / (h.root() + number(attribute(case, "epsilon", 1e-6), x))
    return [number(1 - attribute(case, "norm_coefficient_post"), x) * new, v, h]


def momentum(case: Case, rate: Near, steps: int, values: list[Near]) -> list[Near]:
    """New X and V, Nesterov's too."""
    x, g, v = values
    alpha = number(attribute(case, "alpha"), x)
    g = number(attribute(case, "norm_coefficient"), x) * x + g
    v = alpha * v + number(attribute(case, "beta") if steps > 0 else WIDE(1), x) * g
    direction = g + alpha * v if case.attributes["mode"] == "nesterov" else v
    return [x - rounded_to(x.dtype, rate) * direction, v]
