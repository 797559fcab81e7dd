# %% [markdown]
# # 2. ReLU twice: from scalar to lanes, and the tail
#
# ReLU is the smallest operator that is worth anything: negative numbers become zero, the others stay. It is
# small enough to be written down completely, on both panels, and it already has everything that makes a fast
# kernel look strange: no `if`, eight numbers at a time, and a rest that does not fill eight. Run it with
# `python docs/book/02_relu_twice.py`.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np

import diptych
import diptych_reference
from diptych.compare import compare
from diptych.sources import reference_source, rust_source

# %% [markdown]
# ## Why a network needs it
#
# A layer multiplies its input by a matrix. Two layers multiply by two matrices. But a product of matrices is a
# matrix, so a hundred such layers can do what one can, and no more.

# %%
random = np.random.default_rng(2)
first, second = random.integers(-3, 4, (5, 4)), random.integers(-3, 4, (2, 5))
x = random.integers(-3, 4, 4)
assert np.array_equal(second @ (first @ x), (second @ first) @ x)

# %% [markdown]
# Something that is not a product has to stand between them. ReLU is the cheapest thing that will do: with it,
# no single matrix gives these outputs any more. The test is one that every matrix passes, `f(-x) == -f(x)`.


# %%
def two_layers(v):
    return second @ np.maximum(first @ v, 0)


print("f(x)  =", two_layers(x), "\nf(-x) =", two_layers(-x))
assert not np.array_equal(two_layers(-x), -two_layers(x))

# %% [markdown]
# ## Three ways to write it, and only one right
#
# "Negative numbers become zero" is easily said. Here are three ways to say it to a computer. On ordinary
# numbers they agree.

# %%
candidates = {
    "x if x > 0 else 0": lambda x: x if x > 0 else 0.0,
    "0 if x < 0 else x": lambda x: 0.0 if x < 0 else x,
    "0 if x <= 0 else x": lambda x: 0.0 if x <= 0 else x,
}
for x in (-2.5, -1.0, 0.0, 0.5, 3.0):
    assert len({relu(x) for relu in candidates.values()}) == 1

# %% [markdown]
# Floating point has two numbers that are less ordinary. `-0.0` is a zero that remembers a sign, and `nan`,
# "not a number", is what `0/0` gives; every comparison with `nan` is false. (Chapter 4 takes both apart.) What
# do the three make of them?

# %%
print(f"{'':20}{'relu(-0.0)':>12}{'relu(nan)':>12}")
for name, relu in candidates.items():
    print(f"{name:20}{relu(-0.0):12}{relu(float('nan')):12}")

# %% [markdown]
# The first one swallows the `nan`: a network that has gone wrong inside then gives an answer that looks healthy.
# The second one lets the minus sign through, and `1/-0.0` is minus infinity. Only the third gives a plain zero
# and keeps the `nan`. Diptych's definition, `max(x, +0)` with `-0` below `+0`, is the third.

# %%
(defined,) = diptych_reference.run_operator("Relu", [np.array([-0.0, np.nan], np.float32)])
print(defined)
assert defined[0] == 0
assert not np.signbit(defined[0])
assert np.isnan(defined[1])

# %% [markdown]
# ## The left panel
#
# This is the reference, read from its file as this page is made. It says what ReLU is and nothing about how one
# gets there quickly. `maximum` is NumPy's with the zeros put in order, because NumPy leaves it open which zero
# wins.

# %%
print(reference_source("Relu"))

# %% [markdown]
# ## One at a time
#
# How would one compute it? The obvious loop takes one number, compares, and goes to the next one.


# %%
def relu_scalar(x):
    y = np.empty_like(x)
    steps = 0
    for i in range(len(x)):
        y[i] = 0.0 if x[i] <= 0 else x[i]
        steps += 1
    return y, steps


x = random.standard_normal(21).astype(np.float32)
expected, steps = relu_scalar(x)
print(f"{len(x)} numbers, {steps} steps")
assert steps == 21

# %% [markdown]
# Inside, `if` is a jump, and the processor has to guess whether it is taken long before it knows: that is how it
# keeps its units busy. The signs of activations come like tossed coins, so it often guesses wrong, and a wrong
# guess throws away the work that was begun on it. The way out is not to jump.
#
# ## Compare, then select
#
# A *vector register* holds several numbers side by side, its *lanes*. One instruction acts on all lanes at once.
# Lanes cannot jump apart, so a decision becomes data: a comparison gives a *mask*, one true or false a lane, and
# a *select* takes each lane from one of two registers. Both sides are always computed; the mask says which one
# counts.

# %%
register = np.array([1.5, -2.0, 0.0, np.nan, -0.0, 7.0, -0.5, 3.0], np.float32)  # eight lanes: AVX2
mask = register <= 0
selected = np.where(mask, np.float32(0), register)
for name, lanes in (("x", register), ("x <= 0", mask), ("select(0, x)", selected)):
    print(f"{name:13}" + "".join(f"{lane!s:>7}" for lane in lanes))
assert compare(diptych_reference.run_operator("Relu", [register])[0], selected).equal

# %% [markdown]
# That is the whole kernel. Here it is in Rust, as it runs. `simd_le` makes the mask (*le*: less or equal),
# `select` uses it. Nothing here says how many lanes there are: the compiler makes one copy of it for registers of
# four, eight and sixteen. (`mutant::on` is a bug that tests may plant; in a normal build it is `false` and
# nothing is left of it.)

# %%
print(rust_source("relu"))

# %% [markdown]
# ## The loop, and what it leaves over
#
# With lanes, the loop takes a register's worth a step. But 21 is not a multiple of 8. A loop over whole
# registers leaves a *tail*.

# %%
LANES = 8


def relu_whole(x):
    y = np.full_like(x, 99.0)  # so that we see what was never written
    whole = len(x) - len(x) % LANES
    for i in range(0, whole, LANES):
        y[i : i + LANES] = np.where(x[i : i + LANES] <= 0, np.float32(0), x[i : i + LANES])
    return y, whole


y, whole = relu_whole(x)
print(f"{whole} of {len(x)} done, {len(x) - whole} left over:", y[whole:])
assert (whole, len(x) - whole) == (16, 5)

# %% [markdown]
# One register more would read and write three places behind the end. They belong to somebody else: the values
# read are harmless, since nobody looks at those lanes, but a write there destroys a neighbour, and a read across
# the end of the mapped memory ends the process.
#
# So the tail is read *partially*, under a mask of its own: five lanes from memory, three filled with zeros. It is
# computed like any other register, and five lanes are stored.


# %%
def relu_lanes(x, lanes=LANES):
    y = np.empty_like(x)
    whole, steps = len(x) - len(x) % lanes, 0
    for i in range(0, whole, lanes):
        y[i : i + lanes] = np.where(x[i : i + lanes] <= 0, np.float32(0), x[i : i + lanes])
        steps += 1
    if whole < len(x):
        register = np.zeros(lanes, np.float32)
        register[: len(x) - whole] = x[whole:]  # load_partial
        register = np.where(register <= 0, np.float32(0), register)
        y[whole:] = register[: len(x) - whole]  # store_partial
        steps += 1
    return y, steps


y, steps = relu_lanes(x)
print(f"{len(x)} numbers, {steps} steps")
assert steps == 3
assert compare(expected, y).equal

# %% [markdown]
# And this is the loop of the right panel: `step_by(L)`, then the tail. Every elementary function of one number
# runs in this loop; `function.apply` is ReLU here.

# %%
print(rust_source("unary loop"))

# %% [markdown]
# ## What it buys
#
# Steps are `n / lanes`, rounded up. The staircase shows when lanes pay: not for three numbers, and fully only
# from some registers on. It also shows why shapes like 17 are unkind: the last number costs as much as sixteen.

# %%
lengths = np.arange(1, 50)
figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
for lanes in (1, 4, 8, 16):
    axes.step(lengths, [relu_lanes(np.zeros(n, np.float32), lanes)[1] for n in lengths], where="mid", label=f"{lanes}")
axes.set(xlabel="numbers", ylabel="steps", ylim=(0, 30))
axes.legend(title="lanes")
plt.show()

assert relu_lanes(np.zeros(16, np.float32), 16)[1] == 1
assert relu_lanes(np.zeros(17, np.float32), 16)[1] == 2

# %% [markdown]
# Does that show on a clock? Times on a shared machine mean little, but these lie far apart: the loop in Python
# above, and the engine on one thread. Part of the distance is Python itself, part of it lanes.


# %%
def fastest(function, repeats):
    """Seconds of the fastest of some runs: the one least disturbed by others."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


many = random.standard_normal(100_000).astype(np.float32)
by_loop = fastest(lambda: relu_scalar(many), 2)
by_engine = fastest(lambda: diptych.run_operator("Relu", [many], threads=1), 20)
print(f"the loop {by_loop * 1e9 / many.size:.0f} ns a number, the engine {by_engine * 1e9 / many.size:.2f} ns")
assert by_loop > 10 * by_engine

# %% [markdown]
# ## Do the bits depend on the lanes?
#
# Here they cannot: every output comes from one input, and nothing is rounded. So the engine must give the same
# bits on every instruction set that this machine has, at every length, whatever is in the tail. That is a test
# one can run, and a dropped tail or a lost `nan` would not survive it.

# %%
unkind = np.array([-0.0, 0.0, np.nan, -1.0, 1.0, np.inf, -np.inf, 1e-45, -1e-45], np.float32)
print("instruction sets here:", ", ".join(diptych.available_isas()))
for isa in diptych.available_isas():
    for length in range(50):
        values = np.resize(unkind, length)
        (left,) = diptych_reference.run_operator("Relu", [values])
        (right,) = diptych.run_operator("Relu", [values], isa=isa)
        assert compare(left, right).equal, (isa, length)
print("both panels agree at every length from 0 to 49")

# %% [markdown]
# An operator whose outputs each come from *many* inputs is another matter: there, lanes change the order of
# additions, and order changes bits. That is chapter 5. First, what if two inputs have different shapes?
