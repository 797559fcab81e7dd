"""What an installation costs: the size of both packages, and what importing them takes."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from tools.speed.callgrind import count_program, has_callgrind

MODULES = ["diptych", "diptych_reference"]


class Package:
    """Files of the package as installed, without what Python compiled; the engine's library is the most of it."""

    params = [MODULES]
    param_names = ["package"]
    version = "1"
    unit = "bytes"

    def track_size(self, package):
        folder = Path(find_spec(package).origin).parent
        files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        return sum(path.stat().st_size for path in files)


class Import:
    """From a running interpreter to a module that is ready, NumPy included; `numpy` is what they cannot do without."""

    params = [[*MODULES, "numpy"]]
    param_names = ["package"]
    version = "1"

    def timeraw_import(self, package):
        return f"import {package}"


class ImportInstructions:
    """The same counted by callgrind, less the instructions of an interpreter that imports nothing."""

    params = [[*MODULES, "numpy"]]
    param_names = ["package"]
    version = "1"
    unit = "instructions"
    timeout = 600

    def setup(self, package):
        if not has_callgrind():
            raise NotImplementedError

    def track_instructions(self, package):
        importing, nothing = ([sys.executable, "-c", code] for code in (f"import {package}", "pass"))
        return count_program(importing) - count_program(nothing)
