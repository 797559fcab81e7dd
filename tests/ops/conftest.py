"""Counts of what the operator tests covered, printed at the end. Tests report them as properties, so xdist works."""

from __future__ import annotations

from collections import Counter

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each kind of check: operators, versions, dtypes, examples."""
    sums: Counter[tuple[str, str]] = Counter()
    sets: dict[tuple[str, str], set[str]] = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            properties = dict(report.user_properties)
            check = properties.pop("check", None)
            for name, value in properties.items() if check else ():
                if isinstance(value, int):
                    sums[check, name] += value
                else:
                    sets.setdefault((check, name), set()).add(value)
    for check in sorted({check for check, _ in (*sums, *sets)}):
        counted = [f"{len(seen)} {name}s" for (of, name), seen in sets.items() if of == check]
        summed = [f"{count} {name}" for (of, name), count in sums.items() if of == check]
        terminalreporter.write_line(f"{check}: {', '.join(counted + summed)}")
