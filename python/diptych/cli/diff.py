"""Run a model on both panels and show the first node whose results differ by a bit.

Every node gets the inputs that the reference computed, so a difference shows where it is made. Afterwards the model
runs as a whole on both panels, passes included, and its outputs are compared.

With --math fast, convolutions that have a faster program are held to its error bound instead of the bits. For the
outputs of a whole model no bound is known: how they differ is shown and not judged.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import diptych
from diptych.cli.arguments import add_input_arguments, add_session_arguments, make_feeds, session_options
from diptych.cli.tables import print_json, print_table, progress
from diptych.errors import Error

if TYPE_CHECKING:
    from diptych.diff import NodeDiff

HELP = "compare the engine with the reference, node by node, to the bit"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of `diptych diff`."""
    parser.add_argument("model", help="path of the ONNX file")
    parser.add_argument("--all", action="store_true", help="go through all nodes; do not stop at the first difference")
    add_input_arguments(parser)
    add_session_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compare; exit status 1 if anything differs."""
    try:
        from diptych.diff import diff_nodes, diff_outputs
    except ModuleNotFoundError as error:
        raise Error(f"`diptych diff` needs the reference: pip install 'diptych[reference]' ({error})") from None
    options = session_options(arguments)
    session = diptych.InferenceSession(arguments.model, options)
    feeds = make_feeds(arguments, session.get_inputs())
    nodes = []
    settings = {
        "isa": arguments.isa,
        "threads": arguments.threads,
        "quantized": arguments.quantized,
        "math": session.math,
    }
    for node in diff_nodes(arguments.model, feeds, **settings):
        nodes.append(node)
        progress(f"node {node.index + 1}: {node.op_type} {node.name}")
        if node.problem and not arguments.all:
            break
    progress("")
    differing = [node for node in nodes if node.problem]
    outputs = {} if differing and not arguments.all else diff_outputs(arguments.model, feeds, options)
    fast = session.math == "fast" and any(node.bounded for node in nodes)
    unequal = {name: c.problem for name, c in outputs.items() if not c.equal}
    wrong_outputs = {} if fast else unequal
    if arguments.json:
        print_json({**_document(nodes, {name: c.problem for name, c in outputs.items()}), "math": session.math})
    else:
        _print(nodes, differing, wrong_outputs, len(outputs))
        if fast:
            _print_fast(nodes, unequal)
    return 1 if differing or wrong_outputs else 0


def _print(nodes: list[NodeDiff], differing: list[NodeDiff], wrong_outputs: dict[str, str], n_outputs: int) -> None:
    """Show the differences and the counts."""
    if differing:
        rows = [[n.index, n.op_type, n.name, " ".join(n.inputs), n.problem] for n in differing]
        print_table(["node", "operator", "name", "inputs", "difference"], rows)
    for name, problem in wrong_outputs.items():
        print(f"output {name}: {problem}")
    skipped = [node for node in nodes if node.skipped]
    elements = sum(node.elements for node in nodes)
    compared = len(nodes) - len(skipped)
    print(f"{compared} nodes compared, {elements} elements, {len(differing)} nodes differ")
    if skipped:
        kinds = sorted({f"{node.op_type} ({node.skipped})" for node in skipped})
        print(f"{len(skipped)} nodes compared only through the outputs: {', '.join(kinds)}")
    if n_outputs:
        print(f"{n_outputs} outputs of the whole model compared, {len(wrong_outputs)} differ")


def _print_fast(nodes: list[NodeDiff], unequal: dict[str, str]) -> None:
    """Say what fast mode changed."""
    print(
        f"{sum(node.bounded for node in nodes)} of the nodes have other bits, within the bound of fast mode "
        "(docs/numerics.md, section 5)"
    )
    for name, problem in unequal.items():
        print(f"output {name}, not judged: {problem}")


def _document(nodes: list[NodeDiff], outputs: dict[str, str]) -> dict[str, Any]:
    """The result as plain data; an empty problem means equal."""
    return {
        "nodes": [
            {
                "index": node.index,
                "name": node.name,
                "op_type": node.op_type,
                "domain": node.domain,
                "inputs": node.inputs,
                "elements": node.elements,
                "problem": node.problem,
                "skipped": node.skipped,
                "bounded": node.bounded,
            }
            for node in nodes
        ],
        "outputs": outputs,
    }
