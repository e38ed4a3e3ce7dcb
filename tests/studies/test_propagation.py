"""What `propagation` asks: inputs, names, and claims that can fail."""

from __future__ import annotations

import numpy as np
import pytest

from numdl_bridge.errors import BadInputError
from numdl_bridge.studies.propagation import HW_GRID, STUDY, levels


def test_inputs_are_drawn_with_the_spectra_that_the_claims_assume():
    inputs = STUDY.inputs(STUDY.configure())
    symmetric, antisymmetric, shifted = inputs["K_stability"]
    assert np.linalg.eigvalsh(symmetric).min() == pytest.approx(-1, rel=1e-14)
    assert np.linalg.eigvalsh(symmetric).max() < 0
    np.testing.assert_array_equal(antisymmetric, -antisymmetric.T)
    assert np.abs(np.linalg.eigvals(antisymmetric)).max() == pytest.approx(1, rel=1e-13)
    np.testing.assert_allclose(shifted, antisymmetric - 0.1 * np.eye(4), atol=1e-16)
    for name in ("K1", "b1", "K2", "b2", "Y0"):
        assert np.linalg.norm(inputs[f"d{name}"]) == pytest.approx(1, rel=1e-14)


def test_names_are_unique_and_claims_need_nothing_else():
    options = STUDY.configure()
    names = [q.name for q in STUDY.quantities(options)]
    assert len(names) == len(set(names))
    for claim in STUDY.claims(options):
        assert set(claim.needs) <= set(names), claim.name


def test_one_level_is_not_enough_for_an_order():
    with pytest.raises(BadInputError, match="n_max at least twice n_min"):
        levels(STUDY.configure(n_min=8, n_max=15))


@pytest.mark.parametrize(("name", "value"), [("width", 1), ("n_layers", 0), ("samples", -3)])
def test_sizes_that_make_no_sense_are_refused(name, value):
    with pytest.raises(BadInputError):
        STUDY.configure(**{name: value})


def _claim(name):
    return next(c for c in STUDY.claims(STUDY.configure()) if c.name == name)


@pytest.mark.parametrize(("order", "holds"), [(1.04, True), (0.94, False), (2.0, False)])
def test_the_order_claim_can_fail(order, holds):
    decision = _claim("order 1: gradient").check({"order/gradient": order}, STUDY.configure())
    assert decision.holds is holds


def test_the_stability_claims_can_fail():
    w, options = np.array(HW_GRID), STUDY.configure()
    growth = np.stack([np.abs(1 - w), np.sqrt(1 + w**2), np.sqrt((1 - 0.1 * w) ** 2 + w**2)])
    names = ("Euler, symmetric", "Euler, antisymmetric", "Euler, shifted")
    for name in names:
        assert _claim(name).check({"growth/forward_euler": growth}, options).holds
        assert not _claim(name).check({"growth/forward_euler": growth * 0.9}, options).holds
