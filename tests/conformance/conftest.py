"""Prints the counts of the backend suite at the end of a run, in one process or many."""

from __future__ import annotations

import pytest

from .suite import table


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known where no project settings do."""
    config.addinivalue_line("markers", "slow: takes long; deselect with -m 'not slow'")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One table a panel, from the properties that the cases recorded."""
    panels: dict[str, list[dict[str, str]]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            properties = {str(k): str(v) for k, v in getattr(report, "user_properties", ())}
            if getattr(report, "when", None) == "call" and "panel" in properties:
                panels.setdefault(properties["panel"], []).append(properties)
    for panel, results in sorted(panels.items()):
        terminalreporter.section(f"ONNX backend suite on {panel}")
        terminalreporter.write_line(table(results))
