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

# What catches a mutant: (operator, since_version, dtype) of `operator_cases`, or one of MODELS.
CATCHES: dict[str, tuple[str, int, str] | str] = {
    "argmax_tie": ("ArgMax", 13, "float"),
    "contracted_multiply_add": ("LayerNormalization", 17, "float"),
    "double_rounding": ("Cast", 13, "double"),
    "dropped_tail": ("MatMul", 13, "float"),
    "in_place_read_later": "branches",
    "lane_order": ("ReduceSum", 13, "float"),
    "lost_nan": ("Max", 13, "float"),
    "lost_positive_zero": ("Relu", 14, "float"),
    "off_by_one_pad": ("Conv", 11, "float"),
    "pad_counted": ("AveragePool", 11, "float"),
    "quantize_ties_up": ("QuantizeLinear", 13, "float"),
    "reuse_race": "branches",
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


def branches() -> tuple[bytes, Any]:
    """Branches over one input that free bytes for one another and read values again after they could be overwritten."""
    nodes = []
    for branch in range(6):
        nodes.append(helper.make_node("Add", ["x", f"w{branch}"], [f"a{branch}"]))
        nodes.append(helper.make_node("Relu", [f"a{branch}"], [f"b{branch}"]))
        nodes.append(helper.make_node("Mul", [f"b{branch}", "x"], [f"c{branch}"]))
        nodes.append(helper.make_node("Sub", [f"c{branch}", f"a{branch}"], [f"d{branch}"]))
    nodes.append(helper.make_node("Sum", [f"d{branch}" for branch in range(6)], ["y"]))
    return model(nodes, {f"w{branch}": normal(16) + branch for branch in range(6)}), normal(50, 16)


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
    "branches": branches,
    "convolutions": convolutions,
    "wide": wide,
}


def model_difference(name: str) -> str:
    """The first difference of a model: in order, on two threads, and in random legal orders over poisoned bytes."""
    import diptych
    import diptych_reference
    from diptych.compare import compare

    serialized, x = MODELS[name]()
    (wanted,) = diptych_reference.ReferenceSession(serialized).run(None, {"x": x})
    for threads, seed in [(1, None), (2, None), *((1, seed) for seed in range(20))]:
        options = diptych.SessionOptions(threads=threads, schedule_seed=seed)
        session = diptych.InferenceSession(serialized, options)
        for run in range(2):  # the second one finds the bytes of the first
            problem = compare(wanted, session.run(None, {"x": x})[0]).problem
            if problem:
                return f"{threads} threads, schedule {seed}, run {run}: {problem}"
    return ""


def operator_difference(op_type: str, since: int, dtype: str) -> str:
    """The first difference of the panels in EXAMPLES cases of an operator, on every instruction set."""
    import diptych
    from diptych.testing import Case, difference, engine_paths, on_engine, on_reference, operator_cases

    found: list[str] = []

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operator_cases(op_type, since, dtype))
    def agree(case: Case) -> None:
        if found:
            return
        expected = on_reference(case)
        for isa, threads in engine_paths(threads=[1]):
            try:
                problem = difference(expected, on_engine(case, isa, threads))
            except diptych.InternalError as error:  # a panic, caught on its way to Python
                problem = f"InternalError: {error}"
            if problem:
                found.append(f"{isa}, {case!r}: {problem}")
                return

    agree()
    return found[0] if found else ""


def results(core: Any) -> Iterator[dict[str, Any]]:
    """Every check without a mutant, then every mutant with its check."""
    unlisted = set(core._mutants()) ^ set(CATCHES)
    assert not unlisted, f"the table and the build differ in {sorted(unlisted)}"
    plain = [(None, check) for check in sorted(set(CATCHES.values()), key=str)]
    for mutant, check in [*plain, *CATCHES.items()]:
        core._set_mutant(mutant)
        found = model_difference(check) if isinstance(check, str) else operator_difference(*check)
        yield {"mutant": mutant, "check": check, "difference": found}


if __name__ == "__main__":
    for result in results(load(sys.argv[1])):
        print(json.dumps(result), flush=True)
