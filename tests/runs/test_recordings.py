"""Recordings: what a live engine answered, replayed bit for bit; any changed byte is noticed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stub_study import StubEngine

from numdl_bridge.errors import BadInputError, EngineError, NumDLError, TamperedError
from numdl_bridge.runs.recordings import RecordedEngine, against_recording, record, recording_key
from numdl_bridge.studies.observation import Timing


@pytest.fixture
def asked(stubs):
    study = stubs["stub"]
    options = study.configure()
    return study, options, study.inputs(options)


def test_replay_is_bit_for_bit_and_labelled(asked, tmp_path: Path) -> None:
    live = StubEngine("julia").observe(*asked)
    live.timings.append(Timing("forward", "kernel", (1e-3, 1.1e-3)))
    live.radii["loss"] = np.array(1e-30)
    path = record(live, tmp_path)
    replayed = RecordedEngine("julia", tmp_path).observe(*asked)
    assert replayed.recorded is not None
    assert replayed.recorded.startswith("20")
    assert replayed.timings == live.timings
    assert replayed.provenance == live.provenance
    assert path.parent.name == "stub"
    assert set(replayed.values) == set(live.values)
    for name, value in live.values.items():
        assert replayed.values[name].tobytes() == value.tobytes()
        assert replayed.values[name].dtype == value.dtype
    assert replayed.radii["loss"] == 1e-30


def test_only_live_answers_to_the_study_s_own_inputs_are_recorded(asked, tmp_path: Path) -> None:
    live = StubEngine("julia").observe(*asked)
    with pytest.raises(BadInputError, match="itself a recording"):
        record(replace(live, recorded="2026-01-01"), tmp_path)
    with pytest.raises(BadInputError, match="provenance"):
        record(replace(live, provenance={}), tmp_path)
    with pytest.raises(BadInputError, match="other inputs"):
        record(replace(live, input_hash="1" * 64), tmp_path)
    assert not list(tmp_path.rglob("*.json"))


def test_another_question_has_no_recording(asked, tmp_path: Path) -> None:
    study, options, inputs = asked
    engine = RecordedEngine("julia", tmp_path)
    assert "numdl record" in str(engine.missing())
    record(StubEngine("julia").observe(*asked), tmp_path)
    assert engine.missing() is None
    assert engine.missing_for(*asked) is None
    other = study.configure(seed=99)
    with pytest.raises(EngineError, match=r"other options or inputs.*numdl record stub"):
        engine.observe(study, other, study.inputs(other))
    with pytest.raises(EngineError, match="no recording"):
        engine.observe(study, options, {**inputs, "x": inputs["x"] + 1e-16 + 1e-9})
    assert RecordedEngine("rust", tmp_path).missing() is not None


def test_key_depends_on_every_option_and_not_on_their_order() -> None:
    key = recording_key({"a": 1, "b": 0.5}, "hash")
    assert key == recording_key({"b": 0.5, "a": 1}, "hash")
    assert key != recording_key({"a": 1, "b": 0.25}, "hash")
    assert key != recording_key({"a": 1, "b": 0.5}, "hush")


def test_every_changed_byte_is_noticed(asked, tmp_path: Path) -> None:
    path = record(StubEngine("julia").observe(*asked), tmp_path)
    engine = RecordedEngine("julia", tmp_path)
    for file in (path, path.with_suffix(".npz")):
        good = file.read_bytes()
        for i in range(len(good)):
            file.write_bytes(good[:i] + bytes([good[i] ^ 0x10]) + good[i + 1 :])
            with pytest.raises(TamperedError):
                engine.observe(*asked)
        for cut in (0, 1, len(good) // 2, len(good) - 1):
            file.write_bytes(good[:cut])
            with pytest.raises(TamperedError):
                engine.observe(*asked)
        file.write_bytes(good)
    engine.observe(*asked)


def test_arrays_of_another_recording_are_noticed(asked, tmp_path: Path) -> None:
    study = asked[0]
    other = study.configure(seed=99)
    first = record(StubEngine("julia").observe(*asked), tmp_path)
    second = record(StubEngine("julia").observe(study, other, study.inputs(other)), tmp_path)
    engine = RecordedEngine("julia", tmp_path)
    arrays = first.with_suffix(".npz").read_bytes()
    first.with_suffix(".npz").write_bytes(second.with_suffix(".npz").read_bytes())
    with pytest.raises(TamperedError):
        engine.observe(*asked)
    # Both files exchanged: each is whole, but the answer is to another question.
    first.write_bytes(second.read_bytes())
    with pytest.raises(TamperedError, match="another question"):
        engine.observe(*asked)
    first.with_suffix(".npz").write_bytes(arrays)
    with pytest.raises(NumDLError):
        engine.observe(*asked)


def test_recording_again_replaces(asked, tmp_path: Path) -> None:
    record(StubEngine("julia").observe(*asked), tmp_path)
    record(StubEngine("julia", "wrong").observe(*asked), tmp_path)
    gradient = RecordedEngine("julia", tmp_path).observe(*asked).values["gradient/x"]
    assert np.array_equal(gradient, asked[2]["x"] ** 3 * 1.5)
    assert len(list(tmp_path.rglob("*.json"))) == 1


def test_a_live_answer_is_held_against_its_recording(asked, tmp_path: Path) -> None:
    live = StubEngine("julia").observe(*asked)
    assert against_recording(live, *asked[:2], tmp_path) is None
    record(live, tmp_path)
    assert "bit for bit" in str(against_recording(live, *asked[:2], tmp_path))
    live.values["gradient/x"] = live.values["gradient/x"] * (1 + 1e-9)
    line = str(against_recording(live, *asked[:2], tmp_path))
    assert "differs from the recording of 20" in line
    assert "1 of 4: gradient/x (relative 1.0e-9)" in line
