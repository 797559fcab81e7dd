"""One operator, run without a model: for tests, for learning, for looking at a single node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from diptych import _core
from diptych.errors import UnsupportedOperatorError
from diptych.options import default_isa, default_threads
from diptych.values import as_array, as_map

__all__ = ["operators", "run_operator"]


def run_operator(
    op_type: str,
    inputs: Sequence[Any],
    attributes: Mapping[str, Any] | None = None,
    *,
    opset: int | None = None,
    domain: str = "",
    n_outputs: int = 1,
    isa: str | None = None,
    threads: int = 0,
    math: str = "exact",
) -> list[Any]:
    """Evaluate one operator on the engine and return its first `n_outputs` outputs.

    `inputs` are arrays, numbers, nested lists, lists of arrays for sequences, dicts for maps, None for an absent
    optional. Python
    numbers take NumPy's types (float64, int64): pass arrays where the operator wants another. `opset` defaults
    to the newest version of the operator that the engine has. `math` is as in `SessionOptions`, the inputs standing for
    constants.

    Raises UnsupportedOperatorError, InvalidTypeError and ShapeError as a session does.
    """
    if opset is None:
        opset = _newest(domain, op_type)
    values = [[as_array(v) for v in value] if _is_sequence(value) else _optional(value) for value in inputs]
    return _core.run_operator(
        op_type,
        values,
        dict(attributes or {}),
        opset=opset,
        domain=domain,
        n_outputs=n_outputs,
        isa=isa or default_isa(),
        threads=threads or default_threads(),
        math=math,
    )


@cache
def operators() -> list[tuple[str, str, int]]:
    """Every operator version of the engine as (domain, op_type, since_version), sorted."""
    return sorted(_core.operators())


def _newest(domain: str, op_type: str) -> int:
    """Greatest since_version of an operator."""
    versions = [since for d, name, since in operators() if (d, name) == (domain, op_type)]
    if not versions:
        raise UnsupportedOperatorError(f"operator {op_type!r} of domain {domain or 'ai.onnx'!r} is not in this engine")
    return max(versions)


def _is_sequence(value: Any) -> bool:
    """Whether a value is a list of arrays: an ONNX sequence, not a nested list of numbers."""
    return isinstance(value, list) and bool(value) and all(hasattr(item, "dtype") and item.ndim >= 0 for item in value)


def _optional(value: Any) -> Any:
    """Return the array of a value, keys and values of a dict; None and the empty sequence stay."""
    if isinstance(value, Mapping):
        return as_map("input", value)
    return value if value is None or (isinstance(value, list) and not value) else as_array(value)
