"""What follows a convolution is applied in its kernel: the same bits as the operators one after the other have."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import diptych
import diptych_reference
from diptych.compare import compare
from diptych.testing import engine_paths

SPECIAL = [0.0, -0.0, 6.0, -1.5, float("nan"), float("inf"), float("-inf")]
FOLLOWERS = ("BatchNormalization", "Relu", "Clip")


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, Any]:
    """Attributes and extents of a Conv or ConvTranspose, of every path that the kernels have."""
    # Few and many channels; groups that are convolved together, one by one, and by several threads.
    shapes = [(1, 3, 5), (1, 16, 33), (7, 1, 1), (2, 4, 4), (20, 1, 1), (1, 5, 1), (48, 4, 2), (6, 16, 3), (1, 32, 32)]
    group, per_group, out = draw(st.sampled_from(shapes))
    kernel = draw(st.sampled_from([1, 2, 3]))
    return {
        "op_type": draw(st.sampled_from(["Conv", "Conv", "ConvTranspose"])),
        "group": group,
        "per_group": per_group,
        "out": out,
        "kernel": kernel,
        "stride": draw(st.sampled_from([1, 2])),
        "pad": draw(st.integers(0, kernel - 1)),
        "size": draw(st.sampled_from([3, 7, 10, 18, 24])),
        "batch": draw(st.integers(1, 2)),
        "bias": draw(st.booleans()),
        "followers": draw(st.lists(st.sampled_from(FOLLOWERS), min_size=1, max_size=4)),
        "bounds": draw(st.lists(st.sampled_from([None, *SPECIAL]), min_size=8, max_size=8)),
        "read_twice": draw(st.booleans()),
        "seed": draw(st.integers(0, 2**32 - 1)),
    }


def model(drawn: dict[str, Any]) -> tuple[onnx.ModelProto, dict[str, np.ndarray[Any, Any]]]:
    """The chain, and an input with special values. `read_twice`: the convolution's output is an output as well."""
    rng = np.random.default_rng(drawn["seed"])
    group, kernel = drawn["group"], drawn["kernel"]
    channels, outputs = group * drawn["per_group"], group * drawn["out"]
    rows = (channels, drawn["out"]) if drawn["op_type"] == "ConvTranspose" else (outputs, drawn["per_group"])
    constants = {"w": rng.standard_normal((*rows, kernel, kernel))}
    if drawn["bias"]:
        constants["b"] = rng.standard_normal(outputs)
    attributes = {"strides": [drawn["stride"]] * 2, "pads": [drawn["pad"]] * 4, "group": group}
    nodes = [helper.make_node(drawn["op_type"], ["x", *constants], ["v0"], **attributes)]
    bounds = iter(drawn["bounds"])
    for index, op_type in enumerate(drawn["followers"]):
        names = [f"p{index}_{k}" for k in range(4)]
        if op_type == "BatchNormalization":
            constants |= dict(
                zip(names, [*rng.standard_normal((3, outputs)), rng.uniform(0.1, 2, outputs)], strict=True)
            )
        elif op_type == "Clip":
            given_bounds = {name: bound for name, bound in zip(names[:2], bounds, strict=False) if bound is not None}
            constants |= {name: np.array(bound) for name, bound in given_bounds.items()}
            names = [name if name in given_bounds else "" for name in names[:2]]
        else:
            names = []
        nodes.append(helper.make_node(op_type, [f"v{index}", *names], [f"v{index + 1}"]))
    shown = [f"v{len(drawn['followers'])}", *(["v0"] if drawn["read_twice"] else [])]
    size = drawn["size"]
    x = rng.standard_normal((drawn["batch"], channels, size, size)).astype(np.float32)
    x.ravel()[rng.integers(0, x.size, 3)] = rng.choice(np.array(SPECIAL, np.float32), 3)
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in shown],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), {"x": x}


@given(convolutions())
def test_followers_keep_their_roundings(drawn: dict[str, Any]) -> None:
    proto, feeds = model(drawn)
    expected = diptych_reference.ReferenceSession(proto).run(None, feeds)
    for isa, threads in engine_paths():
        for disabled in ([], ["epilogue_fusion"]):
            options = diptych.SessionOptions(isa=isa, threads=threads, disabled_passes=disabled)
            actual = diptych.InferenceSession(proto, options).run(None, feeds)
            for left, right in zip(expected, actual, strict=True):
                problem = compare(left, right).problem
                assert not problem, f"{isa}, {threads} threads, without {disabled}: {problem}"


def nodes_run(drawn: dict[str, Any], disabled: list[str]) -> list[str]:
    """Operators that a run has a step for."""
    proto, feeds = model(drawn)
    options = diptych.SessionOptions(threads=1, disabled_passes=disabled)
    options.enable_profiling = True
    session = diptych.InferenceSession(proto, options)
    session.run(None, feeds)
    return [event["op_type"] for event in session.take_events()]


@pytest.mark.parametrize(
    ("followers", "bounds", "left"),
    [
        (["BatchNormalization", "Relu"], [], []),
        (["BatchNormalization", "Clip"], [0.0, 6.0], []),
        (["Relu", "BatchNormalization"], [], ["BatchNormalization"]),
        (["Clip"], [-0.0, None], ["Clip"]),
        (["Clip"], [float("nan"), None], ["Clip"]),
    ],
)
def test_what_follows_in_the_kernel_has_no_step(followers: list[str], bounds: list[Any], left: list[str]) -> None:
    drawn: dict[str, Any] = {
        "op_type": "Conv",
        "group": 1,
        "per_group": 3,
        "out": 5,
        "kernel": 3,
        "stride": 1,
        "pad": 1,
        "size": 7,
        "batch": 1,
        "bias": True,
        "followers": followers,
        "bounds": bounds,
        "read_twice": False,
        "seed": 0,
    }
    assert nodes_run(drawn, []) == ["Conv", *left]
    assert nodes_run(drawn, ["epilogue_fusion"]) == ["Conv", *followers]
    assert nodes_run({**drawn, "read_twice": True}, []) == ["Conv", *followers]
