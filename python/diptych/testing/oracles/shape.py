"""Operators that arrange, index and choose values: nothing is rounded."""

from __future__ import annotations

from diptych.testing.oracles.base import moves

moves(
    "Concat", "Constant", "ConstantOfShape", "Dropout", "Expand", "Flatten", "Gather", "GatherElements", "GatherND",
    "Identity", "If", "Loop", "NonZero", "Pad", "Reshape", "Scatter", "ScatterElements", "ScatterND", "Shape", "Size",
    "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
    "CenterCropPad", "Compress", "DepthToSpace", "EyeLike", "OneHot", "ReverseSequence", "SpaceToDepth",
    "TensorScatter", "Trilu", "Unique",
)  # fmt: skip
