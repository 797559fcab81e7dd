"""A page of what `bench` measured: plots as inline SVG and a table, nothing from elsewhere, light or dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

ENGINES = ("diptych", "diptych.exact", "onnxruntime", "openvino", "tract", "onnx.reference", "reference")

RATIO = "Time of Diptych / time of the faster peer"


def _css_class(engine: str) -> str:
    """Return the class that colours an engine."""
    return engine.replace(".", "-")


STYLE = """
:root { color-scheme: light dark; --back: #fcfcfb; --text: #1c1b1a; --faint: #6b6964; --rule: #dddbd6;
  --diptych: #2567c4; --onnxruntime: #c2571a; --openvino: #1e8a5f; --reference: #8a55b5; --onnx-reference: #7d7a1f;
  --diptych-exact: #1f8c99; --tract: #b03a6e; }
@media (prefers-color-scheme: dark) { :root { --back: #191817; --text: #ecebe8; --faint: #a19e98; --rule: #3a3835;
  --diptych: #7fb0f5; --onnxruntime: #f0a06a; --openvino: #66cda1; --reference: #c7a0e8; --onnx-reference: #cfcb6e;
  --diptych-exact: #6fd0dc; --tract: #f08db9; } }
body { margin: 2rem auto; max-width: 62rem; padding: 0 1rem; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 2.5rem 0 0.3rem; }
p, li { max-width: 46rem; } .faint { color: var(--faint); }
svg { width: 100%; min-width: 40rem; height: auto; } svg text { fill: var(--text); font-size: 12px; }
svg .tick { fill: var(--faint); } svg .rule { stroke: var(--rule); }
svg .one { stroke: var(--faint); stroke-width: 1.5; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.6rem; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } .key { margin-right: 1.2rem; }
.key::before { content: "\\25CF\\00A0"; }
"""
STYLE += "".join(
    f".{name} {{ fill: var(--{name}); stroke: var(--{name}); }} .key.{name}::before {{ color: var(--{name}); }}\n"
    for name in map(_css_class, ENGINES)
)

WIDTH, LEFT, RIGHT, ROW, TOP, BOTTOM = 960, 190, 70, 24, 8, 28


@dataclass(frozen=True)
class Dot:
    """One value of an engine, with an interval around it where there is one."""

    engine: str
    value: float
    interval: Sequence[float] | None = None


Rows = Sequence[tuple[str, Sequence[Dot]]]


def write_page(path: Path, document: dict[str, Any]) -> None:
    """Write the page of a document that `bench` made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(document), encoding="utf-8")


def page(document: dict[str, Any]) -> str:
    """The page's source."""
    results, settings = document["results"], document["settings"]
    names = [row["engine"] for result in results for row in result["engines"]]
    keys = "".join(f'<span class="key {_css_class(name)}">{name}</span>' for name in ENGINES if name in names)
    compared = [
        (result["model"], [Dot("diptych", result["better_ratio"], result["interval"])])
        for result in results
        if result["better_ratio"] is not None
    ]
    sections = [
        _section(
            RATIO,
            f"Below 1 Diptych is faster. Medians of {settings['rounds']} interleaved rounds, bars: 95 % intervals.",
            dots(RATIO, compared, one=True),
        )
    ]
    for title, column, text in (
        ("A run, ms", "median_ms", "Median of the rounds."),
        ("Loading, ms", "load_ms", "From the file to a session, without the import of the engine."),
        ("First run, ms", "first_ms", "With whatever an engine puts off until then."),
        ("Greatest memory, MB", "peak_mb", "Of the engine's process, Python and its packages included."),
    ):
        rows = [(r["model"], [Dot(row["engine"], row[column]) for row in r["engines"]]) for r in results]
        sections.append(_section(title, text, f"<p>{keys}</p>{dots(title, rows)}"))
    sections += [f"<h2>All numbers</h2>{_table(results)}", _failures(results)]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Diptych beside other engines</title><style>{STYLE}</style></head><body>"
        f"<h1>Diptych beside other engines</h1>{_circumstances(document)}{''.join(sections)}</body></html>\n"
    )


def dots(title: str, rows: Rows, one: bool = False) -> str:
    """A line of dots a row, over a logarithmic axis; `one` draws the line at 1."""
    values = [v for _, row in rows for dot in row for v in (dot.value, *(dot.interval or ())) if 0 < v < math.inf]
    if not values:
        return '<p class="faint">Nothing was compared.</p>'
    marks = ticks(min(*values, 1.0 if one else values[0]), max(*values, 1.0 if one else values[0]))
    low, high = math.log(marks[0]), math.log(marks[-1])
    bottom = TOP + ROW * len(rows)

    def x(value: float) -> float:
        share = (math.log(min(max(value, marks[0]), marks[-1])) - low) / (high - low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    parts = [f'<div class="wide"><svg viewBox="0 0 {WIDTH} {bottom + BOTTOM}" role="img" aria-label="{escape(title)}">']
    for mark in marks:
        kind = "one" if one and mark == 1 else "rule"
        parts.append(f'<line class="{kind}" x1="{x(mark):.1f}" x2="{x(mark):.1f}" y1="{TOP}" y2="{bottom}"/>')
        label = f'<text class="tick" text-anchor="middle" x="{x(mark):.1f}" y="{bottom + 18}">{mark:g}</text>'
        parts.append(label)
    for i, (name, row) in enumerate(rows):
        y = TOP + ROW * (i + 0.5)
        parts.append(f'<text text-anchor="end" x="{LEFT - 12}" y="{y + 4}">{escape(name)}</text>')
        for dot in row:
            parts.append(_dot(dot, name, x, y))
        if one:
            parts.append(f'<text x="{WIDTH - RIGHT + 12}" y="{y + 4}">{row[0].value:.2f}</text>')
    return "".join([*parts, "</svg></div>"])


def _dot(dot: Dot, name: str, x: Any, y: float) -> str:
    """A dot that says what it stands for, and the bar of its interval."""
    between = "" if dot.interval is None else " ({:.3g} to {:.3g})".format(*dot.interval)
    said = f"<title>{escape(name)}, {dot.engine}: {dot.value:.4g}{between}</title>"
    bar = ""
    if dot.interval is not None:
        first, last = (x(v) for v in dot.interval)
        bar = f'<line x1="{first:.1f}" x2="{last:.1f}" y1="{y}" y2="{y}" stroke-width="3" stroke-opacity="0.5"/>'
    return f'<g class="{_css_class(dot.engine)}">{said}{bar}<circle cx="{x(dot.value):.1f}" cy="{y}" r="4.5"/></g>'


def ticks(low: float, high: float) -> list[float]:
    """Marks of a logarithmic axis that enclose [low, high]: 1, 2 and 5 times powers of ten, or powers alone."""
    steps = (1, 2, 5) if high / low < 1000 else (1,)
    exponents = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    marks = [float(f"{step}e{exponent}") for exponent in exponents for step in steps]
    first = max(i for i, mark in enumerate(marks) if mark <= low)
    last = min(i for i, mark in enumerate(marks) if mark >= high)
    return marks[first : max(last, first + 1) + 1]


def _section(title: str, text: str, content: str) -> str:
    return f'<h2>{escape(title)}</h2><p class="faint">{escape(text)}</p>{content}'


def _circumstances(document: dict[str, Any]) -> str:
    """One paragraph on the machine and the settings."""
    machine, settings = document["machine"], document["settings"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items() if version)
    text = (
        f"{machine['cpu']}, {machine['usable_cpus']} usable CPUs; {settings['threads']} threads for each engine, "
        f"{settings['isa']}; {packages}; Python {machine['python']} on {machine['system']}; {settings['time']}. "
        "Every engine ran in a process of its own, in turns with the others."
    )
    return f"<p>{escape(text)}</p>"


def _table(results: Sequence[dict[str, Any]]) -> str:
    """Every number of every engine."""
    columns = ("median_ms", "least_ms", "load_ms", "first_ms", "peak_mb", "ratio", "greatest_difference")
    head = "".join(f"<th>{escape(name)}</th>" for name in ("model", "engine", *columns, "greatest_output"))
    lines = []
    for result in results:
        greatest = f"<td>{result['greatest_output']:.4g}</td>"
        for row in result["engines"]:
            cells = "".join(f"<td>{row[column]:.4g}</td>" for column in columns)
            engine = escape(f"{row['engine']} {row['version']}")
            lines.append(f"<tr><td>{escape(result['model'])}</td><td>{engine}</td>{cells}{greatest}</tr>")
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(lines)}</table></div>'


def _failures(results: Sequence[dict[str, Any]]) -> str:
    """What engines could not run, "" if they could."""
    items = [
        f"<li>{escape(result['model'])}: {escape(error)}</li>"
        for result in results
        for error in result["failures"].values()
    ]
    return f"<h2>What did not run</h2><ul>{''.join(items)}</ul>" if items else ""
