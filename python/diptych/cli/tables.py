"""Tables and progress lines for people, JSON for programs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["print_json", "print_table", "progress"]


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows under their column names; columns with numbers to the right, text to the left."""
    texts = [[_text(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *texts, strict=True)]
    right = [any(isinstance(row[i], int | float) for row in rows) for i in range(len(columns))]
    for line in (list(columns), ["-" * w for w in widths], *texts):
        cells = [t.rjust(w) if r else t.ljust(w) for t, w, r in zip(line, widths, right, strict=True)]
        print("  ".join(cells).rstrip())


def print_json(document: Any) -> None:
    """Print one JSON document; NumPy scalars and arrays become numbers and lists, NaN and infinities strings."""
    print(json.dumps(_finite(document), indent=2, allow_nan=False))


def progress(text: str) -> None:
    """Show a passing line on a terminal's standard error; "" clears it. Nothing where nobody watches."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _text(cell: Any) -> str:
    """Show one cell."""
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def _finite(value: Any) -> Any:
    """Turn what JSON does not know into what it knows."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, np.generic | np.ndarray):
        return _finite(value.astype(np.float64).tolist() if value.dtype.kind == "V" else value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    return value if value is None or isinstance(value, str | int | float) else str(value)
