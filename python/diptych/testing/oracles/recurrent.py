"""The oracle of RNN, GRU and LSTM: ONNX's equations, written apart from the reference, with a running error bound.

Every value carries a bound of how far a program of the case's type may be from it. A product or sum adds what its
operands bring along and its own rounding; a function stretches the error by its greatest slope.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from diptych.testing import Case
from diptych.testing.oracles.base import WIDE, Expected, gamma, oracle, tiny, unit, wide
from diptych.testing.values import Array


@dataclass
class Near:
    """Values in long double, a bound of their errors, and the unit roundoff and least number of the type."""

    value: Array
    error: Array
    dtype: Any

    def rounded(self, value: Array, error: Array, magnitude: Array | float = 0.0) -> Near:
        """A result of one or a few operations whose intermediate values are at most `magnitude`."""
        own = unit(self.dtype) * (np.abs(value) + magnitude + error) + tiny(self.dtype, 2)
        return Near(value, error + own, self.dtype)

    def exact(self, value: Array) -> Near:
        """A value of the same type without an error."""
        return Near(value, np.zeros(np.shape(value), WIDE), self.dtype)

    def __add__(self, other: Near) -> Near:
        return self.rounded(self.value + other.value, self.error + other.error)

    def __mul__(self, other: Near) -> Near:
        error = np.abs(self.value) * other.error + (np.abs(other.value) + other.error) * self.error
        return self.rounded(self.value * other.value, error)

    def __getitem__(self, at: Any) -> Near:
        return Near(self.value[at], self.error[at], self.dtype)

    def complement(self) -> Near:
        """`1 - self`."""
        return self.rounded(1 - self.value, self.error)

    def clipped(self, bound: float | None) -> Near:
        """Clamped to [-bound, bound]."""
        bound = np.inf if bound is None else float(np.float32(bound))
        return Near(np.clip(self.value, -bound, bound), self.error, self.dtype)


def chains(terms: list[tuple[Near, Array]], dtype: Any) -> Near:
    """One chain of multiply-adds over all `values @ weights.T`, the values with errors of their own."""
    length = sum(w.shape[1] for _, w in terms) + 1
    value = np.asarray(sum(x.value @ w.T for x, w in terms))
    magnitude = np.asarray(sum((np.abs(x.value) + x.error) @ np.abs(w).T for x, w in terms))
    brought = np.asarray(sum(x.error @ np.abs(w).T for x, w in terms))
    error = brought + gamma(2 * length, dtype) * magnitude + tiny(dtype, length)
    top = float(np.finfo(np.float64 if np.dtype(dtype) == np.float64 else np.float32).max)
    return Near(value, np.where(magnitude > top / 2, np.inf, error), dtype)  # a chain that may overflow on the way


# name -> (defaults of alpha and beta, function, greatest slope, greatest intermediate value besides the result)
Shape = Callable[..., Any]
FUNCTIONS: dict[str, tuple[tuple[float, ...], Shape, Shape, Shape]] = {
    "Sigmoid": ((), lambda x: 1 / (1 + np.exp(-x)), lambda: 0.25, lambda x: 1),
    "Tanh": ((), np.tanh, lambda: 1, lambda x: 1),
    "Relu": ((), lambda x: np.maximum(x, 0), lambda: 1, lambda x: 0),
    "Softplus": ((), lambda x: np.logaddexp(x, 0), lambda: 1, lambda x: 1 + np.abs(x)),
    "Softsign": ((), lambda x: x / (1 + np.abs(x)), lambda: 1, lambda x: 1),
    "Affine": ((1.0, 0.0), lambda x, a, b: a * x + b, lambda a, b: abs(a), lambda x, a, b: np.abs(a * x)),
    "LeakyRelu": ((0.01,), lambda x, a: np.where(x < 0, a * x, x), lambda a: max(1, abs(a)), lambda x, a: 0),
    "ThresholdedRelu": ((1.0,), lambda x, a: np.where(x > a, x, 0), lambda a: 1, lambda x, a: 0),
    "ScaledTanh": ((1.0, 1.0), lambda x, a, b: a * np.tanh(b * x), lambda a, b: abs(a * b), lambda x, a, b: 2 * abs(a)),
    "HardSigmoid": (
        (0.2, 0.5),
        lambda x, a, b: np.clip(a * x + b, 0, 1),
        lambda a, b: abs(a),
        lambda x, a, b: np.abs(a * x) + 1,
    ),
    "Elu": (
        (1.0,),
        lambda x, a: np.where(x < 0, a * np.expm1(x), x),
        lambda a: max(1, abs(a)),
        lambda x, a: 2 * abs(a),
    ),
}


def functions(case: Case, defaults: list[str], directions: int) -> list[Callable[[Near], Near]]:
    """The activations of all directions; alphas and betas are used up by those that take one."""
    names = case.attributes.get("activations") or defaults * directions
    given = [iter(case.attributes.get(f"activation_{letter}") or ()) for letter in ("alpha", "beta")]
    found = []
    for name in names:
        standard, function, slope, inner = FUNCTIONS[name]
        values = [float(np.float32(next(one, value))) for one, value in zip(given, standard, strict=False)]
        found.append(activation(name, function, slope(*values), inner, values, case.attributes.get("clip")))
    return found


def activation(
    name: str, function: Shape, slope: float, inner: Shape, values: list[float], clip: float | None
) -> Callable[[Near], Near]:
    """A function on values with errors: clipped, then stretched by its greatest slope."""

    def apply(a: Near) -> Near:
        a = a.clipped(clip)
        error = slope * a.error
        if name == "ThresholdedRelu":  # which jumps
            error = np.where(np.abs(a.value - values[0]) <= a.error, np.inf, error)
        return a.rounded(function(a.value, *values), error, 4 * inner(a.value, *values))

    return apply


@dataclass
class Direction:
    """W, R, the biases and peepholes of one direction, its functions and attributes."""

    w: Array
    r: Array
    w_bias: Array
    r_bias: Array
    peephole: Array
    functions: list[Callable[[Near], Near]]
    attributes: Any

    def gate(self, which: int, x: Near, h: Near) -> Near:
        """A gate before its activation."""
        n = self.r.shape[1]
        rows = slice(which * n, (which + 1) * n)
        bias = x.exact(self.w_bias[rows]) + x.exact(self.r_bias[rows])
        return chains([(x, self.w[rows]), (h, self.r[rows])], x.dtype) + bias

    def rnn(self, x: Near, h: Near, c: Near) -> tuple[Near, Near]:
        """One step of RNN: the new H, and C as it was."""
        return self.functions[0](self.gate(0, x, h)), c

    def gru(self, x: Near, h: Near, c: Near) -> tuple[Near, Near]:
        """One step of GRU: the new H, and C as it was."""
        n = self.r.shape[1]
        f, g = self.functions
        z, r = f(self.gate(0, x, h)), f(self.gate(1, x, h))
        if self.attributes.get("linear_before_reset"):
            w_bias, r_bias = x.exact(self.w_bias[2 * n :]), x.exact(self.r_bias[2 * n :])
            linear = chains([(h, self.r[2 * n :])], x.dtype) + r_bias
            hidden = g(chains([(x, self.w[2 * n :])], x.dtype) + r * linear + w_bias)
        else:
            hidden = g(self.gate(2, x, r * h))
        return z.complement() * hidden + z * h, c

    def lstm(self, x: Near, h: Near, c: Near) -> tuple[Near, Near]:
        """One step of LSTM: the new H and C."""
        n = self.r.shape[1]
        f_act, g_act, h_act = self.functions
        p_i, p_o, p_f = (x.exact(self.peephole[k * n : (k + 1) * n]) for k in range(3))
        i = f_act(self.gate(0, x, h) + p_i * c)
        f = i.complement() if self.attributes.get("input_forget") else f_act(self.gate(2, x, h) + p_f * c)
        c = f * c + i * g_act(self.gate(3, x, h))
        return f_act(self.gate(1, x, h) + p_o * c) * h_act(c), c


DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}


@oracle("RNN", "GRU", "LSTM")
def recurrent(case: Case) -> list[Expected | None] | None:
    """Each sequence of the batch by itself, step by step."""
    given: list[Any] = [*case.inputs, *[None] * (8 - len(case.inputs))]
    x, w, r, b, lengths, h0, c0, p = given
    if not all(np.isfinite(wide(v)).all() for v in (x, w, r, b, h0, c0, p) if v is not None):
        return None
    first = case.attributes.get("layout", 0)  # the batch comes first
    directions, rows, hidden = r.shape
    x = np.swapaxes(wide(x), 0, 1) if first else wide(x)
    steps, batch = x.shape[:2]
    h0, c0 = (np.zeros((directions, batch, hidden), WIDE) if s is None else wide(np.swapaxes(s, 0, 1) if first else s)
              for s in (h0, c0))  # fmt: skip
    found = functions(case, DEFAULTS[case.op_type], directions)
    y = [np.zeros((steps, directions, batch, hidden), WIDE) for _ in range(2)]
    last = [[np.zeros((directions, batch, hidden), WIDE) for _ in range(2)] for _ in range(2)]
    for d in range(directions):
        biases = np.zeros((2, rows), WIDE) if b is None else wide(b[d]).reshape(2, rows)
        peephole = np.zeros(3 * hidden, WIDE) if p is None else wide(p[d])
        each = len(found) // directions
        own = found[each * d : each * (d + 1)]
        cell = Direction(wide(w[d]), wide(r[d]), biases[0], biases[1], peephole, own, case.attributes)
        step = getattr(cell, case.op_type.lower())
        for n in range(batch):
            order = list(range(steps if lengths is None else int(lengths[n])))
            if case.attributes.get("direction") == "reverse" or d == 1:
                order.reverse()
            h, c = (Near(s[d, n], np.zeros(hidden, WIDE), case.inputs[0].dtype) for s in (h0, c0))
            for t in order:
                h, c = step(h.exact(x[t, n]), h, c)
                y[0][t, d, n], y[1][t, d, n] = h.value, h.error
            for (value, error), state in zip(last, (h, c), strict=True):
                value[d, n], error[d, n] = state.value, state.error
    if first:
        y = [np.transpose(part, (2, 0, 1, 3)) for part in y]
        last = [[np.swapaxes(part, 0, 1) for part in state] for state in last]
    # What could overflow on the way in the type is not compared.
    return [Expected(v, np.where(np.isfinite(e) & (e < 2.0**60), e, np.inf)) for v, e in (y, *last)]
