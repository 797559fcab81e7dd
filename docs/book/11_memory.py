# %% [markdown]
# # 11. Memory: three arenas, and a plan drawn as a picture
#
# To run a model is to walk down a list with a dictionary (chapter 1). The dictionary is the trouble. Every node
# puts an array into it, and asks the system for the memory. A large network makes thousands of arrays, most of them
# read once, by the next node. Asking for memory is slow, memory that has just been given back is cold, and if
# nothing is given back until the end, the run needs many times what it has to.
#
# All of that can be settled before the run. The shapes are known once the input's shape is; so is who reads what.
# This chapter makes the plan by hand, in sixty lines, draws it, and holds it to the engine's own, byte for byte.

# %%
import threading
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import diptych
from diptych.compare import compare
from diptych_reference import run_operator

MODEL = Path(__file__).parents[2] / "examples" / "reverse" / "reverse.onnx"

# %% [markdown]
# ## Three kinds of memory
#
# The engine keeps its memory in three *arenas*: large pieces that it asks for once and cuts up itself. They differ
# in how long things live in them.
#
# - **permanent**: the weights. They live as long as the session. A file is *mapped*, so that its pages are read
#   when they are touched; weights that kernels want in another order are kept *packed*.
# - **temporary**: what nodes make and other nodes read. It lives for one run, and is kept for the next.
# - **scratch**: what a kernel needs while it works on one node, a window for each thread.
#
# Here they are, for the model of chapter 9 and sixty-four texts at a time.

# %%
session = diptych.InferenceSession(MODEL, diptych.SessionOptions(threads=1))
tokens = np.random.default_rng(11).integers(0, 27, (64, 16))
before = session.memory()
expected = session.run(None, {"tokens": tokens})
after = session.memory()
for kind in before:
    print(f"{kind:10} {before[kind]:7} before the first run, {after[kind]:7} after it")

assert before["temporary"] == before["scratch"] == before["contexts"] == before["plans"] == 0
assert after["temporary"] > 0
assert after["contexts"] == after["plans"] == 1

# %% [markdown]
# The second run finds all of that in place. So does the hundredth: nothing grows, and apart from the outputs
# nothing is asked for.

# %%
for _ in range(100):
    again = session.run(None, {"tokens": tokens})
assert session.memory() == after
assert all(compare(a, b).equal for a, b in zip(expected, again, strict=True))
session.shrink()
assert session.memory()["temporary"] == 0
print("a hundred runs later: the same bytes; after shrink(): none")

# %% [markdown]
# ## Who lives when
#
# We make the plan of the temporary arena ourselves. First, the list of what runs. Shapes and what depends on
# nothing else are known when the plan is made, and drop out; the model's outputs belong to the caller and get
# memory of their own.

# %%
model = onnx.load(MODEL)
constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
outputs = [o.name for o in model.graph.output]
value = {"tokens": tokens, **constants}
tasks, known = [], set(constants)
for n in model.graph.node:
    attributes = {a.name: helper.get_attribute_value(a) for a in n.attribute}
    (value[n.output[0]],) = run_operator(n.op_type, [value[name] for name in n.input], attributes, opset=23)
    if n.op_type == "Shape" or known.issuperset(n.input):
        known.add(n.output[0])
    else:
        tasks.append(n)
print(f"{len(model.graph.node)} nodes, of which {len(tasks)} run")

# %% [markdown]
# A value is born when its node runs and dies after its last reader. Between the two, its bytes are its own; before
# and after, they may be somebody else's.

# %%
last_reader = {name: index for index, n in enumerate(tasks) for name in n.input}
temporaries = [n.output[0] for n in tasks if n.output[0] not in outputs]
for index, n in enumerate(tasks):
    name = n.output[0]
    if name in temporaries:
        print(f"{name:10} {value[name].nbytes:7} bytes, made at {index:2}, last read at {last_reader[name]:2}")

total = sum(value[name].nbytes for name in temporaries)
alive = [
    sum(value[n.output[0]].nbytes for made, n in enumerate(tasks) if n.output[0] in temporaries
        and made <= moment <= last_reader[n.output[0]])
    for moment in range(len(tasks))
]  # fmt: skip
print(f"\nall of them: {total} bytes; at most {max(alive)} are alive at once")
assert max(alive) < total / 2

# %% [markdown]
# ## In place
#
# One more thing saves memory, and time as well. A node such as Add reads an element of each input and writes one
# element of its output. If nobody reads the input later, the result may go where the input was. These operators can
# do so, with the inputs named:

# %%
IN_PLACE = {"Add": (0, 1), "Mul": (0, 1), "LayerNormalization": (0,), "Softmax": (0,), "Relu": (0,)}

# %% [markdown]
# So values form chains that share bytes. We call such a chain a *buffer*. `x` can't be taken over by
# LayerNormalization: the residual reads `x` much later. But `products`, `scaled` and `masked` are one buffer.


# %%
@dataclass
class Buffer:
    size: int
    names: list[str] = field(default_factory=list)
    users: list[int] = field(default_factory=list)  # tasks that write or read it, ascending
    offset: int = -1


def assign(tasks: list[onnx.NodeProto], nbytes: dict[str, int], outputs: list[str]) -> list[Buffer]:
    """Give every temporary a buffer; nbytes: of each value."""
    last = {name: index for index, n in enumerate(tasks) for name in n.input}
    buffers: list[Buffer] = []
    of: dict[str, Buffer] = {}
    for index, n in enumerate(tasks):
        name = n.output[0]
        if name not in outputs:
            fitting = [
                n.input[i]
                for i in IN_PLACE.get(n.op_type, ())
                if n.input[i] in of
                and last[n.input[i]] == index
                and list(n.input).count(n.input[i]) == 1
                and nbytes[n.input[i]] == nbytes[name]
            ]
            if fitting:
                of[name] = of[fitting[0]]
            else:
                of[name] = Buffer(nbytes[name])
                buffers.append(of[name])
            of[name].names.append(name)
        for touched in (*n.input, name):
            if touched in of and index not in of[touched].users:
                of[touched].users.append(index)
    return buffers


sizes = {name: array.nbytes for name, array in value.items()}
buffers = assign(tasks, sizes, outputs)
for buffer in buffers:
    print(f"{', '.join(buffer.names):28} {buffer.size:7} bytes, from {buffer.users[0]:2} to {buffer.users[-1]:2}")
assert ["products", "scaled", "masked"] in [b.names for b in buffers]

# %% [markdown]
# ## Where
#
# Now each buffer needs an offset, such that no two overlap in bytes *and* in time. Each is a rectangle: wide in
# time, high in bytes. Packing rectangles as tightly as possible is hard in general, but a simple rule does well: in
# the order of birth, take the smallest gap that is large enough, and only if there is none make the arena larger.
# Offsets are multiples of 64, the length of a cache line and of the widest vectors.

# %%
ALIGN = 64


def place(buffers: list[Buffer]) -> int:
    """Choose the offsets; return the bytes of the arena."""
    end = 0
    placed: list[Buffer] = []
    for buffer in buffers:
        size = -(-buffer.size // ALIGN) * ALIGN
        living = sorted((b for b in placed if b.users[-1] >= buffer.users[0]), key=lambda b: b.offset)
        edges = [0, *(edge for b in living for edge in (b.offset, b.offset + -(-b.size // ALIGN) * ALIGN)), end]
        gaps = [(high - low, low) for low, high in zip(edges[::2], edges[1::2], strict=True)]
        fits = [gap for gap in gaps if gap[0] >= size]
        buffer.offset = min(fits)[1] if fits else gaps[-1][1]  # else it begins in the last gap, and the arena grows
        end = max(end, buffer.offset + size)
        placed.append(buffer)
    return end


arena = place(buffers)
print(f"our plan needs {arena} bytes, the engine took {after['temporary']}")
assert arena == after["temporary"]

# %% [markdown]
# To the byte. Here is the plan as a picture: time from left to right, addresses from bottom to top. Whatever stands
# above the same tasks at the same height would be a bug.


# %%
def draw(buffers: list[Buffer], tasks: list[onnx.NodeProto], arena: int) -> None:
    figure, axes = plt.subplots(figsize=(6.8, 4.4))
    colors = plt.get_cmap("tab10")
    for number, b in enumerate(buffers):
        width = b.users[-1] - b.users[0] + 1
        axes.broken_barh([(b.users[0], width)], (b.offset / 1024, b.size / 1024), color=colors(number % 10), alpha=0.55)
        middle = (b.users[0] + width / 2, (b.offset + b.size / 2) / 1024)
        axes.annotate("\n".join(b.names), middle, ha="center", va="center", fontsize=8)
    axes.set_xticks(np.arange(len(tasks)) + 0.5, [n.op_type for n in tasks], rotation=60, ha="right", fontsize=8)
    axes.set_ylabel("offset in KiB")
    axes.set_ylim(0, arena / 1024)
    figure.tight_layout()
    plt.show()


draw(buffers, tasks, arena)
for a in buffers:
    for b in buffers:
        apart_in_time = a.users[-1] < b.users[0] or b.users[-1] < a.users[0]
        apart_in_space = a.offset + a.size <= b.offset or b.offset + b.size <= a.offset
        assert a is b or apart_in_time or apart_in_space

# %% [markdown]
# ## Depth is free
#
# The gain grows with the model. Here is a network of blocks, each with a residual as in all large models. With
# every block the sum of all intermediates grows. The arena does not: the values of one block die before those of
# the next are born.


# %%
def deep(blocks: int) -> onnx.ModelProto:
    rng = np.random.default_rng(blocks)
    node, nodes, weights = helper.make_node, [], {}
    for i in range(blocks):
        weights[f"up{i}"] = rng.standard_normal((64, 256)).astype(np.float32) / 8
        weights[f"down{i}"] = rng.standard_normal((256, 64)).astype(np.float32) / 16
        nodes += [
            node("MatMul", [f"x{i}", f"up{i}"], [f"wide{i}"]),
            node("Relu", [f"wide{i}"], [f"relu{i}"]),
            node("MatMul", [f"relu{i}", f"down{i}"], [f"narrow{i}"]),
            node("Add", [f"x{i}", f"narrow{i}"], [f"x{i + 1}"]),
        ]
    graph = helper.make_graph(
        nodes,
        "deep",
        [helper.make_tensor_value_info("x0", TensorProto.FLOAT, [32, 64])],
        [helper.make_tensor_value_info(f"x{blocks}", TensorProto.FLOAT, [32, 64])],
        [numpy_helper.from_array(w, name) for name, w in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)


depths = [1, 2, 4, 8, 16, 32]
sums, arenas, ours = [], [], []
for depth in depths:
    network = deep(depth)
    deep_session = diptych.InferenceSession(network, diptych.SessionOptions(threads=1))
    deep_session.run(None, {"x0": np.ones((32, 64), np.float32)})
    arenas.append(deep_session.memory()["temporary"])
    names = [n.output[0] for n in network.graph.node]
    bytes_of = {name: 4 * 32 * (256 if name.startswith(("wide", "relu")) else 64) for name in ["x0", *names]}
    bytes_of |= {t.name: 0 for t in network.graph.initializer}
    sums.append(sum(bytes_of[name] for name in names[:-1]))
    ours.append(place(assign(list(network.graph.node), bytes_of, names[-1:])))

assert ours == arenas
assert arenas[2:] == [arenas[2]] * 4
print(f"{depths[-1]} blocks: {sums[-1] // 1024} KiB of intermediates in an arena of {arenas[-1] // 1024} KiB")

figure, axes = plt.subplots()
axes.plot(depths, np.array(sums) / 1024, "o-", label="all intermediates")
axes.plot(depths, np.array(arenas) / 1024, "s-", label="the arena")
axes.set_xscale("log", base=2)
axes.set_yscale("log", base=2)
axes.set_xticks(depths, depths)
axes.set_yticks([32, 128, 512, 2048], [32, 128, 512, 2048])
axes.set_xlabel("blocks")
axes.set_ylabel("KiB")
axes.legend()
plt.show()

# %% [markdown]
# ## The catch
#
# Sharing is safe in the order that we planned. But with several threads, tasks run in other orders: a task may
# start as soon as its inputs are there. If `q` and something later share bytes, then the later one must wait until
# all readers of `q` are done, though it reads nothing of theirs. So each sharing adds an edge to the graph of
# tasks: *this one after that one*.

# %%
edges = set()
for later in buffers:
    for earlier in buffers:
        overlap = earlier.offset < later.offset + later.size and later.offset < earlier.offset + earlier.size
        if overlap and earlier.users[-1] < later.users[0]:
            edges |= {(user, later.users[0]) for user in earlier.users}
data = {(a, b) for a, n in enumerate(tasks) for b, m in enumerate(tasks) if n.output[0] in m.input}
new = sorted(edges - data)
print(f"{len(data)} edges from data, {len(new)} more from sharing, such as")
for a, b in new[-3:]:
    print(f"  {tasks[b].output[0]} after {tasks[a].output[0]}")
assert new

# %% [markdown]
# If an edge were missing, results would be wrong now and then, on some machines: the worst kind of bug. The engine
# has an option to look for it. With `schedule_seed` tasks run in a random order that the edges allow, and the bytes
# of a buffer are overwritten with `0xff`, which reads as NaN, as soon as its last user is done. Fifty orders:

# %%
for seed in range(50):
    shuffled = diptych.InferenceSession(MODEL, diptych.SessionOptions(threads=1, schedule_seed=seed))
    for a, b in zip(expected, shuffled.run(None, {"tokens": tokens}), strict=True):
        assert compare(a, b).equal
print("fifty random orders over poisoned memory: the same bits")

# %% [markdown]
# ## Two callers, one session
#
# A session may be run from many threads at once. Weights are shared. Temporary and scratch cannot be, so each run
# in flight has a *context* with its own; idle ones wait for the next run.

# %%
shared = diptych.InferenceSession(MODEL, diptych.SessionOptions(threads=1))
gate = threading.Barrier(4)


def caller() -> None:
    gate.wait()
    for _ in range(50):
        assert compare(expected[0], shared.run(None, {"tokens": tokens})[0]).equal


callers = [threading.Thread(target=caller) for _ in range(4)]
for thread in callers:
    thread.start()
for thread in callers:
    thread.join()
memory = shared.memory()
print(f"{memory['contexts']} contexts of {arena} bytes were needed by four callers")
assert 1 <= memory["contexts"] <= 4
assert memory["temporary"] == memory["contexts"] * arena

# %% [markdown]
# ## A limit that is kept
#
# Because the plan knows its bytes before anything runs, a limit can be kept honestly: the run is refused at once,
# with the figures, instead of dying half-way.

# %%
limited = diptych.InferenceSession(MODEL, diptych.SessionOptions(threads=1, memory_limit=200_000))
small = limited.run(None, {"tokens": tokens[:4]})
assert compare(small[0], expected[0][:4]).equal
try:
    limited.run(None, {"tokens": tokens})
except diptych.ResourceLimitError as error:
    refused = str(error)
print("4 texts run;", "64 are refused:", refused)
