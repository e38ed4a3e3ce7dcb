"""Every study's figure is drawn from what was recorded, and shows what its claims count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numdl_bridge import resources
from numdl_bridge.compare import compare_study
from numdl_bridge.report.figures import DRAWINGS, svg
from numdl_bridge.report.figures.surfaces import strict_minima
from numdl_bridge.runs.observations import load_observation
from numdl_bridge.runs.results import StudyResult
from numdl_bridge.studies import get_study

pytest.importorskip("matplotlib")


def recorded(name: str, **more: Any) -> StudyResult:
    """The smallest of a study's recordings as a result, its values replaced by `more`."""
    study = get_study(name)
    files = sorted((resources.folder("recordings") / name).glob("julia-*.json"))
    found = [load_observation(p.parent, p.stem)[0] for p in files]
    observation = min(found, key=lambda o: sum(v.size for v in o.values.values()))
    observation.values = {**observation.values, **more}
    known = study.options.__struct_fields__
    options = study.configure(**{k: v for k, v in observation.options.items() if k in known})
    empty = compare_study(replace(study, quantities=lambda o: [], claims=lambda o: []), options, {})
    return StudyResult(study, options, {"julia": observation}, empty, {}, Path())


@pytest.mark.parametrize("name", sorted(DRAWINGS))
def test_every_figure_is_drawn_the_same_every_time(name: str) -> None:
    result = recorded(name)
    first = svg(result)
    assert first is not None
    assert "<svg" in first
    assert first == svg(result)


def test_a_run_that_broke_down_ends_with_a_mark() -> None:
    whole = svg(recorded("training"))
    assert whole is not None
    assert "broke down" not in whole
    broken = svg(recorded("training", **{"loss/rk4": np.array([9.0, 5.0, 7.0])}))
    assert broken is not None
    assert "rk4, broke down at 2" in broken
    padded = svg(recorded("training", **{"completed/rk4": np.array(4)}))
    assert padded is not None
    assert "rk4, broke down at 4" in padded
    assert "rk4, published" in padded


def test_strict_minima_are_those_that_the_claim_counts() -> None:
    surface = np.array([[1.0, 3.0, 3.0], [3.0, 3.0, 2.0], [3.0, 3.0, 2.0]])
    assert strict_minima(surface).T.tolist() == [[0, 0]], "a tie is no strict minimum"
    values = recorded("landscape").observations["julia"].values
    for layers in (5, 100):
        counted = int(values[f"minima/N={layers}"][0])
        assert strict_minima(values[f"surface/N={layers}"]).shape[1] == counted


def test_the_landscape_has_the_test_surface_where_there_is_one() -> None:
    result = recorded("landscape")
    values = result.observations["julia"].values
    plain = svg(result)
    values["surface/N=5/test"] = values["surface/N=5"] + 1.0
    shown = svg(result)
    assert plain is not None
    assert shown is not None
    assert "|train − test|, N = 5" in shown
    assert "|train − test|" not in plain


def test_a_figure_without_its_arrays_is_none() -> None:
    for name in DRAWINGS:
        result = recorded(name)
        result.observations["julia"].values = {"something else": np.array(1.0)}
        assert svg(result) is None, name
