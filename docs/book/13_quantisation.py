# %% [markdown]
# # 13. Quantisation: eight bits, and what they mean
#
# A weight takes 32 bits, and most of them say nothing: training is noisy, and a network that broke when its weights
# moved by a thousandth would never have been found. So store less. With eight bits a weight the file is a quarter
# of the size, the memory moves a quarter of the bytes, and processors multiply small integers several at a time.
#
# This chapter quantises the digit classifier of chapter 1 by hand, counts what it costs in correct answers, and
# then asks a question that the ONNX file leaves open: what does a quantised model *mean*?

# %%
import runpy
from pathlib import Path

import matplotlib.pyplot as plt
import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import diptych
from diptych.compare import compare
from diptych_reference import ReferenceSession, run_operator

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
model = onnx.load(DIGITS / "digits.onnx")
weights = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
train_images, _, images, labels = runpy.run_path(str(DIGITS / "train.py"))["split"]()
print(f"{len(train_images)} pictures to tune with, {len(images)} to be judged by")

# %% [markdown]
# ## A ruler with 256 marks
#
# To write a number in eight bits is to measure it with a ruler: how many marks? The distance between two marks is
# the *scale*, and the count is the integer that is stored. Where zero stands on the ruler is the *zero point*;
# weights lie about zero on both sides, so theirs is 0. ONNX calls the two directions *QuantizeLinear* and
# *DequantizeLinear*.

# %%
w = weights["conv2.weight"]
scale = np.abs(w).max() / np.float32(127)
zero_point = np.int8(0)
(q,) = run_operator("QuantizeLinear", [w, scale, zero_point], {}, opset=21)
(back,) = run_operator("DequantizeLinear", [q, scale, zero_point], {}, opset=21)
print("weights ", w.ravel()[:5])
print("integers", q.ravel()[:5], q.dtype)
print("and back", back.ravel()[:5])

assert compare(q, diptych.run_operator("QuantizeLinear", [w, scale, zero_point], {}, opset=21)[0]).equal
by_hand = np.clip(np.rint(w / scale), -128, 127).astype(np.int8)
assert compare(q, by_hand).equal

# %% [markdown]
# The nearest mark is never farther away than half the distance between two. That is the whole error.

# %%
error = np.abs(back.astype(np.float64) - w)
print(f"scale {scale:.6f}, greatest error {error.max():.6f}, mean error {error.mean():.6f}")
assert error.max() <= float(scale) / 2 * (1 + 1e-6)

# %% [markdown]
# One ruler must serve the greatest weight. If one channel has weights ten times those of another, the other gets a
# tenth of the marks. So give each output channel a ruler of its own: 32 scales instead of one cost nothing, and the
# error falls.

# %%
scales = np.abs(w).max(axis=(1, 2, 3)) / np.float32(127)
zeros = np.zeros(32, np.int8)
(q_rows,) = run_operator("QuantizeLinear", [w, scales, zeros], {"axis": 0}, opset=21)
(back_rows,) = run_operator("DequantizeLinear", [q_rows, scales, zeros], {"axis": 0}, opset=21)
error_rows = np.abs(back_rows.astype(np.float64) - w)
print(f"one scale: mean error {error.mean():.6f}; one a channel: {error_rows.mean():.6f}")
assert error_rows.mean() < error.mean()

# %% [markdown]
# ## Integers add up
#
# Half of this book is about the order of sums, since every addition of floats rounds. Integers do not round. The
# sum of products of integers is exact, in any order, by any number of threads, on any machine: bit-identity for
# free, as long as it fits into 32 bits.

# %%
rng = np.random.default_rng(13)
a, b = rng.integers(0, 256, 4096), rng.integers(-128, 128, 4096)
orders = [rng.permutation(4096) for _ in range(200)]
exact = {int(np.cumsum((a * b)[order])[-1]) for order in orders}
fa, fb = (a * np.float32(0.01)).astype(np.float32), (b * np.float32(0.01)).astype(np.float32)
rounded = {float(np.cumsum((fa * fb)[order], dtype=np.float32)[-1]) for order in orders}
print(f"200 orders: {len(exact)} sum of integers, {len(rounded)} sums of floats")
assert len(exact) == 1
assert len(rounded) > 20

longest = (2**31 - 1) // (255 * 255)
print(f"in the worst case, {longest} products of unsigned bytes fit into an int32, and one more does not")
assert longest == 33025

# %% [markdown]
# ## The whole classifier
#
# What flows between the layers is quantised too. Its range is not known from the file, so it is measured: run some
# pictures, note the greatest value. That is called *calibration*. After Relu nothing is negative, so these rulers
# begin at zero and use unsigned bytes.

# %%
watched = ["r1", "r2"]
probe = onnx.ModelProto()
probe.CopyFrom(model)
probe.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in watched)
seen = diptych.InferenceSession(probe).run(watched, {"image": train_images})
greatest = {"scaled": np.float32(1), **{name: values.max() for name, values in zip(watched, seen, strict=True)}}
for name, value in greatest.items():
    print(f"{name:7} 0 .. {value:.3f}, a mark every {value / 255:.5f}")

# %% [markdown]
# In an ONNX file a quantised model is written with pairs, *Q* and *DQ*: the value is measured and at once turned
# back. Each convolution reads what DQ gives. Biases are kept in 32 bits, in units of the product of both scales, as
# that is the unit of the sums they are added to.

# %%
node = helper.make_node


class Quantiser:
    """Writes the classifier again, with Q and DQ around everything."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {"full_scale": np.float32(16)}

    def constant(self, name: str, value: np.ndarray) -> str:
        self.constants[name] = np.asarray(value)
        return name

    def activation(self, name: str, scale: np.ndarray) -> str:
        """Q and DQ behind a value that is never negative; returns the new name."""
        ruler = [self.constant(f"{name}.scale", scale), self.constant(f"{name}.zero", np.uint8(0))]
        self.nodes.append(node("QuantizeLinear", [name, *ruler], [f"{name}.q"], f"{name}.q"))
        self.nodes.append(node("DequantizeLinear", [f"{name}.q", *ruler], [f"{name}.dq"], f"{name}.dq"))
        return f"{name}.dq"

    def weight(self, name: str, input_scale: np.ndarray, bias: bool = True) -> list[str]:
        """DQ of an integer weight with a scale an output channel, and of its bias; returns both names."""
        w, b = weights[f"{name}.weight"], weights[f"{name}.bias"]
        scales = (np.abs(w).reshape(len(w), -1).max(axis=1) / np.float32(127)).astype(np.float32)
        integers = np.rint(w / scales.reshape(-1, *[1] * (w.ndim - 1))).astype(np.int8)
        units = (scales * input_scale).astype(np.float32)
        for part, values, ruler in (("w", integers, scales), ("b", np.rint(b / units).astype(np.int32), units)):
            names = [self.constant(f"{name}.{part}", values), self.constant(f"{name}.{part}.scale", ruler)]
            names.append(self.constant(f"{name}.{part}.zero", np.zeros(len(w), values.dtype)))
            self.nodes.append(node("DequantizeLinear", names, [f"{name}.{part}.dq"], f"{name}.{part}.dq", axis=0))
        return [f"{name}.w.dq", f"{name}.b.dq"]


def quantised_classifier() -> onnx.ModelProto:
    g = Quantiser()
    s0, s1, s2 = (np.float32(greatest[name] / 255) for name in ("scaled", "r1", "r2"))
    g.nodes.append(node("Div", ["image", "full_scale"], ["scaled"], "scale"))
    x = g.activation("scaled", s0)
    for layer, scale_in, scale_out in ((1, s0, s1), (2, s1, s2)):
        conv = [x, *g.weight(f"conv{layer}", scale_in)]
        g.nodes.append(node("Conv", conv, [f"c{layer}"], f"conv{layer}", pads=[1, 1, 1, 1]))
        g.nodes.append(node("Relu", [f"c{layer}"], [f"r{layer}"], f"relu{layer}"))
        y = g.activation(f"r{layer}", scale_out)
        g.nodes.append(node("MaxPool", [y], [f"m{layer}"], f"pool{layer}", kernel_shape=[2, 2], strides=[2, 2]))
        x = g.activation(f"m{layer}", scale_out)
    g.nodes.append(node("Flatten", [x], ["flat"], "flatten"))
    flat = g.activation("flat", s2)
    g.nodes.append(node("Gemm", [flat, *g.weight("gemm", s2)], ["logits"], "gemm", transB=1))
    g.nodes.append(node("Softmax", ["logits"], ["probability"], "softmax", axis=1))
    arrays = [numpy_helper.from_array(value, name) for name, value in g.constants.items()]
    graph = helper.make_graph(g.nodes, "digits8", model.graph.input, model.graph.output, arrays)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


small = quantised_classifier()
onnx.checker.check_model(small, full_check=True)


def correct(m: onnx.ModelProto, **options: str) -> int:
    session = diptych.InferenceSession(m, diptych.SessionOptions(**options))
    return int((session.run(None, {"image": images})[0].argmax(axis=1) == labels).sum())


floats, integers = correct(model), correct(small)
size_of = {
    name: sum(t.ByteSize() for t in m.graph.initializer) for name, m in {"floats": model, "bytes": small}.items()
}
print(f"with floats {floats} of {len(images)} are right, with bytes {integers}")
print(f"weights: {size_of['floats']} bytes as floats, {size_of['bytes']} quantised")
assert integers >= floats - 3
assert size_of["bytes"] < size_of["floats"] / 2

# %% [markdown]
# ## What does it mean?
#
# Look at what the file says. Bytes become floats, floats are multiplied and added, the result becomes bytes. Read
# to the letter, there is not one integer product in it: quantisation would save memory and no work.
#
# Yet everybody means something else: multiply the integers, add them exactly, apply the scales once at the end. The
# two are not the same computation. The float reading rounds every product and every sum; the integer one rounds
# only at the end. Usually their results fall on the same mark of the ruler. Where they lie in the middle between
# two, they may not.
#
# Other engines decide it for you, by which patterns their optimizer happens to recognise. Here it is an option with
# two values, each of which is exact on its own, on both panels.

# %%
result = {}
for meaning in ("integer", "float"):
    (right,) = diptych.InferenceSession(small, diptych.SessionOptions(quantized=meaning)).run(
        None, {"image": images[:60]}
    )
    (left,) = ReferenceSession(small, quantized=meaning).run(None, {"image": images[:60]})
    assert compare(left, right).equal
    result[meaning] = right
found = compare(result["integer"], result["float"])
apart = float(np.abs(result["integer"] - result["float"]).max())
print("each meaning: the panels agree in every bit")
print(f"between the two: {found.differing} of {found.elements} probabilities differ, by {apart:.1e} at most")
assert found.differing
assert (result["integer"].argmax(axis=1) == result["float"].argmax(axis=1)).all()

# %% [markdown]
# The differences are tiny here: between the layers every value landed on the same mark. That is luck, or rather the
# crooked scales that calibration gives. Take scales as people choose them by hand, and half of the results lie
# exactly in the middle between two marks:

# %%
hand_made = {"tenth": np.float32(0.1), "fiftieth": np.float32(0.02), "none": np.uint8(0), "w_none": np.int8(0)}
graph = helper.make_graph(
    [
        node("QuantizeLinear", ["x", "tenth", "none"], ["xq"]),
        node("DequantizeLinear", ["xq", "tenth", "none"], ["xd"]),
        node("DequantizeLinear", ["w", "tenth", "w_none"], ["wd"]),
        node("MatMul", ["xd", "wd"], ["product"], "product"),
        node("QuantizeLinear", ["product", "fiftieth", "none"], ["y"]),
    ],
    "ties",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 6])],
    [helper.make_tensor_value_info("y", TensorProto.UINT8, ["n", 1])],
    [
        numpy_helper.from_array(np.array([[3], [2], [5], [1], [4], [2]], np.int8), "w"),
        *(numpy_helper.from_array(np.asarray(value), name) for name, value in hand_made.items()),
    ],
)
ties = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
x = rng.integers(0, 20, (10_000, 6)).astype(np.float32) / np.float32(10)
marks = {}
for meaning in ("integer", "float"):
    (right,) = diptych.InferenceSession(ties, diptych.SessionOptions(quantized=meaning)).run(None, {"x": x})
    (left,) = ReferenceSession(ties, quantized=meaning).run(None, {"x": x})
    assert compare(left, right).equal
    marks[meaning] = right.astype(int)
steps = np.abs(marks["integer"] - marks["float"])
print(f"{(steps > 0).sum()} of {steps.size} bytes differ, each by {steps.max()}")
assert (steps > 0).sum() > 100
assert steps.max() == 1

# %% [markdown]
# What was made of each product can be asked. A convolution between Q and DQ became a *QLinearConv*, which takes
# bytes and gives bytes; the Relu in the middle is gone, because no unsigned byte is below zero. The last product
# gives floats.

# %%
session = diptych.InferenceSession(small)
for entry in session.lowering():
    before = " ".join(op_type for _, op_type in entry["nodes_in"])
    after = " ".join(op_type for _, op_type in entry["nodes_out"])
    print(f"{entry['node']:6} {entry['meaning']:8} {before}\n{'':15} -> {after}")
assert [entry["meaning"] for entry in session.lowering()] == ["integer"] * 3
ran = [n["op_type"] for n in session.graph()["nodes"]]
print("what runs:", " ".join(ran))
assert ran.count("QLinearConv") == 2

# %% [markdown]
# ## How few bits?
#
# Why stop at eight? Let the weights be written with fewer marks, and count the answers. With two bits a weight can
# only be -1, 0 or 1 times a scale (the fourth pattern is not used, to keep both sides alike).


# %%
def with_weights(change) -> onnx.ModelProto:
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for tensor in changed.graph.initializer:
        if tensor.name.endswith("weight"):
            tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor)), tensor.name))
    return changed


def coarse(bits: int, block: int | None = None):
    """Weights rounded to `bits` bits, with a scale an output channel, or one for every `block` of its weights."""

    def change(w: np.ndarray) -> np.ndarray:
        flat = w.reshape(len(w), -1)
        pieces = [flat] if block is None else np.array_split(flat, range(block, flat.shape[1], block), axis=1)
        most = np.float32(2 ** (bits - 1) - 1)
        rounded = []
        for piece in pieces:
            scale = np.maximum(np.abs(piece).max(axis=1, keepdims=True), np.float32(1e-30)) / most
            rounded.append(np.rint(piece / scale) * scale)
        return np.concatenate(rounded, axis=1).reshape(w.shape).astype(np.float32)

    return change


bits = [8, 7, 6, 5, 4, 3, 2]
by_channel = [correct(with_weights(coarse(n))) / len(images) for n in bits]
by_block = [correct(with_weights(coarse(n, block=16))) / len(images) for n in bits]
for n, channel, block in zip(bits, by_channel, by_block, strict=True):
    print(f"{n} bits: {channel:6.1%} right with a scale a channel, {block:6.1%} with one for every 16 weights")

figure, axes = plt.subplots()
axes.axhline(floats / len(images), color="grey", linewidth=1, linestyle="--", label="floats")
axes.plot(bits, by_channel, "o-", label="a scale a channel")
axes.plot(bits, by_block, "s-", label="a scale for every 16 weights")
axes.invert_xaxis()
axes.set_xlabel("bits a weight")
axes.set_ylabel("share of right answers")
axes.legend(loc="lower left")
plt.show()
assert by_channel[0] > 0.96
assert by_channel[bits.index(4)] > 0.9
assert by_channel[-1] < by_channel[0]

# %% [markdown]
# Down to four bits hardly anything is lost; then it falls off a cliff. Shorter rulers fit better: the mean error of
# a weight is smaller with a scale for every sixteen, at any number of bits. In answers it shows where bits are
# fewest; above, it is a matter of a few pictures. Large language models are stored in this way: four bits a weight,
# and a scale for every 32 or 128 of them.

# %%
for n in bits:
    error_of = {block: np.abs(coarse(n, block)(w) - w).mean() for block in (None, 16)}
    assert error_of[16] < error_of[None]
assert by_block[-1] > by_channel[-1]

# %% [markdown]
# ## Four bits in a file
#
# ONNX has a type for it. A DequantizeLinear with a `block_size` turns the integers back, and a MatMul reads the
# result. If the engine did that literally, it would write all weights out as floats in every run, eight times the
# bytes it was meant to save. A pass (chapter 10) makes one node of the two, and that node turns weights back a few
# at a time, in registers. The rounding is the same, so the bits are.

# %%
K, N, BLOCK = 128, 10, 32
matrix = weights["gemm.weight"].T  # [K, N]
blocks = matrix.reshape(K // BLOCK, BLOCK, N)
block_scales = (np.abs(blocks).max(axis=1) / np.float32(7)).astype(np.float32)
int4 = np.rint(blocks / block_scales[:, None]).reshape(K, N).astype(ml_dtypes.int4)
graph = helper.make_graph(
    [
        node("DequantizeLinear", ["codes", "scales"], ["matrix"], "dequantize", axis=0, block_size=BLOCK),
        node("MatMul", ["flat", "matrix"], ["logits"], "product"),
    ],
    "four_bits",
    [helper.make_tensor_value_info("flat", TensorProto.FLOAT, ["n", K])],
    [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", N])],
    [numpy_helper.from_array(int4, "codes"), numpy_helper.from_array(block_scales, "scales")],
)
four_bits = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
codes = four_bits.graph.initializer[0]
print(f"{K} x {N} weights in {len(codes.raw_data)} bytes, and {block_scales.size} scales")
assert len(codes.raw_data) == K * N // 2

x = rng.standard_normal((5, K)).astype(np.float32)
plain = diptych.InferenceSession(four_bits, disabled_optimizers=["few_bit_products"])
packed = diptych.InferenceSession(four_bits)
for name, session in {"as written": plain, "after the pass": packed}.items():
    print(f"{name:15}", " ".join(n["op_type"] for n in session.graph()["nodes"]))
assert [n["op_type"] for n in packed.graph()["nodes"]] == ["MatMulNBits"]
(a,), (b,) = (session.run(None, {"flat": x}) for session in (plain, packed))
assert compare(a, b).equal
assert compare(a, ReferenceSession(four_bits).run(None, {"flat": x})[0]).equal
print("the same bits")

# %% [markdown]
# Mind the difference between the two halves of this chapter. Turning weights back in registers is an optimisation:
# it changes no bit, so the engine may do it unasked. Multiplying integers instead of floats changes bits, so it is
# a *meaning*, and yours to choose.
