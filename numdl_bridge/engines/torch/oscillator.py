"""The harmonic oscillator by five fixed-step methods, all budgets or all starts at once.

y' = f(y) for y = (q, p) of shape `(2, ...)`: the batch, starts or budgets, is the last axis.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torchdiffeq import odeint

from ...studies.oscillator import CAP, STAGES, steps_per_period
from . import integrators as ti

SPLIT: dict[str, ti.Step] = {"symplectic_euler": ti.symplectic_euler, "verlet": ti.verlet}
RUNGE_KUTTA: dict[str, ti.Step] = {
    "forward_euler": ti.forward_euler,
    "rk2": ti.rk2,
    "rk4": ti.rk4,
}
STEPS = {**SPLIT, **RUNGE_KUTTA}


def energy(y: Tensor, omega: Tensor) -> Tensor:
    """E = (p^2 + omega^2 q^2)/2 of `(2, ...)` states."""
    q, p = y[0], y[1]
    return (p * p + (omega * omega) * (q * q)) / 2


def system(method: str, omega: Tensor) -> Any:
    """What the method's step calls: f(t, y), or the pair (velocity, acceleration)."""
    minus_square = -(omega * omega)
    if method in SPLIT:
        return (lambda t, p: p, lambda t, q: minus_square * q)
    # (p, -omega^2 q) as one product: half as many nodes to differentiate as picking and stacking.
    factors = torch.stack([torch.ones_like(omega), minus_square])
    factors = factors if factors.ndim > 1 else factors[:, None]
    return lambda t, y: factors * y.flip(0)


def flow(method: str, y0: Tensor, omega: Tensor, h: float, n_steps: int) -> Tensor:
    """The state after `n_steps` steps of size `h` (which may be negative)."""
    f, step = system(method, omega), STEPS[method]
    if method in SPLIT:
        return torch.stack(ti.advance(step, f, (y0[0], y0[1]), 0.0, h, n_steps))
    return ti.advance(step, f, y0, 0.0, h, n_steps)


def inverse(method: str, y: Tensor, omega: Tensor, h: float, n_steps: int) -> Tensor:
    """Back to the start: steps of -h, which is Verlet's inverse; symplectic Euler is undone."""
    if method == "symplectic_euler":
        f = system(method, omega)
        back = ti.advance(ti.undo_symplectic_euler, f, (y[0], y[1]), 0.0, h, n_steps)
        return torch.stack(back)
    return flow(method, y, omega, -h, n_steps)


def gradients(
    method: str, y0: Tensor, omega: Tensor, h: float, n_steps: int
) -> tuple[Tensor, Tensor]:
    """Of each start's final energy by its (q0, p0), `(2, starts)`, and by omega, `(starts,)`.

    Reverse mode through all steps. Every start gets a copy of omega of its own, so that one
    backward pass gives all starts' derivatives.
    """
    start = y0.clone().requires_grad_(True)
    copies = omega.expand(y0.shape[-1]).clone().requires_grad_(True)
    total = energy(flow(method, start, copies, h, n_steps), copies).sum()
    by_start, by_omega = torch.autograd.grad(total, (start, copies))
    return by_start, by_omega


def sensitivity_by_omega(method: str, y0: Tensor, omega: Tensor, h: float, n_steps: int) -> Tensor:
    """d E/d omega of each start, `(starts,)`, by the forward sensitivity equation.

    s = dy/d omega obeys s' = A s + (dA/d omega) y, and is integrated beside y in the same steps.
    """
    square, slope = omega * omega, 2 * omega
    # Row 0 of the two axes (quantity, sensitivity) is y, row 1 is s.
    q0, p0 = (torch.stack([part, torch.zeros_like(part)]) for part in y0)

    def force(t: float, q: Tensor) -> Tensor:
        return torch.stack([-square * q[0], -square * q[1] - slope * q[0]])

    if method in SPLIT:
        q, p = ti.advance(SPLIT[method], (lambda t, p: p, force), (q0, p0), 0.0, h, n_steps)
    else:
        q, p = ti.advance(
            RUNGE_KUTTA[method],
            lambda t, z: torch.stack([z[1], force(t, z[0])]),
            torch.stack([q0, p0]),
            0.0,
            h,
            n_steps,
        )
    return p[0] * p[1] + square * q[0] * q[1] + omega * q[0] * q[0]


def adjoint_by_start(y: Tensor, omega: Tensor, h: float, n_steps: int) -> Tensor:
    """d E/d y0 by optimise-then-discretise: RK4 backward on lambda' = -A^T lambda.

    `y` is the final state, where lambda = dE/dy.
    """
    adjoint = torch.stack([(omega * omega) * y[0], y[1]])

    def f(t: float, lam: Tensor) -> Tensor:
        return torch.stack([(omega * omega) * lam[1], -lam[0]])

    return ti.advance(ti.rk4, f, adjoint, 0.0, -h, n_steps)


@torch.no_grad()
def energy_tables(
    method: str, y0: Tensor, omega: Tensor, h: Tensor, per_period: list[int], periods: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Of one start `y0` `(2,)`, for all step sizes `h` `(budgets,)` together.

    Returns max |E/E0 - 1| over time, `(budgets,)`, the same up to each period, `(budgets,
    periods)`, both at most `CAP`, and the final states, `(2, budgets)`. Budgets are in increasing
    order, so that those that are not yet done are always the last ones.
    """
    split = method in SPLIT
    f, step = system(method, omega), STEPS[method]
    y = y0[:, None].expand(2, len(per_period))
    state: Any = (y[0], y[1]) if split else y
    segments: list[Tensor] = []
    final, growth = [], []
    done = 0
    for k, n in enumerate(per_period):
        history, sizes = [], h[k:]
        for j in range(done, n * periods):
            state = step(f, j, state, sizes)
            history.append(state)
        done = n * periods
        # `segments[i]`, (steps, 2, budgets from i on): budget k is its column k - i.
        segments.append(_stacked(history))
        path = torch.cat([s[:, :, k - i] for i, s in enumerate(segments)]).T
        error = (energy(path, omega) / energy(y0, omega) - 1).abs()
        # A run that overflowed has blown up as well.
        error = torch.where(error < CAP, error, torch.full_like(error, CAP))
        growth.append(error.reshape(periods, n).amax(1).cummax(0).values)
        final.append(path[:, -1])
        state = tuple(part[1:] for part in state) if split else state[:, 1:]
    table = torch.stack(growth)
    return table[:, -1], table, torch.stack(final, dim=-1)


def _stacked(history: list[Any]) -> Tensor:
    """`(steps, 2, budgets)` from states that are tensors or tuples (q, p, ...)."""
    if isinstance(history[0], Tensor):
        return torch.stack(history)
    return torch.stack([torch.stack([s[i] for s in history]) for i in (0, 1)], dim=1)


def torchdiffeq_rk4(y0: Tensor, omega: Tensor, h: float, n_steps: int) -> Tensor:
    """The final state by `torchdiffeq`'s `rk4`, which is the 3/8 rule, on the same grid."""
    grid = torch.arange(n_steps + 1, dtype=torch.float64, device=y0.device) * h
    options = {"grid_constructor": lambda func, y, t: grid}
    f = system("rk4", omega)
    return odeint(f, y0, grid[[0, -1]], method="rk4", options=options)[-1]


def _record(
    inputs: dict[str, Tensor], options: Any, method: str, periods: int = 0
) -> tuple[Any, ...]:
    """(y0, omega, h, n_steps) of the budget whose states are kept; h a number, which is exact."""
    h = inputs[f"h/{STAGES[method]}"][options.budgets.index(options.record)].item()
    n_steps = (periods or options.periods) * steps_per_period(method, options.record)
    return inputs["y0"], inputs["omega"], h, n_steps


def answer(inputs: dict[str, Tensor], options: Any) -> dict[str, Tensor]:
    out: dict[str, Tensor] = {}
    for method, stages in STAGES.items():
        y0, omega, h, n_steps = _record(inputs, options, method)
        y = flow(method, y0, omega, h, n_steps)
        out[f"solution/{method}"] = y
        out[f"inverse/{method}"] = inverse(method, y, omega, h, n_steps)
        by_start, by_omega = gradients(
            method, *_record(inputs, options, method, options.gradient_periods)
        )
        out[f"gradient/{method}/y0"], out[f"gradient/{method}/omega"] = by_start, by_omega
        per_period = [steps_per_period(method, budget) for budget in options.budgets]
        error, growth, final = energy_tables(
            method, y0[:, 0], omega, inputs[f"h/{stages}"], per_period, options.periods
        )
        out[f"energy/error/{method}"], out[f"energy/growth/{method}"] = error, growth
        off = (final - y0[:, :1]).square().sum(0).sqrt()
        out[f"position/error/{method}"] = torch.where(off < CAP, off, torch.full_like(off, CAP))
    y0, omega, h, n_steps = _record(inputs, options, "rk4")
    out["solution/rk4/torchdiffeq"] = torchdiffeq_rk4(y0, omega, h, n_steps)
    short = _record(inputs, options, "rk4", options.gradient_periods)
    out["gradient/rk4/y0/adjoint"] = adjoint_by_start(flow("rk4", *short), *short[1:])
    for method in ("rk4", "verlet"):
        out[f"gradient/{method}/omega/sensitivity"] = sensitivity_by_omega(
            method, *_record(inputs, options, method, options.gradient_periods)
        )
    return out


def tasks(inputs: dict[str, Tensor], options: Any) -> dict[str, Callable[[], object]]:
    """At the record budget, all starts together; gradients over `gradient_periods` only."""
    found: dict[str, Callable[[], object]] = {}
    for method in STAGES:
        arguments = _record(inputs, options, method)
        back = (flow(method, *arguments), *arguments[1:])
        found[f"forward/{method}"] = partial(flow, method, *arguments)
        found[f"inverse/{method}"] = partial(inverse, method, *back)
        short = _record(inputs, options, method, options.gradient_periods)
        found[f"gradient/{method}"] = partial(gradients, method, *short)
    return found
