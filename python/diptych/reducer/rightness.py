"""What is right for each output of a reduction, in a form that a test without Diptych can hold an engine to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np

import diptych_reference
from diptych.compare import compare
from diptych.diff.judging import Call
from diptych.reducer.candidate import Candidate
from diptych.reducer.literals import literal
from diptych.reducer.reduction import Reduction
from diptych.reducer.trial import call_of, is_plain_node
from diptych.reducer.whole import greatest_and_eps, tolerance
from diptych.testing.case import Case
from diptych.testing.oracles import MOVERS, Expected, any_evaluation, bounded, oracle_of, tolerances

__all__ = ["Rightness", "rightness"]

SHORT = 64  # elements that are written into the test; more lie in a file


@dataclass
class Rightness:
    """Source of the list EXPECTED of a repro, one item an output, and what it reads from expected.npz."""

    items: list[str] = field(default_factory=list)
    stored: dict[str, Any] = field(default_factory=dict)

    def value(self, name: str, value: Any) -> str:
        """Source of a value."""
        if _size(value) <= SHORT:
            return literal(value)
        self.stored[name] = value
        return f"STORED[{name!r}]"


def rightness(reduction: Reduction) -> Rightness:
    """What is right for each output; nothing where the failure is no wrong output."""
    right = Rightness()
    if not reduction.failure.wrong:
        return right
    candidate = reduction.candidate
    expected = candidate.expected or ()
    bounds = [None] * len(expected) if reduction.exact else _bounds(candidate)
    for i, (value, bound) in enumerate(zip(expected, bounds, strict=True)):
        if bound is None:
            right.items.append(f'("bits", {right.value(f"y{i}", value)})')
        elif not isinstance(bound, Bound):
            right.items.append(f'("type", {_signature(value)})')
        else:
            exact, slack = right.value(f"exact{i}", bound.exact), right.value(f"bound{i}", bound.slack)
            rest = f"{bound.top!r}, {bound.signed_zeros}"
            right.items.append(f'("bound", {_signature(value)}, {exact}, {slack}, {rest})')
    return right


@dataclass(frozen=True)
class Bound:
    """Exact values in binary64 and how far an output may lie from them."""

    exact: np.ndarray[Any, Any]
    slack: np.ndarray[Any, Any]
    top: float
    signed_zeros: bool


def _bounds(candidate: Candidate) -> list[Any]:
    """For each output its bound, None for bits, False for its type alone."""
    if not is_plain_node(candidate):
        return _graph_bounds(candidate)
    call = call_of(candidate)
    case = Case(call.op_type, call.domain, call.opset, call.inputs, call.attributes, len(call.expected))
    oracle = oracle_of(case.op_type, case.domain)
    with np.errstate(all="ignore"), any_evaluation():
        found: list[Expected | None] = list((oracle(case) if oracle else None) or [])
    missing = len(call.expected) - len(found)
    found += _by_rules(call)[len(found) :] if missing else []
    bounds: list[Any] = []
    for value, declared in zip(candidate.expected or (), candidate.model.graph.output, strict=True):
        expected = found[call.outputs.index(declared.name)]
        rounds = _is_float(value) and case.op_type not in MOVERS
        bounds.append(_bound(expected, value) if expected is not None else False if rounds else None)
    return bounds


def _by_rules(call: Call) -> list[Expected | None]:
    """What operators without an oracle are held to: the reference's numbers, with a tolerance from its inputs."""
    none: list[Expected | None] = [None] * len(call.expected)
    if call.op_type not in tolerances.RULES or not any(map(tolerances.is_float, call.inputs)):
        return none

    def evaluate(inputs: list[Any]) -> list[Any]:
        settings: dict[str, Any] = {"opset": call.opset, "domain": call.domain, "n_outputs": len(call.expected)}
        return list(diptych_reference.run_operator(call.op_type, inputs, call.attributes, **settings))

    allowed = tolerances.tolerance(tolerances.Call(call.op_type, call.attributes, call.inputs, call.expected, evaluate))
    return [
        Expected(np.asarray(value, np.longdouble), bound) if bound is not None and tolerances.is_float(value) else None
        for value, bound in zip(call.expected, allowed, strict=True)
    ]


def _bound(expected: Expected, value: Any) -> Bound:
    """An oracle's numbers in binary64; what the conversion loses is added to the bound."""
    dtype = value.dtype
    slack = bounded(expected, dtype)
    exact = np.asarray(expected.exact).astype(np.float64)
    lost = np.where(np.isfinite(exact), np.abs(expected.exact - exact), 0)
    wide = np.asarray(slack + lost)
    narrow = wide.astype(np.float64)
    narrow = np.where(narrow < wide, np.nextafter(narrow, np.inf), narrow)
    limits = ml_dtypes.iinfo if dtype.kind in "iu" else ml_dtypes.finfo
    return Bound(exact, narrow, float(limits(dtype).max), expected.signed_zeros)


def _graph_bounds(candidate: Candidate) -> list[Any]:
    """For each output of a graph its tolerance, as `whole.graph_verdict` has it."""
    bounds: list[Any] = []
    for i, value in enumerate(candidate.expected or ()):
        own = None if candidate.chained is None else candidate.chained[i]
        if own is None or (not compare(value, own).elements and not compare(value, own).equal):
            bounds.append(False)
        elif not _is_float(value) or value.dtype.kind == "c":
            bounds.append(None if compare(value, own).equal else False)
        else:
            wide, chained = (np.asarray(x.astype(np.float64)) for x in (value, own))
            sure = np.isfinite(wide) == np.isfinite(chained)
            slack = np.where(sure, tolerance(value, own), np.inf)
            bounds.append(Bound(wide, slack, greatest_and_eps(value.dtype)[0], False))
    return bounds


def _is_float(value: Any) -> bool:
    """Whether a value is a tensor of floats."""
    return isinstance(value, np.ndarray) and value.dtype.kind in "fcV" and "int" not in value.dtype.name


def _signature(value: Any) -> str:
    """Source of an array's dtype and shape; None for what is no array."""
    return f'"{value.dtype.name}", {list(value.shape)}' if isinstance(value, np.ndarray) else "None, None"


def _size(value: Any) -> int:
    """Number of elements."""
    if isinstance(value, list):
        return sum(map(_size, value))
    return int(np.size(value))
