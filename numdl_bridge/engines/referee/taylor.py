"""The neural ODE's loss and its whole gradient, continuous in time, with a proven radius.

The flow u' = F(u) = W2 tanh(W1 u^3 + b1) + b2 is stepped by its Taylor polynomial; so is the
fundamental matrix Psi of the adjoint equation, Psi' = -DF(u)^T Psi, Psi(0) = I. With it the state's
sensitivity to all parameters at once is

    du/dtheta(t) = Psi(t)^{-T} G(t),    G(t) = integral over [0, t] of Psi^T dF/dtheta,

so that one pass forward in time gives the gradient of any loss of u(t_1), u(t_2), ...

**Recurrences.** tanh by its own: s' = (1 - s^2) z' gives k s_k = sum_j j z_j w_{k-j}, w = 1 - s^2.

**Remainder.** Let U, S, L be the exact Taylor polynomials of u, s = tanh(W1 u^3 + b1) and of a
column of Psi (degrees p + 1, p, p + 1) from a point in the step's initial ball, and zhat(t) =
W1 U^3 + b1. Everything but tanh is polynomial, so what the polynomials miss is a tail that can be
summed in absolute values:

1. S' - (1 - S^2) zhat' has no terms below t^p; with r a bound on the rest over [0, h],
   |tanh(zhat) - S| <= tau = h r exp(h c), c = max |zhat'| (1 + |S|), by Gronwall.
2. U' = W2 S + b2 exactly, hence e = |u - U| satisfies e' <= |W2| (tau + |W1| 3 (|U| + e)^2 e), and
   e <= h |W2| tau exp(h l) once that is below `TUBE`, which closes the Picard argument.
3. Likewise for Psi, whose right-hand side is a polynomial in (u, s, Psi), linear in Psi.
4. Integrals of products are those of the polynomials plus h times the bounds.

The bounds are sums of doubles, each operation off by 1e-16 relative; the factor `SAFE` on every
bound covers that many times over. Sources: Moore, "Interval Analysis", 1966, ch. 11; Neidinger,
"Introduction to automatic differentiation", SIAM Review 2010 (the recurrences).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import flint
import numpy as np

from ...errors import EngineError
from .linalg import dot
from .networks import NeuralODE
from .number import Ball
from .taylor_remainder import SAFE, Errors, remainder, scaled
from .taylor_series import Series

SMALLEST_STEP = 1e-6

PSI_SHARE = 1e4
"""Psi is bounded more crudely than u, and nothing is propagated through it."""


@dataclass
class Truth:
    """States at the times (list of shape (2,)), du/dtheta there (2, 252), steps taken."""

    states: list[np.ndarray]
    sensitivities: list[np.ndarray]
    steps: int

    def misfit(self, data: np.ndarray) -> Any:
        """sum |u(t_i) - data[:, i]|^2 as a ball."""
        return sum(((u - data[:, i]) ** 2).sum() for i, u in enumerate(self.states))

    def misfit_gradient(self, data: np.ndarray) -> np.ndarray:
        """Its gradient with respect to theta, 252 balls."""
        parts = [2 * ((u - data[:, i]) @ self.sensitivities[i]) for i, u in enumerate(self.states)]
        return np.sum(parts, axis=0)


def widened(x: np.ndarray, error: np.ndarray | float) -> np.ndarray:
    """Each ball of x with `error` (doubles, broadcast) added to its radius."""
    errors = np.broadcast_to(error, x.shape).ravel()
    flat = [ball + flint.arb(0, float(e)) for ball, e in zip(x.ravel(), errors)]
    out = np.empty(x.size, dtype=object)
    out[:] = flat
    return out.reshape(x.shape)


def _values(coefficients: list[np.ndarray], h: flint.arb) -> np.ndarray:
    """The polynomial at h, by Horner."""
    value = coefficients[-1]
    for c in coefficients[-2::-1]:
        value = value * h + c
    return value


def _moments(h: flint.arb, n: int) -> np.ndarray:
    """H_kl = h^(k+l+1) / (k+l+1), k, l < n: integrals over [0, h] of the products of powers."""
    values, power = np.empty(2 * n, dtype=object), h
    for k in range(2 * n):
        values[k] = power / (k + 1)
        power = power * h
    return values[np.add.outer(np.arange(n), np.arange(n))]


def _integral(
    a: list[np.ndarray], b: list[np.ndarray], moments: np.ndarray, size: float, ea: Any, eb: Any
) -> np.ndarray:
    """Enclosure of the integral over [0, h] of a(t) b(t)^T, entries (i, j); `size` >= h.

    a and b are polynomials (lists of vectors of coefficients) with errors below ea and eb: the
    integral of the product of the polynomials is A H B^T with the moments H.
    """
    A, B = np.stack(a, axis=1), np.stack(b, axis=1)
    H = moments[: A.shape[1], : B.shape[1]]
    top_a, top_b = scaled(a, size).sum(0), scaled(b, size).sum(0)
    ea, eb = np.broadcast_to(ea, top_a.shape), np.broadcast_to(eb, top_b.shape)
    error = size * (np.outer(top_a, eb) + np.outer(ea, top_b) + np.outer(ea, eb)) * SAFE
    return widened(dot(dot(A, H), B.T), error)


def solve(
    theta: np.ndarray, u0: np.ndarray, times: np.ndarray, field: Ball, degree: int = 20,
    tolerance: float = 1e-20,
) -> Truth:  # fmt: skip
    """u and du/dtheta at `times` (doubles, increasing, the first that of u0), enclosed.

    **Arguments:**

    - `theta`, `u0`: 252 and 2 balls.
    - `degree`: of the Taylor polynomials; `tolerance`: the proven remainder of u that a step may
      have, and `PSI_SHARE` times that for Psi. A step with more is halved.

    Raises `EngineError` where no step above 1e-6 can be proven.
    """
    f = NeuralODE(theta)
    u, psi = u0, field.array(np.eye(2))
    total = 0 * np.stack([theta, theta])
    states, found, steps = [u0], [total], 0
    t, taken = field.number(float(times[0])), np.inf
    for end in times[1:]:
        while True:
            left = field.number(float(end)) - t
            series = Series(f, u, psi, degree)
            longest = series.radius_of_convergence() * tolerance ** (1.0 / degree)
            tried = min(longest, 1.5 * taken)
            pieces = max(1, int(np.ceil(float(left.mid()) / tried)))
            h, errors = left / pieces, None
            while errors is None:
                h = left / pieces
                if float(h.mid()) < SMALLEST_STEP:
                    raise EngineError(
                        f"no Taylor step above {SMALLEST_STEP} can be proven at t = {t.str(8)}",
                        "a solution that stays bounded and smooth",
                        "use the float reference (SciPy's DOP853) at these weights",
                    )
                errors = remainder(series, float(abs(h).upper()))
                if errors and max(errors.u, errors.psi / PSI_SHARE) > tolerance:
                    errors = None
                if errors is None:
                    pieces += (pieces + 3) // 4
            total = total + _gradient_piece(series, h, errors)
            u = widened(_values(series.u, h), errors.u)
            psi = widened(_values(series.psi, h), errors.psi)
            t, steps, taken = t + h, steps + 1, float(h.mid())
            if pieces == 1:
                break
        t = field.number(float(end))
        states.append(u)
        inverse = _inverse(psi).T
        found.append(dot(inverse, total))
    return Truth(states, found, steps)


def _gradient_piece(series: Series, h: flint.arb, errors: Errors) -> np.ndarray:
    """The integral over the step of Psi^T dF/dtheta, shape (2, 252)."""
    one = [np.array([flint.arb(1)], dtype=object)]
    rows, size = [], float(abs(h).upper())
    H = _moments(h, series.degree + 2)
    for column in (0, 1):
        q = [c[:, column] for c in series.q]
        psi = [c[:, column] for c in series.psi]
        W1 = _integral(q, series.x, H, size, errors.q[:, column], errors.x)
        b1 = _integral(q, one, H, size, errors.q[:, column], 0.0)
        W2 = _integral(psi, series.s, H, size, errors.psi, errors.s)
        b2 = _integral(psi, one, H, size, errors.psi, 0.0)
        rows.append(np.concatenate([W1.T.ravel(), b1.ravel(), W2.T.ravel(), b2.ravel()]))
    return np.stack(rows)


def _inverse(A: np.ndarray) -> np.ndarray:
    """The inverse of a 2 x 2 matrix."""
    det = A[0, 0] * A[1, 1] - A[0, 1] * A[1, 0]
    return np.array([[A[1, 1], -A[0, 1]], [-A[1, 0], A[0, 0]]], dtype=object) / det
