"""What RNN, GRU and LSTM share: weights, directions, lengths, and the walk through the steps.

A cell is one direction. Its gates' chains over the inputs are computed for all steps at once; a step then continues
them over the hidden values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diptych_reference.errors import InvalidModelError, ShapeError
from diptych_reference.numerics import fma_chain, maximum, minimum, round_to, widen
from diptych_reference.operator import Array
from diptych_reference.ops.recurrent.activation import Activation


@dataclass
class Cell:
    """One direction, in the computing type. G gates of H hidden values each, I inputs."""

    w: Array  # [G*H, I]
    r: Array  # [G*H, H]
    w_bias: Array | None  # [G*H]
    r_bias: Array | None  # [G*H]
    functions: list[Activation]
    clip: float | None

    @property
    def hidden(self) -> int:
        """H."""
        return int(self.r.shape[1])

    def inputs(self, x: Array) -> Array:
        """`x` [T, N, I] -> [T, N, G*H]: the part of the gates' chains over the inputs, for all steps at once."""
        rows = x.reshape(x.shape[0] * x.shape[1], x.shape[2])
        acc = np.zeros((len(rows), len(self.w)), x.dtype)
        return fma_chain(rows.T[:, :, None], self.w.T[:, None, :], acc).reshape(*x.shape[:2], len(self.w))

    def continued(self, acc: Array, h: Array, gates: slice) -> Array:
        """The chains `acc` [N, …] of the rows `gates` of R, continued over the hidden values `h` [N, H]."""
        return fma_chain(h.T[:, :, None], self.r[gates].T[:, None, :], acc)

    def biased(self, a: Array, gates: slice) -> Array:
        """`a + rn(Wb + Rb)`, `a` being the values of the rows `gates`."""
        if self.w_bias is None or self.r_bias is None:
            return a
        biased: Array = a + (self.w_bias + self.r_bias)[gates]
        return biased

    def activate(self, function: Activation, a: Array) -> Array:
        """`function` of `a`, clipped before."""
        if self.clip is not None:
            bound = np.asarray(self.clip, a.dtype)
            a = minimum(bound, maximum(-bound, a))
        return function(a)

    def step(self, acc: Array, *states: Array) -> tuple[Array, ...]:
        """From the inputs' part of the chains [N, G*H] and the states [N, H] the next states; `h` is the first."""
        raise NotImplementedError


def weights(w: Array, r: Array, b: Array | None, d: int) -> tuple[Array, Array, Array | None, Array | None]:
    """W, R, Wb and Rb of direction `d`, in the computing type."""
    w_bias, r_bias = (None, None) if b is None else np.split(widen(b[d]), 2)
    return widen(w[d]), widen(r[d]), w_bias, r_bias


def check_shapes(
    x: Array, w: Array, r: Array, b: Array | None, gates: int, direction: str, hidden_size: int | None
) -> int:
    """The number of directions; ShapeError where the weights do not fit together."""
    if direction not in ("forward", "reverse", "bidirectional"):
        raise InvalidModelError(f"direction {direction!r}: expected forward, reverse or bidirectional")
    directions = 2 if direction == "bidirectional" else 1
    if x.ndim != 3 or r.ndim != 3:
        raise ShapeError(f"X and R have shapes {list(x.shape)} and {list(r.shape)}, expected rank 3")
    hidden = r.shape[2] if hidden_size is None else hidden_size
    check_shape("W", w, (directions, gates * hidden, x.shape[2]))
    check_shape("R", r, (directions, gates * hidden, hidden))
    check_shape("B", b, (directions, 2 * gates * hidden))
    return directions


def check_shape(name: str, value: Array | None, shape: tuple[int, ...]) -> None:
    """ShapeError unless an input is absent or has this shape."""
    if value is not None and value.shape != shape:
        raise ShapeError(f"{name} has shape {list(value.shape)}, expected {list(shape)}")


def evaluate(
    cells: Sequence[Cell],
    x: Array,
    sequence_lens: Array | None,
    initial: Sequence[Array | None],
    direction: str,
    layout: int = 0,
) -> tuple[Array, ...]:
    """`x` [T, N, I] and initial states [D, N, H] -> Y [T, D, N, H] and the last states.

    layout=1 puts N first everywhere.     float16 and bfloat16 keep the states in binary32 during the sequence.
    """
    if layout:
        x = np.swapaxes(x, 0, 1)
        initial = [None if s is None else np.swapaxes(s, 0, 1) for s in initial]
    steps, batch = x.shape[:2]
    lengths = checked_lengths(sequence_lens, batch, steps)
    wide, shape = widen(x), (len(cells), batch, cells[0].hidden)
    results = []
    for d, cell in enumerate(cells):
        states = [initial_state(state, d, shape, wide.dtype) for state in initial]
        results.append(walk(cell, wide, lengths, states, reverse=direction == "reverse" or d == 1))
    y, *last = (round_to(np.stack(of, axis=0), x.dtype) for of in zip(*results, strict=True))
    y = np.swapaxes(y, 0, 1)  # [T, D, N, H]
    if layout:
        return np.transpose(y, (2, 0, 1, 3)), *(np.swapaxes(state, 0, 1) for state in last)
    return y, *last


def walk(cell: Cell, x: Array, lengths: Array, states: list[Array], reverse: bool) -> list[Array]:
    """`x` [T, N, I] -> Y [T, N, H], zero beyond each length, and the last valid states.

    In reverse each sequence starts from its own last step.
    """
    y = np.zeros((len(x), *states[0].shape), x.dtype)
    chains = cell.inputs(x[: max(lengths, default=0)])
    rows = np.arange(len(lengths))
    for t in range(max(lengths, default=0)):
        active = rows[t < lengths]
        place = lengths[active] - 1 - t if reverse else np.full(len(active), t)
        following = cell.step(chains[place, active], *(state[active] for state in states))
        for state, value in zip(states, following, strict=True):
            state[active] = value
        y[place, active] = following[0]
    return [y, *states]


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
    check_shape("an initial state", state, shape)
    return np.array(state[d], dtype)
