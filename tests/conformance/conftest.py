"""Prints the counts of the backend suite at the end of a run."""

from __future__ import annotations

import pytest

from .suite import TALLIES


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known where no project settings do."""
    config.addinivalue_line("markers", "slow: takes long; deselect with -m 'not slow'")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One table a panel."""
    for panel, tally in TALLIES.items():
        if tally.results:
            terminalreporter.section(f"ONNX backend suite on {panel}")
            terminalreporter.write_line(str(tally))
