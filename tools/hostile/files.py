"""External data that leads out of the model's folder, or to something that is no file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from onnx import TensorProto
from tools.hostile.case import ACCEPT, add, model, node

DATA = np.arange(4, dtype=np.float32).tobytes()


def external(location: str, prepare: Callable[[Path], None] | None = None, **entries: object) -> Callable[[Path], Path]:
    """What writes `inside/model.onnx`, whose one weight lies at `location`; `secret.bin` is in the folder above."""

    def make(folder: Path) -> Path:
        inside = folder / "inside"
        inside.mkdir()
        (folder / "secret.bin").write_bytes(DATA)
        (inside / "weights.bin").write_bytes(DATA)
        if prepare:
            prepare(inside)
        path = inside / "model.onnx"
        path.write_bytes(described(location, **entries))
        return path

    return make


def described(location: str, **entries: object) -> bytes:
    """The model's bytes."""
    tensor = TensorProto(dims=[4], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    return bytes(model([node("Identity", "x")], constants={"x": tensor}).SerializeToString())


def linked(target: str) -> Callable[[Path], None]:
    """What puts a symbolic link `link.bin` into the folder."""
    return lambda inside: (inside / "link.bin").symlink_to(target)


def fifo(inside: Path) -> None:
    """A FIFO: who opens it to read waits for a writer."""
    os.mkfifo(inside / "fifo.bin")


def hardlink(inside: Path) -> None:
    """A hard link to a file of the folder above, as package managers make them."""
    os.link(inside.parent / "secret.bin", inside / "hard.bin")


add("file/plain", "four numbers in a file beside the model", external("weights.bin"), expected=ACCEPT)
add(
    "file/hard-link",
    "a hard link: a file of the folder like any other",
    external("hard.bin", hardlink),
    expected=ACCEPT,
)
add("file/link-inside", "a link to a file of the folder", external("link.bin", linked("weights.bin")), expected=ACCEPT)
add("file/upwards", "a location with ..", external("../secret.bin"))
add(
    "file/upwards-hidden",
    "a location with .. in the middle",
    external("sub/../../secret.bin", lambda d: (d / "sub").mkdir()),
)
add("file/upwards-backslash", "a location with ..\\", external("..\\secret.bin"))
add("file/absolute", "an absolute location", external("/etc/passwd"))
add("file/link-outside", "a link that leads out", external("link.bin", linked("../secret.bin")))
add("file/link-to-device", "a link to a device without end", external("link.bin", linked("/dev/zero")))
add("file/link-to-proc", "a link into /proc", external("link.bin", linked("/proc/self/environ")))
add("file/link-dangling", "a link that leads nowhere", external("link.bin", linked("nowhere.bin")))
add("file/link-cycle", "a link to itself", external("link.bin", linked("link.bin")))
add("file/fifo", "a FIFO", external("fifo.bin", fifo))
add("file/directory", "a folder", external("sub", lambda d: (d / "sub").mkdir()))
add("file/missing", "no such file", external("nowhere.bin"))
add("file/url", "a URL", external("https://example.com/weights.bin"))
add("file/file-url", "a URL of a file", external("file:///etc/passwd"))
add("file/empty-location", "an empty location", external(""))
add("file/nul", "a NUL in the location", external("weights.bin\0.txt"))
add("file/offset-past-end", "an offset past the end", external("weights.bin", offset=8))
add("file/offset-negative", "an offset of -4", external("weights.bin", offset=-4))
add("file/offset-overflow", "an offset of 2^64 - 8", external("weights.bin", offset=(1 << 64) - 8))
add("file/offset-no-number", "an offset in words", external("weights.bin", offset="four"))
add("file/length-wrong", "a length of 12 for 16 bytes", external("weights.bin", length=12))
add("file/length-huge", "a length of 2^62", external("weights.bin", length=1 << 62))
add("file/no-folder", "external data of a model given as bytes", lambda _: described("weights.bin"))
add("file/model-is-directory", "a folder in the model's place", lambda folder: folder)
add("file/model-is-missing", "no model at all", lambda folder: folder / "nowhere.onnx")
add(
    "file/model-is-fifo",
    "a FIFO in the model's place",
    lambda folder: [os.mkfifo(folder / "m.onnx"), folder / "m.onnx"][1],
)
add("file/model-is-device", "a device without end in the model's place", lambda _: Path("/dev/zero"))
