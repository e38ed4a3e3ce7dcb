"""Inputs, options and claims of the oscillator study."""

from __future__ import annotations

import numpy as np
import pytest

from numdl_bridge.errors import BadInputError
from numdl_bridge.studies.oscillator import STAGES, STUDY


def test_methods_cost_the_same():
    options = STUDY.configure()
    inputs = STUDY.inputs(options)
    for method, stages in STAGES.items():
        evaluations = stages * 2 * np.pi / inputs[f"h/{stages}"]
        np.testing.assert_allclose(evaluations, options.budgets, rtol=1e-15, err_msg=method)


def test_first_start_is_the_one_of_the_formulas():
    assert STUDY.inputs(STUDY.configure(starts=3))["y0"][:, 0].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    "settings",
    [
        {"budgets": (16, 18)},
        {"budgets": (64, 32)},
        {"budgets": ()},
        {"budgets": (4,)},
        {"record": 20},
        {"periods": 0},
        {"gradient_periods": 0},
        {"starts": -1},
    ],
)
def test_bad_options_are_one_message(settings):
    with pytest.raises(BadInputError, match="What to do"):
        STUDY.inputs(STUDY.configure(**settings))


def test_both_winners_are_claimed_at_default_size():
    names = {c.name for c in STUDY.claims(STUDY.configure())}
    assert {"more bang for the buck", "where the higher order wins", "cross-over"} <= names


def test_claims_can_fail():
    options = STUDY.configure()
    claims = {c.name: c for c in STUDY.claims(options)}
    equal = {f"energy/error/{m}": np.full(len(options.budgets), 1e-3) for m in STAGES}
    assert not claims["more bang for the buck"].check(equal, options).holds
    assert not claims["where the higher order wins"].check(equal, options).holds
    assert not claims["energy factor of rk4"].check(equal, options).holds
    assert not claims["energy bound of verlet"].check(equal, options).holds
    growing = np.outer(np.ones(len(options.budgets)), np.arange(1.0, options.periods + 1))
    table = {"energy/growth/verlet": growing, "energy/growth/rk4": 1e-6 * growing**2}
    assert not claims["Verlet's energy error is bounded"].check(table, options).holds
    assert not claims["RK4's energy drifts linearly"].check(table, options).holds
