"""DynamicQuantizeLSTM of com.microsoft: an LSTM whose products are of 8-bit integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diptych_reference.errors import ShapeError
from diptych_reference.operator import REQUIRED, Array, operator
from diptych_reference.ops.matmul import matmul_integer
from diptych_reference.ops.quantization import dynamic_quantize_linear
from diptych_reference.ops.recurrent.activation import resolve_activations
from diptych_reference.ops.recurrent.lstm import LstmCell
from diptych_reference.ops.recurrent.sequence import check_shape, check_shapes, evaluate


@dataclass
class Quantized:
    """W or R of one direction, [k, 4H], with a scale and a zero point in all or for each column."""

    values: Array
    scale: Array
    zero_point: Array

    def product(self, x: Array) -> Array:
        """`x` [N, k], quantized as a whole, times this: `rn(rn(acc) * rn(x_scale * scale))`, [N, 4H]."""
        levels, scale, zero_point = dynamic_quantize_linear(x)
        acc = matmul_integer(levels, self.values, zero_point, self.zero_point)
        product: Array = acc.astype(np.float32) * (scale * self.scale)
        return product


@dataclass
class QuantizedLstmCell(LstmCell):
    """An LSTM's cell; its products over inputs and hidden values are rounded apart, then added."""

    quantized_w: Quantized
    quantized_r: Quantized

    def inputs(self, x: Array) -> Array:
        """`x` [T, N, I] -> [T, N, 4H], all of `x` with one scale."""
        rows = self.quantized_w.product(x.reshape(x.shape[0] * x.shape[1], x.shape[2]))
        return rows.reshape(*x.shape[:2], rows.shape[1])

    def continued(self, acc: Array, h: Array, gates: slice) -> Array:
        """`acc` and the product of `h` [N, H], all of it with one scale."""
        return acc + self.quantized_r.product(h)[:, gates]


@operator("DynamicQuantizeLSTM", since=1, domain="com.microsoft")
def dynamic_quantize_lstm(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    sequence_lens: Array | None = None,
    initial_h: Array | None = None,
    initial_c: Array | None = None,
    p: Array | None = None,
    w_scale: Array = REQUIRED,
    w_zero_point: Array = REQUIRED,
    r_scale: Array = REQUIRED,
    r_zero_point: Array = REQUIRED,
    *,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    activations: Sequence[str] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    input_forget: int = 0,
) -> tuple[Array, ...]:
    """`x` [T, N, I] -> Y [T, D, N, H], Y_h [D, N, H], Y_c [D, N, H], as LSTM.

    `w` [D, I, 4H] and `r` [D, H, 4H] are integers with scales and zero points [D] or [D, 4H]. `x` is quantized as a
    whole (its steps up to the longest sequence's end), the hidden values of the sequences that still run at each step.
    """
    directions = check_shapes(x, np.swapaxes(w, 1, 2), np.swapaxes(r, 1, 2), b, 4, direction, hidden_size)
    hidden = r.shape[1]
    check_shape("P", p, (directions, 3 * hidden))
    for values in (w_scale, w_zero_point, r_scale, r_zero_point):
        if values.shape not in ((directions,), (directions, 4 * hidden)):
            raise ShapeError(
                f"a scale or zero point has shape {list(values.shape)}, expected one a direction or column"
            )
    defaults = ("Sigmoid", "Tanh", "Tanh")
    functions = resolve_activations(activations, defaults, activation_alpha, activation_beta, directions)
    cells = []
    for d in range(directions):
        w_bias, r_bias = (None, None) if b is None else np.split(b[d], 2)
        cells.append(
            QuantizedLstmCell(
                w=w[d].T,
                r=r[d].T,
                w_bias=w_bias,
                r_bias=r_bias,
                functions=functions[d],
                clip=clip,
                peephole=None if p is None else p[d],
                input_forget=bool(input_forget),
                quantized_w=Quantized(w[d], w_scale[d], w_zero_point[d]),
                quantized_r=Quantized(r[d], r_scale[d], r_zero_point[d]),
            )
        )
    return evaluate(cells, x, sequence_lens, [initial_h, initial_c], direction)
