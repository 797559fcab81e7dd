"""Arguments that several subcommands share: the model's inputs and the options of a session."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import numpy as np

import diptych
from diptych.errors import InvalidInputError, ResourceLimitError
from diptych.fast import MATH
from diptych.values import numpy_type

__all__ = ["add_input_arguments", "add_quantized_argument", "add_session_arguments", "make_feeds", "session_options"]

FEEDS = """
inputs:
  --input NAME=FILE feeds a .npy file (or a TensorProto, .pb); --input FILE.npz feeds every value in it by name. What is
  not fed is made up from --seed: normal floats, integers 0 and 1, with every symbolic dimension 1 unless --dim sets it.
"""


def add_session_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --isa, --threads, --no-passes, --disable-pass, --memory-limit, --math, --quantized."""
    parser.add_argument("--isa", choices=diptych.available_isas(), help="instruction set (default: the widest)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="threads (default 0: all usable CPUs)")
    parser.add_argument("--no-passes", action="store_true", help="run the graph as it was read")
    parser.add_argument("--disable-pass", action="append", default=[], metavar="PASS", help="leave one pass out")
    parser.add_argument("--memory-limit", type=_byte_count, metavar="BYTES", help="such as 512M or 2G")
    parser.add_argument(
        "--math",
        choices=MATH,
        help="exact: the bits of the rounding programs (default); fast: faster programs of bounded error",
    )
    add_quantized_argument(parser)


def add_quantized_argument(parser: argparse.ArgumentParser) -> None:
    """Add --quantized."""
    parser.add_argument(
        "--quantized",
        choices=("integer", "float"),
        default="integer",
        help="meaning of products of quantized operands: of the integers (default), or of floats",
    )


def session_options(arguments: argparse.Namespace) -> diptych.SessionOptions:
    """Session options of the parsed arguments."""
    options = diptych.SessionOptions(
        isa=arguments.isa,
        threads=arguments.threads,
        memory_limit=arguments.memory_limit,
        disabled_passes=arguments.disable_pass,
        math=arguments.math,
        quantized=arguments.quantized,
    )
    if arguments.no_passes:
        options.graph_optimization_level = diptych.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --input, --dim, --seed."""
    parser.epilog = (parser.epilog or "") + FEEDS
    parser.add_argument("--input", action="append", default=[], metavar="NAME=FILE", help="feed a file; see below")
    parser.add_argument("--dim", action="append", default=[], metavar="NAME=N", help="size of a symbolic dimension")
    parser.add_argument(
        "--seed", type=_seed, default=0, metavar="N", help="seed of inputs that are made up (default 0)"
    )


def make_feeds(arguments: argparse.Namespace, inputs: list[diptych.NodeArg]) -> dict[str, Any]:
    """Return a value for every input of the model: read from the files given, the rest made up."""
    feeds: dict[str, Any] = {}
    for given in arguments.input:
        feeds.update(_read(given))
    sizes = dict(_dimension(given) for given in arguments.dim)
    used = {d for value in inputs for d in value.shape if isinstance(d, str)}
    if unknown := sorted(sizes.keys() - used):
        raise InvalidInputError(f"--dim: no symbolic dimensions {unknown}; the inputs have {sorted(used)}")
    rng = np.random.default_rng(arguments.seed)
    for value in inputs:
        if value.name not in feeds:
            feeds[value.name] = _made_up(value, sizes, rng)
    return feeds


def _read(given: str) -> dict[str, Any]:
    """Arrays of one --input argument by name."""
    name, _, file = given.rpartition("=")
    path = Path(file)
    try:
        return _arrays(given, name, path)
    except diptych.Error:
        raise
    except OSError as error:
        raise InvalidInputError(f"--input {given!r}: {error.strerror or error}") from error
    except Exception as error:  # whatever the reader of a damaged file raises
        raise InvalidInputError(f"--input {given!r}: not a readable {path.suffix} file of numbers: {error}") from error


def _arrays(given: str, name: str, path: Path) -> dict[str, Any]:
    """Arrays of one file by name."""
    if path.suffix == ".npz" and not name:
        from diptych.bundle import unpack

        with np.load(path) as arrays:
            return unpack(dict(arrays))
    if not name:
        raise InvalidInputError(f"--input {given!r}: expected NAME=FILE, or a .npz file")
    if path.suffix == ".npy":
        return {name: np.load(path)}
    if path.suffix == ".pb":
        return {name: _read_tensor_proto(path)}
    raise InvalidInputError(f"--input {given!r}: the file must be .npy, .npz or .pb")


def _read_tensor_proto(path: Path) -> np.ndarray[Any, Any]:
    """Read the format of ONNX's test data; needs the onnx package."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError:
        raise InvalidInputError(f"{path}: reading .pb files needs the onnx package (pip install onnx)") from None
    return numpy_helper.to_array(onnx.load_tensor(str(path)))


def _dimension(given: str) -> tuple[str, int]:
    """Parse NAME=N."""
    name, _, size = given.rpartition("=")
    if not name or not size.isdecimal():
        raise InvalidInputError(f"--dim {given!r}: expected NAME=N")
    return name, int(size)


def _made_up(value: diptych.NodeArg, sizes: dict[str, int], rng: np.random.Generator) -> Any:
    """Return a value of the declared type and shape: two items in a sequence or a map, something in an optional."""
    return _made_up_of(value.type, value, sizes, rng)


def _made_up_of(kind: str, value: diptych.NodeArg, sizes: dict[str, int], rng: np.random.Generator) -> Any:
    """A value of a type such as seq(tensor(float)); shapes that a type does not tell are [2] inside of others."""
    if found := re.fullmatch(r"optional\((.*)\)", kind):
        return _made_up_of(found[1], value, sizes, rng)
    if found := re.fullmatch(r"seq\((.*)\)", kind):
        return [_made_up_of(found[1], diptych.NodeArg(value.name, found[1], [2]), sizes, rng) for _ in range(2)]
    if found := re.fullmatch(r"map\((\w+),tensor\((\w+)\)\)", kind):
        items = _tensor(value.name, found[2], [2], rng)
        return dict(zip(("a", "b") if found[1] == "string" else (0, 1), items.tolist(), strict=True))
    if found := re.fullmatch(r"tensor\((\w+)\)", kind):
        shape = [d if isinstance(d, int) else sizes.get(d, 1) if d else 1 for d in value.shape]
        return _tensor(value.name, found[1], shape, rng)
    raise InvalidInputError(
        f"input {value.name!r} is a {value.type or 'value of no declared type'}: feed it with --input"
    )


def _tensor(name: str, element: str, shape: list[int], rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Normal floats, integers 0 and 1, the same text everywhere."""
    dtype = numpy_type(element)
    try:
        if dtype.kind == "O":
            return np.full(shape, "text", dtype=object)
        if dtype.kind in "biu":
            return rng.integers(0, 2, shape).astype(dtype)
        return rng.standard_normal(shape).astype(dtype)
    except (MemoryError, ValueError) as error:
        raise ResourceLimitError(f"input {name!r} of shape {shape} cannot be made up: {error}") from error


def _seed(text: str) -> int:
    """Parse a whole number that NumPy takes for a seed."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no seed; write a whole number from 0 on")
    return int(text)


def _byte_count(text: str) -> int:
    """Parse 4096, 512M, 2G."""
    match = re.fullmatch(r"(\d+)([KMGT]?)i?B?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of bytes; write 4096, 512M or 2G")
    return int(match[1]) << 10 * " KMGT".index(match[2] or " ")
