"""Optimizers of ai.onnx.preview.training."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.testing.sketch import Sketch, shape_rule

DOMAIN = "ai.onnx.preview.training"


@shape_rule("Adagrad", "Adam", "Momentum", domain=DOMAIN)
def optimizer(s: Sketch) -> list[Any]:
    """R, T, then one to three tensors of any types, with gradients and accumulated values of their shapes."""
    s.attribute("mode", "standard", "nesterov")
    for name in ("alpha", "beta"):
        s.attribute(name, 0.9, 0.999, 0.0, 1.0)
    for name in ("norm_coefficient", "norm_coefficient_post", "decay_factor"):
        s.attribute(name, 0.0, 0.001, 0.5)
    s.attribute("epsilon", 1e-6, 1e-2, 0.0)
    shape = s.choose((), (1,))
    rate = np.abs(s.tensor(shape, specials=False)) if s.coin() else s.tensor(shape)
    steps = np.full(s.choose((), (1,)), s.choose(0, 1, 2, 10, 100000, -1), np.int64)
    types = s.row.types("T3")
    kinds: list[list[Any]] = [[], [], [], []][: 4 if s.row.op_type == "Adam" else 3]
    for _ in range(s.integer(1, 3)):
        dims, dtype, positive = s.shape((0, 3), limit=100), s.choose(*types), s.coin()
        for kind, tensors in enumerate(kinds):
            value = s.tensor(dims, dtype)
            tensors.append(np.abs(value) if positive and kind == len(kinds) - 1 else value)
    return [rate, steps, *(tensor for tensors in kinds for tensor in tensors)]
