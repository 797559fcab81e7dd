# %% [markdown]
# # 3. Broadcasting and strides: how an array lies in memory
#
# Memory is one long line of bytes; it knows nothing of rows and columns. This chapter shows how a shape is laid
# over the line, why transposing costs nothing, and how one bias is added to a million pixels without ever being
# copied. All of it is one formula. Run it with `python docs/book/03_broadcasting_and_strides.py`.

# %%
from itertools import product

import matplotlib.pyplot as plt
import numpy as np

import diptych
import diptych_reference
from diptych.compare import compare
from diptych.sources import rust_source

# %% [markdown]
# ## A shape over a line
#
# Here is an array of two rows and three columns, and the memory under it.

# %%
x = np.array([[10, 11, 12], [20, 21, 22]], np.float32)
line = np.frombuffer(x.tobytes(), np.float32)
print(x, "\n\nin memory:", line)
assert line.tolist() == [10, 11, 12, 20, 21, 22]

# %% [markdown]
# One row follows the other: *row-major* order. To go to the next column is to go one number further; to go to
# the next row, three. These distances are the array's *strides*. NumPy counts them in bytes, four to a `float32`;
# we shall count numbers.


# %%
def strides_of(array):
    return tuple(stride // array.itemsize for stride in array.strides)


print("shape", x.shape, "strides", strides_of(x))
assert strides_of(x) == (3, 1)

# %% [markdown]
# With strides, the place of an element is a sum of products, *index times stride*. This is the one formula of the
# chapter.


# %%
def place(index, strides, start=0):
    return start + sum(i * s for i, s in zip(index, strides, strict=True))


for index in np.ndindex(x.shape):
    assert line[place(index, strides_of(x))] == x[index]
print("x[1, 2] lies at place", place((1, 2), strides_of(x)))
assert place((1, 2), strides_of(x)) == 5

# %% [markdown]
# ## Views: other strides over the same line
#
# What happens to memory when an array is transposed? Nothing at all. The two strides change places.

# %%
print("x.T     shape", x.T.shape, "strides", strides_of(x.T))
assert np.shares_memory(x, x.T)
assert strides_of(x.T) == (1, 3)

# %% [markdown]
# Taking every second column, or reversing the rows, is the same kind of thing: a start, a shape and strides. A
# stride may be negative.

# %%
for name, view in (("x[:, ::2]", x[:, ::2]), ("x[::-1]", x[::-1])):
    start = (view.__array_interface__["data"][0] - x.__array_interface__["data"][0]) // x.itemsize
    print(f"{name:9} shape {view.shape} strides {strides_of(view)} start {start}")
    for index in np.ndindex(view.shape):
        assert line[place(index, strides_of(view), start)] == view[index]
assert strides_of(x[::-1]) == (-3, 1)

# %% [markdown]
# ## Stride zero
#
# Now the trick that the chapter is about. What does a stride of *zero* mean? The next element is the same
# element. A row of three numbers with a row stride of zero looks like as many rows as one likes.

# %%
row = np.array([1, 2, 3], np.float32)
tall = np.broadcast_to(row, (4, 3))
print(tall, "\nstrides", strides_of(tall), "over", row.nbytes, "bytes")
assert strides_of(tall) == (0, 1)
assert np.shares_memory(row, tall)

# %% [markdown]
# That is *broadcasting*. An operator of two operands, Add say, takes shapes that differ under one rule: write the
# shapes one above the other, aligned at the **right**; put ones in front of the shorter; where one of them has 1,
# it is repeated, with stride zero; where they differ otherwise, it is an error.


# %%
def broadcast(*shapes):
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    out = []
    for lengths in zip(*padded, strict=True):
        wanted = {n for n in lengths if n != 1} or {1}
        if len(wanted) > 1:
            raise ValueError(f"{shapes}: {sorted(wanted)} meet")
        out.append(wanted.pop())
    return tuple(out)


for a, b in (((2, 3, 4), (4,)), ((2, 3, 4), (3, 1)), ((5, 1), (1, 6)), ((2, 3), ())):
    print(f"{a!s:10} and {b!s:7} -> {broadcast(a, b)}")
    assert broadcast(a, b) == np.broadcast_shapes(a, b)

# %% [markdown]
# The alignment at the right is what people trip over. A bias with one number for each of three channels has shape
# `[3]`, and pictures are `[batch, 3, height, width]`: aligned at the right, the 3 meets the width.

# %%
pictures = np.zeros((2, 3, 4, 5), np.float32)
bias = np.array([0.1, 0.2, 0.3], np.float32)
for run in (diptych_reference.run_operator, diptych.run_operator):
    try:
        run("Add", [pictures, bias])
    except ValueError as error:  # both panels' ShapeError is one
        print(f"{type(error).__module__}: {error}")
    else:
        raise AssertionError("3 met 5")

# %% [markdown]
# `[3, 1, 1]` says it right: 3 meets 3, the ones are repeated. That is how you will find biases in ONNX files.

# %%
(left,) = diptych_reference.run_operator("Add", [pictures, bias.reshape(3, 1, 1)])
(right,) = diptych.run_operator("Add", [pictures, bias.reshape(3, 1, 1)])
assert left.shape == (2, 3, 4, 5)
assert compare(left, right).equal
assert np.all(left[:, 1] == np.float32(0.2))

# %% [markdown]
# ## Add, written with nothing but the formula
#
# Strides of the output's rank, zeros where an operand is repeated; then for each index, two reads and a write. It
# is slow, it is nine lines, and it is complete.


# %%
def repeated_strides(shape, out):
    """Strides of a contiguous array of `shape`, seen as `out`."""
    strides, distance = [], 1
    for n in reversed(shape):
        strides.insert(0, 0 if n == 1 else distance)
        distance *= n
    return (0,) * (len(out) - len(shape)) + tuple(strides)


def add(a, b):
    out = broadcast(a.shape, b.shape)
    sa, sb = repeated_strides(a.shape, out), repeated_strides(b.shape, out)
    a, b = a.ravel(), b.ravel()
    values = [a[place(index, sa)] + b[place(index, sb)] for index in product(*map(range, out))]
    return np.array(values, np.float32).reshape(out)


random = np.random.default_rng(3)
a = random.standard_normal((2, 3, 4, 5)).astype(np.float32)
b = random.standard_normal((3, 1, 1)).astype(np.float32)
print("strides of a", repeated_strides(a.shape, a.shape), "and of b", repeated_strides(b.shape, a.shape))
assert repeated_strides(b.shape, a.shape) == (0, 1, 0, 0)
assert compare(diptych_reference.run_operator("Add", [a, b])[0], add(a, b)).equal

# %% [markdown]
# ## From four loops to one and a bit
#
# Computing a place for every element costs more than the addition. The engine thinks before it runs: **two
# neighbouring axes are one axis if, for every operand, the outer stride is the inner stride times the inner
# length.** For then, walking off the end of the inner axis lands exactly where the outer axis would step.


# %%
def merged(shape, strides):
    """[(length, stride of each operand)], outermost first."""
    axes = []
    for length, *own in zip(shape, *strides, strict=True):
        if length == 1:
            continue
        if axes and all(outer == inner * length for outer, inner in zip(axes[-1][1], own, strict=True)):
            axes[-1] = (axes[-1][0] * length, own)
        else:
            axes.append((length, own))
    return axes or [(1, [0] * len(strides))]


def walk(*shapes):
    out = broadcast(*shapes)
    return merged(out, [repeated_strides(shape, out) for shape in shapes])


for shapes in (((2, 3, 4, 5), (2, 3, 4, 5)), ((2, 3, 4, 5), (3, 1, 1)), ((2, 3, 4, 5), (5,))):
    print(*shapes, "->", walk(*shapes))
assert walk((2, 3, 4, 5), (2, 3, 4, 5)) == [(120, [1, 1])]
assert walk((2, 3, 4, 5), (3, 1, 1)) == [(2, [60, 0]), (3, [20, 1]), (20, [1, 0])]
assert walk((2, 3, 4, 5), (5,)) == [(24, [5, 0]), (5, [1, 1])]

# %% [markdown]
# Read the first line: equal shapes are one row of 120 numbers, whatever their rank. The second, the bias: height
# and width have become one row of 20, along which `a` has stride 1 and the bias stride 0. Such a row is chapter
# 2's loop, with one operand held still in a register.
#
# So a kernel needs only a few cases, by the operands' strides along the *row*: both 1, or one of them 0. The Rust
# that merges axes is nearly the Python above.

# %%
print(rust_source("merge axes"))

# %% [markdown]
# The outer axes that are left count up like the mileage in a car: the last place first, and on overflow a carry.
# No multiplication is needed per row; each operand's start moves by one stride.


# %%
def rows(axes):
    """The start of each operand in every row."""
    outer = axes[:-1]
    index, start = [0] * len(outer), [0] * len(axes[0][1])
    while True:
        yield tuple(start)
        for axis in reversed(range(len(outer))):
            length, strides = outer[axis]
            index[axis] += 1
            start = [s + stride for s, stride in zip(start, strides, strict=True)]
            if index[axis] < length:
                break
            index[axis] = 0
            start = [s - stride * length for s, stride in zip(start, strides, strict=True)]
        else:
            return


def add_by_rows(a, b):
    axes = walk(a.shape, b.shape)
    length, (step_a, step_b) = axes[-1]
    pieces = []
    for start_a, start_b in rows(axes):
        row_a = a.ravel()[start_a : start_a + length] if step_a else a.ravel()[start_a]
        row_b = b.ravel()[start_b : start_b + length] if step_b else b.ravel()[start_b]
        pieces.append(np.broadcast_to(row_a + row_b, length))
    return np.concatenate(pieces).reshape(broadcast(a.shape, b.shape))


starts = list(rows(walk(a.shape, b.shape)))
print(len(starts), "rows, starting at", starts)
assert len(starts) == 6
assert compare(add(a, b), add_by_rows(a, b)).equal

# %% [markdown]
# Does it always work? Let chance choose the shapes, and let both panels answer too. The engine runs on every
# instruction set of this machine.

# %%
for _ in range(100):
    shape = random.integers(1, 5, random.integers(0, 5))
    sides = []
    for _ in range(2):
        kept = np.where(random.random(len(shape)) < 0.6, shape, 1)[random.integers(0, len(shape) + 1) :]
        sides.append(random.standard_normal(tuple(kept)).astype(np.float32))
    (left,) = diptych_reference.run_operator("Add", sides)
    assert compare(left, add_by_rows(*sides)).equal
    for isa in diptych.available_isas():
        assert compare(left, diptych.run_operator("Add", sides, isa=isa)[0]).equal
print("100 pairs of shapes agree")

# %% [markdown]
# ## What a stride costs
#
# A view is free to *make*; it is not always cheap to *read*. Memory comes to the processor in *lines* of 64 bytes,
# sixteen `float32`, never less. At stride 1 a line that has been fetched is used sixteen times. How many lines
# does it take to read 1024 numbers?

# %%
LINE = 64 // 4


def lines_touched(count, stride):
    return len({i * stride // LINE for i in range(count)})


strides = [1, 2, 4, 8, 16, 32, 64]
touched = [lines_touched(1024, stride) for stride in strides]
figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
axes.bar([str(stride) for stride in strides], touched)
axes.set(xlabel="stride (numbers)", ylabel="lines fetched for 1024 numbers")
plt.show()

print(dict(zip(strides, touched, strict=True)))
assert touched[0] == 64
assert touched[strides.index(16)] == touched[-1] == 1024

# %% [markdown]
# From stride 16 on every number costs a line of its own, sixteen times the traffic. So to add a matrix to a
# transposed one, one does not walk down its columns: one reads a *block* of 16 by 16, in which every fetched line
# is used up, and turns it in registers. Counting shows what that saves. The cache below holds 64 lines and drops
# the one not used for longest.


# %%
def fetches(places, capacity=64):
    cache, count = {}, 0
    for line_number in (p // LINE for p in places):
        count += line_number not in cache
        cache.pop(line_number, None)
        cache[line_number] = True  # a dict keeps the order of insertion: the first one is the oldest
        if len(cache) > capacity:
            cache.pop(next(iter(cache)))
    return count


n = 128
by_columns = [i * n + j for j in range(n) for i in range(n)]
by_blocks = [
    i * n + j
    for block_j in range(0, n, 16)
    for block_i in range(0, n, 16)
    for j in range(block_j, block_j + 16)
    for i in range(block_i, block_i + 16)
]
assert sorted(by_columns) == sorted(by_blocks)
print(f"{n * n} numbers, down the columns: {fetches(by_columns)} fetches; in blocks: {fetches(by_blocks)}")
assert fetches(by_columns) == n * n
assert fetches(by_blocks) == n * n // LINE

# %% [markdown]
# The same numbers in another order, a sixteenth of the fetches. Nothing about the *result* has changed, and that
# is the theme of the engine: move data as the memory likes it, compute what the left panel says. Chapters 6 and 7
# are about little else.
