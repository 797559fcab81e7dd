"""Softmax and its logarithm over rows and over columns."""

from __future__ import annotations

from .panels import PANELS, node_runner, normal


class Softmax:
    """Attention scores of 12 heads, 128 x 128."""

    params = [PANELS, ["LogSoftmax", "Softmax"], [1, -1]]
    param_names = ["panel", "op_type", "axis"]
    version = "1"

    def setup(self, panel, op_type, axis):
        self.run = node_runner(panel, op_type, [normal(12, 128, 128)], axis=axis)

    def time_run(self, panel, op_type, axis):
        self.run()
