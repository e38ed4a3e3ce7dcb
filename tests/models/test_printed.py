"""What a result of one's own model prints: who judges, what was not compared, which seed."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import numdl_bridge as nb
from numdl_bridge.models import julia_side, timing
from numdl_bridge.models.result import ModelResult
from numdl_bridge.models.timing import again, allowance

AT = {"theta": np.array([0.5, -1.0])}


def squares(theta):
    return theta.square().sum()


def compare(name: str, **options) -> ModelResult:
    if name == "gradients":
        return nb.compare_gradients(squares, "x", AT, **options)
    if name == "ode":
        return nb.compare_ode(lambda t, u, p: p * u, "x", [1.0], (0.0, 1.0), [0.5], **options)
    x = torch.ones(2, 3, dtype=torch.float64)
    return nb.compare_module(nn.Linear(3, 2).double(), x, **options)


@pytest.fixture(scope="module", params=["gradients", "ode", "module"])
def result(request) -> ModelResult:
    return compare(request.param, julia_mode="off", seed=7)


def words(text: str) -> str:
    return " ".join(text.split())


def test_what_is_printed_was_asked_for(result) -> None:
    text = str(result)
    assert "seed=7" in text
    assert "1234" not in text
    assert "arguments=" not in text
    assert result._repr_html_().count("seed=7") == 1


def test_that_nothing_was_compared_stands_first_and_once(result) -> None:
    text = words(str(result))
    assert text.startswith("Nothing was compared with Julia: switched off")
    assert text.count("switched off") == 1
    page = result._repr_html_()
    assert page.index("Nothing was compared with Julia: switched off") < page.index("<h2")


def test_tables_for_papers_say_that_nothing_was_compared(result) -> None:
    pytest.importorskip("jinja2", reason="the extra `report`")
    for text in (result.to_markdown(), result.to_latex()):
        assert "Nothing was compared with Julia: switched off" in text
        assert ("torch–referee" in text) == bool(result.rows)


def test_latex_has_no_open_specials() -> None:
    result = compare("ode", julia_mode="off")
    result.absent = {"julia": "a_b & 50% of {x}"}
    assert r"a\_b \& 50\% of \{x\}" in result.to_latex()


def test_values_of_an_absent_engine_say_why(result) -> None:
    with pytest.raises(KeyError, match=r"^julia has no values: switched off\.$"):
        result.values["julia"]
    with pytest.raises(nb.NumDLError, match="one of torch"):
        result.values["jula"]
    assert result.values.get("julia") is None


def test_a_result_in_a_debugger_is_one_line(result) -> None:
    assert len(repr(result)) < 200
    assert "switched off" in repr(result)


def test_who_judges_is_said() -> None:
    differenced = words(str(compare("gradients", julia_mode="off")))
    assert "your torch function itself, differenced (complex step, an estimate)" in differenced
    assert "Jv is the derivative along a random direction v" in differenced
    assert "⟨w, Jv⟩ and ⟨Jᵀw, v⟩ are one number" in differenced
    proven = nb.compare_gradients(
        squares, "x", AT, referee=lambda theta: np.sum(np.square(theta)), julia_mode="off"
    )
    assert "your NumPy function in ball arithmetic, proven" in words(str(proven))
    for name in ("ode", "module"):
        text = words(str(compare(name, julia_mode="off")))
        assert "no referee" in text
        assert "with a random cotangent w, as no loss was given" in text


def test_a_loss_that_was_given_is_not_called_random() -> None:
    loss = (lambda y: y.sum(), "sum")
    for name in ("ode", "module"):
        assert "random cotangent" not in str(compare(name, julia_mode="off", loss=loss))


@pytest.mark.parametrize("name", ["gradients", "ode", "module"])
def test_a_missing_recording_says_how_to_make_one(name, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(julia_side, "_not_ready", lambda: "none is installed")
    reason = compare(name, recordings=tmp_path).absent["julia"]
    assert "numdl record" not in reason
    for way in ("pytest --numdl-record", "numdl compare FILE.py::CASE --record", "keep=True"):
        assert way in reason
    with pytest.raises(nb.NumDLError, match="pytest --numdl-record"):
        compare(name, recordings=tmp_path, julia_mode="recorded")


def test_torch_does_not_warn_of_itself() -> None:
    code = (
        "import warnings; warnings.simplefilter('error', DeprecationWarning)\n"
        "import numpy as np, numdl_bridge as nb\n"
        "nb.compare_gradients(lambda t: t.sum(), 'x', {'t': np.ones(2)}, julia_mode='off')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_users_own_warnings_come_through() -> None:
    def warns(theta):
        warnings.warn("mine", DeprecationWarning, stacklevel=1)
        return theta.sum()

    with pytest.warns(DeprecationWarning, match="mine"):
        nb.compare_gradients(warns, "x", AT, julia_mode="off")


def test_a_cheap_task_has_its_first_call_apart(result) -> None:
    timings = {(t.task, t.phase): t.seconds for t in result.observations["torch"].timings}
    assert len(timings["gradient", "first call"]) == 1
    assert 1 <= len(timings["gradient", "kernel"]) <= 5


def test_timing_again_keeps_to_what_is_allowed(monkeypatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])

    def call():
        clock[0] += 0.02
        return {"gradient": 0.02}

    timings = again({"gradient": 0.5}, call, expected=0.02, allowed=0.05)
    assert [(t.phase, len(t.seconds)) for t in timings] == [("first call", 1), ("kernel", 2)]
    assert clock[0] <= 0.05


def test_what_is_long_is_not_carried_out_again() -> None:
    def call():
        raise AssertionError("called")

    (warm,) = again({"gradient": 1.0}, call, expected=0.9, allowed=0.1)
    (cold,) = again({"gradient": 1.0}, call, expected=0.2, allowed=0.1)
    assert (warm.phase, cold.phase) == ("kernel", "first call")


def test_a_live_comparison_may_time_for_a_tenth_of_its_computations() -> None:
    assert allowance({"torch": 1.0, "julia": 2.0}, live=True) == pytest.approx(0.3)
    assert allowance({"torch": 0.0, "julia": 0.0}, live=True) == 0
    assert allowance({"torch": 0.0, "julia": 0.0}, live=False) > 0
