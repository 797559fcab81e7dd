"""What campaigns flagged and should not have, as small cases: the judge lets them pass, and still sees worse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from diptych.fuzzer.examiner import Examiner
from diptych.testing import Case, on_reference
from diptych.testing.oracles import judge_outputs
from diptych.testing.silence import unspecified

ML = "ai.onnx.ml"


def case(op_type: str, opset: int, *inputs: Any, domain: str = "", n_outputs: int = 1, **attributes: Any) -> Case:
    """A case."""
    return Case(op_type, domain, opset, inputs, attributes, n_outputs)


def f32(*values: Any) -> Any:
    """Numbers of binary32."""
    return np.array(values, np.float32)


def kinds(subject: Case, *outputs: Any) -> list[str]:
    """What the judge says of other outputs than the reference's."""
    return [verdict.kind for verdict in judge_outputs(subject, outputs, on_reference(subject).outputs)]


@pytest.mark.parametrize("op_type", ["ReduceMin", "ReduceMax"])
def test_neither_zero_is_the_greater(op_type: str) -> None:
    subject = case(op_type, 13, f32([0.0, -0.0]))
    assert kinds(subject, f32([0.0])) == kinds(subject, f32([-0.0])) == [""]
    assert kinds(subject, f32([1.0])) == ["bits"]
    assert kinds(case("Relu", 14, f32(-0.0)), f32(-0.0)) == [""]


def test_an_engine_that_keeps_more_digits_of_celu_is_right() -> None:
    x = np.array(-8e-140)
    assert kinds(case("Celu", 28, x), x) == [""]
    assert kinds(case("Celu", 28, x), np.array(-8e-14)) == ["bound"]


def test_the_mean_may_be_taken_into_the_bias() -> None:
    x, scale, bias = f32([[0, 1]]), f32(2.3e7), f32(7.0162112e7)
    subject = case("InstanceNormalization", 22, x, scale, bias)
    [right] = on_reference(subject).outputs
    assert kinds(subject, np.nextafter(right, np.float32(np.inf))) == [""]
    assert kinds(subject, right * np.float32(1 + 2e-6)) == ["bound"]


def test_the_last_of_equal_keys_counts_from_version_4_on() -> None:
    table = {"keys_int64s": [1, 1], "values_int64s": [10, 11]}
    x = np.array([1])
    assert unspecified(case("LabelEncoder", 2, x, domain=ML, **table))
    assert not unspecified(case("LabelEncoder", 4, x, domain=ML, **table))
    nan = {"keys_floats": [float("nan")], "values_int64s": [10]}
    assert not unspecified(case("LabelEncoder", 2, f32(np.nan), domain=ML, **nan))


def test_outputs_of_float_may_be_computed_in_float() -> None:
    x = np.array([0.1257302210933933, -0.1321048632913019, 0.6404226504432821])
    subject = case("Normalizer", 1, x, domain=ML)
    narrow = x.astype(np.float32)
    assert kinds(subject, narrow / narrow.max()) == [""]
    assert kinds(subject, (x / 0.6404229).astype(np.float32)) == ["bound"]


def test_halves_may_be_added_up_in_halves() -> None:
    ones = np.full((1, 300), 0.1, np.float16)
    subject = case("MatMul", 13, ones, ones.T)
    total = np.float16(0)
    for product in ones[0] * ones[0]:
        total = np.float16(total + product)
    assert kinds(subject, np.array([[total]])) == [""]
    assert kinds(subject, np.array([[3.9]], np.float16)) == ["bound"]


def trees(*weights: float) -> dict[str, Any]:
    """Attributes of a classifier of one leaf a class."""
    n = list(range(len(weights)))
    zeros = [0] * len(n)
    return {
        "classlabels_int64s": [10 + i for i in n], "nodes_treeids": n, "nodes_nodeids": zeros,
        "nodes_featureids": zeros,
        "nodes_modes": ["LEAF"] * len(n), "nodes_values": [0.0] * len(n), "nodes_truenodeids": zeros,
        "nodes_falsenodeids": zeros, "class_treeids": n, "class_nodeids": zeros, "class_ids": n,
        "class_weights": list(weights),
    }  # fmt: skip


def test_either_of_equal_scores_is_the_top_class() -> None:
    scores = f32([1, 1, 0.5])
    subject = case("TreeEnsembleClassifier", 1, f32(0.0), domain=ML, n_outputs=2, **trees(1.0, 1.0, 0.5))
    assert kinds(subject, np.array([11]), scores) == ["unjudged", ""]
    apart = case("TreeEnsembleClassifier", 1, f32(0.0), domain=ML, n_outputs=2, **trees(1.0, 1.5, 0.5))
    assert kinds(apart, np.array([10]), f32([1, 1.5, 0.5])) == ["bits", ""]


def test_the_label_of_one_class_is_that_class() -> None:
    subject = case("TreeEnsembleClassifier", 1, f32(0.0), domain=ML, n_outputs=2, **trees(1.0))
    assert kinds(subject, np.array([1]), f32([1])) == ["bits", ""]


def test_the_text_is_silent_where_campaigns_found_it_to_be() -> None:
    assert unspecified(case("Dropout", 10, f32(0.0), n_outputs=2))
    assert not unspecified(case("Dropout", 10, f32(0.0)))
    assert unspecified(case("DynamicQuantizeLinear", 11, f32(1e-45), n_outputs=3))
    assert not unspecified(case("DynamicQuantizeLinear", 11, f32(1.0), n_outputs=3))
    theta = f32([[1, 0, 0], [0, 1, 0]])
    assert unspecified(case("AffineGrid", 20, theta, np.array([1, 1, 3, 1]), align_corners=1))
    assert not unspecified(case("AffineGrid", 20, theta, np.array([1, 1, 3, 2]), align_corners=1))
    assert unspecified(case("Pad", 2, f32(0.0), mode="reflect", pads=[0, 1]))
    assert not unspecified(case("Pad", 2, f32(0.0, 1.0), mode="reflect", pads=[0, 1]))
    points = [np.array(0, np.int32), np.float32(1), np.array(5, np.int32)]
    assert unspecified(case("DequantizeLinear", 10, *points))
    assert unspecified(case("CumSum", 14, f32([0.0]), np.array([0])))
    assert not unspecified(case("CumSum", 14, f32([0.0]), np.array(0)))
    assert unspecified(case("CastMap", 1, {0: np.float32(np.nan)}, domain=ML, cast_to="TO_INT64"))
    assert not unspecified(case("CastMap", 1, {0: np.float32(1)}, domain=ML, cast_to="TO_INT64"))
    zero = np.array(0, np.int8)
    for scale, is_open in ((3e38, True), (0.5, False)):
        softmax = case("QLinearSoftmax", 1, np.array([2], np.int8), np.float32(scale), zero, np.float32(0.0625), zero)
        assert bool(unspecified(softmax)) == is_open
    two = {"classlabels_ints": [0, 1], "coefficients": [1.0], "intercepts": [0.0]}
    assert unspecified(case("LinearClassifier", 1, f32(0.0), domain=ML, n_outputs=2, **two))
    assert not unspecified(
        case("LinearClassifier", 1, f32(0.0), domain=ML, n_outputs=2, **{**two, "coefficients": [1.0, 2.0]})
    )


def test_how_many_values_are_unique_is_open_where_nan_is_among_them() -> None:
    from diptych.engines.worker import Answer

    subject = case("Unique", 28, f32(np.nan, 1.0))
    examiner = Examiner("reference", bits=False)
    examiner.worker.run = lambda model, feeds, timeout=None: Answer("answered", [f32(1.0)])  # type: ignore[method-assign]
    assert examiner.examine(subject, on_reference(subject).outputs) is None
    assert examiner.counts["left open by the text"] == 1
    examiner.close()
