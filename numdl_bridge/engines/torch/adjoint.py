"""Gradients of a loss over observation times, three ways, for any right-hand side written in torch.

A `Fit` is the problem: a model y' = f(t, y, theta), its initial state, observation times, and a
loss of the states there. Its gradient with respect to theta (and to the initial state) is taken by

- `discrete_gradient`: discretise, then optimise. Reverse mode through the steps: exact for the
  discrete loss, whatever the step size.
- `forward_gradient`: forward sensitivities of the same steps; equal to it up to rounding.
- `continuous_gradient`: optimise, then discretise. The adjoint equation

      lambda' = -(df/dy)^T lambda,    g' = -(df/dtheta)^T lambda,    backward in time,

  with a jump dloss/dy_i of lambda at each observation time, solved adaptively; how the state y gets
  into it is the `method`:

  | method | the state on the way back |
  | --- | --- |
  | `"backsolve"` | integrated backward from its final value, never reset (the talk, 2019) |
  | `"reset"` | the same, reset to the stored state at each observation time (torchdiffeq) |
  | `"interpolation"` | read from the dense output of the forward solve |
  | `"checkpoints"` | solved forward again between stored states, then read from dense output |

All of them return a `Gradient`. The steps are compiled once for each `f` (`compiled.py`) and kept
as long as `f` lives: build the `Fit` once and call its gradient often.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from ...errors import BadInputError
from .adaptive import SUCCESS, Solution, adaptive
from .compiled import Backend, kernel
from .controllers import ORDINARYDIFFEQ, Convention
from .integrators import Step, rk4
from .rungekutta import Dense, make_attempt
from .tableaux import TSITOURAS, Tableau

Method = Literal["backsolve", "reset", "interpolation", "checkpoints"]


@dataclass(frozen=True)
class Fit:
    """A model and what its solution is fitted to.

    **Arguments:**

    - `f`: `f(t, y, theta) -> dy/dt`, of the shape of y; `t` may arrive as a float or as a
      0-dimensional tensor.
    - `y0`: initial state, any shape. `times`: observation times, the first is that of `y0`.
    - `loss`: scalar function of the states at `times`, shape `(len(times), *y0.shape)`.
    - `backend`: how the steps are compiled, see `compiled.py`.
    """

    f: Callable[[Any, Tensor, Any], Tensor]
    y0: Tensor
    times: Sequence[float]
    loss: Callable[[Tensor], Tensor]
    backend: Backend = "auto"

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
    return torch.stack(_forward(fit, theta, step, substeps)[0])


def _forward(
    fit: Fit, theta: Tensor, step: Step, substeps: int
) -> tuple[list[Tensor], list[tuple[float, float, Tensor]]]:
    """States at the observation times, and (t, h, y) at the start of every step."""
    advance = kernel(
        fit.f,
        ("step", step),
        lambda t, h, y, p: step(lambda s, v: fit.f(s, v, p), t, y, h),
        (0.0, 1.0, fit.y0, theta),
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


def discrete_gradient(fit: Fit, theta: Tensor, step: Step = rk4, substeps: int = 1) -> Gradient:
    """Discretise, then optimise: reverse mode through fixed steps.

    The transposed step is the vector-Jacobian product of one step, so that only the states at the
    step ends are kept.
    """
    states, starts = _forward(fit, theta, step, substeps)
    value, jumps = fit.weigh(torch.stack(states))

    def pull(
        t: Any, h: Any, y: Tensor, p: Tensor, adjoint: Tensor, g: Tensor
    ) -> tuple[Tensor, Tensor]:
        def one(v: Tensor, q: Tensor) -> Tensor:
            return step(lambda s, w: fit.f(s, w, q), t, v, h)

        _, transpose = torch.func.vjp(one, y, p)
        dy, dp = transpose(adjoint)
        return dy, g + dp

    g, adjoint = torch.zeros_like(theta), jumps[-1]
    back = kernel(fit.f, ("pull", step), pull, (0.0, 1.0, fit.y0, theta, adjoint, g), fit.backend)
    with torch.no_grad():
        for n in reversed(range(len(starts))):
            t, h, y = starts[n]
            adjoint, g = back(t, h, y, theta, adjoint, g)
            if n % substeps == 0:
                adjoint = adjoint + jumps[n // substeps]
    return Gradient(value, g, adjoint, torch.stack(states))


def forward_gradient(fit: Fit, theta: Tensor, step: Step = rk4, substeps: int = 1) -> Gradient:
    """Forward sensitivities: every column of dy/dtheta carried along by the same fixed steps.

    Batched over the parameters (and over the components of y0) by `torch.func`.
    """

    def states_of(p: Tensor, y0: Tensor) -> Tensor:
        y, states = y0, [y0]
        for t0, t1 in pairwise(fit.times):
            h = (t1 - t0) / substeps
            for j in range(substeps):
                y = step(lambda s, v: fit.f(s, v, p), t0 + j * h, y, h)
            states.append(y)
        return torch.stack(states)

    states = observe(fit, theta, step, substeps)
    value, jumps = fit.weigh(states)
    by_theta, by_y0 = torch.func.jacfwd(states_of, argnums=(0, 1))(theta, fit.y0)
    d = jumps.dim()
    return Gradient(
        value,
        torch.tensordot(jumps, by_theta, dims=d),
        torch.tensordot(jumps, by_y0, dims=d),
        states,
    )


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
        (0.0, 1.0, y0, y0, rtol, atol, theta),
        fit.backend,
    )
    with torch.no_grad():
        return adaptive(
            fit.f, y0, fit.times, theta, rtol=rtol, atol=atol, tableau=tableau,
            convention=convention, attempt=attempt, **options,
        )  # fmt: skip


def continuous_gradient(
    fit: Fit,
    theta: Tensor,
    method: Method = "backsolve",
    rtol: float = 1e-7,
    atol: float = 1e-9,
    tableau: Tableau = TSITOURAS,
    convention: Convention = ORDINARYDIFFEQ,
) -> Gradient:
    """Optimise, then discretise: the continuous adjoint at these tolerances, both ways.

    The backward state is z = (lambda, g, y), one error norm over all of it (or over lambda and g
    alone where y is known); the jumps are stops of the backward solve. Raises `BadInputError` for
    an unknown method; a solve that breaks down is reported in `outcome`.
    """
    if method not in get_args(Method):
        raise BadInputError(f"adjoint method {method!r}", f"one of {', '.join(get_args(Method))}")
    forward = solve(fit, theta, rtol, atol, tableau, convention, dense=method == "interpolation")
    nothing = torch.full_like(theta, torch.nan), torch.full_like(fit.y0, torch.nan)
    if not forward.ok:
        value = torch.full_like(fit.y0.sum(), torch.nan)
        return Gradient(
            value, *nothing, forward.states, None, forward, None, f"forward: {forward.outcome}"
        )
    value, jumps = fit.weigh(forward.states)
    back = _Backward(fit, theta, rtol, atol, tableau, convention)
    with torch.no_grad():
        if method in ("backsolve", "reset"):
            z, solution = back.with_state(forward.states, jumps, method == "reset")
        elif method == "interpolation":
            z, solution = back.with_known(forward.dense, jumps)
        else:
            z, solution = back.with_checkpoints(forward.states, jumps)
    if not solution.ok:
        return Gradient(
            value,
            *nothing,
            forward.states,
            None,
            forward,
            solution,
            f"backward: {solution.outcome}",
        )
    adjoint, g, y = back.split(z)
    return Gradient(value, g, adjoint, forward.states, y, forward, solution)


class _Backward:
    """The adjoint equation of one fit, and the three ways to feed it with the state."""

    def __init__(
        self, fit: Fit, theta: Tensor, rtol: float, atol: float, tableau: Tableau, rules: Convention
    ) -> None:
        self.fit, self.theta, self.times = fit, theta, list(fit.times)
        self.n, self.m = fit.y0.numel(), theta.numel()
        self.rtol, self.atol, self.tableau, self.rules = rtol, atol, tableau, rules

    def split(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """z = (lambda, g[, y]) in the shapes of y, theta and y."""
        n, m = self.n, self.m
        y = z[n + m :].reshape(self.fit.y0.shape) if len(z) > n + m else None
        return z[:n].reshape(self.fit.y0.shape), z[n : n + m].reshape(self.theta.shape), y

    def _right_hand_side(self) -> Callable[..., Tensor]:
        f, shape = self.fit.f, self.fit.y0.shape
        n, m = self.n, self.m

        def adjoint(t: Any, z: Tensor, theta: Tensor, known: Tensor | None = None) -> Tensor:
            y = z[n + m :].reshape(shape) if known is None else known
            dy, transpose = torch.func.vjp(lambda v, p: f(t, v, p), y, theta)
            by_y, by_theta = transpose(z[:n].reshape(shape))
            parts = [-by_y.reshape(-1), -by_theta.reshape(-1)]
            return torch.cat(parts if known is not None else [*parts, dy.reshape(-1)])

        return adjoint

    def _solve(
        self, z: Tensor, times: Sequence[float], known: Dense | None, **more: Any
    ) -> Solution:
        rhs, s = self._right_hand_side(), self.tableau.stages
        sizes = (self.n, self.m) if known is not None else (self.n, self.m, self.n)
        parts = sizes if self.rules.norm == "largest part" else ()
        arguments = [0.0, 1.0, z, z, self.rtol, self.atol, self.theta]
        if known is not None:
            arguments.append(self.fit.y0.expand(s, *self.fit.y0.shape).contiguous())
        attempt = kernel(
            self.fit.f,
            ("adjoint", self.tableau, parts, known is None),
            make_attempt(rhs, self.tableau, parts),
            tuple(arguments),
            self.fit.backend,
        )
        return adaptive(
            rhs, z, times, self.theta, rtol=self.rtol, atol=self.atol, tableau=self.tableau,
            convention=self.rules, parts=sizes, known=known, attempt=attempt, **more,
        )  # fmt: skip

    def _start(self, jump: Tensor, *state: Tensor) -> Tensor:
        return torch.cat(
            [jump.reshape(-1), jump.new_zeros(self.m), *(s.reshape(-1) for s in state)]
        )

    def _through_jumps(
        self, z: Tensor, jumps: Tensor, known: Dense | None, states: Tensor | None
    ) -> tuple[Tensor, Solution]:
        def at_stop(i: int, z: Tensor) -> Tensor:
            z = z.clone()
            z[: self.n] += jumps[i + 1].reshape(-1)
            if states is not None:
                z[self.n + self.m :] = states[i + 1].reshape(-1)
            return z

        ends = [self.times[-1], self.times[0]]
        solution = self._solve(z, ends, known, stops=self.times[1:-1], at_stop=at_stop)
        z = solution.states[-1].clone()
        z[: self.n] += jumps[0].reshape(-1)
        return z, solution

    def with_state(self, states: Tensor, jumps: Tensor, reset: bool) -> tuple[Tensor, Solution]:
        z = self._start(jumps[-1], states[-1])
        return self._through_jumps(z, jumps, None, states if reset else None)

    def with_known(self, dense: Dense | None, jumps: Tensor) -> tuple[Tensor, Solution]:
        return self._through_jumps(self._start(jumps[-1]), jumps, dense, None)

    def with_checkpoints(self, states: Tensor, jumps: Tensor) -> tuple[Tensor, Solution]:
        z = self._start(jumps[-1])
        total: Solution | None = None
        for i in reversed(range(len(self.times) - 1)):
            interval = self.times[i : i + 2]
            piece = Fit(self.fit.f, states[i], interval, self.fit.loss, self.fit.backend)
            ahead = solve(
                piece, self.theta, self.rtol, self.atol, self.tableau, self.rules, dense=True
            )
            part = self._solve(z, interval[::-1], ahead.dense)
            part.evaluations += ahead.evaluations
            z = part.states[-1].clone()
            z[: self.n] += jumps[i].reshape(-1)
            total = _joined(total, part)
            if not (ahead.ok and part.ok):
                total.outcome = ahead.outcome if not ahead.ok else part.outcome
                break
        assert total is not None
        return z, total


def _joined(first: Solution | None, second: Solution) -> Solution:
    """Two solves of adjacent intervals as one, with the steps of both."""
    if first is None:
        return second
    for name in ("t", "h", "error", "accepted"):
        getattr(first.steps, name).extend(getattr(second.steps, name))
    first.steps.grid.extend(second.steps.grid[1:])
    first.evaluations += second.evaluations
    first.outcome = second.outcome
    return first
