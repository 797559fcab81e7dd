"""Show where a model's time goes: per operator and per node, over some runs.

The sum of the nodes is what the runs took inside the engine; nodes that run side by side on several threads may add up
to more than the wall time. If and Loop take the time of their bodies, whose nodes have lines of their own: shares are
of all other nodes' time. A node that runs inside another's kernel (pass epilogue_fusion) has no line of its own.
`GB/s` counts the tensors that a node reads and writes, once each; `GFLOP/s` the binary32 operations of products,
convolutions and recurrences, two a multiply-add.

`roofline` is the least time a node could take on this machine, as a share of the time it took: its operations at the
rate of multiply-adds in registers, or its bytes at the rate of the memory, whichever is longer (Williams, Waterman,
Patterson 2009). Both rates are measured first, on as many threads as the session has. What comes from a cache can be
above 100 %.

`arena KiB` is what of a node's outputs and workspace lies in the arena of temporaries; subgraphs have arenas of their
own, which are not shown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import diptych
from diptych.cli.arguments import add_input_arguments, add_session_arguments, make_feeds, session_options
from diptych.cli.interrupt import run_interruptibly
from diptych.cli.tables import print_json, print_table, progress
from diptych.errors import InvalidInputError
from diptych.roofline import Roofline
from diptych.trace import write_trace

CONTROL_FLOW = ("If", "Loop", "Scan")
HELP = "show where a model's time goes, node by node"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of `diptych profile`."""
    parser.add_argument("model", help="path of the ONNX file")
    parser.add_argument("--runs", type=int, default=10, metavar="N", help="runs after one to warm up (default 10)")
    parser.add_argument("--top", type=int, default=20, metavar="N", help="nodes to show (default 20; 0: all)")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="write the last run as a trace for Perfetto")
    add_input_arguments(parser)
    add_session_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run, gather the events, print the tables."""
    if arguments.runs < 1 or arguments.top < 0:
        raise InvalidInputError("--runs must be at least 1 and --top at least 0")
    options = session_options(arguments)
    options.enable_profiling = True
    session = diptych.InferenceSession(arguments.model, options)
    feeds = make_feeds(arguments, session.get_inputs())
    runs = []
    for index in range(arguments.runs + 1):
        progress(f"run {index} of {arguments.runs}")
        run_interruptibly(session, None, feeds)
        runs.append(session.take_events())
    progress("")
    if arguments.trace:
        write_trace(arguments.trace, runs[-1])
    events = [event for run_ in runs[1:] for event in run_]
    roofline = Roofline.measure(session.isa, session.threads)
    operators = _summed(events, arguments.runs, roofline, lambda event: {"op_type": event["op_type"]})
    nodes = _summed(
        events,
        arguments.runs,
        roofline,
        lambda event: {key: event[key] for key in ("op_type", "algorithm", "graph", "node", "name")},
    )
    arena = _arena_bytes(session)
    for node in nodes:
        node["arena_bytes"] = arena.get((node["graph"], node["node"]))
    shown = nodes[: arguments.top or None]
    if arguments.json:
        result = {"model": arguments.model, "isa": session.isa, "math": session.math, "threads": session.threads}
        peaks = {"gflop_per_s": 1e-9 * roofline.flops, "gb_per_s": 1e-9 * roofline.bytes}
        print_json({**result, "runs": arguments.runs, "peaks": peaks, "operators": operators, "nodes": shown})
        return 0
    print(f"{arguments.model}: {arguments.runs} runs, {session.isa}, {session.threads} threads, math {session.math}")
    print(f"peaks: {1e-9 * roofline.flops:.1f} GFLOP/s, {1e-9 * roofline.bytes:.1f} GB/s from memory")
    _print(operators, ["op_type"])
    print()
    _print(shown, ["op_type", *(["algorithm"] if any(node["algorithm"] for node in shown) else []), "name"])
    return 0


def _arena_bytes(session: diptych.InferenceSession) -> dict[tuple[str, int], int]:
    """Bytes in the arena of temporaries that each node of the main graph writes, by the graph's name and its index."""
    graph, found = session.graph()["name"], {}
    for segment in session.plan():
        sizes = {value["name"]: value["bytes"] for value in segment["values"] if value["kind"] == "arena"}
        for task in segment["tasks"]:
            written = sum(sizes.get(output, 0) for output in task["outputs"])
            found[graph, task["node"]] = task["workspace_bytes"] + written
    return found


def _summed(
    events: Iterable[dict[str, Any]],
    runs: int,
    roofline: Roofline,
    key: Callable[[dict[str, Any]], dict[str, Any]],
) -> list[dict[str, Any]]:
    """Events summed by what `key` says of them, a run's worth, the greatest time first."""
    sums: dict[tuple[Any, ...], dict[str, Any]] = {}
    for event in events:
        named = key(event)
        row = sums.setdefault(
            tuple(named.values()), {**named, "calls": 0, "ms": 0.0, "bytes": 0, "flops": 0, "least_ms": 0.0}
        )
        row["calls"] += 1
        row["ms"] += 1e-3 * event["duration_us"]
        row["bytes"] += event["bytes"]
        row["flops"] += event["flops"]
        row["least_ms"] += 1e3 * roofline.least_seconds(event)
    total = sum(row["ms"] for row in sums.values() if row["op_type"] not in CONTROL_FLOW) or 1.0
    rows = sorted(sums.values(), key=lambda row: -row["ms"])
    for row in rows:
        row["share"] = row["ms"] / total
        per_ms = 1 / row["ms"] if row["ms"] else 0.0
        row["gb_per_s"], row["gflop_per_s"] = 1e-6 * row["bytes"] * per_ms, 1e-6 * row["flops"] * per_ms
        row["roofline"] = row["least_ms"] * per_ms
        row.update({quantity: row[quantity] / runs for quantity in ("calls", "ms", "bytes", "flops", "least_ms")})
    return rows


def _print(rows: list[dict[str, Any]], names: list[str]) -> None:
    """Print one table, times and bytes being those of a run."""
    arena = any("arena_bytes" in row for row in rows)
    body = [
        [
            *(row[name] for name in names),
            f"{row['calls']:g}",
            f"{row['ms']:.3f}",
            f"{100 * row['share']:.1f} %",
            f"{row['gb_per_s']:.1f}",
            f"{row['gflop_per_s']:.1f}" if row["flops"] else "",
            f"{100 * row['roofline']:.0f} %" if row["bytes"] else "",
            *([_kibibytes(row["arena_bytes"])] if arena else []),
        ]
        for row in rows
    ]
    print_table(
        [*names, "calls", "ms", "share", "GB/s", "GFLOP/s", "roofline", *(["arena KiB"] if arena else [])], body
    )


def _kibibytes(count: int | None) -> str:
    return "" if count is None else f"{count / 1024:.1f}"
