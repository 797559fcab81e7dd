"""An engine in a child process: every way to go wrong is told apart, and the next question is answered."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from diptych.engines import find_engine, make_engine, parse_spec, split_specs
from diptych.engines.worker import Worker
from diptych.errors import InvalidInputError

MISBEHAVING = "tests.lab.adapters:Misbehaving"


def model(op_type: str) -> bytes:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy")
    graph = helper.make_graph([helper.make_node(op_type, ["x"], ["y"])], "one", [x], [y])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    return bytes(proto.SerializeToString())


FEEDS = {"x": np.array([-1.0, 2.0], np.float32)}


@pytest.mark.parametrize(
    ("does", "kind", "error", "detail"),
    [
        ("abort", "crashed", "SIGABRT", "last words"),
        ("exit", "crashed", "exit status 3", "the process died"),
        ("fork", "crashed", "SIGABRT", "the process died"),  # its child lives on and holds the pipes
        ("hang", "hung", "Timeout", "no answer within 0.5 s"),
        ("refuse", "refused", "NotImplementedError", "not this one"),
        ("raise", "failed", "ValueError", "on two lines"),
        ("lambda", "failed", "AttributeError", "pickle"),
    ],
)
def test_each_way_to_go_wrong_is_told_apart_and_the_next_run_answers(does, kind, error, detail):
    with Worker(f"{MISBEHAVING}[does={does},of=Relu]", timeout=0.5) as worker:
        answer = worker.run(model("Relu"), FEEDS, timeout={"hang": 0.5, "fork": 5}.get(does, 60))
        assert (answer.kind, answer.error, answer.answered) == (kind, error, False)
        assert detail in answer.detail
        again = worker.run(model("Neg"), FEEDS, timeout=60)
        assert again.answered
        np.testing.assert_array_equal(again.outputs[0], -FEEDS["x"])
        assert worker.started == (2 if kind in ("crashed", "hung") else 1)


def test_a_model_that_does_not_load_fails_in_prepare():
    with Worker("reference") as worker:
        answer = worker.run(b"no model", {})
    assert (answer.kind, answer.stage) == ("failed", "prepare")


def test_values_that_are_no_tensors_travel():
    x = helper.make_value_info(
        "x", helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.STRING, None))
    )
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "one", [x], [helper.make_empty_tensor_value_info("y")]
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    with Worker("reference") as worker:
        answer = worker.run(proto.SerializeToString(), {"x": [np.array(["a", "b"], object)]})
    assert [item.tolist() for item in answer.outputs[0]] == [["a", "b"]]


def test_the_process_ends_when_its_parent_is_killed():
    program = (
        "import sys; from diptych.engines.worker import Worker\n"
        f"worker = Worker('{MISBEHAVING}[does=hang]'); worker.version\n"
        "print(worker._process.pid, flush=True)\n"
        f"worker.run({model('Relu')!r}, {{'x': []}})\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(0.3)  # it is in the middle of its run
    os.kill(child, 0)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and _alive(child):
        time.sleep(0.05)
    assert not _alive(child)


def _alive(process: int) -> bool:
    """Whether a process runs; a zombie, whose parent has not asked, does not."""
    try:
        with Path(f"/proc/{process}/stat").open() as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_memory_beyond_the_limit_is_a_failure_of_the_engine():
    with Worker("reference", memory_limit=1 << 30) as worker:
        answer = worker.run(expanded(1 << 29), {"x": np.zeros(1, np.float32)})
    assert answer.kind == "failed"
    assert answer.error in ("MemoryError", "ResourceLimitError")


def expanded(size: int) -> bytes:
    """A model that makes `size` float32 zeros."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy")
    shape = helper.make_tensor("shape", TensorProto.INT64, [1], [size])
    nodes = [helper.make_node("Expand", ["x", "shape"], ["e"]), helper.make_node("Neg", ["e"], ["y"])]
    graph = helper.make_graph(nodes, "large", [x], [y], [shape])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    return bytes(proto.SerializeToString())


def test_an_engine_that_does_not_exist_is_an_error_at_once():
    with Worker("no_such_module:Engine") as worker, pytest.raises(InvalidInputError, match="PYTHONPATH"):
        worker.run(b"", {})


def test_specs():
    assert parse_spec("diptych[isa=avx2, threads=2]") == ("diptych", {"isa": "avx2", "threads": "2"})
    assert split_specs("onnxruntime,diptych[isa=avx2,threads=2],m:C") == [
        "onnxruntime",
        "diptych[isa=avx2,threads=2]",
        "m:C",
    ]
    engine = make_engine(f"{MISBEHAVING}[threads=3,does=hang]")
    assert (engine.threads, engine.options) == (3, {"does": "hang"})
    assert find_engine("reference")(2).threads == 2


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("reference[", "expected NAME"),
        ("reference[isa]", "KEY=VALUE"),
        ("reference[threads=0]", "whole number from 1"),
        ("reference[isa=avx2]", "no options"),
        (f"{MISBEHAVING}[does=hang,does=exit]", "each key once"),
    ],
)
def test_specs_that_are_refused(spec, words):
    with pytest.raises(InvalidInputError, match=words):
        make_engine(spec)
