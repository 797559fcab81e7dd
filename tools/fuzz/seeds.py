"""Models to begin a corpus with: one case of every operator version, and the hostile inputs that are small."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from onnx import numpy_helper
from tools.hostile import CASES

from diptych.testing import Case, Row, catalogue, operator_cases

LARGEST = 4096  # bytes; mutations of long inputs reach little that is new


def write(folder: Path) -> int:
    """Write all seeds into `folder`, each under its digest; return their number."""
    folder.mkdir(parents=True, exist_ok=True)
    for content in (*hostile_inputs(), *operators()):
        (folder / hashlib.sha1(content, usedforsecurity=False).hexdigest()).write_bytes(content)
    return len(list(folder.iterdir()))


def hostile_inputs() -> Iterator[bytes]:
    """Those that are bytes."""
    for case in CASES.values():
        with TemporaryDirectory() as folder:
            content = case.make(Path(folder))
        if isinstance(content, bytes) and len(content) <= LARGEST:
            yield content


def operators() -> Iterator[bytes]:
    """The smallest of a few cases of every version of every operator, in the first of its types."""
    seen = set()
    for row in catalogue():
        version = (row.domain, row.op_type, row.since)
        if version not in seen:
            seen.add(version)
            smallest = min(models(row), key=len)
            if len(smallest) <= LARGEST:
                yield smallest


def models(row: Row, count: int = 10) -> list[bytes]:
    """Serialised models of `count` cases, each with its inputs' values as defaults, so that a run needs no feeds."""
    found: list[bytes] = []

    @seed(0)
    @settings(max_examples=count, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(operator_cases(row.op_type, row.since, row.dtypes[0], domain=row.domain))
    def collect(case: Case) -> None:
        model = case.model()
        for name, value in case.feeds().items():
            if isinstance(value, np.ndarray):
                model.graph.initializer.append(numpy_helper.from_array(value, name))
        found.append(model.SerializeToString())

    collect()
    return found
