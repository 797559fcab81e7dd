"""GRU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diptych_reference.operator import Array, operator
from diptych_reference.ops.recurrent.activation import resolve_activations
from diptych_reference.ops.recurrent.sequence import Cell, check_shapes, evaluate, weights


@dataclass
class GruCell(Cell):
    """Gates in the order z, r, h: update, reset, hidden."""

    linear_before_reset: bool

    def step(self, acc: Array, *states: Array) -> tuple[Array, ...]:
        """`h' = rn(rn(1 - z) * g) + rn(z * h)`."""
        (h,) = states
        n = self.hidden
        f_act, g_act = self.functions
        a = self.biased(self.continued(acc[:, : 2 * n], h, slice(2 * n)), slice(2 * n))
        z, r = self.activate(f_act, a[:, :n]), self.activate(f_act, a[:, n:])
        g = self.activate(g_act, self.hidden_gate(acc[:, 2 * n :], r, h))
        return ((acc.dtype.type(1) - z) * g + z * h,)

    def hidden_gate(self, acc: Array, r: Array, h: Array) -> Array:
        """The hidden gate before its activation: the reset gate acts on `h`, or on what R makes of it.

        As the spec writes them, from left to right: the chain over the inputs continued over `rn(r * h)`, then
        `+ rn(Wb + Rb)`; or, with linear_before_reset, the inputs' chain `+ rn(r * rn(R's chain + Rb))`, then `+ Wb`.
        """
        own = slice(2 * self.hidden, None)
        if not self.linear_before_reset:
            return self.biased(self.continued(acc, r * h, own), own)
        linear = self.continued(np.zeros_like(acc), h, own)
        if self.w_bias is None or self.r_bias is None:
            a: Array = acc + r * linear
        else:
            a = acc + r * (linear + self.r_bias[own]) + self.w_bias[own]
        return a


@operator("GRU", since=(3, 7, 14, 22))
def gru(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    sequence_lens: Array | None = None,
    initial_h: Array | None = None,
    *,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
    linear_before_reset: int = 0,
    output_sequence: int = 0,
) -> tuple[Array, ...]:
    """`x` [T, N, I] -> Y [T, D, N, H], Y_h [D, N, H]; D directions, H hidden values.

    layout=1 (14) puts N first everywhere. output_sequence (1 and 3) said whether Y is wanted; so does Y's name in the
    node. float16 and bfloat16 keep `h` in binary32 during the sequence.
    """
    directions = check_shapes(x, w, r, b, 3, direction, hidden_size)
    functions = resolve_activations(activations, ("Sigmoid", "Tanh"), activation_alpha, activation_beta, directions)
    cells = [GruCell(*weights(w, r, b, d), functions[d], clip, bool(linear_before_reset)) for d in range(directions)]
    return evaluate(cells, x, sequence_lens, [initial_h], direction, layout)


@operator("GRU", since=1)
def gru_1(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    sequence_lens: Array | None = None,
    initial_h: Array | None = None,
    *,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
    direction: str = "foward",
    hidden_size: int | None = None,
    output_sequence: int = 0,
) -> tuple[Array, ...]:
    """GRU before linear_before_reset. The schema spells its default direction `foward`."""
    return gru(
        x,
        w,
        r,
        b,
        sequence_lens,
        initial_h,
        activation_alpha=activation_alpha,
        activation_beta=activation_beta,
        activations=activations,
        clip=clip,
        direction="forward" if direction == "foward" else direction,
        hidden_size=hidden_size,
    )
