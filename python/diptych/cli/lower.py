"""Write the model that a session evaluates once its quantized products have their meaning.

DequantizeLinear, product, QuantizeLinear means a product of floats, or one of integers (docs/quantization.md). The
file written has QLinearConv, QLinearMatMul, ConvInteger or MatMulInteger in their place: it gives the same bits as the
original with the same --quantized, also where it is run with --quantized float. Functions are expanded, and external
data comes into the file, or, beyond 2 GB, into one file beside it.

Needs `diptych-reference` (pip install 'diptych[reference]'), which writes it; the engine's lowering is the same.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from diptych.cli.arguments import add_quantized_argument
from diptych.cli.inspect import print_lowering
from diptych.cli.tables import print_json
from diptych.errors import Error, InvalidInputError

HELP = "write a model with its quantized products lowered"
GREATEST_FILE = 2**31 - 1  # bytes that protobuf reads


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of `diptych lower`."""
    parser.add_argument("model", help="path of the ONNX file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="where to write the result")
    add_quantized_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Lower, write, and say what became of what."""
    try:
        import onnx

        from diptych_reference import load, lower, to_proto
    except ModuleNotFoundError as error:
        raise Error(f"`diptych lower` needs the reference: pip install 'diptych[reference]' ({error})") from None
    if arguments.output.exists() and arguments.output.samefile(arguments.model):
        raise InvalidInputError(f"--output {str(arguments.output)!r} is the model itself; give another file")
    model, found = lower(load(arguments.model), arguments.quantized)
    proto = to_proto(model)
    aside = proto.ByteSize() > GREATEST_FILE
    beside = f"{arguments.output.name}.data"
    onnx.save_model(proto, str(arguments.output), save_as_external_data=aside, location=beside if aside else None)
    lowering: list[dict[str, Any]] = [vars(entry) for entry in found]
    count = sum(entry["meaning"] == "integer" for entry in lowering)
    if arguments.json:
        print_json({"output": str(arguments.output), "lowering": lowering})
        return 0
    if lowering:
        print_lowering(lowering)
        print()
    print(f"{count} of {len(lowering)} products of quantized operands are products of integers in {arguments.output}")
    return 0
