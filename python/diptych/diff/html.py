"""The report as one HTML file: graph, nodes, slices of tensors, both panels' source; no network, light and dark."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from diptych.diff.drawing import Picture, picture
from diptych.diff.report import EngineOnNode, NodeReport, Report
from diptych.diff.sources import sources_of
from diptych.errors import Error

__all__ = ["html_report", "short", "write_html"]

TEMPLATES = Path(__file__).parent / "templates"
# Greatest error / bound of a colour, and its CSS class.
SCALE = ((0.0, "e0"), (0.01, "e1"), (0.1, "e2"), (0.5, "e3"), (1.0, "e4"))


@dataclass(frozen=True)
class Cell:
    """One engine on one node in a table: CSS class and text, of the node alone and in the run of the whole model."""

    css: str
    text: str
    total_css: str
    total_text: str


@dataclass(frozen=True)
class Row:
    """One node as the page shows it."""

    node: NodeReport
    cells: list[Cell]
    css: str  # of the worst engine
    source: str  # anchor of its operator's source


def write_html(report: Report, path: Path) -> None:
    """Write the report; OSError where the file cannot be written."""
    path.write_text(html_report(report), encoding="utf-8")


def html_report(report: Report) -> str:
    """The page."""
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ModuleNotFoundError as error:
        raise Error(f"--html needs more packages: pip install 'diptych[lab]' ({error})") from None
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, short=short)
    rows = [row(node, report) for node in report.nodes]
    sources = {source.anchor: source for source in (sources_of(n.op_type, n.domain, n.opset) for n in report.nodes)}
    return environment.get_template("report.html").render(
        report=report,
        rows=rows,
        graph=graph_of(report, rows),
        sources=sorted(sources.values(), key=lambda source: source.title),
        engines=list(report.engines.items()),
        style=asset("report.css"),
        script=asset("report.js"),
        counts=counts(report),
    )


def row(node: NodeReport, report: Report) -> Row:
    """A node with a cell for each engine."""
    cells = [cell(node.engines.get(spec)) for spec in report.engines]
    css = max((c.css for c in cells), key=severity, default="none")
    return Row(node, cells, css, sources_of(node.op_type, node.domain, node.opset).anchor)


def cell(engine: EngineOnNode | None) -> Cell:
    """The colours and texts of one engine on one node."""
    if engine is None:
        return Cell("none", "", "none", "")
    shares = [total.share for total in engine.total.values() if total.share is not None]
    problems = [total.problem for total in engine.total.values() if total.problem]
    total_css = "wrong" if problems else colour(max(shares), "far") if shares else "none"
    total_text = "differs" if problems else brief(max(shares)) if shares else ""
    if engine.status in ("right", "wrong"):
        share = engine.share
        text = brief(share) if share is not None else "bits" if engine.status == "wrong" else "0"
        css = "wrong" if engine.status == "wrong" else colour(share or 0.0)
        return Cell(css, text, total_css, "" if total_text == text else total_text)
    return Cell(engine.status, engine.status, total_css, total_text)


def colour(share: float, beyond: str = "wrong") -> str:
    """The class of an error in units of the bound; `beyond` that of one beyond it, which may be inherited."""
    return next((css for top, css in SCALE if share <= top), beyond)


def severity(css: str) -> int:
    """How bad a class is: of several engines the worst colours a node."""
    order = (
        "none",
        "skipped",
        "e0",
        "e1",
        "e2",
        "unjudged",
        "e3",
        "refused",
        "e4",
        "failed",
        "wrong",
        "hung",
        "crashed",
    )
    return order.index(css)


def graph_of(report: Report, rows: list[Row]) -> Picture | None:
    """The main graph; a node with graphs has the colour of the worst inside."""
    inside: dict[str, list[Row]] = {}
    for one in rows:
        if one.node.graph:
            inside.setdefault(one.node.graph.partition("/")[0].rpartition("[")[0], []).append(one)
    return picture([one for one in rows if not one.node.graph], inside, severity)


def counts(report: Report) -> dict[str, Any]:
    """Numbers of the headline."""
    compared = [node for node in report.nodes if node.engines]
    return {
        "nodes": len(compared),
        "violations": len(report.violations),
        "elements": sum(j.elements for n in compared for e in n.engines.values() for j in e.outputs),
    }


def brief(value: float) -> str:
    """So few letters that several engines fit beside each other."""
    return "<.001" if 0 < value < 0.001 else f"{value:.0f}" if 10 <= value < 10_000 else number(float(f"{value:.2g}"))


def short(spec: str) -> str:
    """An engine's spelling without the module of its class."""
    name, bracket, options = spec.partition("[")
    return f"{name.rpartition(':')[2]}{bracket}{options}"


def number(value: float | None) -> str:
    """Three digits; nothing for nothing."""
    if value is None:
        return ""
    return "0" if value == 0 else "∞" if math.isinf(value) else f"{value:.3g}"


@cache
def asset(name: str) -> str:
    """A file that becomes part of the page."""
    return (TEMPLATES / name).read_text(encoding="utf-8")
