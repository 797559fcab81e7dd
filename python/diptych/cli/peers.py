"""What `bench` times: the engine, the reference and other engines, each behind one callable."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import diptych
from diptych.errors import Error
from diptych.options import default_threads

__all__ = ["PEERS", "Peer", "first_answer", "load_peer", "thread_count"]

Run = Callable[[Mapping[str, Any]], list[Any]]


@dataclass(frozen=True)
class Peer:
    """An engine that has loaded the model. `run` maps feeds to the outputs in the model's order."""

    name: str
    version: str
    load_milliseconds: float
    run: Run


def thread_count(options: diptych.SessionOptions) -> int:
    """Threads of Diptych's session, and so of every engine beside it."""
    return options.intra_op_num_threads or default_threads() or diptych.usable_cpus()


def _load_engine(path: str, options: diptych.SessionOptions) -> tuple[str, Run]:
    """Diptych's engine."""
    session = diptych.InferenceSession(path, options)
    return f"{diptych.__version__} {session.isa}", lambda feeds: session.run(None, feeds)


def _load_reference(path: str, options: diptych.SessionOptions) -> tuple[str, Run]:
    """Load the left panel; it has no threads."""
    from importlib.metadata import version

    from diptych_reference import ReferenceSession

    session = ReferenceSession(path, quantized=options.quantized)
    return version("diptych-reference"), lambda feeds: session.run(None, feeds)


def _load_onnxruntime(path: str, options: diptych.SessionOptions) -> tuple[str, Run]:
    """Load ONNX Runtime on the CPU with its defaults, one pool of the given size."""
    import onnxruntime

    peer_options = onnxruntime.SessionOptions()
    peer_options.intra_op_num_threads = thread_count(options)
    peer_options.inter_op_num_threads = 1
    peer_options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, peer_options, providers=["CPUExecutionProvider"])
    return onnxruntime.__version__, lambda feeds: list(session.run(None, dict(feeds)))


def _load_openvino(path: str, options: diptych.SessionOptions) -> tuple[str, Run]:
    """Load OpenVINO on the CPU, held to float32 and to latency."""
    import openvino

    config = {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": str(thread_count(options)),
    }
    core = openvino.Core()
    model = core.read_model(path)
    names = [port.get_any_name() for port in model.inputs]  # compiled, an input also has names of nodes fused into it
    compiled = core.compile_model(model, "CPU", config)
    request = compiled.create_infer_request()

    def run(feeds: Mapping[str, Any]) -> list[Any]:
        results = request.infer([feeds[name] for name in names])
        return [np.array(results[port]) for port in compiled.outputs]

    return str(openvino.__version__).split("-", maxsplit=1)[0], run


_LOADERS: dict[str, Callable[[str, diptych.SessionOptions], tuple[str, Run]]] = {
    "diptych": _load_engine,
    "reference": _load_reference,
    "onnxruntime": _load_onnxruntime,
    "openvino": _load_openvino,
}
PEERS = tuple(name for name in _LOADERS if name != "diptych")


def load_peer(name: str, path: str, options: diptych.SessionOptions) -> Peer:
    """Load a model with one engine and take the time of it; the import of the engine's package does not count."""
    if name != "diptych":
        package = "diptych_reference" if name == "reference" else name
        try:
            __import__(package)
        except ModuleNotFoundError:
            raise Error(
                f"--against {name}: the package {package!r} is not installed (pip install 'diptych[bench]')"
            ) from None
    start = time.perf_counter()
    try:
        version, run = _LOADERS[name](path, options)
    except Exception as error:
        if name == "diptych":
            raise
        raise Error(f"{name} does not load {path}: {error}") from error
    return Peer(name, version, 1e3 * (time.perf_counter() - start), run)


def first_answer(peer: Peer, feeds: Mapping[str, Any]) -> list[Any]:
    """Outputs of a peer's first run. Its own exceptions become errors: some learn only then what they cannot run."""
    try:
        return peer.run(feeds)
    except Exception as error:
        raise Error(f"{peer.name} does not run the model: {error}") from error
