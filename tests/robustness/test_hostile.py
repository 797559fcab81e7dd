"""Hostile inputs on both panels: a typed error after bounded work, or a run where the input is odd but valid.

Each group of inputs goes to a process of its own, which a watchdog ends; a crash is a failed test, not the end of all.
`python -m tools.hostile` prints the table, for peers too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tools.hostile import CASES
from tools.hostile.runner import results

GROUPS = sorted({name.partition("/")[0] for name in CASES})


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("engine", ["diptych", "reference"])
def test_refused_or_valid(engine: str, group: str, record_property: Callable[[str, Any], None]) -> None:
    names = [name for name in CASES if name.startswith(f"{group}/")]
    found = list(results(engine, names))
    record_property("inputs", len(found))
    assert [result.name for result in found] == names
    assert not [f"{result.name}: {result.problem}" for result in found if result.problem]
