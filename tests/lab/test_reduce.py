"""`diptych.reducer`: planted bugs come out as the few nodes that have them, whatever lies around."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.lab.models_reduce import FLOAT, body_of, chain, model_of, rng

from diptych.errors import InvalidInputError
from diptych.reducer import Limits, NoFailureError, Reduction, reduce_failure
from diptych.reducer.failure import Failure, normal_message
from diptych.reducer.search import ddmin

RELU = "tests.lab.planted_reduce:WrongRelu[bug={}]"
FUSION = "tests.lab.planted_reduce:WrongFusion"


def reduced(model: Any, feeds: dict[str, Any], engine: str, **limits: Any) -> Reduction:
    return reduce_failure(model, feeds, engine, limits=Limits(**{"seconds": None, "hang_after": 60.0, **limits}))


def operators(reduction: Reduction) -> list[str]:
    return [node.op_type for node in reduction.model.graph.node]


def elements(reduction: Reduction) -> int:
    return sum(array.size for array in reduction.candidate.tensors.values())


def test_a_wrong_kernel_becomes_one_node_and_one_element() -> None:
    reduction = reduced(*chain(40, 16), RELU.format("dropped_tail"))
    assert operators(reduction) == ["Relu"]
    assert elements(reduction) == 1
    assert (reduction.failure.kind, reduction.failure.operator) == ("bound", "Relu")
    assert reduction.stopped == ""
    assert reduction.nodes_before == 40
    assert not reduction.model.graph.node[0].doc_string


def test_the_same_reduction_again_is_the_same_to_the_byte() -> None:
    first, second = (reduced(*chain(20, 16), RELU.format("dropped_tail")) for _ in range(2))
    assert first.candidate.content == second.candidate.content
    assert first.steps == second.steps
    assert {n: v.tobytes() for n, v in first.feeds.items()} == {n: v.tobytes() for n, v in second.feeds.items()}


def test_two_nodes_that_fail_together_only() -> None:
    reduction = reduced(*chain(30, 16), FUSION)
    assert operators(reduction) == ["MatMul", "Add"]
    assert reduction.failure.kind == "bound"


def test_two_thousand_nodes_take_no_more_than_two_runs_a_node() -> None:
    reduction = reduced(*chain(2000, 1500), FUSION)
    assert operators(reduction) == ["MatMul", "Add"]
    assert reduction.tried < 2 * 2000 + 200


def test_dynamic_shapes_are_fixed() -> None:
    reduction = reduced(*chain(12, 4, rows="batch"), RELU.format("dropped_tail"))
    assert operators(reduction) == ["Relu"]
    assert all(d.HasField("dim_value") for d in reduction.model.graph.input[0].type.tensor_type.shape.dim)


@pytest.mark.parametrize(("bug", "kind"), [("crash", "crash"), ("fail", "error"), ("refuse", "refused")])
def test_engines_that_do_not_answer(bug: str, kind: str) -> None:
    reduction = reduced(*chain(6, 4), RELU.format(bug), attempts=14)
    assert operators(reduction) == ["Relu"]
    assert reduction.failure.kind == kind
    assert elements(reduction) == 1


def test_a_hang() -> None:
    reduction = reduced(*chain(4, 2, width=2), RELU.format("hang"), hang_after=1.0, attempts=8)
    assert operators(reduction) == ["Relu"]
    assert reduction.failure.kind == "hang"


def test_a_lost_nan_stays_a_matter_of_classes() -> None:
    model, feeds = chain(8, 4)
    feeds["x"][1, 3] = np.nan
    reduction = reduced(model, feeds, RELU.format("lost_nan"))
    assert operators(reduction) == ["Relu"]
    assert (reduction.failure.kind, elements(reduction)) == ("class", 1)
    assert np.isnan(reduction.feeds["x0"]).all()


def relu_body(extra: str = "") -> list[Any]:
    return [helper.make_node("Tanh", ["v"], ["a"]), helper.make_node("Relu", ["a"], ["b"], name=extra)]


def value(name: str, kind: int = FLOAT, shape: Any = None) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def loop_model() -> Any:
    body = body_of(
        [*relu_body(), helper.make_node("Add", ["b", "outer"], ["next"]), helper.make_node("Identity", ["c"], ["go"])],
        [value("i", TensorProto.INT64, []), value("c", TensorProto.BOOL, []), value("v")],
        [value("go", TensorProto.BOOL, []), value("next"), value("b")],
    )
    nodes = [
        helper.make_node("Neg", ["x"], ["outer"]),
        helper.make_node("Loop", ["n", "yes", "x"], ["last", "all"], body=body),
    ]
    return model_of(nodes, {"x": [3, 5]}, ["last", "all"], {"n": np.asarray(4, np.int64), "yes": np.asarray(True)})


def if_model() -> Any:
    branches = {
        "then_branch": body_of([helper.make_node("Neg", ["x"], ["t"])], [], [value("t")]),
        "else_branch": body_of(
            [helper.make_node("Abs", ["x"], ["e"]), helper.make_node("Relu", ["e"], ["f"])], [], [value("f")]
        ),
    }
    node = helper.make_node("If", ["no"], ["y"], **branches)
    return model_of([node], {"x": [3, 5]}, ["y"], {"no": np.asarray(False)})


def scan_model() -> Any:
    body = body_of(
        [*relu_body(), helper.make_node("Add", ["b", "s"], ["next"]), helper.make_node("Identity", ["b"], ["out"])],
        [value("s"), value("v")],
        [value("next"), value("out")],
    )
    nodes = [
        helper.make_node("ReduceSum", ["x", "axis"], ["zero"], keepdims=0),
        helper.make_node("Scan", ["zero", "x"], ["s_last", "outs"], body=body, num_scan_inputs=1),
    ]
    return model_of(nodes, {"x": [3, 5]}, ["s_last", "outs"], {"axis": np.asarray([0], np.int64)})


def function_model() -> Any:
    function = helper.make_function(
        "mine", "Block", ["v"], ["b"], relu_body(), [helper.make_opsetid("", 17)], attributes=[]
    )
    node = helper.make_node("Block", ["x"], ["y"], domain="mine")
    model = model_of([node], {"x": [3, 5]}, ["y"], functions=[function])
    model.opset_import.append(helper.make_opsetid("mine", 1))
    return model


@pytest.mark.parametrize("make", [loop_model, if_model, scan_model, function_model])
def test_graphs_inside_nodes_are_opened(make: Any) -> None:
    x = np.abs(rng().standard_normal((3, 5))).astype(np.float32)
    reduction = reduced(make(), {"x": x}, RELU.format("dropped_tail"))
    assert operators(reduction) == ["Relu"]
    assert elements(reduction) == 1
    assert not reduction.model.functions


def test_a_crash_inside_a_loop() -> None:
    x = np.abs(rng().standard_normal((3, 5))).astype(np.float32)
    assert operators(reduced(loop_model(), {"x": x}, RELU.format("crash"), attempts=8)) == ["Relu"]


def test_sequences_and_strings_pass_through() -> None:
    nodes = [
        helper.make_node("ConcatFromSequence", ["seq"], ["joined"], axis=0),
        helper.make_node("Relu", ["joined"], ["r"]),
        helper.make_node("SplitToSequence", ["r"], ["parts"], axis=0),
        helper.make_node("SequenceLength", ["parts"], ["n"]),
        helper.make_node("StringConcat", ["words", "words"], ["twice"]),
    ]
    element = helper.make_tensor_type_proto(FLOAT, None)
    graph = helper.make_graph(
        nodes,
        "mixed",
        [
            helper.make_value_info("seq", helper.make_sequence_type_proto(element)),
            value("words", TensorProto.STRING, [2]),
        ],
        [value("n", TensorProto.INT64, []), value("twice", TensorProto.STRING, [2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    feeds = {"seq": [np.ones((2, 3), np.float32)] * 2, "words": np.asarray(["ä", "b"], object)}
    reduction = reduced(model, feeds, RELU.format("dropped_tail"))
    assert operators(reduction) == ["Relu"]
    assert elements(reduction) == 1


def test_external_data_is_read_where_it_is_needed(tmp_path: Path) -> None:
    model, feeds = chain(9, 20)
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    reduction = reduced(path, feeds, FUSION)
    assert operators(reduction) == ["MatMul", "Add"]
    assert all(not tensor.external_data for tensor in reduction.model.graph.initializer)


def test_what_does_not_fit_into_memory_lies_in_a_file() -> None:
    reduction = reduced(*chain(12, 4), RELU.format("dropped_tail"), memory=100)
    assert operators(reduction) == ["Relu"]


def test_limits_end_the_search_with_what_was_found() -> None:
    reduction = reduced(*chain(12, 4), RELU.format("dropped_tail"), attempts=6)
    assert "6 attempts" in reduction.stopped
    assert operators(reduction) == ["Relu"]
    assert elements(reduction) > 1


def test_ctrl_c_ends_the_search_with_what_was_found() -> None:
    def report(text: str) -> None:
        if text.startswith("shrink axes"):
            raise KeyboardInterrupt

    reduction = reduce_failure(*chain(12, 4), RELU.format("dropped_tail"), report=report)
    assert reduction.stopped == "interrupted"
    assert operators(reduction) == ["Relu"]


def test_an_engine_that_is_right_has_nothing_to_reduce() -> None:
    with pytest.raises(NoFailureError, match="agrees with the reference"):
        reduced(*chain(6, 20), RELU.format("dropped_tail"))


def test_wrong_inputs_are_errors() -> None:
    model, _ = chain(3, 20)
    with pytest.raises(Exception, match="missing inputs"):
        reduced(model, {}, FUSION)
    with pytest.raises(InvalidInputError, match="no engine 'nobody'"):
        reduced(model, {}, "nobody")
    with pytest.raises(InvalidInputError, match="either an engine"):
        reduce_failure(model, {})


def test_the_engine_is_held_to_bits() -> None:
    """A difference of one unit is none to an error bound, and one to `exact`."""
    x = rng().standard_normal((4, 7)).astype(np.float32)
    model = model_of([helper.make_node("Tanh", ["x"], ["y"])], {"x": [4, 7]}, ["y"])
    reduction = reduce_failure(model, {"x": x}, "onnx.reference", exact=True, limits=Limits(None))
    assert reduction.failure.kind == "bits"
    assert elements(reduction) == 1


def has_relu(path: Path, feeds: dict[str, Any]) -> str:
    return "relu" if any(n.op_type == "Relu" for n in onnx.load(path).graph.node) and feeds else ""


@pytest.mark.parametrize("check", ["tests.lab.test_reduce:has_relu", f"{__file__}:has_relu", "grep -q Relu"])
def test_a_check_of_ones_own(check: str) -> None:
    reduction = reduce_failure(*chain(8, 5), check=check, limits=Limits(None))
    assert operators(reduction) == ["Relu"]
    assert reduction.failure.kind == "check"


def test_checks_that_are_none() -> None:
    for check, problem in (
        ("json:nothing_here", "no function"),
        ("no_such_module_at_all:f", "No module"),
        ("'", "quot"),
    ):
        with pytest.raises(InvalidInputError, match=problem):
            reduce_failure(*chain(3, 20), check=check)
    with pytest.raises(NoFailureError, match="does not hold"):
        reduce_failure(*chain(3, 20), check="false")


def test_ddmin_finds_a_part_without_anything_superfluous() -> None:
    wanted, asked = {3, 47, 80}, []

    def fails(items: Any) -> bool:
        asked.append(len(items))
        return wanted <= set(items)

    assert ddmin(range(100), fails) == [3, 47, 80]
    assert len(asked) < 150


def test_messages_lose_what_varies() -> None:
    one = "Non-zero status code while running Conv node. Name:'conv_17' Status: shape {1,3,8} at 0x7ffee1, t12"
    two = "Non-zero status code while running Conv node. Name:'c' Status: shape {4} at 0x1, x0"
    assert normal_message(one, ["t12"]) == normal_message(two, ["x0"])
    assert normal_message("no Conv", []) != normal_message("no Relu", [])
    assert not Failure("crash", detail="SIGSEGV").same(Failure("crash", detail="SIGABRT"))


def test_constants_stay_constants() -> None:
    """Constant nodes become initializers, which are not made inputs."""
    weight = numpy_helper.from_array(np.eye(5, dtype=np.float32))
    nodes = [
        helper.make_node("Constant", [], ["w"], value=weight),
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Add", ["m", "x"], ["y"]),
    ]
    x = rng().standard_normal((5, 5)).astype(np.float32)
    reduction = reduced(model_of(nodes, {"x": [5, 5]}, ["y"]), {"x": x}, FUSION)
    assert operators(reduction) == ["MatMul", "Add"]
