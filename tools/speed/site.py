"""Pages of what asv measured: an index, one page an operator, one for all else. They need nothing from elsewhere."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import time
from collections.abc import Sequence
from html import escape
from pathlib import Path

from tools.models.page import STYLE as PAGE_STYLE
from tools.speed.landings import ROOT
from tools.speed.plot import STYLE as PLOT_STYLE
from tools.speed.plot import Point, line_plot, number
from tools.speed.record import Measured, Record, read_record

__all__ = ["add_arguments", "run", "write_site"]

RESULTS = ROOT / "asv_bench" / ".asv" / "results"
SITE = ROOT / ".build" / "speed"
STYLE = PAGE_STYLE + PLOT_STYLE

# Measure, benchmarks that hold it (panel, case), unit.
MEASURES = (
    ("Time of a run", ("operators.Run.time_run", "operators.Peers.time_run"), "s"),
    ("Instructions of a run, with AVX2", ("operators.Instructions.track_instructions",), ""),
    ("Memory beyond what there was, at most", ("operators.Memory.track_peak",), "B"),
    ("Worst error in units of the bound", ("operators.Error.track_share",), ""),
)
OF_OPERATORS = {name for _, names, _ in MEASURES for name in names}
PANELS = ("engine", "reference", "onnxruntime", "openvino", "onnx.reference")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of `python -m tools.speed site`."""
    parser.add_argument("--results", type=Path, default=RESULTS, help="asv's results (default: asv_bench/.asv/results)")
    parser.add_argument("--out", type=Path, default=SITE, help="where the pages go (default: .build/speed)")
    parser.add_argument("--machine", help="whose results, where there are several machines' (default: the newest)")


def run(arguments: argparse.Namespace) -> int:
    """Write the site; 2 where there are no results."""
    try:
        record = read_record(arguments.results, arguments.machine)
    except FileNotFoundError as error:
        print(f"tools.speed site: {error}", file=sys.stderr)
        return 2
    pages = write_site(record, arguments.out)
    print(f"{pages} pages of {len(record.commits)} commits: {arguments.out / 'index.html'}")
    return 0


def write_site(record: Record, out: Path) -> int:
    """Write all pages anew; how many there are."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    by_operator: dict[str, list[Measured]] = {}
    for value in record.values:
        if value.benchmark in OF_OPERATORS:
            by_operator.setdefault(value.parameters[1].partition(": ")[0], []).append(value)
    for operator, values in by_operator.items():
        (out / file_of(operator)).write_text(operator_page(operator, values, record), encoding="utf-8")
    (out / "others.html").write_text(others_page(record), encoding="utf-8")
    (out / "index.html").write_text(index_page(record, by_operator), encoding="utf-8")
    return len(by_operator) + 2


def file_of(operator: str) -> str:
    """The file of an operator's page."""
    return f"operator-{re.sub(r'[^A-Za-z0-9.]', '_', operator)}.html"


def index_page(record: Record, by_operator: dict[str, list[Measured]]) -> str:
    """Every operator's first case: times and their ratio, instructions, memory, error."""
    head = ("operator", "case", "engine, ms", "reference, ms", "ratio", "instructions", "memory, B", "error / bound")
    rows = []
    for operator, values in sorted(by_operator.items()):
        case = values[0].parameters[1]
        times = [_newest(values, "operators.Run.time_run", panel, case) for panel in PANELS[:2]]
        engine = [_newest(values, names[0], "engine", case) for _, names, _ in MEASURES[1:]]
        ratio = None if None in times else times[1] / times[0]  # type: ignore[operator]
        cells = [*(None if t is None else t * 1e3 for t in times), ratio, *engine]
        link = f'<a href="{file_of(operator)}">{escape(operator)}</a>'
        numbers = "".join(f"<td>{'' if cell is None else number(cell)}</td>" for cell in cells)
        rows.append(f"<tr><td>{link}</td><td>{escape(case.partition(': ')[2])}</td>{numbers}</tr>")
    table = f"<tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>{''.join(rows)}"
    text = (
        "What asv measured of every operator on both panels: the newest value of its first case; ratio is the "
        "reference's time divided by the engine's. A page an operator shows all cases, all engines and all commits. "
        "Instructions are counted and the same in every run; times depend on the machine and on what else it did."
    )
    others = '<a href="others.html">Models, kernels, package.</a>'
    body = f'<p>{text} {others}</p><div class="wide"><table>{table}</table></div>'
    return _page("The speed record", body, record)


def operator_page(operator: str, values: Sequence[Measured], record: Record) -> str:
    """All cases of an operator: a table of the newest values, and each measure over the commits."""
    parts = ['<p><a href="index.html">All operators</a></p>']
    for case in dict.fromkeys(value.parameters[1] for value in values):
        parts.append(f"<h2>{escape(case.partition(': ')[2])}</h2>{_table(values, case)}")
        for title, names, unit in MEASURES:
            series = {}
            for panel in PANELS:
                found = [v for v in values if v.benchmark in names and v.parameters == (panel, case)]
                if found:
                    series[panel] = _points(found, unit)
            plot = line_plot(f"{title}: {case}", series, _marks(record), logarithmic="error" not in title)
            if plot:
                parts.append(f'<h3>{escape(title)}</h3><div class="wide">{plot}</div>')
    return _page(operator, "".join(parts), record)


def others_page(record: Record) -> str:
    """Every benchmark that is not of an operator: a plot for each choice of what follows the first parameter."""
    parts = ['<p><a href="index.html">All operators</a></p>']
    for benchmark in record.names():
        if benchmark in OF_OPERATORS:
            continue
        groups: dict[tuple[str, ...], dict[str, list[Measured]]] = {}
        for value in (v for v in record.values if v.benchmark == benchmark):
            first, *rest = value.parameters or ("",)
            groups.setdefault(tuple(rest), {}).setdefault(first, []).append(value)
        parts.append(f"<h2>{escape(benchmark)}</h2>")
        for rest, by_first in sorted(groups.items()):
            title = ", ".join(rest)
            series = {first: _points(found, "") for first, found in sorted(by_first.items())}
            newest = ", ".join(f"{first}: {number(found[-1].value)}" for first, found in sorted(by_first.items()))
            plot = line_plot(f"{benchmark} {title}", series, _marks(record))
            parts.append(f'<h3>{escape(title)}</h3><p class="faint">{escape(newest)}</p><div class="wide">{plot}</div>')
    return _page("Models, kernels, package", "".join(parts), record)


def _newest(values: Sequence[Measured], benchmark: str, *parameters: str) -> float | None:
    """The newest value, None where there is none."""
    found = [v for v in values if v.benchmark == benchmark and v.parameters == parameters]
    return max(found, key=lambda value: value.number).value if found else None


def _table(values: Sequence[Measured], case: str) -> str:
    """The newest values of a case, a line a panel or peer."""
    head = "".join(f"<th>{escape(title)}{', ' + unit if unit else ''}</th>" for title, _, unit in MEASURES)
    lines = []
    for panel in PANELS:
        found = [[_newest(values, name, panel, case) for name in names] for _, names, _ in MEASURES]
        cells = [next((value for value in of_measure if value is not None), None) for of_measure in found]
        if any(cell is not None for cell in cells):
            numbers = "".join(f"<td>{'' if cell is None else f'{cell:.4g}'}</td>" for cell in cells)
            lines.append(f"<tr><td>{panel}</td>{numbers}</tr>")
    return f'<div class="wide"><table><tr><th>panel</th>{head}</tr>{"".join(lines)}</table></div>'


def _points(values: Sequence[Measured], unit: str) -> list[Point]:
    """Values as points that tell their commit."""
    ordered = sorted(values, key=lambda value: value.number)
    return [Point(v.number, v.value, f"{v.commit[:10]}: {v.value:.6g} {unit}".strip()) for v in ordered]


def _marks(record: Record) -> list[str]:
    """What the axis says of each commit."""
    return [f"{commit[:8]}, {time.strftime('%Y-%m-%d', time.gmtime(date / 1000))}" for commit, date in record.commits]


def _page(title: str, body: str, record: Record) -> str:
    """A page's source."""
    newest = record.commits[-1][0][:10]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}: Diptych's speed record</title><style>{STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1>{body}"
        f'<p class="faint">{len(record.commits)} commits, the newest {newest}; machine {escape(record.machine)}.</p>'
        "</body></html>\n"
    )
