"""Whole graphs, judged as `diptych reduce` judges them.

A graph has no error bound of its own, but its nodes have, and a campaign over operators holds them to it. So an engine
runs the nodes one at a time as well, and the graph at once may lie some times as far from the reference as that (see
`diptych.reducer.trial`). Graphs of which the engine lacks a node, or fails on one, are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diptych.fuzzer.examiner import Examiner, Failure
from diptych.reducer import Candidate, EngineTrial
from diptych.testing import GraphCase

__all__ = ["examine_graph"]


def examine_graph(examiner: Examiner, subject: GraphCase, expected: Sequence[Any]) -> Failure | None:
    """What the examiner's engine does wrong with a graph; None where nothing is."""
    trial = EngineTrial(examiner.spec, exact=examiner.exact)
    trial.worker = examiner.worker
    examiner.counts["graphs"] += 1
    found = trial.look(Candidate(subject.model, subject.feeds, tuple(expected))).failure
    if found is None:
        return None
    if found.kind == "refused":
        examiner.counts["refused"] += 1
        return None
    return Failure(found.kind, found.detail, found.message)
