"""LSTM: every combination of optional inputs, directions, activations and lengths."""

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
    direction = s.attribute("direction", "forward", "reverse", "bidirectional")
    d = 2 if direction == "bidirectional" else 1
    steps, batch = s.choose(1, 2, 3, 5), s.choose(1, 2, 3, 0)
    size, hidden = s.choose(1, 2, 4, 7, 17), s.choose(1, 2, 3, 8, 9, 17)
    layout = s.attribute("layout", 0, 1)
    s.set("hidden_size", hidden)
    functions(s, d)
    s.attribute("clip", 3.0, 0.5)
    s.attribute("input_forget", 0, 1)
    s.n_outputs = s.integer(1, 3)
    state = (batch, d, hidden) if layout else (d, batch, hidden)
    return [
        s.tensor((batch, steps, size) if layout else (steps, batch, size)),
        s.tensor((d, 4 * hidden, size), specials=False),
        s.tensor((d, 4 * hidden, hidden), specials=False),
        s.tensor((d, 8 * hidden)) if s.coin() else None,
        lengths(s, batch, steps) if s.coin() else None,
        s.tensor(state) if s.coin() else None,
        s.tensor(state) if s.coin() else None,
        s.tensor((d, 3 * hidden)) if s.coin() else None,
    ]


def functions(s: Sketch, directions: int) -> None:
    """Activations f, g, h of each direction, perhaps with parameters of their own."""
    if s.coin():
        s.set("activations", [s.choose(*ACTIVATIONS) for _ in range(3 * directions)])
        for name in ("activation_alpha", "activation_beta"):
            if s.coin():
                s.set(name, [s.choose(0.5, 0.25, -1.0, 2.0) for _ in range(s.integer(1, 3 * directions))])


def lengths(s: Sketch, batch: int, steps: int) -> Array:
    """sequence_lens: 0 .. steps for each sequence."""
    return np.array([s.choose(*range(steps, -1, -1)) for _ in range(batch)], dtype=np.int32)
