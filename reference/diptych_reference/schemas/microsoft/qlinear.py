"""Operators of ONNX on quantized numbers, as ONNX Runtime's quantizer writes them in the QOperator format."""

from __future__ import annotations

from diptych_reference.schemas.declaration import Required, collect, declare

TYPES = {"T": ["uint8", "int8"], "TF": ["float"]}
TWO = "A:T A_scale:TF A_zero_point?:T B:T B_scale:TF B_zero_point?:T C_scale:TF C_zero_point?:T"
ONE = "X:T X_scale:TF X_zero_point?:T Y_scale:TF Y_zero_point?:T"

SCHEMAS = collect(
    declare("QLinearAdd", "Add of quantized numbers.", inputs=TWO, outputs="C:T", types=TYPES),
    declare("QLinearMul", "Mul of quantized numbers.", inputs=TWO, outputs="C:T", types=TYPES),
    declare("QLinearSigmoid", "Sigmoid of quantized numbers.", inputs=ONE, outputs="Y:T", types=TYPES),
    declare(
        "QLinearLeakyRelu",
        "LeakyRelu of quantized numbers.",
        inputs=ONE,
        outputs="Y:T",
        types=TYPES,
        attributes={"alpha": 0.01},
    ),
    declare(
        "QLinearGlobalAveragePool",
        "GlobalAveragePool of quantized numbers.",
        inputs="X:T x_scale:TF x_zero_point:T y_scale:TF y_zero_point:T",
        outputs="Y:T",
        types=TYPES,
        attributes={"channels_last": 0},
    ),
    declare(
        "QLinearAveragePool",
        "AveragePool of quantized numbers.",
        inputs="X:T x_scale:TF x_zero_point?:T y_scale:TF y_zero_point?:T",
        outputs="Y:T",
        types=TYPES,
        attributes={
            "auto_pad": "NOTSET",
            "ceil_mode": 0,
            "channels_last": 0,
            "count_include_pad": 0,
            "kernel_shape": Required(list[int]),
            "pads": list[int],
            "strides": list[int],
        },
    ),
    declare(
        "QLinearSoftmax",
        "Softmax of quantized numbers.",
        inputs="X:T X_scale:TF x_zero_point?:T y_scale:TF y_zero_point:T",
        outputs="Y:T",
        types=TYPES,
        attributes={"axis": -1, "opset": Required(int)},
    ),
    declare(
        "QLinearConcat",
        "Concat of quantized numbers; inputs are x, scale, zero point of each.",
        inputs="Y_scale:TF Y_zero_point:T inputs+:TV",
        outputs="Y:T",
        types={**TYPES, "TV": ["uint8", "int8", "float"]},
        attributes={"axis": Required(int)},
    ),
    declare(
        "QLinearWhere",
        "Where of quantized numbers.",
        inputs="condition:B X:T x_scale:TF x_zero_point:T Y:T y_scale:TF y_zero_point:T z_scale:TF z_zero_point:T",
        outputs="Z:T",
        types={"B": ["bool"], **TYPES},
    ),
)
