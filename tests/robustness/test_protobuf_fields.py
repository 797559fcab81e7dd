"""The engine's hand-written protobuf messages against the descriptors of the onnx package."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

SOURCE = Path(__file__).parents[2] / "rust_core/engine/src/onnx/proto.rs"

# Messages that onnx nests in others, and Rust messages that stand for several alike.
MESSAGES = {
    "Segment": ["TensorProto.Segment"],
    "TensorTypeProto": ["TypeProto.Tensor", "TypeProto.SparseTensor"],
    "ElementTypeProto": ["TypeProto.Sequence", "TypeProto.Optional"],
    "MapTypeProto": ["TypeProto.Map"],
    "OpaqueTypeProto": ["TypeProto.Opaque"],
    "Dimension": ["TensorShapeProto.Dimension"],
    "TypeValue": ["TypeProto"],
    "DimensionValue": ["TensorShapeProto.Dimension"],
}
KINDS = {
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_ENUM: "int32",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_FLOAT: "float",
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_MESSAGE: "message",
}
ITEM = re.compile(r"pub (?:struct|enum) (\w+) \{(.*?)\n\}", re.DOTALL)
FIELD = re.compile(r'#\[prost\((\w+)([^]]*?)tag = "(\d+)"\)\]\s*(?:pub )?(?:r#)?(\w+)')


def descriptor(path: str) -> Descriptor:
    """The message of that dotted name."""
    outer, *inner = path.split(".")
    found: Descriptor = getattr(onnx, outer).DESCRIPTOR
    for name in inner:
        found = found.nested_types_by_name[name]
    return found


def fields() -> list[tuple[str, str, str, str, int]]:
    """(message, field, kind, options, number) of every field in the Rust source."""
    found = []
    for item, body in ITEM.findall(SOURCE.read_text()):
        for kind, options, number, name in FIELD.findall(body):
            snake = re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower()
            found += [(path, snake, kind, options, int(number)) for path in MESSAGES.get(item, [item])]
    return found


def test_every_field_is_found() -> None:
    source = SOURCE.read_text()
    assert sum(len(FIELD.findall(body)) for _, body in ITEM.findall(source)) == source.count(" tag = ")


@pytest.mark.parametrize(("message", "field", "kind", "options", "number"), fields())
def test_field(message: str, field: str, kind: str, options: str, number: int) -> None:
    want = descriptor(message).fields_by_name[field]
    assert number == want.number
    assert kind == KINDS[want.type]
    assert ("repeated" in options) == want.is_repeated


def test_attribute_types() -> None:
    body = re.search(r"pub enum AttributeType \{(.*?)\}", SOURCE.read_text(), re.DOTALL)
    assert body is not None
    ours = {re.sub(r"(?<=[a-z])([A-Z])", r"_\1", n).upper(): int(v) for n, v in re.findall(r"(\w+) = (\d+)", body[1])}
    theirs = dict(onnx.AttributeProto.AttributeType.items())
    del theirs["UNDEFINED"]
    assert ours == theirs
