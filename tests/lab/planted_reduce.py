"""Engines with a planted bug, for the tests of reduction: ONNX's ReferenceEvaluator with one operator replaced.

A repro copies this module beside its test, where there is no Diptych: it needs of it no more than the class Engine.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from diptych.engines import Engine, Run

# One variable switches every bug off, so that a test can be seen to pass without it.
ABSENT = "PLANTED_BUG_ABSENT"


def _dropped_tail(x: np.ndarray) -> np.ndarray:
    """A loop over lanes of eight that forgets what is left over."""
    y = np.maximum(x, x.dtype.type(0)).reshape(-1)
    y[y.size // 8 * 8 :] = 0
    return y.reshape(x.shape)


def _lost_nan(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, x.dtype.type(0))


def _crash(x: np.ndarray) -> np.ndarray:
    os.abort()


def _hang(x: np.ndarray) -> np.ndarray:
    time.sleep(3600)
    return x


def _fail(x: np.ndarray) -> np.ndarray:
    raise RuntimeError(f"kernel of Relu: no plan for a buffer of {x.nbytes} bytes")


def _refuse(x: np.ndarray) -> np.ndarray:
    raise NotImplementedError(f"Relu of shape {list(x.shape)} is not there yet")


BUGS = {f.__name__.strip("_"): f for f in (_dropped_tail, _lost_nan, _crash, _hang, _fail, _refuse)}


class WrongRelu(Engine):
    """Relu goes wrong as the option `bug` says."""

    name = "wrong-relu"
    takes: ClassVar = {"bug": f"one of {', '.join(BUGS)}"}

    def prepare(self, model: bytes | Path) -> Run:
        bug = BUGS[self.options["bug"]]

        class Relu(OpRun):
            op_domain = ""

            def _run(self, x: np.ndarray) -> tuple[np.ndarray]:
                return (np.maximum(x, x.dtype.type(0)) if ABSENT in os.environ or not x.size else bug(x),)

        proto = onnx.load_from_string(model) if isinstance(model, bytes) else onnx.load(model)
        session = ReferenceEvaluator(proto, new_ops=[Relu])
        return lambda feeds: session.run(None, dict(feeds))


class WrongFusion(Engine):
    """An Add right after a MatMul that nobody else reads is made one with it, and the bias is added twice."""

    name = "wrong-fusion"

    def prepare(self, model: bytes | Path) -> Run:
        class Twice(OpRun):
            op_domain = "planted"

            def _run(self, x: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray]:
                return (x + bias + bias,)

        proto = onnx.load_from_string(model) if isinstance(model, bytes) else onnx.load(model)
        if ABSENT not in os.environ:
            _fuse(proto.graph)
            proto.opset_import.append(onnx.helper.make_opsetid("planted", 1))
        session = ReferenceEvaluator(proto, new_ops=[Twice])
        return lambda feeds: session.run(None, dict(feeds))


def _fuse(graph: onnx.GraphProto) -> None:
    producers: Mapping[str, Any] = {name: node for node in graph.node for name in node.output}
    reads = Counter(name for node in graph.node for name in node.input)
    for node in graph.node:
        if node.op_type != "Add":
            continue
        before = producers.get(node.input[0])
        hidden = node.input[0] not in {value.name for value in graph.output}
        if before is not None and before.op_type == "MatMul" and reads[node.input[0]] == 1 and hidden:
            node.domain, node.op_type = "planted", "Twice"
