"""docs/speed.md and its plots, drawn from docs/speed/history.json; nothing is measured."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.speed.history import HISTORY, read_history
from tools.speed.landings import ROOT
from tools.speed.plot import Point, line_plot, number, standalone

__all__ = ["PAGE", "add_arguments", "documents", "run"]

PAGE = ROOT / "docs" / "speed.md"
LINES = 7  # in a plot; more can not be told apart

HEADER = """# The speed record

Written by `python -m tools.speed plots` from `docs/speed/history.json`, which `python -m tools.speed history` makes;
[how](how-to/track-performance.md). A landing is the last commit of main before ten minutes without one. There are
{landings} of them, from {first} to {last}; counted are the kernels of {kernels} and the left panel of {reference}.

Everything here is counted, nothing timed: instructions do not depend on what else a machine does. They are not time:
a kernel that misses the cache, or computes with AVX-512, which valgrind does not know, is another matter. Times beside
other engines are what `python -m tools.models bench` prints (`asv_bench/README.md`).
"""
FOOTER = """
## The landings

Empty cells were not counted{failures}. Trees with the same content share their counts.

| Landing | When | What came last | Kernels: matmul | Left panel: MatMul 64^3 | Operators |
|---|---|---|---|---|---|
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of `python -m tools.speed plots`."""
    parser.add_argument("--from", type=Path, default=HISTORY, dest="source", metavar="FILE", help="the counts")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the repository's files differ")


def run(arguments: argparse.Namespace) -> int:
    """Write or check the files."""
    history = read_history(arguments.source)
    if not history["landings"]:
        print(
            f"tools.speed plots: {arguments.source} holds no landing: run `python -m tools.speed history`",
            file=sys.stderr,
        )
        return 2
    differing = []
    for path, content in documents(history).items():
        if not path.is_file() or path.read_text(encoding="utf-8") != content:
            differing.append(path.relative_to(ROOT))
            if not arguments.check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content, encoding="utf-8")
    for name in differing:
        print(f"{name} {'differs' if arguments.check else 'written'}", file=sys.stderr)
    return int(arguments.check and bool(differing))


def documents(history: Mapping[str, Any]) -> dict[Path, str]:
    """The page and its plots by path."""
    landings = history["landings"]
    marks = [f"{landing['commit'][:8]}, {day(landing)}" for landing in landings]
    page, files = [_header(history)], {}
    for name, title, text, series, logarithmic in _plots(history):
        svg = line_plot(title, series, marks, logarithmic)
        if svg:
            files[PAGE.parent / "speed" / f"{name}.svg"] = standalone(svg)
            page.append(f"\n## {title}\n\n{text}\n\n![{title}, a line each over the landings](speed/{name}.svg)\n")
    failures = history["failures"]
    page.append(FOOTER.format(failures=f"; the kernels of {len(failures)} did not build" if failures else ""))
    page.extend(_row(history, landing) for landing in landings)
    return {PAGE: "".join(page), **files}


Plot = tuple[str, str, str, Mapping[str, Sequence[Point]], bool]


def _plots(history: Mapping[str, Any]) -> Iterator[Plot]:
    """Name, title, text, lines and kind of axis of each plot."""
    text = (
        "Instructions of one call with AVX2, by each commit's own `instruction_count`, relative to the first counted."
    )
    kernels = _counts(history, "kernels", lambda name: name)
    for i, group in enumerate(_groups(_relative(kernels)), 1):
        yield f"kernels-{i}", "Kernels" + (f", {i}" if i > 1 else ""), text, group, False
    text = "Instructions of a run in Python and NumPy, relative to the first counted."
    reference = _relative(_counts(history, "reference", lambda name: name.replace(": ", ", ")))
    for i, group in enumerate(_groups(reference), 1):
        yield f"reference-{i}", "Left panel" + (f", {i}" if i > 1 else ""), text, group, False
    lines = {name: _sizes(history, f"{name}_lines") for name in ("reference", "kernels", "engine", "tests")}
    yield "lines", "Lines", "Of each part of the repository, tests included.", lines, False
    registered = {"operators": _sizes(history, "operators"), "their versions": _sizes(history, "operator_versions")}
    yield "operators", "Operators", "That the left panel registers, and their versions.", registered, False


def _counts(history: Mapping[str, Any], kind: str, called: Callable[[str], str]) -> dict[str, list[Point]]:
    """The counts of one kind as lines over the landings."""
    series: dict[str, list[Point]] = {}
    for x, landing in enumerate(history["landings"]):
        for name, value in history[kind].get(landing[kind], {}).items():
            said = f"{landing['commit'][:8]} {called(name)}: {value:,} instructions"
            series.setdefault(called(name), []).append(Point(x, value, said))
    return dict(sorted(series.items()))


def _relative(series: Mapping[str, Sequence[Point]]) -> dict[str, list[Point]]:
    """Each line divided by its first value."""
    return {
        name: [Point(point.x, point.y / points[0].y, point.said) for point in points] for name, points in series.items()
    }


def _groups(series: Mapping[str, list[Point]]) -> list[dict[str, list[Point]]]:
    """Lines in plots of at most `LINES`."""
    names = list(series)
    return [{name: series[name] for name in names[i : i + LINES]} for i in range(0, len(names), LINES)]


def _sizes(history: Mapping[str, Any], key: str) -> list[Point]:
    """One of the sizes over the landings."""
    return [
        Point(x, landing["sizes"][key], f"{landing['commit'][:8]}: {landing['sizes'][key]:,}")
        for x, landing in enumerate(history["landings"])
    ]


def _header(history: Mapping[str, Any]) -> str:
    """What the page begins with."""
    landings = history["landings"]
    counted = {kind: sum(bool(history[kind].get(one[kind])) for one in landings) for kind in ("kernels", "reference")}
    return HEADER.format(landings=len(landings), first=day(landings[0]), last=day(landings[-1]), **counted)


def _row(history: Mapping[str, Any], landing: Mapping[str, Any]) -> str:
    """A landing's line of the table."""
    matmul = history["kernels"].get(landing["kernels"], {}).get("matmul")
    left = history["reference"].get(landing["reference"], {}).get("MatMul: 64^3")
    cells = [
        f"`{landing['commit'][:8]}`", day(landing), landing["subject"].replace("|", "\\|"),
        *("" if value is None else number(value) for value in (matmul, left)), str(landing["sizes"]["operators"]),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |\n"


def day(landing: Mapping[str, Any]) -> str:
    """When a landing was."""
    return time.strftime("%Y-%m-%d", time.gmtime(landing["time"]))
