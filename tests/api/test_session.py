"""InferenceSession: what may be fed, what is refused and how, options, introspection."""

from __future__ import annotations

import threading
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import diptych

from . import models

X = np.array([[-1.0, 0.5, 2.0]], dtype=np.float32)
RELU = models.unary("Relu", ["n", 3])


@pytest.fixture
def relu() -> diptych.InferenceSession:
    return diptych.InferenceSession(RELU)


def test_models_load_from_paths_bytes_and_protos(tmp_path: Path) -> None:
    path = tmp_path / "relu.onnx"
    path.write_bytes(RELU)
    for source in (str(path), path, RELU, bytearray(RELU), onnx.load_from_string(RELU)):
        (y,) = diptych.InferenceSession(source).run(None, {"x": X})
        np.testing.assert_array_equal(y, np.maximum(X, 0))


def test_inputs_and_outputs_are_described(relu: diptych.InferenceSession) -> None:
    (x,) = relu.get_inputs()
    assert (x.name, x.type, x.shape) == ("x", "tensor(float)", ["n", 3])
    assert repr(x) == "NodeArg(name='x', type='tensor(float)', shape=['n', 3])"
    (y,) = relu.get_outputs()
    assert (y.name, y.type, y.shape, y.has_shape) == ("y", "tensor(float)", [], False)


@pytest.mark.parametrize("names", [None, [], ["y"], ("y",)])
def test_outputs_by_name(relu: diptych.InferenceSession, names: list[str] | None) -> None:
    assert len(relu.run(names, {"x": X})) == 1


def test_an_output_may_be_asked_for_twice(relu: diptych.InferenceSession) -> None:
    first, second = relu.run(["y", "y"], {"x": X})
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    "value",
    [
        X.tolist(),
        np.asfortranarray(np.repeat(X, 4, axis=0)),
        np.repeat(X, 8, axis=0)[::2],
        X[:, ::-1],
        X.astype(">f4"),
        X[:0],
        [[1, 2, 3]],
    ],
    ids=["list", "fortran", "strided", "reversed", "big-endian", "empty", "integers in a list"],
)
def test_layouts_and_lists(relu: diptych.InferenceSession, value: object) -> None:
    expected = np.maximum(np.asarray(value, dtype=np.float32), 0)
    (y,) = relu.run(None, {"x": value})
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, expected)


def test_dlpack_exporters_are_fed(relu: diptych.InferenceSession) -> None:
    class Exporter:
        def __dlpack__(self, **arguments: object) -> object:
            return X.__dlpack__(**arguments)

        def __dlpack_device__(self) -> tuple[int, int]:
            return X.__dlpack_device__()

    np.testing.assert_array_equal(relu.run(None, {"x": Exporter()})[0], np.maximum(X, 0))


@pytest.mark.parametrize(
    ("feed", "said"),
    [
        ({"x": X.astype(np.float64)}, "float64, expected tensor(float)"),
        ({"x": X, "z": X}, "'z'"),
        ({"x": X[0]}, "rank"),
        ({"x": X[:, :2]}, "dimensions"),
        ({"x": None}, "None"),
        ({"x": [[1.0, 2.0], [3.0]]}, "rectangular"),
        ({"x": [["a", "b", "c"]]}, "tensor(float)"),
        ({"x": np.array([["a", "b", "c"]])}, "tensor(float)"),
    ],
    ids=["dtype", "name", "rank", "dimension", "none", "ragged", "strings in a list", "strings"],
)
def test_wrong_feeds_are_refused(relu: diptych.InferenceSession, feed: dict[str, object], said: str) -> None:
    with pytest.raises(diptych.InvalidInputError, match=r"(?s).*") as caught:
        relu.run(None, feed)
    assert said in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert not isinstance(caught.value, diptych.MissingInputError)


def test_a_missing_input_is_a_value_error(relu: diptych.InferenceSession) -> None:
    with pytest.raises(diptych.MissingInputError, match=r"\['x'\] are missing"):
        relu.run(None, {})


def test_unknown_outputs_are_refused(relu: diptych.InferenceSession) -> None:
    with pytest.raises(diptych.InvalidInputError, match="nope"):
        relu.run(["nope"], {"x": X})
    with pytest.raises(TypeError):
        relu.run("y", {"x": X})


def test_floats_in_a_list_are_not_cut_to_integers() -> None:
    session = diptych.InferenceSession(models.unary("Identity", ["n"], TensorProto.INT32))
    np.testing.assert_array_equal(session.run(None, {"x": [1, 2]})[0], np.array([1, 2], dtype=np.int32))
    for wrong in ([1.5], [2**40]):
        with pytest.raises(diptych.InvalidInputError):
            session.run(None, {"x": wrong})


def test_a_shape_of_one_is_accepted_for_a_scalar_input() -> None:
    session = diptych.InferenceSession(models.unary("Relu", []))
    for value in (np.float32(3), np.array(3, np.float32), np.array([3], np.float32)):
        assert session.run(None, {"x": value})[0].item() == 3


def test_zero_dimensional_arrays_keep_their_rank() -> None:
    (y,) = diptych.InferenceSession(models.unary("Relu", [])).run(None, {"x": np.array(-1, np.float32)})
    assert y.shape == ()


def test_declared_output_shapes_are_not_checked() -> None:
    x, y = helper.make_tensor_value_info("x", 1, ["n"]), helper.make_tensor_value_info("y", 1, [1])
    model = models.build([helper.make_node("Relu", ["x"], ["y"])], [x], [y])
    assert diptych.InferenceSession(model).run(None, {"x": np.ones(5, np.float32)})[0].shape == (5,)


def test_strings_in_all_spellings() -> None:
    session = diptych.InferenceSession(models.unary("Identity", ["n"], TensorProto.STRING))
    for value in (["a", "é"], np.array(["a", "é"]), np.array(["a", "é"], object), np.array([b"a", "é".encode()])):
        assert session.run(None, {"x": value})[0].tolist() == ["a", "é"]
    for wrong in (np.array([b"\xff"]), [1], np.array([1, None], object)):
        with pytest.raises(diptych.InvalidInputError):
            session.run(None, {"x": wrong})


def test_bfloat16_goes_in_and_comes_out() -> None:
    session = diptych.InferenceSession(models.unary("Identity", ["n"], TensorProto.BFLOAT16))
    x = np.array([1, -0.0, np.nan], ml_dtypes.bfloat16)
    (y,) = session.run(None, {"x": x})
    assert y.dtype == x.dtype
    assert y.tobytes() == x.tobytes()


def test_initializers_are_defaults() -> None:
    session = diptych.InferenceSession(models.add_default([2]))
    assert [v.name for v in session.get_inputs()] == ["x"]
    assert [v.name for v in session.get_overridable_initializers()] == ["w"]
    x = np.zeros(2, np.float32)
    assert session.run(None, {"x": x})[0].tolist() == [1, 1]
    assert session.run(None, {"x": x, "w": x + 5})[0].tolist() == [5, 5]


def test_results_do_not_share_memory_with_inputs_or_each_other(relu: diptych.InferenceSession) -> None:
    x = np.abs(X)
    (first,) = relu.run(None, {"x": x})
    kept = first.copy()
    relu.run(None, {"x": x + 1})
    np.testing.assert_array_equal(first, kept)
    assert not np.shares_memory(first, x)


def test_metadata() -> None:
    meta = diptych.InferenceSession(RELU).get_modelmeta()
    assert meta.graph_name == "g"
    assert meta.custom_metadata_map == {"purpose": "test"}
    assert (meta.ir_version, meta.opsets.get("", meta.opsets.get("ai.onnx"))) == (8, 17)


@pytest.mark.parametrize("isa", diptych.available_isas())
@pytest.mark.parametrize("threads", [1, 2])
def test_options_choose_the_path(isa: str, threads: int) -> None:
    session = diptych.InferenceSession(RELU, diptych.SessionOptions(isa=isa, threads=threads))
    assert (session.isa, session.threads) == (isa, threads)


def test_the_environment_sets_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    isa = diptych.available_isas()[0]
    monkeypatch.setenv("DIPTYCH_ISA", isa)
    monkeypatch.setenv("DIPTYCH_THREADS", "1")
    session = diptych.InferenceSession(RELU)
    assert (session.isa, session.threads) == (isa, 1)
    assert session.math == "exact"
    assert repr(session) == f"<InferenceSession: {isa}, 1 threads, math 'exact'>"
    monkeypatch.setenv("DIPTYCH_MATH", "fast")
    assert diptych.InferenceSession(RELU).math == "fast"
    assert diptych.InferenceSession(RELU, diptych.SessionOptions(math="exact")).math == "exact"
    monkeypatch.setenv("DIPTYCH_MATH", "slow")
    with pytest.raises(diptych.InvalidInputError, match="DIPTYCH_MATH"):
        diptych.InferenceSession(RELU)
    monkeypatch.delenv("DIPTYCH_MATH")
    monkeypatch.setenv("DIPTYCH_THREADS", "many")
    with pytest.raises(diptych.InvalidInputError, match="DIPTYCH_THREADS"):
        diptych.InferenceSession(RELU)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"isa": "mmx"}, "mmx"),
        ({"threads": -1}, "-1"),
        ({"quantized": "maybe"}, "maybe"),
        ({"math": "precise"}, "precise"),
        ({"math": ""}, "''"),
        ({"disabled_passes": ["nonsense"]}, "nonsense"),
    ],
)
def test_wrong_options_are_refused(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(diptych.InvalidInputError, match=said):
        diptych.InferenceSession(RELU, diptych.SessionOptions(**arguments))  # type: ignore[arg-type]


def test_unknown_option_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError):
        diptych.SessionOptions().intra_op_threads = 1  # type: ignore[attr-defined]


def test_free_dimensions_can_be_fixed() -> None:
    options = diptych.SessionOptions()
    options.add_free_dimension_override_by_name("n", 1)
    session = diptych.InferenceSession(RELU, options)
    assert session.get_inputs()[0].shape == [1, 3]
    with pytest.raises(diptych.InvalidInputError):
        session.run(None, {"x": np.repeat(X, 2, axis=0)})


def test_a_memory_limit_is_refused_up_front() -> None:
    x = helper.make_tensor_value_info("x", 1, ["n"])
    y = helper.make_tensor_value_info("y", 1, ["n"])
    chain = [helper.make_node("Exp", ["x"], ["a"]), helper.make_node("Neg", ["a"], ["b"])]
    model = models.build([*chain, helper.make_node("Add", ["a", "b"], ["y"])], [x], [y])
    session = diptych.InferenceSession(model, diptych.SessionOptions(memory_limit=1 << 16))
    assert session.run(None, {"x": np.zeros(8, np.float32)})[0].tolist() == [0] * 8
    with pytest.raises(diptych.ResourceLimitError) as caught:
        session.run(None, {"x": np.zeros(1 << 20, np.float32)})
    assert isinstance(caught.value, MemoryError)


def test_terminate_cancels_and_can_be_taken_back(relu: diptych.InferenceSession) -> None:
    options = diptych.RunOptions()
    options.terminate = True
    with pytest.raises(diptych.CancelledError):
        relu.run(None, {"x": X}, options)
    options.terminate = False
    assert len(relu.run(None, {"x": X}, options)) == 1


def test_a_deadline_in_the_past_ends_the_run(relu: diptych.InferenceSession) -> None:
    with pytest.raises(TimeoutError):
        relu.run(None, {"x": X}, diptych.RunOptions(timeout=0.0))
    with pytest.raises(diptych.InvalidInputError):
        relu.run(None, {"x": X}, diptych.RunOptions(timeout=-1.0))


def test_run_async_calls_back(relu: diptych.InferenceSession) -> None:
    done = threading.Event()
    calls: list[tuple[list[np.ndarray], object, str]] = []

    def callback(results: list[np.ndarray], user_data: object, error: str) -> None:
        calls.append((results, user_data, error))
        done.set()

    relu.run_async(None, {"x": X}, callback, "mine")
    assert done.wait(30)
    done.clear()
    relu.run_async(None, {}, callback, "mine")
    assert done.wait(30)
    assert [(len(results), data, bool(error)) for results, data, error in calls] == [
        (1, "mine", False),
        (0, "mine", True),
    ]


def test_many_threads_share_a_session(relu: diptych.InferenceSession) -> None:
    problems: list[object] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(50):
            x = rng.standard_normal((int(rng.integers(0, 40)), 3)).astype(np.float32)
            if not np.array_equal(relu.run(None, {"x": x})[0], np.maximum(x, 0)):
                problems.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems


def test_subclasses_work() -> None:
    class Mine(diptych.InferenceSession):
        def __init__(self, model: bytes) -> None:
            super().__init__(model, providers=["CPUExecutionProvider"])

    assert len(Mine(RELU).run(None, {"x": X})) == 1


def test_other_providers_are_named_in_a_warning() -> None:
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"):
        session = diptych.InferenceSession(RELU, providers=[("CUDAExecutionProvider", {}), "CPUExecutionProvider"])
    assert session.get_providers() == ["CPUExecutionProvider"]


@pytest.mark.parametrize(
    ("source", "error", "builtin"),
    [
        (b"garbage", diptych.InvalidModelError, ValueError),
        (b"", diptych.InvalidModelError, ValueError),
        ("/no/such/file.onnx", diptych.ModelFileError, OSError),
        (models.unary("NoSuchOperator", [1]), diptych.UnsupportedOperatorError, NotImplementedError),
    ],
    ids=["garbage", "empty", "file", "operator"],
)
def test_models_that_do_not_load(source: object, error: type[Exception], builtin: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        diptych.InferenceSession(source)
    assert isinstance(caught.value, builtin)
    assert isinstance(caught.value, diptych.Error)


def test_things_that_are_no_models_are_type_errors() -> None:
    with pytest.raises(TypeError, match="int"):
        diptych.InferenceSession(3)
    with pytest.raises(TypeError, match="sess_options"):
        diptych.InferenceSession(RELU, {"isa": "avx2"})  # type: ignore[arg-type]


def test_memory_is_reported_and_given_back(relu: diptych.InferenceSession) -> None:
    relu.run(None, {"x": X})
    assert all(value >= 0 for value in relu.memory().values())
    relu.shrink()
    assert relu.memory()["contexts"] == 0


def test_run_operator() -> None:
    (y,) = diptych.run_operator("Relu", [X])
    np.testing.assert_array_equal(y, np.maximum(X, 0))
    (y,) = diptych.run_operator("Clip", [X, None, np.float32(1)], opset=13)
    np.testing.assert_array_equal(y, np.minimum(X, 1))
    with pytest.raises(diptych.UnsupportedOperatorError, match="NoSuchOperator"):
        diptych.run_operator("NoSuchOperator", [X])


def test_packed_weights_do_not_multiply_with_the_input_shapes() -> None:
    """How many groups of a convolution go together follows from the image's size; their packed form does not."""
    groups, each = 48, 32
    w = numpy_helper.from_array(np.ones((groups * each, 4, 3, 3), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], group=groups, pads=[1, 1, 1, 1])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, groups * 4, "h", "h"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [w],
    )
    session = diptych.InferenceSession(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    )
    packed = []
    for size in (5, 6, 8, 10, 12, 20, 30):
        session.run(None, {"x": np.ones((1, groups * 4, size, size), np.float32)})
        packed.append(session.memory()["packed"])
    assert len(set(packed)) == 1, packed


def test_quantized_may_be_set_by_onnx_runtimes_entry() -> None:
    options = diptych.SessionOptions()
    assert options.quantized == "integer"
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    assert options.core_arguments()["quantized"] == "float"
    options.add_session_config_entry("session.disable_quant_qdq", "0")
    assert options.quantized == "integer"
