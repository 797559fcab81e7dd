"""The architectures by name, each at full size and small, with feeds for both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from tools.models.convolutional import mobilenet_v2, resnet50
from tools.models.efficientnet import efficientnet_b0
from tools.models.feeds import Feeds, cached, images, normals, sentences
from tools.models.llama import llama_step, llama_step_23
from tools.models.products import int4_product
from tools.models.recurrent import bilstm_tagger, lstm_stream
from tools.models.transformers import bert, gpt2_step, minilm
from tools.models.vision_transformers import deit_tiny, vit_small
from tools.models.wheels import STORE, put
from tools.models.yolo import yolov8n


@dataclass(frozen=True)
class Architecture:
    """`make(**parameters)` builds it; `small` are the parameters of a variant that the reference evaluates in seconds.

    `feeds(rng, small)` makes inputs that fit the full or the small variant.
    """

    make: Callable[..., onnx.ModelProto]
    small: Mapping[str, Any]
    feeds: Callable[[np.random.Generator, bool], Feeds] = field(repr=False)


def _image(rng: np.random.Generator, small: bool) -> Feeds:
    return images("x", *((2, 3, 32, 32) if small else (1, 3, 224, 224)))(rng)


def _tokens(rng: np.random.Generator, small: bool) -> Feeds:
    return {"ids": rng.integers(0, 50, (2, 5) if small else (1, 64))}


def _frame(rng: np.random.Generator, small: bool) -> Feeds:
    inputs, hidden = (8, 16) if small else (64, 256)
    return normals(x=(1, 1, inputs), h=(2, 1, hidden), c=(2, 1, hidden))(rng)


def _sentence(rng: np.random.Generator, small: bool) -> Feeds:
    return sentences(100, *((2, 7) if small else (1, 128)))(rng)


def _detected(rng: np.random.Generator, small: bool) -> Feeds:
    return images("images", *((2, 3, 64, 64) if small else (1, 3, 640, 640)), low=0)(rng)


def _rows(count: int) -> Callable[[np.random.Generator, bool], Feeds]:
    return lambda rng, small: normals(a=(min(count, 5), 80) if small else (count, 4096))(rng)


def _decoding(rng: np.random.Generator, small: bool) -> Feeds:
    layers, heads, size, past = (2, 2, 8, 5) if small else (12, 12, 64, 64)
    return cached(layers, heads, size, past, 50)(rng)


def _generating(rng: np.random.Generator, small: bool) -> Feeds:
    return (cached(2, 2, 8, 5, 50, tokens=3, batch=2) if small else cached(12, 4, 64, 64, 32000))(rng)


VISION_SMALL = {"layers": 2, "hidden": 24, "heads": 3, "size": 32, "patch": 8, "classes": 10}
LLAMA_SMALL = {"layers": 2, "hidden": 32, "heads": 4, "groups": 2, "inner": 48, "vocabulary": 50, "positions": 16}

ARCHITECTURES: dict[str, Architecture] = {
    "resnet50": Architecture(resnet50, {"width": 8, "blocks": (2, 1, 1, 1), "classes": 10}, _image),
    "mobilenet_v2": Architecture(
        mobilenet_v2, {"width": 0.25, "stages": ((1, 16, 1, 1), (6, 24, 2, 2), (6, 64, 2, 2)), "classes": 10}, _image
    ),
    "efficientnet_b0": Architecture(
        efficientnet_b0,
        {"stem": 8, "stages": ((1, 8, 1, 1, 3), (6, 16, 2, 2, 5)), "last": 32, "classes": 10},
        _image,
    ),
    "yolov8n": Architecture(yolov8n, {"size": 64, "width": 4, "classes": 3, "bins": 4}, _detected),
    "vit_small": Architecture(vit_small, VISION_SMALL, _image),
    "deit_tiny": Architecture(deit_tiny, VISION_SMALL, _image),
    "bert": Architecture(bert, {"layers": 2, "hidden": 32, "heads": 2, "vocabulary": 100, "positions": 16}, _sentence),
    "minilm": Architecture(
        minilm, {"layers": 3, "hidden": 24, "heads": 3, "vocabulary": 100, "positions": 16}, _sentence
    ),
    "gpt2_step": Architecture(
        gpt2_step, {"layers": 2, "hidden": 16, "heads": 2, "vocabulary": 50, "positions": 16}, _decoding
    ),
    "llama_step": Architecture(llama_step, LLAMA_SMALL, _generating),
    "llama_step_23": Architecture(llama_step_23, LLAMA_SMALL, _generating),
    "bilstm_tagger": Architecture(bilstm_tagger, {"vocabulary": 50, "embedding": 12, "hidden": 9, "tags": 5}, _tokens),
    "lstm_stream": Architecture(lstm_stream, {"inputs": 8, "hidden": 16}, _frame),
    **{
        f"int4_{name}_level{level}": Architecture(
            partial(int4_product, accuracy_level=level), {"k": 80, "n": 70, "block": 16}, _rows(count)
        )
        for name, count in (("row", 1), ("rows", 128))
        for level in (4, 1)
    },
}


def build(name: str, small: bool = False) -> onnx.ModelProto:
    """Return the model of this name, with seeded weights."""
    architecture = ARCHITECTURES[name]
    return architecture.make(**(architecture.small if small else {}))


def path_of_built(name: str, small: bool = False) -> Path:
    """Where the model of this name lies once it is written."""
    return STORE / "built" / ("small" if small else "") / f"{name}.onnx"


def write(name: str, small: bool = False) -> Path:
    """Build the model of this name and write it into the store."""
    return put(path_of_built(name, small), build(name, small).SerializeToString())
