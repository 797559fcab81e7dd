"""Test-case reduction: from a model on which an engine fails to the smallest one on which it fails alike.

    from diptych.reducer import reduce_failure, write_repro

    reduction = reduce_failure("model.onnx", feeds, "onnxruntime")
    write_repro(reduction, "repro")      # model.onnx, inputs.npz, test_repro.py

On the command line `diptych reduce` (docs/how-to/reduce-a-failure.md). Needs the extra `diptych[lab]`.
"""

from diptych.bundle import read_bundle, write_bundle
from diptych.reducer.candidate import Candidate
from diptych.reducer.check import CheckTrial, load_check
from diptych.reducer.failure import Failure, NoFailureError
from diptych.reducer.reduction import Limits, Reduction, reduce_failure
from diptych.reducer.repro import write_repro
from diptych.reducer.trial import EngineTrial, Look, Trial

__all__ = [
    "Candidate",
    "CheckTrial",
    "EngineTrial",
    "Failure",
    "Limits",
    "Look",
    "NoFailureError",
    "Reduction",
    "Trial",
    "load_check",
    "read_bundle",
    "reduce_failure",
    "write_bundle",
    "write_repro",
]
