"""Every value of a run, computed once by the reference; what does not fit into memory lies in a file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from onnx import ModelProto

import diptych_reference
from diptych_reference import ReferenceSession

__all__ = ["MEMORY", "Recording", "record"]

MEMORY = 512 << 20  # bytes of values held in memory


class Recording:
    """Values by name. Beyond `memory` bytes, arrays go to a temporary file that ends with this object.

    `problem` says why the reference stopped before the end; "" where it did not.
    """

    def __init__(self, memory: int = MEMORY) -> None:
        self.memory, self.held, self.problem = memory, 0, ""
        self._values: dict[str, Any] = {}
        self._places: dict[str, tuple[int, np.dtype[Any], tuple[int, ...]]] = {}
        self._file: IO[bytes] | None = None

    def __contains__(self, name: str) -> bool:
        return name in self._values or name in self._places

    def __setitem__(self, name: str, value: Any) -> None:
        arrays = value if isinstance(value, list) else [value]
        size = sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))
        if self.held + size > self.memory and isinstance(value, np.ndarray) and value.dtype.kind != "O":
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="diptych-reduce-")  # noqa: SIM115  closed by `close`
            self._places[name] = (self._file.seek(0, 2), value.dtype, value.shape)
            np.ascontiguousarray(value).reshape(-1).view(np.uint8).tofile(self._file)
            return
        self.held += size
        self._values[name] = value

    def __getitem__(self, name: str) -> Any:
        if name in self._values:
            return self._values[name]
        offset, dtype, shape = self._places[name]
        assert self._file is not None
        self._file.seek(offset)
        count = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        return np.fromfile(self._file, np.uint8, count).view(dtype).reshape(shape)

    def close(self) -> None:
        """Give the file back."""
        if self._file is not None:
            self._file.close()
            self._file = None


def record(
    model: ModelProto | Path,
    feeds: Mapping[str, Any],
    *,
    memory: int = MEMORY,
    progress: Callable[[int], None] = lambda done: None,
) -> Recording:
    """Run a model on the reference as it is written (quantized products stay products of floats); keep every value.

    A model that the reference refuses is recorded as far as it comes; `problem` tells.
    """
    recording = Recording(memory)
    for name, value in feeds.items():
        recording[name] = value
    ran = False
    try:
        session = ReferenceSession(model, quantized="float")
        for done, (node, _, outputs) in enumerate(session.run_nodes(feeds)):
            for name, value in zip(node.outputs, outputs, strict=True):
                if name:
                    recording[name] = value
            progress(done + 1)
            ran = True
    except diptych_reference.Error as error:
        if not ran and isinstance(error, diptych_reference.InvalidInputError) and error.__cause__ is None:
            raise  # what is fed is wrong
        recording.problem = f"{type(error).__name__}: {error}"
    return recording
