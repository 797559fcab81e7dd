"""Read the text of an image with rapidocr-onnxruntime; print boxes, texts and scores as JSON.

python rapidocr.py onnxruntime|diptych IMAGE
"""

from __future__ import annotations

import sys

import drop_in


def main(backend: str, image: str) -> None:
    drop_in.choose(backend)
    from rapidocr_onnxruntime import RapidOCR

    found, _ = RapidOCR()(image)
    boxes, texts, scores = zip(*(found or []), strict=True) if found else ((), (), ())
    result = {"boxes": boxes, "texts": texts, "scores": [float(score) for score in scores]}
    drop_in.show(result)


if __name__ == "__main__":
    main(*sys.argv[1:])
