"""Engines side by side, node by node. Needs `pip install 'diptych[lab]'`.

    from diptych.diff import diff

    report = diff("model.onnx", {"image": array}, against=["onnxruntime", "openvino"])
    for node in report.violations:
        print(node.label, node.op_type, node.engines["openvino"].detail)

Every node runs on every engine with the inputs that the oracle computed, so that an error shows at the node that makes
it and nowhere else; runs of the whole model say how much of it the nodes after that inherit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import onnx

from diptych.diff.differ import Differ
from diptych.diff.judging import Judged, missing_packages
from diptych.diff.oracle import ORACLES, make_oracle
from diptych.diff.report import (
    VIOLATIONS,
    EngineOnNode,
    EngineOnOutputs,
    NodeReport,
    Report,
    Total,
    document,
)
from diptych.diff.running import Tested
from diptych.diff.whole import Whole
from diptych.diff.window import Window
from diptych.errors import Error, InvalidInputError
from diptych_reference.model import load

__all__ = [
    "ORACLES",
    "VIOLATIONS",
    "EngineOnNode",
    "EngineOnOutputs",
    "Judged",
    "NodeReport",
    "Report",
    "Total",
    "Window",
    "diff",
    "document",
]

BUDGET = 256 << 20  # bytes of intermediate values that wait for a run of the whole model


def diff(
    model: str | os.PathLike[str] | bytes | onnx.ModelProto,
    feeds: Mapping[str, Any],
    *,
    against: Sequence[str] = ("diptych",),
    oracle: str = "reference",
    stop: bool = True,
    inherited: bool = True,
    isolate: bool = True,
    timeout: float | None = 60.0,
    memory_limit: int | None = None,
    threads: int = 1,
    quantized: str = "integer",
    iterations: int = 1,
    progress: Callable[[str], None] = lambda text: None,
) -> Report:
    """Compare engines with an oracle on one model and one set of inputs.

    Args:
        model: path, bytes or ModelProto.
        feeds: name -> value of every input without an initializer.
        against: engines as `make_engine` spells them, such as "onnxruntime" or "diptych[isa=avx2,passes=off]".
        oracle: "reference", in the model's types, or "float64", every float tensor in binary64.
        stop: end at the first violation; otherwise all nodes are compared.
        inherited: run whole models too, for the error that nodes inherit and for the outputs.
        isolate: each engine in a process of its own, so that a crash is a finding. False: here, where operators of
            `register_operator` are known.
        timeout: seconds that an engine may take for a model or a node; None: any. Only with `isolate`.
        memory_limit: bytes of any one value of the oracle, and of each engine's process; a quarter of it may wait for
            runs of the whole model (None: 256 MiB).
        threads: of each engine whose spelling does not say another number.
        quantized: meaning of products of quantized operands, "integer" or "float" (docs/quantization.md).
        iterations: how many evaluations of each node inside of a loop are compared.
        progress: called with a line before each step, and with "" at the end.

    Diptych's panels are held to the reference's bits (with oracle "float64": to the bounds of their own program), other
    engines to the bounds of any honest evaluation. Raises InvalidInputError for wrong names, and what the reference
    raises where it cannot run the model.

    """
    if iterations < 1:
        raise InvalidInputError(f"iterations is {iterations}; expected 1 or more")
    source, loaded = _load(model)
    with ExitStack() as closing:
        tested = []
        for spec in dict.fromkeys(against):
            engine = Tested(spec, isolate=isolate, timeout=timeout, memory_limit=memory_limit, threads=threads)
            closing.callback(engine.close)
            tested.append(engine)
        if (missing := missing_packages()) and not (oracle == "reference" and all(engine.own for engine in tested)):
            raise Error(f"bounds of operators need more packages: pip install 'diptych[lab]' ({missing})")
        made = make_oracle(oracle, loaded, memory_limit, quantized)
        report = Report(loaded.name, oracle, {engine.spec: engine.version for engine in tested})
        budget = BUDGET if memory_limit is None else memory_limit // 4
        whole = Whole(source, made, tested, feeds, report, budget, progress) if inherited else None
        outputs = Differ(made, tested, report, whole, stop=stop, iterations=iterations, progress=progress).run(feeds)
        if whole is not None:
            whole.flush() if outputs is None else whole.finish(outputs)
        progress("")
    return report


def _load(model: str | os.PathLike[str] | bytes | onnx.ModelProto) -> tuple[bytes | Path, Any]:
    """The model as engines take it, and as the reference does."""
    if isinstance(model, onnx.ModelProto):
        model = model.SerializeToString()
    source = model if isinstance(model, bytes) else Path(model)
    return source, load(source)
