"""Other engines as the suite sees them: the same cases, data and tolerances as for the panels."""

from __future__ import annotations

from collections.abc import Callable

from diptych.engines import find_engine

from .suite import Panel
from .test_engine import EnginePanel
from .test_reference import ReferencePanel

PANELS: dict[str, Callable[[], Panel]] = {
    "engine": EnginePanel,
    "reference": ReferencePanel,
    **{name: lambda name=name: find_engine(name)() for name in ("onnx.reference", "onnxruntime", "openvino")},
}
