"""The store: what was kept comes back, and what was changed is noticed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stub_study import StubEngine

from numdl_bridge.errors import BadInputError, TamperedError, UnknownNameError
from numdl_bridge.runs.store import Failure, RunStore, find_run
from numdl_bridge.studies.contract import input_hash, plain_options
from numdl_bridge.studies.observation import Timing


@pytest.fixture
def filled(stubs, tmp_path: Path) -> RunStore:
    study = stubs["stub"]
    options = study.configure()
    inputs = study.inputs(options)
    store = RunStore.create({"asked": {}}, tmp_path / "run")
    store.save_inputs("stub", plain_options(options), inputs, input_hash(inputs))
    store.save_observation(StubEngine("torch").observe(study, options, inputs))
    store.save_failure("stub", "julia", Failure("no wish"))
    store.save_timings("stub", {"torch": [Timing("forward", "kernel", (0.5, 0.25))]})
    store.save_comparison("stub", {"ok": True})
    return store


def test_what_was_kept_comes_back(filled: RunStore, stubs) -> None:
    again = RunStore.open(filled.path)
    inputs = stubs["stub"].inputs(stubs["stub"].configure())
    assert again.manifest == filled.manifest
    assert again.studies == ("stub",)
    assert input_hash(again.inputs("stub")) == input_hash(inputs)
    observation = again.observation("stub", "torch")
    assert observation is not None
    assert np.array_equal(observation.values["gradient/x"], inputs["x"] ** 3)
    assert observation.timings == [Timing("forward", "kernel", (0.5, 0.25))]
    assert again.observation("stub", "julia") is None
    assert again.engines("stub") == ["torch"]
    assert again.failures("stub") == {"julia": Failure("no wish")}
    assert again.comparison("stub") == {"ok": True}


def test_any_changed_file_is_noticed(filled: RunStore) -> None:
    def read_everything() -> None:
        store = RunStore.open(filled.path)
        store.inputs("stub")
        store.observation("stub", "torch")
        store.failures("stub")
        store.comparison("stub")

    read_everything()
    files = [p for p in filled.path.rglob("*") if p.is_file()]
    assert len(files) == 7
    for file in files:
        good = file.read_bytes()
        for i in range(0, len(good), max(1, len(good) // 40)):
            file.write_bytes(good[:i] + bytes([good[i] ^ 2]) + good[i + 1 :])
            with pytest.raises(TamperedError):
                read_everything()
        file.write_bytes(good)
    read_everything()


def test_an_answer_replaces_a_failure(filled: RunStore, stubs) -> None:
    study = stubs["stub"]
    options = study.configure()
    filled.save_observation(StubEngine("julia").observe(study, options, study.inputs(options)))
    assert filled.failures("stub") == {}


def test_other_inputs_are_refused_on_resume(filled: RunStore, stubs) -> None:
    study = stubs["stub"]
    options = study.configure(seed=5)
    inputs = study.inputs(options)
    with pytest.raises(BadInputError, match=r"has other options now: seed=5\. Expected: seed=1234"):
        filled.save_inputs("stub", plain_options(options), inputs, input_hash(inputs))
    same = plain_options(study.configure())
    with pytest.raises(BadInputError, match="draws other inputs"):
        filled.save_inputs("stub", same, inputs, input_hash(inputs))
    drawn = study.inputs(study.configure())
    filled.save_inputs("stub", same, drawn, input_hash(drawn))  # the same again


def test_a_place_that_cannot_be_written_is_one_message() -> None:
    with pytest.raises(BadInputError, match=r"cannot be written.*--out"):
        RunStore.create({}, Path("/proc/numdl"))


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("years of work")
    with pytest.raises(BadInputError, match="not an empty folder"):
        RunStore.create({}, tmp_path / "full")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInputError):
        RunStore.create({}, tmp_path / "file")


def test_runs_are_found_by_path_id_prefix_and_last(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    paths = [root / n for n in ("20260101T000000Z-aaa111", "20260102T000000Z-aab222")]
    for path in paths:
        RunStore.create({}, path)
    assert find_run(paths[0], root) == paths[0]
    assert find_run("aaa111", root) == paths[0]
    assert find_run("aab", root) == paths[1]
    assert find_run("20260102", root) == paths[1]
    assert find_run("last", root) == paths[1]
    with pytest.raises(UnknownNameError, match="more than one"):
        find_run("aa", root)
    with pytest.raises(UnknownNameError, match="no run called 'zzz'"):
        find_run("zzz", root)
    with pytest.raises(UnknownNameError, match="none in"):
        find_run("last", tmp_path / "nowhere")


def test_what_is_no_run_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"no manifest\.json"):
        RunStore.open(tmp_path)
    (tmp_path / "manifest.json").write_text('{"status": "complete"}')
    with pytest.raises(TamperedError):
        RunStore.open(tmp_path)
