"""Serve `import onnxruntime` in this process from `diptych.onnxruntime`. Nothing is written to disk."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from diptych.errors import Error

__all__ = ["API_VERSION", "install", "uninstall"]

API_VERSION = "1.31.1"  # the ONNX Runtime whose Python surface this package follows
_OURS = "diptych.onnxruntime"
_THEIRS = "onnxruntime"


class _Distribution(importlib.metadata.Distribution):
    """What `importlib.metadata.version("onnxruntime")` finds while the drop-in is installed."""

    def read_text(self, filename: str) -> str | None:
        """Only the metadata exist."""
        if filename == "METADATA":
            return f"Metadata-Version: 2.1\nName: {_THEIRS}\nVersion: {API_VERSION}\nSummary: served by Diptych\n"
        return None

    def locate_file(self, path: Any) -> Any:
        """Refuse: there are no files."""
        raise FileNotFoundError(f"{path}: {_THEIRS} is served by Diptych and has no files")


class _Finder(importlib.metadata.DistributionFinder):
    """Maps `onnxruntime` and its submodules onto ours, and answers for its metadata."""

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Give a submodule the module of ours with the same name, so that no class exists twice."""
        if not fullname.startswith(_THEIRS + "."):
            return None
        ours = _OURS + fullname.removeprefix(_THEIRS)
        return None if importlib.util.find_spec(ours) is None else ModuleSpec(fullname, _Alias(ours))

    def find_distributions(
        self, context: importlib.metadata.DistributionFinder.Context | None = None
    ) -> Iterable[importlib.metadata.Distribution]:
        """Answer for the name `onnxruntime` alone."""
        return [_Distribution()] if context is not None and context.name == _THEIRS else []


class _Alias(Loader):
    """A loader that hands out a module that exists under another name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return our module."""
        return importlib.import_module(self._name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the module has run under its own name."""


_finder = _Finder()


def install() -> None:
    """From now on `import onnxruntime`, its submodules and its version come from Diptych.

    Call it before anything imports onnxruntime. Raises Error if ONNX Runtime itself is loaded already; installing twice
    is harmless.
    """
    ours = importlib.import_module(_OURS)
    loaded = sys.modules.get(_THEIRS)
    if loaded is ours:
        return
    if loaded is not None:
        where = getattr(loaded, "__file__", "unknown")
        raise Error(f"onnxruntime is loaded already, from {where}: call diptych.onnxruntime.install() before that")
    sys.modules[_THEIRS] = ours
    sys.meta_path.insert(0, _finder)


def uninstall() -> None:
    """Undo `install` for imports to come; modules that hold a name of ours keep it."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
        for name in [name for name in sys.modules if name == _THEIRS or name.startswith(_THEIRS + ".")]:
            del sys.modules[name]
