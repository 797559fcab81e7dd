"""Normalizations and Softmax."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.testing import shapes
from diptych.testing.sketch import Sketch, shape_rule
from diptych.testing.values import numpy_dtype, onnx_number

EPSILONS = (1e-5, 1e-3, 0.0, 1.0)
FLOATS = tuple(onnx_number(numpy_dtype(name)) for name in ("float", "double", "float16", "bfloat16"))


@shape_rule("BatchNormalization")
def batch_normalization(s: Sketch) -> list[Any]:
    """X [N, C, …] and four statistics of shape [C], before opset 9 of a shape [C, …] without `spatial`."""
    x = s.shape((2, 4))
    s.attribute("epsilon", *EPSILONS)
    s.attribute("momentum", 0.9, 0.5, 0.0)
    inference = s.attribute("is_test", 0, 1)
    spatial = s.attribute("spatial", 1, 0)
    if "training_mode" in s.row.attributes:
        s.n_outputs = 3 if s.attribute("training_mode", 0, 1) else 1
    else:
        s.n_outputs = s.choose(1, 5) if s.row.schema.max_output >= 5 and not inference else 1
    dims = x[1:] if spatial == 0 else x[1:2]
    names = list(s.row.inputs)[1:]
    statistics = [s.tensor(dims, s.input_dtype(name), specials=s.coin()) for name in names]
    if s.coin():  # a variance, as it should be
        statistics[3] = np.abs(statistics[3])
    return [s.tensor(x), *statistics]


@shape_rule("LayerNormalization")
def layer_normalization(s: Sketch) -> list[Any]:
    """X, a scale and perhaps a bias that broadcast into the axes from `axis` on."""
    x = s.shape((1, 4), limit=2048)
    axis = s.attribute("axis", -1, *range(-len(x), len(x)))
    normalized = x[axis:]
    s.attribute("epsilon", *EPSILONS)
    s.attribute("stash_type", *(onnx_number(dtype) for dtype in s.row.types("U")))
    s.n_outputs = s.integer(1, 3)
    scale = shapes.operand(s.draw, normalized) if s.coin() else normalized
    return [s.tensor(x), s.tensor(scale), s.tensor(normalized) if s.coin() else None]


@shape_rule("RMSNormalization")
def rms_normalization(s: Sketch) -> list[Any]:
    """X and a scale, perhaps of another type, that broadcasts into X; mostly it has the axes from `axis` on."""
    x = s.choose(None, None, None, None, None, None, None, (2, 4099)) or s.shape((1, 4), limit=2048)
    axis = s.attribute("axis", -1, *range(-len(x), len(x)))
    s.attribute("epsilon", *EPSILONS)
    s.attribute("stash_type", *FLOATS)
    scale_type = s.input_dtype("scale") if s.coin() else s.bound.setdefault("V", s.dtype)
    scale = shapes.operand(s.draw, x[s.choose(axis, 0) :]) if s.coin() else x[axis:]
    return [s.tensor(x), s.tensor(scale, scale_type)]


@shape_rule("SimplifiedLayerNormalization")
def simplified_layer_normalization(s: Sketch) -> list[Any]:
    """As RMSNormalization, with a second output."""
    s.n_outputs = s.integer(1, 2)
    x = s.shape((1, 4), limit=2048)
    axis = s.attribute("axis", -1, *range(-len(x), len(x)))
    s.attribute("epsilon", *EPSILONS)
    s.attribute("stash_type", *FLOATS[:2])
    scale_type = s.input_dtype("scale") if s.coin() else s.bound.setdefault("V", s.dtype)
    scale = shapes.operand(s.draw, x[s.choose(axis, 0) :]) if s.coin() else x[axis:]
    return [s.tensor(x), s.tensor(scale, scale_type)]


@shape_rule("SkipLayerNormalization", "SkipSimplifiedLayerNormalization", domain="com.microsoft")
def skip_layer_normalization(s: Sketch) -> list[Any]:
    """Input [N, S, H] or [T, H]; skip may be one for all of the batch; gamma, and perhaps beta and bias, [H]."""
    x = s.choose(None, None, None, None, None, None, None, (2, 4099)) or s.shape((2, 3))
    skip = s.choose(x, x, (1, *x[1:]), x[1:]) if len(x) == 3 else x
    s.attribute("epsilon", 1e-12, *EPSILONS)
    s.n_outputs = s.integer(1, 4)
    parameters = [s.tensor(x[-1:]) if s.coin() else None for name in list(s.row.inputs)[3:]]
    return [s.tensor(x), s.tensor(skip), s.tensor(x[-1:]), *parameters]


@shape_rule("EmbedLayerNormalization", domain="com.microsoft")
def embed_layer_normalization(s: Sketch) -> list[Any]:
    """Ids [N, S] for tables of some rows; segments, a mask and positions may be absent."""
    ids, hidden = s.shape((2, 2), limit=60), shapes.side(s.draw, 37)
    integers = s.input_dtype("input_ids")
    s.attribute("epsilon", 1e-12, *EPSILONS)
    s.attribute("mask_index_type", 0, 1)
    s.n_outputs = s.integer(1, 3)

    def chosen(shape: tuple[int, ...], rows: int) -> Any:
        return s.tensor(shape, integers) % integers.type(rows)  # never negative in NumPy

    words, segments = s.integer(1, 5), s.integer(1, 3)
    positions = max(ids[1], 1) + s.integer(0, 3)
    with_segments = s.choose("ids", "table", "none")
    return [
        chosen(ids, words),
        chosen(ids, segments) if with_segments == "ids" else None,
        s.tensor((words, hidden)),
        s.tensor((positions, hidden)),
        s.tensor((segments, hidden)) if with_segments != "none" else None,
        s.tensor((hidden,)),
        s.tensor((hidden,)),
        chosen(ids, 3) if s.coin() else None,
        chosen(s.choose(ids, (1, ids[1])), positions) if s.coin() else None,
    ]


@shape_rule("GroupNormalization")
def group_normalization(s: Sketch) -> list[Any]:
    """X [N, groups * k, ...]; scale and bias one number a group, from 21 on a channel."""
    groups, each = s.set("num_groups", s.integer(1, 4)), s.integer(0, 4)
    x = (shapes.side(s.draw, 3), groups * each, *s.shape((0, 3), limit=80))
    s.attribute("epsilon", *EPSILONS)
    s.attribute("stash_type", *FLOATS)
    parameters = (groups if s.since < 21 else x[1],)
    return [s.tensor(x), s.tensor(parameters), s.tensor(parameters)]


@shape_rule("InstanceNormalization")
def instance_normalization(s: Sketch) -> list[Any]:
    """X [N, C, ...], a scale and a bias for each channel."""
    x = s.choose(None, None, None, None, None, None, None, (1, 2, 4099)) or s.shape((2, 5))
    s.attribute("epsilon", *EPSILONS)
    return [s.tensor(x), s.tensor(x[1:2]), s.tensor(x[1:2])]


@shape_rule("LpNormalization")
def lp_normalization(s: Sketch) -> list[Any]:
    """X and an axis; now and then one longer than a chunk of 4096 terms."""
    x = s.choose(None, None, None, None, None, None, None, (2, 4099)) or s.shape((1, 4), limit=2048)
    s.attribute("axis", -1, *range(-len(x), len(x)))
    s.attribute("p", 2, 1)
    return [s.tensor(x)]


@shape_rule("MeanVarianceNormalization")
def mean_variance_normalization(s: Sketch) -> list[Any]:
    """X and some axes, or none named, which is all; without the attribute X has four axes at least."""
    if s.coin():
        return [s.tensor(s.shape((4, 5)))]
    x = s.shape((0, 4), limit=2048)
    s.set("axes", shapes.subset(s.draw, len(x)))
    return [s.tensor(x)]


@shape_rule("LRN")
def lrn(s: Sketch) -> list[Any]:
    """X [N, C, …]; `size` channels around each, even sizes and sizes beyond C included."""
    x = s.shape((2, 4), limit=600)
    s.set("size", s.choose(1, 3, 2, 5, 7))
    s.attribute("alpha", 1e-4, 0.5, 0.0)
    s.attribute("beta", 0.75, 0.5, 1.0, 2.0)
    s.attribute("bias", 1.0, 0.0, 2.0)
    return [s.tensor(x)]


@shape_rule("Softmax", "LogSoftmax", "Hardmax")
def softmax(s: Sketch) -> list[Any]:
    """X and an axis; now and then one longer than a chunk of 4096 terms. Before opset 11 axes are not negative."""
    x = s.choose(None, None, None, None, None, None, None, (2, 4099)) or s.shape((2, 4), limit=2048)
    s.attribute("axis", *range(0 if s.since < 11 else -len(x), len(x)))
    return [s.tensor(x)]
