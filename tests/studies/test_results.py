"""Results are the arrays' own numbers, in rows of equal length, whoever and whatever is missing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

from numdl_bridge import resources
from numdl_bridge.report.result_rows import entry
from numdl_bridge.runs.observations import load_observation
from numdl_bridge.studies import all_studies, get_study
from numdl_bridge.studies._results import number, order, table
from numdl_bridge.studies._subgradient_results import answer
from numdl_bridge.studies._training_claims import published_losses
from numdl_bridge.studies.contract import ResultTable

NAMES = sorted(all_studies())
Found = dict[str, dict[str, np.ndarray]]


@cache
def recorded(name: str) -> list[tuple[Found, Any]]:
    """What Julia really answered, of every size that is recorded, with its options."""
    study, out = get_study(name), []
    for path in sorted((resources.folder("recordings") / name).glob("julia-*.json")):
        observation, _, _ = load_observation(path.parent, path.stem)
        known = study.options.__struct_fields__
        settings = {k: v for k, v in observation.options.items() if k in known}
        out.append(({"julia": observation.values}, study.configure(**settings)))
    assert out, f"no recording of {name}"
    return out


def largest(name: str) -> tuple[Found, Any]:
    """The recording with most numbers in it."""
    return max(recorded(name), key=lambda r: sum(v.size for v in r[0]["julia"].values()))


def checked(tables: Sequence[ResultTable]) -> list[ResultTable]:
    for t in tables:
        assert t.title
        assert t.rows
        assert len(t.rows) <= 25, t.title
        for row in t.rows:
            assert len(row) == len(t.columns), t.title
            for cell in row:
                assert cell is None or isinstance(cell, str | int | float)
                assert not re.search(r"array\(|np\.|float\d|int\d", entry(cell)), cell
    return list(tables)


def cell(tables: Sequence[ResultTable], title: str, row: str, column: str, nth: int = 0) -> Any:
    """The cell of the table whose title begins so, in the first row that begins so."""
    found = next(t for t in tables if t.title.startswith(title))
    line = next(r for r in found.rows if entry(r[0]) == row)
    return line[[k for k, c in enumerate(found.columns) if c == column][nth]]


@pytest.mark.parametrize("name", NAMES)
def test_every_study_has_results_of_what_was_recorded(name: str) -> None:
    for found, options in recorded(name):
        tables = checked(get_study(name).results(found, options))
        assert tables
        twice = checked(get_study(name).results({"torch": found["julia"], **found}, options))
        assert len(twice) >= len(tables)


@pytest.mark.parametrize("name", NAMES)
def test_whatever_is_missing_or_cut_short_is_left_out(name: str) -> None:
    found, options = min(recorded(name), key=lambda r: len(r[0]["julia"]))
    values, results = found["julia"], get_study(name).results
    assert list(results({}, options)) == []
    assert list(results({"torch": {}, "julia": {}, "referee": {}}, options)) == []
    for engine in ("torch", "referee"):
        checked(results({engine: values}, options))
    for quantity in values:
        without = {k: v for k, v in values.items() if k != quantity}
        checked(results({"julia": without}, options))
        checked(results({"torch": without, "julia": values}, options))
    if name != "subgradient":
        short = {k: v[:1] if v.ndim == 1 and v.size > 2 else v for k, v in values.items()}
        checked(results({"julia": short}, options))


def test_engines_share_a_row_where_they_say_the_same() -> None:
    found: Any = {"torch": {"x": np.array([1.0, 2.0])}, "julia": {"x": np.array([1.001, 3.0])}}

    def build(values: Any) -> dict[Any, list[Any]]:
        return {k: [number(values.get("x"), k), number(values.get("y"), k)] for k in range(2)}

    (shown,) = table("x", ["k", "x", "nobody's"], found, build)
    assert shown.columns == ["k", "by", "x"]
    assert shown.rows == [[0, "both", 1.0], [1, "torch", 2.0], [1, "julia", 3.0]]
    found["julia"] = {"x": np.array([1.0, 2.0]), "y": np.array([np.nan, 4.0])}
    (shown,) = table("x", ["k", "x", "julia's"], found, build)
    assert shown.rows[1] == [1, 2.0, 4.0], "what one of them lacks the other fills in"
    del found["julia"]["y"]
    (shown,) = table("x", ["k", "x", "nobody's"], found, build, "a note")
    assert shown.rows == [[0, 1.0], [1, 2.0]]
    assert shown.note == "a note; by torch and julia"
    assert table("x", ["k", "x"], {}, build) == []


def test_a_history_that_ended_early_has_no_later_entries() -> None:
    short = np.array([4.0, 1.0])
    assert number(short, 1) == 1.0
    assert number(short, 2) is None
    assert number(None, 0) is None
    assert isinstance(number(np.array(3), *()), int)
    assert order(short, 1) == 2.0
    assert order(short, 0) is None
    assert order(np.array([1.0, 0.0]), 1) is None
    assert order(np.array([np.nan, 1.0]), 1) is None


def test_subgradients_are_shown_as_they_are() -> None:
    found, options = largest("subgradient")
    tables = get_study("subgradient").results(found, options)
    first, other = "Derivatives at kinks", "The same broadcast"
    assert cell(tables, first, "the talk's abs(x)", "Tracker") == "1"
    assert [cell(tables, first, f"|x| at {x}", "Tracker") for x in ("0", "-0")] == ["1", "1"]
    assert [cell(tables, first, f"|x| at {x}", "Zygote") for x in ("0", "-0")] == ["0", "-0"]
    assert [cell(tables, first, f"|x| at {x}", "Forward Diff") for x in ("0", "-0")] == ["1", "-1"]
    assert cell(tables, other, "|x| at -0", "Tracker") == "-1"
    assert cell(tables, first, "sqrt(x^2) at ±0", "Zygote") == "nan"
    assert cell(tables, first, "sqrt(x) at -0", "Zygote") == "-inf"
    assert cell(tables, "Ties", "max(a, b) at all ties", "Zygote") == "0 1"
    assert answer(np.array([1 / 3, -0.0, np.nan, np.inf])) == "0.333 -0 nan inf"

    torch = {"subgradient/relu": np.zeros((2, 2)), "subgradient/relu/clamp_min": np.ones((2, 2))}
    referee = {"clarke/abs": np.array([[-1.0, -1.0], [1.0, 1.0]])}
    tables = get_study("subgradient").results(
        {"torch": torch, "referee": referee, **found}, options
    )
    assert cell(tables, first, "|x| at 0", "Clarke") == "[-1, 1]"
    assert cell(tables, "One function", "relu(x)", "derivative") == "0"
    assert cell(tables, "One function", "clamp(x, min=0)", "derivative") == "1"


def test_propagation_by_layers() -> None:
    found, options = largest("propagation")
    values, tables = found["julia"], get_study("propagation").results(found, options)
    title = "Relative errors"
    assert cell(tables, title, "16", "output") == values["error/output"][1]
    assert cell(tables, title, "16", "adjoint ODE") == values["error/adjoint"][1]
    last = entry(options.n_max)
    assert cell(tables, title, last, "order", 3) == pytest.approx(values["order/negative_step"])
    assert cell(tables, title, entry(options.n_min), "order") is None
    grown = cell(tables, "Spectral radius", "2.84", "antisym. RK4")
    assert grown == pytest.approx(values["growth/rk4"][1, 10] - 1, abs=1e-8)


def test_reversibility_by_amplitude_and_time() -> None:
    found, options = largest("reversibility")
    values, tables = found["julia"], get_study("reversibility").results(found, options)
    shown = tables[0]
    at = {c: k for k, c in enumerate(shown.columns)}
    assert [r[0] for r in shown.rows[: len(options.horizons)]] == ["1"] * len(options.horizons)
    (row,) = (r for r in shown.rows if r[:2] == ["2", "4"])
    a, t = options.amplitudes.index(2.0), options.horizons.index(4.0)
    assert row[at["RK4 16"]] == values["roundtrip/rk4/16/float64"][a, t]
    refined = options.refined.index(4.0)
    assert row[at["RK4 64"]] == values["roundtrip/rk4/64/float64"][a, refined]
    assert row[at["Verlet f32"]] == values["roundtrip/verlet/float32"][a, t]
    assert "bf16" not in at, "Julia has none"
    trained = "Trained networks"
    assert cell(tables, trained, "2", "correct") == values["trained/accuracy/rk4"][1]


def test_oscillator_by_budget() -> None:
    found, options = largest("oscillator")
    values, tables = found["julia"], get_study("oscillator").results(found, options)
    k = options.budgets.index(64)
    energy, position = "Largest relative error of the energy", "Error of (q, p)"
    assert cell(tables, energy, "64", "Verlet") == values["energy/error/verlet"][k]
    assert cell(tables, position, "64", "RK4") == values["position/error/rk4"][k]
    assert cell(tables, energy, "64", "forward Euler") == "> 10"


def test_gradient_test_by_iterate() -> None:
    found, options = largest("gradient_test")
    values, tables = found["julia"], get_study("gradient_test").results(found, options)
    title = "Gradients against the reference"
    exact = values["gradient/reference/1"]
    wrong = values["gradient/backsolve/1e-7/1"]
    error = np.linalg.norm(wrong - exact) / np.linalg.norm(exact)
    assert cell(tables, title, "backsolve 1e-7", "error at 1") == pytest.approx(error)
    angle = wrong @ exact / np.linalg.norm(wrong) / np.linalg.norm(exact)
    assert cell(tables, title, "backsolve 1e-7", "cosine", 1) == pytest.approx(angle)
    assert cell(tables, title, "RK4 as published", "error at 0") == pytest.approx(0.0344, abs=5e-5)
    off = np.linalg.norm(values["inverse/1e-7/3"] - [2, 0])
    assert cell(tables, "Distance", "backsolve 1e-7", "at 3") == pytest.approx(off)
    E1 = values["E1/rk4/0"]
    assert cell(tables, "Taylor", "2^-14", "E1 RK4") == E1[13]
    assert cell(tables, "Taylor", "2^-14", "order") == pytest.approx(np.log2(E1[12] / E1[13]))


def test_training_where_a_run_broke_down() -> None:
    options = get_study("training").configure(iterations=6)
    broken = {
        "loss/rk4": np.array([9.0, 5.0, 7.0, np.nan]),  # cut short by the engine
        "loss/backsolve/1e-2": np.array([9.0, 4.0, 6.0, 6.0, 6.0, 6.0, 6.0]),  # padded by it
        "completed/backsolve/1e-2": np.array(2),
        "loss/rk4/agreed": np.array([9.0]),
    }
    values = {"loss/today/1e-7": np.array([9.0, 3.0])}
    tables = get_study("training").results({"torch": broken, "julia": values}, options)
    checked(tables)
    (shown,) = tables
    rows = {r[0]: r[1:] for r in shown.rows}
    assert list(rows) == ["rk4", "backsolve/1e-2", "today/1e-7"], "/agreed is no variant"
    printed = published_losses("rk4")[:7]
    assert rows["rk4"][:2] == [printed.min(), printed[-1]]
    assert rows["rk4"][2:4] == [5.0, 1]
    assert np.isnan(rows["rk4"][4])
    assert rows["rk4"][5] == 3
    assert rows["backsolve/1e-2"][2:6] == [4.0, 1, 6.0, 2]
    assert rows["today/1e-7"] == [None] * 6 + [3.0, 1, 3.0, 1]


def test_training_gradients_by_iterate() -> None:
    found, options = largest("training")
    values, tables = found["julia"], get_study("training").results(found, options)
    title = "Relative error and cosine"
    assert cell(tables, title, "3", "backsolve") == values["error/backsolve/1e-7"][3]
    assert cell(tables, title, "3", "cosine", 1) == values["cosine/backsolve/1e-7"][3]
    off = np.linalg.norm(values["inverse/backsolve/1e-7"][10] - [2, 0])
    assert cell(tables, title, "10", "u(0) off") == pytest.approx(off)


def test_landscape_by_layers() -> None:
    found, options = largest("landscape")
    values, tables = found["julia"], get_study("landscape").results(found, options)
    title = "The loss surface"
    assert cell(tables, title, "5", "minima") == values["minima/N=5"].min()
    assert cell(tables, title, "5", "most") == values["minima/N=5"].max()
    assert cell(tables, title, "100", "lowest at") == "(0.938, 0.938)"
    relative = values["difference/N=100/relative"]
    assert cell(tables, title, "100", "median", 1) == np.median(relative)
    assert cell(tables, "L-BFGS", "200", "successes") == values["success/N=200"]


def test_conditioning_by_width_and_precision() -> None:
    found, options = largest("conditioning")
    values, tables = found["julia"], get_study("conditioning").results(found, options)
    shown = tables[0]
    rows = {(r[0], r[1]): r for r in shown.rows}
    at = {c: k for k, c in enumerate(shown.columns)}
    assert rows[8, "double"][at["median"]] == values["cond/m=8"][2]
    assert rows[16, "double"][at["largest"]] == values["cond/m=16/range"][1]
    condition = 1 / values["rcond/half/m=32"]
    assert rows[32, "half"][at["least"]] == pytest.approx(condition.min())
    assert rows[32, "half"][at["% > 1/eps16"]] == 100 * (condition > 1024).mean()
    share = 100 * values["share/m=16"]
    assert rows[16, "double"][at["% > 1/eps32"]] == pytest.approx(share[1])
    assert cell(tables, "Medians", "8", "cond(J_K)") == values["cond/blocks/m=8"][1]


def test_classification_by_model_and_iteration() -> None:
    found, options = largest("classification")
    values, tables = found["julia"], get_study("classification").results(found, options)
    title, net = "Share of points", "peaks: ResNet, VarPro"
    assert cell(tables, title, net, "validation %") == 100 * values["varpro/error"][1]
    assert cell(tables, title, net, "loss") == values["varpro/history"][-1]
    assert cell(tables, title, "ellipses: linear", "validation %") is None
    assert cell(tables, "Loss after", "3", "VarPro") == values["varpro/history"][3]
    last = entry(values["newton/history"].size - 1)
    assert cell(tables, "Loss after", last, "Newton-CG, coupled") == values["newton/history"][-1]
