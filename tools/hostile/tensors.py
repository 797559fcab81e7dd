"""Tensors whose dimensions, types and bytes do not fit together; sparse ones that point outside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import ModelProto, SparseTensorProto, TensorProto, helper, numpy_helper
from tools.hostile.case import ACCEPT, EITHER, add, model, node

F, I64 = TensorProto.FLOAT, TensorProto.INT64


def constant(dims: Sequence[int], kind: int = F, raw: bytes | None = None, **fields: object) -> ModelProto:
    """A model that gives a tensor back."""
    tensor = TensorProto(dims=dims, data_type=kind)
    if raw is not None:
        tensor.raw_data = raw
    for name, value in fields.items():
        getattr(tensor, name).extend(value)
    return model([node("Identity", "x")], constants={"x": tensor})


FOUR = np.arange(4, dtype=np.float32).tobytes()
add("tensor/raw-too-short", "16 bytes for 6 elements", constant([2, 3], raw=FOUR))
add("tensor/raw-too-long", "16 bytes for 3 elements", constant([3], raw=FOUR))
add("tensor/raw-not-whole", "15 bytes of binary32", constant([4], raw=FOUR[:-1]))
add("tensor/too-few-floats", "4 numbers for 6 elements", constant([2, 3], float_data=[1, 2, 3, 4]))
add("tensor/too-many-floats", "4 numbers for 2 elements", constant([2], float_data=[1, 2, 3, 4]))
add("tensor/wrong-field", "binary32 in int64_data", constant([2], int64_data=[1, 2]))
add("tensor/both-fields", "raw_data and float_data", constant([4], raw=FOUR, float_data=[1, 2, 3, 4]))
add("tensor/negative-dim", "a dimension of -3", constant([2, -3], raw=FOUR))
add("tensor/overflow", "2^80 elements", constant([1 << 40, 1 << 40], raw=FOUR))
add("tensor/wraps-to-zero", "2^64 elements, which is 0 in 64 bits", constant([1 << 32, 1 << 32], raw=b""))
add("tensor/wraps-to-four", "2^64 + 4 bytes, which is 4 in 64 bits", constant([(1 << 62) + 1], raw=FOUR[:4]))
add("tensor/no-data", "2^62 elements without data", constant([1 << 62]))
add("tensor/no-data-zeros", "2^40 elements without data, and a 0", constant([1 << 40, 0]), expected=ACCEPT)
add("tensor/rank-5000", "a tensor of rank 5,000", constant([1] * 5000, raw=FOUR[:4]), expected=EITHER)
add("tensor/undefined-type", "no data type", constant([4], kind=0, raw=FOUR))
add("tensor/unknown-type", "data type 9,999", constant([4], kind=9999, raw=FOUR))
add("tensor/raw-strings", "strings in raw_data", constant([1], kind=TensorProto.STRING, raw=b"abc"))
add(
    "tensor/bad-utf8-string",
    "a string that is no UTF-8",
    constant([1], kind=TensorProto.STRING, string_data=[b"\xff\xfe"]),
)
add("tensor/int4-too-short", "1 byte for 4 elements of 4 bits", constant([4], kind=TensorProto.INT4, raw=b"\x12"))
add(
    "tensor/int4-too-long",
    "3 bytes for 4 elements of 4 bits",
    constant([4], kind=TensorProto.INT4, raw=b"\x12\x34\x56"),
)
add(
    "tensor/byte-out-of-range", "300 as uint8", constant([1], kind=TensorProto.UINT8, int32_data=[300]), expected=EITHER
)
add(
    "tensor/odd-bools",
    "bools of other bytes than 0 and 1",
    constant([3], kind=TensorProto.BOOL, raw=b"\x00\x02\xff"),
    expected=ACCEPT,
)


def segmented() -> ModelProto:
    """A tensor in segments, which nobody writes."""
    tensor = TensorProto(dims=[4], data_type=F, raw_data=FOUR)
    tensor.segment.begin, tensor.segment.end = 0, 2
    return model([node("Identity", "x")], constants={"x": tensor})


add("tensor/segment", "a tensor in segments", segmented())


def sparse(indices: object, count: int, dims: Sequence[int]) -> ModelProto:
    """A model that gives a sparse tensor of `count` ones back."""
    values = numpy_helper.from_array(np.ones(count, np.float32), "x")
    entry = SparseTensorProto(values=values, indices=numpy_helper.from_array(np.asarray(indices, np.int64)), dims=dims)
    proto = model([node("Identity", "x")])
    proto.graph.sparse_initializer.append(entry)
    return proto


add("sparse/outside", "an index past the end", sparse([0, 6], 2, [6]))
add("sparse/negative", "an index of -1", sparse([-1, 2], 2, [6]))
add("sparse/unsorted", "indices that do not ascend", sparse([3, 1], 2, [6]))
add("sparse/repeated", "one index twice", sparse([1, 1], 2, [6]))
add("sparse/count", "three indices for two values", sparse([0, 1, 2], 2, [6]))
add("sparse/rank", "pairs of indices for a vector", sparse([[0, 1], [1, 2]], 2, [6]))
add("sparse/huge", "2^40 elements, two of them not zero", sparse([0, 1 << 39], 2, [1 << 40]))
add("sparse/overflow", "2^80 elements, two of them not zero", sparse([0, 5], 2, [1 << 40, 1 << 40]))
add("sparse/plain", "two ones among six", sparse([0, 5], 2, [6]), expected=ACCEPT)


def fed(shape: Sequence[object]) -> ModelProto:
    """A model with an input of that declared shape."""
    return model([node("Relu", "x")], inputs={"x": (F, shape)})


X = np.zeros((2, 3), np.float32)
add("feed/wrong-type", "int64 for float", fed([2, 3]), {"x": X.astype(np.int64)})
add("feed/wrong-rank", "rank 2 for rank 1", fed([6]), {"x": X})
add("feed/missing", "no value for an input", fed([2, 3]))
add("feed/unknown", "a value for no input", fed([2, 3]), {"x": X, "z": X})
add("feed/negative-dim", "a declared dimension of -1", fed([-1, 3]), {"x": X}, expected=ACCEPT)
add("feed/no-type", "an input without a type", lambda _: untyped(), {"x": X}, expected=EITHER)


def untyped() -> bytes:
    """A model whose input has no type."""
    proto = fed([2, 3])
    proto.graph.input[0].CopyFrom(helper.make_empty_tensor_value_info("x"))
    return bytes(proto.SerializeToString())
