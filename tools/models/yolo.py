"""A detector shaped as YOLOv8n is: three scales, decoupled heads, boxes as expectations over bins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from tools.models.graph import GraphBuilder

STRIDES = (8, 16, 32)


class _Layers:
    """The blocks of which the network consists; `epsilon` is that of its batch normalisation."""

    def __init__(self, g: GraphBuilder) -> None:
        self.g = g

    def conv(self, x: str, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> str:
        """Convolution, batch normalisation, SiLU."""
        return self.g.silu(self.g.conv_norm(x, inputs, outputs, kernel, stride, epsilon=1e-3))

    def split(self, x: str, inputs: int, outputs: int, repeats: int, shortcut: bool) -> str:
        """Half of the channels goes through `repeats` bottlenecks in a row; all that lay on the way is joined."""
        half = outputs // 2
        parts = self.g.node("Split", self.conv(x, inputs, outputs), outputs=2, axis=1)
        for _ in range(repeats):
            y = self.conv(self.conv(parts[-1], half, half, 3), half, half, 3)
            parts.append(self.g.node("Add", parts[-1], y) if shortcut else y)
        return self.conv(self.join(*parts), (2 + repeats) * half, outputs)

    def pyramid(self, x: str, channels: int) -> str:
        """Three poolings in a row, all joined: windows of 5, 9 and 13."""
        parts = [self.conv(x, channels, channels // 2)]
        for _ in range(3):
            pooled = self.g.node("MaxPool", parts[-1], kernel_shape=[5, 5], strides=[1, 1], pads=[2, 2, 2, 2])
            parts.append(pooled)
        return self.conv(self.join(*parts), 2 * channels, channels)

    def join(self, *parts: str) -> str:
        """The channels of all parts."""
        return str(self.g.node("Concat", *parts, axis=1))

    def enlarge(self, x: str) -> str:
        """Every pixel twice in both directions."""
        return str(
            self.g.node(
                "Resize",
                x,
                "",
                self.g.constant([1, 1, 2, 2]),
                mode="nearest",
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            )
        )


def yolov8n(size: int = 640, width: int = 16, classes: int = 80, bins: int = 16, seed: int = 8) -> onnx.ModelProto:
    """Input images: float32 [batch, 3, size, size]; output: [batch, 4 + classes, boxes], centre, size and scores.

    `size` is a multiple of 32, of which the constants of the boxes are made.
    """
    g = GraphBuilder("yolov8n", seed)
    layers = _Layers(g)
    images = g.input("images", ["batch", 3, size, size])
    scales = _neck(layers, *_backbone(layers, images, width), width)
    channels = (4 * width, 8 * width, 16 * width)
    # Widths of the branches for boxes and for classes.
    box_width, class_width = max(16, channels[0] // 4, 4 * bins), max(channels[0], min(classes, 100))
    flat = g.constant([0, 4 * bins + classes, -1], np.int64)
    found = []
    for x, inputs in zip(scales, channels, strict=True):
        heads = []
        for inner, outputs in ((box_width, 4 * bins), (class_width, classes)):
            y = layers.conv(layers.conv(x, inputs, inner, 3), inner, inner, 3)
            heads.append(g.conv(y, inner, outputs, 1, bias=True))
        found.append(g.node("Reshape", layers.join(*heads), flat))
    joint = g.node("Concat", *found, axis=2)
    boxes, scores = g.node("Split", joint, g.constant([4 * bins, classes], np.int64), outputs=2, axis=1)
    output = g.node("Concat", _boxes(g, boxes, size, bins), g.node("Sigmoid", scores), axis=1)
    g.output(output, "output0", ["batch", 4 + classes, sum((size // stride) ** 2 for stride in STRIDES)])
    return g.model()


def _backbone(layers: _Layers, x: str, width: int) -> tuple[str, str, str]:
    """Features at an 8th, a 16th and a 32nd of the image."""
    x = layers.conv(layers.conv(x, 3, width, 3, 2), width, 2 * width, 3, 2)
    x = layers.split(x, 2 * width, 2 * width, 1, True)
    third = layers.split(layers.conv(x, 2 * width, 4 * width, 3, 2), 4 * width, 4 * width, 2, True)
    fourth = layers.split(layers.conv(third, 4 * width, 8 * width, 3, 2), 8 * width, 8 * width, 2, True)
    fifth = layers.split(layers.conv(fourth, 8 * width, 16 * width, 3, 2), 16 * width, 16 * width, 1, True)
    return third, fourth, layers.pyramid(fifth, 16 * width)


def _neck(layers: _Layers, third: str, fourth: str, fifth: str, width: int) -> Sequence[str]:
    """The same three, each knowing of the others: first downwards, then upwards."""
    small, middle, large = 4 * width, 8 * width, 16 * width
    inner = layers.split(layers.join(layers.enlarge(fifth), fourth), large + middle, middle, 1, False)
    first = layers.split(layers.join(layers.enlarge(inner), third), middle + small, small, 1, False)
    second = layers.join(layers.conv(first, small, small, 3, 2), inner)
    second = layers.split(second, small + middle, middle, 1, False)
    last = layers.join(layers.conv(second, middle, middle, 3, 2), fifth)
    return first, second, layers.split(last, middle + large, large, 1, False)


def _boxes(g: GraphBuilder, x: str, size: int, bins: int) -> str:
    """Distances of the four sides from the anchors, each an expectation over bins -> centres and sizes in pixels."""
    sides = g.node("Transpose", g.node("Reshape", x, g.constant([0, 4, bins, -1], np.int64)), perm=[0, 2, 1, 3])
    weight = g.constant(np.arange(bins, dtype=np.float32).reshape(1, bins, 1, 1))
    distance = g.node("Conv", g.node("Softmax", sides, axis=1), weight)
    distance = g.node("Reshape", distance, g.constant([0, 4, -1], np.int64))
    before, after = g.node("Split", distance, outputs=2, axis=1)
    anchors, strides = _anchors(size)
    low, high = g.node("Sub", g.constant(anchors), before), g.node("Add", g.constant(anchors), after)
    centre = g.node("Div", g.node("Add", low, high), g.constant(np.float32(2)))
    box = g.node("Concat", centre, g.node("Sub", high, low), axis=1)
    return str(g.node("Mul", box, g.constant(strides)))


def _anchors(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres [2, boxes] of all cells, in cells, and the stride [1, boxes] of each."""
    centres, strides = [], []
    for stride in STRIDES:
        count = size // stride
        y, x = np.meshgrid(np.arange(count) + 0.5, np.arange(count) + 0.5, indexing="ij")
        centres.append(np.stack([x.ravel(), y.ravel()]))
        strides.append(np.full((1, count * count), stride))
    return np.concatenate(centres, axis=1).astype(np.float32), np.concatenate(strides, axis=1).astype(np.float32)
