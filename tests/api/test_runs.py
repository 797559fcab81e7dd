"""Runs of a session: at once from many threads, after fork, with limits, over changing and data-dependent shapes."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from diptych import _core


def model(
    nodes: list[Any], inputs: dict[str, Any], outputs: list[str], initializers: dict[str, Any] | None = None
) -> bytes:
    """A model of float inputs of the given shapes (int64 where the name starts with `i`)."""

    def info(name: str, shape: Any) -> Any:
        return helper.make_tensor_value_info(
            name, TensorProto.INT64 if name.startswith("i") else TensorProto.FLOAT, shape
        )

    constants = [
        helper.make_tensor(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape, a.ravel().tolist())
        for n, a in (initializers or {}).items()
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [info(n, s) for n, s in inputs.items()],
        [helper.make_empty_tensor_value_info(n) for n in outputs],
        constants,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return made.SerializeToString()


def branches() -> bytes:
    """Eight branches over one input, joined pairwise: room for reuse, and for nodes side by side."""
    nodes = []
    for branch in range(8):
        nodes.append(helper.make_node("Add", ["x", f"w{branch}"], [f"a{branch}"]))
        nodes.append(helper.make_node("Relu", [f"a{branch}"], [f"b{branch}"]))
        nodes.append(helper.make_node("Mul", [f"b{branch}", "x"], [f"c{branch}"]))
        nodes.append(helper.make_node("Sub", [f"c{branch}", f"a{branch}"], [f"d{branch}"]))
    total = "d0"
    for branch in range(1, 8):
        nodes.append(helper.make_node("Add", [total, f"d{branch}"], [f"t{branch}"]))
        total = f"t{branch}"
    weights = {f"w{branch}": np.linspace(-1, branch, 16, dtype=np.float32) for branch in range(8)}
    return model(nodes, {"x": ["n", 16]}, [total], weights)


def data(rows: int) -> np.ndarray[Any, Any]:
    """Some numbers of both signs."""
    return np.sin(np.arange(rows * 16, dtype=np.float64)).astype(np.float32).reshape(rows, 16)


def test_many_threads_run_one_session() -> None:
    session = _core.Session(branches(), threads=2)
    wanted = {rows: session.run(None, {"x": data(rows)})[0].tobytes() for rows in (1, 3, 64, 1000)}

    def work(seed: int) -> bool:
        rows = list(wanted)[seed % 4]
        return bool(session.run(None, {"x": data(rows)})[0].tobytes() == wanted[rows])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(400)))


@pytest.mark.parametrize("threads", [1, 2])
def test_random_legal_schedules_over_poisoned_memory_change_no_bit(threads: int) -> None:
    wanted = _core.Session(branches(), threads=1).run(None, {"x": data(50)})[0]
    for seed in range(100):
        session = _core.Session(branches(), threads=threads, schedule_seed=seed)
        assert session.run(None, {"x": data(50)})[0].tobytes() == wanted.tobytes(), f"seed {seed}"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_runs_with_workers_of_its_own() -> None:
    session = _core.Session(branches(), threads=2)
    wanted = session.run(None, {"x": data(4000)})[0].tobytes()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = int(session.run(None, {"x": data(4000)})[0].tobytes() != wanted)
        finally:
            os._exit(status)
    watchdog = threading.Timer(60, os.kill, (child, 9))
    watchdog.start()
    _, status = os.waitpid(child, 0)
    watchdog.cancel()
    assert status == 0


def endless() -> bytes:
    """A Loop whose condition never fails."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["cond"], ["again"]), helper.make_node("Relu", ["s"], ["t"])],
        "body",
        [
            helper.make_tensor_value_info("iteration", TensorProto.INT64, []),
            helper.make_tensor_value_info("cond", TensorProto.BOOL, []),
            helper.make_tensor_value_info("s", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("t", TensorProto.FLOAT, None),
        ],
    )
    return model([helper.make_node("Loop", ["", "", "x"], ["y"], body=body)], {"x": [2]}, ["y"])


def test_a_deadline_ends_an_endless_loop() -> None:
    with pytest.raises(_core.DeadlineExceededError, match="Loop"):
        _core.Session(endless()).run(None, {"x": np.zeros(2, np.float32)}, timeout=0.2)


def test_another_thread_cancels_a_run() -> None:
    token = _core.CancelToken()
    timer = threading.Timer(0.2, token.cancel)
    timer.start()
    with pytest.raises(_core.CancelledError):
        _core.Session(endless()).run(None, {"x": np.zeros(2, np.float32)}, cancel=token, timeout=60)
    timer.join()


def test_a_memory_limit_is_refused_up_front() -> None:
    session = _core.Session(branches(), memory_limit=100_000)
    session.run(None, {"x": data(10)})
    with pytest.raises(_core.ResourceLimitError, match="memory_limit=100000"):
        session.run(None, {"x": data(10_000)})


def test_unknown_passes_and_instruction_sets_are_named() -> None:
    with pytest.raises(_core.InvalidInputError, match=r"no pass is named 'magic'.*constant_folding"):
        _core.Session(branches(), disabled_passes=["magic"])
    with pytest.raises(_core.InvalidInputError, match="mmx"):
        _core.Session(branches(), isa="mmx")


def test_memory_is_counted_and_given_back() -> None:
    session = _core.Session(branches())
    session.run(None, {"x": data(1000)})
    assert session.memory()["temporary"] >= 1000 * 16 * 4
    assert session.memory()["plans"] == 1
    session.shrink()
    assert session.memory()["temporary"] == 0


def test_shapes_that_depend_on_data_split_the_plan() -> None:
    nodes = [
        helper.make_node("NonZero", ["x"], ["places"]),
        helper.make_node("Transpose", ["places"], ["rows"], perm=[1, 0]),
        helper.make_node("GatherND", ["x", "rows"], ["values"]),
        helper.make_node("Relu", ["values"], ["y"]),
        helper.make_node("Shape", ["values"], ["n"]),
    ]
    session = _core.Session(model(nodes, {"x": ["a", "b"]}, ["y", "n"]))
    for x in (np.eye(3), np.zeros((2, 2)), np.arange(12).reshape(3, 4)):
        y, n = session.run(None, {"x": x.astype(np.float32)})
        np.testing.assert_array_equal(y, x[np.nonzero(x)].astype(np.float32))
        np.testing.assert_array_equal(n, [np.count_nonzero(x)])


def test_a_shape_given_as_input_or_computed_decides_the_plan() -> None:
    nodes = [
        helper.make_node("Add", ["i_shape", "i_one"], ["computed"]),
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Reshape", ["r", "i_shape"], ["y"]),
        helper.make_node("Expand", ["y", "computed"], ["z"]),
    ]
    made = model(nodes, {"x": ["n"], "i_shape": [2]}, ["y", "z"], {"i_one": np.array([5, 0], np.int64)})
    session = _core.Session(made)
    x = np.arange(6, dtype=np.float32)
    y, z = session.run(None, {"x": x, "i_shape": np.array([1, 6])})
    assert y.shape == (1, 6)
    assert z.shape == (6, 6)
    with pytest.raises(_core.ShapeError, match="Reshape"):
        session.run(None, {"x": x, "i_shape": np.array([4, 6])})
    with pytest.raises(_core.ShapeError, match="Expand"):
        session.run(None, {"x": x, "i_shape": np.array([2, 3])})


def test_outputs_belong_to_the_caller() -> None:
    nodes = [
        helper.make_node("Identity", ["x"], ["same"]),
        helper.make_node("Reshape", ["x", "i_flat"], ["flat"]),
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Reshape", ["r", "i_flat"], ["r_flat"]),
    ]
    constants = {"i_flat": np.array([-1], np.int64)}
    session = _core.Session(model(nodes, {"x": [2, 3]}, ["same", "flat", "r", "r_flat", "i_flat"], constants))
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    names = ["same", "flat", "r", "r_flat", "i_flat", "r"]
    outputs = session.run(names, {"x": x})
    assert [output.shape for output in outputs] == [(2, 3), (6,), (2, 3), (6,), (1,), (2, 3)]
    for index, output in enumerate(outputs):
        output[...] = -1
        for other in outputs[index + 1 :]:
            assert not np.shares_memory(output, other)
            assert (other >= (-1 if other.shape == (1,) else 0)).all()
    np.testing.assert_array_equal(x, np.arange(6).reshape(2, 3))
    np.testing.assert_array_equal(session.run(["i_flat"], {"x": x})[0], [-1])


def test_inputs_of_any_layout_are_read() -> None:
    session = _core.Session(model([helper.make_node("Relu", ["x"], ["y"])], {"x": ["a", "b"]}, ["y"]))
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    unaligned = np.frombuffer(b"x" + base.tobytes(), np.float32, offset=1).reshape(4, 6)
    for x in (base.T, base[::-1, ::2], np.asfortranarray(base), base[:0], unaligned):
        np.testing.assert_array_equal(session.run(None, {"x": x})[0], x)
