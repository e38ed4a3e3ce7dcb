"""Our own explicit adaptive Runge-Kutta: the same loop under either library's conventions.

torchdiffeq and OrdinaryDiffEq differ in error weights, norm, controller, starting step and in what
they do at the end of the interval. Here each of these is data (`tableaux.py`, `controllers.py`),
so that a difference between the libraries can be assigned to one of them, and a list of steps that
one program took can be replayed by the other.

Derivatives are not taken through the choice of the steps: step sizes are Python floats. Reverse
mode through a replayed grid (`adaptive(..., replay=grid)`) is discretise-then-optimise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import BadInputError
from .controllers import ORDINARYDIFFEQ, Convention, Memory
from .rungekutta import Attempt, Dense, interpolate, make_attempt, scaled_norm
from .solution import SUCCESS, Solution, Steps, check_times
from .tableaux import TSITOURAS, Tableau

RightHandSide = Callable[..., Tensor]


def starting_step(
    f: Callable[[float, Tensor], Tensor],
    t: float,
    y: Tensor,
    f0: Tensor,
    direction: float,
    bound: float,
    order: int,
    rtol: float,
    atol: float,
    convention: Convention,
    parts: Sequence[int] = (),
) -> float:
    """Hairer's starting step (Hairer, Norsett & Wanner I, II.4) as a library computes it.

    Costs one evaluation beside `f0`. Positive; NaN where the derivative is NaN. `bound` is the
    longest step, which only OrdinaryDiffEq heeds.
    """
    scale = atol + y.abs() * rtol
    d0, d1 = (float(scaled_norm(v / scale, parts)) for v in (y, f0))
    ode = convention.initial_step == "ordinarydiffeq"
    if math.isnan(d1):
        return math.nan
    h0 = 1e-6 if d0 < 1e-5 or d1 < 1e-5 else (d0 / d1) / 100
    if ode:
        h0 = min(h0, bound)
    f1 = f(t + direction * h0, y + (direction * h0) * f0)
    if ode and bool((f0 == f1).all()):
        return min(100 * h0, bound)
    d2 = float(scaled_norm((f1 - f0) / scale, parts)) / h0
    steepest = max(d1, d2)
    if steepest <= 1e-15:
        h1 = max(1e-6, h0 * 1e-3)
    elif ode:
        h1 = 10.0 ** (-(2 + math.log10(steepest)) / order)
    else:
        h1 = (0.01 / steepest) ** (1 / order)
    return min(100 * h0, h1, bound) if ode else min(100 * h0, h1)


def adaptive(
    f: RightHandSide,
    y0: Tensor,
    times: Sequence[float] | np.ndarray | Tensor,
    theta: Any = None,
    *,
    rtol: float = 1e-7,
    atol: float = 1e-9,
    tableau: Tableau = TSITOURAS,
    convention: Convention = ORDINARYDIFFEQ,
    stops: Sequence[float] = (),
    at_stop: Callable[[int, Tensor], Tensor | None] | None = None,
    replay: Sequence[float] | None = None,
    first_step: float | None = None,
    dense: bool = False,
    parts: Sequence[int] = (),
    known: Callable[[Sequence[float]], Tensor] | None = None,
    attempt: Attempt | None = None,
    max_steps: int = 100_000,
) -> Solution:
    """Solve y' = f(t, y, theta) and return y at `times`.

    **Arguments:**

    - `y0`: state of any shape at `times[0]`; batches are solved with one sequence of steps.
    - `times`: monotone, increasing or decreasing. Interior ones are interpolated and do not change
      the steps.
    - `stops`: times at which a step has to end, in the direction of integration. `at_stop(i, y)`
      may return a new state there (a jump), which costs one evaluation.
    - `replay`: the times of the steps to take, first and last included, instead of control.
    - `first_step`: instead of the starting step of the convention.
    - `parts`: lengths of the parts of a flat state, for the norm `"largest part"`.
    - `known`: data at the stage times, passed to `f(t, y, theta, x)` one entry a stage.
    - `attempt`: a compiled form of `make_attempt(f, tableau, parts)`.

    Raises `BadInputError` for tolerances or times that make no sense; what happens during the
    solve is in the solution's `outcome`.
    """
    clock = check_times(times)
    if replay is None and not (rtol >= 0 and atol >= 0 and rtol + atol > 0):
        raise BadInputError(f"rtol = {rtol}, atol = {atol}", "tolerances that are not negative")
    parts = tuple(parts) if convention.norm == "largest part" else ()
    if attempt is None:
        attempt = make_attempt(f, tableau, parts)
    run = _Run(f, theta, known, y0, clock, tableau, dense)
    if replay is not None:
        return run.replay(attempt, check_times(replay), rtol, atol, stops, at_stop)
    control = Memory(convention.controller, tableau.order)
    direction = 1.0 if clock[-1] >= clock[0] else -1.0
    marks = sorted({direction * s for s in (*stops, clock[-1]) if direction * (s - clock[0]) > 0})
    if not marks:
        return run.finish(clock[-1])
    first_mark = marks[0] if convention.first_step_within == "first stop" else marks[-1]
    if first_step is None:
        # OrdinaryDiffEq evaluates the first derivative a second time here, and counts it.
        run.evaluations += convention.initial_step == "ordinarydiffeq"
        h = starting_step(
            run.derivative, clock[0], y0, run.k1, direction, first_mark - direction * clock[0],
            tableau.order, rtol, atol, convention, parts,
        )  # fmt: skip
    else:
        h = abs(first_step)
    jumps = {direction * s: i for i, s in enumerate(stops)}
    span = abs(clock[-1] - clock[0])
    for mark in marks:
        overshoots = convention.overshoots and mark == marks[-1]
        while direction * run.t < mark:
            if not h > 4 * math.ulp(run.t):
                return run.finish(run.t, f"step size {h:.1e} at t = {run.t:.6g}")
            if len(run.steps.h) >= max_steps:
                return run.finish(run.t, f"{max_steps} steps did not reach t = {clock[-1]:g}")
            left = mark - direction * run.t
            near = convention.snap * math.ulp(max(abs(run.t), abs(mark)))
            ends = not overshoots and h + near >= left
            taken = min(h, left) if ends or not overshoots else h
            target = direction * mark if ends else run.t + direction * taken
            error = run.step(attempt, direction * taken, target, rtol, atol)
            h = taken * control.propose(error, run.steps.accepted[-1])
            if not convention.overshoots:
                h = min(h, span)
        if mark in jumps and at_stop is not None:
            run.jump(at_stop(jumps[mark], run.y))
    return run.finish(clock[-1])


class _Run:
    """The state of one solve: time, state, first stage, and what has been recorded."""

    def __init__(
        self,
        f: RightHandSide,
        theta: Any,
        known: Callable[[Sequence[float]], Tensor] | None,
        y0: Tensor,
        clock: list[float],
        tableau: Tableau,
        dense: bool,
    ) -> None:
        self.f, self.theta, self.known, self.tableau = f, theta, known, tableau
        self.clock, self.y, self.t = clock, y0, clock[0]
        self.sign = 1.0 if clock[-1] >= clock[0] else -1.0
        self.evaluations = 0
        self.k1 = self.derivative(self.t, y0)
        self.steps = Steps(grid=[self.t])
        self.states = [y0]
        self.pieces: list[tuple[Tensor, Tensor]] | None = [] if dense else None

    def derivative(self, t: float, y: Tensor) -> Tensor:
        self.evaluations += 1
        if self.known is None:
            return self.f(t, y, self.theta)
        return self.f(t, y, self.theta, self.known([t])[0])

    def step(self, attempt: Attempt, h: float, target: float, rtol: float, atol: float) -> float:
        """Try a step; move on when it is accepted. Returns the scaled error."""
        y, k, scaled = self._attempt(attempt, h, rtol, atol)
        error = float(scaled.detach())
        self.steps.t.append(self.t)
        self.steps.h.append(h)
        self.steps.error.append(error)
        self.steps.accepted.append(error <= 1.0)
        if error <= 1.0:
            self._advance(h, target, y, k)
        return error

    def _attempt(
        self, attempt: Attempt, h: float, rtol: float, atol: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        self.evaluations += self.tableau.stages - 1
        given = (self.t, h, self.y, self.k1, rtol, atol, self.theta)
        if self.known is None:
            return attempt(*given)
        return attempt(*given, self.known([self.t + c * h for c in self.tableau.c]))

    def _advance(self, h: float, target: float, y: Tensor, k: Tensor) -> None:
        while len(self.states) < len(self.clock):
            t = self.clock[len(self.states)]
            if self.sign * (target - t) < 0:
                break
            ends = t == target
            x = (t - self.t) / h
            self.states.append(y if ends else interpolate(self.tableau, self.y, h, k, x))
        if self.pieces is not None:
            self.pieces.append((self.y, k))
        self.t, self.y, self.k1 = target, y, k[-1]
        self.steps.grid.append(target)

    def jump(self, y: Tensor | None) -> None:
        if y is not None:
            self.y = y
            self.k1 = self.derivative(self.t, y)

    def replay(
        self,
        attempt: Attempt,
        grid: list[float],
        rtol: float,
        atol: float,
        stops: Sequence[float],
        at_stop: Callable[[int, Tensor], Tensor | None] | None,
    ) -> Solution:
        jumps = {s: i for i, s in enumerate(stops)}
        for target in grid[1:]:
            h = target - self.t
            y, k, error = self._attempt(attempt, h, rtol, atol)
            self.steps.t.append(self.t)
            self.steps.h.append(h)
            self.steps.error.append(float(error.detach()))
            self.steps.accepted.append(True)
            self._advance(h, target, y, k)
            if target in jumps and at_stop is not None and target != self.clock[-1]:
                self.jump(at_stop(jumps[target], y))
        return self.finish(grid[-1])

    def finish(self, t: float, outcome: str = SUCCESS) -> Solution:
        if outcome == SUCCESS and not bool(torch.isfinite(self.y).all()):
            outcome = f"state not finite at t = {t:.6g}"
        missing = len(self.clock) - len(self.states)
        self.states.extend([torch.full_like(self.y, math.nan)] * missing)
        dense = None
        if self.pieces:
            y, k = (torch.stack(p) for p in zip(*self.pieces))
            dense = Dense(self.tableau, self.steps.grid, y, k)
        return Solution(
            np.array(self.clock), torch.stack(self.states), self.steps, self.evaluations, outcome,
            dense,
        )  # fmt: skip
