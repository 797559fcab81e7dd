"""RNN, GRU and LSTM: every combination of optional inputs, directions, activations and lengths."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.testing.sketch import Sketch, shape_rule
from diptych.testing.values import Array

ACTIVATIONS = (
    "Sigmoid", "Tanh", "Relu", "HardSigmoid", "Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "Elu",
    "Softsign", "Softplus",
)  # fmt: skip


@shape_rule("LSTM")
def lstm(s: Sketch) -> list[Any]:
    """X [T, N, I] (with layout=1 [N, T, I]), W, R and optional B, sequence_lens, initial_h, initial_c, P."""
    inputs, state, (d, hidden) = layer(s, gates=4, functions=3)
    s.attribute("input_forget", 0, 1)
    s.n_outputs = s.integer(1, 3)
    initial_c, peepholes = (s.tensor(shape) if s.coin() else None for shape in (state, (d, 3 * hidden)))
    return [*inputs, initial_c, peepholes]


@shape_rule("DynamicQuantizeLSTM", domain="com.microsoft")
def dynamic_quantize_lstm(s: Sketch) -> list[Any]:
    """As LSTM, with integers W [D, I, 4H] and R [D, H, 4H], scales and zero points by direction or column."""
    inputs, state, (d, hidden) = layer(s, gates=4, functions=3)
    s.attribute("input_forget", 0, 1)
    s.n_outputs = s.integer(1, 3)
    initial_c, peepholes = (s.tensor(shape) if s.coin() else None for shape in (state, (d, 3 * hidden)))
    integers = s.input_dtype("W")
    parameters = []
    for place in (1, 2):
        inputs[place] = s.tensor(np.swapaxes(inputs[place], 1, 2).shape, integers)
        shape = (d, 4 * hidden) if s.coin() else (d,)
        parameters += [s.tensor(shape, specials=False), s.tensor(shape, integers)]
    return [*inputs, initial_c, peepholes, *parameters]


@shape_rule("GRU")
def gru(s: Sketch) -> list[Any]:
    """As LSTM, without cell state and peepholes."""
    inputs, _, _ = layer(s, gates=3, functions=2)
    s.attribute("linear_before_reset", 0, 1)
    s.n_outputs = s.integer(s.row.schema.min_output or 1, 2)
    return inputs


@shape_rule("RNN")
def rnn(s: Sketch) -> list[Any]:
    """As GRU, with one gate."""
    inputs, _, _ = layer(s, gates=1, functions=1)
    s.n_outputs = s.integer(1, 2)
    return inputs


def layer(s: Sketch, gates: int, functions: int) -> tuple[list[Any], tuple[int, ...], tuple[int, int]]:
    """X, W, R, B, sequence_lens and initial_h; the shape of a state; directions and hidden values."""
    direction = s.attribute("direction", "forward", "reverse", "bidirectional")
    d = 2 if direction == "bidirectional" else 1
    steps, batch = s.choose(1, 2, 3, 5, 0), s.choose(1, 2, 3, 0)
    size, hidden = s.choose(1, 2, 4, 7, 17, 0), s.choose(1, 2, 3, 8, 9, 17)
    layout = s.attribute("layout", 0, 1)
    s.attribute("output_sequence", 0, 1)
    s.attribute("clip", 3.0, 0.5)
    if s.coin():
        s.set("hidden_size", hidden)
    activations(s, d * functions)
    state = (batch, d, hidden) if layout else (d, batch, hidden)
    inputs = [
        s.tensor((batch, steps, size) if layout else (steps, batch, size)),
        s.tensor((d, gates * hidden, size), specials=False),
        s.tensor((d, gates * hidden, hidden), specials=False),
        s.tensor((d, 2 * gates * hidden)) if s.coin() else None,
        lengths(s, batch, steps) if s.coin() else None,
        s.tensor(state) if s.coin() else None,
    ]
    return inputs, state, (d, hidden)


def activations(s: Sketch, count: int) -> None:
    """The functions of all directions, perhaps with parameters of their own."""
    if s.coin():
        s.set("activations", [s.choose(*ACTIVATIONS) for _ in range(count)])
        for name in ("activation_alpha", "activation_beta"):
            if s.coin():
                s.set(name, [s.choose(0.5, 0.25, -1.0, 2.0) for _ in range(s.integer(1, count))])


def lengths(s: Sketch, batch: int, steps: int) -> Array:
    """sequence_lens: 0 .. steps for each sequence."""
    return np.array([s.choose(*range(steps, -1, -1)) for _ in range(batch)], dtype=np.int32)
