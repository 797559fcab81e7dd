"""The right panel's source of an operator: the marked stretches of rust_core/ whose marker names it.

A marker `// [panel: Add Sub Mul]` serves three operators, `// [panel: com.microsoft.Gelu]` one of another domain; words
in small letters tell markers with the same operators apart (`// [panel: Conv rows]`).
"""

from __future__ import annotations

from functools import cache

from diptych.errors import MissingSourceError
from diptych.sources import MARKER, ROOT, RustPanel, rust_panels

__all__ = ["kernels_of", "marked_operators", "operators_of", "rust_lines"]


def kernels_of(op_type: str, domain: str = "") -> tuple[tuple[RustPanel, ...], str]:
    """The stretches that a marker gives to an operator, those for it alone first; else why there are none."""
    try:
        panels = marked_operators().get((domain, op_type), ())
    except MissingSourceError as error:
        return (), str(error)
    return panels, "" if panels else "no marker in rust_core/ names it yet"


@cache
def marked_operators() -> dict[tuple[str, str], tuple[RustPanel, ...]]:
    """Marked stretches by operator. Raises MissingSourceError as `diptych.sources.rust_panels` does."""
    found: dict[tuple[str, str], list[RustPanel]] = {}
    for panel in rust_panels().values():
        for key in operators_of(panel.name):
            found.setdefault(key, []).append(panel)
    return {key: tuple(sorted(panels, key=_generality)) for key, panels in found.items()}


def _generality(panel: RustPanel) -> tuple[int, bool]:
    """What is one operator's alone comes first, what a note tells apart after what has none."""
    operators = len(operators_of(panel.name))
    return operators, len(panel.name.split()) > operators


def rust_lines(panel: RustPanel) -> list[tuple[int, str]]:
    """(number, text) of each line that a marked stretch shows; markers inside it count, but are not shown."""
    lines = (ROOT / panel.path).read_text(encoding="utf-8").splitlines()
    numbers = [i for i in range(panel.first, panel.last + 1) if not MARKER.match(lines[i - 1])]
    while numbers and not lines[numbers[0] - 1].strip():  # as the stretch's text, which begins and ends with code
        del numbers[0]
    return list(zip(numbers, panel.text.splitlines(), strict=False))


def operators_of(marker: str) -> list[tuple[str, str]]:
    """(domain, op_type) of each operator that a marker names; words in small letters are none."""
    words = [word.rpartition(".") for word in marker.split()]
    return [(domain, op_type) for domain, _, op_type in words if op_type[:1].isupper()]
