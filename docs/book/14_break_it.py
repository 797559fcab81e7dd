# %% [markdown]
# # 14. Break it: plant a bug, and watch it found
#
# Every engine has bugs. The question is who finds them: its tests, or somebody whose results are quietly wrong. So
# in this last chapter we are the villain. We write a kernel with a mistake that real kernels have, let it pass the
# tests that most projects write, and then set three tools on it: a fuzzer that finds it, a shrinker that makes it
# small, and a diff that finds it again in a model of twenty nodes.

# %%
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import matplotlib.pyplot as plt
import numpy as np
import onnx
from hypothesis import given, settings
from onnx import TensorProto, helper, numpy_helper

import diptych
import diptych_reference
from diptych.compare import compare
from diptych.diff import diff
from diptych.engines import Engine, Run
from diptych.testing import Case, on_reference, operator_cases
from diptych.testing.oracles import judge_outputs

ROOT = Path(__file__).parents[2]

# %% [markdown]
# ## The mistake
#
# Vectors hold several numbers; say four. A fast Relu takes four at a time and does the rest, the *tail*, one by one
# (chapter 2). Read the last loop.

# %%
LANES = 4


def relu_in_lanes(x: np.ndarray) -> np.ndarray:
    flat = x.ravel()
    result = np.zeros_like(flat)  # fresh memory
    whole = flat.size - flat.size % LANES
    for start in range(0, whole, LANES):
        four = flat[start : start + LANES]
        result[start : start + LANES] = np.where(four <= 0, np.float32(0), four)
    for index in range(whole + 1, flat.size):
        result[index] = np.float32(0) if flat[index] <= 0 else flat[index]
    return result.reshape(x.shape)


# %% [markdown]
# It begins one too late, so the first number of the tail is never written. If the length is a multiple of four
# there is no tail, and nothing is wrong.
#
# ## An engine with that kernel
#
# To be tested, an engine needs a face that tools know. `diptych.engines.Engine` is such a face, with one method:
# take a model, return a function from inputs to outputs. Ours walks down the list, as in chapter 1, and uses its
# own kernels where it has some. (The author of a real engine would call it here instead; ten lines do.)

# %%
Kernel = Callable[[np.ndarray], np.ndarray]


class HomeMade(Engine):
    name = "home-made"
    kernels: ClassVar[dict[str, Kernel]] = {"Relu": relu_in_lanes}

    def prepare(self, model: bytes | Path) -> Run:
        proto = onnx.load_model_from_string(model) if isinstance(model, bytes) else onnx.load(model)
        versions = {entry.domain: entry.version for entry in proto.opset_import}
        constants = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}

        def run(feeds: Mapping[str, Any]) -> list[Any]:
            known = {**constants, **feeds}
            for n in proto.graph.node:
                inputs = [known[name] if name else None for name in n.input]
                if n.op_type in self.kernels:
                    outputs = [self.kernels[n.op_type](*inputs)]
                else:
                    attributes = {a.name: helper.get_attribute_value(a) for a in n.attribute}
                    opset = versions[n.domain]
                    outputs = diptych.run_operator(n.op_type, inputs, attributes, opset=opset, domain=n.domain)
                known.update(zip(n.output, outputs, strict=True))
            return [known[output.name] for output in proto.graph.output]

        return run


# %% [markdown]
# ## The tests that one writes first
#
# Does the digit classifier still work? It does: on ten pictures, not a bit of the answers differs from the reference.
# Its layers have 1024 and 512 numbers, as the layers of most models have sizes that are divisible by a lot.

# %%
DIGITS = ROOT / "examples" / "digits"
run = HomeMade().prepare(DIGITS / "digits.onnx")
reference = diptych_reference.ReferenceSession(DIGITS / "digits.onnx")
answers = []
for digit in range(10):
    image = np.load(DIGITS / "images" / f"{digit}.npy")
    (answer,) = run({"image": image})
    answers.append(int(answer.argmax()))
    assert compare(reference.run(None, {"image": image})[0], answer).equal
print("pictures of 0 to 9 are taken for", answers)
print("that is what the reference says, to the last bit")

# %% [markdown]
# ## A fuzzer
#
# We would have to think of a length that is not a multiple of four. A fuzzer need not think. `operator_cases` is a
# strategy for Hypothesis: it draws valid cases of an operator, with all ranks, lengths (none and one among them)
# and values (zeros of both signs, infinities, NaN). Each case runs on the home-made engine and on the reference.

# %%
tried: list[tuple[int, bool]] = []
failing: list[Case] = []


@settings(max_examples=500, deadline=None, database=None, derandomize=True)
@given(operator_cases("Relu", 14, "float"))
def relu_is_right(case: Case) -> None:
    (expected,) = on_reference(case).outputs
    (actual,) = HomeMade().prepare(case.model().SerializeToString())(case.feeds())
    wrong = not compare(expected, actual).equal
    tried.append((expected.size, wrong))
    if wrong:
        failing.append(case)
    assert not wrong


try:
    relu_is_right()
except AssertionError:
    first = next(index for index, (_, wrong) in enumerate(tried) if wrong)
    print(f"wrong after {first + 1} cases: a tensor of shape {list(failing[0].inputs[0].shape)}")
assert failing
assert first < 200

# %% [markdown]
# ## A shrinker
#
# That case is true and unhelpful: it has whatever shape and numbers came up. What one wants is the *smallest* case
# that is still wrong. So when Hypothesis has a failure it does not stop. It tries simpler choices, fewer axes,
# shorter ones, zeros for numbers, and keeps each that still fails. Here is all that it tried:

# %%
figure, axes = plt.subplots()
for wrong, marker, label in ((False, ".", "right"), (True, "x", "wrong")):
    places = [(index, size) for index, (size, failed) in enumerate(tried) if failed == wrong]
    axes.plot(*zip(*places, strict=True), marker, label=label, alpha=0.8)
axes.axvline(first, color="grey", linewidth=1)
axes.annotate(" the first failure", (first, 1), xycoords=("data", "axes fraction"), va="top", fontsize=9)
axes.set_yscale("symlog", linthresh=1)
axes.set_ylim(bottom=-0.2)
axes.set_xlabel("case")
axes.set_ylabel("numbers in the tensor")
axes.legend(loc="upper right")
plt.show()

# %% [markdown]
# And this is what it ends with:

# %%
smallest = failing[-1].inputs[0]
(expected,) = on_reference(failing[-1]).outputs
print("input   ", smallest)
print("expected", expected)
print("got     ", relu_in_lanes(smallest))
print(f"{len(tried)} cases in all, {sum(wrong for _, wrong in tried)} of them wrong")
assert smallest.size == min(case.inputs[0].size for case in failing)
assert smallest.size % LANES
assert np.count_nonzero(smallest) == 1

# %% [markdown]
# Read it aloud: *of a single number, nothing is left*. A single number is all tail, and with the kernel beside it,
# four lines long, there is not much left to search. No human had to stare at the tensor that was found first.
#
# ## A diff
#
# Now the other way round. There is no suspicion of Relu; there is a model, and its answer is wrong. Here is one of
# twenty nodes, with five rows of seven numbers flowing through it. We register our kernel as an operator of its own
# for the engine, and give the left panel the definition, so that only the right one is wrong.


# %%
def relu_as_defined(x: np.ndarray) -> np.ndarray:
    return np.where(x <= 0, np.float32(0), x)


diptych.register_operator("book", "Relu", relu_in_lanes)
diptych_reference.registry.pop(("book", "Relu"))
diptych_reference.operator("Relu", since=1, domain="book")(relu_as_defined)

rng = np.random.default_rng(14)
nodes, weights, name = [], {}, "x"
for block in range(5):
    weights[f"w{block}"] = (rng.standard_normal((7, 7)) / 2).astype(np.float32)
    domain = "book" if block == 2 else ""
    nodes += [
        helper.make_node("MatMul", [name, f"w{block}"], [f"m{block}"], f"product {block}"),
        helper.make_node("Relu", [f"m{block}"], [f"r{block}"], f"relu {block}", domain=domain),
        helper.make_node("Add", [name, f"r{block}"], [f"a{block}"], f"residual {block}"),
        helper.make_node("Tanh", [f"a{block}"], [f"t{block}"], f"squash {block}"),
    ]
    name = f"t{block}"
made = [n.output[0] for n in nodes]
graph = helper.make_graph(
    nodes,
    "twenty",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [5, 7])],
    [helper.make_tensor_value_info(value, TensorProto.FLOAT, [5, 7]) for value in made],
    [numpy_helper.from_array(w, w_name) for w_name, w in weights.items()],
)
opsets = [helper.make_opsetid("", 22), helper.make_opsetid("book", 1)]
model = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
feeds = {"x": np.abs(rng.standard_normal((5, 7))).astype(np.float32)}

# %% [markdown]
# Comparing all values of both runs does not help much. Once a number is wrong, whatever is computed from it is
# wrong as well:

# %%
left = diptych_reference.ReferenceSession(model).run(None, feeds)
right = diptych.InferenceSession(model).run(None, feeds)
pairs = zip(left, right, strict=True)
different = [value for value, (one, other) in zip(made, pairs, strict=True) if not compare(one, other).equal]
print(f"{len(different)} of {len(made)} values differ:", " ".join(different))
assert len(different) > 5

# %% [markdown]
# So a diff has to separate those who err from those who inherit. The trick is simple: give each node of the engine
# the inputs that the *reference* computed. Then a node that is right gives the right result, whatever happened
# before it. (`isolate=False`: usually each engine has a process of its own, which would not know our operator.)

# %%
report = diff(model, feeds, stop=False, isolate=False)
for found in report.violations:
    print(f"node {found.index}, {found.name!r} ({found.domain}.{found.op_type}): {found.engines['diptych'].detail}")
assert [found.name for found in report.violations] == ["relu 2"]
(judged,) = report.violations[0].engines["diptych"].outputs
assert judged.differing == 1
assert np.ravel_multi_index(judged.index, (5, 7)) == 35 - 35 % LANES

# %% [markdown]
# One node of twenty, one number of thirty-five, and its place: number 32, the first that does not fit into fours.
# `diptych diff model.onnx` does this from the command line, `diptych reduce` cuts the model down to the node and
# writes a test, and `diptych fuzz` draws the cases in the first place.

# %%
for registered in (("book", "Relu"),):
    diptych_reference.registry.pop(registered)

# %% [markdown]
# ## Wrong, or only different?
#
# Between the two panels there is nothing to discuss: bits are equal or they are not. Other engines round in other
# places, and are right all the same. To test them one needs to know how far a right result may lie from the exact
# one.
#
# The usual tolerance, one in a thousand, is a guess. Here are two versions of Softmax. The first is NumPy's
# arithmetic, with its sums in another order. The second has an exponential for people in a hurry: a cubic instead
# of what the type could give.


# %%
def softmax(x: np.ndarray, exponential: Kernel) -> np.ndarray:
    e = exponential(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def hasty_exp(x: np.ndarray) -> np.ndarray:
    power = x * np.float32(1.442695)  # e to the x is 2 to this
    whole = np.rint(np.maximum(power, -126))
    f = (power - whole) * np.float32(0.6931472)
    cubic = np.float32(1) + f * (np.float32(1) + f * (np.float32(0.5) + f * np.float32(1 / 6)))
    return np.ldexp(cubic, whole.astype(np.int32))


x = rng.standard_normal((200, 40)).astype(np.float32) * np.float32(3)
case = Case("Softmax", "", 13, (x,), {"axis": -1}, 1)
expected = on_reference(case).outputs
shares = {}
for label, exponential in {"another order": np.exp, "a hasty exponential": hasty_exp}.items():
    actual = softmax(x, exponential)
    (verdict,) = judge_outputs(case, [actual], expected)
    shares[label] = verdict.share
    close = np.allclose(actual, expected[0], rtol=1e-3, atol=1e-5)
    bits = compare(expected[0], actual).differing
    print(f"{label:20} {bits:4} bits patterns differ; within a thousandth: {close}; error / bound: {verdict.share:.2f}")
    print(f"{'':20} {'wrong: ' + verdict.kind if verdict.wrong else 'right'}")
assert shares["another order"] <= 1 < shares["a hasty exponential"]

# %% [markdown]
# Both pass the usual tolerance. But `diptych.testing.oracles` computes the result in wider arithmetic and the
# operator's own *error bound*: how far all its roundings can lead astray, in any order of its sums. In units of
# that bound the honest version is below one and the hasty one is far above. No one had to choose a tolerance.
#
# ## And this engine?
#
# It carries bugs on purpose: lines that would be wrong, which are compiled into no wheel. `make test-mutants`
# switches them on, one by one, and expects the tests to see each.

# %%
table = (ROOT / "docs" / "mutants.md").read_text(encoding="utf-8").splitlines()
mutants = [line.split("|") for line in table if line.startswith("| `")]
print(f"{len(mutants)} planted bugs, among them")
for row in mutants[:6]:
    print(f"  {row[1].strip():26} {row[3].strip()}")
assert any("dropped_tail" in row[1] for row in mutants)

# %% [markdown]
# The one that is called `dropped_tail` you know. It is found in the same way.
#
# That is the end of the book, and it is a good place to begin: choose an operator, read it on the left, break it on
# the right, and see what happens.
