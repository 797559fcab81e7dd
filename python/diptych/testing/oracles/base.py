"""What an operator should give, in wider arithmetic than its own, and how far its rounding program may lie from that.

Oracles return `Expected(exact, slack)`: values in x87 long double (or in binary64 where said) and an absolute bound
from a forward error analysis: gamma_h |A||B| for chains of h roundings, ULPs for functions, sums of both for
composites. The result's own rounding is added by `bounded`. A bound that is no longer meaningful (overflow, a variance
lost in cancellation) is infinite, which leaves only the classes to compare: NaN where the oracle has NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

import ml_dtypes
import mpmath
import numpy as np

import diptych_reference
from diptych.testing import Case
from diptych.testing.values import Array

WIDE = np.longdouble
NARROW = ("float16", "bfloat16")
SUBNORMAL = 2.0**-148  # twice the least of binary32


@dataclass
class Expected:
    """Exact values and an absolute bound of what was computed before the last rounding to the output's type."""

    exact: Array
    slack: Array | float | np.floating[Any] = 0.0
    signed_zeros: bool = False  # the sign of a zero is certain


Oracle = Callable[[Case], list[Expected | None] | None]
Registered = TypeVar("Registered", bound=Oracle)
ORACLES: dict[str, Oracle] = {}
MOVERS: set[str] = set()  # operators that move, compare or count: there is nothing to round


def oracle(*op_types: str) -> Callable[[Registered], Registered]:
    """Register the oracle of some operators; one that shares ONNX's name is `com.microsoft.Attention`."""

    def register(function: Registered) -> Registered:
        ORACLES.update(dict.fromkeys(op_types, function))
        return function

    return register


def oracle_of(op_type: str, domain: str) -> Oracle | None:
    """The oracle of an operator."""
    return ORACLES.get(f"{domain}.{op_type}") or ORACLES.get(op_type)


def moves(*op_types: str) -> None:
    """Say that some operators need no oracle, since their outputs are moved, compared or counted."""
    MOVERS.update(op_types)


# Numbers


def wide(x: Any) -> Array:
    """Exactly the same numbers in long double."""
    array = np.asarray(x)
    return (array.astype(np.float32) if array.dtype.name == "bfloat16" else array).astype(WIDE)


def finfo(dtype: Any) -> Any:
    """NumPy's `finfo`, of the types of ml_dtypes too."""
    return ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]


def unit(dtype: Any) -> float:
    """Unit roundoff of the type that a program of this type computes in.

    Diptych computes halves in binary32; ONNX's text asks for that only where an operator has `stash_type`.
    """
    if _ANY_EVALUATION.get() and np.dtype(dtype).name in NARROW:
        return float(finfo(dtype).eps) / 2
    return 2.0**-53 if np.dtype(dtype) == np.float64 else 2.0**-24


def spacing(exact: Array | np.floating[Any], dtype: Any) -> Array:
    """The distance of neighbouring numbers of `dtype` around `exact`."""
    info = finfo(dtype)
    _, exponent = np.frexp(np.where(np.isfinite(exact), exact, WIDE(1)))
    least = int(np.frexp(WIDE(info.smallest_subnormal))[1]) - 1
    distance: Array = np.ldexp(WIDE(1), np.maximum(exponent - (info.nmant + 1), least))
    return distance


def gamma(h: float, dtype: Any) -> float:
    """The bound of h roundings in a row."""
    product = h * unit(dtype)
    return product / max(1 - product, 2.0**-40)  # halves: beyond 2048 roundings nothing is left


def tiny(dtype: Any, h: float = 1) -> float:
    """What h roundings near zero can lose besides."""
    return h * float(finfo(np.float64 if np.dtype(dtype) == np.float64 else np.float32).smallest_subnormal)


_ANY_EVALUATION = ContextVar("any_evaluation", default=False)
# Units in the last place that the full profile of OpenCL C 3.0 (section 7.4) allows functions of binary32.
OPENCL_ULPS = 16.0


@contextmanager
def any_evaluation(wanted: bool = True) -> Iterator[None]:
    """Within, bounds are those of every honest evaluation, not of Diptych's: sums in any order, functions of 16 ULP."""
    token = _ANY_EVALUATION.set(wanted)
    try:
        yield
    finally:
        _ANY_EVALUATION.reset(token)


def own_unit(dtype: Any, own: float) -> float:
    """Unit roundoff of what Diptych computes in more than the type; in `any_evaluation` that of the type itself."""
    return max(own, unit(dtype)) if _ANY_EVALUATION.get() else own


def evaluation_factor() -> float:
    """How many times as far as Diptych's a function of a composite may err in `any_evaluation`: 16 ULP for 2."""
    return OPENCL_ULPS / 2 if _ANY_EVALUATION.get() else 1.0


def lane_depth(n: int) -> int:
    """Roundings on the way of a term through a lane sum of n terms; through any sum of them in `any_evaluation`."""
    if _ANY_EVALUATION.get():
        return n
    chunks = -(-n // 4096)
    return -(-min(n, 4096) // 16) + 4 + (lane_depth(chunks) if chunks > 1 else 0)


def bounded(expected: Expected, dtype: Any) -> Array:
    """The bound of the result: what came before, and half a unit of the last place for the rounding to `dtype`."""
    slack = np.broadcast_to(np.asarray(expected.slack, WIDE), expected.exact.shape)
    if np.dtype(dtype).name in NARROW:
        slack = slack + spacing(np.abs(expected.exact) + slack, dtype) * WIDE(0.5000001)
    return slack


# One rounding, and functions of bounded ULPs


def rounded_once(program: Callable[..., Array], signed_zeros: bool = False) -> Oracle:
    """One operation on up to two operands."""

    def evaluate(case: Case) -> list[Expected | None] | None:
        if "broadcast" in case.attributes:  # as opsets 1 to 6 had it
            return None
        exact = np.asarray(program(*map(wide, case.inputs)))
        dtype = case.inputs[0].dtype
        computed = np.float64 if dtype == np.float64 else np.float32
        return [Expected(exact, spacing(exact, computed) * WIDE(0.5000001), signed_zeros)]

    return evaluate


def mp(function: Callable[[Any], Any]) -> Callable[[Array], Array]:
    """A function of mpmath on arrays, with 100 bits."""

    def scalar(x: Any) -> Any:
        with mpmath.workprec(100):
            value = function(mpmath.mpf(float(x)))  # every input is a binary64 number
            high = float(value)
            return WIDE(high) + WIDE(float(value - high)) if math.isfinite(high) else WIDE(high)

    return np.vectorize(scalar, otypes=[WIDE])


def in_double(function: Oracle) -> Oracle:
    """An oracle that runs the reference in binary64: for narrower types only."""

    def evaluate(case: Case) -> list[Expected | None] | None:
        return function(case) if case.inputs[0].dtype.name in ("float32", "float16", "bfloat16") else None

    return evaluate


def of_ulps(program: Callable[..., Array], single: float, double: float) -> Oracle:
    """A function within some units in the last place of the type it is computed in."""

    def evaluate(case: Case) -> list[Expected | None]:
        dtype = case.inputs[0].dtype
        exact = np.asarray(program(*map(wide, case.inputs)))
        ulps = double if dtype == np.float64 else single
        if _ANY_EVALUATION.get():
            ulps = max(ulps, OPENCL_ULPS)
        return [Expected(exact, spacing(exact, np.float64 if dtype == np.float64 else np.float32) * WIDE(ulps))]

    return evaluate


def chained(exact: Array, magnitude: Array, h: float, dtype: Any) -> Expected:
    """A sum of products: gamma_h times the sum of the magnitudes, which may overflow on the way."""
    top = float(finfo(np.float64 if np.dtype(dtype) == np.float64 else np.float32).max)
    return Expected(exact, np.where(magnitude > top / 2, np.inf, gamma(h, dtype) * magnitude + tiny(dtype, h)))


def in_reference(case: Case, values: list[Any]) -> Array:
    """The first output of a case's operator on other inputs."""
    outputs = diptych_reference.run_operator(
        case.op_type, values, case.attributes, opset=case.opset, domain=case.domain
    )
    return np.asarray(outputs[0])
