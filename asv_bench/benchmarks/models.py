"""Whole models: the digit classifier and the architectures of tools/models, small ones on both panels."""

from __future__ import annotations

import numpy as np
import onnx
from tools.models.architectures import ARCHITECTURES, build
from tools.speed.callgrind import count_runs, has_callgrind

from diptych.compare import compare

from . import ROOT
from .panels import PANELS, engine_only, prepared, runner

DIGITS = ROOT / "examples" / "digits"
SIZES = ["small", "full"]


def model_and_feeds(model, size):
    small = size == "small"
    return build(model, small=small), ARCHITECTURES[model].feeds(np.random.default_rng(0), small)


class Run:
    """One run at a planned shape, and the greatest memory of a process that loads and runs the model once."""

    params = [PANELS, list(ARCHITECTURES), SIZES]
    param_names = ["panel", "model", "size"]
    version = "1"
    timeout = 300

    def setup(self, panel, model, size):
        engine_only(panel, size == "full")
        self.run = runner(panel, *model_and_feeds(model, size))

    def time_run(self, panel, model, size):
        self.run()

    def peakmem_run(self, panel, model, size):
        self.run()


class Digits:
    """The example of the README, one image and 64."""

    params = [PANELS, [1, 64]]
    param_names = ["panel", "batch"]
    version = "1"

    def setup(self, panel, batch):
        image = np.load(sorted((DIGITS / "images").glob("*.npy"))[0])
        feeds = {"image": np.repeat(image, batch, axis=0)}
        self.run = runner(panel, onnx.load(DIGITS / "digits.onnx"), feeds)

    def time_run(self, panel, batch):
        self.run()


class Load:
    """From bytes to a session, and to the outputs of a first run."""

    params = [PANELS, list(ARCHITECTURES), SIZES]
    param_names = ["panel", "model", "size"]
    version = "1"
    timeout = 300

    def setup(self, panel, model, size):
        engine_only(panel, size == "full")
        built, self.feeds = model_and_feeds(model, size)
        self.content = built.SerializeToString()

    def time_load(self, panel, model, size):
        prepared(panel, self.content)

    def time_first_run(self, panel, model, size):
        prepared(panel, self.content)(self.feeds)


class Instructions:
    """Instructions of one run of the small variants, counted by callgrind with AVX2."""

    params = [PANELS, list(ARCHITECTURES)]
    param_names = ["panel", "model"]
    version = "1"
    unit = "instructions"
    timeout = 1800

    def setup(self, panel, model):
        if not has_callgrind():
            raise NotImplementedError

    def track_instructions(self, panel, model):
        built, feeds = model_and_feeds(model, "small")
        (count,) = count_runs(panel, [(built.SerializeToString(), feeds)])
        if count is None:
            raise RuntimeError(f"{model} does not run on the {panel} under callgrind")
        return count


class Agreement:
    """Output elements of the small variants in which the panels' bits differ; the promise is 0."""

    params = [list(ARCHITECTURES)]
    param_names = ["model"]
    version = "1"
    unit = "elements"
    timeout = 300

    def track_differing(self, model):
        built, feeds = model_and_feeds(model, "small")
        engine, reference = (prepared(panel, built.SerializeToString())(feeds) for panel in PANELS)
        found = [compare(a, b) for a, b in zip(reference, engine, strict=True)]
        return sum(0 if result.equal else max(result.elements, 1) for result in found)
