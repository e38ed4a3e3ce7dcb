"""A referee that needs nothing from the user: directional derivatives of the user's own function.

Central differences with Richardson extrapolation, and an estimate of their error; where the
function accepts complex numbers and is analytic along the way, the complex step, which loses no
digits to cancellation. Neither is a proof, and the result says which it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LEVELS = 4
"""Step sizes h, h/2, ...; 2 * LEVELS evaluations and an error of order h^(2 LEVELS)."""

FIRST_STEP = 2.0**-6
COMPLEX_STEP = 1e-30


@dataclass(frozen=True)
class Derivative:
    """**Arguments:**

    - `value`: array, the derivative of the function along a direction.
    - `error`: estimate of its norm-wise absolute error.
    - `method`: how it was found, for tables.
    """

    value: np.ndarray
    error: float
    method: str


def directional_derivative(function: Callable[[complex], np.ndarray]) -> Derivative:
    """The derivative of `t -> function(t)` at 0.

    `function` is called with floats, and once with an imaginary number; raising or returning
    something real for that is fine.
    """
    estimate = _richardson(lambda t: np.asarray(function(t)))
    try:
        value = np.asarray(function(complex(0.0, COMPLEX_STEP)))
    except Exception:  # whatever the user's function does with complex numbers, it may not do
        return estimate
    if not np.iscomplexobj(value):
        return estimate
    exact = value.imag / COMPLEX_STEP
    near = np.linalg.norm(exact - estimate.value) <= 10 * estimate.error
    if not (np.isfinite(exact).all() and near):
        # |x|, conj and comparisons are not analytic: the complex step answers another question.
        return estimate
    rounding = 64 * np.finfo(np.float64).eps * float(np.linalg.norm(exact))
    return Derivative(exact, rounding, "complex step")


def _richardson(function: Callable[[float], np.ndarray]) -> Derivative:
    """Neville's extrapolation of central differences in h^2 (Ridders 1982)."""
    table: list[list[np.ndarray]] = []
    best, error = np.zeros(()), np.inf
    size = 0.0
    for level in range(LEVELS):
        h = FIRST_STEP / 4**level
        forward, backward = function(h), function(-h)
        size = max(size, float(np.linalg.norm(forward)))
        row = [(forward - backward) / (2 * h)]
        for k in range(1, level + 1):
            factor = 16.0**k
            row.append((factor * row[k - 1] - table[-1][k - 1]) / (factor - 1))
            change = max(
                float(np.linalg.norm(row[k] - row[k - 1])),
                float(np.linalg.norm(row[k] - table[-1][k - 1])),
            )
            if change <= error:
                best, error = row[k], change
        table.append(row)
    # Cancellation: the smallest step divides the rounding of the function's values by h.
    noise = np.finfo(np.float64).eps * size / FIRST_STEP
    return Derivative(np.asarray(best), error + noise, "extrapolated differences")
