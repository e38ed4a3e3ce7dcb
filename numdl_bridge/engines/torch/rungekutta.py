"""One attempt of an embedded Runge-Kutta pair, its error, and its dense output: pure functions.

Nothing here decides anything: the loop and its conventions are in `adaptive.py`. The functions take
and return tensors only, so that they can be compiled (`compiled.py`), batched and differentiated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .tableaux import Tableau

Attempt = Callable[..., tuple[Tensor, Tensor, Tensor]]


def scaled_norm(x: Tensor, parts: Sequence[int] = ()) -> Tensor:
    """RMS of all entries of `x`, or the largest RMS of its consecutive parts of these lengths."""
    flat = x.reshape(-1)
    if len(parts) < 2:
        return (flat * flat).mean().sqrt()
    norms = [(p * p).mean().sqrt() for p in flat.split(list(parts))]
    return torch.stack(norms).amax()


def make_attempt(f: Callable[..., Tensor], tableau: Tableau, parts: Sequence[int] = ()) -> Attempt:
    """The function `attempt(t, h, y, k1, rtol, atol, theta[, x]) -> (y_new, k, error)`.

    **Arguments:**

    - `f`: `f(t, y, theta)`, or `f(t, y, theta, x_i)` where `x` holds one entry a stage (known data
      at the stage times, such as an interpolated state).
    - `parts`: lengths of the parts of the state, see `scaled_norm`.

    The error is the local error estimate, divided by atol + rtol max(|y|, |y_new|), in the norm;
    `k` stacks the stages, shape `(s, *y.shape)`. Sums are taken from left to right, then multiplied
    by h and added to y, which is OrdinaryDiffEq's order of operations.
    """

    def attempt(
        t: Any,
        h: Any,
        y: Tensor,
        k1: Tensor,
        rtol: Any,
        atol: Any,
        theta: Any = None,
        x: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        k, y_new = [k1], y
        for i, row in enumerate(tableau.a, start=1):
            y_new = y + h * _weighted(row, k)
            stage = (y_new, theta) if x is None else (y_new, theta, x[i])
            k.append(f(t + tableau.c[i] * h, *stage))
        estimate = h * _weighted(tableau.error, k)
        scale = atol + rtol * torch.maximum(y.abs(), y_new.abs())
        return y_new, torch.stack(k), scaled_norm(estimate / scale, parts)

    return attempt


def _weighted(weights: Sequence[float], k: Sequence[Tensor]) -> Tensor:
    terms = [w * stage for w, stage in zip(weights, k, strict=False) if w != 0.0]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def interpolate(tableau: Tableau, y: Tensor, h: float, k: Tensor, x: float) -> Tensor:
    """The dense output of a step at t + x h, 0 <= x <= 1; shape of `y`."""
    weights = torch.as_tensor(tableau.interpolant(x), dtype=y.dtype, device=y.device)
    return y + h * torch.tensordot(weights, k, dims=1)


class Dense:
    """A piecewise polynomial: the dense output of a whole solve, evaluated at many times at once.

    **Arguments:**

    - `grid`: the times of the accepted steps, `n + 1` of them, increasing or decreasing.
    - `y`: states at the start of each step, shape `(n, *state)`; `k`: `(n, s, *state)`.
    """

    def __init__(self, tableau: Tableau, grid: Sequence[float], y: Tensor, k: Tensor) -> None:
        self.tableau, self.y, self.k = tableau, y, k
        self.grid = np.asarray(grid, dtype=np.float64)
        self._sign = 1.0 if self.grid[-1] >= self.grid[0] else -1.0

    def __call__(self, times: Sequence[float] | np.ndarray) -> Tensor:
        """States at `times`, shape `(len(times), *state)`; ends are held beyond the interval."""
        t = np.asarray(times, dtype=np.float64)
        where = np.searchsorted(self._sign * self.grid, self._sign * t, side="right") - 1
        where = np.clip(where, 0, len(self.grid) - 2)
        h = self.grid[where + 1] - self.grid[where]
        x = np.clip((t - self.grid[where]) / h, 0.0, 1.0)
        weights = h[:, None] * self.tableau.interpolant(x)
        index = torch.as_tensor(where, device=self.y.device)
        factors = torch.as_tensor(weights, dtype=self.y.dtype, device=self.y.device)
        return self.y[index] + torch.einsum("ns,ns...->n...", factors, self.k[index])
