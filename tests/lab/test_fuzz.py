"""`diptych fuzz`: which findings are one, the corpus, the command line; where the text is silent; exact probes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from diptych.cli import main
from diptych.errors import InvalidInputError
from diptych.fuzzer import Campaign, Corpus, Finding, Settings, Signature
from diptych.fuzzer.finding import normal_detail, specials_of
from diptych.fuzzer.relations import RELATIONS
from diptych.fuzzer.variants import with_variants
from diptych.testing import Case, on_reference
from diptych.testing.oracles import judge_outputs
from diptych.testing.silence import unspecified

ABORTS = "tests.lab.adapters:Misbehaving[does=abort,of=Relu]"


def case(op_type: str, opset: int, *inputs: object, **attributes: object) -> Case:
    """A case with one output."""
    return Case(op_type, "", opset, inputs, attributes, 1)


def f32(*values: float) -> np.ndarray:
    """Numbers of binary32."""
    return np.array(values, np.float32)


def test_a_finding_explains_failures_with_more_special_values() -> None:
    signature = Signature("e", "Max", 13, "bits", "", "float32")
    finding = Finding(signature, case("Max", 13, f32(np.nan)), frozenset({"nan"}), "")
    assert finding.explains(signature, frozenset({"nan", "inf"}))
    assert not finding.explains(signature, frozenset({"inf"}))


def test_specials_are_told_by_the_type() -> None:
    assert specials_of(case("Relu", 14, f32(np.nan, -0.0, 1e-40))) == {"nan", "-0", "subnormal"}
    assert specials_of(case("Abs", 13, np.array([-(2**31)], np.int32))) == {"least"}
    assert specials_of(case("Abs", 13, np.zeros((0, 2), np.int32))) == {"empty"}


def test_messages_lose_what_varies() -> None:
    assert normal_detail("node 'a_1' at 0x7f: 3 of 4") == normal_detail("node 'b' at 0x80: 5 of 71")


def test_the_text_is_silent_where_it_is() -> None:
    cast = {"to": TensorProto.INT32}
    assert unspecified(case("Cast", 13, f32(np.nan), **cast))
    assert not unspecified(case("Cast", 13, f32(3.0), **cast))
    assert unspecified(case("Div", 14, np.array([1], np.int32), np.array([0], np.int32)))
    assert not unspecified(case("Div", 14, np.array([1], np.int32), np.array([2], np.int32)))
    assert not unspecified(case("Max", 13, f32(np.nan)))


@pytest.mark.parametrize("a", [f32(1, 2, 3), f32(0, 1 + 2**-20, 0)], ids=["small integers", "one-hot"])
def test_exact_probes_leave_no_room(a: np.ndarray) -> None:
    b = f32(3, 1 + 2**-23, 5) if a[0] == 0 else f32(3, 4, 5)
    probe = case("MatMul", 13, a[None], b[:, None])
    right = on_reference(probe).outputs
    assert not judge_outputs(probe, right, right)[0].wrong
    off = [np.nextafter(right[0], np.float32(np.inf))]
    assert judge_outputs(probe, off, right)[0].kind == "bound"


def test_a_sum_that_rounds_keeps_its_bound() -> None:
    plain = case("MatMul", 13, f32(0.1, 0.7, 0.3)[None], f32(0.3, 0.9, 0.11)[:, None])
    right = on_reference(plain).outputs
    off = [np.nextafter(right[0], np.float32(np.inf))]
    assert not judge_outputs(plain, off, right)[0].wrong


def test_crashes_are_found_kept_and_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["fuzz", "--engine", ABORTS, "--ops", "Relu", "--cases", "4", "--shrink", "5", "--json"]
    assert main([*arguments, "--corpus", str(tmp_path), "--no-repro"]) == 1
    first = json.loads(capsys.readouterr().out)
    assert [f["kind"] for f in first["findings"]] == ["crash"]
    [folder] = tmp_path.iterdir()
    assert {path.name for path in folder.iterdir()} >= {"model.onnx", "inputs.npz", "meta.json"}
    [(_, meta, subject)] = Corpus(tmp_path).entries()
    assert (meta["operator"], subject.op_type) == ("Relu", "Relu")  # type: ignore[union-attr]

    assert main([*arguments, "--corpus", str(tmp_path), "--no-repro"]) == 1
    second = json.loads(capsys.readouterr().out)
    assert [entry["state"] for entry in second["corpus"]] == ["still there"]
    assert len(second["findings"]) == 1


def test_a_mended_finding_is_said_to_be(tmp_path: Path) -> None:
    subject = case("Relu", 14, f32(1.0))
    corpus = Corpus(tmp_path)
    corpus.add(Finding(Signature("reference", "Relu", 14, "bits", "", "float32"), subject, frozenset(), "was wrong"))
    campaign = Campaign(["reference"], Settings(ops=("Relu",), cases=0))
    try:
        assert [entry["state"] for entry in corpus.replay(campaign)] == ["mended"]
    finally:
        campaign.close()


def test_wrong_arguments_have_typed_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuzz", "--ops", "NoSuch"]) == 1
    assert "NoSuch" in capsys.readouterr().err
    assert main(["fuzz", "--engine", "nobody", "--ops", "Relu", "--cases", "1"]) == 1
    assert "nobody" in capsys.readouterr().err
    assert main(["fuzz", "--oracles", "tarot"]) == 1
    assert "tarot" in capsys.readouterr().err
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "meta.json").write_text("{}")
    with pytest.raises(InvalidInputError, match="bad"):
        list(Corpus(tmp_path).entries())


def test_variants_are_of_the_engine_without_options() -> None:
    assert with_variants(["onnxruntime[threads=2]"]) == ["onnxruntime[threads=2]"]
    assert "diptych[passes=off]" in with_variants(["diptych"])


def test_relations_hold_or_say_nothing_of_a_right_engine() -> None:
    from diptych.engines.worker import Worker

    conv = case("Conv", 22, np.arange(32, dtype=np.float32).reshape(2, 1, 4, 4), np.ones((1, 1, 3, 3), np.float32))
    swish = case("HardSwish", 22, f32(-4, -1, 0.5, 8))
    with Worker("reference") as worker:
        for subject, says in ((conv, ("batch", "history", "float64")), (swish, ("body", "float64", "history"))):
            outputs = on_reference(subject).outputs
            found = {name: relation(subject, outputs, worker.run, True) for name, relation in RELATIONS.items()}
            assert not any(found.values()), found
            assert all(found[name] == "" for name in says), found
