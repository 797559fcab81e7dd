"""Bytes that are no protobuf message, or an odd one; versions that nobody knows."""

from __future__ import annotations

import random

from onnx import ModelProto, helper
from tools.hostile.case import ACCEPT, EITHER, SMALL, X, add, model, node, subgraph

BYTES = SMALL.SerializeToString()


def varint(number: int) -> bytes:
    """A number as protobuf writes it."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def tagged(field: int, wire_type: int, content: bytes = b"") -> bytes:
    """A field's tag and its content."""
    return varint(field << 3 | wire_type) + content


def delimited(field: int, content: bytes) -> bytes:
    """A field of bytes."""
    return tagged(field, 2, varint(len(content)) + content)


def edited(**changes: object) -> ModelProto:
    """The small model with other fields."""
    proto = ModelProto()
    proto.CopyFrom(SMALL)
    for name, value in changes.items():
        setattr(proto, name, value)
    return proto


def with_opsets(*imports: tuple[str, int]) -> ModelProto:
    """The small model with other opset imports."""
    proto = edited()
    del proto.opset_import[:]
    proto.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in imports)
    return proto


add("wire/empty", "no bytes at all", b"")
add("wire/zero", "field number 0", b"\0")
add("wire/text", "not protobuf", b"PK\x03\x04 this is an archive, not a model\n" * 10)
for cut in (1, 2, 5, *range(10, len(BYTES), 9), len(BYTES) - 1):
    add(f"wire/truncated-{cut}", "the file ends early", BYTES[:cut], expected=EITHER if cut < 10 else "refuse")
RANDOM = random.Random(1)
for flip in range(64):
    damaged = bytearray(BYTES)
    damaged[RANDOM.randrange(len(BYTES))] ^= 1 << RANDOM.randrange(8)
    add(f"wire/flipped-{flip}", "one bit is wrong", bytes(damaged), expected=EITHER)
add("wire/graph-as-number", "field graph with the wire type of a number", tagged(7, 0, varint(5)))
add(
    "wire/version-as-bytes",
    "field ir_version with the wire type of bytes",
    delimited(1, b"abc") + BYTES,
    expected=EITHER,
)
add("wire/overlong-varint", "a number of eleven bytes", tagged(1, 0, b"\xff" * 10 + b"\x01") + BYTES)
add("wire/overlong-tag", "a tag of eleven bytes", b"\xff" * 10 + b"\x01" + BYTES)
add("wire/length-past-end", "a length of 2^40", BYTES + tagged(7, 2, varint(1 << 40)))
add("wire/length-overflow", "a length of 2^64 - 1", BYTES + tagged(7, 2, varint((1 << 64) - 1)))
add("wire/groups-nested", "20,000 groups, one in the other", BYTES + tagged(15, 3) * 20_000 + tagged(15, 4) * 20_000)
add("wire/groups-open", "a group that never ends", BYTES + tagged(15, 3))
add("wire/group-end-alone", "the end of a group that never began", BYTES + tagged(15, 4))
add("wire/trailing-garbage", "bytes after the message", BYTES + b"\xde\xad\xbe\xef" * 8)
add("wire/bad-utf8-name", "a graph's name that is no UTF-8", BYTES + delimited(7, delimited(2, b"\xff\xfe\x80")))
add("wire/reserved-wire-type", "wire type 7", BYTES + bytes([15 << 3 | 7]))
add(
    "wire/unknown-field",
    "a megabyte in a field of the future",
    BYTES + delimited(999, b"\0" * (1 << 20)),
    expected=ACCEPT,
)
add("wire/no-graph", "a model without a graph", ModelProto(ir_version=10, opset_import=SMALL.opset_import))

for version in (-1, 0, 2, 15, 1 << 40):
    add(f"version/ir-{version}", "an IR version that does not exist", edited(ir_version=version))
for opset in (-1, 0, 29, 1 << 40):
    add(f"version/opset-{opset}", "an opset that does not exist", with_opsets(("", opset)))
add("version/no-opset", "no opset import", with_opsets())
add("version/opsets-disagree", "two versions of one domain", with_opsets(("", 13), ("", 21)))
add("version/opset-twice", "one version of one domain, twice", with_opsets(("", 21), ("ai.onnx", 21)), expected=ACCEPT)
add("version/unused-domain", "an import that no node needs", with_opsets(("", 21), ("com.example", 7)), expected=ACCEPT)
add("version/operator-too-new", "Gelu at opset 13", model([node("Gelu", "x")], constants={"x": X}, opset=13))


def nested_graphs(depth: int) -> ModelProto:
    """If in If in If."""
    leaf = subgraph([node("Identity", "x")], {}, {"y": 1})
    body = leaf
    for _ in range(depth):
        body = subgraph([node("If", "c", then_branch=body, else_branch=leaf)], {}, {"y": 1})
    return model([node("If", "c", then_branch=body, else_branch=leaf)], constants={"x": X, "c": True})


add("wire/graphs-nested-30", "If, thirty deep", nested_graphs(30), expected=EITHER)


def deep_message(depth: int) -> bytes:
    """Messages nested so deep that a reader which recurses runs out of stack: graph in attribute in node in graph."""
    content = b""
    for _ in range(depth):
        content = delimited(1, delimited(5, delimited(6, content)))
    return tagged(1, 0, varint(10)) + delimited(7, content) + delimited(8, tagged(2, 0, varint(21)))


add("wire/messages-nested", "graphs nested 3,000 deep", deep_message(3_000))
