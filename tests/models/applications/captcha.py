"""Read an image with both classifiers of ddddocr, and find what is on it with its detector; print all as JSON.

The default classifier has an operator of ONNX Runtime's own, com.microsoft.DynamicQuantizeLSTM.

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
    texts = [ddddocr.DdddOcr(beta=beta, show_ad=False).classification(content) for beta in (False, True)]
    boxes = ddddocr.DdddOcr(det=True, show_ad=False).detection(content)
    result = {"texts": texts, "boxes": boxes}
    drop_in.show(result)


if __name__ == "__main__":
    main(*sys.argv[1:])
