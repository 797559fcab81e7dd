"""ai.onnx.ml: where its text is silent or others read it otherwise (docs/rulings.md)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.traps.both import answer, answers, refusals, same

ML = {"domain": "ai.onnx.ml"}
INF, NAN = float("inf"), float("nan")
Attributes = dict[str, Any]


def f32(*values: Any) -> Any:
    return np.array(values, np.float32)


COLUMN = f32([0.0], [1.0], [2.0])


def table(modes: list[str], values: list[float], true: list[int], false: list[int], **more: Any) -> Attributes:
    """One tree over feature 0 with the node ids 0, 1, …"""
    count = len(modes)
    return {
        "nodes_treeids": [0] * count,
        "nodes_nodeids": list(range(count)),
        "nodes_featureids": [0] * count,
        "nodes_modes": [mode if mode == "LEAF" else f"BRANCH_{mode}" for mode in modes],
        "nodes_values": values,
        "nodes_truenodeids": true,
        "nodes_falsenodeids": false,
        **more,
    }


def stump(mode: str = "LEQ", value: float = 0.5, **more: Any) -> Attributes:
    """A node with two leaves, 1 if it holds and 2 if it does not."""
    return table([mode, "LEAF", "LEAF"], [value, 0.0, 0.0], [1, 0, 0], [2, 0, 0], **more)


def votes(prefix: str, *each: tuple[int, int, float]) -> Attributes:
    """Votes (node id, target, weight) in tree 0."""
    nodes, targets, weights = zip(*each, strict=True)
    return {
        f"{prefix}_treeids": [0] * len(each),
        f"{prefix}_nodeids": list(nodes),
        ("class_ids" if prefix == "class" else "target_ids"): list(targets),
        f"{prefix}_weights": list(weights),
    }


TWO = votes("target", (1, 0, 10.0), (2, 0, 20.0))


def regressed(x: Any, attributes: Attributes, **more: Any) -> list[Any]:
    attributes = {"n_targets": 1, **TWO, **attributes, **more}
    result: list[Any] = answer("TreeEnsembleRegressor", [x], attributes, opset=3, **ML).tolist()
    return result


@pytest.mark.parametrize("track", [0, 1])
def test_missing_values_decide_not_equal(track: int) -> None:
    for mode in ("LEQ", "LT", "GTE", "GT", "EQ", "NEQ"):
        found = regressed(f32([NAN]), stump(mode, nodes_missing_value_tracks_true=[track, 0, 0]))
        assert found == [[10.0 if track else 20.0]], mode


@pytest.mark.parametrize("mode", ["LEQ", "LT", "GTE", "GT", "EQ", "NEQ"])
@pytest.mark.parametrize("t", [1.0, 0.0, -0.0, INF, -INF, 2.0**-149, 3.4028234663852886e38])
def test_modes_at_their_threshold(mode: str, t: float) -> None:
    """Below, at and above the threshold, at the ends of the type and beside zero too."""
    at = np.float32(t)
    for x in (np.nextafter(at, np.float32(-INF)), at, np.nextafter(at, np.float32(INF)), np.float32(-0.0)):
        tests = {"LEQ": x <= at, "LT": x < at, "GTE": x >= at, "GT": x > at, "EQ": x == at, "NEQ": x != at}
        assert regressed(f32([x]), stump(mode, t)) == [[10.0 if tests[mode] else 20.0]]


@pytest.mark.parametrize("mode", ["LEQ", "LT", "GTE", "GT", "EQ"])
def test_a_threshold_of_nan_never_holds(mode: str) -> None:
    assert regressed(f32([0.0], [INF], [-INF]), stump(mode, NAN)) == [[20.0]] * 3
    assert regressed(f32([0.0], [INF]), stump("NEQ", NAN)) == [[10.0]] * 2


def test_the_first_node_is_the_root() -> None:
    """Node 7 stands first; trees are summed in the order of their roots: 2^24 first, to which 1 adds nothing."""
    attributes = table(["LEQ", "LEAF", "LEAF"], [0.5, 0.0, 0.0], [1, 0, 0], [2, 0, 0])
    attributes["nodes_nodeids"] = [7, 1, 2]
    assert regressed(COLUMN, attributes) == [[10.0], [20.0], [20.0]]
    leaves: Attributes = {
        "nodes_treeids": [5, 2, 3],
        "nodes_nodeids": [0, 0, 0],
        "nodes_featureids": [0] * 3,
        "nodes_modes": ["LEAF"] * 3,
        "nodes_values": [0.0] * 3,
        "nodes_truenodeids": [0] * 3,
        "nodes_falsenodeids": [0] * 3,
        "target_treeids": [2, 5, 3],
        "target_nodeids": [0] * 3,
        "target_ids": [0] * 3,
        "target_weights": [1.0, 2.0**24, -(2.0**24)],
        "n_targets": 1,
    }
    assert answer("TreeEnsembleRegressor", [f32([0.0])], leaves, opset=3, **ML).tolist() == [[0.0]]


def test_cycles_are_refused() -> None:
    """A node that is its own child, two that are each other's, and two that no root leads to."""
    for true, false, modes in (
        ([0, 0], [1, 0], ["LEQ", "LEAF"]),
        ([1, 0], [1, 0], ["LEQ", "LEQ"]),
        ([1, 0, 3, 2], [1, 0, 3, 2], ["LEQ", "LEAF", "LEQ", "LEQ"]),
    ):
        attributes = {**table(modes, [0.5] * len(modes), true, false), **votes("target", (1, 0, 1.0)), "n_targets": 1}
        errors = refusals("TreeEnsembleRegressor", [COLUMN], attributes, opset=3, **ML)
        assert all("cycle" in str(error) for error in errors)
    v5 = ensemble([0], [1], [0], [0], [0], [1])
    assert all("cycle" in str(error) for error in refusals("TreeEnsemble", [COLUMN], v5, opset=5, **ML))


def test_a_long_cyclic_tree_is_refused_at_once() -> None:
    """Each of 20000 nodes leads to both of its neighbours."""
    count = 20_000
    ids = np.arange(count)
    attributes = table(["LEQ"] * count, [0.0] * count, ((ids + 1) % count).tolist(), ((ids - 1) % count).tolist())
    attributes |= {**votes("target", (0, 0, 1.0)), "n_targets": 1}
    assert len(refusals("TreeEnsembleRegressor", [COLUMN], attributes, opset=3, **ML)) == 2


def test_shared_nodes_do_not_multiply() -> None:
    """60 levels of one node whose children are both the next: 2^60 paths, 60 nodes."""
    depth = 60
    modes = ["LEQ"] * depth + ["LEAF"]
    children = [*range(1, depth + 1), 0]
    attributes = {**table(modes, [0.5] * (depth + 1), children, children), "n_targets": 1}
    attributes |= votes("target", (depth, 0, 3.0))
    assert answer("TreeEnsembleRegressor", [COLUMN], attributes, opset=3, **ML).tolist() == [[3.0]] * 3


@pytest.mark.parametrize(
    "damage",
    [
        {"nodes_nodeids": [0, 1, 1]},  # twice
        {"nodes_truenodeids": [9, 0, 0]},  # no such child
        {"nodes_falsenodeids": [-1, 0, 0]},
        {"nodes_featureids": [1, 0, 0]},  # X has one feature
        {"nodes_featureids": [-1, 0, 0]},
        {"nodes_featureids": [2**40, 0, 0]},
        {"nodes_modes": ["BRANCH_MEMBER", "LEAF", "LEAF"]},
        {"nodes_values": [0.5]},
        {"nodes_missing_value_tracks_true": [1]},
        {"target_nodeids": [1, 9]},  # no such leaf
        {"target_ids": [0, 1]},  # no such target
        {"target_ids": [0, -1]},
        {"n_targets": 0},
        {"aggregate_function": "MEDIAN"},
        {"post_transform": "TANH"},
    ],
    ids=str,
)
def test_malformed_tables_are_refused(damage: Attributes) -> None:
    refusals("TreeEnsembleRegressor", [COLUMN], {"n_targets": 1, **TWO, **stump(), **damage}, opset=3, **ML)


def test_votes_of_inner_nodes() -> None:
    more = votes("target", (0, 0, 1000.0), (1, 0, 10.0), (2, 0, 20.0))
    assert regressed(COLUMN, stump(), **more) == [[10.0], [20.0], [20.0]]


def test_targets_without_votes() -> None:
    for function in ("SUM", "MIN", "MAX", "AVERAGE"):
        more = {"n_targets": 2, "base_values": [0.5, 0.25], "aggregate_function": function}
        assert regressed(COLUMN, stump(), **more) == [[10.5, 0.25], [20.5, 0.25], [20.5, 0.25]]


def test_base_values() -> None:
    for base in ([1.0, 2.0], [1.0, 2.0, 3.0]):
        refusals(
            "TreeEnsembleRegressor", [COLUMN], {"n_targets": 1, **TWO, **stump(), "base_values": base}, opset=3, **ML
        )
    for base, refused in (([1.0], False), ([1.0, 2.0], False), ([1.0] * 3, True)):
        attributes = {**stump(), **votes("class", (1, 0, 0.25), (2, 0, 0.75)), "classlabels_int64s": [7, 8]}
        attributes["base_values"] = base
        if refused:
            refusals("TreeEnsembleClassifier", [COLUMN], attributes, opset=3, **ML)
        else:
            label, z = answers("TreeEnsembleClassifier", [COLUMN], attributes, opset=3, n_outputs=2, **ML)
            same(z, [[-0.25, 1.25], [-0.75, 1.75], [-0.75, 1.75]], np.float32)
            same(label, [8, 8, 8], np.int64)


def classified(attributes: Attributes, x: Any = COLUMN) -> tuple[list[Any], list[Any]]:
    attributes = {"classlabels_int64s": [7, 8], **attributes}
    label, z = answers("TreeEnsembleClassifier", [x], attributes, opset=3, n_outputs=2, **ML)
    return label.tolist(), z.tolist()


def test_one_score_for_two_classes() -> None:
    positive = {**stump(), **votes("class", (1, 0, 0.25), (2, 0, 0.75))}
    assert classified(positive) == ([7, 8, 8], [[0.75, 0.25], [0.25, 0.75], [0.25, 0.75]])
    mixed = {**stump(), **votes("class", (1, 0, -0.25), (2, 0, 0.75))}
    assert classified(mixed) == ([7, 8, 8], [[0.25, -0.25], [-0.75, 0.75], [-0.75, 0.75]])
    label, z = classified({**positive, "post_transform": "LOGISTIC"})
    assert label == [8, 8, 8]  # the score is a logit, and above 0
    assert np.allclose(z, [[0.4378235, 0.5621765], [0.3208213, 0.6791787], [0.3208213, 0.6791787]])
    label, z = classified({**positive, "post_transform": "PROBIT"})
    assert label == [7, 8, 8]
    assert np.allclose(z[0], [0.6744898, -0.6744898], atol=2e-3)
    label, z = classified({**mixed, "post_transform": "SOFTMAX"})
    assert np.allclose(z[1], [np.exp(-1.5) / (1 + np.exp(-1.5)), 1 / (1 + np.exp(-1.5))])


def test_two_classes_that_are_voted_for() -> None:
    both = votes("class", (1, 0, 0.25), (1, 1, 0.5), (2, 0, 0.75), (2, 1, 0.5))
    assert classified({**stump(), **both}) == ([8, 7, 7], [[0.25, 0.5], [0.75, 0.5], [0.75, 0.5]])
    second = votes("class", (1, 1, -0.25), (2, 1, 0.25))
    assert classified({**stump(), **second}) == ([7, 8, 8], [[0.0, -0.25], [0.0, 0.25], [0.0, 0.25]])


def test_ties_and_single_classes() -> None:
    ties = votes("class", (1, 2, 0.5), (1, 1, 0.5), (2, 1, -0.5))
    attributes = {**stump(), **ties, "classlabels_int64s": [7, 8, 9]}
    assert classified(attributes) == ([8, 7, 7], [[0.0, 0.5, 0.5], [0.0, -0.5, 0.0], [0.0, -0.5, 0.0]])
    one = {**stump(), **votes("class", (1, 0, -1.0), (2, 0, 1.0)), "classlabels_int64s": [7]}
    assert classified(one) == ([7, 7, 7], [[-1.0], [1.0], [1.0]])


def test_labels_come_before_the_transform() -> None:
    """SOFTMAX_ZERO leaves zeros zero, so a negative score rises above them."""
    attributes = {**stump(), **votes("class", (1, 1, -0.5), (2, 1, -1.0)), "classlabels_int64s": [7, 8, 9]}
    label, z = classified({**attributes, "post_transform": "SOFTMAX_ZERO"})
    assert label == [7, 7, 7]
    assert z == [[0.0, 1.0, 0.0]] * 3


def test_linear_classifier_of_one_row() -> None:
    attributes: Attributes = {"coefficients": [2.0], "intercepts": [-1.5], "classlabels_strings": ["no", "yes"]}
    label, z = answers("LinearClassifier", [COLUMN], attributes, opset=1, n_outputs=2, **ML)
    assert label.tolist() == ["no", "yes", "yes"]
    same(z, [[1.5, -1.5], [-0.5, 0.5], [-2.5, 2.5]], np.float32)


def test_no_intercepts() -> None:
    attributes: Attributes = {"coefficients": [2.0, 1.0], "classlabels_ints": [3, 4]}
    label, z = answers("LinearClassifier", [COLUMN], attributes, opset=1, n_outputs=2, **ML)
    same(z, [[0.0, 0.0], [2.0, 1.0], [4.0, 2.0]], np.float32)
    same(label, [3, 3, 3], np.int64)
    same(answer("LinearRegressor", [COLUMN], {"coefficients": [2.0]}, opset=1, **ML), [[0.0], [2.0], [4.0]], np.float32)


def probit(*p: float) -> Any:
    attributes = {"coefficients": [1.0], "post_transform": "PROBIT"}
    return answer("LinearRegressor", [np.array(p)[:, None]], attributes, opset=1, **ML)[:, 0]


def test_probit() -> None:
    same(probit(0.0, 1.0, 0.5, -0.5, 1.5, NAN), [-INF, INF, 0.0, NAN, NAN, NAN])
    found, expected = probit(1e-6, 0.025, 0.4999, 0.501, 0.975), [-4.75342, -1.95996, -2.50663e-4, 2.50663e-3, 1.95996]
    assert np.abs(found / np.array(expected) - 1).max() < 4e-3


def test_softmax_zero_of_zeros() -> None:
    attributes = {"coefficients": [0.0, 0.0, 0.0], "targets": 3, "post_transform": "SOFTMAX_ZERO"}
    same(answer("LinearRegressor", [f32([1.0])], attributes, opset=1, **ML), [[0.5, 0.5, 0.5]], np.float32)


def test_svm_classifier_conventions() -> None:
    pairs: Attributes = {
        "kernel_type": "LINEAR",
        "vectors_per_class": [1, 1, 1],
        "support_vectors": [1.0, 2.0, 4.0],
        "coefficients": [1.0, 10.0, 100.0, 1000.0, 1e4, 1e5],
        "rho": [0.5, 0.25, -1e6],
        "classlabels_ints": [7, 8, 9],
    }
    label, z = answers("SVMClassifier", [f32([1.0])], pairs, opset=1, n_outputs=2, **ML)
    # (0, 1): rows 0 and 0; (0, 2): rows 1 and 0; (1, 2): rows 1 and 1.
    same(z, [[1 + 20 + 0.5, 1000 + 400 + 0.25, 20000 + 400000 - 1e6]], np.float32)
    same(label, [7], np.int64)
    two = {**pairs, "vectors_per_class": [1, 2], "coefficients": [1.0, -10.0, 0.0], "classlabels_ints": [7, 8]}
    label, z = answers("SVMClassifier", [f32([1.0])], two, opset=1, n_outputs=2, **ML)
    same(z, [[18.5, -18.5]], np.float32)
    same(label, [8], np.int64)  # a negative score votes for the second
    linear: Attributes = {"coefficients": [5.0, 2.0], "rho": [1.0], "classlabels_ints": [7, 8]}
    label, z = answers("SVMClassifier", [f32([1.0])], linear, opset=1, n_outputs=2, **ML)
    same(z, [[6.0, 3.0]], np.float32)
    same(label, [7], np.int64)


def test_svm_transforms() -> None:
    linear: Attributes = {"coefficients": [0.0], "rho": [0.0], "post_transform": "LOGISTIC"}
    same(answer("SVMRegressor", [f32([1.0])], linear, opset=1, **ML), [[0.5]], np.float32)
    same(
        answer("SVMRegressor", [f32([1.0])], {**linear, "one_class": 1, "rho": [-1.0]}, opset=1, **ML).round(4),
        [[0.2689]],
    )
    two: Attributes = {
        "vectors_per_class": [1, 1],
        "support_vectors": [1.0, 1.0],
        "coefficients": [0.0, 0.0],
        "rho": [0.0],
        "classlabels_ints": [7, 8],
        "post_transform": "SOFTMAX",
    }
    same(answers("SVMClassifier", [f32([1.0])], two, opset=1, n_outputs=2, **ML)[1], [[0.5, 0.5]], np.float32)


def test_normalizer() -> None:
    x = f32([1.0, -2.0, -4.0], [0.0, -0.0, 0.0], [-1.0, -2.0, -4.0])
    same(answer("Normalizer", [x], {"norm": "MAX"}, opset=1, **ML), [[1, -2, -4], [0, -0.0, 0], [1, 2, 4]], np.float32)
    expected = np.abs(x).sum(axis=1)[:, None]
    same(answer("Normalizer", [x[[0, 2]]], {"norm": "L1"}, opset=1, **ML), x[[0, 2]] / expected[[0, 2]])
    length = np.sqrt(np.float32(21))
    same(answer("Normalizer", [x], {"norm": "L2"}, opset=1, **ML), [x[0] / length, x[1], x[2] / length])


def test_features_are_the_last_axis() -> None:
    x = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    attributes: Attributes = {"offset": [1.0, 2.0], "scale": [1.0, 10.0]}
    same(answer("Scaler", [x], attributes, opset=1, **ML), (x - f32(1, 2)) * f32(1, 10))
    imputed: Attributes = {"imputed_value_floats": [100.0, 200.0], "replaced_value_float": 5.0}
    same(answer("Imputer", [x], imputed, opset=1, **ML), np.where(x == 5, 200, x), np.float32)
    refusals("Scaler", [x], {"offset": [1.0, 2.0, 3.0], "scale": [1.0] * 3}, opset=1, **ML)


def test_imputer_kinds() -> None:
    refusals("Imputer", [f32([1.0])], {"imputed_value_int64s": [1]}, opset=1, **ML)
    refusals("Imputer", [np.array([[1]], np.int32)], {"imputed_value_int64s": [2**31]}, opset=1, **ML)
    refusals("Imputer", [f32([1.0])], {}, opset=1, **ML)
    nan: Attributes = {"imputed_value_floats": [7.0], "replaced_value_float": NAN}
    same(answer("Imputer", [f32([NAN, 1.0])], nan, opset=1, **ML), [[7, 1]], np.float32)


def test_binarizer_compares_integers_exactly() -> None:
    x = np.array([2**53, 2**53 + 1, -(2**63), 2**63 - 1, 0])
    same(answer("Binarizer", [x], {"threshold": 2.0**53}, opset=1, **ML), [0, 1, 0, 1, 0])
    same(answer("Binarizer", [x], {"threshold": -0.5}, opset=1, **ML), [1, 1, 0, 1, 1])
    same(answer("Binarizer", [x], {"threshold": NAN}, opset=1, **ML), [0] * 5)


def test_label_encoder_keys() -> None:
    x = np.array([0x0, 0x80000000, 0x7FC00000, 0x7FC00001, 0x3F800000], np.uint32).view(np.float32)
    attributes: Attributes = {"keys_floats": [-0.0, NAN, 1.0], "values_int64s": [5, 6, 7]}
    same(answer("LabelEncoder", [x], attributes, opset=2, **ML), [-1, 5, 6, -1, 7], np.int64)
    same(answer("LabelEncoder", [x], attributes, opset=4, **ML), [5, 5, 6, 6, 7], np.int64)
    refusals("LabelEncoder", [np.array([1])], attributes, opset=4, **ML)
    refusals("LabelEncoder", [x], {**attributes, "values_int64s": [5]}, opset=4, **ML)
    refusals("LabelEncoder", [x], {**attributes, "keys_int64s": [5]}, opset=4, **ML)
    refusals("LabelEncoder", [x], {"values_int64s": [5]}, opset=2, **ML)


def test_the_last_of_equal_keys_counts() -> None:
    x = np.array(["a", "b"], object)
    for opset in (2, 4):
        attributes: Attributes = {"keys_strings": ["a", "b", "a"], "values_int64s": [1, 2, 3]}
        same(answer("LabelEncoder", [x], attributes, opset=opset, **ML), [3, 2], np.int64)
    same(answer("LabelEncoder", [x], {"classes_strings": ["a", "b", "a"]}, opset=1, **ML), [2, 1], np.int64)
    both: Attributes = {"cats_strings": ["a", "b", "a"], "cats_int64s": [1, 2, 3]}
    same(answer("CategoryMapper", [x], both, opset=1, **ML), [3, 2], np.int64)
    same(answer("OneHotEncoder", [x[:1]], {"cats_strings": ["a", "b", "a"]}, opset=1, **ML), [[0, 0, 1]], np.float32)


def test_label_encoder_defaults() -> None:
    x = np.array([9])
    for values, expected in (
        (np.array([1], np.int16), [-1]),
        (np.array([1], np.int32), [-1]),
        (np.array([1.0]), [-0.0]),
        (np.array([1.0], np.float32), [1.5]),
    ):
        attributes: Attributes = {"keys_int64s": [1], "values_tensor": values, "default_float": 1.5}
        same(answer("LabelEncoder", [x], attributes, opset=4, **ML), expected, values.dtype)
        attributes["default_tensor"] = np.array([4], values.dtype)
        same(answer("LabelEncoder", [x], attributes, opset=4, **ML), [4], values.dtype)
        refusals("LabelEncoder", [x], {**attributes, "default_tensor": np.array([4], np.uint8)}, opset=4, **ML)


def test_one_hot_encoder_casts() -> None:
    attributes: Attributes = {"cats_int64s": [0, 1, 2]}
    found = answer("OneHotEncoder", [f32(1.5, NAN, -0.5, 3.0)], attributes, opset=1, **ML)
    same(found, [[0, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]], np.float32)
    refusals("OneHotEncoder", [f32(3.0)], {**attributes, "zeros": 0}, opset=1, **ML)
    refusals("OneHotEncoder", [np.array(["1"], object)], attributes, opset=1, **ML)


def test_feature_vectorizer() -> None:
    vector, matrix = f32(1, 2), f32([3])
    same(answer("FeatureVectorizer", [vector, matrix], {"inputdimensions": [3, 1]}, opset=1, **ML), [[1, 2, 0, 3]])
    same(answer("FeatureVectorizer", [vector, matrix], {"inputdimensions": [1, 1]}, opset=1, **ML), [[1, 3]])
    same(answer("FeatureVectorizer", [vector, matrix], opset=1, **ML), [[1, 2, 3]])
    refusals("FeatureVectorizer", [vector, f32([3], [4])], opset=1, **ML)
    refusals("FeatureVectorizer", [vector], {"inputdimensions": [1, 1]}, opset=1, **ML)


def test_array_feature_extractor() -> None:
    x = f32([1, 2, 3], [4, 5, 6])
    same(answer("ArrayFeatureExtractor", [x, np.array([[2, 0]])], opset=1, **ML), [[3, 1], [6, 4]])
    same(answer("ArrayFeatureExtractor", [x[0], np.array([2, 0])], opset=1, **ML), [[3, 1]])
    for index in (-1, 3):
        refusals("ArrayFeatureExtractor", [x, np.array([index])], opset=1, **ML)


def test_dict_vectorizer() -> None:
    x = {"b": np.float32(2), "z": np.float32(9)}
    found = answer("DictVectorizer", [x], {"string_vocabulary": ["a", "b", "b"]}, opset=1, **ML)
    same(found, [0, 2, 2], np.float32)
    refusals("DictVectorizer", [x], {"int64_vocabulary": [1]}, opset=1, **ML)


def test_cast_map() -> None:
    x = {5: np.float32(1.5), -1: np.float32(-7)}
    same(answer("CastMap", [x], opset=1, **ML), [[-7, 1.5]], np.float32)
    same(answer("CastMap", [x], {"cast_to": "TO_INT64"}, opset=1, **ML), [[-7, 1]], np.int64)
    assert answer("CastMap", [x], {"cast_to": "TO_STRING"}, opset=1, **ML).tolist() == [["-7.0", "1.5"]]
    sparse: Attributes = {"map_form": "SPARSE", "max_map": 3}
    y = {2: "4", 0: "1"}
    same(answer("CastMap", [y], sparse, opset=1, **ML), [[1, 0, 4]], np.float32)
    assert answer("CastMap", [y], {**sparse, "cast_to": "TO_STRING"}, opset=1, **ML).tolist() == [["1", "0.f", "4"]]
    for wrong in (x, {3: "1"}):
        refusals("CastMap", [wrong], sparse, opset=1, **ML)
    refusals("CastMap", [{0: "no number"}], opset=1, **ML)


def ensemble(
    true: list[int],
    true_leafs: list[int],
    false: list[int],
    false_leafs: list[int],
    roots: list[int],
    features: list[int],
) -> Attributes:
    """A TreeEnsemble with two leaves, 10 and 20, and `x <= 0.5` at each node."""
    return {
        "nodes_truenodeids": true,
        "nodes_trueleafs": true_leafs,
        "nodes_falsenodeids": false,
        "nodes_falseleafs": false_leafs,
        "tree_roots": roots,
        "nodes_featureids": [0] * len(true),
        "nodes_modes": np.zeros(len(true), np.uint8),
        "nodes_splits": np.full(len(true), 0.5, np.float32),
        "leaf_targetids": [0, 0],
        "leaf_weights": f32(10, 20),
        "n_targets": 1,
    }


def test_tree_ensemble_of_one_leaf() -> None:
    """A tree that is a leaf has a node whose branches are that leaf; a root may come twice."""
    attributes = ensemble([1], [1], [1], [1], [0, 0], [0])
    same(answer("TreeEnsemble", [COLUMN], attributes, opset=5, **ML), [[40]] * 3, np.float32)
    for damage in (
        {"tree_roots": []},
        {"tree_roots": [1]},
        {"nodes_truenodeids": [2]},
        {"nodes_modes": np.array([7], np.uint8)},
        {"nodes_modes": np.array([0], np.int64)},
        {"nodes_splits": np.array([0.5])},  # double, X is float
        {"leaf_targetids": [0, 1]},
        {"membership_values": f32(1.0)},  # no set ends
        {"membership_values": f32(1.0, NAN)},  # a set, and no node for it
        {"aggregate_function": 4},
        {"post_transform": -1},
    ):
        refusals("TreeEnsemble", [COLUMN], {**attributes, **damage}, opset=5, **ML)


def test_membership() -> None:
    """The sets belong to the nodes that ask, in the order of the nodes."""
    attributes = ensemble([0, 0], [1, 1], [1, 1], [0, 1], [0], [0])
    attributes |= {"nodes_modes": np.array([6, 6], np.uint8), "membership_values": f32(3, 1, NAN, NAN)}
    x = f32([1.0], [2.0], [3.0], [NAN])
    same(answer("TreeEnsemble", [x], attributes, opset=5, **ML), [[10], [20], [10], [20]], np.float32)
    attributes["nodes_missing_value_tracks_true"] = [1, 0]
    same(answer("TreeEnsemble", [x], attributes, opset=5, **ML), [[10], [20], [10], [10]], np.float32)


def test_no_rows_need_no_room() -> None:
    """However many targets there are."""
    attributes = {**TWO, **stump(), "n_targets": 2**40, "aggregate_function": "MIN"}
    y = answer("TreeEnsembleRegressor", [np.zeros((0, 1), np.float32)], attributes, opset=3, **ML)
    assert y.shape == (0, 2**40)


def test_doubles_beside_floats() -> None:
    """binary32's 0.1 lies above binary64's."""
    attributes = {**stump(), "nodes_values_as_tensor": np.array([0.1, 0.0, 0.0])}
    del attributes["nodes_values"]
    assert regressed(f32([0.1]), attributes) == [[10.0]]
    wide = answer(
        "TreeEnsembleRegressor", [f32([0.1]).astype(float)], {"n_targets": 1, **TWO, **attributes}, opset=3, **ML
    )
    same(wide, [[20]], np.float32)
    refusals(
        "TreeEnsembleRegressor",
        [f32([0.1])],
        {"n_targets": 1, **TWO, **attributes, "nodes_values": [0.0]},
        opset=3,
        **ML,
    )
