"""The right panel's source of an operator: the marked stretches of rust_core/ whose marker names it.

A marker `// [panel: Add Sub Mul]` serves three operators, `// [panel: com.microsoft.Gelu]` one of another domain; words
in small letters tell markers with the same operators apart (`// [panel: Conv rows]`).
"""

from __future__ import annotations

from functools import cache

from diptych.errors import MissingSourceError
from diptych.sources import RustPanel, rust_panels

__all__ = ["kernels_of", "marked_operators", "operators_of"]


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
    order = {key: sorted(panels, key=lambda panel: len(operators_of(panel.name))) for key, panels in found.items()}
    return {key: tuple(panels) for key, panels in order.items()}


def operators_of(marker: str) -> list[tuple[str, str]]:
    """(domain, op_type) of each operator that a marker names; words in small letters are none."""
    words = [word.rpartition(".") for word in marker.split()]
    return [(domain, op_type) for domain, _, op_type in words if op_type[:1].isupper()]
