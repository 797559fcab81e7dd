"""Read the text of an image with rapidocr-onnxruntime; print boxes, texts and scores as JSON.

python rapidocr.py onnxruntime|diptych IMAGE
"""

from __future__ import annotations

import json
import sys


def main(backend: str, image: str) -> None:
    if backend == "diptych":
        import diptych.onnxruntime

        diptych.onnxruntime.install()
    import onnxruntime
    from rapidocr_onnxruntime import RapidOCR

    found, _ = RapidOCR()(image)
    boxes, texts, scores = zip(*(found or []), strict=True) if found else ((), (), ())
    result = {"boxes": boxes, "texts": texts, "scores": [float(score) for score in scores]}
    print(json.dumps({"module": onnxruntime.__name__, "file": str(onnxruntime.__file__), "result": result}))


if __name__ == "__main__":
    main(*sys.argv[1:])
