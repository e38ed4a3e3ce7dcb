"""The referees of a user's function: differences, the complex step, jets of balls."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import numdl_bridge as nb
from numdl_bridge.engines.referee.number import Ball
from numdl_bridge.models.differences import directional_derivative
from numdl_bridge.models.jets import Jet, parts

CASES = {
    "polynomial": (lambda t: np.asarray((1 + t) ** 5), 5.0),
    "exponential": (lambda t: np.exp(3 * np.asarray(t)), 3.0),
    "oscillating": (lambda t: np.sin(10 * np.asarray(t)), 10.0),
    "not analytic": (lambda t: np.abs(np.asarray(t) - 1), -1.0),
}


@pytest.mark.parametrize("name", CASES)
def test_a_derivative_lies_within_its_own_error_estimate(name) -> None:
    function, exact = CASES[name]
    found = directional_derivative(function)
    assert abs(float(found.value) - exact) <= found.error
    assert found.error <= 1e-9 * abs(exact)
    assert found.method == ("extrapolated differences" if "not" in name else "complex step")


def test_a_wrong_analytic_continuation_is_not_believed() -> None:
    """abs of a complex number is its modulus: the complex step would give 0."""
    found = directional_derivative(lambda t: np.abs(1 + np.asarray(t)) + 0j)
    assert float(np.real(found.value)) == pytest.approx(1.0, abs=1e-9)


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_jets_follow_the_rules_of_calculus(x, v) -> None:
    field = Ball(128)
    with field.working():
        jet = Jet(field.number(x), field.number(v))
        rules = {
            "product": ((jet * jet).derivative, 2 * jet.value * v),
            "quotient": (
                (jet / (jet * jet + 1)).derivative,
                v * (1 - jet.value**2) / (1 + jet.value**2) ** 2,
            ),
            "chain": (jet.sin().exp().derivative, jet.value.sin().exp() * jet.value.cos() * v),
            "tanh": (jet.tanh().derivative, v * (1 - jet.value.tanh() ** 2)),
            "power": ((jet**3).derivative, 3 * jet.value**2 * v),
        }
        for name, (ours, theirs) in rules.items():
            assert abs(ours - theirs) < 1e-30, name


def test_a_numpy_version_gives_a_proven_derivative() -> None:
    A, theta = np.array([[1.0, 2.0], [3.0, -1.0]]), np.array([0.3, -0.2])
    result = nb.compare_gradients(
        lambda theta, A: (A @ theta).tanh().square().sum(),
        "unused",
        {"theta": theta},
        {"A": A},
        referee=lambda theta, A: np.sum(np.square(np.tanh(A @ theta))),
        julia_mode="off",
    )
    (row,) = [d for d in result.rows if d.quantity == "Jv"]
    assert row.verdict == "agree"
    assert row.radius < 1e-16
    assert row.relative < 1e-15


def test_values_of_jets_keep_their_shape() -> None:
    values, slopes = parts(np.array([[Jet(1, 2), Jet(3, 4)]], dtype=object))
    assert values.shape == slopes.shape == (1, 2)
