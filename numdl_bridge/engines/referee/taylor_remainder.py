"""What the Taylor polynomials of one step miss, bounded; the argument stands in `taylor.py`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .taylor_series import Series, bound

TUBE = 1e-10
"""Radius around the polynomials inside which Lipschitz constants are taken."""

SAFE = 1.0 + 1e-6
"""Covers rounding in bounds that are summed in doubles (fewer than 1e5 operations of 1e-16)."""

UNDERFLOW = 1e-280


def scaled(coefficients: list[np.ndarray], h: float) -> np.ndarray:
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
    U, S, L = scaled(series.u, h), scaled(series.s, h), scaled(series.psi, h)
    W, V = scaled(series.w, h), scaled(series.v, h)
    size_u, size_s = U.sum(0) * SAFE + TUBE, np.minimum(S.sum(0) * SAFE, 1e150)
    # All coefficients of zhat = W1 U^3 + b1 (without the constant, which its derivative drops),
    # those up to p as computed, with their cancellation, the others in absolute values.
    cube = _product(_product(U, U), U)
    zhat = np.einsum("ij,kj->ki", W1, cube) * SAFE
    zhat[: p + 1] = scaled(series.z, h)
    zhat[0] = 0.0
    orders = np.arange(len(zhat))[:, None]
    derivative = (orders * zhat / h)[1:]  # coefficients of zhat', scaled
    squares = _product(S, S)
    squares[: p + 1] = W
    # What may have underflowed to zero in these sums is put back in.
    r = _tail(squares, derivative, p) + UNDERFLOW
    speed = derivative.sum(0) * SAFE
    with np.errstate(over="ignore", invalid="ignore"):
        tau = h * r * np.exp(h * speed * (1 + size_s)) * SAFE
        # Slopes 1 - tanh^2 anywhere in the tube, far below 1 where a unit is saturated.
        reach = W1 @ (3 * size_u**2)
        flat = squares.sum(0) * SAFE
        slope = np.minimum(flat + (1 + size_s) * tau + 2 * reach * TUBE, 1.0)
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
        own_q = tail_q + last_v * flat[:, None] + from_s + UNDERFLOW
        Q = scaled(series.q, h)
        Gq = np.einsum("ij,kil->kjl", W1, Q) * SAFE
        squares_u = _product(U, U)
        tail_psi = 3 * _tail(squares_u[:, :, None], Gq, p + 1)
        G_size = np.einsum("ij,il->jl", W1, Q.sum(0) + own_q) * SAFE
        from_u = 6 * size_u[:, None] * e_u * G_size
        from_q = (3 * size_u**2)[:, None] * np.einsum("ij,il->jl", W1, own_q)
        forcing = (tail_psi + from_u + from_q).max()
        through = slope * (W2.T @ np.ones(2))
        growth = float(((3 * size_u**2 + 6 * size_u * e_u) * (W1.T @ through)).max()) * SAFE
        e_psi = float(h * forcing * np.exp(h * growth)) * SAFE
    if not e_psi < np.inf:
        return None
    e_q = (own_q + through[:, None] * e_psi) * SAFE
    e_x = float((3 * size_u**2 * e_u).max()) * SAFE + float(_tail_of_cube(cube, p))
    return Errors(e_u, e_s, e_psi, e_q, e_x)


def _tail_of_cube(cube: np.ndarray, p: int) -> float:
    return float(cube[p + 1 :].sum(0).max()) * SAFE
