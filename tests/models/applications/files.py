"""Tell what kind of file each argument is with magika; print labels and scores as JSON.

python files.py onnxruntime|diptych FILE ...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(backend: str, *files: str) -> None:
    if backend == "diptych":
        import diptych.onnxruntime

        diptych.onnxruntime.install()
    import onnxruntime
    from magika import Magika

    results = Magika().identify_paths([Path(file) for file in files])
    result = {"labels": [str(r.output.label) for r in results], "scores": [float(r.score) for r in results]}
    print(json.dumps({"module": onnxruntime.__name__, "file": str(onnxruntime.__file__), "result": result}))


if __name__ == "__main__":
    main(*sys.argv[1:])
