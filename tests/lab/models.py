"""Small models in ONNX's text form, with feeds."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import parser

CHAIN = """<ir_version: 10, opset_import: ["" : 22]>
chain (float[n, 4] x) => (float[n, 3] y)
<float[4, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}>
{
  [first] a = MatMul(x, w)
  [second] b = Tanh(a)
  [third] c = Add(b, b)
  [fourth] y = Softmax(c)
}"""

DYNAMIC = """<ir_version: 10, opset_import: ["" : 22]>
dynamic (float[n, m] x) => (float[k] y)
<int64[1] last = {-1}, int64[1] one = {1}>
{
  [where] i = NonZero(x)
  [size] s = Shape(x)
  [product] p = ReduceProd(s)
  [flat] f = Reshape(x, p)
  [double] d = Add(f, f)
  [picked] y = Compress(d, keep)
  [keep] keep = Cast <to: int = 9> (f)
}"""

CONTROL = """<ir_version: 10, opset_import: ["" : 22]>
control (float[n] x) => (float[n] y)
<int64 trips = {3}, bool go = {1}>
{
  [loop] y = Loop(trips, go, x) <body: graph = body (int64 i, bool c, float[n] v) => (bool d, float[n] w) {
    [same] d = Identity(c)
    [total] t = ReduceSum <keepdims: int = 0> (v)
    [positive] p = Greater(t, zero)
    [zero] zero = Constant <value: tensor = float {0}> ()
    [branch] w = If(p)
      <then_branch: graph = yes () => (float[n] a) { [more] a = Add(v, x) },
       else_branch: graph = no () => (float[n] b) { [less] b = Sub(v, x) }>
  }>
}"""

SEQUENCE = """<ir_version: 10, opset_import: ["" : 22]>
sequences (float[n, 4] x) => (float[4] y, seq(float[n, 2]) s)
<int64 zero = {0}, int64 one = {1}, int64 two = {2}>
{
  [split] s = SplitToSequence <axis: int = 1> (x, two)
  [exp] e = SequenceMap(s) <body: graph = body (float[n, 2] v) => (float[n, 2] w) { [inner] w = Exp(v) }>
  [joined] j = ConcatFromSequence <axis: int = 1> (e)
  [y] y = ReduceSum <keepdims: int = 0> (j, axis)
  [axis] axis = Constant <value_ints: ints = [0]> ()
}"""

STRINGS = """<ir_version: 10, opset_import: ["" : 22]>
strings (string[n] x) => (string[n] y)
{
  [twice] t = StringConcat(x, x)
  [norm] y = StringNormalizer <case_change_action: string = "UPPER"> (t)
}"""

FUNCTION = """<ir_version: 10, opset_import: ["" : 22, "mine" : 1]>
functions (float[n] x) => (float[n] y)
{
  [call] h = mine.twice(x)
  [after] y = Neg(h)
}
<opset_import: ["" : 22], domain: "mine">
twice (v) => (w)
{
  [inner] a = Add(v, v)
  [outer] w = Abs(a)
}"""

FEEDS: dict[str, dict[str, Any]] = {
    CHAIN: {"x": np.linspace(-0.1, 0.1, 8, dtype=np.float32).reshape(2, 4)},
    DYNAMIC: {"x": np.array([[0, 1, 2], [3, 0, 4]], np.float32)},
    CONTROL: {"x": np.array([1, 2, 3], np.float32)},
    SEQUENCE: {"x": np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)},
    STRINGS: {"x": np.array(["a", "ß", ""], object)},
    FUNCTION: {"x": np.array([-1, 2], np.float32)},
}


def built(text: str) -> bytes:
    """The bytes of a model."""
    return bytes(parser.parse_model(text).SerializeToString())
