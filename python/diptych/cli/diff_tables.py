"""The report of `diptych diff` for a terminal, within 100 columns."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

from diptych.cli.tables import print_table

if TYPE_CHECKING:
    from diptych.diff import EngineOnNode, Judged, NodeReport, Report

__all__ = ["print_report"]

WIDTH = 100
MOST_NODES = 40  # a table of more shows the worst alone
MOST_DETAILS = 20


def print_report(report: Report) -> None:
    """Findings first, then a table of nodes, then outputs and counts."""
    for node in report.violations[:MOST_DETAILS]:
        for spec, engine in node.engines.items():
            if engine.violates:
                _print_finding(node, spec, engine)
    if len(report.violations) > MOST_DETAILS:
        print(f"{len(report.violations) - MOST_DETAILS} more nodes with violations are in the table and in --json\n")
    _print_nodes(report)
    _print_outputs(report)
    for note in [*report.notes, *_notes_of_nodes(report)]:
        print(_wrapped(f"note: {note}"))
    _print_counts(report)


def _print_finding(node: NodeReport, spec: str, engine: EngineOnNode) -> None:
    """One engine's violation at one node, with the slice where it is worst."""
    domain = f"{node.domain}." if node.domain else ""
    print(_wrapped(f"{engine.status.upper()} at node {node.index} {node.label!r}: {domain}{node.op_type}-{node.opset}"))
    print(_wrapped(f"  engine {spec}: {engine.detail}"))
    print(_wrapped(f"  inputs {', '.join(f'{name}: {kind}' for name, kind in node.inputs.items())}"))
    worst = engine.worst
    if worst is not None and worst.window is not None:
        _print_window(worst)
    print()


def _print_window(judged: Judged) -> None:
    """Expected and actual elements around the worst one, which is marked."""
    shown = judged.window
    assert shown is not None
    for title, rows in (("expected", shown.expected), ("got", shown.actual)):
        print(f"  {title} {judged.name}{shown.slice}")
        cells = [
            [f"[{cell}]" if (i, j) == shown.worst else f" {cell} " for j, cell in enumerate(row)]
            for i, row in enumerate(rows)
        ]
        width = min(max(len(cell) for row in cells for cell in row), (WIDTH - 4) // len(cells[0]) - 1)
        for row in cells:
            print("   " + " ".join(_cut(cell, width).rjust(width) for cell in row))


def _print_nodes(report: Report) -> None:
    """Local error / bound, and in parentheses the total of the whole run, engine by engine."""
    if not report.nodes:
        return
    nodes = report.nodes
    if len(nodes) > MOST_NODES:
        order = sorted(nodes, key=lambda node: (node.violates, _greatest(node)), reverse=True)
        nodes = sorted(order[:MOST_NODES], key=lambda node: node.index)
        print(f"the {MOST_NODES} of {len(report.nodes)} nodes that are worst; --json and --html have all")
    specs = list(report.engines)
    per_table = max(1, (WIDTH - 46) // 18)
    for start in range(0, len(specs), per_table):
        group = specs[start : start + per_table]
        rows = [
            [str(n.index), _cut(n.op_type, 16), _cut(n.label, 22, tail=True), *(_cell(n, spec) for spec in group)]
            for n in nodes
        ]
        print_table(["node", "operator", "name", *(_cut(_short(spec), 17) for spec in group)], rows)
        print()
    print("cells: local error / bound (error / bound in the run of the whole model); = the oracle's bits")


def _greatest(node: NodeReport) -> float:
    """Greatest local error of a node."""
    return max((engine.share or 0.0 for engine in node.engines.values()), default=0.0)


def _cell(node: NodeReport, spec: str) -> str:
    """One engine on one node in a few letters."""
    engine = node.engines.get(spec)
    if engine is None:
        return "-"
    local = {"right": "", "unjudged": "no bound"}.get(engine.status, engine.status.upper())
    if engine.status in ("right", "wrong") and engine.share is not None:
        bits = engine.status == "right" and engine.share == 0 and not any(j.differing for j in engine.outputs)
        local = f"{local} {'=' if bits else number(engine.share)}".strip()
    elif engine.status == "right":
        local = "="
    totals = [total.share for total in engine.total.values() if total.share is not None]
    return f"{local} ({number(max(totals))})" if totals and max(totals) > 0 else local


def _print_outputs(report: Report) -> None:
    """The outputs of the model as a user gets them."""
    rows = []
    for spec, engine in report.outputs.items():
        if not engine.outputs:
            rows.append([_cut(_short(spec), 30), "", "", "", _cut(f"{engine.status}: {engine.detail}", 40)])
        for name, total in engine.outputs.items():
            verdict = total.problem or ("=" if total.error == 0 else "")
            rows.append(
                [_cut(_short(spec), 30), _cut(name, 18), number(total.error), number(total.relative), _cut(verdict, 24)]
            )
    if rows:
        print()
        print_table(["whole model on", "output", "error", "/ greatest", ""], rows)


def _notes_of_nodes(report: Report) -> list[str]:
    """What is to be known of nodes, each reason once."""
    reasons: dict[str, list[NodeReport]] = {}
    for node in report.nodes:
        for reason in filter(None, (f"not run alone: it {node.skipped}" if node.skipped else "", node.note)):
            reasons.setdefault(reason, []).append(node)
        for spec, engine in node.engines.items():
            if engine.status in ("refused", "skipped"):
                reasons.setdefault(f"{spec}: {engine.status}: {_cut(engine.detail, 240)}", []).append(node)
    return [
        f"{', '.join(f'{n.op_type} {n.label!r}' for n in nodes[:3])}{' and more' if len(nodes) > 3 else ''}: {reason}"
        for reason, nodes in reasons.items()
    ]


def _print_counts(report: Report) -> None:
    """How many nodes, elements, violations."""
    compared = [node for node in report.nodes if node.engines]
    elements = sum(j.elements for n in compared for e in n.engines.values() for j in e.outputs)
    wrong = len(report.violations)
    engines = ", ".join(f"{spec} {version}".strip() for spec, version in report.engines.items())
    print()
    print(_wrapped(f"oracle {report.oracle}; engines {engines}"))
    print(f"{len(compared)} nodes compared, {elements} elements, {wrong} with violations")
    bad = [spec for spec, engine in report.outputs.items() if engine.violates]
    if report.outputs:
        print(f"whole model: {f'wrong on {chr(44).join(bad)}' if bad else 'no violation'}")
    if not report.complete:
        print("stopped at the first violation; --all goes on")


def _short(spec: str) -> str:
    """An engine's spelling without the module of its class."""
    name, bracket, options = spec.partition("[")
    return f"{name.rpartition(':')[2]}{bracket}{options}"


def number(value: float) -> str:
    """Three digits."""
    return {math.inf: "inf"}.get(value, f"{value:.3g}")


def _cut(text: str, width: int, tail: bool = False) -> str:
    """A text in so many columns; `tail`: its end matters more than its beginning."""
    if len(text) <= width:
        return text
    return f"…{text[-(width - 1) :]}" if tail else f"{text[: width - 1]}…"


def _wrapped(text: str) -> str:
    """A text in lines of the terminal's width, continued under its second word."""
    indent = " " * (len(text) - len(text.lstrip()) + 4)
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False, drop_whitespace=True)
