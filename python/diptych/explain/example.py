"""A small example of an operator, run on both panels: what goes in, what flows through the left one, what comes out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import GraphProto, TypeProto

import diptych
from diptych.explain.flow import Stretch, recording, stretch_of
from diptych.explain.shown import Shown, element, show
from diptych.testing import Case, Outcome, Row, difference, on_engine, on_reference
from diptych.testing.cases import draw_case
from diptych.testing.draws import Seeded
from diptych.testing.sketch import RULES
from diptych_reference import registry

__all__ = ["Example", "Path", "described", "example_of", "large_case", "small_case"]

SEEDS = 400  # cases to choose from
RUNS = 12  # the best of them, which are run
IMAGES = ("Conv", "ConvTranspose", "MaxPool", "AveragePool")  # which all see in two dimensions
ELEMENTS = 24  # shown of each input and output


@dataclass(frozen=True)
class Path:
    """The engine on one instruction set: "" as problem where its bits are the reference's."""

    isa: str
    problem: str


@dataclass(frozen=True)
class Example:
    """One case on both panels. `left` are the functions of the reference that ran, with the values of their lines."""

    seed: int
    opset: int
    dtype: str
    attributes: dict[str, str]
    inputs: tuple[Shown, ...]
    outputs: tuple[Shown, ...]
    paths: tuple[Path, ...]
    left: tuple[Stretch, ...]
    problem: str = ""  # why there is no example


def example_of(row: Row) -> Example:
    """A small, plain case of an operator version on both panels; its `problem` says why where there is none."""
    function = registry[row.domain, row.op_type][row.since].function
    chosen = small_case(row)
    if chosen is None:
        why = "no shape rule draws cases of it" if (row.domain, row.op_type) not in RULES else "no drawn case was small"
        return Example(0, row.since, "", {}, (), (), (), (stretch_of(function, {}),), why)
    seed, case, _ = chosen
    with recording() as recorder:
        expected = on_reference(case)
    return Example(
        seed=seed,
        opset=case.opset,
        dtype=_preferred(row).name,
        attributes={name: described(value) for name, value in case.attributes.items()},
        inputs=tuple(
            show(name, value, ELEMENTS) for name, value in zip(_input_names(row, case), case.inputs, strict=True)
        ),
        outputs=tuple(
            show(name, value, ELEMENTS) for name, value in zip(_output_names(row, case), expected.outputs, strict=False)
        ),
        paths=tuple(Path(isa, difference(expected, on_engine(case, isa))) for isa in diptych.available_isas()),
        left=tuple(recorder.stretches(function)),
    )


def small_case(row: Row) -> tuple[int, Case, Outcome] | None:
    """The best to read of some hundred cases that seeds determine: few elements, plain numbers, few attributes."""
    if (row.domain, row.op_type) not in RULES:
        return None
    dtype = _preferred(row)
    drawn = [(seed, draw_case(Seeded(seed), row, dtype)) for seed in range(SEEDS)]
    drawn.sort(key=lambda pair: (_awkwardness(pair[1]), pair[0]))
    best: tuple[float, int, Case, Outcome] | None = None
    for seed, case in drawn[:RUNS]:
        outcome = on_reference(case)
        if outcome.error is None:
            score = _awkwardness(case) + sum(_dull(value) for value in outcome.outputs)
            if best is None or score < best[0]:
                best = (score, seed, case, outcome)
    return None if best is None else best[1:]


def large_case(row: Row) -> Case | None:
    """Of the cases that can be run without a model, the one of the most elements, so that its loops show."""
    if (row.domain, row.op_type) not in RULES:
        return None
    drawn = [draw_case(Seeded(seed), row, _preferred(row)) for seed in range(SEEDS)]
    drawn = [case for case in drawn if not case.needs_model]
    drawn.sort(key=lambda case: -sum(array.size for array in _arrays(case.inputs)))
    return next((case for case in drawn[:RUNS] if on_reference(case).error is None), None)


def described(value: Any) -> str:
    """An attribute in a line."""
    if isinstance(value, GraphProto):
        nodes = ", ".join(node.op_type for node in value.node)
        return f"graph({', '.join(v.name for v in value.input)}): {nodes or 'no nodes'}"
    if isinstance(value, TypeProto):
        return " ".join(str(value).split())
    if isinstance(value, np.ndarray):
        shown = show("", value)
        return f"{shown.kind} {shown.shown}"
    if isinstance(value, float):
        return str(np.float32(value))
    if isinstance(value, list) and len(value) > 12:
        return f"[{', '.join(described(item) for item in value[:12])}, …]"
    return f"[{', '.join(map(described, value))}]" if isinstance(value, list) else str(value)


def _preferred(row: Row) -> np.dtype[Any]:
    """Binary32 where the operator takes it, else the commonest type."""
    return np.dtype(np.float32) if np.dtype(np.float32) in row.dtypes else row.dtypes[0]


def _input_names(row: Row, case: Case) -> list[str]:
    """The schema's names; those of a variadic tail are numbered."""
    names = [parameter.name for parameter in row.schema.inputs]
    return [names[i] if i < len(names) else f"{names[-1]}[{i - len(names) + 1}]" for i in range(len(case.inputs))]


def _output_names(row: Row, case: Case) -> list[str]:
    """As for inputs."""
    names = [parameter.name for parameter in row.schema.outputs]
    return [names[i] if i < len(names) else f"{names[-1]}[{i - len(names) + 1}]" for i in range(case.n_outputs)]


def _arrays(values: Any) -> Iterator[np.ndarray[Any, Any]]:
    """All arrays in a value."""
    if isinstance(values, np.ndarray):
        yield values
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _arrays(value)


def _awkwardness(case: Case) -> float:
    """How far a case is from one that can be taken in at a glance."""
    arrays = list(_arrays(case.inputs))
    sizes = sum(array.size for array in arrays)
    empty = sum(array.size == 0 for array in arrays) + (0 if arrays else 0.5)
    lone = 1.0 if arrays and arrays[0].size < 4 and case.op_type not in ("Range", "Constant") else 0.0
    odd = sum(_odd(array) for array in arrays)
    deep = sum(
        3 * abs(array.ndim - 4) if case.op_type in IMAGES and i < 2 else max(array.ndim - 2, 0)
        for i, array in enumerate(arrays)
    )
    flat = bool(arrays) and sum(length > 1 for length in arrays[0].shape) < 2  # a matrix shows more than a row
    size = abs(math.log2((sizes or 1) / 14))
    return 6 * empty + 2 * lone + odd + size + 1.5 * flat + 0.3 * deep + 0.25 * len(case.attributes)


def _odd(array: np.ndarray[Any, Any]) -> float:
    """NaN, infinities, numbers too great or small to read, or all the same."""
    if array.dtype.kind not in "fV" or not array.size:
        return 0.0
    with np.errstate(all="ignore"):
        numbers = np.abs(array.astype(np.float64))
    wild = ~np.isfinite(numbers) | (numbers > 1e4) | ((numbers > 0) & (numbers < 1e-3))
    same = array.size > 2 and np.unique(numbers).size < 3
    return 4.0 * float(wild.mean()) + 2.0 * bool(wild.any()) + 1.5 * same


def _dull(value: Any) -> float:
    """An output of nothing, of NaN, or of one number over and over says little."""
    score = 0.0
    for array in _arrays(value):
        score += 4.0 * (array.size == 0) + 1.0 * (array.size == 1) + 2.0 * (array.size > 64) + _odd(array)
        score += 1.0 * (array.size > 3 and array.dtype.kind != "O" and len({element(item) for item in array.flat}) == 1)
    return score
