"""Tell what kind of file each argument is with magika; print labels and scores as JSON.

python files.py onnxruntime|diptych FILE ...
"""

from __future__ import annotations

import sys
from pathlib import Path

import drop_in


def main(backend: str, *files: str) -> None:
    drop_in.choose(backend)
    from magika import Magika

    results = Magika().identify_paths([Path(file) for file in files])
    result = {"labels": [str(r.output.label) for r in results], "scores": [float(r.score) for r in results]}
    drop_in.show(result)


if __name__ == "__main__":
    main(*sys.argv[1:])
