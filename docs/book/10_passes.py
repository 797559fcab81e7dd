# %% [markdown]
# # 10. Passes: change the graph, and prove that no bit changed
#
# The file that a training framework writes is seldom tidy. It computes shapes that are known beforehand, multiplies
# constants by constants, and keeps nodes that only mattered in training. An engine tidies up before it runs
# anything. Each kind of tidying is a *pass*: a function from graph to graph.
#
# A pass is also where engines go wrong in silence. One that is *nearly* right changes the last digits, or the
# answer for an infinity that comes once a year. So this engine has one rule for passes: none of them may change a
# bit. We write three of them, check them against the engine's own, then meet those that look just as harmless and
# are not.

# %%
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import onnx
from hypothesis import given, settings
from onnx import TensorProto, helper, numpy_helper

import diptych
from diptych import _core
from diptych.compare import compare
from diptych.testing.graphs import GraphCase, graphs
from diptych_reference import ReferenceSession, run_operator

# %% [markdown]
# ## A model as exporters write it
#
# A convolution with all that usually stands around it. The input is divided by 255, written as a product of two
# constants. The result is flattened by asking for its shape. A Dropout does nothing any more, and the logarithm of
# the picture was somebody's experiment.

# %%
rng = np.random.default_rng(10)


def normal(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


constants = {
    "fifteen": np.float32(15),
    "seventeen": np.float32(17),
    "weight": normal(8, 3, 3, 3),
    "gain": normal(8),
    "shift": normal(8),
    "mean": normal(8),
    "variance": np.abs(normal(8)),
    "first": np.array([0]),
    "rest": np.array([-1]),
    "matrix": normal(8 * 14 * 14, 10),
}
node = helper.make_node
nodes = [
    node("Mul", ["fifteen", "seventeen"], ["full_scale"]),
    node("Div", ["picture", "full_scale"], ["scaled"]),
    node("Identity", ["scaled"], ["same"]),
    node("Log", ["same"], ["experiment"]),
    node("Neg", ["experiment"], ["unread"]),
    node("Conv", ["same", "weight"], ["c"]),
    node("BatchNormalization", ["c", "gain", "shift", "mean", "variance"], ["b"]),
    node("Relu", ["b"], ["r"]),
    node("Identity", ["r"], ["after_dropout"]),
    node("Concat", ["first", "rest"], ["flat_shape"], axis=0),
    node("Reshape", ["after_dropout", "flat_shape"], ["flat"]),
    node("MatMul", ["flat", "matrix"], ["logits"]),
    node("Softmax", ["logits"], ["probability"], axis=1),
]
graph = helper.make_graph(
    nodes,
    "exported",
    [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["n", 3, 16, 16])],
    [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n", 10])],
    [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
onnx.checker.check_model(model, full_check=True)
pictures = {"picture": rng.integers(0, 256, (2, 3, 16, 16)).astype(np.float32)}


def show(nodes: list[onnx.NodeProto]) -> None:
    for n in nodes:
        print(f"{n.op_type:18} {', '.join(n.input):36} -> {', '.join(n.output)}")


show(nodes)

# %% [markdown]
# ## Three passes
#
# **Identity elimination.** Whoever reads the output of an Identity can as well read its input. The node itself
# stays for now: nobody reads it any more, which is the next pass' business.

# %%
Nodes = list[onnx.NodeProto]
attributes_of = lambda n: {a.name: helper.get_attribute_value(a) for a in n.attribute}  # noqa: E731


def eliminate_identities(nodes: Nodes) -> Nodes:
    stands_for: dict[str, str] = {}
    result = []
    for n in nodes:
        n = node(n.op_type, [stands_for.get(name, name) for name in n.input], list(n.output), **attributes_of(n))
        if n.op_type == "Identity":
            stands_for[n.output[0]] = n.input[0]
        result.append(n)
    return result


# %% [markdown]
# **Dead code elimination.** Walk the list from its end. A node is needed if the graph's output, or a needed node,
# reads what it makes.


# %%
def eliminate_dead_code(nodes: Nodes, outputs: set[str]) -> Nodes:
    needed, result = set(outputs), []
    for n in reversed(nodes):
        if needed & set(n.output):
            needed |= set(n.input)
            result.append(n)
    return result[::-1]


# %% [markdown]
# **Constant folding.** A node that reads nothing but constants gives the same in every run. So run it once, now,
# and make its output a constant. It is run by the very kernel that would run it later: that is why no bit can
# change.


# %%
def fold_constants(nodes: Nodes, known: dict[str, np.ndarray]) -> Nodes:
    result = []
    for n in nodes:
        if all(name in known for name in n.input):
            inputs = [known[name] for name in n.input]
            (known[n.output[0]],) = run_operator(n.op_type, inputs, attributes_of(n), opset=22)
        else:
            result.append(n)
    return result


known = dict(constants)
tidy = eliminate_dead_code(fold_constants(eliminate_identities(nodes), known), {"probability"})
print(f"{len(nodes)} nodes become {len(tidy)}\n")
show(tidy)
print("\nfull_scale is now the constant", known["full_scale"], "and flat_shape", known["flat_shape"])
assert known["full_scale"] == 255
assert (len(nodes), len(tidy)) == (13, 7)

# %% [markdown]
# The engine has come to the same list. `InferenceSession.graph()` shows what runs, after the passes.

# %%
session = diptych.InferenceSession(model)
after = session.graph()["nodes"]
assert [n["op_type"] for n in after] == [n.op_type for n in tidy]
assert [n["inputs"] for n in after] == [list(n.input) for n in tidy]
print("the engine's:", " ".join(n["op_type"] for n in after))

# %% [markdown]
# ## Nothing changed, and how to be sure
#
# Passes can be switched off one by one, by name. Each subset of them is an engine of its own, and all these engines
# must agree: with each other, and with the left panel, which has no passes at all.

# %%
(expected,) = ReferenceSession(model).run(None, pictures)
choices = {"all passes": [], **{f"without {name}": [name] for name in _core.passes()}, "no pass": _core.passes()}
for label, off in choices.items():
    session = diptych.InferenceSession(model, diptych.SessionOptions(disabled_passes=off))
    found = compare(expected, session.run(None, pictures)[0])
    print(f"{label:30} {len(session.graph()['nodes']):3} nodes, {found.differing} numbers differ")
    assert found.equal

# %% [markdown]
# One model proves little: the bug that matters is in the model that nobody thought of. So let a program think of
# models. `diptych.testing` has strategies for Hypothesis that grow random graphs, with constants to fold, values
# read twice and outputs that nobody reads. Each of these is run with all passes and with none.

# %%
grown: list[int] = []


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(graphs())
def passes_change_no_bit(case: GraphCase) -> None:
    content = case.model.SerializeToString()
    with_all = diptych.InferenceSession(content)
    without = diptych.InferenceSession(content, diptych.SessionOptions(disabled_passes=_core.passes()))
    for a, b in zip(with_all.run(None, case.feeds), without.run(None, case.feeds), strict=True):
        assert compare(a, b).equal
    grown.append(len(without.graph()["nodes"]) - len(with_all.graph()["nodes"]))


passes_change_no_bit()
print(f"{len(grown)} graphs, {sum(grown)} nodes removed from them, no bit changed")
assert sum(grown) > 0

# %% [markdown]
# ## Rules that look just as good
#
# A multiplication by one may go, surely. And an addition of zero? For numbers of 16 bits we need not argue: there
# are 65 536 of them, NaN and infinities included, so we try them all. That is a proof, if a plain one.

# %%
everything = np.arange(65536, dtype=np.uint16).view(np.float16)
half = np.float16
Rule = tuple[str, Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]
rules: list[Rule] = [
    ("x * 1  ->  x", lambda x: x * half(1), lambda x: x),
    ("x + 0  ->  x", lambda x: x + half(0), lambda x: x),
    ("x - 0  ->  x", lambda x: x - half(0), lambda x: x),
    ("x * 0  ->  0", lambda x: x * half(0), np.zeros_like),
    ("x - x  ->  0", lambda x: x - x, np.zeros_like),
    ("x * 2  ->  x + x", lambda x: x * half(2), lambda x: x + x),
    ("x / 4  ->  x * 0.25", lambda x: x / half(4), lambda x: x * half(0.25)),
    ("x / 3  ->  x * (1/3)", lambda x: x / half(3), lambda x: x * (half(1) / half(3))),
    ("0 - x  ->  -x", lambda x: half(0) - x, lambda x: -x),
    ("x + 1 + 2  ->  x + 3", lambda x: x + half(1) + half(2), lambda x: x + half(3)),
    ("sqrt(x * x)  ->  |x|", lambda x: np.sqrt(x * x), np.abs),
]
broken = {}
with np.errstate(all="ignore"):
    for name, before, after in rules:
        found = compare(before(everything), after(everything))
        broken[name] = found.differing
        example = "" if found.index is None else f"   first at x = {everything[found.index]}"
        print(f"{name:22} {found.differing:6} of 65536 differ{example}")

sound = [name for name, count in broken.items() if count == 0]
assert sound == ["x * 1  ->  x", "x - 0  ->  x", "x * 2  ->  x + x", "x / 4  ->  x * 0.25"]

# %% [markdown]
# Adding zero is no identity: `-0 + 0` is `+0`, and one divided by the one or the other is minus or plus infinity.
# Subtracting zero is. `x - x` is not zero where x is infinite. Division by a power of two may become a
# multiplication and division by three may not, for thousands of numbers. None of this can be seen by looking at the
# formulas; the formulas are true of numbers, and these are floats (chapter 4).

# %%
assert broken["x + 0  ->  x"] == 1
assert broken["x / 3  ->  x * (1/3)"] > 1000

# %% [markdown]
# ## The famous one
#
# BatchNormalization after a convolution scales each channel and shifts it. Scaling is linear, so the scale can be
# multiplied into the convolution's weights once and for all, and the node disappears. Nearly every engine does
# this. Does it keep the bits?

# %%
x = pictures["picture"] / np.float32(255)
(apart,) = run_operator("Conv", [x, constants["weight"]], {}, opset=22)
statistics = [constants[name] for name in ("gain", "shift", "mean", "variance")]
(apart,) = run_operator("BatchNormalization", [apart, *statistics], {}, opset=22)

factor = constants["gain"] / np.sqrt(constants["variance"] + np.float32(1e-5))
weight = constants["weight"] * factor[:, None, None, None]
bias = constants["shift"] - constants["mean"] * factor
(folded,) = run_operator("Conv", [x, weight, bias], {}, opset=22)

found = compare(apart, folded)
worst = float(np.abs(apart - folded).max())
print(f"{found.differing} of {found.elements} numbers differ, by {worst:.1e} at most")
assert found.differing > found.elements / 2
assert worst < 1e-3

# %% [markdown]
# Most numbers change. Each change is small, and the folded form is as good an approximation; but it is another one,
# and whoever compares two versions of a model, or two machines, sees noise where there should be none.
#
# What folding saves is not the multiplication. It saves a walk through memory: the convolution's result would be
# written out, read again, scaled, and written once more. That can be saved without touching a rounding. The
# engine's pass `epilogue_fusion` lets BatchNormalization and Relu do their work inside the convolution's kernel, on
# numbers that are still in registers, with all the roundings that they had.

# %%
options = diptych.SessionOptions(threads=1)
options.enable_profiling = True
fused = diptych.InferenceSession(model, options)
options = diptych.SessionOptions(threads=1, disabled_passes=["epilogue_fusion"])
options.enable_profiling = True
unfused = diptych.InferenceSession(model, options)

ran: dict[str, list[str]] = {}
moved: dict[str, int] = {}
for name, session in {"with fusion": fused, "without": unfused}.items():
    (actual,) = session.run(None, pictures)
    assert compare(expected, actual).equal
    events = session.take_events()
    ran[name] = [event["op_type"] for event in events]
    moved[name] = sum(event["bytes"] for event in events)
    print(f"{name:12} {moved[name]:7} bytes read or written by {', '.join(ran[name])}")

assert "BatchNormalization" in ran["without"]
assert "BatchNormalization" not in ran["with fusion"]
assert moved["with fusion"] < moved["without"]

# %% [markdown]
# Here is how far the two ways stray from the exact result, computed in twice the precision. Folding is not worse on
# the whole. It is only different, and it is different in a way that nobody asked for.

# %%
wide = {name: array.astype(np.float64) for name, array in constants.items()}
(exact,) = run_operator("Conv", [x.astype(np.float64), wide["weight"]], {}, opset=22)
(exact,) = run_operator(
    "BatchNormalization", [exact, *(wide[n] for n in ("gain", "shift", "mean", "variance"))], {}, opset=22
)

figure, axes = plt.subplots()
bins = np.linspace(-12, -5, 36)
for name, result in {"three nodes, or one fused kernel": apart, "folded into the weights": folded}.items():
    error = np.abs(result - exact)
    axes.hist(np.log10(error[error > 0]), bins=bins, histtype="step", linewidth=1.6, label=name)
axes.set_xlabel("error, as a power of ten")
axes.set_ylabel("numbers")
axes.legend(loc="upper left")
plt.show()
ratio = np.abs(folded - exact).mean() / np.abs(apart - exact).mean()
print(f"mean error of the folded form: {ratio:.2f} times that of the other")
assert 0.2 < ratio < 5

# %% [markdown]
# ## What we know now
#
# A pass is sound if every rounding that the model asks for still happens, in the same order on the same numbers.
# Removing what nobody sees, moving work to an earlier moment, saving a walk through memory: these are free.
# Everything that uses a law of algebra is not, unless it is one of the few that floats obey too. And since people
# err about which those are, random graphs check it, in every run of the tests.
