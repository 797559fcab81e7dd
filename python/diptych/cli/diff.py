"""Run engines beside an oracle, node by node, and show which node of which engine is wrong.

Every node runs alone on every engine, with the inputs that the oracle computed, so that an error shows at the node that
makes it. Diptych is held to the reference's bits, other engines to the operator's own error bound. Then whole models
run, which tells how much error a node inherits, and the outputs are compared. Each engine has a process of its own: one
that crashes or hangs is a finding, not the end.

With --math fast, convolutions that have a faster program are held to its error bound instead of the bits. For the
outputs of a whole model no bound is known then: how far they are is shown and not judged.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diptych
from diptych.cli.arguments import add_input_arguments, add_session_arguments, make_feeds
from diptych.cli.diff_tables import print_report
from diptych.cli.tables import print_json, progress
from diptych.engines import ENGINES, parse_spec, split_specs
from diptych.errors import Error

if TYPE_CHECKING:
    from diptych.diff import Report

HELP = "compare engines with the reference, node by node, and name the node that is wrong"

ENGINE_HELP = f"""
engines:
  {", ".join(ENGINES)}, or module:Class for a subclass of diptych.engines.Engine.
  Options follow in brackets: diptych[isa=avx2,passes=off], onnxruntime[optimization=off,threads=2]. What an engine
  takes, it says when it is given an option that it does not know. --isa, --threads and the like are for every
  `diptych` that does not say otherwise.

exit status: 0 no violation, 1 a violation, 2 wrong usage or a model that cannot be compared.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of `diptych diff`."""
    parser.epilog = ENGINE_HELP
    parser.add_argument("model", help="path of the ONNX file")
    parser.add_argument(
        "--against",
        default="diptych",
        metavar="ENGINE[,ENGINE...]",
        help="engines to compare with the oracle (default: diptych); see below",
    )
    parser.add_argument(
        "--oracle",
        choices=("reference", "float64"),
        default="reference",
        help="what is right: the reference in the model's types (default), or with every float tensor in binary64",
    )
    parser.add_argument("--all", action="store_true", help="go through all nodes; do not stop at the first violation")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a report to look at: one file, no network")
    parser.add_argument(
        "--timeout", type=float, default=60.0, metavar="SECONDS", help="of one node or model on one engine (default 60)"
    )
    parser.add_argument(
        "--iterations", type=int, default=1, metavar="N", help="evaluations compared of a node in a loop (default 1)"
    )
    parser.add_argument("--no-inherited", action="store_true", help="nodes alone, no runs of whole models")
    add_input_arguments(parser)
    add_session_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compare; exit status 1 for a violation, 2 where nothing could be compared."""
    try:
        report = compared(arguments)
        if arguments.html:
            from diptych.diff.html import write_html

            write_html(report, arguments.html)
    except Exception as error:
        if not isinstance(error, (Error, OSError, _error_of_the_reference())):
            raise
        return _refuse(error, arguments.json)
    finally:
        progress("")
    if arguments.json:
        from diptych.diff import document

        print_json(document(report))
    else:
        print_report(report)
        if arguments.html:
            print(f"report: {arguments.html}")
    return 1 if report.failed else 0


def compared(arguments: argparse.Namespace) -> Report:
    """The comparison that the arguments ask for."""
    try:
        from diptych.diff import diff
        from diptych_reference.model import load
    except ModuleNotFoundError as error:
        raise Error(f"`diptych diff` needs more packages: pip install 'diptych[lab]' ({error})") from None
    graph = load(arguments.model).graph
    asked = [value for value in graph.inputs if value.name not in graph.initializers]
    inputs = [
        diptych.NodeArg(value.name, value.type_name, None if value.shape is None else list(value.shape))
        for value in asked
    ]
    return diff(
        arguments.model,
        make_feeds(arguments, inputs),
        against=[spec_with_options(spec, arguments) for spec in split_specs(arguments.against)],
        oracle=arguments.oracle,
        stop=not arguments.all,
        inherited=not arguments.no_inherited,
        timeout=arguments.timeout,
        memory_limit=arguments.memory_limit,
        threads=arguments.threads or 1,
        quantized=arguments.quantized,
        iterations=arguments.iterations,
        progress=progress,
    )


def spec_with_options(spec: str, arguments: argparse.Namespace) -> str:
    """An engine's spelling, completed by the session's options where it is one of the panels."""
    name, options = parse_spec(spec)
    if name not in ("diptych", "reference"):
        return spec
    given: dict[str, Any] = {"quantized": arguments.quantized} if arguments.quantized != "integer" else {}
    if name == "diptych":
        given |= {
            "isa": arguments.isa,
            "math": arguments.math,
            "threads": arguments.threads or None,
            "passes": "off" if arguments.no_passes else None,
            "without": "+".join(arguments.disable_pass),
            "memory": arguments.memory_limit,
        }
    merged = {**{key: str(value) for key, value in given.items() if value}, **options}
    return f"{name}[{','.join(f'{key}={value}' for key, value in merged.items())}]" if merged else name


def _error_of_the_reference() -> type[Exception]:
    """The left panel's errors, where it is installed."""
    reference = sys.modules.get("diptych_reference")
    return Error if reference is None else reference.Error


def _refuse(error: Exception, as_json: bool) -> int:
    """Say why nothing was compared."""
    kind = type(error).__name__
    if as_json:
        print(json.dumps({"error": {"type": kind, "message": str(error)}}))
    else:
        print(f"diptych: {kind}: {error}", file=sys.stderr)
    return 2
