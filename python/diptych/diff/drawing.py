"""The main graph as boxes and curves that the template turns into SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diptych.diff.layout import HEIGHT, WIDTH, draw

__all__ = ["Box", "Picture", "picture"]

MOST = 1500  # nodes: a browser shows no more pleasantly, and nobody reads them
LETTERS = 20  # that fit into a box


@dataclass(frozen=True)
class Box:
    """One node: `css` is the colour by the worst engine, `colours` those by each engine."""

    x: float
    y: float
    title: str
    subtitle: str
    tip: str
    anchor: str  # "" where there is nothing to show
    css: str
    colours: tuple[str, ...]
    totals: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """Everything of the SVG."""

    width: float
    height: float
    box_width: int
    box_height: int
    boxes: list[Box]
    edges: list[str]


def picture(rows: Sequence[Any], inside: Mapping[str, Sequence[Any]], severity: Callable[[str], int]) -> Picture | None:
    """The drawing of the nodes of the main graph; None where there are none or too many."""
    if not rows or len(rows) > MOST:
        return None
    producers = {name: key(row) for row in rows for name in row.node.outputs}
    edges = [(producers[name], key(row)) for row in rows for name in row.node.inputs if name in producers]
    drawing = draw([key(row) for row in rows], edges)
    places = {placed.key: placed for placed in drawing.nodes}
    boxes = [box(row, inside.get(row.node.name, ()), places[key(row)], severity) for row in rows]
    return Picture(drawing.width, drawing.height, WIDTH, HEIGHT, boxes, [path for _, _, path in drawing.edges])


def key(row: Any) -> str:
    """A node's key in the drawing."""
    return str(row.node.index)


def box(row: Any, inside: Sequence[Any], place: Any, severity: Callable[[str], int]) -> Box:
    """One node, with the worst of those inside of it."""

    def worst(colours: Sequence[str]) -> str:
        return max(colours, key=severity)

    node = row.node
    count = f" · {len(inside)} inside" if inside else ""
    return Box(
        place.x,
        place.y,
        cut(f"{node.op_type}{count}"),
        cut(node.name, tail=True),
        f"{node.op_type} {node.name}: {', '.join(node.inputs.values())} → {', '.join(node.outputs.values())}",
        f"n{node.index}",
        worst([row.css, *(one.css for one in inside)]),
        tuple(worst([cell.css, *(one.cells[i].css for one in inside)]) for i, cell in enumerate(row.cells)),
        tuple(cell.total_css for cell in row.cells),
    )


def cut(text: str, tail: bool = False) -> str:
    """A text that fits into a box; `tail`: its end matters more."""
    if len(text) <= LETTERS:
        return text
    return f"…{text[-(LETTERS - 1) :]}" if tail else f"{text[: LETTERS - 1]}…"
