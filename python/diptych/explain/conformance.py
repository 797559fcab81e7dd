"""How an operator fares in ONNX's backend suite: the counts of docs/operators.md, which `tools.operators` writes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["PAGE", "Conformance", "conformance_of"]

PAGE = Path(__file__).parents[3] / "docs" / "operators.md"


@dataclass(frozen=True)
class Conformance:
    """Cases of the suite whose models contain the operator, and how many of them do not pass on some panel."""

    cases: int
    failing: int


def conformance_of(op_type: str, domain: str = "") -> Conformance | None:
    """The counts; None where the page does not list the operator, or is not there (no checkout of the repository)."""
    return _counts().get((domain, op_type))


@cache
def _counts() -> dict[tuple[str, str], Conformance]:
    """All rows of the page's table."""
    if not PAGE.is_file():
        return {}
    found = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == 6 and cells[0] != "Domain":
            domain, name, _, _, cases, failing = cells
            key = ("" if domain == "ai.onnx" else domain, name)
            found[key] = Conformance(int(cases or 0), int(failing or 0))
    return found
