"""Where ONNX's text leaves a result open, so that engines may differ and nobody is wrong.

`unspecified(case)` gives the reason, "" where the text decides. It excuses other values and errors; dying or hanging is
wrong whatever the text says. Each reason stands for a row of docs/rulings.md or for words of the schema.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from diptych.testing.case import Case
from diptych.testing.values import integer_range, is_floating

__all__ = ["SIZED_BY_VALUES", "unspecified"]

Question = Callable[[Case], bool]
SIZED_BY_VALUES = {"NonMaxSuppression", "Unique"}  # what is open of their values is open of their shapes
QUESTIONS: dict[str, list[tuple[Question, str]]] = {}


def unspecified(case: Case) -> str:
    """Why ONNX's text does not decide the values of a case; "" where it does."""
    for asked, reason in QUESTIONS.get(case.op_type, ()):
        if asked(case):
            return reason
    return ""


def open_question(reason: str, *op_types: str) -> Callable[[Question], Question]:
    """Register the decorated test of cases under its reason."""

    def register(asked: Question) -> Question:
        for op_type in op_types:
            QUESTIONS.setdefault(op_type, []).append((asked, reason))
        return asked

    return register


def numbers(value: Any) -> np.ndarray[Any, Any] | None:
    """A tensor of floating-point numbers in binary64; None for anything else."""
    value = np.asarray(value) if isinstance(value, np.generic) else value
    if not isinstance(value, np.ndarray) or value.dtype.kind in "OUSbc" or not is_floating(value.dtype):
        return None
    with np.errstate(all="ignore"):
        return value.astype(np.float64)


def any_nan(case: Case) -> bool:
    """Whether some input has a NaN."""
    found = [numbers(value) for value in case.inputs]
    return any(array is not None and bool(np.isnan(array).any()) for array in found)


def integers(case: Case) -> bool:
    """Whether the first input is of integers."""
    first = case.inputs[0] if case.inputs else None
    return isinstance(first, np.ndarray) and first.dtype.kind in "iu"


@open_question(
    "random numbers are the engine's own",
    "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial",
)  # fmt: skip
def random(case: Case) -> bool:
    """Always."""
    return True


@open_question("dropping is random", "Dropout")
def dropout(case: Case) -> bool:
    """In training mode, which is an input from version 12 on and an attribute before 7."""
    training = case.inputs[2] if len(case.inputs) > 2 else None
    return bool(training) if training is not None else case.opset < 7 and not case.attributes.get("is_test", 0)


@open_question("how numbers and strings become each other: the text is silent", "Cast", "CastLike")
def cast_strings(case: Case) -> bool:
    """From or to strings."""
    return bool(case.inputs[0].dtype.kind == "O" or target(case) == np.dtype(object))


@open_question("Cast of NaN, or of a number outside of the integer type: undefined by the text", "Cast", "CastLike")
def cast(case: Case) -> bool:
    """A float that no integer of the type stands for."""
    values, kind = numbers(case.inputs[0]), target(case)
    if case.inputs[0].dtype.kind == "c":
        return True
    if values is None or kind.kind in "Ob" or is_floating(kind):
        return False
    least, greatest = integer_range(kind)
    inside = (np.trunc(values) >= least) & (np.trunc(values) <= greatest) & (np.abs(values) < 2.0**63)
    return bool((~inside).any())


def target(case: Case) -> np.dtype[Any]:
    """The type that Cast and CastLike cast to."""
    if case.op_type == "CastLike":
        like: np.dtype[Any] = case.inputs[1].dtype
        return like
    to = case.attributes["to"]
    kind = TensorProto.DataType.Value(to) if isinstance(to, str) else to
    found: np.dtype[Any] = np.dtype(object) if kind == TensorProto.STRING else helper.tensor_dtype_to_np_dtype(kind)
    return found


@open_question("division of integers by 0 and of the least one by -1: the text is silent", "Div", "Mod")
def division(case: Case) -> bool:
    """Integers that have no quotient."""
    if not integers(case):
        return False
    a, b = np.broadcast_arrays(*case.inputs) if "broadcast" not in case.attributes else case.inputs[:2]
    least = np.iinfo(a.dtype).min if a.dtype.kind == "i" and a.dtype.itemsize else None
    return bool((b == 0).any()) or (least is not None and bool((a == least).any() and (b == -1).any()))


@open_question("a negative power of an integer, and one that overflows: the text is silent", "Pow")
def power(case: Case) -> bool:
    """A base of integers with what has no integer for a result."""
    if not integers(case):
        return False
    x, y = (np.abs(value.astype(np.float64)) for value in case.inputs[:2])
    with np.errstate(all="ignore"):
        reach = np.max(x, initial=0) ** np.max(y, initial=0)
    return bool((case.inputs[1] < 0).any()) or not reach < np.iinfo(case.inputs[0].dtype).max


@open_question("shifts by the width or more before opset 28", "BitShift")
def shift(case: Case) -> bool:
    """A count that is too great."""
    return bool(case.opset < 28) and bool((case.inputs[1] >= 8 * case.inputs[1].dtype.itemsize).any())


@open_question("which of several updates of one place remains", "Scatter", "ScatterElements", "ScatterND")
def scatter(case: Case) -> bool:
    """Indices may meet: the text asks that they do not."""
    return case.attributes.get("reduction", "none") in ("none", b"none")


@open_question("the order of the greatest where sorted is 0", "TopK")
def top_k(case: Case) -> bool:
    """Not sorted."""
    return bool(case.attributes.get("sorted", 1) == 0)


@open_question("where a NaN stands in an order: the text is silent", "TopK", "Unique", "NonMaxSuppression", "ArgMax",
               "ArgMin", "Hardmax", "MaxPool", "MaxRoiPool", "GlobalMaxPool")  # fmt: skip
def order_of_nan(case: Case) -> bool:
    """A NaN to be ordered."""
    return any_nan(case)


@open_question("a quotient that is NaN has no integer", "QuantizeLinear", "DynamicQuantizeLinear", "QLinearMatMul",
               "QLinearConv", "QLinearAdd", "QLinearMul", "QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax",
               "QLinearGlobalAveragePool", "QLinearAveragePool", "QLinearConcat", "QLinearWhere")  # fmt: skip
def quantized_nan(case: Case) -> bool:
    """A NaN or an infinity among numbers or scales, a scale of 0, or one with which numbers leave binary32."""
    found = [numbers(value) for value in case.inputs]
    finite = all(array is None or bool(np.isfinite(array).all()) for array in found)
    scales = [array for array in (found if case.op_type == "QLinearConcat" else found[1:]) if array is not None]
    return not finite or any(bool(((scale <= 0) | (scale > 2.0**100)).any()) for scale in scales)


@open_question("a range so small that its 255th part is subnormal or 0", "DynamicQuantizeLinear")
def vanishing_scale(case: Case) -> bool:
    """A scale that rounds to few bits or none."""
    x = numbers(case.inputs[0])
    width = 0.0 if x is None else float(max(np.max(x, initial=0.0), 0.0) - min(np.min(x, initial=0.0), 0.0))
    return width / 255 < 2.0**-126


@open_question('int32 with a zero point: "there\'s no zero point", which "is supposed to be 0"', "DequantizeLinear")
def accumulated(case: Case) -> bool:
    """A zero point of int32 that is not 0."""
    points = case.inputs[2] if len(case.inputs) > 2 else None
    return points is not None and points.dtype == np.int32 and bool(points.any())


@open_question("an axis as a vector of one, where the text has a 0-D tensor", "CumSum", "CumProd")
def axis_of_rank_1(case: Case) -> bool:
    """An axis of another rank than 0."""
    return bool(np.ndim(case.inputs[1]) > 0)


@open_question('the rest of -0 with fmod=1: "either +0 or -0 may be returned"', "Mod")
def rest_of_zero(case: Case) -> bool:
    """Some rest may be 0."""
    return not integers(case)


@open_question("the reduction of nothing: the text is silent", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceLogSum",
               "ReduceLogSumExp", "ArgMax", "ArgMin")  # fmt: skip
def nothing(case: Case) -> bool:
    """An empty input."""
    return bool(case.inputs[0].size == 0)


@open_question("integers through functions of reals: the text is silent", "ReduceLogSum", "ReduceLogSumExp", "ReduceL2",
               "ReduceMean", "ReduceL1")  # fmt: skip
def reductions_of_integers(case: Case) -> bool:
    """Integers."""
    return integers(case)


@open_question("how a number is written as a string, and a string read as a number", "CastMap")
def cast_map(case: Case) -> bool:
    """To or from strings, or integers of what no integer stands for."""
    (values,), target = case.inputs, case.attributes.get("cast_to", "TO_FLOAT")
    words = any(isinstance(value, str) for value in values.values())
    return (
        words or target == "TO_STRING" or (target == "TO_INT64" and not all(abs(v) < 2.0**63 for v in values.values()))
    )


@open_question("which of several values of one key a table has, before version 4", "LabelEncoder")
def label_encoder(case: Case) -> bool:
    """A key twice. Version 4 says that the last counts, and that NaN is NaN, as version 2 says by comparing bits."""
    tables = [np.asarray(v).reshape(-1) for n, v in case.attributes.items() if n.startswith(("keys", "classes"))]
    words = [[str(key) for key in table.tolist()] for table in tables]
    return case.opset < 4 and any(len(set(found)) != len(found) for found in words)


@open_question("the mask of Dropout that drops nothing, before version 12", "Dropout")
def mask(case: Case) -> bool:
    """A mask is asked for: the text says "the output mask"."""
    return case.opset < 12 and case.n_outputs > 1


@open_question("two classes of which one has a score: the text gives no formula", "LinearClassifier",
               "TreeEnsembleClassifier")  # fmt: skip
def one_score(case: Case) -> bool:
    """One row of coefficients, or votes for one class alone."""
    a = case.attributes
    labels: list[Any] = next((a[name] for name in a if name.startswith("classlabels") and a[name]), [])
    if case.op_type == "TreeEnsembleClassifier":
        return len(labels) == 2 and len(set(a["class_ids"])) < 2
    return len(labels) == 2 and len(a["coefficients"]) == case.inputs[0].shape[-1]


@open_question("the scores of a support vector machine, and their order: the text gives no formula", "SVMClassifier")
def support_vectors(case: Case) -> bool:
    """Always: the text does not say what is added up."""
    return True


@open_question("where the one pixel of an axis lies when -1 and 1 are the corner pixels' centres", "AffineGrid")
def lone_pixel(case: Case) -> bool:
    """Corners are aligned, and an axis has one element."""
    return bool(case.attributes.get("align_corners", 0)) and bool((case.inputs[1][2:] == 1).any())


@open_question("the reflection of more than there is", "Pad")
def reflection(case: Case) -> bool:
    """Pads that reach the length of their axis, or more."""
    if case.attributes.get("mode", "constant") not in ("reflect", b"reflect"):
        return False
    pads = case.attributes.get("pads", case.attributes.get("paddings"))
    pads = case.inputs[1] if pads is None else pads
    return int(np.max(pads, initial=0)) >= min(case.inputs[0].shape, default=0)
