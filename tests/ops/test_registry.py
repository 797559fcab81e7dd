"""The left panel's registry against `onnx.defs`: versions, arity, attributes and their defaults can not drift."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import onnx
import pytest
from onnx.defs import OpSchema

import diptych_reference
from diptych_reference.operator import Operator, as_attribute

OPTION = OpSchema.FormalParameterOption


def schemas() -> dict[tuple[str, str], dict[int, OpSchema]]:
    """All versions of all operators ONNX knows."""
    found: dict[tuple[str, str], dict[int, OpSchema]] = defaultdict(dict)
    for schema in onnx.defs.get_all_schemas_with_history():
        found[schema.domain, schema.name][schema.since_version] = schema
    return found


SCHEMAS = schemas()
ROWS = [row for versions in diptych_reference.registry.values() for row in versions.values()]


def is_onnx(row: Operator) -> bool:
    return (row.domain, row.op_type) in SCHEMAS


@pytest.mark.parametrize("name", sorted({(row.domain, row.op_type) for row in ROWS if is_onnx(row)}))
def test_every_version_has_a_row(name: tuple[str, str]) -> None:
    """An operator that is defined at all is defined at every since_version (deprecations aside)."""
    expected = {since for since, schema in SCHEMAS[name].items() if not schema.deprecated}
    assert expected <= set(diptych_reference.registry[name]) <= set(SCHEMAS[name])


def default(attribute: OpSchema.Attribute) -> Any:
    """The schema's default as the functions see it, None where there is none."""
    if attribute.default_value.type == onnx.AttributeProto.UNDEFINED:
        return None
    return as_attribute(onnx.helper.get_attribute_value(attribute.default_value))


@pytest.mark.parametrize("row", [row for row in ROWS if is_onnx(row)], ids=lambda row: row.name)
def test_signature_is_onnx_signature(row: Operator) -> None:
    """Inputs and attributes agree with the schema."""
    schema = SCHEMAS[row.domain, row.op_type][row.since]
    assert {*row.required, *row.defaults} == set(schema.attributes)
    for name, attribute in schema.attributes.items():
        if default(attribute) is not None:
            assert row.defaults[name] == default(attribute), name
        # A memory hint is demanded by one old schema and read by nobody.
        assert (name in row.required) == attribute.required or name == "consumed_inputs", name
    variadic = any(parameter.option == OPTION.Variadic for parameter in schema.inputs)
    assert row.max_inputs == (None if variadic else schema.max_input)
    assert row.min_inputs == schema.min_input


FUNCTIONS = list(dict.fromkeys(row.function for row in ROWS if is_onnx(row)))  # in one order in every process


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_no_attribute_is_made_up(function: Callable[..., Any]) -> None:
    """Every attribute of a function belongs to a version it serves, and no version may demand fewer inputs."""
    served = [row for row in ROWS if row.function is function]
    named = {p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY}
    assert named - {"n_outputs", "enclosing"} == {name for row in served for name in (*row.required, *row.defaults)}
    demanded = [p for p in inspect.signature(function).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert sum(p.default is p.empty for p in demanded) <= min(row.min_inputs for row in served)


def test_lookup_takes_the_version_in_force() -> None:
    assert diptych_reference.lookup("", "Softmax", 12).since == 11
    assert diptych_reference.lookup("ai.onnx", "Softmax", 13).since == 13


def test_lookup_never_falls_back_to_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {since: row for since, row in diptych_reference.registry["", "Softmax"].items() if since != 13}
    monkeypatch.setitem(diptych_reference.registry, ("", "Softmax"), rows)
    with pytest.raises(diptych_reference.UnsupportedOperatorError, match="since_version 13"):
        diptych_reference.lookup("", "Softmax", 20)


def test_users_can_register_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(diptych_reference.registry, ("com.example", "Twice"), {})

    @diptych_reference.operator("Twice", since=2, domain="com.example")
    def twice(x: Any, *, offset: int = 0) -> Any:
        return x + x + offset

    [y] = diptych_reference.run_operator("Twice", [3], {"offset": 1}, opset=5, domain="com.example")
    assert y == 7
    with pytest.raises(diptych_reference.UnsupportedOperatorError):
        diptych_reference.run_operator("Twice", [3], opset=1, domain="com.example")
