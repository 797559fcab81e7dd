"""Shrink a model on which an engine fails to the smallest one on which it fails alike.

Writes model.onnx, inputs.npz and test_repro.py, a test that needs onnx, NumPy and the engine alone and fails while the
failure is there. A failure is a wrong output (a node beyond its operator's error bound, or other bits where the engine
is Diptych), a crash, a hang, a refusal or another error; the same one is kept while the model shrinks.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diptych
from diptych.cli.arguments import add_input_arguments, make_feeds
from diptych.cli.tables import print_json, progress
from diptych.errors import Error

if TYPE_CHECKING:
    from diptych.reducer import Reduction
    from diptych.reducer.repro import Repro

HELP = "shrink a model on which an engine fails, and write a test that shows it"
EPILOG = """
checks:
  --check takes the place of --against where the question is yours. FILE.py:FUNCTION or MODULE:FUNCTION names a function
  of the model's path and the inputs by name; what it returns is true while the failure is there, and a text is the
  failure's signature, which is kept. Anything else is a command: it gets the paths of model.onnx and inputs.npz as last
  arguments and exits with 0 while the failure is there.

exit status: 0 reduced, 1 nothing fails or an error, 2 wrong usage, 130 interrupted (what was found is written).

examples:
  diptych reduce model.onnx --input inputs.npz --against onnxruntime --out repro
  diptych reduce model.onnx --against my_package.adapter:MyEngine --time 60 --hang-after 5
  diptych reduce model.onnx --check 'grep -q Softmax'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of `diptych reduce`."""
    parser.add_argument("model", help="path of the ONNX file")
    parser.epilog = EPILOG
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--against", metavar="ENGINE", help="engine that fails: onnxruntime, diptych, MODULE:CLASS, …")
    asked.add_argument("--check", metavar="CHECK", help="command or function that says whether it fails; see below")
    parser.add_argument("--out", type=Path, default=Path("repro"), metavar="DIR", help="folder (default: repro)")
    parser.add_argument(
        "--time", type=_seconds, default=300.0, metavar="S", help="seconds to search (default 300; 0: no limit)"
    )
    parser.add_argument("--attempts", type=_count, metavar="N", help="candidates to run at most")
    parser.add_argument(
        "--hang-after", type=_positive, default=10.0, metavar="S", help="seconds until a run hangs (default 10)"
    )
    parser.add_argument("--threads", type=_count, default=1, metavar="N", help="threads of the engine (default 1)")
    parser.add_argument(
        "--exact",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="hold the engine to the reference's bits, not to error bounds (default: for Diptych alone)",
    )
    add_input_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Reduce and write the repro."""
    try:
        from diptych.reducer import Limits, reduce_failure, write_repro
    except ModuleNotFoundError as error:
        raise Error(f"`diptych reduce` needs the laboratory: pip install 'diptych[lab]' ({error})") from None
    feeds = make_feeds(arguments, _inputs(arguments.model))
    limits = Limits(arguments.time or None, arguments.attempts, arguments.hang_after)
    reduction = reduce_failure(
        arguments.model,
        feeds,
        arguments.against or "",
        check=arguments.check or "",
        exact=arguments.exact,
        threads=arguments.threads,
        limits=limits,
        report=progress,
    )
    progress("writing")
    repro = write_repro(reduction, arguments.out, hang_after=arguments.hang_after)
    progress("")
    if arguments.json:
        print_json(_document(reduction, repro))
    else:
        _print(reduction, repro)
    if reduction.stopped == "interrupted":
        print("diptych: interrupted; the best so far is written", file=sys.stderr)
        return 130
    return 0


def _inputs(path: str) -> list[diptych.NodeArg]:
    """The inputs that a model must be fed."""
    from diptych_reference import load

    graph = load(path).graph
    return [
        diptych.NodeArg(value.name, value.type_name, None if value.shape is None else list(value.shape))
        for value in graph.inputs
        if value.name not in graph.initializers
    ]


def _print(reduction: Reduction, repro: Repro) -> None:
    """The result for people."""
    from onnx.printer import to_text

    from diptych.reducer.measure import describe
    from diptych.testing.case import described

    for step in reduction.steps:
        print(f"  {step}")
    after = describe(reduction.candidate)
    print(f"{reduction.nodes_before} nodes became {after} in {reduction.tried} runs, {reduction.seconds:.1f} s")
    print(f"failure: {reduction.failure}")
    if len(reduction.model.graph.node) <= 8 and reduction.candidate.path is None:
        print(to_text(reduction.model))
        for name, value in reduction.feeds.items():
            print(f"{name} = {described(value)}")
    for note in reduction.notes:
        print(f"note: {note}")
    if reduction.stopped:
        print(f"the search ended early: {reduction.stopped}")
    fails = "fails, as it must" if repro.fails else f"does NOT fail as it must ({repro.said})"
    print(f"{repro.folder}: {', '.join(repro.files)}; test_repro.py was run and {fails}")


def _document(reduction: Reduction, repro: Repro) -> dict[str, Any]:
    """The result as plain data."""
    failure, original = reduction.failure, reduction.original
    return {
        "engine": reduction.engine,
        "check": reduction.check,
        "failure": {"kind": failure.kind, "operator": failure.operator, "message": failure.message or failure.detail},
        "original": original and {"kind": original.kind, "message": original.message or original.detail},
        "nodes": {"before": reduction.nodes_before, "after": len(reduction.model.graph.node)},
        "operators": [node.op_type for node in reduction.model.graph.node],
        "elements": sum(array.size for array in reduction.candidate.tensors.values()),
        "runs": reduction.tried,
        "seconds": reduction.seconds,
        "stopped": reduction.stopped,
        "steps": reduction.steps,
        "notes": reduction.notes,
        "folder": str(repro.folder),
        "files": list(repro.files),
        "test_fails": repro.fails,
    }


def _seconds(text: str) -> float:
    """Parse a number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0 on")
    return value


def _positive(text: str) -> float:
    """Parse a number of seconds above 0."""
    if not _seconds(text):
        raise argparse.ArgumentTypeError("0 seconds are too few")
    return _seconds(text)


def _count(text: str) -> int:
    """Parse a whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)
