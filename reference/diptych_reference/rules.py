"""Rules that a model keeps as a whole: versions, names, and how far its functions expand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import onnx
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto

from diptych_reference.errors import InvalidModelError, ResourceLimitError

IR_VERSIONS = range(3, 15)  # before 3 models had no opset imports
MAX_NODES = 1_000_000  # nodes that the functions of a model may come to, each call counted
MAX_DEPTH = 100  # subgraphs and calls, one inside the other

Key = tuple[str, str, str]  # domain, name and overload of a function


def normal(domain: str) -> str:
    """Both spellings of the default domain become the empty one."""
    return "" if domain == "ai.onnx" else domain


def opset_imports(imports: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    """Version of each imported domain."""
    versions: dict[str, int] = {}
    latest = onnx.defs.onnx_opset_version()
    for entry in imports:
        domain = normal(entry.domain)
        if not domain and not 1 <= entry.version <= latest:
            raise InvalidModelError(f"opset {entry.version} of ai.onnx: this reference knows 1 to {latest}")
        if versions.setdefault(domain, entry.version) != entry.version:
            raise InvalidModelError(f"opset imports of {domain!r} disagree: {versions[domain]} and {entry.version}")
    return versions


def check_model(proto: ModelProto) -> None:
    """IR version, a graph, functions of different names that do not call themselves or expand without bound."""
    if not proto.HasField("graph"):
        raise InvalidModelError("the model has no graph")
    if proto.ir_version not in IR_VERSIONS:
        known = f"{IR_VERSIONS[0]} to {IR_VERSIONS[-1]}"
        raise InvalidModelError(f"IR version {proto.ir_version}: this reference knows {known}")
    check_functions(proto)


def check_names(proto: GraphProto) -> None:
    """Inputs among themselves, and initializers among themselves, have different names; all are UTF-8."""
    outputs = (name for node in proto.node for name in node.output)
    for name in (proto.name, *(value.name for value in proto.input), *outputs):
        if isinstance(name, bytes):  # what protobuf gives for a string that is none
            raise InvalidModelError(f"the name {name!r} is not UTF-8")
    sparse = [tensor.values.name for tensor in proto.sparse_initializer]
    check_different("input", [value.name for value in proto.input])
    check_different("initializer", [tensor.name for tensor in proto.initializer] + sparse)


def check_different(what: str, names: list[str]) -> None:
    """No name comes twice."""
    for name, count in Counter(names).items():
        if count > 1:
            raise InvalidModelError(f"{what} {name!r} is defined {count} times")


def nested(nodes: Iterable[NodeProto]) -> Iterator[tuple[NodeProto, int]]:
    """All nodes with those of their graphs, and how many graphs each is inside of."""
    stack = [(node, 0) for node in nodes]
    while stack:
        node, depth = stack.pop()
        yield node, depth
        for attribute in node.attribute:
            graphs = [attribute.g] if attribute.type == AttributeProto.GRAPH else attribute.graphs
            stack += [(inner, depth + 1) for graph in graphs for inner in graph.node]


def check_functions(proto: ModelProto) -> None:
    """Count the nodes that each function comes to once its calls are expanded, callees before callers."""
    functions: dict[Key, FunctionProto] = {}
    for function in proto.functions:
        key = (normal(function.domain), function.name, function.overload)
        if key in functions:
            raise InvalidModelError(f"function {function.name!r} of domain {function.domain!r} is defined twice")
        functions[key] = function
    sizes: dict[Key, tuple[int, int]] = {}  # nodes and depth, expanded
    for key in functions:
        measure(key, functions, sizes)
    expanded(proto.graph.node, functions, sizes)


def measure(key: Key, functions: dict[Key, FunctionProto], sizes: dict[Key, tuple[int, int]]) -> None:
    """Fill in the size of a function and of those it calls, without recursion."""
    path: list[Key] = [key]
    while path:
        current = path[-1]
        calls = {called for node, _ in nested(functions[current].node) if (called := callee(node)) in functions}
        missing = [called for called in calls if called not in sizes]
        if not missing:
            sizes[current] = expanded(functions[current].node, functions, sizes)
            path.pop()
        elif missing[0] in path:
            raise InvalidModelError(f"function {missing[0][1]!r} calls itself; ONNX has no recursion")
        else:
            path.append(missing[0])


def callee(node: NodeProto) -> Key:
    """The function that a node calls, if there is one of that name."""
    return normal(node.domain), node.op_type, node.overload


def expanded(
    nodes: Iterable[NodeProto], functions: dict[Key, FunctionProto], sizes: dict[Key, tuple[int, int]]
) -> tuple[int, int]:
    """Nodes and depth of a list of nodes whose callees have been measured."""
    total, deepest = 0, 0
    for node, depth in nested(nodes):
        count, inner = sizes.get(callee(node), (1, 0)) if callee(node) in functions else (1, 0)
        total, deepest = total + count, max(deepest, depth + inner + (callee(node) in functions))
        if functions and total > MAX_NODES:
            raise ResourceLimitError(f"the model's functions come to more than {MAX_NODES} nodes once expanded")
        if deepest > MAX_DEPTH:
            raise ResourceLimitError(f"subgraphs and calls of functions are nested more than {MAX_DEPTH} deep")
    return total, deepest
