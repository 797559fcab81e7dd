"""The text of test_repro.py."""

from __future__ import annotations

import inspect
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx.printer

from diptych import bundle
from diptych.engines import parse_spec
from diptych.reducer import standalone
from diptych.reducer.literals import literal
from diptych.reducer.reduction import Reduction
from diptych.reducer.rightness import Rightness

__all__ = ["repro_text"]

FEW = 8  # elements of an input that are shown there too
LINES = 40  # of a model's text in the docstring
RUNNERS = {
    "onnxruntime": standalone.run_onnxruntime,
    "onnx.reference": standalone.run_onnx_reference,
    "reference": standalone.run_reference,
}

ADAPTER = '''\
sys.path.insert(0, str(HERE))
try:
    import diptych.engines
except ModuleNotFoundError:  # an adapter needs no more of Diptych than this class

    class Engine:
        name, unsupported, takes = "", (NotImplementedError,), {{}}

        def __init__(self, threads=1, options=None):
            self.threads, self.options = threads, dict(options or {{}})

    engines = types.ModuleType("diptych.engines")
    engines.Engine, engines.Run = Engine, object
    sys.modules.update({{"diptych": types.ModuleType("diptych"), "diptych.engines": engines}})

from {module} import {attribute} as EngineUnderTest


def run():
    """Outputs of the engine."""
    return list(EngineUnderTest({threads}, {options!r}).prepare(MODEL)(read_inputs()))
'''

WITH_DIPTYCH = '''\
from diptych.engines import make_engine


def run():
    """Outputs of the engine."""
    return list(make_engine({spec!r}, {threads}).prepare(MODEL)(read_inputs()))
'''

WITH_RUNNER = '''\
{source}

def run():
    """Outputs of the engine."""
    return {name}(MODEL, read_inputs(), threads={threads})
'''

PLAIN_INPUTS = '''\
def read_inputs():
    """Inputs by name."""
    with np.load(HERE / "inputs.npz", allow_pickle=False) as arrays:
        return dict(arrays)
'''

INPUTS = '''\
{unpack}

def read_inputs():
    """Inputs by name."""
    with np.load(HERE / "inputs.npz", allow_pickle=False) as arrays:
        return unpack(dict(arrays))
'''

STORED = """\
with np.load(HERE / "expected.npz", allow_pickle=False) as arrays:
    STORED = unpack(dict(arrays))
"""

OUTPUTS_TEST = """\
def test_repro():
    outputs = run()
    assert len(outputs) == len(EXPECTED), f"{len(outputs)} outputs, expected {len(EXPECTED)}"
    for number, (got, (kind, *right)) in enumerate(zip(outputs, EXPECTED)):
        if kind == "bits":
            assert same(right[0], got), f"output {number} is {got}, expected the bits of {right[0]}"
            continue
        dtype, shape = right[:2]
        if dtype is not None:
            got = np.asarray(got)
            found = got.dtype.name, list(got.shape)
            assert found == (dtype, shape), f"output {number} is {found}, expected {(dtype, shape)}"
        if kind == "bound":
            fine = within(*right[2:], got)
            at = tuple(np.unravel_index(np.argmin(fine), fine.shape)) if fine.size else ()
            away = f"{right[2][at]} up to {right[3][at]}, {np.sum(~fine)} of {fine.size} elements"
            assert fine.all(), f"output {number} at {[*map(int, at)]}: {got[at]}, expected {away}"
"""

EXPECTED = """\
# One item an output: "bits" and the value; "type", dtype and shape; or "bound", dtype, shape, exact values, how far
# from them, the greatest number of the type, whether the sign of zero is certain.
"""

ENDS_TEST = '''\
def test_repro():
    """The engine runs the model."""
    run()
'''

PROCESS_TEST = '''\
def test_repro():
    """The engine ends the run, and not the process with it."""
    try:
        done = subprocess.run([sys.executable, __file__, "run"], timeout={timeout!r})
    except subprocess.TimeoutExpired:
        raise AssertionError("the engine hangs: no answer within {timeout:g} s") from None
    assert done.returncode == 0, f"the engine's process died: exit status {{done.returncode}}"
'''

COMMAND_TEST = '''\
def test_repro():
    """The command says, by another exit status than 0, that the failure is gone."""
    done = subprocess.run([*{words!r}, str(MODEL), str(HERE / "inputs.npz")])
    assert done.returncode != 0, "the failure is there"
'''

FUNCTION_TEST = '''\
def test_repro():
    """The check says that the failure is gone."""
    says = {name}(MODEL, read_inputs())
    assert not says, f"the failure is there: {{says}}"
'''


def repro_text(reduction: Reduction, right: Rightness, hang_after: float) -> str:
    """Source of the test."""
    kind = reduction.failure.kind
    parts = [*_head(reduction), _inputs(reduction, right)]
    if reduction.check:
        parts.append(_check(reduction.check))
    else:
        parts.append(_runner(reduction))
        parts += _test(reduction, right, hang_after + 20.0)
    process = kind in ("crash", "hang")
    last = 'run() if sys.argv[1:] == ["run"] else test_repro()' if process else "test_repro()"
    body = "\n\n".join(part.strip("\n") + "\n" for part in parts if part)
    text = f'{body}\n\nif __name__ == "__main__":\n    {last}\n'
    return _with_imports(text)


def _head(reduction: Reduction) -> Iterator[str]:
    """The docstring: what fails, how, and the model."""
    who = reduction.engine or reduction.check
    text = onnx.printer.to_text(reduction.model) if reduction.candidate.path is None else ""
    lines = text.splitlines()
    shown = [line if len(line) <= 110 else f"{line[:107]}..." for line in lines[:LINES]]
    shown += [f"... {len(lines) - LINES} more lines"] if len(lines) > LINES else []
    failure = textwrap.shorten(str(reduction.failure), 400, placeholder=" ...")
    about = textwrap.fill(f"{who}: {failure}", 110, break_long_words=False, break_on_hyphens=False)
    shown += [f"{name} = {literal(value)}" for name, value in reduction.feeds.items() if np.size(value) <= FEW]
    body = "\n".join(f"    {line}" for line in shown)
    text = f"{about}\n\n{body}\n\nMade by `diptych reduce`. It fails while the failure is there."
    escaped = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    yield f'"""{escaped}\n"""\n\nIMPORTS\n\nHERE = Path(__file__).resolve().parent\nMODEL = HERE / "model.onnx"\n'


def _inputs(reduction: Reduction, right: Rightness) -> str:
    """The function that reads the inputs, and what is stored."""
    packed = bundle.pack(reduction.feeds)
    plain = packed.keys() == reduction.feeds.keys()
    if plain and not right.stored:
        return PLAIN_INPUTS
    unpack = f"{_source(bundle.unpack)}\n\n{_source(bundle._assembled)}"
    inputs = INPUTS.format(unpack=unpack)
    return f"{inputs}\n\n{STORED}" if right.stored else inputs


def _runner(reduction: Reduction) -> str:
    """The function that runs the engine."""
    name, options = parse_spec(reduction.engine)
    threads = int(options.pop("threads", reduction.threads))
    if ":" in name:
        module, _, attribute = name.partition(":")
        return ADAPTER.format(module=module, attribute=attribute, threads=threads, options=options)
    runner = RUNNERS.get(name)
    if runner is None or options:
        return WITH_DIPTYCH.format(spec=reduction.engine, threads=threads)
    return WITH_RUNNER.format(source=_source(runner), name=runner.__name__, threads=threads)


def _test(reduction: Reduction, right: Rightness, timeout: float) -> Iterator[str]:
    """The test and what it calls."""
    kind = reduction.failure.kind
    if kind in ("crash", "hang"):
        yield PROCESS_TEST.format(timeout=timeout)
    elif kind in ("error", "refused"):
        yield ENDS_TEST
    else:
        items = "".join(f"    {item},\n" for item in right.items)
        yield f"{EXPECTED}EXPECTED = [\n{items}]\n"
        if any(item.startswith('("bits"') for item in right.items):
            yield _source(standalone.same)
        if any(item.startswith('("bound"') for item in right.items):
            yield _source(standalone.within)
        yield OUTPUTS_TEST


def _check(spec: str) -> str:
    """The test of a check."""
    where, colon, name = spec.rpartition(":")
    if not colon or not name.isidentifier() or any(c.isspace() for c in where):
        return COMMAND_TEST.format(words=shlex.split(spec))
    if where.endswith(".py"):
        path = Path(where).resolve()
        load = f"sys.path.insert(0, {str(path.parent)!r})\nfrom {path.stem} import {name}\n"
    else:
        load = f"from {where} import {name}\n"
    return f"{load}\n\n{FUNCTION_TEST.format(name=name)}"


def _source(function: Any) -> str:
    """Source of a function."""
    return textwrap.dedent(inspect.getsource(function))


def _with_imports(text: str) -> str:
    """The text with the modules that it uses."""
    plain = {"subprocess": "subprocess.", "sys": "sys.", "types": "types."}
    lines = [
        "from __future__ import annotations",
        "",
        *(f"import {name}" for name, use in plain.items() if use in text),
    ]
    lines += ["from collections.abc import Mapping"] * ("Mapping[" in text) + ["from pathlib import Path"]
    lines += ["from typing import Any"] * ("Any" in text)
    third = [f"import {name}" for name, use in {"ml_dtypes": "ml_dtypes.", "numpy as np": "np."}.items() if use in text]
    return text.replace("IMPORTS", "\n".join([*lines, "", *third]).strip("\n"), 1)
