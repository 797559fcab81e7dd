"""Convolutions: layers of ResNet-50 and MobileNetV2, and one small enough for the reference."""

from __future__ import annotations

from .panels import PANELS, engine_only, node_runner, normal

# channels in, out, side, kernel, stride, groups
LAYERS = {
    "small 3x3": (8, 8, 14, 3, 1, 1),
    "first 7x7/2": (3, 64, 224, 7, 2, 1),
    "3x3 56": (64, 64, 56, 3, 1, 1),
    "3x3 7": (512, 512, 7, 3, 1, 1),
    "1x1 14": (1024, 256, 14, 1, 1, 1),
    "depthwise 28": (192, 192, 28, 3, 1, 192),
}


class Conv:
    """float32, batch 1, with bias."""

    params = [PANELS, list(LAYERS)]
    param_names = ["panel", "layer"]
    version = "1"

    def setup(self, panel, layer):
        inputs, outputs, side, kernel, stride, group = LAYERS[layer]
        engine_only(panel, not layer.startswith("small"))
        weights = [normal(outputs, inputs // group, kernel, kernel), normal(outputs)]
        strides, pads = [stride, stride], [kernel // 2] * 4
        self.run = node_runner(
            panel, "Conv", [normal(1, inputs, side, side)], weights, strides=strides, pads=pads, group=group
        )

    def time_run(self, panel, layer):
        self.run()


class ConvTranspose:
    """The 2 x 2 upsampling of a text detector."""

    params = [PANELS, [8, 96]]
    param_names = ["panel", "channels"]
    version = "1"

    def setup(self, panel, channels):
        engine_only(panel, channels > 8)
        weights = [normal(channels, channels // 4, 2, 2), normal(channels // 4)]
        self.run = node_runner(panel, "ConvTranspose", [normal(1, channels, 40, 40)], weights, strides=[2, 2])

    def time_run(self, panel, channels):
        self.run()


class MaxPool:
    """3 x 3, stride 2."""

    params = [PANELS, [14, 112]]
    param_names = ["panel", "side"]
    version = "1"

    def setup(self, panel, side):
        self.run = node_runner(
            panel, "MaxPool", [normal(1, 64, side, side)], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4
        )

    def time_run(self, panel, side):
        self.run()
