"""What asv has measured, as a list of values: its results are read by asv's own classes."""

from __future__ import annotations

import ast
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Measured", "Record", "read_record"]


@dataclass(frozen=True)
class Measured:
    """A value of one benchmark with its parameters; `number` counts the commits from the oldest on."""

    benchmark: str
    parameters: tuple[str, ...]
    value: float
    commit: str
    number: int


@dataclass(frozen=True)
class Record:
    """All values of one machine, and its commits (hash, milliseconds since 1970), oldest first."""

    machine: str
    commits: Sequence[tuple[str, int]]
    values: Sequence[Measured]

    def of(self, benchmark: str, *parameters: str) -> list[Measured]:
        """The values of a benchmark with these parameters, oldest first."""
        return [v for v in self.values if v.benchmark == benchmark and v.parameters == parameters]

    def names(self) -> list[str]:
        """The benchmarks that have values."""
        return sorted({value.benchmark for value in self.values})


def read_record(folder: Path, machine: str | None = None) -> Record:
    """Read asv's results; of several machines the one named, or that with the newest result.

    Raises FileNotFoundError where there is no result.
    """
    from asv.results import iter_results

    found = sorted(iter_results(str(folder)), key=lambda result: result.date) if folder.is_dir() else []
    found = [result for result in found if machine in (None, result.params["machine"])]
    if not found:
        asked = f" of {machine}" if machine else ""
        raise FileNotFoundError(f"{folder} has no results{asked}: run `make bench-check`, or `asv run`, first")
    chosen = machine or found[-1].params["machine"]
    results = [result for result in found if result.params["machine"] == chosen]
    commits = list(dict.fromkeys((result.commit_hash, int(result.date)) for result in results))
    numbers = {commit: i for i, (commit, _) in enumerate(commits)}
    values = {
        (value.benchmark, value.parameters, value.commit): value
        for result in results
        for value in _values(result, numbers[result.commit_hash])
    }
    return Record(chosen, commits, list(values.values()))


def _values(result: Any, number: int) -> Iterator[Measured]:
    """The values of a commit, less what could not be measured."""
    for name in result.get_all_result_keys():
        parameters = result.get_result_params(name)
        values = result.get_result_value(name, parameters)
        for chosen, value in zip(itertools.product(*parameters), values or [], strict=False):
            if isinstance(value, int | float) and math.isfinite(value):
                yield Measured(name, tuple(map(_spelled, chosen)), float(value), result.commit_hash, number)


def _spelled(parameter: str) -> str:
    """A parameter without the quotes of its repr."""
    try:
        return str(ast.literal_eval(parameter))
    except (ValueError, SyntaxError):
        return parameter
