"""Arithmetic with broadcasting, and the elementary functions."""

from __future__ import annotations

import numpy as np

from .panels import PANELS, node_runner, normal

SIZES = [1_000, 100_000]


class Unary:
    """Elementary functions and activations of float32."""

    params = [PANELS, ["Erf", "Exp", "HardSwish", "Log", "Relu", "Sigmoid", "Sin", "Sqrt", "Tanh"], SIZES]
    param_names = ["panel", "op_type", "size"]
    version = "1"

    def setup(self, panel, op_type, size):
        self.run = node_runner(panel, op_type, [np.abs(normal(size)) + np.float32(0.1)])

    def time_run(self, panel, op_type, size):
        self.run()


class Binary:
    """Operands of one shape, a scalar, a row of a matrix, a column of it."""

    params = [PANELS, ["Add", "Div", "Pow"], ["same", "scalar", "row", "column"]]
    param_names = ["panel", "op_type", "operand"]
    version = "1"

    def setup(self, panel, op_type, operand):
        shape = {"same": (256, 384), "scalar": (), "row": (384,), "column": (256, 1)}[operand]
        a, b = (np.abs(normal(*dims)) + np.float32(0.1) for dims in ((256, 384), shape))
        self.run = node_runner(panel, op_type, [a, np.asarray(b, np.float32)])

    def time_run(self, panel, op_type, operand):
        self.run()


class Cast:
    """float32 to other types."""

    params = [PANELS, ["float16", "float64", "int64", "uint8"]]
    param_names = ["panel", "dtype"]
    version = "1"

    def setup(self, panel, dtype):
        from onnx import helper

        self.run = node_runner(panel, "Cast", [normal(100_000)], to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def time_run(self, panel, dtype):
        self.run()
