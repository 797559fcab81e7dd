"""`diptych explain model.onnx`: gathers, prints, writes."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import diptych
from diptych.cli.arguments import make_feeds, session_options
from diptych.cli.explain import terminal_width, write
from diptych.cli.interrupt import run_interruptibly
from diptych.cli.tables import print_json, print_table, progress
from diptych.errors import InvalidInputError
from diptych.explain.model import Body, ModelPage, NodePage, explain_model
from diptych.explain.text import heading, side_by_side, stretch_lines, value_lines

__all__ = ["explain"]

ROWS = 40  # of the table of nodes, unless all are asked for
DETAILED = 8  # so many nodes are shown in full


def explain(arguments: argparse.Namespace) -> int:
    """Explain a model."""
    if arguments.runs < 1:
        raise InvalidInputError("--runs must be at least 1")
    if arguments.opset is not None or arguments.domain is not None:
        raise InvalidInputError(f"--opset and --domain are of operators; {arguments.subject!r} is taken for a file")
    options = session_options(arguments)
    inputs = diptych.InferenceSession(arguments.subject, options).get_inputs()
    feeds = make_feeds(arguments, inputs)

    def run(session: diptych.InferenceSession, feeds: Mapping[str, Any]) -> Any:
        return run_interruptibly(session, None, feeds)

    page = explain_model(
        arguments.subject, feeds, options, nodes=arguments.node, runs=arguments.runs, run=run, progress=progress
    )
    progress("")
    if arguments.html:
        from diptych.explain.html import model_document

        write(arguments.html, model_document(page), arguments.json)
    if arguments.json:
        print_json(page.as_data())
    elif not arguments.html:
        _print(page, arguments)
    return 0


def _print(page: ModelPage, arguments: argparse.Namespace) -> None:
    """The table of nodes; a few nodes in full, with both sources."""
    print(f"{page.model}: graph {page.graph!r}, {page.node_count} nodes, {page.isa}, {page.threads} threads")
    print(f"temporary arena: {page.arena.bytes} bytes; times: mean of {page.runs} runs")
    print("inputs")
    print("\n".join(value_lines(page.inputs)))
    print("outputs")
    print("\n".join(value_lines(page.outputs)), end="\n\n")
    shown = page.nodes if arguments.all else page.nodes[:ROWS]
    columns = ["node", "operator", "name", "output", "where", "µs", "share"]
    print_table(columns, [_row(node) for node in shown])
    if len(shown) < len(page.nodes):
        print(f"… {len(page.nodes) - len(shown)} more nodes; --all, --node N:M or --html FILE shows them")
    if arguments.node and (len(page.nodes) <= DETAILED or arguments.all):
        for node in page.nodes:
            _print_node(node, page)
    else:
        print("\n--node NAME or --node N shows a node with its values and both sources")


def _row(node: NodePage) -> list[Any]:
    """A node in a line."""
    output, place = (node.outputs[0], node.places[0]) if node.outputs else (None, None)
    where = "" if place is None else f"{place.offset:#x}" if place.kind == "arena" else place.kind
    timed = not node.timing.said
    return [
        node.index,
        node.op_type,
        node.name,
        output.kind if output else "",
        where,
        f"{node.timing.microseconds:.1f}" if timed else "-",
        f"{100 * node.timing.share:.1f} %" if timed else "-",
    ]


def _print_node(node: NodePage, page: ModelPage) -> None:
    """A node in full."""
    print("\n".join(heading(f"node {node.index}: {node.op_type} {node.name}".rstrip())))
    for name, value in node.attributes.items():
        print(f"{name} = {value}")
    print("inputs")
    print("\n".join(value_lines(node.inputs)))
    print("outputs")
    print("\n".join(value_lines(node.outputs)))
    for place in node.places:
        print(f"  {place.name}: {place.said}")
    print(f"time: {node.timing.said or f'{node.timing.microseconds:.1f} µs, {100 * node.timing.share:.1f} %'}")
    for body in node.bodies:
        _print_body(body, "")
    sources = page.sources[node.source]
    left = [line for stretch in node.left or sources.left for line in (stretch.path, "", *stretch_lines(stretch))]
    right = [line for kernel in sources.kernels for line in (kernel.path, "", *kernel.text.splitlines())]
    left, right = left or [f"no reference: {sources.no_left}"], right or [f"no Rust: {sources.no_kernels}"]
    print()
    print("\n".join(side_by_side(left, right, terminal_width())))


def _print_body(body: Body, indent: str) -> None:
    """A graph inside a node, and those inside its nodes."""
    print(f"{indent}{body.attribute} {body.name!r}: {', '.join(body.inputs)} -> {', '.join(body.outputs)}")
    for node in body.nodes:
        time = node.timing.said or f"{node.timing.calls:g} calls, {node.timing.microseconds:.1f} µs"
        names = f"{', '.join(node.inputs)} -> {', '.join(node.outputs)}"
        print(f"{indent}  {node.index} {node.op_type} {node.name} ({names}): {time}")
        for inner in node.bodies:
            _print_body(inner, indent + "    ")
