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
from diptych_reference import ReferenceSession
from diptych_reference.inline import inline
from diptych_reference.model import Node
from diptych_reference.session import Evaluation


class Misbehaving(Engine):
    """The reference, except that a run of a model with a node of `of` does what `does` says."""

    name = "misbehaving"
    takes: Mapping[str, str] = {
        "does": "abort, exit, fork, hang, refuse, raise or lambda",
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
        elif does == "fork":
            if os.fork():
                os.abort()
            time.sleep(3600)
        elif does == "hang":
            time.sleep(3600)
        elif does == "refuse":
            raise NotImplementedError("not this one")
        elif does == "raise":
            raise ValueError("on\ntwo lines")
        return [lambda: np.zeros(1)]


class Planted(Engine):
    """The reference with one fault in every node of an operator type, as another engine might have it.

    `node`, a name, plants it in that node alone. Faults: "value" adds 1 to the last element, "nan" loses NaN, "dtype"
    gives binary64, "shape" drops the last row, "error" raises.
    """

    name = "planted"
    takes: Mapping[str, str] = {"fault": "value, nan, dtype, shape, swap", "op": "operator type", "node": "its name"}

    def prepare(self, model: bytes | Path) -> Run:
        session = ReferenceSession(model)
        session.model = inline(session.model)
        plant = {
            "fault": self.options.get("fault", "value"),
            "op": self.options["op"],
            "node": self.options.get("node"),
        }
        session.evaluation = type("Faulty", (Faulty,), {"plant": plant})
        return lambda feeds: session.run(None, dict(feeds))


class Faulty(Evaluation):
    plant: dict[str, Any]

    def node(self, node: Node, *arguments: Any) -> list[Any]:
        outputs = super().node(node, *arguments)
        if node.op_type != self.plant["op"] or self.plant["node"] not in (None, node.name):
            return outputs
        return [spoilt(outputs[0], self.plant["fault"]), *outputs[1:]]


def spoilt(value: Any, fault: str) -> Any:
    if isinstance(value, list):
        return [*value[:-1], spoilt(value[-1], fault)]
    if fault == "dtype":
        return value.astype(np.float64)
    if fault == "shape":
        return value[:-1]
    if fault == "nan":
        return np.nan_to_num(value)
    copy = value.copy()
    copy.reshape(-1)[-1] += "x" if copy.dtype.kind == "O" else 1
    return copy


class Shy(Engine):
    """The reference, but it refuses larger models one output of which is the value `of`."""

    name = "shy"
    takes: Mapping[str, str] = {"of": "name of a value"}

    def prepare(self, model: bytes | Path) -> Run:
        proto = onnx.load_from_string(model) if isinstance(model, bytes) else onnx.load(model)
        if len(proto.graph.node) > 1 and self.options["of"] in {value.name for value in proto.graph.output}:
            raise NotImplementedError("this value stays inside")
        return ReferenceEngine().prepare(model)
