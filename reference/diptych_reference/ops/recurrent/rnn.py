"""RNN: a recurrent layer with one gate."""

from __future__ import annotations

from collections.abc import Sequence

from diptych_reference.operator import Array, operator
from diptych_reference.ops.recurrent.activation import resolve_activations
from diptych_reference.ops.recurrent.sequence import Cell, check_shapes, evaluate, weights

DEFAULT = ["Tanh", "Tanh"]  # the schema has two, whatever the number of directions


class RnnCell(Cell):
    """One gate."""

    def step(self, acc: Array, *states: Array) -> tuple[Array, ...]:
        """`h' = f(the chain over inputs and hidden values, + rn(Wb + Rb))`."""
        (h,) = states
        a = self.biased(self.continued(acc, h, slice(None)), slice(None))
        return (self.activate(self.functions[0], a),)


@operator("RNN", since=(1, 7, 14, 22))
def rnn(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    sequence_lens: Array | None = None,
    initial_h: Array | None = None,
    *,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] = ("Tanh", "Tanh"),
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
    output_sequence: int = 0,
) -> tuple[Array, ...]:
    """`x` [T, N, I] -> Y [T, D, N, H], Y_h [D, N, H]; D directions, H hidden values.

    layout=1 (14) puts N first everywhere. output_sequence (1 alone) said whether Y is wanted; so does Y's name in the
    node. float16 and bfloat16 keep `h` in binary32 during the sequence.
    """
    directions = check_shapes(x, w, r, b, 1, direction, hidden_size)
    named = None if list(activations) == DEFAULT else activations
    functions = resolve_activations(named, ("Tanh",), activation_alpha, activation_beta, directions)
    cells = [RnnCell(*weights(w, r, b, d), functions[d], clip) for d in range(directions)]
    return evaluate(cells, x, sequence_lens, [initial_h], direction, layout)
