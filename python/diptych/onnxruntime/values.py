"""OrtValue, OrtDevice and IOBinding over NumPy arrays: everything is on the CPU."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from diptych.errors import InvalidInputError
from diptych.onnxruntime.errors import translated
from diptych.values import ELEMENT_TYPES, as_array, element_type, numpy_type

if TYPE_CHECKING:
    from diptych.onnxruntime.session import InferenceSession

__all__ = ["IOBinding", "OrtDevice", "OrtValue"]

Array = np.ndarray[Any, Any]


class OrtDevice:
    """A device: the CPU."""

    def __init__(self, device_type: str = "cpu", device_id: int = 0) -> None:
        _check_device(device_type)
        self._id = device_id

    @staticmethod
    def make(ort_device_name: str, device_id: int) -> OrtDevice:
        """Return the device of that name; only "cpu" exists."""
        return OrtDevice(ort_device_name, device_id)

    def device_id(self) -> int:
        """Return the number of the device."""
        return self._id

    def device_type(self) -> int:
        """Return 0, the CPU."""
        return 0


class OrtValue:
    """A tensor, a sequence of tensors, or an optional that holds nothing.

    `declared` is the type of a model's value, which a sequence without tensors and an empty optional do not tell.
    """

    def __init__(self, value: Array | list[Any] | None, declared: str = "") -> None:
        self._value = value
        self._declared = declared.removeprefix("optional(").removesuffix(")" if "optional(" in declared else "")

    @classmethod
    def ortvalue_from_numpy(cls, numpy_obj: Array, device_type: str = "cpu", device_id: int = 0) -> Self:
        """Wrap a copy-free view of an array."""
        _check_device(device_type)
        with translated():
            return cls(as_array(numpy_obj))

    @classmethod
    def ortvalue_from_shape_and_type(
        cls, shape: Sequence[int], element_type: Any, device_type: str = "cpu", device_id: int = 0
    ) -> Self:
        """Return an uninitialised tensor; `element_type` is a NumPy type or a TensorProto number."""
        _check_device(device_type)
        return cls(np.empty(shape, _dtype(element_type)))

    @classmethod
    def from_dlpack(cls, data: Any, /) -> Self:
        """Wrap a DLPack exporter."""
        return cls(np.from_dlpack(data))

    def numpy(self) -> Array:
        """Return the array, without a copy."""
        return self._tensor()

    def shape(self) -> list[int]:
        """Shape of the tensor."""
        return list(self._tensor().shape)

    def data_type(self) -> str:
        """Return "tensor(float)" and the like."""
        if self._value is None or (isinstance(self._value, list) and not self._value):
            return self._declared or "seq(tensor(float))"
        if isinstance(self._value, list):
            first = self._value[0]
            if isinstance(first, dict):
                # A Python float stands for binary32: ZipMap is what makes sequences of maps.
                key, value = (element_type(np.asarray(list(items)).dtype) for items in (first, first.values()))
                return f"seq(map({key},tensor({'float' if value == 'double' else value})))"
            return f"seq(tensor({element_type(first.dtype)}))"
        return f"tensor({element_type(self._value.dtype)})"

    def element_type(self) -> int:
        """Return the element type as a TensorProto number."""
        return ELEMENT_TYPES[element_type(self._tensor().dtype)][0]

    def tensor_size_in_bytes(self) -> int:
        """Bytes of the tensor's elements."""
        return self._tensor().nbytes

    def data_ptr(self) -> int:
        """Address of the first element."""
        return int(self._tensor().ctypes.data)

    def device_name(self) -> str:
        """Return "cpu"."""
        return "cpu"

    def has_value(self) -> bool:
        """Return False for an empty optional."""
        return self._value is not None

    def is_tensor(self) -> bool:
        """Whether it is a dense tensor."""
        return isinstance(self._value, np.ndarray)

    def is_sparse_tensor(self) -> bool:
        """Return False: there are no sparse tensors."""
        return False

    def is_tensor_sequence(self) -> bool:
        """Whether it is a sequence of tensors."""
        return isinstance(self._value, list)

    def update_inplace(self, np_arr: Array) -> None:
        """Overwrite the tensor with an array of its shape and type."""
        target = self._tensor()
        if np_arr.shape != target.shape or np_arr.dtype != target.dtype:
            got, expected = f"{np_arr.dtype}{list(np_arr.shape)}", f"{target.dtype}{list(target.shape)}"
            raise ValueError(f"update_inplace: got {got}, expected {expected}")
        target[...] = np_arr

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self._tensor(), dtype=dtype, copy=copy)

    def __dlpack__(self, **arguments: Any) -> Any:
        return self._tensor().__dlpack__(**arguments)

    def __dlpack_device__(self) -> tuple[int, int]:
        device: tuple[int, int] = self._tensor().__dlpack_device__()
        return device

    def _tensor(self) -> Array:
        """Return the array; RuntimeError for a sequence or an empty optional."""
        if self._value is None or isinstance(self._value, list):
            raise RuntimeError(f"the OrtValue is {'empty' if self._value is None else 'a sequence'}, not a tensor")
        return self._value


class IOBinding:
    """Inputs and outputs of runs, bound to memory ahead of time; for `InferenceSession.run_with_iobinding`."""

    def __init__(self, session: InferenceSession) -> None:
        self._session = session
        self._inputs: dict[str, Any] = {}
        self._targets: dict[str, Array | None] = {}  # None: the engine allocates
        self._outputs: list[OrtValue] = []

    def bind_cpu_input(self, name: str, arr_on_cpu: Array) -> None:
        """Feed an array."""
        self._inputs[name] = arr_on_cpu

    def bind_ortvalue_input(self, name: str, ortvalue: OrtValue) -> None:
        """Feed an OrtValue."""
        self._inputs[name] = ortvalue._value

    def bind_input(
        self, name: str, device_type: str, device_id: int, element_type: Any, shape: Sequence[int], buffer_ptr: int
    ) -> None:
        """Feed the memory at `buffer_ptr`, which the caller keeps alive."""
        _check_device(device_type)
        self._inputs[name] = _array_at(buffer_ptr, element_type, shape)

    def bind_output(
        self,
        name: str,
        device_type: str = "cpu",
        device_id: int = 0,
        element_type: Any = None,
        shape: Sequence[int] | None = None,
        buffer_ptr: int | None = None,
    ) -> None:
        """Ask for an output; with `buffer_ptr` it is written there, to memory that the caller keeps alive."""
        _check_device(device_type)
        if buffer_ptr is not None and (shape is None or element_type is None):
            raise ValueError(f"bind_output {name!r}: a buffer needs its shape and element_type")
        self._targets[name] = None if buffer_ptr is None else _array_at(buffer_ptr, element_type, shape or ())

    def bind_ortvalue_output(self, name: str, ortvalue: OrtValue) -> None:
        """Ask for an output, to be written into an OrtValue."""
        self._targets[name] = ortvalue.numpy()

    def get_outputs(self) -> list[OrtValue]:
        """Outputs of the last run, in the order they were bound."""
        return list(self._outputs)

    def copy_outputs_to_cpu(self) -> list[Any]:
        """Outputs of the last run as arrays."""
        return [value._value for value in self._outputs]

    def clear_binding_inputs(self) -> None:
        """Forget the inputs."""
        self._inputs.clear()

    def clear_binding_outputs(self) -> None:
        """Forget the outputs."""
        self._targets.clear()
        self._outputs = []

    def synchronize_inputs(self) -> None:
        """Do nothing: memory of the CPU is always up to date."""

    def synchronize_outputs(self) -> None:
        """Do nothing: memory of the CPU is always up to date."""

    def run(self, run_options: Any = None) -> None:
        """Run the session on what is bound."""
        results = self._session.run(list(self._targets), self._inputs, run_options)
        outputs = []
        for (name, target), result in zip(self._targets.items(), results, strict=True):
            if target is None:
                outputs.append(OrtValue(result))
                continue
            if result.shape != target.shape or result.dtype != target.dtype:
                got, bound = f"{result.dtype}{list(result.shape)}", f"{target.dtype}{list(target.shape)}"
                with translated():
                    raise InvalidInputError(f"output {name!r} is {got}, bound to {bound}")
            target[...] = result
            outputs.append(OrtValue(target))
        self._outputs = outputs


def _check_device(name: str) -> None:
    """Refuse devices other than the CPU."""
    if name.lower() != "cpu":
        raise RuntimeError(f"device {name!r} is not available; Diptych runs on the CPU")


def _dtype(given: Any) -> np.dtype[Any]:
    """NumPy type of a NumPy type or of a TensorProto number."""
    if isinstance(given, int):
        name = next((name for name, (number, _) in ELEMENT_TYPES.items() if number == given), "")
        return numpy_type(name)
    dtype: np.dtype[Any] = np.dtype(given)
    return dtype


def _array_at(address: int, element_type: Any, shape: Sequence[int]) -> Array:
    """Return a view of memory that belongs to the caller."""
    dtype = _dtype(element_type)
    if dtype.kind == "O":
        raise ValueError("strings cannot be bound by address")
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    buffer = memoryview((ctypes.c_char * size).from_address(address)).cast("B")
    view: Array = np.frombuffer(buffer, dtype).reshape(shape)
    return view
