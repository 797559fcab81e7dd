"""Layer normalization with the additions or look-ups before it, as ONNX Runtime's optimizer fuses them.

Each is the composition of the operators it stands for, bit by bit (docs/numerics.md, Fused operators): sums are rounded
to the type of the inputs before they are normalized.
"""

from __future__ import annotations

import numpy as np

from diptych_reference.errors import InvalidInputError, ShapeError
from diptych_reference.operator import REQUIRED, Array, operator
from diptych_reference.ops.elementwise import add
from diptych_reference.ops.normalization import layer_normalization, root_mean_square


@operator("SkipLayerNormalization", since=1, domain="com.microsoft")
def skip_layer_normalization(
    input: Array,
    skip: Array,
    gamma: Array,
    beta: Array | None = None,
    bias: Array | None = None,
    *,
    epsilon: float = 1e-12,
) -> tuple[Array, Array, Array, Array]:
    """LayerNormalization of `s = Add(Add(input, skip), bias)` over the last axis.

    `input` [N, S, H] or [T, H]; `skip` of the same shape, or one for all of the batch: [1, S, H] or [S, H]. `gamma`,
    `beta` and `bias` [H]. Returns Y, the mean, the inverse standard deviation (both `float`), and s.
    """
    total = skipped(input, skip, bias, gamma=gamma, beta=beta)
    return *layer_normalization(total, gamma, beta, epsilon=epsilon), total


@operator("SkipSimplifiedLayerNormalization", since=1, domain="com.microsoft")
def skip_simplified_layer_normalization(
    input: Array, skip: Array, gamma: Array, bias: Array | None = None, *, epsilon: float = 1e-12
) -> tuple[Array, Array, Array, Array]:
    """SkipLayerNormalization with RMSNormalization in the place of LayerNormalization; the mean it returns is +0."""
    total = skipped(input, skip, bias, gamma=gamma)
    y, inverse = root_mean_square(total, gamma, -1, epsilon, 1)
    return y, np.zeros_like(inverse), inverse, total


def skipped(input: Array, skip: Array, bias: Array | None, **parameters: Array | None) -> Array:
    """`Add(Add(input, skip), bias)`; the other parameters must have one number for each place of the last axis."""
    if input.ndim not in (2, 3):
        raise ShapeError(f"input has shape {list(input.shape)}, expected 2 or 3 axes")
    shapes = {input.shape}
    if input.ndim == 3:
        shapes |= {input.shape[1:], (1, *input.shape[1:])}
    if skip.shape not in shapes:
        raise ShapeError(f"skip has shape {list(skip.shape)}, expected one of {sorted(map(list, shapes))}")
    per_place(input.shape[-1], bias=bias, **parameters)
    total = add(input, skip)
    return total if bias is None else add(total, bias)


def per_place(count: int, **parameters: Array | None) -> None:
    """Refuses parameters that have not one number for each place of a row."""
    for name, value in parameters.items():
        if value is not None and value.shape != (count,):
            raise ShapeError(f"{name} has shape {list(value.shape)}, expected {[count]}")


@operator("EmbedLayerNormalization", since=1, domain="com.microsoft")
def embed_layer_normalization(
    input_ids: Array,
    segment_ids: Array | None = None,
    word_embedding: Array = REQUIRED,
    position_embedding: Array = REQUIRED,
    segment_embedding: Array | None = None,
    gamma: Array = REQUIRED,
    beta: Array = REQUIRED,
    mask: Array | None = None,
    position_ids: Array | None = None,
    *,
    epsilon: float = 1e-12,
    mask_index_type: int | None = None,
) -> tuple[Array, Array, Array]:
    """LayerNormalization of `s = Add(Add(word, position), segment)`, rows of three tables that integers choose.

    `input_ids`, `segment_ids` and `mask` [N, S]; `position_ids` [N, S] or [1, S], without them 0, 1, 2 ..; the tables
    [.., H]; `gamma` and `beta` [H]. Without `segment_ids` it is row 0 of the segments, without their table none.
    Returns Y [N, S, H], how often `mask` is 1 in each row [N] (0 without a mask, whatever mask_index_type says), and s.
    """
    if input_ids.ndim != 2:
        raise ShapeError(f"input_ids has shape {list(input_ids.shape)}, expected 2 axes")
    batch, length = input_ids.shape
    tables = {"word_embedding": word_embedding, "position_embedding": position_embedding}
    if segment_embedding is not None:
        tables["segment_embedding"] = segment_embedding
    elif segment_ids is not None:
        raise ShapeError("segment_ids without a segment_embedding: expected both")
    for name, table in tables.items():
        if table.ndim != 2 or table.shape[1:] != word_embedding.shape[1:]:
            raise ShapeError(f"{name} has shape {list(table.shape)}, expected 2 axes, the second as word_embedding's")
    per_place(word_embedding.shape[1], gamma=gamma, beta=beta)
    for name, ids in {"segment_ids": segment_ids, "mask": mask}.items():
        if ids is not None and ids.shape != input_ids.shape:
            raise ShapeError(f"{name} has shape {list(ids.shape)}, expected {list(input_ids.shape)}, as input_ids")
    if position_ids is None:
        position_ids = np.arange(length, dtype=np.int32)[None]
    elif position_ids.shape not in ((batch, length), (1, length)):
        raise ShapeError(f"position_ids has shape {list(position_ids.shape)}, expected {[batch, length]} or [1, ..]")
    total = add(rows_of("word", word_embedding, input_ids), rows_of("position", position_embedding, position_ids))
    if segment_embedding is not None:
        segments = np.zeros_like(input_ids) if segment_ids is None else segment_ids
        total = add(total, rows_of("segment", segment_embedding, segments))
    index = np.zeros(batch, np.int32) if mask is None else np.count_nonzero(mask == 1, axis=1).astype(np.int32)
    return layer_normalization(total, gamma, beta, epsilon=epsilon)[0], index, total


def rows_of(name: str, table: Array, ids: Array) -> Array:
    """Gather, where negative indices do not count from the end."""
    wrong = (ids < 0) | (ids >= len(table))
    if wrong.any():
        raise InvalidInputError(f"{name} index {ids[wrong][0]}: expected 0 to {len(table) - 1}")
    return np.asarray(table[ids])
