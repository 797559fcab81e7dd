"""Image networks: ResNet-50 (He et al. 2015, stride in the 3x3 convolution) and MobileNetV2 (Sandler et al. 2018).

Batch normalisation stays a node of its own, with statistics that are not trivial, so that folding it matters.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from tools.models.graph import GraphBuilder


def classifier(g: GraphBuilder, x: str, channels: int, classes: int) -> None:
    """Global pooling, a fully connected layer, the output."""
    pooled = g.node("Flatten", g.node("GlobalAveragePool", x), axis=1)
    weight, bias = g.normal(classes, channels, scale=channels**-0.5), g.normal(classes, scale=0.02)
    g.output(g.node("Gemm", pooled, weight, bias, transB=1), "y", ["batch", classes])


def resnet50(
    width: int = 64, blocks: Sequence[int] = (3, 4, 6, 3), classes: int = 1000, seed: int = 50
) -> onnx.ModelProto:
    """Input x: float32 [batch, 3, height, width]; output y: [batch, classes]."""
    g = GraphBuilder("resnet50", seed)
    x = g.input("x", ["batch", 3, "height", "width"])
    x = g.node("Relu", g.conv_norm(x, 3, width, 7, stride=2))
    x = g.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = width
    for stage, count in enumerate(blocks):
        middle = width << stage
        for block in range(count):
            stride = 2 if stage and not block else 1
            y = g.node("Relu", g.conv_norm(x, channels, middle, 1))
            y = g.node("Relu", g.conv_norm(y, middle, middle, 3, stride=stride))
            y = g.conv_norm(y, middle, 4 * middle, 1)
            if not block:
                x = g.conv_norm(x, channels, 4 * middle, 1, stride=stride)
            channels = 4 * middle
            x = g.node("Relu", g.node("Add", y, x))
    classifier(g, x, channels, classes)
    return g.model()


# Expansion, channels, repeats and first stride of each stage (table 2 of the paper).
MOBILENET_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2(
    width: float = 1.0,
    stages: Sequence[tuple[int, int, int, int]] = MOBILENET_STAGES,
    classes: int = 1000,
    seed: int = 2,
) -> onnx.ModelProto:
    """Input x: float32 [batch, 3, height, width]; output y: [batch, classes]. `width` scales every channel count."""
    g = GraphBuilder("mobilenet_v2", seed)
    zero, six = g.constant(np.float32(0)), g.constant(np.float32(6))

    def clipped(x: str) -> str:
        return str(g.node("Clip", x, zero, six))

    def scaled(channels: int) -> int:
        return max(8, int(channels * width + 4) // 8 * 8)

    x = g.input("x", ["batch", 3, "height", "width"])
    channels = scaled(32)
    x = clipped(g.conv_norm(x, 3, channels, 3, stride=2))
    for expansion, outputs, repeats, first_stride in stages:
        for repeat in range(repeats):
            stride, inner, after = 1 if repeat else first_stride, channels * expansion, scaled(outputs)
            y = x if expansion == 1 else clipped(g.conv_norm(x, channels, inner, 1))
            y = clipped(g.conv_norm(y, inner, inner, 3, stride=stride, group=inner))
            y = g.conv_norm(y, inner, after, 1)
            x = g.node("Add", x, y) if stride == 1 and channels == after else y
            channels = after
    last = max(1280, scaled(1280)) if width >= 1 else scaled(1280)
    classifier(g, clipped(g.conv_norm(x, channels, last, 1)), last, classes)
    return g.model()
