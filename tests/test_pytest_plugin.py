"""The pytest plugin: Julia's answers are kept, replayed, and found stale.

Julia itself is a stand-in here, which returns what the right answer is.
"""

from __future__ import annotations

import numpy as np
import pytest

# All of it now: pytester unloads what a run inside this process has imported, and extension modules
# such as torch's do not survive a second import.
from numdl_bridge.models import bridge as _loaded  # noqa: F401
from numdl_bridge.models import julia_side

pytest_plugins = ["pytester"]

A_TEST = """
def test_port(bridge):
    result = bridge.compare_gradients(
        lambda theta: theta.square().sum(), "(; theta) -> sum(abs2, theta)", {{"theta": {at}}}
    )
    result.assert_agree(digits=12)
"""


def answer(question):
    theta, v = question.inputs["at/theta"], question.inputs["tangent/theta"]
    values = {
        "value": np.sum(theta**2),
        "gradient/theta": 2 * theta,
        "Jv": np.asarray(2 * theta @ v),
    }
    return question.observation("julia", values, provenance={"julia": "stand-in"})


@pytest.fixture
def julia(monkeypatch):
    monkeypatch.setattr(julia_side, "_not_ready", lambda: None)
    monkeypatch.setattr(julia_side, "_ask_live", answer)


@pytest.fixture
def no_julia(monkeypatch):
    monkeypatch.setattr(julia_side, "_not_ready", lambda: "none is installed")


def run(pytester, *options):
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)


def test_answers_are_kept_and_replayed(pytester, monkeypatch, julia) -> None:
    pytester.makepyfile(test_mine=A_TEST.format(at="[0.5, -1.0]"))
    recorded = run(pytester, "--numdl-record")
    recorded.assert_outcomes(passed=1)
    recorded.stdout.fnmatch_lines(["*1 comparisons: 1 with live Julia, 0 replayed*"])
    kept = list((pytester.path / "numdl_recordings").rglob("julia-*"))
    assert sorted(p.suffix for p in kept) == [".json", ".npz"]
    assert sum(p.stat().st_size for p in kept) < 8000
    monkeypatch.setattr(julia_side, "_not_ready", lambda: "none is installed")
    replayed = run(pytester)
    replayed.assert_outcomes(passed=1)
    replayed.stdout.fnmatch_lines(["*0 with live Julia, 1 replayed*"])


@pytest.mark.parametrize("mode", ["auto", "recorded"])
def test_a_changed_input_makes_the_recording_stale(pytester, monkeypatch, julia, mode) -> None:
    pytester.makepyfile(test_mine=A_TEST.format(at="[0.5, -1.0]"))
    run(pytester, "--numdl-record").assert_outcomes(passed=1)
    monkeypatch.setattr(julia_side, "_not_ready", lambda: "none is installed")
    pytester.makepyfile(test_mine=A_TEST.format(at="[0.5, -2.0]"))
    stale = run(pytester, f"--numdl-julia={mode}")
    stale.assert_outcomes(failed=1)
    stale.stdout.fnmatch_lines(["*stale*--numdl-record*"])


def test_renewing_replaces_what_was_kept(pytester, julia) -> None:
    for at in ("[0.5, -1.0]", "[0.5, -2.0]"):
        pytester.makepyfile(test_mine=A_TEST.format(at=at))
        run(pytester, "--numdl-record").assert_outcomes(passed=1)
    assert len(list((pytester.path / "numdl_recordings").rglob("julia-*.json"))) == 1


def test_without_julia_and_recording_the_assertion_fails_and_says_why(pytester, no_julia) -> None:
    pytester.makepyfile(test_mine=A_TEST.format(at="[0.5]"))
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*nothing was compared with Julia: none is installed*"])


BROKEN = """
import numpy as np
import torch

def test_function(bridge):
    bridge.compare_gradients(lambda theta: 1 / 0, "x", {"theta": np.ones(2)})

def test_module(bridge):
    bridge.compare_module(torch.nn.Linear(2, 2), torch.ones(3))
"""


def test_a_failure_shows_the_test_and_not_the_package(pytester, no_julia) -> None:
    """And where the user's own function raised, that line too."""
    pytester.makepyfile(test_mine=A_TEST.format(at="[0.5]"), test_broken=BROKEN)
    result = run(pytester)
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["*lambda theta: 1 / 0*", "*ZeroDivisionError*"])
    shown = [line for line in result.stdout.lines if "Error" in line and ".py:" in line]
    ends = [line for line in shown if not line.startswith(("E ", "FAILED"))]
    assert len([line for line in ends if line.startswith("test_")]) >= 3
    inside = [line for line in ends if not line.startswith("test_")]
    # What is left of the package is the place that called the user's function or module.
    assert all("ZeroDivisionError" in line or "RuntimeError" in line for line in inside)


def test_switched_off_the_tests_are_skipped(pytester) -> None:
    pytester.makepyfile(test_mine=A_TEST.format(at="[0.5]"))
    run(pytester, "--numdl-julia=off").assert_outcomes(skipped=1)


def test_recording_without_a_live_julia_is_refused(pytester) -> None:
    result = run(pytester, "--numdl-record", "--numdl-julia=off")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--numdl-record with --numdl-julia=off*"])
