# %% [markdown]
# # 1. A model is a list: read one node, run it
#
# An ONNX file looks like a black box. Inside are three things: a list of nodes, some arrays, and the names
# that tie them together. This chapter opens the digit classifier of `examples/digits`, reads one node and
# runs it, first by hand, then on both panels of Diptych. Run it with `python
# docs/book/01_a_model_is_a_list.py` after `make demo`.

# %%
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

import diptych
import diptych_reference
from diptych.compare import compare

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
model = onnx.load(DIGITS / "digits.onnx")

# %% [markdown]
# ## The list
#
# A node says: apply this operator to the values of these names, and call the results so. Nothing else.

# %%
for node in model.graph.node:
    print(f"{node.op_type:8} {', '.join(node.input):42} -> {', '.join(node.output)}")

assert [node.op_type for node in model.graph.node] == [
    "Div", "Conv", "Relu", "MaxPool", "Conv", "Relu", "MaxPool", "Flatten", "Gemm", "Softmax",
]  # fmt: skip

# %% [markdown]
# Names that no node makes come from outside: the model's input, and the *initializers*, the arrays that
# training found.

# %%
weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
for name, array in weights.items():
    print(f"{name:14} {array.dtype} {list(array.shape)}")

made = {name for node in model.graph.node for name in node.output}
outside = {name for node in model.graph.node for name in node.input} - made
assert outside == {"image"} | set(weights)

# %% [markdown]
# ## One node
#
# Take the second: a convolution. Its `pads` attribute says that one row and column of zeros surround the
# picture.

# %%
conv = model.graph.node[1]
pads = list(conv.attribute[0].ints)
print(conv.op_type, conv.attribute[0].name, pads)
assert pads == [1, 1, 1, 1]

image = np.load(DIGITS / "images" / "3.npy")
x = image / np.float32(16.0)  # node 0: Div
w, b = weights["conv1.weight"], weights["conv1.bias"]
assert x.shape == (1, 1, 8, 8)
assert w.shape == (16, 1, 3, 3)

# %% [markdown]
# By hand, an output is the sum of nine products and a bias: channel 5, row 2, column 4, say.

# %%
padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
window = padded[0, 0, 2 : 2 + 3, 4 : 4 + 3]
by_hand = sum(float(p) * float(k) for p, k in zip(window.flat, w[5, 0].flat, strict=True)) + float(b[5])
print(f"by hand: {by_hand:.9f}")

# %% [markdown]
# The same node on both panels. No model is needed to run one operator.

# %%
opset = model.opset_import[0].version
(left,) = diptych_reference.run_operator("Conv", [x, w, b], {"pads": pads}, opset=opset)
(right,) = diptych.run_operator("Conv", [x, w, b], {"pads": pads}, opset=opset)
print(f"left:    {left[0, 5, 2, 4]:.9f}\nright:   {right[0, 5, 2, 4]:.9f}")

# %% [markdown]
# By hand we added in binary64; the panels add in binary32, so the last digits may part. Yet the panels agree
# with each other in every bit, because both add in the order that `docs/numerics.md` writes down, with one
# rounding a step: a chain of fused multiply-adds. Another order would be as good an approximation, and other
# bits.

# %%
assert compare(left, right).equal
assert abs(float(left[0, 5, 2, 4]) - by_hand) < 1e-5

# %% [markdown]
# ## The whole list
#
# To run a model is to walk down the list with a dictionary. This is all that an engine has to do; everything
# else in it is about doing it fast.

# %%
values = {"image": image, **weights}
for node in model.graph.node:
    inputs = [values[name] for name in node.input]
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    outputs = diptych_reference.run_operator(node.op_type, inputs, attributes, opset=opset)
    values.update(zip(node.output, outputs, strict=True))

probability = values["probability"]
print(f"it is a {probability.argmax()}, to {probability.max():.2%}")
assert probability.argmax() == 3

# %% [markdown]
# The engine reads the same list, rearranges and plans it, and gives the same bits.

# %%
(by_engine,) = diptych.InferenceSession(DIGITS / "digits.onnx").run(None, {"image": image})
assert compare(probability, by_engine).equal
print("left and right agree to the last bit")
