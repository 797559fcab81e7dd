"""Lines over commits as SVG that needs nothing else and follows the reader's choice of dark or light."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from tools.models.page import ticks

__all__ = ["COLOURS", "Point", "line_plot", "number", "standalone"]

# Light, dark: told apart by those who see fewer colours as well.
COLOURS = (
    ("#2567c4", "#7fb0f5"),
    ("#c2571a", "#f0a06a"),
    ("#1e8a5f", "#66cda1"),
    ("#8a55b5", "#c7a0e8"),
    ("#7d7a1f", "#cfcb6e"),
    ("#b03060", "#f08cae"),
    ("#4a5a6a", "#a9b8c8"),
)
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 260, 70, 190, 16, 34
STYLE = (
    ":root { color-scheme: light dark; } .back { fill: #fcfcfb; }"
    " text { fill: #1c1b1a; font: 12px system-ui, sans-serif; } .tick { fill: #6b6964; }"
    " .rule { stroke: #dddbd6; } polyline { stroke-width: 2; }"
    + "".join(f" .s{i} {{ stroke: {light}; fill: {light}; }}" for i, (light, _) in enumerate(COLOURS))
    + " polyline.line { fill: none; } text.label { stroke: none; } @media (prefers-color-scheme: dark) {"
    " .back { fill: #191817; } text { fill: #ecebe8; } .tick { fill: #a19e98; } .rule { stroke: #3a3835; }"
    + "".join(f" .s{i} {{ stroke: {dark}; fill: {dark}; }}" for i, (_, dark) in enumerate(COLOURS))
    + " polyline.line { fill: none; } }"
)


@dataclass(frozen=True)
class Point:
    """A value of the commit number `x`, and what it says when pointed at."""

    x: int
    y: float
    said: str = ""


def line_plot(title: str, series: Mapping[str, Sequence[Point]], marks: Sequence[str], logarithmic: bool = True) -> str:
    """Draw a line a series; `marks` name the commits along the axis. "" where there is nothing to draw."""
    drawn = {
        name: [point for point in points if math.isfinite(point.y) and (point.y > 0 or not logarithmic)]
        for name, points in series.items()
    }
    values = [point.y for points in drawn.values() for point in points]
    if not values:
        return ""
    axis = Axis.of(values, logarithmic)
    scale = (WIDTH - LEFT - RIGHT) / max(len(marks) - 1, 1)
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    for mark in axis.marks:
        y = axis.place(mark)
        parts.append(f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" text-anchor="end" x="{LEFT - 8}" y="{y + 4:.1f}">{number(mark)}</text>')
    for i in sorted({0, len(marks) - 1}):
        anchor = "start" if i == 0 else "end"
        x = LEFT + scale * i
        parts.append(
            f'<text class="tick" text-anchor="{anchor}" x="{x:.1f}" y="{HEIGHT - 12}">{escape(marks[i])}</text>'
        )
    ends = _spread({name: axis.place(points[-1].y) for name, points in drawn.items() if points})
    for i, (name, points) in enumerate(drawn.items()):
        if points:
            places = [(LEFT + scale * point.x, axis.place(point.y), point) for point in points]
            parts.append(_line(f"s{i % len(COLOURS)}", name, places, ends[name]))
    return "".join([*parts, "</svg>"])


@dataclass(frozen=True)
class Axis:
    """The vertical axis: what is marked, and where a value lies."""

    marks: Sequence[float]
    logarithmic: bool

    @classmethod
    def of(cls, values: Sequence[float], logarithmic: bool) -> Axis:
        """One that holds the values; a linear one begins at 0."""
        if logarithmic:
            return cls(ticks(min(values), max(values)), True)
        top = max(*values, 0.0) or 1.0
        power = 10.0 ** math.floor(math.log10(top))
        step = next(step * power for step in (0.2, 0.5, 1, 2) if top <= 5 * step * power)
        return cls([step * i for i in range(math.ceil(top / step) + 1)], False)

    def place(self, value: float) -> float:
        """The height of a value on the picture."""
        low, high, at = (math.log(v) if self.logarithmic else v for v in (self.marks[0], self.marks[-1], value))
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (at - low) / (high - low))


def _line(style: str, name: str, places: Sequence[tuple[float, float, Point]], label: float) -> str:
    """One series: its line, its points, its name at the end."""
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
    dots = "".join(
        f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{escape(point.said)}</title></circle>'
        for x, y, point in places
    )
    text = f'<text class="label {style}" x="{WIDTH - RIGHT + 12}" y="{label + 4:.1f}">{escape(name)}</text>'
    return f'<polyline class="line {style}" points="{corners}"/>{dots}{text}'


def _spread(places: Mapping[str, float]) -> dict[str, float]:
    """Heights of the names, moved apart where two would overlap."""
    found: dict[str, float] = {}
    last = -math.inf
    for name, y in sorted(places.items(), key=lambda item: item[1]):
        last = found[name] = max(y, last + 14)
    beyond = last - (HEIGHT - BOTTOM + 10)
    return {name: y - max(beyond, 0) for name, y in found.items()}


def number(value: float) -> str:
    """A number in a few characters: 1.2 k, 35 M."""
    for power, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= power:
            return f"{value / power:.3g}{letter}"
    return f"{value:.3g}"


def standalone(svg: str) -> str:
    """The same as a file of its own: its background, its style."""
    opening, _, rest = svg.partition(">")
    opening = opening.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    return f'{opening}><style>{STYLE}</style><rect class="back" width="{WIDTH}" height="{HEIGHT}"/>{rest}\n'
