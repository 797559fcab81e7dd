"""Classify ten held-out digits on both panels and show that they agree to the last bit.

    make demo        # or: python examples/digits/demo.py

Exits with 1 if a single bit differs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

import diptych
from diptych.compare import compare
from diptych_reference import ReferenceSession

FOLDER = Path(__file__).parent
ROUNDS = 15


def timed(run: Callable[[], list[np.ndarray]]) -> tuple[np.ndarray, float]:
    """Return the first output of `run` and the median time of a call in milliseconds."""
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        outputs = run()
        seconds.append(time.perf_counter() - start)
    return outputs[0], 1e3 * median(seconds)


def sketch(image: np.ndarray) -> list[str]:
    """8x8 pixels 0..16 as eight lines of text."""
    shades = " .:-=+*#@"
    return ["".join(shades[int(v) // 2] * 2 for v in row) for row in image]


def main() -> int:
    """Run every image on both panels, print the table, return the exit status."""
    model = FOLDER / "digits.onnx"
    reference, engine = ReferenceSession(model), diptych.InferenceSession(model)
    files = sorted((FOLDER / "images").glob("*.npy"))
    print(
        f"{model.name} on {len(files)} images that training never saw; engine: {engine.isa}, {engine.threads} threads\n"
    )
    print("\n".join(sketch(np.load(files[3])[0, 0])), "\n")
    print(f"{'image':8} {'digit':>5} {'prediction':>18} {'equal bits':>14} {'reference ms':>13} {'engine ms':>10}")
    disagreements = 0
    for file in files:
        feeds = {"image": np.load(file)}
        expected, reference_ms = timed(lambda feeds=feeds: reference.run(None, feeds))
        actual, engine_ms = timed(lambda feeds=feeds: engine.run(None, feeds))
        comparison = compare(expected, actual)
        disagreements += not comparison.equal
        digit = int(actual.argmax())
        prediction = f"{digit} ({actual[0, digit]:.2%})"
        bits = 8 * expected.dtype.itemsize
        agreement = f"{bits * (comparison.elements - comparison.differing)} of {bits * expected.size}"
        print(f"{file.name:8} {file.stem:>5} {prediction:>18} {agreement:>14} {reference_ms:13.2f} {engine_ms:10.3f}")
    verdict = "the panels agree to the last bit" if not disagreements else f"{disagreements} images differ"
    print(f"\n{len(files)} images: {verdict}.")
    return 1 if disagreements else 0


if __name__ == "__main__":
    sys.exit(main())
