"""What must hold between answers of one engine, whatever the operator means: oracles that need no second engine.

Each is a function (case, outputs, run, exact) -> problem: "" where the relation holds, None where it says nothing of
this case. `run` takes a model's bytes and feeds and gives an `Answer`; `exact` asks for equal bits where the engine
promises them.

- body: ONNX's function of the operator, run by the same engine, agrees (`diptych.testing.bodies`). Skips operators
  without a function, functions that say something else for these inputs, and engines that do not run them.
- float64: the same numbers in binary64 agree within the operator's bound. Skips other types than binary32, operators
  without an oracle or without binary64, and NaN or infinity, whose classes the first judgement has seen.
- batch: both halves of the batch, each alone, give the halves of the whole, within the bound for either. Skips
  operators for which a batch is no batch, and batches of one.
- history: the same question after another one gets the same bits. Skips cases without a floating-point input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from diptych.compare import compare
from diptych.engines.worker import Answer
from diptych.testing import Case
from diptych.testing.bodies import comparable, disagreement, expanded, has_body
from diptych.testing.oracles import Expected, any_evaluation, bounded, judge, oracle_of, wide
from diptych.testing.schema import row
from diptych.testing.values import is_floating

__all__ = ["RELATIONS"]

Ask = Callable[[bytes, Mapping[str, Any]], Answer]
Relation = Callable[[Case, Sequence[Any], Ask, bool], str | None]

# Operators whose first axis is a batch of independent items, and which inputs have it. MatMul: with a batch in A alone.
BATCHED: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("Conv", "ConvTranspose", "AveragePool", "MaxPool", "LpPool", "GlobalAveragePool"), (0,)),
    **dict.fromkeys(("GlobalMaxPool", "GlobalLpPool", "InstanceNormalization", "GroupNormalization", "LRN"), (0,)),
    **dict.fromkeys(("GridSample", "DeformConv", "ConvInteger", "QLinearConv", "DepthToSpace", "SpaceToDepth"), (0,)),
    "GridSample": (0, 1),
    "MatMul": (0,),
}


def body(case: Case, outputs: Sequence[Any], ask: Ask, exact: bool) -> str | None:
    """The operator's function body."""
    if not has_body(row(case.op_type, case.opset, case.domain)) or not comparable(case):
        return None
    if any(isinstance(output, np.ndarray) and output.size == 0 for output in outputs):
        return None
    model = expanded(case)
    answer = ask(model.SerializeToString(), case.feeds()) if model is not None else None
    if answer is None or not answer.answered:
        return None
    return disagreement(case, outputs, answer.outputs)[0]


def float64(case: Case, outputs: Sequence[Any], ask: Ask, exact: bool) -> str | None:
    """The same numbers in binary64."""
    first = case.inputs[0] if case.inputs else None
    oracle = oracle_of(case.op_type, case.domain)
    if not isinstance(first, np.ndarray) or first.dtype != np.float32 or oracle is None or case.needs_model:
        return None
    if np.dtype(np.float64) not in row(case.op_type, case.opset, case.domain).dtypes or not _finite(case):
        return None
    if case.op_type in ("Cast", "CastLike", "QuantizeLinear", "DequantizeLinear"):
        return None  # what they give depends on the type itself
    wider = replace(case, inputs=tuple(_widened(value) for value in case.inputs))
    answer = ask(wider.model().SerializeToString(), wider.feeds())
    if not answer.answered or len(answer.outputs) != len(outputs):
        return None
    with np.errstate(all="ignore"), any_evaluation():
        bounds = oracle(case) or []
    held = None
    for wanted, single, double in zip(bounds, outputs, answer.outputs, strict=False):
        if wanted is None or not isinstance(double, np.ndarray) or double.dtype != np.float64:
            continue
        slack = np.asarray(bounded(wanted, single.dtype)) * 2
        verdict = judge(Expected(wide(double), slack), single)
        if verdict.wrong:
            return f"binary64 gives something else: {verdict.problem}"
        held = ""
    return held


def batch(case: Case, outputs: Sequence[Any], ask: Ask, exact: bool) -> str | None:
    """Two halves of the batch."""
    axes = BATCHED.get(case.op_type)
    if axes is None or case.domain or len(outputs) != 1 or case.inputs[0].ndim < 2 or case.inputs[0].shape[0] < 2:
        return None
    if case.op_type == "MatMul" and (case.inputs[0].ndim < 3 or case.inputs[1].ndim > 2):
        return None
    middle, parts = case.inputs[0].shape[0] // 2, []
    for half in (slice(None, middle), slice(middle, None)):
        given = tuple(
            value[half] if i in axes or (case.op_type == "DeformConv" and i in (2, 4) and value is not None) else value
            for i, value in enumerate(case.inputs)
        )
        smaller = replace(case, inputs=given)
        answer = ask(smaller.model().SerializeToString(), smaller.feeds())
        if not answer.answered:
            return None
        parts.append(answer.outputs[0])
    if any(part.dtype != outputs[0].dtype or part.shape[1:] != outputs[0].shape[1:] for part in parts):
        return "halves of the batch give another type or shape than the whole"
    return _agree(case, outputs[0], np.concatenate(parts), exact)


def _agree(case: Case, whole: Any, halves: Any, exact: bool) -> str | None:
    """Whether both lie within the bound of the same numbers: then they are at most two bounds apart."""
    found = compare(whole, halves)
    if found.equal:
        return ""
    if exact or whole.dtype.kind in "iub":
        return f"halves of the batch: {found.problem}"
    oracle = oracle_of(case.op_type, case.domain)
    with np.errstate(all="ignore"), any_evaluation():
        wanted = (oracle(case) if oracle else None) or [None]
    if wanted[0] is None:
        return None
    verdict = judge(Expected(wide(whole), 2 * np.asarray(bounded(wanted[0], whole.dtype))), halves)
    return f"halves of the batch: {verdict.problem}" if verdict.wrong else ""


def history(case: Case, outputs: Sequence[Any], ask: Ask, exact: bool) -> str | None:
    """Other numbers in between leave nothing behind: the process keeps the session, and with it the memory."""
    model, feeds = case.model().SerializeToString(), case.feeds()
    others = {name: _others(value) for name, value in feeds.items()}
    if all(others[name] is feeds[name] for name in feeds) or not ask(model, others).answered:
        return None
    again = ask(model, feeds)
    if not again.answered:
        return f"the same question again: {again.error}: {again.detail[:200]}"
    pairs = enumerate(zip(outputs, again.outputs, strict=True))
    return next((f"output {i} another time: {p}" for i, (a, b) in pairs if (p := compare(a, b).problem)), "")


def _others(value: Any) -> Any:
    """Other numbers of the same shape; anything but floating-point numbers stays, since it may be an index."""
    if (
        not isinstance(value, np.ndarray)
        or value.dtype.kind in "OUSbc"
        or not value.size
        or not is_floating(value.dtype)
    ):
        return value
    with np.errstate(all="ignore"):
        return (np.arange(value.size).reshape(value.shape) % 5 + 2).astype(value.dtype)


def _finite(case: Case) -> bool:
    """Whether all numbers are finite."""
    arrays = [v for v in case.inputs if isinstance(v, np.ndarray) and v.dtype.kind == "f"]
    return all(np.isfinite(array).all() for array in arrays)


def _widened(value: Any) -> Any:
    """Numbers of binary32 in binary64."""
    return value.astype(np.float64) if isinstance(value, np.ndarray) and value.dtype == np.float32 else value


RELATIONS: dict[str, Relation] = {"body": body, "float64": float64, "batch": batch, "history": history}
