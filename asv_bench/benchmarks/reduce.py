"""Reductions over the last axis, the first, and all of them."""

from __future__ import annotations

from .panels import PANELS, node_runner, normal


class Reduce:
    """A matrix of 256 x 1024."""

    params = [PANELS, ["ReduceL2", "ReduceMax", "ReduceMean"], ["last", "first", "all"]]
    param_names = ["panel", "op_type", "axes"]
    version = "1"

    def setup(self, panel, op_type, axes):
        chosen = {"last": {"axes": [1]}, "first": {"axes": [0]}, "all": {}}[axes]
        self.run = node_runner(panel, op_type, [normal(256, 1024)], **chosen)

    def time_run(self, panel, op_type, axes):
        self.run()


class ArgMax:
    """Over the last axis."""

    params = [PANELS, [10, 1000]]
    param_names = ["panel", "classes"]
    version = "1"

    def setup(self, panel, classes):
        self.run = node_runner(panel, "ArgMax", [normal(256, classes)], axis=-1)

    def time_run(self, panel, classes):
        self.run()
