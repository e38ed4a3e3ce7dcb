"""`numdl compare FILE::CASE`: what it prints, its exit status, and one message for bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from numdl_bridge.cli import app
from numdl_bridge.models import functions
from numdl_bridge.models.question import Question

CASES = """
import neighbour
import numpy as np
import torch

AT = {"theta": np.array([0.5, -1.0])}

def squares(bridge):
    bridge.compare_gradients(neighbour.squares, "(; theta) -> sum(abs2, theta)", AT)

def two(bridge):
    squares(bridge)
    squares(bridge)

def asserts(bridge):
    result = bridge.compare_gradients(neighbour.squares, "(; theta) -> sum(abs2, theta)", AT)
    result.assert_agree(digits=14)

def nothing(bridge):
    pass

def broken(bridge):
    return 1 / 0

def wrong_argument(bridge):
    bridge.compare_gradients(neighbour.squares, "x", {"theta": np.array([np.nan])})
"""


@pytest.fixture
def case(tmp_path: Path, monkeypatch):
    """`case(name, *options)` runs `numdl compare`; Julia's answer is `case.factor` times right."""
    (tmp_path / "neighbour.py").write_text("def squares(theta):\n    return theta.square().sum()\n")
    file = tmp_path / "mine.py"
    file.write_text(CASES)

    def ask(question: Question, mode: str, recordings: Path, keep: bool):
        call.asked.append((mode, recordings, keep))
        if mode == "off" or call.factor is None:
            return None, "there is none"
        theta, v = (np.array(x) for x in ([0.5, -1.0], question.inputs["tangent/theta"]))
        g = call.factor * 2 * theta
        values = {"value": np.sum(theta**2), "gradient/theta": g, "Jv": np.asarray(g @ v)}
        return question.observation("julia", values, provenance={"julia": "stand-in"}), ""

    def call(name: str, *options: str):
        return CliRunner().invoke(app, ["compare", f"{file}::{name}", *options])

    call.asked, call.factor, call.file = [], 1.0, file
    monkeypatch.setattr(functions, "ask_julia", ask)
    return call


def test_agreement_is_printed_with_status_0(case) -> None:
    outcome = case("squares")
    assert outcome.exit_code == 0, outcome.output
    assert "torch–julia" in outcome.stdout
    assert "gradient/theta" in outcome.stdout
    assert outcome.stderr == ""
    mode, folder, keep = case.asked[0]
    assert (mode, folder, keep) == ("auto", case.file.parent / "numdl_recordings", False)


def test_a_disagreement_is_explained_with_status_1(case) -> None:
    case.factor = 1.5
    outcome = case("squares")
    assert outcome.exit_code == 1
    assert "Likely cause: gradient/theta: Julia's is 1.5 times torch's" in outcome.stdout
    assert "mine.squares/gradient/theta, torch–julia: disagree\n  Why:" in outcome.stdout


def test_every_comparison_of_a_case_is_printed(case) -> None:
    outcome = case("two")
    assert outcome.exit_code == 0
    assert outcome.stdout.count("mine.two") >= 2
    assert "mine.two-2" in outcome.stdout


def test_an_assertion_of_the_case_counts(case) -> None:
    assert case("asserts").exit_code == 0
    case.factor = 1 + 1e-12  # Within the tolerance of the verdict, not to the 14 digits asked for.
    outcome = case("asserts")
    assert outcome.exit_code == 1
    assert "do not agree to a relative difference of 1.0e-14" in outcome.stderr


def test_what_an_assertion_and_the_verdict_both_say_is_printed_once(case) -> None:
    case.factor = 1.5
    outcome = case("asserts")
    assert outcome.exit_code == 1
    assert outcome.output.count("Likely cause: gradient/theta: Julia's is 1.5 times torch's") == 1
    assert outcome.output.count("mine.asserts/gradient/theta, torch–julia: disagree") == 1
    assert "do not agree to a relative difference" in outcome.stderr
    case.factor = None
    without = case("asserts")
    assert without.exit_code == 1
    assert without.stderr.count("nothing was compared with Julia") == 1


def test_without_julia_that_is_said_and_is_no_success_unless_asked_for(case) -> None:
    off = case("squares", "--julia", "off")
    assert off.exit_code == 0
    assert "nothing was compared with Julia: there is none" in off.stderr
    assert "torch–referee" in off.stdout
    case.factor = None
    auto = case("squares")
    assert auto.exit_code == 1
    assert "numdl julia setup" in auto.stderr


def test_record_keeps_beside_the_file(case, monkeypatch) -> None:
    from numdl_bridge.models.bridge import Bridge

    found = [set(), {Path("julia-1.json")}, {Path("julia-1.json")}]
    monkeypatch.setattr(Bridge, "_recorded", lambda self, name: found[min(len(case.asked), 2)])
    assert case("squares", "--record").exit_code == 0
    assert case.asked[0] == ("live", case.file.parent / "numdl_recordings", True)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("nope", (), "has no function 'nope'. Expected: one of squares, two, asserts, nothing"),
        ("nothing", (), "compared nothing"),
        ("broken", (), "mine.py, line 23: ZeroDivisionError: division by zero"),
        ("wrong_argument", (), "NaN"),
        ("squares", ("--record", "--julia", "off"), "--record with --julia off"),
        ("not a name", (), "FILE.py::CASE"),
    ],
)
def test_bad_input_is_one_message_with_status_2(case, name, options, expected) -> None:
    outcome = case(name, *options)
    assert outcome.exit_code == 2, outcome.output
    assert outcome.stdout == ""
    assert expected in " ".join(outcome.stderr.split())
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def case(:\n", "bad.py, line 1: SyntaxError"),
        ("\nimport nowhere_at_all\n", "bad.py, line 2: ModuleNotFoundError"),
    ],
)
def test_a_file_that_does_not_load_is_one_message(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "bad.py"
    file.write_text(text)
    outcome = CliRunner().invoke(app, ["compare", f"{file}::case"])
    assert outcome.exit_code == 2
    assert expected in outcome.stderr
    missing = CliRunner().invoke(app, ["compare", f"{tmp_path / 'none.py'}::case"])
    assert missing.exit_code == 2
    assert "no file" in missing.stderr
