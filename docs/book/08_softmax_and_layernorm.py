# %% [markdown]
# # 8. Softmax and LayerNorm without cancellation
#
# Both operators are one line in a textbook, and both lines fail. One overflows on harmless inputs; the other takes
# the root of a negative number. Nothing is wrong with the mathematics, only with the order of things. This chapter
# lets both lines fail, explains why, and rearranges them until they cannot. Run it with `python
# docs/book/08_softmax_and_layernorm.py`.

# %%
import inspect
from math import fsum

import matplotlib.pyplot as plt
import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

import diptych
import diptych_reference
from diptych.compare import compare
from diptych.sources import reference_source, rust_source
from diptych_reference import numerics
from diptych_reference.numerics import float32
from diptych_reference.ops import normalization, softmax

u = 2.0**-24


def both_panels(op_type, inputs, attributes=None):
    """The first output; it is the same on the left and, with each instruction set, on the right."""
    left = diptych_reference.run_operator(op_type, inputs, attributes or {})[0]
    for isa in diptych.available_isas():
        assert compare(left, diptych.run_operator(op_type, inputs, attributes, isa=isa)[0]).equal
    return left


# %% [markdown]
# ## Softmax by the book
#
# A classifier ends with one number a class, its *score*. Softmax makes probabilities of them: positive numbers that add
# up to one, the greater score getting the greater share. `softmax(x) = exp(x) / sum(exp(x))`.


# %%
def softmax_by_the_book(x):
    with np.errstate(all="ignore"):
        e = np.exp(x)
        return e / e.sum()


scores = np.array([1.0, 2.0, 4.0], np.float32)
print(softmax_by_the_book(scores))
assert abs(softmax_by_the_book(scores).sum() - 1) < 1e-6

# %% [markdown]
# Now add a hundred to every score. The shares should not change, since `exp(100)` appears above and below the line.

# %%
print(softmax_by_the_book(scores + np.float32(100)))
assert np.isnan(softmax_by_the_book(scores + np.float32(100))).all()

# %% [markdown]
# Infinity over infinity. The exponential grows fast: where does a `float32` end?

# %%
limit = np.log(np.float64(np.finfo(np.float32).max))
print(f"exp(x) is infinite from x = {limit:.2f} on")
with np.errstate(over="ignore"):
    assert np.isfinite(np.exp(np.float32(88.72)))
    assert np.isinf(np.exp(np.float32(88.73)))
assert 88.72 < limit < 88.73

# %% [markdown]
# A score of 89 is nothing unusual. But we have just seen the way out: adding a number to all scores changes nothing. So
# add one that makes overflow impossible: *subtract the greatest score*.


# %%
def softmax_shifted(x):
    e = numerics.exp(x - x.max())
    return e / e.sum()


for shift in (0, 100, -1000):
    print(f"{shift:6}:", softmax_shifted(scores + np.float32(shift)))
    assert compare(softmax_shifted(scores), softmax_shifted(scores + np.float32(shift))).equal

# %% [markdown]
# Look what that one subtraction does. All differences are zero or negative, so no exponential exceeds 1: no overflow.
# The greatest score has difference 0 and exponential 1, so the sum is at least 1: no division by zero. Very small
# exponentials become zero, and rightly so, they are nothing beside 1.
#
# Is there a price? `x - m` is rounded. An error *in* the exponent is a *relative* error of the exponential: `exp(d +
# t)` is about `exp(d) * (1 + t)`. The rounding of `d` is at most `u |d|`, so a share that lies d below the top is off
# by about `u |d|`, and that is a small share to begin with. Let us see it:

# %%
random = np.random.default_rng(8)
score = random.uniform(-80, 0, 6000).astype(np.float32)
top = random.uniform(0, 8, 6000).astype(np.float32)  # of its row
distance = top.astype(np.float64) - score  # exact
relative = np.abs(numerics.exp(score - top) / np.exp(-distance) - 1)

figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
axes.plot(distance, relative / u, ".", markersize=1.5)
axes.plot([0, 90], [2, 92], "--", color="grey", linewidth=1, label="|d| + 2")
axes.set(xlabel="how far a score lies below the greatest, |d|", ylabel="relative error of exp(d), in u")
axes.legend()
plt.show()

print(f"the worst is {np.max(relative / (u * (distance + 2))):.2f} of the line")
assert np.all(relative <= u * (distance + 2))

# %% [markdown]
# The points stay under the line, and they come in steps: the ULP of `d`, and with it the rounding, doubles at every
# power of two.
#
# ## The program
#
# Here is Softmax on the left panel. Besides the maximum, note two choices that any engine has to make and hardly any
# writes down: the sum is a lane sum (chapter 5), and there is *one* division, of 1 by the sum, and then a
# multiplication for each element, because divisions are slow.

# %%
print(inspect.getsource(softmax.softmax_over))

# %% [markdown]
# Multiplying by a rounded reciprocal gives other bits than dividing, at times. Here are both, and what the shares add
# up to: not always to one, exactly. Nobody promised that.

# %%
row = random.standard_normal(1000).astype(np.float32)
shares = both_panels("Softmax", [row])
e = numerics.exp(row - row.max())
divided = e / numerics.lane_sum(e)
print(
    f"{np.count_nonzero(shares != divided)} of {row.size} differ from a division; the shares add up to {fsum(shares)!r}"
)
assert 0 < np.count_nonzero(shares != divided) < row.size
assert 0 < abs(fsum(shares) - 1) < 100 * u

# %% [markdown]
# On the right, for one row: maximum, then the exponentials and their sum in one pass, then the multiplication. (The
# 16-bit types cannot hold the exponentials exactly, so they compute them twice rather than round them between.)

# %%
print(rust_source("softmax row"))

# %% [markdown]
# ## The exponential itself
#
# `np.exp` gives different bits on different machines, so neither panel uses it. Both evaluate one program. Its idea is
# that powers of *two* are free, they are just the exponent field: write `x = k ln 2 + r` with a whole number k, so that
# `exp(x) = 2^k exp(r)` with r small, and a short polynomial will do for `exp(r)`.

# %%
print(inspect.getsource(float32.exp))

# %% [markdown]
# Two lines deserve a second look. Adding `MAGIC` and taking it away again rounds to a whole number: where the ULP is 1,
# there is no place for fractions (chapter 4). And `ln 2` is subtracted in two parts, the first of so few bits that
# `k * LN2[0]` is exact. Otherwise `r`, a small difference of large numbers, would be all cancellation.

# %%
xs = np.linspace(-87, 88, 200_001).astype(np.float32)
truth = np.exp(xs.astype(np.float64))
ulps = np.abs(numerics.exp(xs) - truth) / np.spacing(truth.astype(np.float32)).astype(np.float64)
k = np.rint(xs / np.float32(np.log(2)))
r = xs - k * np.float32(np.log(2))  # ln 2 in one part
naive = np.abs(np.exp(r.astype(np.float64)) * 2.0 ** k.astype(np.float64) - truth) / np.spacing(
    truth.astype(np.float32)
).astype(np.float64)
print(
    f"worst error {ulps.max():.2f} ULP; with ln 2 in one part {naive.max():.0f} ULP, although exp(r) is perfect there"
)
assert ulps.max() < 1
assert naive.max() > 10

# %% [markdown]
# ## The logarithm of a share
#
# Training wants the *logarithm* of the shares. Softmax first, then the logarithm? A share that has become zero has
# the logarithm minus infinity, and everything stops. LogSoftmax rearranges once more: `log(exp(d) / s)` is `d -
# log(s)`, and no small number is ever formed.

# %%
scores = np.array([0.0, -50.0, -200.0], np.float32)
with np.errstate(divide="ignore"):
    in_two_steps = numerics.log(both_panels("Softmax", [scores]))
print("in two steps:", in_two_steps, "\nLogSoftmax:  ", both_panels("LogSoftmax", [scores]))
assert np.isneginf(in_two_steps[2])
assert both_panels("LogSoftmax", [scores])[2] == -200

# %% [markdown]
# ## One pass, other bits
#
# A long row is read twice before the first share can be written: once for the maximum, once for the sum. Can one pass
# do? Yes, with a *running* maximum: whenever a greater score turns up, scale down what has been summed so far. This
# "online" Softmax is the heart of FlashAttention.


# %%
def online_sum(x, block=64):
    m, s = np.float32(-np.inf), np.float32(0)
    for start in range(0, len(x), block):
        part = x[start : start + block]
        new = max(m, part.max())
        s = s * numerics.exp(np.float32(m - new)) + numerics.lane_sum(numerics.exp(part - new))
        m = new
    return m, s


row = np.sort(random.standard_normal(1000).astype(np.float32))  # rising: a new maximum in every block
two_passes = numerics.lane_sum(numerics.exp(row - row.max()))
one_pass = {block: online_sum(row, block)[1] for block in (32, 64, 128, 256)}
print(f"two passes    {two_passes:.6f}")
for block, total in one_pass.items():
    print(f"blocks of {block:3} {total:.6f}")
assert online_sum(row)[0] == row.max()
assert len({two_passes, *one_pass.values()}) > 1
assert all(abs(total - two_passes) < 100 * u * two_passes for total in one_pass.values())

# %% [markdown]
# As good, and not the same: each scaling rounds, and how many there are depends on the size of the blocks. So an engine
# may do it only if its definition says so, with the blocks in it. The definition of Softmax here does not; it takes the
# maximum first.
#
# ## LayerNorm by the book
#
# The second operator brings a row of numbers to mean 0 and deviation 1, so that the next layer finds what it is used
# to. It needs the variance, and textbooks offer a formula for it that needs only one pass: the mean of the squares
# minus the square of the mean.


# %%
def variance_by_the_book(x):
    n = np.float32(len(x))
    mean = numerics.lane_sum(x) / n
    return numerics.lane_sum(x * x) / n - mean * mean


def variance_in_two_passes(x):
    n = np.float32(len(x))
    d = x - numerics.lane_sum(x) / n
    return numerics.lane_sum(d * d) / n


noise = random.standard_normal(1000).astype(np.float32)
for offset in (0, 10, 1000, 10_000):
    x = noise + np.float32(offset)
    print(
        f"offset {offset:6}: by the book {variance_by_the_book(x):10.6f}, in two passes {variance_in_two_passes(x):.6f}"
    )

# %% [markdown]
# The spread of these numbers hardly changes when something is added to all of them. The book's formula is fine around
# zero and nonsense at ten thousand. Why? Both of its terms are then about a hundred million, where the ULP is 8, and
# their difference ought to be 1. What is left after the subtraction is rounding error: chapter 4's cancellation.

# %%
assert np.spacing(np.float32(10_000) ** 2) == 8
far = noise + np.float32(10_000)
exact = np.var(far.astype(np.float64))
assert abs(variance_by_the_book(far) - exact) > 0.5
assert abs(variance_in_two_passes(far) - exact) < 1e-5
assert 0.9 < exact < 1.1

# %% [markdown]
# It may even be negative, and its root is not a number. In the picture, 50 rows at each offset:

# %%
offsets = 2.0 ** np.arange(0, 15)
errors = {"by the book": [], "in two passes": []}
negative = 0
for offset in offsets:
    rows = (random.standard_normal((50, 256)) + offset).astype(np.float32)
    exact = np.var(rows.astype(np.float64), axis=1)
    by_the_book = [variance_by_the_book(row) for row in rows]
    negative += sum(v < 0 for v in by_the_book)
    errors["by the book"].append(np.max(np.abs(by_the_book / exact - 1)))
    errors["in two passes"].append(np.max(np.abs([variance_in_two_passes(row) for row in rows] / exact - 1)))

figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
for name, values in errors.items():
    axes.loglog(offsets, values, "o-", markersize=3, label=name)
axes.loglog(offsets, u * offsets**2, "--", color="grey", linewidth=1, label="u * (offset / deviation)^2")
axes.axhline(1, color="grey", linewidth=1)
axes.set(xlabel="offset, in deviations", ylabel="relative error of the variance")
axes.legend()
plt.show()

print(f"{negative} variances are negative; in two passes the worst error is {max(errors['in two passes']):.1e}")
assert negative > 0
assert max(errors["in two passes"]) < 1e-5
assert errors["by the book"][-1] > 1

# %% [markdown]
# The error of the book's formula grows with the *square* of the offset, along the dashed line: squaring happens before
# subtracting. The two-pass formula subtracts first, while the numbers are still exact, and squares what is left.
#
# But the mean it subtracts is itself rounded. Does that not come back? Let the mean be off by t. Then every
# difference is off by t, and the mean of their squares by `t^2` exactly, since the differences themselves average to
# zero. Squaring a small error makes it tiny: that is why the lower curve lies flat. (At the very right it begins to
# rise: there `t^2` shows.)

# %%
x = noise.astype(np.float64) + 10_000
t = 1e-3  # a mean so badly wrong
off = np.mean((x - (x.mean() + t)) ** 2) - np.mean((x - x.mean()) ** 2)
print(f"mean off by {t}, variance off by {off:.3e}")
assert abs(off - t**2) < 1e-9

# %% [markdown]
# Who would use the book's formula, then? ONNX itself. Its standard spells LayerNormalization out as a list of simpler
# nodes, for engines that do not have the operator. Look for the two squares:

# %%
schema = onnx.defs.get_schema("LayerNormalization", 17)
node = onnx.helper.make_node("LayerNormalization", ["X", "Scale", "B"], ["Y"])
types = [onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, shape) for shape in ([1, 1000], [1000], [1000])]
body = onnx.FunctionProto.FromString(
    schema.get_context_dependent_function_with_opset_version(
        17, node.SerializeToString(), [type_.SerializeToString() for type_ in types]
    )
)
for step in body.node:
    if {"XU", "Square", "Mean2D", "MeanOfSquare", "Var"} & {*step.input, *step.output}:
        print(f"{step.op_type:11} {', '.join(step.input):28} -> {', '.join(step.output)}")
assert [n.op_type for n in body.node if n.output == ["Var"]] == ["Sub"]

# %% [markdown]
# An engine that runs this list as it is will be wrong on our row, and it will have followed the standard to the letter.

# %%
scale, bias = np.ones(1000, np.float32), np.zeros(1000, np.float32)
feeds, attributes = {"X": far[None], "Scale": scale, "B": bias}, {"axis": -1, "epsilon": 1e-5, "stash_type": 1}
with np.errstate(invalid="ignore"):
    (by_the_list,) = ReferenceEvaluator(body).run(["Y"], feeds, attributes)
print(f"deviation of the result, which ought to be 1: {by_the_list.std(dtype=np.float64):.3f}")
assert not 0.9 < by_the_list.std(dtype=np.float64) < 1.1

# %% [markdown]
# ## The program
#
# Diptych has the operator on both panels: two sums over the row, one after the other, both lane sums, and then a pass
# for the result.

# %%
print(reference_source("LayerNormalization"))
print(inspect.getsource(normalization.moments))

# %% [markdown]
# On the right, the moments of one row. `reduce_row` is chapter 5's lane sum; `SquaredDistance` subtracts and squares in
# the register, so the differences are never stored.

# %%
print(rust_source("moments"))

# %% [markdown]
# The offset that broke the book's formula does no harm:

# %%
normal = both_panels("LayerNormalization", [far, scale, bias])
far64 = far.astype(np.float64)
wanted = (far64 - far64.mean()) / np.sqrt(far64.var() + 1e-5)
print(f"mean {normal.mean(dtype=np.float64):+.1e}, deviation {normal.std(dtype=np.float64):.6f}")
assert np.abs(normal - wanted).max() < 1e-3

# %% [markdown]
# What about a row of equal numbers? Its deviation is zero, and nothing may be divided by zero. That is what `epsilon`
# is for: it stands *under* the root, where it turns 0/0 into a plain zero.

# %%
flat = both_panels("LayerNormalization", [np.full(1000, 3, np.float32), scale, bias])
print(np.unique(flat))
assert np.all(flat == 0)

# %% [markdown]
# And `float16`? Its greatest number is 65504, so the square of 300 is already too much. Hence an attribute with an odd
# name, `stash_type`: the type in which the statistics are kept, `float32` unless the model says otherwise.

# %%
half = (noise * 300).astype(np.float16)
with np.errstate(over="ignore"):
    print("squares in float16:", np.float16(300) * np.float16(300), "  in float32:", np.float32(300) ** 2)
    assert np.isinf(np.float16(300) * np.float16(300))
assert np.float32(300) ** 2 == 90000
normal = both_panels("LayerNormalization", [half, scale.astype(np.float16), bias.astype(np.float16)])
assert np.isfinite(normal).all()
assert 0.99 < normal.astype(np.float64).std() < 1.01

# %% [markdown]
# Both operators were saved by the same thought: *subtract first, while the numbers are exact, and only then do what
# magnifies*, be it an exponential or a square. Put together with a few matrix products, they are the whole of the next
# chapter: attention.
