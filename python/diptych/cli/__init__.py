"""The command `diptych`: one module a subcommand, each with `NAME`, `HELP`, `add_arguments` and `run`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import diptych

__all__ = ["main"]

COMMANDS = ("run", "inspect", "explain", "lower", "diff", "reduce", "fuzz", "bench", "profile", "ops")
EPILOG = """\
examples:
  diptych run model.onnx --input image=photo.npy
  diptych inspect model.onnx --plan
  diptych lower model.onnx -o lowered.onnx
  diptych diff model.onnx --all
  diptych reduce model.onnx --against onnxruntime --out repro
  diptych diff model.onnx --against onnxruntime,openvino --html report.html
  diptych fuzz --engine onnxruntime --ops Softmax,Conv --time 60 --corpus findings
  diptych bench model.onnx --against onnxruntime,openvino --threads 1
  diptych explain Conv
  diptych ops Conv

Every subcommand takes --json for output that programs read. `diptych SUBCOMMAND --help` says more.
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with all subcommands."""
    parser = argparse.ArgumentParser(
        prog="diptych",
        description="Run, look into, lower, compare, reduce and time ONNX models.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=version_line())
    subparsers = parser.add_subparsers(dest="command", metavar="SUBCOMMAND", required=True)
    for name in COMMANDS:
        module = import_module(f"diptych.cli.{name}")
        sub = subparsers.add_parser(
            name,
            help=module.HELP,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    return parser


def version_line() -> str:
    """One line for `--version` and for bug reports."""
    isas = ", ".join(diptych.available_isas())
    return f"diptych {diptych.__version__} (numerics {diptych.numerics_version}; {isas}; {diptych.usable_cpus()} CPUs)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand. Exit status: 0 success, 1 a difference or an error, 2 wrong usage, 130 interrupted."""
    options = build_parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        return _closed_pipe()
    except Exception as error:
        if not isinstance(error, (diptych.Error, OSError, *_errors_of_the_reference())):
            raise
        return _report(error, options.json)
    except KeyboardInterrupt:
        print("diptych: interrupted", file=sys.stderr)
        return 130


def _errors_of_the_reference() -> tuple[type[Exception], ...]:
    """The left panel's errors, where a subcommand has loaded it."""
    reference = sys.modules.get("diptych_reference")
    return () if reference is None else (reference.Error,)


def _closed_pipe() -> int:
    """End quietly when the reader of standard output has gone, as `diptych ops | head` does."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _report(error: Exception, as_json: bool) -> int:
    """Print an error for people or for programs."""
    kind = type(error).__name__
    if as_json:
        print(json.dumps({"error": {"type": kind, "message": str(error)}}))
    else:
        print(f"diptych: {kind}: {error}", file=sys.stderr)
    return 1
