"""Traps of RNN, GRU and LSTM: lengths, layouts, the order of gates, and what the spec leaves open."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from tests.traps.both import answer, answers, refusals, same

from diptych.testing.values import Array

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
STEPS = np.array([1.0, -2.0, 0.5, 3.0], np.float32).reshape(4, 1, 1)


def numbers(*shape: int, seed: int = 0) -> Array:
    """Moderate numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def layer(op_type: str, directions: int = 1, size: int = 2, hidden: int = 3) -> list[Array]:
    """W, R and B."""
    rows = GATES[op_type] * hidden
    shapes = (directions, rows, size), (directions, rows, hidden), (directions, 2 * rows)
    return [numbers(*shape, seed=seed) for seed, shape in enumerate(shapes, 1)]


def run(op_type: str, inputs: Sequence[Any], attributes: dict[str, Any] | None = None, opset: int = 22) -> list[Array]:
    """Y, Y_h and for LSTM Y_c."""
    return answers(op_type, inputs, attributes, opset=opset, n_outputs=3 if op_type == "LSTM" else 2)


@pytest.mark.parametrize("op_type", GATES)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_sequence_lens(op_type: str, direction: str) -> None:
    """Each sequence is as if alone: Y is 0 after its end, the states are its last ones, reverse starts there."""
    directions = 2 if direction == "bidirectional" else 1
    weights = layer(op_type, directions)
    lengths = np.array([3, 0, 5, 1], np.int32)
    x, initial = numbers(5, 4, 2), numbers(directions, 4, 3, seed=9)
    states = [initial, initial[::-1] * 2] if op_type == "LSTM" else [initial]
    y, *last = run(op_type, [x, *weights, lengths, *states], {"direction": direction})
    for n, length in enumerate(lengths):
        alone = [state[:, n : n + 1] for state in states]
        y_alone, *last_alone = run(op_type, [x[:length, n : n + 1], *weights, None, *alone], {"direction": direction})
        same(y[:length, :, n : n + 1], y_alone)
        assert not y[length:, :, n].any()
        for state, state_alone in zip(last, last_alone, strict=True):
            same(state[:, n : n + 1], state_alone)


@pytest.mark.parametrize("op_type", GATES)
def test_a_sequence_of_no_steps_leaves_the_states(op_type: str) -> None:
    initial = numbers(1, 2, 3)
    _, y_h, *y_c = run(op_type, [numbers(0, 2, 2), *layer(op_type), None, initial])
    same(y_h, initial)
    assert not any(state.any() for state in y_c)


@pytest.mark.parametrize("op_type", GATES)
@pytest.mark.parametrize("wrong", [[6, 1], [-1, 1], [1]])
def test_lengths_that_do_not_fit(op_type: str, wrong: list[int]) -> None:
    refusals(op_type, [numbers(5, 2, 2), *layer(op_type), np.array(wrong, np.int32)], opset=22)


@pytest.mark.parametrize("op_type", GATES)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_layout_1_puts_the_batch_first(op_type: str, direction: str) -> None:
    """In X, Y, the initial states and the last ones; lengths and weights stay."""
    directions = 2 if direction == "bidirectional" else 1
    weights, lengths = layer(op_type, directions), np.array([2, 5, 4], np.int32)
    x = numbers(5, 3, 2)
    states = [numbers(directions, 3, 3, seed=seed) for seed in ([7, 8] if op_type == "LSTM" else [7])]
    y, *last = run(op_type, [x, *weights, lengths, *states], {"direction": direction})
    turned = [np.swapaxes(v, 0, 1) for v in (x, *states)]
    first, *last_first = run(
        op_type, [turned[0], *weights, lengths, *turned[1:]], {"direction": direction, "layout": 1}
    )
    same(first, np.transpose(y, (2, 0, 1, 3)))
    for state, state_first in zip(last, last_first, strict=True):
        same(state_first, np.swapaxes(state, 0, 1))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def one(values: Sequence[float]) -> Array:
    """Weights of one direction, one hidden value and one input."""
    return np.array(values, np.float32).reshape(1, -1, 1)


def follow(step: Callable[[float, float], float], h: float = 0.3) -> Array:
    """`step(x, h)` along STEPS."""
    found = []
    for x in STEPS.reshape(-1):
        h = step(float(x), h)
        found.append(h)
    return np.array(found).reshape(4, 1, 1, 1)


W, R = [0.5, -0.7, 0.9], [0.4, 0.3, -0.6]
WB, RB = [0.1, 0.2, -0.3], [-0.5, 0.15, 0.8]
START = np.full((1, 1, 1), 0.3, np.float32)


@pytest.mark.parametrize("linear", [0, 1])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_gru_gates_are_z_r_h(linear: int, direction: str) -> None:
    """The update gate keeps the old value; linear_before_reset resets what R and its bias make of it."""
    names = ("z", "r", "h")
    w, r, wb, rb = (dict(zip(names, values, strict=True)) for values in (W, R, WB, RB))

    def step(x: float, h: float) -> float:
        z, reset = (sigmoid(x * w[g] + h * r[g] + wb[g] + rb[g]) for g in "zr")
        if linear:
            new = math.tanh(x * w["h"] + reset * (h * r["h"] + rb["h"]) + wb["h"])
        else:
            new = math.tanh(x * w["h"] + reset * h * r["h"] + rb["h"] + wb["h"])
        return (1 - z) * new + z * h

    x = STEPS[::-1] if direction == "reverse" else STEPS
    bias = np.array([WB + RB], np.float32)
    attributes = {"linear_before_reset": linear, "direction": direction}
    y, _ = run("GRU", [x, one(W), one(R), bias, None, START], attributes)
    if direction == "reverse":
        y = y[::-1]
    assert np.abs(y - follow(step)).max() < 1e-6


def test_lstm_gates_are_i_o_f_c() -> None:
    """And peepholes i, o, f; the output gate's looks at the new cell."""
    gates, r, peep = (0.5, -0.7, 0.9, 0.3), (0.4, 0.3, -0.6, 0.2), (0.25, -0.35, 0.45)
    state = {"c": 0.0}

    def step(x: float, h: float) -> float:
        i, o, f, g = (x * a + h * b for a, b in zip(gates, r, strict=True))
        c = state["c"]
        state["c"] = sigmoid(f + peep[2] * c) * c + sigmoid(i + peep[0] * c) * math.tanh(g)
        return sigmoid(o + peep[1] * state["c"]) * math.tanh(state["c"])

    inputs = [STEPS, one(gates), one(r), None, None, START, None, np.array([peep], np.float32)]
    y, _, y_c = run("LSTM", inputs)
    assert np.abs(y - follow(step)).max() < 1e-6
    assert abs(float(y_c[0, 0, 0]) - state["c"]) < 1e-6


def test_rnn_has_two_default_activations_for_any_number_of_directions() -> None:
    """The schema's default is [Tanh, Tanh], also where one direction needs one; other lists have the right length."""
    inputs = [STEPS, one([0.5]), one([0.4]), None, None, START]
    y, _ = run("RNN", inputs)
    assert np.abs(y - follow(lambda x, h: math.tanh(0.5 * x + 0.4 * h))).max() < 1e-6
    for named in (["Tanh"], ["Tanh", "Tanh"]):
        same(run("RNN", inputs, {"activations": named})[0], y)
    refusals("RNN", inputs, {"activations": ["Relu", "Relu"]}, opset=22)
    refusals("GRU", [STEPS, one(W), one(R)], {"activations": ["Tanh"]}, opset=22)


def test_gru_1_spells_its_default_direction_foward() -> None:
    """In the schema of version 1, where it means forward; other versions do not know the word."""
    inputs = [STEPS, one(W), one(R)]
    for direction in ({}, {"direction": "foward"}, {"direction": "forward"}):
        same(run("GRU", inputs, direction, opset=1)[0], run("GRU", inputs, opset=3)[0])
    refusals("GRU", inputs, {"direction": "foward"}, opset=3)


@pytest.mark.parametrize("op_type", GATES)
def test_clip_applies_to_every_activation(op_type: str) -> None:
    """Of all gates: with weights so great that only the bound is left."""
    count = GATES[op_type]
    x, hidden = np.full((1, 1, 1), 100, np.float32), np.full((1, 1, 1), 0.5, np.float32)
    y, *_ = run(op_type, [x, one([1.0] * count), one([0.0] * count), None, None, hidden], {"clip": 1.0})
    f, g = sigmoid(1.0), math.tanh(1.0)
    cell = f * g  # of an LSTM, whose cell was 0
    expected = {"RNN": g, "GRU": (1 - f) * g + f * 0.5, "LSTM": f * math.tanh(cell)}[op_type]
    assert abs(float(y.reshape(())) - expected) < 1e-6


def test_alphas_are_used_up_by_the_functions_that_take_one() -> None:
    """Affine takes an alpha and a beta, LeakyRelu the next alpha."""
    attributes = {
        "activations": ["Affine", "LeakyRelu"],
        "activation_alpha": [2.0, 0.5],
        "activation_beta": [1.0],
    }
    x = np.full((1, 1, 1), -8, np.float32)
    y, _ = run("GRU", [x, one([0.5] * 3), one([0.0] * 3)], attributes)
    z, h = 2 * -4.0 + 1, 0.5 * -4.0
    same(y.reshape(()), (1 - z) * h)


@pytest.mark.parametrize("op_type", GATES)
def test_states_of_half_precision_are_not_rounded_between_steps(op_type: str) -> None:
    """float16 keeps them in binary32: two runs of two steps each differ from one of four."""
    weights = [w.astype(np.float16) for w in layer(op_type)]
    x = numbers(4, 1, 2).astype(np.float16)
    y, *_ = run(op_type, [x, *weights])
    wide, *_ = run(op_type, [v.astype(np.float32) for v in (x, *weights)])
    same(y, wide.astype(np.float16))


def test_an_input_of_no_features_leaves_the_recurrence() -> None:
    x = np.zeros((2, 1, 0), np.float32)
    y = answer("RNN", [x, np.zeros((1, 1, 0), np.float32), one([0.5]), None, None, START], opset=22)
    assert np.abs(y.reshape(-1) - [math.tanh(0.15), math.tanh(0.5 * math.tanh(0.15))]).max() < 1e-7
