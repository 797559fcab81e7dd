"""Matrix products: square, of BERT, of attention heads, matrix times vector."""

from __future__ import annotations

import numpy as np

from .panels import PANELS, engine_only, node_runner, normal

SHAPES = {
    "64^3": ((64, 64), (64, 64)),
    "512^3": ((512, 512), (512, 512)),
    "bert 128x768x3072": ((128, 768), (768, 3072)),
    "heads 12x128x64x128": ((12, 128, 64), (12, 64, 128)),
    "vector 1x768x3072": ((1, 768), (768, 3072)),
}


class MatMul:
    """B is a constant, as weights are, or another input."""

    params = [PANELS, list(SHAPES), ["constant", "input"]]
    param_names = ["panel", "shape", "b"]
    version = "1"

    def setup(self, panel, shape, b):
        left, right = (normal(*dims, seed=i) for i, dims in enumerate(SHAPES[shape]))
        engine_only(panel, left.size * right.shape[-1] > 2e7)
        self.run = (
            node_runner(panel, "MatMul", [left], [right])
            if b == "constant"
            else node_runner(panel, "MatMul", [left, right])
        )

    def time_run(self, panel, shape, b):
        self.run()


class MatMulInteger:
    """uint8 times int8 with zero points."""

    params = [PANELS, [64, 512]]
    param_names = ["panel", "side"]
    version = "1"

    def setup(self, panel, side):
        engine_only(panel, side > 64)
        rng = np.random.default_rng(0)
        a = rng.integers(0, 256, (side, side)).astype(np.uint8)
        b = rng.integers(-128, 128, (side, side)).astype(np.int8)
        self.run = node_runner(panel, "MatMulInteger", [a], [b, np.uint8(128), np.int8(0)])

    def time_run(self, panel, side):
        self.run()
