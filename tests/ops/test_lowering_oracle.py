"""Quantized products against real numbers, and against ONNX Runtime, which lowers Q/DQ by rules of its own.

The oracle evaluates a model in binary64 with an error bound beside each value. QuantizeLinear may round to either
neighbour of a tie, so behind it the bound is half a quantum and what the errors before it come to. Integer sums, float
chains and ONNX Runtime's results must all lie inside; two results then differ by one quantum at most, unless the errors
themselves are larger.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from onnx import NodeProto, helper, numpy_helper
from tests.ops.composition import has_vnni

import diptych
import diptych_reference
from diptych.testing.graphs import GraphCase
from diptych.testing.quantized import quantized_models

UNIT = 2.0**-24
Bounded = tuple[np.ndarray, np.ndarray]  # value and error bound, binary64


def exact(value: Any) -> Bounded:
    """A value without error."""
    wide = np.asarray(value).astype(np.float64)
    return wide, np.zeros(wide.shape)


def widened(node: NodeProto, inputs: list[Bounded | None], attributes: dict[str, Any]) -> np.ndarray:
    """A product in binary64."""
    operands = [None if value is None else value[0] for value in inputs]
    return np.asarray(diptych_reference.run_operator(node.op_type, operands, attributes, opset=21)[0])


def product(node: NodeProto, inputs: list[Bounded | None], attributes: dict[str, Any]) -> Bounded:
    """Every order of summation, and every way to round the scales in: (terms + 6) units of the sum of magnitudes."""
    present = [value for value in inputs if value is not None]
    value = widened(node, inputs, attributes)
    scales = {key: abs(v) if isinstance(v, float) else v for key, v in attributes.items()}
    magnitude = widened(node, [(np.abs(v) + e, e) for v, e in present], scales)
    slope = widened(node, [(np.abs(v), e) for v, e in present], scales)
    terms = max(v.size for v, _ in present[:2]) + 6
    value, magnitude, slope = (np.nan_to_num(v, posinf=1e300, neginf=-1e300) for v in (value, magnitude, slope))
    return value, magnitude - slope + terms * UNIT * magnitude + 1e-44


def quantize(x: Bounded, scale: np.ndarray, zero: np.ndarray | None, axis: int) -> Bounded:
    """The real position among the integers, cut at the ends of the type, half a quantum around."""
    zero = np.zeros(scale.shape, np.uint8) if zero is None else zero
    value, error = x
    steps, ends = spread(scale, value.ndim, axis), np.iinfo(zero.dtype)
    position = value / steps + spread(zero, value.ndim, axis)
    around = 0.5 + error / steps + 4 * UNIT * np.abs(value / steps)
    if not error.any():  # division and rounding are IEEE's
        with np.errstate(all="ignore"):
            q = np.rint(value.astype(np.float32) / steps.astype(np.float32)) + spread(zero, value.ndim, axis)
        return exact(np.clip(q, ends.min, ends.max))
    return np.clip(position, ends.min, ends.max), around


def spread(values: np.ndarray, rank: int, axis: int) -> np.ndarray:
    """Scales or zero points along an axis."""
    wide = values.astype(np.float64)
    if values.size == 1:
        return wide.reshape(())
    return wide.reshape([-1 if i == axis % rank else 1 for i in range(rank)])


def evaluate(case: GraphCase) -> dict[str, Bounded]:
    """All values of a model."""
    values: dict[str, Any] = {t.name: numpy_helper.to_array(t) for t in case.model.graph.initializer}
    raw = dict(values)
    values = {name: exact(value) for name, value in {**values, **case.feeds}.items()}
    for node in case.model.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        inputs = [values[name] if name else None for name in node.input]
        constants = [raw.get(name) for name in node.input]
        axis = attributes.get("axis", 1)
        if node.op_type == "Constant":
            raw[node.output[0]] = numpy_helper.to_array(attributes["value"])
            result = exact(raw[node.output[0]])
        elif node.op_type == "QuantizeLinear":
            result = quantize(inputs[0], constants[1], constants[2] if len(constants) > 2 else None, axis)
        elif node.op_type == "DequantizeLinear":
            q, error = inputs[0]
            scale = spread(constants[1], q.ndim, axis)
            zero = spread(constants[2], q.ndim, axis) if len(constants) > 2 else 0.0
            result = (q - zero) * scale, (error + 2 * UNIT * np.abs(q - zero)) * scale + 1e-44
        elif node.op_type in ("Conv", "MatMul", "Gemm"):
            result = product(node, inputs, attributes)
        else:
            result = elementwise(node.op_type, inputs, attributes)
        values[node.output[0]] = result
    return values


def elementwise(op_type: str, inputs: list[Bounded | None], attributes: dict[str, Any]) -> Bounded:
    """Functions that do not spread errors."""
    value, error = inputs[0]
    if op_type == "Transpose":
        return value.transpose(attributes.get("perm")), error.transpose(attributes.get("perm"))
    if op_type == "Relu":
        return np.maximum(value, 0), error
    if op_type == "Clip":
        low, high = attributes.get("min", -np.inf), attributes.get("max", np.inf)
        bounds = [None if bound is None else float(bound[0]) for bound in inputs[1:]]
        low, high = [*bounds, None, None][:2] if bounds else (low, high)
        return np.clip(value, low, high), error
    assert op_type == "Sigmoid", op_type
    return 1 / (1 + np.exp(-np.clip(value, -700, 700))), error / 4 + 1e-6


def check(case: GraphCase, name: str, results: list[Any]) -> None:
    """Outputs inside their bounds."""
    values = evaluate(case)
    for output, got in zip(case.model.graph.output, results, strict=True):
        value, error = values[output.name]
        claimed = np.abs(value) + error < np.finfo(np.float32).max  # beyond, binary32 overflows
        with np.errstate(invalid="ignore"):
            wrong = claimed & ~(np.abs(got.astype(np.float64) - value) <= error)
        assert not wrong.any(), f"{name}, {output.name}: {got[wrong][:3]} for {value[wrong][:3]} +- {error[wrong][:3]}"


@settings(max_examples=max(100, settings.default.max_examples))
@given(quantized_models(products=(1, 1)))
def test_both_settings_are_near_the_real_numbers(case: GraphCase) -> None:
    content = case.model.SerializeToString()
    for quantized in ("integer", "float"):
        session = diptych.InferenceSession(content, diptych.SessionOptions(quantized=quantized))
        check(case, quantized, session.run(None, case.feeds))


def common(case: GraphCase) -> bool:
    """Whether both engines lower a model, for the same reasons.

    ONNX Runtime takes any int32 bias of Gemm for one in the product's scale (its issue 24711 is mended for Conv alone),
    quantizes biases of floats, with operators that opset 10 has not, gives 0 where the type behind the product is
    another than before it, and mistakes the type of zero points that a caller may override.
    """
    if len(case.model.graph.input) > 1:
        return False
    found = diptych_reference.ReferenceSession(case.model).lowering
    constants = {t.name: t.data_type for t in case.model.graph.initializer}
    quantizers = [node for node in case.model.graph.node if node.op_type == "QuantizeLinear"]
    types = {constants.get(node.input[2]) if len(node.input) > 2 else None for node in quantizers}
    alike = len(types) == 1 and None not in types
    return alike and all(entry.meaning == "integer" and entry.nodes_out[-1][1] != "Add" for entry in found)


@pytest.mark.skipif(not has_vnni(), reason="without VNNI ONNX Runtime's byte products saturate")
@settings(max_examples=max(100, settings.default.max_examples))
@given(quantized_models(products=(1, 1)))
def test_onnx_runtime_is_there_too(case: GraphCase) -> None:
    """With its own lowering and without."""
    levels = onnxruntime.GraphOptimizationLevel
    for level in (levels.ORT_ENABLE_ALL, levels.ORT_DISABLE_ALL):
        if level == levels.ORT_ENABLE_ALL and not common(case):
            continue
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level, options.log_severity_level = level, 4
        options.intra_op_num_threads = 1
        try:
            session = onnxruntime.InferenceSession(case.model.SerializeToString(), options, ["CPUExecutionProvider"])
        except Exception as error:
            if "NotImplemented" in type(error).__name__:
                return  # types that its CPU kernels lack
            raise
        check(case, f"ONNX Runtime, {level}", session.run(None, case.feeds))
