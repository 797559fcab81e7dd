"""The drop-in's contract. Where ONNX Runtime is installed, the same tests run on it, so that they test the truth."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

import diptych.onnxruntime

from . import models

X = np.array([[-1.0, 0.5, 2.0]], dtype=np.float32)
RELU = models.unary("Relu", ["n", 3])


@pytest.fixture(params=["diptych", "onnxruntime"])
def ort(request: pytest.FixtureRequest) -> ModuleType:
    if request.param == "diptych":
        return diptych.onnxruntime
    return pytest.importorskip("onnxruntime", reason="ONNX Runtime, the model of the contract, is not installed")


@pytest.fixture
def session(ort: ModuleType) -> Any:
    return ort.InferenceSession(RELU, providers=["CPUExecutionProvider"])


def state(ort: ModuleType) -> Any:
    return importlib.import_module(f"{ort.__name__}.capi.onnxruntime_pybind11_state")


def test_run_takes_names_positions_and_lists(session: Any) -> None:
    expected = np.maximum(X, 0)
    for names in (None, [], ["y"]):
        np.testing.assert_array_equal(session.run(names, {"x": X})[0], expected)
    np.testing.assert_array_equal(session.run(None, {"x": X.tolist()})[0], expected)
    np.testing.assert_array_equal(session.run(None, {"x": X[:, ::-1]}, None)[0], expected[:, ::-1])


def test_options_are_positional_and_keep_what_is_set(ort: ModuleType) -> None:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    with pytest.raises(RuntimeError):
        options.get_session_config_entry("nothing")
    with pytest.raises(AttributeError):
        options.no_such_option = 1
    session = ort.InferenceSession(RELU, options, ["CPUExecutionProvider"])
    assert session.get_session_options().intra_op_num_threads == 1


def test_values_are_described(session: Any) -> None:
    (x,) = session.get_inputs()
    assert (x.name, x.type, x.shape) == ("x", "tensor(float)", ["n", 3])
    assert [y.name for y in session.get_outputs()] == ["y"]
    assert session.get_modelmeta().custom_metadata_map == {"purpose": "test"}
    assert session.get_modelmeta().graph_name == "g"


def test_providers(ort: ModuleType, session: Any) -> None:
    assert session.get_providers() == ["CPUExecutionProvider"]
    assert session.get_provider_options() == {"CPUExecutionProvider": {}}
    assert "CPUExecutionProvider" in ort.get_available_providers()
    assert ort.get_device() == "CPU"
    named = [("CPUExecutionProvider", {"arena_extend_strategy": "kSameAsRequested"})]
    assert ort.InferenceSession(RELU, providers=named).get_providers() == ["CPUExecutionProvider"]


def test_switches_exist(ort: ModuleType) -> None:
    ort.set_default_logger_severity(3)
    ort.disable_telemetry_events()
    assert ort.get_version_string() == ort.__version__
    assert isinstance(ort.get_build_info(), str)


@pytest.mark.parametrize(
    "feed",
    [{"x": X.astype(np.float64)}, {"x": X, "z": X}, {"x": X[0]}, {"x": X[:, :2]}],
    ids=["dtype", "name", "rank", "dimension"],
)
def test_wrong_feeds_are_invalid_arguments(ort: ModuleType, session: Any, feed: dict[str, Any]) -> None:
    with pytest.raises(state(ort).InvalidArgument, match=r"\[ONNXRuntimeError\] : 2 : INVALID_ARGUMENT"):
        session.run(None, feed)


def test_unknown_outputs_are_invalid_arguments(ort: ModuleType, session: Any) -> None:
    with pytest.raises(state(ort).InvalidArgument, match="nope"):
        session.run(["nope"], {"x": X})


def test_a_missing_input_is_a_value_error(session: Any) -> None:
    with pytest.raises(ValueError, match="missing"):
        session.run(None, {})


def test_a_missing_file_is_no_such_file(ort: ModuleType) -> None:
    with pytest.raises(state(ort).NoSuchFile, match="NO_SUCHFILE"):
        ort.InferenceSession("/no/such/file.onnx")


def test_termination_is_a_failure(ort: ModuleType, session: Any) -> None:
    options = ort.RunOptions()
    options.terminate = True
    with pytest.raises(state(ort).Fail):
        session.run(None, {"x": X}, options)


def test_a_shape_of_one_is_accepted_for_a_scalar_input(ort: ModuleType) -> None:
    session = ort.InferenceSession(models.unary("Relu", []))
    assert session.run(None, {"x": np.array([3], np.float32)})[0].item() == 3


def test_strings(ort: ModuleType) -> None:
    session = ort.InferenceSession(models.unary("Identity", ["n"], TensorProto.STRING))
    for value in (["a", "é"], np.array(["a", "é"]), np.array(["a", "é"], object)):
        assert session.run(None, {"x": value})[0].tolist() == ["a", "é"]


def test_initializers_are_defaults(ort: ModuleType) -> None:
    session = ort.InferenceSession(models.add_default([2]))
    assert [v.name for v in session.get_inputs()] == ["x"]
    assert [v.name for v in session.get_overridable_initializers()] == ["w"]
    assert session.run(None, {"x": np.zeros(2, np.float32), "w": np.full(2, 5, np.float32)})[0].tolist() == [5, 5]


def test_ort_values(ort: ModuleType, session: Any) -> None:
    value = ort.OrtValue.ortvalue_from_numpy(X)
    assert (value.shape(), value.data_type(), value.element_type()) == ([1, 3], "tensor(float)", 1)
    assert (value.is_tensor(), value.is_tensor_sequence(), value.has_value()) == (True, False, True)
    assert value.tensor_size_in_bytes() == 12
    (y,) = session.run_with_ort_values(["y"], {"x": value})
    np.testing.assert_array_equal(y.numpy(), np.maximum(X, 0))
    blank = ort.OrtValue.ortvalue_from_shape_and_type([1, 3], np.float32)
    blank.update_inplace(X)
    np.testing.assert_array_equal(np.asarray(blank), X)


def test_io_binding(ort: ModuleType, session: Any) -> None:
    binding = session.io_binding()
    binding.bind_cpu_input("x", X)
    binding.bind_output("y")
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(binding.copy_outputs_to_cpu()[0], np.maximum(X, 0))

    target = np.empty_like(X)
    binding = session.io_binding()
    binding.bind_input("x", "cpu", 0, np.float32, X.shape, X.ctypes.data)
    binding.bind_output("y", "cpu", 0, np.float32, target.shape, target.ctypes.data)
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(target, np.maximum(X, 0))


def test_packages_may_subclass(ort: ModuleType) -> None:
    class Mine(ort.InferenceSession):  # type: ignore[misc, name-defined]
        pass

    mine = Mine(RELU)
    assert isinstance(mine, ort.InferenceSession)
    assert isinstance(mine, importlib.import_module(f"{ort.__name__}.capi.onnxruntime_inference_collection").Session)
    assert len(mine.run(None, {"x": X})) == 1


def run_python(*arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


APPLICATION = """
import sys
import importlib.metadata
import onnxruntime
import onnxruntime as ort
from onnxruntime import InferenceSession
from onnxruntime.capi._pybind_state import get_available_providers
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument
import onnxruntime.capi.onnxruntime_inference_collection as collection

assert InvalidArgument is ort.InvalidArgument
assert collection.InferenceSession is InferenceSession is ort.InferenceSession
assert importlib.metadata.version("onnxruntime") == ort.__version__
try:
    import onnxruntime.training
except ModuleNotFoundError:
    pass
else:
    raise AssertionError("onnxruntime.training")
print(ort.get_build_info().split()[0], get_available_providers(), sys.argv[1:], __name__)
"""
PRINTED = "Diptych ['CPUExecutionProvider'] ['--flag', 'value'] __main__\n"


def test_an_application_runs_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APPLICATION)
    assert run_python("-m", "diptych.onnxruntime", "app.py", "--flag", "value", cwd=tmp_path) == PRINTED
    assert run_python("-m", "diptych.onnxruntime", "-m", "app", "--flag", "value", cwd=tmp_path) == PRINTED


def test_install_serves_imports_and_uninstall_ends_it(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "import sys, diptych.onnxruntime as d\n"
        "d.install(); d.install()\n"
        "import onnxruntime\n"
        "assert onnxruntime is d\n"
        "d.uninstall()\n"
        "assert 'onnxruntime' not in sys.modules\n"
        "import types\n"
        "sys.modules['onnxruntime'] = types.ModuleType('onnxruntime')\n"
        "import diptych\n"
        "try:\n    d.install()\n"
        "except diptych.Error as error:\n    print('already' in str(error))\n"
    )
    assert run_python("app.py", cwd=tmp_path) == "True\n"
