"""The CPU cases of ONNX's backend suite, the operators each of them uses, and the judge that runs one on a panel.

A panel takes part with an adapter (`Panel`) and one line: `test_case = on_panel(MyPanel())`. Every case must pass, or
the manifest must say why it does not.
"""

from __future__ import annotations

import math
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests

Operators = frozenset[tuple[str, str]]
KINDS = ("node", "expanded", "simple", "real", "pytorch-converted", "pytorch-operator")
MANIFEST = Path(__file__).with_name("manifest.toml")


@dataclass(frozen=True)
class DataSet:
    """Inputs in the order of the graph's inputs, and the outputs expected in the order of its outputs."""

    inputs: list[Any]
    outputs: list[Any]


class Panel(Protocol):
    """What the suite needs of an engine under test."""

    @property
    def name(self) -> str:
        """The panel's name in the manifest."""

    @property
    def unsupported(self) -> tuple[type[Exception], ...]:
        """What it raises where an operator is not known."""

    def prepare(self, model: bytes) -> Callable[[dict[str, Any]], Sequence[Any]]:
        """A function from feeds (input name -> value) to all outputs.

        Values: arrays of the exact dtype (ml_dtypes for what NumPy lacks, object for strings), lists for sequences,
        None for an empty optional.
        """


@dataclass(frozen=True)
class Case:
    """One case of the suite. Model and data are read when they are asked for."""

    name: str
    kind: str
    source: TestCase

    @cached_property
    def model(self) -> onnx.ModelProto:
        """The model."""
        if self.source.model is not None:
            return self.source.model
        return onnx.load(self.path / "model.onnx" if self.source.model_dir else self.path)

    @property
    def path(self) -> Path:
        """The case's folder, or for the "real" cases the model, stored without weights ("light")."""
        if self.source.model_dir:
            return Path(self.source.model_dir)
        assert self.source.url is not None
        return Path(onnx.__file__).parents[1] / self.source.url

    @cached_property
    def operators(self) -> Operators:
        """Operators of the model with those in nested graphs and local functions, without the functions themselves."""
        functions = self.model.functions
        nodes = [*self.model.graph.node, *(node for function in functions for node in function.node)]
        used = {(domain(inner.domain), inner.op_type) for node in nodes for inner in deep(node)}
        return frozenset(used - {(domain(function.domain), function.name) for function in functions})

    def data(self) -> Iterator[DataSet]:
        """The case's data sets."""
        if self.source.data_sets is not None:
            for inputs, outputs in self.source.data_sets:
                yield DataSet([exact(value) for value in inputs], [exact(value) for value in outputs])
        elif self.source.model_dir:
            for folder in sorted(self.path.glob("test_data_set_*")):
                graph = self.model.graph
                yield DataSet(read(folder, "input", graph.input), read(folder, "output", graph.output))
        else:
            yield self.dummy()

    def dummy(self) -> DataSet:
        """Data of a light model: 0/n, 1/n, … as the suite's runner feeds it; outputs are stored beside the model."""
        shapes = [[d.dim_value or 1 for d in value.type.tensor_type.shape.dim] for value in self.fed]
        inputs = [(np.arange(math.prod(s)).reshape(s) / math.prod(s)).astype(np.float32) for s in shapes]
        stem = self.path.with_suffix("")
        count = len(self.model.graph.output)
        return DataSet(inputs, [load_tensor(Path(f"{stem}_output_{i}.pb")) for i in range(count)])

    @property
    def fed(self) -> list[onnx.ValueInfoProto]:
        """Graph inputs the data sets speak of: light models list their initializers too, which do not count."""
        graph = self.model.graph
        given = set() if self.source.model_dir or self.source.model else {tensor.name for tensor in graph.initializer}
        return [value for value in graph.input if value.name not in given]


def domain(name: str) -> str:
    """Both spellings of the default domain become the empty one."""
    return "" if name == "ai.onnx" else name


def deep(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """A node and all nodes of its graphs."""
    found = [node]
    for attribute in node.attribute:
        for graph in [attribute.g, *attribute.graphs]:
            found += [inner for nested in graph.node for inner in deep(nested)]
    return found


def exact(value: Any) -> Any:
    """A value of the suite as an array of its own dtype; lists and None stay."""
    if isinstance(value, (list, tuple)):
        return [exact(item) for item in value]
    array = numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value
    if array is None:
        return None
    array = np.asarray(array)
    return array.astype(object) if array.dtype.kind in "US" else array


def read(folder: Path, stem: str, declared: Sequence[onnx.ValueInfoProto]) -> list[Any]:
    """`stem_0.pb`, `stem_1.pb`, … of a data set, as the types of the graph's inputs or outputs say."""
    values: list[Any] = []
    for index in range(len(list(folder.glob(f"{stem}_*.pb")))):
        content = (folder / f"{stem}_{index}.pb").read_bytes()
        match declared[index].type.WhichOneof("value"):
            case "sequence_type":
                values.append(exact(numpy_helper.to_list(onnx.SequenceProto.FromString(content))))
            case "optional_type":
                values.append(exact(numpy_helper.to_optional(onnx.OptionalProto.FromString(content))))
            case _:
                values.append(exact(onnx.TensorProto.FromString(content)))
    return values


def load_tensor(path: Path) -> Any:
    """The array of a serialised TensorProto."""
    return exact(onnx.TensorProto.FromString(path.read_bytes()))


@cache
def cases() -> tuple[Case, ...]:
    """All CPU cases, by kind and name. Kind "expanded": node cases with the node replaced by its function body."""
    found = []
    for kind in ("node", "simple", "real", "pytorch-converted", "pytorch-operator"):
        with np.errstate(all="ignore"):  # the suite computes its expected values while it is loaded
            sources = sorted(load_model_tests(kind=kind), key=lambda source: source.name)
        for source in sources:
            expanded = kind == "node" and "_expanded" in source.name
            found.append(Case(source.name, "expanded" if expanded else kind, source))
    return tuple(found)


class MismatchError(AssertionError):
    """An output is not what the suite expects."""


def compare(actual: Any, expected: Any, rtol: float, atol: float, where: str) -> None:
    """Type, dtype, shape and classes (NaN, infinities) exactly, then values within the case's tolerance."""
    if isinstance(expected, list):
        if not isinstance(actual, list) or len(actual) != len(expected):
            raise MismatchError(f"{where}: got {type(actual).__name__}, expected a sequence of {len(expected)}")
        for index, (a, e) in enumerate(zip(actual, expected, strict=True)):
            compare(a, e, rtol, atol, f"{where}[{index}]")
        return
    if expected is None or not isinstance(actual, np.ndarray):
        if actual is not expected:
            raise MismatchError(f"{where}: got {type(actual).__name__}, expected {type(expected).__name__}")
        return
    if (actual.dtype, actual.shape) != (expected.dtype, expected.shape):
        raise MismatchError(f"{where}: got {actual.dtype}{actual.shape}, expected {expected.dtype}{expected.shape}")
    wrong = differing(actual, expected, rtol, atol)
    if wrong.any():
        first = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise MismatchError(
            f"{where}: {int(wrong.sum())} of {wrong.size} differ, first at {list(first)}: "
            f"got {actual[first]!r}, expected {expected[first]!r}"
        )


def differing(actual: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], rtol: float, atol: float) -> Any:
    """Mask of the elements that are wrong. The tolerance is for floats; integers, bools and strings must be equal."""
    if expected.dtype == object or expected.dtype.kind in "iub":
        return np.asarray(actual != expected)
    if expected.dtype.name == "bfloat16":
        rtol = max(rtol, 2.0**-6)  # two units in the last place, as the suite's runner has it
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    return np.asarray(~np.isclose(actual.astype(wide), expected.astype(wide), rtol=rtol, atol=atol, equal_nan=True))


@dataclass(frozen=True)
class Result:
    """What became of a case: passed, failed or unsupported."""

    case: Case
    outcome: str
    detail: str = ""


def judge(panel: Panel, case: Case) -> Result:
    """Run `case` on `panel`."""
    try:
        run = panel.prepare(case.model.SerializeToString())
        for number, data in enumerate(case.data()):
            names = [value.name for value in case.fed]
            outputs = run(dict(zip(names, data.inputs, strict=False)))
            if len(outputs) != len(data.outputs):
                raise MismatchError(f"got {len(outputs)} outputs, expected {len(data.outputs)}")
            for index, (actual, expected) in enumerate(zip(outputs, data.outputs, strict=True)):
                compare(actual, expected, case.source.rtol, case.source.atol, f"data set {number}, output {index}")
    except panel.unsupported as error:
        return Result(case, "unsupported", f"{type(error).__name__}: {error}")
    except Exception as error:  # whatever a panel raises is this case's result
        return Result(case, "failed", f"{type(error).__name__}: {error}")
    return Result(case, "passed")


def table(results: Sequence[Mapping[str, str]]) -> str:
    """Counts by kind; `results` are the properties `test_case` records. "known" are the failures the manifest names."""
    columns = ("passed", "failed", "known", "unsupported")
    rows = [f"{'':18}" + "".join(f"{column:>13}" for column in (*columns, "run", "of"))]
    total = Counter(case.kind for case in cases())
    for kind in KINDS:
        count = Counter(result["outcome"] for result in results if result["kind"] == kind)
        numbers = (*(count[column] for column in columns), count.total(), total[kind])
        rows.append(f"{kind:18}" + "".join(f"{number:>13}" for number in numbers))
    count = Counter(result["outcome"] for result in results)
    numbers = (*(count[column] for column in columns), count.total(), total.total())
    rows.append(f"{'all':18}" + "".join(f"{number:>13}" for number in numbers))
    return "\n".join(rows)


@cache
def manifest(panel: str) -> tuple[dict[str, str], dict[str, str]]:
    """Cases `panel` is not expected to pass, and those marked slow, each with the reason."""
    content = tomllib.loads(MANIFEST.read_text())
    known = {**content["suite"], **content.get(panel, {}).get("failing", {})}
    slow = content.get(panel, {}).get("slow", {})
    strays = {*known, *slow} - {case.name for case in cases()}
    if strays:
        raise ValueError(f"{MANIFEST.name} names cases that do not exist: {sorted(strays)}")
    return known, slow


def on_panel(panel: Panel) -> Callable[..., None]:
    """A pytest function over all cases. Those of the manifest, and only those, must not pass."""
    known, slow = manifest(panel.name)
    parameters = [
        pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case.name in slow else []) for case in cases()
    ]

    @pytest.mark.parametrize("case", parameters)
    def test_case(case: Case, record_property: Callable[[str, str], None]) -> None:
        result = judge(panel, case)
        outcome = "known" if result.outcome != "passed" and case.name in known else result.outcome
        properties = {"panel": panel.name, "kind": case.kind, "outcome": outcome}
        for name, value in properties.items():  # they travel with the report, from other processes too
            record_property(name, value)
        if outcome == "known":
            pytest.xfail(known[case.name])
        assert result.outcome == "passed", result.detail
        assert case.name not in known, f"stale manifest: it says {known[case.name]!r}, but the case passes"

    return test_case
