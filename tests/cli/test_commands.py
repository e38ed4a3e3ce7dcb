"""The command line: results on stdout, people's text on stderr, every error one message."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from stub_study import STUBS, StubEngine, changed, engines, stubs
from typer.testing import CliRunner

from numdl_bridge.cli import app
from numdl_bridge.cli.console import parse_settings
from numdl_bridge.errors import BadInputError
from numdl_bridge.runs import runner as runner_module
from numdl_bridge.runs.recordings import RecordedEngine, record
from numdl_bridge.runs.slots import Slots
from numdl_bridge.studies import all_studies

__all__ = ["stubs"]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def numdl(stubs, monkeypatch):
    """Runs `numdl ...` with stub engines; `numdl.engines` may be replaced."""

    def call(*arguments: object):
        return CliRunner().invoke(app, [str(a) for a in arguments])

    call.engines = engines  # type: ignore[attr-defined]

    def choose(*arguments: object, **more: object) -> Slots:
        return Slots(call.engines())  # type: ignore[attr-defined]

    monkeypatch.setattr(runner_module, "choose_engines", choose)
    return call


QUICK = ("--quick", "--no-timings")


def one_message(outcome, status: int = 2) -> str:
    assert outcome.exit_code == status, outcome.output
    assert "Traceback" not in outcome.output
    assert outcome.stdout == ""
    return " ".join(outcome.stderr.split())


def test_run_prints_results_on_stdout_and_progress_on_stderr(numdl) -> None:
    outcome = numdl("run", "stub", "stub_two", *QUICK)
    assert outcome.exit_code == 0, outcome.output
    for text in ("Gradients", "Inverses", "Claims", "kept in numdl-runs"):
        assert text in outcome.stdout
    assert "[2/2] stub_two" in outcome.stderr
    assert "Gradients" not in outcome.stderr


def test_json_is_all_that_stdout_holds(numdl) -> None:
    outcome = numdl("run", "stub", *QUICK, "--json", "--set", "entries=7", "--seed", 5)
    data = json.loads(outcome.stdout)
    assert data["ok"] is True
    assert data["studies"]["stub"]["options"] == {
        "seed": 5,
        "dtype": "float64",
        "entries": 7,
        "powers": [1, 2],
    }
    assert json.loads(numdl("show", "last", "--json").stdout) == data


def test_exit_status_tells_a_disagreement_and_rescoring_forgives_it(numdl) -> None:
    numdl.engines = lambda: engines(julia="wrong")
    assert numdl("run", "stub", *QUICK).exit_code == 1
    assert numdl("show").exit_code == 1
    assert numdl("rescore", "last", "--budget", "gradient/x=0.5").exit_code == 0
    assert numdl("show").exit_code == 0
    assert numdl("rescore", "last", "--budget", "1").exit_code == 1
    assert numdl("run", "stub", *QUICK, "--budget", "1e14").exit_code == 0


def test_a_crashed_engine_is_status_1_and_the_rest_is_shown(numdl) -> None:
    numdl.engines = lambda: engines(julia="crash")
    outcome = numdl("run", "stub", *QUICK)
    assert outcome.exit_code == 1
    assert "ZeroDivisionError" in outcome.stdout
    assert "torch–referee" in outcome.stdout


def test_ctrl_c_is_status_130_and_says_how_to_go_on(numdl) -> None:
    numdl.engines = lambda: engines(referee="interrupt")
    message = one_message(numdl("run", "stub", *QUICK, "--out", "mine"), 130)
    assert "numdl run --resume --out mine" in message
    numdl.engines = engines
    assert numdl("run", "--resume", "--out", "mine").exit_code == 0
    assert numdl("run", "--resume", "--out", "mine").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "nope"], "no study called 'nope'. Expected: one of"),
        (["run", "stub", "--set", "steps=3"], "study 'stub' has no option 'steps'"),
        (["run", "stub", "--set", "steps"], "NAME=VALUE"),
        (["run", "stub", "--set", "julia=off"], "--julia is an option of the command"),
        (["run", "stub", "--seed", "-1"], "Expected `int` >= 0"),
        (["sweep", "stub", "--set", "backend=dask"], "--backend is an option of the command"),
        (["sweep", "stub", "--backend", "foo"], "backend 'foo'"),
        (["run", "gradient_test", "--set", "iterates=9"], "given iterates=9: Invalid enum value 9"),
        (["run", "stub", "--set", "entries=-3"], "Expected `int` >= 1 - at `$.entries`"),
        (["run", "stub", "--set", "entries=many"], "Expected `int`"),
        (["run", "stub", "--dtype", "float8"], "Invalid enum value 'float8'"),
        (["run", "stub", "--quick", "--full"], "--quick together with --full"),
        (["run", "stub", "--budget", "much"], "a positive factor such as 10"),
        (["run", "stub", "--budget", "nope=1"], "no quantity matches the pattern 'nope'"),
        (["run", "stub", "--budget", "-1"], "a positive factor such as 10"),
        (["run", "--resume"], "no run called 'last'"),
        (["run", "stub", "--resume", "--out", "nowhere"], "no run called 'nowhere'"),
        (["show", "nope"], "no run called 'nope'"),
        (["rescore", "nope", "--budget", "2"], "no run called 'nope'"),
        (["pages", "nope"], "no run called 'nope'"),
        (["list", "nope"], "no study called 'nope'"),
    ],
)
def test_bad_input_is_one_message_and_status_2(numdl, arguments, expected) -> None:
    assert expected in one_message(numdl(*arguments))
    assert not Path("numdl-runs").exists(), "nothing was started"


def test_nan_in_the_inputs_is_one_message(numdl, monkeypatch) -> None:
    broken = changed(STUBS["stub"], draw=lambda o, rng: {"x": np.array([np.nan])})
    monkeypatch.setitem(all_studies(), "stub", broken)
    assert "input 'x' of study 'stub' holds nan at index (0,)" in one_message(numdl("run", "stub"))


def test_a_tampered_run_is_one_message(numdl) -> None:
    numdl("run", "stub", *QUICK, "--out", "mine")
    for name in ("stub/torch.npz", "stub/torch.json", "manifest.json"):
        file = Path("mine") / name
        good = file.read_bytes()
        file.write_bytes(good[:80] + b"?" + good[81:])
        assert "was changed or cut short" in one_message(numdl("show", "mine"))
        file.write_bytes(good)
    assert numdl("show", "mine").exit_code == 0


def test_a_tampered_recording_is_told_and_loses_nothing_else(numdl, tmp_path) -> None:
    study = STUBS["stub"]
    options = study.configure("quick")
    path = record(StubEngine("julia").observe(study, options, study.inputs(options)), tmp_path)
    path.write_bytes(path.read_bytes()[:-4])
    recorded = RecordedEngine("julia", tmp_path)
    numdl.engines = lambda: [StubEngine("torch"), recorded, StubEngine("referee")]
    outcome = numdl("run", "stub", *QUICK)
    assert outcome.exit_code == 2
    assert "was changed or cut short" in outcome.stderr
    assert "torch–referee" in outcome.stdout
    assert "Traceback" not in outcome.output


def test_a_folder_with_content_is_never_written_into(numdl) -> None:
    Path("full").mkdir()
    Path("full/thesis.tex").write_text("years of work")
    assert "not an empty folder" in one_message(numdl("run", "stub", "--out", "full"))
    Path("file").write_text("")
    assert "not an empty folder" in one_message(numdl("run", "stub", "--out", "file"))


def test_list_names_every_study_and_its_options(numdl) -> None:
    outcome = numdl("list")
    assert outcome.exit_code == 0
    for name, study in all_studies().items():
        assert name in outcome.stdout
        assert study.question.split()[0] in outcome.stdout
    one = numdl("list", "stub").stdout
    assert "entries" in one
    assert "gradient/x" in one
    assert "|x| stays below 10" in one


def test_every_study_lists_itself() -> None:
    for name in all_studies():
        outcome = CliRunner().invoke(app, ["list", name])
        assert outcome.exit_code == 0, outcome.output


def test_pages_come_from_a_run(numdl) -> None:
    numdl("run", "stub", *QUICK)
    outcome = numdl("pages", "last", "--folder", "c", "--html", "c/run.html")
    assert outcome.stdout.split() == ["c/stub.md", "c/README.md", "c/run.html"]
    assert "gradient/x" in Path("c/stub.md").read_text()
    assert "gradient/x" in Path("c/run.html").read_text()


def test_settings_are_numbers_lists_or_text() -> None:
    given = parse_settings(["a=3", "b=[1, 2.5]", "c=rk4", "d=1e-3", "e=true", "f=x=y"])
    assert given == {"a": 3, "b": [1, 2.5], "c": "rk4", "d": 1e-3, "e": True, "f": "x=y"}
    with pytest.raises(BadInputError, match="NAME=VALUE"):
        parse_settings(["=3"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "propagation", "--device", "cuda:99"], "device 'cuda:99' is not usable"),
        (["run", "propagation", "--device", "toaster"], "device 'toaster' is not usable"),
        (["run", "propagation", "--julia", "maybe"], "one of auto, live, recorded, off"),
        (["run", "propagation", "--threads", "0"], "0 threads"),
    ],
)
def test_the_real_engines_refuse_what_they_cannot_use(
    arguments, expected, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    julia = [] if "--julia" in arguments else ["--julia", "off"]
    outcome = CliRunner().invoke(app, [*arguments, *julia, *QUICK])
    assert expected in one_message(outcome)


def test_a_study_runs_with_the_real_engines(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["run", "propagation", "--quick", "--julia", "off", "--json"]
    outcome = CliRunner().invoke(app, arguments)
    assert outcome.exit_code == 0, outcome.output
    data = json.loads(outcome.stdout)
    found = data["studies"]["propagation"]
    assert set(found["provenance"]) == {"torch", "referee"}
    assert found["provenance"]["torch"]["threads"] == 1
    phases = {t["phase"] for t in found["timings"]["torch"]}
    assert phases - {"compilation"} == {"answer", "first call", "kernel"}
    assert found["verdicts"]["disagree"] == 0
    assert len(set(found["input_hashes"].values())) == 1
    assert data["absent"] == {"julia": "switched off by --julia off"}


def fresh(code: str) -> str:
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ("torch", "juliacall", "pandas", "flint", "scipy", "numpy", "matplotlib", "typer")
    code = f"import sys, numdl_bridge; print([m for m in {heavy!r} if m in sys.modules])"
    assert fresh(code) == "[]"


def test_the_command_line_loads_no_engine_before_it_needs_one() -> None:
    heavy = ("torch", "juliacall", "pandas", "flint", "scipy")
    code = (
        "import sys; from numdl_bridge.cli import app; from typer.testing import CliRunner;"
        "assert CliRunner().invoke(app, ['list']).exit_code == 0;"
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    assert fresh(code) == "[]"


def test_every_public_name_is_there() -> None:
    import numdl_bridge

    for name in numdl_bridge.__all__:
        assert getattr(numdl_bridge, name) is not None
    assert set(numdl_bridge.__all__) <= set(dir(numdl_bridge))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        numdl_bridge.nonsense  # noqa: B018


def test_a_run_ends_with_where_it_is_and_what_next(numdl, tmp_path) -> None:
    lines = numdl("run", "stub", *QUICK).stdout.rstrip().splitlines()
    kept = next(i for i, line in enumerate(lines) if line.startswith("kept in numdl-runs/"))
    assert [line.split("  ")[1] for line in lines[kept + 1 :]] == [
        "numdl show last",
        "numdl pages last --folder pages",
    ]
    numdl.engines = lambda: [StubEngine("torch"), StubEngine("referee")]
    elsewhere = tmp_path / "elsewhere"
    out = numdl("run", "stub", *QUICK, "--out", elsewhere).stdout
    assert f"numdl show {elsewhere}" in out
    assert "numdl julia setup" in out


def test_some_studies_of_a_run_are_shown(numdl) -> None:
    numdl("run", "stub", "stub_two", *QUICK)
    shown = numdl("show", "last", "stub_two")
    assert shown.exit_code == 0
    assert "The study stub_two" in shown.stdout
    assert "The study stub " not in shown.stdout
    assert "no study nope in run" in one_message(numdl("show", "last", "nope"))
