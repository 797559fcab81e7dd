"""Read an image with ddddocr's newer classifier, and find what is on it with its detector; print both as JSON.

The older classifier is of an operator of ONNX Runtime's own, com.microsoft.DynamicQuantizeLSTM.

python captcha.py onnxruntime|diptych IMAGE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(backend: str, image: str) -> None:
    if backend == "diptych":
        import diptych.onnxruntime

        diptych.onnxruntime.install()
    import ddddocr
    import onnxruntime

    content = Path(image).read_bytes()
    text = ddddocr.DdddOcr(beta=True, show_ad=False).classification(content)
    boxes = ddddocr.DdddOcr(det=True, show_ad=False).detection(content)
    result = {"texts": [text], "boxes": boxes}
    print(json.dumps({"module": onnxruntime.__name__, "file": str(onnxruntime.__file__), "result": result}))


if __name__ == "__main__":
    main(*sys.argv[1:])
