"""The study `gradient_test` in PyTorch: gradients of the neural ODE three ways, and their tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torchdiffeq import odeint, odeint_adjoint

from ...studies._gradient_test_quantities import (
    METHODS,
    MISPRINTED,
    REFERENCE_SUBSTEPS,
    TOLERANCES,
    tolerances,
)
from ...studies.gradient_test import GradientTestOptions
from ..base import Unavailable
from .adaptive import adaptive
from .adjoint import (
    Fit,
    Gradient,
    continuous_gradient,
    discrete_gradient,
    forward_gradient,
    observe,
    solve,
)
from .controllers import DIFFEQ_2019, ORDINARYDIFFEQ
from .integrators import integrate, rk4
from .neural_ode import right_hand_side, sum_of_squares

Inputs = dict[str, Tensor]
Answer = dict[str, Any]


def fits(inputs: Inputs) -> tuple[Fit, Fit]:
    """The fit at the data times, and the published one whose RK4 solution stands at j 1.5/n."""
    loss = sum_of_squares(inputs["data"].T)
    times, published = (inputs[k].double().tolist() for k in ("times", "times_published"))
    u0 = inputs["u0"]
    return Fit(right_hand_side, u0, times, loss), Fit(right_hand_side, u0, published, loss)


def answer(inputs: Inputs, options: GradientTestOptions) -> Answer:
    """All quantities of the study."""
    fit, published = fits(inputs)
    found: Answer = {}
    for column, k in enumerate(options.iterates):
        theta = inputs["theta"][:, column].contiguous()
        found |= _discrete(fit, published, theta, inputs, k)
        for name in tolerances(options):
            found |= _continuous(fit, theta, inputs, name, k)
        if "1e-7" in tolerances(options):
            found |= _today(fit, theta, inputs, k)
    if 0 in options.iterates:
        theta = inputs["theta"][:, options.iterates.index(0)].contiguous()
        found["gradient/rk4/eager/0"] = eager_gradient(published, theta)
        found |= _steps(fit, theta, inputs, options)
    return found


def _discrete(fit: Fit, published: Fit, theta: Tensor, inputs: Inputs, k: int) -> Answer:
    """Discretise, then optimise: RK4 as published, aligned with the data, and refined."""
    g = discrete_gradient(published, theta)
    aligned = discrete_gradient(fit, theta)
    d, h = inputs["d"], inputs["h"]
    slope = g.theta @ d
    E0 = _along(published, theta, d, h) - g.loss
    return {
        f"loss/rk4/{k}": g.loss,
        f"loss/rk4_aligned/{k}": aligned.loss,
        f"gradient/rk4/{k}": g.theta,
        f"gradient/rk4/forward/{k}": forward_gradient(published, theta).theta,
        f"gradient/rk4_aligned/{k}": aligned.theta,
        f"gradient/reference/{k}": discrete_gradient(fit, theta, rk4, REFERENCE_SUBSTEPS).theta,
        f"directional/rk4/{k}": slope,
        f"E0/rk4/{k}": E0.abs(),
        f"E1/rk4/{k}": (E0 - h * slope).abs(),
    }


def eager_gradient(fit: Fit, theta: Tensor) -> Tensor:
    """Autograd through all steps at once, uncompiled: what a user of PyTorch would write."""
    p = theta.clone().requires_grad_(True)
    with torch.enable_grad():
        states = integrate(rk4, lambda t, u: right_hand_side(t, u, p), fit.y0, fit.times)
        return torch.autograd.grad(fit.loss(states), p)[0]


def _along(fit: Fit, theta: Tensor, d: Tensor, h: Tensor) -> Tensor:
    """J(theta + h d) by RK4, shape of h; by the same compiled steps as J(theta), to round alike."""
    return torch.stack([fit.loss(observe(fit, theta + s * d)) for s in h])


def _continuous(fit: Fit, theta: Tensor, inputs: Inputs, name: str, k: int) -> Answer:
    """Optimise, then discretise: Tsit5 and continuous adjoint with the conventions of 2019."""
    rtol, atol = TOLERANCES[name]
    d, h = inputs["d"], inputs["h"]
    found: Answer = {}
    slopes = {}
    loss = fit.y0.new_tensor(torch.nan)
    for method in METHODS:
        g = continuous_gradient(fit, theta, method, rtol, atol, convention=DIFFEQ_2019)
        found[f"gradient/{method}/{name}/{k}"] = _or_reason(g, g.theta)
        slopes[method] = g.theta @ d
        found[f"directional/{method}/{name}/{k}"] = _or_reason(g, slopes[method])
        if method == "backsolve":
            loss = g.loss
            found[f"loss/{name}/{k}"] = loss
            found[f"inverse/{name}/{k}"] = _or_reason(g, g.back)
    E0 = _adaptive_along(fit, theta, d, h, rtol, atol) - loss
    found[f"E0/{name}/{k}"] = E0.abs()
    for method in ("backsolve", "interpolation"):
        found[f"E1/{method}/{name}/{k}"] = (E0 - h * slopes[method]).abs()
    return found


def _adaptive_along(
    fit: Fit, theta: Tensor, d: Tensor, h: Tensor, rtol: float, atol: float
) -> Tensor:
    """J(theta + h d) by the adaptive solver of 2019, shape of h."""
    along = [solve(fit, theta + s * d, rtol, atol, convention=DIFFEQ_2019) for s in h]
    return torch.stack([fit.loss(s.states) for s in along])


def _or_reason(g: Gradient, value: Tensor | None) -> Tensor | Unavailable:
    return value if g.outcome == "success" and value is not None else Unavailable(g.outcome)


def _today(fit: Fit, theta: Tensor, inputs: Inputs, k: int) -> Answer:
    """What a user of torchdiffeq gets, and the un-reset backsolve under OrdinaryDiffEq's rules."""
    rtol, atol = TOLERANCES["1e-7"]
    g = continuous_gradient(fit, theta, "backsolve", rtol, atol, convention=ORDINARYDIFFEQ)
    found: Answer = {
        f"gradient/tsit5/{k}": _or_reason(g, g.theta),
        f"inverse/tsit5/{k}": _or_reason(g, g.back),
    }
    if k == 0:
        found["loss/native/0"], found["gradient/native/0"] = native_gradient(fit, theta, rtol, atol)
        loose = MISPRINTED, MISPRINTED
        J = fit.loss(solve(fit, theta, *loose, convention=DIFFEQ_2019).states)
        E0 = _adaptive_along(fit, theta, inputs["d"], inputs["h"], *loose) - J
        found["E0/1e-3/0"] = E0.abs()
    return found


class Module(torch.nn.Module):
    """The right-hand side as torchdiffeq wants it."""

    def __init__(self, fit: Fit, theta: Tensor) -> None:
        super().__init__()
        self.f, self.theta = fit.f, torch.nn.Parameter(theta.clone())

    def forward(self, t: Tensor, u: Tensor) -> Tensor:
        return self.f(t, u, self.theta)


def native_gradient(
    fit: Fit, theta: Tensor, rtol: float, atol: float, method: str = "dopri5", adjoint: bool = True
) -> tuple[Tensor, Tensor]:
    """Loss and gradient as a user of torchdiffeq computes them."""
    module = Module(fit, theta)
    times = torch.tensor(fit.times, dtype=torch.float64, device=theta.device)
    with torch.enable_grad():
        run = odeint_adjoint if adjoint else odeint
        loss = fit.loss(run(module, fit.y0, times, rtol=rtol, atol=atol, method=method))
        (gradient,) = torch.autograd.grad(loss, [module.theta])
    return loss.detach(), gradient


def _steps(fit: Fit, theta: Tensor, inputs: Inputs, options: GradientTestOptions) -> Answer:
    """Steps and solution of Tsit5 under OrdinaryDiffEq's rules, and replayed on a given grid."""
    found: Answer = {}
    for name in tolerances(options):
        s = solve(fit, theta, *TOLERANCES[name], convention=ORDINARYDIFFEQ)
        found[f"steps/tsit5/{name}"] = s.steps.accepted_sizes
        found[f"accepted/tsit5/{name}"] = torch.tensor(s.steps.accepted, dtype=torch.int64)
        found[f"evaluations/tsit5/{name}"] = s.evaluations
        found[f"solution/tsit5/{name}"] = s.states.T
    if "1e-7" in tolerances(options):
        grid = inputs["grid/1e-7"].double().tolist()
        replayed = adaptive(fit.f, fit.y0, fit.times, theta, replay=grid)
        found["solution/tsit5/1e-7/replayed"] = replayed.states.T
    return found


def tasks(inputs: Inputs, options: GradientTestOptions) -> dict[str, Callable[[], object]]:
    """One solve and one gradient of each kind, at the first of the iterates."""
    fit, published = fits(inputs)
    theta = inputs["theta"][:, 0].contiguous()
    rtol, atol = TOLERANCES["1e-7"]

    found: dict[str, Callable[[], object]] = {
        "forward/rk4": lambda: observe(published, theta),
        "gradient/rk4": lambda: discrete_gradient(published, theta),
        "gradient/rk4/eager": lambda: eager_gradient(published, theta),
        "gradient/rk4/forward": lambda: forward_gradient(published, theta),
    }
    if "1e-7" in tolerances(options):
        found["forward/1e-7"] = lambda: solve(fit, theta, rtol, atol, convention=DIFFEQ_2019)
        for method in METHODS:
            found[f"gradient/{method}/1e-7"] = partial(
                continuous_gradient, fit, theta, method, rtol, atol, convention=DIFFEQ_2019
            )
        found["gradient/native"] = lambda: native_gradient(fit, theta, rtol, atol)
    return found
