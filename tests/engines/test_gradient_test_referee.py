"""The referee's answer to `gradient_test`: doubles inside its balls, published and continuous."""

from __future__ import annotations

import numpy as np
import pytest

from numdl_bridge import resources
from numdl_bridge.engines.referee import RefereeEngine, gradient_test
from numdl_bridge.engines.referee.number import Double
from numdl_bridge.studies.gradient_test import STUDY


@pytest.fixture(scope="module")
def proven():
    options = STUDY.configure("quick")
    return options, RefereeEngine().observe(STUDY, options, STUDY.inputs(options))


def test_doubles_and_balls_agree_and_the_balls_are_narrow(proven):
    options, observed = proven
    doubles = gradient_test.answer(STUDY.inputs(options), options, Double())
    assert set(doubles) == set(observed.values)
    for name, ball in observed.values.items():
        size = np.linalg.norm(ball)
        assert np.linalg.norm(doubles[name] - ball) <= 1e-12 * max(size, 1), name
        if name != "gradient/reference/0":
            assert observed.radii[name].max() <= 1e-15 * max(size, 1), name
    # At the quick size the reference is a float64 one, and says so by having no radius.
    assert "gradient/reference/0" not in observed.radii


def test_published_remainders_are_met(proven):
    table = resources.published("gradient_test")
    rows = table[np.char.find(table["variant"].astype(str), "rk4") >= 0]
    h, E1 = rows["h"][:14], rows["E1"][:14]
    np.testing.assert_array_equal(h, 0.5 ** np.arange(1, 15))
    np.testing.assert_allclose(proven[1].values["E1/rk4/0"][:14], E1, rtol=1e-6)
    assert proven[1].values["loss/rk4/0"] == pytest.approx(1733.7891860, abs=1e-6)


@pytest.mark.slow
def test_the_exact_flow_has_the_known_loss_and_slope():
    options = STUDY.configure(iterates=(0,), levels=4)
    inputs = STUDY.inputs(options)
    found = RefereeEngine().observe(STUDY, options, inputs)
    J, slope = found.values["loss/continuous/0"], found.values["directional/continuous/0"]
    assert pytest.approx(1823.639688, abs=1e-6) == J
    assert slope == pytest.approx(9675.757420, abs=1e-5)
    assert found.radii["loss/continuous/0"] < 1e-12
    assert found.radii["gradient/continuous/0"].max() < 1e-9
    fine, exact = (found.values[f"gradient/{way}/0"] for way in ("reference", "continuous"))
    assert found.radii["gradient/reference/0"].max() < 1e-12
    assert np.linalg.norm(fine - exact) < 1e-9 * np.linalg.norm(exact)
