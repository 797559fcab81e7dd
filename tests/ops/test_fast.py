"""Fast mode: convolutions by Winograd's algorithm within their bound (docs/numerics.md, 5), all else to the bit.

The oracle is binary64, in which these sums have 29 bits more than the bound speaks of.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import diptych
from diptych import _core
from diptych.compare import compare
from diptych.fast import INPUTS, OUTPUTS, WEIGHTS, conv_bound, has_fast_program
from diptych.testing import engine_paths

Array = np.ndarray[Any, Any]


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_normal(shape)


def of_any_size(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Magnitudes over sixty powers of two, side by side."""
    return np.ldexp(rng.standard_normal(shape), rng.integers(-30, 31, shape))


def one_hot(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    array = np.zeros(shape)
    array.reshape(-1)[rng.integers(array.size)] = rng.choice([1.0, -3.0, 1e-20, 1e15])
    return array


def integers(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.integers(-8, 9, shape).astype(np.float64)


def constant(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """All the same: alternating weights then cancel altogether."""
    return np.full(shape, rng.standard_normal())


def alternating(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return np.where(np.indices(shape).sum(axis=0) % 2, 1.0, -1.0) * (1 + 1e-3 * rng.standard_normal(shape))


def tiny(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Subnormal numbers, and products that underflow."""
    return np.ldexp(rng.standard_normal(shape), rng.integers(-149, -60, shape))


KINDS = [normal, of_any_size, one_hot, integers, constant, alternating, tiny]


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Array, Array, Array | None, dict[str, Any]]:
    """X, W, B and attributes of a Conv for which fast mode has another program, which mostly pays."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    batch, channels, outputs = draw(st.integers(1, 2)), draw(st.integers(32, 48)), draw(st.sampled_from([32, 40, 70]))
    size = (draw(st.integers(20, 32)), draw(st.integers(20, 32)))
    attributes: dict[str, Any] = {"auto_pad": draw(st.sampled_from(["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))}
    if attributes["auto_pad"] == "NOTSET":
        attributes["pads"] = draw(st.lists(st.integers(0, 3), min_size=4, max_size=4))
    x = draw(st.sampled_from(KINDS))(rng, (batch, channels, *size)).astype(np.float32)
    w = draw(st.sampled_from(KINDS))(rng, (outputs, channels, 3, 3)).astype(np.float32)
    b = draw(st.sampled_from([None, *KINDS]))
    return x, w, None if b is None else b(rng, (outputs,)).astype(np.float32), attributes


def model(
    x: Array, w: Array, b: Array | None, attributes: dict[str, Any], followers: tuple[str, ...] = ()
) -> onnx.ModelProto:
    """Conv with constant weights, and what follows it."""
    constants = [numpy_helper.from_array(w, "w"), *([numpy_helper.from_array(b, "b")] if b is not None else [])]
    nodes = [helper.make_node("Conv", ["x", *(c.name for c in constants)], ["v0"], name="conv", **attributes)]
    for index, op_type in enumerate(followers):
        nodes.append(helper.make_node(op_type, [f"v{index}"], [f"v{index + 1}"]))
    dtype = helper.np_dtype_to_tensor_dtype(x.dtype)
    inputs = [helper.make_tensor_value_info("x", dtype, [None] * x.ndim)]
    outputs = [helper.make_tensor_value_info(f"v{len(followers)}", dtype, None)]
    graph = helper.make_graph(nodes, "fast", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)])


def run(proto: onnx.ModelProto, x: Array, **options: Any) -> Array:
    session = diptych.InferenceSession(proto, diptych.SessionOptions(**options))
    result: Array = session.run(None, {"x": x})[0]
    return result


def algorithms(proto: onnx.ModelProto, x: Array, math: str) -> list[str]:
    """What a profile says of the convolution."""
    options = diptych.SessionOptions(math=math)
    options.enable_profiling = True
    session = diptych.InferenceSession(proto, options)
    session.run(None, {"x": x})
    return [event["algorithm"] for event in session.take_events() if event["op_type"] == "Conv"]


@given(convolutions())
def test_errors_stay_below_the_bound(case: tuple[Array, Array, Array | None, dict[str, Any]]) -> None:
    x, w, b, attributes = case
    proto = model(x, w, b, attributes)
    event(f"algorithm {algorithms(proto, x, 'fast')}")
    hold_to_bound(x, w, b, attributes)


def hold_to_bound(x: Array, w: Array, b: Array | None, attributes: dict[str, Any]) -> None:
    """On every instruction set and number of threads, which give the same bits."""
    proto = model(x, w, b, attributes)
    results = [run(proto, x, math="fast", isa=isa, threads=threads) for isa, threads in engine_paths()]
    exact, slack = conv_bound(x, w, b, attributes)
    assert np.isfinite(slack).all()
    error = np.abs(results[0].astype(np.float64) - exact)
    worst = np.unravel_index(int(np.argmax(error - slack)), exact.shape)
    assert (error <= slack).all(), f"at {worst}: {results[0][worst]}, {exact[worst]} within {slack[worst]}"
    for path, result in zip(engine_paths(), results, strict=True):
        assert compare(results[0], result).equal, path


@pytest.mark.parametrize("weights", KINDS)
@pytest.mark.parametrize("inputs", KINDS)
def test_hostile_values_stay_below_the_bound(inputs: Any, weights: Any) -> None:
    rng = np.random.default_rng(7)
    x, w = inputs(rng, (1, 32, 24, 23)).astype(np.float32), weights(rng, (40, 32, 3, 3)).astype(np.float32)
    assert algorithms(model(x, w, None, {"pads": [1] * 4}), x, "fast") == ["winograd"]
    hold_to_bound(x, w, None, {"pads": [1] * 4})


@pytest.mark.parametrize("channels", [32, 64])
def test_the_faster_program_is_taken_in_fast_mode_alone(channels: int) -> None:
    rng = np.random.default_rng(1)
    x, w = (normal(rng, shape).astype(np.float32) for shape in ((1, channels, 28, 28), (channels, channels, 3, 3)))
    proto = model(x, w, None, {"pads": [1] * 4})
    assert algorithms(proto, x, "fast") == ["winograd"]
    assert algorithms(proto, x, "exact") == [""]
    assert compare(diptych.run_operator("Conv", [x, w], {"pads": [1] * 4})[0], run(proto, x)).equal
    exact, fast = run(proto, x), run(proto, x, math="fast")
    assert not compare(exact, fast).equal
    # An error of the size that the points promise, 1.8 times that of exact mode: with 0, ±1, ±2 it would be 4 times.
    of_exact, of_fast = (
        np.sqrt(np.mean((y - conv_bound(x, w, None, {"pads": [1] * 4})[0]) ** 2)) for y in (exact, fast)
    )
    assert of_fast < 2.5 * of_exact


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch", [1, 9])
def test_a_row_does_not_depend_on_its_batch_and_passes_change_no_bit(batch: int, threads: int) -> None:
    rng = np.random.default_rng(2)
    x, w = (normal(rng, shape).astype(np.float32) for shape in ((batch, 32, 24, 30), (48, 32, 3, 3)))
    proto = model(x, w, normal(rng, (48,)).astype(np.float32), {"pads": [1, 0, 2, 1]}, ("Relu",))
    whole = run(proto, x, math="fast", threads=threads)
    for isa, other in engine_paths():
        for row in range(batch):
            alone = run(proto, x[row : row + 1], math="fast", isa=isa, threads=other)
            assert compare(whole[row : row + 1], alone).equal
    assert compare(whole, run(proto, x, math="fast", disabled_passes=_core.passes())).equal
    seeded = run(proto, x, math="fast", threads=2, schedule_seed=3)
    assert compare(whole, seeded).equal


KEEP: dict[str, tuple[dict[str, Any], tuple[int, ...], Any]] = {
    "strides": ({"strides": [2, 2]}, (40, 20, 3, 3), np.float32),
    "dilations": ({"dilations": [2, 1]}, (40, 20, 3, 3), np.float32),
    "groups": ({"group": 2}, (40, 10, 3, 3), np.float32),
    "kernel": ({}, (40, 20, 5, 5), np.float32),
    "half": ({}, (40, 20, 3, 3), np.float16),
    "few channels": ({}, (40, 20, 3, 3), np.float32),
    "double": ({}, (40, 20, 3, 3), np.float64),
    "bfloat16": ({}, (40, 20, 3, 3), ml_dtypes.bfloat16),
}


@pytest.mark.parametrize("name", KEEP)
def test_what_has_no_faster_program_keeps_its_bits(name: str) -> None:
    attributes, shape, dtype = KEEP[name]
    rng = np.random.default_rng(3)
    x, w = normal(rng, (1, 20, 24, 24)).astype(dtype), normal(rng, shape).astype(dtype)
    proto = model(x, w, None, attributes)
    assert algorithms(proto, x, "fast") == [""]
    assert compare(run(proto, x), run(proto, x, math="fast")).equal
    assert has_fast_program("Conv", "", attributes, [x, w]) == (name == "few channels")


def test_weights_that_are_no_constants_keep_their_bits() -> None:
    rng = np.random.default_rng(4)
    x, w = (normal(rng, shape).astype(np.float32) for shape in ((1, 32, 24, 24), (32, 32, 3, 3)))
    proto = model(x, w, None, {})
    proto.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, w.shape))
    del proto.graph.initializer[:]
    feeds = {"x": x, "w": w}
    exact, fast = (
        diptych.InferenceSession(proto, diptych.SessionOptions(math=math)).run(None, feeds)[0]
        for math in ("exact", "fast")
    )
    assert compare(exact, fast).equal


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_within_its_tiles(special: float) -> None:
    rng = np.random.default_rng(5)
    x, w = (normal(rng, shape).astype(np.float32) for shape in ((1, 40, 20, 20), (40, 40, 3, 3)))
    proto = model(x, w, None, {"pads": [1] * 4})
    clean = run(proto, x, math="fast")
    x[0, 7, 9, 5] = special
    y = run(proto, x, math="fast")
    # Input (9, 5) is (10, 6) of the padded plane, which tiles of rows 4 and 8, columns 4 alone read.
    other = np.ones((20, 20), dtype=np.bool_)
    other[8:12, 4:8] = False
    assert compare(clean[..., other], y[..., other]).equal
    assert not np.isfinite(y[..., 8:11, 4:7]).any()
    # Nothing is promised of the tiles.
    _, slack = conv_bound(x, w, None, {"pads": [1] * 4})
    assert np.isfinite(slack[..., other]).all()
    assert not np.isfinite(slack[..., 8:11, 4:7]).any()


def test_bound_is_that_of_the_transforms() -> None:
    rng = np.random.default_rng(6)
    d, g = rng.standard_normal((6, 6)), rng.standard_normal((3, 3))
    y = OUTPUTS @ ((WEIGHTS @ g @ WEIGHTS.T) * (INPUTS @ d @ INPUTS.T)) @ OUTPUTS.T
    direct = [[np.sum(d[i : i + 3, j : j + 3] * g) for j in range(4)] for i in range(4)]
    np.testing.assert_allclose(y, direct, atol=1e-13)
    norms = [np.abs(transform).sum(axis=1).max() for transform in (OUTPUTS, WEIGHTS, INPUTS)]
    np.testing.assert_allclose(norms, [8.23828125, 1.38756, 5.28125], rtol=1e-4)


def test_numbers_too_great_for_the_bound_are_not_promised() -> None:
    x, w = np.full((1, 16, 12, 12), 1e37, dtype=np.float32), np.ones((16, 16, 3, 3), dtype=np.float32)
    exact, slack = conv_bound(x, w, None, {})
    assert np.isfinite(exact).all()
    assert np.isinf(slack).all()
