"""The example, end to end: the checked-in model, its images, both panels, and scikit-learn's held-out digits."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

import diptych
from diptych.compare import compare
from diptych_reference import ReferenceSession

FOLDER = Path(__file__).parents[2] / "examples" / "digits"
MODEL = FOLDER / "digits.onnx"


@pytest.fixture(scope="module")
def held_out() -> tuple[np.ndarray, np.ndarray]:
    pytest.importorskip("sklearn", reason="the digits come from scikit-learn")
    split = runpy.run_path(str(FOLDER / "train.py"))["split"]
    _, _, images, labels = split()
    return images, labels


def test_held_out_accuracy_is_at_least_97_percent(held_out: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = held_out
    (probability,) = diptych.InferenceSession(MODEL).run(None, {"image": images})
    assert (probability.argmax(axis=1) == labels).mean() >= 0.97


def test_reference_agrees_with_the_stated_accuracy(held_out: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = held_out
    (probability,) = ReferenceSession(MODEL).run(None, {"image": images})
    stated = diptych.InferenceSession(MODEL).get_modelmeta().custom_metadata_map["held_out_accuracy"]
    assert f"{(probability.argmax(axis=1) == labels).mean():.4f}" == stated


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("passes", [True, False], ids=["passes", "no passes"])
@pytest.mark.parametrize("isa", diptych.available_isas())
def test_panels_agree_to_the_bit(held_out: tuple[np.ndarray, np.ndarray], isa: str, passes: bool, threads: int) -> None:
    images, _ = held_out
    options = diptych.SessionOptions(isa=isa, threads=threads)
    if not passes:
        options.graph_optimization_level = diptych.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = diptych.InferenceSession(MODEL, options)
    for batch in (images[:1], images[:7], images[:64]):
        (expected,) = ReferenceSession(MODEL).run(None, {"image": batch})
        (actual,) = session.run(None, {"image": batch})
        assert compare(expected, actual).problem == ""


def test_a_row_does_not_depend_on_its_batch(held_out: tuple[np.ndarray, np.ndarray]) -> None:
    images, _ = held_out
    session = diptych.InferenceSession(MODEL)
    (together,) = session.run(None, {"image": images[:17]})
    for i in range(17):
        (alone,) = session.run(None, {"image": images[i : i + 1]})
        assert compare(together[i : i + 1], alone).problem == ""


def test_the_sample_images_are_held_out_images(held_out: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = held_out
    for file in sorted((FOLDER / "images").glob("*.npy")):
        first = int(np.flatnonzero(labels == int(file.stem))[0])
        np.testing.assert_array_equal(np.load(file), images[first : first + 1])


def test_demo_prints_the_table_and_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    demo = runpy.run_path(str(FOLDER / "demo.py"), run_name="demo")
    assert demo["main"]() == 0
    printed = capsys.readouterr().out
    assert "10 images: the panels agree to the last bit." in printed
    assert printed.count("320 of 320") == 10
