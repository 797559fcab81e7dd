"""Quantized variants of the other models: 8 bits by ONNX Runtime's tool, 4 bits by `int4`.

`resnet50_int8_qdq` is made of `resnet50`, and so on; activations are calibrated with seeded inputs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from tools.models.feeds import Feeds, MakeFeeds
from tools.models.int4 import dequantized_blocks, matmul_nbits

CALIBRATIONS = 4  # inputs that the ranges are taken from


@dataclass(frozen=True)
class Derived:
    """`convert(source, target, feeds)` writes the variant of the model `source`; `feeds` make inputs of it."""

    source: str
    convert: Callable[[Path, Path, MakeFeeds], None]


def int8_dynamic(source: Path, target: Path, feeds: MakeFeeds) -> None:
    """Products in integers, activations quantized as they come: DynamicQuantizeLinear and MatMulInteger."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        quantize_dynamic(source, target, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul"])


def int8_qdq(source: Path, target: Path, feeds: MakeFeeds) -> None:
    """Convolutions and products between QuantizeLinear and DequantizeLinear, weights by channel."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """The seeded inputs."""

        def __init__(self) -> None:
            self.feeds: Iterator[Feeds] = (feeds(np.random.default_rng(seed)) for seed in range(CALIBRATIONS))

        def get_next(self) -> Feeds | None:
            return next(self.feeds, None)

    with _quiet(), TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"  # normalisations folded into convolutions
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


def int4(source: Path, target: Path, feeds: MakeFeeds) -> None:
    """MatMulNBits."""
    onnx.save(matmul_nbits(onnx.load(source)), target)


def int4_qdq(source: Path, target: Path, feeds: MakeFeeds) -> None:
    """DequantizeLinear with blocks."""
    onnx.save(dequantized_blocks(onnx.load(source)), target)


@contextmanager
def _quiet() -> Iterator[Any]:
    """Without the advice that ONNX Runtime's tool logs."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


# What each variant's name ends with, and what it is made of.
VARIANTS: dict[str, tuple[Callable[[Path, Path, MakeFeeds], None], tuple[str, ...]]] = {
    "int8_qdq": (int8_qdq, ("resnet50", "open_nsfw")),
    "int8": (int8_dynamic, ("minilm", "gpt2_step", "minilm_l6_v2", "smollm2")),
    "int4": (int4, ("llama_step", "smollm2")),
    "int4_qdq": (int4_qdq, ("llama_step", "smollm2")),
}
DERIVED = {
    f"{source}_{ending}": Derived(source, convert)
    for ending, (convert, sources) in VARIANTS.items()
    for source in sources
}
