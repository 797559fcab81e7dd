"""Operators that move elements: gathers, scatters, transpositions, slices."""

from __future__ import annotations

import numpy as np

from .panels import PANELS, node_runner, normal


class Gather:
    """Rows of an embedding, and single elements."""

    params = [PANELS, ["Gather", "GatherElements"]]
    param_names = ["panel", "op_type"]
    version = "1"

    def setup(self, panel, op_type):
        rng = np.random.default_rng(0)
        indices = rng.integers(0, 5000, 128 if op_type == "Gather" else (128, 256))
        self.run = node_runner(panel, op_type, [normal(5000, 256), indices], axis=0)

    def time_run(self, panel, op_type):
        self.run()


class Scatter:
    """1000 updates of a vector, without and with a sum."""

    params = [PANELS, ["none", "add"]]
    param_names = ["panel", "reduction"]
    version = "1"

    def setup(self, panel, reduction):
        indices = np.random.default_rng(0).integers(0, 5000, 1000)
        feeds = [normal(5000), indices, normal(1000)]
        self.run = node_runner(panel, "ScatterElements", feeds, reduction=reduction)

    def time_run(self, panel, reduction):
        self.run()


class Transpose:
    """Heads to the front, channels to the end, a matrix."""

    params = [PANELS, ["heads", "channels last", "matrix"]]
    param_names = ["panel", "kind"]
    version = "1"

    def setup(self, panel, kind):
        shape, perm = {
            "heads": ((1, 128, 12, 64), [0, 2, 1, 3]),
            "channels last": ((1, 64, 56, 56), [0, 2, 3, 1]),
            "matrix": ((512, 512), [1, 0]),
        }[kind]
        self.run = node_runner(panel, "Transpose", [normal(*shape)], perm=perm)

    def time_run(self, panel, kind):
        self.run()


class TopK:
    """Of 10,000 the greatest."""

    params = [PANELS, [1, 100]]
    param_names = ["panel", "k"]
    version = "1"

    def setup(self, panel, k):
        self.run = node_runner(panel, "TopK", [normal(4, 10_000)], [np.array([k])], outputs=2)

    def time_run(self, panel, k):
        self.run()
