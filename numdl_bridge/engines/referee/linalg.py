"""Products and norms that are the same text for doubles and balls.

`@` of NumPy object arrays calls Python once for each product; python-flint's matrices multiply in
C, about eight times faster per product, once the entries are worth moving there.
"""

from __future__ import annotations

from typing import Any

import flint
import numpy as np

_WORTH_MOVING = 4
"""Smallest inner, and outer, dimension for which building flint matrices pays (measured)."""


def dot(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """The matrix product A B of two matrices, or of a matrix and a vector, of either number type.

    Shapes (m, k) with (k, n) or (k,). In balls, large products go through `arb_mat`.
    """
    if A.dtype != object or B.ndim == 1 or min(A.shape[0], A.shape[1], B.shape[1]) < _WORTH_MOVING:
        return A @ B
    (m, k), n = A.shape, B.shape[1]
    left = flint.arb_mat(m, k, A.ravel().tolist())
    right = flint.arb_mat(k, n, B.ravel().tolist())
    out = np.empty(m * n, dtype=object)
    out[:] = (left * right).entries()
    return out.reshape(m, n)


def inner(A: np.ndarray, B: np.ndarray) -> Any:
    """The sum of A_i B_i over all entries: the Euclidean inner product of two equal shapes."""
    return (A * B).sum()


def norm(A: np.ndarray) -> Any:
    """The Frobenius norm."""
    return np.sqrt(inner(A, A))


def outer(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x y^T."""
    return x[:, None] * y[None, :]


def concatenate(*blocks: np.ndarray) -> np.ndarray:
    """All entries of all blocks, each flattened in C order, as one vector."""
    return np.concatenate([np.asarray(block).ravel() for block in blocks])


def root(x: np.ndarray) -> np.ndarray:
    """Square roots of numbers that are known not to be negative (sums of squares).

    A ball whose lower end rounding has pushed below zero is first cut off at zero; flint would
    return NaN.
    """
    if x.dtype != object:
        return np.sqrt(x)
    out = np.empty(x.shape, dtype=object)
    out.ravel()[:] = [_root(ball) for ball in x.ravel()]
    return out


def _root(ball: flint.arb) -> flint.arb:
    if ball.lower() > 0:
        return ball.sqrt()
    half = (abs(ball).upper().sqrt() / 2).upper()
    return flint.arb(half, half)


def centres(x: np.ndarray) -> np.ndarray:
    """The centres of the balls as exact numbers, radius dropped; doubles pass unchanged."""
    if x.dtype != object:
        return x
    out = np.empty(x.shape, dtype=object)
    out.ravel()[:] = [ball.mid() for ball in x.ravel()]
    return out


def widths(x: np.ndarray) -> np.ndarray:
    """The balls' own radii, rounded to doubles (Inf for a ball without bound); zero for doubles."""
    if x.dtype != object:
        return np.zeros(x.shape)
    radii = [float(ball.rad()) if ball.is_finite() else np.inf for ball in x.ravel()]
    return np.array(radii).reshape(x.shape)
