"""Proven enclosures of extreme eigenvalues and singular values, in ball arithmetic.

For a symmetric A and any x, lambda there is an eigenvalue within ||A x - lambda x|| / ||x|| of
lambda; and if every pivot of A - t I in Gaussian elimination is proven positive, no eigenvalue is
below t (Sylvester). Both together enclose the smallest eigenvalue: where x comes from does not
matter for the proof. The largest eigenvalue is minus the smallest of -A.
"""

from __future__ import annotations

import flint
import numpy as np

from ...errors import EngineError
from .number import midpoint

_NEAR = flint.arb(2) ** -100
_STEPS = 30
"""Inverse iterations before the Rayleigh quotient takes over, where doubles give no start."""


def to_matrix(A: np.ndarray) -> flint.arb_mat:
    """An object array of balls as a flint matrix, whose products and solves run in C."""
    rows, columns = A.shape
    return flint.arb_mat(rows, columns, A.ravel().tolist())


def to_array(A: flint.arb_mat) -> np.ndarray:
    """A flint matrix as an object array of balls."""
    return np.array(A.entries(), dtype=object).reshape(A.nrows(), A.ncols())


def positive_definite(A: np.ndarray) -> bool:
    """Whether all pivots of a symmetric matrix of balls are proven positive."""
    A = A.copy()
    while len(A):
        pivot = A[0, 0]
        if not pivot > 0:
            return False
        column = A[1:, 0]
        A = A[1:, 1:] - np.multiply.outer(column / pivot, column)
    return True


def _shifted(A: flint.arb_mat, t: flint.arb) -> flint.arb_mat:
    identity = flint.arb_mat(A.nrows(), A.nrows(), 1)
    return A - t * identity


def _unit(x: flint.arb_mat) -> flint.arb_mat:
    """x as an exact vector, near to unit length."""
    x = x.mid()
    return ((1 / _norm(x)) * x).mid()


def _norm(x: flint.arb_mat) -> flint.arb:
    """The norm of a vector; an upper bound of it where entries are balls around zero."""
    return sum((flint.arb(v.abs_upper()) ** 2 for v in x.entries()), flint.arb(0)).sqrt()


def _inverse_iteration(A: flint.arb_mat) -> flint.arb_mat:
    """A start where double precision does not know the eigenvector."""
    n = A.nrows()
    x = _unit(flint.arb_mat(n, 1, [flint.arb(1) + flint.arb(i) / n for i in range(n)]))
    for _ in range(_STEPS):
        x = _unit(A.solve(x, algorithm="approx"))
    return x


def _rayleigh_iteration(A: flint.arb_mat, x: flint.arb_mat) -> tuple[flint.arb, flint.arb]:
    """An approximate eigenvalue, and how near to it an eigenvalue is proven: cubic convergence."""
    while True:
        value = (x.transpose() * A * x)[0, 0].mid()
        # x is exact: its norm is rounded up in the last bit, which twice the room makes good.
        residual = flint.arb((_norm(A * x - value * x) / _norm(x)).upper())
        if residual <= abs(value) * _NEAR:
            return value, residual
        try:
            better = _unit(_shifted(A, value).solve(x, algorithm="approx"))
        except ZeroDivisionError:  # the quotient is the eigenvalue, to working precision
            return value, residual
        nearer = _norm(A * better - value * better)
        if not (nearer.is_finite() and nearer.mid() < residual / 2):
            return value, residual
        x = better


def smallest_eigenvalue(A: flint.arb_mat, start: np.ndarray | None = None) -> flint.arb:
    """A proven enclosure of the smallest eigenvalue of a symmetric matrix of balls.

    **Arguments:**

    - `A`: `(n, n)`, symmetric.
    - `start`: `(n,)` doubles near to its eigenvector; without it inverse iteration finds one, for
      a positive definite A. A poor one costs the proof, never its truth.

    Raises `EngineError` where the precision does not suffice for a proof.
    """
    n = A.nrows()
    if start is None:
        x = _inverse_iteration(A)
    else:
        x = _unit(flint.arb_mat(n, 1, [flint.arb(float(v)) for v in start]))
    value, residual = _rayleigh_iteration(A, x)
    # Room for the rounding of the elimination, which the pivots' balls contain.
    room = residual + abs(value) * _NEAR
    near = room < abs(value) / 2**60
    if not (near and positive_definite(to_array(_shifted(A, value - 2 * room)))):
        raise EngineError(
            f"no proof that {float(value):.3g} is the smallest eigenvalue",
            "a precision of at least four times the digits of the condition number",
            "raise BITS of the study's referee",
        )
    return value + flint.arb(0, 2 * room.upper())


def extreme_singular_values(J: np.ndarray) -> tuple[flint.arb, flint.arb]:
    """Proven enclosures of the smallest (of min(rows, columns)) and the largest singular value."""
    matrix = to_matrix(J)
    wide = J.shape[0] < J.shape[1]
    gram = matrix * matrix.transpose() if wide else matrix.transpose() * matrix
    U, sigma, Vt = np.linalg.svd(midpoint(J), full_matrices=False)
    vectors = U.T if wide else Vt
    # Doubles know the last vector to about u sigma_1 over the distance of the last two values.
    known = min(sigma[-1], sigma[-2] - sigma[-1]) > 1e-11 * sigma[0]
    smallest = smallest_eigenvalue(gram, vectors[-1] if known else None)
    largest = -smallest_eigenvalue(-gram, vectors[0])
    return smallest.sqrt(), largest.sqrt()
