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

TUBE = 1e-10
"""Radius around the polynomials inside which Lipschitz constants are taken."""

SAFE = 1.0 + 1e-6
"""Covers rounding in bounds that are summed in doubles (fewer than 1e5 operations of 1e-16)."""

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


def bound(x: np.ndarray) -> np.ndarray:
    """Upper bounds on |x| as doubles."""
    flat = [float(abs(ball).upper()) for ball in x.ravel()]
    return np.nextafter(np.array(flat).reshape(x.shape), np.inf)


def widened(x: np.ndarray, error: np.ndarray | float) -> np.ndarray:
    """Each ball of x with `error` (doubles, broadcast) added to its radius."""
    errors = np.broadcast_to(error, x.shape).ravel()
    flat = [ball + flint.arb(0, float(e)) for ball, e in zip(x.ravel(), errors)]
    out = np.empty(x.size, dtype=object)
    out[:] = flat
    return out.reshape(x.shape)


def _convolve(a: list[np.ndarray], b: list[np.ndarray], k: int) -> np.ndarray:
    """The k-th coefficient of a product of two series."""
    total = a[0] * b[k]
    for j in range(1, k + 1):
        total = total + a[j] * b[k - j]
    return total


def _square(a: list[np.ndarray], k: int) -> np.ndarray:
    """The k-th coefficient of a series' square."""
    half = [a[j] * a[k - j] for j in range((k + 1) // 2)]
    total = 2 * sum(half) if half else 0 * a[0]
    return total + a[k // 2] * a[k // 2] if k % 2 == 0 else total


class Series:
    """Taylor coefficients of u, x = u^3, z, s, w = 1 - s^2, and of Psi and q = (W2^T Psi) w."""

    def __init__(self, f: NeuralODE, u: np.ndarray, psi: np.ndarray, degree: int) -> None:
        self.f, self.degree = f, degree
        self.u, self.psi = [u], [psi]
        self.x: list[np.ndarray] = []
        self.sq: list[np.ndarray] = []
        self.z: list[np.ndarray] = []
        self.s: list[np.ndarray] = []
        self.w: list[np.ndarray] = []
        self.q: list[np.ndarray] = []
        self.v: list[np.ndarray] = []
        self._dz: list[np.ndarray] = []
        self._g: list[np.ndarray] = []
        for k in range(degree + 1):
            self._next(k)

    def _next(self, k: int) -> None:
        f = self.f
        self.sq.append(_square(self.u, k))
        self.x.append(_convolve(self.sq, self.u, k))
        self.z.append(f.W1 @ self.x[k] + (f.b1 if k == 0 else 0))
        if k == 0:
            self.s.append(np.tanh(self.z[0]))
            self.w.append(1 - self.s[0] * self.s[0])
        else:
            self._dz.append(k * self.z[k])
            total = sum(self._dz[j - 1] * self.w[k - j] for j in range(1, k + 1))
            self.s.append(total / k)
            self.w.append(-_square(self.s, k))
        self.u.append((f.W2 @ self.s[k] + (f.b2 if k == 0 else 0)) / (k + 1))
        self.v.append(f.W2.T @ self.psi[k])
        self.q.append(sum(self.v[j] * self.w[k - j][:, None] for j in range(k + 1)))
        self._g.append(f.W1.T @ self.q[k])
        rate = sum(self.sq[j][:, None] * self._g[k - j] for j in range(k + 1))
        self.psi.append(rate * (-3) / (k + 1))

    def radius_of_convergence(self) -> float:
        """An estimate (no bound) from the last coefficients of u and Psi."""
        n = np.arange(self.degree - 4, self.degree + 1)
        tops = [max(bound(self.u[k]).max(), 1e-3 * bound(self.psi[k]).max()) for k in n]
        return float(1.0 / max(max(top, 1e-300) ** (1.0 / k) for top, k in zip(tops, n)))


def _values(coefficients: list[np.ndarray], h: flint.arb) -> np.ndarray:
    """The polynomial at h, by Horner."""
    value = coefficients[-1]
    for c in coefficients[-2::-1]:
        value = value * h + c
    return value


def _scaled(coefficients: list[np.ndarray], h: float) -> np.ndarray:
    """Bounds on |c_k| h^k, the order as first axis."""
    return np.stack([bound(c) * h**k for k, c in enumerate(coefficients)])


def _tail(a: np.ndarray, b: np.ndarray, start: int) -> np.ndarray:
    """sum over i + j >= start of |a_i| |b_j| (scaled coefficients, order first): a product's tail.

    Summed from suffix sums of b, so that small tails are not lost under large heads.
    """
    suffix = np.concatenate([np.cumsum(b[::-1], axis=0)[::-1], np.zeros((1, *b.shape[1:]))])
    total = np.zeros(np.broadcast_shapes(a.shape[1:], b.shape[1:]))
    for i in range(len(a)):
        total = total + a[i] * suffix[min(max(start - i, 0), len(b))]
    return total * SAFE


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """All scaled coefficients of a product of absolute series (order first)."""
    shape = np.broadcast_shapes(a.shape[1:], b.shape[1:])
    out = np.zeros((len(a) + len(b) - 1, *shape))
    for i in range(len(a)):
        out[i : i + len(b)] += a[i] * b
    return out * SAFE


@dataclass
class Errors:
    """Bounds over one step: on u - U, s - S, Psi - L, q - Q and x - X, entry by entry."""

    u: float
    s: np.ndarray
    psi: float
    q: np.ndarray
    x: float


def remainder(series: Series, h: float) -> Errors | None:
    """The bounds of the module's docstring over [0, h], or None where the step is too long."""
    f, p = series.f, series.degree
    W1, W2 = bound(f.W1), bound(f.W2)
    U, S, L = _scaled(series.u, h), _scaled(series.s, h), _scaled(series.psi, h)
    W, V = _scaled(series.w, h), _scaled(series.v, h)
    size_u, size_s = U.sum(0) * SAFE + TUBE, np.minimum(S.sum(0) * SAFE, 1e150)
    # All coefficients of zhat = W1 U^3 + b1 (without the constant, which its derivative drops),
    # those up to p as computed, with their cancellation, the others in absolute values.
    cube = _product(_product(U, U), U)
    zhat = np.einsum("ij,kj->ki", W1, cube) * SAFE
    zhat[: p + 1] = _scaled(series.z, h)
    zhat[0] = 0.0
    orders = np.arange(len(zhat))[:, None]
    derivative = (orders * zhat / h)[1:]  # coefficients of zhat', scaled
    squares = _product(S, S)
    squares[: p + 1] = W
    r = _tail(squares, derivative, p)
    speed = derivative.sum(0) * SAFE
    with np.errstate(over="ignore", invalid="ignore"):
        tau = h * r * np.exp(h * speed * (1 + size_s)) * SAFE
        # Slopes 1 - tanh^2 anywhere in the tube, far below 1 where a unit is saturated.
        reach = W1 @ (3 * size_u**2)
        slope = np.minimum(squares.sum(0) * SAFE + 2 * tau + 2 * reach * TUBE, 1.0)
        lipschitz = float((W2 @ (slope * reach)).max()) * SAFE
        e_u = float(h * (W2 @ tau).max() * np.exp(h * lipschitz)) * SAFE
        if not e_u < TUBE:
            return None
        e_s = (tau + slope * reach * e_u) * SAFE
        # Psi' = -3 u^2 (W1^T q), q = (W2^T Psi) (1 - s^2). Tails of the polynomial products, and
        # what the errors of u and s change.
        size_v = V.sum(0) * SAFE
        tail_q = _tail(squares[:, :, None], V, p + 1)
        # V has the degree p + 1 of Psi in its last term: v = W2^T Psi.
        last_v = W2.T @ L[p + 1]
        from_s = ((1 + size_s) * e_s)[:, None] * (size_v + last_v)
        own_q = tail_q + last_v + from_s
        Q = _scaled(series.q, h)
        Gq = np.einsum("ij,kil->kjl", W1, Q) * SAFE
        squares_u = _product(U, U)
        tail_psi = 3 * _tail(squares_u[:, :, None], Gq, p + 1)
        G_size = np.einsum("ij,il->jl", W1, Q.sum(0) + own_q) * SAFE
        from_u = 6 * size_u[:, None] * e_u * G_size
        from_q = (3 * size_u**2)[:, None] * np.einsum("ij,il->jl", W1, own_q)
        forcing = (tail_psi + from_u + from_q).max()
        through = slope * (W2.T @ np.ones(2))
        growth = float(((3 * size_u**2) * (W1.T @ through)).max()) * SAFE
        e_psi = float(h * forcing * np.exp(h * growth)) * SAFE
    if not e_psi < np.inf:
        return None
    e_q = (own_q + through[:, None] * e_psi) * SAFE
    e_x = float((3 * size_u**2 * e_u).max()) * SAFE + float(_tail_of_cube(cube, p))
    return Errors(e_u, e_s, e_psi, e_q, e_x)


def _tail_of_cube(cube: np.ndarray, p: int) -> float:
    return float(cube[p + 1 :].sum(0).max()) * SAFE


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
    top_a, top_b = _scaled(a, size).sum(0), _scaled(b, size).sum(0)
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
