"""Normalisations, with the shapes of BERT and of ResNet-50."""

from __future__ import annotations

import numpy as np

from .panels import PANELS, node_runner, normal


class LayerNormalization:
    """Rows of a transformer's states."""

    params = [PANELS, [64, 768]]
    param_names = ["panel", "hidden"]
    version = "1"

    def setup(self, panel, hidden):
        self.run = node_runner(panel, "LayerNormalization", [normal(128, hidden)], [normal(hidden), normal(hidden)])

    def time_run(self, panel, hidden):
        self.run()


class BatchNormalization:
    """A plane of 56 x 56, inference."""

    params = [PANELS, [16, 64]]
    param_names = ["panel", "channels"]
    version = "1"

    def setup(self, panel, channels):
        scale, bias, mean = (normal(channels, seed=i) for i in range(3))
        statistics = [scale, bias, mean, np.abs(normal(channels)) + np.float32(0.5)]
        self.run = node_runner(panel, "BatchNormalization", [normal(1, channels, 56, 56)], statistics)

    def time_run(self, panel, channels):
        self.run()


class LRN:
    """Across five channels."""

    params = [PANELS]
    param_names = ["panel"]
    version = "1"

    def setup(self, panel):
        self.run = node_runner(panel, "LRN", [normal(1, 64, 28, 28)], size=5)

    def time_run(self, panel):
        self.run()
