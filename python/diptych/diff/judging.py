"""One node's outputs beside what they should be: which are wrong, by how much of the operator's bound, and where."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import diptych_reference
from diptych.compare import Comparison, compare
from diptych.diff.window import Window, window
from diptych.errors import Error
from diptych.fast import conv_bound, has_fast_program

__all__ = ["RANDOM", "Call", "Judged", "distance", "judge_call", "missing_packages", "shares_of_truth"]

# Beyond so many elements an oracle in wider arithmetic takes too long: the cheaper rules, or the worst elements alone.
MANY = 50_000
CANDIDATES = 2_000
# Engines draw by generators of their own.
RANDOM = {
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}
# Oracles are written for what operators are drawn with: one that cannot take a real node raises one of these.
ORACLE_ERRORS = (Error, diptych_reference.Error, ArithmeticError, AttributeError, ValueError, TypeError, LookupError)
# One element of the output depends on those of the inputs at the same place alone (after broadcasting).
ELEMENTWISE = {
    "Add", "Sub", "Mul", "Div", "Sqrt", "Abs", "Neg", "Floor", "Ceil", "Round", "Reciprocal", "Sign", "Relu",
    "Exp", "Log", "Sin", "Cos", "Tanh", "Erf", "Sigmoid", "Softplus", "Tan", "Asin", "Acos", "Atan", "Sinh",
    "Cosh", "Asinh", "Acosh", "Atanh", "Pow", "LeakyRelu", "HardSigmoid", "HardSwish", "Sum", "Mean", "Elu",
    "Selu", "Celu", "Gelu", "Mish", "Swish", "Softsign", "Shrink", "PRelu", "Cast", "Mod",
}  # fmt: skip


@dataclass(frozen=True)
class Call:
    """One node on given inputs, and what the reference gives for them."""

    op_type: str
    domain: str
    opset: int
    attributes: Mapping[str, Any]
    inputs: tuple[Any, ...]
    expected: tuple[Any, ...]
    outputs: tuple[str, ...]  # names, "" where nobody asked
    holds_graphs: bool = False


@dataclass(frozen=True)
class Judged:
    """One output of one engine.

    `kind` is as in `diptych.testing.oracles.Verdict`: "" is right, "unjudged" differs but nothing tells by how much it
    may. `share` is the greatest error in units of the bound (None where there is no bound), `error` the greatest
    distance from the reference's numbers, `differing` how many of `elements` have not its bits. `window` is the slice
    around the worst element. `how` says by what it was judged.
    """

    name: str
    kind: str = ""
    problem: str = ""
    share: float | None = None
    error: float = 0.0
    elements: int = 0
    differing: int = 0
    index: tuple[int, ...] | None = None
    window: Window | None = None
    how: str = "bits"

    @property
    def wrong(self) -> bool:
        """Whether the output violates something."""
        return self.kind not in ("", "unjudged")


def missing_packages() -> str:
    """What an import that bounds need says, "" if all is there."""
    try:
        import diptych.testing.oracles  # noqa: F401
    except ModuleNotFoundError as error:
        return str(error)
    return ""


def judge_call(
    call: Call,
    actual: Sequence[Any],
    *,
    exact: bool,
    own_program: bool = False,
    measure: bool = False,
    fast: bool = False,
) -> list[Judged]:
    """Hold outputs to the reference's bits (`exact`), or to the operator's bound.

    `own_program`: that of Diptych's rounding program. `measure`: the reference's bits have an error as well. `fast`: a
    node for which `math="fast"` has a program of its own is held to that program's bound (docs/numerics.md, section 5).
    """
    fast = fast and has_fast_program(call.op_type, call.domain, call.attributes, list(call.inputs))
    exact = exact and not fast
    if len(actual) != len(call.expected):
        problem = f"{len(actual)} outputs, expected {len(call.expected)}"
        return [Judged(call.outputs[0] if call.outputs else "", "type", problem)]
    comparisons = [compare(expected, got) for expected, got in zip(call.expected, actual, strict=True)]
    settled = [
        exact or not comparison.elements or (comparison.equal and not (measure and _has_floats(got)))
        for comparison, got in zip(comparisons, actual, strict=True)
    ]
    verdicts, how = ([], "bits") if all(settled) else _verdicts(call, actual, own_program, fast)
    return [
        _by_bits(name, comparisons[i], call.expected[i], actual[i])
        if settled[i]
        else _by_verdict(name, comparisons[i], call.expected[i], actual[i], verdicts[i], how)
        for i, name in enumerate(call.outputs)
        if name
    ]


def shares_of_truth(call: Call, actual: Sequence[Any], truth: Sequence[Any]) -> list[float | None]:
    """Errors of outputs against values that were computed otherwise, in units of the node's own bound.

    None where nothing gives a bound: operators that move, large tensors without a rule, control flow.
    """
    from diptych.testing.oracles import Expected, judge

    slacks = _slacks(call)
    shares: list[float | None] = []
    for slack, got, true in zip(slacks, actual, truth, strict=True):
        fits = slack is not None and _has_floats(got) and isinstance(true, np.ndarray) and true.shape == got.shape
        shares.append(judge(Expected(true.astype(np.longdouble), slack), got).share if fits else None)
    return shares


def _slacks(call: Call) -> list[Any]:
    """Absolute bounds of the outputs of a node on its own inputs; None where there is none."""
    from diptych.testing.case import Case
    from diptych.testing.oracles import any_evaluation, oracle_of

    none: list[Any] = [None] * len(call.expected)
    oracle = oracle_of(call.op_type, call.domain)
    if oracle is None or call.holds_graphs or _largest(call) > MANY:
        return none
    case = Case(call.op_type, call.domain, call.opset, call.inputs, call.attributes, len(call.expected))
    try:
        with np.errstate(all="ignore"), any_evaluation():
            found = oracle(case) or []
    except ORACLE_ERRORS:
        return none
    return [*(None if e is None else e.slack for e in found), *none][: len(none)]


def _largest(call: Call) -> int:
    """Elements of the largest tensor at hand."""
    return max((np.size(v) for v in (*call.inputs, *call.expected) if isinstance(v, np.ndarray)), default=0)


def _has_floats(value: Any) -> bool:
    """Whether a value is a tensor with floats in it."""
    return isinstance(value, np.ndarray) and value.dtype.kind in "fV" and value.size > 0


def _by_bits(name: str, comparison: Comparison, expected: Any, got: Any) -> Judged:
    """An output that must have the reference's bits, or has them, or is of another type or shape."""
    if comparison.equal:
        return Judged(name, share=0.0, elements=comparison.elements)
    kind, at = "bits" if comparison.elements else "type", _worst(expected, got, comparison.index)
    return Judged(
        name,
        kind,
        comparison.problem,
        error=distance(expected, got),
        elements=comparison.elements,
        differing=comparison.differing,
        index=at,
        window=window(expected, got, at),
    )


def _by_verdict(name: str, comparison: Comparison, expected: Any, got: Any, verdict: Any, how: str) -> Judged:
    """An output with a verdict by bounds."""
    bounded = verdict.kind in ("", "class", "bound")
    at = verdict.index if bounded else _worst(expected, got, verdict.index)
    return Judged(
        name,
        verdict.kind,
        verdict.problem,
        verdict.share if bounded else None,
        distance(expected, got),
        comparison.elements,
        comparison.differing,
        at,
        window(expected, got, at) if comparison.differing else None,
        how,
    )


def _verdicts(call: Call, actual: Sequence[Any], own_program: bool, fast: bool) -> tuple[list[Any], str]:
    """A verdict for each output and what gave it."""
    from diptych.testing.case import Case
    from diptych.testing.oracles import Expected, judge, judge_outputs

    if fast:
        x, w, b = (*call.inputs, None)[:3]
        exact, slack = conv_bound(x, w, b, call.attributes)
        return [judge(Expected(exact.astype(np.longdouble), slack), actual[0])], "fast mode's bound"
    if call.op_type in RANDOM and not own_program:
        return _untold(call, actual, "drawn by a generator of its own"), "random"
    if call.holds_graphs:
        return _untold(call, actual, "its graphs' nodes are compared one by one"), "nodes inside"
    if _largest(call) > MANY:
        found = _few_elements(call, actual, own_program) or _by_rules(call, actual)
        if found is not None:
            return found
    case = Case(call.op_type, call.domain, call.opset, call.inputs, call.attributes, len(call.expected))
    try:
        verdicts = judge_outputs(case, actual, call.expected, own_program=own_program)
    except ORACLE_ERRORS as error:
        found = _by_rules(call, actual)
        if found is not None:
            return found
        return _untold(call, actual, f"its oracle failed: {type(error).__name__}: {error}"), "no oracle"
    if any(v.kind == "unjudged" for v in verdicts) and (found := _by_rules(call, actual)) is not None:
        verdicts = [rule if v.kind == "unjudged" else v for v, rule in zip(verdicts, found[0], strict=True)]
        return verdicts, f"oracle, {found[1]}"
    return verdicts, "oracle"


def _untold(call: Call, actual: Sequence[Any], why: str) -> list[Any]:
    """Types and shapes are judged, and what cannot be rounded; floats are not."""
    from diptych.testing.oracles import Verdict

    verdicts = []
    for expected, got in zip(call.expected, actual, strict=True):
        found = compare(expected, got)
        if found.equal:
            verdicts.append(Verdict())
        elif not found.elements and call.op_type not in RANDOM:
            verdicts.append(Verdict("type", found.problem))
        else:
            verdicts.append(Verdict("unjudged", f"{found.problem} ({why})", index=found.index))
    return verdicts


def _few_elements(call: Call, actual: Sequence[Any], own_program: bool) -> tuple[list[Any], str] | None:
    """Elementwise operators on large tensors: the elements farthest from the reference's, judged by the oracle."""
    from diptych.testing.case import Case
    from diptych.testing.oracles import judge_outputs

    inputs = [value for value in call.inputs if value is not None]
    expected, got = call.expected[0], actual[0]
    arrays = all(isinstance(value, np.ndarray) and value.dtype.kind in "fViu" for value in (*inputs, expected, got))
    if (
        call.op_type not in ELEMENTWISE
        or call.domain
        or not arrays
        or len(call.expected) != 1
        or len(inputs) != len(call.inputs)
    ):
        return None
    if expected.shape != got.shape or expected.dtype != got.dtype or "axis" in call.attributes:
        return None
    if any(np.broadcast_shapes(value.shape, expected.shape) != expected.shape for value in inputs):
        return None
    apart = _relative(expected, got).reshape(-1)
    worst = np.argpartition(apart, -CANDIDATES)[-CANDIDATES:]
    taken = [np.broadcast_to(value, expected.shape).reshape(-1)[worst] for value in inputs]
    case = Case(call.op_type, call.domain, call.opset, tuple(taken), call.attributes, 1)
    [verdict] = judge_outputs(case, [got.reshape(-1)[worst]], [expected.reshape(-1)[worst]], own_program=own_program)
    if verdict.index is not None:
        at = np.unravel_index(int(worst[verdict.index[0]]), expected.shape)
        verdict = replace(verdict, index=tuple(int(i) for i in at))
    return [verdict], f"oracle, on the {CANDIDATES} elements farthest from the reference"


def _by_rules(call: Call, actual: Sequence[Any]) -> tuple[list[Any], str] | None:
    """Verdicts by `tolerances`; None where it has no rule."""
    from diptych.operator import run_operator
    from diptych.testing.oracles import Expected, Verdict, judge, tolerances

    if call.op_type not in tolerances.RULES or not any(map(tolerances.is_float, call.inputs)):
        return None

    def evaluate(inputs: list[Any]) -> list[Any]:
        """The node on other inputs: fast if the engine has it."""
        arguments: dict[str, Any] = {"opset": call.opset, "domain": call.domain, "n_outputs": len(call.expected)}
        try:
            return run_operator(call.op_type, inputs, call.attributes, **arguments)
        except Error:
            return list(diptych_reference.run_operator(call.op_type, inputs, call.attributes, **arguments))

    allowed = tolerances.tolerance(tolerances.Call(call.op_type, call.attributes, call.inputs, call.expected, evaluate))
    verdicts = []
    for expected, got, bound in zip(call.expected, actual, allowed, strict=True):
        mismatch = compare(expected, got)
        if mismatch.equal:
            verdicts.append(Verdict())
        elif not mismatch.elements:
            verdicts.append(Verdict("type", mismatch.problem))
        elif bound is None or not tolerances.is_float(expected):
            verdicts.append(Verdict("bits", mismatch.problem, index=mismatch.index))
        else:
            verdicts.append(judge(Expected(np.asarray(expected, np.longdouble), bound), got))
    return verdicts, "tolerance rule"


def _relative(expected: np.ndarray[Any, Any], got: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Distances in units of the expected element; infinite where only one side is NaN or infinite."""
    e, g = expected.astype(np.float64), got.astype(np.float64)
    with np.errstate(all="ignore"):
        apart = np.abs(g - e) / np.maximum(np.abs(e), np.finfo(np.float32).tiny)
        unlike = (np.isnan(e) != np.isnan(g)) | (np.isinf(e) != np.isinf(g)) | (np.signbit(e) != np.signbit(g))
    apart[~np.isfinite(apart)] = 0
    apart[unlike & ~(np.isnan(e) & np.isnan(g))] = np.inf
    result: np.ndarray[Any, Any] = apart
    return result


def distance(expected: Any, got: Any) -> float:
    """Greatest distance of two tensors of numbers; 0 for what has none, NaN where only one side is NaN."""
    if isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        return max((distance(e, g) for e, g in zip(expected, got, strict=True)), default=0.0)
    if not all(isinstance(v, np.ndarray) and v.dtype.kind in "biufV" for v in (expected, got)):
        return 0.0
    if expected.shape != got.shape or not expected.size:
        return 0.0
    with np.errstate(all="ignore"):
        e, g = expected.astype(np.float64), got.astype(np.float64)
        apart = np.where((e == g) | (np.isnan(e) & np.isnan(g)), 0.0, np.abs(g - e))
    return math.nan if np.isnan(apart).any() else float(apart.max())


def _worst(expected: Any, got: Any, first: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """Where two tensors lie farthest apart; the first difference where that cannot be said."""
    if first is None or not isinstance(expected, np.ndarray) or expected.dtype.kind not in "biufV":
        return first
    apart = _relative(expected, got)
    if not apart.any():
        return first
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(apart)), expected.shape))
