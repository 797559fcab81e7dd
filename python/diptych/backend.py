"""The ONNX Backend API (onnx.backend.base) over Diptych's engine. Needs the onnx package.

import diptych.backend
diptych.backend.prepare(model).run([x])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from onnx import helper
from onnx.backend.base import Backend, BackendRep

from diptych.errors import Error, InvalidInputError
from diptych.operator import run_operator
from diptych.options import SessionOptions
from diptych.session import InferenceSession

__all__ = [
    "DiptychBackend",
    "DiptychRep",
    "is_compatible",
    "prepare",
    "run",
    "run_model",
    "run_node",
    "supports_device",
]


class DiptychRep(BackendRep):
    """A prepared model."""

    def __init__(self, session: InferenceSession) -> None:
        self.session = session

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Run on a list of values in the inputs' order, on a dict by name, or on the single input itself."""
        names = [value.name for value in self.session.get_inputs()]
        if isinstance(inputs, Mapping):
            feeds = dict(inputs)
        elif isinstance(inputs, list | tuple):
            if len(inputs) != len(names):
                raise InvalidInputError(f"got {len(inputs)} inputs; the model has {len(names)}: {names}")
            feeds = dict(zip(names, inputs, strict=True))
        else:
            feeds = {names[0]: inputs} if names else {}
        return tuple(self.session.run(None, feeds))


class DiptychBackend(Backend):
    """Prepares models and runs nodes on the CPU."""

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether a device such as "CPU" or "CPU:0" can be used."""
        return device.partition(":")[0].upper() == "CPU"

    @classmethod
    def is_compatible(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether the engine loads the model."""
        if not cls.supports_device(device):
            return False
        try:
            cls.prepare(model, device, **kwargs)
        except Error:
            return False
        return True

    @classmethod
    def prepare(cls, model: onnx.ModelProto | bytes | str, device: str = "CPU", **kwargs: Any) -> DiptychRep:
        """Load a model; keyword arguments are those of `SessionOptions`."""
        cls._check_device(device)
        return DiptychRep(InferenceSession(model, SessionOptions(**kwargs)))

    @classmethod
    def run_model(cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any) -> tuple[Any, ...]:
        """Load a model and run it once."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Sequence[Any],
        device: str = "CPU",
        outputs_info: Any = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Run one node; `opset_version` chooses the version, by default the newest of the engine."""
        cls._check_device(device)
        attributes = {a.name: _attribute(a) for a in node.attribute}
        operands = list(inputs)
        if len(operands) != len(node.input):  # absent inputs may be left out of the list, as ONNX's own tests do
            values = iter(operands)
            operands = [next(values, None) if name else None for name in node.input]
        return tuple(
            run_operator(
                node.op_type,
                operands,
                attributes,
                opset=kwargs.get("opset_version"),
                domain=node.domain,
                n_outputs=len(node.output),
            )
        )

    @classmethod
    def _check_device(cls, device: str) -> None:
        """Refuse other devices."""
        if not cls.supports_device(device):
            raise InvalidInputError(f"device {device!r} is not available; Diptych runs on the CPU")


def _attribute(attribute: onnx.AttributeProto) -> Any:
    """Return the value of an attribute as `run_operator` takes it."""
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    if isinstance(value, list) and value and isinstance(value[0], bytes):
        return [item.decode() for item in value]
    return list(value) if attribute.type in (onnx.AttributeProto.INTS, onnx.AttributeProto.FLOATS) else value


is_compatible = DiptychBackend.is_compatible
prepare = DiptychBackend.prepare
run = DiptychBackend.run_model
run_model = DiptychBackend.run_model
run_node = DiptychBackend.run_node
supports_device = DiptychBackend.supports_device
