"""The runner: one engine's fall costs nobody else's results, and nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from stub_study import STUBS, StubEngine, changed, engines

from numdl_bridge.errors import BadInputError, EngineError, TamperedError, UnknownNameError
from numdl_bridge.runs import Budget, RunInterrupted, open_run, record, rescore, run
from numdl_bridge.runs.events import Event
from numdl_bridge.runs.recordings import RecordedEngine
from numdl_bridge.studies import all_studies

pytestmark = pytest.mark.usefixtures("stubs")
QUICK = {"size": "quick", "timings": False}


def test_one_study_gives_its_result_with_tables_arrays_and_claims() -> None:
    result = run("stub", engines=engines(), timings=False, seed=3)
    assert result.ok
    assert result.options.seed == 3
    x = STUBS["stub"].inputs(result.options)["x"]
    assert np.array_equal(result.values["torch"]["gradient/x"], x**3)
    assert result.verdicts["agree"] == 12
    assert set(result.gradients["pair"]) == {"torch–referee", "julia–referee", "torch–julia"}
    assert list(result.inverses["verdict"]) == ["agree"] * 3
    assert list(result.claims["outcome"]) == ["holds"] * 3
    assert "12 agree · 1/1 claims hold" in result.summary
    assert repr(result) == "<StudyResult stub: 12 agree · 1/1 claims hold>"


def test_several_studies_give_a_mapping_and_settings_go_where_they_belong() -> None:
    results = run("stub", "stub_two", engines=engines(), **QUICK)
    assert list(results) == ["stub", "stub_two"]
    assert results.ok
    assert results["stub"].options.entries == 2
    with pytest.raises(KeyError, match="no study 'x' in this run"):
        results["x"]


@pytest.mark.parametrize("fault", ["error", "crash", "bytes"])
def test_a_fallen_engine_is_unavailable_and_the_others_are_kept(fault: str) -> None:
    faulty = [StubEngine("torch"), StubEngine("julia", fault, only="stub"), StubEngine("referee")]
    results = run("stub", "stub_two", engines=faulty, **QUICK)
    first, second = results["stub"], results["stub_two"]
    assert not first.ok
    assert "julia" in first.crashed
    assert first.verdicts == {
        "agree": 4, "agree within budget": 0, "explained": 0, "disagree": 0, "unavailable": 8
    }  # fmt: skip
    assert second.ok
    assert second.verdicts["agree"] == 12
    expected = {"error": "no wish", "crash": "ZeroDivisionError: deep inside", "bytes": "other"}
    assert expected[fault] in first.crashed["julia"]
    assert results.manifest["status"] == "complete"


def test_a_single_missing_quantity_keeps_its_reason() -> None:
    result = run("stub", engines=engines(julia="lacks"), **QUICK)
    assert result.ok
    reasons = result.inverses.loc[result.inverses["verdict"] == "unavailable", "reason"]
    assert len(reasons) == 2
    assert all("no root here" in r for r in reasons)


def test_a_wrong_engine_disagrees_and_rescoring_needs_no_engine() -> None:
    result = run("stub", engines=engines(julia="wrong"), **QUICK)
    assert not result.ok
    assert result.verdicts["disagree"] == 2
    lenient = rescore(result.folder, Budget.parse(["gradient/x=0.5"]))
    assert lenient.ok
    assert open_run(result.folder).ok, "the new verdicts are kept with the run"
    assert not rescore(result.folder, 1.0).ok
    with pytest.raises(UnknownNameError, match="no quantity matches"):
        rescore(result.folder, Budget.parse(["nonsense=1"]))


def test_a_run_is_read_back_as_it_was() -> None:
    result = run("stub", engines=engines(), size="quick")
    again = open_run(result.folder)["stub"]
    assert again.comparison == result.comparison
    assert len(again.timings) == 12
    assert again.timings.equals(result.timings)
    for name, value in result.values["torch"].items():
        assert again.values["torch"][name].tobytes() == value.tobytes()


def test_resume_asks_only_for_what_is_missing() -> None:
    faulty = [StubEngine("torch"), StubEngine("julia", "crash", only="stub"), StubEngine("referee")]
    first = run("stub", "stub_two", engines=faulty, **QUICK)
    sound = engines()
    second = run(resume=first.folder, engines=sound)
    assert [e.asked for e in sound] == [[], ["stub"], []]
    assert second.ok
    assert second["stub"].verdicts["agree"] == 12
    third = engines()
    assert run(resume="last", engines=third).ok
    assert [e.asked for e in third] == [[], [], []]


def test_resume_takes_everything_from_its_manifest() -> None:
    first = run("stub", engines=engines(), seed=8, **QUICK)
    with pytest.raises(BadInputError, match="together with --resume"):
        run("stub", resume=first.folder, engines=engines())
    for extra in ({"julia": "off"}, {"size": "full"}, {"budget": 10}, {"threads": 2}):
        with pytest.raises(BadInputError, match="together with --resume"):
            run(resume=first.folder, engines=engines(), **extra)
    assert run(resume=first.folder, engines=engines()).options.seed == 8


def test_ctrl_c_keeps_what_was_computed_and_says_how_to_go_on() -> None:
    stopped = [
        StubEngine("torch"),
        StubEngine("julia", "interrupt", only="stub_two"),
        StubEngine("referee"),
    ]
    with pytest.raises(RunInterrupted, match="numdl run --resume --out") as caught:
        run("stub", "stub_two", engines=stopped, **QUICK)
    assert isinstance(caught.value, KeyboardInterrupt)
    kept = open_run(caught.value.folder)
    assert kept.manifest["status"] == "interrupted"
    assert kept["stub"].verdicts["agree"] == 12
    assert list(kept["stub_two"].values) == ["torch"]
    sound = engines()
    assert run(resume=caught.value.folder, engines=sound).ok
    assert [e.asked for e in sound] == [[], ["stub_two"], ["stub_two"]]


KILLED = """
import sys
sys.path[:0] = {paths!r}
from stub_study import StubEngine, install
from numdl_bridge.runs import run
install()
run("stub", "stub_two", folder={folder!r}, timings=False, size="quick", julia="off", engines=[
    StubEngine("torch"), StubEngine("julia", "kill", only="stub_two"), StubEngine("referee")])
"""


def test_kill_9_in_the_middle_and_resume(tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    paths = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2]), *sys.path]
    script = KILLED.format(paths=[p for p in paths if p], folder=str(folder))
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert process.returncode == -signal.SIGKILL, process.stderr
    kept = open_run(folder)
    assert kept.manifest["status"] == "running"
    assert kept["stub"].verdicts["agree"] == 12
    sound = engines()
    results = run(resume=folder, engines=sound)
    assert [e.asked for e in sound] == [[], ["stub_two"], ["stub_two"]]
    assert results.ok
    assert results.manifest["status"] == "complete"


def test_killed_between_any_two_writes_a_run_can_be_resumed(tmp_path: Path, monkeypatch) -> None:
    """The process dies at its n-th rename, for every n: the old or the new state, never a third."""
    from numdl_bridge.runs import files

    class Dead(BaseException):
        pass

    real = os.replace
    whole = run("stub", engines=engines(), folder=tmp_path / "whole", **QUICK)
    for n in range(100):
        left = [n]

        def mortal(source, target, left=left):  # type: ignore[no-untyped-def]
            if left[0] == 0:
                raise Dead
            left[0] -= 1
            real(source, target)

        folder = tmp_path / f"dies{n}"
        monkeypatch.setattr(files.os, "replace", mortal)
        try:
            run("stub", engines=engines(), folder=folder, **QUICK)
        except Dead:
            finished = False
        else:
            finished = True
        monkeypatch.setattr(files.os, "replace", real)
        if finished:
            break
        if not (folder / "manifest.json").exists():
            assert n == 0
            continue
        open_run(folder)
        resumed = run(resume=folder, engines=engines())
        assert resumed.comparison == whole.comparison
    assert 8 < n < 99


def test_no_recording_is_no_failure_but_a_tampered_one_is_told(tmp_path: Path) -> None:
    study = STUBS["stub"]
    options = study.configure("quick")
    path = record(StubEngine("julia").observe(study, options, study.inputs(options)), tmp_path)

    def answer():
        replay = RecordedEngine("julia", tmp_path)
        chosen = [StubEngine("torch"), replay, StubEngine("referee")]
        return run("stub", "stub_two", engines=chosen, **QUICK)

    replayed = answer()
    assert replayed.ok
    assert replayed["stub"].verdicts["agree"] == 12
    assert replayed["stub"].observations["julia"].recorded
    assert replayed["stub_two"].verdicts["agree"] == 4
    path.write_bytes(path.read_bytes()[:-9])
    tampered = answer()
    assert not tampered.ok
    assert isinstance(tampered.errors[0], TamperedError)
    assert tampered["stub"].verdicts["agree"] == 4


def test_bad_input_ends_before_anything_is_computed(monkeypatch, tmp_path: Path) -> None:
    for names, extra, message in [
        (("nope",), {}, "no study called 'nope'"),
        (("stub",), {"steps": 3}, "study 'stub' has no option 'steps'"),
        (("stub",), {"size": "huge"}, "size 'huge'"),
        (("stub",), {"seed": "many"}, "options of study 'stub', given seed='many'"),
        (("stub",), {"seed": -1}, "Expected `int` >= 0"),
        (("stub",), {"entrys": 3}, "did you mean 'entries'"),
        (("stubb",), {}, "did you mean 'stub'"),
        (("stub",), {"budget": "a"}, "a factor such as 10"),
        (("stub",), {"budget": {"nope": 1e-3}}, "no quantity matches the pattern 'nope'"),
        (("stub",), {"dtype": "float8"}, "options of study 'stub'"),
    ]:
        chosen = engines()
        with pytest.raises((BadInputError, UnknownNameError), match=message):
            run(*names, engines=chosen, **extra)
        assert not any(e.asked for e in chosen)
    assert not (tmp_path / "numdl-runs").exists()


def test_nan_in_the_inputs_is_named(monkeypatch) -> None:
    broken = changed(
        STUBS["stub"], draw=lambda o, rng: {"x": np.array([1.0, np.nan]), "n": np.array(2)}
    )
    monkeypatch.setitem(all_studies(), "stub", broken)
    with pytest.raises(BadInputError, match=r"input 'x' of study 'stub' holds nan at index \(1,\)"):
        run("stub", engines=engines(), **QUICK)


def test_a_defect_in_one_study_costs_no_other(monkeypatch) -> None:
    def draw(options, rng):
        raise ZeroDivisionError("in the draw")

    monkeypatch.setitem(all_studies(), "stub", changed(STUBS["stub"], draw=draw))
    results = run("stub", "stub_two", engines=engines(), **QUICK)
    assert list(results) == ["stub_two"]
    assert results["stub_two"].ok
    assert not results.ok
    assert "study 'stub' crashed with ZeroDivisionError: in the draw" in str(results.errors[0])
    with pytest.raises(EngineError, match="in the draw"):
        run("stub", engines=engines(), **QUICK)


def test_the_runner_says_what_it_does() -> None:
    events: list[Event] = []
    run("stub", engines=engines(), size="quick", progress=events.append)
    kinds = [e.kind for e in events]
    assert kinds[0] == "start"
    assert kinds[-1] == "done"
    assert [e.text for e in events if e.kind == "engine"][:3] == ["torch", "julia", "referee"]
    assert [e.text for e in events if e.kind == "timing"] == ["forward", "gradient"]


def test_no_study_has_an_option_that_run_keeps_for_itself() -> None:
    import inspect

    own = set(inspect.signature(run).parameters) - {"settings"}
    for study in all_studies().values():
        assert not own & set(study.options.__struct_fields__), study.name
