"""How torch solves a user's ODE: along a given grid (aligned), or with torchdiffeq (native)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..engines.torch.adaptive import adaptive
from ..engines.torch.controllers import ORDINARYDIFFEQ, with_dp5_exponents
from ..engines.torch.tableaux import BOGACKI_SHAMPINE, DORMAND_PRINCE, TSITOURAS, Tableau
from ..errors import EngineError
from .checks import own_error
from .torch_side import changes, check_finite, check_same

__tracebackhide__ = own_error

RightHandSide = Callable[[Any, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Scheme:
    """An explicit Runge-Kutta scheme as both languages get it: coefficients A (s × s), b and c."""

    A: np.ndarray
    b: np.ndarray
    c: np.ndarray


def _of(tableau: Tableau) -> Scheme:
    s = tableau.stages
    A = np.zeros((s, s))
    for i, row in enumerate(tableau.a, start=1):
        A[i, : len(row)] = row
    return Scheme(A, np.array(tableau.b), np.array(tableau.c))


PAIRS = {"tsit5": TSITOURAS, "dp5": DORMAND_PRINCE, "bs3": BOGACKI_SHAMPINE}
"""Adaptive pairs by the name that DifferentialEquations.jl gives them, in lower case."""

METHODS: dict[str, Scheme] = {
    "rk4": Scheme(
        np.array([[0, 0, 0, 0], [0.5, 0, 0, 0], [0, 0.5, 0, 0], [0, 0, 1.0, 0]]),
        np.array([1, 2, 2, 1]) / 6,
        np.array([0, 0.5, 0.5, 1]),
    ),
    **{name: _of(pair) for name, pair in PAIRS.items()},
}


def with_tensor_time(f: RightHandSide) -> RightHandSide:
    """The user's right-hand side, given t as torchdiffeq gives it: a tensor without axes, of the
    state's precision. Solvers that count time in floats call this one too."""

    def right_hand_side(t: Any, u: Tensor, theta: Tensor) -> Tensor:
        clock = t if isinstance(t, Tensor) else torch.scalar_tensor(float(t), dtype=u.dtype)
        return f(clock, u, theta)

    return right_hand_side


def checked(f: RightHandSide, u0: Tensor, theta: Tensor, t: float) -> float:
    """Call the user's right-hand side; one message for what is wrong with it.

    Returns the seconds of a warm call.
    """
    before = u0.clone(), theta.clone()
    u, p = (x.clone().requires_grad_(True) for x in (u0, theta))
    try:
        du = f(t, u, p)
        seconds = []
        with torch.no_grad():
            for _ in range(3):
                start = time.perf_counter()
                second = f(t, u0, theta)
                seconds.append(time.perf_counter() - start)
    except Exception as error:
        raise EngineError(
            f"your torch right-hand side raised {type(error).__name__}: {error}",
            f"a function f(t, u, theta) of three tensors, of shapes (), {tuple(u0.shape)} and "
            f"{tuple(theta.shape)}",
            "call it by hand with u0 and theta to see the traceback; mind the order of its "
            "arguments",
        ) from error
    if not isinstance(du, Tensor) or du.shape != u0.shape or du.dtype != u0.dtype:
        got = (
            f"{du.dtype} of shape {tuple(du.shape)}"
            if isinstance(du, Tensor)
            else type(du).__name__
        )
        raise EngineError(
            f"your torch right-hand side returned {got}",
            f"a tensor of {u0.dtype} and shape {tuple(u0.shape)}, as u0",
        )
    if not (torch.equal(u0, before[0]) and torch.equal(theta, before[1])):
        raise EngineError(
            "your torch right-hand side changes its arguments in place", "a new tensor", "clone()"
        )
    check_finite(du.detach(), "your torch right-hand side", f" at t = {t:g}, u = u0")
    check_same(second, du.detach(), "your torch right-hand side")
    _check_followed(f, u, p, t, du)
    return min(seconds)


def _check_followed(f: RightHandSide, u: Tensor, theta: Tensor, t: float, du: Tensor) -> None:
    """Raise where du depends on u or theta and autograd does not know of it.

    A right-hand side that really is free of one of them, or of both, is fine: its value is the same
    a little way off.
    """
    found: tuple[Tensor | None, ...] = (None, None)
    if du.requires_grad:
        found = torch.autograd.grad(du.sum(), (u, theta), allow_unused=True)
    moved = (lambda v: f(t, v, theta.detach())), (lambda v: f(t, u.detach(), v))
    for name, at, gradient, g in zip(("u", "theta"), (u, theta), found, moved):
        if gradient is None and changes(g, at, du):
            raise EngineError(
                f"your torch right-hand side depends on {name}, but autograd finds no way back to "
                "it: it is cut off",
                "a result that autograd can follow back to u and theta",
                "remove .detach(), .item(), .data, torch.tensor(...) or torch.no_grad() in it",
            )


def stopped(
    f: RightHandSide, u0: Tensor, theta: Tensor, times: np.ndarray, what: str
) -> EngineError:
    """Why a solve stopped: a right-hand side that turns NaN on the way, else a hard problem."""
    seen: list[float] = []

    def watched(t: Any, u: Tensor, p: Tensor) -> Tensor:
        du = f(t, u, p)
        if not seen and bool(torch.isfinite(u).all()) and bool(torch.isnan(du).any()):
            seen.append(float(t))
        return du

    with torch.no_grad():
        adaptive(watched, u0, [times[0], times[-1]], theta, rtol=1e-3, atol=1e-6, max_steps=10_000)
    if seen:
        return EngineError(
            f"your torch right-hand side returned NaN at t = {seen[0]:.6g}",
            "finite numbers along the whole solution",
            "look for log or sqrt of a negative number or 0 / 0 there, or end tspan before",
        )
    return EngineError(
        what,
        "a solution up to the last time",
        "loosen the tolerance, shorten tspan, or mind that the problem may be stiff",
    )


def aligned_grid(
    f: RightHandSide,
    u0: Tensor,
    theta: Tensor,
    times: np.ndarray,
    method: str,
    substeps: int,
    rtol: float,
    atol: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The steps that both sides take, and the places of `times` among them.

    For a fixed-step scheme the observation times, each interval cut into `substeps`; for a pair the
    steps that our adaptive solver accepts, ending at every observation time.
    """
    if method not in PAIRS:
        pieces = [np.linspace(a, b, substeps + 1)[:-1] for a, b in pairwise(times)]
        grid = np.concatenate([*pieces, times[-1:]])
    else:
        with torch.no_grad():
            found = adaptive(
                f, u0, [times[0], times[-1]], theta, rtol=rtol, atol=atol, tableau=PAIRS[method],
                stops=list(times[1:-1]),
            )  # fmt: skip
        if not found.ok:
            what = f"the adaptive solve in torch ended early: {found.outcome}"
            raise stopped(f, u0, theta, times, what)
        grid = np.asarray(found.steps.grid)
    return grid, np.searchsorted(grid, times - 1e-12 * np.abs(times).max())


def follow(
    f: RightHandSide, scheme: Scheme, u: Tensor, theta: Tensor, grid: Sequence[float] | np.ndarray
) -> list[Tensor]:
    """States at all points of `grid`, one step of the scheme from each to the next.

    Plain torch operations, in Julia's order, so that reverse mode goes through.
    """
    states = [u]
    for t, following in pairwise([float(g) for g in grid]):
        h = following - t
        k = [f(t, u, theta)]
        for i in range(1, len(scheme.b)):
            k.append(f(t + scheme.c[i] * h, u + h * _weighted(scheme.A[i], k), theta))
        u = u + h * _weighted(scheme.b, k)
        states.append(u)
    return states


def _weighted(weights: np.ndarray, k: Sequence[Tensor]) -> Tensor:
    terms = [float(w) * stage for w, stage in zip(weights, k) if w != 0]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


class Counted:
    """A right-hand side with theta bound, as torchdiffeq calls it, counting its evaluations."""

    def __init__(self, f: RightHandSide, theta: Tensor) -> None:
        self.f, self.theta, self.evaluations = f, theta, 0

    def __call__(self, t: Tensor, u: Tensor) -> Tensor:
        self.evaluations += 1
        return self.f(t, u, self.theta)


def native(
    f: RightHandSide, u0: Tensor, theta: Tensor, times: np.ndarray, rtol: float, atol: float
) -> tuple[Tensor, int]:
    """torchdiffeq's dopri5 as its users call it: states at `times`, and evaluations.

    Reverse mode goes through its steps (discretise, then optimise).
    """
    from torchdiffeq import odeint

    right_hand_side = Counted(f, theta)
    try:
        states = odeint(
            right_hand_side, u0, torch.tensor(times), rtol=rtol, atol=atol, method="dopri5"
        )
    except AssertionError as error:
        what = f"torchdiffeq stopped: {error}"
        raise stopped(f, u0.detach(), theta.detach(), times, what) from error
    return states, right_hand_side.evaluations


def predicted_steps(
    f: RightHandSide,
    u0: Tensor,
    theta: Tensor,
    times: np.ndarray,
    method: str,
    rtol: float,
    atol: float,
) -> int:
    """How many steps DifferentialEquations.jl accepts, by our own solver under its conventions."""
    rules = with_dp5_exponents(ORDINARYDIFFEQ) if method == "dp5" else ORDINARYDIFFEQ
    with torch.no_grad():
        found = adaptive(
            f, u0, [times[0], times[-1]], theta, rtol=rtol, atol=atol, tableau=PAIRS[method],
            convention=rules,
        )  # fmt: skip
    return sum(found.steps.accepted)
