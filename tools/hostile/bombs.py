"""Small models that ask for more memory or time than there is."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto
from tools.hostile.case import EITHER, OPSET, X, add, model, node, subgraph

F, B, I64 = TensorProto.FLOAT, TensorProto.BOOL, TensorProto.INT64
HUGE = 1 << 40


def one(op_type: str, inputs: str, constants: dict[str, Any], opset: int = OPSET, **attributes: Any) -> ModelProto:
    """A model of one node."""
    return model([node(op_type, inputs, **attributes)], constants=constants, opset=opset)


def ints(*values: int) -> np.ndarray[Any, Any]:
    """An int64 vector."""
    return np.array(values, np.int64)


ONE = np.ones((1, 1, 1, 1), np.float32)
add("bytes/constant-of-shape", "2^40 zeros", one("ConstantOfShape", "s", {"s": ints(HUGE)}))
add("bytes/constant-of-shape-overflow", "2^80 zeros", one("ConstantOfShape", "s", {"s": ints(HUGE, HUGE)}))
add("bytes/constant-of-shape-2g", "32 GiB of zeros", one("ConstantOfShape", "s", {"s": ints(1 << 33)}))
add("bytes/expand", "1 element to 2^40", one("Expand", "x s", {"x": X[:1, :1], "s": ints(HUGE)}))
add("bytes/tile", "6 elements 2^38 times", one("Tile", "x r", {"x": X, "r": ints(1 << 19, 1 << 19)}))
add("bytes/tile-strings", "a string 2^40 times", one("Tile", "x r", {"x": np.array(["a"], object), "r": ints(HUGE)}))
add("bytes/expand-strings", "a string to 2^40", one("Expand", "x s", {"x": np.array(["a"], object), "s": ints(HUGE)}))
add("bytes/range", "2^40 numbers", one("Range", "a b c", {"a": np.int64(0), "b": np.int64(HUGE), "c": np.int64(1)}))
add(
    "bytes/range-float",
    "2^62 numbers",
    one("Range", "a b c", {"a": np.float32(0), "b": np.float32(4.6e18), "c": np.float32(1)}),
)
add(
    "bytes/range-endless",
    "an infinite limit",
    one("Range", "a b c", {"a": np.float32(0), "b": np.float32(np.inf), "c": np.float32(1)}),
)
add("bytes/pad", "2^40 on each side", one("Pad", "x p", {"x": X, "p": ints(HUGE, 0, HUGE, 0)}))
add("bytes/pad-overflow", "2^63 - 1 on each side", one("Pad", "x p", {"x": X, "p": ints(*[(1 << 63) - 1] * 4)}))
add(
    "bytes/resize",
    "scales of 2^20",
    one("Resize", "x _ s", {"x": ONE, "s": np.array([1, 1, 1 << 20, 1 << 20], np.float32)}),
)
add("bytes/resize-sizes", "sizes of 2^40", one("Resize", "x _ _ s", {"x": ONE, "s": ints(1, 1, HUGE, HUGE)}))
add(
    "bytes/upsample",
    "scales of 2^20",
    one("Upsample", "x s", {"x": ONE, "s": np.array([1, 1, 1 << 20, 1 << 20], np.float32)}, opset=9),
)
add("bytes/one-hot", "2^40 classes", one("OneHot", "x d v", {"x": ints(1, 2), "d": np.int64(HUGE), "v": X[0, :2]}))
add(
    "bytes/broadcast",
    "2^20 rows and 2^20 columns",
    one("Add", "a b", {"a": np.zeros((1 << 20, 1), np.uint8), "b": np.zeros((1, 1 << 20), np.uint8)}),
)
add(
    "bytes/matmul",
    "a matrix of 2^40",
    one("MatMul", "a b", {"a": np.zeros((1 << 20, 1), np.float32), "b": np.zeros((1, 1 << 20), np.float32)}),
)
add(
    "bytes/einsum",
    "an outer product of 2^42",
    one("Einsum", "a a a", {"a": np.zeros(1 << 14, np.float32)}, equation="i,j,k->ijk"),
)
add("bytes/conv-pads", "2^40 pads", one("Conv", "x w", {"x": ONE, "w": ONE}, pads=[HUGE] * 4))
add(
    "bytes/conv-transpose-strides",
    "strides of 2^40",
    one("ConvTranspose", "x w", {"x": np.zeros((1, 1, 2, 2), np.float32), "w": ONE}, strides=[HUGE] * 2),
)
add(
    "bytes/conv-transpose-output",
    "an output_shape of 2^40",
    one("ConvTranspose", "x w", {"x": ONE, "w": ONE}, output_shape=[HUGE] * 2),
)
add("bytes/max-pool-pads", "pads of 2^40", one("MaxPool", "x", {"x": ONE}, kernel_shape=[1, 1], pads=[HUGE] * 4))
add("bytes/reshape", "a shape of 2^62", one("Reshape", "x s", {"x": X, "s": ints(1 << 62, 6)}))
add("bytes/dft", "a length of 2^40", one("DFT", "x n", {"x": np.zeros((1, 4, 1), np.float32), "n": np.int64(HUGE)}))
add("bytes/window", "a window of 2^40", one("HannWindow", "n", {"n": np.int64(HUGE)}))
add("bytes/random", "2^40 random numbers", one("RandomNormal", "", {}, shape=[HUGE]))
add("bytes/center-crop-pad", "2^40 on an axis", one("CenterCropPad", "x s", {"x": X, "s": ints(HUGE, 3)}))
add(
    "bytes/max-unpool",
    "an output of 2^40",
    one(
        "MaxUnpool",
        "x i s",
        {"x": ONE, "i": np.zeros((1, 1, 1, 1), np.int64), "s": ints(1, 1, HUGE, HUGE)},
        kernel_shape=[1, 1],
    ),
)
add(
    "bytes/affine-grid",
    "a grid of 2^40",
    one("AffineGrid", "t s", {"t": np.zeros((1, 2, 3), np.float32), "s": ints(1, 1, HUGE, HUGE)}),
)
add(
    "bytes/mel-matrix",
    "2^40 bins",
    one(
        "MelWeightMatrix",
        "a b c d e",
        {"a": np.int64(8), "b": np.int64(HUGE), "c": np.int64(8000), "d": np.float32(0), "e": np.float32(4000)},
    ),
)
add(
    "bytes/split-to-sequence",
    "a sequence of 2^24 views, a node that may be long",
    one("SplitToSequence", "x", {"x": np.zeros(1 << 24, np.uint8)}),
    expected=EITHER,
)


def loop(body: GraphProto, states: dict[str, Any], trips: int | None, outputs: str) -> ModelProto:
    """A Loop over `body`, without end where `trips` is None."""
    constants = {**states, **({} if trips is None else {"m": np.int64(trips)}), "c": True}
    inputs = " ".join(["_" if trips is None else "m", "c", *states])
    return model([node("Loop", inputs, outputs, body=body)], constants=constants, outputs=outputs.split()[:1])


def body(nodes: list[NodeProto], states: dict[str, int], outputs: dict[str, int]) -> GraphProto:
    """A Loop's body that goes on for ever."""
    return subgraph([*nodes, node("Identity", "go", "again")], {"i": I64, "go": B, **states}, {"again": B, **outputs})


NEXT = [node("Add", "s s", "t")]
add("steps/loop", "2^62 iterations", loop(body(NEXT, {"s": F}, {"t": F}), {"x": X}, 1 << 62, "y"))
add(
    "steps/loop-without-count", "a condition that stays true", loop(body(NEXT, {"s": F}, {"t": F}), {"x": X}, None, "y")
)
add(
    "steps/loop-scan",
    "2^62 outputs of a megabyte",
    loop(
        body([node("ConstantOfShape", "n", "t")], {"n": I64}, {"n": I64, "t": F}), {"n0": ints(1 << 18)}, 1 << 62, "y z"
    ),
)
add(
    "steps/loop-doubling",
    "a state that doubles",
    loop(body([node("Concat", "s s", "t", axis=0)], {"s": F}, {"t": F}), {"x": X}, 1 << 62, "y"),
)
add(
    "steps/loop-in-loop",
    "2^40 times 2^40 iterations",
    loop(
        body(
            [
                node(
                    "Loop",
                    "m2 c s",
                    "t",
                    body=subgraph(
                        [node("Add", "s2 s2", "t2"), node("Identity", "c2", "a2")],
                        {"i2": I64, "c2": B, "s2": F},
                        {"a2": B, "t2": F},
                    ),
                ),
                node("Identity", "m2", "m3"),
            ],
            {"m2": I64, "s": F},
            {"m3": I64, "t": F},
        ),
        {"k": np.int64(HUGE), "x": X},
        HUGE,
        "z y",
    ),
)
add(
    "steps/sequence",
    "a sequence that grows for ever",
    loop(
        body([node("SequenceInsert", "s e", "t")], {"s": F, "e": F}, {"t": F, "e": F}), {"q": X, "x": X}, 1 << 62, "y z"
    ),
    expected=EITHER,
)
add(
    "steps/long-but-fair",
    "1,000 iterations",
    loop(body(NEXT, {"s": F}, {"t": F}), {"x": X}, 1000, "y"),
    expected="accept",
)


def boxes(count: int) -> ModelProto:
    """NonMaxSuppression of many boxes that do not touch."""
    corners = np.arange(count, dtype=np.float32)
    given = {
        "b": np.stack([corners, corners, corners + 0.5, corners + 0.5], -1)[None],
        "s": np.ones((1, 1, count), np.float32),
        "m": np.int64(count),
    }
    return one("NonMaxSuppression", "b s m", given)


add("time/boxes", "8,000 boxes, each to be compared with all before it", boxes(8_000), expected=EITHER)
add(
    "time/matmul",
    "1e9 multiplications",
    model(
        [node("Expand", "x s", "a"), node("MatMul", "a a", "b"), node("ReduceSum", "b")],
        constants={"x": X[:1, :1], "s": ints(1024, 1024)},
    ),
    expected=EITHER,
)
