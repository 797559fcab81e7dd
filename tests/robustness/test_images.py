"""Damaged image files: ImageDecoder gives an image, an empty matrix or a typed error, never a panic, and soon."""

from __future__ import annotations

import io
import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from PIL import Image

import diptych

FORMATS = [
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("PNG", {}),
    ("BMP", {}),
    ("TIFF", {}),
    ("WEBP", {}),
    ("PPM", {}),
    ("JPEG2000", {}),
    ("JPEG2000", {"no_jp2": True, "tile_size": (16, 16), "num_resolutions": 3}),
]
ROUNDS = 400


@pytest.mark.parametrize(("name", "options"), FORMATS, ids=lambda value: value if isinstance(value, str) else "")
def test_damaged_files(name: str, options: dict[str, Any]) -> None:
    chance = random.Random(7)
    pixels = np.random.default_rng(1).integers(0, 256, (23, 37, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, name, **options)
    whole = file.getvalue()
    outcomes: Counter[str] = Counter()
    for _ in range(ROUNDS):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 2, 8, 40))):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        if chance.random() < 0.3:
            del damaged[chance.randrange(1, len(damaged)) :]
        try:
            [image] = diptych.run_operator("ImageDecoder", [np.frombuffer(bytes(damaged), np.uint8)])
            outcomes["image" if image.size else "empty"] += 1
        except diptych.InternalError:
            raise
        except diptych.Error as error:
            outcomes[type(error).__name__] += 1
    assert outcomes.total() == ROUNDS
    assert outcomes["image"], "every file was refused"
