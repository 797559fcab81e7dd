"""Engines for tests: each misbehaves in one way that its option names."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from diptych.engines import Engine, Run
from diptych.engines.panels import ReferenceEngine


class Misbehaving(Engine):
    """The reference, except that a run of a model with a node of `of` does what `does` says."""

    name = "misbehaving"
    takes: Mapping[str, str] = {
        "does": "abort, exit, hang, refuse, raise or lambda",
        "of": "operator type; default any",
    }

    def prepare(self, model: bytes | Path) -> Run:
        right = ReferenceEngine().prepare(model)
        proto = onnx.load_from_string(model) if isinstance(model, bytes) else onnx.load(model)
        bad = self.options.get("of") in (None, *(node.op_type for node in proto.graph.node))

        def run(feeds: Mapping[str, Any]) -> Any:
            return self.misbehave() if bad else right(feeds)

        return run

    def misbehave(self) -> Any:
        does = self.options["does"]
        if does == "abort":
            print("last words", file=sys.stderr, flush=True)
            os.abort()
        elif does == "exit":
            sys.exit(3)
        elif does == "hang":
            time.sleep(3600)
        elif does == "refuse":
            raise NotImplementedError("not this one")
        elif does == "raise":
            raise ValueError("on\ntwo lines")
        return [lambda: np.zeros(1)]
