"""What asv has recorded of an operator: the newest results below asv_bench/.asv/results, where there are any."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

__all__ = ["RESULTS", "Measured", "recorded", "speed_of"]

RESULTS = Path(__file__).parents[3] / "asv_bench" / ".asv" / "results"
NONE = "No measurements were recorded here: `asv run` (asv_bench/README.md) records some."


@dataclass(frozen=True)
class Measured:
    """One benchmark with one set of parameters: its value, in words."""

    benchmark: str
    parameters: str
    value: str
    commit: str


def speed_of(op_type: str) -> tuple[tuple[Measured, ...], str]:
    """Results of benchmarks that are named after an operator or have it among their parameters; else why none."""
    if not recorded():
        return (), NONE
    found = tuple(
        Measured(name, ", ".join(map(plain, chosen)), in_words(name, value), commit)
        for name, chosen, value, commit in recorded()
        if op_type in name.split(".") or op_type in map(plain, chosen)
    )
    return found, "" if found else "No recorded benchmark runs this operator by itself."


@cache
def recorded() -> tuple[tuple[str, tuple[str, ...], float, str], ...]:
    """(benchmark, parameters, value, commit) of the newest file of results; values that failed are left out."""
    files = [path for path in RESULTS.glob("*/*.json") if path.name != "machine.json"]
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    documents = [document for document in documents if "results" in document]
    if not documents:
        return ()
    return tuple(_results(max(documents, key=lambda document: document.get("date", 0))))


def _results(document: dict[str, Any]) -> Iterator[tuple[str, tuple[str, ...], float, str]]:
    """All values of a document of asv's results."""
    columns, commit = document["result_columns"], document.get("commit_hash", "")[:8]
    for name, cells in sorted(document["results"].items()):
        fields = dict(zip(columns, cells, strict=False))
        values = fields.get("result") or []
        for chosen, value in zip(product(*fields.get("params") or []), values, strict=False):
            if isinstance(value, int | float) and value == value:
                yield name, chosen, float(value), commit


def plain(parameter: str) -> str:
    """A parameter as asv writes it, without the quotes of a string."""
    return parameter.strip("'\"")


def in_words(name: str, value: float) -> str:
    """A value with the unit that asv's name for the method says."""
    method = name.rpartition(".")[2]
    if method.startswith("time"):
        return f"{1e3 * value:.3g} ms" if value >= 1e-3 else f"{1e6 * value:.3g} µs"
    return f"{value / 2**20:.4g} MiB" if method.startswith("peakmem") else f"{value:.6g}"
