"""Explain an operator, or what a model does with an input, on both panels.

`diptych explain Conv` shows what ONNX says, the rounding program, a small example with the values of every line of the
reference, the Rust behind it, how much of its error bound the operator uses, and how it fares in ONNX's suite.

`diptych explain model.onnx` shows each node with shapes, values, a digest of its bits, both sources, where its outputs
lie in the arena and how long it takes.

Needs the extra `diptych[lab]`; Rust is shown from a checkout of the repository.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from diptych.cli.arguments import add_input_arguments, add_session_arguments
from diptych.cli.tables import print_json, progress
from diptych.errors import Error, InvalidInputError

if TYPE_CHECKING:
    from diptych.explain.operator import OperatorPage

HELP = "explain an operator, or a model node by node, on both panels"
EXAMPLES = """\
examples:
  diptych explain Softmax
  diptych explain Softmax --opset 11 --html softmax.html
  diptych explain com.microsoft.Gelu --json
  diptych explain model.onnx --input image=photo.npy --html model.html
  diptych explain model.onnx --node conv1 --node 17:20
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of `diptych explain`."""
    parser.epilog = EXAMPLES
    parser.add_argument("subject", help="an operator's ONNX name, or the path of an ONNX file")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one self-contained HTML page")
    parser.add_argument("--all", action="store_true", help="show all source and all nodes")
    operator = parser.add_argument_group("of an operator")
    operator.add_argument("--opset", type=int, metavar="N", help="version in force at this opset (default: the newest)")
    operator.add_argument("--domain", metavar="NAME", help="such as com.microsoft (default: the first that has it)")
    operator.add_argument(
        "--examples", type=int, default=20, metavar="N", help="cases of each type for the error meter (default 20)"
    )
    operator.add_argument(
        "--assembly", action="store_true", help="the machine code of the innermost loop (needs valgrind and objdump)"
    )
    model = parser.add_argument_group("of a model")
    model.add_argument(
        "--node", action="append", default=[], metavar="NAME|N|N:M", help="only these nodes: a name, an index, a range"
    )
    model.add_argument("--runs", type=int, default=3, metavar="N", help="timed runs after one to warm up (default 3)")
    add_input_arguments(parser)
    add_session_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Explain an operator or a model."""
    try:
        import_module("diptych.explain.html")
    except ModuleNotFoundError as error:
        raise Error(f"`diptych explain` needs more packages: pip install 'diptych[lab]' ({error})") from None
    if is_model(arguments.subject):
        from diptych.cli.explain_model import explain

        return explain(arguments)
    if arguments.node or arguments.input:
        raise InvalidInputError(f"--node and --input are of models; {arguments.subject!r} is taken for an operator")
    return explain_one(arguments)


def is_model(subject: str) -> bool:
    """Whether the subject is a file; what looks like one and is not there is for the session to refuse."""
    return Path(subject).is_file() or subject.endswith(".onnx") or "/" in subject


def explain_one(arguments: argparse.Namespace) -> int:
    """Explain an operator."""
    from diptych.explain import explain_operator

    if arguments.examples < 0:
        raise InvalidInputError("--examples must be at least 0")
    if arguments.opset is not None and arguments.opset < 1:
        raise InvalidInputError("--opset must be at least 1")
    page = explain_operator(
        arguments.subject,
        arguments.domain,
        arguments.opset,
        examples=arguments.examples,
        assembly=arguments.assembly,
        progress=progress,
    )
    progress("")
    show(page, arguments)
    return 0


def show(page: OperatorPage, arguments: argparse.Namespace) -> None:
    """Print an operator's page, or write it."""
    from diptych.explain.html import operator_document
    from diptych.explain.text import operator_lines

    if arguments.html:
        write(arguments.html, operator_document(page), arguments.json)
    if arguments.json:
        print_json(page.as_data())
    elif not arguments.html:
        for line in operator_lines(page, terminal_width(), arguments.all):
            print(line)


def write(path: Path, text: str, quiet: bool) -> None:
    """Write a page and say where it is, unless standard output is for JSON."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(f"--html {str(path)!r}: {error.strerror or error}") from error
    print(f"wrote {path} ({len(text.encode()) / 1024:.0f} KiB)", file=sys.stderr if quiet else sys.stdout)


def terminal_width() -> int:
    """Columns for prose and tables."""
    return max(60, shutil.get_terminal_size((100, 24)).columns)
