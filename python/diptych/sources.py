"""Both panels' source, read where it stands, so that what a page shows cannot rot.

The left panel is Python: `inspect` finds it. The right panel is Rust; a stretch of it that some page shows stands
between marker comments in rust_core/, which may be nested:

    // [panel: relu]
    ...
    // [/panel: relu]

`// [/panel]` closes the innermost one. A name is used once in the repository.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from diptych.errors import MissingSourceError, UnsupportedOperatorError

__all__ = ["RustPanel", "reference_source", "rust_panels", "rust_source"]

ROOT = Path(__file__).parents[2]
MARKER = re.compile(r"^\s*//+ \[(?P<close>/)?panel(?:: (?P<name>[^\]]+))?\]\s*$")


@dataclass(frozen=True)
class RustPanel:
    """A marked stretch of Rust: `text` without its markers and common indentation, and where it stands.

    `path` is relative to the repository; `first` and `last` are the numbers of its first and last line.
    """

    name: str
    path: str
    first: int
    last: int
    text: str


def rust_source(marker: str) -> str:
    """Rust between `// [panel: marker]` and its end, dedented.

    Raises MissingSourceError if no such marker is in rust_core/, if markers do not pair, and where Diptych was
    installed without its sources.
    """
    panels = rust_panels()
    if marker not in panels:
        raise MissingSourceError(f"no '// [panel: {marker}]' in {ROOT / 'rust_core'}; there are {sorted(panels)}")
    return panels[marker].text


def reference_source(op_type: str, domain: str = "") -> str:
    """Python of the newest version of an operator on the left panel, its decorator included.

    Raises UnsupportedOperatorError if the left panel has no such operator, MissingSourceError where diptych-reference
    is not installed or lies there without its sources.
    """
    try:
        from diptych_reference.operator import registry
    except ImportError as error:
        raise MissingSourceError(f"the left panel is missing: pip install diptych-reference ({error})") from error
    domain = "" if domain == "ai.onnx" else domain
    versions = registry.get((domain, op_type))
    if not versions:
        raise UnsupportedOperatorError(
            f"operator {op_type!r} of domain {domain or 'ai.onnx'!r} is not in the reference"
        )
    function = versions[max(versions)].function
    try:
        return inspect.getsource(function)
    except OSError as error:
        raise MissingSourceError(
            f"{versions[max(versions)].name}: {error}; it needs diptych_reference's files"
        ) from error


@cache
def rust_panels() -> dict[str, RustPanel]:
    """Every marked stretch of the repository, by name."""
    sources = ROOT / "rust_core"
    if not sources.is_dir():
        raise MissingSourceError(f"no {sources}: Rust can be shown from a checkout of Diptych's repository only")
    panels: dict[str, RustPanel] = {}
    for path in sorted(sources.rglob("*.rs")):
        if "target" in path.relative_to(sources).parts:
            continue
        for panel in panels_of(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")):
            if panel.name in panels:
                other = panels[panel.name]
                where = f"{other.path}:{other.first - 1} and {panel.path}:{panel.first - 1}"
                raise MissingSourceError(f"'// [panel: {panel.name}]' stands twice: {where}; a name is used once")
            panels[panel.name] = panel
    return panels


def panels_of(path: str, text: str) -> Iterator[RustPanel]:
    """Marked stretches of one file, each when it ends."""
    lines = text.splitlines()
    markers = {number: found for number, line in enumerate(lines, 1) if (found := MARKER.match(line))}
    open_: list[tuple[str, int]] = []
    for number, marker in markers.items():
        if not marker["close"]:
            if not marker["name"]:
                raise MissingSourceError(f"{path}:{number}: a panel needs a name, as in '// [panel: relu]'")
            open_.append((marker["name"], number))
            continue
        name, start = open_.pop() if open_ else ("", 0)
        if not start or marker["name"] not in (None, name):
            expected = f"the end of {name!r}" if start else "no panel to end"
            raise MissingSourceError(f"{path}:{number}: '{lines[number - 1].strip()}', expected {expected}")
        inside = [line for at, line in enumerate(lines, 1) if start < at < number and at not in markers]
        yield RustPanel(name, path, start + 1, number - 1, textwrap.dedent("\n".join(inside)).strip("\n") + "\n")
    if open_:
        name, start = open_[-1]
        raise MissingSourceError(f"{path}:{start}: '// [panel: {name}]' has no end '// [/panel]'")
