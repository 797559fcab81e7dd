"""Both panels on one model: one run of the reference, then the engine in every way it may run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import diptych
from diptych.compare import compare
from diptych_reference import ReferenceSession

SEEDS = (None, 0, 1)  # of schedules: None is the scheduler's own choice


def ways() -> Iterator[tuple[str, diptych.SessionOptions]]:
    """Every instruction set, passes on and off, 1 and 2 threads; random legal schedules on two threads."""
    for isa, passes, (threads, seed) in product(
        diptych.available_isas(), (True, False), ((1, None), *((2, s) for s in SEEDS))
    ):
        options = diptych.SessionOptions(isa=isa, threads=threads, schedule_seed=seed)
        if not passes:
            options.graph_optimization_level = diptych.GraphOptimizationLevel.ORT_DISABLE_ALL
        yield f"{isa}, passes {'on' if passes else 'off'}, {threads} threads, schedule {seed}", options


def differences(model: bytes, feeds: Mapping[str, Any]) -> Iterator[str]:
    """Every way and output in which the engine's bits are not the reference's."""
    expected = ReferenceSession(model).run(None, feeds)
    for way, options in ways():
        session = diptych.InferenceSession(model, options)
        actual = session.run(None, feeds)
        for output, e, a in zip(session.get_outputs(), expected, actual, strict=True):
            comparison = compare(e, a)
            if not comparison.equal:
                yield f"{way}: {output.name}: {comparison.problem}"
