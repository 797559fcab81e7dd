# %% [markdown]
# # 12. The scheduler: threads, cost, a trace
#
# A processor has several cores, and a model is a list. What can run at the same time? Two nodes can, if neither
# needs what the other makes. And the inside of a node can be cut, if the kernel knows how. The part of the engine
# that decides is the *scheduler*.
#
# It has a duty that most schedulers do not have: nothing it decides may show in the result. Not the number of
# threads, not who was faster today, not one bit.

# %%
import heapq
import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import diptych
from diptych.compare import compare
from diptych.trace import write_trace

# %% [markdown]
# ## A graph that forks
#
# Four towers read the same input, each a chain of products, and their results are added up. Towers are of different
# heights, so that there is something to decide.

# %%
HEIGHTS = [6, 3, 2, 1]
ROWS, WIDTH = 96, 192


def towers(heights: list[int]) -> onnx.ModelProto:
    rng = np.random.default_rng(12)
    node, nodes, weights = helper.make_node, [], {}
    for t, height in enumerate(heights):
        name = "x"
        for level in range(height):
            weights[f"w{t}{level}"] = rng.standard_normal((WIDTH, WIDTH)).astype(np.float32) / np.sqrt(
                np.float32(WIDTH)
            )
            nodes.append(node("MatMul", [name, f"w{t}{level}"], [f"t{t}_{level}"], f"tower {t}, level {level}"))
            name = f"t{t}_{level}"
    tops = [f"t{t}_{height - 1}" for t, height in enumerate(heights)]
    nodes.append(node("Sum", tops, ["y"], "sum"))
    graph = helper.make_graph(
        nodes,
        "towers",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [ROWS, WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [ROWS, WIDTH])],
        [numpy_helper.from_array(w, name) for name, w in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)


model = towers(HEIGHTS)
tasks = list(model.graph.node)
x = np.random.default_rng(0).standard_normal((ROWS, WIDTH)).astype(np.float32)

# %% [markdown]
# ## What a node costs
#
# To decide well, one must know beforehand how long a node will take. Nobody knows that exactly, and it need not be
# exact. A product of matrices needs one multiplication and one addition for each row, column and term; the sum
# reads four arrays. We count such operations and call the count the *cost*.

# %%
cost = [2 * ROWS * WIDTH * WIDTH if n.op_type == "MatMul" else len(n.input) * ROWS * WIDTH for n in tasks]
makes = {n.output[0]: index for index, n in enumerate(tasks)}
needs = [[makes[name] for name in n.input if name in makes] for n in tasks]
followers: list[list[int]] = [[] for _ in tasks]
for index, before in enumerate(needs):
    for other in before:
        followers[other].append(index)

for index in (0, len(tasks) - 1):
    print(f"{tasks[index].name:18} costs {cost[index]:9} and needs {len(needs[index])} others")

# %% [markdown]
# ## Work, and the longest path
#
# Two numbers bound what any number of threads can do. The *work* is the sum of all costs: one thread needs that.
# The *longest path* is the most expensive chain of nodes each of which needs the one before it: no number of
# threads can be faster, since the nodes of a chain wait for one another.

# %%
to_the_end = [0] * len(tasks)
for index in reversed(range(len(tasks))):
    to_the_end[index] = cost[index] + max((to_the_end[f] for f in followers[index]), default=0)

work, longest = sum(cost), max(to_the_end)
print(f"work {work / 1e6:.1f} million operations, longest path {longest / 1e6:.1f} million")
print(f"width {work / longest:.2f}: more threads than that cannot all be busy")
assert 1.9 < work / longest < 2.1

# %% [markdown]
# Twelve products in all and six of them in a chain: two threads can halve the time, and a third has nothing to add.
# The engine computes this width for every plan. Where it is near one, as in most models that look at pictures,
# nodes run one after the other and only their insides are cut.
#
# ## Whom to take first
#
# Two threads, four towers. Whichever thread is free takes a task all of whose needs are met. If there are several,
# it had better take the one with the longest path behind it, as that one is the most urgent. In a few lines:

# %%
Slot = tuple[int, int, float, float]  # thread, task, begin, end


def simulate(threads: int, priority: list[float]) -> list[Slot]:
    """Run the tasks on threads of equal speed; a free thread takes the ready task of the greatest priority."""
    waiting = [len(before) for before in needs]
    ready = [(-priority[i], i) for i, count in enumerate(waiting) if count == 0]
    heapq.heapify(ready)
    free = list(range(threads))
    running: list[tuple[float, int, int]] = []
    now, slots = 0.0, []
    while ready or running:
        while ready and free:
            _, task = heapq.heappop(ready)
            thread = free.pop(0)
            heapq.heappush(running, (now + cost[task], task, thread))
            slots.append((thread, task, now, now + cost[task]))
        now, task, thread = heapq.heappop(running)
        free = sorted([*free, thread])
        for follower in followers[task]:
            waiting[follower] -= 1
            if waiting[follower] == 0:
                heapq.heappush(ready, (-priority[follower], follower))
    return slots


def draw(title: str, slots: list[Slot], axes: plt.Axes, unit: float) -> None:
    colors = plt.get_cmap("tab10")
    for thread, task, begin, end in slots:
        tower = tasks[task].name.split(",")[0]
        color = colors(int(tower[-1])) if tower.startswith("tower") else "grey"
        axes.broken_barh(
            [(begin / unit, (end - begin) / unit)], (thread - 0.4, 0.8), color=color, edgecolor="black", linewidth=0.5
        )
    axes.set_yticks(range(1 + max(s[0] for s in slots)))
    axes.set_ylabel("thread")
    axes.set_title(title, fontsize=10, loc="left")


urgent = simulate(2, [float(p) for p in to_the_end])
short_first = simulate(2, [-float(p) for p in to_the_end])
makespan = {
    "the longest path first": max(s[3] for s in urgent),
    "the shortest path first": max(s[3] for s in short_first),
}
figure, axes = plt.subplots(2, 1, figsize=(6.8, 4.0), sharex=True)
for panel, slots, name in zip(axes, (urgent, short_first), makespan, strict=True):
    draw(name, slots, panel, 1e6)
axes[1].set_xlabel("million operations")
figure.tight_layout()
plt.show()
for name, end in makespan.items():
    print(f"{name:24} done after {end / 1e6:5.1f} million, at best {max(longest, work / 2) / 1e6:.1f}")

# %% [markdown]
# Each colour is a tower. Taken in the wrong order, the tall tower is left over and one thread works alone at the
# end. By longest paths, both are busy until the last addition.
#
# How bad can such a simple rule be? Never very: whenever a thread idles, all that is left hangs on tasks that are
# running, so the longest path shrinks meanwhile. That gives a bound by R. L. Graham (1966) for *any* order: no
# later than the work divided by the threads, plus the longest path.

# %%
assert makespan["the longest path first"] < makespan["the shortest path first"]
assert makespan["the longest path first"] < 1.02 * max(longest, work / 2)
for threads in range(1, 6):
    for priority in (to_the_end, [-p for p in to_the_end], list(range(len(tasks)))):
        end = max(s[3] for s in simulate(threads, [float(p) for p in priority]))
        assert max(longest, work / threads) <= end <= work / threads + longest

# %% [markdown]
# ## What really happened
#
# That was a model of a machine. Now the machine. A session that is made with `enable_profiling` notes when each
# node began and how long it took. Of thirty runs we look at the fastest, which was disturbed the least.

# %%
threads = min(2, diptych.usable_cpus())
options = diptych.SessionOptions(threads=threads)
options.enable_profiling = True
session = diptych.InferenceSession(model, options)
runs = []
for _ in range(30):
    (y,) = session.run(None, {"x": x})
    runs.append(session.take_events())
events = min(runs, key=lambda run: max(e["start_us"] + e["duration_us"] for e in run) - run[0]["start_us"])
print(f"{len(events)} events, on {threads} of this machine's {diptych.usable_cpus()} processors")
assert sorted(event["name"] for event in events) == sorted(n.name for n in tasks)

# %% [markdown]
# An event does not say which thread ran it, but two that overlap in time were on different ones. So the trace can
# be drawn: each event goes on the first line that is free.

# %%
by_name = {n.name: index for index, n in enumerate(tasks)}
events.sort(key=lambda event: event["start_us"])
origin = events[0]["start_us"]
free_at: list[float] = []
traced: list[Slot] = []
for event in events:
    begin, end = event["start_us"] - origin, event["start_us"] - origin + event["duration_us"]
    line = next((i for i, moment in enumerate(free_at) if moment <= begin), len(free_at))
    free_at[line:] = [end, *free_at[line + 1 :]]
    traced.append((line, by_name[event["name"]], begin, end))

figure, axes = plt.subplots(figsize=(6.8, 2.4))
draw("as it was measured when this page was made", traced, axes, 1.0)
axes.set_xlabel("microseconds")
figure.tight_layout()
plt.show()
assert len(free_at) <= max(threads, 1)

# %% [markdown]
# Compare it with the plan. The idea is the same; the lengths are not quite, since products of equal size do not
# take equal times: the first to touch some weights waits for memory, and other programs use the processors too. (A
# picture of a single line means that they took all but one.) What a node needs was always there before it began, of
# course:

# %%
begins = {task: begin for _, task, begin, _ in traced}
ends = {task: end for _, task, _, end in traced}
for task, before in enumerate(needs):
    assert all(ends[other] <= begins[task] for other in before)

# %% [markdown]
# `write_trace` makes a file of it that Chrome (`chrome://tracing`) and Perfetto open, and `diptych profile
# model.onnx --trace file.json` does the same from the command line. It is a list like this:

# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "trace.json"
    write_trace(path, events)
    entries = json.loads(path.read_text())["traceEvents"]
print({key: entries[0][key] for key in ("name", "cat", "ph", "args")})
assert len(entries) == len(tasks)

# %% [markdown]
# ## Cutting a node
#
# Where a graph is a chain, threads can only share the inside of a node. Rows of a product are easy to share: each
# number of the result is computed by one thread, from beginning to end, in the order that `docs/numerics.md` sets.
# Who does it, and how many others there are, changes nothing.
#
# A sum is another matter. The obvious way is to give each thread a part and to add up the parts. Then the number of
# threads decides where the brackets are, and brackets matter (chapter 5):

# %%
terms = np.random.default_rng(3).standard_normal(4096 * 6).astype(np.float32)


def sum_by_parts(parts: int) -> np.float32:
    partial = [np.cumsum(part, dtype=np.float32)[-1] for part in np.array_split(terms, parts)]
    return np.float32(np.cumsum(np.array(partial), dtype=np.float32)[-1])


naive = {parts: sum_by_parts(parts) for parts in (1, 2, 3, 4, 8)}
for parts, result in naive.items():
    print(f"{parts} threads, a part each: {result:.9g}")
assert len(set(naive.values())) > 1

# %% [markdown]
# So the same program gives one answer on a laptop and another on a server; most engines live with that. Here the
# brackets are fixed by the length of the sum alone: sixteen lanes, in chunks of 4096. Threads may take chunks,
# since a chunk is a bracket anyway; they may not make brackets.

# %%
sums = {
    threads: diptych.run_operator("ReduceSum", [terms], {"keepdims": 0}, opset=13, threads=threads)[0]
    for threads in (1, 2, 3, 4, 8)
}
for threads, result in sums.items():
    print(f"{threads} threads of this engine:  {result:.9g}")
assert all(compare(sums[1], result).equal for result in sums.values())

# %% [markdown]
# ## Any order, the same bits
#
# A scheduler could be tested by running it often and hoping. It is better to be nasty on purpose: `schedule_seed`
# makes the engine take ready tasks in a random order instead of the good one, and overwrites memory as soon as
# nobody should need it (chapter 11). The good order, one thread, several threads, and a hundred bad orders:

# %%
(expected,) = diptych.InferenceSession(model, diptych.SessionOptions(threads=1)).run(None, {"x": x})
assert compare(expected, y).equal
for threads in (2, 3, 4):
    (actual,) = diptych.InferenceSession(model, diptych.SessionOptions(threads=threads)).run(None, {"x": x})
    assert compare(expected, actual).equal
for seed in range(100):
    (actual,) = diptych.InferenceSession(model, diptych.SessionOptions(schedule_seed=seed)).run(None, {"x": x})
    assert compare(expected, actual).equal
print("104 ways to run it, and one result")

# %% [markdown]
# A program that uses threads is usually the place where runs begin to differ, and where bugs begin to hide. It need
# not be. What the result is was decided by the numerics; what the scheduler decides is only when.
