"""Products: matrices, convolutions, recurrent layers, few bits; shapes of BERT, ResNet-50, MobileNetV2 and LLaMA."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .case import OperatorCase, Value, Weight, fixed, integers, normal, quantized, uniform, weight

MICROSOFT: dict[str, Any] = {"domain": "com.microsoft", "opset": 1}
SCALE, ZERO = Weight(fixed(0.05, np.float32)), Weight(fixed(128, np.uint8))

MATRICES = {
    "64^3": ((64, 64), (64, 64)),
    "512^3": ((512, 512), (512, 512)),
    "BERT 128x768x3072": ((128, 768), (768, 3072)),
    "heads 12x128x64x128": ((12, 128, 64), (12, 64, 128)),
    "vector 1x768x3072": ((1, 768), (768, 3072)),
}
# channels in, out, side, kernel, stride, groups
LAYERS = {
    "small 3x3": (8, 8, 14, 3, 1, 1),
    "first 7x7/2": (3, 64, 224, 7, 2, 1),
    "3x3 56": (64, 64, 56, 3, 1, 1),
    "3x3 7": (512, 512, 7, 3, 1, 1),
    "1x1 14": (1024, 256, 14, 1, 1, 1),
    "depthwise 28": (192, 192, 28, 3, 1, 192),
}


def cases() -> Iterator[OperatorCase]:
    """All of them."""
    yield from matrices()
    yield from convolutions()
    yield from recurrent()
    yield from few_bits()
    yield OperatorCase("Det", "16 of 8 x 8", (normal(16, 8, 8),))
    equation = {"equation": "bhid,bhjd->bhij"}
    yield OperatorCase("Einsum", "attention scores", (normal(1, 4, 32, 16), normal(1, 4, 32, 16)), equation)


def matrices() -> Iterator[OperatorCase]:
    """B is a constant, as weights are, or another input."""
    for label, (left, right) in MATRICES.items():
        heavy = np.prod(left) * right[-1] > 2e7
        yield OperatorCase("MatMul", label, (normal(*left), weight(*right)), heavy=heavy)
        yield OperatorCase("MatMul", f"{label}, both given", (normal(*left), normal(*right)), heavy=heavy)
    small = (normal(32, 64), weight(64, 64), weight(64))
    yield OperatorCase("Gemm", "32x64x64", small, {"transB": 1})
    yield OperatorCase(
        "FusedMatMul", "64^3", (normal(64, 64), weight(64, 64)), {"alpha": 0.125, "transB": 1}, **MICROSOFT
    )
    for side in (64, 512):
        a, b = integers(0, 256, side, side, dtype=np.uint8), Weight(integers(-128, 128, side, side, dtype=np.int8))
        zeros = (ZERO, Weight(fixed(0, np.int8)))
        label, heavy = f"{side}^3", side > 64
        yield OperatorCase("MatMulInteger", label, (a, b, *zeros), heavy=heavy)
        yield OperatorCase("MatMulIntegerToFloat", label, (a, b, SCALE, SCALE, *zeros), heavy=heavy, **MICROSOFT)
        yield OperatorCase("QLinearMatMul", label, (a, SCALE, ZERO, b, SCALE, zeros[1], SCALE, ZERO), heavy=heavy)
        dynamic = (normal(side, side), b, SCALE, zeros[1])
        yield OperatorCase("DynamicQuantizeMatMul", label, dynamic, heavy=heavy, **MICROSOFT)


def convolutions() -> Iterator[OperatorCase]:
    """float32 and integers, batch 1, with bias."""
    for label, (inputs, outputs, side, kernel, stride, group) in LAYERS.items():
        attributes = {"strides": [stride] * 2, "pads": [kernel // 2] * 4, "group": group}
        values = (normal(1, inputs, side, side), weight(outputs, inputs // group, kernel, kernel), weight(outputs))
        yield OperatorCase("Conv", label, values, attributes, heavy=not label.startswith("small"))
    for channels in (8, 96):
        values = (normal(1, channels, 40, 40), weight(channels, channels // 4, 2, 2), weight(channels // 4))
        yield OperatorCase("ConvTranspose", f"2x2/2 {channels}", values, {"strides": [2, 2]}, heavy=channels > 8)
    for channels in (8, 64):
        x, scale, zero = quantized(1, channels, 14, 14)
        w = Weight(integers(-128, 128, channels, channels, 3, 3, dtype=np.int8))
        label, pads, heavy = f"3x3 {channels}", {"pads": [1] * 4}, channels > 8
        yield OperatorCase("ConvInteger", label, (x, w, zero), pads, heavy=heavy)
        values = (x, scale, zero, w, SCALE, Weight(fixed(0, np.int8)), SCALE, ZERO)
        yield OperatorCase("QLinearConv", label, values, pads, heavy=heavy)
    offsets = normal(1, 18, 14, 14)
    yield OperatorCase("DeformConv", "3x3 8", (normal(1, 8, 14, 14), weight(8, 8, 3, 3), offsets), {"pads": [1] * 4})
    causal = (normal(1, 32, 64), weight(32, 1, 4), weight(32), normal(1, 32, 3))
    yield OperatorCase("CausalConvWithState", "Mamba 32", causal, {"activation": "silu"}, outputs=2, opset=27)


def recurrent() -> Iterator[OperatorCase]:
    """A frame of a stream, a sentence; inputs as wide as the state."""
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}
    for op_type, count in gates.items():
        for steps, hidden, direction in ((1, 32, "forward"), (8, 32, "bidirectional"), (32, 256, "bidirectional")):
            directions = 2 if direction == "bidirectional" else 1
            weights = [weight(directions, count * hidden, hidden, scale=hidden**-0.5)] * 2
            inputs = (normal(steps, 1, hidden), *weights, weight(directions, 2 * count * hidden))
            attributes = {"hidden_size": hidden, "direction": direction}
            yield OperatorCase(
                op_type,
                f"{steps} steps of {hidden}, {direction}",
                inputs,
                attributes,
                outputs=3 if op_type == "LSTM" else 2,
                heavy=hidden > 32,
            )
    w = Weight(integers(-128, 128, 1, 32, 128, dtype=np.int8))
    scales = (Weight(fixed([0.01], np.float32)), Weight(fixed([0], np.int8)))
    inputs = (normal(4, 1, 32), w, w, weight(1, 256), None, None, None, None, *scales, *scales)
    yield OperatorCase("DynamicQuantizeLSTM", "4 steps of 32", inputs, {"hidden_size": 32}, outputs=3, **MICROSOFT)


def few_bits() -> Iterator[OperatorCase]:
    """Weights in blocks of 32, of 4 and 8 bits; rows of an embedding in 4 bits."""
    for rows, k, n, bits in ((1, 128, 128, 4), (1, 128, 128, 8), (1, 2048, 2048, 4), (128, 2048, 2048, 4)):
        codes = Weight(integers(0, 256, n, k // 32, 4 * bits, dtype=np.uint8))
        attributes = {"K": k, "N": n, "block_size": 32, "bits": bits}
        values = (normal(rows, k), codes, Weight(uniform(0.01, 0.1, n, k // 32)))
        label = f"{bits} bits, {rows}x{k}x{n}"
        yield OperatorCase("MatMulNBits", label, values, attributes, heavy=k > 128, **MICROSOFT)
    data, scales = Weight(integers(0, 256, 1000, 64, dtype=np.uint8)), Weight(uniform(0.01, 0.1, 1000, 4))
    attributes = {"block_size": 32, "bits": 4, "gather_axis": 0, "quantize_axis": 1}
    values: tuple[Value | Weight, ...] = (data, integers(0, 1000, 128), scales)
    yield OperatorCase("GatherBlockQuantized", "128 rows of 128", values, attributes, **MICROSOFT)
