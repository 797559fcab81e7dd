"""Read an image with ddddocr's newer classifier, and find what is on it with its detector; print both as JSON.

The older classifier is of an operator of ONNX Runtime's own, com.microsoft.DynamicQuantizeLSTM.

python captcha.py onnxruntime|diptych IMAGE
"""

from __future__ import annotations

import sys
from pathlib import Path

import drop_in


def main(backend: str, image: str) -> None:
    drop_in.choose(backend)
    import ddddocr

    content = Path(image).read_bytes()
    text = ddddocr.DdddOcr(beta=True, show_ad=False).classification(content)
    boxes = ddddocr.DdddOcr(det=True, show_ad=False).detection(content)
    result = {"texts": [text], "boxes": boxes}
    drop_in.show(result)


if __name__ == "__main__":
    main(*sys.argv[1:])
