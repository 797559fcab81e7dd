"""LSTM: a sequence, step by step (docs/numerics.md, section 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diptych_reference import numerics
from diptych_reference.errors import InvalidModelError, ShapeError
from diptych_reference.numerics import fma_chain, maximum, minimum, round_to, widen
from diptych_reference.operator import Array, operator

Activation = Callable[[Array], Array]


def constant(x: Array, value: float) -> Any:
    """`value` as a scalar of the type of `x`."""
    return x.dtype.type(value)


def hard_sigmoid(x: Array, alpha: float, beta: float) -> Array:
    """`max(0, min(1, rn(rn(alpha * x) + beta)))`."""
    line = constant(x, alpha) * x + constant(x, beta)
    return maximum(np.zeros((), x.dtype), minimum(np.ones((), x.dtype), line))


def elu(x: Array, alpha: float) -> Array:
    """`x` where `x >= 0`, else `rn(alpha * rn(exp(x) - 1))`."""
    return np.where(x < 0, constant(x, alpha) * (numerics.exp(x) - constant(x, 1)), x)


# name -> (defaults of alpha and beta, as many as the function takes, function)
ACTIVATIONS: dict[str, tuple[tuple[float, ...], Callable[..., Array]]] = {
    "sigmoid": ((), numerics.sigmoid),
    "tanh": ((), numerics.tanh),
    "relu": ((), lambda x: maximum(x, np.zeros((), x.dtype))),
    "softplus": ((), numerics.softplus),
    "softsign": ((), lambda x: x / (constant(x, 1) + np.abs(x))),
    "affine": ((1.0, 0.0), lambda x, alpha, beta: constant(x, alpha) * x + constant(x, beta)),
    "leakyrelu": ((0.01,), lambda x, alpha: np.where(x < 0, constant(x, alpha) * x, x)),
    "thresholdedrelu": ((1.0,), lambda x, alpha: np.where(x > constant(x, alpha), x, constant(x, 0))),
    "scaledtanh": ((1.0, 1.0), lambda x, alpha, beta: constant(x, alpha) * numerics.tanh(constant(x, beta) * x)),
    "hardsigmoid": ((0.2, 0.5), hard_sigmoid),
    "elu": ((1.0,), elu),
}


def resolve_activations(
    names: Sequence[str] | None, alphas: Sequence[float] | None, betas: Sequence[float] | None, directions: int
) -> list[list[Activation]]:
    """The functions f, g, h of each direction. Functions that take an alpha (beta) use up the given ones in order."""
    wanted = list(names) if names else ["Sigmoid", "Tanh", "Tanh"] * directions
    if len(wanted) != 3 * directions:
        raise InvalidModelError(f"activations {wanted}: expected {3 * directions}")
    given: tuple[Iterator[float], ...] = (iter(alphas or ()), iter(betas or ()))
    bound: list[Activation] = []
    for name in wanted:
        if name.lower() not in ACTIVATIONS:
            raise InvalidModelError(f"activation {name!r}: expected one of {sorted(ACTIVATIONS)}")
        defaults, function = ACTIVATIONS[name.lower()]
        values = [float(np.float32(next(one, default))) for one, default in zip(given, defaults, strict=False)]
        bound.append(lambda x, function=function, values=values: function(x, *values))  # type: ignore[misc]
    return [bound[3 * d : 3 * d + 3] for d in range(directions)]


@dataclass
class Cell:
    """One direction of an LSTM. Gates are in the order i, o, f, c; H is the hidden size, I the input size."""

    w: Array  # [4H, I]
    r: Array  # [4H, H]
    bias: Array | None  # [4H], rn(Wb + Rb)
    peephole: Array | None  # [3H], in the order i, o, f
    functions: list[Activation]
    clip: float | None
    input_forget: bool

    def inputs(self, x: Array) -> Array:
        """`x` [T, N, I] -> [T, N, 4H]: the part of the gates' chains over the inputs, for all steps at once."""
        rows = x.reshape(x.shape[0] * x.shape[1], x.shape[2])
        acc = np.zeros((len(rows), len(self.w)), x.dtype)
        return fma_chain(rows.T[:, :, None], self.w.T[:, None, :], acc).reshape(*x.shape[:2], len(self.w))

    def gates(self, acc: Array, h: Array) -> list[Array]:
        """The chains [N, 4H] continued over the hidden values `h` [N, H], then the bias: a_i, a_o, a_f, a_c."""
        acc = fma_chain(h.T[:, :, None], self.r.T[:, None, :], acc)
        a = acc if self.bias is None else acc + self.bias
        return np.split(a, 4, axis=1)

    def activate(self, function: Activation, a: Array, peephole: int | None = None, c: Array | None = None) -> Array:
        """`function` of `a`, with `rn(P * c)` added where there are peepholes, clipped."""
        if self.peephole is not None and peephole is not None and c is not None:
            hidden = c.shape[1]
            a = a + self.peephole[peephole * hidden : (peephole + 1) * hidden] * c
        if self.clip is not None:
            bound = np.asarray(self.clip, a.dtype)
            a = minimum(bound, maximum(-bound, a))
        return function(a)

    def step(self, acc: Array, h: Array, c: Array) -> tuple[Array, Array]:
        """From the inputs' part of the chains [N, 4H] the next `h` and `c`, each [N, H].

        `c' = rn(f*c) + rn(i*g)`, `h' = rn(o * h_act(c'))`.
        """
        f_act, g_act, h_act = self.functions
        a_i, a_o, a_f, a_c = self.gates(acc, h)
        i = self.activate(f_act, a_i, 0, c)
        f = acc.dtype.type(1) - i if self.input_forget else self.activate(f_act, a_f, 2, c)
        g = self.activate(g_act, a_c)
        c = f * c + i * g
        o = self.activate(f_act, a_o, 1, c)
        return o * self.activate(h_act, c), c

    def run(self, x: Array, lengths: Array, h: Array, c: Array, reverse: bool) -> tuple[Array, Array, Array]:
        """`x` [T, N, I] -> Y [T, N, H] (zero beyond each length) and the last valid `h` and `c`."""
        y = np.zeros((len(x), *h.shape), x.dtype)
        chains = self.inputs(x)
        rows = np.arange(len(lengths))
        for t in range(max(lengths, default=0)):
            active = rows[t < lengths]
            place = lengths[active] - 1 - t if reverse else np.full(len(active), t)
            h_next, c_next = self.step(chains[place, active], h[active], c[active])
            h[active], c[active] = h_next, c_next
            y[place, active] = h_next
        return y, h, c


@operator("LSTM", since=(1, 7, 14, 22))
def lstm(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    sequence_lens: Array | None = None,
    initial_h: Array | None = None,
    initial_c: Array | None = None,
    p: Array | None = None,
    *,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    input_forget: int = 0,
    layout: int = 0,
    output_sequence: int = 0,
) -> tuple[Array, Array, Array]:
    """`x` [T, N, I] -> Y [T, D, N, H], Y_h [D, N, H], Y_c [D, N, H]; D directions, H hidden values.

    layout=1 (14) puts N first everywhere. output_sequence (1 alone) said whether Y is wanted; so does Y's name in the
    node. float16 and bfloat16 keep `h` and `c` in binary32 during the sequence.
    """
    if layout:
        x = np.swapaxes(x, 0, 1) if x.ndim == 3 else x
        initial_h, initial_c = (None if s is None else np.swapaxes(s, 0, 1) for s in (initial_h, initial_c))
    directions = check_shapes(x, w, r, b, p, direction, hidden_size)
    steps, batch, hidden = x.shape[0], x.shape[1], r.shape[2]
    lengths = checked_lengths(sequence_lens, batch, steps)
    functions = resolve_activations(activations, activation_alpha, activation_beta, directions)
    collected: tuple[list[Array], ...] = ([], [], [])
    for d in range(directions):
        bias = None if b is None else np.add(*np.split(widen(b[d]), 2))  # Wb + Rb
        peephole = None if p is None else widen(p[d])
        cell = Cell(widen(w[d]), widen(r[d]), bias, peephole, functions[d], clip, bool(input_forget))
        start = [initial_state(s, d, (directions, batch, hidden), widen(x).dtype) for s in (initial_h, initial_c)]
        results = cell.run(widen(x), lengths, start[0], start[1], reverse=direction == "reverse" or d == 1)
        for values, value in zip(collected, results, strict=True):
            values.append(value)
    y, y_h, y_c = (round_to(np.stack(s, axis), x.dtype) for s, axis in zip(collected, (1, 0, 0), strict=True))
    if layout:
        return np.transpose(y, (2, 0, 1, 3)), np.swapaxes(y_h, 0, 1), np.swapaxes(y_c, 0, 1)
    return y, y_h, y_c


def checked_lengths(sequence_lens: Array | None, batch: int, steps: int) -> Array:
    """The length of each sequence, [N]; all steps where none are given."""
    lengths = np.full(batch, steps) if sequence_lens is None else sequence_lens.astype(np.int64)
    if lengths.shape != (batch,) or (lengths > steps).any() or (lengths < 0).any():
        raise ShapeError(f"sequence_lens {lengths.tolist()}: expected {batch} values in 0 .. {steps}")
    return lengths


def initial_state(state: Array | None, d: int, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> Array:
    """A fresh copy of the initial state of direction `d`, [N, H]; zeros where none is given."""
    if state is None:
        return np.zeros(shape[1:], dtype)
    if state.shape != shape:
        raise ShapeError(f"initial state of shape {list(state.shape)}, expected {list(shape)}")
    return np.array(state[d], dtype)


def check_shapes(
    x: Array, w: Array, r: Array, b: Array | None, p: Array | None, direction: str, hidden_size: int | None
) -> int:
    """The number of directions; ShapeError where the weights do not fit together."""
    if direction not in ("forward", "reverse", "bidirectional"):
        raise InvalidModelError(f"direction {direction!r}: expected forward, reverse or bidirectional")
    directions = 2 if direction == "bidirectional" else 1
    if x.ndim != 3 or r.ndim != 3:
        raise ShapeError(f"X and R have shapes {list(x.shape)} and {list(r.shape)}, expected rank 3")
    hidden = r.shape[2] if hidden_size is None else hidden_size
    expected = {
        "W": (w, (directions, 4 * hidden, x.shape[2])),
        "R": (r, (directions, 4 * hidden, hidden)),
        "B": (b, (directions, 8 * hidden)),
        "P": (p, (directions, 3 * hidden)),
    }
    for name, (value, shape) in expected.items():
        if value is not None and value.shape != shape:
            raise ShapeError(f"{name} has shape {list(value.shape)}, expected {list(shape)}")
    return directions
