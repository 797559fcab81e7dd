"""Attributes and operands with which careless kernels divide by zero or leave their arrays; odd but valid ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto
from tools.hostile.bombs import HUGE, ints, one
from tools.hostile.case import ACCEPT, EITHER, X, add, model, node

IMAGE = np.ones((1, 2, 4, 4), np.float32)
KERNEL = np.ones((2, 2, 3, 3), np.float32)
CONV = {"x": IMAGE, "w": KERNEL}
LEAST = np.iinfo(np.int32).min


def conv(name: str, why: str, **attributes: Any) -> None:
    """A convolution with odd attributes."""
    add(f"window/conv-{name}", why, one("Conv", "x w", CONV, **attributes))


conv("strides-zero", "strides of 0", strides=[0, 1])
conv("strides-negative", "strides of -1", strides=[-1, 1])
conv("strides-rank", "one stride for two axes", strides=[1])
conv("dilations-zero", "dilations of 0", dilations=[0, 0])
conv("dilations-huge", "dilations of 2^62", dilations=[1 << 62] * 2)
conv("group-zero", "no group", group=0)
conv("group-negative", "-1 groups", group=-1)
conv("group-uneven", "3 groups of 2 channels", group=3)
conv("kernel-shape", "a kernel_shape that is not the weights'", kernel_shape=[5, 5])
conv("pads-negative", "pads of -10", pads=[-10] * 4)
conv("auto-pad", "an auto_pad that does not exist", auto_pad="SAME")
add(
    "window/kernel-greater",
    "a kernel greater than the image",
    one("Conv", "x w", {"x": IMAGE[..., :1, :1], "w": KERNEL}),
)
add("window/pool-kernel-zero", "a window of nothing", one("MaxPool", "x", {"x": IMAGE}, kernel_shape=[0, 0]))
add(
    "window/pool-strides-zero",
    "strides of 0",
    one("AveragePool", "x", {"x": IMAGE}, kernel_shape=[2, 2], strides=[0, 0]),
)
add("window/pool-rank", "a window of three axes", one("MaxPool", "x", {"x": IMAGE}, kernel_shape=[2, 2, 2]))
add("window/lrn-size-zero", "a window of no channel", one("LRN", "x", {"x": IMAGE}, size=0), expected=EITHER)
add(
    "window/unpool-outside",
    "an index past the end",
    one("MaxUnpool", "x i", {"x": IMAGE, "i": np.full(IMAGE.shape, HUGE)}, kernel_shape=[2, 2]),
)
add(
    "window/roi-outside",
    "a region of image 7 of 1",
    one("RoiAlign", "x r b", {"x": IMAGE, "r": np.ones((1, 4), np.float32), "b": ints(7)}),
)

for op_type in ("Div", "Mod"):
    for name, by in (("zero", 0), ("minus-one", -1)):
        given = {"a": np.array([LEAST, 7], np.int32), "b": np.array([by, by], np.int32)}
        add(
            f"number/{op_type.lower()}-by-{name}",
            "integers that processors trap on",
            one(op_type, "a b", given),
            expected=EITHER,
        )
add(
    "number/pow-negative",
    "an integer to a negative power",
    one("Pow", "a b", {"a": ints(0, 2), "b": ints(-1, -1)}),
    expected=EITHER,
)
add(
    "number/shift-by-200",
    "8 bits shifted by 200",
    one("BitShift", "a b", {"a": np.ones(2, np.uint8), "b": np.full(2, 200, np.uint8)}, direction="LEFT"),
    expected=ACCEPT,
)
add(
    "number/cast-nan",
    "NaN and infinity to integers",
    one("Cast", "x", {"x": np.array([np.nan, np.inf, -1e30], np.float32)}, to=TensorProto.INT8),
    expected=ACCEPT,
)
add(
    "number/cast-text",
    "text that is no number",
    one("Cast", "x", {"x": np.array(["twelve"], object)}, to=TensorProto.FLOAT),
)
add("number/cast-unknown", "a type that does not exist", one("Cast", "x", {"x": X}, to=999))
add(
    "number/quantize-scale-zero",
    "a scale of 0",
    one("QuantizeLinear", "x s", {"x": X, "s": np.float32(0)}),
    expected=ACCEPT,
)

add("index/topk-too-many", "5 of 3", one("TopK", "x k", {"x": X, "k": ints(5)}))
add("index/topk-negative", "-1 of 3", one("TopK", "x k", {"x": X, "k": ints(-1)}))
add("index/topk-huge", "2^62 of 3", one("TopK", "x k", {"x": X, "k": ints(1 << 62)}))
for name, index in (("past-end", 3), ("negative", -4), ("huge", 1 << 62), ("least", -(1 << 63))):
    add(f"index/gather-{name}", f"index {index} of 3", one("Gather", "x i", {"x": X, "i": ints(index)}, axis=1))
    add(
        f"index/gather-elements-{name}",
        f"index {index} of 3",
        one("GatherElements", "x i", {"x": X, "i": ints(index)[None]}, axis=1),
    )
    add(f"index/gather-nd-{name}", f"index {index} of 2", one("GatherND", "x i", {"x": X, "i": ints(index)[None]}))
    add(
        f"index/scatter-nd-{name}",
        f"index {index} of 2",
        one("ScatterND", "x i u", {"x": X, "i": ints(index)[None], "u": X[:1]}),
    )
    add(
        f"index/scatter-elements-{name}",
        f"index {index} of 3",
        one("ScatterElements", "x i u", {"x": X, "i": ints(index)[None], "u": X[:1, :1]}, axis=1),
    )
add(
    "index/sequence-at",
    "element 5 of 1",
    model([node("SequenceConstruct", "x", "s"), node("SequenceAt", "s i")], constants={"x": X, "i": np.int64(5)}),
)
for op_type, inputs, given in (
    ("Softmax", "x", {}), ("ReduceSum", "x a", {"a": ints(9)}), ("Concat", "x x", {}),
    ("Gather", "x i", {"i": ints(0)}), ("Unsqueeze", "x a", {"a": ints(9)}), ("Squeeze", "x a", {"a": ints(9)}),
    ("Flatten", "x", {}), ("ArgMax", "x", {}), ("CumSum", "x a", {"a": np.int64(9)}), ("Split", "x", {}),
    ("LayerNormalization", "x x", {}),
):  # fmt: skip
    attributes = {} if given and "a" in given else {"axis": 9}
    add(f"axis/{op_type.lower()}", "axis 9 of 2", one(op_type, inputs, {"x": X, **given}, **attributes))
add("axis/transpose-twice", "an axis twice", one("Transpose", "x", {"x": X}, perm=[0, 0]))
add("axis/unsqueeze-twice", "an axis twice", one("Unsqueeze", "x a", {"x": X, "a": ints(0, 0)}))
add("axis/reduce-least", "axis -2^63", one("ReduceSum", "x a", {"x": X, "a": ints(-(1 << 63))}))

add("shape/reshape-two-unknown", "two dimensions to infer", one("Reshape", "x s", {"x": X, "s": ints(-1, -1)}))
add("shape/reshape-uneven", "6 elements in rows of 4", one("Reshape", "x s", {"x": X, "s": ints(-1, 4)}))
add("shape/reshape-negative", "a dimension of -7", one("Reshape", "x s", {"x": X, "s": ints(-7, 6)}))
add(
    "shape/slice-step-zero",
    "a step of 0",
    one("Slice", "x a b c d", {"x": X, "a": ints(0), "b": ints(3), "c": ints(1), "d": ints(0)}),
)
add(
    "shape/slice-least",
    "a start and a step of -2^63",
    one(
        "Slice",
        "x a b c d",
        {"x": X, "a": ints(-(1 << 63)), "b": ints((1 << 63) - 1), "c": ints(1), "d": ints(-(1 << 63))},
    ),
    expected=ACCEPT,
)
add("shape/split-uneven", "parts of 1 and 1 of 3", one("Split", "x s", {"x": X, "s": ints(1, 1)}, axis=1))
add(
    "shape/split-negative",
    "parts of -1 and 4",
    model([node("Split", "x s", "y z", axis=1)], constants={"x": X, "s": ints(-1, 4)}),
)
add("shape/expand-does-not-fit", "3 columns to 4", one("Expand", "x s", {"x": X, "s": ints(2, 4)}))
add("shape/expand-negative", "a dimension of -1", one("Expand", "x s", {"x": X, "s": ints(-1, 3)}))
add("shape/tile-negative", "-1 times", one("Tile", "x r", {"x": X, "r": ints(1, -1)}))
add(
    "shape/concat-does-not-fit",
    "2 rows beside 3",
    one("Concat", "x z", {"x": X, "z": np.ones((3, 3), np.float32)}, axis=1),
)
add("shape/matmul-does-not-fit", "3 columns times 2 rows", one("MatMul", "x x", {"x": X}))
add(
    "shape/range-step-zero",
    "a step of 0",
    one("Range", "a b c", {"a": np.int64(0), "b": np.int64(5), "c": np.int64(0)}),
)
add("shape/resize-scale-zero", "scales of 0", one("Resize", "x _ s", {"x": IMAGE, "s": np.zeros(4, np.float32)}))
add(
    "shape/resize-scale-nan", "scales of NaN", one("Resize", "x _ s", {"x": IMAGE, "s": np.full(4, np.nan, np.float32)})
)
add("shape/resize-scale-negative", "scales of -1", one("Resize", "x _ s", {"x": IMAGE, "s": -np.ones(4, np.float32)}))
add("shape/constant-of-shape-negative", "a dimension of -1", one("ConstantOfShape", "s", {"s": ints(-1)}))
add("shape/pad-cuts-too-much", "5 of 3 columns cut away", one("Pad", "x p", {"x": X, "p": ints(0, -5, 0, 0)}))
add("shape/depth-to-space", "2 channels in blocks of 9", one("DepthToSpace", "x", {"x": IMAGE}, blocksize=3))
add("shape/einsum", "an equation that does not fit", one("Einsum", "x", {"x": X}, equation="ijk->i"))

add("valid/long-chain", "200,000 nodes in a row", lambda _: chain(200_000), {"x": X}, expected=ACCEPT)
add(
    "valid/zero-size",
    "no element anywhere",
    one("MatMul", "a b", {"a": np.zeros((0, 3), np.float32), "b": np.zeros((3, 0), np.float32)}),
    expected=ACCEPT,
)
add(
    "valid/empty-sum",
    "a product over nothing",
    one("MatMul", "a b", {"a": np.zeros((2, 0), np.float32), "b": np.zeros((0, 2), np.float32)}),
    expected=ACCEPT,
)


def chain(length: int) -> bytes:
    """Neg of Neg of Neg."""
    nodes = [node("Neg", "x" if i == 0 else f"t{i}", f"t{i + 1}") for i in range(length)]
    proto = model(nodes, inputs={"x": (TensorProto.FLOAT, [2, 3])}, outputs=[f"t{length}"])
    return bytes(proto.SerializeToString())
