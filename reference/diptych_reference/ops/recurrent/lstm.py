"""LSTM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diptych_reference.numerics import widen
from diptych_reference.operator import Array, operator
from diptych_reference.ops.recurrent.activation import Activation, resolve_activations
from diptych_reference.ops.recurrent.sequence import Cell, check_shape, check_shapes, evaluate, weights


@dataclass
class LstmCell(Cell):
    """Gates in the order i, o, f, c."""

    peephole: Array | None  # [3H], in the order i, o, f
    input_forget: bool

    def step(self, acc: Array, *states: Array) -> tuple[Array, ...]:
        """`c' = rn(f*c) + rn(i*g)`, `h' = rn(o * h_act(c'))`."""
        h, c = states
        n = self.hidden
        f_act, g_act, h_act = self.functions
        a = self.biased(self.continued(acc, h, slice(None)), slice(None))
        a_i, a_o, a_f, a_c = (a[:, gate * n : (gate + 1) * n] for gate in range(4))
        i = self.peeped(f_act, a_i, 0, c)
        f = acc.dtype.type(1) - i if self.input_forget else self.peeped(f_act, a_f, 2, c)
        g = self.activate(g_act, a_c)
        c = f * c + i * g
        o = self.peeped(f_act, a_o, 1, c)
        return o * self.activate(h_act, c), c

    def peeped(self, function: Activation, a: Array, peephole: int, c: Array) -> Array:
        """`function` of `a`, with `rn(P * c)` added where there are peepholes, clipped."""
        if self.peephole is not None:
            a = a + self.peephole[peephole * self.hidden : (peephole + 1) * self.hidden] * c
        return self.activate(function, a)


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
) -> tuple[Array, ...]:
    """`x` [T, N, I] -> Y [T, D, N, H], Y_h [D, N, H], Y_c [D, N, H]; D directions, H hidden values.

    layout=1 (14) puts N first everywhere. output_sequence (1 alone) said whether Y is wanted; so does Y's name in the
    node. float16 and bfloat16 keep `h` and `c` in binary32 during the sequence.
    """
    directions = check_shapes(x, w, r, b, 4, direction, hidden_size)
    check_shape("P", p, (directions, 3 * r.shape[2]))
    defaults = ("Sigmoid", "Tanh", "Tanh")
    functions = resolve_activations(activations, defaults, activation_alpha, activation_beta, directions)
    cells = [
        LstmCell(*weights(w, r, b, d), functions[d], clip, None if p is None else widen(p[d]), bool(input_forget))
        for d in range(directions)
    ]
    return evaluate(cells, x, sequence_lens, [initial_h, initial_c], direction, layout)
