"""Window, detection and image operators against ONNX Runtime: two panels could share one misunderstanding."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from diptych.testing import Case, on_reference

onnxruntime = pytest.importorskip("onnxruntime")
F = np.float32


def peer(case: Case) -> list[Any]:
    """What ONNX Runtime gives."""
    model = case.model()
    model.ir_version = min(model.ir_version, 10)
    for output, value in zip(model.graph.output, on_reference(case).outputs, strict=True):
        output.CopyFrom(
            onnx.helper.make_tensor_value_info(output.name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), None)
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, case.feeds()))


def agree(op_type: str, opset: int, inputs: list[Any], attributes: dict[str, Any], rtol: float = 1e-5) -> None:
    case = Case(op_type, "", opset, tuple(inputs), attributes, 1)
    own = on_reference(case)
    assert own.error is None, own.error
    np.testing.assert_allclose(own.outputs[0], peer(case)[0], rtol=rtol, atol=rtol)


def normal(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(F)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_norms(p: int) -> None:
    x = normal(0, 2, 3, 7, 8)
    agree("GlobalLpPool", 2, [x], {"p": p})
    for attributes in ({}, {"ceil_mode": 1, "strides": [2, 3]}, {"dilations": [2, 1], "pads": [1, 0, 1, 1]}):
        agree("LpPool", 18, [x], {"kernel_shape": [3, 2], "p": p, **attributes})


def test_unpool() -> None:
    x = normal(1, 2, 3, 4, 5)
    places = np.random.default_rng(0).permutation(2 * 3 * 8 * 10)[:120].reshape(x.shape)
    agree("MaxUnpool", 11, [x, places], {"kernel_shape": [2, 2], "strides": [2, 2]})


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_max_roi_pool(scale: float) -> None:
    random = np.random.default_rng(2)
    x = normal(2, 2, 3, 16, 12)
    corners = np.sort(random.uniform(-4, 18, (9, 2, 2)) / scale, axis=1).reshape(9, 4)
    rois = np.concatenate([random.integers(0, 2, (9, 1)), corners], axis=1).astype(F)
    agree("MaxRoiPool", 1, [x, rois], {"pooled_shape": [4, 2], "spatial_scale": scale})


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "output_half_pixel"])
def test_roi_align(mode: str, coordinates: str) -> None:
    random = np.random.default_rng(3)
    x = normal(3, 2, 3, 9, 11)
    rois = np.sort(random.uniform(-4, 30, (8, 2, 2)), axis=1).reshape(8, 4).astype(F)
    attributes = {"mode": mode, "output_height": 3, "output_width": 2, "spatial_scale": 0.5}
    for ratio in (0, 2):
        more = {"sampling_ratio": ratio, "coordinate_transformation_mode": coordinates}
        agree("RoiAlign", 16, [x, rois, random.integers(0, 2, 8)], {**attributes, **more}, rtol=1e-4)


@pytest.mark.parametrize("center", [0, 1])
def test_non_max_suppression(center: int) -> None:
    random = np.random.default_rng(4)
    boxes, scores = random.uniform(0, 10, (2, 60, 4)).astype(F), random.uniform(size=(2, 3, 60)).astype(F)
    limits = [np.array([20]), np.array([0.3], F), np.array([0.2], F)]
    agree("NonMaxSuppression", 11, [boxes, scores, *limits], {"center_point_box": center})


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align", [0, 1])
def test_grid_sample(padding: str, align: int) -> None:
    random = np.random.default_rng(5)
    attributes = {"padding_mode": padding, "align_corners": align}
    planar = [normal(5, 2, 3, 5, 6), random.uniform(-1.7, 1.7, (2, 4, 7, 2)).astype(F)]
    for mode in ("linear", "nearest", "cubic"):
        agree("GridSample", 20, planar, {"mode": mode, **attributes}, rtol=1e-4)
    volume = [normal(6, 1, 2, 4, 5, 3), random.uniform(-1.7, 1.7, (1, 3, 4, 5, 3)).astype(F)]
    for mode in ("linear", "nearest"):
        agree("GridSample", 20, volume, {"mode": mode, **attributes}, rtol=1e-4)


@pytest.mark.parametrize("align", [0, 1])
def test_affine_grid(align: int) -> None:
    agree("AffineGrid", 20, [normal(7, 2, 2, 3), np.array([2, 3, 4, 5])], {"align_corners": align})
    agree("AffineGrid", 20, [normal(8, 2, 3, 4), np.array([2, 3, 4, 5, 6])], {"align_corners": align})


def test_col2im() -> None:
    attributes = {"strides": [2, 1], "dilations": [1, 2], "pads": [1, 0, 2, 1]}
    columns = normal(9, 2, 3 * 6, 4 * 5)
    agree(
        "Col2Im",
        18,
        [columns, np.array([6, 8]), np.array([2, 3])],
        attributes,
    )


def test_upsample() -> None:
    x = normal(10, 1, 2, 5, 4)
    for mode in ("nearest", "linear"):
        agree("Upsample", 9, [x, np.array([1, 1, 2, 2.5], F)], {"mode": mode})


def test_deform_conv() -> None:
    x, w, b = normal(11, 2, 4, 6, 7), normal(12, 6, 2, 3, 2), normal(13, 6)
    attributes = {"group": 2, "offset_group": 2, "strides": [2, 1], "pads": [1, 0, 1, 1], "dilations": [1, 2]}
    offset, mask = normal(14, 2, 2 * 6 * 2, 3, 6) * F(2), normal(15, 2, 2 * 6, 3, 6)
    agree("DeformConv", 19, [x, w, offset, b, mask], attributes, rtol=1e-4)
