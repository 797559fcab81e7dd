"""Hashes of every operator's bits on inputs that a seed determines: `python -m tests.golden.hashes` writes hashes.json.

A change of the outputs is a change of the numerics: `numerics_version` has to grow, docs/numerics.md has to say why.
Inputs are hashed too, since NumPy may one day draw other numbers from a seed: then nothing is wrong, and the file is
only to be written again, at a commit whose outputs are known to be right.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TypeProto

import diptych
from diptych.testing import Case, Row, catalogue, on_reference
from diptych.testing.cases import draw_case
from diptych.testing.catalogue import is_newest_meaning
from diptych.testing.draws import Seeded
from diptych_reference import NOTHING

FILE = Path(__file__).with_name("hashes.json")
CASES = 4  # of each row and type, as seeds 0, 1, …


def rows() -> list[Row]:
    """Rows that no later version shares its meaning with."""
    return [row for row in catalogue() if is_newest_meaning(row)]


def cases(row: Row, dtype: np.dtype[Any]) -> Iterator[Case]:
    """The cases of a row and type."""
    for seed in range(CASES):
        yield draw_case(Seeded(seed), row, dtype)


def digest(values: Iterable[Any]) -> str:
    """Of dtypes, shapes and bits. All NaNs count as one, since their payload is not promised."""
    state = hashlib.sha256()
    for value in flat(values):
        array = np.asarray(value)
        state.update(f"{array.dtype.name}{list(array.shape)}".encode())
        if array.dtype.kind == "O":
            state.update(repr(array.tolist()).encode())
            continue
        if array.dtype.kind in "fV" and array.size:
            with np.errstate(invalid="ignore"):  # ml_dtypes warns of the very values that are looked for
                array = np.where(np.isnan(array), np.full((), np.nan).astype(array.dtype), array)
        state.update(np.ascontiguousarray(array).tobytes())
    return state.hexdigest()[:16]


def flat(values: Iterable[Any]) -> Iterator[Any]:
    """The values: sequences as their length and items, maps as keys and values, whose `repr` is NumPy's to choose."""
    for value in values:
        if isinstance(value, list):
            yield np.array(len(value))
            yield from flat(value)
        elif isinstance(value, dict):
            strings = any(isinstance(item, str) for item in value.values())
            yield np.array(list(value), dtype=object)
            yield np.array(list(value.values()), dtype=object if strings else None)
        else:
            yield value


def inputs_of(case: Case) -> list[Any]:
    """Everything that decides a case's outputs."""
    graphs = {name: getattr(value, "name", value) for name, value in sorted(case.attributes.items())}
    graphs = {name: str(value) if isinstance(value, TypeProto) else value for name, value in graphs.items()}
    tensors = [value for value in graphs.values() if isinstance(value, np.ndarray)]
    words = {name: value for name, value in graphs.items() if not isinstance(value, np.ndarray)}
    words_for = {id(None): "absent", id(NOTHING): "nothing"}
    given = [words_for.get(id(value), value) for value in case.inputs]
    return [np.array(repr(words), dtype=object), *tensors, *given, *case.outer.values()]


def hashes(row: Row, dtype: np.dtype[Any]) -> dict[str, str]:
    """The entry of a row and type."""
    drawn = list(cases(row, dtype))
    outcomes = [on_reference(case) for case in drawn]
    refusals = [type(outcome.error).__name__ for outcome in outcomes if outcome.error is not None]
    return {
        "inputs": digest(value for case in drawn for value in inputs_of(case)),
        "outputs": digest([*(output for outcome in outcomes for output in outcome.outputs), *map(str, refusals)]),
    }


def main() -> None:
    """Write the file anew."""
    table = {row.name: {dtype.name: hashes(row, dtype) for dtype in row.dtypes} for row in rows()}
    text = json.dumps({"numerics_version": diptych.numerics_version, "hashes": table}, indent=1)
    FILE.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
