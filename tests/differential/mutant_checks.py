"""Run inside a build with planted bugs: `python mutant_checks.py LIBRARY` prints what catches each of them.

The library stands in for `diptych._core` in this process; otherwise the package, the strategies and the comparison are
those of the other tests. One JSON object a line: the mutant (null: none), the check, and the first difference that the
check finds ("" if none).
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ExtensionFileLoader
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from onnx import TensorProto, helper

EXAMPLES = 600

# What catches a mutant: (operator, since_version, dtype) of `operator_cases`, "graphs" (random ones), or one of MODELS.
CATCHES: dict[str, tuple[str, int, str] | str] = {
    "argmax_tie": ("ArgMax", 13, "float"),
    "contracted_multiply_add": ("LayerNormalization", 17, "float"),
    "double_rounding": ("Cast", 13, "double"),
    "dropped_tail": ("MatMul", 13, "float"),
    "in_place_read_later": "graphs",
    "lane_order": ("ReduceSum", 13, "float"),
    "lost_nan": ("Max", 13, "float"),
    "lost_positive_zero": ("Relu", 14, "float"),
    "off_by_one_pad": ("Conv", 11, "float"),
    "pad_counted": ("AveragePool", 11, "float"),
    "quantize_ties_up": ("QuantizeLinear", 13, "float"),
    "reuse_race": "graphs",
    "round_ties_away": ("Round", 11, "float"),
    "rounded_product": ("MatMul", 13, "float"),
    "softmax_division": ("Softmax", 13, "float"),
    "stale_halo": "convolutions",
    "stale_product": ("Gemm", 13, "float"),
    "swapped_axes": ("Transpose", 13, "float"),
    "ties_up": ("Mul", 14, "bfloat16"),
    "topk_tie": ("TopK", 11, "float"),
    "uneven_split": "wide",
}


def load(library: str) -> Any:
    """Import the library as `diptych._core`, before the package does."""
    loader = ExtensionFileLoader("diptych._core", library)
    spec = importlib.util.spec_from_file_location("diptych._core", library, loader=loader)
    assert spec is not None
    core = importlib.util.module_from_spec(spec)
    sys.modules["diptych._core"] = core
    loader.exec_module(core)
    return core


def model(nodes: list[Any], constants: dict[str, Any]) -> bytes:
    """A model from `x` to `y`, of float32 tensors of open shape."""
    graph = helper.make_graph(
        nodes,
        "mutants",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_empty_tensor_value_info("y")],
        [helper.make_tensor(name, TensorProto.FLOAT, a.shape, a.ravel()) for name, a in constants.items()],
    )
    opsets = [helper.make_opsetid("", 21)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())


def normal(*shape: int) -> Any:
    """Random numbers, always the same for a shape."""
    return np.random.default_rng(7).normal(size=shape).astype(np.float32)


def convolutions() -> tuple[bytes, Any]:
    """Padded convolutions one after the other, whose layouts take turns in the same bytes."""
    nodes = [
        helper.make_node("Conv", ["x", "v"], ["h"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["h", "w"], ["y"], pads=[2, 2, 2, 2], strides=[2, 2]),
    ]
    return model(nodes, {"v": normal(19, 3, 3, 3), "w": normal(5, 19, 5, 5)}), normal(2, 3, 9, 11)


def wide() -> tuple[bytes, Any]:
    """A tensor that is worth splitting over threads."""
    nodes = [helper.make_node("Sigmoid", ["x"], ["h"]), helper.make_node("Add", ["h", "x"], ["y"])]
    return model(nodes, {}), normal(300_001)


MODELS: dict[str, Callable[[], tuple[bytes, Any]]] = {
    "convolutions": convolutions,
    "wide": wide,
}


def session_difference(serialized: bytes, feeds: dict[str, Any], seeds: range) -> str:
    """The first difference of a model: in order, on two threads, and in random legal orders over poisoned bytes."""
    import diptych
    import diptych_reference
    from diptych.compare import compare

    wanted = diptych_reference.ReferenceSession(serialized).run(None, feeds)
    for threads, seed in [(1, None), (2, None), *((1, seed) for seed in seeds)]:
        session = diptych.InferenceSession(serialized, diptych.SessionOptions(threads=threads, schedule_seed=seed))
        for run in range(2):  # the second one finds the bytes of the first
            problem = compare(wanted, list(session.run(None, feeds))).problem
            if problem:
                return f"{threads} threads, schedule {seed}, run {run}: {problem}"
    return ""


def model_difference(name: str) -> str:
    """The first difference of one of MODELS."""
    serialized, x = MODELS[name]()
    return session_difference(serialized, {"x": x}, range(10))


def first_difference(cases: Any, compared: Callable[[Any], str], examples: int) -> str:
    """The first of `examples` cases that `compared` finds a difference in. A panic of the engine is a difference."""
    import diptych

    found: list[str] = []

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def agree(case: Any) -> None:
        if found:
            return
        try:
            problem = compared(case)
        except diptych.Error as error:
            problem = f"{type(error).__name__}: {error}"
        if problem:
            found.append(f"{case!r}: {problem}")

    agree()
    return found[0] if found else ""


def graph_difference() -> str:
    """The first difference in random graphs of a few nodes."""
    from diptych.testing.graphs import GraphCase, graphs

    def compared(case: GraphCase) -> str:
        return session_difference(case.model.SerializeToString(), case.feeds, range(3))

    return first_difference(graphs("float"), compared, EXAMPLES // 3)


def operator_difference(op_type: str, since: int, dtype: str) -> str:
    """The first difference of the panels in cases of an operator, on every instruction set."""
    from diptych.testing import Case, difference, engine_paths, on_engine, on_reference, operator_cases

    def compared(case: Case) -> str:
        expected = on_reference(case)
        problems = (difference(expected, on_engine(case, isa, threads)) for isa, threads in engine_paths(threads=[1]))
        return next(filter(None, problems), "")

    return first_difference(operator_cases(op_type, since, dtype), compared, EXAMPLES)


def difference_by(check: tuple[str, int, str] | str) -> str:
    """What a check finds."""
    if check == "graphs":
        return graph_difference()
    return model_difference(check) if isinstance(check, str) else operator_difference(*check)


def results(core: Any) -> Iterator[dict[str, Any]]:
    """Every check without a mutant, then every mutant with its check."""
    unlisted = set(core._mutants()) ^ set(CATCHES)
    assert not unlisted, f"the table and the build differ in {sorted(unlisted)}"
    plain = [(None, check) for check in sorted(set(CATCHES.values()), key=str)]
    for mutant, check in [*plain, *CATCHES.items()]:
        core._set_mutant(mutant)
        yield {"mutant": mutant, "check": check, "difference": difference_by(check)}


if __name__ == "__main__":
    for result in results(load(sys.argv[1])):
        print(json.dumps(result), flush=True)
