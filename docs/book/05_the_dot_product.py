# %% [markdown]
# # 5. The dot product: order, error bound, and the plot over K
#
# Multiply two rows of numbers pair by pair and add up the products: that is the *dot product*, and a network is
# little else. In mathematics the order of a sum does not matter. In floating point it does, and this chapter
# measures how much, proves how much it can be at most, and shows how that tells a wrong engine from a different
# one. Run it with `python docs/book/05_the_dot_product.py`.

# %%
import inspect
from itertools import permutations
from math import fsum

import matplotlib.pyplot as plt
import numpy as np
from onnx import helper
from onnx.reference import ReferenceEvaluator

import diptych
import diptych_reference
from diptych.compare import compare
from diptych.sources import rust_source
from diptych_reference import numerics
from diptych_reference.numerics import sums

# %% [markdown]
# ## One sum, many answers
#
# Take eight numbers, some positive and some negative, and add them in every possible order. How many different sums
# come out?

# %%
random = np.random.default_rng(5)
eight = (10 * random.standard_normal(8)).astype(np.float32)
eight[-1] = np.float32(1) - eight[:-1].sum()  # so that they add up to about 1
orders = np.array(list(permutations(range(8))))
total = eight[orders[:, 0]]
for step in range(1, 8):
    total = total + eight[orders[:, step]]  # all orders at once; every addition rounds to float32

exact = fsum(map(float, eight))  # as if without rounding
answers, counts = np.unique(total, return_counts=True)
print(f"{len(orders)} orders, {len(answers)} different sums, from {answers.min():.7f} to {answers.max():.7f}")
assert len(orders) == 40320
assert len(answers) == 10

figure, axes = plt.subplots(figsize=(7, 2.8), layout="constrained")
distances = (answers.astype(np.float64) - exact) / np.spacing(np.float32(abs(exact)))
axes.vlines(distances, 0, counts, linewidth=4)
axes.set(xlabel="distance from the exact sum, in ULP of it", ylabel="orders", ylim=(0, None))
plt.show()

# %% [markdown]
# None of these is *the* answer; each is what IEEE 754 demands for its order. So "the engine shall compute the sum"
# does not say which bits. A specification that wants equal bits must fix an order.
#
# ## Three orders
#
# Here are the three that matter for dot products of length K.
#
# The **chain** adds one product after the other, each with a fused multiply-add (chapter 4). It is the simplest
# order, and the slowest to compute: every step waits for the one before.


# %%
def chain(a, b):
    acc = np.float32(0)
    for a_k, b_k in zip(a, b, strict=True):
        acc = numerics.fma(a_k, b_k, acc)
    return acc


# %% [markdown]
# **Lanes** deal the products out like cards to sixteen players, `k mod 16`. Each player adds up his own, and at the
# end the sixteen sums are added as in a tournament, half against half. A register of sixteen numbers does just
# that: one step takes sixteen products.


# %%
def lanes(a, b, players=16):
    hands = np.zeros(players, np.float32)
    for start in range(0, len(a), players):
        part = slice(start, start + players)
        here = len(a[part])
        hands[:here] = numerics.fma(a[part], b[part], hands[:here])
    while len(hands) > 1:
        hands = hands[: len(hands) // 2] + hands[len(hands) // 2 :]
    return hands[0]


# %% [markdown]
# **Pairwise** is a tournament from the start: products of neighbours are added, then the sums of neighbours, and so
# on. No number goes through many additions.


# %%
def pairwise(a, b):
    level = a * b
    while len(level) > 1:
        if len(level) % 2:
            level = np.append(level, np.float32(-0.0))  # adds nothing
        level = level[0::2] + level[1::2]
    return level[0]


a, b = random.standard_normal((2, 1000)).astype(np.float32)
results = {order: float(order(a, b)) for order in (chain, lanes, pairwise)}
for order, result in results.items():
    print(f"{order.__name__:9} {result:.9f}")
assert len(set(results.values())) == 3

# %% [markdown]
# ## The exact answer
#
# To say which one is how wrong, we need the truth. It is easy to have: the product of two `float32` numbers is exact
# in `float64` (24 bits and 24 bits are at most 48, and there are 53), and Python's `math.fsum` adds such numbers as
# if without rounding.


# %%
def products(a, b):
    return a.astype(np.float64) * b.astype(np.float64)


truth = fsum(products(a, b))
u = 2.0**-24
scale = np.abs(products(a, b)).sum()
for order, result in results.items():
    print(f"{order.__name__:9} is off by {abs(result - truth) / (u * scale):.4f} u * sum |a b|")

# %% [markdown]
# Why measure the error against `sum |a b|`, and not against the result? Because the result may be almost zero while
# the terms are large, and then no order can be close in relation to it. The sum of magnitudes is what was moved
# about, and the roundings are in proportion to that.
#
# ## How wrong can it be?
#
# Each rounding multiplies by some `1 + d` with `|d| <= u`. In a chain, the first product goes through all K
# roundings, the last one through one. So what comes out is the exact sum of slightly changed products, each
# changed by at most K such factors, and K factors together by at most `g(K) = K*u / (1 - K*u)`. Hence
#
#     |computed - exact|  <=  g(K) * sum |a b|
#
# That is the whole proof. It asks only how many roundings lie on the *longest path* from a product to the result:
# K for a chain, `K/16 + 4` for sixteen lanes, `log2 K + 1` pairwise.


# %%
def g(roundings):
    return roundings * u / (1 - roundings * u)


def longest_path(order, k):
    return {chain: k, lanes: -(-k // 16) + 4, pairwise: int(np.ceil(np.log2(k))) + 1}[order]


for order, result in results.items():
    error, bound = abs(result - truth), g(longest_path(order, len(a))) * scale
    print(f"{order.__name__:9} longest path {longest_path(order, len(a)):5}, error / bound {error / bound:.4f}")
    assert error <= bound

# %% [markdown]
# The errors are far below their bounds. Is the bound too timid? No: there are sums that reach it. One, and then
# many numbers of half an ULP, each of which alone rounds away:

# %%
k = 2000
worst_a = np.ones(k + 1, np.float32)
worst_b = np.full(k + 1, 2.0**-24, np.float32)
worst_b[0] = 1
worst_truth = fsum(products(worst_a, worst_b))
lost = float(chain(worst_a, worst_b))
ratio = abs(lost - worst_truth) / (g(k + 1) * worst_truth)
print(f"exact {worst_truth:.7f}, chain {lost:.7f}: error / bound {ratio:.3f}")
assert lost == 1
assert ratio > 0.99

# %% [markdown]
# ## The plot over K
#
# Between a proof about the worst and the luck of one example lies what usually happens. Thirty-two random dot
# products of each length, all terms positive on the left, of random signs on the right; the mark is their
# root-mean-square error.

# %%
TRIALS, LENGTHS = 32, [2**i for i in range(4, 14)]


def mean_errors(a, b):
    """For each order and length: error / sum |a b|, in units of u. `a` and `b` are [K, trials]."""
    found = {"chain": [], "16 lanes": [], "pairwise": []}
    acc, done = np.zeros(TRIALS, np.float32), 0
    for k in LENGTHS:
        acc, done = numerics.fma_chain(a[done:k], b[done:k], acc), k  # the chain goes on where it stood
        dealt_a, dealt_b = a[:k].reshape(-1, 16, TRIALS), b[:k].reshape(-1, 16, TRIALS)
        hands = numerics.fma_chain(dealt_a, dealt_b, np.zeros((16, TRIALS), np.float32))
        for half in (8, 4, 2, 1):
            hands = hands[:half] + hands[half : 2 * half]
        level = a[:k] * b[:k]
        while len(level) > 1:
            level = level[0::2] + level[1::2]
        terms = products(a[:k], b[:k])
        exact = np.array([fsum(column) for column in terms.T])
        for name, result in (("chain", acc), ("16 lanes", hands[0]), ("pairwise", level[0])):
            error = (result - exact) / (u * np.abs(terms).sum(axis=0))
            found[name].append(np.sqrt(np.mean(error**2)))
    return {name: np.array(values) for name, values in found.items()}


shape = (2, LENGTHS[-1], TRIALS)
positive = mean_errors(*random.random(shape).astype(np.float32))
signed = mean_errors(*random.standard_normal(shape).astype(np.float32))

figure, both = plt.subplots(1, 2, figsize=(8, 3.6), sharey=True, layout="constrained")
for axes, errors, title in zip(both, (positive, signed), ("positive terms", "random signs"), strict=True):
    for name, values in errors.items():
        axes.loglog(LENGTHS, values, "o-", markersize=3, label=name)
    axes.loglog(LENGTHS, LENGTHS, ":", color="grey", linewidth=1, label="bound of the chain, K")
    axes.loglog(LENGTHS, np.sqrt(LENGTHS), "--", color="grey", linewidth=1, label="sqrt(K)")
    axes.set(xlabel="K", title=title, ylim=(1e-2, 1e5))
both[0].set_ylabel("error / (u * sum |a b|)")
both[0].legend(fontsize=8)
plt.show()

# %% [markdown]
# What do you see on the left? The chain's error grows with the *square root* of K, not with K: roundings go up and
# down like the steps of a drunkard, and K such steps lead about `sqrt(K)` away. Sixteen lanes make as many
# roundings, but of sums a sixteenth as large, and lie a sixteenth as far off. Pairwise hardly grows at all.
#
# On the right nothing grows. With random signs the partial sums stay small, so each rounding is small compared to
# `sum |a b|`. Weights and activations are mostly like that, which is why a plain chain serves networks well.

# %%
growth = positive["chain"][-1] / positive["chain"][-5]  # K grows by 16
print(f"positive terms, K times 16: the chain's error times {growth:.1f}; it is {positive['chain'][-1]:.0f} u")
print(f"chain / lanes at the longest: {positive['chain'][-1] / positive['16 lanes'][-1]:.1f}")
assert 2 < growth < 8
assert 8 < positive["chain"][-1] / positive["16 lanes"][-1] < 32
assert positive["pairwise"][-1] < 2
assert signed["chain"].max() < 2

# %% [markdown]
# ## Which order Diptych takes
#
# Where *one* long row is added up (ReduceSum, the mean of LayerNormalization, Softmax), Diptych takes lanes, and
# begins anew every 4096 terms so that no path gets long. The left panel deals cards by reshaping:

# %%
print(inspect.getsource(sums._lanes))

# %% [markdown]
# The right panel holds the sixteen players in one vector of sixteen, whatever the machine: on AVX2 these are two
# registers, on SSE four. So the order, and with it every bit, is the same on all of them.

# %%
print(rust_source("lane sum"))

# %%
row = random.standard_normal(10_000).astype(np.float32)
(left,) = diptych_reference.run_operator("ReduceSum", [row], {"keepdims": 0})
for isa in diptych.available_isas():
    assert compare(left, diptych.run_operator("ReduceSum", [row], {"keepdims": 0}, isa=isa)[0]).equal
print("sum of 10000 numbers, on", ", ".join(diptych.available_isas()), f"and in Python: {left:.9f}")

# %% [markdown]
# For MatMul it takes the chain. Is that not slow, every step waiting for the last? It would be for a single dot
# product. But a matrix has thousands of them, so lanes can run *across* dot products instead of along one. Each
# element keeps its simple order, and no tournament is needed at the end. That is the next chapter.

# %%
matrix_a, matrix_b = a[None, :], b[:, None]
(left,) = diptych_reference.run_operator("MatMul", [matrix_a, matrix_b])
(right,) = diptych.run_operator("MatMul", [matrix_a, matrix_b])
assert compare(left, right).equal
assert left[0, 0] == results[chain]

# %% [markdown]
# A chain has one more merit: it can be put down and taken up again. An accumulator that rests in memory has been
# rounded already, so nothing changes when it is loaded again. Sums of *parts* that are added afterwards are another
# matter.

# %%
in_one_go = numerics.fma_chain(a, b, np.float32(0))
put_down = numerics.fma_chain(a[:400], b[:400], np.float32(0))
taken_up = numerics.fma_chain(a[400:], b[400:], put_down)
parts = put_down + numerics.fma_chain(a[400:], b[400:], np.float32(0))
print(f"in one go {in_one_go:.9f}, taken up again {taken_up:.9f}, parts added {parts:.9f}")
assert in_one_go == taken_up
assert in_one_go != parts

# %% [markdown]
# ## Wrong, or only different?
#
# Now the question of the last chapter can be answered. An engine with another order may not be held to our bits. It
# can be held to the *bound*: no order of K roundings may be off by more. Error divided by bound is a measure without
# a tolerance to choose: up to one is possible, above one something is broken.
#
# Here are four engines that are right in their own way, and three with bugs that have happened to people.

# %%
K = 128
a, b = random.standard_normal((2, K)).astype(np.float32)
truth, bound = fsum(products(a, b)), g(K) * np.abs(products(a, b)).sum()
node = helper.make_node("MatMul", ["a", "b"], ["c"])
half = np.float16


def half_accumulator(a, b):
    acc = half(0)
    for a_k, b_k in zip(a, b, strict=True):
        acc = half(np.float32(acc) + a_k * b_k)
    return acc


engines = {
    "Diptych": lambda: diptych.run_operator("MatMul", [a[None], b[:, None]])[0].item(),
    "onnx.reference": lambda: ReferenceEvaluator(node).run(None, {"a": a[None], "b": b[:, None]})[0].item(),
    "sixteen lanes": lambda: lanes(a, b),
    "pairwise": lambda: pairwise(a, b),
    "the last product dropped": lambda: chain(a[:-1], b[:-1]),
    "a and b off by one": lambda: chain(a[1:], b[:-1]),
    "accumulated in float16": lambda: half_accumulator(a, b),
}
measured = {name: abs(float(run()) - truth) / bound for name, run in engines.items()}
for name, ratio in measured.items():
    print(f"{name:25} error / bound {ratio:12.4f}   {'broken' if ratio > 1 else 'sound'}")
assert [ratio > 1 for ratio in measured.values()] == [False] * 4 + [True] * 3

# %% [markdown]
# No tolerance was chosen, and nobody needed to have the same bits. (The rows are short on purpose. The bound grows
# with K, the usual error hardly does, so a long row has room for a bug to hide in.) Bounds of this kind stand behind
# `diptych.testing`, for every operator; that is how Diptych looks for bugs in other engines, and other engines'
# authors can look for bugs in Diptych.
