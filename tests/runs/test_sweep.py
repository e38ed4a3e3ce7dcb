"""Sweeps: every seed a run of its own, the same results wherever they are computed."""

from __future__ import annotations

from pathlib import Path

import pytest
from stub_study import engines

from numdl_bridge.errors import BadInputError, UnknownNameError
from numdl_bridge.runs.judging import open_run
from numdl_bridge.runs.sweep import COLUMNS, sweep


def test_each_seed_is_a_run_and_a_second_sweep_reads_them(stubs) -> None:
    found = sweep("stub", seeds=3, size="quick", engines=engines())
    assert list(found.columns) == COLUMNS
    assert list(found["seed"]) == [s for s in range(3) for _ in range(3)]
    assert set(found["outcome"]) == {"holds"}
    for seed in range(3):
        run = open_run(Path("numdl-runs/sweep") / f"seed-{seed}")
        assert run["stub"].options.seed == seed
    silent = engines()
    again = sweep("stub", seeds=3, size="quick", engines=silent)
    assert again.equals(found)
    assert not any(e.asked for e in silent)


def test_disagreements_and_crashes_are_rows(stubs) -> None:
    found = sweep("stub", seeds=[7], engines=engines(julia="wrong"), folder="a")
    assert list(found.loc[found["outcome"] == "disagree", "claim"]) == ["gradient/x"] * 2
    found = sweep("stub", seeds=[7], engines=engines(julia="crash"), folder="b")
    assert list(found.loc[found["outcome"] == "crashed", "engine"]) == ["julia"]


def test_bad_input_is_told_before_any_seed_runs(stubs) -> None:
    with pytest.raises(UnknownNameError, match="no study called 'nope'"):
        sweep("nope")
    with pytest.raises(BadInputError, match="at least one of each"):
        sweep("stub", seeds=0)
    with pytest.raises(BadInputError, match="use loky"):
        sweep("stub", backend="threading")
    assert not Path("numdl-runs").exists()


def test_a_folder_with_the_answer_to_another_question_is_refused(stubs) -> None:
    sweep("stub", seeds=1, size="quick", engines=engines(), folder="a")
    for names, asked in [
        (("stub",), {"size": "default"}),
        (("stub",), {"size": "quick", "entries": 3}),
        ((), {"size": "quick"}),
    ]:
        with pytest.raises(BadInputError, match="holds a run with"):
            sweep(*names, seeds=1, engines=engines(), folder="a", **asked)


def test_an_option_called_as_an_argument_of_sweep_goes_to_the_study() -> None:
    found = sweep("landscape", seeds=1, size="quick", julia="off", settings={"seeds": 1})
    assert open_run(Path("numdl-runs/sweep/seed-0"))["landscape"].options.seeds == 1
    assert len(found)
    with pytest.raises(BadInputError, match="pass them by name"):
        sweep("landscape", settings={"julia": "off"})


@pytest.mark.slow
def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    options = {"seeds": 2, "size": "quick", "julia": "off"}
    one = sweep("oscillator", jobs=1, folder=tmp_path / "one", **options)
    two = sweep("oscillator", jobs=2, folder=tmp_path / "two", **options)
    assert len(one) > 0
    assert two.equals(one)
