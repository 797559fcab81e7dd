# %% [markdown]
# # 7. Convolution and layouts: the same sum, a better place for the pixels
#
# A convolution looks at a picture through a small window and asks everywhere the same question: how much does this
# look like my pattern? Computed, that is one dot product for each place of the window. The sums were settled in
# chapter 5, and how to make them fast in chapter 6. What is new is the question where the numbers should *lie*. Run
# it with `python docs/book/07_convolution_and_layouts.py` after `make demo`.

# %%
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import diptych
import diptych_reference
from diptych.compare import compare
from diptych.sources import reference_source, rust_source
from diptych_reference.numerics import fma_chain

IMAGES = Path(__file__).parents[2] / "examples" / "digits" / "images"

# %% [markdown]
# ## A window slides
#
# Here is a handwritten three, eight by eight pixels, and a pattern of three by three numbers: minus one on the left,
# plus one on the right. Where the picture gets brighter from left to right, the dot product is large.

# %%
image = np.load(IMAGES / "3.npy")[0, 0]
edge = np.array([[-1, 0, 1]] * 3, np.float32)


def slide(x, w):
    out = np.zeros((x.shape[0] - w.shape[0] + 1, x.shape[1] - w.shape[1] + 1), np.float32)
    for i, j in np.ndindex(out.shape):
        out[i, j] = np.sum(x[i : i + w.shape[0], j : j + w.shape[1]] * w)
    return out


edges = slide(image, edge)
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(8, 2.8), width_ratios=(8, 3, 6), layout="constrained")
left.imshow(image, cmap="gray")
middle.imshow(edge, cmap="gray")
right.imshow(edges, cmap="RdBu")
for axes, title in ((left, "picture"), (middle, "pattern"), (right, "where its edges are")):
    axes.set(title=title, xticks=[], yticks=[])
plt.show()

print(image.shape, "->", edges.shape)
assert edges.shape == (6, 6)

# %% [markdown]
# The output is smaller: a window three wide has only six places in eight. So networks mostly *pad* the picture with a
# frame of zeros, one pixel here, and eight stay eight. The general rule, with a stride between windows:


# %%
def output_size(size, kernel, pad, stride=1):
    return (size + 2 * pad - kernel) // stride + 1


print(output_size(8, 3, 0), output_size(8, 3, 1), output_size(224, 7, 3, stride=2))
assert (output_size(8, 3, 0), output_size(8, 3, 1), output_size(224, 7, 3, stride=2)) == (6, 8, 112)

# %% [markdown]
# ## Seven loops
#
# A layer has many input channels and many output channels, each output channel with a window through *all* input
# channels. With the batch, that makes seven loops. This is the whole operator (without strides, dilations and groups,
# which only change the indices):


# %%
def seven_loops(x, w, pad):
    (batch, channels, height, width), (filters, _, kh, kw) = x.shape, w.shape
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad))).astype(np.float64)
    y = np.zeros((batch, filters, output_size(height, kh, pad), output_size(width, kw, pad)))
    for n, m, i, j in np.ndindex(y.shape):
        for c, r, s in product(range(channels), range(kh), range(kw)):
            y[n, m, i, j] += x[n, c, i + r, j + s] * w[m, c, r, s]
    return y


random = np.random.default_rng(7)
x = random.standard_normal((1, 20, 5, 6)).astype(np.float32)  # twenty channels: not a multiple of anything handy
w = random.standard_normal((8, 20, 3, 3)).astype(np.float32)
PADS = {"pads": [1, 1, 1, 1]}
(left,) = diptych_reference.run_operator("Conv", [x, w], PADS)
(right,) = diptych.run_operator("Conv", [x, w], PADS)
exact = seven_loops(x, w, 1)
assert compare(left, right).equal

bound = 180 * 2.0**-24 * seven_loops(np.abs(x), np.abs(w), 1)  # chapter 5
print("shape", left.shape, " error / bound, at most:", (np.abs(left - exact) / bound).max())
assert np.all(np.abs(left - exact) <= bound)

# %% [markdown]
# Each output is a dot product of K = 20 * 3 * 3 = 180 terms. As in chapter 5, equal bits need a fixed order of those
# 180, and we shall see that the natural order for a machine is not the one of the loops above.
#
# ## Turned inside out
#
# The left panel does not slide a window at all. It asks the other way round: take *one* position in the window, the
# upper left say. What do all windows see there? A shifted picture. So a convolution is a sum of nine shifted pictures,
# each times a weight, and every step works on the whole output at once.

# %%
frame = np.pad(image, 1)
figure, nine = plt.subplots(3, 3, figsize=(4.2, 4.2), layout="constrained")
total = np.zeros_like(image)
for (r, s), axes in zip(np.ndindex(3, 3), nine.flat, strict=True):
    shifted = frame[r : r + 8, s : s + 8]
    total += shifted * edge[r, s]
    axes.imshow(shifted, cmap="gray")
    axes.set(title=f"times {edge[r, s]:+.0f}", xticks=[], yticks=[])
plt.show()
assert np.array_equal(total, slide(frame, edge))

# %% [markdown]
# In the reference, `view.at` is the shifted picture (strides, as in chapter 3: nothing is copied), and `continued` is
# the chain of multiply-adds.

# %%
print(reference_source("Conv"))

# %% [markdown]
# ## The halo
#
# An engine cuts the picture into bands, one a thread, or one for the time that it fits into a cache. But the windows of
# a band's last row look *beyond* the band. The rows that two neighbours both read are the **halo**: kernel minus stride
# of them at each cut.


# %%
def rows_read(rows, kernel, stride=1):
    return (rows - 1) * stride + kernel


for bands in (1, 2, 4, 8, 56):
    rows = 56 // bands
    read = bands * rows_read(rows, 3)
    print(f"56 rows in {bands:2} bands of {rows:2}: {read:3} rows read, {read / 58 - 1:4.0%} twice or more")
assert rows_read(56, 3) == 58
assert 8 * rows_read(7, 3) == 72
assert 56 * rows_read(1, 3) == 168

# %% [markdown]
# Bands should be tall, then: eight of seven rows read a quarter more than necessary, single rows nearly three times as
# much. Since only *inputs* overlap, no output is computed twice and no bit depends on the cutting.
#
# ## Convolution as a matrix product: im2col
#
# Chapter 6 has a fast matrix product. Can we use it? Write what each window sees as a *column* of a matrix, 180
# numbers, one column for each of the 30 places, and the weights as a matrix of 8 rows by 180. Their product is the
# convolution. The rearrangement is called **im2col**.


# %%
def im2col(x, kernel, pad, order):
    """[K, places] of one image [C, H, W]; `order` lists (channel, row, column) of the K terms."""
    height, width = x.shape[1:]
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    return np.stack([x[c, r : r + height, s : s + width].ravel() for c, r, s in order])


def by_matmul(x, w, order):
    columns = im2col(x[0], 3, 1, order)
    weights = np.stack([w[:, c, r, s] for c, r, s in order], axis=1)
    (y,) = diptych.run_operator("MatMul", [weights, columns])
    return y.reshape(1, len(w), *x.shape[2:])


as_the_loops = list(product(range(20), range(3), range(3)))
y = by_matmul(x, w, as_the_loops)
result = compare(left, y)
print("columns:", im2col(x[0], 3, 1, as_the_loops).shape, "\n", result.problem)
assert im2col(x[0], 3, 1, as_the_loops).shape == (180, 30)
assert np.all(np.abs(y - exact) <= bound)
assert not result.equal

# %% [markdown]
# Equal but for the last bits: this product adds channel by channel, and Diptych's convolution adds in another order. It
# takes the channels in blocks of sixteen; in a block, the positions of the window; at a position, the channels of the
# block. Why so will be plain in a moment. If im2col puts its rows in that order, every bit agrees.


# %%
def blocked_order(channels, kh, kw, block=16):
    return [
        (c, r, s)
        for start in range(0, channels, block)
        for r in range(kh)
        for s in range(kw)
        for c in range(start, min(start + block, channels))
    ]


order = blocked_order(20, 3, 3)
assert sorted(order) == as_the_loops
assert compare(left, by_matmul(x, w, order)).equal
print("the same terms in Diptych's order: every bit agrees")

# %% [markdown]
# What does im2col cost? Each pixel is written nine times, once for every window position that sees it. For some layers
# of a usual network for pictures, in MiB:

# %%
print(f"{'channels, size, kernel':24}{'input':>8}{'im2col':>9}")
for channels, size, kernel in ((3, 224, 7), (64, 56, 3), (128, 28, 3), (256, 56, 1)):
    stride = 2 if kernel == 7 else 1
    places = output_size(size, kernel, kernel // 2, stride) ** 2
    plain, unrolled = channels * size**2 * 4 / 2**20, channels * kernel**2 * places * 4 / 2**20
    print(f"{f'{channels}, {size}x{size}, {kernel}x{kernel}':24}{plain:8.2f}{unrolled:9.2f}")
    assert kernel != 3 or unrolled == 9 * plain

# %% [markdown]
# For a three by three window the copy is nine times the input: it is written to memory, read again by the product, and
# then thrown away. And chapter 6 ended with memory being the last thing in the way. A window of one by one needs no
# copy; it *is* a matrix product.
#
# The alternative is **direct** convolution: the loops of the tile walk over the picture itself. The tile needs, for one
# term k, a few numbers of A and a few vectors of B. Here A is the picture (rows: neighbouring pixels) and B the weights
# (columns: output channels). The next k is the next channel or the next window position: a step in the picture, and
# that may be any distance. So nothing has to be copied, *if* the steps are kind to the memory.
#
# ## Where is the next channel?
#
# ONNX's order is NCHW: batch, channel, height, width. All of channel 0 comes first, then all of channel 1. The place
# of a pixel is chapter 3's formula. To read sixteen channels of *one* pixel, how many cache lines are fetched?

# %%
CHANNELS, HEIGHT, WIDTH = 32, 56, 56


def nchw(c, h, w):
    return (c * HEIGHT + h) * WIDTH + w


def nhwc(c, h, w):
    return (h * WIDTH + w) * CHANNELS + c


def nchw16c(c, h, w):
    return ((c // 16 * HEIGHT + h) * WIDTH + w) * 16 + c % 16


lines = {}
for layout in (nchw, nhwc, nchw16c):
    places = [layout(c, 10, 20) for c in range(16)]
    lines[layout] = len({place // 16 for place in places})
    print(f"{layout.__name__:8} the next channel is {places[1] - places[0]:4} numbers on; {lines[layout]:2} lines")
assert nchw(1, 0, 0) - nchw(0, 0, 0) == 3136
assert (lines[nchw], lines[nhwc], lines[nchw16c]) == (16, 1, 1)

# %% [markdown]
# In NCHW every channel is a line of its own, 3136 numbers away. The third layout is the engine's: **NCHWc**, blocks of
# sixteen channels. Within a block, the sixteen channels of a pixel are neighbours, one line exactly; the pixels follow
# each other; then comes the next block. Here is the order in which memory is filled, for four channels in blocks of
# two, on a picture of two by three:


# %%
def order_in_memory(layout, channels=4, height=2, width=3):
    return np.array([[[layout(c, h, w) for w in range(width)] for h in range(height)] for c in range(channels)])


small = {
    "NCHW": order_in_memory(lambda c, h, w: (c * 2 + h) * 3 + w),
    "NHWC": order_in_memory(lambda c, h, w: (h * 3 + w) * 4 + c),
    "NCHW2c": order_in_memory(lambda c, h, w: ((c // 2 * 2 + h) * 3 + w) * 2 + c % 2),
}
figure, grid = plt.subplots(3, 4, figsize=(8, 4.2), layout="constrained")
for row, (name, numbers) in zip(grid, small.items(), strict=True):
    for c, axes in enumerate(row):
        axes.imshow(numbers[c], vmin=0, vmax=23, cmap="viridis")
        for h, column in np.ndindex(2, 3):
            colour = "white" if numbers[c, h, column] < 14 else "black"
            axes.text(column, h, numbers[c, h, column], ha="center", va="center", color=colour)
        axes.set(xticks=[], yticks=[], title=f"{name}, channel {c}")
        axes.title.set_fontsize(9)
plt.show()
assert all(sorted(numbers.flat) == list(range(24)) for numbers in small.values())

# %% [markdown]
# Why not NHWC, where *all* channels are neighbours? With many channels, the same channel of the next pixel is far
# away, and distances depend on the layer. In NCHWc the distance of two pixels is sixteen, always, so one kernel with
# constants in it serves every layer. And sixteen numbers fill a line, and one AVX-512 register, or two of AVX2, or
# four of SSE.
#
# Now the strange order of the sum explains itself: a block at one window position is sixteen neighbouring numbers, so
# the chain runs through them before it moves the window on. The order of the *sum* follows the order of the *memory*.
#
# ## Direct convolution in blocks
#
# Converting is a reshape and a transpose. Channels that are missing in the last block are zeros in memory (but take no
# part in the sum).


# %%
def to_blocks(x, block=16):
    """[C, H, W] -> [C/16, H, W, 16]."""
    channels, height, width = x.shape
    x = np.pad(x, ((0, -channels % block), (0, 0), (0, 0)))
    return np.ascontiguousarray(x.reshape(-1, block, height, width).transpose(0, 2, 3, 1))


blocks = to_blocks(x[0])
print(x[0].shape, "->", blocks.shape)
assert blocks.shape == (2, 5, 6, 16)
assert blocks[1, 3, 4, 2] == x[0, 18, 3, 4]

# %% [markdown]
# And here is the direct kernel as the engine has it: blocks of channels, window positions, channels. The accumulators
# are a run of pixels by all output channels; each step is one number of each pixel times one vector of weights, exactly
# the tile of chapter 6.


# %%
def direct(x, w):
    """Conv with a pad of 1 and a 3x3 window, for one image in blocks: [C/16, H, W, 16] -> [M, H, W]."""
    filters, channels = w.shape[:2]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    y = np.empty((filters, *x.shape[1:3]), np.float32)
    for row in range(x.shape[1]):
        acc = np.zeros((x.shape[2], filters), np.float32)  # a tile: pixels by output channels
        for block in range(len(x)):
            here = min(16, channels - 16 * block)
            for r, s in np.ndindex(3, 3):
                pixels = padded[block, row + r, s : s + x.shape[2], :here]  # neighbours in memory
                weights = w[:, 16 * block : 16 * block + here, r, s]
                acc = fma_chain(pixels.T[:, :, None], weights.T[:, None, :], acc)
        y[:, row] = acc.T
    return y


assert compare(left[0], direct(blocks, w)).equal
print("direct, in blocks: every bit agrees with both panels")

# %% [markdown]
# The Rust is this loop with the accumulators in registers: `P` pixels by `Q` vectors of output channels. `taps.each`
# walks the window positions, `splat` is the broadcast, `mac` the multiply-add.

# %%
print(rust_source("conv tile"))

# %% [markdown]
# ## When the blocks are empty
#
# In that tile the lanes are output channels. Sixteen lanes are fine for 64 of those. But there are layers with three
# output channels, and "depthwise" ones, in which each input channel is convolved for itself: groups of one. What part
# of the lanes does work then?


# %%
def used(n, lanes=16):
    return n / (-(-n // lanes) * lanes)


for n in (1, 3, 16, 20, 64):
    print(f"{n:3} channels: {used(n):7.2%} of the lanes work")
assert used(1) == 1 / 16
assert used(64) == 1

# %% [markdown]
# For such layers lanes run along the *columns of the picture* instead: neighbouring pixels, and one weight broadcast to
# all of them. There NCHW is the right layout, since neighbours in a row are neighbours in memory. Which of the two
# leaves fewer lanes idle is a small computation when the model is loaded:

# %%
print(rust_source("conv path"))

# %% [markdown]
# Both paths walk the same order of terms, so which one is taken shows in the time, never in the bits. Let chance choose
# shapes, groups, strides and dilations, and let every instruction set answer:

# %%
for _ in range(40):
    group, per_group, filters = random.choice([1, 1, 2, 4]), random.integers(1, 20), random.integers(1, 9)
    kernel, pads = random.integers(1, 4, 2), random.integers(0, 3, 4)
    size = random.integers(7, 12, 2)
    inputs = [
        random.standard_normal((2, group * per_group, *size)).astype(np.float32),
        random.standard_normal((group * filters, per_group, *kernel)).astype(np.float32),
        random.standard_normal(group * filters).astype(np.float32),
    ]
    attributes = {
        "group": int(group),
        "pads": pads.tolist(),
        "strides": random.integers(1, 3, 2).tolist(),
        "dilations": random.integers(1, 3, 2).tolist(),
    }
    (left,) = diptych_reference.run_operator("Conv", inputs, attributes)
    for isa in diptych.available_isas():
        assert compare(left, diptych.run_operator("Conv", inputs, attributes, isa=isa)[0]).equal, attributes
print("40 convolutions agree on", ", ".join(diptych.available_isas()))

# %% [markdown]
# ## What is copied after all
#
# A picture arrives in NCHW and without a frame. So before each convolution the engine copies its input *once*, line by
# line, into a scratch space of its own: the frame of zeros goes in, channels are gathered into blocks, and where the
# stride is two, even and odd columns are put apart, so that neighbouring windows read neighbouring numbers. That is one
# copy of the input, where im2col makes one for each position of the window. On the way out, a tile is turned in
# registers and written as NCHW, and a Relu that follows is applied before it is stored.
#
# Could the copy be saved too? Between two convolutions, yes: the first could write blocks for the second to read. The
# kernels above can do it (`OutputLayout::Blocks`); the planner does not ask for it yet.
