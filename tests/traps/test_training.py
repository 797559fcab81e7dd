"""Optimizers: several tensors at once, the first step, what must be one number or of one shape."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from onnx import helper
from tests.traps.both import answers, refusals, same

import diptych
import diptych_reference

DOMAIN = "ai.onnx.preview.training"
R, FIRST, LATER = np.float32(0.5), np.array(0), np.array(3)
MOMENTUM = {"alpha": 0.5, "beta": 0.25, "mode": "standard", "norm_coefficient": 0.0}


def floats(*values: float) -> Any:
    return np.array(values, np.float32)


def run(op_type: str, inputs: list[Any], attributes: dict[str, Any], n_outputs: int) -> list[Any]:
    return answers(op_type, inputs, attributes, opset=1, domain=DOMAIN, n_outputs=n_outputs)


def test_tensors_are_listed_by_kind_and_each_is_optimized_for_itself() -> None:
    """Tensors of different shapes and types: X1, X2, G1, G2, V1, V2 -> X1', X2', V1', V2'."""
    one, two = floats(1, 2), np.array([[8.0]])
    inputs = [R, LATER, one, two, 4 * one, 4 * two, 2 * one, 2 * two]
    together = run("Momentum", inputs, MOMENTUM, 4)
    for i, x in enumerate((one, two)):
        alone = run("Momentum", [R, LATER, x, 4 * x, 2 * x], MOMENTUM, 2)
        same(together[i], alone[0])
        same(together[2 + i], alone[1])
    same(together[0], [0, 0])  # V' = 1 + 1 (times X), X' = X - 0.5 * 2 X
    assert [value.dtype for value in together] == [np.float32, np.float64] * 2


def test_in_the_first_step_beta_is_one() -> None:
    x, g, v = floats(1), floats(4), floats(2)
    same(run("Momentum", [R, FIRST, x, g, v], MOMENTUM, 2)[1], [5])
    same(run("Momentum", [R, LATER, x, g, v], MOMENTUM, 2)[1], [2])
    same(run("Momentum", [R, np.array(-1), x, g, v], MOMENTUM, 2)[1], [5])


def test_nesterov_and_the_norm() -> None:
    x, g, v = floats(1), floats(4), floats(2)
    same(run("Momentum", [R, LATER, x, g, v], {**MOMENTUM, "mode": "nesterov"}, 2)[0], [1 - 0.5 * (4 + 0.5 * 2)])
    same(run("Momentum", [R, LATER, x, g, v], {**MOMENTUM, "norm_coefficient": 4.0}, 2)[1], [3])
    refusals("Momentum", [R, LATER, x, g, v], {**MOMENTUM, "mode": "heavy"}, opset=1, domain=DOMAIN)


def test_adam_corrects_the_bias_from_the_first_counted_step_on() -> None:
    x, g, zero = floats(1), floats(2), floats(0)
    attributes = {"alpha": 0.5, "beta": 0.75, "epsilon": 0.0}
    without = run("Adam", [R, FIRST, x, g, zero, zero], attributes, 3)
    same(np.concatenate(without), [0.5, 1, 1])
    corrected = run("Adam", [R, np.array(1), x, g, zero, zero], attributes, 3)
    same(corrected[0], [0.5])  # 0.5 * sqrt(1/4) / (1/2) of 1
    later = run("Adam", [R, np.array(2), x, g, zero, zero], attributes, 3)[0]
    assert float(later[0]) == pytest.approx(1 - 0.5 * math.sqrt(1 - 0.75**2) / 0.75)
    same(run("Adam", [R, FIRST, x, g, zero, zero], {**attributes, "norm_coefficient_post": 0.5}, 3)[0], [0.25])


def test_adagrad_decays_its_rate() -> None:
    x, g, h = floats(1), floats(3), floats(16)
    same(np.concatenate(run("Adagrad", [R, LATER, x, g, h], {"epsilon": 0.0}, 2)), [0.7, 25])
    decayed = run("Adagrad", [R, LATER, x, g, h], {"epsilon": 0.0, "decay_factor": 1.0}, 2)
    same(decayed[0], [np.float32(1) - np.float32(0.125) * np.float32(3) / np.float32(5)])


@pytest.mark.parametrize(
    "inputs",
    [
        [R, LATER, floats(1), floats(1)],  # no momentum
        [R, LATER, floats(1), floats(1, 2), floats(1)],
        [R, LATER, floats(1), np.ones(1), floats(1)],
        [floats(1, 2), LATER, floats(1), floats(1), floats(1)],
        [R, np.array([1, 2]), floats(1), floats(1), floats(1)],
    ],
)
def test_what_does_not_belong_together_is_refused(inputs: list[Any]) -> None:
    refusals("Momentum", inputs, MOMENTUM, opset=1, domain=DOMAIN)


def test_outputs_that_nobody_wants_and_tensors_given_twice() -> None:
    """An output without a name is skipped; one value may stand for several inputs, and is not overwritten."""
    node = helper.make_node("Adagrad", ["r", "t", "x", "x", "x"], ["", "h"], domain=DOMAIN)
    feeds = {"r": R, "t": LATER, "x": np.arange(40, dtype=np.float32)}
    inputs = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), None) for n, v in feeds.items()
    ]
    graph = helper.make_graph([node], "g", inputs, [helper.make_empty_tensor_value_info("h")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(DOMAIN, 1)], ir_version=10)
    for session in (diptych_reference.ReferenceSession, diptych.InferenceSession):
        [h] = session(model.SerializeToString()).run(None, feeds)
        same(h, feeds["x"] + feeds["x"] * feeds["x"])
