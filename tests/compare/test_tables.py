"""Tables: what is in which, as numbers and as text."""

import numpy as np
import pytest
import stubs

from numdl_bridge.compare import compare_study, tables
from numdl_bridge.studies.observation import Timing, Unavailable

LOAD = Timing("engine", "package load", (1.5,))


@pytest.fixture
def compared():
    study, options, observations = stubs.observations(
        torch={
            "spoil": {"gradient": lambda v: v * (1 + 1e-10), "steps": lambda v: v + 1},
            "timings": [LOAD, stubs.kernel(*[2e-3] * 5)],
            "peak_memory": 2**30,
        },
        julia={
            "spoil": {"inverse": Unavailable("no inverse")},
            "timings": [stubs.kernel(*[1e-3] * 5)],
            "recorded": "2026-11-01",
        },
        referee=None,
    )
    return study, options, observations, compare_study(study, options, observations)


def test_each_difference_is_in_exactly_one_table(compared):
    *_, comparison = compared
    frames = [f(comparison) for f in (tables.gradients, tables.inverses, tables.quantities)]
    assert sum(len(f) for f in frames) == len(comparison.differences)
    gradients, inverses, others = frames
    assert set(gradients.quantity) == {"gradient", "gradient/other"}
    assert set(inverses.quantity) == {"inverse"}
    assert set(others.quantity) == {"y", "steps"}
    assert "cosine" in gradients
    assert "cosine" not in inverses


def test_numbers_are_numbers_and_rows_can_be_left_out(compared):
    *_, comparison = compared
    frame = tables.gradients(comparison)
    row = frame[(frame.quantity == "gradient") & (frame.pair == "torch–referee")].iloc[0]
    assert row.relative == pytest.approx(1e-10, rel=1e-4)
    assert row.verdict == "agree within budget"
    assert row.budget == 1e-9
    assert frame.ulps.dtype == frame.relative.dtype == np.float64
    inverses = tables.inverses(comparison)
    assert list(inverses.verdict) == ["agree", "unavailable", "unavailable"]
    assert list(tables.inverses(comparison, compared_only=True).verdict) == ["agree"]


def test_all_fields_of_all_differences(compared):
    *_, comparison = compared
    frame = tables.differences(comparison)
    assert len(frame) == len(comparison.differences)
    steps = frame[(frame.quantity == "steps") & (frame.pair == "torch–julia")]
    assert list(steps.worst_left) == ["30"]
    assert "solver 1.0e-9" in frame.terms.tolist()


def test_values_side_by_side(compared):
    study, options, observations, _ = compared
    frame = tables.values(study, options, observations).set_index("quantity")
    assert list(frame.loc["steps", ["torch", "julia", "referee"]]) == ["30", "29", "29"]
    assert frame.loc["inverse", "julia"] == "–"
    assert frame.loc["gradient", "referee"] == "norm 6 [4]"
    assert frame.loc["gradient", "proven"] == "2.0e-30"


def test_timings_claims_published_and_memory(compared):
    _, _, observations, comparison = compared
    timings = tables.timings(comparison, observations)
    assert list(timings.engine) == ["torch", "torch", "julia"]
    assert list(timings.recorded) == ["", "", "2026-11-01"]
    assert "julia was recorded elsewhere" in timings.reason[1]
    assert timings.ratio.isna().all()
    (ratio,) = tables.ratios(comparison, observations).to_dict("records")
    assert (ratio["left"], ratio["right"], ratio["ratio"]) == ("torch", "julia", None)
    claims = tables.claims(comparison)
    assert list(claims.outcome) == ["holds"] * 3
    published = tables.published(comparison)
    assert list(published.ours) == [30, 29, 29]
    assert tables.memory(observations)["peak memory"][0] == 2**30


def test_a_comparison_of_nothing_has_empty_tables_with_their_columns():
    study, options, _ = stubs.observations()
    comparison = compare_study(study, options, {})
    assert "verdict" in tables.gradients(comparison, compared_only=True)
    assert tables.claims(comparison).empty
    assert tables.timings(comparison, {}).empty
    assert tables.markdown(tables.published(comparison)) == ""


def test_printable_and_markdown(compared):
    *_, comparison = compared
    text = tables.markdown(tables.gradients(comparison))
    lines = text.splitlines()
    assert lines[0].startswith("| quantity | against | mode | pair | relative |")
    assert "| 1.0e-10 | 675540 | 675540 | 9.9 |" in lines[2]
    assert "nan" not in text
    assert len({line.count("|") for line in lines}) == 1
    shown = tables.printable(tables.gradients(comparison))
    assert all(isinstance(cell, str) for cell in shown.to_numpy().ravel())


def test_a_bar_in_a_text_does_not_break_the_table(compared):
    import pandas as pd

    assert tables.markdown(pd.DataFrame({"about": ["|x|\nat 0"]})).splitlines()[2] == (
        "| \\|x\\| at 0 |"
    )
