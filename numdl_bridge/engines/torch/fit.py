"""A `Fit`, the problem whose gradients are taken, its `Gradient`, and its forward solutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from .adaptive import adaptive
from .compiled import Backend, kernel
from .controllers import ORDINARYDIFFEQ, Convention
from .integrators import Step, rk4
from .rungekutta import make_attempt
from .solution import SUCCESS, Solution
from .tableaux import TSITOURAS, Tableau


@dataclass(frozen=True)
class Fit:
    """A model and what its solution is fitted to.

    **Arguments:**

    - `f`: `f(t, y, theta) -> dy/dt`, of the shape of y; `t` may arrive as a float or as a
      0-dimensional float64 tensor (mind that `torch.as_tensor` makes a float32 of a float).
    - `y0`: initial state, any shape. `times`: observation times, the first is that of `y0`.
    - `loss`: scalar function of the states at `times`, shape `(len(times), *y0.shape)`.
    - `backend`: how the steps are compiled, see `compiled.py`.
    """

    f: Callable[[Any, Tensor, Any], Tensor]
    y0: Tensor
    times: Sequence[float]
    loss: Callable[[Tensor], Tensor]
    backend: Backend = "auto"

    @property
    def between(self) -> float:
        """A time inside the interval, to try things at: no symmetry makes it special."""
        return self.times[0] + 0.37 * (self.times[-1] - self.times[0])

    def weigh(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """The loss and its derivative with respect to the states, the jumps of the adjoint."""
        states = states.detach().requires_grad_(True)
        with torch.enable_grad():
            value = self.loss(states)
            (jumps,) = torch.autograd.grad(value, states)
        return value.detach(), jumps


@dataclass(frozen=True)
class Gradient:
    """A loss and its derivatives.

    **Arguments:**

    - `theta`: shape of theta. `initial`: derivative with respect to y0.
    - `back`: the initial state as the backward solve reconstructs it, the round trip of the flow;
      None where the method does not integrate the state backward.
    - `states`: the forward solution at the observation times.
    - `forward`, `backward`: the adaptive solves, with their steps; None for fixed steps.
    - `outcome`: `"success"`, or which solve ended early, where and why. Gradients are then NaN.
    """

    loss: Tensor
    theta: Tensor
    initial: Tensor
    states: Tensor
    back: Tensor | None = None
    forward: Solution | None = None
    backward: Solution | None = None
    outcome: str = SUCCESS


def observe(fit: Fit, theta: Tensor, step: Step = rk4, substeps: int = 1) -> Tensor:
    """States at the observation times by fixed steps, `substeps` equal ones to each interval."""
    return torch.stack(march(fit, theta, step, substeps)[0])


def march(
    fit: Fit, theta: Tensor, step: Step, substeps: int
) -> tuple[list[Tensor], list[tuple[float, float, Tensor]]]:
    """States at the observation times, and (t, h, y) at the start of every step."""
    advance = kernel(
        fit.f,
        ("step", step),
        lambda t, h, y, p: step(lambda s, v: fit.f(s, v, p), t, y, h),
        (fit.between, 1e-3, fit.y0, theta),
        fit.backend,
    )
    y, states, starts = fit.y0, [fit.y0], []
    with torch.no_grad():
        for t0, t1 in pairwise(fit.times):
            h = (t1 - t0) / substeps
            for j in range(substeps):
                starts.append((t0 + j * h, h, y))
                y = advance(t0 + j * h, h, y, theta)
            states.append(y)
    return states, starts


def solve(
    fit: Fit,
    theta: Tensor,
    rtol: float,
    atol: float,
    tableau: Tableau = TSITOURAS,
    convention: Convention = ORDINARYDIFFEQ,
    **options: Any,
) -> Solution:
    """The forward solution of a fit at its observation times; `options` as `adaptive` has them."""
    y0 = fit.y0
    attempt = kernel(
        fit.f,
        ("attempt", tableau),
        make_attempt(fit.f, tableau),
        (fit.between, 1e-3, y0, y0, 1.0, 1.0, theta),
        fit.backend,
    )
    f = kernel(fit.f, ("f",), fit.f, (fit.between, y0, theta), fit.backend)
    with torch.no_grad():
        return adaptive(
            f, y0, fit.times, theta, rtol=rtol, atol=atol, tableau=tableau,
            convention=convention, attempt=attempt, **options,
        )  # fmt: skip


def vjp(function: Callable[..., Tensor], *at: Tensor) -> tuple[Tensor, Callable[..., Any]]:
    """`torch.func.vjp` of a function with one result: its value and its transposed derivative."""
    value, transpose = torch.func.vjp(function, *at)[:2]
    return value, transpose
