"""Element types: binary32 for other floats, int64 for other integers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from onnx import AttributeProto, numpy_helper

from diptych.reducer.candidate import Candidate
from diptych.testing.values import onnx_number

__all__ = ["plain_types"]


def plain_types(candidate: Candidate) -> Iterator[Candidate]:
    """All tensors of one type in a plainer one, with the attributes that name it; then each tensor."""
    tensors = candidate.tensors
    for dtype in sorted({array.dtype for array in tensors.values()}, key=str):
        for plain in _plainer(dtype):
            with np.errstate(all="ignore"):
                cast = {key: a.astype(plain) for key, a in tensors.items() if a.dtype == dtype}
            together = candidate.with_tensors(cast)
            _rename_type(together, dtype, plain)
            yield together
            for key, array in cast.items():
                yield candidate.with_tensors({key: array})


def _plainer(dtype: np.dtype[Any]) -> list[np.dtype[Any]]:
    """Types that are plainer than `dtype`."""
    if dtype.kind == "f" or (dtype.kind == "V" and "float" in dtype.name):
        return [] if dtype == np.float32 else [np.dtype(np.float32)]
    if dtype.kind in "iu" or (dtype.kind == "V" and "int" in dtype.name):
        return [np.dtype(kind) for kind in (np.int64, np.int32) if dtype not in (np.int64, kind)]
    return []


def _rename_type(candidate: Candidate, old: np.dtype[Any], new: np.dtype[Any]) -> None:
    """Attributes that name a type (Cast's `to`) or hold a tensor of it, in a candidate that nobody else has yet."""
    for node in candidate.model.graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.INT and attribute.name in ("to", "dtype", "output_dtype"):
                attribute.i = onnx_number(new) if attribute.i == onnx_number(old) else attribute.i
            elif attribute.type == AttributeProto.TENSOR and attribute.t.data_type == onnx_number(old):
                attribute.t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(attribute.t).astype(new)))
