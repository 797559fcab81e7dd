"""What moves elements, makes them, or holds them: shapes, gathers, sequences, control flow, text, random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .case import OperatorCase, Value, Weight, fixed, integers, normal, uniform, weight

STATES = (128, 768)
PLANES = (1, 64, 56, 56)


def int64(*values: int) -> Weight:
    """A constant vector."""
    return Weight(fixed(values, np.int64))


def cases() -> Iterator[OperatorCase]:
    """All of them."""
    yield from shapes()
    yield from indices()
    yield from made()
    yield from sequences()
    yield from control_flow()
    yield from text()


def shapes() -> Iterator[OperatorCase]:
    """Views and copies of whole tensors."""
    states = normal(*STATES)
    heads = normal(1, 128, 12, 64)
    for label, values, perm in (
        ("heads", heads, [0, 2, 1, 3]),
        ("channels last", normal(*PLANES), [0, 2, 3, 1]),
        ("matrix", normal(512, 512), [1, 0]),
    ):
        yield OperatorCase("Transpose", label, (values,), {"perm": perm})
    for op_type in ("Flatten", "Identity", "Shape", "Size"):
        yield OperatorCase(op_type, "states", (states,))
    yield OperatorCase("Reshape", "to heads", (states, int64(1, 128, 12, 64)))
    yield OperatorCase("Squeeze", "one axis", (normal(1, *STATES), int64(0)))
    yield OperatorCase("Unsqueeze", "one axis", (states, int64(0)))
    yield OperatorCase("Concat", "a cache and a token", (normal(1, 12, 128, 64), normal(1, 12, 1, 64)), {"axis": 2})
    yield OperatorCase("Split", "three of 768", (normal(128, 2304),), {"axis": -1, "num_outputs": 3}, outputs=3)
    yield OperatorCase("Slice", "the middle", (normal(256, 1024), int64(64, 256), int64(192, 768), int64(0, 1)))
    yield OperatorCase("Slice", "every other column", (normal(256, 1024), int64(0), int64(1024), int64(1), int64(2)))
    yield OperatorCase("Pad", "planes by 1", (normal(*PLANES), int64(0, 0, 1, 1, 0, 0, 1, 1)))
    yield OperatorCase("CenterCropPad", "224 of 256", (normal(256, 256, 3), int64(224, 224)), {"axes": [0, 1]})
    yield OperatorCase("Expand", "a row", (normal(768), int64(128, 768)))
    yield OperatorCase("Tile", "four times", (normal(128, 192), int64(1, 4)))
    for op_type in ("DepthToSpace", "SpaceToDepth"):
        yield OperatorCase(op_type, "by 2", (normal(*PLANES),), {"blocksize": 2})
    lengths = integers(1, 64, 32)
    yield OperatorCase("ReverseSequence", "batch of 32", (normal(64, 32, 64), lengths))
    yield OperatorCase("Trilu", "mask of 512", (normal(512, 512),))
    yield OperatorCase("Dropout", "inference", (states,))


def indices() -> Iterator[OperatorCase]:
    """Rows of an embedding, single elements, updates."""
    table = weight(5000, 256)
    yield OperatorCase("Gather", "rows of an embedding", (table, integers(0, 5000, 128)))
    yield OperatorCase("GatherElements", "128 a column", (table, integers(0, 5000, 128, 256)), {"axis": 0})
    yield OperatorCase("GatherND", "1000 rows", (normal(50, 100, 64), integers(0, 50, 1000, 2)))
    vector, where, updates = normal(5000), integers(0, 5000, 1000), normal(1000)
    for label, attributes in (("1000 of 5000", {}), ("1000 of 5000, added", {"reduction": "add"})):
        yield OperatorCase("ScatterElements", label, (vector, where, updates), attributes)
    rows = (normal(500, 64), integers(0, 500, 100, 1), normal(100, 64))
    yield OperatorCase("ScatterND", "100 rows of 64", rows)
    yield OperatorCase("Scatter", "1000 of 5000", (vector, where, updates), opset=10)
    cache = (normal(1, 4, 128, 64), normal(1, 4, 1, 64), fixed([64], np.int64))
    yield OperatorCase("TensorScatter", "a token into a cache", cache, opset=24)
    mask = integers(0, 2, 5000, dtype=np.bool_)
    yield OperatorCase("Compress", "half of 5000 rows", (normal(5000, 16), mask), {"axis": 0})
    yield OperatorCase("NonZero", "mask of 5000", (mask,))
    one_hot = (integers(0, 1000, 128), Weight(fixed(1000, np.int64)), Weight(fixed([0, 1], np.float32)))
    yield OperatorCase("OneHot", "128 of 1000", one_hot)
    yield OperatorCase("Unique", "5000 of 100", (integers(0, 100, 5000),), outputs=4)


def made() -> Iterator[OperatorCase]:
    """Constants, ranges, random numbers."""
    zero = {"value": np.zeros(1, np.float32)}
    yield OperatorCase("Constant", "a matrix", (), {"value": np.ones((128, 128), np.float32)})
    yield OperatorCase("ConstantOfShape", "states", (fixed(STATES, np.int64),), zero)
    yield OperatorCase("EyeLike", "512 x 512", (normal(512, 512),))
    bounds = (fixed(0, np.int64), fixed(10_000, np.int64), fixed(1, np.int64))
    yield OperatorCase("Range", "10,000", bounds)
    for op_type in ("RandomNormal", "RandomUniform"):
        yield OperatorCase(op_type, "128 x 128", (), {"shape": [128, 128], "seed": 1.0})
        yield OperatorCase(f"{op_type}Like", "128 x 128", (normal(128, 128),), {"seed": 1.0})
    yield OperatorCase("Bernoulli", "128 x 128", (uniform(0, 1, 128, 128),), {"seed": 1.0})
    yield OperatorCase("Multinomial", "100 of 1000", (normal(1, 1000),), {"sample_size": 100, "seed": 1.0})


def sequences() -> Iterator[OperatorCase]:
    """Sequences of 16 matrices of 32 x 64, and optionals."""
    tensors = several(16, 32, 64)
    at = fixed(7, np.int64)
    yield OperatorCase("SequenceConstruct", "16 matrices", (normal(32, 64),) * 16)
    yield OperatorCase("SequenceAt", "16 matrices", (tensors, at))
    yield OperatorCase("SequenceErase", "16 matrices", (tensors, at))
    yield OperatorCase("SequenceInsert", "16 matrices", (tensors, normal(32, 64), at))
    yield OperatorCase("SequenceLength", "16 matrices", (tensors,))
    yield OperatorCase("SequenceEmpty", "float32", (), {"dtype": 1})
    yield OperatorCase("ConcatFromSequence", "16 matrices", (tensors,), {"axis": 0})
    yield OperatorCase("SplitToSequence", "into 16", (normal(512, 64), Weight(fixed(32, np.int64))))
    yield OperatorCase("Optional", "states", (normal(*STATES),))
    for op_type in ("OptionalGetElement", "OptionalHasElement"):
        yield OperatorCase(op_type, "states", (normal(*STATES),))


def several(count: int, *shape: int) -> Value:
    """A sequence of tensors."""
    return lambda rng: [normal(*shape)(rng) for _ in range(count)]


def control_flow() -> Iterator[OperatorCase]:
    """A branch, 16 turns of a loop, 32 steps of a scan, 16 tensors of a sequence."""
    state, steps = normal(64), normal(32, 64)
    outer = {"a": state, "b": state}
    branches = {"then_branch": branch("a"), "else_branch": branch("b")}
    yield OperatorCase("If", "64 numbers", (fixed(True, np.bool_),), branches, outer=outer)
    loop = (fixed(16, np.int64), fixed(True, np.bool_), state)
    yield OperatorCase("Loop", "16 turns", loop, {"body": loop_body}, outputs=2)
    scan = {"body": scan_body, "num_scan_inputs": 1}
    yield OperatorCase("Scan", "32 steps", (state, steps), scan, outputs=2)
    yield OperatorCase("SequenceMap", "16 tensors", (several(16, 64),), {"body": map_body})


def branch(source: str) -> Any:
    """A graph of a tanh of an outer value, when it is needed."""
    return lambda: graph([("Tanh", [source], ["out"])], [], ["out"])


def loop_body() -> Any:
    """`state + state`, and the state that was."""
    nodes = [("Identity", ["cond"], ["again"]), ("Tanh", ["s"], ["next"]), ("Identity", ["s"], ["was"])]
    return graph(nodes, ["i", "cond", "s"], ["again", "next", "was"])


def scan_body() -> Any:
    """A running sum."""
    return graph([("Add", ["s", "x"], ["next"]), ("Identity", ["next"], ["sum"])], ["s", "x"], ["next", "sum"])


def map_body() -> Any:
    """A tanh of each."""
    return graph([("Tanh", ["x"], ["y"])], ["x"], ["y"])


TYPES = {"i": 7, "cond": 9, "again": 9}


def graph(nodes: list[tuple[str, list[str], list[str]]], inputs: list[str], outputs: list[str]) -> Any:
    """A graph of float32 vectors, of a loop's counter and condition where they are named so."""
    from onnx import helper

    def declared(name: str) -> Any:
        return helper.make_tensor_value_info(name, TYPES.get(name, 1), [] if name in TYPES else [64])

    made = [helper.make_node(*node) for node in nodes]
    return helper.make_graph(made, "body", [declared(n) for n in inputs], [declared(n) for n in outputs])


def words(count: int, *, joined: int = 1) -> Value:
    """Lines of words of up to nine letters."""

    def line(rng: np.random.Generator) -> str:
        return " ".join("".join(rng.choice(list("aeionrstABlé"), rng.integers(1, 10))) for _ in range(joined))

    return lambda rng: np.array([line(rng) for _ in range(count)], object)


def text() -> Iterator[OperatorCase]:
    """500 words, 100 lines."""
    yield OperatorCase("StringConcat", "500 words", (words(500), words(500)))
    yield OperatorCase("StringNormalizer", "500 words", (words(500),), {"case_change_action": "LOWER"})
    yield OperatorCase("StringSplit", "100 lines of 10", (words(100, joined=10),), {"delimiter": " "}, outputs=2)
    yield OperatorCase("RegexFullMatch", "500 words", (words(500),), {"pattern": "[a-z]+(on|er)?s"})
    pool = list(range(100)) + [number for first in range(50) for number in (first, first + 1)]
    attributes = {
        "mode": "TF",
        "min_gram_length": 1,
        "max_gram_length": 2,
        "max_skip_count": 0,
        "ngram_counts": [0, 100],
        "ngram_indexes": list(range(150)),
        "pool_int64s": pool,
    }
    yield OperatorCase("TfIdfVectorizer", "32 rows of 64", (integers(0, 120, 32, 64),), attributes)
