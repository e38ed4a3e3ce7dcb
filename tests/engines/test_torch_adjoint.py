"""Gradients three ways: against closed forms, against reverse mode, against each other."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from numdl_bridge.engines.torch.adjoint import (
    Fit,
    continuous_gradient,
    discrete_gradient,
    forward_gradient,
    observe,
    solve,
)
from numdl_bridge.engines.torch.controllers import DIFFEQ_2019, ORDINARYDIFFEQ, TORCHDIFFEQ
from numdl_bridge.engines.torch.gradient_test import native_gradient
from numdl_bridge.engines.torch.integrators import forward_euler, integrate, rk2, rk4
from numdl_bridge.engines.torch.iterates import talk_fit
from numdl_bridge.engines.torch.tableaux import DORMAND_PRINCE, DORMAND_PRINCE_SHAMPINE
from numdl_bridge.errors import BadInputError

METHODS = pytest.mark.parametrize("method", ["backsolve", "reset", "interpolation", "checkpoints"])
TIMES = [0.0, 0.3, 0.7, 1.0]
THETA = torch.tensor([0.8, -0.5], dtype=torch.float64)
START = torch.tensor([1.5, 0.5], dtype=torch.float64)


def linear(t, y, theta):
    """y_i' = theta_i y_i, whose solution is y_i(0) exp(theta_i t)."""
    return theta * y


def squares(states):
    return (states**2).sum()


LINEAR = Fit(linear, START, TIMES, squares)
EXACT_LOSS = sum(float((START**2 * torch.exp(2 * THETA * t)).sum()) for t in TIMES)
EXACT_THETA = sum(2 * t * START**2 * torch.exp(2 * THETA * t) for t in TIMES)
EXACT_START = sum(2 * START * torch.exp(2 * THETA * t) for t in TIMES)


def driven(t, y, theta):
    """Two coupled oscillators of a batch of three, driven in time; theta is a 2 x 2 matrix."""
    return torch.tanh(theta @ y) + torch.sin(2 * y) * torch.cos(
        torch.as_tensor(3.0 * t, dtype=y.dtype)
    )


def plain_gradient(fit, theta, step, substeps=1):
    """Reverse mode through the loop, the textbook way."""
    p = theta.clone().requires_grad_(True)
    y0 = fit.y0.clone().requires_grad_(True)
    times = []
    for a, b in pairwise(fit.times):
        times += [a + j * (b - a) / substeps for j in range(substeps)]
    states = integrate(step, lambda t, y: fit.f(t, y, p), y0, [*times, fit.times[-1]])
    return torch.autograd.grad(fit.loss(states[::substeps]), (p, y0))


@METHODS
def test_continuous_gradient_of_a_linear_equation(method):
    g = continuous_gradient(LINEAR, THETA, method, 1e-10, 1e-12)
    assert g.outcome == "success"
    assert float(g.loss) == pytest.approx(EXACT_LOSS, rel=1e-9)
    assert g.theta.numpy() == pytest.approx(EXACT_THETA.numpy(), rel=1e-8)
    assert g.initial.numpy() == pytest.approx(EXACT_START.numpy(), rel=1e-8)
    if method == "backsolve":
        assert g.back.numpy() == pytest.approx(START.numpy(), rel=1e-8)


@METHODS
@pytest.mark.parametrize(
    ("convention", "tableau"),
    [
        (TORCHDIFFEQ, DORMAND_PRINCE_SHAMPINE),
        (ORDINARYDIFFEQ, DORMAND_PRINCE),
        (DIFFEQ_2019, DORMAND_PRINCE),
    ],
    ids=["torchdiffeq", "ordinarydiffeq", "2019"],
)
def test_continuous_gradient_tends_to_the_discrete_one(method, convention, tableau):
    theta = torch.tensor([[0.3, -1.2], [0.9, 0.1]], dtype=torch.float64)
    y0 = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 3)
    fit = Fit(driven, y0, TIMES, squares)
    fine = discrete_gradient(fit, theta, rk4, 200)
    g = continuous_gradient(fit, theta, method, 1e-9, 1e-11, tableau, convention)
    assert g.theta.shape == theta.shape
    assert g.initial.shape == y0.shape
    assert g.theta.numpy() == pytest.approx(fine.theta.numpy(), rel=1e-5, abs=1e-6)
    assert g.initial.numpy() == pytest.approx(fine.initial.numpy(), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("backend", ["native", "script", "eager"])
@pytest.mark.parametrize("step", [forward_euler, rk2, rk4], ids=lambda s: s.__name__)
def test_discrete_gradient_is_reverse_mode(step, backend):
    theta = torch.tensor([[0.3, -1.2], [0.9, 0.1]], dtype=torch.float64)
    y0 = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 3)
    fit = Fit(driven, y0, TIMES, squares, backend)
    for substeps in (1, 3):
        g = discrete_gradient(fit, theta, step, substeps)
        by_theta, by_y0 = plain_gradient(fit, theta, step, substeps)
        assert g.theta.numpy() == pytest.approx(by_theta.numpy(), rel=1e-12, abs=1e-13)
        assert g.initial.numpy() == pytest.approx(by_y0.numpy(), rel=1e-12, abs=1e-13)
        forward = forward_gradient(fit, theta, step, substeps)
        assert forward.theta.numpy() == pytest.approx(by_theta.numpy(), rel=1e-12, abs=1e-13)
        assert forward.initial.numpy() == pytest.approx(by_y0.numpy(), rel=1e-12, abs=1e-13)


def test_discrete_gradient_converges_with_the_order_of_its_step():
    errors = []
    for substeps in (2, 4):
        g = discrete_gradient(LINEAR, THETA, rk4, substeps)
        errors.append(float((g.theta - EXACT_THETA).norm()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.3)


def test_two_calls_of_the_2019_adjoint_of_the_talk():
    """Right-hand side calls at 1e-2, found independently: 217 in 31 steps, forward 45 in 7."""
    fit, theta = talk_fit()
    loose = continuous_gradient(fit, theta, rtol=1e-2, atol=1e-2, convention=DIFFEQ_2019)
    assert (loose.forward.evaluations, len(loose.forward.steps.h)) == (45, 7)
    assert (loose.backward.evaluations, len(loose.backward.steps.h)) == (217, 31)
    tight = continuous_gradient(fit, theta, convention=DIFFEQ_2019)
    # Not one number: error estimates of 1e-11, pure rounding, decide on some of the steps.
    steps = len(tight.backward.steps.h)
    assert 130 < steps < 190
    assert tight.backward.evaluations == 6 * steps + 28 + 3


def test_our_reset_is_torchdiffeqs_adjoint():
    fit, theta = talk_fit()
    loss, gradient = native_gradient(fit, theta, 1e-9, 1e-11)
    g = continuous_gradient(fit, theta, "reset", 1e-9, 1e-11, DORMAND_PRINCE_SHAMPINE, TORCHDIFFEQ)
    assert float(loss) == pytest.approx(float(g.loss), rel=1e-9)
    assert gradient.numpy() == pytest.approx(g.theta.numpy(), rel=1e-6, abs=1e-4)


def test_a_backward_solve_that_breaks_down_is_an_outcome():
    def stiff_backward(t, y, theta):
        return -theta * y**3

    start = torch.tensor([1.0], dtype=torch.float64)
    fit = Fit(stiff_backward, start, [0.0, 40.0], squares)
    # The flow contracts; back in time the state runs into a pole when it starts a little off.
    theta = torch.tensor([500.0], dtype=torch.float64)
    g = continuous_gradient(fit, theta, "backsolve", 1e-3, 1e-3)
    assert g.outcome.startswith("backward:")
    assert torch.isnan(g.theta).all()
    assert torch.isfinite(g.loss)
    forward = Fit(lambda t, y, p: p * y**2, start, [0.0, 3.0], squares)
    g = continuous_gradient(forward, torch.ones(1, dtype=torch.float64))
    assert g.outcome.startswith("forward:")
    assert torch.isnan(g.loss)


def test_a_right_hand_side_that_rounds_a_number_to_single_is_not_compiled():
    def f(t, y, theta):
        return theta * y * torch.cos(torch.as_tensor(3.0 * t))  # float32 when t is a float

    fit, eager = (Fit(f, START, TIMES, squares, b) for b in ("auto", "eager"))
    assert torch.equal(discrete_gradient(fit, THETA).theta, discrete_gradient(eager, THETA).theta)


def test_unknown_method_is_refused():
    with pytest.raises(BadInputError, match="interpolation"):
        continuous_gradient(LINEAR, THETA, "quadrature")


def test_observe_and_solve_agree_at_small_steps():
    fine = observe(LINEAR, THETA, rk4, 200)
    adaptive = solve(LINEAR, THETA, 1e-11, 1e-12).states
    assert fine.numpy() == pytest.approx(adaptive.numpy(), rel=1e-9)


def test_float32_all_the_way():
    fit = Fit(linear, START.float(), TIMES, squares)
    g = discrete_gradient(fit, THETA.float(), rk4, 8)
    assert g.theta.dtype == torch.float32
    assert g.theta.numpy() == pytest.approx(EXACT_THETA.numpy(), rel=1e-4)
    c = continuous_gradient(fit, THETA.float(), "interpolation", 1e-4, 1e-5)
    assert c.theta.dtype == torch.float32
    assert c.theta.numpy() == pytest.approx(EXACT_THETA.numpy(), rel=1e-2)
