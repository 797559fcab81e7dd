"""EfficientNet-B0 (Tan and Le 2019): inverted bottlenecks whose channels are weighed by squeeze and excitation."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from tools.models.convolutional import classifier
from tools.models.graph import GraphBuilder

# Expansion, channels, repeats, first stride and kernel of each stage (table 1 of the paper).
STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


def efficientnet_b0(
    stem: int = 32,
    stages: Sequence[tuple[int, int, int, int, int]] = STAGES,
    last: int = 1280,
    classes: int = 1000,
    seed: int = 20,
) -> onnx.ModelProto:
    """Input x: float32 [batch, 3, height, width]; output y: [batch, classes]."""
    g = GraphBuilder("efficientnet_b0", seed)
    x = g.input("x", ["batch", 3, "height", "width"])
    x, channels = g.silu(g.conv_norm(x, 3, stem, 3, stride=2)), stem
    for expansion, outputs, repeats, first_stride, kernel in stages:
        for repeat in range(repeats):
            stride, inner = 1 if repeat else first_stride, channels * expansion
            y = x if expansion == 1 else g.silu(g.conv_norm(x, channels, inner, 1))
            y = g.silu(g.conv_norm(y, inner, inner, kernel, stride=stride, group=inner))
            y = g.conv_norm(_excited(g, y, inner, channels // 4), inner, outputs, 1)
            x = g.node("Add", y, x) if stride == 1 and channels == outputs else y
            channels = outputs
    classifier(g, g.silu(g.conv_norm(x, channels, last, 1)), last, classes)
    return g.model()


def _excited(g: GraphBuilder, x: str, channels: int, squeezed: int) -> str:
    """Each channel times a factor in (0, 1) that two layers make of all channels' means."""
    mean = g.node("ReduceMean", x, axes=[2, 3], keepdims=1)
    inner = g.silu(g.conv(mean, channels, squeezed, 1, bias=True))
    return str(g.node("Mul", x, g.node("Sigmoid", g.conv(inner, squeezed, channels, 1, bias=True))))
