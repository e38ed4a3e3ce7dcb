"""The referee's numerics: derivatives by hand, one text for two number types, Taylor truth."""

from __future__ import annotations

from itertools import pairwise

import flint
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from numdl_bridge import resources
from numdl_bridge.engines.referee import taylor
from numdl_bridge.engines.referee.integrators import (
    RK4,
    ForwardEuler,
    adjoint,
    grid,
    grid_of,
    linearised_trajectory,
    misfit,
    misfit_gradient,
    sensitivity,
    trajectory,
)
from numdl_bridge.engines.referee.linalg import centres, dot, root, widths
from numdl_bridge.engines.referee.networks import NeuralODE, ResidualField
from numdl_bridge.engines.referee.number import Ball, Double, midpoint, radius
from numdl_bridge.engines.referee.tsitouras import replay

SCHEMES = [ForwardEuler, RK4]


def small(seed: int = 0) -> dict[str, np.ndarray]:
    """A neural ODE with 5 hidden units, mild enough for any step size used here."""
    rng = np.random.default_rng(seed)
    return {
        "theta": 0.4 * rng.standard_normal(27),
        "d": rng.standard_normal(27),
        "u0": np.array([0.7, -0.3]),
        "data": rng.standard_normal((2, 6)),
    }


def entered(field: Ball | Double, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: field.array(value) for name, value in inputs.items()}


def contains(balls: np.ndarray, exact: np.ndarray) -> bool:
    return all(a.overlaps(b) for a, b in zip(balls.ravel(), exact.ravel()))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_doubles_lie_where_the_balls_say(scheme):
    inputs, results = small(), []
    for field in (Double(), Ball(128)):
        with field.working():
            w = entered(field, inputs)
            steps = grid(field.number(1) / 8, 5)
            loss, g = misfit_gradient(scheme, NeuralODE(w["theta"]), w["u0"], steps, w["data"])
            results.append((midpoint(np.array([loss])), midpoint(g), radius(g)))
    (loss, g, _), (exact_loss, exact, proven) = results
    np.testing.assert_allclose(loss, exact_loss, rtol=1e-14)
    np.testing.assert_allclose(g, exact, rtol=0, atol=1e-14 * np.linalg.norm(exact))
    assert proven.max() < 1e-14


@pytest.mark.parametrize("scheme", SCHEMES)
def test_balls_contain_a_computation_in_many_more_bits(scheme):
    kept = []
    for bits in (64, 400):
        field = Ball(bits)
        with field.working():
            w = entered(field, small())
            steps = grid(field.number(1) / 8, 5)
            kept.append(misfit_gradient(scheme, NeuralODE(w["theta"]), w["u0"], steps, w["data"]))
    with Ball(400).working():
        assert contains(kept[0][1], kept[1][1])
        assert contains(np.array([kept[0][0]]), np.array([kept[1][0]]))
    assert widths(kept[1][1]).max() < 1e-100 < widths(kept[0][1]).max()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_gradient_by_hand_is_the_limit_of_difference_quotients(scheme):
    field = Ball(400)
    with field.working():
        w = entered(field, small())
        steps, h = grid(field.number(1) / 8, 5), field.number(10) ** -40
        _, g = misfit_gradient(scheme, NeuralODE(w["theta"]), w["u0"], steps, w["data"])

        def at(theta):
            return misfit(trajectory(scheme, NeuralODE(theta), w["u0"], steps), w["data"])

        quotient = (at(w["theta"] + h * w["d"]) - at(w["theta"] - h * w["d"])) / (2 * h)
        error = abs(g @ w["d"] - quotient)
        # The central quotient is off by h^2 times a third derivative: 1e-80 times less than 1e5.
        assert error < field.number(10) ** -75
        assert abs(quotient) > 0.01


@pytest.mark.parametrize("scheme", SCHEMES)
def test_forward_sensitivities_equal_the_adjoint(scheme):
    field = Ball(256)
    rng = np.random.default_rng(3)
    with field.working():
        K1, b, K2 = (field.array(rng.standard_normal(s)) for s in ((3, 4, 2), (3, 4), (3, 2, 4)))
        Y0, dY0, end = (field.array(rng.standard_normal((2, 3))) for _ in range(3))
        dtheta = field.array(rng.standard_normal(K1.size + b.size + K2.size))
        f, steps = ResidualField(K1, b, K2), grid(field.number(1) / 4, 4)
        states, moved = sensitivity(scheme, f, Y0, dY0, dtheta, steps)
        same, pulls = linearised_trajectory(scheme, f, Y0, steps)
        back, g = adjoint(pulls, lambda j: end if j == len(steps) else None)
        forward, reverse = (end * moved[-1]).sum(), (back * dY0).sum() + g @ dtheta
        assert forward.overlaps(reverse)
        assert abs(forward - reverse) < 1e-60 < abs(forward)
        assert contains(states[-1], same[-1])


def test_large_products_go_through_flint_and_agree():
    rng = np.random.default_rng(1)
    A, B = rng.standard_normal((6, 7)), rng.standard_normal((7, 5))
    field = Ball(200)
    with field.working():
        fast, plain = dot(field.array(A), field.array(B)), field.array(A) @ field.array(B)
        assert contains(fast, plain)
    np.testing.assert_allclose(midpoint(fast), A @ B, rtol=1e-14)


def test_roots_of_sums_of_squares_survive_a_ball_across_zero():
    with Ball(64).working():
        across = np.array([flint.arb(0, 1e-30), flint.arb(4)], dtype=object)
        found = root(across)
        assert found[0].contains(flint.arb(1e-15))
        assert found[0].contains(flint.arb(0))
        assert found[1].contains(flint.arb(2))
        assert widths(centres(found)).max() == 0


def test_replayed_tsitouras_is_of_order_five_and_its_interpolant_of_order_four():
    w = small()
    f = NeuralODE(w["theta"])
    exact = solve_ivp(lambda t, u: f.value(t, u), (0, 2), w["u0"], "DOP853", [0.87, 2.0],
                      rtol=1e-13, atol=1e-14).y  # fmt: skip
    errors = []
    for n in (4, 8):
        states = replay(f, w["u0"], np.linspace(0, 2, n + 1), np.array([0, 0.87, 2.0]), Double())
        errors.append([np.linalg.norm(states[i + 1] - exact[:, i]) for i in (0, 1)])
    inside, end = np.log2(np.array(errors[0]) / np.array(errors[1]))
    assert 4.5 < end < 6.5
    assert 3.5 < inside < 6.5


def _talk(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = resources.published("neural_ode_data")
    return resources.published("neural_ode_theta0"), table[:n, 0], table[:n, 1:].T


@pytest.fixture(scope="module")
def truth():
    """The talk's neural ODE over its first three data intervals, enclosed."""
    theta, times, data = _talk(4)
    field = Ball(192)
    with field.working():
        found = taylor.solve(field.array(theta), field.array([2.0, 0.0]), times, field)
        balls = field.array(data)
        return found, found.misfit(balls), found.misfit_gradient(balls)


def test_the_taylor_enclosure_is_narrow_and_contains_dop853(truth):
    theta, times, _ = _talk(4)
    f = NeuralODE(theta)
    reference = solve_ivp(lambda t, u: f.value(t, u), (0, times[-1]), [2.0, 0.0], "DOP853", times,
                          rtol=1e-13, atol=1e-13).y  # fmt: skip
    for i, u in enumerate(truth[0].states):
        assert widths(u).max() < 1e-16
        # DOP853's own error, about 1e-12 here, is what separates the two.
        assert np.abs(midpoint(u) - reference[:, i]).max() < 1e-11


def test_the_continuous_gradient_is_the_limit_of_discrete_ones(truth):
    theta, times, data = _talk(4)
    f, errors = NeuralODE(theta), []
    exact = midpoint(truth[2])
    assert widths(truth[2]).max() < 1e-12
    for pieces in (20, 40):
        fine = np.concatenate(
            [np.linspace(a, b, pieces + 1)[:-1] for a, b in pairwise(times)] + [times[-1:]]
        )
        _, g = misfit_gradient(RK4, f, np.array([2.0, 0.0]), grid_of(fine), data, pieces)
        errors.append(np.linalg.norm(g - exact) / np.linalg.norm(exact))
    assert errors[1] < 1e-8
    assert 3.5 < np.log2(errors[0] / errors[1]) < 4.5


def test_the_taylor_remainder_is_a_bound():
    """A low degree and its bound against a high degree: the ball must hold the better answer."""
    theta, times, _ = _talk(2)
    kept = []
    for degree, tolerance in ((8, 1e-9), (24, 1e-24)):
        field = Ball(192)
        with field.working():
            found = taylor.solve(
                field.array(theta), field.array([2.0, 0.0]), times, field, degree, tolerance
            )
            kept.append((found.states[1], found.sensitivities[1]))
    with Ball(192).working():
        for coarse, fine in zip(*kept):
            assert contains(coarse, fine)
            assert widths(coarse).max() > 1e3 * widths(fine).max()
