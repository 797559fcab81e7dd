"""Whole models: the digit classifier and the architectures of tools/models, small ones on both panels."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx

import diptych

from .panels import PANELS, engine_only, runner

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # for tools, which no distribution carries
from tools.models.architectures import ARCHITECTURES, build  # noqa: E402

DIGITS = ROOT / "examples" / "digits"


class Run:
    """One run at a planned shape."""

    params = [PANELS, list(ARCHITECTURES), ["small", "full"]]
    param_names = ["panel", "model", "size"]
    version = "1"
    timeout = 300

    def setup(self, panel, model, size):
        engine_only(panel, size == "full")
        small = size == "small"
        feeds = ARCHITECTURES[model].feeds(np.random.default_rng(0), small)
        self.run = runner(panel, build(model, small=small), feeds)

    def time_run(self, panel, model, size):
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
    """From bytes to a session of the engine."""

    params = [["resnet50", "bilstm_tagger"]]
    param_names = ["model"]
    version = "1"

    def setup(self, model):
        self.content = build(model).SerializeToString()

    def time_load(self, model):
        diptych.InferenceSession(self.content)
