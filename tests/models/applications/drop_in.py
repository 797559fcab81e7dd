"""What the applications' scripts begin and end with: the choice of the backend, and the answer as a line of JSON."""

from __future__ import annotations

import json
from typing import Any


def choose(backend: str) -> None:
    """Before anything imports onnxruntime: put Diptych in its place, or (`onnxruntime`) leave it alone."""
    if backend == "diptych":
        import diptych.onnxruntime

        diptych.onnxruntime.install()


def show(result: Any) -> None:
    """Print the result, and what `import onnxruntime` was."""
    import onnxruntime

    print(json.dumps({"module": onnxruntime.__name__, "file": str(onnxruntime.__file__), "result": result}))
