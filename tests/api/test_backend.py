"""The ONNX Backend API."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

import diptych
import diptych.backend

from . import models

X = np.array([[-1.0, 0.5, 2.0]], dtype=np.float32)
MODEL = onnx.load_from_string(models.unary("Relu", ["n", 3]))


@pytest.mark.parametrize("inputs", [[X], (X,), {"x": X}, X], ids=["list", "tuple", "dict", "array"])
def test_prepare_and_run(inputs: object) -> None:
    (y,) = diptych.backend.prepare(MODEL).run(inputs)
    np.testing.assert_array_equal(y, np.maximum(X, 0))


def test_run_model_takes_session_options() -> None:
    (y,) = diptych.backend.run_model(MODEL, [X], isa=diptych.available_isas()[0], threads=1)
    np.testing.assert_array_equal(y, np.maximum(X, 0))


def test_run_node() -> None:
    node = helper.make_node("Concat", ["a", "b"], ["y"], axis=0)
    (y,) = diptych.backend.run_node(node, [X, X], opset_version=13)
    np.testing.assert_array_equal(y, np.concatenate([X, X]))
    clip = helper.make_node("Clip", ["x", "", "high"], ["y"])
    for inputs in ([X, None, np.float32(1)], [X, np.float32(1)]):
        (y,) = diptych.backend.run_node(clip, inputs)
        np.testing.assert_array_equal(y, np.minimum(X, 1))


def test_devices() -> None:
    assert diptych.backend.supports_device("CPU")
    assert diptych.backend.supports_device("CPU:0")
    assert not diptych.backend.supports_device("CUDA")
    with pytest.raises(diptych.InvalidInputError, match="CUDA"):
        diptych.backend.prepare(MODEL, "CUDA")


def test_compatibility() -> None:
    assert diptych.backend.is_compatible(MODEL)
    assert not diptych.backend.is_compatible(MODEL, "CUDA")
    assert not diptych.backend.is_compatible(onnx.load_from_string(models.unary("NoSuchOperator", [1])))


def test_the_number_of_inputs_is_checked() -> None:
    with pytest.raises(diptych.InvalidInputError, match="got 2 inputs"):
        diptych.backend.prepare(MODEL).run([X, X])
