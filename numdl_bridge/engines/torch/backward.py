"""The adjoint equation of a `Fit`, solved backward, and the ways to feed it with the state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .adaptive import adaptive
from .compiled import kernel
from .controllers import Convention
from .fit import Fit, solve, vjp
from .rungekutta import Dense, make_attempt
from .solution import Solution
from .tableaux import Tableau


class Backward:
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
            dy, transpose = vjp(lambda v, p: f(t, v, p), y, theta)
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
        arguments = [self.fit.between, 1e-3, z, z, 1.0, 1.0, self.theta]
        if known is not None:
            arguments.append(self.fit.y0.expand(s, *self.fit.y0.shape).contiguous())
        attempt = kernel(
            self.fit.f,
            ("adjoint", self.tableau, parts, known is None),
            make_attempt(rhs, self.tableau, parts),
            tuple(arguments),
            self.fit.backend,
        )
        inputs = (self.fit.between, z, self.theta, *(() if known is None else (self.fit.y0,)))
        f = kernel(self.fit.f, ("adjoint f", known is None), rhs, inputs, self.fit.backend)
        return adaptive(
            f, z, times, self.theta, rtol=self.rtol, atol=self.atol, tableau=self.tableau,
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
