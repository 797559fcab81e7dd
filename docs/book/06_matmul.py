# %% [markdown]
# # 6. MatMul: loops, tiles, registers
#
# A product of matrices is three loops. Written down as such in Python, it does not use a thousandth of what one
# core can do. Yet no part of what follows makes the *arithmetic* better: the multiply-adds stay the same, in the
# same order, to the last bit. All that changes is how long the processor waits. We shall climb from one per cent of
# its speed nearly to the top, and measure every step. Run it with `python docs/book/06_matmul.py`.

# %%
import ctypes
import inspect
import mmap
import platform
import time

import matplotlib.pyplot as plt
import numpy as np

import diptych
import diptych_reference
from diptych.compare import compare
from diptych.sources import reference_source, rust_source
from diptych_reference.ops import matmul as reference_matmul

if platform.machine() != "x86_64" or "avx2" not in diptych.available_isas():
    raise SystemExit("this chapter measures with machine code for x86-64 with AVX2, which this machine does not run")

# %% [markdown]
# ## Three loops
#
# Element `(i, j)` of the product is the dot product of row `i` of A and column `j` of B.


# %%
def three_loops(a, b):
    (m, k), n = a.shape, b.shape[1]
    c = np.zeros((m, n), np.float32)
    for i in range(m):
        for j in range(n):
            for p in range(k):
                c[i, j] += a[i, p] * b[p, j]
    return c


random = np.random.default_rng(6)
a, b = random.standard_normal((24, 16)).astype(np.float32), random.standard_normal((16, 32)).astype(np.float32)
assert np.allclose(three_loops(a, b), a @ b, atol=1e-4)
print(f"{a.shape} times {b.shape}: {24 * 32 * 16} multiply-adds")
assert 24 * 32 * 16 == 12288

# %% [markdown]
# The loops can be put in any order: each element still meets its products with k ascending. The left panel puts k
# *outside* and lets NumPy do all of C at once, one column of A times one row of B a step. In chapter 5's words: a
# chain of fused multiply-adds an element.

# %%
print(reference_source("MatMul"))
print(inspect.getsource(reference_matmul.chain))

# %% [markdown]
# ## What is 100 %?
#
# To say how fast something is, one has to know how fast it could be. A core has a few units that multiply and add;
# nothing can outrun a program that keeps them busy all the time and does nothing else. No such program can be
# written in Python, but Python can write it: a function is bytes, and we may put the bytes there ourselves.
#
# The next cell is an assembler for the few instructions that we need. You do not have to read it; it knows how
# Intel's manual numbers the instructions and the sixteen vector registers, `ymm0` to `ymm15`, of eight numbers each.

# %%
A, B, C = 6, 2, 1  # the numbers of the registers rsi, rdx, rcx: pointers into A, B and C


def vex(opcode, target, source, operand, opcodes=2, prefix=1, wide=True, offset=None):
    """One vector instruction; `operand` is a register or, with `offset`, a place behind the pointer A, B or C."""
    inverted = (target < 8) << 7 | 1 << 6 | (offset is not None or operand < 8) << 5
    head = bytes([0xC4, inverted | opcodes, (~source & 15) << 3 | wide << 2 | prefix, opcode])
    if offset is None:
        return head + bytes([0xC0 | (target & 7) << 3 | operand & 7])
    return head + bytes([0x80 | (target & 7) << 3 | operand]) + offset.to_bytes(4, "little")


def fma(acc, x, y, lanes):  # acc = x * y + acc
    return vex(0xB8 if lanes == 8 else 0xB9, acc, x, y, wide=lanes == 8)


def broadcast(register, pointer, offset):  # one number into all lanes
    return vex(0x18, register, 0, pointer, offset=offset)


def move(register, pointer, offset, lanes, store=False):  # eight numbers, or one
    return vex(0x10 + store, register, 0, pointer, 1, 0 if lanes == 8 else 2, lanes == 8, offset)


def clear(register):
    return vex(0x57, register, register, register, 1, 0)


def advance(pointer, distance):
    return bytes([0x48, 0x81, 0xC0 | pointer]) + distance.to_bytes(4, "little")


def loop(count, body):
    """`body`, and again while the counter that `count` lowers is not zero."""
    size = len(body) + len(count) + 6
    return body + count + b"\x0f\x85" + (-size).to_bytes(4, "little", signed=True)


def function(body):
    """A callable f(k, a, b, c, tiles): machine code in memory that may be executed."""
    code = bytes.fromhex("4989d2 4989fb") + loop(bytes.fromhex("49ffc8"), bytes.fromhex("4c89d2 4c89df") + body)
    memory = mmap.mmap(-1, 1 << 16, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code + bytes.fromhex("c5f877 c3"))
    made = ctypes.CFUNCTYPE(None, *[ctypes.c_size_t] * 5)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
    made.memory = memory  # the code lives as long as the function
    return made


NEXT_K = bytes.fromhex("48ffcf")  # the counter of the inner loop

# %% [markdown]
# Here is the fastest program there is: twelve multiply-adds on twelve different registers, over and over, with
# nothing loaded and nothing stored.

# %%
peak_program = function(loop(NEXT_K, b"".join(fma(acc, 14, 15, 8) for acc in range(12))))

# %% [markdown]
# Measuring on a shared machine, one sees one's neighbours too. So each program runs many times in short turns, all
# programs in rotation, and the fastest turn of each counts: the one that was least disturbed. What we compare are
# these rates, never seconds.


# %%
def rates(programs, seconds=0.7):
    """{name: multiply-adds per second} of {name: (multiply-adds of a call, call)}."""
    best = dict.fromkeys(programs, float("inf"))
    begin, rounds = time.perf_counter(), 0
    while rounds < 3 or time.perf_counter() - begin < seconds:
        rounds += 1
        for name, (_, call) in programs.items():
            start = time.perf_counter()
            call()
            best[name] = min(best[name], time.perf_counter() - start)
    return {name: work / best[name] for name, (work, _) in programs.items()}


peak_entry = (12 * 8 * 10_000, lambda: peak_program(10_000, 0, 0, 0, 1))
peak = rates({"peak": peak_entry})["peak"]
print(f"the peak of one core: {peak / 1e9:.1f} thousand million multiply-adds a second")

# %% [markdown]
# And what do the three loops reach? And the left panel, which has to *imitate* the fused instruction (chapter 4)? And
# plain NumPy with k outside, which multiplies, stores, loads, adds and stores again?


# %%
def k_outside(a, b):
    c = np.zeros((a.shape[0], b.shape[1]), np.float32)
    for p in range(a.shape[1]):
        c += a[:, p, None] * b[p]
    return c


wide_a, wide_b = random.standard_normal((2, 128, 128)).astype(np.float32)
steps = rates(
    {
        "three loops in Python": (12288, lambda: three_loops(a, b)),
        "the left panel": (128**3, lambda: reference_matmul.chain(wide_a, wide_b)),
        "NumPy, k outside": (128**3, lambda: k_outside(wide_a, wide_b)),
    }
)


def show(rates):
    for name, rate in rates.items():
        print(f"{name:34} {100 * rate / peak:8.2g} % of the peak")


show(steps)
assert steps["three loops in Python"] < peak / 1000
assert steps["three loops in Python"] < steps["NumPy, k outside"] < peak / 4

# %% [markdown]
# ## Step one: one element
#
# Now a dot product in machine code: load a number of A, load a number of B, multiply-add, go on. There is no Python
# in the loop any more, no type to look up, nothing but the work.
#
# We write it as the case 1 by 1 of something more general, a **tile**: `rows` rows of A times `vectors` registers'
# worth of columns of B. All its elements of C are accumulators, kept in registers until the chain is done.


# %%
def tile(rows, vectors, lanes=8):
    """Machine code for C[rows, vectors*lanes] = A[rows, k] B[k, vectors*lanes], for `tiles` tiles one below the other.

    A is packed [tile][k][row], B [k][column], C [tile][row][column].
    """
    acc = [[row * vectors + v for v in range(vectors)] for row in range(rows)]
    bs = [rows * vectors + v for v in range(vectors)]
    x = 15
    assert bs[-1] < x, "the processor has sixteen vector registers"
    step = b"".join(move(register, B, 4 * lanes * v, lanes) for v, register in enumerate(bs))
    for row in range(rows):
        step += broadcast(x, A, 4 * row) if lanes == 8 else move(x, A, 4 * row, 1)
        step += b"".join(fma(acc[row][v], x, bs[v], lanes) for v in range(vectors))
    step += advance(A, 4 * rows) + advance(B, 4 * lanes * vectors)
    flat = [register for row in acc for register in row]
    start = b"".join(map(clear, flat))
    end = b"".join(move(register, C, 4 * lanes * i, lanes, store=True) for i, register in enumerate(flat))
    return function(start + loop(NEXT_K, step) + end + advance(C, 4 * lanes * len(flat)))


# %% [markdown]
# What `tile` asks for, A and B in the order in which they are read, is called **packing**. In NumPy it is a reshape and
# a transpose. (Chapter 3: the copy that follows is what costs.)


# %%
def aligned(array):
    """A contiguous copy that starts on a cache line of 64 bytes."""
    room = np.empty(array.size + 16, np.float32)
    start = -room.ctypes.data % 64 // 4
    copy = room[start : start + array.size].reshape(array.shape)
    copy[...] = array
    return copy


def pack_a(a, rows):
    return aligned(a.reshape(-1, rows, a.shape[1]).transpose(0, 2, 1))


def pack_b(b, columns):
    return aligned(b.reshape(b.shape[0], -1, columns).transpose(1, 0, 2))


def product(a, b, rows, vectors, lanes=8):
    """A B by tiles: panels of B one after the other, and under each of them all tiles of A."""
    (m, k), n, columns = a.shape, b.shape[1], vectors * lanes
    program, a, b = tile(rows, vectors, lanes), pack_a(a, rows), pack_b(b, columns)
    c = np.empty((n // columns, m, columns), np.float32)
    for j in range(n // columns):
        program(k, a.ctypes.data, b[j].ctypes.data, c[j].ctypes.data, m // rows)
    return c.transpose(1, 0, 2).reshape(m, n)


# %% [markdown]
# Before any measuring: is it right? The left panel is the judge, and it judges by bits. Ours is a chain of fused
# multiply-adds with k ascending, as in `docs/numerics.md`, so every bit has to agree, whatever the tile.

# %%
(left,) = diptych_reference.run_operator("MatMul", [a, b])
for rows, vectors, lanes in ((1, 1, 1), (1, 1, 8), (2, 2, 8), (6, 2, 8)):
    assert compare(left, product(a, b, rows, vectors, lanes)).equal
print("four tiles, the bits of the left panel")

# %% [markdown]
# Now: how fast is one element at a time? The operands are small enough to stay in the cache.

# %%
K, TILES = 256, 64


def entry(rows, vectors, lanes=8):
    """For `rates`: `TILES` tiles one below the other."""
    program = tile(rows, vectors, lanes)
    a, b = aligned(np.ones((TILES, K, rows), np.float32)), aligned(np.ones((K, vectors * lanes), np.float32))
    c = aligned(np.empty((TILES, rows, vectors * lanes), np.float32))
    work = TILES * K * rows * vectors * lanes
    return work, lambda: program(K, a.ctypes.data, b.ctypes.data, c.ctypes.data, TILES)


def measure(programs, seconds=1):
    """Rates, with the peak measured again beside them."""
    global peak
    found = rates({"peak": peak_entry, **programs}, seconds)
    peak = max(peak, found.pop("peak"))
    show(found)
    steps.update(found)
    return found


found = measure({"one number, one chain": entry(1, 1, 1)})
assert found["one number, one chain"] < 0.06 * peak

# %% [markdown]
# So few per cent, with the loop stripped to the bone? There are two reasons, and they multiply.
#
# ## Step two: lanes
#
# The unit that multiplies and adds is eight numbers wide, and we used one. Let the lanes run along a row of C: eight
# neighbours in B, and *one* number of A that all eight need, broadcast into all lanes. Each lane has its own element
# of C, so the order of every chain is what it was.

# %%
found = measure({"one vector, one chain": entry(1, 1)})
print(f"times {found['one vector, one chain'] / steps['one number, one chain']:.1f}")
assert found["one vector, one chain"] > 4 * steps["one number, one chain"]

# %% [markdown]
# ## Step three: several chains at once
#
# The other reason is waiting. A multiply-add takes several cycles until its result is there, and the next step of the
# chain needs that result. Meanwhile the unit could begin others (and there may be two such units), but *this* chain
# has nothing else to begin. The cure is to work on several chains, taking turns. How many? If one chain reaches an
# eighth of the peak, eight of them fill it.

# %%
needed = peak / steps["one vector, one chain"]
print(f"chains that fill the units: {needed:.1f}")
assert needed > 2

# %%
found = measure(
    {
        "1 row, 2 vectors: two chains": entry(1, 2),
        "2 rows, 2 vectors: four chains": entry(2, 2),
        "4 rows, 2 vectors: eight chains": entry(4, 2),
        "6 rows, 2 vectors: twelve chains": entry(6, 2),
    }
)
assert found["2 rows, 2 vectors: four chains"] > 1.4 * steps["one vector, one chain"]
assert found["6 rows, 2 vectors: twelve chains"] > 2.5 * steps["one vector, one chain"]

# %% [markdown]
# A tile gives more than independent chains: it *reuses* what it loads. A register of B serves all rows of the tile, a
# number of A all its vectors. A tile of r rows and v vectors makes `r*v` multiply-adds of `r + v` loads, and a core can
# do so many loads beside so many multiply-adds, no more.
#
# That much can be counted without a clock. Loads and multiply-adds of a step, and four instructions to move the
# pointers on and to jump back:


# %%
def instructions(rows, vectors, lanes=8):
    """Instructions for each multiply-add of two numbers."""
    return (rows + vectors + rows * vectors + 4) / (rows * vectors * lanes)


for shape in ((1, 1, 1), (1, 1, 8), (2, 2, 8), (6, 2, 8)):
    print(f"{shape[0]} by {shape[1]} registers of {shape[2]}: {instructions(*shape):.3f} instructions")
assert instructions(1, 1, 1) == 7
assert instructions(6, 2, 8) == 0.25

# %% [markdown]
# From seven instructions for one multiply-add to a quarter of one, and no chain has changed.
#
# Why then not a tile of a hundred rows? All accumulators live in registers, and there are sixteen: `r*v` of them for
# C, v for B and one for A. That leaves few choices. We can measure them all.

# %%
shapes = [(r, v) for v in range(1, 5) for r in range(1, 15) if r * v + v + 1 <= 16]
measured = rates({"peak": peak_entry, **{shape: entry(*shape) for shape in shapes}}, seconds=3)
peak = max(peak, measured.pop("peak"))

grid = np.full((4, 14), np.nan)
for (r, v), rate in measured.items():
    grid[v - 1, r - 1] = rate / peak
figure, axes = plt.subplots(figsize=(8, 2.9), layout="constrained")
image = axes.imshow(grid, vmin=0, vmax=1, aspect="auto", origin="lower", extent=(0.5, 14.5, 0.5, 4.5))
for (r, v), rate in measured.items():
    colour = "white" if rate < 0.6 * peak else "black"
    axes.text(r, v, f"{rate / peak:.0%}", ha="center", va="center", fontsize=8, color=colour)
axes.set(xlabel="rows of the tile", ylabel="vectors", xticks=range(1, 15), yticks=range(1, 5))
axes.set_title("part of the peak; what is blank has no room in sixteen registers", fontsize=9)
plt.show()

print("fewest loads a multiply-add:", sorted(((r + v) / (r * v), r, v) for r, v in shapes)[:3])
assert (6, 2) in shapes
assert (7, 2) not in shapes
assert ((6 + 2) / (6 * 2), (1 + 1) / (1 * 1)) == (2 / 3, 2)

# %% [markdown]
# One row by one vector needs two loads a multiply-add; six rows by two vectors, two thirds of a load. That is
# Diptych's tile for AVX2, with smaller ones for what is left over at the edges. AVX-512 has twice as many registers of
# twice the width, so the tiles are larger there. This is the table in the kernel: for each set, the number of lanes,
# and for each number of vectors the heights that there are.

# %%
print(rust_source("tile sizes"))

# %% [markdown]
# And this is the tile itself. Compare it with `tile` above: load the vectors of B, broadcast a number of A, `step` (the
# multiply-add) into the accumulators. The compiler keeps `acc` in registers because `MR` and `NV` are constants.

# %%
print(rust_source("register tile"))

# %% [markdown]
# ## Step four: memory
#
# Between the registers and main memory stand the *caches*, two or three memories that keep what was used last, each
# larger and slower than the one before. So far A and B were small enough to stay in the first two. Here is the *same
# program* on the same number of rows and columns, but with a chain so long that A and B have to come from main memory,
# once through.

# %%
long = 1 << 20
program = tile(6, 2)
far_a, far_b = aligned(np.ones((long, 6), np.float32)), aligned(np.ones((long, 16), np.float32))
far_c = np.empty((6, 16), np.float32)


def from_memory():
    program(long, far_a.ctypes.data, far_b.ctypes.data, far_c.ctypes.data, 1)


print(f"{(far_a.nbytes + far_b.nbytes) / 2**20:.0f} MiB")
found = measure({"the same tile, from memory": (long * 96, from_memory)})
assert found["the same tile, from memory"] < steps["6 rows, 2 vectors: twelve chains"]
assert far_a.nbytes + far_b.nbytes == 88 * 2**20

# %% [markdown]
# Not one instruction is different. The units wait for memory again, this time because each number that arrives is used
# too seldom: a number of B six times, one of A sixteen times. A large product *can* use each far more often. B has N
# columns, so a number of A is needed N times in all. The art is to use it again *before* it leaves the cache.
#
# How much has to travel, for a product of 1024 by 1024 by 1024? Each tile for itself, or cut into **blocks**: take a
# block of A that fits into the second-level cache, and let it meet one narrow panel of B after the other, each panel
# staying in the first levels while all tiles of the block pass by it.

# %%
M = N = DEPTH = 1024
BLOCK_ROWS = 192
tile_by_tile = 4 * (M / 6) * (N / 16) * DEPTH * (6 + 16)
blocked = 4 * (M * DEPTH + -(-M // BLOCK_ROWS) * DEPTH * N)  # A once, B once for each block of A
print(f"tile by tile {tile_by_tile / 2**20:.0f} MiB, blocked {blocked / 2**20:.0f} MiB")
assert tile_by_tile > 30 * blocked

# %% [markdown]
# These are the engine's blocks. A block of A is 192 rows by 4096 bytes of k:

# %%
print(rust_source("block sizes"))
assert 192 * 4096 == 768 * 1024

# %% [markdown]
# A block has a limited depth, so long chains are cut: the accumulators are stored in C after one block of k and loaded
# again before the next. Chapter 5 showed that this changes no bit. Here are all the loops, outermost first as in the
# engine, on deliberately silly block sizes; the innermost one is the left panel's multiply-add.


# %%
def blocked_product(a, b, depth, block_rows, panel, tile_rows):
    (m, k), n = a.shape, b.shape[1]
    c = np.zeros((m, n), np.float32)
    for k0 in range(0, k, depth):  # a block of k
        for i0 in range(0, m, block_rows):  # a block of A, in the second-level cache
            for j in range(0, n, panel):  # a panel of B, in the first-level cache
                for i in range(i0, min(i0 + block_rows, m), tile_rows):  # a tile, in registers
                    rows = slice(i, min(i + tile_rows, i0 + block_rows, m))
                    ks, columns = slice(k0, k0 + depth), slice(j, j + panel)
                    left, right = a[rows, ks].T[:, :, None], b[ks, columns][:, None]
                    c[rows, columns] = diptych_reference.numerics.fma_chain(left, right, c[rows, columns])
    return c


for sizes in ((16, 24, 32, 24), (5, 10, 16, 6), (1, 7, 3, 2)):
    assert compare(left, blocked_product(a, b, *sizes)).equal
print("three ways to cut it, one result")

# %% [markdown]
# ## The whole thing
#
# Our own machine code, packed and with the loop over panels in Python, on whole matrices; and the engine, on one thread
# and the same instruction set. (The engine's time includes all that `run_operator` does: looking at types and shapes,
# packing B, making the output. Ours includes neither packing nor unpacking.)

# %%
SIZE = 240
big_a, big_b = random.standard_normal((2, SIZE, SIZE)).astype(np.float32)
packed_a, packed_b = pack_a(big_a, 6), pack_b(big_b, 16)
big_c = aligned(np.empty((SIZE // 16, SIZE, 16), np.float32))


def ours():
    for j in range(SIZE // 16):
        program(SIZE, packed_a.ctypes.data, packed_b[j].ctypes.data, big_c[j].ctypes.data, SIZE // 6)


def engine(isa="avx2"):
    return diptych.run_operator("MatMul", [big_a, big_b], isa=isa, threads=1)[0]


found = measure(
    {
        "whole matrices, our machine code": (SIZE**3, ours),
        "whole matrices, Diptych": (SIZE**3, engine),
    },
    seconds=2,
)
assert found["whole matrices, our machine code"] > steps["one number, one chain"]
assert found["whole matrices, Diptych"] > steps["one number, one chain"]
assert compare(engine(), big_c.transpose(1, 0, 2).reshape(SIZE, SIZE)).equal

# %% [markdown]
# The last line is worth a second look. The engine, in Rust, with its blocks and its edges, and a page of Python that
# writes machine code agree in every one of the 57600 elements, to the last bit. That is what a rounding program is
# for. (The left panel agrees too, of course; we let it compute one row.)

# %%
assert SIZE**2 == 57600
(left,) = diptych_reference.run_operator("MatMul", [big_a[7:8], big_b])
for isa in diptych.available_isas():
    assert compare(left, engine(isa)[7:8]).equal

# %% [markdown]
# ## The way up

# %%
order = sorted(steps, key=steps.get)
figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
bars = axes.barh(order, [steps[name] / peak for name in order])
axes.bar_label(bars, [f"{100 * steps[name] / peak:.2g} %" for name in order], padding=3, fontsize=8)
axes.set(xscale="log", xlim=(1e-6, 8), xlabel="part of the measured peak of one core")
plt.show()
show({name: steps[name] for name in order})

# %% [markdown]
# Four ideas, then. *Lanes* fill the width of the unit; *chains side by side* fill its depth; *tiles* use what is in
# registers more than once; *blocks* use what is in the caches more than once. None of them touched the order of a
# single chain. A convolution, which is the next chapter, needs exactly the same four, and one more: a good place for
# its pixels.
