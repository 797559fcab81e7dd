"""The rounding program of an operator: its rows of docs/numerics.md, found by its name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["PAGE", "Program", "programs", "programs_of"]

PAGE = Path(__file__).parents[3] / "docs" / "numerics.md"
WORD = r"(?<![\w.]){}(?!\w)"


@dataclass(frozen=True)
class Program:
    """One row: `operators` is its first column, `text` the program in Markdown, `section` the heading above it."""

    section: str
    operators: str
    text: str


def programs_of(op_type: str, domain: str = "") -> list[Program]:
    """The rows that name an operator in their first column, or else in their text, and those of its functions.

    Empty where the page is not there: Diptych was installed without its repository.
    """
    own = [row for row in programs() if row.section.startswith("4") and _serves(row, domain)]
    named = [row for row in own if re.search(WORD.format(re.escape(op_type)), row.operators)]
    exact = [row for row in named if f"{domain}.{op_type}" in row.operators or f"{domain} {op_type}" in row.operators]
    found = (exact if domain and exact else named) or [
        row for row in own if re.search(WORD.format(re.escape(op_type)), row.text)
    ]
    if any("section 3" in row.text for row in found):
        found += [row for row in programs() if row.section.startswith("3") and _names(row.operators, op_type)]
    return found


@cache
def programs() -> tuple[Program, ...]:
    """Every row of every table of programs."""
    return tuple(_rows(PAGE.read_text(encoding="utf-8"))) if PAGE.is_file() else ()


def _rows(text: str) -> Iterator[Program]:
    """Rows in order, with section numbers: `4 Pools, reductions` stands under `## 4. Operators`."""
    chapter, section, defines = "", "", False  # `defines`: the table's second column holds programs
    for line in text.splitlines():
        if heading := re.match(r"(#+) (?:(\d+)\.[\d.]* )?(.*)", line):
            chapter = heading[2] or chapter
            section = f"{chapter} {heading[3]}"
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        if not line.startswith("|"):
            defines = False
        elif len(cells) > 1 and cells[1] == "program":
            defines = True
        elif defines and not set(cells[0]) <= set("-: "):
            yield Program(section, cells[0], cells[1].replace("\\|", "|"))


def _serves(row: Program, domain: str) -> bool:
    """Whether a row may speak of an operator of a domain: some sections are com.microsoft's alone."""
    microsoft = row.section.endswith(("com.microsoft", "Fused operators of ONNX Runtime", "Weights of a few bits"))
    if domain == "com.microsoft":
        return microsoft or "com.microsoft" in row.operators or row.operators.startswith("QLinear")
    return "com.microsoft" not in row.operators and (not microsoft or "Simplified" in row.operators)


def _names(functions: str, op_type: str) -> bool:
    """Whether a row of section 3 defines the function of an operator's name."""
    return op_type.lower() in re.split(r"[^a-z0-9]+", re.sub(r"\(.*?\)", "", functions).lower())
