"""The kinks are kinks, the membership test can say no, and the claims can fail."""

from __future__ import annotations

import numpy as np
import pytest

from numdl_bridge.studies import get_study
from numdl_bridge.studies._subgradient_cases import CASES, inside
from numdl_bridge.studies.subgradient import STUDY, shape


def test_inputs_keep_the_sign_of_zero_and_hash_alike():
    inputs = STUDY.inputs(STUDY.configure())
    assert np.signbit(inputs["x/abs"]).tolist() == [False, True]
    assert np.signbit(inputs["x/max"][1]).tolist() == [False, False, True, False]


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.pieces is not None])
def test_several_pieces_meet_at_every_point(name):
    case = CASES[name]
    for x in case.columns():
        assert len(np.unique(case.active(x), axis=0)) > 1


def test_active_pieces_by_hand():
    norminf = CASES["norminf"]
    assert norminf.active(np.array([1.0, -1.0, 0.5])).tolist() == [[1, 0, 0], [0, -1, 0]]
    assert sorted(CASES["clamp"].active(np.array([1.0])).tolist()) == [[0], [1]]
    assert len(CASES["norm1"].active(np.array([0.0, 1.0, -1.0]))) == 2


@pytest.mark.parametrize(
    ("name", "x", "gradient", "expected"),
    [
        ("abs", [0.0], [1.0], True),
        ("abs", [0.0], [-1.0], True),
        ("abs", [0.0], [1.001], False),
        ("relu", [0.0], [-0.001], False),
        ("clamp", [1.0], [0.5], True),
        ("clamp", [1.0], [2.0], False),
        ("max", [1.0, 1.0], [0.25, 0.75], True),
        ("max", [1.0, 1.0], [1.0, 1.0], False),
        ("max", [1.0, 1.0], [0.0, 0.0], False),
        ("norm1", [0.0, 1.0, -1.0], [0.3, 1.0, -1.0], True),
        ("norm1", [0.0, 1.0, -1.0], [0.3, 1.0, 1.0], False),
        ("norminf", [1.0, -1.0, 0.5], [1.0, -1.0, 0.0], False),
        ("norminf", [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], True),
        ("norm2", [0.0, 0.0, 0.0], [1.0, 1.0, 0.0], False),
        ("norm2", [0.0, 0.0, 0.0], [0.6, 0.8, 0.0], True),
    ],
)
def test_membership(name, x, gradient, expected):
    assert inside(CASES[name], np.array(x), np.array(gradient)) is expected


def test_every_quantity_has_something_to_be_compared_with():
    options = STUDY.configure()
    names = {q.name: q for q in STUDY.quantities(options)}
    assert get_study("subgradient") is STUDY
    for quantity in names.values():
        assert quantity.rtol == 0
        assert quantity.atol == 0
        assert quantity.compare_with is None or quantity.compare_with in names
        assert (
            quantity.compare_with is not None
            or len(quantity.engines) > 1
            or "clarke" in (quantity.name)
        )


def test_a_claim_fails_on_an_answer_outside_and_lists_what_is_not_finite():
    options = STUDY.configure()
    claim = STUDY.claims(options)[1]
    values = {name: np.zeros(shape(CASES[name.split("/")[1]])) for name in claim.needs}
    decision = claim.check(values, options)
    assert not decision.holds  # zero is no subgradient of max at a tie
    assert "subgradient/max" in decision.figure
    values["subgradient/hypot"] = np.full(shape(CASES["hypot"]), np.nan)
    assert "not finite: subgradient/hypot" in claim.check(values, options).figure


def test_tracker_claim_is_about_one():
    claim = STUDY.claims(STUDY.configure())[0]
    assert claim.check({"talk/tracker": np.array(1.0)}, None).holds
    assert not claim.check({"talk/tracker": np.array(0.0)}, None).holds
