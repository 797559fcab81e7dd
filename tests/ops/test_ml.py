"""ai.onnx.ml beside ONNX Runtime, scikit-learn and long double; rows do not depend on the rows around them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import helper

from diptych.testing import Case, difference, engine_paths, on_engine, on_reference
from diptych.testing.cases import draw_case
from diptych.testing.draws import Seeded
from diptych.testing.schema import row

onnxruntime.set_default_logger_severity(4)
ML = "ai.onnx.ml"
Attributes = dict[str, Any]
Array = np.ndarray[Any, Any]


def equal_panels(op_type: str, x: Array, attributes: Attributes, opset: int, n_outputs: int = 1) -> Case:
    """A case on which the panels agree on every path."""
    case = Case(op_type, ML, opset, (x,), attributes, n_outputs)
    expected = on_reference(case)
    assert expected.error is None, expected.error
    for path in engine_paths():
        problem = difference(expected, on_engine(case, *path))
        assert not problem, f"{path}: {problem}"
    return case


def beside_onnxruntime(case: Case) -> tuple[list[Any], list[Any]]:
    """The engine's outputs and ONNX Runtime's."""
    model = case.model()
    model.opset_import.append(helper.make_opsetid("", 21))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(on_engine(case, threads=2).outputs), session.run(None, case.feeds())


def forest(seed: int, trees: int, depth: int, features: int, classes: int, modes: tuple[str, ...]) -> Attributes:
    """Full trees: thresholds on a grid that features meet, votes of every leaf for every class."""
    random = np.random.default_rng(seed)
    inner, total = 2**depth - 1, 2 ** (depth + 1) - 1
    node = np.arange(total)
    leaf = node >= inner
    count = trees * total
    weights = random.dirichlet(np.ones(classes), trees * (total - inner)).astype(np.float32) / np.float32(trees)
    return {
        "nodes_treeids": np.repeat(np.arange(trees), total).tolist(),
        "nodes_nodeids": np.tile(node, trees).tolist(),
        "nodes_featureids": random.integers(0, features, count).tolist(),
        "nodes_modes": ["LEAF" if end else str(random.choice(modes)) for end in np.tile(leaf, trees)],
        "nodes_values": (random.integers(-20, 21, count) / np.float32(16)).tolist(),
        "nodes_truenodeids": np.tile(np.where(leaf, 0, 2 * node + 1), trees).tolist(),
        "nodes_falsenodeids": np.tile(np.where(leaf, 0, 2 * node + 2), trees).tolist(),
        "class_treeids": np.repeat(np.arange(trees), (total - inner) * classes).tolist(),
        "class_nodeids": np.tile(np.repeat(node[leaf], classes), trees).tolist(),
        "class_ids": np.tile(np.arange(classes), trees * (total - inner)).tolist(),
        "class_weights": weights.reshape(-1).tolist(),
    }


@pytest.mark.parametrize(
    "modes",
    [("BRANCH_LEQ",), ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ")],
    ids=["leq", "mixed"],
)
def test_a_forest(modes: tuple[str, ...]) -> None:
    """100 trees of depth 8, three classes, 300 rows on the thresholds' grid with missing values."""
    random = np.random.default_rng(7)
    x = (random.integers(-24, 25, (300, 30)) / np.float32(16)).astype(np.float32)
    x[random.random(x.shape) < 0.02] = np.nan
    attributes = {**forest(1, 100, 8, 30, 3, modes), "classlabels_int64s": [5, 6, 7]}
    attributes["nodes_missing_value_tracks_true"] = random.integers(0, 2, len(attributes["nodes_modes"])).tolist()
    case = equal_panels("TreeEnsembleClassifier", x, attributes, 3, 2)
    ours, theirs = beside_onnxruntime(case)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=0, atol=100 * 2.0**-24)
    top = np.sort(ours[1], axis=1)
    clear = top[:, -1] - top[:, -2] > 1e-5
    np.testing.assert_array_equal(ours[0][clear], theirs[0][clear])
    assert clear.mean() > 0.9


def below(threshold: Any) -> np.float32:
    """The greatest binary32 number that is not above: to binary32 features it is the same threshold."""
    near = np.float32(threshold)
    return near if near <= threshold else np.nextafter(near, np.float32(-np.inf))


def from_sklearn(trees: list[Any], classes: int) -> Attributes:
    """scikit-learn's trees as ONNX has them."""
    found: dict[str, list[Any]] = {}

    def add(**values: Any) -> None:
        for name, value in values.items():
            found.setdefault(name, []).append(value)

    for number, tree in enumerate(trees):
        for node in range(tree.node_count):
            leaf = bool(tree.children_left[node] < 0)
            add(
                nodes_treeids=number,
                nodes_nodeids=node,
                nodes_featureids=max(int(tree.feature[node]), 0),
                nodes_modes="LEAF" if leaf else "BRANCH_LEQ",
                nodes_values=0.0 if leaf else float(below(tree.threshold[node])),
                nodes_truenodeids=0 if leaf else int(tree.children_left[node]),
                nodes_falsenodeids=0 if leaf else int(tree.children_right[node]),
            )
            for target in range(classes if leaf else 0):
                share = tree.value[node, 0, target] / tree.value[node, 0].sum()
                add(class_treeids=number, class_nodeids=node, class_ids=target)
                add(class_weights=float(np.float32(share / len(trees))))
    return dict(found)


def test_a_trained_forest_and_svm() -> None:
    """Models that scikit-learn trained on Iris give its predictions."""
    datasets, ensemble, svm = (pytest.importorskip(f"sklearn.{name}") for name in ("datasets", "ensemble", "svm"))
    x, y = datasets.load_iris(return_X_y=True)
    x = x.astype(np.float32)
    model = ensemble.RandomForestClassifier(20, max_depth=5, random_state=3).fit(x, y)
    attributes = {**from_sklearn([each.tree_ for each in model.estimators_], 3), "classlabels_strings": ["a", "b", "c"]}
    case = equal_panels("TreeEnsembleClassifier", x, attributes, 3, 2)
    label, z = on_engine(case).outputs
    np.testing.assert_allclose(z, model.predict_proba(x), atol=1e-6)
    assert label.tolist() == ["abc"[k] for k in model.predict(x)]
    machine = svm.SVC(gamma=0.5, C=2.0, decision_function_shape="ovo").fit(x, y)
    order = np.argsort(np.repeat(np.arange(3), machine.n_support_), kind="stable")
    attributes = {
        "kernel_type": "RBF",
        "kernel_params": [0.5, 0.0, 0.0],
        "vectors_per_class": machine.n_support_.tolist(),
        "support_vectors": machine.support_vectors_[order].astype(np.float32).reshape(-1).tolist(),
        "coefficients": machine.dual_coef_.astype(np.float32).reshape(-1).tolist(),
        "rho": machine.intercept_.astype(np.float32).tolist(),
        "classlabels_ints": [0, 1, 2],
    }
    label, z = on_engine(equal_panels("SVMClassifier", x, attributes, 1, 2)).outputs
    np.testing.assert_allclose(z, machine.decision_function(x), atol=2e-5)
    assert (label == machine.predict(x)).all()


def svm(seed: int, classes: int, kernel: str, probabilities: bool, features: int = 5) -> Attributes:
    """A machine with moderate numbers."""
    random = np.random.default_rng(seed)
    counts = random.integers(1, 7, classes)
    total, pairs = int(counts.sum()), classes * (classes - 1) // 2

    def numbers(count: int, scale: float = 1.0) -> list[float]:
        drawn: list[float] = (random.normal(size=count) * scale).astype(np.float32).tolist()
        return drawn

    attributes: Attributes = {
        "kernel_type": kernel,
        "kernel_params": [0.25, 0.5, 3.0],
        "vectors_per_class": counts.tolist(),
        "support_vectors": numbers(total * features),
        "coefficients": numbers((classes - 1) * total),
        "rho": numbers(pairs),
        "classlabels_ints": list(range(10, 10 + classes)),
    }
    if probabilities:
        attributes |= {"prob_a": [-abs(a) for a in numbers(pairs)], "prob_b": numbers(pairs, 0.1)}
    return attributes


@pytest.mark.parametrize("kernel", ["LINEAR", "POLY", "RBF", "SIGMOID"])
@pytest.mark.parametrize("classes", [2, 3, 6])
@pytest.mark.parametrize("probabilities", [False, True])
def test_support_vectors(kernel: str, classes: int, probabilities: bool) -> None:
    x = np.random.default_rng(classes).normal(size=(70, 5)).astype(np.float32)
    case = equal_panels("SVMClassifier", x, svm(classes, classes, kernel, probabilities), 1, 2)
    ours, theirs = beside_onnxruntime(case)
    scale = 1.0 if probabilities else np.abs(theirs[1]).max() + 1
    np.testing.assert_allclose(ours[1], theirs[1], rtol=0, atol=2e-5 * scale)
    assert (ours[0] == theirs[0]).mean() > 0.98  # a score of about 0 may vote otherwise


def test_coupled_probabilities_are_a_minimum() -> None:
    """They sum to 1, and where the iteration ended by its bound they solve the equations of the paper."""
    attributes = svm(4, 4, "RBF", True)
    x = np.random.default_rng(9).normal(size=(50, 5))
    z = on_engine(equal_panels("SVMClassifier", x, attributes, 1, 2)).outputs[1].astype(np.float64)
    np.testing.assert_allclose(z.sum(axis=1), 1, atol=1e-6)
    bare = {name: value for name, value in attributes.items() if name not in ("prob_a", "prob_b")}
    scores = on_engine(Case("SVMClassifier", ML, 1, (x,), bare, 2)).outputs[1].astype(np.float64)
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    for row_scores, p in zip(scores, z, strict=True):
        r = np.zeros((4, 4))
        for n, (i, j) in enumerate(pairs):
            value = 1 / (1 + np.exp(row_scores[n] * attributes["prob_a"][n] + attributes["prob_b"][n]))
            r[i, j], r[j, i] = np.clip(value, 1e-7, 1 - 1e-7), 1 - np.clip(value, 1e-7, 1 - 1e-7)
        q = -(r.T * r)
        np.fill_diagonal(q, (r**2).sum(axis=0))
        gradient = q @ p
        assert np.abs(gradient - p @ gradient).max() < 0.005 / 4 + 1e-6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_transforms(dtype: Any) -> None:
    """Each transform of ordinary scores beside long double."""
    x = np.random.default_rng(1).normal(size=(40, 5)).astype(dtype)
    x[:, 3] = 0
    w = np.longdouble(x)
    e = np.exp(w - w.max(axis=1, keepdims=True))
    zero = np.where(w == 0, 0, e)
    expected: dict[str, Callable[[], Any]] = {
        "NONE": lambda: w,
        "LOGISTIC": lambda: 1 / (1 + np.exp(-w)),
        "SOFTMAX": lambda: e / e.sum(axis=1, keepdims=True),
        "SOFTMAX_ZERO": lambda: zero / zero.sum(axis=1, keepdims=True),
        "PROBIT": lambda: winitzki(w),
    }
    for name, wanted in expected.items():
        attributes = {"coefficients": np.eye(5).reshape(-1).tolist(), "targets": 5, "post_transform": name}
        source = np.clip(x, 0.001, 0.999).astype(dtype) if name == "PROBIT" else x
        w = np.longdouble(source)
        y = on_engine(equal_panels("LinearRegressor", source, attributes, 1)).outputs[0]
        # 1 - (2p - 1)^2 loses what is small beside 1.
        loss = {"rtol": 1e-4, "atol": 1e-6} if name == "PROBIT" else {"rtol": 2e-6, "atol": 1e-7}
        np.testing.assert_allclose(y.astype(np.longdouble), wanted(), **loss)


def winitzki(p: Any) -> Any:
    """The formula that others evaluate, in long double."""
    t = 2 * p - 1
    log, a = np.log((1 - t) * (1 + t)), np.longdouble(0.147)
    v = 2 / (np.longdouble(np.pi) * a) + log / 2
    return np.sqrt(2 * (np.sqrt(v * v - log / a) - v)) * np.sign(t)


@pytest.mark.parametrize(
    ("op_type", "since"),
    [
        ("TreeEnsemble", 5),
        ("TreeEnsembleRegressor", 3),
        ("TreeEnsembleClassifier", 3),
        ("LinearClassifier", 1),
        ("LinearRegressor", 1),
        ("SVMClassifier", 1),
        ("SVMRegressor", 1),
        ("Normalizer", 1),
    ],
)
def test_rows_stand_alone(op_type: str, since: int) -> None:
    """A row gives the same bits alone as in a batch of 150, whatever path that takes."""
    for seed in range(12):
        case = draw_case(Seeded(seed), row(op_type, since, ML), np.dtype(np.float32))
        features = case.inputs[0].shape[-1]
        x = np.random.default_rng(seed).normal(size=(150, features)).astype(np.float32)
        if case.inputs[0].size:
            x[::7] = case.inputs[0].reshape(-1, features)[0]
        batch = on_engine(dataclasses.replace(case, inputs=(x,)), threads=2)
        assert batch.error is None
        for i in (0, 3, 7, 77, 149):
            alone = on_engine(dataclasses.replace(case, inputs=(x[i],)))
            own = dataclasses.replace(batch, outputs=tuple(output[i : i + 1] for output in batch.outputs))
            if op_type == "Normalizer":
                own = dataclasses.replace(own, outputs=(own.outputs[0][0],))
            problem = difference(own, alone)
            assert not problem, f"seed {seed}, row {i}: {problem}"


def test_two_shapes_in_one_session() -> None:
    """Coefficients of six numbers are one row for six features and two for three."""
    import diptych

    attributes = {"coefficients": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "classlabels_ints": [3, 4]}
    model = Case("LinearClassifier", ML, 1, (np.ones((1, 6), np.float32),), attributes, 2).model()
    session = diptych.InferenceSession(model.SerializeToString())
    for _ in range(2):
        assert session.run(["y1"], {"x0": np.ones((1, 6), np.float32)})[0].tolist() == [[-21.0, 21.0]]
        assert session.run(["y1"], {"x0": np.ones((1, 3), np.float32)})[0].tolist() == [[6.0, 15.0]]
