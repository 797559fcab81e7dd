"""Random numbers: the same on both panels for a seed and the number of a run, on all threads and schedules."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.conformance.suite import cases
from tests.traps.both import answer, answers, refusals, same

import diptych
import diptych_reference
from diptych import SessionOptions, _core
from diptych.diff import diff
from diptych_reference import ReferenceSession

FLOAT = TensorProto.FLOAT


def model(nodes: list[Any], outputs: list[str], functions: Any = (), inputs: Any = ()) -> onnx.ModelProto:
    values = [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "g", list(inputs), values)
    opsets = [helper.make_opsetid("", 22), helper.make_opsetid("local", 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=list(functions), ir_version=10)


def runs(built: onnx.ModelProto, count: int = 2, feeds: Any = None, **options: Any) -> list[list[Any]]:
    """Some runs of one session, equal on both panels."""
    seed = options.get("random_seed", 0)
    reference = ReferenceSession(built, random_seed=seed)
    session = diptych.InferenceSession(built.SerializeToString(), SessionOptions(**options))
    found = []
    for _ in range(count):
        expected, actual = reference.run(None, feeds or {}), session.run(None, feeds or {})
        for left, right in zip(expected, actual, strict=True):
            same(right, left)
        found.append(expected)
    return found


def draw(name: str = "", output: str = "y", op_type: str = "RandomUniform", **attributes: Any) -> Any:
    return helper.make_node(op_type, [], [output], name, shape=[5], **attributes)


def different(*values: Any) -> None:
    assert len({value.tobytes() for value in values}) == len(values), values


def test_a_seed_gives_numpys_numbers() -> None:
    """As onnx.reference: RandomState(int(seed)); -1 is 2^32 - 1. The same in every run and for every node."""
    for seed, integer in ((0.0, 0), (7.9, 7), (-1.0, 2**32 - 1), (2.0**40 + 2.0**20, 2**20)):
        state = np.random.RandomState(integer)
        same(answer("RandomUniform", [], {"shape": [5], "seed": seed, "dtype": 11}, opset=22), state.random_sample(5))
        state = np.random.RandomState(integer)
        y = answer("RandomNormal", [], {"shape": [9], "seed": seed, "dtype": 11, "mean": 2.0}, opset=1)
        np.testing.assert_allclose(y, state.normal(2.0, 1.0, 9), rtol=1e-14)
    [first, second] = runs(model([draw("a", "y", seed=3.0), draw("b", "z", seed=3.0)], ["y", "z"]))
    same(first[0], first[1])
    same(first[0], second[0])
    for bad in (float("nan"), float("inf")):
        refusals("RandomUniform", [], {"shape": [5], "seed": bad}, opset=22)


@pytest.mark.parametrize("op_type", ["RandomUniform", "RandomNormal"])
def test_without_a_seed_nodes_and_runs_differ_and_sessions_agree(op_type: str) -> None:
    built = model([draw("", "y", op_type), draw("", "z", op_type), draw("named", "w", op_type)], ["y", "z", "w"])
    first = runs(built, 3)
    different(*(value for run in first for value in run))
    for options in ({"disabled_passes": _core.passes()}, {"threads": 2}, {"threads": 2, "schedule_seed": 5}):
        again = runs(built, 3, **options)
        assert all(
            np.array_equal(a, b)
            for left, right in zip(first, again, strict=True)
            for a, b in zip(left, right, strict=True)
        )
    different(first[0][0], runs(built, 1, random_seed=1)[0][0], runs(built, 1, random_seed=-1)[0][0])


def test_diff_leaves_nodes_alone_that_draw_by_their_place() -> None:
    built = model([draw("a", "y"), draw("b", "z", seed=1.0)], ["y", "z"]).SerializeToString()
    report = diff(built, {}, isolate=False)
    assert [(node.violates, bool(node.skipped)) for node in report.nodes] == [(False, True), (False, False)]
    assert not report.failed


def test_graphs_given_to_functions_draw_where_they_are_run() -> None:
    """Two Loops in a function, called twice, with the body that the caller gives."""
    cond_in, cond_out = (helper.make_tensor_value_info(n, TensorProto.BOOL, []) for n in ("c", "d"))
    counter = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    nodes = [draw("", "s"), helper.make_node("Identity", ["c"], ["d"])]
    body = helper.make_graph(
        nodes, "body", [counter, cond_in], [cond_out, helper.make_tensor_value_info("s", FLOAT, None)]
    )
    loops = [helper.make_node("Loop", ["M", ""], [output]) for output in ("o", "p")]
    for loop in loops:
        loop.attribute.add(name="body", ref_attr_name="given", type=onnx.AttributeProto.GRAPH)
    opsets = [helper.make_opsetid("", 22)]
    function = helper.make_function("local", "Both", ["M"], ["o", "p"], loops, opsets, attributes=["given"])
    calls = [helper.make_node("Both", ["M"], [f"o{i}", f"p{i}"], domain="local", given=body) for i in range(2)]
    trips = helper.make_node("Constant", [], ["M"], value_int=2)
    found = runs(model([trips, *calls], ["o0", "p0", "o1", "p1"], [function]), 2)
    different(*(row for run in found for value in run for row in value))


def test_a_refused_run_does_not_count() -> None:
    x = helper.make_tensor_value_info("x", FLOAT, [2])
    built = model([helper.make_node("RandomUniformLike", ["x"], ["y"])], ["y"], inputs=[x])
    reference, session = ReferenceSession(built), diptych.InferenceSession(built.SerializeToString())
    feeds = {"x": np.zeros(2, np.float32)}
    with pytest.raises(diptych_reference.Error):
        reference.run(None, {"x": np.zeros(2)})
    with pytest.raises(diptych.Error):
        session.run(None, {"x": np.zeros(2)})
    same(session.run(None, feeds)[0], reference.run(None, feeds)[0])
    same(session.run(None, feeds)[0], runs(built, 2, feeds)[1][0])


def test_iterations_calls_and_branches_differ() -> None:
    """A Loop whose body draws, a function that draws called twice, a function called in the body, an If."""
    called = helper.make_function("local", "Draw", [], ["out"], [draw("", "out")], [helper.make_opsetid("", 22)])

    def call(output: str, name: str = "") -> Any:
        return helper.make_node("Draw", [], [output], name, domain="local")

    cond_in, cond_out = (helper.make_tensor_value_info(n, TensorProto.BOOL, []) for n in ("c", "d"))
    counter = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    then = helper.make_graph([draw("", "t")], "then", [], [helper.make_tensor_value_info("t", FLOAT, None)])
    other = helper.make_graph([call("e")], "else", [], [helper.make_tensor_value_info("e", FLOAT, None)])
    nodes = [
        draw("", "s"),
        call("f"),
        helper.make_node("If", ["c"], ["b"], then_branch=then, else_branch=other),
        helper.make_node("Identity", ["c"], ["d"]),
    ]
    scans = [helper.make_tensor_value_info(name, FLOAT, None) for name in ("s", "f", "b")]
    body = helper.make_graph(nodes, "body", [counter, cond_in], [cond_out, *scans])
    trips = helper.make_node("Constant", [], ["M"], value_int=3)
    loop = helper.make_node("Loop", ["M", ""], ["ls", "lf", "lb"], body=body)
    built = model(
        [draw("", "y"), call("f1"), call("f2", "x"), trips, loop], ["y", "f1", "f2", "ls", "lf", "lb"], [called]
    )
    found = runs(built, 2)
    different(*(row for run in found for value in run for row in value.reshape(-1, 5)))
    again = runs(built, 2, disabled_passes=_core.passes(), threads=2)
    assert all(
        np.array_equal(a, b) for left, right in zip(found, again, strict=True) for a, b in zip(left, right, strict=True)
    )


def test_numbers_are_what_they_should_be() -> None:
    """Moments of many numbers, and that they fill the range."""
    u = answer("RandomUniform", [], {"shape": [20000], "seed": 1.0, "low": -2.0, "high": 6.0}, opset=22)
    assert -2 <= u.min() < -1.99 < 5.99 < u.max() <= 6
    assert abs(u.mean() - 2) < 0.05
    z = answer("RandomNormal", [], {"shape": [20001], "mean": 3.0, "scale": 0.5}, opset=22)
    assert abs(z.mean() - 3) < 0.02
    assert abs(z.std() - 0.5) < 0.01
    assert len(set(z.tolist())) > 19900
    p = np.tile(np.array([0.0, 0.25, 1.0, np.nan, -1.0, 2.0], np.float32), (8000, 1))
    ones = answer("Bernoulli", [p], {"dtype": 6}, opset=22).mean(axis=0)  # 1 with the probability p, not 1 - p
    assert abs(ones[1] - 0.25) < 0.02
    assert ones[[0, 2, 3, 4, 5]].tolist() == [0, 1, 0, 0, 1]
    with np.errstate(divide="ignore"):
        logs = np.log(np.array([[1, 2, 5, 0.0], [1, 0, 0, 0]]))
    drawn = answer("Multinomial", [logs + 700], {"sample_size": 8000, "dtype": 7}, opset=22)
    assert drawn.shape == (2, 8000)
    assert drawn.dtype == np.int64
    assert not drawn[1].any()
    assert np.allclose(np.bincount(drawn[0], minlength=4) / 8000, [0.125, 0.25, 0.625, 0], atol=0.02)


def test_multinomial_by_hand() -> None:
    x = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]))
    u = np.random.RandomState(4).random_sample((2, 50))
    sums = np.cumsum(np.exp(x - x.max(axis=1, keepdims=True)), axis=1)
    expected = (sums[:, None, :] <= (u * sums[:, -1:])[..., None]).sum(axis=-1)
    same(answer("Multinomial", [x], {"sample_size": 50, "seed": 4.0}, opset=7), expected.astype(np.int32))
    for bad in ([np.nan, 0], [np.inf, 0], [-np.inf, -np.inf], []):
        refusals("Multinomial", [np.array([bad], np.float32)], opset=22)
    refusals("Multinomial", [x], {"dtype": 1}, opset=22)
    refusals("Multinomial", [x], {"sample_size": -1}, opset=22)


def test_types() -> None:
    x = np.zeros(2, np.int32)
    refusals("RandomNormalLike", [x], opset=22)  # its type is no type of random numbers
    assert answer("RandomNormalLike", [x], {"dtype": 10}, opset=22).dtype == np.float16
    words = np.array(["a", "b"], dtype=object)
    assert answer("RandomUniformLike", [words], {"dtype": 11}, opset=1).dtype == np.float64
    refusals("RandomUniform", [], {"shape": [2], "dtype": 16}, opset=1)  # bfloat16 came with version 22
    refusals("RandomUniform", [], {"shape": [2], "dtype": 7}, opset=22)
    refusals("RandomUniform", [], {"shape": [-2]}, opset=22)
    assert answer("RandomUniform", [], {"shape": []}, opset=22).shape == ()
    assert answer("Bernoulli", [np.ones(2, np.float32)], {"dtype": 9}, opset=15).tolist() == [True, True]


def test_dropout_is_the_identity_in_inference() -> None:
    x = np.arange(4, dtype=np.float32)
    for opset, n in ((7, 1), (13, 2), (22, 2)):
        y, *mask = answers("Dropout", [x], opset=opset, n_outputs=n)
        same(y, x)
        assert all(m.dtype == bool and m.all() for m in mask)
    same(answer("Dropout", [x, np.array(0.9, np.float32), np.array(False)], {"seed": 1}, opset=22), x)


def test_bernoulli_cases_of_the_suite_have_the_right_types() -> None:
    """Their values are out of anybody's reach (tests/conformance/manifest.toml), types and shapes are not."""
    names = [case for case in cases() if case.name.startswith("test_bernoulli")]
    assert len(names) == 6
    for case in names:
        [data] = case.data()
        serialized = case.model.SerializeToString()
        [y] = diptych.InferenceSession(serialized).run(None, {case.fed[0].name: data.inputs[0]})
        same(y, ReferenceSession(serialized).run(None, {case.fed[0].name: data.inputs[0]})[0])
        assert (y.dtype, y.shape) == (data.outputs[0].dtype, data.outputs[0].shape)
        assert set(y.tolist()) <= {0.0, 1.0}
