"""The left panel's reader and evaluator: order, scopes, functions, checks, and files that lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, parser

import diptych_reference as reference

X = np.array([1, 2], dtype=np.float32)


def session(text: str) -> reference.ReferenceSession:
    return reference.ReferenceSession(parser.parse_model(text))


def graph(body: str, opset: int = 17) -> reference.ReferenceSession:
    return session(f'<ir_version: 10, opset_import: ["": {opset}]> g (float[N] x) => (float[M] y) {{ {body} }}')


def test_nodes_may_come_in_any_order() -> None:
    [y] = graph("y = Add(t, x) t = Add(x, x)").run(None, {"x": X})
    assert y.tolist() == [3, 6]


def test_a_cycle_is_an_error() -> None:
    with pytest.raises(reference.InvalidModelError, match="cycle"):
        graph("y = Add(t, x) t = Add(y, x)")


def test_undefined_values_are_errors() -> None:
    with pytest.raises(reference.InvalidModelError, match="undefined values \\['z'\\]"):
        graph("y = Add(x, z)")
    with pytest.raises(reference.InvalidModelError, match="undefined outputs"):
        graph("t = Add(x, x)")


def test_values_are_assigned_once() -> None:
    with pytest.raises(reference.InvalidModelError, match="defined twice"):
        graph("y = Add(x, x) y = Mul(x, x)")


@pytest.mark.parametrize(
    ("feeds", "error"),
    [
        ({}, reference.InvalidInputError),
        ({"x": X, "z": X}, reference.InvalidInputError),
        ({"x": X.astype(np.float64)}, reference.InvalidTypeError),
        ({"x": X.reshape(1, 2)}, reference.ShapeError),
    ],
)
def test_feeds_are_checked(feeds: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        graph("y = Add(x, x)").run(None, feeds)


def test_an_error_names_node_operator_and_sizes() -> None:
    body = "c = Constant <value = float[3] {1, 2, 3}> () y = Add(x, c)"
    with pytest.raises(reference.ShapeError, match=r"g: node .*Add.*Add-14: .*\(2,\) \(3,\)"):
        graph(body).run(None, {"x": X})


def test_unknown_attributes_are_refused() -> None:
    with pytest.raises(reference.InvalidModelError, match="unknown attributes \\['axis'\\]"):
        graph("y = Add <axis = 1> (x, x)").run(None, {"x": X})


def test_functions_have_their_own_scope_and_attributes() -> None:
    text = """
    <ir_version: 10, opset_import: ["": 17, "local": 1]>
    g (float[N] x) => (float[N] y) { t = local.leaky <slope = 0.5> (x)  y = Neg(t) }
    <opset_import: ["": 17], domain: "local">
    leaky <slope: float = 0.25> (a) => (b) { t = Neg(a)  b = LeakyRelu <alpha: float = @slope> (t) }
    """
    [y] = session(text).run(None, {"x": X})
    assert y.tolist() == [0.5, 1.0]


def test_a_function_that_calls_itself_is_an_error() -> None:
    text = """
    <ir_version: 10, opset_import: ["": 17, "local": 1]> g (float[N] x) => (float[N] y) { y = local.f(x) }
    <opset_import: ["": 17, "local": 1], domain: "local"> f (a) => (b) { b = local.f(a) }
    """
    with pytest.raises(reference.InvalidModelError, match="calls itself"):
        session(text).run(None, {"x": X})


def test_bodies_see_outer_values_and_only_the_chosen_branch_runs() -> None:
    body = """
    yes = Constant <value = bool {1}> ()  t = Add(x, x)
    y = If <then_branch = a () => (float[N] r) { r = Add(t, x) },
            else_branch = b () => (float[M] q) { q = Reshape(x, x) }> (yes)
    """
    assert graph(body).run(None, {"x": X})[0].tolist() == [3, 6]


def test_loop_without_trips_gives_empty_scans() -> None:
    text = """
    <ir_version: 10, opset_import: ["": 17]> g (float[N] x, int64 m) => (float[N] s, float[T, 2] scan) {
      s, scan = Loop <body = b (int64 i, bool c, float[N] v) => (bool c2, float[N] v2, float[2] o)
        { c2 = Identity(c)  v2 = Add(v, x)  o = Identity(v) }> (m, , x)
    }
    """
    run = session(text).run
    state, scan = run(None, {"x": X, "m": np.array(0)})
    assert state.tolist() == [1, 2]
    assert scan.shape == (0, 2)
    assert scan.dtype == np.float32
    state, scan = run(None, {"x": X, "m": np.array(2)})
    assert state.tolist() == [3, 6]
    assert scan.tolist() == [[1, 2], [2, 4]]


def test_run_nodes_shows_every_node() -> None:
    steps = list(graph("t = Add(x, x) y = Neg(t)").run_nodes({"x": X}))
    assert [node.op_type for node, _, _ in steps] == ["Add", "Neg"]
    assert steps[1][2][0].tolist() == [-2, -4]


def test_malformed_files() -> None:
    for data in (b"", b"\xff\xff\xff", b"\x08\x07", b"PK\x03\x04" * 8):
        with pytest.raises(reference.InvalidModelError):
            reference.ReferenceSession(data)


def external(location: str, **entries: str) -> onnx.ModelProto:
    """A model whose one initializer lies in a file."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy")
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    return helper.make_model(helper.make_graph(nodes, "g", [x], [y], [tensor]), ir_version=10)


def test_external_data_is_read_from_the_folder(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"\0" * 4 + np.array([3, 4], dtype="<f4").tobytes())
    (tmp_path / "m.onnx").write_bytes(external("w.bin", offset="4", length="8").SerializeToString())
    [y] = reference.ReferenceSession(tmp_path / "m.onnx").run(None, {"x": X})
    assert y.tolist() == [4, 6]


@pytest.mark.parametrize(
    ("location", "entries"),
    [
        ("../secret.bin", {}),
        ("/etc/hostname", {}),
        ("link.bin", {}),
        ("", {}),
        (".", {}),
        ("w.bin", {"offset": "-4"}),
        ("w.bin", {"length": "4096"}),
        ("w.bin", {"length": "-1"}),
        ("w.bin", {"offset": "x"}),
        ("w.bin", {"length": "4"}),
        ("w\0.bin", {}),
    ],
)
def test_external_data_outside_or_short_is_refused(tmp_path: Path, location: str, entries: dict[str, str]) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in (tmp_path / "secret.bin", folder / "w.bin"):
        name.write_bytes(bytes(8))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "m.onnx").write_bytes(external(location, **entries).SerializeToString())
    with pytest.raises(reference.InvalidModelError, match="tensor 'w'"):
        reference.ReferenceSession(folder / "m.onnx")


def test_bytes_have_no_folder() -> None:
    with pytest.raises(reference.InvalidModelError, match="not loaded from a path"):
        reference.ReferenceSession(external("w.bin").SerializeToString())


@pytest.mark.parametrize("dims", [[-1], [2**62], [2**40, 2**40], [3]])
def test_tensors_that_do_not_hold_their_shape(dims: list[int]) -> None:
    model = external("w.bin")
    del model.graph.initializer[:]
    model.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=dims, raw_data=bytes(8))
    with pytest.raises(reference.InvalidModelError, match="tensor 'w'"):
        reference.ReferenceSession(model)


def test_attributes_of_the_wrong_type_are_refused() -> None:
    for attributes in ({"axis": "1"}, {"axis": [1]}, {"axis": 1.5}):
        with pytest.raises(reference.InvalidModelError, match="attribute 'axis'"):
            reference.run_operator("Softmax", [X], attributes)
    with pytest.raises(reference.InvalidModelError, match="expected INTS"):
        reference.run_operator("MaxPool", [np.zeros((1, 1, 4), np.float32)], {"kernel_shape": 2})


@pytest.mark.parametrize(
    ("op_type", "shapes", "attributes"),
    [
        ("MatMul", [(0, 2**40), (2**40, 0)], {}),
        ("Conv", [(1, 1, 3), (0, 1, 2**40)], {"pads": [2**41, 0]}),
        ("MaxPool", [(0, 1, 3)], {"kernel_shape": [2**40], "auto_pad": "SAME_UPPER"}),
        ("LSTM", [(2**40, 0, 1), (1, 4, 1), (1, 4, 1)], {"hidden_size": 1}),
        ("LRN", [(0, 2**40, 1)], {"size": 3}),
    ],
)
def test_empty_results_take_no_work(op_type: str, shapes: list[tuple[int, ...]], attributes: dict[str, Any]) -> None:
    """Shapes that hold nothing may have any extents: no loop runs over them."""
    try:
        outputs = reference.run_operator(op_type, [np.empty(shape, np.float32) for shape in shapes], attributes)
    except reference.Error:
        return
    assert outputs[0].size == 0
