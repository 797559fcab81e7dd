"""Graphs that are none: cycles, names that clash or lead nowhere, wrong operands, functions without end."""

from __future__ import annotations

import itertools

import onnx
from onnx import FunctionProto, ModelProto, TensorProto, helper
from tools.hostile.case import ACCEPT, OPSET, X, add, model, node, subgraph

F, B, I64 = TensorProto.FLOAT, TensorProto.BOOL, TensorProto.INT64
GIVEN = {"x": X}


def with_attributes(*attributes: onnx.AttributeProto) -> ModelProto:
    """A LeakyRelu with these attributes."""
    leaky = node("LeakyRelu", "x")
    leaky.attribute.extend(attributes)
    return model([leaky], constants=GIVEN)


add(
    "graph/cycle",
    "two nodes that wait for each other",
    model([node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "a")], constants=GIVEN),
)
add("graph/self-cycle", "a node that waits for itself", model([node("Add", "x y", "y")], constants=GIVEN))
add("graph/output-twice", "two nodes write one value", model([node("Relu", "x"), node("Abs", "x")], constants=GIVEN))
add(
    "graph/output-is-initializer",
    "a node writes an initializer",
    model([node("Relu", "x", "x"), node("Abs", "x")], constants=GIVEN),
)
add(
    "graph/output-is-input",
    "a node writes an input",
    model([node("Relu", "x", "x"), node("Abs", "x")], inputs={"x": (F, [2, 3])}),
    GIVEN,
)
add(
    "graph/output-twice-in-node",
    "a node names one output twice",
    model([node("TopK", "x k", "y y", axis=1)], constants={**GIVEN, "k": [1]}),
)
add("graph/input-twice", "an input is declared twice", lambda _: twice("input"), {"x": X})
add("graph/initializer-twice", "an initializer is there twice", lambda _: twice("initializer"))
add("graph/undefined-input", "a value that nobody makes", model([node("Relu", "nowhere")]))
add("graph/undefined-output", "an output that nobody makes", model([node("Relu", "x", "z")], constants=GIVEN))
add("graph/no-nodes", "an output, but no node", model([]))
add("graph/missing-operand", "Add of one operand", model([node("Add", "x")], constants=GIVEN))
add("graph/absent-operand", "Add of nothing and x", model([node("Add", "_ x")], constants=GIVEN))
add("graph/extra-operand", "Relu of two operands", model([node("Relu", "x x")], constants=GIVEN))
add("graph/extra-output", "Relu with two outputs", model([node("Relu", "x", "y z")], constants=GIVEN))
add("graph/unknown-operator", "an operator that ONNX does not have", model([node("Frobnicate", "x")], constants=GIVEN))
add(
    "graph/unknown-domain",
    "a domain that nobody knows",
    model([node("Relu", "x", domain="com.example")], constants=GIVEN, domains=["com.example"]),
)
add(
    "graph/domain-not-imported",
    "a domain that is not imported",
    model([node("Relu", "x", domain="com.example")], constants=GIVEN),
)
add(
    "graph/private-format",
    "a node of ONNX Runtime's saved graphs",
    model([node("Conv", "x x", domain="com.microsoft.nchwc")], constants=GIVEN, domains=["com.microsoft.nchwc"]),
)
add(
    "graph/unknown-attribute",
    "an attribute that Relu does not have",
    model([node("Relu", "x", slope=0.1)], constants=GIVEN),
)
add("graph/attribute-of-wrong-kind", "alpha is a string", with_attributes(helper.make_attribute("alpha", "big")))
add(
    "graph/attribute-twice",
    "alpha is there twice",
    with_attributes(*[helper.make_attribute("alpha", a) for a in (0.1, 0.2)]),
)
add("graph/attribute-without-name", "an attribute without a name", with_attributes(helper.make_attribute("", 0.1)))
add(
    "graph/attribute-without-type",
    "an attribute whose type is undefined",
    with_attributes(onnx.AttributeProto(name="alpha")),
)
add("graph/missing-attribute", "Concat without an axis", model([node("Concat", "x x")], constants=GIVEN))
add(
    "graph/reference-outside-function",
    "an attribute that refers to a function's, in no function",
    with_attributes(onnx.AttributeProto(name="alpha", ref_attr_name="a", type=onnx.AttributeProto.FLOAT)),
)
add("graph/wrong-type", "Add of float and int64", model([node("Add", "x i")], constants={**GIVEN, "i": [1, 2, 3]}))
add(
    "graph/branch-captures-nothing",
    "a branch reads a value that is nowhere",
    model(
        [
            node(
                "If",
                "c",
                then_branch=subgraph([node("Relu", "nowhere")], {}, {"y": F}),
                else_branch=subgraph([node("Relu", "x")], {}, {"y": F}),
            )
        ],
        constants={**GIVEN, "c": True},
    ),
)
add(
    "graph/branches-disagree",
    "branches with another number of outputs",
    model(
        [
            node(
                "If",
                "c",
                then_branch=subgraph([node("Relu", "x")], {}, {"y": F}),
                else_branch=subgraph([node("Relu", "x", "z")], {}, {"z": F, "w": F}),
            )
        ],
        constants={**GIVEN, "c": True},
    ),
)
add(
    "graph/not-sorted",
    "nodes in the wrong order",
    model([node("Relu", "a"), node("Abs", "x", "a")], constants=GIVEN),
    expected=ACCEPT,
)
add(
    "graph/odd-names",
    "names that are JSON, empty lines and Japanese",
    model(
        [
            node(
                "Relu",
                "x",
                [
                    '{"a": 1}\n',
                ],
            ),
            helper.make_node("Abs", ['{"a": 1}\n'], ["出力"]),
        ],
        constants=GIVEN,
        outputs=["出力"],
    ),
    expected=ACCEPT,
)


def twice(field: str) -> bytes:
    """A model with one entry of a graph's list repeated."""
    proto = (
        model([node("Relu", "x")], inputs={"x": (F, [2, 3])})
        if field == "input"
        else model([node("Relu", "x")], constants=GIVEN)
    )
    entries = getattr(proto.graph, field)
    entries.append(entries[0])
    return bytes(proto.SerializeToString())


def function(name: str, nodes: list[onnx.NodeProto], inputs: str = "x", outputs: str = "y") -> FunctionProto:
    """A function of the domain `local`."""
    imports = [helper.make_opsetid("", OPSET), helper.make_opsetid("local", 1)]
    return helper.make_function("local", name, inputs.split(), outputs.split(), nodes, imports)


def calls(name: str, functions: list[FunctionProto], inputs: str = "x") -> ModelProto:
    """A model that calls a function."""
    return model([node(name, inputs, domain="local")], constants=GIVEN, functions=functions, domains=["local"])


def bomb(levels: int, width: int) -> ModelProto:
    """Functions of which each calls the one before `width` times: width^levels nodes when inlined."""
    functions = [function("f0", [node("Relu", "x")])]
    for level in range(1, levels + 1):
        names = ["x", *(f"t{i}" for i in range(width - 1)), "y"]
        body = [node(f"f{level - 1}", a, b, domain="local") for a, b in itertools.pairwise(names)]
        functions.append(function(f"f{level}", body))
    return calls(f"f{levels}", functions)


add(
    "function/calls-itself",
    "a function that calls itself",
    calls("f", [function("f", [node("f", "x", domain="local")])]),
)
add(
    "function/mutual",
    "two functions that call each other",
    calls("f", [function("f", [node("g", "x", domain="local")]), function("g", [node("f", "x", domain="local")])]),
)
add(
    "function/twice",
    "two functions of one name",
    calls("f", [function("f", [node("Relu", "x")]), function("f", [node("Abs", "x")])]),
)
add("function/bomb", "10^12 nodes when inlined", bomb(12, 10))
add("function/chain", "functions called 500 deep", bomb(500, 1), expected="either")
add("function/undefined-value", "a body that reads what is nowhere", calls("f", [function("f", [node("Add", "x z")])]))
add(
    "function/undefined-output",
    "an output that the body does not make",
    calls("f", [function("f", [node("Relu", "x", "z")])]),
)
add(
    "function/too-many-operands",
    "called with more than it takes",
    calls("f", [function("f", [node("Relu", "x")])], "x x x"),
)
add(
    "function/sees-no-outer-value",
    "a body that reads a value of its caller",
    model(
        [node("f", "x", domain="local")],
        constants={**GIVEN, "outer": X},
        functions=[function("f", [node("Add", "x outer")])],
        domains=["local"],
    ),
)
